//! Workers: several at once, killed, overtaken, told to stop. Effects are counted by a trigger.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use signoff::Code;
use signoff::ledger::{Filter, Ledger as _, PageRequest};
use signoff::primitives::{Clock, Instant, SystemClock};
use signoff::runtime::{ApplyOptions, Approver, Caller, Ending, Next, Report, Seen, Worker, WorkerOptions};
use signoff_tests::gate::{Gated, Stop};
use signoff_tests::library::{block, ledger, runtime};
use signoff_tests::{Engine, Workspace, on_each_engine, rounds};

on_each_engine!(
    killed_while_it_waits_another_takes_over,
    two_workers_on_one_ledger_make_each_effect_once,
    an_attempt_whose_lease_lapsed_cannot_record,
    a_long_attempt_renews_its_lease,
    told_to_stop_it_finishes_what_it_began,
    of_two_changes_to_one_row_the_older_goes_first,
);

/// A worker in a process of its own, and what it says.
struct Hand {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Hand {
    fn start(workspace: &Workspace, arguments: &[&str]) -> Self {
        let folder = workspace.path("").display().to_string();
        let mut command = workspace.command_of(env!("CARGO_BIN_EXE_worker").as_ref());
        command.arg(folder).arg("ledger.db").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a worker starts");
        let out = BufReader::new(child.stdout.take().expect("its output"));
        Self { child, out }
    }

    /// Its next line that begins so; what comes before it is passed over.
    fn until(&mut self, beginning: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.out.read_line(&mut line).expect("a line") > 0, "it ended before it said {beginning}");
            if line.starts_with(beginning) {
                return line.trim_end().to_owned();
            }
        }
    }

    fn let_one_pass(&mut self) {
        self.child.stdin.as_mut().expect("its input").write_all(b"\n").expect("it reads");
    }

    /// Everything else that it says, once it has ended by itself.
    fn end(mut self) -> Vec<String> {
        let lines: Vec<String> = self.out.by_ref().lines().map(|line| line.expect("a line")).collect();
        assert!(self.child.wait().expect("it ends").success(), "{lines:?}");
        lines
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(status.expect("kill runs").success());
}

/// Proposes and approves a waiver of each invoice, in this process: a command for each would take long.
fn approve_all(workspace: &Workspace, invoices: impl Iterator<Item = u32>) -> HashMap<String, String> {
    let folder = workspace.path("");
    let runtime = runtime(
        &folder,
        &workspace.source.address(),
        ledger(&folder, "ledger.db", &SystemClock),
        Arc::new(SystemClock),
    );
    let lead = Approver { id: "dana".to_owned(), roles: vec!["billing_lead".to_owned()], asserted: true };
    block(async {
        let mut ids = HashMap::new();
        for n in invoices {
            let invoice = format!("INV-{n}");
            let arguments = json!({ "invoice_id": invoice, "reason": "we were late" }).to_string();
            let answer = runtime
                .propose("billing.propose_late_fee_waiver", &arguments, &Caller::FromContract)
                .await
                .expect("a proposal");
            let set = answer.change_set;
            let seen = Seen { proposal_id: set.proposal_id.clone(), hash: set.integrity.proposal_hash, version: 1 };
            runtime.approve(&seen, &lead, None).await.expect("approved");
            ids.insert(invoice, set.proposal_id);
        }
        ids
    })
}

fn verify(workspace: &Workspace) {
    workspace.run(["store", "verify"]).expect(0);
}

