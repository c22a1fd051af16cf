//! The lifecycle, as calls: read, propose, decide, apply, replay. [`Runtime`] is the facade that every face calls.

mod application;
mod apply;
mod arguments;
mod backoff;
mod checks;
mod context;
mod decide;
mod executors;
mod lease;
mod markdown;
#[cfg(feature = "sqlite")]
mod open;
mod propose;
mod read;
mod replay;
mod search;
mod shadow;
#[cfg(test)]
mod tests;
mod tools;
mod view;
mod worker;

pub use apply::{Applied, ApplyOptions, Ending};
pub use checks::check_writebacks;
pub use context::{Caller, Environment};
pub use decide::{Approver, Seen};
pub use executors::{HandlerCheck, check_handlers, executor_warnings};
#[cfg(feature = "sqlite")]
pub use open::{
    CONFIG_NAMES, DEFAULT_LEDGER, Opening, address_warnings, find_config, load_contract, parse_contract, read_contract,
};
pub use propose::ProposalAnswer;
pub use read::ReadAnswer;
pub use replay::Replay;
pub use shadow::{Match, ShadowComparison, ShadowReport};
pub use tools::MAX_ARGUMENTS;
pub use view::{AppliedView, ConflictView, ProposalView, VerifiedView, page_view};
pub use worker::{Next, Report, Summary, Worker, WorkerOptions};

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::contract::{Capability, Contract, Engine, Source};
use crate::database::{Check, CheckRequest, CheckTarget, Database};
use crate::error::{Code, Error, Result};
use crate::guard::ReceiptTable;
use crate::ledger::{Ledger, ReceiptsIn};
use crate::primitives::{Clock, Digest, IdSource, Identifier, Secret, SystemClock, SystemIds};

/// Everything a proposal's life needs: a contract, a ledger, and where time, ids and environment come from.
///
/// A runtime without a contract can show, decide and replay; it can neither read nor apply.
#[derive(Debug, Clone)]
pub struct Runtime {
    contract: Option<Arc<Contract>>,
    ledger: Arc<dyn Ledger>,
    environment: Environment,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    databases: BTreeMap<String, Arc<dyn Database>>,
    /// What each capability of the contract may do, as its digest: worked out once.
    authorities: Arc<OnceLock<BTreeMap<String, Digest>>>,
    /// The SQLite sources that were opened, by source and variable: they keep connections between calls.
    #[cfg(feature = "sqlite")]
    files: Arc<Files>,
    /// Connections to handlers.
    #[cfg(feature = "http")]
    handlers: Arc<executors::Handlers>,
}

#[cfg(feature = "sqlite")]
type Files = std::sync::Mutex<BTreeMap<(String, String), (Secret, crate::database::SqliteDatabase)>>;

impl Runtime {
    /// A runtime on the system's clock, randomness and environment.
    #[must_use]
    pub fn new(contract: Option<Contract>, ledger: Arc<dyn Ledger>) -> Self {
        Self {
            contract: contract.map(Arc::new),
            ledger,
            environment: Environment::system(),
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
            databases: BTreeMap::new(),
            authorities: Arc::default(),
            #[cfg(feature = "sqlite")]
            files: Arc::default(),
            #[cfg(feature = "http")]
            handlers: Arc::default(),
        }
    }

