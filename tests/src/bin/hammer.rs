//! One of several processes that do the same at the same moment: `hammer apply|propose|change FOLDER LEDGER …`.
//!
//! It prepares everything, prints `ready`, and begins when its standard input has a line. It ends by printing what each
//! call answered, as a JSON array.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Barrier};

use serde_json::{Value, json};
use signoff::Runtime;
use signoff::primitives::SystemClock;
use signoff::runtime::{ApplyOptions, Approver, Caller, Ending, Seen};
use signoff_tests::library::{block, ledger, runtime};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let answers = match arguments.as_slice() {
        ["apply", folder, name, id, threads, handles] => {
            apply(Path::new(folder), name, id, threads.parse().expect("threads"), *handles == "shared")
        }
        ["propose", folder, name, first, count] => {
            propose(Path::new(folder), name, first.parse().expect("first"), count.parse().expect("count"))
        }
        ["change", folder, name, first, count] => {
            change(Path::new(folder), name, first.parse().expect("first"), count.parse().expect("count"))
        }
        other => panic!("not a way to hammer: {other:?}"),
    };
    println!("{}", Value::from(answers));
}

/// Where the source is; the one variable stands for both.
fn address() -> String {
    std::env::var("BILLING_APP_WRITE_URL").expect("a source")
}

fn wait_for_the_others() {
    println!("ready");
    std::io::stdout().flush().expect("a reader");
    std::io::stdin().read_exact(&mut [0]).expect("a byte to begin");
}

/// Applies one proposal from so many threads, each with a ledger handle of its own or all with one.
fn apply(folder: &Path, name: &str, id: &str, threads: usize, shared: bool) -> Vec<Value> {
    let one = ledger(folder, name, &SystemClock);
    let runtimes: Vec<Runtime> = (0..threads)
        .map(|_| if shared { Arc::clone(&one) } else { ledger(folder, name, &SystemClock) })
        .map(|ledger| runtime(folder, &address(), ledger, Arc::new(SystemClock)))
        .collect();
    let barrier = Barrier::new(threads + 1);
    std::thread::scope(|scope| {
        let started: Vec<_> = runtimes
            .iter()
            .map(|runtime| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    match block(runtime.apply(id, &ApplyOptions::default())) {
                        Ok(applied) => json!(word(&applied.ending)),
                        Err(error) => json!(error.code()),
                    }
                })
            })
            .collect();
        wait_for_the_others();
        barrier.wait();
        started.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

fn word(ending: &Ending) -> &'static str {
    match ending {
        Ending::Applied => "applied",
        Ending::AlreadyApplied => "already_applied",
        Ending::Conflict => "conflict",
        _ => "another end",
    }
}

/// Proposes a waiver for each of so many invoices.
fn propose(folder: &Path, name: &str, first: u32, count: u32) -> Vec<Value> {
    wait_for_the_others();
    let runtime = runtime(folder, &address(), ledger(folder, name, &SystemClock), Arc::new(SystemClock));
    let call = async |n: u32| {
        let arguments = json!({ "invoice_id": format!("INV-{n}"), "reason": "we were late" }).to_string();
        match runtime.propose("billing.propose_late_fee_waiver", &arguments, &Caller::FromContract).await {
            Ok(answer) => json!({ "id": answer.change_set.proposal_id, "invoice": n, "existing": answer.existing }),
            Err(error) => json!({ "invoice": n, "error": error.code() }),
        }
    };
    block(async {
        let mut answers = Vec::new();
        for n in first..first + count {
            answers.push(call(n).await);
        }
        answers
    })
}

/// Proposes, approves and applies a waiver for each of so many invoices, eight at a time.
fn change(folder: &Path, name: &str, first: u32, count: u32) -> Vec<Value> {
    const HANDS: u32 = 8;
    let runtime = runtime(folder, &address(), ledger(folder, name, &SystemClock), Arc::new(SystemClock));
    wait_for_the_others();
    block(async {
        let hand = |hand: u32| {
            let runtime = runtime.clone();
            tokio::spawn(async move {
                let mut answers = Vec::new();
                for n in (first + hand..first + count).step_by(HANDS as usize) {
                    answers.push(match change_one(&runtime, n).await {
                        Ok(ending) => json!(word(&ending)),
                        Err(error) => json!(error.code()),
                    });
                }
                answers
            })
        };
        let hands: Vec<_> = (0..HANDS).map(hand).collect();
        let mut answers = Vec::new();
        for hand in hands {
            answers.extend(hand.await.expect("no panic"));
        }
        answers
    })
}

async fn change_one(runtime: &Runtime, n: u32) -> signoff::Result<Ending> {
    let arguments = json!({ "invoice_id": format!("INV-{n}"), "reason": "we were late" }).to_string();
    let set = runtime.propose("billing.propose_late_fee_waiver", &arguments, &Caller::FromContract).await?.change_set;
    let seen = Seen { proposal_id: set.proposal_id, hash: set.integrity.proposal_hash, version: 1 };
    let lead = Approver { id: "dana".to_owned(), roles: vec!["billing_lead".to_owned()], asserted: false };
    runtime.approve(&seen, &lead, None).await?;
    Ok(runtime.apply(&seen.proposal_id, &ApplyOptions::default()).await?.ending)
}
