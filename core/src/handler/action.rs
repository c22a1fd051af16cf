//! What an application registers: which action means which table, and what must be unchanged in its row.

use serde::{Deserialize, Serialize};

use super::request::Job;
use super::secrets::Policy;
use super::types::RememberedTypes;
use crate::error::{Code, Error, Result};
use crate::guard::{Dialect, Effect, GuardJob, Purpose, ReceiptTable};
use crate::primitives::{Identifier, Instant, Secret};
use crate::protocol::{Columns, ROW_HASH_COLUMN, SINGLE_TENANT_COLUMN};

/// How an application sets its handler up. Read from JSON it is strict: an unknown member is an error.
///
/// ```
/// use signoff::handler::HandlerConfig;
/// let config = HandlerConfig::from_json(r#"{
///   "dialect": "postgres",
///   "secrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
///   "actions": [{ "name": "billing.waive_fee", "table": "public.invoices", "key": "id", "tenant": "tenant_id",
///                 "version": "updated_at" }]
/// }"#)?;
/// assert!(!format!("{config:?}").contains("MfKQ"));
/// # Ok::<(), signoff::Error>(())
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct HandlerConfig {
    /// The SQL of the application's database.
    pub dialect: Dialect,
    /// Signing secrets, the newest first.
    pub secrets: Vec<Secret>,
    /// Which signature is asked for.
    #[serde(default)]
    pub policy: Policy,
    /// If any are given, a request has to carry one of them as well.
    #[serde(default)]
    pub bearer_tokens: Vec<Secret>,
    /// If given, the signed body has to name this `audience`.
    #[serde(default)]
    pub audience: Option<String>,
    /// The receipts table, `schema.table`; `public.synapsor_handler_receipts` (SQLite: `main`) by default.
    #[serde(default)]
    pub receipts: Option<String>,
    /// How the driver writes placeholders.
    #[serde(default)]
    pub placeholders: Placeholders,
    /// The actions.
    #[serde(default)]
    pub actions: Vec<Action>,
}

/// How a driver writes placeholders. Parameters are always a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Placeholders {
    /// The engine's own: `$1` (asyncpg, node `pg`, sqlx, SQLAlchemy over asyncpg), `?1` (SQLite).
    #[default]
    Native,
    /// `%s`, each in its turn, and `%` doubled (psycopg, and SQLAlchemy over it).
    Format,
    /// `?`, each in its turn (`better-sqlite3`).
    Question,
}

/// An action and the table that it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Action {
    /// Its name, as the capability's contract has it.
    pub name: String,
    /// `schema.table`, or a table of `public` (SQLite: `main`).
    pub table: String,
    /// The primary key column.
    pub key: Identifier,
    /// The tenant column; absent only beside `single_tenant: true`.
    #[serde(default)]
    pub tenant: Option<Identifier>,
    /// True if the table has one tenant: it must be said, so that a forgotten column is no permission.
    #[serde(default)]
    pub single_tenant: bool,
    /// The version column; absent if the columns in `compare` tell that the row is unchanged.
    #[serde(default)]
    pub version: Option<Identifier>,
    /// Columns that must still hold what the sender read.
    #[serde(default)]
    pub compare: Vec<Identifier>,
    /// If not empty: the only columns that a patch for this action may name.
    #[serde(default)]
    pub allow: Vec<Identifier>,
}

impl Action {
    /// An action about a table, told apart by this key column. Say next which column is the tenant, and which tells that a
    /// row changed.
    ///
    /// # Errors
    /// `UNSAFE_IDENTIFIER`, here and for every column that is added; the table's name is checked when it is registered.
    ///
    /// ```
    /// use signoff::handler::Action;
    /// let action = Action::new("billing.waive_fee", "public.invoices", "id")?.tenant("tenant_id")?.version("updated_at")?;
    /// assert_eq!(action.version.as_ref().map(|column| column.as_str()), Some("updated_at"));
    /// # Ok::<(), signoff::Error>(())
    /// ```
    pub fn new(name: impl Into<String>, table: impl Into<String>, key: &str) -> Result<Self> {
        Ok(Self {
            name: name.into(),
            table: table.into(),
            key: Identifier::new(key)?,
            tenant: None,
            single_tenant: false,
            version: None,
            compare: Vec::new(),
            allow: Vec::new(),
        })
    }

    /// With this tenant column.
    ///
    /// # Errors
    /// `UNSAFE_IDENTIFIER`.
    pub fn tenant(self, column: &str) -> Result<Self> {
        Ok(Self { tenant: Some(Identifier::new(column)?), ..self })
    }

    /// With this version column.
    ///
    /// # Errors
    /// `UNSAFE_IDENTIFIER`.
    pub fn version(self, column: &str) -> Result<Self> {
        Ok(Self { version: Some(Identifier::new(column)?), ..self })
    }
}

