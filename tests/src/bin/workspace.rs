//! A folder with a contract, a source with counters and so many invoices, for tests in other languages:
//! `workspace INVOICES`. It prints `{"folder", "address"}`; each line on standard input is answered by a line. A line is SQL:
//! the rows of a SELECT are a JSON array of texts, anything else is `[]`. Or it is `PROPOSE FIRST COUNT`, for benches: so many
//! waivers are proposed from here, one after the other, and the seconds that took are the answer. When standard input
//! ends, the folder goes.

use std::io::{BufRead as _, Write as _};
use std::time::Instant;

use serde_json::{Value, json};
use signoff::ffi::{ConfigSource, Open, Session};
use signoff::runtime::Caller;
use signoff_tests::Workspace;
use tokio::runtime::{Builder, Runtime};

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).expect("how many invoices");
    let workspace = Workspace::with_invoices(count);
    let folder = workspace.path("").display().to_string();
    say(&json!({ "folder": folder.trim_end_matches('/'), "address": workspace.source.address() }));
    let mut own = None;
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("text");
        let words: Vec<&str> = line.split(' ').collect();
        say(&match words.as_slice() {
            ["PROPOSE", first, count] => {
                let (session, runtime) = own.get_or_insert_with(|| (open(&workspace), runtime()));
                let first: u32 = first.parse().expect("a number");
                json!(proposing(session, runtime, first..first + count.parse::<u32>().expect("a number")))
            }
            _ if line.trim_start().to_ascii_uppercase().starts_with("SELECT") => json!(workspace.source.rows(&line)),
            _ => {
                workspace.sql(&line);
                json!([])
            }
        });
    }
}

fn say(answer: &Value) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{answer}").and_then(|()| out.flush()).expect("somebody reads");
}

/// A session with a ledger of its own.
fn open(workspace: &Workspace) -> Session {
    let address = workspace.source.address();
    Session::open(Open {
        config: Some(ConfigSource::Path(workspace.path("signoff.json").display().to_string())),
        ledger: Some(workspace.path("rust.db").display().to_string()),
        create: true,
        environment: [("BILLING_APP_READ_URL".to_owned(), address)].into(),
        testing: None,
    })
    .expect("a session")
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

fn proposing(session: &Session, runtime: &Runtime, invoices: std::ops::Range<u32>) -> f64 {
    let caller = Caller::trusted("acme", "support_agent");
    let begun = Instant::now();
    runtime.block_on(async {
        for invoice in invoices {
            let arguments = json!({ "invoice_id": format!("INV-{invoice}"), "reason": "we were late" }).to_string();
            let capability = "billing.propose_late_fee_waiver";
            let answer = session.runtime().propose(capability, &arguments, &caller).await.expect("a proposal");
            assert!(!answer.existing, "each is measured once");
        }
    });
    begun.elapsed().as_secs_f64()
}
