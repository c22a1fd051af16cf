//! The whole lifecycle on a real Postgres server that loses answers, dies, and is written to by others. Effects are
//! counted by triggers; the application's side goes through `psql`.

mod proxy;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use proxy::{Fault, Proxy};
use serde_json::json;
use signoff::ledger::SqliteLedger;
use signoff::primitives::SystemClock;
use signoff::protocol::State;
use signoff::runtime::{Applied, ApplyOptions, Approver, Caller, Ending, Seen};
use signoff::{Code, Result, Runtime};
use signoff_tests::cluster::Cluster;
use signoff_tests::source::Source;
use signoff_tests::{Workspace, library, rounds};

const WAIVER: &str = "billing.propose_late_fee_waiver";

/// The application counts in a column of its own; its effects tell on which version they came, and its own writes are no
/// executions of ours.
const TABLES: &str = "
ALTER TABLE invoices ADD COLUMN app_counter integer NOT NULL DEFAULT 0;
ALTER TABLE effects ADD COLUMN version timestamptz;
CREATE OR REPLACE FUNCTION count_effect() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO effects (invoice_id, what, version) VALUES (NEW.id, '', OLD.updated_at); RETURN NULL; END $$;
DROP TRIGGER a_count ON invoices;
CREATE TRIGGER a_count BEFORE UPDATE OF late_fee_cents, waiver_reason, status ON invoices FOR EACH ROW EXECUTE FUNCTION count_execution();
UPDATE invoices SET updated_at = '2026-06-20 14:31:08.000300+00';
";

/// A workspace on a cluster, and a tokio to apply on.
struct Billing {
    cluster: &'static Cluster,
    workspace: Workspace,
    tokio: tokio::runtime::Runtime,
}

/// The database, or the end of the test where there is no server.
macro_rules! billing {
    ($cluster:expr, $invoices:expr) => {
        match $cluster {
            Some(cluster) => Billing::new(cluster, $invoices),
            None => return,
        }
    };
}

impl Billing {
    fn new(cluster: &'static Cluster, invoices: u32) -> Self {
        let billing = Self {
            cluster,
            workspace: Workspace::in_cluster(cluster, invoices),
            tokio: tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
        };
        billing.sql(TABLES);
        billing
    }

    fn database(&self) -> &str {
        let Source::Postgres { name, .. } = &self.workspace.source else { panic!() };
        name
    }

    fn direct(&self) -> String {
        self.workspace.source.address()
    }

    fn proxy(&self) -> (Proxy, String) {
        let proxy = Proxy::new(self.cluster.socket());
        let address = proxy.address("postgres", self.database());
        (proxy, address)
    }

    fn sql(&self, sql: &str) -> Vec<String> {
        self.workspace.source.rows(sql)
    }

    fn ledger(&self, name: &str) -> Arc<SqliteLedger> {
        library::ledger(&self.workspace.path(""), name, &SystemClock)
    }

    /// A runtime on this ledger whose source is at this address.
    fn runtime(&self, ledger: &Arc<SqliteLedger>, address: &str) -> Runtime {
        library::runtime(&self.workspace.path(""), address, Arc::clone(ledger), Arc::new(SystemClock))
    }

    /// Proposes a waiver and approves it.
    fn approved(&self, runtime: &Runtime, invoice: &str) -> String {
        self.approved_as(runtime, WAIVER, json!({ "invoice_id": invoice, "reason": "we were late" }))
    }

    fn approved_as(&self, runtime: &Runtime, capability: &str, arguments: serde_json::Value) -> String {
        self.tokio.block_on(async {
            let set =
                runtime.propose(capability, &arguments.to_string(), &Caller::FromContract).await.unwrap().change_set;
            let seen = Seen { proposal_id: set.proposal_id, hash: set.integrity.proposal_hash, version: 1 };
            let lead = Approver { id: "dana".to_owned(), roles: vec!["billing_lead".to_owned()], asserted: false };
            runtime.approve(&seen, &lead, None).await.unwrap();
            seen.proposal_id
        })
    }

    fn start(&self, runtime: &Runtime, id: &str, resume: bool) -> tokio::task::JoinHandle<Result<Applied>> {
        let (runtime, id) = (runtime.clone(), id.to_owned());
        let mut options = ApplyOptions::default();
        options.resume = resume;
        self.tokio.spawn(async move { runtime.apply(&id, &options).await })
    }

    fn end<T>(&self, started: tokio::task::JoinHandle<T>) -> T {
        self.tokio.block_on(started).unwrap()
    }

