//! Tool names for clients that take only letters, digits, `_` and `-`, at most 64 of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::primitives::Digest;

/// The longest name those clients take.
const LONGEST: usize = 64;

/// Under which names a tool is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AliasMode {
    /// `billing.inspect_invoice`.
    #[default]
    Canonical,
    /// `billing__inspect_invoice`.
    Openai,
    /// Under both.
    Both,
}

/// The alias of one capability name, as it is where no other capability has the same: every run of other characters
/// becomes `__`, longer than 64 characters is cut and ends in a digest of the name.
#[must_use]
pub fn openai_alias(canonical: &str) -> String {
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
        0 => format!("tool_{}", digest(canonical, 8)),
        1..=LONGEST => alias.to_owned(),
        _ => with_digest(alias, canonical, 8),
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

fn digest(canonical: &str, length: usize) -> String {
    Digest::of(canonical.as_bytes()).hex().chars().take(length).collect()
}

fn with_digest(alias: &str, canonical: &str, length: usize) -> String {
    let kept: String = alias.chars().take(LONGEST.saturating_sub(length + 1)).collect();
    format!("{kept}_{}", digest(canonical, length))
}

/// The alias of each name. Those that would be equal all get a digest, so that none depends on the order of the file.
pub(super) fn aliases<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, String> {
    let plain: BTreeMap<&str, String> = names.map(|name| (name, openai_alias(name))).collect();
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for alias in plain.values() {
        *count.entry(alias).or_default() += 1;
    }
    let mut taken: BTreeSet<String> =
        count.iter().filter(|(_, times)| **times == 1).map(|(alias, _)| (*alias).to_owned()).collect();
    plain
        .iter()
        .map(|(name, alias)| {
            if count.get(alias.as_str()) == Some(&1) {
                return (*name, alias.clone());
            }
            // Longer digests until the name is free; 8 digits are enough unless somebody chose a name to collide.
            let free = [8, 16, 32]
                .map(|length| with_digest(alias, name, length))
                .into_iter()
                .find(|name| !taken.contains(name));
            let unique = free.unwrap_or_else(|| digest(name, LONGEST));
            taken.insert(unique.clone());
            (*name, unique)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_names_that_every_client_takes() {
        assert_eq!(openai_alias("billing.inspect_invoice"), "billing__inspect_invoice");
        assert_eq!(openai_alias("a._b"), "a__b");
        assert_eq!(openai_alias("_a. é.b_"), "a__b");
        assert_eq!(openai_alias("..."), format!("tool_{}", digest("...", 8)));
        let long = format!("billing.{}", "x".repeat(80));
        assert_eq!(openai_alias(&long).len(), 64);
        assert!(openai_alias(&long).ends_with(&format!("_{}", digest(&long, 8))));
        assert_ne!(openai_alias(&long), openai_alias(&format!("{long}y")));
    }

    #[test]
    fn colliding_aliases_all_get_a_digest_whatever_the_order() {
        let one = aliases(["a.b_", "a._b", "a.c"].into_iter());
        let two = aliases(["a.c", "a._b", "a.b_"].into_iter());
        assert_eq!(one, two);
        assert_eq!(one["a.c"], "a__c");
        assert_eq!(one["a.b_"], format!("a__b_{}", digest("a.b_", 8)));
        assert_eq!(one.values().collect::<BTreeSet<_>>().len(), 3);
    }

    #[test]
    fn a_name_chosen_to_collide_with_a_digest_gets_nowhere() {
        let trap = format!("a.b_{}", digest("a.b_", 8));
        let all = aliases(["a.b_", "a._b", trap.as_str()].into_iter());
        assert_eq!(all[trap.as_str()], openai_alias(&trap));
        assert_eq!(all.values().collect::<BTreeSet<_>>().len(), 3);
    }
}