    /// The same with another clock and id source.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Self {
        self.clock = clock;
        self.ids = ids;
        self
    }

    /// Where its variables come from.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The same with another environment.
    #[must_use]
    pub fn with_environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// The same with this database for a source, for reads and writes, whatever its variables hold: for an engine of the
    /// embedding application's own, and for tests that make one fail.
    #[must_use]
    pub fn with_database(mut self, source: &str, database: Arc<dyn Database>) -> Self {
        self.databases.insert(source.to_owned(), database);
        self
    }

    /// Where its time comes from.
    #[cfg(feature = "mcp-http")]
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &dyn Ledger {
        &*self.ledger
    }

    /// The contract, if there is one.
    #[must_use]
    pub fn contract(&self) -> Option<&Contract> {
        self.contract.as_deref()
    }

    pub(crate) fn need_contract(&self) -> Result<&Contract> {
        self.contract().ok_or_else(|| Error::new(Code::ConfigNotFound).with("path", "this runtime"))
    }

    /// The authority digest of a capability of this contract.
    fn authority(&self, contract: &Contract, capability: &str) -> Option<Digest> {
        let digest = |capability: &Capability| (capability.name.clone(), contract.authority_digest(capability));
        let known = self.authorities.get_or_init(|| contract.capabilities.iter().map(digest).collect());
        known.get(capability).copied()
    }

    fn source(&self, name: &str) -> Result<&Source> {
        self.need_contract()?.sources.get(name).ok_or_else(|| Error::new(Code::SourceNotFound).with("source", name))
    }

    /// The database of a source, at the address that a variable holds now.
    fn database(&self, source: &Source, variable: &str) -> Result<Arc<dyn Database>> {
        match self.databases.get(&source.name) {
            Some(database) => Ok(Arc::clone(database)),
            #[cfg(feature = "sqlite")]
            None if source.engine == Engine::Sqlite => self.file(source, variable),
            None => open_database(source, variable, &self.environment),
        }
    }

    /// The file of a source, opened once for as long as its address stays.
    #[cfg(feature = "sqlite")]
    fn file(&self, source: &Source, variable: &str) -> Result<Arc<dyn Database>> {
        let address = address(source, variable, &self.environment)?;
        let mut files = self.files.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let place = (source.name.clone(), variable.to_owned());
        if let Some((known, database)) = files.get(&place)
            && known.expose() == address.expose()
        {
            return Ok(Arc::new(database.clone()));
        }
        let timeout = source.statement_timeout_ms.map(Duration::from_millis);
        let database = crate::database::SqliteDatabase::open(&source.name, variable, &address, timeout)?;
        files.insert(place, (address, database.clone()));
        Ok(Arc::new(database))
    }

    /// Accepts that the contract names another receipts table for a source than the ledger has recorded, if nothing of
    /// that source is approved or unresolved. Answers the table before and the one from now on; nothing is sent to the
    /// source, and no receipt is moved.
    ///
    /// # Errors
    /// `SOURCE_NOT_FOUND`, `RECEIPT_TABLE_CHANGED`, `ACTOR_INVALID`, `LEDGER_TAMPERED`.
    pub async fn rebind_receipts(&self, source: &str, actor: &str) -> Result<(Option<ReceiptTable>, ReceiptTable)> {
        decide::check_name("whoever changes a receipts table", actor)?;
        let table = receipts_table(self.source(source)?)?;
        let to = ReceiptsIn { source: source.to_owned(), table: table.clone() };
        let before = self.ledger.rebind_receipts(to, actor, self.clock.now()).await?;
        Ok((before, table))
    }
}

/// Creates the receipts table of a source, or brings it up to date; answers the statements that were run. This is the only
/// call that changes a source's schema; it needs no ledger.
///
/// # Errors
/// `SOURCE_NOT_FOUND`, `SOURCE_CREDENTIAL_MISSING`, `SOURCE_READ_ONLY`, `SOURCE_REJECTED`, `SOURCE_UNAVAILABLE`.
pub async fn migrate_receipts(contract: &Contract, environment: &Environment, source: &str) -> Result<Vec<String>> {
    let source = contract.sources.get(source).ok_or_else(|| Error::new(Code::SourceNotFound).with("source", source))?;
    let database = open_database(source, write_variable(source)?, environment)?;
    database.migrate_receipts(receipts_table(source)?).await
}

