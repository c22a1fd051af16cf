//! What differs between engines: quoting, placeholders, how a value is shown exactly and how it is bound.

mod postgres;
mod sqlite;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::job::Cell;
use super::receipt::ReceiptTable;
use crate::error::{Code, Error, Result};
use crate::primitives::{Identifier, Instant, Scalar};

/// The SQL an engine speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Dialect {
    /// SQLite 3.
    Sqlite,
    /// PostgreSQL 13 and later.
    Postgres,
}

/// A column's declared type: SQLite's affinity (`INTEGER`, `REAL`, `NUMERIC`, `TEXT`, `BLOB`), or Postgres' type text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ColumnType(String);

impl ColumnType {
    /// Takes a type's text from the engine's own catalogue.
    ///
    /// # Errors
    /// `DOCUMENT_INVALID` if it holds a character that no type name needs: it stands in SQL.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        let plain =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ' ' | '(' | ')' | ',' | '.' | '"' | '[' | ']');
        if text.chars().all(plain) && text.len() <= 256 {
            Ok(Self(text))
        } else {
            Err(Error::new(Code::DocumentInvalid).with("schema", "column type").with("problem", "unexpected character"))
        }
    }

    /// The type of a SQLite column by its declared text: its affinity, by the five rules of "Datatypes in SQLite" 3.1.
    #[must_use]
    pub fn sqlite(declared: &str) -> Self {
        Self(sqlite::affinity(declared).to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a column would hold after a value is written to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Normal {
    /// The storage class it would have.
    pub class: String,
    /// The value as the column would show it.
    pub value: Scalar,
}

impl Dialect {
    /// Schema and table of `schema.table`; of `table`, in the schema that a table is in if nobody says another.
    ///
    /// # Errors
    /// `UNSAFE_IDENTIFIER`.
    pub fn qualified(self, name: &str) -> Result<(Identifier, Identifier)> {
        let default = match self {
            Self::Sqlite => "main",
            Self::Postgres => "public",
        };
        let (schema, table) = name.split_once('.').unwrap_or((default, name));
        Ok((Identifier::new(schema)?, Identifier::new(table)?))
    }

    /// The nth placeholder, from 1.
    pub(super) fn placeholder(self, n: usize) -> String {
        match self {
            Self::Sqlite => format!("?{n}"),
            Self::Postgres => format!("${n}"),
        }
    }

    /// The nth placeholder as a value of this type. Parameters are always text.
    pub(super) fn typed(self, n: usize, column_type: Option<&ColumnType>) -> String {
        match (self, column_type) {
            (Self::Postgres, Some(known)) => format!("CAST(${n}::pg_catalog.text AS {})", postgres::type_name(known)),
            (Self::Postgres, None) => format!("${n}::pg_catalog.text"),
            (Self::Sqlite, _) => format!("?{n}"),
        }
    }

    /// A condition: the column has the value of the nth placeholder.
    #[must_use]
    pub fn matches(self, column: &Identifier, n: usize, column_type: Option<&ColumnType>) -> String {
        let equals = match self {
            Self::Sqlite => "=",
            Self::Postgres => postgres::equals(column_type),
        };
        format!("{} {equals} {}", self.column(column), self.typed(n, column_type))
    }

    /// The same for a column of the receipts table, all of which hold text.
    pub(super) fn matches_text(self, column: &str, n: usize) -> String {
        match self {
            Self::Sqlite => format!("{column} = ?{n}"),
            Self::Postgres => format!("{column} OPERATOR(pg_catalog.=) ${n}"),
        }
    }

    /// The condition that a receipt has not been finished.
    pub(super) fn in_progress(self) -> &'static str {
        match self {
            Self::Sqlite => "status = 'in_progress'",
            Self::Postgres => "status OPERATOR(pg_catalog.=) 'in_progress'",
        }
    }

    /// A condition more: this very transaction claimed the key. It begins with AND. SQLite has [`Self::mark`] for it.
    pub(super) fn claimed_in_this_transaction(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " AND xmin OPERATOR(pg_catalog.=) pg_catalog.pg_current_xact_id()::pg_catalog.xid",
        }
    }

    /// What is run before and after the author's function where a transaction has no name of its own.
    pub(super) fn mark(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Sqlite => Some(("SAVEPOINT signoff_effect", "RELEASE signoff_effect")),
            Self::Postgres => None,
        }
    }

    /// A value that is being written, as a value of this type.
    #[must_use]
    pub fn cast(self, n: usize, column_type: &ColumnType) -> String {
        self.typed(n, Some(column_type))
    }

    /// A column as SQL.
    pub(super) fn column(self, column: &Identifier) -> String {
        match self {
            Self::Sqlite => sqlite::name(column),
            Self::Postgres => column.quoted(),
        }
    }

    /// The select expressions that show a column exactly.
    #[must_use]
    pub fn select(self, column: &Identifier, column_type: Option<&ColumnType>) -> String {
        match self {
            Self::Sqlite => sqlite::select(column),
            Self::Postgres => postgres::select(&column.quoted(), column_type),
        }
    }

    /// What shows an expression of Postgres exactly: the expression that [`Self::select`] makes for a column.
    #[cfg(feature = "postgres")]
    pub(crate) fn show(expression: &str, column_type: &ColumnType) -> String {
        postgres::select(expression, Some(column_type))
    }

    /// A type as SQL that no search path changes.
    #[cfg(feature = "postgres")]
    pub(crate) fn type_name(column_type: &ColumnType) -> String {
        postgres::type_name(column_type)
    }

    /// An operator that compares two values of this type as the type itself does.
    #[cfg(feature = "postgres")]
    pub(crate) fn equals(column_type: &ColumnType) -> &'static str {
        postgres::equals(Some(column_type))
    }

    /// Turns one row of [`Self::select`] outputs back into cells, one per column.
    pub(super) fn cells(self, row: &[Option<String>]) -> Vec<Cell> {
        match self {
            Self::Sqlite => row
                .chunks(2)
                .map(|pair| Cell {
                    class: pair.first().cloned().flatten().unwrap_or_default(),
                    text: pair.get(1).cloned().flatten(),
                })
                .collect(),
            Self::Postgres => row.iter().map(|text| Cell { class: String::new(), text: text.clone() }).collect(),
        }
    }

    /// The rows of [`Self::select`] outputs as scalars with their classes.
    ///
    /// # Errors
    /// `VALUE_NOT_READABLE`.
    pub fn scalars<'a>(
        self,
        row: &[Option<String>],
        columns: impl IntoIterator<Item = (&'a Identifier, Option<&'a ColumnType>)>,
    ) -> Result<Vec<(&'a Identifier, Cell, Scalar)>> {
        let cells = self.cells(row);
        columns
            .into_iter()
            .zip(cells)
            .map(|((column, column_type), cell)| {
                let scalar = match self {
                    Self::Sqlite => sqlite::scalar(column, &cell)?,
                    Self::Postgres => postgres::scalar(&cell, column_type),
                };
                Ok((column, cell, scalar))
            })
            .collect()
    }

    /// What a column of this type would hold after `value` is written.
    ///
    /// # Errors
    /// `VALUE_NOT_REPRESENTABLE` if it would hold anything else than the value; `COLUMN_TYPE_MIXED` if the column has no
    /// type that decides.
    pub fn normalise(self, column: &Identifier, column_type: &ColumnType, value: &Scalar) -> Result<Normal> {
        match self {
            Self::Sqlite => sqlite::normalise(column, column_type, value),
            // Postgres decides itself, by casting with and without the type's modifier.
            Self::Postgres => Ok(Normal { class: String::new(), value: value.clone() }),
        }
    }

    /// The storage class that a value's JSON form tells by itself; any other has to be kept beside it.
    #[must_use]
    pub fn plain_class(self, value: &Scalar) -> &'static str {
        match (self, value) {
            (Self::Postgres, _) => "",
            (Self::Sqlite, Scalar::Null) => "null",
            (Self::Sqlite, Scalar::Text(_) | Scalar::Decimal(_)) => "text",
            (Self::Sqlite, Scalar::Bool(_) | Scalar::Int(_) | Scalar::UInt(_)) if value.to_json().is_string() => "text",
            (Self::Sqlite, _) => "integer",
        }
    }

    /// A scalar as the text that is bound; `None` is NULL.
    pub(super) fn bind(self, value: &Scalar) -> Option<String> {
        match (self, value) {
            (Self::Sqlite, Scalar::Bool(value)) => Some(u8::from(*value).to_string()),
            _ => value.to_text(),
        }
    }

    /// True if a version read now is the one expected: the same text, and on Postgres also the same instant. NULL is no
    /// version.
    #[must_use]
    pub fn same_version(self, expected: &Scalar, live: &Scalar) -> bool {
        if matches!(expected, Scalar::Null) || matches!(live, Scalar::Null) {
            return false;
        }
        if expected.same(live) || (self == Self::Postgres && expected.to_text() == live.to_text()) {
            return true;
        }
        let instant = |value: &Scalar| value.to_text().and_then(|text| Instant::parse(&text).ok());
        self == Self::Postgres && instant(expected).is_some_and(|expected| instant(live) == Some(expected))
    }

    /// True if a column holds now what somebody else's reader found in it. On Postgres a value is its text (drivers
    /// disagree on which types become JSON numbers), and a timestamp is its instant.
    pub(super) fn same_as_sent(self, sent: &Scalar, live: &Scalar, column_type: Option<&ColumnType>) -> bool {
        let time = column_type.is_some_and(|kind| kind.as_str().starts_with("timestamp"));
        sent.same(live)
            || (self == Self::Postgres && sent.to_text() == live.to_text())
            || (time && self.same_version(sent, live))
    }

    /// The statement that opens the guard's transaction.
    pub(super) fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            // Not READ WRITE: a standby refuses that with a code of its own, and who made the role read-only meant it.
            Self::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED",
        }
    }

    /// [`Self::begin`], and everything that a guard with an UPDATE of its own sets up besides, as one batch. Where its
    /// statements go out `together`, they take [`Self::durable`] along, and constraints are asked from the beginning.
    pub(super) fn begin_with_settings(self, together: bool) -> String {
        match self {
            Self::Sqlite => self.begin().to_owned(),
            Self::Postgres => {
                let settings = postgres::SET_LOCAL.as_str();
                let last = if together { postgres::IMMEDIATE.to_owned() } else { format!("SELECT {}", self.durable()) };
                format!("{}; {settings}; {last}", self.begin())
            }
        }
    }

    /// What runs deferred constraints and triggers at once, where the engine has any that can be: the row is looked at after
    /// them.
    pub(super) fn immediate(self) -> Option<&'static str> {
        match self {
            // A foreign key that is deferred writes nothing, and COMMIT asks it.
            Self::Sqlite => None,
            Self::Postgres => Some(postgres::IMMEDIATE),
        }
    }

    /// What makes the COMMIT wait for the disk, whatever the session says. An expression, of Postgres.
    pub(super) fn durable(self) -> &'static str {
        postgres::DURABLE
    }

    /// Can a statement of this engine change two tables, and answer rows? Then rows are locked one by one, too.
    pub(super) fn combines(self) -> bool {
        self == Self::Postgres
    }

    /// The statement that sets up the transaction, if the engine needs one. Its first output is `true` on a standby; the
    /// next ones are what `restore` needs.
    #[must_use]
    pub fn settings(self) -> Option<String> {
        self.settings_waiting(super::machine::PATIENCE)
    }

    /// [`Self::settings`], to wait for a lock for so many milliseconds.
    pub(super) fn settings_waiting(self, patience: u32) -> Option<String> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some(postgres::settings(patience)),
        }
    }

    /// What a statement of Postgres about columns of these types needs to bring its own settings along, and to prove the
    /// types. All rows of `after` are there before the session has its own back.
    pub(super) fn within(self, types: &BTreeMap<Identifier, ColumnType>, after: &str) -> postgres::Within {
        postgres::within(types, after)
    }

    /// One more output for [`Self::settings`], begun with a comma: the types of these columns by the engine's catalogue.
    pub(super) fn describe<'a>(
        self,
        schema: &Identifier,
        table: &Identifier,
        columns: impl IntoIterator<Item = &'a Identifier>,
    ) -> Option<String> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some(postgres::describe(schema, table, columns)),
        }
    }

    /// What [`Self::describe`] answered, from the row of the settings statement.
    pub(super) fn described(self, row: &[Option<String>]) -> Result<BTreeMap<Identifier, ColumnType>> {
        match self {
            Self::Sqlite => Ok(BTreeMap::new()),
            Self::Postgres => postgres::described(row),
        }
    }

    /// What gives the session its own settings back, with its parameters, from the row that [`Self::settings`] answered.
    pub(super) fn restore(self, row: &[Option<String>]) -> Option<(String, Vec<Option<String>>)> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some(postgres::restore(row)),
        }
    }

    /// The nth placeholder as an instant.
    pub(super) fn timestamp(self, n: usize) -> String {
        match self {
            Self::Sqlite => format!("?{n}"),
            Self::Postgres => format!("CAST(${n}::pg_catalog.text AS timestamp with time zone)"),
        }
    }

    /// The words that begin an UPDATE. A column of SQLite can declare that a clash replaces the other row, whosever it is:
    /// the statement's own word goes first.
    pub(super) fn update(self) -> &'static str {
        match self {
            Self::Sqlite => "UPDATE OR ABORT",
            Self::Postgres => "UPDATE",
        }
    }

    /// The row that claims a key. SQLite's one write lock lets it look first, so that even a receipts table that lost its
    /// unique index in a restore gives a key once.
    pub(super) fn claim_values(self, table: &ReceiptTable, values: [String; 7]) -> String {
        let values = values.join(", ");
        match self {
            Self::Sqlite => format!(
                "SELECT {values} WHERE NOT EXISTS (SELECT 1 FROM {} WHERE idempotency_key = ?2 AND (tenant_id = ?1 OR tenant_id IS NULL))",
                table.sql()
            ),
            Self::Postgres => format!("VALUES ({values})"),
        }
    }

    /// The clause that locks the selected row.
    pub(super) fn lock_clause(self) -> &'static str {
        match self {
            // BEGIN IMMEDIATE already holds the only write lock there is.
            Self::Sqlite => "",
            Self::Postgres => " FOR NO KEY UPDATE",
        }
    }

    /// The receipts table as plain SQL, one statement each. Applying it again changes nothing.
    #[must_use]
    pub fn receipts_ddl(self, table: &ReceiptTable) -> Vec<String> {
        let time = match self {
            Self::Sqlite => "TEXT",
            Self::Postgres => "timestamptz",
        };
        let text = match self {
            Self::Sqlite => "TEXT",
            Self::Postgres => "text",
        };
        let name = table.sql();
        let create = format!(
            "CREATE TABLE IF NOT EXISTS {name} (tenant_id {text} NOT NULL, idempotency_key {text} NOT NULL, job_id {text} NOT NULL, proposal_id {text} NOT NULL, status {text} NOT NULL, fingerprint {text}, receipt_json {text}, result_hash {text}, created_at {time} NOT NULL, completed_at {time}, PRIMARY KEY (tenant_id, idempotency_key))"
        );
        match self {
            Self::Sqlite => vec![create],
            Self::Postgres => vec![format!("CREATE SCHEMA IF NOT EXISTS {}", table.schema.quoted()), create],
        }
    }

    /// The columns that the guard needs in a receipts table, in the order of [`Self::receipts_ddl`].
    #[must_use]
    pub fn receipt_columns() -> &'static [&'static str] {
        &[
            "tenant_id",
            "idempotency_key",
            "job_id",
            "proposal_id",
            "status",
            "fingerprint",
            "receipt_json",
            "result_hash",
            "created_at",
            "completed_at",
        ]
    }

    /// What a writer's role needs to use the receipts table, one statement each; none where the engine has no roles. The
    /// role is quoted as a name.
    #[must_use]
    pub fn receipts_grants(self, table: &ReceiptTable, role: &str) -> Vec<String> {
        match self {
            Self::Sqlite => Vec::new(),
            Self::Postgres => {
                let role = format!("\"{}\"", role.replace('"', "\"\""));
                vec![
                    format!("GRANT USAGE ON SCHEMA {} TO {role}", table.schema.quoted()),
                    format!("GRANT SELECT, INSERT, UPDATE ON TABLE {} TO {role}", table.sql()),
                ]
            }
        }
    }

    /// What brings a receipts table made by v1 up to date: nullable columns only, old rows stay as they are.
    #[must_use]
    pub fn receipts_upgrade(self, table: &ReceiptTable, missing: &[&str]) -> Vec<String> {
        let text = if self == Self::Sqlite { "TEXT" } else { "text" };
        missing.iter().map(|column| format!("ALTER TABLE {} ADD COLUMN {column} {text}", table.sql())).collect()
    }
}
