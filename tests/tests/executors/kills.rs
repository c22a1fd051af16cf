//! The process is killed at every numbered point of an apply by the application itself, over HTTP and as a command; copies of
//! a ledger each apply. The application's own receipt, under the same key, keeps it at one effect.

use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use signoff::Runtime;
use signoff::contract::Contract;
use signoff::primitives::{Clock, Instant, SystemClock, SystemIds};
use signoff::runtime::{ApplyOptions, Ending, Environment};
use signoff_tests::binary;
use signoff_tests::library::{block, ledger};

use super::scripts::{self, Office, contract};

/// In the order in which they are passed: the state each leaves, and whether the change landed.
const POINTS: [(&str, &str, i64); 14] = [
    ("fault:ledger.begin#1", "approved", 0),
    ("fault:ledger.rows#1", "approved", 0),
    ("fault:ledger.event#1", "approved", 0),
    ("fault:ledger.commit#1", "approved", 0),
    ("fault:ledger.committed#1", "pending_worker", 0),
    ("fault:apply.intent", "pending_worker", 0),
    ("fault:apply.effect", "pending_worker", 1),
    ("fault:ledger.begin#2", "pending_worker", 1),
    ("fault:ledger.rows#2", "pending_worker", 1),
    ("fault:ledger.event#2", "pending_worker", 1),
    ("fault:ledger.commit#2", "pending_worker", 1),
    ("fault:ledger.committed#2", "applied", 1),
    ("fault:apply.recorded", "applied", 1),
    ("", "applied", 1),
];

/// Ten minutes on: every lease is over.
#[derive(Debug)]
struct Later;

impl Clock for Later {
    fn now(&self) -> Instant {
        SystemClock.now().plus(Duration::from_secs(600))
    }
}

fn later(office: &Office, executor: Value, id: &str) -> Ending {
    let variables = office.variables.clone();
    let address = office.workspace.source.address();
    let environment = Environment::new(move |name| match name {
        "BILLING_APP_READ_URL" | "BILLING_APP_WRITE_URL" => Some(address.clone()),
        "PATH" => std::env::var("PATH").ok(),
        _ => variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()),
    });
    let parsed = Contract::parse(&contract(executor)).unwrap_or_else(|found| panic!("{found:?}")).0;
    let runtime = Runtime::new(Some(parsed), ledger(&office.workspace.path(""), "ledger.db", &Later))
        .with_environment(environment)
        .with_clock(Arc::new(Later), Arc::new(SystemIds));
    block(runtime.apply(id, &ApplyOptions::default())).unwrap().ending
}

fn killed_everywhere(office: &Office, executor: &Value) {
    for (number, (point, state, landed)) in POINTS.into_iter().enumerate() {
        let invoice = format!("INV-{}", number + 1);
        let id = office.approved(&invoice);
        if !point.is_empty() {
            let mut command = office.workspace.command_of(&binary("SIGNOFF_FAULT_BIN", "fault/debug/signoff"));
            command.args(["--format", "json", "apply", &id]).env("SIGNOFF_FAULT_AT", point);
            let output = command.envs(office.variables.iter().cloned()).output().unwrap();
            assert_eq!(output.status.signal(), Some(9), "{point} was not reached");
        } else {
            office.signoff(&["apply", &id]).expect(0);
        }
        assert_eq!(
            (office.workspace.state(&id).as_str(), office.workspace.effects(&invoice)),
            (state, landed),
            "{point}"
        );
        if state == "pending_worker" {
            // Its worker may be alive for all anybody knows.
            let refused = office.signoff(&["--format", "json", "apply", &id, "--resume"]).expect(1);
            assert_eq!(
                (refused.error_code().as_str(), office.workspace.effects(&invoice)),
                ("ATTEMPT_IN_FLIGHT", landed)
            );
            let ending = later(office, executor.clone(), &id);
            assert_eq!(ending, if landed == 1 { Ending::AlreadyApplied } else { Ending::Applied }, "{point}");
        } else {
            office.signoff(&["apply", &id]).expect(0);
        }
        assert_eq!(
            (office.workspace.state(&id).as_str(), office.workspace.effects(&invoice)),
            ("applied", 1),
            "{point}"
        );
    }
    office.signoff(&["store", "verify"]).expect(0);
}

#[test]
fn killed_at_every_point_of_an_apply_over_http() {
    let Some(office) = Office::over_http(14) else { return };
    killed_everywhere(&office, &scripts::http());
}

#[test]
fn killed_at_every_point_of_an_apply_by_a_command() {
    let Some(office) = Office::as_a_command(14) else { return };
    killed_everywhere(&office, &scripts::command());
}

/// The key is the proposal's, not the ledger's: a copy that does not know of the other's apply hears of it from the
/// application.
#[test]
fn copies_of_a_ledger_make_one_effect() {
    for office in [Office::over_http(1), Office::as_a_command(1)] {
        let Some(office) = office else { return };
        let id = office.approved("INV-1");
        for entry in std::fs::read_dir(office.workspace.path("")).unwrap().flatten() {
            if let Some(rest) = entry.file_name().to_str().unwrap().strip_prefix("ledger") {
                std::fs::copy(entry.path(), office.workspace.path(&format!("copy{rest}"))).unwrap();
            }
        }
        assert_eq!(office.signoff(&["--format", "json", "apply", &id]).expect(0).json()["status"], "applied");
        let copy = office.signoff(&["--format", "json", "apply", &id, "--store", "copy.db"]).expect(0).json();
        assert_eq!((&copy["status"], office.workspace.effects("INV-1")), (&"already_applied".into(), 1));
        let told = office.signoff(&["--format", "json", "replay", "show", &id, "--store", "copy.db"]).expect(0).json();
        assert_eq!(told["receipts"][0]["receipt"]["status"], "already_applied");
    }
}
