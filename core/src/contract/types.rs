//! The contract as reviewed: what an agent may read and propose, typed. Built only by [`super::Contract::parse`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::auth::McpAuth;
use super::exposure::{Exposure, RateLimit};
use crate::primitives::{Digest, Identifier, Lifetime, Scalar};

/// A validated contract.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Contract {
    /// What the runtime does with proposals.
    pub mode: Mode,
    /// The result envelope: 1 or 2.
    pub result_format: u8,
    /// `storage.sqlite_path`, if given.
    pub storage_path: Option<String>,
    /// Sources by name.
    pub sources: BTreeMap<String, Source>,
    /// The context of every capability that names none.
    pub trusted_context: Option<TrustedContext>,
    /// Named contexts.
    pub contexts: BTreeMap<String, TrustedContext>,
    /// Executors by name, without the built-in `sql_update`.
    pub executors: BTreeMap<String, Executor>,
    /// Capabilities in the order of the file.
    pub capabilities: Vec<Capability>,
    /// How long a proposal waits for a decision (`signoff.proposal_ttl`, 7 days).
    pub proposal_ttl: Lifetime,
    /// How long an approval holds (`signoff.approval_ttl`, 24 hours).
    pub approval_ttl: Lifetime,
    /// Whose tokens are believed over HTTP (`signoff.mcp.auth`).
    pub mcp_auth: Option<McpAuth>,
    /// How often an agent may call (`signoff.mcp.rate_limit`).
    pub rate_limit: RateLimit,
}

/// What the runtime does with proposals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Reads only; proposal capabilities do not exist.
    ReadOnly,
    /// Proposals are recorded and compared, never approved.
    Shadow,
    /// Propose, decide, apply.
    Review,
    /// Every call goes to a control plane.
    Cloud,
}

/// The kind of database behind a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
    /// SQLite (ours; v1 has no such engine).
    Sqlite,
}

/// A database, named; its addresses stay in environment variables.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Source {
    /// Its name in the contract.
    pub name: String,
    /// Its engine.
    pub engine: Engine,
    /// The variable that holds the address for reads.
    pub read_url_env: String,
    /// The variable that holds the address for writes.
    pub write_url_env: Option<String>,
    /// True: no direct SQL writeback.
    pub read_only: bool,
    /// Statement timeout in milliseconds.
    pub statement_timeout_ms: Option<u64>,
    /// The `ssl` object as written, if any.
    pub ssl: Option<serde_json::Value>,
    /// `signoff.create_receipts`: apply may create the receipts table on first use.
    pub create_receipts: bool,
    /// `signoff.receipts_schema`: where the receipts table lives.
    pub receipts_schema: Option<Identifier>,
}

/// Where tenant and principal come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Provider {
    /// Literal values, for development.
    StaticDev,
    /// Environment variables.
    Environment,
    /// Claims of an HTTP caller.
    HttpClaims,
    /// A control plane's session.
    CloudSession,
}

/// A trusted context.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TrustedContext {
    /// Its name; `trusted_context` for the default one.
    pub name: String,
    /// Its provider.
    pub provider: Provider,
    /// Literal tenant (`static_dev`).
    pub tenant_id: Option<String>,
    /// Literal principal (`static_dev`).
    pub principal: Option<String>,
    /// The variable that holds the tenant.
    pub tenant_id_env: Option<String>,
    /// The variable that holds the principal.
    pub principal_env: Option<String>,
}

/// How an approved change is carried out.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Executor {
    /// Its name in the contract.
    pub name: String,
    /// What it does.
    pub kind: ExecutorKind,
}

/// The kinds of executor.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ExecutorKind {
    /// One guarded UPDATE.
    SqlUpdate,
    /// A signed request to the application.
    HttpHandler {
        /// The variable that holds the address.
        url_env: String,
        /// `POST`, `PUT` or `PATCH`.
        method: String,
        /// The variable that holds a bearer token.
        token_env: Option<String>,
        /// The variable that holds the signing secret.
        signing_secret_env: Option<String>,
        /// Milliseconds until the answer counts as lost.
        timeout_ms: u64,
        /// What v1 does not have.
        settings: HandlerSettings,
    },
    /// A local command.
    CommandHandler {
        /// The variable that holds the command line.
        command_env: String,
        /// Milliseconds until it is ended.
        timeout_ms: u64,
        /// What v1 does not have.
        settings: HandlerSettings,
    },
}

/// `signoff` of an executor: all of it absent is v1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandlerSettings {
    /// The handler may be in a private network.
    pub allow_private: bool,
    /// Requests that leave this machine need no signature.
    pub allow_unsigned: bool,
    /// The handler honours `dry_run`: it is asked, too.
    pub dry_run: bool,
    /// What `audience` says in place of the address.
    pub audience: Option<String>,
    /// Further variables that a command gets.
    pub env: Vec<String>,
}

/// Names that are bound by trusted context or by the contract, never by a caller.
pub const RESERVED_ARGUMENTS: &[&str] = &[
    "tenant_id",
    "tenantId",
    "principal",
    "principal_id",
    "principalId",
    "project_id",
    "projectId",
    "source_id",
    "sourceId",
    "allowed_columns",
    "allowedColumns",
    "row_version",
    "rowVersion",
    "current_version",
    "currentVersion",
    "expected_version",
    "expectedVersion",
    "approval_identity",
    "approvalIdentity",
    "table",
    "table_name",
    "tableName",
    "schema",
    "schema_name",
    "schemaName",
    "column",
    "columns",
    "column_name",
    "columnName",
    "database",
    "database_name",
    "databaseName",
];

