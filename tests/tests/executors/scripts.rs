//! A script as one wrote it for v1, over HTTP and as a command, driven by the command line.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use signoff_tests::{CONTRACT, Ran, Workspace, skip};

pub const WAIVE: &str = "billing.propose_late_fee_waiver";

/// Never to be seen again.
const PLANTED: [(&str, &str); 3] = [
    ("APP_TOKEN", "planted-bearer-token"),
    ("APP_SECRET", "planted signing secret, long enough"),
    ("SIGNOFF_PLANTED", "planted-for-nobody"),
];

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("apps/v1_handler.py")
}

fn python() -> bool {
    let here = Command::new("python3").arg("--version").output().is_ok_and(|out| out.status.success());
    if !here {
        skip("no python3 here");
    }
    here
}

/// The demo's contract with this executor for its waiver.
pub fn contract(executor: Value) -> String {
    let mut contract: Value = serde_json::from_str(&CONTRACT.replace(".signoff/demo/ledger.db", "ledger.db")).unwrap();
    contract["executors"]["app"] = executor;
    contract["executors"].as_object_mut().unwrap().retain(|name, _| name == "app");
    let capabilities = contract["capabilities"].as_array_mut().unwrap();
    capabilities.retain(|capability| capability["executor"].is_null());
    for capability in capabilities.iter_mut().filter(|capability| capability["name"] == WAIVE) {
        capability["executor"] = json!("app");
    }
    contract.to_string()
}

/// The script's address, token and secret.
pub fn http() -> Value {
    json!({
        "type": "http_handler", "url_env": "APP_URL", "auth": { "type": "bearer_env", "token_env": "APP_TOKEN" },
        "signing_secret_env": "APP_SECRET"
    })
}

pub fn command() -> Value {
    json!({ "type": "command_handler", "command_env": "APP_COMMAND" })
}

pub struct Office {
    pub workspace: Workspace,
    pub variables: Vec<(String, String)>,
    server: Option<Child>,
}

impl Drop for Office {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

impl Office {
    fn new(executor: Value) -> Self {
        Self::with_invoices(9, executor)
    }

    fn with_invoices(count: u32, executor: Value) -> Self {
        let workspace = Workspace::with_invoices(count);
        workspace.write_contract(&contract(executor));
        let variables = PLANTED.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { workspace, variables, server: None }
    }

    /// With the script as a server; none, said once, where there is no Python.
    pub fn over_http(count: u32) -> Option<Self> {
        let mut office = python().then(|| Self::with_invoices(count, http()))?;
        office.serve();
        Some(office)
    }

    /// With the script as a command.
    pub fn as_a_command(count: u32) -> Option<Self> {
        let mut office = python().then(|| Self::with_invoices(count, command()))?;
        let database = office.workspace.path("billing.db");
        office.set("APP_COMMAND", format!("python3 '{}' once \"{}\"", script().display(), database.display()));
        Some(office)
    }

    fn serve(&mut self) {
        let mut server = Command::new("python3")
            .arg(script())
            .args(["serve"])
            .arg(self.workspace.path("billing.db"))
            .envs(PLANTED)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
        self.server = Some(server);
        self.set("APP_URL", format!("http://localhost:{}/writeback", port.trim()));
    }

