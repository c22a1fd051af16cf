//! The agent's door.

pub mod serve;

use clap::{Args, Subcommand};
use signoff::Result;

use self::serve::{Listen, Serve, Transport};
use super::audit::{self, Audit};
use super::client_config::{self, ClientConfig};
use crate::args::Global;
use crate::output::Output;

#[derive(Debug, Args)]
pub struct Mcp {
    #[command(subcommand)]
    pub command: McpCommand,
}

#[derive(Debug, Subcommand)]
pub enum McpCommand {
    /// Serve agents: one on standard input and output, or many over HTTP
    ///
    /// Tools to read and to propose, and where the caller's own proposals stand. Nothing that decides or applies. What is to
    /// be said to people goes to standard error.
    Serve(Serve),
    /// The same as `serve --transport streamable-http`
    ServeStreamableHttp(Listen),
    /// The same as `serve --transport json-rpc`: plain JSON-RPC for clients that do not speak MCP
    ServeHttp(Listen),
    /// What an agent's client has to be told of the server, in its own format
    #[command(visible_aliases = ["client-config", "configure"])]
    Config(Box<ClientConfig>),
    /// The same as `signoff audit`
    Audit(Box<Audit>),
}

impl Mcp {
    pub fn json(&self) -> bool {
        match &self.command {
            McpCommand::Serve(_) | McpCommand::ServeStreamableHttp(_) | McpCommand::ServeHttp(_) => false,
            McpCommand::Config(config) => config.json.json,
            McpCommand::Audit(audit) => audit.json.json,
        }
    }
}

pub async fn run(global: &Global, mcp: &Mcp, output: &mut Output) -> Result<u8> {
    match &mcp.command {
        McpCommand::Serve(serve) => serve::run(global, serve.transport, &serve.listen, output).await,
        McpCommand::ServeStreamableHttp(listen) => serve::run(global, Transport::StreamableHttp, listen, output).await,
        McpCommand::ServeHttp(listen) => serve::run(global, Transport::JsonRpc, listen, output).await,
        McpCommand::Config(config) => client_config::run(global, config, output),
        McpCommand::Audit(audit) => audit::run(global.format, audit, output).await,
    }
}
