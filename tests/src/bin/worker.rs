//! A worker in a process of its own: `worker FOLDER LEDGER CONCURRENCY AHEAD before|after|open [once]`.
//!
//! Its clock is AHEAD seconds fast. It prints a line for whatever it does, and `waiting` for each job that reached its gate;
//! a line on standard input lets one through. SIGTERM drains it.

use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use signoff::database::{Database, PostgresDatabase, SqliteDatabase};
use signoff::primitives::{Clock, Instant, Secret, SystemClock};
use signoff::runtime::{Report, Worker, WorkerOptions};
use signoff_tests::gate::{Gated, Stop};
use signoff_tests::library::{ledger, runtime};

#[derive(Debug)]
struct Fast(Duration);

impl Clock for Fast {
    fn now(&self) -> Instant {
        SystemClock.now().plus(self.0)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [folder, name, concurrency, ahead, gate, rest @ ..] = arguments.as_slice() else {
        panic!("not a worker: {arguments:?}")
    };
    let folder = Path::new(folder);
    let address = std::env::var("BILLING_APP_WRITE_URL").expect("a source");
    let clock = Arc::new(Fast(Duration::from_secs(ahead.parse().expect("seconds"))));
    let mut runtime = runtime(folder, &address, ledger(folder, name, &SystemClock), clock);
    if *gate != "open" {
        let stop = if *gate == "before" { Stop::Before } else { Stop::After };
        let secret = Secret::new(address.clone());
        let database: Arc<dyn Database> = if address.starts_with("postgres") {
            Arc::new(PostgresDatabase::open("billing_db", "TEST", &secret, None).expect("a source"))
        } else {
            Arc::new(SqliteDatabase::open("billing_db", "TEST", &secret, None).expect("a source"))
        };
        let (gated, mut reached) = Gated::new(database, stop);
        let permits = Arc::clone(&gated.gate);
        std::thread::spawn(move || {
            for _ in std::io::stdin().lock().lines() {
                permits.add_permits(1);
            }
        });
        tokio::spawn(async move {
            while reached.recv().await.is_some() {
                say("waiting");
            }
        });
        let source = runtime.contract().expect("a contract").sources.keys().next().expect("a source").clone();
        runtime = runtime.with_database(&source, gated);
    }
    let mut options = WorkerOptions::default();
    options.concurrency = concurrency.parse().expect("a number");
    options.lease = Duration::from_secs(15);
    options.poll = Duration::from_millis(250);
    options.once = rest == ["once"];
    let mut terminated =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).expect("a signal handler");
    let stop = async move {
        terminated.recv().await;
    };
    let worker = Worker::new(runtime, options).expect("a worker");
    let summary = worker.run(stop, |report| match report {
        Report::Begun { proposal_id } => say(&format!("begun {proposal_id}")),
        Report::Ended { proposal_id, result, next, .. } => {
            let how =
                result.as_ref().as_ref().map_or_else(|error| error.code().to_string(), |a| format!("{:?}", a.ending));
            say(&format!("ended {proposal_id} {how} {next:?}"));
        }
        Report::Draining { running } => say(&format!("draining {running}")),
        other => say(&format!("{other:?}")),
    });
    let summary = summary.await.expect("it works");
    say(&format!("stopped {} {}", summary.attempts, summary.ended));
}

fn say(line: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("a reader");
}
