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

/// How often a session was left poisoned, and how many statements of ours were taken.
#[derive(Default)]
struct Done {
    poisoned: usize,
    taken: usize,
}

/// In one transaction, so in one session: takes our statements there, and leaves settings for whoever is next. (A timeout
/// of a moment would not do: it may end the very statement that resets it.)
fn poison(session: &mut Session, done: &mut Done) {
    session.say("BEGIN; SET TRANSACTION READ WRITE; RESET ROLE; RESET ALL;");
    done.taken += session.say(&format!("{REPLACE};")).len();
    session.say(&format!("{REPLACE} \\gexec"));
    // Names that we may come to use; one that is taken stays as it is, and no prepared statement is ever rolled back.
    for n in 1..20 {
        session.say(&format!(
            "SAVEPOINT s; PREPARE sqlx_s_{n} (text, text) AS INSERT INTO public.stolen DEFAULT VALUES;\nROLLBACK TO s;"
        ));
    }
    let said = session.say(
        "CREATE TEMPORARY TABLE IF NOT EXISTS invoices (id text);
         SET search_path = evil, pg_catalog; SET session_replication_role = replica; SET default_transaction_read_only = on;
         SET default_transaction_isolation = serializable; SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Asia/Kolkata';
         SET bytea_output = escape; SET extra_float_digits = -15; SET synchronous_commit = off; SET row_security = off;
         SET ROLE nobody_at_all; SELECT 'poisoned'; SET lock_timeout = 1; SET statement_timeout = 50; COMMIT;",
    );
    done.poisoned += said.len();
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
    let workspace = Workspace::with_invoices_on(Engine::Postgres, 2 * half + 1);
    let id = workspace.approved("INV-3001", "we were late");
    let Source::Postgres { name, .. } = &workspace.source else { panic!() };
    let address = pooler.address(name);
    let hammers =
        |all: &[Vec<String>]| hammer(&workspace, env!("CARGO_BIN_EXE_hammer").as_ref(), &address, all).concat();
    let change = |first: u32, count: u32| texts(["change", "ledger.db", &first.to_string(), &count.to_string()]);
    // Alone: from here on a session has statements of ours, which others can meet and take.
    assert_eq!(hammers(&[change(2 * half + 1, 1)]), ["applied"]);
    let over = AtomicBool::new(false);
    let done = std::thread::scope(|scope| {
        let until = UntilDropped(&over);
        let other = poisoned.then(|| {
            workspace.sql(TRAPS);
            scope.spawn(|| {
                let mut sessions = [0; SESSIONS as usize].map(|_| pooler.session(name));
                let mut done = Done::default();
                while !over.load(Ordering::SeqCst) {
                    sessions.iter_mut().for_each(|session| poison(session, &mut done));
                }
                done
            })
        });
        let answers = hammers(&[change(1, half), change(half + 1, half)]);
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
    let all = i64::from(2 * half + 2);
    assert_eq!(workspace.ask(each_once), all);
    assert_eq!(
        (workspace.ask("SELECT count(*) FROM effects"), workspace.ask("SELECT count(*) FROM executions")),
        (all, all)
    );
    let waived = "SELECT count(*) FROM invoices WHERE late_fee_cents = 0 AND waiver_reason = 'we were late'";
    assert_eq!(workspace.ask(waived), all);
    // Everybody shared them: or this proves nothing.
    let opened = pooler.log().matches("new connection to server").count();
    assert!((1..=SESSIONS as usize).contains(&opened), "{opened} sessions\n{}", pooler.log());
    if let Some(Done { poisoned, taken }) = done {
        assert!(poisoned > 0 && taken > 0, "{poisoned} poisoned, {taken} taken");
        eprintln!("left {poisoned} sessions poisoned, took {taken} statements");
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
