//! What a guard costs on Postgres: the same UPDATE bare, in a transaction written by hand, through our guard, and through
//! a whole apply with its ledger; from pools of the same size, on rows of the same table, in the same run.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as Moment};

use signoff::Runtime;
use signoff::contract::Contract;
use signoff::database::{Database, PostgresDatabase, ScopedRead};
use signoff::guard::{GuardJob, Outcome};
use signoff::ledger::{LedgerOptions, SqliteLedger};
use signoff::primitives::{Identifier, Scalar, SystemClock, SystemIds};
use signoff::runtime::{ApplyOptions, Approver, Caller, Ending, Environment, Seen};
use signoff_tests::CONTRACT;
use signoff_tests::cluster::Cluster;
use signoff_tests::shop::postgres::{Server, open, receipts};
use signoff_tests::shop::{job_by, name};
use sqlx::postgres::{PgPool, PgPoolOptions};

/// Changes at each level of each way.
const CHANGES: usize = 1_500;
const LEVELS: [usize; 3] = [1, 16, 64];
/// Connections of every pool.
pub(crate) const CONNECTIONS: u32 = 16;

const TABLES: &str = "
CREATE TABLE invoices (
  id text PRIMARY KEY, tenant_id text NOT NULL, customer_id text NOT NULL, status text NOT NULL, balance_cents integer NOT NULL,
  late_fee_cents integer NOT NULL, waiver_reason text, credit_requested_cents integer NOT NULL DEFAULT 0, credit_reason text,
  app_counter integer NOT NULL DEFAULT 0, updated_at timestamptz NOT NULL
);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := clock_timestamp(); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TABLE receipts_by_hand (tenant_id text NOT NULL, idempotency_key text NOT NULL, status text NOT NULL, receipt_json text NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (tenant_id, idempotency_key));
";

const UPDATE: &str = "UPDATE invoices SET late_fee_cents = $1, waiver_reason = $2 WHERE id = $3 AND tenant_id = $4 AND updated_at = $5::timestamptz";
const VERSION: &str = "2026-06-20T14:31:08.000300+00:00";

/// Runs every row of the table.
pub(crate) fn run() {
    let Some(cluster) = Cluster::shared() else { return };
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("tokio");
    let rows = CHANGES * LEVELS.len() * 4;
    cluster.psql("postgres", "CREATE DATABASE bench").expect("a database");
    cluster.psql("bench", TABLES).expect("tables");
    cluster.psql("bench", &format!("INSERT INTO invoices (id, tenant_id, customer_id, status, balance_cents, late_fee_cents, updated_at) SELECT 'INV-' || n, 'acme', 'cust_1', 'overdue', 25500, 5500, '{VERSION}' FROM generate_series(1, {rows}) AS n; ANALYZE")).expect("rows");
    let address = cluster.address("postgres", "bench");
    println!("\n| Postgres, {CHANGES} changes each | in flight | a second | p50 | p99 | ratio | goal |");
    println!("|---|---|---|---|---|---|---|");
    tokio.block_on(async {
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(&address).await.expect("a pool");
        let ours = open(&address).expect("an address");
        ours.migrate_receipts(receipts()).await.expect("a receipts table");
        let mut next = 0;
        let mut invoices = || -> VecDeque<String> {
            next += CHANGES;
            (next - CHANGES + 1..=next).map(|n| format!("INV-{n}")).collect()
        };
        for level in LEVELS {
            let bare = measure(level, invoices(), |id| bare(pool.clone(), id)).await;
            let by_hand = measure(level, invoices(), |id| by_hand(pool.clone(), id)).await;
            let jobs = jobs(&ours, invoices()).await;
            let guarded = measure(level, jobs, |job| guarded(ours.clone(), job)).await;
            let (runtime, ids) = approved(&address, invoices()).await;
            let applied = measure(level, ids, |id| applied(Arc::clone(&runtime), id)).await;
            let floor = by_hand.rate();
            bare.print("(a) a bare guarded UPDATE", level, floor, "");
            by_hand.print("(b) H: BEGIN, guarded UPDATE, INSERT of a receipt, COMMIT, by hand", level, floor, "");
            guarded.print("(c) our guard", level, floor, if level == 16 { "≥ 0.6 H" } else { "" });
            applied.print(
                "(d) a whole apply, with its ledger",
                level,
                floor,
                if level == 16 { "≥ 0.35 H" } else { "" },
            );
        }
    });
    println!("\nResident memory of this process after all of it: {}.", resident());
}

pub(crate) struct Measured {
    took: Duration,
    each: Vec<Duration>,
}

impl Measured {
    pub(crate) fn rate(&self) -> f64 {
        self.each.len() as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn print(&self, what: &str, level: usize, floor: f64, goal: &str) {
        let at = |share: usize| self.each[(self.each.len() - 1) * share / 100];
        println!(
            "| {what} | {level} | {:.0} | {:.2?} | {:.2?} | {:.2} H | {goal} |",
            self.rate(),
            at(50),
            at(99),
            self.rate() / floor
        );
    }
}

/// Runs the work on every item, so many at once.
pub(crate) async fn measure<T, F>(level: usize, items: VecDeque<T>, work: impl Fn(T) -> F) -> Measured
where
    T: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let mut items: VecDeque<F> = items.into_iter().map(work).collect();
    // Connections and plans are warm in every pool before the clock runs.
    let warm: Vec<_> = items.drain(..CONNECTIONS as usize * 2).map(tokio::spawn).collect();
    for task in warm {
        task.await.expect("it ran");
    }
    let items = Arc::new(Mutex::new(items));
    let begun = Moment::now();
    let tasks: Vec<_> = (0..level)
        .map(|_| {
            let items = Arc::clone(&items);
            tokio::spawn(async move {
                let mut each = Vec::new();
                loop {
                    let Some(work) = items.lock().expect("no panic").pop_front() else { return each };
                    let begun = Moment::now();
                    work.await;
                    each.push(begun.elapsed());
                }
            })
        })
        .collect();
    let mut each = Vec::new();
    for task in tasks {
        each.extend(task.await.expect("it ran"));
    }
    let took = begun.elapsed();
    each.sort();
    Measured { took, each }
}

