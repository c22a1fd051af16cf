//! Exactness: what the types of Postgres show, round, pad and call equal.

use signoff::Code;
use signoff::guard::GuardJob;
use signoff::primitives::Scalar;

use signoff_tests::shop::postgres::{Shop, job};
use signoff_tests::shop::{approve, code, decimal, moved, text};

#[test]
fn a_version_is_compared_to_the_microsecond() {
    let shop = shop!(Shop::usual());
    assert_eq!(shop.value("7", "version"), text("2026-06-20T14:31:08.0003+00:00"));
    let job = shop.job("7", &approve());
    shop.sql("UPDATE items SET version = version + interval '300 microseconds' WHERE id = 7");
    assert_eq!(shop.conflicts(job), moved("VERSION_CONFLICT", "version"));
    shop.applies(shop.keyed("second", "7", &approve()));
    // The same instant as v1 writes it.
    let mut job = shop.keyed("third", "8", &approve());
    job.expected_version = text("2026-06-20T20:01:08.000+05:30");
    shop.applies(job);
}

#[test]
fn a_timestamp_without_zone_is_nobodys_local_time() {
    let shop = shop!(Shop::new(
        "CREATE TABLE items (id uuid PRIMARY KEY, tenant_id text, status text, local timestamp, day date, version timestamp);
         INSERT INTO items VALUES ('00000000-0000-0000-0000-00000000000a', 'acme', 'x', '2026-06-20 23:59:59.999999', '2026-06-20', '2026-06-20 14:31:08.000001');"
    ));
    shop.sql(&format!("ALTER DATABASE {} SET DateStyle = 'SQL, DMY'", shop.name()));
    let key = "00000000-0000-0000-0000-00000000000a";
    assert_eq!(shop.value(key, "version"), text("2026-06-20T14:31:08.000001"));
    assert_eq!(
        (shop.value(key, "local"), shop.value(key, "day")),
        (text("2026-06-20T23:59:59.999999"), text("2026-06-20"))
    );
    shop.applies(shop.job(key, &[("local", text("2026-01-02T03:04:05.000006")), ("day", text("2026-01-02"))]));
    assert_eq!(
        shop.one("SELECT to_char(local, 'YYYY-MM-DD HH24:MI:SS.US'), to_char(day, 'YYYY-MM-DD') FROM items"),
        "2026-01-02 03:04:05.000006|2026-01-02"
    );
    let job = shop.keyed("second", key, &approve());
    shop.sql("UPDATE items SET version = version + interval '1 microsecond'");
    assert_eq!(shop.conflicts(job), moved("VERSION_CONFLICT", "version"));
}

#[test]
fn the_ends_of_time_are_values() {
    let shop = shop!(Shop::usual());
    for (n, value) in [
        "infinity",
        "-infinity",
        "0044-03-15 10:00:00+00 BC",
        "294276-01-01 00:00:00.000001+00",
        "4714-11-24 00:00:00+00 BC",
    ]
    .iter()
    .enumerate()
    {
        shop.sql(&format!("UPDATE items SET version = '{value}', status = 'x' WHERE id = 7"));
        shop.applies(shop.keyed(&format!("time:{n}"), "7", &approve()));
        assert_eq!(shop.one("SELECT version FROM items WHERE id = 7"), *value);
    }
    // As a value that is written.
    shop.sql("ALTER TABLE items ADD till timestamptz");
    for value in ["infinity", "2026-06-20T14:31:08.000001Z", "0044-03-15 10:00:00+00 BC"] {
        let job = shop.keyed(value, "8", &[("till", text(value))]);
        shop.applies(job);
    }
    let job = shop.keyed("last", "7", &approve());
    shop.sql("UPDATE items SET version = 'infinity' WHERE id = 7");
    assert_eq!(shop.conflicts(job), moved("VERSION_CONFLICT", "version"));
}

