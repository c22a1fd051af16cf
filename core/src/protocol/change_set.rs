use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::wire::{self, canonical_of, digest_without, filled, invalid, labelled};
use crate::error::{Code, Error, Result};
use crate::primitives::{Digest, Identifier, Scalar};

const SCHEMA: &str = "synapsor.change-set.v1";

/// Columns and their values.
pub type Columns = BTreeMap<Identifier, Scalar>;

/// A proposed change of one row: `synapsor.change-set.v1`.
///
/// It says who proposed what, what stood there, what shall stand there, and what must still hold when it lands.
/// `integrity.proposal_hash` covers everything but `integrity`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct ChangeSet {
    /// The one schema this is.
    pub schema_version: ChangeSetSchema,
    /// The proposal's id.
    pub proposal_id: String,
    /// From 1.
    pub proposal_version: u32,
    /// The capability's name.
    pub action: String,
    /// What may become of it.
    pub mode: ChangeSetMode,
    /// Who proposed it.
    pub principal: Principal,
    /// The tenant and the object.
    pub scope: Scope,
    /// The row.
    pub source: ChangeSource,
    /// What was read.
    pub before: Columns,
    /// What shall be written.
    pub patch: Columns,
    /// `before` overlaid with `patch`.
    pub after: Columns,
    /// What must still hold at the write.
    pub guards: Guards,
    /// What the proposal rests on.
    pub evidence: Evidence,
    /// The decision.
    pub approval: Approval,
    /// The way to the source.
    pub writeback: Writeback,
    /// Whether the source was changed; false in a proposal.
    pub source_database_mutated: bool,
    /// The hash.
    pub integrity: Integrity,
    /// RFC 3339, kept as written because it is hashed.
    pub created_at: String,
}

/// The schema of a [`ChangeSet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ChangeSetSchema {
    /// `synapsor.change-set.v1`.
    #[default]
    #[serde(rename = "synapsor.change-set.v1")]
    V1,
}

/// What may become of a change set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeSetMode {
    /// Never written.
    ReadOnly,
    /// Compared, never decided on.
    Shadow,
    /// A person decides.
    ReviewRequired,
    /// Decided already.
    ApprovedForWriteback,
}

/// Who proposed a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Principal {
    /// The principal's id.
    pub id: String,
    /// Where the id came from.
    pub source: PrincipalSource,
}

/// Where a principal came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalSource {
    /// The application's own session.
    TrustedSession,
    /// A control plane's session.
    CloudSession,
    /// Environment variables.
    Environment,
    /// Fixed, for development.
    StaticDev,
}

/// The tenant and the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Scope {
    /// The tenant.
    pub tenant_id: String,
    /// The kind of object; in v1 the table.
    pub business_object: String,
    /// The object.
    pub object_id: String,
}

/// The row that a change is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct ChangeSource {
    /// The kind of database.
    pub kind: SourceKind,
    /// The source's name in the contract.
    pub source_id: String,
    /// The schema.
    pub schema: Identifier,
    /// The table.
    pub table: Identifier,
    /// The key and its value.
    pub primary_key: ColumnValue,
}

/// The kind of database that holds the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// PostgreSQL.
    ExternalPostgres,
    /// MySQL and MariaDB.
    ExternalMysql,
    /// SQLite. Ours: v1 has no such word.
    ExternalSqlite,
    /// A table of the control plane itself.
    SynapsorTable,
}

/// A column and a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct ColumnValue {
    /// The column.
    pub column: Identifier,
    /// The value.
    pub value: Scalar,
}

/// What must still hold when the change lands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Guards {
    /// The row's tenant.
    pub tenant: ColumnValue,
    /// The columns that may be written.
    pub allowed_columns: Vec<Identifier>,
    /// The version that was read; column `__row_hash` if the whole row is its version.
    pub expected_version: ColumnValue,
}

/// What a proposal rests on. Open: unknown members are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(expecting = "an object")]
pub struct Evidence {
    /// The bundle's id.
    pub bundle_id: String,
    /// The fingerprint of the query that read it.
    pub query_fingerprint: String,
    /// Items.
    pub items: Vec<Value>,
    /// Members that v1 does not name.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The decision on a proposal. Open: unknown members are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(expecting = "an object")]
pub struct Approval {
    /// Where it stands.
    pub status: ApprovalStatus,
    /// The role that may decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_role: Option<String>,
    /// Members that v1 does not name.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Where a decision stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalStatus {
    /// Nobody decided.
    Pending,
    /// Approved.
    Approved,
    /// Rejected.
    Rejected,
    /// Withdrawn.
    Canceled,
}

/// The way of a change to its source. Open: unknown members are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(expecting = "an object")]
pub struct Writeback {
    /// Where it stands.
    pub status: WritebackStatus,
    /// Who writes.
    pub mode: WritebackMode,
    /// The executor's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
    /// Members that v1 does not name.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Where the writing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WritebackStatus {
    /// Not begun.
    NotApplied,
    /// A worker has it.
    PendingWorker,
    /// It landed.
    Applied,
    /// The row had moved.
    Conflict,
    /// It failed.
    Failed,
    /// It was withdrawn.
    Canceled,
}

/// Who writes a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WritebackMode {
    /// A worker that holds the credential.
    TrustedWorkerRequired,
    /// The control plane.
    SynapsorMerge,
    /// Nobody.
    ReadOnly,
}

