use serde::{Deserialize, Serialize};

use super::wire::{self, canonical_of, digest_without, filled, invalid, labelled};
use crate::error::Result;
use crate::primitives::{Digest, Scalar};

const SCHEMA: &str = "synapsor.execution-receipt.v1";

/// What became of a job: `synapsor.execution-receipt.v1`. `receipt_hash` covers everything but itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct ExecutionReceipt {
    /// The one schema this is.
    pub schema_version: ExecutionReceiptSchema,
    /// The job's id.
    pub writeback_job_id: String,
    /// The proposal's id.
    pub proposal_id: String,
    /// Who ran it.
    pub runner_id: String,
    /// What became of it.
    pub status: ReceiptStatus,
    /// How many rows changed.
    pub rows_affected: u64,
    /// The key under which the effect happened once.
    pub idempotency_key: String,
    /// The version that was expected.
    #[serde(default, deserialize_with = "wire::present", skip_serializing_if = "Option::is_none")]
    pub previous_version: Option<Scalar>,
    /// The version found or left.
    #[serde(default, deserialize_with = "wire::present", skip_serializing_if = "Option::is_none")]
    pub new_version: Option<Scalar>,
    /// Whether the source was changed by this run.
    pub source_database_mutated: bool,
    /// RFC 3339, kept as written because it is hashed.
    pub executed_at: String,
    /// Why not, as a code that says nothing about the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safe_error_code: Option<String>,
    /// `sha256:` and what follows. Opaque in foreign documents; [`ExecutionReceipt::digest`] in ours.
    pub receipt_hash: String,
}

/// The schema of an [`ExecutionReceipt`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ExecutionReceiptSchema {
    /// `synapsor.execution-receipt.v1`.
    #[default]
    #[serde(rename = "synapsor.execution-receipt.v1")]
    V1,
}

/// What became of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptStatus {
    /// It landed.
    Applied,
    /// The row had moved; nothing was written.
    Conflict,
    /// It failed; nothing was written.
    Failed,
    /// It was withdrawn.
    Canceled,
    /// It had landed before.
    AlreadyApplied,
}

impl ExecutionReceipt {
    /// Reads and [validates](Self::validate) a receipt. Its hash is not compared: see [`Self::verify_hash`].
    ///
    /// # Errors
    /// `JSON_INVALID`, `JSON_DUPLICATE_KEY`, `JSON_TOO_DEEP`, `DOCUMENT_INVALID`.
    pub fn parse(text: &str) -> Result<Self> {
        let receipt: Self = wire::read(SCHEMA, text)?;
        receipt.validate()?;
        Ok(receipt)
    }

    /// Checks what the types cannot say: nothing is empty, `executed_at` is RFC 3339, the hash is labelled.
    ///
    /// # Errors
    /// `DOCUMENT_INVALID`.
    pub fn validate(&self) -> Result<()> {
        filled(
            SCHEMA,
            &[
                ("writeback_job_id", &self.writeback_job_id),
                ("proposal_id", &self.proposal_id),
                ("runner_id", &self.runner_id),
                ("idempotency_key", &self.idempotency_key),
            ],
        )?;
        wire::instant(SCHEMA, "executed_at", &self.executed_at)?;
        labelled(SCHEMA, "receipt_hash", &self.receipt_hash)
    }

    /// The digest of the receipt without `receipt_hash`.
    ///
    /// # Errors
    /// `NUMBER_NOT_EXACT` if `rows_affected` is beyond 2^53−1.
    pub fn digest(&self) -> Result<Digest> {
        digest_without(SCHEMA, self, "receipt_hash")
    }

    /// The canonical bytes of the whole receipt (RFC 8785), as text.
    ///
    /// # Errors
    /// `NUMBER_NOT_EXACT`.
    pub fn canonical(&self) -> Result<String> {
        canonical_of(SCHEMA, self)
    }

    /// The hash in the canonical text of a receipt, if it is the hash of the rest.
    #[cfg(feature = "sqlite")]
    pub(crate) fn sealed(text: &str) -> Option<&str> {
        wire::sealed(text, r#","receipt_hash":""#, "\"")
    }

    /// Reads the text of [`Self::canonical`] again, and compares its hash. For a text that is known to be one, by a
    /// signature over it: its rules are not checked once more. `None` if the hash is not the hash of the rest.
    #[cfg(feature = "sqlite")]
    pub(crate) fn read_own(text: &str) -> Option<Self> {
        let hash = Self::sealed(text)?;
        serde_json::from_str(text).ok().filter(|receipt: &Self| receipt.receipt_hash == hash)
    }

    /// Fills `receipt_hash` with [`Self::digest`]; what it held does not matter.
    ///
    /// # Errors
    /// `NUMBER_NOT_EXACT`, and those of [`Self::validate`]: what is sealed can be read again.
    pub fn seal(mut self) -> Result<Self> {
        self.receipt_hash = self.digest()?.to_string();
        self.validate()?;
        Ok(self)
    }

    /// Compares `receipt_hash` with [`Self::digest`].
    ///
    /// # Errors
    /// `DOCUMENT_INVALID` if it differs, `NUMBER_NOT_EXACT`.
    pub fn verify_hash(&self) -> Result<()> {
        if self.receipt_hash == self.digest()?.to_string() {
            Ok(())
        } else {
            Err(invalid(SCHEMA, "receipt_hash is not the hash of the rest"))
        }
    }
}