    fn set(&mut self, name: &str, value: String) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value));
    }

    pub fn signoff(&self, arguments: &[&str]) -> Ran {
        let mut command = self.workspace.command();
        command.args(arguments).envs(self.variables.iter().map(|(name, value)| (name, value)));
        let ran: Ran = command.output().unwrap().into();
        let shown = format!("{}{}", ran.out, ran.err);
        assert!(PLANTED.iter().all(|(_, secret)| !shown.contains(secret)), "{shown}");
        ran
    }

    pub fn approved(&self, invoice: &str) -> String {
        let arguments = json!({ "invoice_id": invoice, "reason": "first late payment" }).to_string();
        let ran = self.signoff(&["--format", "json", "propose", WAIVE, "--json", &arguments]).expect(0);
        let id = signoff_tests::proposal_id(&ran.json());
        self.signoff(&["proposals", "approve", &id, "--yes", "--actor", "dana"]).expect(0);
        id
    }

    fn no_secret_was_kept(&self) {
        for entry in
            std::fs::read_dir(self.workspace.path("")).unwrap().flatten().filter(|entry| entry.path().is_file())
        {
            let bytes = std::fs::read(entry.path()).unwrap();
            let kept = |secret: &str| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(PLANTED.iter().all(|(_, secret)| !kept(secret)), "{:?}", entry.path());
        }
    }

    /// propose → approve → apply → applied once → already applied → replay.
    fn loop_once(&self, invoice: &str) {
        let id = self.approved(invoice);
        let dry = self.signoff(&["apply", &id, "--dry-run"]).expect(0).out;
        assert!(dry.contains("Dry run passed") && self.workspace.effects(invoice) == 0, "{dry}");
        let applied = self.signoff(&["apply", &id]).expect(0).out;
        for words in
            ["App-owned writeback applied.", "* source database changed by handler: yes", "Source DB changed: yes"]
        {
            assert!(applied.contains(words), "{words} is not in\n{applied}");
        }
        assert_eq!(self.workspace.effects(invoice), 1);
        let again = self.signoff(&["apply", &id]).expect(0).out;
        assert!(again.contains("App-owned writeback already applied"), "{again}");
        assert_eq!(self.workspace.effects(invoice), 1);
        let replay = self.signoff(&["--format", "json", "replay", "show", &id]).expect(0).json();
        assert_eq!(replay["receipts"][0]["receipt"]["status"], "applied");
        assert_eq!(replay["receipts"][0]["details"]["handler"]["new_object_id"], "waiver-1");
        self.signoff(&["store", "verify"]).expect(0);
    }
}

#[test]
fn a_handler_of_v1_over_http() {
    let Some(mut office) = Office::over_http(9) else { return };
    // Proxies of the environment are for others: nobody is there.
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
        office.set(name, "http://127.0.0.1:9".to_owned());
    }
    office.loop_once("INV-1");
    let doctor = office.signoff(&["doctor", "--check-handlers"]).expect(0).out;
    assert!(doctor.contains("pass executor:app:handler-reachability"), "{doctor}");

    // The row moved: the handler's word.
    let id = office.approved("INV-2");
    office.workspace.sql("UPDATE invoices SET updated_at = '2026-06-21T00:00:00Z' WHERE id = 'INV-2'");
    let conflict = office.signoff(&["apply", &id]).expect(3).out;
    assert!(conflict.contains("App-owned writeback found a conflict: ROW_CHANGED_AFTER_PROPOSAL"), "{conflict}");

    // Another secret than the handler's: turned away, and nothing lost.
    let id = office.approved("INV-3");
    office.set("APP_SECRET", "another signing secret, long enough".to_owned());
    let refused = office.signoff(&["--format", "json", "apply", &id]).expect(1);
    assert_eq!(refused.error_code(), "EXECUTOR_REFUSED");
    office.set("APP_SECRET", PLANTED[1].1.to_owned());
    office.signoff(&["apply", &id]).expect(0);
    assert_eq!(office.workspace.effects("INV-3"), 1);

    // Nobody there: released, exit 1. Lost: exit 5.
    let id = office.approved("INV-4");
    office.server.take().into_iter().for_each(|mut server| {
        server.kill().unwrap();
        server.wait().unwrap();
    });
    let gone = office.signoff(&["--format", "json", "apply", &id]).expect(1);
    assert_eq!(gone.error_code(), "EXECUTOR_UNREACHABLE");
    assert_eq!(office.signoff(&["doctor", "--check-handlers"]).expect(1).out.matches("FAIL").count(), 1);
    office.no_secret_was_kept();
}

#[test]
fn the_same_script_as_a_command() {
    let Some(office) = Office::as_a_command(9) else { return };
    office.loop_once("INV-1");
    assert!(office.signoff(&["doctor", "--check-handlers"]).expect(0).out.contains("the program is there"));
    office.no_secret_was_kept();
}

