//! The process is killed at every numbered point of propose, approve and apply, and somebody finishes what it began.
//!
//! The points are in a build with the feature `fault-injection` only; that build kills itself with SIGKILL where
//! `SIGNOFF_FAULT_AT` says. That it died of the signal is asserted each time, so a point that is gone is noticed.

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use signoff_tests::{Engine, Ran, Workspace, binary, on_each_engine, proposal_id, rounds, skip};

on_each_engine!(killed_while_proposing, killed_while_approving, killed_while_applying, killed_while_rehearsing,);

/// The points of one ledger transaction, and whether its step is durable afterwards.
const LEDGER: [(&str, bool); 5] = [
    ("fault:ledger.begin", false),
    ("fault:ledger.rows", false),
    ("fault:ledger.event", false),
    ("fault:ledger.commit", false),
    ("fault:ledger.committed", true),
];

/// The points of an apply in the order in which they are passed: the state it leaves, and whether the change landed.
const APPLY: [(&str, &str, i64); 21] = [
    ("fault:ledger.begin#1", "approved", 0),
    ("fault:ledger.rows#1", "approved", 0),
    ("fault:ledger.event#1", "approved", 0),
    ("fault:ledger.commit#1", "approved", 0),
    ("fault:ledger.committed#1", "pending_worker", 0),
    ("fault:apply.intent", "pending_worker", 0),
    ("fault:guard.begin", "pending_worker", 0),
    ("fault:guard.claim", "pending_worker", 0),
    ("fault:guard.read#1", "pending_worker", 0),
    ("fault:guard.effect", "pending_worker", 0),
    ("fault:guard.read#2", "pending_worker", 0),
    ("fault:guard.finish", "pending_worker", 0),
    ("fault:guard.commit", "pending_worker", 0),
    ("fault:guard.committed", "pending_worker", 1),
    ("fault:apply.effect", "pending_worker", 1),
    ("fault:ledger.begin#2", "pending_worker", 1),
    ("fault:ledger.rows#2", "pending_worker", 1),
    ("fault:ledger.event#2", "pending_worker", 1),
    ("fault:ledger.commit#2", "pending_worker", 1),
    ("fault:ledger.committed#2", "applied", 1),
    ("fault:apply.recorded", "applied", 1),
];

/// The points that an apply passes on this engine: on Postgres what is read comes with what is claimed and written.
fn apply_points(engine: Engine) -> impl Iterator<Item = (&'static str, &'static str, i64)> {
    let passed = move |point: &str| engine == Engine::Sqlite || !point.starts_with("fault:guard.read");
    APPLY.into_iter().filter(move |(point, ..)| passed(point))
}

fn fault_binary() -> std::path::PathBuf {
    binary("SIGNOFF_FAULT_BIN", "fault/debug/signoff")
}

/// The fault build in a workspace, told where to die.
fn doomed(workspace: &Workspace, point: &str) -> Command {
    let mut command = workspace.command_of(&fault_binary());
    command.args(["--format", "json"]).env("SIGNOFF_FAULT_AT", point);
    command
}

/// Runs the fault build and asserts that it died at the point.
#[track_caller]
fn kill_at(workspace: &Workspace, point: &str, arguments: &[&str]) {
    let output = doomed(workspace, point).args(arguments).output().expect("it runs");
    let out = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.signal(), Some(9), "{point} was not reached by {arguments:?}: {out}");
    assert_eq!(out, "", "{point}: it answered before it was done");
}

fn waiver(invoice: &str) -> String {
    serde_json::json!({ "invoice_id": invoice, "reason": "we were late" }).to_string()
}

/// Rows per table of the ledger, in the order of the names; none before the first proposal made it.
fn ledger_rows(workspace: &Workspace) -> [i64; 5] {
    if !workspace.path("ledger.db").exists() {
        return [0; 5];
    }
    let ledger = workspace.intruder("ledger.db");
    ["evidence", "events", "proposals", "query_audit", "standings"].map(|table| {
        ledger.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("a number")
    })
}

fn verify(workspace: &Workspace) {
    workspace.run(["store", "verify"]).expect(0);
}

/// Applies what is approved or was begun, and asserts that it landed once and that everybody says so.
#[track_caller]
fn finish(workspace: &Workspace, id: &str, invoice: &str, told: &str) -> Ran {
    let applied = workspace.json(["apply", id, "--resume"]).expect(0);
    assert_eq!((workspace.effects(invoice), workspace.executions(invoice)), (1, 1), "{told}");
    assert_eq!(workspace.state(id), "applied", "{told}");
    let again = workspace.json(["apply", id]).expect(0).json();
    assert_eq!((again["status"].as_str(), workspace.executions(invoice)), (Some("already_applied"), 1), "{told}");
    applied
}

