//! `mcp serve`: the door on standard input and output, or over HTTP.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::{Args, ValueEnum};
use signoff::catalogue::AliasMode;
use signoff::contract::{Contract, Mode};
use signoff::mcp::auth::{Gate, GateOptions};
use signoff::mcp::http::{Front, FrontOptions, Listener, ListenerOptions, TurnedAway, Watch};
use signoff::mcp::{Door, DoorOptions, serve_stdio};
use signoff::runtime::Caller;
use signoff::{Code, Error, Result, Runtime};
use tokio::time::Instant;

use crate::args::Global;
use crate::output::Output;
use crate::service::{Level, Log, told_to_stop};
use crate::setup::{Ledger, Need, runtime_of};

#[derive(Debug, Args)]
pub struct Serve {
    /// How it is spoken to
    #[arg(long, value_enum, default_value_t = Transport::Stdio)]
    pub transport: Transport,
    #[command(flatten)]
    pub listen: Listen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    /// Standard input and output
    Stdio,
    /// MCP over HTTP, port 8766
    StreamableHttp,
    /// Plain JSON-RPC over HTTP, port 8765
    #[value(alias = "json-rpc-http", alias = "http")]
    JsonRpc,
}

/// What is offered, and over HTTP where and to whom.
#[derive(Debug, Args)]
pub struct Listen {
    /// Under which names tools are offered
    #[arg(long, visible_alias = "tool-name-style", value_enum, default_value_t = Alias::Canonical)]
    pub alias_mode: Alias,
    /// The same as --alias-mode openai
    #[arg(long, conflicts_with = "alias_mode")]
    pub openai_tool_aliases: bool,
    /// Leave out the status and the withdrawal of the caller's own proposals
    #[arg(long)]
    pub contract_tools_only: bool,
    /// Offer only what reads: proposal tools do not exist, whatever the contract's mode is
    #[arg(long)]
    pub read_only: bool,
    /// The envelope of answers, in place of the contract's `result_format`
    #[arg(long, value_name = "v1|v2", value_parser = result_format)]
    pub result_format: Option<u8>,
    /// Accepted for scripts of Runner v1: any number of processes may share a ledger, and nothing but `cloud` is not local
    #[arg(long, hide = true, visible_alias = "local")]
    pub allow_concurrent_store: bool,
    /// Over HTTP: the address to bind
    #[arg(long, default_value = "127.0.0.1", help_heading = "HTTP")]
    pub host: String,
    /// The port; 0 takes a free one, which is said on standard error
    #[arg(long, help_heading = "HTTP")]
    pub port: Option<u16>,
    /// The variable of the bearer token that every request has to bring
    #[arg(long, value_name = "NAME", default_value = "SIGNOFF_RUNNER_HTTP_TOKEN", help_heading = "HTTP")]
    pub auth_token_env: String,
    /// The variable of a second token, valid beside the first while clients change over
    #[arg(long, value_name = "NAME", help_heading = "HTTP")]
    pub auth_next_token_env: Option<String>,
    /// The variable of a token for /metrics, where callers bring tokens of an issuer: theirs do not open it
    #[arg(long, value_name = "NAME", help_heading = "HTTP")]
    pub metrics_token_env: Option<String>,
    /// Serve without authentication; on loopback only
    #[arg(long, help_heading = "HTTP")]
    pub dev_no_auth: bool,
    /// A name that requests may call this server by, beside those of loopback; again for more
    #[arg(long, value_name = "HOST", help_heading = "HTTP")]
    pub allowed_host: Vec<String>,
    /// An origin whose pages may call this server, such as https://chat.example; again for more
    #[arg(long, value_name = "ORIGIN", help_heading = "HTTP")]
    pub cors_origin: Vec<String>,
    /// Certificate chain, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "HTTP")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "HTTP")]
    pub tls_key: Option<PathBuf>,
    /// This server's address as clients know it, such as https://mcp.example/mcp: tokens have to be meant for it
    #[arg(long, value_name = "URL", help_heading = "HTTP")]
    pub resource: Option<String>,
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

pub async fn run(global: &Global, transport: Transport, listen: &Listen, output: &mut Output) -> Result<u8> {
    let runtime = runtime_of(global, Need::Contract, Ledger::Create, output, |contract| listen.change(contract))?;
    let door = Door::new(runtime.clone(), listen.door())?;
    if transport == Transport::Stdio {
        if let Some(option) = listen.of_http() {
            return Err(Error::new(Code::Usage)
                .with("problem", format!("--{option} is for HTTP"))
                .with("hint", "add --transport streamable-http"));
        }
        warn_unbound(&runtime, output);
        serve_stdio(door).await?;
        return Ok(0);
    }
    let bridge = transport == Transport::JsonRpc;
    if listen.dev_no_auth && !is_loopback(&listen.host) {
        return Err(Error::new(Code::HttpDevNoAuthUnsafeHost).with("host", &listen.host));
    }
    let gate = if listen.dev_no_auth { Gate::open() } else { Gate::from_contract(&runtime, &listen.gate())? };
    if gate.metadata().is_none() {
        warn_unbound(&runtime, output);
    }
    let mut options = listen.front(bridge);
    options.metrics = listen.metrics_token_env.as_deref().map(|name| Gate::bearer(&runtime, name)).transpose()?;
    options.watch = Some(refusals());
    let front = Front::new(door, gate, options)?;
    let mut options = ListenerOptions::default();
    options.connections = connections(options.connections);
    options.tls = listen.tls_cert.clone().zip(listen.tls_key.clone());
    let scheme = if options.tls.is_some() { "https" } else { "http" };
    let port = listen.port.unwrap_or(if bridge { 8765 } else { 8766 });
    let host = if listen.host.contains(':') { format!("[{}]", listen.host) } else { listen.host.clone() };
    let listener = Listener::bind(&format!("{host}:{port}"), options).await?;
    let stop = told_to_stop()?;
    if !is_loopback(&listen.host) && scheme == "http" {
        output.warn("tokens go over the network in the clear: give --tls-cert and --tls-key, or bind to 127.0.0.1 behind a proxy that has TLS");
    }
    output.note(format!("serving {scheme}://{}/mcp", listener.address()?));
    if listen.dev_no_auth {
        output.warn("every program on this machine may call it: --dev-no-auth");
    }
    listener.serve(front, stop).await;
    Ok(0)
}

impl Listen {
    fn change(&self, contract: &mut Contract) {
        if self.read_only {
            contract.mode = Mode::ReadOnly;
        }
        contract.result_format = self.result_format.unwrap_or(contract.result_format);
    }

