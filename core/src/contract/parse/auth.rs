//! `signoff.mcp.auth`.

use super::reader::{At, Findings};
use crate::contract::auth::{Algorithm, KeySource, McpAuth};
use crate::contract::diagnostics as d;
use crate::contract::keys;

/// Clocks further apart than this are to be set, not to be allowed for.
const MOST_LEEWAY: u64 = 60;

/// True if the contract says whose tokens are believed, rightly or not.
pub(super) fn stands(root: &At<'_>) -> bool {
    root.get("signoff").and_then(|at| at.get("mcp")).and_then(|at| at.get("auth")).is_some()
}

/// The agent's door, `signoff.mcp`.
pub(super) fn door<'n>(findings: &mut Findings<'_>, signoff: Option<&At<'n>>) -> Option<At<'n>> {
    let mcp = signoff?.get("mcp")?;
    object(findings, &mcp, &keys::MCP)?;
    Some(mcp)
}

pub(super) fn read(findings: &mut Findings<'_>, mcp: Option<&At<'_>>) -> Option<McpAuth> {
    let auth = mcp?.get("auth")?;
    object(findings, &auth, &keys::MCP_AUTH)?;
    settings(findings, &auth)
}

fn object(findings: &mut Findings<'_>, at: &At<'_>, known: &keys::ObjectInfo) -> Option<()> {
    if !at.is_object() {
        findings.report(&d::MCP_SETTING_NOT_OBJECT, at.spot());
        return None;
    }
    findings.closed(at, known);
    Some(())
}

fn settings(findings: &mut Findings<'_>, at: &At<'_>) -> Option<McpAuth> {
    let issuer = findings.required(at, "issuer", &d::AUTH_ISSUER_REQUIRED, quotable);
    let audiences = findings.required(at, "audience", &d::AUTH_AUDIENCE_REQUIRED, |at| match at.items() {
        Some(_) => list(at, quotable),
        None => quotable(at).map(|one| vec![one]),
    });
    let keys = key_source(findings, at);
    let tenant_claim = findings.required(at, "tenant_claim", &d::AUTH_TENANT_CLAIM_REQUIRED, text);
    let algorithms = findings.optional(at, "algorithms", &d::INVALID_AUTH_ALGORITHM, |at| {
        list(at, |at| Algorithm::parse(at.node.as_str()?))
    });
    let mut claim = |key: &str, without: &str| {
        let given = findings.optional(at, key, &d::INVALID_AUTH_SETTING, text);
        given.unwrap_or_else(|| without.to_owned())
    };
    let (principal_claim, roles_claim) = (claim("principal_claim", "sub"), claim("roles_claim", "roles"));
    let scopes = findings.optional(at, "scopes_required", &d::INVALID_AUTH_SCOPE, |at| list(at, scope));
    let servers = findings.optional(at, "authorization_servers", &d::INVALID_AUTH_SETTING, |at| list(at, quotable));
    // `positive` has no zero, which a leeway may be.
    let leeway = findings.optional(at, "leeway_seconds", &d::INVALID_AUTH_LEEWAY, |at| {
        let zero = at.number().and_then(|number| number.as_number_text()).is_some_and(|text| text == "0");
        if zero { Some(0) } else { at.positive().filter(|seconds| *seconds <= MOST_LEEWAY) }
    });
    let issuer = issuer?;
    Some(McpAuth {
        audiences: audiences?,
        keys: keys?,
        algorithms: algorithms.unwrap_or_else(|| Algorithm::ALL.to_vec()),
        tenant_claim: tenant_claim?,
        principal_claim,
        roles_claim,
        scopes_required: scopes.unwrap_or_default(),
        authorization_servers: servers.unwrap_or_else(|| vec![issuer.clone()]),
        leeway_seconds: leeway.unwrap_or(MOST_LEEWAY),
        issuer,
    })
}

fn key_source(findings: &mut Findings<'_>, at: &At<'_>) -> Option<KeySource> {
    let given = ["jwks_url", "jwks_url_env", "jwks_file"].into_iter().filter(|key| at.get(key).is_some()).count();
    if given != 1 {
        findings.report(&d::AUTH_KEYS_REQUIRED, at.spot());
        return None;
    }
    let url = findings.optional(at, "jwks_url", &d::INVALID_AUTH_JWKS_URL, address).map(KeySource::Url);
    let variable = findings.optional(at, "jwks_url_env", &d::INVALID_AUTH_SETTING, At::env_name).map(KeySource::UrlEnv);
    let file = findings.optional(at, "jwks_file", &d::INVALID_AUTH_SETTING, text).map(KeySource::File);
    url.or(variable).or(file)
}

fn text(at: &At<'_>) -> Option<String> {
    at.text().map(str::to_owned)
}

/// A text that can stand between quotes in a header.
fn quotable(at: &At<'_>) -> Option<String> {
    text(at).filter(|text| text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\'))
}

/// A scope token of RFC 6749. What lasts beyond a session is nothing that a server of tools may ask for.
fn scope(at: &At<'_>) -> Option<String> {
    quotable(at).filter(|scope| scope != "offline_access")
}

/// The gate looks again, and closer, before it calls it.
fn address(at: &At<'_>) -> Option<String> {
    const PLAIN: [&str; 3] = ["http://127.0.0.1", "http://[::1]", "http://localhost"];
    let local = |text: &str| {
        let rest = PLAIN.iter().find_map(|start| text.strip_prefix(start));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
    };
    quotable(at).filter(|text| !text.contains('@') && (text.starts_with("https://") || local(text)))
}

/// At least one, and each as it should be.
fn list<T>(at: &At<'_>, read: impl Fn(&At<'_>) -> Option<T>) -> Option<Vec<T>> {
    let items = at.items()?.iter().map(read).collect::<Option<Vec<T>>>()?;
    (!items.is_empty()).then_some(items)
}