fn killed_while_proposing(engine: Engine) {
    let rounds = rounds(3, 20);
    for (point, durable) in LEDGER {
        let workspace = Workspace::with_invoices_on(engine, rounds);
        for n in 1..=rounds {
            let invoice = format!("INV-{n}");
            let json = waiver(&invoice);
            let before = ledger_rows(&workspace);
            kill_at(&workspace, point, &["propose", "billing.propose_late_fee_waiver", "--json", &json]);
            let whole = before.map(|rows| rows + 1);
            assert_eq!(ledger_rows(&workspace), if durable { whole } else { before }, "{point}: whole or not at all");
            verify(&workspace);

            let again = workspace.json(["propose", "billing.propose_late_fee_waiver", "--json", &json]).expect(0);
            let id = proposal_id(&again.json());
            assert_eq!(ledger_rows(&workspace), whole, "{point}: one proposal, with one evidence");
            assert_eq!(workspace.state(&id), "pending_review");
            workspace.run(["proposals", "approve", &id, "--yes", "--actor", "dana"]).expect(0);
            assert_eq!(workspace.executions(&invoice), 0, "{point}");
            finish(&workspace, &id, &invoice, point);
        }
        verify(&workspace);
    }
}

fn killed_while_approving(engine: Engine) {
    let rounds = rounds(3, 20);
    for (point, durable) in LEDGER {
        let workspace = Workspace::with_invoices_on(engine, rounds);
        for n in 1..=rounds {
            let invoice = format!("INV-{n}");
            let id = workspace.propose(&invoice, "we were late");
            let approve = ["proposals", "approve", &id, "--yes", "--actor", "dana"];
            // Answers that decide nothing come before the decision is durable; only the last word may not.
            let output = doomed(&workspace, point).args(approve).output().expect("it runs");
            assert_eq!(output.status.signal(), Some(9), "{point} was not reached");
            let state = workspace.state(&id);
            assert_eq!(state, if durable { "approved" } else { "pending_review" }, "{point}");
            let decisions = "SELECT count(*) FROM approvals WHERE document LIKE '%' || ?1 || '%'";
            let decided: i64 =
                workspace.intruder("ledger.db").query_row(decisions, [&id], |row| row.get(0)).expect("a number");
            assert_eq!(decided, i64::from(durable), "{point}: a decision whole or not at all");
            verify(&workspace);
            if durable {
                assert_eq!(workspace.json(approve).expect(4).error_code(), "PROPOSAL_NOT_PENDING_REVIEW");
            } else {
                assert_eq!(workspace.json(["apply", &id]).expect(4).error_code(), "PROPOSAL_NOT_APPROVED");
                workspace.run(approve).expect(0);
            }
            assert_eq!(workspace.executions(&invoice), 0, "{point}");
            finish(&workspace, &id, &invoice, point);
        }
        verify(&workspace);
    }
}

fn killed_while_applying(engine: Engine) {
    let rounds = rounds(3, 20);
    for (point, state, effects) in apply_points(engine) {
        let workspace = Workspace::with_invoices_on(engine, rounds);
        for round in 1..=rounds {
            let invoice = format!("INV-{round}");
            let id = workspace.approved(&invoice, "we were late");
            let told = format!("{point}, round {round}");
            kill_at(&workspace, point, &["apply", &id]);
            assert_eq!(workspace.state(&id), state, "{told}");
            assert_eq!((workspace.effects(&invoice), workspace.executions(&invoice)), (effects, effects), "{told}");
            verify(&workspace);
            if state == "pending_worker" {
                // Its lease holds for five minutes: nobody takes it over without saying so.
                assert_eq!(workspace.json(["apply", &id]).expect(1).error_code(), "ATTEMPT_IN_FLIGHT", "{told}");
                if round % 2 == 0 {
                    // The one that takes over dies at the same point.
                    kill_at(&workspace, point, &["apply", &id, "--resume"]);
                    assert_eq!(
                        (workspace.effects(&invoice), workspace.executions(&invoice)),
                        (effects, effects),
                        "{told}"
                    );
                    assert_eq!(workspace.state(&id), state, "{told}");
                }
            }
            let status = finish(&workspace, &id, &invoice, &told).json()["status"].clone();
            assert_eq!(status, if effects == 0 { "applied" } else { "already_applied" }, "{told}");
        }
        verify(&workspace);
    }
}

fn killed_while_rehearsing(engine: Engine) {
    let workspace = Workspace::with_invoices_on(engine, 1);
    let id = workspace.approved("INV-1", "we were late");
    let source = |sql: &str| workspace.ask(sql);
    let before = ledger_rows(&workspace);
    let rehearse = ["apply", &id, "--dry-run"];
    let unchanged = |point: &str| {
        assert_eq!(ledger_rows(&workspace), before, "{point}");
        assert_eq!(workspace.state(&id), "approved", "{point}");
        assert_eq!(workspace.executions("INV-1"), 0, "{point}");
        assert_eq!(source("SELECT count(*) FROM synapsor_writeback_receipts"), 0, "{point}: no key is taken");
        assert_eq!(source("SELECT late_fee_cents FROM invoices WHERE id = 'INV-1'"), 5500, "{point}");
    };
    let passed = |point: &&str| *point != "fault:guard.read" || engine == Engine::Sqlite;
    let points = ["fault:guard.begin", "fault:guard.claim", "fault:guard.read", "fault:guard.committed"];
    for point in points.into_iter().filter(passed) {
        for _ in 0..rounds(3, 20) {
            kill_at(&workspace, point, &rehearse);
            unchanged(point);
        }
    }
    // A rehearsal never gets to these.
    for point in
        ["fault:ledger.begin", "fault:apply.intent", "fault:guard.effect", "fault:guard.finish", "fault:guard.commit"]
    {
        let ran: Ran = doomed(&workspace, point).args(rehearse).output().expect("it runs").into();
        assert_eq!(ran.expect(0).json()["status"], "would_apply", "{point}");
        unchanged(point);
    }
    finish(&workspace, &id, "INV-1", "after the rehearsals");
    verify(&workspace);
}