fn killed_while_it_waits_another_takes_over(engine: Engine) {
    let rounds = rounds(2, 10);
    for (gate, landed, then) in [("before", 0, "Applied"), ("after", 1, "AlreadyApplied")] {
        let workspace = Workspace::with_invoices_on(engine, rounds);
        for n in 1..=rounds {
            let invoice = format!("INV-{n}");
            let id = approve_all(&workspace, n..=n)[&invoice].clone();
            let mut first = Hand::start(&workspace, &["2", "0", gate]);
            first.until("waiting");
            assert_eq!((workspace.state(&id), workspace.effects(&invoice)), ("pending_worker".to_owned(), landed));
            // While the lease holds, the others leave it alone, dead or alive.
            let idle = |told: &str| {
                let said = Hand::start(&workspace, &["2", "0", "open", "once"]).end();
                assert_eq!(said, ["stopped 0 0"], "{told}");
            };
            idle("the first one lives");
            signal(&first.child, "KILL");
            first.child.wait().expect("it is dead");
            idle("its lease holds");
            // Two whose clocks say that it is over: one of them takes it.
            let mut others = [(); 2].map(|()| Hand::start(&workspace, &["2", "16", "open", "once"]));
            let said: Vec<String> =
                others.iter_mut().flat_map(|hand| hand.out.by_ref().lines().map(Result::unwrap)).collect();
            let done = said.iter().filter(|line| line.contains(" Done")).count();
            assert!(said.iter().any(|line| line.ends_with(&format!("{then} Done"))), "{gate}: {said:?}");
            assert!(done >= 1, "{said:?}");
            assert_eq!((workspace.effects(&invoice), workspace.executions(&invoice)), (1, 1), "{gate}");
            assert_eq!(workspace.state(&id), "applied");
        }
        verify(&workspace);
    }
}

fn two_workers_on_one_ledger_make_each_effect_once(engine: Engine) {
    let jobs = rounds(100, 1000);
    let workspace = Workspace::with_invoices_on(engine, jobs);
    approve_all(&workspace, 1..=jobs);
    let begun = std::time::Instant::now();
    let mut ended = 0;
    // A busy source may leave something for another pass: 1 and 5 say so.
    for pass in 1.. {
        let workers: Vec<Child> = (1..=2)
            .map(|n| {
                let runner = format!("worker_{n}");
                workspace.start(["worker", "run", "--once", "--concurrency", "8", "--runner", &runner])
            })
            .collect();
        let mut left = false;
        for worker in workers {
            let output = worker.wait_with_output().expect("it ends");
            let log = String::from_utf8_lossy(&output.stderr).into_owned();
            for line in log.lines() {
                let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("not a line of JSON: {line}"));
                assert!(line["level"].is_string() && line["message"].is_string() && line["meta"].is_object(), "{line}");
                if line["level"] != "info" {
                    eprintln!("{line}");
                }
            }
            assert!(matches!(output.status.code(), Some(0 | 1 | 5)), "{log}");
            left |= !output.status.success();
            let said: Value = serde_json::from_slice(&output.stdout).expect("an answer");
            ended += said["ended"].as_u64().expect("a number");
            eprintln!("{jobs} jobs on {engine:?}, pass {pass}, {:.1?}: {said}", begun.elapsed());
        }
        if !left {
            break;
        }
        assert!(pass < 10, "it does not come to an end");
    }
    // What one of them did, the other does not count.
    assert_eq!(ended, u64::from(jobs));
    let number = |sql: &str| workspace.ask(sql);
    assert_eq!(number("SELECT count(*) FROM effects"), i64::from(jobs));
    assert_eq!(number("SELECT count(*) FROM executions"), i64::from(jobs));
    assert_eq!(number("SELECT count(DISTINCT invoice_id) FROM effects"), i64::from(jobs));
    let ledger = workspace.intruder("ledger.db");
    let applied: i64 = ledger
        .query_row("SELECT count(*) FROM standings WHERE state = 'applied'", [], |row| row.get(0))
        .expect("a number");
    assert_eq!(applied, i64::from(jobs));
    // Each was begun once, unless an attempt ended without an answer.
    let claims = "SELECT count(*), count(DISTINCT subject) FROM events WHERE kind = 'proposal_pending_worker'";
    let claims: (i64, i64) = ledger.query_row(claims, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("numbers");
    let unsettled = "SELECT count(*) FROM events WHERE kind IN ('proposal_released', 'writeback_outcome_unknown')";
    let unsettled: i64 = ledger.query_row(unsettled, [], |row| row.get(0)).expect("a number");
    assert_eq!((claims.0 - unsettled, claims.1), (i64::from(jobs), i64::from(jobs)));
    drop(ledger);
    verify(&workspace);
}

