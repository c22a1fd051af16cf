//! The guard on real SQLite files: what the engine does to values, what triggers do to writes, and many at once.

mod guard_support;

use std::collections::BTreeMap;

use guard_support::{COUNTERS, ITEMS, Shop, decimal, job, name, open, receipts, text};
use signoff::Code;
use signoff::database::Database;
use signoff::guard::{GuardJob, Outcome, Purpose, ReceiptStatus, row_hash};
use signoff::primitives::Scalar;

fn code<T: std::fmt::Debug>(result: signoff::Result<T>) -> Code {
    result.unwrap_err().code()
}

fn approve() -> [(&'static str, Scalar); 1] {
    [("status", text("approved"))]
}

fn moved(code: &str, column: &str) -> (String, Option<String>) {
    (code.to_owned(), Some(column.to_owned()))
}

// ---- the whole path

#[test]
fn applies_once_and_answers_the_stored_receipt_afterwards() {
    let shop = Shop::usual();
    let job = shop.job("7", &[("status", text("approved")), ("amount", decimal("12.25"))]);
    shop.applies(job.clone());
    assert_eq!(shop.rows("SELECT status, amount FROM items WHERE id = 7"), [["Text(\"approved\")", "Real(12.25)"]]);
    for purpose in
        [Purpose::Apply, Purpose::DryRun, Purpose::Tombstone, Purpose::Conflict("VERSION_CONFLICT".to_owned())]
    {
        let before = shop.everything();
        let Outcome::Stored(receipt) = shop.run(GuardJob { purpose, ..job.clone() }) else { panic!() };
        assert_eq!((receipt.status, receipt.rows_affected), (ReceiptStatus::Applied, 1));
        assert_eq!((receipt.previous_version, receipt.new_version), (Some(Scalar::Int(3)), Some(Scalar::Int(3))));
        assert_eq!(before, shop.everything());
    }
    assert_eq!(shop.effects(), 1);
    // Its neighbours are as they were.
    assert_eq!(shop.rows("SELECT status FROM items WHERE id <> 7"), [["Text(\"pending\")"], ["Text(\"pending\")"]]);
}

#[test]
fn a_dry_run_writes_nothing_whatever_it_finds() {
    let shop = Shop::usual();
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

#[test]
fn a_tombstone_holds_for_ever() {
    let shop = Shop::usual();
    let job = shop.job("7", &approve());
    let tombstone = GuardJob { purpose: Purpose::Tombstone, ..job.clone() };
    assert!(matches!(shop.run(tombstone), Outcome::Tombstoned(_)));
    let Outcome::Stored(receipt) = shop.run(job) else { panic!() };
    assert_eq!(receipt.status, ReceiptStatus::Canceled);
    assert_eq!(shop.effects(), 0);
}

#[test]
fn a_conflict_holds_for_ever() {
    let shop = Shop::usual();
    let job = shop.job("7", &approve());
    shop.sql("UPDATE items SET version = 4 WHERE id = 7");
    assert_eq!(shop.conflicts(job.clone()), moved("VERSION_CONFLICT", "version"));
    // The row is as it was again: too late.
    shop.sql("UPDATE items SET version = 3 WHERE id = 7");
    let Outcome::Stored(receipt) = shop.run(job) else { panic!() };
    assert_eq!(receipt.status, ReceiptStatus::Conflict);
    assert_eq!(shop.one("SELECT status FROM items WHERE id = 7"), "Text(\"pending\")");
}

#[test]
fn a_key_that_was_used_for_another_change_runs_nothing() {
    let shop = Shop::usual();
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

#[test]
fn the_same_key_in_another_tenant_is_another_key() {
    let shop = Shop::usual();
    shop.applies(shop.job("7", &approve()));
    let row = shop.read_in("globex", "9", &approve()).unwrap().unwrap();
    let mut other = job("globex", &row);
    other.idempotency_key = "wrp_1:7".to_owned();
    shop.applies(other);
}

#[test]
fn another_tenants_row_is_neither_read_nor_written() {
    let shop = Shop::usual();
    assert!(shop.read("9", &[]).unwrap().is_none());
    let row = shop.read_in("globex", "9", &approve()).unwrap().unwrap();
    assert_eq!(shop.conflicts(job("acme", &row)), ("ROW_NOT_FOUND".to_owned(), None));
    // A row that moves to another tenant after the proposal.
    let job = shop.job("7", &approve());
    shop.sql("UPDATE items SET tenant_id = 'globex' WHERE id = 7");
    assert_eq!(shop.conflicts(job), ("ROW_NOT_FOUND".to_owned(), None));
}

#[test]
fn sixteen_at_once_have_one_effect() {
    let shop = Shop::usual();
    let job = shop.job("7", &approve());
    let running: Vec<_> = (0..16)
        .map(|_| {
            let (database, job) = (shop.database.clone(), job.clone());
            shop.spawn(async move { database.run(job, None).await.unwrap() })
        })
        .collect();
    let outcomes: Vec<Outcome> = running.into_iter().map(|task| shop.wait(task).unwrap()).collect();
    let applied = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Applied(_))).count();
    let stored = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Outcome::Stored(receipt) if receipt.status == ReceiptStatus::Applied))
        .count();
    assert_eq!((applied, stored, shop.effects()), (1, 15, 1), "{outcomes:?}");
}