#[test]
fn fault_points_are_in_the_fault_build_only() {
    let read = |path: std::path::PathBuf| std::fs::read(path).expect("a binary");
    let contains = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let (faulty, release) = (read(fault_binary()), read(binary("SIGNOFF_RELEASE_BIN", "release/signoff")));
    assert!(contains(&release, "ATTEMPT_IN_FLIGHT"), "the search finds what is there");
    let mut names: Vec<&str> = APPLY.iter().map(|(point, ..)| point.split('#').next().unwrap_or(point)).collect();
    names.extend(["SIGNOFF_FAULT_AT", "fault:ledger.", "fault:guard.", "fault:apply."]);
    for name in names {
        assert!(contains(&faulty, name), "{name} is not in the fault build");
        assert!(!contains(&release, name), "{name} is in the release build");
    }
}

/// What the kernel was asked for, in order: the intent is on disk before the source is written, and the source's commit
/// before the ledger says so.
#[test]
fn the_intent_is_synced_before_the_effect() {
    if Command::new("strace").arg("-V").output().is_err() {
        skip("strace is not installed");
        return;
    }
    let workspace = Workspace::with_invoices(1);
    let id = workspace.approved("INV-1", "we were late");
    let mut command = workspace.command_of("strace".as_ref());
    command.args(["-f", "-y", "-e", "trace=fsync,fdatasync,write,pwrite64", "-o", "trace.txt"]);
    command.arg(binary("SIGNOFF_BIN", "debug/signoff")).args(["apply", &id]);
    let ran: Ran = command.output().expect("strace runs").into();
    ran.expect(0);
    let trace = std::fs::read_to_string(workspace.path("trace.txt")).expect("a trace");
    let calls = calls(&trace);
    let first =
        |wanted: (Call, &str)| calls.iter().position(|(call, file)| *call == wanted.0 && file.starts_with(wanted.1));
    let effect = first((Call::Write, "billing.db")).expect("the source is written");
    let (before, after) = calls.split_at(effect);
    let last = |part: &[(Call, &str)], wanted: (Call, &str)| part.iter().rposition(|call| *call == wanted);

    let intent = last(before, (Call::Write, "ledger.db-wal")).expect("the intent is written before the effect");
    let synced = last(before, (Call::Sync, "ledger.db-wal")).expect("the intent is synced before the effect");
    assert!(intent < synced, "no sync between the intent and the effect:\n{trace}");

    let result = after.iter().position(|call| *call == (Call::Write, "ledger.db-wal")).expect("the result is written");
    let landed = after.iter().position(|(call, file)| *call == Call::Sync && file.starts_with("billing.db"));
    assert!(landed.expect("the effect is synced") < result, "the ledger tells before the source is on disk:\n{trace}");
    assert!(after[result..].contains(&(Call::Sync, "ledger.db-wal")), "the result is not synced:\n{trace}");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Write,
    Sync,
}

/// Lines such as `123 pwrite64(7</tmp/x/ledger.db-wal>, "…` as calls and the names of files. Where another thread comes
/// between a call's beginning and end, a write counts from where it begins and a sync from where it has ended.
fn calls(trace: &str) -> Vec<(Call, &str)> {
    let mut calls = Vec::new();
    let mut unfinished: HashMap<&str, &str> = HashMap::new();
    for line in trace.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        let ended = rest.ends_with("= 0");
        if rest.starts_with("<... ") && rest.contains("sync resumed") {
            let file = unfinished.remove(thread).expect("it was begun");
            calls.extend(ended.then_some((Call::Sync, file)));
            continue;
        }
        let Some((name, rest)) = rest.split_once('(') else { continue };
        let Some((path, _)) = rest.split_once('<').and_then(|(_, rest)| rest.split_once('>')) else { continue };
        let file = path.rsplit('/').next().unwrap_or(path);
        match name {
            "write" | "pwrite64" => calls.push((Call::Write, file)),
            "fsync" | "fdatasync" if ended => calls.push((Call::Sync, file)),
            "fsync" | "fdatasync" => drop(unfinished.insert(thread, file)),
            _ => {}
        }
    }
    calls
}
