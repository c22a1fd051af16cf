//! SQLite as a source. Reads open the file read-only; a file that does not exist is never created.

mod idle;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, InterruptHandle, OpenFlags, params_from_iter};

use self::idle::{Access, Idle, Kept, identity};
use super::receipts::Found;
use super::{Check, CheckRequest, Database, RowRead, ScopedRead};
use crate::error::{Code, Error, Result};
use crate::guard::{ColumnType, Dialect, Failure, Guard, GuardJob, Outcome, ReceiptTable, Reply, Statement, Step};
use crate::primitives::{Identifier, Redactor, Secret};

/// How long a statement waits for another writer, and a read may take, unless the source says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// A SQLite file with an application's rows.
#[derive(Debug, Clone)]
pub struct SqliteDatabase {
    source: String,
    variable: String,
    path: PathBuf,
    timeout: Duration,
    idle: Arc<Idle>,
}

impl SqliteDatabase {
    /// A source at the address that `variable` holds: a path, `sqlite:path` or `file:path`.
    ///
    /// # Errors
    /// `SOURCE_URL_INVALID` for parameters and hosts, which a path has not; `SOURCE_UNAVAILABLE` if there is no file.
    pub fn open(source: &str, variable: &str, address: &Secret, timeout: Option<Duration>) -> Result<Self> {
        let address = address.expose();
        let path = ["sqlite:", "file:"].iter().find_map(|scheme| address.strip_prefix(scheme)).unwrap_or(address);
        // After `//` a host would stand; an absolute path has three slashes.
        let path = if path.len() == address.len() {
            path
        } else {
            path.strip_prefix("//").filter(|rest| rest.starts_with('/')).unwrap_or(path)
        };
        let is_address = !path.contains("://") && !path.starts_with("//");
        if path.is_empty() || !is_address || path.contains(['?', '\0']) || path == ":memory:" {
            return Err(Error::new(Code::SourceUrlInvalid).with("variable", variable).with("engine", "sqlite"));
        }
        let database = Self {
            source: source.to_owned(),
            variable: variable.to_owned(),
            path: PathBuf::from(path),
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
            idle: Arc::default(),
        };
        database.exists().map(|()| database)
    }

    fn exists(&self) -> Result<()> {
        if self.path.is_file() { Ok(()) } else { Err(self.unavailable("there is no such file")) }
    }

    fn unavailable(&self, reason: &str) -> Error {
        Error::new(Code::SourceUnavailable)
            .with("source", &self.source)
            .with("variable", &self.variable)
            .with("reason", reason)
    }

    fn connect(&self, access: Access) -> Result<Kept> {
        self.exists()?;
        if let Some(kept) = self.idle.take(access, &self.path) {
            return Ok(kept);
        }
        let file = identity(&self.path);
        let connection = Connection::open_with_flags(&self.path, access.flags() | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .and_then(|connection| connection.busy_timeout(self.timeout).map(|()| connection))
            .map_err(|_| self.unavailable("the file cannot be opened"))?;
        if access == Access::Write {
            // The application relies on its foreign keys; a receipt must survive a power cut with its effect.
            connection
                .execute_batch("PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL;")
                .map_err(|error| self.explain(classify(&error)))?;
        }
        // The same before and after opening: that is the file that was opened.
        let file = file.filter(|file| identity(&self.path).as_ref() == Some(file));
        Ok(Kept { connection, access, file })
    }

    fn explain(&self, failure: Failure) -> Error {
        super::explain(&self.source, &self.variable, failure)
    }

    fn read_blocking(&self, read: &ScopedRead, interrupt: &Mutex<Option<InterruptHandle>>) -> Result<Option<RowRead>> {
        let kept = self.connect(Access::Read)?;
        let connection = &kept.connection;
        *interrupt.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection.get_interrupt_handle());
        let found = self.read_on(connection, read);
        // From here on an interrupt would reach whoever has the connection next.
        *interrupt.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if found.is_ok() && connection.execute_batch("COMMIT").is_ok() {
            self.idle.give_back(kept);
        }
        found
    }

