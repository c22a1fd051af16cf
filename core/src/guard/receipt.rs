use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::dialect::Dialect;
use crate::error::{Code, Result};
use crate::primitives::{Digest, Identifier, Instant, Scalar, canonical};

/// Where a source keeps its receipts: always in the database of the rows themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptTable {
    /// Its schema.
    pub schema: Identifier,
    /// Its name.
    pub name: Identifier,
}

impl ReceiptTable {
    /// Where an application's own handler keeps its receipts: `schema.table`, a table of the dialect's default schema
    /// (`public`, on SQLite `main`), or v1's name `synapsor_handler_receipts` in that.
    ///
    /// # Errors
    /// `UNSAFE_IDENTIFIER`.
    pub fn of_handlers(dialect: Dialect, name: Option<&str>) -> Result<Self> {
        let (schema, name) = dialect.qualified(name.unwrap_or("synapsor_handler_receipts"))?;
        Ok(Self { schema, name })
    }

    /// v1's name, in this schema.
    ///
    /// # Errors
    /// None in practice: the name is an identifier.
    pub fn in_schema(schema: Identifier) -> Result<Self> {
        Ok(Self { schema, name: Identifier::new("synapsor_writeback_receipts")? })
    }

    /// The table as SQL.
    #[must_use]
    pub fn sql(&self) -> String {
        format!("{}.{}", self.schema.quoted(), self.name.quoted())
    }
}

/// How a change ended, as the source itself remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReceiptStatus {
    /// The change landed.
    Applied,
    /// The row had changed; nothing was written.
    Conflict,
    /// The author's function refused the change for good; nothing was written.
    Failed,
    /// The key was taken so that the change can never land.
    Canceled,
}

/// What stands in `receipt_json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReceipt {
    /// How it ended.
    pub status: ReceiptStatus,
    /// Its proposal.
    pub proposal_id: String,
    /// Its job.
    pub job_id: String,
    /// Rows written.
    pub rows_affected: u64,
    /// The version before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub previous_version: Option<Scalar>,
    /// The version after, or the one found in its place.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub new_version: Option<Scalar>,
    /// Why it did not land.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub safe_error_code: Option<String>,
    /// The column that had changed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub column: Option<Identifier>,
    /// What the author of a handler wants to be remembered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub details: Option<Value>,
    /// When.
    pub completed_at: Instant,
    /// Whether the source was changed, where the number of rows does not tell: an application may count otherwise.
    #[serde(skip)]
    pub mutated: Option<bool>,
}

impl SourceReceipt {
    /// The canonical text, and its digest.
    pub(super) fn seal(&self) -> Result<(String, Digest)> {
        let value = serde_json::to_value(self).map_err(|_| Code::Internal)?;
        let text = canonical(&value)?;
        let digest = Digest::of(text.as_bytes());
        Ok((text, digest))
    }
}
