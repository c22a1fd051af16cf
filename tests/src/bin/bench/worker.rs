//! A worker's throughput on SQLite, beside the loop that one writes by hand: a table of jobs, a claim, the guarded UPDATE
//! with a receipt in its transaction, and done. Both keep as much: three durable commits each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::json;
use signoff::Runtime;
use signoff::ledger::{Filter, Ledger as _, PageRequest};
use signoff::primitives::SystemClock;
use signoff::protocol::State;
use signoff::runtime::{ApplyOptions, Approver, Caller, Ending, Seen, Worker, WorkerOptions};
use signoff_tests::Workspace;
use signoff_tests::library::{ledger, runtime};

const JOBS: u32 = 1_000;

pub(crate) fn run() {
    println!("\n| worker on SQLite, {JOBS} jobs | in flight | a second | beside the loop by hand |");
    println!("|---|---|---|---|");
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("tokio");
    let hand = by_hand();
    println!("| by hand: claim, UPDATE and receipt, done | 1 | {:.0} | |", rate(hand));
    let row = |what: &str, at_once: usize, took: Duration| {
        println!("| {what} | {at_once} | {:.0} | {:.2} × |", rate(took), hand.as_secs_f64() / took.as_secs_f64());
    };
    let (workspace, runtime) = tokio.block_on(approved());
    row("`apply` in a loop", 1, tokio.block_on(in_a_loop(&runtime)));
    check(&workspace);
    for at_once in [1, 4, 16] {
        let (workspace, runtime) = tokio.block_on(approved());
        let mut options = WorkerOptions::default();
        options.once = true;
        options.concurrency = at_once;
        let worker = Worker::new(runtime, options).expect("a worker");
        let begun = Instant::now();
        let summary = tokio.block_on(worker.run(std::future::pending(), |_| ())).expect("it works");
        assert_eq!(summary.ended, u64::from(JOBS));
        row("`Worker`", at_once, begun.elapsed());
        check(&workspace);
    }
    let idle = tokio.block_on(async {
        let workspace = Workspace::new();
        let shared = ledger(&workspace.path(""), "ledger.db", &SystemClock);
        let begun = Instant::now();
        for _ in 0..1_000 {
            shared.size().await.expect("a number");
        }
        begun.elapsed() / 1_000
    });
    println!("\nAn idle worker looks {idle:.1?} long each time, once a second unless `--poll-ms` says otherwise.");
}

fn rate(took: Duration) -> f64 {
    f64::from(JOBS) / took.as_secs_f64()
}

fn check(workspace: &Workspace) {
    assert_eq!(workspace.ask("SELECT count(*) FROM effects"), i64::from(JOBS));
}

async fn approved() -> (Workspace, Runtime) {
    let workspace = Workspace::with_invoices(JOBS);
    let shared = ledger(&workspace.path(""), "ledger.db", &SystemClock);
    let runtime = runtime(&workspace.path(""), &workspace.source.address(), shared, Arc::new(SystemClock));
    let lead = Approver { id: "dana".to_owned(), roles: vec!["billing_lead".to_owned()], asserted: false };
    for n in 1..=JOBS {
        let arguments = json!({ "invoice_id": format!("INV-{n}"), "reason": "we were late" }).to_string();
        let made = runtime.propose("billing.propose_late_fee_waiver", &arguments, &Caller::FromContract).await;
        let set = made.expect("proposed").change_set;
        let seen = Seen { proposal_id: set.proposal_id, hash: set.integrity.proposal_hash, version: 1 };
        runtime.approve(&seen, &lead, None).await.expect("approved");
    }
    (workspace, runtime)
}

async fn in_a_loop(runtime: &Runtime) -> Duration {
    let filter = Filter { state: Some(State::Approved), ..Filter::default() };
    let begun = Instant::now();
    loop {
        let page = runtime.proposals(&filter, &PageRequest::first(200)).await.expect("a page");
        if page.items.is_empty() {
            return begun.elapsed();
        }
        for proposal in page.items {
            let applied = runtime.apply(&proposal.proposal_id, &ApplyOptions::default()).await.expect("applied");
            assert_eq!(applied.ending, Ending::Applied);
        }
    }
}

/// Jobs in a file of their own, as the ledger is, with the settings of both files.
fn by_hand() -> Duration {
    let workspace = Workspace::with_invoices(JOBS);
    let durable = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;";
    let jobs = Connection::open(workspace.path("jobs.db")).expect("a file");
    jobs.execute_batch(&format!("{durable} CREATE TABLE jobs (id INTEGER PRIMARY KEY, invoice TEXT NOT NULL, state TEXT NOT NULL, attempt INTEGER NOT NULL DEFAULT 0, lease TEXT); CREATE INDEX by_state ON jobs (state, id);")).expect("a table");
    for n in 1..=JOBS {
        jobs.execute("INSERT INTO jobs (invoice, state) VALUES ('INV-' || ?1, 'approved')", [n]).expect("a job");
    }
    let source = workspace.app();
    source
        .execute_batch(&format!(
            "{durable} CREATE TABLE receipts_by_hand (key TEXT PRIMARY KEY, receipt TEXT NOT NULL)"
        ))
        .expect("a table");
    let claim = "UPDATE jobs SET state = 'pending_worker', attempt = attempt + 1, lease = datetime('now', '+5 minutes') WHERE id = (SELECT id FROM jobs WHERE state = 'approved' ORDER BY id LIMIT 1) RETURNING id, invoice";
    let update = "UPDATE invoices SET late_fee_cents = 0, waiver_reason = 'we were late' WHERE id = ?1 AND tenant_id = 'acme' AND updated_at = '2026-06-20T14:31:08Z'";
    let begun = Instant::now();
    for _ in 0..JOBS {
        let (id, invoice): (i64, String) = jobs
            .prepare_cached(claim)
            .and_then(|mut claim| claim.query_row([], |row| Ok((row.get(0)?, row.get(1)?))))
            .expect("a job");
        source.execute_batch("BEGIN IMMEDIATE").expect("begun");
        source
            .prepare_cached("INSERT INTO receipts_by_hand VALUES (?1, ?2)")
            .and_then(|mut insert| insert.execute((id.to_string(), "{\"status\":\"applied\"}")))
            .expect("a receipt");
        assert_eq!(
            source.prepare_cached(update).and_then(|mut update| update.execute([&invoice])).expect("an update"),
            1
        );
        source.execute_batch("COMMIT").expect("committed");
        jobs.prepare_cached(
            "UPDATE jobs SET state = 'applied', lease = NULL WHERE id = ?1 AND state = 'pending_worker'",
        )
        .and_then(|mut done| done.execute([id]))
        .expect("done");
    }
    let took = begun.elapsed();
    check(&workspace);
    took
}
