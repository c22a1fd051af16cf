use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::change_set::{ChangeSet, ColumnValue, Columns, SourceKind};
use super::ids::{self, ROW_HASH_COLUMN};
use super::wire::{self, filled, invalid, labelled};
use crate::error::{Code, Error, Result};
use crate::primitives::json::{self, Node};
use crate::primitives::{Digest, Identifier, Instant, Scalar};

const SCHEMA: &str = "synapsor.writeback-job.v1";
const LEGACY: &str = "writeback job 1.0";

/// An approved change on its way to the source: `synapsor.writeback-job.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct WritebackJob {
    /// The one schema this is.
    pub schema_version: WritebackJobSchema,
    /// The job's id.
    pub writeback_job_id: String,
    /// The proposal's id.
    pub proposal_id: String,
    /// From 1.
    pub proposal_version: u32,
    /// The hash that was approved.
    pub proposal_hash: String,
    /// Which runner may take it.
    pub runner_scope: RunnerScope,
    /// The kind of database.
    pub engine: EngineName,
    /// What is done.
    pub operation: Operation,
    /// The row.
    pub target: JobTarget,
    /// The row's tenant.
    pub tenant_guard: ColumnValue,
    /// The columns that may be written.
    pub allowed_columns: Vec<Identifier>,
    /// What is written.
    pub patch: Columns,
    /// How a change since the proposal is noticed.
    pub conflict_guard: ConflictGuard,
    /// The key under which the effect happens once.
    pub idempotency_key: String,
    /// Until when the runner holds it.
    pub lease: Lease,
}

/// The schema of a [`WritebackJob`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum WritebackJobSchema {
    /// `synapsor.writeback-job.v1`.
    #[default]
    #[serde(rename = "synapsor.writeback-job.v1")]
    V1,
}

/// Which runner may take a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct RunnerScope {
    /// The project; `local` without a control plane.
    pub project_id: String,
    /// The source's name.
    pub source_id: String,
}

/// The kind of database, in the words of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineName {
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
    /// SQLite. Ours: v1 has no such word.
    Sqlite,
}

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Updates one row.
    #[default]
    SingleRowUpdate,
}

/// The row of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct JobTarget {
    /// The schema.
    pub schema: Identifier,
    /// The table.
    pub table: Identifier,
    /// The key and its value.
    pub primary_key: ColumnValue,
}

/// How a change of the row since the proposal is noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields, expecting = "an object")]
pub enum ConflictGuard {
    /// A version column still has this value.
    Column {
        /// The column.
        column: Identifier,
        /// The value that was read.
        expected_value: Scalar,
    },
    /// The row still has this hash.
    RowHash {
        /// The hash that was read.
        expected_hash: String,
    },
    /// Not at all.
    None,
}

/// Until when a runner holds a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Lease {
    /// The lease's id.
    pub lease_id: String,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// When it ends. A date that cannot be read is refused with the job: no lease is for ever by mistake.
    pub expires_at: Instant,
}

impl WritebackJob {
    /// The job of one attempt at a change set: everything in it follows from the two, and from nothing else.
    ///
    /// # Errors
    /// `ENGINE_NOT_AVAILABLE` for a change set of a control plane's own table.
    pub fn derive(set: &ChangeSet, attempt: u32, expires_at: Instant) -> Result<Self> {
        let version = &set.guards.expected_version;
        Ok(Self {
            schema_version: WritebackJobSchema::V1,
            writeback_job_id: ids::job_id(&set.proposal_id),
            proposal_id: set.proposal_id.clone(),
            proposal_version: set.proposal_version,
            proposal_hash: set.integrity.proposal_hash.clone(),
            runner_scope: RunnerScope { project_id: "local".to_owned(), source_id: set.source.source_id.clone() },
            engine: match set.source.kind {
                SourceKind::ExternalPostgres => EngineName::Postgres,
                SourceKind::ExternalMysql => EngineName::Mysql,
                SourceKind::ExternalSqlite => EngineName::Sqlite,
                SourceKind::SynapsorTable => {
                    return Err(Error::new(Code::EngineNotAvailable).with("engine", "synapsor_table"));
                }
            },
            operation: Operation::SingleRowUpdate,
            target: JobTarget {
                schema: set.source.schema.clone(),
                table: set.source.table.clone(),
                primary_key: set.source.primary_key.clone(),
            },
            tenant_guard: set.guards.tenant.clone(),
            allowed_columns: set.guards.allowed_columns.clone(),
            patch: set.patch.clone(),
            conflict_guard: if version.column.as_str() == ROW_HASH_COLUMN {
                ConflictGuard::RowHash { expected_hash: version.value.to_text().unwrap_or_default() }
            } else {
                ConflictGuard::Column { column: version.column.clone(), expected_value: version.value.clone() }
            },
            idempotency_key: ids::idempotency_key(&set.proposal_id, &set.scope.object_id),
            lease: Lease { lease_id: ids::lease_id(&set.proposal_id), attempt, expires_at },
        })
    }

    /// The digest over the whole job, in canonical form.
    ///
    /// # Errors
    /// `NUMBER_NOT_EXACT` never happens: a job has no numbers beyond the safe range.
    pub fn digest(&self) -> Result<Digest> {
        Ok(Digest::of(wire::canonical_of(SCHEMA, self)?.as_bytes()))
    }

