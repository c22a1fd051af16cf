//! Does the agent's door work, and is nothing behind it that must not be there? For scripts that set a contract up.

use clap::{Args, Subcommand};
use serde_json::json;
use signoff::catalogue::{AliasMode, ResultFormat, ToolOptions, tools};
use signoff::contract::{Contract, Kind};
use signoff::runtime::{Caller, Environment};
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
        Kind::Read => runtime.read(&capability.name, &arguments, &Caller::FromContract).await?.envelope(format),
        _ => runtime.propose(&capability.name, &arguments, &Caller::FromContract).await?.envelope(format),
    };
    output.value(&envelope.body);
    output.line(format!("{} answered:", capability.name));
    output.line(crate::output::pretty(&envelope.body));
    output.line("Source DB changed: no");
    Ok(0)
}

/// What no tool of an agent may be called. Whole names: `orders.apply_credit` proposes a credit, and applies nothing.
const DECIDES: [&str; 5] = ["approve", "approve_proposal", "reject", "reject_proposal", "sign_off"];
const COMMITS: [&str; 5] = ["apply", "apply_proposal", "commit", "commit_proposal", "apply_writeback"];
const SQL: [&str; 4] = ["execute_sql", "run_sql", "sql", "query"];

fn boundary(global: &Global, output: &mut Output) -> Result<u8> {
    let path = setup::config_path(global)?.ok_or_else(setup::no_config)?;
    let (contract, _) = setup::load(&path)?;
    let checks = checks(&contract, &Environment::system());
    let ok = checks.iter().all(|(_, ok)| *ok);
    let listed: Vec<_> = checks.iter().map(|(name, ok)| json!({ "name": name, "ok": ok })).collect();
    output.value(&json!({ "ok": ok, "checks": listed }));
    for (name, ok) in &checks {
        output.line(format!("{} {name}", if *ok { output.new_value("ok  ") } else { output.old("FAIL") }));
    }
    output.line(if ok { "The boundary holds." } else { "The boundary does not hold: rename what is marked." });
    Ok(u8::from(!ok))
}

fn checks(contract: &Contract, environment: &Environment) -> Vec<(&'static str, bool)> {
    let tools = tools(contract, &ToolOptions { alias: AliasMode::Both });
    let shown = serde_json::to_string(&tools).unwrap_or_default();
    let names = |words: &[&str]| {
        let last = |name: &str| name.rsplit(['.', '/']).next().unwrap_or_default().to_ascii_lowercase();
        tools
            .iter()
            .flat_map(|tool| [&tool.name, &tool.canonical_name])
            .all(|name| !words.contains(&last(name).as_str()))
    };
    let hidden = |write: bool| {
        contract.sources.values().all(|source| {
            let variable = if write { source.write_url_env.as_deref() } else { Some(source.read_url_env.as_str()) };
            let secret = variable.and_then(|name| environment.get(name)).filter(|value| !value.is_empty());
            variable.is_none_or(|name| !shown.contains(name)) && secret.is_none_or(|value| !shown.contains(&value))
        })
    };
    vec![
        ("semantic tools present", !tools.is_empty()),
        ("execute_sql absent", names(&SQL)),
        ("approval tools absent", names(&DECIDES)),
        ("commit tools absent", names(&COMMITS)),
        ("database_url absent", hidden(false) && !shown.contains("database_url")),
        ("write credentials absent", hidden(true)),
    ]
}