    fn read_on(&self, connection: &Connection, read: &ScopedRead) -> Result<Option<RowRead>> {
        let failed = |error: rusqlite::Error| self.explain(classify(&error));
        // One snapshot for the catalogue and the row.
        connection.execute_batch("BEGIN DEFERRED").map_err(failed)?;
        let table = self.table(connection, read)?;
        let types: std::collections::BTreeMap<Identifier, ColumnType> = read
            .columns
            .iter()
            .map(|column| match table.iter().find(|known| known.name == column.as_str()) {
                Some(known) => Ok((column.clone(), known.column_type.clone())),
                None => Err(self.missing(format!("column {column} in table {}", read.table))),
            })
            .collect::<Result<_>>()?;

        let outputs: Vec<String> = read.columns.iter().map(|column| Dialect::Sqlite.select(column, None)).collect();
        let mut params = vec![Some(read.key_value.clone())];
        let mut condition = format!("{} = ?1", read.key_column.quoted());
        if let Some((column, value)) = &read.tenant {
            params.push(Some(value.clone()));
            condition.push_str(&format!(" AND {} = ?2", column.quoted()));
        }
        let sql = format!(
            "SELECT {} FROM {}.{} WHERE {condition} LIMIT 2",
            outputs.join(", "),
            read.schema.quoted(),
            read.table.quoted()
        );
        let (rows, _) = run(connection, &Statement { sql, params }).map_err(|error| match error {
            rusqlite::Error::FromSqlConversionFailure(index, ..) => Error::new(Code::ValueNotReadable)
                .with("column", read.columns.get(index / 2).map_or("?", Identifier::as_str))
                .with("reason", "its text is not UTF-8"),
            other => failed(other),
        })?;
        let row = match rows.as_slice() {
            [] => return Ok(None),
            [row] => row,
            _ => {
                let object = format!("{}.{}", read.schema, read.table);
                return Err(Error::new(Code::RowNotUnique).with("column", &read.key_column).with("object", object));
            }
        };
        let typed = read.columns.iter().map(|column| (column, types.get(column)));
        let mut found = RowRead {
            values: Default::default(),
            classes: Default::default(),
            types: Default::default(),
            plain_types: Default::default(),
            normal: Default::default(),
        };
        // Affinity binds a parameter by itself; only what is written needs its type, to be recognised after the write.
        found.types.extend(
            types.iter().filter(|(column, _)| read.patch.contains_key(*column)).map(|(c, t)| (c.clone(), t.clone())),
        );
        for (column, cell, scalar) in Dialect::Sqlite.scalars(row, typed)? {
            found.classes.insert(column.clone(), cell.class);
            found.values.insert(column.clone(), scalar);
        }
        let text = |column: &Identifier| found.values.get(column).and_then(crate::primitives::Scalar::to_text);
        let key_same = text(&read.key_column).as_deref() == Some(&read.key_value);
        let tenant_same = read.tenant.as_ref().is_none_or(|(column, value)| text(column).as_deref() == Some(value));
        if !key_same || !tenant_same {
            return Ok(None);
        }
        self.check_patch(read, &table, &mut found)?;
        Ok(Some(found))
    }

    fn check_patch(&self, read: &ScopedRead, table: &[Column], found: &mut RowRead) -> Result<()> {
        for (column, value) in &read.patch {
            let known = table
                .iter()
                .find(|known| known.name == column.as_str())
                .ok_or_else(|| self.missing(format!("column {column} in table {}", read.table)))?;
            if known.generated {
                return Err(Error::new(Code::ColumnNotPatchable)
                    .with("column", column)
                    .with("reason", "it is generated"));
            }
            let normal = Dialect::Sqlite.normalise(column, &known.column_type, value)?;
            let class = found.classes.get(column).map_or("null", String::as_str);
            let fits = match known.column_type.as_str() {
                "NUMERIC" => matches!(class, "integer" | "real"),
                affinity => affinity.eq_ignore_ascii_case(class),
            };
            if class != "null" && !fits {
                return Err(Error::new(Code::ColumnTypeMixed)
                    .with("column", column)
                    .with("declared", known.column_type.as_str())
                    .with("class", class));
            }
            found.normal.insert(column.clone(), normal);
        }
        Ok(())
    }

    fn missing(&self, object: String) -> Error {
        Error::new(Code::SourceObjectNotFound).with("source", &self.source).with("object", object)
    }

    /// The columns of the table, as the engine's own catalogue has them.
    fn table(&self, connection: &Connection, read: &ScopedRead) -> Result<Vec<Column>> {
        let failed = |error: rusqlite::Error| self.explain(classify(&error));
        let sql = format!("PRAGMA {}.table_xinfo({})", read.schema.quoted(), read.table.quoted());
        let mut statement = connection.prepare(&sql).map_err(failed)?;
        let columns = statement
            .query_map([], |row| {
                let declared: String = row.get("type")?;
                let hidden: i64 = row.get("hidden")?;
                Ok(Column {
                    name: row.get("name")?,
                    column_type: ColumnType::sqlite(&declared),
                    generated: hidden != 0,
                })
            })
            .and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
            .map_err(failed)?;
        if columns.is_empty() {
            return Err(self.missing(format!("table {}.{}", read.schema, read.table)));
        }
        Ok(columns)
    }

