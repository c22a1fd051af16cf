//! Reading and checking, common to every document.

use std::cmp::Ordering;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::change_set::Columns;
use crate::error::{Code, Error, Result, printable};
use crate::primitives::json::{self, Node, NodeValue};
use crate::primitives::{
    Digest, Identifier, Instant, Scalar, canonical, canonical_number, canonical_without, compare_decimals,
};

/// A problem with a document of this schema.
pub(super) fn invalid(schema: &'static str, problem: impl Into<String>) -> Error {
    Error::new(Code::DocumentInvalid).with("schema", schema).with("problem", problem.into())
}

/// Reads a document strictly: its JSON, its types, and that nothing in the text got lost in them.
pub(super) fn read<T: DeserializeOwned + Serialize>(schema: &'static str, text: &str) -> Result<T> {
    let node = json::parse(text)?;
    exact(schema, &node, Place::Document)?;
    let document: T = serde_json::from_str(text).map_err(|error| invalid(schema, problem(&error)))?;
    faithful(schema, &node, &value_of(schema, &document)?, Place::Document)?;
    Ok(document)
}

/// The document as a JSON value.
pub(super) fn value_of<T: Serialize>(schema: &'static str, document: &T) -> Result<Value> {
    serde_json::to_value(document).map_err(|_| invalid(schema, "it cannot be written as JSON"))
}

/// The canonical bytes of the document (RFC 8785), as text.
pub(super) fn canonical_of<T: Serialize>(schema: &'static str, document: &T) -> Result<String> {
    canonical(document).map_err(|error| unwritable(schema, error))
}

fn unwritable(schema: &'static str, error: Error) -> Error {
    if error.code() == Code::NumberNotExact { error } else { invalid(schema, "it cannot be written as JSON") }
}

/// The digest of the document without one of its members.
pub(super) fn digest_without<T: Serialize>(schema: &'static str, document: &T, member: &str) -> Result<Digest> {
    let text = canonical_without(document, member).map_err(|error| unwritable(schema, error))?;
    Ok(Digest::of(&text))
}

/// The digest that stands in a canonical text between these two, if the text without all three hashes to it. Quotes inside
/// of values are escaped, so what begins like a member is one; of several, one will do.
#[cfg(feature = "sqlite")]
pub(super) fn sealed<'a>(text: &'a str, begins: &str, ends: &str) -> Option<&'a str> {
    text.match_indices(begins).find_map(|(at, _)| {
        let (before, rest) = text.split_at_checked(at)?;
        let hash = rest.get(begins.len()..begins.len() + "sha256:".len() + 64)?;
        let after = rest.get(begins.len() + hash.len()..)?.strip_prefix(ends)?;
        let digest = Digest::of_parts(&[before.as_bytes(), after.as_bytes()]);
        Digest::parse(hash).is_ok_and(|told| told == digest).then_some(hash)
    })
}

/// Where a value stands, as it is walked to; the way is written out only for a message.
#[derive(Clone, Copy)]
enum Place<'a> {
    Document,
    Member(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl Place<'_> {
    fn pointer(&self) -> String {
        match self {
            Self::Document => String::new(),
            Self::Member(parent, key) => json::pointer(&parent.pointer(), key),
            Self::Item(parent, index) => format!("{}/{index}", parent.pointer()),
        }
    }
}

/// Refuses a number that reading it as a float would change.
fn exact(schema: &'static str, node: &Node, at: Place<'_>) -> Result<()> {
    match &node.value {
        NodeValue::Object(entries) => entries.iter().try_for_each(|(k, n)| exact(schema, n, Place::Member(&at, k))),
        NodeValue::Array(items) => {
            items.iter().enumerate().try_for_each(|(i, n)| exact(schema, n, Place::Item(&at, i)))
        }
        NodeValue::Number(text) if !survives(text) => {
            let at = at.pointer();
            Err(invalid(schema, format!("the number at {at} cannot be read exactly; write it as a string")))
        }
        _ => Ok(()),
    }
}

fn survives(text: &str) -> bool {
    // `-0` is an integer to us and a negative float to the reader.
    if text != "-0" && (text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok()) {
        return true;
    }
    let shortest = text.parse::<f64>().ok().and_then(|float| canonical_number(float).ok());
    shortest.is_some_and(|shortest| compare_decimals(text, &shortest) == Some(Ordering::Equal))
}