#[test]
fn sixteen_different_changes_of_one_version_land_once() {
    let shop = Shop::usual();
    shop.sql("CREATE TRIGGER bump AFTER UPDATE OF status ON items BEGIN UPDATE items SET version = OLD.version + 1 WHERE id = OLD.id; END");
    let propose = |n| {
        let mut job = shop.job("7", &[("status", text(&format!("by {n}")))]);
        job.idempotency_key = format!("wrp_{n}:7");
        job
    };
    let jobs: Vec<_> = (0..16).map(propose).collect();
    let running: Vec<_> = jobs
        .into_iter()
        .map(|job| {
            let database = shop.database.clone();
            shop.spawn(async move { database.run(job, None).await.unwrap() })
        })
        .collect();
    let outcomes: Vec<Outcome> = running.into_iter().map(|task| shop.wait(task).unwrap()).collect();
    let applied = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Applied(_))).count();
    let conflicts = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Conflict(_))).count();
    assert_eq!((applied, conflicts), (1, 15), "{outcomes:?}");
    assert_eq!(shop.one("SELECT version FROM items WHERE id = 7"), "Integer(4)");
}

// ---- exactness

#[test]
fn two_to_the_53_plus_one_is_not_two_to_the_53() {
    let shop = Shop::new(
        "CREATE TABLE items (id INTEGER PRIMARY KEY, tenant_id TEXT, status TEXT, count INTEGER, version INTEGER);
         INSERT INTO items VALUES (9007199254740992, 'acme', 'a', 1, 1), (9007199254740993, 'acme', 'b', 9007199254740993, 9007199254740993);",
    );
    let key = "9007199254740993";
    // As version.
    let first = shop.job(key, &approve());
    shop.sql("UPDATE items SET version = 9007199254740992 WHERE id = 9007199254740993");
    assert_eq!(shop.conflicts(first), moved("VERSION_CONFLICT", "version"));
    // As a value of before.
    let mut second = shop.job(key, &approve());
    second.idempotency_key = "second".to_owned();
    shop.sql("UPDATE items SET count = 9007199254740992 WHERE id = 9007199254740993");
    assert_eq!(shop.conflicts(second), moved("ROW_CHANGED_AFTER_PROPOSAL", "count"));
    // As key, and as the value written.
    let mut third = shop.job(key, &[("status", text("c")), ("count", Scalar::Int(9_007_199_254_740_995))]);
    third.idempotency_key = "third".to_owned();
    shop.applies(third);
    assert_eq!(
        shop.rows("SELECT status, count FROM items ORDER BY id"),
        [["Text(\"a\")", "Integer(1)"], ["Text(\"c\")", "Integer(9007199254740995)"]]
    );
    // The ends of the range.
    shop.sql("INSERT INTO items VALUES (9223372036854775807, 'acme', 'x', -9223372036854775808, -9223372036854775808)");
    shop.applies(shop.job("9223372036854775807", &[("count", Scalar::Int(i64::MAX))]));
}