/// A clock that a test moves.
#[derive(Debug)]
struct Moved(Mutex<Instant>);

impl Moved {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(SystemClock.now())))
    }

    fn forward(&self, seconds: u64) {
        let mut now = self.0.lock().expect("no panic");
        *now = now.plus(Duration::from_secs(seconds));
    }
}

impl Clock for Moved {
    fn now(&self) -> Instant {
        *self.0.lock().expect("no panic")
    }
}

fn short_lease() -> ApplyOptions {
    let mut options = ApplyOptions::default();
    options.lease = Duration::from_secs(15);
    options
}

/// The change lands, and the worker is told of it only when its lease is over: overtaken or not, it records nothing.
fn an_attempt_whose_lease_lapsed_cannot_record(engine: Engine) {
    let workspace = Workspace::with_invoices_on(engine, 2);
    let ids = approve_all(&workspace, 1..=2);
    let (folder, address) = (workspace.path(""), workspace.source.address());
    for (invoice, overtaken) in [("INV-1", false), ("INV-2", true)] {
        let id = &ids[invoice];
        block(async {
            let clock = Moved::new();
            let shared = ledger(&folder, "ledger.db", &SystemClock);
            let plain = runtime(&folder, &address, Arc::clone(&shared), clock.clone());
            let (gated, mut reached) = Gated::new(workspace.source.database(), Stop::After);
            let source = plain.contract().unwrap().sources.keys().next().unwrap().clone();
            let slow = plain.clone().with_database(&source, gated.clone());
            let first = tokio::spawn({
                let id = id.clone();
                async move { slow.apply(&id, &short_lease()).await }
            });
            reached.recv().await.expect("it landed");
            assert_eq!(plain.apply(id, &short_lease()).await.unwrap_err().code(), Code::AttemptInFlight);
            clock.forward(15);
            if overtaken {
                assert_eq!(plain.apply(id, &short_lease()).await.unwrap().ending, Ending::AlreadyApplied);
            }
            let events = shared.size().await.unwrap();
            gated.gate.add_permits(1);
            match first.await.unwrap() {
                // It ended meanwhile, and not by this one.
                Ok(stored) => assert!(overtaken && stored.ending == Ending::AlreadyApplied, "{stored:?}"),
                Err(error) => assert!(!overtaken && error.code() == Code::FencingTokenStale, "{error}"),
            }
            assert_eq!(shared.size().await.unwrap(), events, "nothing was recorded");
            let record = shared.load(id).await.unwrap();
            assert_eq!(record.receipts.len(), usize::from(overtaken));
            if !overtaken {
                assert_eq!(record.state.as_str(), "pending_worker");
                assert_eq!(plain.apply(id, &short_lease()).await.unwrap().ending, Ending::AlreadyApplied);
            }
        });
        assert_eq!((workspace.effects(invoice), workspace.executions(invoice)), (1, 1));
    }
    verify(&workspace);
}

