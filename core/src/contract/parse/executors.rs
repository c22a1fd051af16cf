//! `executors`.

use super::Names;
use super::reader::{At, Findings, is_safe_name};
use crate::contract::diagnostics as d;
use crate::contract::keys;
use crate::contract::types::{Executor, ExecutorKind, HandlerSettings, Mode};

/// The built-in executor.
pub(super) const BUILT_IN: &str = "sql_update";

/// Without `timeout_ms` an application has this long to answer.
const TIMEOUT_MS: u64 = 5_000;

const HTTP_SETTINGS: &[&str] = &["allow_private", "allow_unsigned", "audience"];

const COMMAND_SETTINGS: &[&str] = &["env"];

const HTTP_KEYS: &[&str] = &["url_env", "method", "auth", "signing_secret_env"];

pub(super) fn read(findings: &mut Findings<'_>, root: &At<'_>, names: &mut Names) {
    let Some(executors) = root.get("executors") else { return };
    let Some(members) = executors.members() else {
        findings.report(&d::EXECUTORS_NOT_OBJECT, executors.spot());
        return;
    };
    for (name, at) in members {
        names.known.executors.insert(name.to_owned());
        if !is_safe_name(name) {
            findings.report(&d::INVALID_EXECUTOR_NAME, at.key());
        }
        let Some(kind) = kind(findings, &at, names.mode) else { continue };
        if name == BUILT_IN {
            if !matches!(kind, ExecutorKind::SqlUpdate) {
                findings.report(&d::EXECUTOR_NAME_RESERVED, at.key());
            }
            continue;
        }
        names.executors.insert(name.to_owned(), Executor { name: name.to_owned(), kind });
    }
}

fn kind(findings: &mut Findings<'_>, at: &At<'_>, mode: Option<Mode>) -> Option<ExecutorKind> {
    if !at.is_object() {
        findings.report(&d::EXECUTOR_NOT_OBJECT, at.spot());
        return None;
    }
    findings.closed(at, &keys::EXECUTOR);
    let word = findings.required(at, "type", &d::INVALID_EXECUTOR_TYPE, |at| {
        at.node.as_str().filter(|word| ["sql_update", "http_handler", "command_handler"].contains(word))
    })?;
    if mode == Some(Mode::ReadOnly) && word != BUILT_IN {
        findings.report(&d::EXECUTOR_INVALID_IN_READ_ONLY, at.spot());
    }
    match word {
        "http_handler" => {
            findings.inert(at, &["command_env"], "it belongs to a command_handler");
            http(findings, at)
        }
        "command_handler" => {
            findings.inert(at, HTTP_KEYS, "it belongs to an http_handler");
            let timeout = findings.optional(at, "timeout_ms", &d::INVALID_HANDLER_TIMEOUT, At::milliseconds);
            let settings = settings(findings, at, HTTP_SETTINGS);
            let command_env = findings.required(at, "command_env", &d::COMMAND_ENV_REQUIRED, At::env_name)?;
            Some(ExecutorKind::CommandHandler { command_env, timeout_ms: timeout.unwrap_or(TIMEOUT_MS), settings })
        }
        _ => {
            findings.inert(at, HTTP_KEYS, "it belongs to an http_handler");
            findings.inert(at, &["command_env", "timeout_ms"], "sql_update has no settings");
            settings(findings, at, &["allow_private", "allow_unsigned", "dry_run", "audience", "env"]);
            Some(ExecutorKind::SqlUpdate)
        }
    }
}

fn http(findings: &mut Findings<'_>, at: &At<'_>) -> Option<ExecutorKind> {
    let method = findings.optional(at, "method", &d::INVALID_HANDLER_METHOD, |at| {
        at.node.as_str().filter(|word| ["POST", "PUT", "PATCH"].contains(word)).map(str::to_owned)
    });
    let secret = findings.optional(at, "signing_secret_env", &d::HANDLER_SIGNING_SECRET_ENV_INVALID, At::env_name);
    let timeout = findings.optional(at, "timeout_ms", &d::INVALID_HANDLER_TIMEOUT, At::milliseconds);
    let settings = settings(findings, at, COMMAND_SETTINGS);
    let token_env = at.get("auth").and_then(|auth| token(findings, &auth));
    let url_env = findings.required(at, "url_env", &d::HANDLER_URL_ENV_REQUIRED, At::env_name)?;
    Some(ExecutorKind::HttpHandler {
        url_env,
        method: method.unwrap_or_else(|| "POST".to_owned()),
        token_env,
        signing_secret_env: secret,
        timeout_ms: timeout.unwrap_or(TIMEOUT_MS),
        settings,
    })
}

/// `signoff` of an executor; those of the other type have no effect.
fn settings(findings: &mut Findings<'_>, at: &At<'_>, others: &[&str]) -> HandlerSettings {
    let Some(at) = findings.signoff(at, &keys::EXECUTOR_SETTINGS) else { return HandlerSettings::default() };
    findings.inert(&at, others, "an executor of this type has no such setting");
    let names = |at: &At<'_>| at.items()?.iter().map(At::env_name).collect::<Option<Vec<String>>>();
    HandlerSettings {
        allow_private: findings.boolean(&at, "allow_private", false),
        allow_unsigned: findings.boolean(&at, "allow_unsigned", false),
        dry_run: findings.boolean(&at, "dry_run", false),
        audience: findings.optional(&at, "audience", &d::INVALID_EXECUTOR_SETTING, |at| at.text().map(str::to_owned)),
        env: findings.optional(&at, "env", &d::INVALID_EXECUTOR_SETTING, names).unwrap_or_default(),
    }
}

fn token(findings: &mut Findings<'_>, auth: &At<'_>) -> Option<String> {
    if !auth.is_object() {
        findings.report(&d::EXECUTOR_AUTH_NOT_OBJECT, auth.spot());
        return None;
    }
    findings.closed(auth, &keys::AUTH);
    findings
        .required(auth, "type", &d::INVALID_EXECUTOR_AUTH, |at| (at.node.as_str() == Some("bearer_env")).then_some(()));
    findings.required(auth, "token_env", &d::EXECUTOR_TOKEN_ENV_REQUIRED, At::env_name)
}