#[test]
fn a_collation_makes_nothing_equal() {
    for (collation, other) in [("NOCASE", "ABC"), ("RTRIM", "abc ")] {
        let items = format!(
            "CREATE TABLE items (id TEXT COLLATE {collation} PRIMARY KEY, tenant_id TEXT COLLATE {collation}, status TEXT COLLATE {collation}, version TEXT COLLATE {collation});
             INSERT INTO items VALUES ('abc', 'acme', 'abc', 'abc');"
        );
        // The read: the engine finds the row, its bytes are others.
        let shop = Shop::new(&items);
        assert!(shop.read(other, &[]).unwrap().is_none());
        for tenant in ["ACME", "acme "] {
            assert!(shop.read_in(tenant, "abc", &[]).unwrap().is_none());
        }
        assert!(shop.read("abc", &[]).unwrap().is_some());
        // The guard: the row changes after the proposal, to what the collation calls the same.
        let job = shop.job("abc", &approve());
        shop.sql(&format!("UPDATE items SET id = '{other}'"));
        assert_eq!(shop.released(job), Code::TenantGuardMismatch);

        let shop = Shop::new(&items);
        let job = shop.job("abc", &approve());
        shop.sql(&format!("UPDATE items SET tenant_id = '{}'", if collation == "NOCASE" { "Acme" } else { "acme  " }));
        assert_eq!(shop.released(job), Code::TenantGuardMismatch);

        let shop = Shop::new(&items);
        let job = shop.job("abc", &approve());
        shop.sql(&format!("UPDATE items SET version = '{other}'"));
        assert_eq!(shop.conflicts(job), moved("VERSION_CONFLICT", "version"));

        let shop = Shop::new(&items);
        let job = shop.job("abc", &approve());
        shop.sql(&format!("UPDATE items SET status = '{other}'"));
        assert_eq!(shop.conflicts(job), moved("ROW_CHANGED_AFTER_PROPOSAL", "status"));
    }
}

#[test]
fn only_the_keys_own_text_finds_it() {
    let shop = Shop::usual();
    for key in ["7abc", "07", " 7", "7 ", "+7", "7.0", "7e0", "0x7", "", "\u{0}7", "7\u{0}", "٧"] {
        assert!(shop.read(key, &[]).unwrap().is_none(), "{key:?}");
    }
    assert!(shop.read("7", &[]).unwrap().is_some());
}

#[test]
fn a_text_that_looks_like_a_number_stays_text() {
    let shop = Shop::new(
        "CREATE TABLE items (id TEXT PRIMARY KEY, tenant_id TEXT, status TEXT, version TEXT);
         INSERT INTO items VALUES ('007', '1', '1.10', '10'), ('7', '1', 'x', '10');",
    );
    let row = shop.read_in("1", "007", &[("status", text("1.1"))]).unwrap().unwrap();
    shop.applies(job("1", &row));
    assert_eq!(shop.rows("SELECT status FROM items ORDER BY id"), [["Text(\"1.1\")"], ["Text(\"x\")"]]);
}

/// Numbers from a fixed seed: enough to meet the hard ones, the same every time.
fn numbers(count: usize) -> impl Iterator<Item = u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..count).map(move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    })
}

#[test]
fn real_numbers_are_read_as_the_very_double_that_is_stored() {
    let shop = Shop::usual();
    let connection = shop.connection();
    let special = [
        0.1,
        0.3,
        1.0 / 3.0,
        5e-324,
        f64::MIN_POSITIVE,
        f64::MAX,
        -f64::MAX,
        1e22,
        1e23,
        9_007_199_254_740_993.0,
        123_456_789.123_456_78,
        f64::EPSILON,
    ];
    let random = numbers(1_000).map(f64::from_bits).filter(|value| value.is_finite());
    let money = numbers(500).map(|bits| (bits % 100_000_000) as f64 / 100.0);
    let mut wrong = Vec::new();
    for value in special.into_iter().chain(random).chain(money) {
        connection.execute("UPDATE items SET amount = ?1 WHERE id = 7", [value]).unwrap();
        let row = shop.read("7", &[]).unwrap().unwrap();
        let shown = row.values.get("amount").unwrap().to_text().unwrap();
        if shown.parse::<f64>().unwrap().to_bits() != value.to_bits() {
            wrong.push(format!("{value:?} is read as {shown}"));
        }
    }
    assert!(wrong.is_empty(), "{}: {:?}", wrong.len(), &wrong[..wrong.len().min(5)]);
    connection.execute("UPDATE items SET amount = ?1 WHERE id = 7", [f64::INFINITY]).unwrap();
    assert_eq!(shop.read("7", &[]).unwrap().unwrap().values.get("amount"), Some(&decimal("Infinity")));
}

