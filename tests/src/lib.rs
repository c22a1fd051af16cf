//! What the tests share: a billing workspace on disk, driven through the command line as its users would.
//!
//! Effects are counted by triggers in the source database: `effects` gets a row whenever an invoice's value really
//! changed, `executions` one for every UPDATE that ran. Signoff never writes to either.

pub mod library;
pub mod mutants;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rusqlite::Connection;
use serde_json::Value;

/// The demo's contract: the billing capabilities on SQLite.
pub const CONTRACT: &str = include_str!("../../cli/src/demo/billing.json");

/// The demo's tables and rows.
pub const TABLES: &str = include_str!("../../cli/src/demo/billing.sql");

const COUNTERS: &str = "
DROP TRIGGER count_effects;
DROP TABLE effects;
CREATE TABLE effects (n INTEGER PRIMARY KEY, invoice_id TEXT NOT NULL, what TEXT NOT NULL);
CREATE TABLE executions (n INTEGER PRIMARY KEY, invoice_id TEXT NOT NULL);
CREATE TRIGGER count_executions BEFORE UPDATE ON invoices BEGIN INSERT INTO executions (invoice_id) VALUES (old.id); END;
CREATE TRIGGER count_effects AFTER UPDATE ON invoices
WHEN old.late_fee_cents IS NOT new.late_fee_cents OR old.waiver_reason IS NOT new.waiver_reason OR old.status IS NOT new.status
BEGIN INSERT INTO effects (invoice_id, what) VALUES (new.id, new.late_fee_cents || '/' || coalesce(new.waiver_reason, '')); END;
";

/// A folder with a contract, a source database with counters, and a place for a ledger.
#[derive(Debug)]
pub struct Workspace {
    folder: tempfile::TempDir,
}

/// What a run of the command line answered.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; -1 for a signal.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("not JSON ({error}):\n{}\n{}", self.out, self.err))
    }

    /// The code of the error it answered.
    pub fn error_code(&self) -> String {
        self.json().pointer("/error/code").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Panics unless the exit code is this one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).expect("output is UTF-8"),
            err: String::from_utf8(output.stderr).expect("errors are UTF-8"),
        }
    }
}

impl Default for Workspace {
    fn default() -> Self {
        Self::new()
    }
}

impl Workspace {
    /// The demo's tables and contract, with a receipts table, counters, and no ledger yet.
    pub fn new() -> Self {
        Self::with_invoices(0)
    }

