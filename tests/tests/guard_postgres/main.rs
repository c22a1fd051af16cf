//! The guard on a real Postgres server: what the engine does to values, what triggers do to writes, and many at once.

#[path = "../postgres_support/mod.rs"]
mod postgres_support;

/// The shop, or the end of the test where there is no server.
macro_rules! shop {
    ($shop:expr) => {
        match $shop {
            Some(shop) => shop,
            None => return,
        }
    };
}

mod values;

use postgres_support::{COUNTERS, ITEMS, Shop, decimal, job, name, open, receipts, text};
use signoff::Code;
use signoff::database::Database;
use signoff::guard::{GuardJob, Outcome, Purpose, ReceiptStatus};
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
    let shop = shop!(Shop::usual());
    let job = shop.job("7", &[("status", text("approved")), ("amount", decimal("12.25"))]);
    shop.applies(job.clone());
    assert_eq!(shop.one("SELECT status, amount FROM items WHERE id = 7"), "approved|12.25");
    for purpose in
        [Purpose::Apply, Purpose::DryRun, Purpose::Tombstone, Purpose::Conflict("VERSION_CONFLICT".to_owned())]
    {
        let before = shop.everything();
        let Outcome::Stored(receipt) = shop.run(GuardJob { purpose, ..job.clone() }) else { panic!() };
        assert_eq!((receipt.status, receipt.rows_affected), (ReceiptStatus::Applied, 1));
        assert_eq!(before, shop.everything());
    }
    assert_eq!(shop.effects(), 1);
    assert_eq!(shop.rows("SELECT status FROM items WHERE id <> 7"), ["pending", "pending"]);
    // Another change under the same key runs nothing.
    let mut other = job;
    other.patch.insert(name("status"), text("denied"));
    assert_eq!(shop.released(other), Code::IdempotencyKeyReused);
}

#[test]
fn dry_runs_conflicts_and_tombstones_write_no_row() {
    let shop = shop!(Shop::usual());
    let job = shop.job("7", &approve());
    let before = shop.everything();
    assert_eq!(shop.run(GuardJob { purpose: Purpose::DryRun, ..job.clone() }), Outcome::Rehearsed(None));
    assert_eq!(before, shop.everything());
    shop.sql("UPDATE items SET note = 'x' WHERE id = 7");
    assert_eq!(
        shop.run(GuardJob { purpose: Purpose::DryRun, ..job.clone() }),
        Outcome::Rehearsed(Some((Code::RowChanged, Some(name("note")))))
    );
    assert_eq!(shop.conflicts(job.clone()), moved("ROW_CHANGED_AFTER_PROPOSAL", "note"));
    // The row is as it was again: too late.
    shop.sql("UPDATE items SET note = NULL WHERE id = 7");
    assert!(matches!(shop.run(job), Outcome::Stored(receipt) if receipt.status == ReceiptStatus::Conflict));
    let other = shop.job("8", &approve());
    assert!(matches!(shop.run(GuardJob { purpose: Purpose::Tombstone, ..other.clone() }), Outcome::Tombstoned(_)));
    assert!(matches!(shop.run(other), Outcome::Stored(receipt) if receipt.status == ReceiptStatus::Canceled));
    assert_eq!(shop.effects(), 2);
}

#[test]
fn another_tenants_row_is_neither_read_nor_written() {
    let shop = shop!(Shop::usual());
    assert!(shop.read("9", &[]).unwrap().is_none());
    let row = shop.read_in("globex", "9", &approve()).unwrap().unwrap();
    assert_eq!(shop.conflicts(job("acme", &row)), ("ROW_NOT_FOUND".to_owned(), None));
    let mut job = shop.job("7", &approve());
    job.idempotency_key = "moved".to_owned();
    shop.sql("UPDATE items SET tenant_id = 'globex' WHERE id = 7");
    assert_eq!(shop.conflicts(job), ("ROW_NOT_FOUND".to_owned(), None));
}

#[test]
fn sixteen_at_once_have_one_effect() {
    let shop = shop!(Shop::usual());
    let job = shop.job("7", &approve());
    let running: Vec<_> = (0..16)
        .map(|_| {
            let (database, job) = (shop.database.clone(), job.clone());
            shop.spawn(async move { database.run(job, None).await.unwrap() })
        })
        .collect();
    let outcomes: Vec<Outcome> = running.into_iter().map(|task| shop.wait(task).unwrap()).collect();
    let applied = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Applied(_))).count();
    let stored =
        outcomes.iter().filter(|o| matches!(o, Outcome::Stored(r) if r.status == ReceiptStatus::Applied)).count();
    assert_eq!((applied, stored, shop.effects()), (1, 15, 1), "{outcomes:?}");
}

#[test]
fn sixteen_different_changes_of_one_version_land_once() {
    let shop = shop!(Shop::usual());
    shop.sql("CREATE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.version := OLD.version + interval '1 microsecond'; RETURN NEW; END $$; CREATE TRIGGER b_bump BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION bump()");
    let jobs: Vec<GuardJob> = (0..16)
        .map(|n| GuardJob {
            job_id: format!("wbj_{n}"),
            ..shop.keyed(&format!("wrp_{n}:7"), "7", &[("status", text(&format!("by {n}")))])
        })
        .collect();
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
    assert_eq!((applied, conflicts, shop.effects()), (1, 15, 1), "{outcomes:?}");
}

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
    shop.sql(&format!("ALTER DATABASE {} SET search_path = evil, pg_catalog, public", shop.name));
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
        shop.address("absent_user", &shop.name),
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
    let shop = shop!(Shop::bare(&format!("{ITEMS}{COUNTERS}")));
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

#[test]
fn a_table_of_v1_gets_the_columns_it_lacks_and_keeps_its_rows() {
    let shop = shop!(Shop::bare(&format!(
        "{ITEMS}{COUNTERS}
         CREATE TABLE synapsor_writeback_receipts (idempotency_key text PRIMARY KEY, job_id text NOT NULL UNIQUE, proposal_id text NOT NULL, status text NOT NULL, result_hash text, created_at timestamptz NOT NULL DEFAULT now(), completed_at timestamptz);
         INSERT INTO synapsor_writeback_receipts VALUES ('wrp_1:7', 'old_1', 'wrp_1', 'applied', 'h', '2026-01-01', '2026-01-01'), ('wrp_1:8', 'old_2', 'wrp_other', 'applied', 'h', '2026-01-01', '2026-01-01');"
    )));
    let same = shop.job("7", &approve());
    assert_eq!(shop.released(same.clone()), Code::ReceiptTableOutdated);
    let statements = shop.migrate();
    assert_eq!(statements.len(), 3, "{statements:?}");
    assert_eq!(shop.migrate(), Vec::<String>::new());
    assert!(matches!(shop.run(same.clone()), Outcome::Stored(receipt) if receipt.status == ReceiptStatus::Applied));
    assert_eq!(shop.released(shop.job("8", &approve())), Code::IdempotencyKeyReused);
    let mut fresh = same;
    fresh.idempotency_key = "wrp_2:7".to_owned();
    shop.applies(fresh.clone());
    let row = shop.read_in("globex", "9", &approve()).unwrap().unwrap();
    let mut other = job("globex", &row);
    (other.idempotency_key, other.job_id) = (fresh.idempotency_key, "wbj_2".to_owned());
    assert_eq!(shop.released(other), Code::IdempotencyKeyReused);
}