#[test]
fn two_to_the_53_plus_one_is_not_two_to_the_53() {
    let shop = shop!(Shop::new(
        "CREATE TABLE items (id bigint PRIMARY KEY, tenant_id text, status text, count bigint, version bigint);
         INSERT INTO items VALUES (9007199254740992, 'acme', 'a', 1, 1), (9007199254740993, 'acme', 'b', 9007199254740993, 9007199254740993);",
    ));
    let key = "9007199254740993";
    let first = shop.job(key, &approve());
    shop.sql("UPDATE items SET version = 9007199254740992 WHERE id = 9007199254740993");
    assert_eq!(shop.conflicts(first), moved("VERSION_CONFLICT", "version"));
    let second = shop.keyed("second", key, &approve());
    shop.sql("UPDATE items SET count = 9007199254740992 WHERE id = 9007199254740993");
    assert_eq!(shop.conflicts(second), moved("ROW_CHANGED_AFTER_PROPOSAL", "count"));
    shop.applies(shop.keyed("third", key, &[("status", text("c")), ("count", Scalar::Int(9_007_199_254_740_995))]));
    assert_eq!(shop.rows("SELECT status, count FROM items ORDER BY id"), ["a|1", "c|9007199254740995"]);
    shop.sql("INSERT INTO items VALUES (9223372036854775807, 'acme', 'x', -9223372036854775808, -9223372036854775808)");
    shop.applies(shop.job("9223372036854775807", &[("count", Scalar::Int(i64::MAX))]));
    assert_eq!(code(shop.read(key, &[("count", Scalar::UInt(u64::MAX))])), Code::ValueNotRepresentable);
}

#[test]
fn only_the_keys_own_text_finds_it() {
    let shop = shop!(Shop::usual());
    for key in
        ["7abc", "07", " 7", "7 ", "+7", "7.0", "7e0", "0x7", "", "\u{0}7", "7\u{0}", "٧", "99999999999999999999"]
    {
        assert!(shop.read(key, &[]).unwrap().is_none(), "{key:?}");
    }
    assert!(shop.read("7", &[]).unwrap().is_some());
    for tenant in ["acme ", " acme", "ACME", "ac\u{0}me", "'; DROP TABLE items; --"] {
        assert!(shop.read_in(tenant, "7", &[]).unwrap().is_none(), "{tenant:?}");
    }
}

#[test]
fn a_type_or_collation_that_calls_other_bytes_equal_makes_nothing_equal() {
    let nocase = "CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);";
    for (before, kind, other) in [
        ("CREATE EXTENSION citext;", "citext", "ABC"),
        ("", "char(6)", "abc"),
        (nocase, "text COLLATE nocase", "ABC"),
        ("", "text", "abc "),
        ("", "varchar(10)", "abc "),
    ] {
        if shop!(Shop::bare("")).try_sql(before).is_err_and(|error| error.contains("ICU is not supported")) {
            signoff_tests::skip("this server was built without ICU: no collation of it calls other bytes equal");
            continue;
        }
        let items = format!(
            "{before} CREATE TABLE items (id {kind} PRIMARY KEY, tenant_id {kind}, status {kind}, version {kind});
             INSERT INTO items VALUES ('abc', 'acme', 'abc', 'abc');"
        );
        let shop = shop!(Shop::new(&items));
        let stored = shop.rows("SELECT format('%s', id) || '|' || format('%s', tenant_id) FROM items").concat();
        let (id, tenant) = stored.split_once('|').unwrap();
        assert!(shop.read_in(tenant, other, &[]).unwrap().is_none(), "{kind} key");
        for foreign in ["ACME", "acme ", "Acme"] {
            assert!(shop.read_in(foreign, id, &[]).unwrap().is_none(), "{kind} tenant");
        }
        let propose = |key: &str| {
            let row = shop.read_in(tenant, id, &[("status", text("yes"))]).unwrap().unwrap();
            GuardJob { idempotency_key: key.to_owned(), ..job(tenant, &row) }
        };
        if kind != "char(6)" {
            let first = propose("version");
            shop.sql(&format!("UPDATE items SET version = '{other}'"));
            assert_eq!(shop.conflicts(first), moved("VERSION_CONFLICT", "version"), "{kind}");
            let second = propose("status");
            shop.sql(&format!("UPDATE items SET status = '{other}'"));
            assert_eq!(shop.conflicts(second), moved("ROW_CHANGED_AFTER_PROPOSAL", "status"), "{kind}");
        }
        shop.applies(propose("lands"));
        let last = propose("identity");
        shop.sql(&format!("UPDATE items SET id = '{other}'"));
        if matches!(kind, "citext" | "text COLLATE nocase") {
            assert_eq!(shop.released(last), Code::TenantGuardMismatch, "{kind}");
        }
    }
}

