//! The whole path of a guard, the same on each engine: claim, lock, compare, write, receipt, and what ends it early.

use signoff::Code;
use signoff::guard::{GuardJob, Outcome, Purpose, ReceiptStatus};
use signoff::primitives::Scalar;
use signoff_tests::Engine;
use signoff_tests::shop::{Shop, Stock, approve, code, decimal, job, moved, name, postgres, sqlite, text};

/// Each of these on each engine.
macro_rules! on_each_stock {
    ($($test:ident),+ $(,)?) => {
        mod in_a_file {
            $(#[test] fn $test() { super::$test::<super::sqlite::File>(); })+
        }
        mod on_a_server {
            $(#[test] fn $test() {
                if super::Engine::Postgres.is_here() {
                    super::$test::<super::postgres::Server>();
                }
            })+
        }
    };
}

on_each_stock!(
    applies_once_and_answers_the_stored_receipt_afterwards,
    a_dry_run_writes_nothing_whatever_it_finds,
    a_tombstone_holds_for_ever,
    a_conflict_holds_for_ever,
    a_key_that_was_used_for_another_change_runs_nothing,
    the_same_key_in_another_tenant_is_another_key,
    another_tenants_row_is_neither_read_nor_written,
    sixteen_at_once_have_one_effect,
    sixteen_different_changes_of_one_version_land_once,
    a_table_of_v1_gets_the_columns_it_lacks_and_keeps_its_rows,
    an_in_progress_row_is_never_run_again,
    a_patch_on_guarded_columns_does_not_begin,
);

fn usual<S: Stock>() -> Shop<S> {
    Shop::counted(S::ITEMS).expect("a server")
}

fn applies_once_and_answers_the_stored_receipt_afterwards<S: Stock>() {
    let shop = usual::<S>();
    let job = shop.job("7", &[("status", text("approved")), ("amount", decimal("12.25"))]);
    shop.applies(job.clone());
    assert_eq!(shop.stock.lines("SELECT status, amount FROM items WHERE id = 7"), ["approved|12.25"]);
    for purpose in
        [Purpose::Apply, Purpose::DryRun, Purpose::Tombstone, Purpose::Conflict("VERSION_CONFLICT".to_owned())]
    {
        let before = shop.everything();
        let Outcome::Stored(receipt) = shop.run(GuardJob { purpose, ..job.clone() }) else { panic!() };
        assert_eq!((receipt.status, receipt.rows_affected), (ReceiptStatus::Applied, 1));
        assert_eq!(receipt.previous_version.as_ref(), Some(&job.expected_version));
        assert_eq!(receipt.new_version, receipt.previous_version);
        assert_eq!(before, shop.everything());
    }
    assert_eq!(shop.effects(), 1);
    // Its neighbours are as they were.
    assert_eq!(shop.stock.lines("SELECT status FROM items WHERE id <> 7"), ["pending", "pending"]);
}

fn a_dry_run_writes_nothing_whatever_it_finds<S: Stock>() {
    let shop = usual::<S>();
    let mut job = shop.job("7", &approve());
    job.purpose = Purpose::DryRun;
    let before = shop.everything();
    assert_eq!(shop.run(job.clone()), Outcome::Rehearsed(None));
    assert_eq!(before, shop.everything());
    shop.sql("UPDATE items SET note = 'x' WHERE id = 7");
    let before = shop.everything();
    assert_eq!(shop.run(job.clone()), Outcome::Rehearsed(Some((Code::RowChanged, Some(name("note"))))));
    shop.sql("DELETE FROM items WHERE id = 7");
    assert_eq!(shop.run(job), Outcome::Rehearsed(Some((Code::RowNotFound, None))));
    assert_eq!(before[1..], shop.everything()[1..]);
}

