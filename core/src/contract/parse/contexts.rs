//! `trusted_context` and `contexts`.

use super::reader::{At, Findings, is_safe_name};
use super::{Names, auth};
use crate::contract::auth::McpAuth;
use crate::contract::diagnostics as d;
use crate::contract::keys;
use crate::contract::types::{Mode, Provider, TrustedContext};

/// What `signoff.mcp.auth` says of claims.
struct Claims<'a> {
    /// It stands there; what is wrong with it is said there.
    stand: bool,
    auth: Option<&'a McpAuth>,
}

/// Reads `contexts`.
pub(super) fn read_named(findings: &mut Findings<'_>, root: &At<'_>, auth: Option<&McpAuth>, names: &mut Names) {
    let claims = Claims { stand: auth::stands(root), auth };
    let Some(contexts) = root.get("contexts") else { return };
    let Some(members) = contexts.members() else {
        findings.report(&d::CONTEXTS_NOT_OBJECT, contexts.spot());
        return;
    };
    for (name, at) in members {
        names.known.contexts.insert(name.to_owned());
        if !is_safe_name(name) {
            findings.report(&d::INVALID_CONTEXT_NAME, at.key());
        }
        if let Some(context) = context(findings, name, &at, &claims) {
            names.contexts.insert(name.to_owned(), context);
        }
    }
}

/// Reads `trusted_context`; it may be absent if no capability relies on it.
pub(super) fn read_default(
    findings: &mut Findings<'_>,
    root: &At<'_>,
    auth: Option<&McpAuth>,
    mode: Option<Mode>,
) -> Option<TrustedContext> {
    let claims = Claims { stand: auth::stands(root), auth };
    if let Some(at) = root.get("trusted_context") {
        return context(findings, "trusted_context", &at, &claims);
    }
    let capabilities = root.get("capabilities").and_then(|at| at.items()).unwrap_or_default();
    let all_named =
        !capabilities.is_empty() && capabilities.iter().all(|capability| capability.get("context").is_some());
    if mode != Some(Mode::Cloud) && !all_named {
        findings.report(&d::TRUSTED_CONTEXT_REQUIRED, root.spot_of("trusted_context"));
    }
    None
}

fn context(findings: &mut Findings<'_>, name: &str, at: &At<'_>, claims: &Claims<'_>) -> Option<TrustedContext> {
    if !at.is_object() {
        findings.report(&d::TRUSTED_CONTEXT_NOT_OBJECT, at.spot());
        return None;
    }
    findings.closed(at, &keys::CONTEXT);
    let provider = findings.required(at, "provider", &d::INVALID_CONTEXT_PROVIDER, |at| match at.node.as_str()? {
        "static_dev" => Some(Provider::StaticDev),
        "environment" => Some(Provider::Environment),
        "http_claims" => Some(Provider::HttpClaims),
        "cloud_session" => Some(Provider::CloudSession),
        _ => None,
    });
    let mut context = TrustedContext {
        name: name.to_owned(),
        provider: provider.unwrap_or(Provider::Environment),
        tenant_id: None,
        principal: None,
        tenant_id_env: None,
        principal_env: None,
    };
    if let Some(values) = at.get("values") {
        if values.is_object() {
            findings.open(&values, &keys::CONTEXT_VALUES);
        } else {
            findings.report(&d::INVALID_CONTEXT_VALUE, values.spot());
        }
        let text = |at: &At<'_>| at.text().map(str::to_owned);
        context.tenant_id = findings.optional(&values, "tenant_id", &d::INVALID_CONTEXT_VALUE, text);
        context.principal = findings.optional(&values, "principal", &d::INVALID_CONTEXT_VALUE, text);
        context.tenant_id_env = findings.optional(&values, "tenant_id_env", &d::INVALID_CONTEXT_VALUE, At::env_name);
        context.principal_env = findings.optional(&values, "principal_env", &d::INVALID_CONTEXT_VALUE, At::env_name);
        match provider {
            Some(Provider::Environment) => {
                findings.inert(&values, &["tenant_id", "principal"], "provider environment reads variables only")
            }
            Some(Provider::HttpClaims | Provider::CloudSession) => {
                let why = "the caller's session supplies tenant and principal";
                findings.inert(&values, &["tenant_id", "principal", "tenant_id_env", "principal_env"], why);
            }
            _ => {}
        }
        same_claims(findings, &values, provider, claims);
    }
    let from_token = provider == Some(Provider::HttpClaims) && claims.stand;
    if matches!(provider, Some(Provider::HttpClaims | Provider::CloudSession)) && !from_token {
        findings.report(&d::CONTEXT_NEEDS_CALLER, at.spot_of("provider"));
    }
    if provider == Some(Provider::StaticDev) {
        findings.report(&d::STATIC_DEV_CONTEXT, at.spot_of("provider"));
        let incomplete = (context.tenant_id.is_none() && context.tenant_id_env.is_none())
            || (context.principal.is_none() && context.principal_env.is_none());
        if incomplete {
            findings.report(&d::CONTEXT_VALUE_MISSING, at.spot_of("values"));
        }
    }
    provider.map(|_| context)
}

/// One token, one tenant: a context may name the claims, and no other ones than the gate reads.
fn same_claims(findings: &mut Findings<'_>, values: &At<'_>, provider: Option<Provider>, claims: &Claims<'_>) {
    let keys = ["tenant_id_key", "principal_key"];
    if provider != Some(Provider::HttpClaims) || !claims.stand {
        findings.inert(values, &keys, "it is for provider http_claims, with the claims of signoff.mcp.auth");
        return;
    }
    let Some(auth) = claims.auth else { return };
    for (key, claim) in keys.into_iter().zip([&auth.tenant_claim, &auth.principal_claim]) {
        findings.optional(values, key, &d::CONTEXT_CLAIM_MISMATCH, |at| at.text().filter(|text| text == claim));
    }
}
