//! From a path and the name of a ledger to a runtime: what every face does first.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Environment, Runtime, executor_warnings, unverified_addresses};
use crate::catalogue::check_tool_digests;
use crate::contract::{Contract, Diagnostic, Severity};
use crate::error::{Code, Error, Result};
use crate::ledger::{LedgerOptions, SqliteLedger};
use crate::primitives::{Clock, IdSource, Secret, SystemClock, SystemIds};

/// The names under which a contract is looked for; both at once are refused.
pub const CONFIG_NAMES: [&str; 2] = ["signoff.json", "synapsor.runner.json"];
/// The ledger, if neither caller, environment nor contract names one.
pub const DEFAULT_LEDGER: &str = ".signoff/ledger.db";
/// What an address of a ledger begins with that this build cannot open.
const SERVERS: [&str; 4] = ["postgres:", "postgresql:", "mysql:", "mariadb:"];

/// The path of the contract: as named, else as the environment says, else one of [`CONFIG_NAMES`] in this folder.
///
/// # Errors
/// `CONFIG_AMBIGUOUS`.
pub fn find_config(named: Option<&str>, environment: &Environment) -> Result<Option<PathBuf>> {
    if let Some(path) = named.map(str::to_owned).or_else(|| environment.get("SYNAPSOR_MCP_CONFIG")) {
        return Ok(Some(PathBuf::from(path)));
    }
    let here: Vec<&str> = CONFIG_NAMES.into_iter().filter(|name| Path::new(name).exists()).collect();
    match here.as_slice() {
        [first, second] => Err(Error::new(Code::ConfigAmbiguous).with("first", first).with("second", second)),
        [one] => Ok(Some(PathBuf::from(one))),
        _ => Ok(None),
    }
}

/// Reads and validates the contract in a file; its warnings come with it.
///
/// # Errors
/// `CONFIG_NOT_FOUND`, `FILE_UNREADABLE`, `CONFIG_INVALID` naming the first finding.
pub fn load_contract(path: &Path) -> Result<(Contract, Vec<Diagnostic>)> {
    parse_contract(&read_contract(path)?, &path.display().to_string())
}

/// The text of a contract's file.
///
/// # Errors
/// `CONFIG_NOT_FOUND`, `FILE_UNREADABLE`.
pub fn read_contract(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::new(Code::ConfigNotFound).with("path", path.display()),
        kind => Error::new(Code::FileUnreadable).with("path", path.display()).with("reason", kind),
    })
}

/// Reads and validates the text of a contract; `path` is what its reader calls it.
///
/// # Errors
/// `CONFIG_INVALID` naming the first finding; [`Contract::parse`] tells them all.
pub fn parse_contract(text: &str, path: &str) -> Result<(Contract, Vec<Diagnostic>)> {
    Contract::parse(text).map_err(|diagnostics| {
        let errors: Vec<&Diagnostic> =
            diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).collect();
        let count = if errors.len() == 1 { "1 error".to_owned() } else { format!("{} errors", errors.len()) };
        let first = errors.first().map(ToString::to_string).unwrap_or_default();
        Error::new(Code::ConfigInvalid).with("path", path).with("count", count).with("first", first)
    })
}

/// A contract and a ledger, to be opened together.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opening {
    /// The contract; without one, what is in the ledger can be shown, decided and replayed.
    pub contract: Option<Contract>,
    /// The path of the ledger, before what environment and contract say.
    pub ledger: Option<String>,
    /// Make the ledger, and its key, if there is none.
    pub create: bool,
    /// Where variables are looked up.
    pub environment: Environment,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Arc<dyn IdSource>,
}

impl Opening {
    /// The default ledger, which has to be there, on the system's clock, randomness and environment.
    #[must_use]
    pub fn new(contract: Option<Contract>) -> Self {
        Self {
            contract,
            ledger: None,
            create: false,
            environment: Environment::system(),
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
        }
    }

    /// Where the ledger is: as named, as `SIGNOFF_LOCAL_STORE` says, as the contract says, or [`DEFAULT_LEDGER`].
    #[must_use]
    pub fn ledger_path(&self) -> String {
        self.ledger
            .clone()
            .or_else(|| self.environment.get("SYNAPSOR_LOCAL_STORE"))
            .or_else(|| self.contract.as_ref().and_then(|contract| contract.storage_path.clone()))
            .unwrap_or_else(|| DEFAULT_LEDGER.to_owned())
    }

    /// Opens both. Blocks for the time of a few reads of a file, and for as long as an older ledger takes to be upgraded.
    ///
    /// # Errors
    /// `TOOL_DEFINITION_CHANGED` if a tool is not the one that the contract pins, `LEDGER_ENGINE_NOT_AVAILABLE` for the address of a database server, and those of [`SqliteLedger::open`].
    pub fn open(self) -> Result<Runtime> {
        self.contract.as_ref().map_or(Ok(()), check_tool_digests)?;
        let path = self.ledger_path();
        if let Some(server) = SERVERS.into_iter().find(|scheme| path.starts_with(scheme)) {
            // The address is not said: it may hold a password.
            return Err(Error::new(Code::LedgerEngineNotAvailable).with("engine", server.trim_end_matches(':')));
        }
        let options = if self.create { LedgerOptions::create(path) } else { LedgerOptions::existing(path) };
        let options = options.with_key(self.environment.get("SIGNOFF_LEDGER_KEY").map(Secret::new));
        let ledger = SqliteLedger::open(options, &*self.clock, &*self.ids)?;
        Ok(Runtime::new(self.contract, Arc::new(ledger))
            .with_environment(self.environment)
            .with_clock(self.clock, self.ids))
    }
}

/// A word on each address that believes whoever answers: it is used, and spoken of.
#[must_use]
pub fn address_warnings(contract: &Contract, environment: &Environment) -> Vec<String> {
    let told = |variable| format!("{variable} says sslmode=no-verify: nobody checks who answers; use verify-full");
    unverified_addresses(contract, environment).into_iter().map(told).collect()
}

impl Runtime {
    /// What a person should know before it is used: a loose permission of the ledger, an address that believes whoever
    /// answers, an executor without a signature.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.ledger.warnings().to_vec();
        if let Some(contract) = self.contract() {
            warnings.extend(address_warnings(contract, &self.environment));
            warnings.extend(executor_warnings(contract, &self.environment));
        }
        warnings
    }
}
