//! The review of the tools that an MCP server offers. It asks for their list at most, and calls none of them.

mod http;
mod messages;
mod stdio;

use std::path::Path;
use std::time::Duration;

use clap::{Args, ValueEnum};
use signoff::audit::{Report, Severity, audit, example};
use signoff::onboarding::{ClientServer, Reach, audit_text, server_list};
use signoff::primitives::{Clock as _, Secret, SystemClock};
use signoff::runtime::Environment;
use signoff::{Code, Error, Result};

use self::http::Address;
use self::stdio::Program;
use crate::args::{Format, JsonFlag};
use crate::output::Output;
use crate::setup::read_input;

#[derive(Debug, Args)]
pub struct Audit {
    /// The answer of tools/list, a manifest, a client's configuration, a contract of ours, http(s)://…, or stdio:COMMAND; `-` is standard input
    #[arg(group = "what", required_unless_present_any = ["mcp_config", "url", "stdio", "example"])]
    pub target: Option<String>,
    /// A client's configuration: each of its servers; those that would have to be asked are named and left alone
    #[arg(long, value_name = "FILE", group = "what")]
    pub mcp_config: Option<String>,
    /// A server to ask over Streamable HTTP
    #[arg(long, value_name = "URL", group = "what")]
    pub url: Option<String>,
    /// A server to start and to ask: its command line, which no shell reads
    #[arg(long, value_name = "COMMAND", group = "what")]
    pub stdio: Option<String>,
    /// A server as it should not be, to see what a report looks like
    #[arg(long, group = "what")]
    pub example: Option<ExampleName>,
    /// Of a client's configuration: start its programs and ask them
    #[arg(long)]
    pub spawn: bool,
    /// Of a client's configuration: ask the servers that have an address, without a token
    #[arg(long)]
    pub connect: bool,
    /// The variable with the bearer token for --url [default: SIGNOFF_MCP_AUDIT_BEARER]
    #[arg(long, value_name = "VARIABLE")]
    pub bearer_env: Option<String>,
    /// A variable that a started program gets beside PATH, HOME and their like; may be given several times
    #[arg(long, value_name = "VARIABLE")]
    pub env: Vec<String>,
    /// How long each server may take in all
    #[arg(long, value_name = "MS", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub timeout_ms: u64,
    /// Exit with 1 if something is at least so bad
    #[arg(long, value_name = "SEVERITY")]
    pub fail_on: Option<FailOn>,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ExampleName {
    DangerousDbMcp,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum FailOn {
    High,
    Medium,
    Low,
}

pub async fn run(format: Format, arguments: &Audit, output: &mut Output) -> Result<u8> {
    let report = report(arguments).await?.at(SystemClock.now());
    match format {
        _ if output.is_json() => output.value(&report),
        Format::Markdown => output.text(&report.markdown()),
        Format::Sarif => output.text(&format!("{}\n", crate::output::pretty(&report.sarif(&report.target)))),
        _ => output.text(&report.human()),
    }
    let limit = arguments.fail_on.map(|limit| match limit {
        FailOn::High => Severity::High,
        FailOn::Medium => Severity::Medium,
        FailOn::Low => Severity::Low,
    });
    // A gate that looked at nothing is open.
    Ok(u8::from(limit.is_some_and(|limit| report.reaches(limit) || !report.not_inspected.is_empty())))
}

async fn report(arguments: &Audit) -> Result<Report> {
    let time = Duration::from_millis(arguments.timeout_ms);
    let target = arguments.target.as_deref();
    let scheme = |name: &str| target.filter(|target| target.starts_with(name));
    let url = arguments.url.as_deref().or_else(|| scheme("http://").or_else(|| scheme("https://")));
    if let Some(url) = url {
        let address = Address::parse(url)?;
        let tools = http::tools(&address, bearer(arguments)?, time).await?;
        return Ok(audit(&tools, &address.shown()));
    }
    let line = arguments.stdio.as_deref().or_else(|| target.and_then(|target| target.strip_prefix("stdio:")));
    if let Some(line) = line {
        let program = Program::of_line(line, &arguments.env)?;
        return Ok(audit(&stdio::tools(&program, time).await?, &program.shown()));
    }
    match (&arguments.mcp_config, target) {
        (Some(path), _) => of_client(&text(path)?, path, arguments, time).await,
        (None, Some(path)) => {
            let text = text(path)?;
            if arguments.spawn || arguments.connect {
                of_client(&text, path, arguments, time).await
            } else {
                audit_text(&text, path)
            }
        }
        (None, None) => Ok(audit(&example(), "dangerous-db-mcp")),
    }
}

/// Every server of a client's configuration. One that cannot be asked is told of, and the others are asked.
async fn of_client(text: &str, path: &str, arguments: &Audit, time: Duration) -> Result<Report> {
    let list = serde_json::from_str(text).ok().and_then(|document| server_list(&document)).ok_or_else(|| {
        Error::new(Code::Usage)
            .with("problem", "the file is no client's configuration: plain JSON with `mcpServers` or `servers`")
            .with("hint", "for a list of tools leave --mcp-config, --spawn and --connect out")
    })?;
    let mut report = Report::of_servers(path);
    for server in &list.servers {
        let asked = match &server.tools {
            Some(tools) => Ok(tools.clone()),
            None => of_server(server, arguments, time).await,
        };
        match asked {
            Ok(tools) => report.add(&server.name, &tools),
            Err(reason) => report.not_inspected(&server.name, server.reach.word(), &reason),
        }
    }
    Ok(report)
}

async fn of_server(
    server: &ClientServer,
    arguments: &Audit,
    time: Duration,
) -> std::result::Result<serde_json::Value, String> {
    // The addresses and command lines in somebody's file may hold tokens: what went wrong is said without them.
    let told = |error: Error| match error.context().find(|(field, _)| *field == "problem") {
        Some((_, problem)) => problem.to_owned(),
        None => error.code().to_string(),
    };
    match &server.reach {
        Reach::Command { program, arguments: words, environment } if arguments.spawn => {
            let program = Program::of_client(program, words, environment, &arguments.env).map_err(told)?;
            stdio::tools(&program, time).await.map_err(told)
        }
        Reach::Url(url) if arguments.connect => {
            let address = Address::parse(url).map_err(told)?;
            http::tools(&address, None, time).await.map_err(told)
        }
        Reach::Command { .. } => Err("its program is started with --spawn only".to_owned()),
        Reach::Url(_) => Err("its address is asked with --connect only".to_owned()),
        _ => Err("it has neither a command nor an address".to_owned()),
    }
}

/// The token for the one address that was named.
fn bearer(arguments: &Audit) -> Result<Option<Secret>> {
    match &arguments.bearer_env {
        Some(name) => match std::env::var(name).ok().filter(|value| !value.is_empty()) {
            Some(value) => Ok(Some(Secret::new(value))),
            // What was meant for a value is not repeated.
            None => Err(Error::new(Code::Usage)
                .with("problem", "the variable that --bearer-env names is not set")
                .with("hint", "set it, or leave --bearer-env out")),
        },
        None => Ok(Environment::system().get("SYNAPSOR_MCP_AUDIT_BEARER").map(Secret::new)),
    }
}

fn text(path: &str) -> Result<String> {
    if path == "-" {
        return std::io::read_to_string(std::io::stdin()).map_err(|error| {
            Error::new(Code::FileUnreadable).with("path", "standard input").with("reason", error.kind())
        });
    }
    read_input(Path::new(path))
}
