//! The whole lifecycle on a real Postgres server that loses answers, dies, and is written to by others. Effects are
//! counted by triggers; the application's side goes through `psql`.

#[path = "../postgres_support/mod.rs"]
mod postgres_support;
mod proxy;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use postgres_support::Cluster;
use proxy::{Fault, Proxy};
use serde_json::json;
use signoff::contract::Contract;
use signoff::ledger::SqliteLedger;
use signoff::primitives::{SystemClock, SystemIds};
use signoff::protocol::State;
use signoff::runtime::{Applied, ApplyOptions, Approver, Caller, Ending, Environment, Seen, migrate_receipts};
use signoff::{Result, Runtime};
use signoff_tests::{CONTRACT, library, rounds};

const WAIVER: &str = "billing.propose_late_fee_waiver";

const TABLES: &str = "
CREATE TABLE invoices (
  id text PRIMARY KEY, tenant_id text NOT NULL, customer_id text NOT NULL, status text NOT NULL, balance_cents integer NOT NULL,
  late_fee_cents integer NOT NULL, waiver_reason text, credit_requested_cents integer NOT NULL DEFAULT 0, credit_reason text,
  app_counter integer NOT NULL DEFAULT 0, updated_at timestamptz NOT NULL
);
CREATE TABLE executions (id text NOT NULL);
CREATE TABLE effects (id text NOT NULL, version text NOT NULL);
CREATE FUNCTION count_execution() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO executions VALUES (NEW.id); RETURN NEW; END $$;
CREATE FUNCTION count_effect() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO effects VALUES (NEW.id, OLD.updated_at::text); RETURN NULL; END $$;
CREATE TRIGGER a_count BEFORE UPDATE OF late_fee_cents, waiver_reason, status ON invoices FOR EACH ROW EXECUTE FUNCTION count_execution();
CREATE TRIGGER a_count_after AFTER UPDATE ON invoices FOR EACH ROW WHEN
  ((OLD.late_fee_cents, OLD.waiver_reason, OLD.status) IS DISTINCT FROM (NEW.late_fee_cents, NEW.waiver_reason, NEW.status)) EXECUTE FUNCTION count_effect();
";

/// A billing database with so many invoices, a contract, and a folder for ledgers.
struct Billing {
    cluster: &'static Cluster,
    database: String,
    folder: tempfile::TempDir,
    contract: String,
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
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let billing = Self {
            cluster,
            database: format!("billing_{}", NEXT.fetch_add(1, Ordering::Relaxed)),
            folder: tempfile::tempdir().unwrap(),
            contract: CONTRACT
                .replace(r#""engine": "sqlite""#, r#""engine": "postgres""#)
                .replace(r#""main""#, r#""public""#),
            tokio: tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
        };
        cluster.psql("postgres", &format!("CREATE DATABASE {}", billing.database)).unwrap();
        billing.sql(TABLES);
        billing.sql(&format!(
            "INSERT INTO invoices (id, tenant_id, customer_id, status, balance_cents, late_fee_cents, updated_at)
             SELECT 'INV-' || n, 'acme', 'cust_1', 'overdue', 25500, 5500, '2026-06-20 14:31:08.000300+00' FROM generate_series(1, {invoices}) AS n"
        ));
        let contract = Contract::parse(&billing.contract).unwrap().0;
        let environment = environment(billing.direct());
        assert!(!billing.tokio.block_on(migrate_receipts(&contract, &environment, "billing_db")).unwrap().is_empty());
        billing
    }

    fn direct(&self) -> String {
        self.cluster.address("postgres", &self.database)
    }

    fn proxy(&self) -> (Proxy, String) {
        let proxy = Proxy::new(self.cluster.socket());
        let address = proxy.address("postgres", &self.database);
        (proxy, address)
    }

    fn sql(&self, sql: &str) -> Vec<String> {
        self.cluster.psql(&self.database, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    fn ledger(&self, name: &str) -> Arc<SqliteLedger> {
        library::ledger(self.folder.path(), name, &SystemClock)
    }

    /// A runtime on this ledger whose source is at this address.
    fn runtime(&self, ledger: &Arc<SqliteLedger>, address: &str) -> Runtime {
        let contract = Contract::parse(&self.contract).unwrap_or_else(|found| panic!("{found:?}")).0;
        Runtime::new(Some(contract), Arc::<SqliteLedger>::clone(ledger))
            .with_environment(environment(address.to_owned()))
            .with_clock(Arc::new(SystemClock), Arc::new(SystemIds))
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
        assert_eq!(self.sql("SELECT id FROM effects ORDER BY 1"), self.sql("SELECT id FROM executions ORDER BY 1"));
        let mut effects = BTreeMap::new();
        for invoice in self.sql("SELECT id FROM effects") {
            *effects.entry(invoice).or_default() += 1;
        }
        effects
    }

    fn verify(&self, ledger: &Arc<SqliteLedger>) {
        let runtime = self.runtime(ledger, &self.direct());
        self.tokio.block_on(runtime.ledger().verify(None, Box::new(|_, _| ()))).unwrap();
    }
}

fn environment(address: String) -> Environment {
    Environment::new(move |name| match name {
        "BILLING_APP_READ_URL" | "BILLING_APP_WRITE_URL" => Some(address.clone()),
        "SYNAPSOR_TENANT_ID" => Some("acme".to_owned()),
        "SYNAPSOR_PRINCIPAL" => Some("support_agent".to_owned()),
        _ => None,
    })
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
                while billing.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()").is_empty() {
                    assert!(!resumed.is_finished(), "it did not wait");
                }
                blocked += 1;
            } else {
                std::thread::sleep(std::time::Duration::from_millis(random(20)));
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
    let effects = billing.effects();
    assert_eq!(effects.len(), rounds as usize);
    assert!(effects.values().all(|count| *count == 1), "{effects:?}");
    assert_eq!(billing.sql("SELECT DISTINCT late_fee_cents, waiver_reason FROM invoices"), ["0|we were late"]);
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
