//! What a tool is called by clients that take only letters, digits, `_` and `-`, at most 64 of them.

use super::Digest;

/// The longest name those clients take.
pub(crate) const LONGEST_TOOL_NAME: usize = 64;

/// The alias of one capability name: every run of other characters
/// becomes `__`, longer than 64 characters is cut and ends in a digest of the name.
#[must_use]
pub fn tool_alias(canonical: &str) -> String {
    let mut alias = String::with_capacity(canonical.len() + 4);
    let mut outside = false;
    for character in canonical.chars() {
        let plain = character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
        if plain {
            alias.push(character);
        } else if !outside {
            alias.push_str("__");
        }
        outside = !plain;
    }
    let alias = fold_underscores(&alias);
    let alias = alias.trim_matches('_');
    match alias.len() {
        0 => format!("tool_{}", digest_start(canonical, 8)),
        1..=LONGEST_TOOL_NAME => alias.to_owned(),
        _ => name_with_digest(alias, canonical, 8),
    }
}

/// Three and more underscores become two.
fn fold_underscores(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character != '_' || !out.ends_with("__") {
            out.push(character);
        }
    }
    out
}

pub(crate) fn digest_start(canonical: &str, length: usize) -> String {
    Digest::of(canonical.as_bytes()).hex().chars().take(length).collect()
}

pub(crate) fn name_with_digest(alias: &str, canonical: &str, length: usize) -> String {
    let kept: String = alias.chars().take(LONGEST_TOOL_NAME.saturating_sub(length + 1)).collect();
    format!("{kept}_{}", digest_start(canonical, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_names_that_every_client_takes() {
        assert_eq!(tool_alias("billing.inspect_invoice"), "billing__inspect_invoice");
        assert_eq!(tool_alias("a._b"), "a__b");
        assert_eq!(tool_alias("_a. é.b_"), "a__b");
        assert_eq!(tool_alias("..."), format!("tool_{}", digest_start("...", 8)));
        let long = format!("billing.{}", "x".repeat(80));
        assert_eq!(tool_alias(&long).len(), 64);
        assert!(tool_alias(&long).ends_with(&format!("_{}", digest_start(&long, 8))));
        assert_ne!(tool_alias(&long), tool_alias(&format!("{long}y")));
    }
}
