//! Is a source ready for writeback? Everything is tried in a transaction that is rolled back, and a failure is told as one
//! of a few words: what a driver or a server says may hold data.

use serde::Serialize;

use crate::guard::ReceiptTable;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::guard::{Dialect, Failure};
use crate::primitives::Identifier;

/// What to look at.
#[derive(Debug, Clone)]
pub struct CheckRequest {
    /// The receipts table.
    pub receipts: ReceiptTable,
    /// The tables that may be changed.
    pub targets: Vec<CheckTarget>,
}

/// A table that may be changed.
#[derive(Debug, Clone)]
pub struct CheckTarget {
    /// Schema.
    pub schema: Identifier,
    /// Table.
    pub table: Identifier,
    /// The columns that are read.
    pub reads: Vec<Identifier>,
    /// The columns that are written.
    pub writes: Vec<Identifier>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What: `connect`, `writable`, `receipts-table`, `receipts-key`, `receipts-probe`, `target:SCHEMA.TABLE`.
    pub name: String,
    /// Is it as it must be?
    pub ok: bool,
    /// In words.
    pub message: String,
}

impl Check {
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn passed(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), ok: true, message: message.into() }
    }

    pub(crate) fn failed(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), ok: false, message: message.into() }
    }
}

/// Statements of which none may fail.
#[derive(Debug)]
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) struct Probe {
    name: String,
    pub(super) statements: Vec<String>,
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
impl Probe {
    pub(super) fn ended(self, failure: Option<Failure>) -> Check {
        match failure {
            None => Check::passed(self.name, "allowed (tried and rolled back)"),
            Some(failure) => Check::failed(self.name, category(failure)),
        }
    }
}

/// The words for a failure.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) fn category(failure: Failure) -> &'static str {
    match failure {
        Failure::Denied => "permission denied",
        Failure::Busy | Failure::Serialization => "timeout",
        Failure::Lost => "connection failed",
        Failure::MissingTable | Failure::MissingColumn => "configured object not found",
        Failure::ReadOnly => "read-only: a standby, a file without write permission, or a role that may only read",
        _ => "database probe failed",
    }
}

/// What the writer must be allowed to do, as statements that are rolled back. The receipts table only if it is whole.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) fn probes(dialect: Dialect, request: &CheckRequest, receipts: bool) -> Vec<Probe> {
    let lock = if dialect == Dialect::Postgres { " FOR NO KEY UPDATE" } else { "" };
    let mut probes = Vec::new();
    if receipts {
        let name = request.receipts.sql();
        probes.push(Probe {
            name: "receipts-probe".to_owned(),
            statements: vec![
                format!("INSERT INTO {name} (tenant_id, idempotency_key, job_id, proposal_id, status, created_at) VALUES ('signoff-doctor', 'signoff-doctor', 'signoff-doctor', 'signoff-doctor', 'in_progress', CURRENT_TIMESTAMP)"),
                format!("UPDATE {name} SET status = 'canceled', receipt_json = NULL, result_hash = NULL, completed_at = CURRENT_TIMESTAMP WHERE tenant_id = 'signoff-doctor' AND idempotency_key = 'signoff-doctor'"),
                format!("SELECT status FROM {name} WHERE 1 = 0"),
            ],
        });
    }
    for target in &request.targets {
        let table = format!("{}.{}", target.schema.quoted(), target.table.quoted());
        // With the alias, since SQLite may take an unknown quoted name for a text.
        let reads: Vec<String> = target.reads.iter().map(|column| format!("p.{}", column.quoted())).collect();
        let mut statements = vec![format!("SELECT {} FROM {table} AS p WHERE 1 = 0{lock}", reads.join(", "))];
        let writes: Vec<String> = target.writes.iter().map(|column| format!("{0} = {0}", column.quoted())).collect();
        if !writes.is_empty() {
            statements.push(format!("UPDATE {table} SET {} WHERE 1 = 0", writes.join(", ")));
        }
        probes.push(Probe { name: format!("target:{}.{}", target.schema, target.table), statements });
    }
    probes
}