    /// How often each invoice really changed; an UPDATE that ran and changed nothing is a failure of its own.
    fn effects(&self) -> BTreeMap<String, u32> {
        assert_eq!(
            self.sql("SELECT invoice_id FROM effects ORDER BY 1"),
            self.sql("SELECT invoice_id FROM executions ORDER BY 1")
        );
        let mut effects = BTreeMap::new();
        for invoice in self.sql("SELECT invoice_id FROM effects") {
            *effects.entry(invoice).or_default() += 1;
        }
        effects
    }

    /// Each of so many invoices really changed, once.
    fn each_once(&self, invoices: u32) {
        let effects = self.effects();
        assert_eq!(effects.len(), invoices as usize);
        assert!(effects.values().all(|count| *count == 1), "{effects:?}");
    }

    /// Waits until a session waits for another one's lock.
    fn wait_for_a_lock<T>(&self, task: &tokio::task::JoinHandle<T>) {
        let waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        while self.sql(waiting).is_empty() {
            assert!(!task.is_finished(), "it did not wait");
        }
    }

    fn verify(&self, ledger: &Arc<SqliteLedger>) {
        let runtime = self.runtime(ledger, &self.direct());
        self.tokio.block_on(runtime.ledger().verify(None, Box::new(|_, _| ()))).unwrap();
    }
}

/// A number below the limit, another one each time.
fn random(limit: u64) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) % limit
}

// ---- the answer to COMMIT is lost

/// Every proposal's first COMMIT meets this fault; then it is resumed past the proxy.
fn lost_answers(fault: Fault) {
    let rounds = rounds(10, 200);
    let billing = billing!(Cluster::shared(), rounds);
    let ledger = billing.ledger("ledger.db");
    let (proxy, address) = billing.proxy();
    let (far, near) = (billing.runtime(&ledger, &address), billing.runtime(&ledger, &billing.direct()));
    let landed = fault != Fault::Drop;
    let mut blocked = 0;
    for round in 1..=rounds {
        let id = billing.approved(&near, &format!("INV-{round}"));
        let armed = proxy.arm(fault);
        let first = billing.end(billing.start(&far, &id, false)).unwrap();
        assert_eq!((first.ending, first.record.state), (Ending::Unknown, State::OutcomeUnknown), "round {round}");
        assert_eq!(first.record.receipts.len(), 0);
        armed.wait();
        let resumed = billing.start(&near, &id, true);
        if fault == Fault::CutAndDelay {
            // Either it waits for the transaction that nobody ended, or it comes at any moment around its end.
            if round % 2 == 0 {
                billing.wait_for_a_lock(&resumed);
                blocked += 1;
            } else {
                std::thread::sleep(Duration::from_millis(random(20)));
            }
        }
        armed.release();
        let resumed = billing.end(resumed).unwrap();
        let truth = if landed { Ending::AlreadyApplied } else { Ending::Applied };
        assert_eq!((resumed.ending, resumed.record.state), (truth, State::Applied), "round {round}");
        assert_eq!(resumed.record.receipts.len(), 1);
        let again = billing.end(billing.start(&far, &id, false)).unwrap();
        assert_eq!(again.ending, Ending::AlreadyApplied);
    }
    billing.each_once(rounds);
    assert_eq!(
        billing.sql(
            "SELECT DISTINCT late_fee_cents, waiver_reason FROM invoices WHERE id NOT IN ('INV-3001', 'INV-9001')"
        ),
        ["0|we were late"]
    );
    billing.verify(&ledger);
    eprintln!(
        "{fault:?}: {rounds} rounds, {rounds} unknown and then the truth, 0 doubles; {blocked} resumed while blocked"
    );
}

#[test]
fn a_commit_forwarded_and_cut_has_landed() {
    lost_answers(Fault::CutAfter);
}

#[test]
fn a_dropped_commit_has_not_landed_and_lands_once() {
    lost_answers(Fault::Drop);
}

#[test]
fn a_commit_delayed_past_the_resume_lands_once() {
    lost_answers(Fault::CutAndDelay);
}

