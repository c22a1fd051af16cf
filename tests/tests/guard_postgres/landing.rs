//! What the server may do between BEGIN and COMMIT that a change has to survive: constraints that hold in the end, rules,
//! rows that are replaced, triggers that meddle with the transaction.

use std::time::{Duration, Instant as Moment};

use signoff::Code;
use signoff::database::{Database as _, PostgresDatabase};
use signoff::guard::Outcome;
use signoff::primitives::{Scalar, Secret};
use signoff_tests::shop::postgres::Shop;
use signoff_tests::shop::{approve, text};

#[test]
fn a_constraint_that_holds_in_the_end_is_not_asked_before() {
    // A trigger that writes the child first, and one that makes room in an order: why constraints are deferred.
    let shop = shop!(Shop::usual());
    shop.sql(
        "CREATE TABLE letters (id bigint PRIMARY KEY); CREATE TABLE pages (letter bigint REFERENCES letters DEFERRABLE INITIALLY DEFERRED);
         CREATE FUNCTION write_letter() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO pages VALUES (NEW.id); INSERT INTO letters VALUES (NEW.id); RETURN NULL; END $$;
         CREATE TRIGGER letter AFTER UPDATE ON items FOR EACH ROW EXECUTE FUNCTION write_letter();",
    );
    shop.applies(shop.job("7", &approve()));
    assert_eq!(shop.one("SELECT letter FROM pages JOIN letters ON letter = id"), "7");
    let shop = shop!(Shop::new(
        "CREATE TABLE items (id int PRIMARY KEY, tenant_id text, place int UNIQUE DEFERRABLE INITIALLY DEFERRED, version int);
         INSERT INTO items VALUES (7, 'acme', 1, 1), (8, 'acme', 2, 1);
         CREATE FUNCTION swap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF pg_trigger_depth() = 1 THEN UPDATE items SET place = OLD.place WHERE place = NEW.place AND id <> NEW.id; END IF; RETURN NULL; END $$;
         CREATE TRIGGER swap AFTER UPDATE ON items FOR EACH ROW EXECUTE FUNCTION swap();"
    ));
    assert!(matches!(shop.run(shop.job("7", &[("place", Scalar::Int(2))])), Outcome::Applied(_)));
    assert_eq!(shop.rows("SELECT id, place FROM items ORDER BY id"), ["7|2", "8|1"]);
}

#[test]
fn a_view_that_rules_write_is_written() {
    let shop = shop!(Shop::usual());
    shop.sql(
        "ALTER TABLE items RENAME TO kept; CREATE VIEW items AS SELECT * FROM kept;
         CREATE RULE write AS ON UPDATE TO items DO INSTEAD UPDATE kept SET status = NEW.status WHERE id = OLD.id;",
    );
    shop.applies(shop.job("7", &approve()));
    assert_eq!(shop.one("SELECT status FROM kept WHERE id = 7"), "approved");
}

#[test]
fn a_row_that_is_being_replaced_is_not_called_gone() {
    let shop = shop!(Shop::usual());
    let job = shop.job("7", &approve());
    std::thread::scope(|scope| {
        let replacing = scope.spawn(|| {
            shop.sql(
                "DO $$ DECLARE r items; BEGIN SELECT * INTO r FROM items WHERE id = 7;
                 FOR n IN 1..100 LOOP DELETE FROM items WHERE id = 7; INSERT INTO items SELECT r.*; PERFORM pg_sleep(0.03); COMMIT; END LOOP; END $$",
            );
        });
        let mut n = 0;
        while !replacing.is_finished() {
            n += 1;
            let job = signoff::guard::GuardJob { idempotency_key: format!("replaced:{n}"), ..job.clone() };
            if let Outcome::Conflict(receipt) = shop.run(job) {
                assert_ne!(receipt.safe_error_code.as_deref(), Some("ROW_NOT_FOUND"), "the row is always there");
            }
        }
        assert!(n > 3);
    });
}

