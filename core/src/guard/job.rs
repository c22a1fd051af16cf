use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::dialect::{ColumnType, Dialect};
use super::receipt::ReceiptTable;
use crate::error::Result;
use crate::primitives::{Digest, Identifier, Instant, Scalar, digest_of};

/// One cell as a select expression of ours yields it: its class where the engine has one, and its exact text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The storage class (SQLite) or type name.
    pub class: String,
    /// The exact text; `None` for NULL.
    pub text: Option<String>,
}

/// What the guard is run for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Purpose {
    /// Carry the change out.
    Apply,
    /// Do everything up to the comparison, then roll back.
    DryRun,
    /// Take the key so that the change can never land: the approval no longer holds.
    Tombstone,
    /// Another change to this row version was applied first: take the key and record a conflict with this code.
    Conflict(String),
}

/// Who writes the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Effect {
    /// The guard's own UPDATE.
    Update,
    /// The author's function, called at [`super::Step::Effect`].
    Author,
}

/// Everything the guard needs to know of one change. Values are as they were shown and approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardJob {
    /// The SQL to speak.
    pub dialect: Dialect,
    /// What it is run for.
    pub purpose: Purpose,
    /// Who writes.
    pub effect: Effect,
    /// Where receipts are kept.
    pub receipts: ReceiptTable,
    /// The job this belongs to.
    pub job_id: String,
    /// The proposal this belongs to.
    pub proposal_id: String,
    /// The proposal's hash.
    pub proposal_hash: String,
    /// The capability.
    pub action: String,
    /// Unique per tenant.
    pub idempotency_key: String,
    /// The tenant: the scope of the key.
    pub tenant_id: String,
    /// Schema of the row.
    pub schema: Identifier,
    /// Table of the row.
    pub table: Identifier,
    /// Primary key column.
    pub key_column: Identifier,
    /// Primary key value.
    pub key_value: Scalar,
    /// Tenant column; `None` for a single-tenant table, which a contract must admit in so many words.
    pub tenant_column: Option<Identifier>,
    /// Version column; `None` if the row hash guards.
    pub version_column: Option<Identifier>,
    /// The expected version, or the expected row hash.
    pub expected_version: Scalar,
    /// Every column read, as read.
    pub before: BTreeMap<Identifier, Scalar>,
    /// The storage class of each value in `before`, where the engine has classes.
    #[serde(default)]
    pub classes: BTreeMap<Identifier, String>,
    /// The declared type of each column read. With [`Effect::Author`] on Postgres: as the catalogue had them the last time,
    /// if it was asked before; the guard proves them, and asks again where they are others.
    #[serde(default)]
    pub types: BTreeMap<Identifier, ColumnType>,
    /// What to write.
    pub patch: BTreeMap<Identifier, Scalar>,
    /// What may be written.
    pub allowed_columns: Vec<Identifier>,
    /// When this attempt began.
    pub now: Instant,
}

impl GuardJob {
    /// The fingerprint of the change: the digest of what makes it this change and no other. The same key with another
    /// fingerprint is another change under a used key.
    ///
    /// # Errors
    /// `NUMBER_NOT_EXACT` never happens for scalars, which keep large numbers as strings.
    pub fn fingerprint(&self) -> Result<Digest> {
        digest_of(&serde_json::json!({
            "tenant": self.tenant_id,
            "action": self.action,
            "target": { "schema": self.schema, "table": self.table, "key": self.key_column },
            "object_id": self.key_value,
            "patch": self.patch,
            "allowed_columns": self.allowed_columns,
            "expected_version": { "column": self.version_column, "value": self.expected_version },
            "proposal_hash": self.proposal_hash,
        }))
    }

    /// The columns that are locked and compared, in the order in which they are selected: those in `before`, and what
    /// tells the row and its version.
    pub(super) fn compared(&self) -> impl Iterator<Item = &Identifier> {
        let told = [Some(&self.key_column), self.tenant_column.as_ref(), self.version_column.as_ref()];
        self.before.keys().chain(told.into_iter().flatten()).collect::<BTreeSet<_>>().into_iter()
    }
}