impl HandlerConfig {
    /// A configuration with these secrets, the newest first, no actions, and otherwise what is left out of JSON.
    ///
    /// ```
    /// use signoff::guard::Dialect;
    /// use signoff::handler::HandlerConfig;
    /// use signoff::primitives::Secret;
    /// let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
    /// let config = HandlerConfig {
    ///     audience: Some("billing-app".to_owned()),
    ///     ..HandlerConfig::new(Dialect::Postgres, [secret])
    /// };
    /// assert!(config.receipts.is_none());
    /// ```
    #[must_use]
    pub fn new(dialect: Dialect, secrets: impl IntoIterator<Item = Secret>) -> Self {
        Self {
            dialect,
            secrets: secrets.into_iter().collect(),
            policy: Policy::default(),
            bearer_tokens: Vec::new(),
            audience: None,
            receipts: None,
            placeholders: Placeholders::default(),
            actions: Vec::new(),
        }
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// `HANDLER_CONFIG_INVALID`. The text holds secrets: no value of it stands in the error.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| {
            let at = format!("line {}, column {}", error.line(), error.column());
            let said = error.to_string();
            // These name members only; what the reader says of values would quote them.
            let named =
                ["unknown field", "missing field", "duplicate field"].iter().any(|begin| said.starts_with(begin));
            let said = said.split(" at line ").next().filter(|_| named);
            invalid(at, said.unwrap_or("a value has the wrong type").to_owned())
        })
    }

    /// The receipts table as configured.
    ///
    /// # Errors
    /// `UNSAFE_IDENTIFIER`.
    pub fn receipt_table(&self) -> Result<ReceiptTable> {
        ReceiptTable::of_handlers(self.dialect, self.receipts.as_deref())
    }
}

/// An action whose names are checked and whose table is qualified.
#[derive(Debug, Clone)]
pub(super) struct Registered {
    action: Action,
    schema: Identifier,
    table: Identifier,
    types: RememberedTypes,
}

impl Registered {
    pub(super) fn new(action: Action, dialect: Dialect) -> Result<Self> {
        let at = |problem| invalid(format!("action {}", action.name), problem);
        if action.name.is_empty() {
            return Err(at("it has no name"));
        }
        if action.tenant.is_some() == action.single_tenant {
            return Err(at("either name the tenant column, or say single_tenant: true"));
        }
        if action.version.is_none() && action.compare.is_empty() {
            return Err(at("nothing tells whether the row changed: name the version column, or columns to compare"));
        }
        let (schema, table) = dialect.qualified(&action.table)?;
        Ok(Self { action, schema, table, types: RememberedTypes::default() })
    }

    pub(super) fn name(&self) -> &str {
        &self.action.name
    }

    pub(super) fn types(&self) -> &RememberedTypes {
        &self.types
    }

    /// What the guard needs to know of this job; refused if it is about anything else than what was registered.
    pub(super) fn guard_job(
        &self,
        job: &Job,
        dialect: Dialect,
        receipts: &ReceiptTable,
        now: Instant,
    ) -> Result<GuardJob> {
        let action = &self.action;
        let allowed_columns = self.check(job)?;
        let before: Columns = action
            .compare
            .iter()
            .map(|column| match job.before.get(column) {
                Some(value) => Ok((column.clone(), value.clone())),
                None => Err(Error::new(Code::BadWritebackRequest)
                    .with("problem", format!("before does not say {column}, which this action compares"))),
            })
            .collect::<Result<_>>()?;
        Ok(GuardJob {
            dialect,
            purpose: if job.dry_run { Purpose::DryRun } else { Purpose::Apply },
            effect: Effect::Author,
            receipts: receipts.clone(),
            job_id: job.job_id.clone(),
            proposal_id: job.proposal_id.clone(),
            proposal_hash: job.proposal_hash.clone(),
            action: job.action.clone(),
            idempotency_key: job.idempotency_key.clone(),
            tenant_id: job.tenant_id.clone(),
            schema: self.schema.clone(),
            table: self.table.clone(),
            key_column: action.key.clone(),
            key_value: job.target.primary_key.value.clone(),
            tenant_column: action.tenant.clone(),
            version_column: action.version.clone(),
            expected_version: job.expected_version.value.clone(),
            before,
            classes: std::collections::BTreeMap::new(),
            types: self.types.recall(),
            patch: job.patch.clone(),
            allowed_columns,
            now,
        })
    }

    fn check(&self, job: &Job) -> Result<Vec<Identifier>> {
        let action = &self.action;
        let tenant = action.tenant.as_ref().map_or(SINGLE_TENANT_COLUMN, Identifier::as_str);
        let version = action.version.as_ref().map_or(ROW_HASH_COLUMN, Identifier::as_str);
        let same = [
            ("schema", job.target.schema.as_ref().is_none_or(|schema| *schema == self.schema)),
            ("table", job.target.table == self.table),
            ("primary key", job.target.primary_key.column == action.key),
            ("tenant column", job.tenant_column.as_str() == tenant),
            ("version column", job.expected_version.column.as_str() == version),
        ];
        if let Some((field, _)) = same.into_iter().find(|(_, same)| !same) {
            return Err(Error::new(Code::TargetMismatch).with("field", field).with("action", &action.name));
        }
        if let Some(column) = job.patch.keys().find(|column| !action.allow.is_empty() && !action.allow.contains(column))
        {
            return Err(Error::new(Code::PatchColumnNotAllowed).with("column", column));
        }
        match &job.allowed_columns {
            Some(columns) => Ok(columns.clone()),
            None if action.allow.is_empty() => Err(Error::new(Code::BadWritebackRequest)
                .with("problem", "it does not say allowed_columns, and this action is not registered with any")),
            None => Ok(action.allow.clone()),
        }
    }
}

pub(super) fn invalid(at: impl std::fmt::Display, problem: impl std::fmt::Display) -> Error {
    Error::new(Code::HandlerConfigInvalid).with("at", at).with("problem", problem)
}
