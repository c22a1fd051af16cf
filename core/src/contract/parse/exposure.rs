//! `signoff` of a capability, and `signoff.mcp`: who is offered what, and how often.

use std::collections::BTreeSet;

use super::reader::{At, Findings};
use crate::contract::diagnostics as d;
use crate::contract::exposure::{Exposure, PolicyHint, RateLimit, ToolScope};
use crate::contract::keys;
use crate::contract::types::Kind;
use crate::primitives::Digest;

/// Nobody waits for more in a minute.
const MOST_PER_MINUTE: u64 = 1_000_000;

/// Reads `signoff` of a capability; `None` without a kind.
pub(super) fn read(findings: &mut Findings<'_>, at: &At<'_>, kind: Option<Kind>) -> Option<Exposure> {
    let signoff = findings.signoff(at, &keys::CAPABILITY_SETTINGS);
    let Some(at) = signoff else { return kind.map(Exposure::of_kind) };
    let scope = findings.optional(&at, "scope", &d::INVALID_TOOL_SCOPE, |at| match at.node.as_str()? {
        "user-space" => Some(ToolScope::UserSpace),
        "admin" => Some(ToolScope::Admin),
        _ => None,
    });
    let hint = findings.optional(&at, "policy_hint", &d::INVALID_POLICY_HINT, |at| match at.node.as_str()? {
        "read" => Some(PolicyHint::Read),
        "write" => Some(PolicyHint::Write),
        "destructive" => Some(PolicyHint::Destructive),
        _ => None,
    });
    let roles = findings.optional(&at, "roles", &d::INVALID_TOOL_ROLES, roles);
    let pinned = |at: &At<'_>| at.node.as_str().and_then(|text| Digest::parse(text).ok());
    let tool_digest = findings.optional(&at, "tool_digest", &d::INVALID_TOOL_DIGEST, pinned);
    if scope == Some(ToolScope::Admin) && at.get("roles").is_none() {
        findings.report(&d::ADMIN_TOOL_WITHOUT_ROLES, at.spot_of("roles"));
    }
    let kind = kind?;
    if hint.is_some_and(|hint| (hint == PolicyHint::Read) != (kind == Kind::Read)) {
        findings.report(&d::POLICY_HINT_CONTRADICTS_KIND, at.spot_of("policy_hint"));
    }
    let said_nothing = Exposure::of_kind(kind);
    Some(Exposure {
        scope: scope.unwrap_or(said_nothing.scope),
        policy_hint: hint.unwrap_or(said_nothing.policy_hint),
        roles,
        tool_digest,
    })
}

/// At least one name, none twice.
fn roles(at: &At<'_>) -> Option<BTreeSet<String>> {
    let items = at.items()?;
    let names: BTreeSet<String> = items.iter().map(|item| item.text().map(str::to_owned)).collect::<Option<_>>()?;
    (!names.is_empty() && names.len() == items.len()).then_some(names)
}

/// Reads `mcp.rate_limit` of the document's settings.
pub(super) fn rate_limit(findings: &mut Findings<'_>, mcp: Option<&At<'_>>) -> RateLimit {
    let mut limit = RateLimit::default();
    let Some(at) = mcp.and_then(|mcp| mcp.get("rate_limit")) else { return limit };
    if !at.is_object() {
        findings.report(&d::INVALID_RATE_LIMIT, at.spot());
        return limit;
    }
    findings.closed(&at, &keys::RATE_LIMIT);
    let mut read = |key, into: &mut Option<u32>| {
        let given = findings.optional(&at, key, &d::INVALID_RATE_LIMIT, |at| {
            if at.is_null() {
                return Some(None);
            }
            let calls = at.positive().filter(|calls| *calls <= MOST_PER_MINUTE)?;
            u32::try_from(calls).ok().map(Some)
        });
        if let Some(given) = given {
            *into = given;
        }
    };
    read("proposals_per_minute", &mut limit.proposals_per_minute);
    read("reads_per_minute", &mut limit.reads_per_minute);
    limit
}
