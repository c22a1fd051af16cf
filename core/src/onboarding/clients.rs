//! What an agent's client has to be told, in the form of its own configuration. Names of variables stand in it, and never
//! the value of one.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::merge;
use crate::catalogue::{AliasMode, ToolOptions, tools};
use crate::contract::{Contract, Provider};
use crate::error::{Code, Error, Result};

/// What the server is called in a client's configuration.
pub const SERVER_NAME: &str = "signoff";
/// Where the server listens for Streamable HTTP, unless told otherwise.
pub const PORT: u16 = 8766;
/// The variable that holds the token of that server, unless told otherwise.
pub const AUTH_TOKEN_ENV: &str = "SIGNOFF_RUNNER_HTTP_TOKEN";

/// An agent's client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Client {
    /// Any client that reads `mcpServers`.
    Generic,
    /// Any client that asks for a command and its arguments.
    GenericStdio,
    /// Claude Desktop.
    ClaudeDesktop,
    /// Claude Code: `.mcp.json` of a project.
    ClaudeCode,
    /// Cursor: `.cursor/mcp.json` of a project.
    Cursor,
    /// VS Code: `.vscode/mcp.json` of a project.
    Vscode,
    /// The OpenAI Agents SDK for Python.
    OpenaiAgents,
}

impl Client {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::GenericStdio => "generic-stdio",
            Self::ClaudeDesktop => "claude-desktop",
            Self::ClaudeCode => "claude-code",
            Self::Cursor => "cursor",
            Self::Vscode => "vscode",
            Self::OpenaiAgents => "openai-agents",
        }
    }

    /// The file of a project that it reads; none where it is elsewhere.
    #[must_use]
    pub fn project_file(self) -> Option<&'static str> {
        match self {
            Self::ClaudeCode => Some(".mcp.json"),
            Self::Cursor => Some(".cursor/mcp.json"),
            Self::Vscode => Some(".vscode/mcp.json"),
            _ => None,
        }
    }

    /// How it spells the value of a variable. `None`: it takes the text as it stands, so nothing is said.
    fn reference(self, variable: &str) -> Option<String> {
        match self {
            // Without the default, a variable that is not set makes the whole file unreadable.
            Self::ClaudeCode => Some(format!("${{{variable}:-}}")),
            Self::Cursor | Self::Vscode => Some(format!("${{env:{variable}}}")),
            _ => None,
        }
    }
}

/// How a client reaches the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ClientTransport {
    /// It starts the server and speaks over its standard input and output.
    Stdio,
    /// The server runs, and is asked over HTTP.
    StreamableHttp,
}

/// What a snippet is made from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientOptions {
    /// The client.
    pub client: Client,
    /// How it reaches the server; left out, as it usually does.
    pub transport: Option<ClientTransport>,
    /// The program.
    pub command: String,
    /// The path of the contract; none where a variable names it.
    pub config: Option<String>,
    /// The path of the ledger; none where a variable names it.
    pub store: Option<String>,
    /// Further variables that the server needs, by name.
    pub variables: Vec<String>,
    /// Where the server listens.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The variable that holds its token.
    pub auth_token_env: String,
    /// Under which names tools are offered; left out, as the client takes them.
    pub alias: Option<AliasMode>,
}

impl ClientOptions {
    /// For this client, by what is usual.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            transport: None,
            command: "signoff".to_owned(),
            config: None,
            store: None,
            variables: Vec::new(),
            host: "127.0.0.1".to_owned(),
            port: PORT,
            auth_token_env: AUTH_TOKEN_ENV.to_owned(),
            alias: None,
        }
    }

    fn resolved_transport(&self) -> Result<ClientTransport> {
        let usual = match self.client {
            Client::OpenaiAgents => ClientTransport::StreamableHttp,
            _ => ClientTransport::Stdio,
        };
        let wanted = self.transport.unwrap_or(usual);
        let told = match (self.client, wanted) {
            (Client::ClaudeDesktop | Client::GenericStdio, ClientTransport::StreamableHttp) => {
                Some(("this client starts its servers itself: it takes stdio alone", "leave --transport out"))
            }
            (Client::OpenaiAgents, ClientTransport::Stdio) => {
                Some(("the snippet for this client is for streamable-http", "leave --transport out"))
            }
            _ => None,
        };
        told.map_or(Ok(wanted), |(problem, hint)| Err(usage(problem, hint)))
    }

    fn alias_mode(&self) -> AliasMode {
        self.alias.unwrap_or(if self.client == Client::OpenaiAgents { AliasMode::Openai } else { AliasMode::Canonical })
    }

    /// The arguments that start the server.
    fn arguments(&self, transport: ClientTransport) -> Vec<String> {
        let mut words = match transport {
            ClientTransport::Stdio => vec!["mcp".to_owned(), "serve".to_owned()],
            ClientTransport::StreamableHttp => vec!["mcp".to_owned(), "serve-streamable-http".to_owned()],
        };
        let mut put = |flag: &str, value: &str| words.extend([flag.to_owned(), value.to_owned()]);
        for (flag, path) in [("--config", &self.config), ("--store", &self.store)] {
            if let Some(path) = path {
                put(flag, path);
            }
        }
        if transport == ClientTransport::StreamableHttp {
            put("--host", &self.host);
            put("--port", &self.port.to_string());
            put("--auth-token-env", &self.auth_token_env);
        }
        match self.alias_mode() {
            AliasMode::Canonical => {}
            AliasMode::Openai => put("--alias-mode", "openai"),
            AliasMode::Both => put("--alias-mode", "both"),
        }
        words
    }

    fn url(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("http://{host}:{}/mcp", self.port)
    }
}

