//! Walking the JSON tree with its pointer, and collecting what is found on the way.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::contract::concealed::shown;
use crate::contract::diagnostics::{self as d, Diagnostic, DiagnosticInfo, Severity};
use crate::contract::keys::ObjectInfo;
use crate::error::nearest;
use crate::primitives::json::{self, Node, NodeValue};
use crate::primitives::{Identifier, Scalar};

/// Beyond this many findings nobody reads on, and a hostile file would buy time with them.
const MOST_FINDINGS: usize = 500;

/// The largest timeout: what a signed 32-bit count of milliseconds holds, the limit of every engine and timer behind it.
const LONGEST_MS: u64 = 2_147_483_647;

/// A value and its pointer.
#[derive(Clone)]
pub(super) struct At<'n> {
    pub node: &'n Node,
    pub pointer: String,
}

/// A place without a value: where something is missing, the value itself, or its key.
pub(super) struct Spot {
    offset: usize,
    pointer: String,
    key: bool,
}

impl<'n> At<'n> {
    pub fn root(node: &'n Node) -> Self {
        Self { node, pointer: String::new() }
    }

    pub fn get(&self, key: &str) -> Option<Self> {
        self.node.get(key).map(|node| Self { node, pointer: json::pointer(&self.pointer, key) })
    }

    /// The members, if it is an object.
    pub fn members(&self) -> Option<Vec<(&'n str, Self)>> {
        let member =
            |(key, node): &'n (String, Node)| (key.as_str(), Self { node, pointer: json::pointer(&self.pointer, key) });
        self.node.as_object().map(|entries| entries.iter().map(member).collect())
    }

    /// The items, if it is an array.
    pub fn items(&self) -> Option<Vec<Self>> {
        let item =
            |(index, node): (usize, &'n Node)| Self { node, pointer: json::pointer(&self.pointer, &index.to_string()) };
        self.node.as_array().map(|nodes| nodes.iter().enumerate().map(item).collect())
    }

    pub fn is_object(&self) -> bool {
        self.node.as_object().is_some()
    }

    pub fn is_null(&self) -> bool {
        matches!(self.node.value, NodeValue::Null)
    }

    /// The text, if it is a string with something in it.
    pub fn text(&self) -> Option<&'n str> {
        // A byte order mark is white space to JavaScript, and so to v1.
        let blank = |text: &str| text.chars().all(|c| c.is_whitespace() || c == '\u{feff}');
        self.node.as_str().filter(|text| !blank(text))
    }

    pub fn boolean(&self) -> Option<bool> {
        match self.node.value {
            NodeValue::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The value as plain JSON; a number that does not fit becomes its text.
    pub fn plain(&self) -> Value {
        plain(self.node)
    }

    pub fn identifier(&self) -> Option<Identifier> {
        self.node.as_str().and_then(|text| Identifier::new(text).ok())
    }

    /// The number as written, if it is one that can be compared exactly.
    pub fn number(&self) -> Option<Scalar> {
        match &self.node.value {
            NodeValue::Number(text) => crate::primitives::compare_decimals(text, "0").and(self.node.scalar()),
            _ => None,
        }
    }

    /// A whole number of at least 1. `3000.0` and `3e3` count, as they do for every JavaScript reader of the file.
    pub fn positive(&self) -> Option<u64> {
        let NodeValue::Number(text) = &self.node.value else { return None };
        let exact = match text.parse::<u64>() {
            Ok(value) => value,
            Err(_) => {
                let value =
                    text.parse::<f64>().ok().filter(|value| value.fract() == 0.0 && (1.0..1e15).contains(value))?;
                format!("{value:.0}").parse().ok()?
            }
        };
        (exact > 0).then_some(exact)
    }

    /// A timeout in milliseconds.
    pub fn milliseconds(&self) -> Option<u64> {
        self.positive().filter(|value| *value <= LONGEST_MS)
    }

    /// The name of an environment variable.
    pub fn env_name(&self) -> Option<String> {
        self.node.as_str().filter(|text| is_env_name(text)).map(str::to_owned)
    }

    pub fn spot(&self) -> Spot {
        Spot { offset: self.node.offset, pointer: self.pointer.clone(), key: false }
    }

    /// This member's key: what is wrong is that it stands there, or its name.
    pub fn key(&self) -> Spot {
        Spot { key: true, ..self.spot() }
    }

    /// The key of this member.
    pub fn key_of(&self, key: &str) -> Spot {
        Spot { key: self.node.get(key).is_some(), ..self.spot_of(key) }
    }

    /// Where this member stands, or would stand.
    pub fn spot_of(&self, key: &str) -> Spot {
        let offset = self.node.get(key).map_or(self.node.offset, |node| node.offset);
        Spot { offset, pointer: json::pointer(&self.pointer, key), key: false }
    }
}

fn plain(node: &Node) -> Value {
    match &node.value {
        NodeValue::Array(items) => Value::Array(items.iter().map(plain).collect()),
        NodeValue::Object(entries) => {
            Value::Object(entries.iter().map(|(key, node)| (key.clone(), plain(node))).collect())
        }
        _ => node.scalar().map_or(Value::Null, |scalar| scalar.to_json()),
    }
}

pub(in crate::contract) fn is_env_name(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_uppercase() || b == b'_');
    first && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// Letters, digits, `_`, `.` and `-`, starting with a letter or `_`.
pub(super) fn is_safe_name(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// What was found so far.
pub(super) struct Findings<'t> {
    text: &'t str,
    list: Vec<Diagnostic>,
    errors: usize,
    /// Where numbers stand that were reported as infinite: nothing else is said of them.
    infinite: BTreeSet<usize>,
    /// False: unknown fields pass.
    pub strict: bool,
}

impl<'t> Findings<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { text, list: Vec::new(), errors: 0, infinite: BTreeSet::new(), strict: true }
    }