/// Refuses text of which the typed document kept less, or another shape: derived readers take an array for an object,
/// an object for a word, and null for a member that is absent.
fn faithful(schema: &'static str, node: &Node, value: &Value, at: Place<'_>) -> Result<()> {
    let place = || if matches!(at, Place::Document) { "the document".to_owned() } else { printable(&at.pointer()) };
    match (&node.value, value) {
        (NodeValue::Object(entries), Value::Object(map)) => entries.iter().try_for_each(|(key, child)| {
            let at = Place::Member(&at, key);
            let place = || printable(&at.pointer());
            match map.get(key) {
                Some(value) => faithful(schema, child, value, at),
                None if child.value == NodeValue::Null => {
                    Err(invalid(schema, format!("{} is null; leave it out", place())))
                }
                None => Err(invalid(schema, format!("{} is not a member", place()))),
            }
        }),
        (NodeValue::Array(items), Value::Array(values)) if items.len() == values.len() => items
            .iter()
            .zip(values)
            .enumerate()
            .try_for_each(|(i, (node, value))| faithful(schema, node, value, Place::Item(&at, i))),
        (NodeValue::Object(_) | NodeValue::Array(_), _) => {
            Err(invalid(schema, format!("{} has the wrong shape", place())))
        }
        (_, Value::Object(_)) => Err(invalid(schema, format!("{} must be an object", place()))),
        (_, Value::Array(_)) => Err(invalid(schema, format!("{} must be an array", place()))),
        (NodeValue::Number(text), value) if !says(text, value) => {
            Err(invalid(schema, format!("the number at {} was not read exactly", place())))
        }
        _ => Ok(()),
    }
}

/// True if the value is this number, as a number or as a string.
fn says(text: &str, value: &Value) -> bool {
    let read = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return false,
    };
    compare_decimals(text, &read) == Some(Ordering::Equal)
}

/// The reader's message in the words of JSON, its place first.
fn problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    let text = match text.rsplit_once("expected ") {
        // What stands before the last `expected` may quote the document; what follows is the reader's own.
        Some((before, expected)) if text.starts_with("invalid ") => format!("{before}expected {}", wanted(expected)),
        _ => text.to_owned(),
    };
    let text = [("map", "object"), ("sequence", "array"), ("floating point", "number"), ("integer", "number")]
        .into_iter()
        .find_map(|(theirs, ours)| {
            let rest = text.strip_prefix("invalid type: ")?.strip_prefix(theirs)?;
            Some(format!("invalid type: {ours}{rest}"))
        })
        .unwrap_or(text);
    format!("line {}, column {}: {text}", error.line(), error.column())
}

/// What the reader wanted, in the words of JSON.
fn wanted(expected: &str) -> &str {
    match expected {
        "a sequence" => "an array",
        "a map" => "an object",
        "u32" | "u64" => "a whole number",
        "variant identifier" | "value" | "string or map" => "a word",
        other if other.starts_with("enum ") || other.starts_with("unit ") => "a word",
        other => other,
    }
}

/// An optional scalar that is there, null included.
pub(super) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Scalar>, D::Error> {
    Scalar::deserialize(deserializer).map(Some)
}

/// Refuses an empty text.
pub(super) fn filled(schema: &'static str, fields: &[(&str, &str)]) -> Result<()> {
    match fields.iter().find(|(_, text)| text.is_empty()) {
        Some((field, _)) => Err(invalid(schema, format!("{field} is empty"))),
        None => Ok(()),
    }
}

/// Refuses a hash without its label. What follows the label is opaque in foreign documents.
pub(super) fn labelled(schema: &'static str, field: &str, hash: &str) -> Result<()> {
    match hash.strip_prefix("sha256:") {
        Some(digits) if !digits.is_empty() => Ok(()),
        _ => Err(invalid(schema, format!("{field} must begin with sha256: and go on"))),
    }
}

/// Refuses what is not an RFC 3339 instant.
pub(super) fn instant(schema: &'static str, field: &str, text: &str) -> Result<()> {
    match Instant::parse(text) {
        Ok(_) => Ok(()),
        Err(_) => Err(invalid(schema, format!("{field} is not an RFC 3339 instant"))),
    }
}

/// The rule of every patch: not empty, within the allow-list, and the allow-list never holds the key or the tenant.
pub(super) fn patch(
    schema: &'static str,
    patch: &Columns,
    allowed: &[Identifier],
    key: &Identifier,
    tenant: &Identifier,
) -> Result<()> {
    if patch.is_empty() {
        return Err(invalid(schema, "patch is empty"));
    }
    if let Some(column) = patch.keys().find(|column| !allowed.contains(column)) {
        return Err(invalid(schema, format!("patch column {column} is not in allowed_columns")));
    }
    for (what, column) in [("primary key", key), ("tenant", tenant)] {
        if allowed.contains(column) {
            return Err(invalid(schema, format!("the {what} column {column} is in allowed_columns")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_read_as_its_neighbour_is_noticed() {
        assert!(
            says("10.50", &Value::from(10.5)) && says("10.50", &Value::from("10.5")) && says("-0", &Value::from(-0.0))
        );
        assert!(!says("10.5", &Value::from("10.25")) && !says("1", &Value::Bool(true)) && !says("0", &Value::Null));
    }

    #[test]
    fn numbers_survive_or_are_refused() {
        for good in ["0", "-7", "18446744073709551615", "10.5", "10.50", "1.0", "1e3", "0.1"] {
            assert!(survives(good), "{good}");
        }
        for bad in ["0.1000000000000000055511151231257827", "1e400", "18446744073709551616123", "9007199254740993.0"] {
            assert!(!survives(bad), "{bad}");
        }
    }
}
