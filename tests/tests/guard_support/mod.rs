//! A SQLite file with one table `items` and what counts the writes to it, as an application would have it.

// Each test binary uses a part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use signoff::Code;
use signoff::database::{Database, RowRead, ScopedRead, SqliteDatabase};
use signoff::guard::{Dialect, Effect, GuardJob, Outcome, Purpose, ReceiptTable};
use signoff::primitives::{Identifier, Instant, Scalar, Secret};

pub const ITEMS: &str = "CREATE TABLE items (id INTEGER PRIMARY KEY, tenant_id TEXT NOT NULL, status TEXT, amount REAL, note TEXT, version INTEGER);
    INSERT INTO items VALUES (7, 'acme', 'pending', 10.5, NULL, 3), (8, 'acme', 'pending', 1.0, NULL, 3), (9, 'globex', 'pending', 1.0, NULL, 3);";

/// Counts an execution before the row is written, and an effect after.
pub const COUNTERS: &str = "CREATE TABLE executions (id); CREATE TABLE effects (id);
    CREATE TRIGGER count_execution BEFORE UPDATE ON items BEGIN INSERT INTO executions VALUES (OLD.id); END;
    CREATE TRIGGER count_effect AFTER UPDATE ON items BEGIN INSERT INTO effects VALUES (NEW.id); END;";

pub struct Shop {
    directory: tempfile::TempDir,
    pub path: PathBuf,
    pub database: SqliteDatabase,
    runtime: tokio::runtime::Runtime,
}

pub fn name(text: &str) -> Identifier {
    Identifier::new(text).unwrap()
}

pub fn receipts() -> ReceiptTable {
    ReceiptTable { schema: name("main"), name: name("synapsor_writeback_receipts") }
}

pub fn text(value: &str) -> Scalar {
    Scalar::Text(value.to_owned())
}

pub fn decimal(value: &str) -> Scalar {
    Scalar::Decimal(value.to_owned())
}

impl Shop {
    /// With the usual rows and a receipts table.
    pub fn usual() -> Self {
        Self::new(ITEMS)
    }

    /// With this table `items` and a receipts table.
    pub fn new(items: &str) -> Self {
        let shop = Self::bare(&format!("{items}{COUNTERS}"));
        shop.migrate();
        shop
    }

