//! A folder with a contract, a source with counters, and a place for a ledger.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rusqlite::Connection;

use crate::cluster::Cluster;
use crate::source::{Engine, Source, connect};
use crate::{Ran, binary, proposal_id};

/// A folder with a contract, a source with counters, and a place for a ledger.
#[derive(Debug)]
pub struct Workspace {
    folder: tempfile::TempDir,
    /// The application's database.
    pub source: Source,
}

impl Default for Workspace {
    fn default() -> Self {
        Self::new()
    }
}

impl Workspace {
    /// The billing tables in a file, the contract, a receipts table, counters, and no ledger yet.
    pub fn new() -> Self {
        Self::with_invoices(0)
    }

    /// The same with so many further invoices of acme: INV-1, INV-2, …
    pub fn with_invoices(count: u32) -> Self {
        Self::filled(None, count)
    }

    /// [`Self::new`] on this engine.
    pub fn on(engine: Engine) -> Self {
        Self::with_invoices_on(engine, 0)
    }

    /// [`Self::with_invoices`] on this engine.
    pub fn with_invoices_on(engine: Engine, count: u32) -> Self {
        match engine {
            Engine::Sqlite => Self::filled(None, count),
            Engine::Postgres => Self::in_cluster(Cluster::shared().expect("a server"), count),
        }
    }

    /// [`Self::with_invoices`] in a new database of this cluster.
    pub fn in_cluster(cluster: &'static Cluster, count: u32) -> Self {
        Self::filled(Some(cluster), count)
    }

    fn filled(cluster: Option<&'static Cluster>, count: u32) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = match cluster {
            Some(cluster) => Source::on(cluster),
            None => Source::in_file(folder.path().join("billing.db")),
        };
        if count > 0 {
            source.run(&format!(
                "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})
                 INSERT INTO invoices (id, tenant_id, customer_id, status, balance_cents, late_fee_cents, created_at, updated_at)
                 SELECT 'INV-' || n, 'acme', 'cust_acme_1', 'overdue', 25500, 5500, '2026-06-01T00:00:00Z', '2026-06-20T14:31:08Z' FROM numbers WHERE true ON CONFLICT DO NOTHING"
            ));
        }
        let workspace = Self { folder, source };
        workspace.write_contract(&workspace.contract());
        workspace.run(["writeback", "migrate", "--source", "billing_db"]).expect(0);
        workspace
    }

    /// The engine of its source.
    pub fn engine(&self) -> Engine {
        self.source.engine()
    }

    /// The contract that it began with.
    pub fn contract(&self) -> String {
        self.engine().contract()
    }

    /// Puts another contract in its place.
    pub fn write_contract(&self, contract: &str) {
        std::fs::write(self.path("signoff.json"), contract).expect("a contract");
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A connection to a source that is a file, as the application has one.
    pub fn app(&self) -> Connection {
        connect(&self.path("billing.db"))
    }

    /// A connection to a ledger file, as an intruder has one.
    pub fn intruder(&self, ledger: &str) -> Connection {
        connect(&self.path(ledger))
    }

    /// The application changes its database; any number of statements.
    pub fn sql(&self, sql: &str) {
        self.source.run(sql);
    }

    /// One number from the source.
    pub fn ask(&self, sql: &str) -> i64 {
        let rows = self.source.rows(sql);
        rows.first().and_then(|row| row.parse().ok()).unwrap_or_else(|| panic!("no number: {rows:?}"))
    }

    /// One text from the source.
    pub fn told(&self, sql: &str) -> String {
        self.source.rows(sql).join("\n")
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
        let address = self.source.address();
        command.env("BILLING_APP_READ_URL", &address).env("BILLING_APP_WRITE_URL", &address);
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