fn a_tombstone_holds_for_ever<S: Stock>() {
    let shop = usual::<S>();
    let job = shop.job("7", &approve());
    let tombstone = GuardJob { purpose: Purpose::Tombstone, ..job.clone() };
    assert!(matches!(shop.run(tombstone), Outcome::Tombstoned(_)));
    let Outcome::Stored(receipt) = shop.run(job) else { panic!() };
    assert_eq!(receipt.status, ReceiptStatus::Canceled);
    assert_eq!(shop.effects(), 0);
}

fn a_conflict_holds_for_ever<S: Stock>() {
    let shop = usual::<S>();
    let job = shop.job("7", &approve());
    shop.sql(&format!("UPDATE items SET version = version + {} WHERE id = 7", S::MOMENT));
    assert_eq!(shop.conflicts(job.clone()), moved("VERSION_CONFLICT", "version"));
    // The row is as it was again: too late.
    shop.sql(&format!("UPDATE items SET version = version - {} WHERE id = 7", S::MOMENT));
    assert!(shop.value("7", "version").same(&job.expected_version));
    let Outcome::Stored(receipt) = shop.run(job) else { panic!() };
    assert_eq!(receipt.status, ReceiptStatus::Conflict);
    assert_eq!(shop.stock.lines("SELECT status FROM items WHERE id = 7"), ["pending"]);
}

fn a_key_that_was_used_for_another_change_runs_nothing<S: Stock>() {
    let shop = usual::<S>();
    let job = shop.job("7", &approve());
    shop.applies(job.clone());
    let changes: [fn(&mut GuardJob); 6] = [
        |job| _ = job.patch.insert(name("status"), text("denied")),
        |job| job.key_value = Scalar::Int(8),
        |job| job.action = "items.other".to_owned(),
        |job| job.expected_version = Scalar::Int(4),
        |job| job.proposal_hash = format!("sha256:{}", "2".repeat(64)),
        |job| job.allowed_columns.push(name("note")),
    ];
    for change in changes {
        let mut other = job.clone();
        change(&mut other);
        assert_eq!(shop.released(other), Code::IdempotencyKeyReused);
    }
}

fn the_same_key_in_another_tenant_is_another_key<S: Stock>() {
    let shop = usual::<S>();
    shop.applies(shop.job("7", &approve()));
    let row = shop.read_in("globex", "9", &approve()).unwrap().unwrap();
    let mut other = job::<S>("globex", &row);
    other.idempotency_key = "wrp_1:7".to_owned();
    shop.applies(other);
}

fn another_tenants_row_is_neither_read_nor_written<S: Stock>() {
    let shop = usual::<S>();
    assert!(shop.read("9", &[]).unwrap().is_none());
    let row = shop.read_in("globex", "9", &approve()).unwrap().unwrap();
    assert_eq!(shop.conflicts(job::<S>("acme", &row)), ("ROW_NOT_FOUND".to_owned(), None));
    // A row that moves to another tenant after the proposal.
    let job = shop.job("7", &approve());
    shop.sql("UPDATE items SET tenant_id = 'globex' WHERE id = 7");
    assert_eq!(shop.conflicts(job), ("ROW_NOT_FOUND".to_owned(), None));
}

fn sixteen_at_once_have_one_effect<S: Stock>() {
    let shop = usual::<S>();
    let job = shop.job("7", &approve());
    let outcomes = shop.run_together(vec![job; 16]);
    let applied = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Applied(_))).count();
    let stored = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Outcome::Stored(receipt) if receipt.status == ReceiptStatus::Applied))
        .count();
    assert_eq!((applied, stored, shop.effects()), (1, 15, 1), "{outcomes:?}");
}

fn sixteen_different_changes_of_one_version_land_once<S: Stock>() {
    let shop = usual::<S>();
    shop.sql(S::BUMP);
    let propose = |n| GuardJob {
        job_id: format!("wbj_{n}"),
        ..shop.keyed(&format!("wrp_{n}:7"), "7", &[("status", text(&format!("by {n}")))])
    };
    let first = propose(0).expected_version;
    let outcomes = shop.run_together((0..16).map(propose).collect());
    let applied = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Applied(_))).count();
    let conflicts = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Conflict(_))).count();
    assert_eq!((applied, conflicts), (1, 15), "{outcomes:?}");
    assert!(!shop.value("7", "version").same(&first));
}

