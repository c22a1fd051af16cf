//! Strict JSON: duplicate keys, lone surrogates and nesting beyond 64 levels are refused, numbers keep their text, and
//! every value knows where it stood. One pass; `serde_json` unescapes strings, and says what is wrong with a text that is no JSON.

use std::collections::HashSet;

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
    read(text).map_err(|refusal| refusal.error(text))
}

/// Reads a whole document; a refusal says where it stopped.
pub(crate) fn read(text: &str) -> std::result::Result<Node, Refusal> {
    #[cfg(test)]
    PARSED.with(|count| count.set(count.get() + 1));
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0 };
    reader.document().map_err(|problem| reader.refusal(problem))
}

/// Why a text is refused, and where.
pub(crate) struct Refusal {
    /// What is wrong.
    pub why: Why,
    /// The value that was being read, as a JSON pointer.
    pub pointer: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// What is wrong with a text.
pub(crate) enum Why {
    /// It is not JSON, in the words of its reader.
    Invalid(String),
    /// It is not JSON, for it holds `NaN` or `Infinity`.
    NotFinite,
    /// A key that stood before in its object.
    Duplicate(String),
    /// It nests too deep.
    TooDeep,
}

impl Refusal {
    fn error(self, text: &str) -> Error {
        let (line, column) = (self.line, self.column);
        match self.why {
            Why::Invalid(problem) => {
                Error::new(Code::JsonInvalid).with("line", line).with("column", column).with("problem", problem)
            }
            // Its reader's own words, as for every other text that is not JSON.
            Why::NotFinite => match serde_json::from_str::<&RawValue>(text) {
                Err(error) => {
                    let (line, column) = place(text, &error);
                    let found = Error::new(Code::JsonInvalid).with("line", line).with("column", column);
                    found.with("problem", words(&error))
                }
                Ok(_) => Error::new(Code::JsonInvalid).with("line", line).with("column", column),
            },
            Why::Duplicate(key) => {
                let object = self.pointer.rsplit_once('/').map_or("", |(object, _)| object);
                let object = if object.is_empty() { "the document" } else { object };
                Error::new(Code::JsonDuplicateKey).with("key", key).with("pointer", object)
            }
            Why::TooDeep => Error::new(Code::JsonTooDeep).with("limit", MAX_DEPTH),
        }
    }
}

/// The offset of the key whose value stands at this offset; the offset itself for what is no member. Backwards this is
/// without doubt: a quote inside a string has a backslash before it, the one that opens a string never has.
pub(crate) fn key_offset(text: &str, value: usize) -> usize {
    let before = |end: usize| text.get(..end).map(|text| text.trim_end_matches([' ', '\n', '\r', '\t']));
    let key = before(value).and_then(|text| before(text.strip_suffix(':')?.len())).and_then(|text| {
        let inside = text.strip_suffix('"')?;
        inside.rmatch_indices('"').map(|(at, _)| at).find(|at| !inside.get(..*at).unwrap_or_default().ends_with('\\'))
    });
    key.unwrap_or(value)
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

/// What a reader stopped at, and the way there, innermost first.
struct Problem {
    kind: Kind,
    way: Vec<String>,
}

enum Kind {
    /// Not JSON.
    Syntax,
    /// A string that is not one: its offset, and what its reader says.
    String(usize, serde_json::Error),
    /// A key that stood before, and its offset.
    Duplicate(String, usize),
    Depth,
}

impl From<Kind> for Problem {
    fn from(kind: Kind) -> Self {
        Self { kind, way: Vec::new() }
    }
}

impl Problem {
    fn inside(mut self, key: impl FnOnce() -> String) -> Self {
        self.way.push(key());
        self
    }
}

type Reading<T> = std::result::Result<T, Problem>;

/// Up to so many keys are compared one by one.
const FEW: usize = 32;

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// In words. A text that is no JSON at all is that first, wherever else the reader stopped.
    fn refusal(&self, problem: Problem) -> Refusal {
        let pointer = problem.way.iter().rev().fold(String::new(), |parent, key| pointer(&parent, key));
        if let Err(error) = serde_json::from_str::<&RawValue>(self.text) {
            if let (Kind::Syntax, Some(offset)) = (&problem.kind, self.not_finite()) {
                let (line, column) = line_column(self.text, offset);
                return Refusal { why: Why::NotFinite, pointer, line, column };
            }
            let (line, column) = place(self.text, &error);
            return Refusal { why: Why::Invalid(words(&error)), pointer: String::new(), line, column };
        }
        match problem.kind {
            Kind::Syntax => {
                Refusal { why: Why::Invalid("not JSON".to_owned()), pointer: String::new(), line: 1, column: 1 }
            }
            Kind::String(offset, error) => {
                // A string has one line: an escaped one, too.
                let at = self.text.floor_char_boundary(offset + error.column().saturating_sub(1));
                let (line, column) = line_column(self.text, at);
                Refusal { why: Why::Invalid(words(&error)), pointer: String::new(), line, column }
            }
            Kind::Duplicate(key, offset) => {
                let (line, column) = line_column(self.text, offset);
                Refusal { why: Why::Duplicate(key), pointer, line, column }
            }
            Kind::Depth => {
                let (line, column) = line_column(self.text, self.at);
                Refusal { why: Why::TooDeep, pointer, line, column }
            }
        }
    }

    /// Where `NaN` or `Infinity` begins, if that is what the reader stopped at.
    fn not_finite(&self) -> Option<usize> {
        let rest = self.text.get(self.at..)?;
        let found = rest.starts_with("NaN") || rest.starts_with("Infinity");
        let signed = self.text.get(..self.at).is_some_and(|before| before.ends_with('-'));
        found.then_some(if signed { self.at - 1 } else { self.at })
    }

    fn document(&mut self) -> Reading<Node> {
        let node = self.node(0)?;
        match self.next_byte() {
            None => Ok(node),
            Some(_) => Err(Kind::Syntax.into()),
        }
    }

    /// The next byte that is not white space, not taken.
    fn next_byte(&mut self) -> Option<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    fn take(&mut self, byte: u8) -> Reading<()> {
        if self.next_byte() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(Kind::Syntax.into())
        }
    }