    /// Reports with the table's own words.
    pub fn report(&mut self, info: &'static DiagnosticInfo, spot: Spot) {
        self.push(info, spot, info.meaning.to_owned(), None);
    }

    /// Reports with a more precise message.
    pub fn say(&mut self, info: &'static DiagnosticInfo, spot: Spot, message: String) {
        self.push(info, spot, message, None);
    }

    /// Reports a word that is none of the known ones.
    pub fn mistyped<'k>(
        &mut self,
        info: &'static DiagnosticInfo,
        spot: Spot,
        message: String,
        word: &str,
        known: impl IntoIterator<Item = &'k str>,
    ) {
        let help = nearest(word, known).map(|near| format!("did you mean `{}`?", shown(near)));
        self.push(info, spot, message, help);
    }

    fn push(&mut self, info: &'static DiagnosticInfo, spot: Spot, message: String, help: Option<String>) {
        if self.infinite.contains(&spot.offset) {
            return;
        }
        let offset = if spot.key { json::key_offset(self.text, spot.offset) } else { spot.offset };
        let (line, column) =
            if self.list.len() < MOST_FINDINGS { json::line_column(self.text, offset) } else { (1, 1) };
        self.push_at(info, spot.pointer, line, column, message, help);
    }

    pub fn push_at(
        &mut self,
        info: &'static DiagnosticInfo,
        pointer: String,
        line: usize,
        column: usize,
        message: String,
        help: Option<String>,
    ) {
        // The first error is kept even if warnings filled the list: a refusal must say why.
        let first_error = info.severity == Severity::Error && self.errors == 0;
        self.errors += usize::from(info.severity == Severity::Error);
        if self.list.len() < MOST_FINDINGS || first_error {
            let help = help.or_else(|| (!info.help.is_empty()).then(|| info.help.to_owned()));
            self.list.push(Diagnostic {
                code: info.code,
                severity: info.severity,
                pointer,
                line,
                column,
                message,
                help,
            });
        }
    }

    /// Every member must be one of its keys.
    pub fn closed(&mut self, at: &At<'_>, known: &ObjectInfo) {
        if !self.strict {
            return;
        }
        for (key, member) in at.members().unwrap_or_default() {
            // A forbidden key is reported as that, once.
            if !known.has(key) && forbidden(key).is_none() {
                let message = format!("`{}` is not known here", shown(key));
                self.mistyped(&d::UNKNOWN_FIELD, member.key(), message, key, known.names());
            }
        }
    }

    /// Like [`Self::closed`] for objects that v1 leaves open: what is not known there does nothing.
    pub fn open(&mut self, at: &At<'_>, known: &ObjectInfo) {
        for (key, member) in at.members().unwrap_or_default() {
            if !known.has(key) && forbidden(key).is_none() {
                let message = format!("`{}` is not known here and has no effect", shown(key));
                self.mistyped(&d::INERT_SETTING, member.key(), message, key, known.names());
            }
        }
    }

    /// The members in `keys` do nothing here.
    pub fn inert(&mut self, at: &At<'_>, keys: &[&str], why: &str) {
        for key in keys.iter().filter(|key| at.get(key).is_some()) {
            self.say(&d::INERT_SETTING, at.key_of(key), format!("`{key}` has no effect: {why}"));
        }
    }

    /// A `signoff` object: closed, our own settings.
    pub fn signoff<'n>(&mut self, at: &At<'n>, known: &ObjectInfo) -> Option<At<'n>> {
        let signoff = at.get("signoff")?;
        if !signoff.is_object() {
            self.report(&d::SIGNOFF_NOT_OBJECT, signoff.spot());
            return None;
        }
        self.closed(&signoff, known);
        Some(signoff)
    }

    /// A truth value, or `default` if it is absent.
    pub fn boolean(&mut self, at: &At<'_>, key: &str, default: bool) -> bool {
        match at.get(key) {
            None => default,
            Some(member) => member.boolean().unwrap_or_else(|| {
                self.say(&d::INVALID_BOOLEAN, member.spot(), format!("`{key}` must be true or false"));
                default
            }),
        }
    }

    /// A member that must pass `read` if it is there.
    pub fn optional<'n, T>(
        &mut self,
        at: &At<'n>,
        key: &str,
        info: &'static DiagnosticInfo,
        read: impl FnOnce(&At<'n>) -> Option<T>,
    ) -> Option<T> {
        let member = at.get(key)?;
        let value = read(&member);
        if value.is_none() {
            self.report(info, member.spot());
        }
        value
    }

    /// A member that must be there and pass `read`.
    pub fn required<'n, T>(
        &mut self,
        at: &At<'n>,
        key: &str,
        info: &'static DiagnosticInfo,
        read: impl FnOnce(&At<'n>) -> Option<T>,
    ) -> Option<T> {
        let value = at.get(key).as_ref().and_then(read);
        if value.is_none() {
            self.report(info, at.spot_of(key));
        }
        value
    }

    /// What has no place in a contract, wherever it stands: addresses, SQL, numbers without an end.
    pub fn scan(&mut self, at: &At<'_>) {
        if let NodeValue::Number(text) = &at.node.value
            && !text.parse::<f64>().is_ok_and(f64::is_finite)
        {
            let message = format!("{} is greater than every double", shown(text));
            self.say(&d::JSON_NUMBER_NOT_FINITE, at.spot(), message);
            self.infinite.insert(at.node.offset);
        }
        for (key, member) in at.members().unwrap_or_default() {
            if let Some(info) = forbidden(key) {
                self.say(info, member.key(), format!("`{key}`: {}", info.meaning));
            }
            self.scan(&member);
        }
        for item in at.items().unwrap_or_default() {
            self.scan(&item);
        }
    }

    pub fn failed(&self) -> bool {
        self.errors > 0
    }

    /// How many errors were found so far.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// The findings in the order of the text.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|finding| (finding.line, finding.column));
        self.list
    }
}

/// True for a key under which v1's users wrote addresses.
pub(in crate::contract) fn is_forbidden_address(key: &str) -> bool {
    forbidden(key).is_some_and(|info| info.code == d::INLINE_DATABASE_URL_FORBIDDEN.code)
}

fn forbidden(key: &str) -> Option<&'static DiagnosticInfo> {
    match key {
        "url" | "database_url" | "databaseUrl" | "read_url" | "readUrl" | "write_url" | "writeUrl"
        | "connection_string" | "connectionString" => Some(&d::INLINE_DATABASE_URL_FORBIDDEN),
        "sql" | "raw_sql" | "rawSql" | "statement" | "query_sql" | "querySql" => Some(&d::ARBITRARY_SQL_FORBIDDEN),
        _ => None,
    }
}
