//! A contract names variables and holds no credential. If one was written into it all the same, nobody repeats it.

use super::parse::{is_env_name, is_forbidden_address};
use crate::error::printable;

/// Beginnings of values that are keys and tokens, if more follows.
const TOKENS: &[&str] = &[
    "Bearer ", "bearer ", "eyJ", "whsec_", "whsk_", "sk_live_", "sk_test_", "rk_live_", "rk_test_", "ghp_", "gho_",
    "ghs_", "xoxb-", "xoxp-", "AKIA", "syn_wbr_",
];

/// The shortest value that can be one.
const SHORTEST_TOKEN: usize = 16;

/// Parts of a name whose value is one for nobody's eyes, unless it is the name of a variable.
const PRIVATE: &[&str] = &["secret", "token", "password", "passwd", "credential", "api_key", "apikey", "private_key"];

/// True for a value that must not be repeated: it has the shape of a credential, or its key asks for one.
pub(super) fn conceal(key: Option<&str>, value: &str) -> bool {
    let shaped = value.contains("://") || value.contains("-----BEGIN") || value.contains("password=");
    let asked = key.is_some_and(|key| {
        let lower = key.to_ascii_lowercase();
        lower.ends_with("_env") || is_forbidden_address(key) || PRIVATE.iter().any(|part| lower.contains(part))
    });
    let token = value.len() >= SHORTEST_TOKEN && TOKENS.iter().any(|start| value.starts_with(start));
    shaped || token || (asked && !is_env_name(value))
}

/// Input that a message repeats: printable, and no credential.
pub(super) fn shown(value: &str) -> String {
    if conceal(None, value) { "…".to_owned() } else { printable(value) }
}
