//! Does the agent's door work, and is nothing behind it that must not be there? For scripts that set a contract up.

use clap::{Args, Subcommand};
use serde_json::json;
use signoff::catalogue::{self, ResultFormat};
use signoff::contract::Kind;
use signoff::runtime::{Caller, Environment, load_contract};
use signoff::{Code, Error, Result};

use super::propose::sample;
use crate::args::{Global, JsonFlag};
use crate::output::Output;
use crate::setup::{self, Ledger, Need};

#[derive(Debug, Args)]
pub struct Smoke {
    #[command(subcommand)]
    pub command: SmokeCommand,
}

#[derive(Debug, Subcommand)]
pub enum SmokeCommand {
    /// Call one tool as an agent would, and print what it gets
    Call(SmokeCall),
    /// Check that an agent gets the contract's tools and nothing that decides, applies or connects
    Boundary(JsonFlag),
}

#[derive(Debug, Args)]
pub struct SmokeCall {
    /// The capability [default: the contract's first read]
    pub capability: Option<String>,
    /// The arguments as a JSON object
    #[arg(long, value_name = "JSON", conflicts_with = "sample")]
    pub json: Option<String>,
    /// Arguments made up from the contract (the default)
    #[arg(long)]
    pub sample: bool,
}

pub async fn run(global: &Global, smoke: &Smoke, output: &mut Output) -> Result<u8> {
    match &smoke.command {
        SmokeCommand::Call(call) => self::call(global, call, output).await,
        SmokeCommand::Boundary(_) => boundary(global, output),
    }
}

/// The whole way of a tool call: contract, trusted context, database, evidence in the ledger.
async fn call(global: &Global, call: &SmokeCall, output: &mut Output) -> Result<u8> {
    let runtime = setup::runtime(global, Need::Contract, Ledger::Create, output)?;
    let contract = runtime.contract().ok_or_else(setup::no_config)?;
    let first = || contract.capabilities.iter().find(|capability| capability.kind == Kind::Read);
    let capability = match &call.capability {
        Some(name) => contract.capability(name),
        None => first(),
    };
    let unknown = || {
        let named = call.capability.as_deref().unwrap_or("a read capability");
        Error::new(Code::CapabilityNotFound).with("capability", named)
    };
    let capability = capability.ok_or_else(unknown)?;
    let arguments = call.json.clone().unwrap_or_else(|| sample(capability).to_string());
    let format = ResultFormat::from_number(contract.result_format);
    let envelope = match capability.kind {
        Kind::Read => runtime.read(&capability.name, &arguments, &Caller::Operator).await?.envelope(format),
        _ => runtime.propose(&capability.name, &arguments, &Caller::Operator).await?.envelope(format),
    };
    output.value(&envelope.body);
    output.line(format!("{} answered:", capability.name));
    output.line(crate::output::pretty(&envelope.body));
    output.line("Source DB changed: no");
    Ok(0)
}

fn boundary(global: &Global, output: &mut Output) -> Result<u8> {
    let path = setup::config_path(global)?.ok_or_else(setup::no_config)?;
    let (contract, _) = load_contract(&path)?;
    let checks = catalogue::boundary(&contract, |name| Environment::system().get(name));
    let ok = checks.iter().all(|check| check.ok);
    output.value(&json!({ "ok": ok, "checks": checks }));
    for check in &checks {
        let told = if check.ok { output.new_value("ok  ") } else { output.old("FAIL") };
        output.line(format!("{told} {}", check.name));
    }
    output.line(if ok { "The boundary holds." } else { "The boundary does not hold: rename what is marked." });
    Ok(u8::from(!ok))
}
