//! Exactness: what SQLite shows, rounds, stores in another class and calls equal.

use std::collections::BTreeMap;

use signoff::Code;
use signoff::guard::{Outcome, row_hash};
use signoff::primitives::Scalar;
use signoff_tests::shop::sqlite::{Shop, job};
use signoff_tests::shop::{approve, code, decimal, moved, text};

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
