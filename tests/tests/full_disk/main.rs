//! A disk that is full, at every single write to the ledger and to the source in turn: what cannot be written down is
//! refused with a code before it has an effect, and with room again everything goes on where it was.

#![cfg(target_os = "linux")]

use std::path::PathBuf;
use std::process::Command;

use signoff_tests::{Ran, Workspace, rounds};

const PROPOSE: [&str; 4] =
    ["propose", "billing.propose_late_fee_waiver", "--json", r#"{"invoice_id":"INV-3001","reason":"kind"}"#];

/// The shim, compiled by the compiler that SQLite was compiled by.
fn shim(workspace: &Workspace) -> PathBuf {
    let (source, library) = (concat!(env!("CARGO_MANIFEST_DIR"), "/tests/full_disk/shim.c"), workspace.path("shim.so"));
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let made =
        Command::new(compiler).args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).args([source, "-ldl"]).status();
    assert!(made.expect("a C compiler, as for SQLite").success(), "the shim compiles");
    library
}

/// Runs with the n-th write failing, or every one from the n-th on. None if there were fewer.
fn failing(workspace: &Workspace, file: &str, n: u32, on: bool, arguments: &[&str]) -> Option<Ran> {
    let mark = workspace.path("mark");
    let _ = std::fs::remove_file(&mark);
    let mut command = workspace.command();
    command.env("LD_PRELOAD", workspace.path("shim.so")).env("FAIL_MATCH", file).env("FAIL_MARK", &mark);
    command.env("FAIL_AT", n.to_string()).env("FAIL_ON", if on { "1" } else { "0" });
    let ran: Ran = command.args(["--format", "json"]).args(arguments).output().expect("it runs").into();
    mark.exists().then_some(ran)
}

fn save(workspace: &Workspace) -> Vec<(PathBuf, Vec<u8>)> {
    let files = std::fs::read_dir(workspace.path("")).unwrap().map(|entry| entry.unwrap().path());
    let data = files.filter(|path| path.to_string_lossy().contains(".db") || path.ends_with("ledger.key"));
    data.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

fn restore(workspace: &Workspace, saved: &[(PathBuf, Vec<u8>)]) {
    for (path, _) in save(workspace) {
        std::fs::remove_file(path).unwrap();
    }
    for (path, bytes) in saved {
        std::fs::write(path, bytes).unwrap();
    }
}

/// Each command in turn, from the same beginning, with each of its writes failing. A run that failed says so with a code
/// that can be tried again; then it is tried again with room, and `settled` looks at what came of it.
fn at_every_write(file: &str, settled: impl Fn(&Workspace)) {
    let workspace = Workspace::new();
    shim(&workspace);
    let mut fired = 0;
    let commands: [&[&str]; 3] =
        [&PROPOSE, &["proposals", "approve", "latest", "--yes", "--actor", "dana"], &["apply", "latest", "--resume"]];
    for (step, arguments) in commands.into_iter().enumerate() {
        let saved = save(&workspace);
        for on in [true, false] {
            // A failure once in a while is rarer than a full disk: fewer of them by default.
            for n in (1..).step_by(if on { 1 } else { rounds(3, 1) as usize }) {
                restore(&workspace, &saved);
                let Some(ran) = failing(&workspace, file, n, on, arguments) else { break };
                fired += 1;
                let at = format!("{arguments:?}, write {n} to {file}, on: {on}\n{}{}", ran.out, ran.err);
                assert!(matches!(ran.code, 0 | 1 | 5), "exit {}: {at}", ran.code);
                if ran.code != 0 {
                    let code = ran.error_code();
                    let known = [
                        "LEDGER_UNAVAILABLE",
                        "SOURCE_UNAVAILABLE",
                        "SOURCE_REJECTED",
                        "TRANSACTION_FAILED",
                        "OUTCOME_UNKNOWN",
                        "FILE_UNWRITABLE",
                    ];
                    assert!(known.contains(&code.as_str()), "{code}: {at}");
                }
                let effects = workspace.executions("INV-3001");
                assert!(effects <= i64::from(step == 2), "an effect too many: {at}");
                if step == 2 && workspace.path("ledger.db").exists() {
                    let state = workspace.json(["proposals", "list"]).expect(0).json()["proposals"][0]["state"].clone();
                    assert!(state != "approved" || effects == 0, "an effect of which the ledger knew nothing: {at}");
                }
                // With room again it goes on.
                let again = workspace.json(arguments.iter().copied());
                // A sync that failed leaves open whether its step is recorded. If it is, there is nothing to approve.
                let done = step == 1 && again.code == 2 && states(&workspace) == ["approved"];
                assert!(again.code == 0 || done, "it does not go on: {at}\n{}{}", again.out, again.err);
                workspace.run(["store", "verify"]).expect(0);
                if step == 2 {
                    settled(&workspace);
                }
            }
        }
        restore(&workspace, &saved);
        workspace.json(arguments.iter().copied()).expect(0);
    }
    assert!(fired > 20, "only {fired} writes failed");
    settled(&workspace);
}

fn states(workspace: &Workspace) -> Vec<String> {
    let listed = workspace.json(["proposals", "list"]).expect(0).json();
    let all = listed["proposals"].as_array().unwrap().iter();
    all.map(|proposal| proposal["state"].as_str().unwrap().to_owned()).collect()
}

fn applied_once(workspace: &Workspace) {
    assert_eq!((workspace.effects("INV-3001"), workspace.executions("INV-3001")), (1, 1));
    let listed = workspace.json(["proposals", "list"]).expect(0).json();
    assert_eq!(
        (listed["proposals"].as_array().unwrap().len(), &listed["proposals"][0]["state"]),
        (1, &"applied".into())
    );
}

#[test]
fn a_ledger_without_room_refuses_and_goes_on() {
    at_every_write("ledger.db", applied_once);
}

#[test]
fn a_source_without_room_refuses_and_goes_on() {
    at_every_write("billing.db", applied_once);
}
