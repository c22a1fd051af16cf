//! From a contract to an agent that can be let in: what is there, what is missing, what comes next; and the server, if told to.

use clap::{Args, ValueEnum};
use serde::Serialize;
use signoff::Result;
use signoff::catalogue::{ToolOptions, boundary, tools};
use signoff::contract::{Contract, KeySource, Kind, Mode};
use signoff::onboarding::{Client, ClientOptions, client_snippet, serving_variables};
use signoff::runtime::{Environment, check_handlers, load_contract};

use super::mcp::serve::{self, Listen};
use crate::args::{Global, JsonFlag};
use crate::output::Output;
use crate::setup;

#[derive(Debug, Args)]
pub struct Up {
    /// Serve agents over HTTP, if nothing is missing
    #[arg(long, conflicts_with_all = ["print_next", "json"])]
    pub serve: bool,
    /// How it is served
    #[arg(long, value_enum, default_value_t = Transport::StreamableHttp)]
    pub transport: Transport,
    /// Only what comes next, a command a line
    #[arg(long)]
    pub print_next: bool,
    /// With --serve: everything but serving
    #[arg(long)]
    pub dry_run: bool,
    /// Also ask the contract's handlers whether they are there
    #[arg(long)]
    pub handler_check: bool,
    #[command(flatten)]
    pub listen: Listen,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    Stdio,
    StreamableHttp,
}

impl From<Transport> for serve::Transport {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Stdio => Self::Stdio,
            Transport::StreamableHttp => Self::StreamableHttp,
        }
    }
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Check {
    name: String,
    level: &'static str,
    message: String,
}

impl Check {
    fn of(name: impl Into<String>, level: &'static str, message: impl Into<String>) -> Self {
        Self { name: name.into(), level, message: message.into() }
    }
}

pub async fn run(global: &Global, up: &Up, output: &mut Output) -> Result<u8> {
    let path = setup::config_path(global)?.ok_or_else(setup::no_config)?;
    let (contract, warnings) = load_contract(&path)?;
    let environment = Environment::system();
    let mut checks = vec![match warnings.len() {
        0 => Check::of("config", "pass", format!("{} is valid", path.display())),
        count => {
            Check::of("config", "warn", format!("{} is valid; {count} warnings in `config validate`", path.display()))
        }
    }];
    let http = matches!(up.transport, Transport::StreamableHttp);
    checks.extend(variables(&contract, &environment, http && contract.mcp_auth.is_some()));
    if http && !up.listen.dev_no_auth {
        checks.extend(who_may_call(&contract, &environment, up));
    }
    for check in boundary(&contract, |name| environment.get(name)) {
        checks.push(Check::of("boundary", if check.ok { "pass" } else { "fail" }, check.name));
    }
    if up.handler_check {
        let found = check_handlers(&contract, &environment).await;
        checks.extend(found.into_iter().map(|check| Check::of(check.name, check.level, check.message)));
    }
    let ok = checks.iter().all(|check| check.level != "fail");
    let next = next(&contract, &checks, up);
    if up.print_next {
        next.iter().for_each(|line| output.line(line));
        output.value(&serde_json::json!({ "ok": ok, "next": next }));
        return Ok(u8::from(!ok));
    }
    let mut options = ClientOptions::new(Client::Generic);
    options.config = Some(path.display().to_string());
    let client = client_snippet(&contract, &options)?;
    let tools = tools(&contract, &ToolOptions::default());
    output.value(&serde_json::json!({
        "ok": ok, "mode": contract.mode.as_str(), "checks": checks, "next": next, "client": client.config,
        "tools": tools.iter().map(|tool| &tool.name).collect::<Vec<_>>(),
    }));
    // A server on standard output says nothing else there.
    let mut tell = |line: String| if up.serve { output.note(line) } else { output.line(line) };
    for Check { name, level, message } in &checks {
        tell(format!("  {} {name}: {message}", if *level == "fail" { "FAIL" } else { level }));
    }
    tell(format!(
        "An agent sees {} tools: {}",
        tools.len(),
        tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>().join(", ")
    ));
    if up.serve {
        if !ok {
            tell("not served: something is missing".to_owned());
            return Ok(1);
        }
        if up.dry_run {
            tell("not served: --dry-run".to_owned());
            return Ok(0);
        }
        return serve::run(global, up.transport.into(), &up.listen, output).await;
    }
    tell("Its client is told (`signoff mcp config` has the form of each):".to_owned());
    tell(client.text().trim_end().to_owned());
    tell("Next:".to_owned());
    next.iter().for_each(|line| tell(format!("  {line}")));
    Ok(u8::from(!ok))
}