#[test]
fn what_a_type_would_round_or_cut_is_refused_before_anybody_approves() {
    let shop = shop!(Shop::new(
        "CREATE DOMAIN cents AS numeric(10,2) CHECK (VALUE >= 0); CREATE TYPE mood AS ENUM ('a b', 'c');
         CREATE TABLE items (id int PRIMARY KEY, tenant_id text, version int, n numeric(10,2), plain numeric, v varchar(5), c char(5), t timestamp(0), f float8, r real, i int, s smallint, b boolean, d cents, m mood, j jsonb, x json, u uuid, a numeric(4,1)[], bits bit(3), iv interval,
           made int GENERATED ALWAYS AS (1) STORED, ident int GENERATED ALWAYS AS IDENTITY, free int GENERATED BY DEFAULT AS IDENTITY);
         INSERT INTO items (id, tenant_id, version) VALUES (7, 'acme', 1);",
    ));
    for (column, value, normal) in [
        ("n", decimal("12.5"), "12.50"),
        ("n", decimal("12.500"), "12.50"),
        ("n", Scalar::Int(3), "3.00"),
        ("plain", decimal("123456789012345678901234567890.123"), "123456789012345678901234567890.123"),
        ("v", text("abcde"), "abcde"),
        ("c", text("ab"), "ab   "),
        ("t", text("2026-06-20T14:31:08"), "2026-06-20T14:31:08"),
        ("f", decimal("0.1"), "0.1"),
        ("r", decimal("3.4e38"), "3.4e+38"),
        ("b", Scalar::Bool(true), "true"),
        ("b", text("f"), "false"),
        ("d", decimal("1.10"), "1.10"),
        ("m", text("a b"), "a b"),
        ("j", text("{\"b\": 1.10,\"a\":2}"), "{\"a\": 2, \"b\": 1.10}"),
        ("x", text("{\"b\":1,  \"a\":2,\"a\":3}"), "{\"b\":1,  \"a\":2,\"a\":3}"),
        ("u", text("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("a", text("{1.5,NULL}"), "{1.5,NULL}"),
        ("bits", text("101"), "101"),
        ("iv", text("1 day 02:00"), "1 day 02:00:00"),
        ("free", Scalar::Int(5), "5"),
    ] {
        let row = shop
            .read("7", &[(column, value.clone())])
            .unwrap_or_else(|error| panic!("{column} {value:?}: {error}"))
            .unwrap();
        assert_eq!(row.normal[column].value.to_text().as_deref(), Some(normal), "{column} {value:?}");
        let job = GuardJob { idempotency_key: format!("{column}:{value}"), ..job("acme", &row) };
        shop.applies(job);
        assert_eq!(shop.value("7", column).to_text().as_deref(), Some(normal), "{column} {value:?}");
    }
    for (column, value) in [
        ("n", decimal("12.505")),
        ("n", decimal("123456789.00")),
        ("d", decimal("1.005")),
        ("d", decimal("-1")),
        ("v", text("abcdef")),
        ("c", text("abcdef")),
        ("t", text("2026-06-20T14:31:08.6")),
        ("f", Scalar::Int(9_007_199_254_740_993)),
        ("f", decimal("0.12345678901234567890123")),
        ("r", decimal("16777217")),
        ("i", decimal("1.5")),
        ("i", text("abc")),
        ("s", Scalar::Int(40_000)),
        ("b", Scalar::Int(1)),
        ("v", Scalar::Bool(true)),
        ("v", text("a\u{0}")),
        ("m", text("A B")),
        ("j", text("{")),
        ("u", text("x")),
        ("a", text("{1.55}")),
        ("bits", text("1011")),
    ] {
        assert_eq!(code(shop.read("7", &[(column, value.clone())])), Code::ValueNotRepresentable, "{column} {value:?}");
    }
    for column in ["made", "ident"] {
        assert_eq!(code(shop.read("7", &[(column, Scalar::Int(1))])), Code::ColumnNotPatchable, "{column}");
    }
}

#[test]
fn every_type_is_shown_as_it_is_stored() {
    let shop = shop!(Shop::new(
        "CREATE TYPE pair AS (a int, b text);
         CREATE TABLE items (id int PRIMARY KEY, tenant_id text, version int, status text, n numeric, f float8, b bytea, j json, jb jsonb, u uuid, arr int[], bounds int[], words text[], r int4range, tzr tstzrange, p pair, m money, net inet, t time, iv interval, bits bit(3), flag boolean, one jsonb, nul jsonb);
         INSERT INTO items VALUES (7, 'acme', 1, 'x', 'NaN', '-0', '\\x00ff', '{\"b\":1,  \"a\":2,\"a\":3}', '{\"b\":1.10,\"a\":-0}', '00000000-0000-0000-0000-000000000001', '{1,NULL,3}', '[0:1]={1,2}', '{\"a,b\",NULL,\"NULL\"}', '[1,5)', '[2026-01-01 00:00:00.000001+00,)', '(1,\"x y\")', 12.5, '10.0.0.1/24', '10:00:00.5', '-1 day +02:00', B'101', true, '\"1\"', 'null');",
    ));
    let row = shop.read("7", &[]).unwrap().unwrap();
    for (column, shown) in [
        ("n", "NaN"),
        ("f", "-0"),
        ("b", "\\x00ff"),
        ("j", "{\"b\":1,  \"a\":2,\"a\":3}"),
        ("jb", "{\"a\": 0, \"b\": 1.10}"),
        ("u", "00000000-0000-0000-0000-000000000001"),
        ("arr", "{1,NULL,3}"),
        ("bounds", "[0:1]={1,2}"),
        ("words", "{\"a,b\",NULL,\"NULL\"}"),
        ("r", "[1,5)"),
        ("tzr", "[\"2026-01-01 00:00:00.000001+00\",)"),
        ("p", "(1,\"x y\")"),
        ("m", "$12.50"),
        ("net", "10.0.0.1/24"),
        ("t", "10:00:00.5"),
        ("iv", "-1 days +02:00:00"),
        ("bits", "101"),
        ("one", "\"1\""),
        ("nul", "null"),
    ] {
        assert_eq!(row.values[column], row_scalar(column, shown), "{column}");
    }
    assert_eq!(row.values["flag"], Scalar::Bool(true));
    // Unchanged it is no conflict, whatever the type; changed it is.
    shop.applies(shop.keyed("unchanged", "7", &approve()));
    for (column, other) in [
        ("jb", "'{\"a\": 0, \"b\": 1.1}'"),
        ("one", "'1'"),
        ("nul", "NULL"),
        ("bounds", "'{1,2}'"),
        ("f", "'0'"),
        ("b", "'\\x00fe'"),
    ] {
        let job = shop.keyed(column, "7", &[("status", text(column))]);
        shop.sql(&format!("UPDATE items SET {column} = {other}"));
        assert_eq!(shop.conflicts(job), moved("ROW_CHANGED_AFTER_PROPOSAL", column));
    }
    // The order of the keys is no part of a jsonb, so writing it again changes nothing.
    let job = shop.keyed("order", "7", &approve().map(|_| ("status", text("order"))));
    shop.sql("UPDATE items SET jb = '{\"b\":1.1, \"a\":0}'");
    shop.applies(job);
}

fn row_scalar(column: &str, shown: &str) -> Scalar {
    if matches!(column, "n" | "f") { decimal(shown) } else { text(shown) }
}

#[test]
fn null_is_a_value_of_its_own() {
    let shop = shop!(Shop::usual());
    let job = shop.job("7", &[("note", text("x"))]);
    shop.sql("UPDATE items SET note = '' WHERE id = 7");
    assert_eq!(shop.conflicts(job), moved("ROW_CHANGED_AFTER_PROPOSAL", "note"));
    shop.applies(shop.keyed("second", "7", &[("note", text(" ")), ("status", Scalar::Null)]));
    assert_eq!(shop.one("SELECT note, status FROM items WHERE id = 7"), " |NULL");
    let job = shop.job("8", &approve());
    shop.sql("UPDATE items SET version = NULL WHERE id = 8");
    assert_eq!(shop.conflicts(job), moved("VERSION_CONFLICT", "version"));
    assert_eq!(shop.conflicts(shop.keyed("third", "8", &approve())), moved("VERSION_CONFLICT", "version"));
}