/// Looks whether changes could be applied to a source, and leaves nothing behind. What it finds wrong is in the answer.
///
/// # Errors
/// `SOURCE_NOT_FOUND`, `SOURCE_WRITE_DISABLED`.
pub async fn check_writeback(contract: &Contract, environment: &Environment, source: &str) -> Result<Vec<Check>> {
    let source = contract.sources.get(source).ok_or_else(|| Error::new(Code::SourceNotFound).with("source", source))?;
    if source.read_only {
        return Err(Error::new(Code::SourceWriteDisabled).with("source", &source.name));
    }
    let opened = write_variable(source).and_then(|variable| open_database(source, variable, environment));
    let database = match opened {
        Ok(database) => database,
        Err(error) => return Ok(vec![Check::failed("address", error.message())]),
    };
    let direct = |capability: &&Capability| checks::is_direct(contract, source, capability);
    let mut targets: Vec<CheckTarget> = Vec::new();
    for capability in contract.capabilities.iter().filter(direct) {
        let target = &capability.target;
        let known = targets.iter().position(|known| known.schema == target.schema && known.table == target.table);
        let mut one = known.map(|index| targets.remove(index)).unwrap_or_else(|| CheckTarget {
            schema: target.schema.clone(),
            table: target.table.clone(),
            reads: Vec::new(),
            writes: Vec::new(),
        });
        let writes = capability.patch.iter().map(|(column, _)| column);
        let keys = std::iter::once(&target.primary_key).chain(target.tenant_key.as_ref());
        one.reads.extend(keys.chain(&capability.visible_columns).chain(writes.clone()).cloned());
        one.writes.extend(writes.cloned());
        for columns in [&mut one.reads, &mut one.writes] {
            columns.sort();
            columns.dedup();
        }
        targets.push(one);
    }
    Ok(database.check(CheckRequest { receipts: receipts_table(source)?, targets }).await)
}

/// The variables whose addresses say `sslmode=no-verify`: whoever answers there is believed. A face says so.
#[must_use]
pub fn unverified_addresses(contract: &Contract, environment: &Environment) -> Vec<String> {
    let sources = contract.sources.values().filter(|source| source.engine == Engine::Postgres);
    let variables = sources.flat_map(|source| std::iter::once(&source.read_url_env).chain(&source.write_url_env));
    let mut found: Vec<String> = variables
        .filter(|variable| environment.get(variable).is_some_and(|address| is_unverified(Secret::new(address))))
        .cloned()
        .collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(feature = "postgres")]
fn is_unverified(address: Secret) -> bool {
    crate::database::PostgresDatabase::is_unverified(&address)
}

#[cfg(not(feature = "postgres"))]
fn is_unverified(_: Secret) -> bool {
    false
}

/// The variable that holds the address for writes, if the contract allows any.
fn write_variable(source: &Source) -> Result<&str> {
    if source.read_only {
        return Err(Error::new(Code::SourceWriteDisabled).with("source", &source.name));
    }
    source.write_url_env.as_deref().ok_or_else(|| {
        let variable = "write_url_env in the contract";
        Error::new(Code::SourceCredentialMissing).with("source", &source.name).with("variable", variable)
    })
}

fn address(source: &Source, variable: &str, environment: &Environment) -> Result<Secret> {
    environment.get(variable).map(Secret::new).ok_or_else(|| {
        Error::new(Code::SourceCredentialMissing).with("source", &source.name).with("variable", variable)
    })
}

fn open_database(source: &Source, variable: &str, environment: &Environment) -> Result<Arc<dyn Database>> {
    let address = address(source, variable, environment)?;
    let timeout = source.statement_timeout_ms.map(Duration::from_millis);
    match source.engine {
        #[cfg(feature = "sqlite")]
        Engine::Sqlite => {
            Ok(Arc::new(crate::database::SqliteDatabase::open(&source.name, variable, &address, timeout)?))
        }
        #[cfg(feature = "postgres")]
        Engine::Postgres => {
            Ok(Arc::new(crate::database::PostgresDatabase::open(&source.name, variable, &address, timeout)?))
        }
        other => {
            let _ = (&address, timeout);
            Err(Error::new(Code::EngineNotAvailable).with("engine", other.as_str()))
        }
    }
}

/// v1's name; the schema is the engine's default unless the contract names one.
fn receipts_table(source: &Source) -> Result<ReceiptTable> {
    let schema = match (&source.receipts_schema, source.engine) {
        (Some(schema), _) => schema.clone(),
        (None, Engine::Sqlite) => Identifier::new("main")?,
        (None, _) => Identifier::new("public")?,
    };
    ReceiptTable::in_schema(schema)
}