/// What a server over HTTP needs to know its callers by.
fn who_may_call(contract: &Contract, environment: &Environment, up: &Up) -> Option<Check> {
    let name = match &contract.mcp_auth {
        None => &up.listen.auth_token_env,
        Some(auth) => match &auth.keys {
            KeySource::UrlEnv(name) => name,
            _ => return None,
        },
    };
    let name_of_check = format!("variable:{name}");
    Some(match environment.get(name) {
        Some(_) => Check::of(name_of_check, "pass", "set"),
        None => Check::of(name_of_check, if up.serve { "fail" } else { "warn" }, "not set"),
    })
}

/// Which of the variables that the contract names are set; what they hold is not looked at.
/// Where tokens say who calls, the variables of a tenant and a principal are for others.
fn variables(contract: &Contract, environment: &Environment, tokens: bool) -> Vec<Check> {
    let is_set = |name: &str| environment.get(name).is_some();
    let told = |name: &str, missing| match is_set(name) {
        true => Check::of(format!("variable:{name}"), "pass", "set"),
        false => Check::of(format!("variable:{name}"), missing, "not set"),
    };
    let mut read = serving_variables(contract);
    if tokens {
        let of_caller = |name: &str| {
            let mut contexts = contract.trusted_context.iter().chain(contract.contexts.values());
            contexts.any(|context| {
                [&context.tenant_id_env, &context.principal_env].into_iter().any(|known| known.as_deref() == Some(name))
            })
        };
        read.retain(|name| !of_caller(name));
    }
    // A context for development says itself what a variable does not.
    let spare = |name: &str| {
        let mut contexts = contract.trusted_context.iter().chain(contract.contexts.values());
        contexts.any(|context| {
            (context.tenant_id.is_some() && context.tenant_id_env.as_deref() == Some(name))
                || (context.principal.is_some() && context.principal_env.as_deref() == Some(name))
        })
    };
    let mut checks: Vec<Check> =
        read.iter().map(|name| told(name, if spare(name) { "warn" } else { "fail" })).collect();
    // Only what applies needs these, and it may be elsewhere.
    let mut write: Vec<&str> = contract.sources.values().filter_map(|source| source.write_url_env.as_deref()).collect();
    write.retain(|name| contract.mode == Mode::Review && !read.iter().any(|known| known == name));
    write.dedup();
    checks.extend(write.into_iter().map(|name| told(name, "warn")));
    checks
}

/// What a person does next, in its order.
fn next(contract: &Contract, checks: &[Check], up: &Up) -> Vec<String> {
    let unset = checks
        .iter()
        .filter(|check| check.message == "not set")
        .filter_map(|check| check.name.strip_prefix("variable:"));
    let mut lines: Vec<String> = unset.map(|name| format!("export {name}=…")).collect();
    if checks.iter().any(|check| check.name == "boundary" && check.level == "fail") {
        lines.push("signoff smoke boundary".to_owned());
    }
    if contract.capabilities.iter().any(|capability| capability.kind == Kind::Read) {
        lines.push("signoff smoke call".to_owned());
    }
    if contract.mode == Mode::Review {
        lines.push("signoff writeback migrate".to_owned());
        lines.push("signoff doctor --check-writeback".to_owned());
    }
    lines.push("signoff mcp config claude-desktop".to_owned());
    if !up.serve {
        lines.push("signoff up --serve".to_owned());
    }
    if contract.mode == Mode::Review {
        lines.push("signoff proposals list --status pending_review".to_owned());
    }
    lines
}
