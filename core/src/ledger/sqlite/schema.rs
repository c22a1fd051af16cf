//! The tables, as forward-only migrations. A step is never edited once it was released; a new one is added.

use std::sync::LazyLock;

use rusqlite::Connection;

use super::Failed;
use super::chain::tampered;
use crate::error::Result;

/// Marks the file as ours (`Sign`), in its header.
pub(super) const APPLICATION_ID: i32 = 0x5369_676e;

/// The format this build writes: the number of steps.
pub(super) const FORMAT: u32 = MIGRATIONS.len() as u32;

/// The first format that has the index of lists.
pub(super) const FORMAT_WITH_INDEX: u32 = 3;

/// Every table's `seq` is the event it was written with, so an event finds its rows by primary key. What moves stands
/// apart from what does not: `standings` has the present state of each proposal, sealed, and is what a step updates.
const MIGRATIONS: &[&str] = &["
CREATE TABLE chain (id INTEGER PRIMARY KEY CHECK (id = 1), size INTEGER NOT NULL, head BLOB NOT NULL, mac BLOB NOT NULL, key_id TEXT NOT NULL, ledger_id TEXT NOT NULL, created_at TEXT NOT NULL) STRICT;
CREATE TABLE events (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, subject TEXT NOT NULL, actor TEXT NOT NULL, at TEXT NOT NULL, detail TEXT NOT NULL, hash BLOB NOT NULL, mac BLOB NOT NULL) STRICT;
CREATE INDEX events_subject ON events (subject) WHERE subject <> '';
CREATE TABLE proposals (seq INTEGER PRIMARY KEY, proposal_id TEXT NOT NULL, document TEXT NOT NULL, facts TEXT NOT NULL) STRICT;
CREATE UNIQUE INDEX proposals_id ON proposals (proposal_id);
CREATE TABLE standings (seq INTEGER PRIMARY KEY, object_key BLOB, row_key BLOB NOT NULL, state TEXT NOT NULL, standing TEXT NOT NULL, last_seq INTEGER NOT NULL, seal BLOB NOT NULL) STRICT;
CREATE UNIQUE INDEX standings_active ON standings (object_key) WHERE object_key IS NOT NULL AND state IN ('pending_review', 'approved', 'pending_worker', 'outcome_unknown');
CREATE INDEX standings_row ON standings (row_key);
CREATE INDEX standings_state ON standings (state, seq);
CREATE TABLE evidence (seq INTEGER PRIMARY KEY, evidence_id TEXT NOT NULL, document TEXT NOT NULL) STRICT;
CREATE UNIQUE INDEX evidence_by_id ON evidence (evidence_id);
CREATE TABLE query_audit (seq INTEGER PRIMARY KEY, document TEXT NOT NULL) STRICT;
CREATE TABLE approvals (seq INTEGER PRIMARY KEY, document TEXT NOT NULL, mac BLOB NOT NULL) STRICT;
CREATE TABLE writeback_jobs (seq INTEGER PRIMARY KEY, document TEXT NOT NULL) STRICT;
CREATE TABLE receipts (seq INTEGER PRIMARY KEY, document TEXT NOT NULL, details TEXT) STRICT;
", "
CREATE TABLE receipt_tables (seq INTEGER PRIMARY KEY, source TEXT NOT NULL, document TEXT NOT NULL) STRICT;
CREATE INDEX receipt_tables_source ON receipt_tables (source);
", "
CREATE TABLE terms (term INTEGER NOT NULL, block INTEGER NOT NULL, bits BLOB NOT NULL, PRIMARY KEY (term, block)) STRICT, WITHOUT ROWID;
CREATE TABLE blocks (block INTEGER PRIMARY KEY, earliest INTEGER NOT NULL, latest INTEGER NOT NULL) STRICT;
CREATE TABLE prunings (seq INTEGER PRIMARY KEY, document TEXT NOT NULL) STRICT;
CREATE TABLE pruned (seq INTEGER PRIMARY KEY, payload BLOB NOT NULL) STRICT;
"];

/// The columns of each table that an event's digest covers, in order; `$` stands for the table.
pub(super) const COVERED: &[(&str, &[&str])] = &[
    ("proposals", &["$.proposal_id", "$.document", "$.facts"]),
    ("evidence", &["$.evidence_id", "$.document"]),
    ("query_audit", &["$.document"]),
    ("approvals", &["$.document", "hex($.mac)"]),
    ("writeback_jobs", &["$.document"]),
    ("receipts", &["$.document", "$.details"]),
    ("receipt_tables", &["$.source", "$.document"]),
    ("prunings", &["$.document"]),
];

/// Every object of the schema as the steps make it. `None` if even an empty database could not be made.
static SCHEMA: LazyLock<Option<Vec<String>>> = LazyLock::new(|| {
    let connection = Connection::open_in_memory().ok()?;
    migrate(&connection, 0).ok()?;
    objects(&connection).ok()
});

fn objects(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    // The statistics that ANALYZE keeps are nobody's business but the planner's.
    let sql = "SELECT type || ' ' || name || ' on ' || tbl_name || ': ' || coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY 1";
    connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

/// Is the schema ours, to the letter? A planted trigger, view or column would act with our key at hand; a missing index
/// would let two proposals be active. Answers the schema's version, which moves with every change of it.
pub(super) fn check_schema(connection: &Connection) -> Result<i64> {
    let version = connection.pragma_query_value(None, "schema_version", |row| row.get(0)).failed()?;
    if SCHEMA.as_ref() == Some(&objects(connection).failed()?) {
        Ok(version)
    } else {
        Err(tampered("the schema", "its tables, indexes, triggers or views are not ours"))
    }
}

/// Runs the steps that are missing, inside the caller's transaction.
pub(super) fn migrate(connection: &Connection, from: u32) -> rusqlite::Result<()> {
    for step in MIGRATIONS.iter().skip(from as usize) {
        connection.execute_batch(step)?;
    }
    connection.pragma_update(None, "user_version", FORMAT)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)
}