#[test]
fn neighbouring_doubles_are_different_values() {
    let shop = Shop::usual();
    let connection = shop.connection();
    for (n, value) in [0.1_f64, 10.5, 1e15, 1e300, 5e-324].into_iter().enumerate() {
        connection.execute("UPDATE items SET amount = ?1 WHERE id = 7", [value]).unwrap();
        let mut job = shop.job("7", &[("note", text(&n.to_string()))]);
        job.idempotency_key = format!("neighbour:{n}");
        connection.execute("UPDATE items SET amount = ?1 WHERE id = 7", [f64::from_bits(value.to_bits() + 1)]).unwrap();
        assert_eq!(shop.conflicts(job), moved("ROW_CHANGED_AFTER_PROPOSAL", "amount"), "{value:?}");
    }
}

/// What a proposal is told a column would hold is what it holds after the write, for every type and any value.
#[test]
fn what_was_shown_is_what_lands() {
    let shop = Shop::new(
        "CREATE TABLE items (id INTEGER PRIMARY KEY, tenant_id TEXT, i INTEGER, t TEXT, r REAL, n NUMERIC, d DECIMAL(10,2), b BOOLEAN, version INTEGER);
         INSERT INTO items (id, tenant_id, version) VALUES (7, 'acme', 1);",
    );
    let mut values: Vec<Scalar> = vec![
        Scalar::Null,
        Scalar::Bool(true),
        Scalar::Bool(false),
        Scalar::Int(0),
        Scalar::Int(-1),
        Scalar::Int(i64::MAX),
        Scalar::Int(i64::MIN),
        Scalar::UInt(u64::MAX),
    ];
    for number in [
        "0.0",
        "-0.0",
        "-0",
        "1.0",
        "10.50",
        "1000.00",
        "1e3",
        "1E3",
        "1e-3",
        "1e15",
        "1e16",
        "1e300",
        "0.1",
        "0.30000000000000004",
        "123456789012345.67",
        "9007199254740991",
        "9007199254740992",
        "9007199254740993",
        "1e400",
        "4.35",
        "-2.5",
        "5e-324",
        "2.2250738585072014e-308",
    ] {
        values.extend([decimal(number), text(number)]);
    }
    for word in [
        "", " ", "abc", "7abc", " 7", "7 ", "+7", "07", "0x10", "NULL", "true", "nan", "inf", "Infinity", "1_000",
        "\\x41", "é", "e\u{301}", "a'b\"c", "?1", "\u{feff}", "1.", ".5", "1e", "a\u{0}b",
    ] {
        values.push(text(word));
    }
    values.extend(numbers(60).map(|bits| decimal(&format!("{:?}", (bits % 10_000_000_000) as f64 / 1000.0))));
    values.extend(
        numbers(60).map(f64::from_bits).filter(|v| v.is_finite() && v.abs() < 1e15).map(|v| decimal(&format!("{v:?}"))),
    );
    let mut wrong = Vec::new();
    let mut landed = BTreeMap::new();
    for (n, value) in values.iter().enumerate() {
        for column in ["i", "t", "r", "n", "d", "b"] {
            shop.sql(&format!("UPDATE items SET {column} = NULL"));
            let patch = [(column, value.clone())];
            let row = match shop.read("7", &patch) {
                Ok(row) => row.unwrap(),
                Err(error) => {
                    assert_eq!(error.code(), Code::ValueNotRepresentable, "{column} {value:?}");
                    continue;
                }
            };
            let normal = row.normal.get(column).unwrap().clone();
            let mut job = job("acme", &row);
            job.idempotency_key = format!("{column}:{n}");
            match shop.run(job) {
                Outcome::Applied(_) => {
                    let after = shop.read("7", &[]).unwrap().unwrap();
                    let (now, class) = (after.values.get(column).unwrap(), after.classes.get(column).unwrap());
                    assert!(
                        now.same(&normal.value) && *class == normal.class,
                        "{column} {value:?}: {normal:?}, then {class} {now:?}"
                    );
                    *landed.entry(column).or_insert(0) += 1;
                }
                other => wrong.push(format!("{column} {value:?} as {normal:?}: {other:?}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
    assert!(landed.len() == 6 && landed.values().all(|count| *count > 10), "{landed:?}");
}

#[test]
fn null_is_a_value_of_its_own() {
    let shop = Shop::usual();
    let job = shop.job("7", &[("note", text("x"))]);
    shop.sql("UPDATE items SET note = '' WHERE id = 7");
    assert_eq!(shop.conflicts(job), moved("ROW_CHANGED_AFTER_PROPOSAL", "note"));
    shop.sql("UPDATE items SET note = NULL WHERE id = 7");
    let mut job = shop.job("7", &[("note", text("")), ("status", Scalar::Null)]);
    job.idempotency_key = "second".to_owned();
    shop.applies(job);
    assert_eq!(shop.rows("SELECT note, status FROM items WHERE id = 7"), [["Text(\"\")", "Null"]]);
    // A NULL version proves nothing.
    let job = shop.job("8", &approve());
    shop.sql("UPDATE items SET version = NULL WHERE id = 8");
    assert_eq!(shop.conflicts(job), moved("VERSION_CONFLICT", "version"));
    let mut job = shop.job("8", &approve());
    job.idempotency_key = "third".to_owned();
    assert_eq!(shop.conflicts(job), moved("VERSION_CONFLICT", "version"));
}

#[test]
fn a_blob_is_compared_byte_by_byte_and_is_no_text() {
    let shop = Shop::new(
        "CREATE TABLE items (id INTEGER PRIMARY KEY, tenant_id TEXT, status TEXT, data BLOB, version INTEGER);
         INSERT INTO items VALUES (7, 'acme', 'a', x'00ff41', 1), (8, 'acme', 'a', x'00ff41', 1), (9, 'acme', 'a', x'', 1);",
    );
    assert_eq!(shop.read("7", &[]).unwrap().unwrap().values.get("data"), Some(&text("\\x00ff41")));
    shop.applies(shop.job("7", &approve()));
    shop.applies(shop.job("9", &approve()));
    let job = shop.job("8", &approve());
    shop.sql("UPDATE items SET data = '\\x00ff41' WHERE id = 8");
    assert_eq!(shop.conflicts(job), moved("ROW_CHANGED_AFTER_PROPOSAL", "data"));
    assert_eq!(code(shop.read("8", &[("data", text("x"))])), Code::ColumnTypeMixed);
}

#[test]
fn the_same_text_in_another_class_is_another_value() {
    // A column without a type keeps what it is given.
    let shop = Shop::new(
        "CREATE TABLE items (id INTEGER PRIMARY KEY, tenant_id TEXT, status TEXT, any, version);
         INSERT INTO items VALUES (7, 'acme', 'a', 1, 5), (8, 'acme', 'a', 1, '9007199254740993');",
    );
    let job = shop.job("7", &approve());
    shop.sql("UPDATE items SET any = '1' WHERE id = 7");
    assert_eq!(shop.conflicts(job), moved("ROW_CHANGED_AFTER_PROPOSAL", "any"));
    let job = shop.job("8", &approve());
    shop.sql("UPDATE items SET version = 9007199254740993 WHERE id = 8");
    assert_eq!(shop.conflicts(job), moved("ROW_CHANGED_AFTER_PROPOSAL", "version"));
}

#[test]
fn text_that_is_no_utf8_is_said_and_not_guessed() {
    let shop = Shop::usual();
    shop.sql("UPDATE items SET note = CAST(x'ff41' AS TEXT) WHERE id = 7");
    let error = shop.read("7", &[]).unwrap_err();
    assert_eq!((error.code(), error.field("column")), (Code::ValueNotReadable, Some("note")));
    // After the proposal: nothing is written.
    let job = shop.job("8", &approve());
    shop.sql("UPDATE items SET note = CAST(x'ff41' AS TEXT) WHERE id = 8");
    assert_eq!(shop.released(job), Code::ValueNotReadable);
}

#[test]
fn a_text_with_a_nul_inside_is_whole() {
    let shop = Shop::usual();
    shop.sql("UPDATE items SET note = 'a' || char(0) || 'b' WHERE id = 7");
    let job = shop.job("7", &approve());
    assert_eq!(job.before.get("note"), Some(&text("a\u{0}b")));
    shop.sql("UPDATE items SET note = 'a' || char(0) || 'c' WHERE id = 7");
    assert_eq!(shop.conflicts(job), moved("ROW_CHANGED_AFTER_PROPOSAL", "note"));
}

#[test]
fn the_row_hash_guards_a_table_without_version() {
    let shop = Shop::usual();
    let hashed = |key: &str| {
        let mut job = shop.job(key, &approve());
        job.version_column = None;
        job.expected_version = text(&row_hash(&job.before).unwrap());
        job
    };
    shop.applies(hashed("7"));
    let job = hashed("8");
    shop.sql("UPDATE items SET amount = 1.0000000000000002 WHERE id = 8");
    assert_eq!(shop.conflicts(job), moved("ROW_CHANGED_AFTER_PROPOSAL", "amount"));
}

// ---- tables

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
        let shop = Shop::bare(&format!("{ITEMS}CREATE TABLE effects (id); CREATE TABLE executions (id);"));
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

// ---- the file

#[test]
fn a_file_that_is_not_there_is_never_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("absent.db");
    let path = path.to_str().unwrap();
    for prefix in ["", "sqlite:", "file:", "sqlite://", "file://"] {
        assert_eq!(code(open(&format!("{prefix}{path}"))), Code::SourceUnavailable);
    }
    for address in [
        "",
        "sqlite:",
        ":memory:",
        "file::memory:",
        "postgres://h/db",
        "http://x",
        &format!("file:{path}?mode=rwc"),
        "a\0b",
    ] {
        assert_eq!(code(open(address)), Code::SourceUrlInvalid, "{address:?}");
    }
    assert_eq!(code(open(directory.path().to_str().unwrap())), Code::SourceUnavailable);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    // It goes after it was opened: neither reading nor writing nor migrating makes it anew.
    let shop = Shop::usual();
    let job = shop.job("7", &approve());
    let kept = shop.path.with_extension("kept");
    std::fs::rename(&shop.path, &kept).unwrap();
    assert_eq!(code(shop.try_run(job)), Code::SourceUnavailable);
    assert_eq!(code(shop.wait(shop.database.migrate_receipts(receipts()))), Code::SourceUnavailable);
    assert!(!shop.path.exists());
}

#[test]
fn every_form_of_the_address_opens_the_file() {
    let shop = Shop::usual();
    let path = shop.path.to_str().unwrap();
    for prefix in ["", "sqlite:", "file:", "sqlite://", "file://"] {
        let database = open(&format!("{prefix}{path}")).unwrap();
        assert!(matches!(
            shop.wait(database.run(shop.job("7", &approve()), None)),
            Ok(Outcome::Applied(_) | Outcome::Stored(_))
        ));
    }
    assert_eq!(shop.effects(), 1);
}

#[test]
fn a_file_that_is_no_database_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    std::fs::write(&path, "dear diary\n".repeat(100)).unwrap();
    let shop = Shop::usual();
    let job = shop.job("7", &approve());
    let database = open(path.to_str().unwrap()).unwrap();
    assert!(matches!(shop.wait(database.run(job, None)), Ok(Outcome::Released(_)) | Err(_)));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "dear diary\n".repeat(100));
}

/// Marks the file as written by a newer format, which SQLite then only reads. Permissions would not stop root.
fn make_read_only(shop: &Shop) {
    let mut bytes = std::fs::read(&shop.path).unwrap();
    bytes[18] = 3;
    std::fs::write(&shop.path, bytes).unwrap();
}

#[test]
fn a_read_only_file_is_read_and_not_written() {
    let shop = Shop::usual();
    let job = shop.job("7", &approve());
    make_read_only(&shop);
    let bytes = std::fs::read(&shop.path).unwrap();
    assert!(shop.read("7", &approve()).unwrap().is_some());
    assert_eq!(shop.released(job), Code::SourceReadOnly);
    assert_eq!(bytes, std::fs::read(&shop.path).unwrap());
    let bare = Shop::bare(ITEMS);
    make_read_only(&bare);
    assert_eq!(code(bare.wait(bare.database.migrate_receipts(receipts()))), Code::SourceReadOnly);
}

#[test]
fn a_writer_that_does_not_end_is_busy_and_reading_goes_on() {
    let shop = Shop::usual();
    let job = shop.job("7", &approve());
    let database = signoff::database::SqliteDatabase::open(
        "app",
        "APP_DATABASE",
        &signoff::primitives::Secret::new(shop.path.to_str().unwrap().to_owned()),
        Some(std::time::Duration::from_millis(50)),
    )
    .unwrap();
    let writer = shop.connection();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let Ok(Outcome::Released(error)) = shop.wait(database.run(job.clone(), None)) else { panic!() };
    assert_eq!((error.code(), error.retryable(), error.field("source")), (Code::SourceBusy, true, Some("app")));
    assert!(shop.read("7", &[]).unwrap().is_some());
    writer.execute_batch("ROLLBACK").unwrap();
    shop.applies(job);
}

#[test]
fn a_reader_that_does_not_end_makes_commit_busy_and_nothing_lands() {
    let shop = Shop::usual();
    let job = shop.job("7", &approve());
    let database = signoff::database::SqliteDatabase::open(
        "app",
        "APP_DATABASE",
        &signoff::primitives::Secret::new(shop.path.to_str().unwrap().to_owned()),
        Some(std::time::Duration::from_millis(50)),
    )
    .unwrap();
    let reader = shop.connection();
    reader.execute_batch("BEGIN; SELECT * FROM items").unwrap();
    let Ok(Outcome::Released(error)) = shop.wait(database.run(job.clone(), None)) else { panic!() };
    assert_eq!(error.code(), Code::SourceBusy);
    reader.execute_batch("ROLLBACK").unwrap();
    assert_eq!(shop.effects(), 0);
    shop.applies(job);
}

#[test]
fn write_ahead_logging_changes_nothing() {
    let shop = Shop::usual();
    shop.rows("PRAGMA journal_mode = WAL");
    let reader = shop.connection();
    reader.execute_batch("BEGIN; SELECT * FROM items").unwrap();
    let job = shop.job("7", &approve());
    shop.applies(job.clone());
    assert!(matches!(shop.run(job), Outcome::Stored(_)));
}

// ---- the receipts table

#[test]
fn migrating_twice_changes_nothing() {
    let shop = Shop::bare(&format!("{ITEMS}{COUNTERS}"));
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

#[test]
fn a_table_of_v1_gets_the_columns_it_lacks_and_keeps_its_rows() {
    let shop = Shop::bare(&format!(
        "{ITEMS}{COUNTERS}
         CREATE TABLE synapsor_writeback_receipts (idempotency_key text PRIMARY KEY, job_id text NOT NULL UNIQUE, proposal_id text NOT NULL, status text NOT NULL, result_hash text, created_at text NOT NULL DEFAULT CURRENT_TIMESTAMP, completed_at text);
         INSERT INTO synapsor_writeback_receipts VALUES ('wrp_1:7', 'old_1', 'wrp_1', 'applied', 'h', '2026-01-01', '2026-01-01'), ('wrp_1:8', 'old_2', 'wrp_other', 'applied', 'h', '2026-01-01', '2026-01-01');"
    ));
    let same = shop.job("7", &approve());
    let Outcome::Released(error) = shop.run(same.clone()) else { panic!() };
    assert_eq!(error.code(), Code::ReceiptTableOutdated);
    assert!(!error.message().contains('?') && !error.help().unwrap().contains('?'), "{error} {:?}", error.help());
    let old = shop.rows("SELECT idempotency_key, job_id, proposal_id, status, result_hash, created_at, completed_at FROM synapsor_writeback_receipts");
    let statements = shop.migrate();
    assert_eq!(statements.len(), 3, "{statements:?}");
    assert!(statements.iter().all(|sql| sql.starts_with("ALTER TABLE") && sql.ends_with("TEXT")));
    assert_eq!(shop.migrate(), Vec::<String>::new());
    assert_eq!(old, shop.rows("SELECT idempotency_key, job_id, proposal_id, status, result_hash, created_at, completed_at FROM synapsor_writeback_receipts"));
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
    let mut other = job("globex", &row);
    (other.idempotency_key, other.job_id) = (fresh.idempotency_key, "wbj_2".to_owned());
    assert_eq!(shop.released(other), Code::IdempotencyKeyReused);
}

#[test]
fn an_in_progress_row_is_never_run_again() {
    let shop = Shop::usual();
    let job = shop.job("7", &approve());
    let fingerprint = job.fingerprint().unwrap();
    shop.sql(&format!(
        "INSERT INTO synapsor_writeback_receipts (tenant_id, idempotency_key, job_id, proposal_id, status, fingerprint, created_at) VALUES ('acme', 'wrp_1:7', 'wbj_1', 'wrp_1', 'in_progress', '{fingerprint}', 'x')"
    ));
    assert_eq!(shop.released(job), Code::HandlerTransactionBroken);
}

#[test]
fn a_patch_on_guarded_columns_does_not_begin() {
    let shop = Shop::usual();
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
