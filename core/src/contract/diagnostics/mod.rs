//! What can be said of a contract: every code once, with its severity, its meaning and what to do. A problem is reported
//! through its entry in the table, so a code that is not there cannot be emitted.

mod table;

use std::fmt;

use serde::Serialize;

pub use self::table::DIAGNOSTICS;
pub(super) use self::table::*;
use crate::error::printable;
use crate::primitives::json::line_column;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Severity {
    /// The contract is not used.
    Error,
    /// The contract is used; somebody should look.
    Warning,
}

/// One finding, with its place in the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Diagnostic {
    /// The stable code.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// The place as a JSON pointer (RFC 6901). Of a missing member, the pointer it would have.
    pub pointer: String,
    /// The line, from 1. Of a missing member, that of its parent.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let place = if self.pointer.is_empty() { "the document".to_owned() } else { printable(&self.pointer) };
        write!(formatter, "{}:{}: {severity} {} at {place}: {}", self.line, self.column, self.code, self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(formatter, "; {help}"))
    }
}

/// What the table says of one code.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DiagnosticInfo {
    /// The stable code.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// What it means; also the message where nothing more precise is known.
    pub meaning: &'static str,
    /// What to do; empty if the meaning says it.
    pub help: &'static str,
    /// A contract in which it is found, and it alone.
    #[serde(skip)]
    pub example: Example,
}

/// The contract that most examples are edits of.
pub const EXAMPLE: &str = include_str!("example.json");
/// The same for mode cloud.
pub const EXAMPLE_CLOUD: &str = include_str!("example.cloud.json");

/// A bad contract: a base, and what is replaced in it.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Example {
    /// [`EXAMPLE`], [`EXAMPLE_CLOUD`], or nothing if the edit is the whole text.
    pub base: &'static str,
    /// Each text stands once in the base and is replaced by the other. `§` marks the place of the finding.
    pub edits: &'static [(&'static str, &'static str)],
    /// The place as a JSON pointer.
    pub pointer: &'static str,
}

/// Where an example's finding points.
const MARK: char = '§';

impl Example {
    /// The bad contract.
    #[must_use]
    pub fn text(&self) -> String {
        self.marked().replace(MARK, "")
    }

    /// Line and column, from 1, of the mark.
    #[must_use]
    pub fn place(&self) -> (usize, usize) {
        let marked = self.marked();
        line_column(&marked, marked.find(MARK).unwrap_or(0))
    }

    fn marked(&self) -> String {
        self.edits.iter().fold(self.base.to_owned(), |text, (old, new)| match *old {
            "" => (*new).to_owned(),
            old => text.replacen(old, new, 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_and_read_alike() {
        let mut seen = BTreeSet::new();
        for info in DIAGNOSTICS {
            assert!(seen.insert(info.code), "{} stands twice", info.code);
            assert!(
                !info.meaning.is_empty() && !info.meaning.ends_with('.') && !info.help.ends_with('.'),
                "{}",
                info.code
            );
        }
    }

    #[test]
    fn one_line_whatever_the_input() {
        let diagnostic = Diagnostic {
            code: UNKNOWN_FIELD.code,
            severity: UNKNOWN_FIELD.severity,
            pointer: "/a\nb".into(),
            line: 2,
            column: 3,
            message: "no".into(),
            help: Some("did you mean `x`?".into()),
        };
        assert_eq!(diagnostic.to_string(), "2:3: error UNKNOWN_FIELD at /a\\u{a}b: no; did you mean `x`?");
    }
}
