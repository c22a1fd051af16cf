//! Strict JSON: duplicate keys, lone surrogates and nesting beyond 64 levels are refused, numbers keep their text, and
//! every value knows where it stood. Built on `serde_json`'s raw values, whose borrowed text gives the offset.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::scalar::Scalar;
use crate::error::{Code, Error, Result};

/// How deep a document may nest.
pub const MAX_DEPTH: usize = 64;

/// A value and the byte offset at which it stands in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Bytes from the beginning of the text.
    pub offset: usize,
    /// The value.
    pub value: NodeValue,
}

/// A JSON value whose numbers are text and whose objects keep their order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeValue {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as written.
    Number(String),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<Node>),
    /// An object; its keys are unique.
    Object(Vec<(String, Node)>),
}

impl Node {
    /// The scalar, if it is one.
    #[must_use]
    pub fn scalar(&self) -> Option<Scalar> {
        match &self.value {
            NodeValue::Null => Some(Scalar::Null),
            NodeValue::Bool(value) => Some(Scalar::Bool(*value)),
            NodeValue::Number(text) => Some(Scalar::from_number_text(text)),
            NodeValue::String(text) => Some(Scalar::Text(text.clone())),
            NodeValue::Array(_) | NodeValue::Object(_) => None,
        }
    }

    /// The value as plain JSON in which no number is inexact: integers beyond ±(2^53−1) and decimals are strings.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match &self.value {
            NodeValue::Object(entries) => {
                Value::Object(entries.iter().map(|(key, node)| (key.clone(), node.to_value())).collect())
            }
            NodeValue::Array(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            _ => self.scalar().map_or(Value::Null, |scalar| scalar.to_json()),
        }
    }

    /// The string, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            NodeValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// The entries, if it is an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&[(String, Node)]> {
        match &self.value {
            NodeValue::Object(entries) => Some(entries),
            _ => None,
        }
    }

    /// The items, if it is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Node]> {
        match &self.value {
            NodeValue::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The member of an object with this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_object()?.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }
}

/// Reads a whole document.
///
/// # Errors
/// `JSON_INVALID` with line and column, `JSON_DUPLICATE_KEY` with the pointer of the object, `JSON_TOO_DEEP`.
pub fn parse(text: &str) -> Result<Node> {
    #[cfg(test)]
    PARSED.with(|count| count.set(count.get() + 1));
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| invalid(&error, 0, 0))?;
    Reader { text }.node(raw, "", 0)
}

#[cfg(test)]
thread_local! {
    /// How often this thread read a document: proves what was not read.
    pub(crate) static PARSED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Line and column, both from 1, of a byte offset. Columns count characters.
#[must_use]
pub fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before.get(line_start..).unwrap_or_default().chars().count() + 1)
}

/// A key as a JSON pointer segment (RFC 6901).
#[must_use]
pub fn pointer(parent: &str, key: &str) -> String {
    format!("{parent}/{}", key.replace('~', "~0").replace('/', "~1"))
}

struct Reader<'a> {
    text: &'a str,
}