    fn run_blocking(&self, job: GuardJob, redactor: Option<Redactor>) -> Result<Outcome> {
        let (mut guard, mut step) = Guard::start(job, redactor)?;
        let kept = self.connect(Access::Write)?;
        let connection = &kept.connection;
        loop {
            fault_point(&step);
            let ran = match &step {
                Step::Begin(_) if !connection.is_autocommit() => Ok(Reply::Failed(Failure::AlreadyOpen)),
                Step::Begin(statement) | Step::Run(statement) => {
                    run(connection, statement).map(|(rows, changed)| Reply::Ran { rows, changed })
                }
                Step::Commit => run_plain(connection, "COMMIT"),
                Step::Rollback if connection.is_autocommit() => Ok(Reply::done(0)),
                Step::Rollback => run_plain(connection, "ROLLBACK"),
                Step::Pause(duration) => {
                    std::thread::sleep(*duration);
                    Ok(Reply::done(0))
                }
                Step::Done(outcome) => {
                    let outcome = self.name_source(outcome.clone());
                    // What is not known may be the connection's fault.
                    if connection.is_autocommit() && !matches!(outcome, Outcome::Unknown | Outcome::Released(_)) {
                        self.idle.give_back(kept);
                    }
                    return Ok(outcome);
                }
                Step::Effect => Ok(Reply::Failed(Failure::Other)),
            };
            step = guard.next(ran.unwrap_or_else(|error| Reply::Failed(classify(&error))));
        }
    }

    /// The guard knows no source names; its errors get ours.
    fn name_source(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Released(error) => Outcome::Released(error.with("source", &self.source)),
            other => other,
        }
    }

    fn migrate_blocking(&self, table: &ReceiptTable) -> Result<Vec<String>> {
        let kept = self.connect(Access::Write)?;
        let connection = &kept.connection;
        let failed = |error: rusqlite::Error| self.explain(classify(&error));
        connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
        let found = receipts(connection, table).map_err(failed)?;
        let statements = found.statements(Dialect::Sqlite, table);
        let statements = statements.map_err(|error| error.with("source", &self.source))?;
        for statement in &statements {
            connection.execute_batch(statement).map_err(failed)?;
        }
        connection.execute_batch("COMMIT").map_err(failed)?;
        Ok(statements)
    }

    fn check_blocking(&self, request: &CheckRequest) -> Vec<Check> {
        let told = |failure| super::check::category(failure);
        let Ok(Kept { connection, .. }) = self.connect(Access::Write) else {
            return vec![Check::failed("connect", told(Failure::Lost))];
        };
        let mut checks = vec![Check::passed("connect", "connected")];
        // Its drop rolls everything back.
        if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
            checks.push(Check::failed("writable", told(classify(&error))));
            return checks;
        }
        checks.push(Check::passed("writable", "not read-only"));
        let table = &request.receipts;
        let found = receipts(&connection, table).map(|found| found.checks(table));
        let found = found.unwrap_or_else(|error| vec![Check::failed("receipts-table", told(classify(&error)))]);
        let whole = found.iter().all(|check| check.ok);
        checks.extend(found);
        for probe in super::check::probes(Dialect::Sqlite, request, whole) {
            let ran = probe.statements.iter().try_for_each(|sql| connection.execute_batch(sql));
            checks.push(probe.ended(ran.err().map(|error| classify(&error))));
        }
        checks
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Self) -> Result<T> + Send + 'static) -> Result<T> {
        let database = self.clone();
        let joined = tokio::task::spawn_blocking(move || work(&database)).await;
        joined.unwrap_or_else(|_| Err(Error::new(Code::Internal).with("detail", "a database task ended early")))
    }
}

#[async_trait]
impl Database for SqliteDatabase {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    async fn read(&self, read: ScopedRead) -> Result<Option<RowRead>> {
        let interrupt = Arc::new(Mutex::new(None));
        let handle = Arc::clone(&interrupt);
        let work = self.blocking(move |database| database.read_blocking(&read, &handle));
        tokio::pin!(work);
        match tokio::time::timeout(self.timeout, &mut work).await {
            Ok(answer) => answer,
            Err(_) => {
                // The read is by key: taking this long means a scan or a stuck disk. End it, then answer what it says.
                if let Some(handle) = interrupt.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
                    handle.interrupt();
                }
                work.await
            }
        }
    }

    async fn run(&self, job: GuardJob, redactor: Option<Redactor>) -> Result<Outcome> {
        self.blocking(move |database| database.run_blocking(job, redactor)).await
    }

    async fn migrate_receipts(&self, table: ReceiptTable) -> Result<Vec<String>> {
        self.blocking(move |database| database.migrate_blocking(&table)).await
    }

    async fn check(&self, request: CheckRequest) -> Vec<Check> {
        let checks = self.blocking(move |database| Ok(database.check_blocking(&request))).await;
        checks.unwrap_or_else(|error| vec![Check::failed("probe", error.code().as_str())])
    }
}

