//! The engines behind one trait: a scoped read of one row, and running a guard. Engines know tables and rows; they know
//! nothing of proposals.

mod check;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod receipts;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use check::{Check, CheckRequest, CheckTarget};
#[cfg(feature = "postgres")]
pub use postgres::PostgresDatabase;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteDatabase;

use std::collections::BTreeMap;
use std::fmt::Debug;

use async_trait::async_trait;

use crate::error::Result;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::error::{Code, Error};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::guard::Failure;
use crate::guard::{ColumnType, Dialect, GuardJob, Normal, Outcome, ReceiptTable};
use crate::primitives::{Identifier, Redactor, Scalar};

/// One row, asked for by key inside a tenant.
#[derive(Debug, Clone)]
pub struct ScopedRead {
    /// Schema.
    pub schema: Identifier,
    /// Table.
    pub table: Identifier,
    /// Primary key column.
    pub key_column: Identifier,
    /// The key's text; the row's own must be equal in its bytes.
    pub key_value: String,
    /// Tenant column and value; `None` only where the contract admits a single tenant.
    pub tenant: Option<(Identifier, String)>,
    /// The columns to read.
    pub columns: Vec<Identifier>,
    /// Values that a proposal wants to write, to be checked against the columns' types.
    pub patch: BTreeMap<Identifier, Scalar>,
}

/// The row found.
#[derive(Debug, Clone)]
pub struct RowRead {
    /// Every column asked for, exact.
    pub values: BTreeMap<Identifier, Scalar>,
    /// The storage class of each value, where the engine has classes.
    pub classes: BTreeMap<Identifier, String>,
    /// The declared type of each column, where binding needs it.
    pub types: BTreeMap<Identifier, ColumnType>,
    /// The type below every domain, of those columns whose declared type is a domain.
    pub plain_types: BTreeMap<Identifier, ColumnType>,
    /// What the columns would hold after the patch.
    pub normal: BTreeMap<Identifier, Normal>,
}

/// A database that holds an application's rows.
#[async_trait]
pub trait Database: Send + Sync + Debug {
    /// The SQL it speaks.
    fn dialect(&self) -> Dialect;

    /// Reads the one row, in a transaction that cannot write. `None` if there is no such row in this tenant, also if the
    /// engine's collation found one whose key or tenant differs in its bytes.
    ///
    /// # Errors
    /// `ROW_NOT_UNIQUE`, `SOURCE_OBJECT_NOT_FOUND`, `VALUE_NOT_READABLE`, `VALUE_NOT_REPRESENTABLE`,
    /// `COLUMN_NOT_PATCHABLE`, `COLUMN_TYPE_MIXED`, `SOURCE_UNAVAILABLE`, `SOURCE_BUSY`.
    async fn read(&self, read: ScopedRead) -> Result<Option<RowRead>>;

    /// Runs a guard to its end on a connection of its own. Cancelling the future does not stop it.
    ///
    /// # Errors
    /// Those of [`crate::guard::Guard::start`], `RECEIPT_TABLE_UNFIT` where the engine can tell at little cost, and
    /// `SOURCE_UNAVAILABLE` if no connection could be opened: nothing was done. Everything later is an [`Outcome`].
    async fn run(&self, job: GuardJob, redactor: Option<Redactor>) -> Result<Outcome>;

    /// Creates the receipts table or brings it up to date; answers the statements that were run.
    ///
    /// # Errors
    /// `RECEIPT_TABLE_UNFIT`, `RECEIPT_TABLE_OUTDATED` if its key is not unique, `SOURCE_READ_ONLY`, `SOURCE_REJECTED`,
    /// `SOURCE_UNAVAILABLE`.
    async fn migrate_receipts(&self, table: ReceiptTable) -> Result<Vec<String>>;

    /// Looks whether changes could be applied here, and leaves nothing behind. What it finds wrong is in the answer.
    async fn check(&self, request: CheckRequest) -> Vec<Check>;
}

/// A failure outside the guard, as an error of this source.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
fn explain(source: &str, variable: &str, failure: Failure) -> Error {
    let error = match failure {
        Failure::Busy | Failure::Serialization => Error::new(Code::SourceBusy),
        Failure::ReadOnly => Error::new(Code::SourceReadOnly),
        Failure::MissingTable | Failure::MissingColumn => {
            Error::new(Code::SourceObjectNotFound).with("object", "such table or column")
        }
        Failure::Rejected | Failure::Denied => {
            Error::new(Code::SourceRejected).with("reason", "a constraint or a privilege does not allow it")
        }
        failure => {
            let reason = if failure == Failure::Lost { "the connection was lost" } else { "the database failed" };
            Error::new(Code::SourceUnavailable).with("variable", variable).with("reason", reason)
        }
    };
    error.with("source", source)
}
