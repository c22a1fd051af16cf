//! What an agent's client has to be told of the server: printed, or put into the client's own file.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::json;
use signoff::catalogue::AliasMode;
use signoff::onboarding::{
    AUTH_TOKEN_ENV, Client, ClientOptions, ClientSnippet, ClientTransport, Instructions, PORT, client_snippet,
    instructions,
};
use signoff::runtime::{DEFAULT_LEDGER, Environment, load_contract};
use signoff::{Code, Error, Result};

use super::mcp::serve::Alias;
use crate::args::{Global, JsonFlag};
use crate::files::{create, replace, unwritable};
use crate::output::Output;
use crate::setup;

#[derive(Debug, Args)]
pub struct ClientConfig {
    /// The client [default: claude-desktop]
    #[arg(value_enum, value_name = "CLIENT")]
    pub named: Option<ClientName>,
    /// The client, as a flag
    #[arg(long, value_enum, value_name = "CLIENT", conflicts_with = "named")]
    pub client: Option<ClientName>,
    /// How it reaches the server [default: stdio, for openai-agents streamable-http]
    #[arg(long, value_enum)]
    pub transport: Option<Transport>,
    /// Where the server listens, for streamable-http
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// Its port
    #[arg(long, default_value_t = PORT)]
    pub port: u16,
    /// The variable that holds its token; only the name is written
    #[arg(long, value_name = "VARIABLE", default_value = AUTH_TOKEN_ENV)]
    pub auth_token_env: String,
    /// Under which names tools are offered [default: canonical, for openai-agents openai]
    #[arg(long, visible_alias = "tool-name-style", value_enum)]
    pub alias_mode: Option<Alias>,
    /// The same as --alias-mode openai
    #[arg(long, conflicts_with = "alias_mode")]
    pub openai_tool_aliases: bool,
    /// Whole paths, for clients that start the server in a folder of their own
    #[arg(long)]
    pub absolute_paths: bool,
    /// The program that the client starts, such as a script of yours that sets the variables [default: signoff]
    #[arg(long, value_name = "PROGRAM")]
    pub command: Option<String>,
    /// Also what the agent should be told, and what to look at before
    #[arg(long)]
    pub include_instructions: bool,
    /// Put it into the client's file; the old one stays beside it as FILE.bak.TIME
    #[arg(long, requires = "yes")]
    pub write: bool,
    /// The client's file [default: where the client looks for it]
    #[arg(long, value_name = "FILE", requires = "write")]
    pub destination: Option<PathBuf>,
    /// Yes, write
    #[arg(long, short)]
    pub yes: bool,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ClientName {
    Generic,
    GenericStdio,
    #[value(alias = "claude")]
    ClaudeDesktop,
    ClaudeCode,
    Cursor,
    Vscode,
    OpenaiAgents,
}

impl From<ClientName> for Client {
    fn from(name: ClientName) -> Self {
        match name {
            ClientName::Generic => Self::Generic,
            ClientName::GenericStdio => Self::GenericStdio,
            ClientName::ClaudeDesktop => Self::ClaudeDesktop,
            ClientName::ClaudeCode => Self::ClaudeCode,
            ClientName::Cursor => Self::Cursor,
            ClientName::Vscode => Self::Vscode,
            ClientName::OpenaiAgents => Self::OpenaiAgents,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    Stdio,
    StreamableHttp,
    /// Understood, to say why not
    #[value(hide = true, alias = "json-rpc-http", alias = "json-rpc")]
    Http,
}

/// What is printed: the configuration, and beside it what is no part of it.
#[derive(Serialize)]
struct Answer<'a> {
    ok: bool,
    #[serde(flatten)]
    snippet: &'a ClientSnippet,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<Instructions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backup: Option<PathBuf>,
}

pub fn run(global: &Global, arguments: &ClientConfig, output: &mut Output) -> Result<u8> {
    let snippet = snippet(global, arguments)?;
    let told = arguments.include_instructions.then(|| instructions(snippet.client, snippet.alias_mode));
    let mut answer = Answer { ok: true, snippet: &snippet, instructions: told, written: None, backup: None };
    if arguments.write {
        let path = match &arguments.destination {
            Some(path) => path.clone(),
            None => usual_file(snippet.client)?,
        };
        answer.backup = write(&snippet, &path)?;
        answer.written = Some(path);
    }
    output.value(&answer);
    match &answer.written {
        _ if output.is_json() => return Ok(0),
        Some(path) => {
            let kept = answer.backup.as_ref().map(|old| format!("; the old one is {}", old.display()));
            output.line(format!("written: {}{}", path.display(), kept.unwrap_or_default()));
        }
        None => output.text(&printed(&answer)),
    }
    for note in &snippet.notes {
        output.note(format!("note: {note}"));
    }
    if let Some(start) = snippet.start_server.as_ref() {
        output.note(format!("note: start the server with: {} {}", start.command, start.args.join(" ")));
    }
    Ok(0)
}

/// The configuration as the client reads it; with instructions, both beside each other.
fn printed(answer: &Answer<'_>) -> String {
    match &answer.instructions {
        None => answer.snippet.text(),
        Some(instructions) => {
            let both = json!({ "config": answer.snippet.config, "instructions": instructions });
            format!("{}\n", crate::output::pretty(&both))
        }
    }
}

/// The snippet for what stands on the command line.
fn snippet(global: &Global, arguments: &ClientConfig) -> Result<ClientSnippet> {
    let transport = match arguments.transport {
        Some(Transport::Http) => {
            return Err(Error::new(Code::Usage)
                .with("problem", "no client speaks the JSON-RPC bridge: it is for programs that post JSON themselves")
                .with("hint", "use --transport streamable-http"));
        }
        Some(Transport::Stdio) => Some(ClientTransport::Stdio),
        Some(Transport::StreamableHttp) => Some(ClientTransport::StreamableHttp),
        None => None,
    };
    let path = setup::config_path(global)?.ok_or_else(setup::no_config)?;
    let (contract, _) = load_contract(&path)?;
    let mut options =
        ClientOptions::new(arguments.named.or(arguments.client).unwrap_or(ClientName::ClaudeDesktop).into());
    options.transport = transport;
    options.host.clone_from(&arguments.host);
    options.port = arguments.port;
    options.auth_token_env.clone_from(&arguments.auth_token_env);
    options.alias = match arguments.alias_mode {
        _ if arguments.openai_tool_aliases => Some(AliasMode::Openai),
        other => other.map(AliasMode::from),
    };
    // What a variable says is named and not repeated: the value of none ever stands in a client's file.
    let environment = Environment::system();
    let from_variable = |given: &Option<String>, name: &str| given.is_none() && environment.get(name).is_some();
    let absolute = |path: &str| -> Result<String> {
        if !arguments.absolute_paths {
            let told = Path::new(path).is_absolute() || path.starts_with("./") || path.starts_with("../");
            return Ok(if told { path.to_owned() } else { format!("./{path}") });
        }
        std::path::absolute(path).map(|whole| whole.display().to_string()).map_err(unwritable(Path::new(path)))
    };
    if from_variable(&global.config, "SYNAPSOR_MCP_CONFIG") {
        options.variables.push(spelled("MCP_CONFIG"));
    } else {
        options.config = Some(absolute(&path.display().to_string())?);
    }
    let store = global.store.clone().or_else(|| contract.storage_path.clone());
    if from_variable(&global.store, "SYNAPSOR_LOCAL_STORE") {
        options.variables.push(spelled("LOCAL_STORE"));
    } else if let Some(store) = Some(store.unwrap_or_else(|| DEFAULT_LEDGER.to_owned())).filter(|path| is_path(path)) {
        options.store = Some(absolute(&store)?);
    } else {
        return Err(Error::new(Code::Usage)
            .with("problem", "the ledger is named by an address, which may hold a password")
            .with("hint", "put it into SIGNOFF_LOCAL_STORE, which is named and not repeated"));
    }
    match &arguments.command {
        Some(program) => options.command.clone_from(program),
        None if arguments.absolute_paths => {
            let program = std::env::current_exe().map_err(unwritable(Path::new("signoff")))?;
            options.command = program.display().to_string();
        }
        None => {}
    }
    client_snippet(&contract, &options)
}

fn is_path(store: &str) -> bool {
    !store.contains("://") && !store.starts_with("postgres") && !store.starts_with("mysql")
}

/// The spelling of a variable that is set.
fn spelled(rest: &str) -> String {
    let ours = format!("SIGNOFF_{rest}");
    if std::env::var_os(&ours).is_some_and(|value| !value.is_empty()) { ours } else { format!("SYNAPSOR_{rest}") }
}

/// The file that the client looks for.
fn usual_file(client: Client) -> Result<PathBuf> {
    if let Some(file) = client.project_file() {
        return Ok(PathBuf::from(file));
    }
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = match client {
        Client::ClaudeDesktop if cfg!(target_os = "macos") => {
            variable("HOME").map(|home| home.join("Library/Application Support"))
        }
        Client::ClaudeDesktop if cfg!(windows) => variable("APPDATA"),
        Client::ClaudeDesktop => {
            variable("XDG_CONFIG_HOME").or_else(|| variable("HOME").map(|home| home.join(".config")))
        }
        _ => None,
    };
    folder.map(|folder| folder.join("Claude/claude_desktop_config.json")).ok_or_else(|| {
        Error::new(Code::Usage)
            .with("problem", "it is not known which file this client reads")
            .with("hint", "name it with --destination")
    })
}

/// Puts the snippet into a file; the backup, if there was one.
fn write(snippet: &ClientSnippet, path: &Path) -> Result<Option<PathBuf>> {
    let existing = match std::fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            let refused = Error::new(Code::ClientConfigNotEditable).with("path", path.display());
            return Err(refused.with("problem", "it is not UTF-8"));
        }
        Err(error) => {
            return Err(Error::new(Code::FileUnreadable).with("path", path.display()).with("reason", error.kind()));
        }
    };
    let text = snippet.merged(existing.as_deref(), &path.display().to_string())?;
    match existing {
        Some(old) if old == text => Ok(None),
        Some(old) => replace(path, &old, &text).map(Some),
        None => {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::create_dir_all(folder).map_err(unwritable(folder))?;
            }
            create(path, &text).map(|()| None)
        }
    }
}