/// The hash of a change set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Integrity {
    /// `sha256:` and what follows. Opaque in foreign documents; [`ChangeSet::digest`] in ours.
    pub proposal_hash: String,
}

impl ChangeSet {
    /// Reads and [validates](Self::validate) a change set. Its hash is not compared: see [`Self::verify_hash`].
    ///
    /// # Errors
    /// `JSON_INVALID`, `JSON_DUPLICATE_KEY`, `JSON_TOO_DEEP`, `DOCUMENT_INVALID`.
    pub fn parse(text: &str) -> Result<Self> {
        let document: Self = wire::read(SCHEMA, text)?;
        document.validate()?;
        Ok(document)
    }

    /// Checks what the types cannot say: nothing is empty, version from 1, `patch` within `allowed_columns` and those
    /// without key and tenant, `after` = `before` overlaid with `patch`, the expected version is the one in `before`
    /// if its column stands there, hashes are labelled and `created_at` is RFC 3339.
    ///
    /// # Errors
    /// `DOCUMENT_INVALID`.
    pub fn validate(&self) -> Result<()> {
        filled(
            SCHEMA,
            &[
                ("proposal_id", &self.proposal_id),
                ("action", &self.action),
                ("principal.id", &self.principal.id),
                ("scope.tenant_id", &self.scope.tenant_id),
                ("scope.business_object", &self.scope.business_object),
                ("scope.object_id", &self.scope.object_id),
                ("source.source_id", &self.source.source_id),
                ("evidence.bundle_id", &self.evidence.bundle_id),
            ],
        )?;
        if self.proposal_version == 0 {
            return Err(invalid(SCHEMA, "proposal_version begins at 1"));
        }
        labelled(SCHEMA, "evidence.query_fingerprint", &self.evidence.query_fingerprint)?;
        labelled(SCHEMA, "integrity.proposal_hash", &self.integrity.proposal_hash)?;
        wire::instant(SCHEMA, "created_at", &self.created_at)?;
        let (key, tenant) = (&self.source.primary_key.column, &self.guards.tenant.column);
        wire::patch(SCHEMA, &self.patch, &self.guards.allowed_columns, key, tenant)?;
        if self.before.is_empty() {
            return Err(invalid(SCHEMA, "before is empty"));
        }
        self.after_follows()?;
        let version = &self.guards.expected_version;
        match self.before.get(&version.column) {
            Some(read) if read.to_text() != version.value.to_text() => {
                Err(invalid(SCHEMA, format!("guards.expected_version is not what before says of {}", version.column)))
            }
            _ => Ok(()),
        }
    }

    fn after_follows(&self) -> Result<()> {
        let mut expected = self.before.clone();
        expected.extend(self.patch.iter().map(|(column, value)| (column.clone(), value.clone())));
        let columns = expected.keys().chain(self.after.keys());
        let differs = columns.into_iter().find(|column| match (expected.get(*column), self.after.get(*column)) {
            (Some(expected), Some(after)) => !expected.same(after),
            _ => true,
        });
        match differs {
            Some(column) => Err(invalid(SCHEMA, format!("after is not before overlaid with patch: {column}"))),
            None => Ok(()),
        }
    }

    /// The digest of the document without `integrity`.
    ///
    /// # Errors
    /// `NUMBER_NOT_EXACT` if an open member holds an integer beyond ±(2^53−1).
    pub fn digest(&self) -> Result<Digest> {
        digest_without(SCHEMA, self, "integrity")
    }

    /// The canonical bytes of the whole document (RFC 8785), as text.
    ///
    /// # Errors
    /// `NUMBER_NOT_EXACT` if an open member holds an integer beyond ±(2^53−1).
    pub fn canonical(&self) -> Result<String> {
        canonical_of(SCHEMA, self)
    }

    /// The hash in the canonical text of a change set, if it is the hash of the rest.
    #[cfg(feature = "sqlite")]
    pub(crate) fn sealed(text: &str) -> Option<&str> {
        wire::sealed(text, r#","integrity":{"proposal_hash":""#, r#""}"#)
    }

    /// Reads the text of [`Self::canonical`] again, and compares its hash. For a text that is known to be one, by a
    /// signature over it: its rules are not checked once more. `None` if the hash is not the hash of the rest.
    #[cfg(feature = "sqlite")]
    pub(crate) fn read_own(text: &str) -> Option<Self> {
        let hash = Self::sealed(text)?;
        serde_json::from_str(text).ok().filter(|set: &Self| set.integrity.proposal_hash == hash)
    }

    /// Fills `integrity.proposal_hash` with [`Self::digest`].
    ///
    /// # Errors
    /// `NUMBER_NOT_EXACT`.
    pub fn seal(mut self) -> Result<Self> {
        self.integrity.proposal_hash = self.digest()?.to_string();
        Ok(self)
    }

    /// Compares `integrity.proposal_hash` with [`Self::digest`].
    ///
    /// # Errors
    /// `PROPOSAL_HASH_MISMATCH`, `NUMBER_NOT_EXACT`.
    pub fn verify_hash(&self) -> Result<()> {
        if self.integrity.proposal_hash == self.digest()?.to_string() {
            Ok(())
        } else {
            Err(Error::new(Code::ProposalHashMismatch).with("proposal", &self.proposal_id))
        }
    }
}
