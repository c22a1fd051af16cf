//! The shop in a SQLite file.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use signoff::database::{RowRead, SqliteDatabase};
use signoff::guard::{Dialect, GuardJob, ReceiptTable};
use signoff::primitives::Secret;

use super::Stock;

/// The shop of this engine.
pub type Shop = super::Shop<File>;

/// The file, and the folder that goes with it.
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Stock for File {
    type Database = SqliteDatabase;
    const DIALECT: Dialect = Dialect::Sqlite;
    const SCHEMA: &'static str = "main";
    const ITEMS: &'static str = "CREATE TABLE items (id INTEGER PRIMARY KEY, tenant_id TEXT NOT NULL, status TEXT, amount REAL, note TEXT, version INTEGER);
        INSERT INTO items VALUES (7, 'acme', 'pending', 10.5, NULL, 3), (8, 'acme', 'pending', 1.0, NULL, 3), (9, 'globex', 'pending', 1.0, NULL, 3);";
    const COUNTERS: &'static str = "CREATE TABLE executions (id); CREATE TABLE effects (id);
        CREATE TRIGGER count_execution BEFORE UPDATE ON items BEGIN INSERT INTO executions VALUES (OLD.id); END;
        CREATE TRIGGER count_effect AFTER UPDATE ON items BEGIN INSERT INTO effects VALUES (NEW.id); END;";
    const COLUMNS: &'static str = "SELECT name FROM pragma_table_xinfo('items') ORDER BY cid";
    const MOMENT: &'static str = "1";
    const BUMP: &'static str = "CREATE TRIGGER bump AFTER UPDATE OF status ON items BEGIN UPDATE items SET version = OLD.version + 1 WHERE id = OLD.id; END";
    const INSTANT: &'static str = "text";

    fn with(sql: &str) -> Option<(Self, SqliteDatabase)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let database = open(path.to_str().unwrap()).unwrap();
        Some((Self { path, _folder: folder }, database))
    }

    fn lines(&self, sql: &str) -> Vec<String> {
        // A query is one statement, and anything else answers nothing.
        if sql.starts_with("SELECT") {
            return self.rows(sql, plain).into_iter().map(|row| row.join("|")).collect();
        }
        self.connection().execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        Vec::new()
    }

    fn exact(&self, table: &str) -> Vec<String> {
        let mut rows: Vec<_> = self.rows(&format!("SELECT * FROM {table}"), exact);
        rows.sort();
        rows.into_iter().map(|row| row.join("|")).collect()
    }
}

impl File {
    fn connection(&self) -> Connection {
        let connection = Connection::open(&self.path).unwrap();
        // What the application does between two calls need not survive a power cut here.
        connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF").unwrap();
        connection.busy_timeout(Duration::from_secs(5)).unwrap();
        connection
    }

    fn rows(&self, sql: &str, show: fn(ValueRef<'_>) -> String) -> Vec<Vec<String>> {
        let connection = self.connection();
        let mut statement = connection.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let width = statement.column_count();
        let rows =
            statement.query_map([], |row| (0..width).map(|index| row.get_ref(index).map(show)).collect()).unwrap();
        rows.map(|row: rusqlite::Result<Vec<String>>| row.unwrap()).collect()
    }
}

/// A value as its class and exact form, so that `1` and `'1'` differ.
fn exact(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => format!("Text({text:?})"),
            Err(_) => format!("Text({bytes:?})"),
        },
        other => format!("{other:?}"),
    }
}

/// A value as `psql` prints it.
pub(crate) fn plain(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        ValueRef::Blob(bytes) => format!("\\x{}", hex::encode(bytes)),
    }
}

impl Shop {
    /// With the usual rows and a receipts table.
    pub fn usual() -> Self {
        Self::new(File::ITEMS)
    }

    /// With this table `items` and a receipts table.
    pub fn new(items: &str) -> Self {
        Self::counted(items).unwrap()
    }

    /// With this SQL and nothing else.
    pub fn bare(sql: &str) -> Self {
        Self::filled(sql).unwrap()
    }

    /// A connection of the application's.
    pub fn connection(&self) -> Connection {
        self.stock.connection()
    }

    /// All rows, each value as its class and exact form.
    pub fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        self.stock.rows(sql, exact)
    }

    /// The one value.
    pub fn one(&self, sql: &str) -> String {
        self.rows(sql)[0][0].clone()
    }
}

/// The adapter on a file.
pub fn open(address: &str) -> signoff::Result<SqliteDatabase> {
    open_for(address, None)
}

/// The same, with so much patience.
pub fn open_for(address: &str, timeout: Option<Duration>) -> signoff::Result<SqliteDatabase> {
    SqliteDatabase::open("app", "APP_DATABASE", &Secret::new(address.to_owned()), timeout)
}

/// Where receipts are.
pub fn receipts() -> ReceiptTable {
    super::receipts(File::SCHEMA)
}

/// The job that a proposal against this row would lead to.
pub fn job(tenant: &str, row: &RowRead) -> GuardJob {
    super::job::<File>(tenant, row)
}