/// Time passes for timers whenever nothing else happens, so a lease is renewed as soon as its attempt waits.
fn a_long_attempt_renews_its_lease(engine: Engine) {
    let workspace = Workspace::with_invoices_on(engine, 1);
    let id = approve_all(&workspace, 1..=1)["INV-1"].clone();
    let (folder, address) = (workspace.path(""), workspace.source.address());
    block(async {
        let clock = Moved::new();
        let shared = ledger(&folder, "ledger.db", &SystemClock);
        let plain = runtime(&folder, &address, Arc::clone(&shared), clock.clone());
        let (gated, mut reached) = Gated::new(workspace.source.database(), Stop::After);
        let source = plain.contract().unwrap().sources.keys().next().unwrap().clone();
        let slow = plain.clone().with_database(&source, gated.clone());
        let attempt = tokio::spawn({
            let id = id.clone();
            async move { slow.apply(&id, &short_lease()).await }
        });
        reached.recv().await.expect("it landed");
        tokio::time::pause();
        // Three thirds of a lease, and more: without a renewal it would be over.
        for _ in 0..4 {
            let before = shared.load(&id).await.unwrap().standing.lease_expires_at.unwrap();
            clock.forward(6);
            let expected = clock.now().plus(Duration::from_secs(15));
            let mut size = 0;
            loop {
                let standing = shared.load(&id).await.unwrap().standing;
                assert_eq!(standing.attempt, 1);
                if standing.lease_expires_at == Some(expected) {
                    break;
                }
                size = shared.changed(size, Duration::from_secs(1)).await.unwrap();
            }
            assert!(before < expected);
        }
        tokio::time::resume();
        assert_eq!(plain.apply(&id, &short_lease()).await.unwrap_err().code(), Code::AttemptInFlight);
        gated.gate.add_permits(1);
        assert_eq!(attempt.await.unwrap().unwrap().ending, Ending::Applied);
        let record = shared.load(&id).await.unwrap();
        let renewals = record.events.iter().filter(|event| event.kind == "writeback_lease_renewed").count();
        assert!(renewals >= 4, "{renewals}");
        assert_eq!((record.state.as_str(), record.receipts.len()), ("applied", 1));
    });
    assert_eq!((workspace.effects("INV-1"), workspace.executions("INV-1")), (1, 1));
    verify(&workspace);
}

fn told_to_stop_it_finishes_what_it_began(engine: Engine) {
    let workspace = Workspace::with_invoices_on(engine, 3);
    let ids = approve_all(&workspace, 1..=3);
    let mut worker = Hand::start(&workspace, &["2", "0", "before"]);
    worker.until("waiting");
    worker.until("waiting");
    signal(&worker.child, "TERM");
    assert_eq!(worker.until("draining"), "draining 2");
    worker.let_one_pass();
    assert!(worker.until("ended").ends_with("Applied Done"));
    worker.let_one_pass();
    let said = worker.end();
    assert!(said[0].ends_with("Applied Done") && said[1] == "stopped 2 2" && said.len() == 2, "{said:?}");
    assert_eq!(workspace.state(&ids["INV-3"]), "approved", "nothing new was begun");
    assert_eq!(workspace.ask("SELECT count(*) FROM effects"), 2);
    verify(&workspace);
}

/// Through two capabilities, one row has two approved changes.
fn of_two_changes_to_one_row_the_older_goes_first(engine: Engine) {
    let rounds = rounds(5, 50);
    let workspace = Workspace::with_invoices_on(engine, rounds);
    let mut contract: Value = serde_json::from_str(&workspace.contract()).expect("a contract");
    let capabilities = contract["capabilities"].as_array_mut().expect("capabilities");
    let waiver = capabilities.iter().find(|one| one["name"] == "billing.propose_late_fee_waiver").expect("it is there");
    let mut other = waiver.clone();
    other["name"] = json!("billing.propose_other_waiver");
    capabilities.push(other);
    workspace.write_contract(&contract.to_string());
    for n in 1..=rounds {
        let older = approve_all(&workspace, n..=n)[&format!("INV-{n}")].clone();
        let arguments = json!({ "invoice_id": format!("INV-{n}"), "reason": "another reason" }).to_string();
        let made = workspace.json(["propose", "billing.propose_other_waiver", "--json", &arguments]).expect(0);
        let newer = signoff_tests::proposal_id(&made.json());
        workspace.run(["proposals", "approve", &newer, "--yes", "--actor", "dana"]).expect(0);
        let ran = workspace.json(["apply", "--all-approved", "--concurrency", "8"]).expect(3).json();
        assert_eq!(ran["endings"], json!({ "applied": 1, "conflict": 1 }), "{ran}");
        assert_eq!((workspace.state(&older), workspace.state(&newer)), ("applied".to_owned(), "conflict".to_owned()));
        assert_eq!(workspace.effects(&format!("INV-{n}")), 1);
    }
    verify(&workspace);
}

