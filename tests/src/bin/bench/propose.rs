//! Proposals a second with several callers in one process, beside the driver alone writing the very same rows: in commits
//! as large as ours were on average, and one commit each.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::types::Value;
use signoff::primitives::SystemClock;
use signoff::runtime::{ApplyOptions, Approver, Caller, Seen};
use signoff_tests::Workspace;
use signoff_tests::library::{ledger, runtime};

const EACH: u32 = 2_000;
const CPU: u32 = 500;

pub fn run() {
    for in_flight in [1_usize, 16, 64] {
        at(in_flight);
    }
    cpu();
}

fn at(in_flight: usize) {
    let workspace = Workspace::with_invoices(EACH);
    let folder = workspace.path("");
    let clock = Arc::new(SystemClock);
    let ledger = ledger(&folder, "ledger.db", &*clock);
    let runtime = runtime(&folder, &workspace.source.address(), Arc::clone(&ledger), clock);
    let before = ledger.commits();
    let begun = Instant::now();
    tokio().block_on(async {
        let next = Arc::new(AtomicU32::new(1));
        let callers: Vec<_> = (0..in_flight)
            .map(|_| {
                let (runtime, next) = (runtime.clone(), Arc::clone(&next));
                tokio::spawn(async move {
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n > EACH {
                            return;
                        }
                        let arguments = format!(r#"{{"invoice_id":"INV-{n}","reason":"first late payment"}}"#);
                        let capability = "billing.propose_late_fee_waiver";
                        runtime.propose(capability, &arguments, &Caller::FromContract).await.expect("proposed");
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.expect("a caller");
        }
    });
    let ours = begun.elapsed();
    let batch = f64::from(EACH) / (ledger.commits() - before) as f64;
    drop((runtime, ledger));
    let rows = Rows::of(&folder.join("ledger.db"));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 64")]
    let alike = rows.written(&workspace.path("alike.db"), batch.round() as usize);
    let alone = rows.written(&workspace.path("alone.db"), 1);
    let rate = |time: Duration| f64::from(EACH) / time.as_secs_f64();
    println!(
        "| propose, {in_flight} in flight | {:.0} /s, {batch:.1} a commit | rusqlite, the same rows, as many a commit {:.0} /s | {:.2} ×; goal ≥ 0.4 |",
        rate(ours),
        rate(alike),
        rate(ours) / rate(alike)
    );
    println!(
        "| propose, {in_flight} in flight | {:.0} /s | rusqlite, the same rows, one commit each {:.0} /s | {:.2} ×{} |",
        rate(ours),
        rate(alone),
        rate(ours) / rate(alone),
        if in_flight > 1 { "; goal ≥ 2" } else { "" }
    );
}

/// The rows of one table, under the event they were written with.
type Written = BTreeMap<i64, Vec<Vec<Value>>>;

/// What the ledger wrote, table by table.
struct Rows {
    schema: Vec<String>,
    tables: Vec<(String, Written)>,
}

impl Rows {
    fn of(path: &Path) -> Self {
        let ledger = Connection::open(path).expect("the ledger");
        let list = |sql: &str| -> Vec<String> {
            let mut statement = ledger.prepare(sql).expect("the schema");
            let rows = statement.query_map([], |row| row.get(0)).expect("the schema");
            rows.map(|row| row.expect("a text")).collect()
        };
        let schema = list("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'");
        let names = list("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'");
        let tables = names
            .into_iter()
            .filter_map(|name| {
                // Tables without a seq are written once, or once a commit.
                let mut statement = ledger.prepare(&format!("SELECT * FROM {name} ORDER BY seq")).ok()?;
                let seq = statement.column_index("seq").ok()?;
                let width = statement.column_count();
                let mut by_seq = Written::new();
                let mut rows = statement.query([]).expect("rows");
                while let Some(row) = rows.next().expect("a row") {
                    let values = (0..width).map(|index| row.get(index).expect("a value")).collect();
                    by_seq.entry(row.get(seq).expect("a number")).or_default().push(values);
                }
                Some((name, by_seq))
            })
            .collect();
        Self { schema, tables }
    }

    /// Writes them into a new file with the ledger's settings, so many events a commit.
    fn written(&self, path: &Path, batch: usize) -> Duration {
        let connection = Connection::open(path).expect("a file");
        connection
            .execute_batch("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
            .expect("settings");
        for sql in &self.schema {
            connection.execute_batch(sql).expect("the ledger's schema");
        }
        connection.execute_batch("CREATE TABLE tip (n INTEGER)").expect("a table");
        connection.execute_batch("INSERT INTO tip VALUES (0)").expect("a row");
        let events = &self.tables.iter().find(|(name, _)| name == "events").expect("events").1;
        let seqs: Vec<i64> = events.keys().copied().collect();
        let begun = Instant::now();
        for batch in seqs.chunks(batch.max(1)) {
            connection.prepare_cached("BEGIN IMMEDIATE").and_then(|mut s| s.execute([])).expect("begun");
            for seq in batch {
                for (name, by_seq) in &self.tables {
                    for values in by_seq.get(seq).into_iter().flatten() {
                        let holes = vec!["?"; values.len()].join(", ");
                        let mut insert = connection
                            .prepare_cached(&format!("INSERT INTO {name} VALUES ({holes})"))
                            .expect("an INSERT");
                        insert.execute(rusqlite::params_from_iter(values)).expect("a row");
                    }
                }
                connection.prepare_cached("UPDATE tip SET n = ?1").and_then(|mut s| s.execute([seq])).expect("the tip");
            }
            connection.prepare_cached("COMMIT").and_then(|mut s| s.execute([])).expect("committed");
        }
        begun.elapsed()
    }
}

/// CPU time of the whole process, per call, one call after another.
fn cpu() {
    let workspace = Workspace::with_invoices(CPU);
    let folder = workspace.path("");
    let clock = Arc::new(SystemClock);
    let runtime =
        runtime(&folder, &workspace.source.address(), ledger(&folder, "ledger.db", &*clock), Arc::clone(&clock) as _);
    let lead = Approver { id: "dana".to_owned(), roles: vec!["billing_lead".to_owned()], asserted: false };
    let mut spent = [Duration::ZERO; 4];
    tokio().block_on(async {
        let mut seen = Vec::new();
        let begun = cpu_time();
        for n in 1..=CPU {
            let arguments = format!(r#"{{"invoice_id":"INV-{n}","reason":"first late payment"}}"#);
            let capability = "billing.propose_late_fee_waiver";
            let set =
                runtime.propose(capability, &arguments, &Caller::FromContract).await.expect("proposed").change_set;
            seen.push(Seen { proposal_id: set.proposal_id, hash: set.integrity.proposal_hash, version: 1 });
        }
        spent[0] = cpu_time() - begun;
        let begun = cpu_time();
        for seen in &seen {
            runtime.approve(seen, &lead, None).await.expect("approved");
        }
        spent[1] = cpu_time() - begun;
        let begun = cpu_time();
        for seen in &seen {
            runtime.apply(&seen.proposal_id, &ApplyOptions::default()).await.expect("applied");
        }
        spent[2] = cpu_time() - begun;
        let begun = cpu_time();
        for seen in &seen {
            runtime.replay(&seen.proposal_id).await.expect("replayed");
        }
        spent[3] = cpu_time() - begun;
    });
    for (name, spent) in ["propose", "approve", "apply", "replay"].into_iter().zip(spent) {
        println!("| CPU of one {name}, kernel included, mean of {CPU} | {:.0?} | | |", spent / CPU);
    }
}

/// User and system time of this process (proc(5): clock ticks, a hundred a second).
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().map(|at| fields[*at].parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(ticks * 10)
}

fn tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_time().build().expect("an async runtime")
}
