//! What an agent must not find behind its door, looked for in the tools as they are shown to it.

use serde::Serialize;

use super::{AliasMode, ToolOptions, tools};
use crate::contract::Contract;

/// One thing that was looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BoundaryCheck {
    /// What has to be so, in v1's words.
    pub name: &'static str,
    /// Whether it is.
    pub ok: bool,
}

// Whole names: `orders.apply_credit` proposes a credit, and applies nothing.
const DECIDES: &[&str] = &["approve", "approve_proposal", "reject", "reject_proposal", "sign_off"];
const COMMITS: &[&str] = &["apply", "apply_proposal", "commit", "commit_proposal", "apply_writeback"];
const SQL: &[&str] = &["execute_sql", "run_sql", "sql", "query"];

/// Whether a tool is called so, however it is written: `x.approve`, `billing__approve`, `x.approve-`, `approveProposal`.
fn ends_in(name: &str, words: &[&str]) -> bool {
    let last = name.rsplit(['.', '/']).next().unwrap_or_default();
    let last = last.trim_matches(['_', '-']).rsplit("__").next().unwrap_or_default();
    let mut plain = String::with_capacity(last.len() + 4);
    for (before, c) in std::iter::once('_').chain(last.chars()).zip(last.chars()) {
        if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            plain.push('_');
        }
        plain.push(if c == '-' { '_' } else { c.to_ascii_lowercase() });
    }
    words.contains(&plain.as_str())
}

/// True for a name that says nothing that no tool may do, and is not kept for ours.
#[cfg(feature = "ffi")]
pub(super) fn may_be_called(name: &str) -> bool {
    let ours = name.starts_with("signoff.") || name.starts_with("signoff__");
    !ours && [DECIDES, COMMITS, SQL].into_iter().all(|words| !ends_in(name, words))
}

/// Checks that an agent gets the contract's tools, and nothing that decides, applies or connects. `variable` answers what an
/// environment variable holds: neither the names of a source's addresses nor the addresses may be shown.
#[must_use]
pub fn boundary(contract: &Contract, variable: impl Fn(&str) -> Option<String>) -> Vec<BoundaryCheck> {
    let tools = tools(contract, &ToolOptions { alias: AliasMode::Both, ..ToolOptions::default() });
    let shown = serde_json::to_string(&tools).unwrap_or_default();
    let none_called = |words: &[&str]| {
        tools.iter().flat_map(|tool| [&tool.name, &tool.canonical_name]).all(|name| !ends_in(name, words))
    };
    let hidden = |name: &str| {
        let address = variable(name).filter(|address| !address.is_empty());
        !shown.contains(name) && address.is_none_or(|address| !shown.contains(&address))
    };
    let reads = contract.sources.values().all(|source| hidden(&source.read_url_env));
    let writes = contract.sources.values().filter_map(|source| source.write_url_env.as_deref()).all(hidden);
    [
        ("semantic tools present", !tools.is_empty()),
        ("execute_sql absent", none_called(SQL)),
        ("approval tools absent", none_called(DECIDES)),
        ("commit tools absent", none_called(COMMITS)),
        ("database_url absent", reads && !shown.contains("database_url")),
        ("write credentials absent", writes),
    ]
    .map(|(name, ok)| BoundaryCheck { name, ok })
    .to_vec()
}
