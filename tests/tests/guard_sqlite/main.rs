//! The guard on real SQLite files: what its tables, triggers and constraints do to a write.

mod file;
mod values;

use signoff::Code;
use signoff::guard::{GuardJob, Outcome, Purpose};
use signoff::primitives::Scalar;
use signoff_tests::shop::sqlite::{File, Shop};
use signoff_tests::shop::{Stock, approve, code, moved, text};

#[test]
fn two_rows_of_one_key_are_never_touched() {
    let shop = Shop::new(
        "CREATE TABLE items (id INTEGER, tenant_id TEXT, status TEXT, version INTEGER);
         INSERT INTO items VALUES (7, 'acme', 'a', 1);",
    );
    let job = shop.job("7", &approve());
    shop.sql("INSERT INTO items VALUES (7, 'acme', 'a', 1)");
    assert_eq!(code(shop.read("7", &[])), Code::RowNotUnique);
    assert_eq!(shop.released(job), Code::MultiRowWriteBlocked);
}

#[test]
fn what_cannot_be_patched_is_refused_at_the_read() {
    let shop = Shop::new(
        "CREATE TABLE items (id INTEGER PRIMARY KEY, tenant_id TEXT, status TEXT, loud TEXT AS (upper(status)), kept TEXT AS (status) STORED, any, n INTEGER, version INTEGER);
         INSERT INTO items (id, tenant_id, status, any, n, version) VALUES (7, 'acme', 'a', 1, 'seven', 1);",
    );
    for column in ["loud", "kept"] {
        assert_eq!(code(shop.read("7", &[(column, text("B"))])), Code::ColumnNotPatchable);
    }
    assert_eq!(code(shop.read("7", &[("any", text("B"))])), Code::ColumnTypeMixed);
    assert_eq!(code(shop.read("7", &[("n", Scalar::Int(1))])), Code::ColumnTypeMixed);
    assert_eq!(code(shop.read("7", &[("missing", Scalar::Int(1))])), Code::SourceObjectNotFound);
    // Reading a generated column is fine, and so is its change with the patch.
    shop.applies(shop.job("7", &approve()));
    assert_eq!(shop.rows("SELECT loud, kept FROM items"), [["Text(\"APPROVED\")", "Text(\"approved\")"]]);
}

#[test]
fn strict_tables_work_as_others_do() {
    let shop = Shop::new(
        "CREATE TABLE items (id INT PRIMARY KEY, tenant_id TEXT, status TEXT, amount REAL, n INTEGER, any ANY, data BLOB, version INTEGER) STRICT;
         INSERT INTO items VALUES (7, 'acme', 'a', 1.5, 1, '1', x'41', 1);",
    );
    shop.applies(shop.job("7", &[("status", text("5")), ("amount", Scalar::Int(2)), ("n", Scalar::Int(-5))]));
    assert_eq!(shop.rows("SELECT status, amount, n FROM items"), [["Text(\"5\")", "Real(2.0)", "Integer(-5)"]]);
    for column in ["any", "data"] {
        assert_eq!(code(shop.read("7", &[(column, text("B"))])), Code::ColumnTypeMixed);
    }
    let mut job = shop.job("7", &approve());
    job.idempotency_key = "second".to_owned();
    shop.sql("UPDATE items SET any = 1");
    assert_eq!(shop.conflicts(job), moved("ROW_CHANGED_AFTER_PROPOSAL", "any"));
}

#[test]
fn a_table_without_rowid_works_too() {
    let shop = Shop::new(
        "CREATE TABLE items (id TEXT, tenant_id TEXT, status TEXT, version INTEGER, rowid INTEGER, PRIMARY KEY (tenant_id, id)) WITHOUT ROWID;
         INSERT INTO items VALUES ('a', 'acme', 'x', 1, 1), ('a', 'globex', 'x', 1, 1);",
    );
    shop.applies(shop.job("a", &approve()));
    assert_eq!(shop.rows("SELECT status FROM items ORDER BY tenant_id"), [["Text(\"approved\")"], ["Text(\"x\")"]]);
}

/// SQLite takes `"gone"` for the text 'gone' where there is no such column. That would compare a name with a value.
#[test]
fn a_column_that_is_gone_is_an_error_and_no_text() {
    for column in ["tenant_id", "version", "note", "id", "status"] {
        let shop = Shop::bare(&format!("{}CREATE TABLE effects (id); CREATE TABLE executions (id);", File::ITEMS));
        shop.migrate();
        shop.sql("UPDATE items SET note = 'note' WHERE id = 7");
        let job = shop.job("7", &approve());
        shop.sql(&format!("ALTER TABLE items RENAME COLUMN {column} TO other"));
        assert_eq!(shop.released(job), Code::SourceObjectNotFound, "{column}");
    }
    let shop = Shop::usual();
    let job = shop.job("7", &approve());
    shop.sql("ALTER TABLE items RENAME TO things; CREATE VIEW items AS SELECT 1 AS rowid");
    assert_eq!(shop.released(job), Code::SourceObjectNotFound);
}

// ---- triggers and constraints

#[test]
fn a_trigger_may_write_other_columns() {
    let shop = Shop::usual();
    shop.sql("CREATE TRIGGER touch AFTER UPDATE OF status ON items BEGIN UPDATE items SET version = OLD.version + 1, note = 'touched' WHERE id = NEW.id; END");
    let Outcome::Applied(receipt) = shop.run(shop.job("7", &approve())) else { panic!() };
    assert_eq!(
        (receipt.rows_affected, receipt.previous_version, receipt.new_version),
        (1, Some(Scalar::Int(3)), Some(Scalar::Int(4)))
    );
    assert_eq!(shop.one("SELECT note FROM items WHERE id = 7"), "Text(\"touched\")");
}

