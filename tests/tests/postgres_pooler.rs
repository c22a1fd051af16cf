//! Through a pooler of transactions: our sessions are two for everybody, and somebody else leaves in them what it can.

use std::sync::atomic::{AtomicBool, Ordering};

use signoff::database::Database as _;
use signoff::guard::Outcome;
use signoff_tests::cluster::{Cluster, Session};
use signoff_tests::library::{count, hammer, texts};
use signoff_tests::pooler::Pooler;
use signoff_tests::shop::postgres::{Shop, job, open};
use signoff_tests::shop::text;
use signoff_tests::source::Source;
use signoff_tests::{Engine, Workspace, rounds};

/// Sessions that the pooler has for all its clients together.
const SESSIONS: u32 = 2;

/// What lies in wait for names without a schema, a role without rights, and what a statement under our name would do.
const TRAPS: &str = "
CREATE ROLE nobody_at_all;
CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO PUBLIC;
CREATE TABLE evil.invoices (id text); CREATE TABLE evil.synapsor_writeback_receipts (id text);
CREATE FUNCTION evil.never(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT false';
CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.never);
CREATE TABLE stolen (n serial); GRANT ALL ON stolen, stolen_n_seq TO PUBLIC;
";

/// Each of our statements that this session has, to be replaced by one of the same name and parameters.
const REPLACE: &str = "
SELECT pg_catalog.format('DEALLOCATE %I', name),
  pg_catalog.format('PREPARE %I (%s) AS INSERT INTO public.stolen DEFAULT VALUES', name, pg_catalog.array_to_string(parameter_types, ', '))
FROM pg_catalog.pg_prepared_statements WHERE name LIKE 'sqlx%' AND statement NOT LIKE '%stolen%'";

/// In one transaction, so in one session: takes our statements there, and leaves settings for whoever is next. Answers how
/// many statements it took.
fn poison(session: &mut Session) -> usize {
    session.say("BEGIN; SET TRANSACTION READ WRITE; RESET ROLE; RESET ALL;");
    let taken = session.say(&format!("{REPLACE};")).len();
    session.say(&format!("{REPLACE} \\gexec"));
    for n in 1..20 {
        // Names that we may come to use; where one is ours, it stays replaced.
        session.say(&format!("SAVEPOINT s; PREPARE sqlx_s_{n} (text, text) AS INSERT INTO public.stolen DEFAULT VALUES; RELEASE s;\nROLLBACK TO s;"));
    }
    session.say(
        "CREATE TEMPORARY TABLE IF NOT EXISTS invoices (id text);
         SET search_path = evil, pg_catalog; SET session_replication_role = replica; SET default_transaction_read_only = on;
         SET default_transaction_isolation = serializable; SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Asia/Kolkata';
         SET bytea_output = escape; SET extra_float_digits = -15; SET synchronous_commit = off; SET row_security = off;
         SET lock_timeout = 1; SET statement_timeout = 1; SET ROLE nobody_at_all; COMMIT;",
    );
    taken
}

/// Says that it is over when it goes, also when a test fails: who waits for it must end.
struct UntilDropped<'a>(&'a AtomicBool);

impl Drop for UntilDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Many changes from many tasks of two processes, then one change from all of them.
fn lands_once(poisoned: bool) {
    let Some(cluster) = Engine::Postgres.is_here().then(Cluster::shared).flatten() else { return };
    let Some(pooler) = Pooler::start(cluster, SESSIONS) else { return };
    let half = rounds(40, 400);
    let workspace = Workspace::with_invoices_on(Engine::Postgres, 2 * half);
    let id = workspace.approved("INV-3001", "we were late");
    let Source::Postgres { name, .. } = &workspace.source else { panic!() };
    let address = pooler.address(name);
    let hammers =
        |all: &[Vec<String>]| hammer(&workspace, env!("CARGO_BIN_EXE_hammer").as_ref(), &address, all).concat();
    let over = AtomicBool::new(false);
    let taken = std::thread::scope(|scope| {
        let until = UntilDropped(&over);
        let other = poisoned.then(|| {
            workspace.sql(TRAPS);
            scope.spawn(|| {
                let mut sessions = [0; SESSIONS as usize].map(|_| pooler.session(name));
                let mut taken = 0;
                while !over.load(Ordering::SeqCst) {
                    taken += sessions.iter_mut().map(poison).sum::<usize>();
                }
                taken
            })
        });
        let halves = [1, half + 1].map(|first| texts(["change", "ledger.db", &first.to_string(), &half.to_string()]));
        let answers = hammers(&halves);
        assert_eq!(count(&answers, "applied"), 2 * half as usize, "{answers:?}\n{}\n{}", pooler.log(), cluster.log());
        let one = texts(["apply", "ledger.db", &id, "8", "own"]);
        let answers = hammers(&[one.clone(), one]);
        assert_eq!(count(&answers, "applied"), 1, "{answers:?}");
        let others = count(&answers, "already_applied") + count(&answers, "ATTEMPT_IN_FLIGHT");
        assert_eq!(others, 15, "{answers:?}\n{}\n{}", pooler.log(), cluster.log());
        drop(until);
        other.map(|other| other.join().expect("no panic"))
    });
    let each_once = "SELECT count(*) FROM (SELECT invoice_id FROM effects GROUP BY 1 HAVING count(*) = 1) AS once";
    let all = i64::from(2 * half + 1);
    assert_eq!(workspace.ask(each_once), all);
    assert_eq!(
        (workspace.ask("SELECT count(*) FROM effects"), workspace.ask("SELECT count(*) FROM executions")),
        (all, all)
    );
    let waived = "SELECT count(*) FROM invoices WHERE late_fee_cents = 0 AND waiver_reason = 'we were late'";
    assert_eq!(workspace.ask(waived), all);
    // Everybody shared them: or this proves nothing.
    let sessions =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    assert!((1..=i64::from(SESSIONS)).contains(&workspace.ask(sessions)));
    if let Some(taken) = taken {
        assert!(taken > 0, "none of our statements was there to be taken");
        assert_eq!(workspace.ask("SELECT count(*) FROM stolen"), 0, "our values ran somebody else's statement");
    }
    workspace.run(["store", "verify"]).expect(0);
}

#[test]
fn two_sessions_for_everybody_are_enough() {
    lands_once(false);
}

#[test]
fn what_another_client_leaves_in_the_sessions_changes_nothing() {
    lands_once(true);
}

#[test]
fn through_a_pooler_every_letter_is_the_one_that_was_approved() {
    let Some(shop) = Shop::usual() else { return };
    let Some(pooler) = Pooler::start(shop.stock.cluster, SESSIONS) else { return };
    // What RESET goes back to on the pooler's own connection, as on a server of that encoding.
    shop.sql(&format!("ALTER DATABASE {} SET client_encoding = 'LATIN1'", shop.name()));
    let database = open(&pooler.address(shop.name())).unwrap();
    let request = shop.request("acme", "7", &[("note", text("Café"))]);
    let row = shop.wait(database.read(request)).unwrap().unwrap();
    let outcome = shop.wait(database.run(job("acme", &row), None));
    assert!(matches!(outcome, Ok(Outcome::Applied(_))), "{outcome:?}");
    assert_eq!(shop.one("SELECT encode(convert_to(note, 'UTF8'), 'hex') FROM items WHERE id = 7"), "436166c3a9");
}
