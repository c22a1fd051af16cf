//! From flags, files and environment to a contract and a ledger.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use signoff::contract::{Contract, Diagnostic, Severity};
use signoff::ledger::{LedgerOptions, SqliteLedger};
use signoff::primitives::{Secret, SystemClock, SystemIds};
use signoff::runtime::{Environment, unverified_addresses};
use signoff::{Code, Error, Result, Runtime};

use crate::args::Global;
use crate::output::Output;

const NAMES: [&str; 2] = ["signoff.json", "synapsor.runner.json"];
const LEDGER: &str = ".signoff/ledger.db";

/// Does a command need the contract?
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It cannot do without.
    Contract,
    /// It uses one if there is one.
    Optional,
}

/// May a command make a ledger?
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ledger {
    Create,
    Existing,
}

/// The path of the contract: the flag, the environment, or one of the two default names, never both.
pub fn config_path(global: &Global) -> Result<Option<PathBuf>> {
    let named = global.config.clone().or_else(|| Environment::system().get("SYNAPSOR_MCP_CONFIG"));
    if let Some(path) = named {
        return Ok(Some(PathBuf::from(path)));
    }
    let here: Vec<&str> = NAMES.into_iter().filter(|name| Path::new(name).exists()).collect();
    match here.as_slice() {
        [first, second] => Err(Error::new(Code::ConfigAmbiguous).with("first", first).with("second", second)),
        [one] => Ok(Some(PathBuf::from(one))),
        _ => Ok(None),
    }
}

pub fn no_config() -> Error {
    Error::new(Code::ConfigNotFound).with("path", format!("./{} or ./{}", NAMES[0], NAMES[1]))
}

pub fn read_file(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::new(Code::ConfigNotFound).with("path", path.display()),
        kind => Error::new(Code::FileUnreadable).with("path", path.display()).with("reason", kind),
    })
}

/// A file that is input, not the contract.
pub fn read_input(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|error| Error::new(Code::FileUnreadable).with("path", path.display()).with("reason", error.kind()))
}

/// Who sits at the terminal: as they say, else as the operating system does.
pub fn operator(named: Option<&str>) -> String {
    let environment = Environment::system();
    let user = || environment.get("USER").or_else(|| environment.get("LOGNAME"));
    named.map(str::to_owned).or_else(user).unwrap_or_else(|| "local_operator".to_owned())
}

/// Reads and validates a contract; warnings come back with it.
pub fn load(path: &Path) -> Result<(Contract, Vec<Diagnostic>)> {
    let text = read_file(path)?;
    Contract::parse(&text).map_err(|diagnostics| {
        let errors: Vec<&Diagnostic> =
            diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).collect();
        let count = if errors.len() == 1 { "1 error".to_owned() } else { format!("{} errors", errors.len()) };
        let first = errors.first().map(ToString::to_string).unwrap_or_default();
        Error::new(Code::ConfigInvalid).with("path", path.display()).with("count", count).with("first", first)
    })
}

/// An address that believes whoever answers is used, and spoken of.
pub fn warn_unverified(contract: &Contract, environment: &Environment, output: &mut Output) {
    for variable in unverified_addresses(contract, environment) {
        output.warn(format!("{variable} says sslmode=no-verify: nobody checks who answers; use verify-full"));
    }
}

/// Opens what a command needs.
pub fn runtime(global: &Global, need: Need, ledger: Ledger, output: &mut Output) -> Result<Runtime> {
    let contract = match config_path(global)? {
        Some(path) => Some(load(&path)?.0),
        None if need == Need::Contract => return Err(no_config()),
        None => None,
    };
    let environment = Environment::system();
    if let Some(contract) = &contract {
        warn_unverified(contract, &environment, output);
    }
    let path = global
        .store
        .clone()
        .or_else(|| environment.get("SYNAPSOR_LOCAL_STORE"))
        .or_else(|| contract.as_ref().and_then(|contract| contract.storage_path.clone()))
        .unwrap_or_else(|| LEDGER.to_owned());
    let options = match ledger {
        Ledger::Create => LedgerOptions::create(path),
        Ledger::Existing => LedgerOptions::existing(path),
    };
    let options = options.with_key(environment.get("SIGNOFF_LEDGER_KEY").map(Secret::new));
    let store = SqliteLedger::open(options, &SystemClock, &SystemIds)?;
    let runtime = Runtime::new(contract, Arc::new(store));
    for warning in runtime.ledger().warnings() {
        output.warn(warning);
    }
    Ok(runtime)
}