    fn door(&self) -> DoorOptions {
        let mut options = DoorOptions::default();
        options.alias = if self.openai_tool_aliases { AliasMode::Openai } else { self.alias_mode.into() };
        options.own_proposals = !self.contract_tools_only;
        options
    }

    /// One of the flags that say nothing without HTTP, if it was given.
    fn of_http(&self) -> Option<&'static str> {
        let given = [
            (self.port.is_some(), "port"),
            (self.host != "127.0.0.1", "host"),
            (self.dev_no_auth, "dev-no-auth"),
            (!self.allowed_host.is_empty(), "allowed-host"),
            (!self.cors_origin.is_empty(), "cors-origin"),
            (self.tls_cert.is_some(), "tls-cert"),
            (self.resource.is_some(), "resource"),
            (self.metrics_token_env.is_some(), "metrics-token-env"),
            (self.auth_next_token_env.is_some(), "auth-next-token-env"),
        ];
        given.into_iter().find_map(|(given, name)| given.then_some(name))
    }

    pub fn gate(&self) -> GateOptions {
        let mut options = GateOptions::default();
        options.token_env.clone_from(&self.auth_token_env);
        options.next_token_env.clone_from(&self.auth_next_token_env);
        options.resource.clone_from(&self.resource);
        options
    }

    fn front(&self, bridge: bool) -> FrontOptions {
        let mut options = FrontOptions::default();
        options.bridge = bridge;
        options.hosts.clone_from(&self.allowed_host);
        // The address itself is a name of it; all addresses at once are none.
        if !matches!(self.host.as_str(), "0.0.0.0" | "::") {
            options.hosts.push(if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() });
        }
        let known_as = self.resource.as_deref().and_then(|resource| resource.split("://").nth(1)?.split('/').next());
        options.hosts.extend(known_as.map(str::to_owned));
        options.origins.clone_from(&self.cors_origin);
        options
    }
}

/// Lines of JSON on standard error: the first refusal of a kind at once; then one in ten seconds, with how many there were since
/// the last.
fn refusals() -> Watch {
    const EVERY: Duration = Duration::from_secs(10);
    let log = Log::new();
    let seen: Mutex<BTreeMap<TurnedAway, (Option<Instant>, u64)>> = Mutex::default();
    Watch::new(move |turned: TurnedAway| {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (told, more) = seen.entry(turned).or_default();
        if told.is_some_and(|told| told.elapsed() < EVERY) {
            *more += 1;
            return;
        }
        let mut meta = serde_json::json!({ "code": turned.code, "count": std::mem::take(more) + 1 });
        if let (Some(meta), false) = (meta.as_object_mut(), turned.reason.is_empty()) {
            meta.insert("reason".to_owned(), turned.reason.into());
        }
        *told = Some(Instant::now());
        log.write(Level::Warn, "refused", meta);
    })
}

/// As many connections as there can be files, but for those that the ledger and the sources need.
fn connections(most: usize) -> usize {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        const SPARE: u64 = 128;
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        // What is refused stays as it is.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
        let files = getrlimit(Resource::Nofile).current;
        let room = files.map_or(u64::MAX, |files| files.saturating_sub(SPARE).max(files / 2));
        most.min(usize::try_from(room).unwrap_or(most))
    }
    #[cfg(not(unix))]
    most
}

fn result_format(text: &str) -> std::result::Result<u8, &'static str> {
    match text {
        "v1" | "1" => Ok(1),
        "v2" | "2" => Ok(2),
        _ => Err("it is v1 or v2"),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Otherwise every call would fail, and nobody would be told why.
fn warn_unbound(runtime: &Runtime, output: &mut Output) {
    let capabilities = runtime.contract().map(|contract| contract.capabilities.as_slice()).unwrap_or_default();
    let unbound = |capability: &signoff::contract::Capability| {
        runtime.identify(Some(&capability.name), &Caller::FromContract).err()
    };
    if let Some(error) = capabilities.iter().find_map(unbound) {
        let help = error.help().map(|help| format!("; {help}")).unwrap_or_default();
        output.warn(format!("calls will be refused: {}{help}", error.message()));
    }
}
