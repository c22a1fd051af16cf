//! From text to [`Contract`]: each file reads one part, reports all that is wrong with it and goes on.

mod arguments;
mod auth;
mod capabilities;
mod cloud;
mod contexts;
mod executors;
mod exposure;
mod proposals;
mod reader;
mod sources;
mod syntax;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::reader::{At, Findings};
pub(super) use self::reader::{is_env_name, is_forbidden_address};
use super::diagnostics::{self as d, Diagnostic};
use super::keys;
use super::types::*;
use crate::primitives::{Lifetime, Scalar, json};

const DAY: u64 = 86_400;

impl Contract {
    /// Reads and checks a contract. With it come the warnings.
    ///
    /// # Errors
    /// Everything that is wrong with the text, and the warnings, in the order of the text (at most about 500).
    pub fn parse(text: &str) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let mut findings = Findings::new(text);
        let contract = match json::read(text) {
            Ok(root) => document(&mut findings, &At::root(&root)),
            Err(refusal) => {
                syntax::report(&mut findings, refusal);
                None
            }
        };
        match contract {
            Some(contract) if !findings.failed() => Ok((contract, findings.finish())),
            _ => Err(findings.finish()),
        }
    }
}

/// What the parts have to know of each other.
struct Names {
    mode: Option<Mode>,
    sources: BTreeMap<String, Source>,
    contexts: BTreeMap<String, TrustedContext>,
    executors: BTreeMap<String, Executor>,
    /// Every name that stands in the file, also of what could not be read: a reference to it is not wrong as well.
    known: Known,
    used: Known,
}

#[derive(Default)]
struct Known {
    sources: BTreeSet<String>,
    contexts: BTreeSet<String>,
    executors: BTreeSet<String>,
}

fn document(findings: &mut Findings<'_>, root: &At<'_>) -> Option<Contract> {
    if !root.is_object() {
        findings.report(&d::CONFIG_NOT_OBJECT, root.spot());
        return None;
    }
    findings.strict = findings.boolean(root, "strict", true);
    findings.scan(root);
    findings.closed(root, &keys::DOCUMENT);
    // Only 1 is 1: `positive` reads 1.0 as the same number, as JavaScript does.
    findings
        .required(root, "version", &d::UNSUPPORTED_CONFIG_VERSION, |at| at.positive().filter(|version| *version == 1));
    let mode = findings.required(root, "mode", &d::INVALID_MODE, |at| match at.node.as_str()? {
        "read_only" => Some(Mode::ReadOnly),
        "shadow" => Some(Mode::Shadow),
        "review" => Some(Mode::Review),
        "cloud" => Some(Mode::Cloud),
        _ => None,
    });
    let result_format =
        findings.optional(root, "result_format", &d::INVALID_RESULT_FORMAT, |at| match at.positive()? {
            1 => Some(1_u8),
            2 => Some(2_u8),
            _ => None,
        });
    let storage_path = storage(findings, root);
    let signoff = findings.signoff(root, &keys::SETTINGS);
    let (proposal_ttl, approval_ttl) = lifetimes(findings, signoff.as_ref());
    let mcp = auth::door(findings, signoff.as_ref());
    let mcp_auth = auth::read(findings, mcp.as_ref());
    let rate_limit = exposure::rate_limit(findings, mcp.as_ref());
    cloud::read(findings, root, mode);

    let mut names = Names {
        mode,
        sources: BTreeMap::new(),
        contexts: BTreeMap::new(),
        executors: BTreeMap::new(),
        known: Known::default(),
        used: Known::default(),
    };
    sources::read(findings, root, &mut names);
    contexts::read_named(findings, root, mcp_auth.as_ref(), &mut names);
    executors::read(findings, root, &mut names);
    let capabilities = capabilities::read(findings, root, &mut names);
    let trusted_context = contexts::read_default(findings, root, mcp_auth.as_ref(), mode);
    unused(findings, root, &names);

    Some(Contract {
        mode: mode?,
        result_format: result_format.unwrap_or(1),
        storage_path,
        sources: names.sources,
        trusted_context,
        contexts: names.contexts,
        executors: names.executors,
        capabilities,
        proposal_ttl,
        approval_ttl,
        mcp_auth,
        rate_limit,
    })
}

fn storage(findings: &mut Findings<'_>, root: &At<'_>) -> Option<String> {
    let storage = root.get("storage")?;
    if !storage.is_object() {
        findings.report(&d::STORAGE_NOT_OBJECT, storage.spot());
        return None;
    }
    findings.closed(&storage, &keys::STORAGE);
    findings.optional(&storage, "sqlite_path", &d::INVALID_SQLITE_PATH, |at| at.text().map(str::to_owned))
}

fn lifetimes(findings: &mut Findings<'_>, signoff: Option<&At<'_>>) -> (Lifetime, Lifetime) {
    let mut lifetime = |key, default| {
        let read = |at: &At<'_>| at.node.as_str().and_then(Lifetime::parse);
        let given = signoff.and_then(|signoff| findings.optional(signoff, key, &d::INVALID_LIFETIME, read));
        given.unwrap_or(Lifetime::For(Duration::from_secs(default)))
    };
    (lifetime("proposal_ttl", 7 * DAY), lifetime("approval_ttl", DAY))
}

fn unused(findings: &mut Findings<'_>, root: &At<'_>, names: &Names) {
    // Without capabilities nothing names anything.
    if root.get("capabilities").and_then(|at| at.items()).is_none_or(|items| items.is_empty()) {
        return;
    }
    let parts = [
        ("sources", &names.known.sources, &names.used.sources, &d::UNUSED_SOURCE),
        ("contexts", &names.known.contexts, &names.used.contexts, &d::UNUSED_CONTEXT),
        ("executors", &names.known.executors, &names.used.executors, &d::UNUSED_EXECUTOR),
    ];
    for (key, known, used, info) in parts {
        let Some(part) = root.get(key) else { continue };
        for name in known.difference(used) {
            findings.say(
                info,
                part.key_of(name),
                format!("no capability names `{}`", crate::contract::concealed::shown(name)),
            );
        }
    }
}

/// True if the numbers are in the wrong order.
fn reversed(low: Option<&Scalar>, high: Option<&Scalar>) -> bool {
    let text = |scalar: Option<&Scalar>| scalar.and_then(Scalar::as_number_text);
    match (text(low), text(high)) {
        (Some(low), Some(high)) => {
            crate::primitives::compare_decimals(&low, &high) == Some(std::cmp::Ordering::Greater)
        }
        _ => false,
    }
}