/// Nobody is cut off: the first attempt waits at its COMMIT while another takes it over, and then both know.
#[test]
fn an_attempt_taken_over_at_its_commit_lands_once() {
    let rounds = rounds(5, 50);
    let billing = billing!(Cluster::shared(), rounds);
    let ledger = billing.ledger("ledger.db");
    let (proxy, address) = billing.proxy();
    let (far, near) = (billing.runtime(&ledger, &address), billing.runtime(&ledger, &billing.direct()));
    for round in 1..=rounds {
        let id = billing.approved(&near, &format!("INV-{round}"));
        let armed = proxy.arm(Fault::Delay);
        let first = billing.start(&far, &id, false);
        armed.wait();
        let resumed = billing.start(&near, &id, true);
        billing.wait_for_a_lock(&resumed);
        armed.release();
        let resumed = billing.end(resumed).unwrap();
        assert_eq!((resumed.ending, resumed.record.state), (Ending::AlreadyApplied, State::Applied), "round {round}");
        match billing.end(first) {
            Ok(first) => assert_eq!((first.ending, first.record.state), (Ending::AlreadyApplied, State::Applied)),
            Err(error) => assert_eq!(error.code(), Code::FencingTokenStale),
        }
    }
    billing.each_once(rounds);
    billing.verify(&ledger);
}

// ---- the server dies

