//! The guard on a real Postgres server: what the engine does to values, what triggers do to writes, and who may what.

/// The shop, or the end of the test where there is no server.
macro_rules! shop {
    ($shop:expr) => {
        match $shop {
            Some(shop) => shop,
            None => return,
        }
    };
}

mod landing;
mod values;

use signoff::Code;
use signoff::database::Database;
use signoff::guard::{GuardJob, Outcome, Purpose};
use signoff::primitives::Scalar;
use signoff_tests::shop::postgres::{Server, Shop, job, open, receipts};
use signoff_tests::shop::{Stock, approve, code, decimal, name, text};

#[test]
fn a_row_that_is_not_one_row_is_refused() {
    let shop = shop!(Shop::new(
        "CREATE TABLE items (id int, tenant_id text, status text, version int); INSERT INTO items VALUES (7, 'acme', 'a', 1);"
    ));
    let job = shop.job("7", &approve());
    shop.sql("INSERT INTO items VALUES (7, 'acme', 'b', 1)");
    assert_eq!(code(shop.read("7", &[])), Code::RowNotUnique);
    assert_eq!(shop.released(job), Code::MultiRowWriteBlocked);
    assert_eq!(
        code(
            shop.wait(
                shop.database
                    .read(signoff::database::ScopedRead { table: name("absent"), ..shop.request("acme", "7", &[]) })
            )
        ),
        Code::SourceObjectNotFound
    );
    let mut request = shop.request("acme", "7", &[]);
    request.columns.push(name("absent"));
    assert_eq!(code(shop.wait(shop.database.read(request))), Code::SourceObjectNotFound);
}

// ---- triggers and constraints

fn trigger(when: &str, body: &str) -> String {
    format!(
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$; CREATE {when} FOR EACH ROW EXECUTE FUNCTION meddle();"
    )
}

#[test]
fn a_trigger_that_rewrites_what_was_approved_undoes_everything() {
    let deferred = "CONSTRAINT TRIGGER z AFTER UPDATE ON items DEFERRABLE INITIALLY DEFERRED";
    let again = |set: &str| {
        format!("IF pg_trigger_depth() = 1 THEN UPDATE items SET {set} WHERE id = NEW.id; END IF; RETURN NULL;")
    };
    for (when, body) in [
        ("TRIGGER z BEFORE UPDATE ON items", "NEW.status := 'APPROVED'; RETURN NEW;".to_owned()),
        ("TRIGGER z BEFORE UPDATE ON items", "NEW.status := NEW.status || ' '; RETURN NEW;".to_owned()),
        ("TRIGGER z AFTER UPDATE ON items", again("status = NULL")),
        (deferred, again("status = 'rewritten'")),
        (deferred, again("tenant_id = 'globex'")),
        (deferred, "DELETE FROM items WHERE id = NEW.id; RETURN NULL;".to_owned()),
    ] {
        let shop = shop!(Shop::usual());
        shop.sql(&trigger(when, &body));
        assert_eq!(shop.released(shop.job("7", &approve())), Code::StoredValueDiffers, "{when} {body}");
    }
}

#[test]
fn what_refuses_or_swallows_is_told_apart() {
    let deferred = "CONSTRAINT TRIGGER z AFTER UPDATE ON items DEFERRABLE INITIALLY DEFERRED";
    for (when, body, expected) in [
        ("TRIGGER z BEFORE UPDATE ON items", "RAISE EXCEPTION 'no';", Code::SourceRejected),
        (deferred, "RAISE EXCEPTION 'no';", Code::SourceRejected),
        ("TRIGGER z BEFORE UPDATE ON items", "RETURN NULL;", Code::WriteBlocked),
        (
            "TRIGGER z AFTER UPDATE ON items",
            "DELETE FROM synapsor_writeback_receipts; RETURN NULL;",
            Code::TransactionLost,
        ),
        (
            "TRIGGER z AFTER UPDATE ON items",
            "UPDATE synapsor_writeback_receipts SET status = 'applied'; RETURN NULL;",
            Code::TransactionLost,
        ),
    ] {
        let shop = shop!(Shop::usual());
        shop.sql(&trigger(when, body));
        assert_eq!(shop.released(shop.job("7", &approve())), expected, "{when} {body}");
    }
    let shop = shop!(Shop::new(
        "CREATE TABLE owners (id text PRIMARY KEY); INSERT INTO owners VALUES ('ann');
         CREATE TABLE items (id int PRIMARY KEY, tenant_id text, owner text REFERENCES owners DEFERRABLE INITIALLY DEFERRED, n int CHECK (n < 10), code text UNIQUE, must text NOT NULL DEFAULT '', version int);
         INSERT INTO items VALUES (7, 'acme', 'ann', 1, 'a', '', 1), (8, 'acme', 'ann', 1, 'b', '', 1);"
    ));
    for (column, value) in [("owner", text("bob")), ("n", Scalar::Int(10)), ("code", text("b")), ("must", Scalar::Null)]
    {
        assert_eq!(shop.released(shop.job("7", &[(column, value)])), Code::SourceRejected, "{column}");
    }
}