/// One cannot succeed, one is a conflict: the others land, each is told of, and the exit code is the worst.
#[test]
fn a_poisoned_change_stops_no_other() {
    let workspace = Workspace::with_invoices(12);
    let ids = approve_all(&workspace, 1..=12);
    workspace.sql(
        "CREATE TRIGGER poison BEFORE UPDATE ON invoices WHEN old.id = 'INV-3' BEGIN SELECT RAISE(ABORT, 'no'); END;
         UPDATE invoices SET updated_at = '2026-07-01T00:00:00Z' WHERE id = 'INV-4'; DELETE FROM executions; DELETE FROM effects;",
    );
    let ran = workspace.json(["apply", "--all-approved", "--concurrency", "3"]).expect(1).json();
    assert_eq!(ran["endings"], json!({ "SOURCE_REJECTED": 1, "applied": 10, "conflict": 1 }), "{ran}");
    assert_eq!(ran["results"].as_array().map(Vec::len), Some(12));
    assert_eq!(workspace.state(&ids["INV-3"]), "approved");
    assert_eq!(workspace.ask("SELECT count(*) FROM effects"), 10);
    let table = workspace.run(["apply", "--all-approved"]).expect(1).out;
    assert!(table.starts_with("PROPOSAL") && table.contains("SOURCE_REJECTED"), "{table}");
    workspace.sql("DROP TRIGGER poison");
    let last = workspace.json(["apply", "--all-approved"]).expect(0).json();
    assert_eq!(last["endings"], json!({ "applied": 1 }));
    assert_eq!(workspace.json(["apply", "--all-approved"]).expect(0).json()["results"], json!([]));
    verify(&workspace);
}

/// What cannot succeed is not tried again and again, whatever else happens; what may is, later each time.
#[test]
fn what_failed_waits_or_is_left_alone() {
    let workspace = Workspace::with_invoices(6);
    let ids = approve_all(&workspace, 1..=3);
    workspace.sql(
        "CREATE TRIGGER poison BEFORE UPDATE ON invoices WHEN old.id = 'INV-1' BEGIN SELECT RAISE(ABORT, 'no'); END;",
    );
    let (folder, address) = (workspace.path(""), workspace.source.address());
    let shared = ledger(&folder, "ledger.db", &SystemClock);
    let runtime = runtime(&folder, &address, Arc::clone(&shared), Arc::new(SystemClock));
    block(async {
        let worker = Worker::new(runtime.clone(), WorkerOptions::default()).unwrap();
        let (done, stop) = tokio::sync::oneshot::channel::<()>();
        let mut done = Some(done);
        let mut tried: HashMap<String, Vec<Next>> = HashMap::new();
        let others = tokio::task::spawn_blocking({
            let workspace_ids = (4..=6).collect::<Vec<u32>>();
            move || workspace_ids
        });
        let stop = async move {
            let _ = stop.await;
        };
        let more = async {
            // In this process, so it hears of them at once.
            for n in others.await.unwrap() {
                let arguments = json!({ "invoice_id": format!("INV-{n}"), "reason": "we were late" }).to_string();
                let set = runtime
                    .propose("billing.propose_late_fee_waiver", &arguments, &Caller::FromContract)
                    .await
                    .unwrap()
                    .change_set;
                let seen = Seen { proposal_id: set.proposal_id, hash: set.integrity.proposal_hash, version: 1 };
                let lead = Approver { id: "dana".to_owned(), roles: vec!["billing_lead".to_owned()], asserted: true };
                runtime.approve(&seen, &lead, None).await.unwrap();
            }
        };
        let mut landed = 0;
        let work = worker.run(stop, |report| {
            if let Report::Ended { proposal_id, next, .. } = report {
                landed += u32::from(next == Next::Done);
                tried.entry(proposal_id).or_default().push(next);
                if landed == 5 {
                    drop(done.take());
                }
            }
        });
        let (summary, ()) = tokio::join!(work, more);
        assert_eq!(summary.unwrap().ended, 5);
        assert_eq!(tried[&ids["INV-1"]], [Next::Parked], "tried once");
    });
    assert_eq!(workspace.ask("SELECT count(*) FROM effects"), 5);
}