/// A capability's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// Answers rows.
    Read,
    /// Makes proposals.
    Proposal,
}

/// One tool of the agent.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Capability {
    /// `namespace.name`.
    pub name: String,
    /// Read or proposal.
    pub kind: Kind,
    /// Shown to the model.
    pub description: Option<String>,
    /// Shown to the model.
    pub returns_hint: Option<String>,
    /// The name of its source.
    pub source: String,
    /// The name of its context, if not the default.
    pub context: Option<String>,
    /// The table it reads and changes.
    pub target: Target,
    /// Arguments in the order of the file.
    pub args: Vec<Argument>,
    /// The argument that names the row.
    pub lookup_arg: String,
    /// The columns the model sees.
    pub visible_columns: Vec<Identifier>,
    /// What is written, in the order of the file. Empty for reads.
    pub patch: Vec<(Identifier, PatchValue)>,
    /// The columns that may be written.
    pub allowed_columns: Vec<Identifier>,
    /// Bounds of proposed numbers.
    pub numeric_bounds: BTreeMap<Identifier, Bounds>,
    /// Which value may follow which.
    pub transition_guards: BTreeMap<Identifier, Transitions>,
    /// How a changed row is noticed.
    pub conflict_guard: Option<ConflictGuard>,
    /// The role a decision needs.
    pub required_role: Option<String>,
    /// The name of its executor; `None` is the built-in `sql_update`.
    pub executor: Option<String>,
    /// Who is offered it, and as what.
    pub exposure: Exposure,
}

/// A table and the columns that guard it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Target {
    /// Schema (`main` for SQLite).
    pub schema: Identifier,
    /// Table.
    pub table: Identifier,
    /// Primary key column.
    pub primary_key: Identifier,
    /// Tenant column; `None` only with `single_tenant_dev: true`.
    pub tenant_key: Option<Identifier>,
}

/// The type of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArgumentType {
    /// A string.
    String,
    /// A number.
    Number,
    /// A boolean.
    Boolean,
}

/// One argument of a capability.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: ArgumentType,
    /// Shown to the model.
    pub description: Option<String>,
    /// True unless said otherwise.
    pub required: bool,
    /// Longest string, in characters as a reader counts UTF-16 units (v1's unit).
    pub max_length: Option<u64>,
    /// Smallest number.
    pub minimum: Option<Scalar>,
    /// Largest number.
    pub maximum: Option<Scalar>,
    /// The only values allowed.
    pub allowed: Option<Vec<Scalar>>,
}

/// Where a patched value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PatchValue {
    /// The contract.
    Fixed(Scalar),
    /// An argument.
    FromArg(String),
}

/// Bounds of a number.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// Smallest.
    pub minimum: Option<Scalar>,
    /// Largest.
    pub maximum: Option<Scalar>,
}

/// Which value may follow which.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transitions {
    /// The column whose present value counts.
    pub from_column: Identifier,
    /// From each present value, the proposed ones allowed.
    pub allowed: BTreeMap<String, Vec<String>>,
}

/// How a changed row is noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConflictGuard {
    /// A version column.
    Column(Identifier),
    /// A digest of the row as read (`weak_guard_ack: true`).
    RowHash,
}

impl Contract {
    /// The capability of this name.
    #[must_use]
    pub fn capability(&self, name: &str) -> Option<&Capability> {
        self.capabilities.iter().find(|capability| capability.name == name)
    }

    /// The kind of executor that carries a capability's changes out.
    #[must_use]
    pub fn executor_of(&self, capability: &Capability) -> &ExecutorKind {
        let named = capability.executor.as_ref().and_then(|name| self.executors.get(name));
        named.map_or(&ExecutorKind::SqlUpdate, |executor| &executor.kind)
    }

    /// The context that a capability runs in.
    #[must_use]
    pub fn context_of(&self, capability: &Capability) -> Option<&TrustedContext> {
        capability.context.as_ref().and_then(|name| self.contexts.get(name)).or(self.trusted_context.as_ref())
    }

    /// The digest of what a capability is allowed to do: [`Self::authority_digest`] of its name.
    #[must_use]
    pub fn authority_of(&self, name: &str) -> Option<Digest> {
        self.capability(name).map(|capability| self.authority_digest(capability))
    }
}

impl Mode {
    /// The word in the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read_only",
            Self::Shadow => "shadow",
            Self::Review => "review",
            Self::Cloud => "cloud",
        }
    }
}

impl Engine {
    /// The word in the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Sqlite => "sqlite",
        }
    }
}

impl Provider {
    /// The word in the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StaticDev => "static_dev",
            Self::Environment => "environment",
            Self::HttpClaims => "http_claims",
            Self::CloudSession => "cloud_session",
        }
    }
}

impl ExecutorKind {
    /// The word in the contract.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::SqlUpdate => "sql_update",
            Self::HttpHandler { .. } => "http_handler",
            Self::CommandHandler { .. } => "command_handler",
        }
    }
}
