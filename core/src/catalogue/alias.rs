//! Tool names for clients that take only letters, digits, `_` and `-`, at most 64 of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use crate::primitives::tool_alias as openai_alias;
use crate::primitives::{LONGEST_TOOL_NAME, digest_start, name_with_digest};

/// Under which names a tool is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
                .map(|length| name_with_digest(alias, name, length))
                .into_iter()
                .find(|name| !taken.contains(name));
            let unique = free.unwrap_or_else(|| digest_start(name, LONGEST_TOOL_NAME));
            taken.insert(unique.clone());
            (*name, unique)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colliding_aliases_all_get_a_digest_whatever_the_order() {
        let one = aliases(["a.b_", "a._b", "a.c"].into_iter());
        let two = aliases(["a.c", "a._b", "a.b_"].into_iter());
        assert_eq!(one, two);
        assert_eq!(one["a.c"], "a__c");
        assert_eq!(one["a.b_"], format!("a__b_{}", digest_start("a.b_", 8)));
        assert_eq!(one.values().collect::<BTreeSet<_>>().len(), 3);
    }

    #[test]
    fn a_name_chosen_to_collide_with_a_digest_gets_nowhere() {
        let trap = format!("a.b_{}", digest_start("a.b_", 8));
        let all = aliases(["a.b_", "a._b", trap.as_str()].into_iter());
        assert_eq!(all[trap.as_str()], openai_alias(&trap));
        assert_eq!(all.values().collect::<BTreeSet<_>>().len(), 3);
    }
}