impl<'a> Reader<'a> {
    fn node(&self, raw: &'a RawValue, at: &str, depth: usize) -> Result<Node> {
        if depth > MAX_DEPTH {
            return Err(Error::new(Code::JsonTooDeep).with("limit", MAX_DEPTH));
        }
        let source = raw.get();
        // The raw text is a slice of `text`, so the distance of the two pointers is the offset.
        let offset = (source.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let fail = |error: serde_json::Error| {
            let (line, column) = line_column(self.text, offset);
            invalid(&error, line, column)
        };
        let value = match source.as_bytes().first() {
            Some(b'{') => {
                let entries = Shallow(Object).read(source).map_err(fail)?;
                let mut out: Vec<(String, Node)> = Vec::with_capacity(entries.len());
                let mut seen = std::collections::HashSet::with_capacity(entries.len());
                for (key, raw) in entries {
                    if !seen.insert(key.clone()) {
                        let place = if at.is_empty() { "the document" } else { at };
                        return Err(Error::new(Code::JsonDuplicateKey).with("key", key).with("pointer", place));
                    }
                    let node = self.node(raw, &pointer(at, &key), depth + 1)?;
                    out.push((key, node));
                }
                NodeValue::Object(out)
            }
            Some(b'[') => {
                let items = Shallow(Array).read(source).map_err(fail)?;
                let nodes = items.into_iter().enumerate();
                NodeValue::Array(
                    nodes
                        .map(|(i, raw)| self.node(raw, &pointer(at, &i.to_string()), depth + 1))
                        .collect::<Result<_>>()?,
                )
            }
            Some(b'"') => NodeValue::String(serde_json::from_str(source).map_err(fail)?),
            Some(b't') => NodeValue::Bool(true),
            Some(b'f') => NodeValue::Bool(false),
            Some(b'n') => NodeValue::Null,
            _ => NodeValue::Number(source.to_owned()),
        };
        Ok(Node { offset, value })
    }
}

fn invalid(error: &serde_json::Error, base_line: usize, base_column: usize) -> Error {
    let (line, column) = match (base_line, error.line()) {
        (0, line) => (line, error.column()),
        (base, 0 | 1) => (base, base_column + error.column().saturating_sub(1)),
        (base, line) => (base + line - 1, error.column()),
    };
    let text = error.to_string();
    let problem = text.split(" at line ").next().unwrap_or_default().to_owned();
    Error::new(Code::JsonInvalid).with("line", line).with("column", column).with("problem", problem)
}

/// Reads one level and leaves the values below it raw.
struct Shallow<T>(T);
struct Object;
struct Array;

impl Shallow<Object> {
    fn read(self, text: &str) -> Result<Vec<(String, &RawValue)>, serde_json::Error> {
        self.deserialize(&mut serde_json::Deserializer::from_str(text))
    }
}

impl Shallow<Array> {
    fn read(self, text: &str) -> Result<Vec<&RawValue>, serde_json::Error> {
        self.deserialize(&mut serde_json::Deserializer::from_str(text))
    }
}

impl<'de> DeserializeSeed<'de> for Shallow<Object> {
    type Value = Vec<(String, &'de RawValue)>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Shallow<Object> {
    type Value = Vec<(String, &'de RawValue)>;
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(entries)
    }
}

impl<'de> DeserializeSeed<'de> for Shallow<Array> {
    type Value = Vec<&'de RawValue>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Shallow<Array> {
    type Value = Vec<&'de RawValue>;
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_numbers_offsets_and_order() {
        let text = "{\n  \"b\": 9007199254740993,\n  \"a\": [1.50, \"x\\n\"]\n}";
        let node = parse(text).unwrap();
        let b = node.get("b").unwrap();
        assert_eq!(b.value, NodeValue::Number("9007199254740993".into()));
        assert_eq!(line_column(text, b.offset), (2, 8));
        let a = node.get("a").unwrap().as_array().unwrap();
        assert_eq!(a[0].value, NodeValue::Number("1.50".into()));
        assert_eq!(line_column(text, a[1].offset), (3, 15));
        assert_eq!(a[1].as_str(), Some("x\n"));
    }

    #[test]
    fn refuses_duplicates_depth_and_garbage() {
        let duplicate = parse(r#"{"a":{"k":1,"k":2}}"#).unwrap_err();
        assert_eq!((duplicate.code(), duplicate.field("pointer")), (Code::JsonDuplicateKey, Some("/a")));
        assert_eq!(parse(r#"{"a":1,"\u0061":2}"#).unwrap_err().code(), Code::JsonDuplicateKey);
        let deep = format!("{}1{}", "[".repeat(65), "]".repeat(65));
        assert_eq!(parse(&deep).unwrap_err().code(), Code::JsonTooDeep);
        assert!(parse(&format!("{}1{}", "[".repeat(64), "]".repeat(64))).is_ok());
        for bad in ["", "{", "{\"a\":}", "[1,]", "NaN", "01", "\"\\ud800\"", "1 2", &"[".repeat(100_000)] {
            assert!(matches!(parse(bad).unwrap_err().code(), Code::JsonInvalid | Code::JsonTooDeep));
        }
        let error = parse("{\n \"a\": tru }").unwrap_err();
        assert_eq!(error.field("line"), Some("2"));
    }
}
