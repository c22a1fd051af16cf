//! `sources`.

use super::reader::{At, Findings};
use super::{Names, capabilities::engine_of};
use crate::contract::diagnostics as d;
use crate::contract::keys;
use crate::contract::types::{Engine, Mode, Source};
use crate::primitives::Identifier;

pub(super) fn read(findings: &mut Findings<'_>, root: &At<'_>, names: &mut Names) {
    let Some(sources) = root.get("sources") else {
        if names.mode != Some(Mode::Cloud) {
            findings.report(&d::SOURCES_REQUIRED, root.spot_of("sources"));
        }
        return;
    };
    let members = sources.members().unwrap_or_default();
    if members.is_empty() {
        findings.report(&d::SOURCES_REQUIRED, sources.spot());
    }
    for (name, at) in members {
        names.known.sources.insert(name.to_owned());
        if Identifier::new(name).is_err() {
            findings.report(&d::UNSAFE_SOURCE_NAME, at.key());
        }
        if let Some(source) = source(findings, name, &at) {
            names.sources.insert(name.to_owned(), source);
        }
    }
}

fn source(findings: &mut Findings<'_>, name: &str, at: &At<'_>) -> Option<Source> {
    if !at.is_object() {
        findings.report(&d::SOURCE_NOT_OBJECT, at.spot());
        return None;
    }
    findings.closed(at, &keys::SOURCE);
    let engine = findings.required(at, "engine", &d::INVALID_SOURCE_ENGINE, |at| engine_of(at.node.as_str()?));
    let read_url_env = findings.required(at, "read_url_env", &d::READ_URL_ENV_REQUIRED, At::env_name);
    let write_url_env = findings.optional(at, "write_url_env", &d::INVALID_WRITE_URL_ENV, At::env_name);
    let read_only = findings.optional(at, "read_only", &d::INVALID_SOURCE_READ_ONLY, At::boolean);
    let statement_timeout_ms = findings.optional(at, "statement_timeout_ms", &d::INVALID_TIMEOUT, At::milliseconds);
    findings.inert(
        at,
        &["ssl"],
        "TLS is set in the address that the environment holds, as sslmode=verify-full and sslrootcert=FILE",
    );
    let signoff = findings.signoff(at, &keys::SOURCE_SETTINGS);
    let create_receipts = signoff.as_ref().is_some_and(|signoff| findings.boolean(signoff, "create_receipts", false));
    let receipts_schema = signoff
        .as_ref()
        .and_then(|signoff| findings.optional(signoff, "receipts_schema", &d::INVALID_RECEIPTS_SCHEMA, At::identifier));
    let elsewhere = receipts_schema.as_ref().is_some_and(|schema| schema.as_str() != "main");
    if let Some(signoff) = signoff.as_ref().filter(|_| engine == Some(Engine::Sqlite) && elsewhere) {
        findings.report(&d::SQLITE_SCHEMA_NOT_MAIN, signoff.spot_of("receipts_schema"));
    }
    if write_url_env.is_none() && at.get("write_url_env").is_some() {
        return None;
    }
    Some(Source {
        name: name.to_owned(),
        engine: engine?,
        read_url_env: read_url_env?,
        write_url_env,
        read_only: read_only.unwrap_or(false),
        statement_timeout_ms,
        ssl: at.get("ssl").map(|ssl| ssl.plain()),
        create_receipts,
        receipts_schema,
    })
}
