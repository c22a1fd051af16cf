//! The forms of the ids that follow from a proposal's.

use crate::primitives::Digest;

/// The tenant column of a target that has none (`single_tenant_dev: true`).
pub const SINGLE_TENANT_COLUMN: &str = "__single_tenant_dev";

/// The version column of a proposal that is guarded by a digest of its row.
pub const ROW_HASH_COLUMN: &str = "__row_hash";

/// The id of the job that applies a proposal: `wbj_<proposal_id>`, anything but `[A-Za-z0-9_:-]` as `_`.
#[must_use]
pub fn job_id(proposal_id: &str) -> String {
    format!("wbj_{}", plain(proposal_id))
}

/// The id of a proposal's replay: `replay_<proposal_id>`.
#[must_use]
pub fn replay_id(proposal_id: &str) -> String {
    format!("replay_{proposal_id}")
}

/// The id of a proposal's lease: `lease_<proposal_id>`.
#[must_use]
pub fn lease_id(proposal_id: &str) -> String {
    format!("lease_{proposal_id}")
}

/// The key under which the effect happens once: `<proposal_id>:<object_id>`.
///
/// If that is longer than 255 characters or has any but `[A-Za-z0-9_:-]`, the object's part is `h_` and the first 32
/// hex digits of its SHA-256, so that two objects never share a key by losing characters.
///
/// ```
/// use signoff::protocol::idempotency_key;
/// assert_eq!(idempotency_key("wrp_123", "INV-3001"), "wrp_123:INV-3001");
/// assert_eq!(idempotency_key("wrp_123", "a b"), "wrp_123:h_c8687a08aa5d6ed2044328fa6a697ab8");
/// ```
#[must_use]
pub fn idempotency_key(proposal_id: &str, object_id: &str) -> String {
    let key = format!("{proposal_id}:{object_id}");
    if key.len() <= 255 && key.chars().all(is_plain) {
        return key;
    }
    let digest = Digest::of(object_id.as_bytes()).hex();
    format!("{proposal_id}:h_{}", digest.get(..32).unwrap_or(&digest))
}

fn plain(text: &str) -> String {
    text.chars().map(|c| if is_plain(c) { c } else { '_' }).collect()
}

fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | ':' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        assert_eq!(job_id("wrp_1"), "wbj_wrp_1");
        assert_eq!(job_id("a/b é:-"), "wbj_a_b__:-");
        assert_eq!(replay_id("wrp_1"), "replay_wrp_1");
        assert_eq!(lease_id("wrp_1"), "lease_wrp_1");
    }

    #[test]
    fn keys_of_odd_objects_stay_apart() {
        let long = "x".repeat(300);
        for object in ["a b", "a_b", "ä", "", long.as_str()] {
            let key = idempotency_key("wrp_1", object);
            assert!(key.len() <= 255 && key.chars().all(is_plain), "{key}");
        }
        assert_ne!(idempotency_key("wrp_1", "a b"), idempotency_key("wrp_1", "a/b"));
        let edge = "x".repeat(249);
        assert_eq!(idempotency_key("wrp_1", &edge), format!("wrp_1:{edge}"));
        assert!(idempotency_key("wrp_1", &format!("{edge}x")).starts_with("wrp_1:h_"));
    }
}