    /// True after a comma, false after the end.
    fn goes_on(&mut self, end: u8) -> Reading<bool> {
        let byte = self.next_byte();
        self.at += 1;
        match byte {
            Some(b',') => Ok(true),
            Some(byte) if byte == end => Ok(false),
            _ => Err(Kind::Syntax.into()),
        }
    }

    fn node(&mut self, depth: usize) -> Reading<Node> {
        let first = self.next_byte().ok_or(Kind::Syntax)?;
        if depth > MAX_DEPTH {
            return Err(Kind::Depth.into());
        }
        let offset = self.at;
        let value = match first {
            b'{' => NodeValue::Object(self.object(depth)?),
            b'[' => NodeValue::Array(self.array(depth)?),
            b'"' => NodeValue::String(self.string()?),
            b't' => self.word("true", NodeValue::Bool(true))?,
            b'f' => self.word("false", NodeValue::Bool(false))?,
            b'n' => self.word("null", NodeValue::Null)?,
            _ => NodeValue::Number(self.number()?.to_owned()),
        };
        Ok(Node { offset, value })
    }

    fn object(&mut self, depth: usize) -> Reading<Vec<(String, Node)>> {
        self.at += 1;
        let mut entries: Vec<(String, Node)> = Vec::new();
        let mut seen = HashSet::new();
        if self.next_byte() == Some(b'}') {
            self.at += 1;
            return Ok(entries);
        }
        loop {
            if self.next_byte() != Some(b'"') {
                return Err(Kind::Syntax.into());
            }
            let offset = self.at;
            let key = self.string()?;
            let twice = if entries.len() < FEW {
                entries.iter().any(|(known, _)| *known == key)
            } else {
                if seen.is_empty() {
                    seen.extend(entries.iter().map(|(known, _)| known.clone()));
                }
                !seen.insert(key.clone())
            };
            if twice {
                return Err(Problem::from(Kind::Duplicate(key.clone(), offset)).inside(|| key));
            }
            self.take(b':')?;
            let node = self.node(depth + 1).map_err(|problem| problem.inside(|| key.clone()))?;
            entries.push((key, node));
            if !self.goes_on(b'}')? {
                return Ok(entries);
            }
        }
    }