/// The receipts table as the catalogue has it.
fn receipts(connection: &Connection, table: &ReceiptTable) -> rusqlite::Result<Found> {
    let columns = format!("SELECT name FROM {}.pragma_table_info('{}')", table.schema.quoted(), table.name);
    let columns = connection.prepare(&columns)?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let kind = format!("SELECT type FROM pragma_table_list('{}') WHERE schema = '{}'", table.name, table.schema);
    let kinds: Vec<String> =
        connection.prepare(&kind)?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let unfit =
        kinds.iter().any(|kind| kind != "table").then_some("is a view or a virtual table: nothing is kept in it");
    Ok(Found { columns, unique: key_is_unique(connection, table)?, unfit })
}

/// Does a unique index hold the key? A table that was copied without its keys would give a key twice.
fn key_is_unique(connection: &Connection, table: &ReceiptTable) -> rusqlite::Result<bool> {
    let sql = format!(
        "SELECT group_concat(c.name, ',') FROM pragma_index_list('{name}', '{schema}') AS i JOIN pragma_index_info(i.name, '{schema}') AS c WHERE i.\"unique\" = 1 AND i.partial = 0 GROUP BY i.name",
        name = table.name,
        schema = table.schema,
    );
    let indexes: Vec<String> =
        connection.prepare(&sql)?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let ours = ["tenant_id,idempotency_key", "idempotency_key,tenant_id", "idempotency_key"];
    Ok(indexes.iter().any(|columns| ours.contains(&columns.as_str())))
}

struct Column {
    name: String,
    column_type: ColumnType,
    generated: bool,
}

type Rows = Vec<Vec<Option<String>>>;

/// Runs a statement to its end: all rows as text, and the rows it changed.
fn run(connection: &Connection, statement: &Statement) -> rusqlite::Result<(Rows, u64)> {
    let mut prepared = connection.prepare_cached(&statement.sql)?;
    let width = prepared.column_count();
    let mut rows = Vec::new();
    let mut cursor = prepared.query(params_from_iter(statement.params.iter()))?;
    while let Some(row) = cursor.next()? {
        let mut out = Vec::with_capacity(width);
        for index in 0..width {
            out.push(match row.get_ref(index)? {
                ValueRef::Null => None,
                ValueRef::Integer(value) => Some(value.to_string()),
                ValueRef::Text(bytes) => Some(String::from_utf8(bytes.to_vec()).map_err(|error| {
                    rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, Box::new(error))
                })?),
                // The select expressions never yield these two.
                ValueRef::Real(_) | ValueRef::Blob(_) => {
                    return Err(rusqlite::Error::InvalidColumnType(
                        index,
                        String::new(),
                        row.get_ref(index)?.data_type(),
                    ));
                }
            });
        }
        rows.push(out);
    }
    drop(cursor);
    let writes = !prepared.readonly();
    Ok((rows, if writes { connection.changes() } else { 0 }))
}

fn run_plain(connection: &Connection, sql: &str) -> rusqlite::Result<Reply> {
    connection.execute_batch(sql).map(|()| Reply::done(0))
}

/// What a driver error means to a rule. Its text stays here.
fn classify(error: &rusqlite::Error) -> Failure {
    let rusqlite::Error::SqliteFailure(failure, message) = error else {
        return match error {
            rusqlite::Error::SqlInputError { error, msg, .. } => Failure::from_sqlite(error.extended_code, msg),
            rusqlite::Error::FromSqlConversionFailure(..) => Failure::Unreadable,
            _ => Failure::Other,
        };
    };
    Failure::from_sqlite(failure.extended_code, message.as_deref().unwrap_or_default())
}

/// Passes the numbered point of a step, in a build that has them.
fn fault_point(step: &Step) {
    #[cfg(not(feature = "fault-injection"))]
    let _ = step;
    #[cfg(feature = "fault-injection")]
    {
        use crate::fault::reach;
        match step {
            Step::Begin(_) => reach("fault:guard.begin"),
            Step::Run(statement) if statement.sql.starts_with("INSERT") => reach("fault:guard.claim"),
            Step::Run(statement) if statement.sql.contains("receipt_json = ") => reach("fault:guard.finish"),
            Step::Run(statement) if statement.sql.starts_with("UPDATE") => reach("fault:guard.effect"),
            Step::Run(_) => reach("fault:guard.read"),
            Step::Commit => reach("fault:guard.commit"),
            Step::Done(_) => reach("fault:guard.committed"),
            _ => {}
        }
    }
}