fn a_table_of_v1_gets_the_columns_it_lacks_and_keeps_its_rows<S: Stock>() {
    let instant = S::INSTANT;
    let shop = Shop::<S>::filled(&format!(
        "{}{}
         CREATE TABLE synapsor_writeback_receipts (idempotency_key text PRIMARY KEY, job_id text NOT NULL UNIQUE, proposal_id text NOT NULL, status text NOT NULL, result_hash text, created_at {instant} NOT NULL DEFAULT CURRENT_TIMESTAMP, completed_at {instant});
         INSERT INTO synapsor_writeback_receipts VALUES ('wrp_1:7', 'old_1', 'wrp_1', 'applied', 'h', '2026-01-01', '2026-01-01'), ('wrp_1:8', 'old_2', 'wrp_other', 'applied', 'h', '2026-01-01', '2026-01-01');",
        S::ITEMS,
        S::COUNTERS,
    ))
    .expect("a server");
    let same = shop.job("7", &approve());
    let Outcome::Released(error) = shop.run(same.clone()) else { panic!() };
    assert_eq!(error.code(), Code::ReceiptTableOutdated);
    assert!(!error.message().contains('?') && !error.help().unwrap().contains('?'), "{error} {:?}", error.help());
    let rows = || {
        shop.stock.lines("SELECT idempotency_key, job_id, proposal_id, status, result_hash, created_at, completed_at FROM synapsor_writeback_receipts")
    };
    let old = rows();
    let statements = shop.migrate();
    assert_eq!(statements.len(), 3, "{statements:?}");
    assert!(statements.iter().all(|sql| sql.starts_with("ALTER TABLE") && sql.to_lowercase().ends_with(" text")));
    assert_eq!(shop.migrate(), Vec::<String>::new());
    assert_eq!(old, rows());
    // A row from before fingerprints counts for its own proposal and for no other.
    let Outcome::Stored(receipt) = shop.run(same.clone()) else { panic!() };
    assert_eq!(receipt.status, ReceiptStatus::Applied);
    assert_eq!(shop.released(shop.job("8", &approve())), Code::IdempotencyKeyReused);
    assert_eq!(shop.effects(), 0);
    let mut fresh = same;
    fresh.idempotency_key = "wrp_2:7".to_owned();
    shop.applies(fresh.clone());
    // The old primary key does not know tenants: the key of another one is taken, and its receipt is not shown.
    let row = shop.read_in("globex", "9", &approve()).unwrap().unwrap();
    let mut other = job::<S>("globex", &row);
    (other.idempotency_key, other.job_id) = (fresh.idempotency_key, "wbj_2".to_owned());
    assert_eq!(shop.released(other), Code::IdempotencyKeyReused);
}

fn an_in_progress_row_is_never_run_again<S: Stock>() {
    let shop = usual::<S>();
    let job = shop.job("7", &approve());
    let fingerprint = job.fingerprint().unwrap();
    shop.sql(&format!(
        "INSERT INTO synapsor_writeback_receipts (tenant_id, idempotency_key, job_id, proposal_id, status, fingerprint, created_at) VALUES ('acme', 'wrp_1:7', 'wbj_1', 'wrp_1', 'in_progress', '{fingerprint}', '2026-01-01')"
    ));
    assert_eq!(shop.released(job), Code::HandlerTransactionBroken);
}

fn a_patch_on_guarded_columns_does_not_begin<S: Stock>() {
    let shop = usual::<S>();
    let job = shop.job("7", &approve());
    for column in ["id", "tenant_id", "version", "note"] {
        let mut other = job.clone();
        other.patch.insert(name(column), Scalar::Null);
        if column != "note" {
            other.allowed_columns.push(name(column));
        }
        let before = shop.everything();
        assert_eq!(code(shop.try_run(other)), Code::PatchColumnNotAllowed);
        assert_eq!(before, shop.everything());
    }
}