    fn array(&mut self, depth: usize) -> Reading<Vec<Node>> {
        self.at += 1;
        let mut items = Vec::new();
        if self.next_byte() == Some(b']') {
            self.at += 1;
            return Ok(items);
        }
        loop {
            items.push(self.node(depth + 1).map_err(|problem| problem.inside(|| items.len().to_string()))?);
            if !self.goes_on(b']')? {
                return Ok(items);
            }
        }
    }

    fn word(&mut self, word: &str, value: NodeValue) -> Reading<NodeValue> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(Kind::Syntax.into());
        }
        self.at += word.len();
        Ok(value)
    }

    /// From quote to quote. Without an escape the text is the string.
    fn string(&mut self) -> Reading<String> {
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += 1;
            match self.bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 1;
                }
                Some(0..=0x1f) | None => return Err(Kind::Syntax.into()),
                Some(_) => {}
            }
        }
        self.at += 1;
        let whole = self.text.get(start..self.at).ok_or(Kind::Syntax)?;
        if escaped {
            return serde_json::from_str(whole).map_err(|error| Kind::String(start, error).into());
        }
        Ok(whole.get(1..whole.len() - 1).unwrap_or_default().to_owned())
    }

    /// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
    fn number(&mut self) -> Reading<&str> {
        let start = self.at;
        self.skip(|b| b == b'-', 1);
        match self.bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(Kind::Syntax.into()),
        }
        if self.skip(|b| b == b'.', 1) {
            self.digits()?;
        }
        if self.skip(|b| matches!(b, b'e' | b'E'), 1) {
            self.skip(|b| matches!(b, b'+' | b'-'), 1);
            self.digits()?;
        }
        self.text.get(start..self.at).ok_or_else(|| Kind::Syntax.into())
    }

    fn digits(&mut self) -> Reading<()> {
        if self.skip(|b| b.is_ascii_digit(), usize::MAX) { Ok(()) } else { Err(Kind::Syntax.into()) }
    }

    /// Takes at most so many such bytes; true if there was one.
    fn skip(&mut self, such: impl Fn(u8) -> bool, most: usize) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let count = rest.iter().take(most).take_while(|byte| such(**byte)).count();
        self.at += count;
        count > 0
    }
}

/// What a reader says, without its place.
fn words(error: &serde_json::Error) -> String {
    error.to_string().split(" at line ").next().unwrap_or_default().to_owned()
}