#[test]
fn a_row_that_a_policy_shows_and_does_not_give_is_not_called_gone() {
    let shop = shop!(Shop::usual());
    shop.sql(
        "CREATE ROLE limited LOGIN; GRANT SELECT, UPDATE ON items TO limited; GRANT SELECT, INSERT, UPDATE ON synapsor_writeback_receipts TO limited;
         ALTER TABLE items ENABLE ROW LEVEL SECURITY; CREATE POLICY sees ON items FOR SELECT USING (true); CREATE POLICY writes ON items FOR UPDATE USING (status = 'open');",
    );
    let limited = shop.as_user("limited");
    let job = shop.job("7", &approve());
    let before = shop.everything();
    let Outcome::Released(error) = shop.wait(limited.run(job.clone(), None)).unwrap() else { panic!() };
    assert_eq!((error.code(), shop.everything()), (Code::WriteBlocked, before));
    shop.sql("ALTER POLICY writes ON items USING (true)");
    assert!(matches!(shop.wait(limited.run(job, None)), Ok(Outcome::Applied(_))));
}

#[test]
fn a_trigger_that_says_otherwise_does_not_make_the_commit_lazy() {
    let shop = shop!(Shop::usual());
    shop.sql(
        "CREATE TABLE seen (way text);
         CREATE FUNCTION hasten() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN SET LOCAL synchronous_commit = off; RETURN NULL; END $$;
         CREATE TRIGGER hasten AFTER UPDATE ON items FOR EACH ROW EXECUTE FUNCTION hasten();
         CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;
         CREATE TRIGGER look AFTER UPDATE ON synapsor_writeback_receipts FOR EACH ROW EXECUTE FUNCTION look();",
    );
    shop.applies(shop.job("7", &approve()));
    assert_eq!(shop.rows("SELECT way FROM seen"), ["on"]);
}

#[test]
fn a_refusal_of_the_applications_own_costs_no_statement_its_name() {
    let shop = shop!(Shop::usual());
    shop.sql(
        "CREATE TABLE ran (named boolean);
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF NEW.status = 'never' THEN RAISE EXCEPTION 'not supported' USING ERRCODE = 'feature_not_supported'; END IF; RETURN NEW; END $$;
         CREATE TRIGGER refuse BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION refuse();
         CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ran VALUES (current_query() LIKE '/*%'); RETURN NULL; END $$;
         CREATE TRIGGER look AFTER UPDATE ON synapsor_writeback_receipts FOR EACH ROW EXECUTE FUNCTION look();",
    );
    assert_eq!(shop.released(shop.job("7", &[("status", text("never"))])), Code::TransactionFailed);
    shop.applies(shop.job("7", &approve()));
    assert_eq!(shop.rows("SELECT named FROM ran"), ["t"]);
}

#[test]
fn servers_that_fell_silent_are_waited_for_once() {
    let shop = shop!(Shop::usual());
    let address = format!("{}&application_name=silent", shop.address("postgres", shop.name()));
    let patience = Some(Duration::from_millis(500));
    let database = PostgresDatabase::open("app", "APP_DATABASE", &Secret::new(address), patience).unwrap();
    let reads = |n: usize| {
        let begin = |_| {
            let (database, request) = (database.clone(), shop.request("acme", "7", &[]));
            shop.spawn(async move { database.read(request).await })
        };
        let running: Vec<_> = (0..n).map(begin).collect();
        running.into_iter().map(|task| shop.wait(task).unwrap()).collect::<Vec<_>>()
    };
    // As many at once as wait for a lock; each of them has a connection of its own.
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| shop.sql("BEGIN; LOCK TABLE items; SELECT pg_sleep(3); ROLLBACK"));
        std::thread::sleep(Duration::from_millis(500));
        assert!(reads(4).into_iter().all(|read| read.unwrap_err().code() == Code::SourceBusy));
        holder.join().unwrap();
    });
    let pids = shop.rows("SELECT pid FROM pg_stat_activity WHERE application_name = 'silent'");
    assert_eq!(pids.len(), 4);
    let kill = |signal: &str| {
        assert!(std::process::Command::new("kill").arg(signal).args(&pids).status().unwrap().success());
    };
    kill("-STOP");
    let begun = Moment::now();
    let answer = reads(1).remove(0);
    let took = begun.elapsed();
    kill("-CONT");
    assert!(took < Duration::from_secs(11), "{took:?}");
    assert_eq!(answer.unwrap_err().code(), Code::SourceUnavailable);
}
