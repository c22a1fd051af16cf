//! Could changes be applied by direct SQL? Everything is tried and rolled back; what is told are v1's names of checks and
//! categories of our own.

use super::{Environment, HandlerCheck, address, open_database, receipts_table, write_variable};
use crate::contract::{Capability, Contract, Engine, ExecutorKind, Source};
use crate::database::{Check, CheckRequest, CheckTarget};
use crate::error::Result;

/// Looks at every source that direct SQL writes to: is there an address to write to, is it another login than the one that
/// reads, can the receipts table be used, and what each capability writes. Nothing is left behind.
///
/// | check | |
/// |---|---|
/// | `source:<s>:write-url-env` | the variable is set |
/// | `source:<s>:credential-separation` | it does not say what the one for reads says; `shared` makes that a warning. A file has no login |
/// | `source:<s>:writeback-probe` | a connection that may write |
/// | `source:<s>:receipt-table-probe` | the receipts table is there, is one that lasts, and a receipt can be written |
/// | `capability:<c>:writeback-target-probe` | the row's columns can be read, locked and written |
pub async fn check_writebacks(contract: &Contract, environment: &Environment, shared: bool) -> Vec<HandlerCheck> {
    let mut checks = Vec::new();
    for source in contract.sources.values() {
        let direct: Vec<&Capability> =
            contract.capabilities.iter().filter(|one| is_direct(contract, source, one)).collect();
        if source.read_only || direct.is_empty() {
            continue;
        }
        let name = |what: &str| format!("source:{}:{what}", source.name);
        let write = write_variable(source).and_then(|variable| address(source, variable, environment));
        let write = match write {
            Ok(write) => write,
            Err(error) => {
                checks.push(HandlerCheck::of(name("write-url-env"), "fail", error.message()));
                continue;
            }
        };
        checks.push(HandlerCheck::of(name("write-url-env"), "pass", "it is set"));
        let same = address(source, &source.read_url_env, environment).is_ok_and(|read| read.expose() == write.expose());
        let (level, message) = match (source.engine, same, shared) {
            (Engine::Sqlite, ..) => ("pass", "a file has no login"),
            (_, false, _) => ("pass", "reads and writes have addresses of their own"),
            (_, true, true) => ("warn", "reads and writes share a login, as was allowed"),
            (_, true, false) => ("fail", "reads and writes share a login: what only reads could write"),
        };
        checks.push(HandlerCheck::of(name("credential-separation"), level, message));
        checks.extend(
            probes(source, &direct, environment)
                .await
                .unwrap_or_else(|error| vec![HandlerCheck::of(name("writeback-probe"), "fail", error.message())]),
        );
    }
    checks
}

/// Is this written by direct SQL to that source?
pub(super) fn is_direct(contract: &Contract, source: &Source, capability: &Capability) -> bool {
    let executor = capability.executor.as_ref().and_then(|name| contract.executors.get(name));
    capability.source == source.name
        && !capability.patch.is_empty()
        && executor.is_none_or(|executor| matches!(executor.kind, ExecutorKind::SqlUpdate))
}

async fn probes(source: &Source, direct: &[&Capability], environment: &Environment) -> Result<Vec<HandlerCheck>> {
    let database = open_database(source, write_variable(source)?, environment)?;
    let targets = direct.iter().map(|capability| target(capability)).collect();
    let found = database.check(CheckRequest { receipts: receipts_table(source)?, targets }).await;
    let (targets, others): (Vec<Check>, Vec<Check>) =
        found.into_iter().partition(|one| one.name.starts_with("target:"));
    let (receipts, session): (Vec<Check>, Vec<Check>) =
        others.into_iter().partition(|one| one.name.starts_with("receipts-"));
    let name = |what: &str| format!("source:{}:{what}", source.name);
    let mut checks = vec![together(name("writeback-probe"), &session)];
    if !receipts.is_empty() {
        checks.push(together(name("receipt-table-probe"), &receipts));
    }
    // One for each that was asked for, in that order.
    for (capability, check) in direct.iter().zip(&targets) {
        let name = format!("capability:{}:writeback-target-probe", capability.name);
        checks.push(together(name, std::slice::from_ref(check)));
    }
    Ok(checks)
}

fn target(capability: &Capability) -> CheckTarget {
    let target = &capability.target;
    let writes = capability.patch.iter().map(|(column, _)| column);
    let keys = std::iter::once(&target.primary_key).chain(target.tenant_key.as_ref());
    let reads = keys.chain(&capability.visible_columns).chain(writes.clone()).cloned().collect();
    CheckTarget { schema: target.schema.clone(), table: target.table.clone(), reads, writes: writes.cloned().collect() }
}

/// The first that failed, or that none did.
fn together(name: String, checks: &[Check]) -> HandlerCheck {
    match checks.iter().find(|check| !check.ok) {
        Some(failed) => HandlerCheck::of(name, "fail", failed.message.clone()),
        None => HandlerCheck::of(name, "pass", checks.last().map(|check| check.message.clone()).unwrap_or_default()),
    }
}