/// Where a reader stopped. It counts bytes.
fn place(text: &str, error: &serde_json::Error) -> (usize, usize) {
    let line = text.split('\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let characters = line.char_indices().take_while(|(at, _)| *at < error.column()).count();
    (error.line(), characters)
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

    /// What is JSON, and what its strings and numbers are, is for `serde_json` to say.
    #[test]
    fn reads_what_serde_json_reads() {
        let mut texts: Vec<String> = [
            "0",
            "-0",
            "-",
            "1.",
            ".1",
            "1e",
            "1e+",
            "1e+5",
            "-1.5E-3",
            "00",
            "1 ",
            " \t\r\n1",
            "\u{a0}1",
            "tru",
            "true1",
            "nul",
            "[]",
            "[ ]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{}",
            "{ }",
            "{\"a\" : 1}",
            "{a:1}",
            "{\"a\"}",
            "{\"a\":1,}",
            "{,}",
            "[[1],{\"b\":[{}]}]",
            "\"\"",
            "\"",
            "\"\\\"",
            "\"\\\\\"",
            "\"\\u00e9é\"",
            "\"\\ud83d\\ude02\"",
            "\"\\ud800\"",
            "\"\\x\"",
            "\"a\nb\"",
            "\"\u{7f}\"",
            "\u{feff}1",
            "",
            " ",
            "18446744073709551616",
            "1e400",
            "{\"é\":\"ü\"}",
            "[1,{\"k\":[\"\\/\"]},null,false]",
            "nullx",
            "{}{}",
            "]",
            "}",
        ]
        .map(str::to_owned)
        .to_vec();
        // Every text one character away from a document that has everything.
        let whole = r#"{"a":[1.5e-2,-0,"x\u00e9"],"b":{"c":null,"d":true}}"#;
        for (at, here) in whole.char_indices() {
            let (before, after) = whole.split_at(at);
            texts.push([before, after.strip_prefix(here).unwrap()].concat());
            texts.extend(["\"", "{", "]", ",", "0", "\\", "e", "\u{1}"].map(|new| [before, new, after].concat()));
        }
        for text in texts {
            let theirs = serde_json::from_str::<Value>(&text);
            match (parse(&text), theirs) {
                (Ok(node), Ok(value)) => assert!(same(&node, &value), "{text}: {node:?}"),
                // What only one of us reads: numbers beyond every float, and a key that stands twice.
                (Ok(_), Err(error)) => assert!(error.to_string().contains("out of range"), "{text}: {error}"),
                (Err(error), Ok(_)) => assert_eq!(error.code(), Code::JsonDuplicateKey, "{text}"),
                (Err(_), Err(_)) => {}
            }
        }
    }

    fn same(node: &Node, value: &Value) -> bool {
        match (&node.value, value) {
            (NodeValue::Object(entries), Value::Object(map)) => {
                let found = |(key, node): &(String, Node)| map.get(key).is_some_and(|value| same(node, value));
                entries.len() == map.len() && entries.iter().all(found)
            }
            (NodeValue::Array(items), Value::Array(values)) => {
                items.len() == values.len() && items.iter().zip(values).all(|(node, value)| same(node, value))
            }
            (NodeValue::Number(text), Value::Number(number)) => text.parse::<f64>().ok() == number.as_f64(),
            _ => node.to_value() == *value,
        }
    }

    #[test]
    fn columns_count_characters() {
        for (text, place) in
            [("{\"é\": x}", (1, 7)), ("[\n\"éé\", x]", (2, 7)), ("\"é", (1, 2)), ("[1,\n", (2, 0)), ("", (1, 0))]
        {
            let error = parse(text).unwrap_err();
            assert_eq!(
                (error.field("line"), error.field("column")),
                (Some(&*place.0.to_string()), Some(&*place.1.to_string())),
                "{text}"
            );
        }
    }

    #[test]
    fn a_refusal_says_where_it_stopped() {
        for (text, pointer, line, column) in [
            ("{\"a\":1,\n \"b\": NaN}", "/b", 2, 7),
            ("[1, -Infinity]", "/1", 1, 5),
            ("{\"a\": [{\"k\": 1, \"k\": 2}]}", "/a/0/k", 1, 17),
        ] {
            let refusal = read(text).err().unwrap();
            assert_eq!((refusal.pointer.as_str(), refusal.line, refusal.column), (pointer, line, column), "{text}");
        }
    }

    #[test]
    fn the_key_before_a_value_is_found_whatever_is_in_it() {
        for key in ["a", "", "\\\\", "\\\"", "a\\\\\\\"b: ", "{\\\", \\\"", "é"] {
            let text = format!("{{\"x\": [1], \"{key}\" \n:\t {{\"y\": 2}}}}");
            let node = parse(&text).unwrap();
            let value = &node.as_object().unwrap()[1].1;
            assert_eq!(key_offset(&text, value.offset), 11, "{text}");
            let item = &node.get("x").unwrap().as_array().unwrap()[0];
            assert_eq!((key_offset(&text, item.offset), key_offset(&text, 0)), (item.offset, 0));
        }
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
