//! From flags, files and environment to a contract and a ledger.

use std::path::{Path, PathBuf};

use signoff::contract::Contract;
use signoff::runtime::{CONFIG_NAMES, Environment, Opening, address_warnings, find_config, load_contract};
use signoff::{Code, Error, Result, Runtime};

use crate::args::Global;
use crate::output::Output;

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
    find_config(global.config.as_deref(), &Environment::system())
}

pub fn no_config() -> Error {
    let [first, second] = CONFIG_NAMES;
    Error::new(Code::ConfigNotFound).with("path", format!("./{first} or ./{second}"))
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

/// An address that believes whoever answers is used, and spoken of.
pub fn warn_unverified(contract: &Contract, environment: &Environment, output: &mut Output) {
    address_warnings(contract, environment).into_iter().for_each(|warning| output.warn(warning));
}

/// Opens what a command needs.
pub fn runtime(global: &Global, need: Need, ledger: Ledger, output: &mut Output) -> Result<Runtime> {
    runtime_of(global, need, ledger, output, |_| {})
}

/// The same with a contract that flags have changed.
pub fn runtime_of(
    global: &Global,
    need: Need,
    ledger: Ledger,
    output: &mut Output,
    change: impl FnOnce(&mut Contract),
) -> Result<Runtime> {
    let mut contract = match config_path(global)? {
        Some(path) => Some(load_contract(&path)?.0),
        None if need == Need::Contract => return Err(no_config()),
        None => None,
    };
    if let Some(contract) = &mut contract {
        change(contract);
        warn_unverified(contract, &Environment::system(), output);
    }
    let mut opening = Opening::new(contract);
    opening.ledger.clone_from(&global.store);
    opening.create = matches!(ledger, Ledger::Create);
    #[cfg(feature = "fault-injection")]
    scripted(&mut opening);
    let runtime = opening.open()?;
    for warning in runtime.ledger().warnings() {
        output.warn(warning);
    }
    Ok(runtime)
}

/// In a build for tests alone: the clock stands where the environment says, and ids follow from a seed.
#[cfg(feature = "fault-injection")]
fn scripted(opening: &mut Opening) {
    use signoff::primitives::{Instant, Scripted};
    let variable = |name| std::env::var(name).ok();
    if let (Some(at), Some(seed)) = (variable("SIGNOFF_TEST_AT"), variable("SIGNOFF_TEST_SEED"))
        && let Ok(at) = Instant::parse(&at)
    {
        let script = std::sync::Arc::new(Scripted::new(at, seed));
        opening.clock = std::sync::Arc::<Scripted>::clone(&script);
        opening.ids = script;
    }
}