async fn bare(pool: PgPool, id: String) {
    let query = sqlx::query(UPDATE).bind(0).bind("goodwill").bind(&id).bind("acme").bind(VERSION);
    assert_eq!(query.execute(&pool).await.expect("an update").rows_affected(), 1);
}

async fn by_hand(pool: PgPool, id: String) {
    let mut transaction = pool.begin().await.expect("BEGIN");
    let query = sqlx::query(UPDATE).bind(0).bind("goodwill").bind(&id).bind("acme").bind(VERSION);
    assert_eq!(query.execute(&mut *transaction).await.expect("an update").rows_affected(), 1);
    let sql = "INSERT INTO receipts_by_hand (tenant_id, idempotency_key, status, receipt_json) VALUES ($1, $2, $3, $4)";
    let receipt =
        format!(r#"{{"status":"applied","invoice":"{id}","rows_affected":1,"previous_version":"{VERSION}"}}"#);
    let query = sqlx::query(sql).bind("acme").bind(&id).bind("applied").bind(receipt);
    query.execute(&mut *transaction).await.expect("a receipt");
    transaction.commit().await.expect("COMMIT");
}

async fn jobs(database: &PostgresDatabase, invoices: VecDeque<String>) -> VecDeque<GuardJob> {
    let columns: Vec<Identifier> =
        ["id", "tenant_id", "status", "late_fee_cents", "waiver_reason", "updated_at"].map(name).to_vec();
    let mut jobs = VecDeque::new();
    for id in invoices {
        let read = ScopedRead {
            schema: name("public"),
            table: name("invoices"),
            key_column: name("id"),
            key_value: id.clone(),
            tenant: Some((name("tenant_id"), "acme".to_owned())),
            columns: columns.clone(),
            patch: BTreeMap::from([
                (name("late_fee_cents"), Scalar::Int(0)),
                (name("waiver_reason"), Scalar::Text("goodwill".to_owned())),
            ]),
        };
        let row = database.read(read).await.expect("a read").expect("a row");
        let mut job = job_by::<Server>("acme", &row, "updated_at");
        job.table = name("invoices");
        job.proposal_id = format!("wrp_{id}");
        job.idempotency_key = format!("wrp_{id}:{id}");
        jobs.push_back(job);
    }
    jobs
}

async fn guarded(database: PostgresDatabase, job: GuardJob) {
    let outcome = database.run(job, None).await.expect("it ran");
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
}

/// A runtime with a ledger of its own, in which a change of each invoice is approved.
async fn approved(address: &str, invoices: VecDeque<String>) -> (Arc<Runtime>, VecDeque<String>) {
    let folder = tempfile::tempdir().expect("a folder").keep();
    let config =
        CONTRACT.replace(r#""engine": "sqlite""#, r#""engine": "postgres""#).replace(r#""main""#, r#""public""#);
    let (contract, _) = Contract::parse(&config).expect("the demo's contract");
    let ledger = SqliteLedger::open(LedgerOptions::create(folder.join("ledger.db")), &SystemClock, &SystemIds);
    let source = address.to_owned();
    let environment = Environment::new(move |name| match name {
        "BILLING_APP_READ_URL" | "BILLING_APP_WRITE_URL" => Some(source.clone()),
        "SYNAPSOR_TENANT_ID" => Some("acme".to_owned()),
        "SYNAPSOR_PRINCIPAL" => Some("support_agent".to_owned()),
        _ => None,
    });
    let runtime = Runtime::new(Some(contract), Arc::new(ledger.expect("a ledger"))).with_environment(environment);
    let lead = Approver { id: "dana".to_owned(), roles: vec!["billing_lead".to_owned()], asserted: false };
    let mut ids = VecDeque::new();
    for id in invoices {
        let arguments = format!(r#"{{"invoice_id":"{id}","reason":"goodwill"}}"#);
        let answer = runtime.propose("billing.propose_late_fee_waiver", &arguments, &Caller::FromContract).await;
        let set = answer.expect("proposed").change_set;
        let seen = Seen { proposal_id: set.proposal_id.clone(), hash: set.integrity.proposal_hash.clone(), version: 1 };
        runtime.approve(&seen, &lead, None).await.expect("approved");
        ids.push_back(set.proposal_id);
    }
    (Arc::new(runtime), ids)
}

async fn applied(runtime: Arc<Runtime>, id: String) {
    let applied = runtime.apply(&id, &ApplyOptions::default()).await.expect("applied");
    assert!(matches!(applied.ending, Ending::Applied), "{:?}", applied.ending);
}

/// The resident set, as the kernel tells it.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("unknown").trim().to_owned()
}
