//! Every key of a contract, once: its shape, whether it must be there, its default and its meaning. The reader takes its
//! closed sets from here; `schemas/synapsor.runner.schema.json` and the tables of `core/docs/contract.md` are made of it.

mod auth;
mod objects;
mod settings;

pub(super) use self::auth::*;
pub use self::objects::OBJECTS;
pub(super) use self::objects::*;
pub(super) use self::settings::*;

/// An object of the contract.
#[derive(Debug)]
#[non_exhaustive]
pub struct ObjectInfo {
    /// Its name, unique.
    pub name: &'static str,
    /// Where it stands; `NAME` and `N` stand for any.
    pub place: &'static str,
    /// What it is.
    pub meaning: &'static str,
    /// False: v1 lets unknown keys pass here, and so do we, with a warning.
    pub closed: bool,
    /// Its keys, in the order in which a person reads them.
    pub keys: &'static [KeyInfo],
}

/// A key of an object.
#[derive(Debug)]
#[non_exhaustive]
pub struct KeyInfo {
    /// Its name.
    pub name: &'static str,
    /// What stands there.
    pub shape: Shape,
    /// Whether it must be there.
    pub need: Need,
    /// What it means.
    pub meaning: &'static str,
    /// True for what v1 does not have.
    pub extension: bool,
}

/// Whether a key must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Need {
    /// Always.
    Required,
    /// In some cases, in words.
    When(&'static str),
    /// Never; without it, this holds.
    Default(&'static str),
    /// Never.
    Optional,
    /// Never: it is read and has no effect.
    Inert,
}

/// What stands at a key.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Shape {
    /// `true` or `false`.
    Flag,
    /// A string with something in it.
    Text,
    /// The name of an environment variable.
    EnvName,
    /// A name of SQL.
    Identifier,
    /// Names joined by points.
    ToolName,
    /// A whole number from 1, and at most this.
    Whole(u64),
    /// A whole number from 0, and at most this.
    UpTo(u64),
    /// A whole number from 1, and at most this; or null.
    WholeOrNull(u64),
    /// `sha256:` and 64 hex digits.
    Digest,
    /// One of these numbers.
    OneOf(&'static [u64]),
    /// One of these words; the second list is ours.
    Words(&'static [&'static str], &'static [&'static str]),
    /// A number.
    Number,
    /// A string, number, boolean or null.
    Scalar,
    /// `never`, or a whole number with `s`, `m`, `h` or `d`.
    Lifetime,
    /// At least one string, number or boolean.
    Values,
    /// At least one column.
    Columns,
    /// At least one string.
    Texts,
    /// A string with something in it, or at least one of them.
    TextOrTexts,
    /// At least one of these words; the second list is ours.
    ListOf(&'static [&'static str], &'static [&'static str]),
    /// From each present value, the values that may follow.
    Transitions,
    /// Any object.
    Free,
    /// Anything.
    Anything,
    /// This object.
    Object(&'static ObjectInfo),
    /// From names to this object.
    Map(Names, &'static ObjectInfo),
    /// A list of this object.
    List(&'static ObjectInfo),
}

/// What the names of a map are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Names {
    /// Letters, digits and `_`.
    Identifier,
    /// Letters, digits, `_`, `.` and `-`.
    Safe,
}

const fn key(name: &'static str, shape: Shape, need: Need, meaning: &'static str) -> KeyInfo {
    KeyInfo { name, shape, need, meaning, extension: false }
}

const fn ours(name: &'static str, shape: Shape, need: Need, meaning: &'static str) -> KeyInfo {
    KeyInfo { name, shape, need, meaning, extension: true }
}

impl ObjectInfo {
    /// The names of its keys.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        self.keys.iter().map(|key| key.name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::Shape::{List, Map, Object};
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_object_that_a_key_names_is_in_the_list_once() {
        let listed: Vec<&str> = OBJECTS.iter().map(|object| object.name).collect();
        assert_eq!(listed.iter().collect::<BTreeSet<_>>().len(), listed.len());
        let mut named = BTreeSet::from([DOCUMENT.name]);
        for key in OBJECTS.iter().flat_map(|object| object.keys) {
            if let Object(below) | Map(_, below) | List(below) = key.shape {
                named.insert(below.name);
            }
            assert!(key.meaning.ends_with('.'), "{}", key.name);
        }
        assert_eq!(named, listed.into_iter().collect());
    }
}
