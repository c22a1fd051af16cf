//! The agent's door.

use clap::{Args, Subcommand, ValueEnum};
use signoff::Result;
use signoff::catalogue::AliasMode;
use signoff::mcp::{Door, DoorOptions, serve_stdio};
use signoff::runtime::Caller;

use super::audit::{self, Audit};
use super::client_config::{self, ClientConfig};
use crate::args::Global;
use crate::output::Output;
use crate::setup::{Ledger, Need, runtime};

#[derive(Debug, Args)]
pub struct Mcp {
    #[command(subcommand)]
    pub command: McpCommand,
}

#[derive(Debug, Subcommand)]
pub enum McpCommand {
    /// Serve one client on standard input and output
    ///
    /// Tools to read and to propose, and where the caller's own proposals stand. Nothing that decides or applies. What is to
    /// be said to people goes to standard error.
    Serve(Serve),
    /// What an agent's client has to be told of the server, in its own format
    #[command(visible_aliases = ["client-config", "configure"])]
    Config(Box<ClientConfig>),
    /// The same as `signoff audit`
    Audit(Box<Audit>),
}

#[derive(Debug, Args)]
pub struct Serve {
    /// Under which names tools are offered
    #[arg(long, visible_alias = "tool-name-style", value_enum, default_value_t = Alias::Canonical)]
    pub alias_mode: Alias,
    /// The same as --alias-mode openai
    #[arg(long, conflicts_with = "alias_mode")]
    pub openai_tool_aliases: bool,
    /// Leave out the status and the withdrawal of the caller's own proposals
    #[arg(long)]
    pub contract_tools_only: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Alias {
    Canonical,
    Openai,
    Both,
}

impl From<Alias> for AliasMode {
    fn from(alias: Alias) -> Self {
        match alias {
            Alias::Canonical => Self::Canonical,
            Alias::Openai => Self::Openai,
            Alias::Both => Self::Both,
        }
    }
}

impl Mcp {
    pub fn json(&self) -> bool {
        match &self.command {
            McpCommand::Serve(_) => false,
            McpCommand::Config(config) => config.json.json,
            McpCommand::Audit(audit) => audit.json.json,
        }
    }
}

pub async fn run(global: &Global, mcp: &Mcp, output: &mut Output) -> Result<u8> {
    let serve = match &mcp.command {
        McpCommand::Serve(serve) => serve,
        McpCommand::Config(config) => return client_config::run(global, config, output),
        McpCommand::Audit(audit) => return audit::run(global.format, audit, output).await,
    };
    let runtime = runtime(global, Need::Contract, Ledger::Create, output)?;
    // Otherwise every call would fail, and nobody would be told why.
    let capabilities = runtime.contract().map(|contract| contract.capabilities.as_slice()).unwrap_or_default();
    let unbound = |capability: &signoff::contract::Capability| {
        runtime.identify(Some(&capability.name), &Caller::FromContract).err()
    };
    if let Some(error) = capabilities.iter().find_map(unbound) {
        let help = error.help().map(|help| format!("; {help}")).unwrap_or_default();
        output.warn(format!("calls will be refused: {}{help}", error.message()));
    }
    let mut options = DoorOptions::default();
    options.alias = if serve.openai_tool_aliases { AliasMode::Openai } else { serve.alias_mode.into() };
    options.own_proposals = !serve.contract_tools_only;
    serve_stdio(Door::new(runtime, options)?).await?;
    Ok(0)
}
