//! A table `items` as an application would have it, with what counts the writes to it, for tests of the guard alone. What
//! it is made of differs by engine ([`Stock`]); what is done with it does not.

pub mod postgres;
pub mod sqlite;

use std::collections::BTreeMap;
use std::future::Future;

use signoff::Code;
use signoff::database::{Database, RowRead, ScopedRead};
use signoff::guard::{Dialect, Effect, GuardJob, Outcome, Purpose, ReceiptTable};
use signoff::primitives::{Identifier, Instant, Scalar};

/// A database of one engine.
pub trait Stock: Sized {
    /// The adapter.
    type Database: Database + Clone + 'static;
    /// What the guard speaks there.
    const DIALECT: Dialect;
    /// Where the tables are.
    const SCHEMA: &'static str;
    /// The usual `items`: 7 and 8 of acme, 9 of globex, all pending.
    const ITEMS: &'static str;
    /// Counts an execution before the row is written, and an effect after.
    const COUNTERS: &'static str;
    /// Answers the columns of `items`.
    const COLUMNS: &'static str;
    /// The least that a version moves by.
    const MOMENT: &'static str;
    /// A trigger that moves the version of what is written by as much.
    const BUMP: &'static str;
    /// The type of an instant.
    const INSTANT: &'static str;
    /// A database with this SQL run on it; `None`, said once, where there is no server for it.
    fn with(sql: &str) -> Option<(Self, Self::Database)>;
    /// Runs SQL; answers the rows of a query, values parted by `|`.
    fn lines(&self, sql: &str) -> Vec<String>;
    /// A table's rows, such that whatever differs shows.
    fn exact(&self, table: &str) -> Vec<String>;
}

/// The table, the adapter on it, and a tokio to run that on.
pub struct Shop<S: Stock> {
    /// The application's side.
    pub stock: S,
    /// Ours.
    pub database: S::Database,
    runtime: tokio::runtime::Runtime,
}

/// A name in SQL.
pub fn name(text: &str) -> Identifier {
    Identifier::new(text).unwrap()
}

/// The receipts table in a schema.
pub fn receipts(schema: &str) -> ReceiptTable {
    ReceiptTable { schema: name(schema), name: name("synapsor_writeback_receipts") }
}

/// A text.
pub fn text(value: &str) -> Scalar {
    Scalar::Text(value.to_owned())
}

/// A decimal number.
pub fn decimal(value: &str) -> Scalar {
    Scalar::Decimal(value.to_owned())
}

