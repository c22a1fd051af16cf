//! The library on a workspace's files, as an application embeds it.

use std::path::Path;
use std::sync::Arc;

use signoff::Runtime;
use signoff::contract::Contract;
use signoff::ledger::{LedgerOptions, SqliteLedger};
use signoff::primitives::{Clock, SystemIds};
use signoff::runtime::Environment;

/// The ledger of this name in a workspace's folder, made if there is none.
pub fn ledger(folder: &Path, name: &str, clock: &dyn Clock) -> Arc<SqliteLedger> {
    let opened = SqliteLedger::open(LedgerOptions::create(folder.join(name)), clock, &SystemIds);
    Arc::new(opened.unwrap_or_else(|error| panic!("the ledger opens: {error}")))
}

/// A runtime on a workspace's contract, on the source at this address and on this ledger.
pub fn runtime(folder: &Path, address: &str, ledger: Arc<SqliteLedger>, clock: Arc<dyn Clock>) -> Runtime {
    let text = std::fs::read_to_string(folder.join("signoff.json")).expect("a contract");
    let contract = Contract::parse(&text).unwrap_or_else(|found| panic!("the contract is valid: {found:?}")).0;
    let environment = environment(address.to_owned());
    Runtime::new(Some(contract), ledger).with_environment(environment).with_clock(clock, Arc::new(SystemIds))
}

/// The environment of a workspace's commands, its source at this address.
pub fn environment(address: String) -> Environment {
    Environment::new(move |name| match name {
        "BILLING_APP_READ_URL" | "BILLING_APP_WRITE_URL" => Some(address.clone()),
        "SYNAPSOR_TENANT_ID" => Some("acme".to_owned()),
        "SYNAPSOR_PRINCIPAL" => Some("support_agent".to_owned()),
        _ => None,
    })
}

/// Runs one call to its end on this thread.
pub fn block<T>(call: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(call)
}
