//! From the contract's executors and the environment to something that carries changes out.

use std::sync::Arc;
#[cfg(any(feature = "http", feature = "command"))]
use std::time::Duration;

use serde::Serialize;

#[cfg(any(feature = "http", feature = "command"))]
use super::address;
use super::{Environment, Runtime, receipts_table, write_variable};
use crate::contract::{Capability, Contract, ExecutorKind};
use crate::error::{Code, Error, Result};
#[cfg(any(feature = "http", feature = "command"))]
use crate::executor::Masks;
use crate::executor::{Executor, SqlUpdate};
#[cfg(any(feature = "http", feature = "command"))]
use crate::primitives::Secret;

/// What handlers are reached with, made when the first one is.
#[cfg(feature = "http")]
#[derive(Debug, Default)]
pub(super) struct Handlers {
    resolver: Option<Arc<dyn crate::executor::Resolve>>,
    client: std::sync::OnceLock<std::result::Result<Arc<crate::executor::Client>, &'static str>>,
}

#[cfg(feature = "http")]
impl Handlers {
    fn client(&self, environment: &Environment) -> std::result::Result<Arc<crate::executor::Client>, &'static str> {
        let made = self.client.get_or_init(|| {
            let roots = environment.get("SSL_CERT_FILE").map(std::path::PathBuf::from);
            let resolver = self.resolver.clone().unwrap_or_else(|| Arc::new(crate::executor::SystemResolver));
            crate::executor::Client::new(resolver, roots.as_deref()).map(Arc::new)
        });
        made.clone()
    }
}

impl Runtime {
    /// The same with another way to find the addresses of handlers. What it finds is checked all the same.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn crate::executor::Resolve>) -> Self {
        self.handlers = Arc::new(Handlers { resolver: Some(resolver), client: std::sync::OnceLock::new() });
        self
    }

    /// What handlers are reached with; others call with it, too.
    #[cfg(feature = "mcp-http")]
    pub(crate) fn client(&self) -> std::result::Result<Arc<crate::executor::Client>, &'static str> {
        self.handlers.client(&self.environment)
    }

    /// The executor of a capability.
    pub(super) fn executor(&self, capability: &Capability) -> Result<Arc<dyn Executor>> {
        let contract = self.need_contract()?;
        let named = capability.executor.as_ref().and_then(|name| contract.executors.get(name));
        match named.map(|executor| (executor.name.as_str(), &executor.kind)) {
            #[cfg(feature = "http")]
            Some((name, kind @ ExecutorKind::HttpHandler { .. })) => {
                Ok(Arc::new(http_handler(name, kind, contract, &self.environment, &self.handlers)?))
            }
            #[cfg(all(feature = "command", unix))]
            Some((name, kind @ ExecutorKind::CommandHandler { .. })) => {
                Ok(Arc::new(command_handler(name, kind, contract, &self.environment)?))
            }
            Some((name, kind)) if !matches!(kind, ExecutorKind::SqlUpdate) => Err(not_here(name, kind)),
            _ => {
                let source = self.source(&capability.source)?;
                let database = self.database(source, write_variable(source)?)?;
                let redactor = self.ledger.redactor();
                Ok(Arc::new(SqlUpdate::new(database, receipts_table(source)?, source.create_receipts, redactor)))
            }
        }
    }
}

fn not_here(name: &str, kind: &ExecutorKind) -> Error {
    Error::new(Code::ExecutorNotAvailable).with("executor", name).with("type", kind.as_str())
}

#[cfg(any(feature = "http", feature = "command"))]
fn needed(environment: &Environment, executor: &str, variable: &str) -> Result<Secret> {
    environment.get(variable).map(Secret::new).ok_or_else(|| {
        Error::new(Code::ExecutorCredentialMissing).with("executor", executor).with("variable", variable)
    })
}

/// Every secret that this process holds by its contract: an application may know some of them, and repeat them.
#[cfg(any(feature = "http", feature = "command"))]
fn masks(contract: &Contract, environment: &Environment) -> Masks {
    let mut secrets: Vec<Secret> = environment.get("SIGNOFF_LEDGER_KEY").map(Secret::new).into_iter().collect();
    for source in contract.sources.values() {
        for variable in std::iter::once(&source.read_url_env).chain(&source.write_url_env) {
            // The path of a file is no secret.
            let Some(url) = address(source, variable, environment).ok().filter(|url| url.expose().contains("://"))
            else {
                continue;
            };
            let user = url.expose().split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
            let password = user.and_then(|(user, _)| user.split_once(':')).map(|(_, word)| word.to_owned());
            secrets.extend(password.map(Secret::new));
            secrets.push(url);
        }
    }
    for executor in contract.executors.values() {
        if let ExecutorKind::HttpHandler { token_env, signing_secret_env, .. } = &executor.kind {
            let variables = token_env.iter().chain(signing_secret_env);
            secrets.extend(variables.filter_map(|variable| environment.get(variable)).map(Secret::new));
        }
        if let ExecutorKind::CommandHandler { settings, .. } = &executor.kind {
            secrets.extend(settings.env.iter().filter_map(|variable| environment.get(variable)).map(Secret::new));
        }
    }
    Masks::new(secrets)
}