    /// The same with so many further invoices of acme: INV-1, INV-2, …
    pub fn with_invoices(count: u32) -> Self {
        let workspace = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        let app = workspace.app();
        app.execute_batch(TABLES).expect("the demo's tables");
        app.execute_batch(COUNTERS).expect("counters");
        let insert = "INSERT INTO invoices (id, tenant_id, customer_id, status, balance_cents, late_fee_cents, created_at, updated_at) VALUES ('INV-' || ?1, 'acme', 'cust_acme_1', 'overdue', 25500, 5500, '2026-06-01T00:00:00Z', '2026-06-20T14:31:08Z')";
        app.execute_batch("BEGIN").expect("begin");
        for n in 1..=count {
            app.execute(insert, [n]).expect("an invoice");
        }
        app.execute_batch("COMMIT; PRAGMA journal_mode = WAL;").expect("commit");
        std::fs::write(workspace.path("signoff.json"), CONTRACT.replace(".signoff/demo/ledger.db", "ledger.db"))
            .expect("a contract");
        workspace.run(["writeback", "migrate", "--source", "billing_db"]).expect(0);
        workspace
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A connection to the source, as the application has one.
    pub fn app(&self) -> Connection {
        let connection = Connection::open(self.path("billing.db")).expect("the source opens");
        connection.busy_timeout(std::time::Duration::from_secs(30)).expect("a timeout");
        connection
    }

    /// A connection to a ledger file, as an intruder has one.
    pub fn intruder(&self, ledger: &str) -> Connection {
        let connection = Connection::open(self.path(ledger)).expect("the ledger opens");
        connection.busy_timeout(std::time::Duration::from_secs(30)).expect("a timeout");
        connection
    }

    /// One number from the source.
    pub fn ask(&self, sql: &str) -> i64 {
        self.app().query_row(sql, [], |row| row.get(0)).expect("a number")
    }

    /// How many values of an invoice really changed.
    pub fn effects(&self, invoice: &str) -> i64 {
        self.ask(&format!("SELECT count(*) FROM effects WHERE invoice_id = '{invoice}'"))
    }

    /// How many UPDATEs ran on an invoice and were committed.
    pub fn executions(&self, invoice: &str) -> i64 {
        self.ask(&format!("SELECT count(*) FROM executions WHERE invoice_id = '{invoice}'"))
    }

    /// The plain debug binary, as a command in this folder. Its environment is only what is set here.
    pub fn command(&self) -> Command {
        self.command_of(&binary("SIGNOFF_BIN", "debug/signoff"))
    }

    /// Another binary, as a command in this folder.
    pub fn command_of(&self, binary: &Path) -> Command {
        let mut command = Command::new(binary);
        command.current_dir(self.folder.path()).env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("USER", "operator");
        let source = self.path("billing.db");
        command.env("BILLING_APP_READ_URL", &source).env("BILLING_APP_WRITE_URL", &source);
        command.env("SYNAPSOR_TENANT_ID", "acme").env("SYNAPSOR_PRINCIPAL", "support_agent");
        command
    }

    /// Runs the command line to its end.
    pub fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Ran {
        self.command().args(arguments).output().expect("the binary runs").into()
    }

    /// Runs it with JSON answers.
    pub fn json<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Ran {
        self.command().args(["--format", "json"]).args(arguments).output().expect("the binary runs").into()
    }

    /// Starts it and does not wait.
    pub fn start<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Child {
        let mut command = self.command();
        command.args(["--format", "json"]).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the binary starts")
    }

    /// Proposes a waiver and answers the proposal's id.
    pub fn propose(&self, invoice: &str, reason: &str) -> String {
        let arguments = serde_json::json!({ "invoice_id": invoice, "reason": reason }).to_string();
        let ran = self.json(["propose", "billing.propose_late_fee_waiver", "--json", &arguments]).expect(0);
        proposal_id(&ran.json())
    }

    /// Proposes and approves a waiver.
    pub fn approved(&self, invoice: &str, reason: &str) -> String {
        let id = self.propose(invoice, reason);
        self.run(["proposals", "approve", &id, "--yes", "--actor", "dana"]).expect(0);
        id
    }

    /// The state of a proposal, as `proposals show` tells it.
    pub fn state(&self, id: &str) -> String {
        let shown = self.json(["proposals", "show", id]).expect(0).json();
        shown["state"].as_str().expect("a state").to_owned()
    }
}

/// The proposal's id in the answer of `propose`, in either envelope.
pub fn proposal_id(answer: &Value) -> String {
    let id = answer.pointer("/proposal/id").or_else(|| answer.pointer("/proposal_id")).and_then(Value::as_str);
    id.unwrap_or_else(|| panic!("no proposal id in {answer}")).to_owned()
}

/// A binary that `make test` built: by its variable, else where cargo puts it. Building is not a test's business, so a
/// missing one is a failure that says what to do.
pub fn binary(variable: &str, below_target: &str) -> PathBuf {
    let path = match std::env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => {
            let target = std::env::var_os("CARGO_TARGET_DIR")
                .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
            target.join(below_target)
        }
    };
    assert!(path.is_file(), "{} is not built: run `make test`, or set {variable}", path.display());
    path
}

/// A number of rounds: small by default, whole with SIGNOFF_FULL=1.
pub fn rounds(small: u32, full: u32) -> u32 {
    if std::env::var_os("SIGNOFF_FULL").is_some() { full } else { small }
}