/// Lines of a log as they come.
struct Lines(BufReader<std::process::ChildStderr>);

impl Lines {
    fn until(&mut self, message: &str) -> Value {
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).expect("a line") > 0, "it ended before it said {message}");
            let value: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
            if value["message"] == message {
                return value;
            }
        }
    }
}

fn run_worker(workspace: &Workspace, arguments: &[&str]) -> (Child, Lines) {
    let mut child = workspace.start(["worker", "run", "--poll-ms", "250"].into_iter().chain(arguments.iter().copied()));
    let lines = Lines(BufReader::new(child.stderr.take().expect("its log")));
    (child, lines)
}

#[test]
fn it_waits_for_what_another_process_approves_and_ends_when_told() {
    let workspace = Workspace::with_invoices(2);
    let first = workspace.approved("INV-1", "we were late");
    let (mut worker, mut log) = run_worker(&workspace, &["--runner", "night_shift"]);
    log.until("worker started");
    let applied = log.until("applied");
    assert_eq!(
        (applied["level"].as_str(), applied["meta"]["proposal_id"].as_str()),
        (Some("info"), Some(first.as_str()))
    );
    assert!(applied["meta"]["attempt"] == 1 && applied["meta"]["duration_ms"].is_f64(), "{applied}");
    let second = workspace.approved("INV-2", "we were late");
    assert_eq!(log.until("applied")["meta"]["proposal_id"], json!(second));
    signal(&worker, "TERM");
    log.until("worker stopped");
    assert_eq!(worker.wait().expect("it ends").code(), Some(0));
    let shown = workspace.json(["proposals", "show", &second]).expect(0).json();
    assert_eq!(shown["receipts"][0]["receipt"]["runner_id"], "night_shift");
    assert_eq!(workspace.ask("SELECT count(*) FROM effects"), 2);
    verify(&workspace);
}

/// The source is locked by the application, and has time: the attempt waits.
#[test]
fn a_second_signal_ends_it_at_once_and_nothing_is_lost() {
    let workspace = Workspace::with_invoices(1);
    let id = workspace.approved("INV-1", "we were late");
    let mut contract: Value = serde_json::from_str(&workspace.contract()).expect("a contract");
    for (_, source) in contract["sources"].as_object_mut().expect("sources") {
        source["statement_timeout_ms"] = json!(60_000);
    }
    workspace.write_contract(&contract.to_string());
    let held = workspace.source.hold("UPDATE invoices SET customer_id = customer_id WHERE id = 'nobody'");
    let (mut worker, mut log) = run_worker(&workspace, &[]);
    log.until("attempt begun");
    signal(&worker, "INT");
    assert_eq!(log.until("draining")["meta"]["running"], 1);
    signal(&worker, "TERM");
    assert_eq!(worker.wait().expect("it ends").code(), Some(143));
    held.commit();
    assert_eq!(workspace.effects("INV-1"), 0);
    let resumed = workspace.json(["apply", &id, "--resume"]).expect(0).json();
    assert_eq!((resumed["status"].as_str(), workspace.effects("INV-1")), (Some("applied"), 1));
    verify(&workspace);
}

