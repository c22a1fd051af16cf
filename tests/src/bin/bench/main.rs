//! `make bench`: the numbers that people rely on, each beside its baseline in the same run.

mod handler;
mod http;
mod ledger;
mod mcp;
mod postgres;
mod propose;
mod worker;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use signoff::Runtime;
use signoff::contract::Contract;
use signoff::ledger::{LedgerOptions, SqliteLedger};
use signoff::primitives::{SystemClock, SystemIds};
use signoff::runtime::{ApplyOptions, Approver, Caller, Environment, Seen};
use signoff_tests::{CONTRACT, Workspace, binary};

const PROPOSALS: u32 = 1_000;
const STARTS: usize = 200;

fn main() {
    // `bench postgres` runs that table alone.
    let only: Option<String> = std::env::args().nth(1);
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    println!("| what | measured | baseline in the same run | ratio or goal |");
    println!("|---|---|---|---|");
    for (name, part) in [("start", start as fn()), ("lifecycle", lifecycle), ("verify", handler::verify)] {
        if wanted(name) {
            part();
        }
    }
    if wanted("propose") {
        propose::run();
    }
    if wanted("handler") {
        handler::run();
    }
    if wanted("worker") {
        worker::run();
    }
    if wanted("http") {
        http::run();
    }
    if wanted("mcp") {
        mcp::run();
    }
    // Minutes, most of them to make it: only if it is asked for.
    if only.as_deref() == Some("ledger") {
        ledger::run();
    }
    if wanted("postgres") {
        postgres::run();
    }
}

/// The median of so many runs of a command, without its output.
fn median(program: &Path, arguments: &[&str]) -> Duration {
    let mut times: Vec<Duration> = (0..STARTS)
        .map(|_| {
            let begun = Instant::now();
            let status = Command::new(program).args(arguments).stdout(Stdio::null()).status().expect("it runs");
            assert!(status.success());
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[STARTS / 2]
}

fn start() {
    let ours = median(&binary("SIGNOFF_RELEASE_BIN", "release/signoff"), &["--version"]);
    let floor = median(Path::new("/bin/true"), &[]);
    let above = ours.saturating_sub(floor);
    println!(
        "| `signoff --version`, median of {STARTS} | {ours:.2?} | `/bin/true` {floor:.2?} | {above:.2?} above; goal ≤ 10 ms |"
    );
}

fn lifecycle() {
    let workspace = Workspace::with_invoices(PROPOSALS);
    let (contract, _) = Contract::parse(CONTRACT).expect("the demo's contract");
    let path = workspace.path("bench.db");
    let ledger = SqliteLedger::open(LedgerOptions::create(&path), &SystemClock, &SystemIds).expect("a ledger");
    let source = workspace.path("billing.db").display().to_string();
    let environment = Environment::new(move |name| match name {
        "BILLING_APP_READ_URL" | "BILLING_APP_WRITE_URL" => Some(source.clone()),
        "SYNAPSOR_TENANT_ID" => Some("acme".to_owned()),
        "SYNAPSOR_PRINCIPAL" => Some("support_agent".to_owned()),
        _ => None,
    });
    let runtime = Runtime::new(Some(contract), Arc::new(ledger)).with_environment(environment);
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_time().build().expect("an async runtime");
    let lead = Approver { id: "dana".to_owned(), roles: vec!["billing_lead".to_owned()], asserted: false };
    let mut spent = [Duration::ZERO; 3];
    tokio.block_on(async {
        for n in 1..=PROPOSALS {
            let arguments = format!(r#"{{"invoice_id":"INV-{n}","reason":"first late payment in six years"}}"#);
            let begun = Instant::now();
            let answer = runtime
                .propose("billing.propose_late_fee_waiver", &arguments, &Caller::FromContract)
                .await
                .expect("proposed");
            spent[0] += begun.elapsed();
            let set = answer.change_set;
            let seen =
                Seen { proposal_id: set.proposal_id.clone(), hash: set.integrity.proposal_hash.clone(), version: 1 };
            let begun = Instant::now();
            runtime.approve(&seen, &lead, Some("within policy".to_owned())).await.expect("approved");
            spent[1] += begun.elapsed();
            let begun = Instant::now();
            runtime.apply(&set.proposal_id, &ApplyOptions::default()).await.expect("applied");
            spent[2] += begun.elapsed();
        }
    });
    assert_eq!(workspace.ask("SELECT count(*) FROM effects"), i64::from(PROPOSALS));
    let commit = bare_commit(&workspace.path("bare.db"));
    let update = bare_update(&workspace);
    let floors = [
        ("propose", commit, "one durable commit", 1),
        ("approve", commit, "one durable commit", 1),
        ("apply", commit * 2 + update, "two durable commits and a bare guarded UPDATE", 1),
    ];
    for ((name, floor, what, _), spent) in floors.into_iter().zip(spent) {
        let each = spent / PROPOSALS;
        println!(
            "| {name}, mean of {PROPOSALS} | {each:.2?} | {what} {floor:.2?} | {:.2} × |",
            each.as_secs_f64() / floor.as_secs_f64()
        );
    }
    let begun = Instant::now();
    let verified = tokio.block_on(runtime.ledger().verify(None, Box::new(|_, _| ()))).expect("it verifies");
    let events = verified.checkpoint.size;
    println!(
        "| `store verify` of {events} events | {:.2?} | | {:.1?} an event |",
        begun.elapsed(),
        begun.elapsed() / u32::try_from(events).expect("a count")
    );
    drop(runtime);
    let empty = std::fs::metadata(empty_ledger(&workspace)).expect("a file").len();
    let full = std::fs::metadata(&path).expect("a file").len();
    let each = (full - empty) as f64 / f64::from(PROPOSALS);
    println!(
        "| ledger bytes per applied demo proposal, after checkpoint | {each:.0} B | empty ledger {empty} B | goal ≤ 6144 B |"
    );
}

fn empty_ledger(workspace: &Workspace) -> std::path::PathBuf {
    let path = workspace.path("empty.db");
    drop(SqliteLedger::open(LedgerOptions::create(&path), &SystemClock, &SystemIds).expect("a ledger"));
    path
}

/// One durable commit of rusqlite with the ledger's settings, and nothing else.
fn bare_commit(path: &Path) -> Duration {
    let connection = rusqlite::Connection::open(path).expect("a file");
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (n INTEGER PRIMARY KEY, document TEXT)").expect("a table");
    let document = "x".repeat(2_000);
    let begun = Instant::now();
    for _ in 0..PROPOSALS {
        connection.execute("INSERT INTO t (document) VALUES (?1)", [&document]).expect("a row");
    }
    begun.elapsed() / PROPOSALS
}

/// One guarded UPDATE of rusqlite on the same source, on an open connection.
fn bare_update(workspace: &Workspace) -> Duration {
    let connection = workspace.app();
    connection.execute_batch("PRAGMA synchronous = FULL").expect("a setting");
    let begun = Instant::now();
    for n in 1..=PROPOSALS {
        let sql = "UPDATE invoices SET late_fee_cents = 7 WHERE id = 'INV-' || ?1 AND tenant_id = 'acme' AND updated_at = '2026-06-20T14:31:08Z'";
        assert_eq!(connection.execute(sql, [n]).expect("an update"), 1);
    }
    begun.elapsed() / PROPOSALS
}