#[test]
fn a_server_killed_in_the_middle_applies_once() {
    let rounds = rounds(5, 100);
    let billing = billing!(Cluster::own(), rounds);
    // Long enough to be hit in the middle.
    billing.sql(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.01); RETURN NEW; END $$;
         CREATE TRIGGER c_slow BEFORE UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION slow()",
    );
    let ledger = billing.ledger("ledger.db");
    let (proxy, address) = billing.proxy();
    let (far, near) = (billing.runtime(&ledger, &address), billing.runtime(&ledger, &billing.direct()));
    let (mut slowest, mut firsts) = (Duration::ZERO, BTreeMap::<String, u32>::new());
    for round in 1..=rounds {
        let id = billing.approved(&near, &format!("INV-{round}"));
        let first = if round % 3 == 0 {
            // Everything is done but for the COMMIT.
            let armed = proxy.arm(Fault::Delay);
            let first = billing.start(&far, &id, false);
            armed.wait();
            billing.cluster.kill();
            armed.release();
            first
        } else {
            // Anywhere, from before BEGIN to after the answer.
            let first = billing.start(&near, &id, false);
            std::thread::sleep(Duration::from_micros(random(20_000)));
            billing.cluster.kill();
            first
        };
        let first = match billing.end(first) {
            Ok(first) => format!("{:?}", first.ending),
            Err(error) => error.code().as_str().to_owned(),
        };
        assert!(["Applied", "Unknown", "TRANSACTION_FAILED", "SOURCE_UNAVAILABLE"].contains(&&*first), "{first}");
        let landed_by_its_word = first == "Applied";
        *firsts.entry(first).or_default() += 1;
        billing.cluster.restart();
        let back = Moment::now();
        let last = loop {
            match billing.end(billing.start(&near, &id, true)) {
                Ok(last) if last.ending != Ending::Unknown => break last,
                other => assert!(back.elapsed() < Duration::from_secs(60), "it does not recover: {other:?}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        slowest = slowest.max(back.elapsed());
        assert!(matches!(last.ending, Ending::Applied | Ending::AlreadyApplied), "round {round}: {:?}", last.ending);
        assert!(!landed_by_its_word || last.ending == Ending::AlreadyApplied);
        assert_eq!(last.record.state, State::Applied);
    }
    billing.each_once(rounds);
    billing.verify(&ledger);
    eprintln!("killed {rounds} times, first answers {firsts:?}, slowest to apply once it was back: {slowest:?}");
}

// ---- many at once

#[test]
fn fifty_first_applies_all_land_and_fifty_of_one_land_once() {
    let billing = billing!(Cluster::shared(), 51);
    let ledger = billing.ledger("ledger.db");
    let runtime = billing.runtime(&ledger, &billing.direct());
    let ids: Vec<String> = (1..=50).map(|n| billing.approved(&runtime, &format!("INV-{n}"))).collect();
    let started: Vec<_> = ids.iter().map(|id| billing.start(&runtime, id, false)).collect();
    for started in started {
        assert_eq!(billing.end(started).unwrap().ending, Ending::Applied);
    }
    billing.each_once(50);

    let id = billing.approved(&runtime, "INV-51");
    let started: Vec<_> = (0..50).map(|n| billing.start(&runtime, &id, n % 2 == 0)).collect();
    let mut landed = 0;
    for started in started {
        match billing.end(started) {
            Ok(applied) if applied.ending == Ending::Applied => landed += 1,
            Ok(applied) => assert_eq!(applied.ending, Ending::AlreadyApplied),
            Err(error) => {
                assert!(matches!(error.code(), Code::AttemptInFlight | Code::FencingTokenStale), "{error:?}");
            }
        }
    }
    // One that was taken over while it landed answers with what the other recorded.
    assert!(landed <= 1, "{landed}");
    let last = billing.end(billing.start(&runtime, &id, true)).unwrap();
    assert_eq!((last.ending, last.record.state), (Ending::AlreadyApplied, State::Applied));
    billing.each_once(51);
    billing.verify(&ledger);
}

/// Locks of the application: the customer's total, then both invoices. Ours: an invoice, then by its trigger the total.
const DEADLOCKS: &str = "
CREATE TABLE totals (customer_id text PRIMARY KEY, n integer NOT NULL);
INSERT INTO totals VALUES ('cust_acme_1', 0);
CREATE FUNCTION total() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE totals SET n = n + 1 WHERE customer_id = NEW.customer_id; RETURN NULL; END $$;
CREATE TRIGGER b_total AFTER UPDATE OF late_fee_cents ON invoices FOR EACH ROW EXECUTE FUNCTION total();
";

/// Three transactions that count each invoice up, in either order, and sometimes move its version.
fn application(invoices: &[String; 2]) -> String {
    let mut script = String::new();
    for _ in 0..3 {
        let first = usize::from(random(2) == 0);
        script.push_str("BEGIN; UPDATE totals SET n = n + 1 WHERE customer_id = 'cust_acme_1';\n");
        for invoice in [&invoices[first], &invoices[1 - first]] {
            let moved = if random(6) == 0 { ", updated_at = clock_timestamp()" } else { "" };
            let pause = random(8);
            script.push_str(&format!("SELECT pg_sleep({pause} * 0.001); UPDATE invoices SET app_counter = app_counter + 1{moved} WHERE id = '{invoice}';\n"));
        }
        script.push_str("COMMIT;\n");
    }
    script
}

#[test]
fn two_workers_and_the_application_in_each_others_way_lose_nothing() {
    let rounds = rounds(50, 2000);
    let billing = billing!(Cluster::shared(), 2 * rounds);
    billing.sql(DEADLOCKS);
    billing.sql(&format!("ALTER DATABASE {} SET deadlock_timeout = '10ms'", billing.database()));
    let ledger = billing.ledger("ledger.db");
    let runtime = billing.runtime(&ledger, &billing.direct());
    let (mut applied, mut conflicts, mut committed, mut undone, mut again, mut worst) = (0, 0, 0, 0, 0, 0);
    for round in 0..rounds {
        let invoices = [2 * round + 1, 2 * round + 2].map(|n| format!("INV-{n}"));
        let ids = invoices.each_ref().map(|invoice| billing.approved(&runtime, invoice));
        let script = application(&invoices);
        let (ended, said) = std::thread::scope(|scope| {
            let application = scope.spawn(|| billing.cluster.psql_script(billing.database(), &script));
            std::thread::sleep(Duration::from_millis(random(50)));
            let workers = ids.each_ref().map(|id| billing.start(&runtime, id, false));
            (workers.map(|worker| billing.end(worker)), application.join().unwrap())
        });
        let lines = |word| said.lines().filter(|line| *line == word).count();
        let done = lines("COMMIT");
        assert_eq!(done + lines("ROLLBACK"), 3, "{said}");
        (committed, undone) = (committed + done, undone + 3 - done);
        for (n, mut ended) in ended.into_iter().enumerate() {
            let mut attempts = 1;
            let ending = loop {
                match ended {
                    Ok(done) => break done.ending,
                    Err(error) => {
                        let busy = matches!(error.code(), Code::SourceBusy | Code::TransactionFailed);
                        assert!(busy && attempts < 10, "round {round}, attempt {attempts}: {error:?}");
                    }
                }
                (attempts, again) = (attempts + 1, again + 1);
                ended = billing.end(billing.start(&runtime, &ids[n], false));
            };
            worst = worst.max(attempts);
            let invoice = &invoices[n];
            let row = billing.sql(&format!("SELECT app_counter, updated_at = '2026-06-20 14:31:08.0003+00', late_fee_cents, (SELECT coalesce(string_agg((version = '2026-06-20 14:31:08.0003+00')::text, ','), 'none') FROM effects WHERE invoice_id = '{invoice}') FROM invoices WHERE id = '{invoice}'"));
            let row: Vec<&str> = row[0].split('|').collect();
            assert_eq!(row[0], done.to_string(), "round {round}: an increment was lost: {said}");
            match ending {
                // Once, and on the version that was approved.
                Ending::Applied => assert_eq!(row[2..], ["0", "true"], "round {round}"),
                Ending::Conflict => assert_eq!(row[1..], ["f", "5500", "none"], "round {round}"),
                other => panic!("round {round}: {other:?}"),
            }
            if ending == Ending::Applied { applied += 1 } else { conflicts += 1 }
        }
    }
    // The total counts the application's commits and ours, each once.
    assert_eq!(billing.sql("SELECT n FROM totals"), [(committed + applied).to_string()]);
    billing.each_once(u32::try_from(applied).unwrap());
    billing.verify(&ledger);
    eprintln!(
        "{rounds} rounds: {applied} applied, {conflicts} conflicts, {again} further attempts ({worst} at most); the application committed {committed} and was undone {undone} times"
    );
}

// ---- two ledgers

#[test]
fn two_copies_of_a_ledger_make_one_effect() {
    let rounds = rounds(5, 50);
    let billing = billing!(Cluster::shared(), rounds);
    for round in 1..=rounds {
        let first = billing.ledger(&format!("first-{round}.db"));
        let id = billing.approved(&billing.runtime(&first, &billing.direct()), &format!("INV-{round}"));
        let [from, to] = ["first", "copy"].map(|name| billing.workspace.path(&format!("{name}-{round}")));
        let source = rusqlite::Connection::open(from.with_extension("db")).unwrap();
        source.execute("VACUUM INTO ?1", [to.with_extension("db").to_str().unwrap()]).unwrap();
        std::fs::copy(from.with_extension("key"), to.with_extension("key")).unwrap();
        let copy = billing.ledger(&format!("copy-{round}.db"));
        let both = [&first, &copy].map(|ledger| billing.start(&billing.runtime(ledger, &billing.direct()), &id, false));
        let endings = both.map(|started| billing.end(started).unwrap().ending);
        assert!(endings.contains(&Ending::Applied) && endings.contains(&Ending::AlreadyApplied), "{endings:?}");
        billing.verify(&first);
        billing.verify(&copy);
    }
    billing.each_once(rounds);
}

/// Neither proposal shows or changes a column of the other: only the version tells that the row has moved.
#[test]
fn of_two_changes_to_one_version_the_second_conflicts() {
    let billing = billing!(Cluster::shared(), 10);
    let mut contract: serde_json::Value = serde_json::from_str(&billing.workspace.contract()).unwrap();
    let capabilities = contract["capabilities"].as_array_mut().unwrap();
    let waiver = capabilities.iter_mut().find(|capability| capability["name"] == WAIVER).unwrap();
    waiver["visible_columns"] = json!(["id", "late_fee_cents", "waiver_reason", "updated_at"]);
    let mut status = waiver.clone();
    status["name"] = json!("billing.propose_status");
    status["visible_columns"] = json!(["id", "status", "updated_at"]);
    status["patch"] = json!({ "status": { "from_arg": "reason" } });
    status["allowed_columns"] = json!(["status"]);
    status.as_object_mut().unwrap().remove("numeric_bounds");
    capabilities.push(status);
    billing.workspace.write_contract(&contract.to_string());
    billing.sql(
        "CREATE FUNCTION move() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := OLD.updated_at + interval '1 microsecond'; RETURN NEW; END $$;
         CREATE TRIGGER b_move BEFORE UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION move()",
    );
    let ledgers = ["one.db", "two.db"].map(|name| billing.ledger(name));
    let runtimes = ledgers.each_ref().map(|ledger| billing.runtime(ledger, &billing.direct()));
    for n in 1..=10 {
        let arguments = json!({ "invoice_id": format!("INV-{n}"), "reason": "settled" });
        let ids = [(0, WAIVER), (1, "billing.propose_status")]
            .map(|(n, capability)| billing.approved_as(&runtimes[n], capability, arguments.clone()));
        let mut endings = if n % 2 == 0 {
            [0, 1].map(|n| billing.start(&runtimes[n], &ids[n], false)).map(|started| billing.end(started).unwrap())
        } else {
            [0, 1].map(|n| billing.end(billing.start(&runtimes[n], &ids[n], false)).unwrap())
        };
        endings.sort_by_key(|applied| applied.ending != Ending::Applied);
        assert_eq!([&endings[0].ending, &endings[1].ending], [&Ending::Applied, &Ending::Conflict]);
        let receipt = &endings[1].receipt.as_ref().unwrap().receipt;
        assert_eq!(receipt.safe_error_code.as_deref(), Some("VERSION_CONFLICT"));
    }
    billing.each_once(10);
    ledgers.iter().for_each(|ledger| billing.verify(ledger));
}