/// A pipe holds a few hundred lines. Were it waited for, changes would stand still in the middle of their transactions.
#[test]
fn a_log_that_nobody_reads_holds_up_no_change() {
    const JOBS: u32 = 300;
    let workspace = Workspace::with_invoices(JOBS);
    approve_all(&workspace, 1..=JOBS);
    let worker = workspace.start(["worker", "run", "--once"]);
    let begun = std::time::Instant::now();
    while workspace.ask("SELECT count(*) FROM effects") < i64::from(JOBS) {
        assert!(begun.elapsed() < Duration::from_secs(180), "it waits for a reader");
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = worker.wait_with_output().expect("it ends");
    let lines = String::from_utf8_lossy(&output.stderr).lines().count();
    assert!(output.status.success() && output.stderr.len() > 1 << 16);
    assert_eq!(lines, 2 * JOBS as usize + 2, "each begun and ended, and the worker itself");
}

/// With real clocks: fifteen seconds are the shortest lease, and what this test lasts.
#[test]
fn a_command_takes_over_when_the_lease_is_really_over() {
    let workspace = Workspace::with_invoices(1);
    let id = workspace.approved("INV-1", "we were late");
    let mut first = Hand::start(&workspace, &["1", "0", "after"]);
    first.until("waiting");
    let (mut worker, mut log) = run_worker(&workspace, &[]);
    log.until("worker started");
    signal(&first.child, "KILL");
    assert_eq!(log.until("already_applied")["meta"]["proposal_id"], json!(id));
    signal(&worker, "TERM");
    assert_eq!(worker.wait().expect("it ends").code(), Some(0));
    assert_eq!((workspace.effects("INV-1"), workspace.executions("INV-1")), (1, 1));
}

/// A renewal is a step of the ledger like any other: it belongs to the present attempt, and only lengthens.
#[test]
fn renewals_stand_in_the_chain() {
    let workspace = Workspace::with_invoices(1);
    let id = workspace.approved("INV-1", "we were late");
    let shared = ledger(&workspace.path(""), "ledger.db", &SystemClock);
    block(async {
        use signoff::ledger::{Advance, Standing};
        use signoff::protocol::Event;
        let record = shared.load(&id).await.unwrap();
        let now = SystemClock.now();
        let end = now.plus(Duration::from_secs(15));
        let step = |event, expected_seq, attempt, lease_expires_at, at| Advance {
            proposal_id: id.clone(),
            expected_seq,
            event,
            actor: "one".to_owned(),
            at,
            standing: Standing { attempt, lease_expires_at, ..record.standing.clone() },
            decision: None,
            job: None,
            receipt: None,
            receipts_in: None,
            human: None,
        };
        let early = shared.advance(step(Event::Renew, record.last_seq, 0, Some(end), now)).await.unwrap_err();
        assert_eq!(early.code(), Code::TransitionNotAllowed, "only what is under way has a lease");
        let claim = shared.advance(step(Event::Claim, record.last_seq, 1, Some(end), now)).await.unwrap().unwrap().seq;
        let later = end.plus(Duration::from_secs(1));
        assert!(
            shared.advance(step(Event::Renew, claim, 2, Some(later), now)).await.unwrap().is_none(),
            "another attempt"
        );
        assert!(shared.advance(step(Event::Renew, claim, 1, Some(later), end)).await.unwrap().is_none(), "too late");
        assert!(shared.advance(step(Event::Renew, claim, 1, Some(now), now)).await.is_err(), "shorter");
        let renewed = shared.advance(step(Event::Renew, claim, 1, Some(later), now)).await.unwrap().unwrap();
        assert_eq!(renewed.state.as_str(), "pending_worker");
        assert!(shared.advance(step(Event::Lost, claim, 1, None, now)).await.unwrap().is_none(), "it has moved");
        assert!(shared.advance(step(Event::Lost, renewed.seq, 1, None, later)).await.unwrap().is_none(), "lapsed");
        assert!(
            shared.advance(step(Event::Lost, renewed.seq, 1, None, end)).await.unwrap().is_some(),
            "it was renewed"
        );
        let kinds =
            shared.events(Filter { proposal: Some(id.clone()), ..Filter::default() }, PageRequest::first(10)).await;
        assert!(kinds.unwrap().items.iter().any(|event| event.kind == "writeback_lease_renewed"));
    });
    drop(shared);
    verify(&workspace);
}