#[test]
fn what_a_command_says_and_does_not_say() {
    let settings = json!({ "env": ["APP_TOKEN"] });
    let executor =
        json!({ "type": "command_handler", "command_env": "APP_COMMAND", "timeout_ms": 1_000, "signoff": settings });
    let mut office = Office::new(executor);
    let seen = office.workspace.path("seen");
    let (seen, applied) =
        (seen.display().to_string(), r#"{\"status\":\"applied\",\"details\":{\"t\":\"$APP_TOKEN\"}}"#);
    // Each on its own row: script, exit code, state, code of the error.
    let cases = [
        ("INV-1", format!("env > {seen}; cat > /dev/null; echo \"{applied}\""), 0, "applied", ""),
        ("INV-2", "echo half".to_owned(), 5, "outcome_unknown", "OUTCOME_UNKNOWN"),
        ("INV-3", "exit 3".to_owned(), 5, "outcome_unknown", "OUTCOME_UNKNOWN"),
        ("INV-4", format!("sleep 30 & echo $! > {seen}.child; sleep 30"), 5, "outcome_unknown", "OUTCOME_UNKNOWN"),
        ("INV-5", "head -c 2000000 /dev/zero".to_owned(), 5, "outcome_unknown", "OUTCOME_UNKNOWN"),
        ("INV-6", "kill -9 $$".to_owned(), 5, "outcome_unknown", "OUTCOME_UNKNOWN"),
        ("INV-7", "head -c 3000000 /dev/zero >&2; echo '{\"status\":\"failed\",\"source_database_mutated\":false,\"safe_error_code\":\"NOT_TODAY\"}'; exit 1".to_owned(), 1, "approved", "EXECUTOR_FAILED"),
        ("INV-8", "echo '{\"status\":\"failed\",\"safe_error_code\":\"NEVER\"}'".to_owned(), 1, "failed", ""),
    ];
    for (number, (invoice, script, exit, state, code)) in cases.into_iter().enumerate() {
        let file = office.workspace.path(&format!("script{number}"));
        std::fs::write(&file, &script).unwrap();
        office.set("APP_COMMAND", format!("/bin/sh '{}'", file.display()));
        let id = office.approved(invoice);
        let ran = office.signoff(&["--format", "json", "apply", &id]).expect(exit);
        assert_eq!((office.workspace.state(&id).as_str(), ran.error_code().as_str()), (state, code), "{script}");
        if invoice == "INV-1" {
            // It echoed the token it was given; what is kept of that is not it.
            let receipt = office.signoff(&["--format", "json", "replay", "show", &id]).expect(0).json();
            assert_eq!(receipt["receipts"][0]["details"]["handler"]["t"], "[redacted]");
        }
    }
    let environment = std::fs::read_to_string(&seen).unwrap();
    assert!(environment.contains("APP_TOKEN=") && environment.contains("PATH="));
    for hidden in ["BILLING_APP_READ_URL", "APP_SECRET", "SIGNOFF_PLANTED", "SYNAPSOR_TENANT_ID"] {
        assert!(!environment.contains(hidden), "{hidden}");
    }
    std::fs::remove_file(&seen).unwrap();
    // What the command started is gone with it.
    let child = std::fs::read_to_string(format!("{seen}.child")).unwrap();
    let state = std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "{state}");
    // Not there at all: nothing ran.
    let id = office.approved("INV-9");
    office.set("APP_COMMAND", "/nowhere/at/all".to_owned());
    assert_eq!(office.signoff(&["--format", "json", "apply", &id]).expect(1).error_code(), "EXECUTOR_UNREACHABLE");
    office.set("APP_COMMAND", "a 'b".to_owned());
    assert_eq!(office.signoff(&["--format", "json", "apply", &id]).expect(4).error_code(), "EXECUTOR_COMMAND_INVALID");
    assert_eq!(office.workspace.state(&id), "approved");
    office.no_secret_was_kept();
}