    /// With this SQL and nothing else.
    pub fn bare(sql: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.db");
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let database = open(path.to_str().unwrap()).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        Self { directory, path, database, runtime }
    }

    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime.spawn(future)
    }

    pub fn migrate(&self) -> Vec<String> {
        self.wait(self.database.migrate_receipts(receipts())).unwrap()
    }

    pub fn connection(&self) -> Connection {
        let connection = Connection::open(&self.path).unwrap();
        // What the application does between two calls need not survive a power cut here.
        connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF").unwrap();
        connection.busy_timeout(Duration::from_secs(5)).unwrap();
        connection
    }

    /// The application does something.
    pub fn sql(&self, sql: &str) {
        self.connection().execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// All rows, each value as its class and exact form, so that `1` and `'1'` differ.
    pub fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let connection = self.connection();
        let mut statement = connection.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let width = statement.column_count();
        let rows =
            statement.query_map([], |row| (0..width).map(|index| row.get_ref(index).map(exact)).collect()).unwrap();
        rows.map(|row: rusqlite::Result<Vec<String>>| row.unwrap()).collect()
    }

    pub fn one(&self, sql: &str) -> String {
        self.rows(sql)[0][0].clone()
    }

    /// Everything that a guard could have written.
    pub fn everything(&self) -> Vec<Vec<Vec<String>>> {
        [
            "SELECT * FROM items ORDER BY rowid",
            "SELECT * FROM effects",
            "SELECT * FROM executions",
            "SELECT * FROM synapsor_writeback_receipts ORDER BY 1, 2",
        ]
        .iter()
        .map(|sql| self.rows(sql))
        .collect()
    }

    pub fn effects(&self) -> usize {
        let (effects, executions) =
            (self.rows("SELECT * FROM effects").len(), self.rows("SELECT * FROM executions").len());
        assert_eq!(effects, executions);
        effects
    }

    pub fn columns(&self) -> Vec<Identifier> {
        let rows = self.rows("SELECT name FROM pragma_table_xinfo('items') ORDER BY cid");
        rows.iter().map(|row| name(row[0].trim_start_matches("Text(\"").trim_end_matches("\")"))).collect()
    }

    pub fn read(&self, key: &str, patch: &[(&str, Scalar)]) -> signoff::Result<Option<RowRead>> {
        self.read_in("acme", key, patch)
    }

    pub fn read_in(&self, tenant: &str, key: &str, patch: &[(&str, Scalar)]) -> signoff::Result<Option<RowRead>> {
        self.wait(self.database.read(ScopedRead {
            schema: name("main"),
            table: name("items"),
            key_column: name("id"),
            key_value: key.to_owned(),
            tenant: Some((name("tenant_id"), tenant.to_owned())),
            columns: self.columns(),
            patch: patch.iter().map(|(column, value)| (name(column), value.clone())).collect(),
        }))
    }

    /// The job of a change, proposed against the row as it is now.
    pub fn job(&self, key: &str, patch: &[(&str, Scalar)]) -> GuardJob {
        let row = self.read(key, patch).unwrap().unwrap_or_else(|| panic!("no row {key}"));
        job("acme", &row)
    }

    pub fn try_run(&self, job: GuardJob) -> signoff::Result<Outcome> {
        self.wait(self.database.run(job, None))
    }

    pub fn run(&self, job: GuardJob) -> Outcome {
        self.try_run(job).unwrap()
    }

    /// Runs a job that must write nothing at all, and answers the code it was released with.
    pub fn released(&self, job: GuardJob) -> Code {
        let before = self.everything();
        let outcome = self.run(job);
        assert_eq!(before, self.everything(), "something was written: {outcome:?}");
        match outcome {
            Outcome::Released(error) => error.code(),
            other => panic!("not released: {other:?}"),
        }
    }

    /// Runs a job that must record a conflict and write nothing else, and answers code and column.
    pub fn conflicts(&self, job: GuardJob) -> (String, Option<String>) {
        let before = self.everything();
        let key = job.idempotency_key.clone();
        let outcome = self.run(job);
        assert_eq!(before[..3], self.everything()[..3], "something was written: {outcome:?}");
        let stored =
            self.rows(&format!("SELECT status FROM synapsor_writeback_receipts WHERE idempotency_key = '{key}'"));
        assert_eq!(stored, [["Text(\"conflict\")"]]);
        match outcome {
            Outcome::Conflict(receipt) => {
                (receipt.safe_error_code.unwrap(), receipt.column.map(|column| column.to_string()))
            }
            other => panic!("no conflict: {other:?}"),
        }
    }

    pub fn applies(&self, job: GuardJob) {
        let effects = self.effects();
        let outcome = self.run(job);
        assert!(matches!(outcome, Outcome::Applied(_)), "not applied: {outcome:?}");
        assert_eq!(self.effects(), effects + 1);
    }
}

/// A value as its class and exact form.
fn exact(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => format!("Text({text:?})"),
            Err(_) => format!("Text({bytes:?})"),
        },
        other => format!("{other:?}"),
    }
}

pub fn open(address: &str) -> signoff::Result<SqliteDatabase> {
    SqliteDatabase::open("app", "APP_DATABASE", &Secret::new(address.to_owned()), None)
}

/// The job that a proposal against this row would lead to.
pub fn job(tenant: &str, row: &RowRead) -> GuardJob {
    let key_value = row.values.get("id").unwrap().clone();
    let patch: BTreeMap<Identifier, Scalar> =
        row.normal.iter().map(|(column, normal)| (column.clone(), normal.value.clone())).collect();
    GuardJob {
        dialect: Dialect::Sqlite,
        purpose: Purpose::Apply,
        effect: Effect::Update,
        receipts: receipts(),
        job_id: "wbj_1".to_owned(),
        proposal_id: "wrp_1".to_owned(),
        proposal_hash: format!("sha256:{}", "1".repeat(64)),
        action: "items.change".to_owned(),
        idempotency_key: format!("wrp_1:{}", key_value.to_text().unwrap()),
        tenant_id: tenant.to_owned(),
        schema: name("main"),
        table: name("items"),
        key_column: name("id"),
        key_value,
        tenant_column: Some(name("tenant_id")),
        version_column: Some(name("version")),
        expected_version: row.values.get("version").unwrap().clone(),
        before: row.values.clone(),
        classes: row.classes.clone(),
        types: row.types.clone(),
        allowed_columns: patch.keys().cloned().collect(),
        patch,
        now: Instant::parse("2026-06-20T14:31:08.000001Z").unwrap(),
    }
}
