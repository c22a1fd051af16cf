//! What the server may do between BEGIN and COMMIT that a change has to survive: constraints that hold in the end, rules,
//! rows that are replaced, triggers that meddle with the transaction.

use std::time::{Duration, Instant as Moment};

use signoff::Code;
use signoff::database::{Database as _, PostgresDatabase};
use signoff::primitives::Secret;
use signoff_tests::shop::postgres::Shop;
use signoff_tests::shop::{approve, text};

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