    /// Reads and [validates](Self::validate) a job of schema v1.
    ///
    /// # Errors
    /// `JSON_INVALID`, `JSON_DUPLICATE_KEY`, `JSON_TOO_DEEP`, `DOCUMENT_INVALID`.
    pub fn parse(text: &str) -> Result<Self> {
        let job: Self = wire::read(SCHEMA, text)?;
        job.validate()?;
        Ok(job)
    }

    /// Reads a job of schema v1 or of the older shape with `protocol_version: "1.0"`, which is turned into v1: its
    /// `approval_id` is the proposal hash, its version is 1, its project `local`, its lease `lease_<proposal_id>`, an
    /// absent (or 0) `attempt_count` is attempt 1, and a `lease_expires_at` that is a number is milliseconds since 1970.
    ///
    /// # Errors
    /// `JSON_INVALID`, `JSON_DUPLICATE_KEY`, `JSON_TOO_DEEP`, `DOCUMENT_INVALID`.
    pub fn parse_any(text: &str) -> Result<Self> {
        let node = json::parse(text)?;
        if node.get("protocol_version").and_then(Node::as_str) != Some("1.0") {
            return Self::parse(text);
        }
        let job = wire::read::<LegacyJob>(LEGACY, text)?.normalised()?;
        job.validate()?;
        Ok(job)
    }

    /// Checks what the types cannot say: nothing is empty, version and attempt from 1, `patch` within
    /// `allowed_columns` and those without key and tenant, the proposal hash is labelled.
    ///
    /// # Errors
    /// `DOCUMENT_INVALID`.
    pub fn validate(&self) -> Result<()> {
        filled(
            SCHEMA,
            &[
                ("writeback_job_id", &self.writeback_job_id),
                ("proposal_id", &self.proposal_id),
                ("runner_scope.project_id", &self.runner_scope.project_id),
                ("runner_scope.source_id", &self.runner_scope.source_id),
                ("idempotency_key", &self.idempotency_key),
                ("lease.lease_id", &self.lease.lease_id),
            ],
        )?;
        if let ConflictGuard::RowHash { expected_hash } = &self.conflict_guard {
            filled(SCHEMA, &[("conflict_guard.expected_hash", expected_hash)])?;
        }
        for (field, number) in [("proposal_version", self.proposal_version), ("lease.attempt", self.lease.attempt)] {
            if number == 0 {
                return Err(invalid(SCHEMA, format!("{field} begins at 1")));
            }
        }
        labelled(SCHEMA, "proposal_hash", &self.proposal_hash)?;
        let (key, tenant) = (&self.target.primary_key.column, &self.tenant_guard.column);
        wire::patch(SCHEMA, &self.patch, &self.allowed_columns, key, tenant)
    }
}

/// The older shape of a job, `protocol_version: "1.0"`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct LegacyJob {
    protocol_version: LegacySchema,
    job_id: String,
    proposal_id: String,
    approval_id: String,
    source_id: String,
    engine: EngineName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operation: Option<Operation>,
    target: LegacyTarget,
    allowed_columns: Vec<Identifier>,
    patch: Columns,
    conflict_guard: LegacyGuard,
    idempotency_key: String,
    lease_expires_at: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempt_count: Option<u32>,
}

#[derive(Serialize, Deserialize)]
enum LegacySchema {
    #[serde(rename = "1.0")]
    V1,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct LegacyTarget {
    schema: Identifier,
    table: Identifier,
    primary_key: ColumnValue,
    tenant_guard: ColumnValue,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields, expecting = "an object")]
enum LegacyGuard {
    VersionColumn { column: Identifier, expected_value: Scalar },
    RowHash { expected_hash: String },
    None,
}

impl LegacyJob {
    fn normalised(self) -> Result<WritebackJob> {
        let expires_at = match &self.lease_expires_at {
            Value::String(text) => Instant::parse(text).ok(),
            // Whole seconds, rounded down: a lease may end early, never late.
            Value::Number(number) => number.as_i64().map(|ms| ms.div_euclid(1_000)).and_then(Instant::from_unix),
            _ => None,
        };
        Ok(WritebackJob {
            schema_version: WritebackJobSchema::V1,
            lease: Lease {
                lease_id: ids::lease_id(&self.proposal_id),
                attempt: self.attempt_count.unwrap_or(1).max(1),
                expires_at: expires_at.ok_or_else(|| invalid(LEGACY, "lease_expires_at is not an instant"))?,
            },
            writeback_job_id: self.job_id,
            proposal_id: self.proposal_id,
            proposal_version: 1,
            proposal_hash: self.approval_id,
            runner_scope: RunnerScope { project_id: "local".to_owned(), source_id: self.source_id },
            engine: self.engine,
            operation: Operation::SingleRowUpdate,
            target: JobTarget {
                schema: self.target.schema,
                table: self.target.table,
                primary_key: self.target.primary_key,
            },
            tenant_guard: self.target.tenant_guard,
            allowed_columns: self.allowed_columns,
            patch: self.patch,
            conflict_guard: match self.conflict_guard {
                LegacyGuard::VersionColumn { column, expected_value } => {
                    ConflictGuard::Column { column, expected_value }
                }
                LegacyGuard::RowHash { expected_hash } => ConflictGuard::RowHash { expected_hash },
                LegacyGuard::None => ConflictGuard::None,
            },
            idempotency_key: self.idempotency_key,
        })
    }
}