/// How the server is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StartServer {
    /// The program.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// What has to be set, with a placeholder in place of each value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ClientSnippet {
    /// The client.
    pub client: Client,
    /// How it reaches the server.
    pub transport: ClientTransport,
    /// Under which names it sees the tools.
    pub alias_mode: AliasMode,
    /// Its configuration.
    pub config: Config,
    /// How to start the server, where the client does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_server: Option<StartServer>,
    /// The variables that the server needs, by name.
    pub environment: Vec<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// A configuration, in the form of its client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Config {
    /// Servers by name, under the key that the client reads.
    Servers(BTreeMap<&'static str, BTreeMap<&'static str, Entry>>),
    /// The server alone.
    Bare(Entry),
    /// The OpenAI Agents SDK.
    Sdk(Box<Sdk>),
}

/// One server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Vec<String>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    env: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'static str, String>,
}

/// What the OpenAI Agents SDK is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Sdk {
    transport: ClientTransport,
    start_server: StartServer,
    openai_agents_sdk: SdkSnippet,
    /// Canonical names, and what the SDK calls them.
    tool_names: BTreeMap<String, String>,
    notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct SdkSnippet {
    package: &'static str,
    url: String,
    headers_from_env: BTreeMap<&'static str, String>,
    python: String,
}

impl ClientSnippet {
    /// The configuration as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(&self.config).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The text of the client's file with this server in it: everything else stays as it is, byte by byte.
    ///
    /// # Errors
    /// `CLIENT_CONFIG_NOT_EDITABLE` for a file that is not plain JSON, or whose servers are not where they should be.
    pub fn merged(&self, existing: Option<&str>, path: &str) -> Result<String> {
        let refused =
            |problem: String| Error::new(Code::ClientConfigNotEditable).with("path", path).with("problem", problem);
        let Some(text) = existing.filter(|text| !text.trim().is_empty()) else { return Ok(self.text()) };
        match &self.config {
            Config::Servers(servers) => {
                let (key, entry) = servers.first_key_value().ok_or_else(|| Error::from(Code::Internal))?;
                let entry = entry.values().next().ok_or_else(|| Error::from(Code::Internal))?;
                let entry = serde_json::to_string_pretty(entry).map_err(|_| Error::from(Code::Internal))?;
                merge::set(text, key, SERVER_NAME, &entry).map_err(refused)
            }
            _ if text == self.text() => Ok(text.to_owned()),
            _ => Err(refused("it is there already, and there is nothing in it to add to".to_owned())),
        }
    }
}

