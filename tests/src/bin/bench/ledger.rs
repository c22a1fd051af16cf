//! Large ledgers: how long a page takes, first and last, and what a verification costs. `SIGNOFF_PROPOSALS` sets the size.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use signoff::Runtime;
use signoff::ledger::{Cursor, Filter, LedgerOptions, List, PageRequest, SqliteLedger};
use signoff::primitives::{SystemClock, SystemIds};
use signoff::protocol::{ReceiptStatus, State};
use signoff_tests::binary;
use signoff_tests::scale::{Template, fill};

const LOOKS: usize = 15;

pub fn run() {
    let proposals = std::env::var("SIGNOFF_PROPOSALS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let folder = tempfile::tempdir().expect("a folder");
    // A ledger that was made before can be measured again.
    let kept = std::env::var_os("SIGNOFF_LEDGER").map(PathBuf::from);
    let path = kept.unwrap_or_else(|| folder.path().join("large.db"));
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("an async runtime");
    if !path.exists() {
        let begun = Instant::now();
        let template = tokio.block_on(Template::new());
        let ledger = open(&path);
        tokio.block_on(fill(&ledger, &template, 0, proposals));
        println!("| a ledger of {proposals} proposals, made | {:.1?} | | |", begun.elapsed());
    }
    let runtime = Runtime::new(None, open(&path));
    let size = tokio.block_on(runtime.ledger().size()).expect("a size");
    for (name, list, filter) in lists() {
        let first = median(|| tokio.block_on(page(&runtime, list, &filter, None)));
        // The last page: just above the oldest that there is.
        let oldest = Some(Cursor { list, seq: oldest(&tokio, &runtime, list, &filter) });
        let last = median(|| tokio.block_on(page(&runtime, list, &filter, oldest)));
        println!(
            "| {name}, first page of 20 of {size} events | {first:.2?} | last page {last:.2?} | goal ≤ 20 ms, and no slower |"
        );
    }
    drop(runtime);
    verify(&path, size);
}

fn open(path: &Path) -> Arc<SqliteLedger> {
    Arc::new(SqliteLedger::open(LedgerOptions::create(path), &SystemClock, &SystemIds).expect("a ledger"))
}

fn lists() -> Vec<(&'static str, List, Filter)> {
    let text = |text: &str| Some(text.to_owned());
    let none = Filter::default;
    let some_time = signoff::primitives::Instant::from_unix(signoff_tests::scale::BEGINNING + 50);
    vec![
        ("proposals", List::Proposals, none()),
        ("proposals of a tenant", List::Proposals, Filter { tenant: text("tenant_3"), ..none() }),
        ("proposals pending", List::Proposals, Filter { state: Some(State::PendingReview), ..none() }),
        ("proposals of one object", List::Proposals, Filter { object_id: text("INV-77"), ..none() }),
        (
            "proposals of tenant, principal, capability and state",
            List::Proposals,
            Filter {
                tenant: text("tenant_4"),
                principal: text("agent_1"),
                capability: text("billing.propose_late_fee_waiver"),
                state: Some(State::Applied),
                ..none()
            },
        ),
        ("proposals before an early time", List::Proposals, Filter { to: some_time, ..none() }),
        // A tenant's rest modulo ten and a principal's modulo three meet; states and tenants of this kind do not.
        (
            "proposals that nothing matches, of two common words",
            List::Proposals,
            Filter { tenant: text("tenant_1"), state: Some(State::Rejected), ..none() },
        ),
        ("evidence", List::Evidence, none()),
        ("evidence of a tenant", List::Evidence, Filter { tenant: text("tenant_3"), ..none() }),
        ("query audit", List::QueryAudit, none()),
        ("query audit of an object", List::QueryAudit, Filter { object_id: text("INV-77"), ..none() }),
        ("receipts", List::Receipts, none()),
        ("receipts of conflicts", List::Receipts, Filter { status: Some(ReceiptStatus::Conflict), ..none() }),
        ("replays", List::Replays, none()),
        ("events", List::Events, none()),
        (
            "events of an actor and a kind",
            List::Events,
            Filter { actor: text("dana"), kind: text("proposal_approved"), ..none() },
        ),
        (
            "activity about an object",
            List::Activity,
            Filter { object_type: text("invoice"), object_id: text("INV-77"), ..none() },
        ),
        ("activity of a tenant", List::Activity, Filter { tenant: text("tenant_3"), ..none() }),
    ]
}

/// Answers how many items there were, and the cursor behind.
async fn page(runtime: &Runtime, list: List, filter: &Filter, after: Option<Cursor>) -> (usize, Option<Cursor>) {
    let request = PageRequest { limit: 20, after };
    macro_rules! of {
        ($call:ident) => {{
            let page = runtime.$call(filter, &request).await.expect("a page");
            (page.items.len(), page.next)
        }};
    }
    match list {
        List::Proposals => of!(proposals),
        List::Evidence => of!(evidence),
        List::QueryAudit => of!(query_audit),
        List::Receipts => of!(receipts),
        List::Replays => of!(replays),
        List::Events => of!(events),
        _ => of!(activity),
    }
}

/// A cursor from which the last page is answered: the lowest from which there is a whole one, or the lowest of all.
fn oldest(tokio: &tokio::runtime::Runtime, runtime: &Runtime, list: List, filter: &Filter) -> u64 {
    let mut below = 64;
    let size = tokio.block_on(runtime.ledger().size()).expect("a size");
    while below < size {
        let cursor = Some(Cursor { list, seq: below });
        if tokio.block_on(page(runtime, list, filter, cursor)).0 == 20 {
            break;
        }
        below *= 2;
    }
    below
}

fn median<T>(mut look: impl FnMut() -> T) -> Duration {
    let mut times: Vec<Duration> = (0..LOOKS)
        .map(|_| {
            let begun = Instant::now();
            look();
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[LOOKS / 2]
}

/// In a process of its own, whose memory the kernel counts.
fn verify(path: &Path, events: u64) {
    let program = binary("SIGNOFF_RELEASE_BIN", "release/signoff");
    let begun = Instant::now();
    let mut child = Command::new(program)
        .args(["store", "verify", "--store"])
        .arg(path)
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0_u64;
    while child.try_wait().expect("it runs").is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        peak = peak.max(kilobytes.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(5));
    }
    let spent = begun.elapsed();
    assert!(child.wait().expect("it ended").success(), "it verifies");
    let each = spent.as_secs_f64() * 1e6 / events as f64;
    let bytes = std::fs::metadata(path).expect("a file").len();
    println!(
        "| `store verify` of {events} events, {} MiB | {spent:.2?} | peak memory {} MiB, goal ≤ 60 | {each:.1} µs an event; goal 5 |",
        bytes >> 20,
        peak >> 10
    );
}