// ---- sessions, users, servers

#[test]
fn a_poisoned_session_changes_nothing() {
    let shop = shop!(Shop::usual());
    // Lying in wait for names without a schema; and left in the session by the last statement before COMMIT.
    shop.sql(
        "CREATE ROLE nobody_at_all; CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO PUBLIC;
         CREATE FUNCTION evil.always(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true'; CREATE OPERATOR evil.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.always);
         CREATE FUNCTION evil.never(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT false'; CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.never);
         CREATE FUNCTION evil.format(text, VARIADIC \"any\") RETURNS text LANGUAGE internal AS 'pg_client_encoding';
         CREATE DOMAIN evil.text AS varchar(1); CREATE TABLE evil.items (id int); CREATE TABLE evil.synapsor_writeback_receipts (id int);",
    );
    shop.sql(&format!("ALTER DATABASE {} SET search_path = evil, pg_catalog, public", shop.name()));
    shop.sql(&trigger(
        "TRIGGER z AFTER UPDATE ON public.synapsor_writeback_receipts",
        "PERFORM set_config('DateStyle', 'SQL, DMY', false), set_config('TimeZone', 'Asia/Kolkata', false), set_config('IntervalStyle', 'iso_8601', false), set_config('bytea_output', 'escape', false), set_config('extra_float_digits', '-15', false), set_config('row_security', 'off', false), set_config('search_path', 'evil, pg_catalog', false), set_config('default_transaction_read_only', 'on', false), set_config('standard_conforming_strings', 'off', false), set_config('synchronous_commit', 'off', false), set_config('statement_timeout', '1', false), set_config('role', 'nobody_at_all', false); RETURN NEW;",
    ).replace("FUNCTION meddle", "FUNCTION public.meddle").replace("set_config", "pg_catalog.set_config"));
    for n in 0..5 {
        let job = shop.keyed(
            &format!("poison:{n}"),
            "7",
            &[("status", text(&format!("s{n}"))), ("amount", decimal(&format!("1.1{n}")))],
        );
        assert_eq!(job.before[&name("version")], text("2026-06-20T14:31:08.0003+00:00"), "{n}");
        let outcome = shop.run(job);
        assert!(matches!(outcome, Outcome::Applied(_)), "{n}: {outcome:?}");
    }
    assert_eq!(shop.rows("SELECT count(*) FROM public.effects"), ["5"]);
    // Ten transactions, fewer sessions: what the trigger left was there to be undone.
    let sessions = shop.one(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'signoff' AND datname = current_database()",
    );
    assert!(sessions.parse::<u32>().unwrap() < 5, "{sessions}");
    assert_eq!(shop.rows("SELECT status, amount FROM public.items WHERE id OPERATOR(pg_catalog.=) 7"), ["s4|1.14"]);
}

#[test]
fn a_writer_with_rights_on_one_column_is_enough() {
    let shop = shop!(Shop::usual());
    shop.sql(
        "CREATE ROLE writer LOGIN; CREATE ROLE reader LOGIN;
         REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO writer, reader;
         GRANT SELECT (id, tenant_id, status, version), UPDATE (status) ON items TO writer; GRANT SELECT (id, tenant_id, status, version) ON items TO reader;
         GRANT SELECT, INSERT, UPDATE ON synapsor_writeback_receipts TO writer;",
    );
    let mut request = shop.request("acme", "7", &approve());
    request.columns.retain(|column| !matches!(column.as_str(), "note" | "amount"));
    let (reader, writer) = (shop.as_user("reader"), shop.as_user("writer"));
    let row = shop.wait(reader.read(request)).unwrap().unwrap();
    assert_eq!(code(shop.wait(reader.read(shop.request("acme", "7", &[])))), Code::SourceRejected);
    let Outcome::Released(error) = shop.wait(reader.run(job("acme", &row), None)).unwrap() else { panic!() };
    assert_eq!(error.code(), Code::SourceRejected);
    assert!(matches!(shop.wait(writer.run(job("acme", &row), None)), Ok(Outcome::Applied(_))));
    assert_eq!(shop.effects(), 1);
    // It cannot make tables, and need not: there is nothing to do.
    assert_eq!(shop.wait(writer.migrate_receipts(receipts())).unwrap(), Vec::<String>::new());
    shop.sql("DROP TABLE synapsor_writeback_receipts");
    assert_eq!(code(shop.wait(writer.migrate_receipts(receipts()))), Code::SourceRejected);
    let Outcome::Released(error) = shop.wait(writer.run(job("acme", &row), None)).unwrap() else { panic!() };
    assert_eq!((error.code(), error.field("source")), (Code::ReceiptTableMissing, Some("app")));
}

#[test]
fn a_held_lock_is_busy_and_nothing_lands() {
    let shop = shop!(Shop::usual());
    let job = shop.job("7", &approve());
    std::thread::scope(|scope| {
        let holder = scope
            .spawn(|| shop.rows("BEGIN; SELECT 1 FROM items WHERE id = 7 FOR UPDATE; SELECT pg_sleep(4); ROLLBACK"));
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert_eq!(shop.released(job.clone()), Code::SourceBusy);
        holder.join().unwrap();
    });
    shop.applies(job);
}

#[test]
fn a_connection_that_died_in_the_pool_is_replaced() {
    let shop = shop!(Shop::usual());
    let job = shop.job("7", &approve());
    shop.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'signoff' AND datname = current_database()");
    shop.applies(job);
    // In the middle: the answer of the UPDATE never comes, and nothing lands.
    shop.sql(&trigger(
        "TRIGGER z BEFORE UPDATE ON items",
        "PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW;",
    ));
    assert_eq!(shop.released(shop.job("8", &approve())), Code::TransactionFailed);
    assert!(shop.read("8", &[]).unwrap().is_some());
}

#[test]
fn a_standby_is_read_and_not_written() {
    let shop = shop!(Shop::usual());
    let job = shop.job("7", &approve());
    let address = shop.standby();
    let standby = open(&address).unwrap();
    assert!(shop.wait(standby.read(shop.request("acme", "7", &approve()))).unwrap().is_some());
    let Outcome::Released(error) = shop.wait(standby.run(job.clone(), None)).unwrap() else { panic!() };
    assert_eq!((error.code(), error.field("source")), (Code::SourceReadOnly, Some("app")));
    let elsewhere = signoff::guard::ReceiptTable { schema: name("public"), name: name("elsewhere") };
    assert_eq!(code(shop.wait(standby.migrate_receipts(elsewhere))), Code::SourceReadOnly);
    shop.applies(job);
}

#[test]
fn what_is_not_there_is_said_without_the_drivers_words() {
    let shop = shop!(Shop::usual());
    let request = shop.request("acme", "7", &[]);
    for address in [
        shop.address("postgres", "absent_db"),
        shop.address("absent_user", shop.name()),
        "postgres://hunter2@127.0.0.1:1/x".to_owned(),
    ] {
        let database = open(&address).unwrap();
        let error = shop.wait(database.read(request.clone())).unwrap_err();
        assert_eq!((error.code(), error.retryable()), (Code::SourceUnavailable, true), "{address}");
        assert!(!format!("{error} {error:?} {database:?}").contains("absent_"), "{error:?}");
    }
    for address in ["sqlite:x", "/a/path", "postgres://h/d?sslmode=off", "postgres://h/d?bogus=1"] {
        assert_eq!(code(open(address)), Code::SourceUrlInvalid, "{address}");
    }
}

// ---- the receipts table

#[test]
fn migrating_twice_or_at_once_changes_nothing() {
    let shop = shop!(Shop::bare(&format!("{}{}", Server::ITEMS, Server::COUNTERS)));
    let job = shop.job("7", &approve());
    for purpose in [Purpose::Apply, Purpose::DryRun] {
        let Outcome::Released(error) = shop.run(GuardJob { purpose, ..job.clone() }) else { panic!() };
        assert_eq!((error.code(), error.field("source")), (Code::ReceiptTableMissing, Some("app")));
    }
    let running: Vec<_> = (0..8)
        .map(|_| {
            let database = shop.database.clone();
            shop.spawn(async move { database.migrate_receipts(receipts()).await.unwrap() })
        })
        .collect();
    let ran: usize = running.into_iter().map(|task| shop.wait(task).unwrap().len()).sum();
    assert_eq!(ran, 1);
    shop.applies(job);
    assert_eq!(shop.migrate(), Vec::<String>::new());
    let elsewhere = signoff::guard::ReceiptTable { schema: name("signoff"), name: name("receipts") };
    assert_eq!(shop.wait(shop.database.migrate_receipts(elsewhere.clone())).unwrap().len(), 2);
    let mut other = shop.keyed("elsewhere", "8", &approve());
    other.receipts = elsewhere;
    shop.applies(other);
    assert_eq!(shop.rows("SELECT idempotency_key FROM signoff.receipts"), ["elsewhere"]);
}