#[cfg(feature = "http")]
fn http_handler(
    name: &str,
    kind: &ExecutorKind,
    contract: &Contract,
    environment: &Environment,
    handlers: &Handlers,
) -> Result<crate::executor::HttpHandler> {
    let ExecutorKind::HttpHandler { url_env, method, token_env, signing_secret_env, timeout_ms, settings } = kind
    else {
        return Err(not_here(name, kind));
    };
    let secret =
        |variable: &Option<String>| variable.as_ref().map(|variable| needed(environment, name, variable)).transpose();
    let url = needed(environment, name, url_env)?;
    let settings = crate::executor::HttpSettings {
        name: name.to_owned(),
        variable: url_env.clone(),
        url,
        method: method.clone(),
        token: secret(token_env)?,
        signing_secret: secret(signing_secret_env)?,
        timeout: Duration::from_millis(*timeout_ms),
        allow_private: settings.allow_private,
        allow_unsigned: settings.allow_unsigned,
        dry_run: settings.dry_run,
        audience: settings.audience.clone(),
        masks: masks(contract, environment),
    };
    let client = handlers.client(environment).map_err(|reason| {
        Error::new(Code::ExecutorUrlRefused).with("executor", name).with("variable", url_env).with("reason", reason)
    })?;
    crate::executor::HttpHandler::new(settings, client)
}

#[cfg(all(feature = "command", unix))]
fn command_handler(
    name: &str,
    kind: &ExecutorKind,
    contract: &Contract,
    environment: &Environment,
) -> Result<crate::executor::CommandHandler> {
    let ExecutorKind::CommandHandler { command_env, timeout_ms, settings } = kind else {
        return Err(not_here(name, kind));
    };
    let command = needed(environment, name, command_env)?;
    let inherited = crate::executor::INHERITED.iter().copied().chain(settings.env.iter().map(String::as_str));
    let variables =
        inherited.filter_map(|variable| Some((variable.to_owned(), Secret::new(environment.get(variable)?)))).collect();
    crate::executor::CommandHandler::new(crate::executor::CommandSettings {
        name: name.to_owned(),
        variable: command_env.clone(),
        command,
        timeout: Duration::from_millis(*timeout_ms),
        dry_run: settings.dry_run,
        environment: variables,
        masks: masks(contract, environment),
    })
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HandlerCheck {
    /// `executor:<name>:handler-reachability`, `executor:<name>:handler-signing`, or one of
    /// [`check_writebacks`](super::check_writebacks).
    pub name: String,
    /// `pass`, `warn` or `fail`.
    pub level: &'static str,
    /// In words.
    pub message: String,
}

impl HandlerCheck {
    pub(super) fn of(name: String, level: &'static str, message: impl Into<String>) -> Self {
        Self { name, level, message: message.into() }
    }

    #[cfg(any(feature = "http", feature = "command"))]
    fn new(executor: &str, what: &str, level: &'static str, message: impl Into<String>) -> Self {
        Self::of(format!("executor:{executor}:{what}"), level, message)
    }
}

/// Asks each handler of the contract whether it is there, with `OPTIONS` and for at most ten seconds, and looks whether it
/// is signed for. Nothing is asked of it.
pub async fn check_handlers(contract: &Contract, environment: &Environment) -> Vec<HandlerCheck> {
    #[cfg_attr(not(any(feature = "http", feature = "command")), expect(unused_mut, reason = "nothing to look at"))]
    let mut checks = Vec::new();
    #[cfg(feature = "http")]
    let handlers = Handlers::default();
    for executor in contract.executors.values() {
        match &executor.kind {
            #[cfg(feature = "http")]
            kind @ ExecutorKind::HttpHandler { timeout_ms, .. } => {
                let name = &executor.name;
                let handler = match http_handler(name, kind, contract, environment, &handlers) {
                    Ok(handler) => handler,
                    Err(error) => {
                        let signing = matches!(
                            error.code(),
                            Code::ExecutorSigningRequired | Code::SecretUnusable | Code::SigningSecretMissing
                        );
                        let what = if signing { "handler-signing" } else { "handler-reachability" };
                        checks.push(HandlerCheck::new(name, what, "fail", error.message()));
                        continue;
                    }
                };
                let within = Duration::from_millis(*timeout_ms).min(Duration::from_secs(10));
                let (level, message) = match handler.probe(within).await {
                    // Whoever answers at all is there; v1's helper answers 405.
                    Ok(status) => ("pass", format!("it answers (status {status})")),
                    Err(error) => ("fail", error.message()),
                };
                checks.push(HandlerCheck::new(name, "handler-reachability", level, message));
                let warnings = handler.warnings();
                match warnings.first() {
                    None => checks.push(HandlerCheck::new(name, "handler-signing", "pass", "requests are signed")),
                    Some(warning) => checks.push(HandlerCheck::new(name, "handler-signing", "warn", warning.clone())),
                }
            }
            #[cfg(all(feature = "command", unix))]
            kind @ ExecutorKind::CommandHandler { .. } => {
                let name = &executor.name;
                let found = command_handler(name, kind, contract, environment).and_then(|command| command.probe());
                checks.push(match found {
                    Ok(()) => HandlerCheck::new(name, "handler-reachability", "pass", "the program is there"),
                    Err(error) => HandlerCheck::new(name, "handler-reachability", "fail", error.message()),
                });
            }
            _ => {
                let _ = environment;
            }
        }
    }
    checks
}

/// What the operator should know of the contract's executors as they are set up now; a face says so.
#[must_use]
pub fn executor_warnings(contract: &Contract, environment: &Environment) -> Vec<String> {
    #[cfg(feature = "http")]
    {
        let handlers = Handlers::default();
        let made = contract.executors.values().filter_map(|executor| {
            matches!(executor.kind, ExecutorKind::HttpHandler { .. })
                .then(|| http_handler(&executor.name, &executor.kind, contract, environment, &handlers).ok())?
        });
        made.flat_map(|handler| handler.warnings()).collect()
    }
    #[cfg(not(feature = "http"))]
    {
        let _ = (contract, environment);
        Vec::new()
    }
}
