//! The lifecycle, as calls: read, propose, decide, apply, replay. [`Runtime`] is the facade that every face calls.

mod apply;
mod arguments;
mod context;
mod decide;
mod propose;
mod read;
mod replay;
#[cfg(test)]
mod tests;

pub use apply::{Applied, ApplyOptions, Ending};
pub use context::{Caller, Environment};
pub use decide::{Approver, Seen};
pub use propose::ProposalAnswer;
pub use read::ReadAnswer;
pub use replay::Replay;

use std::sync::Arc;
use std::time::Duration;

use crate::contract::{Capability, Contract, Engine, ExecutorKind, Source};
use crate::database::Database;
use crate::error::{Code, Error, Result};
use crate::executor::{Executor, SqlUpdate};
use crate::guard::ReceiptTable;
use crate::ledger::Ledger;
use crate::primitives::{Clock, IdSource, Identifier, Secret, SystemClock, SystemIds};

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
}

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
        }
    }

    /// The same with another clock and id source.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Self {
        self.clock = clock;
        self.ids = ids;
        self
    }

    /// The same with another environment.
    #[must_use]
    pub fn with_environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
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

    fn need_contract(&self) -> Result<&Contract> {
        self.contract().ok_or_else(|| Error::new(Code::ConfigNotFound).with("path", "this runtime"))
    }

    fn source(&self, name: &str) -> Result<&Source> {
        self.need_contract()?.sources.get(name).ok_or_else(|| Error::new(Code::SourceNotFound).with("source", name))
    }

    /// The database of a source, at the address that a variable holds now.
    fn database(&self, source: &Source, variable: &str) -> Result<Arc<dyn Database>> {
        let address = self
            .environment
            .get(variable)
            .map(Secret::new)
            .ok_or_else(|| Error::new(Code::SourceCredentialMissing).with("source", &source.name).with("variable", variable))?;
        let timeout = source.statement_timeout_ms.map(Duration::from_millis);
        match source.engine {
            #[cfg(feature = "sqlite")]
            Engine::Sqlite => Ok(Arc::new(crate::database::SqliteDatabase::open(&source.name, variable, &address, timeout)?)),
            #[cfg(feature = "postgres")]
            Engine::Postgres => Ok(Arc::new(crate::database::PostgresDatabase::open(&source.name, variable, &address, timeout)?)),
            other => {
                let _ = (&address, timeout);
                Err(Error::new(Code::EngineNotAvailable).with("engine", other.as_str()))
            }
        }
    }

    fn write_database(&self, source: &Source) -> Result<Arc<dyn Database>> {
        if source.read_only {
            return Err(Error::new(Code::SourceWriteDisabled).with("source", &source.name));
        }
        let variable = source.write_url_env.as_deref().ok_or_else(|| {
            Error::new(Code::SourceCredentialMissing).with("source", &source.name).with("variable", "write_url_env in the contract")
        })?;
        self.database(source, variable)
    }

    /// The executor of a capability.
    fn executor(&self, capability: &Capability) -> Result<Arc<dyn Executor>> {
        let contract = self.need_contract()?;
        if let Some(name) = &capability.executor
            && let Some(executor) = contract.executors.get(name)
            && !matches!(executor.kind, ExecutorKind::SqlUpdate)
        {
            return Err(Error::new(Code::ExecutorNotAvailable).with("executor", name).with("type", executor.kind.as_str()));
        }
        let source = self.source(&capability.source)?;
        let database = self.write_database(source)?;
        Ok(Arc::new(SqlUpdate::new(database, receipts_table(source)?, source.create_receipts, self.ledger.redactor())))
    }

    /// Creates the receipts table of a source, or brings it up to date; answers the statements that were run. This is the
    /// only call that changes a source's schema.
    ///
    /// # Errors
    /// `SOURCE_NOT_FOUND`, `SOURCE_CREDENTIAL_MISSING`, `SOURCE_READ_ONLY`, `SOURCE_REJECTED`, `SOURCE_UNAVAILABLE`.
    pub async fn migrate_receipts(&self, source: &str) -> Result<Vec<String>> {
        let source = self.source(source)?;
        self.write_database(source)?.migrate_receipts(receipts_table(source)?).await
    }
}

/// v1's name; the schema is the engine's default unless the contract names one.
fn receipts_table(source: &Source) -> Result<ReceiptTable> {
    let schema = match (&source.receipts_schema, source.engine) {
        (Some(schema), _) => schema.clone(),
        (None, Engine::Sqlite) => Identifier::new("main")?,
        (None, _) => Identifier::new("public")?,
    };
    Ok(ReceiptTable { schema, name: Identifier::new("synapsor_writeback_receipts")? })
}