/// The patch that most tests make.
pub fn approve() -> [(&'static str, Scalar); 1] {
    [("status", text("approved"))]
}

/// The code of an error.
pub fn code<T: std::fmt::Debug>(result: signoff::Result<T>) -> Code {
    result.unwrap_err().code()
}

/// A conflict over a column, as [`Shop::conflicts`] answers it.
pub fn moved(code: &str, column: &str) -> (String, Option<String>) {
    (code.to_owned(), Some(column.to_owned()))
}

impl<S: Stock> Shop<S> {
    /// With this SQL and nothing else.
    pub fn filled(sql: &str) -> Option<Self> {
        let (stock, database) = S::with(sql)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Some(Self { stock, database, runtime })
    }

    /// With this table `items`, counters and a receipts table.
    pub fn counted(items: &str) -> Option<Self> {
        let shop = Self::filled(&format!("{items}{}", S::COUNTERS))?;
        shop.migrate();
        Some(shop)
    }

    /// Runs a call to its end.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Begins a call.
    pub fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime.spawn(future)
    }

    /// Makes the receipts table, or brings it up to date; answers what was run.
    pub fn migrate(&self) -> Vec<String> {
        self.wait(self.database.migrate_receipts(receipts(S::SCHEMA))).unwrap()
    }

    /// The application does something.
    pub fn sql(&self, sql: &str) {
        self.stock.lines(sql);
    }

    /// Everything that a guard could have written.
    pub fn everything(&self) -> Vec<Vec<String>> {
        ["items", "effects", "executions", "synapsor_writeback_receipts"].map(|table| self.stock.exact(table)).into()
    }

    /// How many writes landed.
    pub fn effects(&self) -> usize {
        let (effects, executions) = (self.stock.exact("effects").len(), self.stock.exact("executions").len());
        assert_eq!(effects, executions);
        effects
    }

    /// The columns of `items`.
    pub fn columns(&self) -> Vec<Identifier> {
        self.stock.lines(S::COLUMNS).iter().map(|column| name(column)).collect()
    }

    /// A read of one row.
    pub fn request(&self, tenant: &str, key: &str, patch: &[(&str, Scalar)]) -> ScopedRead {
        ScopedRead {
            schema: name(S::SCHEMA),
            table: name("items"),
            key_column: name("id"),
            key_value: key.to_owned(),
            tenant: Some((name("tenant_id"), tenant.to_owned())),
            columns: self.columns(),
            patch: patch.iter().map(|(column, value)| (name(column), value.clone())).collect(),
        }
    }

    /// Reads a row of acme.
    pub fn read(&self, key: &str, patch: &[(&str, Scalar)]) -> signoff::Result<Option<RowRead>> {
        self.read_in("acme", key, patch)
    }

    /// Reads a row of a tenant.
    pub fn read_in(&self, tenant: &str, key: &str, patch: &[(&str, Scalar)]) -> signoff::Result<Option<RowRead>> {
        self.wait(self.database.read(self.request(tenant, key, patch)))
    }

    /// A value as a proposal would show it.
    pub fn value(&self, key: &str, column: &str) -> Scalar {
        self.read(key, &[]).unwrap().unwrap().values.remove(column).unwrap()
    }

    /// The job of a change, proposed against the row as it is now.
    pub fn job(&self, key: &str, patch: &[(&str, Scalar)]) -> GuardJob {
        let row = self.read(key, patch).unwrap().unwrap_or_else(|| panic!("no row {key}"));
        job::<S>("acme", &row)
    }

    /// The same under another key.
    pub fn keyed(&self, idempotency_key: &str, key: &str, patch: &[(&str, Scalar)]) -> GuardJob {
        GuardJob { idempotency_key: idempotency_key.to_owned(), ..self.job(key, patch) }
    }

    /// Runs a job.
    pub fn try_run(&self, job: GuardJob) -> signoff::Result<Outcome> {
        self.wait(self.database.run(job, None))
    }

    /// Runs a job that comes to an end.
    pub fn run(&self, job: GuardJob) -> Outcome {
        self.try_run(job).unwrap()
    }

    /// Runs all of these at once.
    pub fn run_together(&self, jobs: Vec<GuardJob>) -> Vec<Outcome> {
        let begin = |job| {
            let database = self.database.clone();
            self.spawn(async move { database.run(job, None).await.unwrap() })
        };
        let running: Vec<_> = jobs.into_iter().map(begin).collect();
        running.into_iter().map(|task| self.wait(task).unwrap()).collect()
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
        let stored = format!("SELECT status FROM synapsor_writeback_receipts WHERE idempotency_key = '{key}'");
        assert_eq!(self.stock.lines(&stored), ["conflict"]);
        match outcome {
            Outcome::Conflict(receipt) => {
                (receipt.safe_error_code.unwrap(), receipt.column.map(|column| column.to_string()))
            }
            other => panic!("no conflict: {other:?}"),
        }
    }

    /// Runs a job that must land.
    pub fn applies(&self, job: GuardJob) {
        let effects = self.effects();
        let outcome = self.run(job);
        assert!(matches!(outcome, Outcome::Applied(_)), "not applied: {outcome:?}");
        assert_eq!(self.effects(), effects + 1);
    }
}

/// The job that a proposal against this row would lead to.
pub fn job<S: Stock>(tenant: &str, row: &RowRead) -> GuardJob {
    job_by::<S>(tenant, row, "version")
}

/// The same for a table whose version is another column.
pub fn job_by<S: Stock>(tenant: &str, row: &RowRead, version: &str) -> GuardJob {
    let key_value = row.values.get("id").unwrap().clone();
    let patch: BTreeMap<Identifier, Scalar> =
        row.normal.iter().map(|(column, normal)| (column.clone(), normal.value.clone())).collect();
    GuardJob {
        dialect: S::DIALECT,
        purpose: Purpose::Apply,
        effect: Effect::Update,
        receipts: receipts(S::SCHEMA),
        job_id: "wbj_1".to_owned(),
        proposal_id: "wrp_1".to_owned(),
        proposal_hash: format!("sha256:{}", "1".repeat(64)),
        action: "items.change".to_owned(),
        idempotency_key: format!("wrp_1:{}", key_value.to_text().unwrap()),
        tenant_id: tenant.to_owned(),
        schema: name(S::SCHEMA),
        table: name("items"),
        key_column: name("id"),
        key_value,
        tenant_column: Some(name("tenant_id")),
        version_column: Some(name(version)),
        expected_version: row.values.get(version).unwrap().clone(),
        before: row.values.clone(),
        classes: row.classes.clone(),
        types: row.types.clone(),
        allowed_columns: patch.keys().cloned().collect(),
        patch,
        now: Instant::parse("2026-06-20T14:31:08.000001Z").unwrap(),
    }
}