#[test]
fn a_trigger_that_rewrites_what_was_approved_undoes_everything() {
    for rewrite in ["'APPROVED'", "'approved '", "NULL", "x'617070726f766564'", "7"] {
        let shop = Shop::usual();
        shop.sql(&format!("CREATE TRIGGER rewrite AFTER UPDATE OF status ON items BEGIN UPDATE items SET status = {rewrite} WHERE id = NEW.id; END"));
        assert_eq!(shop.released(shop.job("7", &approve())), Code::StoredValueDiffers, "{rewrite}");
    }
    // The same characters, as a blob.
    let shop = Shop::usual();
    shop.sql("CREATE TRIGGER rewrite AFTER UPDATE OF status ON items BEGIN UPDATE items SET status = x'41' WHERE id = NEW.id; END");
    assert_eq!(shop.released(shop.job("7", &[("status", text("\\x41"))])), Code::StoredValueDiffers);
    // The row moved to another tenant, or away.
    for action in [
        "UPDATE items SET tenant_id = 'globex' WHERE id = NEW.id",
        "DELETE FROM items WHERE id = NEW.id",
        "UPDATE items SET id = 70 WHERE id = NEW.id",
    ] {
        let shop = Shop::usual();
        shop.sql(&format!("CREATE TRIGGER rewrite AFTER UPDATE OF status ON items BEGIN {action}; END"));
        assert_eq!(shop.released(shop.job("7", &approve())), Code::StoredValueDiffers, "{action}");
    }
}

#[test]
fn a_trigger_that_refuses_or_swallows_is_told_apart() {
    for (raise, expected) in [
        ("RAISE(ABORT, 'no')", Code::SourceRejected),
        ("RAISE(FAIL, 'no')", Code::SourceRejected),
        ("RAISE(ROLLBACK, 'no')", Code::SourceRejected),
        ("RAISE(IGNORE)", Code::WriteBlocked),
    ] {
        for when in ["BEFORE", "AFTER"] {
            let shop = Shop::usual();
            shop.sql(&format!("CREATE TRIGGER refuse {when} UPDATE ON items BEGIN SELECT {raise}; END"));
            let job = shop.job("7", &approve());
            if (when, expected) == ("AFTER", Code::WriteBlocked) {
                // Too late to swallow: the row is written, and is what was approved.
                assert!(matches!(shop.run(job), Outcome::Applied(_)));
            } else {
                assert_eq!(shop.released(job), expected, "{when} {raise}");
            }
        }
    }
}

#[test]
fn a_trigger_that_takes_our_receipt_away_undoes_everything() {
    for theft in
        ["DELETE FROM synapsor_writeback_receipts", "UPDATE synapsor_writeback_receipts SET status = 'applied'"]
    {
        let shop = Shop::usual();
        shop.sql(&format!("CREATE TRIGGER steal AFTER UPDATE ON items BEGIN {theft}; END"));
        assert_eq!(shop.released(shop.job("7", &approve())), Code::TransactionLost, "{theft}");
    }
}

#[test]
fn constraints_are_kept_also_those_that_speak_at_commit() {
    for when in ["", "DEFERRABLE INITIALLY DEFERRED"] {
        let shop = Shop::new(&format!(
            "CREATE TABLE owners (id TEXT PRIMARY KEY); INSERT INTO owners VALUES ('ann');
             CREATE TABLE items (id INTEGER PRIMARY KEY, tenant_id TEXT, owner TEXT REFERENCES owners(id) {when}, n INTEGER CHECK (n < 10), code TEXT UNIQUE, must TEXT NOT NULL DEFAULT '', version INTEGER);
             INSERT INTO items VALUES (7, 'acme', 'ann', 1, 'a', '', 1), (8, 'acme', 'ann', 1, 'b', '', 1);"
        ));
        for (column, value) in
            [("owner", text("bob")), ("n", Scalar::Int(10)), ("code", text("b")), ("must", Scalar::Null)]
        {
            assert_eq!(shop.released(shop.job("7", &[(column, value)])), Code::SourceRejected, "{column} {when}");
        }
        shop.sql("INSERT INTO owners VALUES ('bob')");
        shop.applies(shop.job("7", &[("owner", text("bob"))]));
    }
}

// ---- the receipts table

#[test]
fn migrating_twice_changes_nothing() {
    let shop = Shop::bare(&format!("{}{}", File::ITEMS, File::COUNTERS));
    let job = shop.job("7", &approve());
    for purpose in [Purpose::Apply, Purpose::DryRun] {
        let Outcome::Released(error) = shop.run(GuardJob { purpose, ..job.clone() }) else { panic!() };
        assert_eq!((error.code(), error.field("source")), (Code::ReceiptTableMissing, Some("app")));
    }
    assert_eq!(shop.effects(), 0);
    shop.migrate();
    let schema = shop.rows("SELECT * FROM sqlite_schema");
    shop.applies(job);
    let receipts = shop.rows("SELECT * FROM synapsor_writeback_receipts");
    assert_eq!(shop.migrate(), Vec::<String>::new());
    assert_eq!(
        (schema, receipts),
        (shop.rows("SELECT * FROM sqlite_schema"), shop.rows("SELECT * FROM synapsor_writeback_receipts"))
    );
}