/// What a client is told of the server of this contract.
///
/// # Errors
/// `USAGE` for a transport that the client does not have, a host or a variable that is none.
pub fn client_snippet(contract: &Contract, options: &ClientOptions) -> Result<ClientSnippet> {
    let transport = options.resolved_transport()?;
    // What was meant for a value is not repeated.
    if !is_variable(&options.auth_token_env) {
        return Err(usage(
            "--auth-token-env takes the name of a variable",
            "such as SIGNOFF_MCP_TOKEN; the value stays there",
        ));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
    if options.host.is_empty() || !options.host.chars().all(plain) {
        return Err(usage("--host takes a name or an address", "without scheme, port or brackets"));
    }
    let environment: Vec<String> = options.variables.iter().cloned().chain(serving_variables(contract)).collect();
    let mut notes = notes(options, transport, &environment);
    let arguments = options.arguments(transport);
    let start = (transport == ClientTransport::StreamableHttp).then(|| StartServer {
        command: options.command.clone(),
        args: arguments.clone(),
        env: BTreeMap::from([(options.auth_token_env.clone(), "<set-a-random-local-token>".to_owned())]),
    });
    let config = match (options.client, &start) {
        (Client::OpenaiAgents, Some(start)) => {
            notes.push("tools have no dots in their names here, since this SDK takes none".to_owned());
            Config::Sdk(Box::new(sdk(contract, options, start.clone(), notes.clone())))
        }
        _ => servers(options, transport, arguments, &environment),
    };
    let alias_mode = options.alias_mode();
    Ok(ClientSnippet { client: options.client, transport, alias_mode, config, start_server: start, environment, notes })
}

fn servers(
    options: &ClientOptions,
    transport: ClientTransport,
    arguments: Vec<String>,
    environment: &[String],
) -> Config {
    let client = options.client;
    let entry = match transport {
        ClientTransport::Stdio => Entry {
            kind: matches!(client, Client::ClaudeCode | Client::Vscode).then_some("stdio"),
            command: Some(options.command.clone()),
            args: Some(arguments),
            env: environment.iter().filter_map(|name| Some((name.clone(), client.reference(name)?))).collect(),
            ..Entry::default()
        },
        ClientTransport::StreamableHttp => {
            let name = &options.auth_token_env;
            let token = client.reference(name).unwrap_or_else(|| format!("${{{name}}}"));
            Entry {
                kind: (client != Client::Cursor).then_some("http"),
                url: Some(options.url()),
                headers: BTreeMap::from([("Authorization", format!("Bearer {token}"))]),
                ..Entry::default()
            }
        }
    };
    let key = if client == Client::Vscode { "servers" } else { "mcpServers" };
    match client {
        Client::GenericStdio => Config::Bare(entry),
        _ => Config::Servers(BTreeMap::from([(key, BTreeMap::from([(SERVER_NAME, entry)]))])),
    }
}

/// The variables that the server reads, by name. What only a worker needs is not its business.
#[must_use]
pub fn serving_variables(contract: &Contract) -> Vec<String> {
    let mut names: Vec<String> = contract.sources.values().map(|source| source.read_url_env.clone()).collect();
    for context in contract.trusted_context.iter().chain(contract.contexts.values()) {
        let given = [&context.tenant_id_env, &context.principal_env];
        let usual = ["SYNAPSOR_TENANT_ID", "SYNAPSOR_PRINCIPAL"];
        for (name, usual) in given.into_iter().zip(usual) {
            let needed = (context.provider == Provider::Environment).then(|| usual.to_owned());
            names.extend(name.clone().or(needed));
        }
    }
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

fn notes(options: &ClientOptions, transport: ClientTransport, environment: &[String]) -> Vec<String> {
    let mut notes = Vec::new();
    let listed = environment.join(", ");
    let relative = |path: &Option<String>| path.as_ref().is_some_and(|path| !std::path::Path::new(path).is_absolute());
    match transport {
        ClientTransport::Stdio if options.client.reference("X").is_some() => {
            notes.push(format!("set before the client is started: {listed}"));
        }
        ClientTransport::Stdio => notes.push(format!(
            "the server needs these variables, which this client does not hand on: {listed}; let the command be a script of yours that sets them"
        )),
        ClientTransport::StreamableHttp => {
            notes.push(format!("the server needs: {listed}, {}", options.auth_token_env));
        }
    }
    if options.client == Client::ClaudeDesktop && (relative(&options.config) || relative(&options.store)) {
        notes.push("this client starts servers in a folder of its own: use --absolute-paths".to_owned());
    }
    if transport == ClientTransport::StreamableHttp
        && !matches!(options.host.as_str(), "127.0.0.1" | "::1" | "localhost")
    {
        notes.push("beyond this machine, put TLS before the server and use its https address".to_owned());
    }
    notes
}

fn sdk(contract: &Contract, options: &ClientOptions, start_server: StartServer, notes: Vec<String>) -> Sdk {
    let listed = tools(contract, &ToolOptions { alias: options.alias_mode(), ..ToolOptions::default() });
    let tool_names = listed.into_iter().map(|tool| (tool.canonical_name, tool.name)).collect();
    let (url, variable) = (options.url(), &options.auth_token_env);
    let python = format!(
        r#"import asyncio
import os

from agents import Agent, Runner
from agents.mcp import MCPServerStreamableHttp


async def main() -> None:
    async with MCPServerStreamableHttp(
        name="{SERVER_NAME}",
        params={{
            "url": "{url}",
            "headers": {{"Authorization": f"Bearer {{os.environ['{variable}']}}"}},
        }},
        cache_tools_list=True,
    ) as server:
        agent = Agent(
            name="Clerk",
            instructions="Read first, then propose. A person decides; you cannot apply anything.",
            mcp_servers=[server],
        )
        result = await Runner.run(agent, "Waive the late fee of invoice INV-3001.")
        print(result.final_output)


asyncio.run(main())
"#
    );
    let headers = BTreeMap::from([("Authorization", format!("Bearer ${{{variable}}}"))]);
    let openai_agents_sdk = SdkSnippet { package: "openai-agents", url, headers_from_env: headers, python };
    Sdk { transport: ClientTransport::StreamableHttp, start_server, openai_agents_sdk, tool_names, notes }
}

fn is_variable(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
        && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

fn usage(problem: &str, hint: &str) -> Error {
    Error::new(Code::Usage).with("problem", problem).with("hint", hint)
}
