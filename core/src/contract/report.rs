//! Findings for people, with the line they are about, and for tools, as SARIF.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::concealed::conceal;
use super::diagnostics::{DIAGNOSTICS, Diagnostic, Severity};
use crate::error::printable;

/// The most characters of a line that are shown around a finding.
const WIDEST: usize = 100;

/// What was found in one text.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// The path by which the reader knows the text.
    pub path: &'a str,
    /// The text.
    pub text: &'a str,
    /// The findings, as [`Contract::parse`](super::Contract::parse) gives them.
    pub diagnostics: &'a [Diagnostic],
}

impl Report<'_> {
    /// For people: each finding with its line and a mark below the place. What looks like a credential is not shown.
    #[must_use]
    pub fn human(&self, colour: bool) -> String {
        let mut lines = Lines::of(self.text);
        let mut out = String::new();
        for finding in self.diagnostics {
            one(&mut out, self.path, lines.number(finding.line), finding, &Paint(colour));
        }
        out
    }

    /// For tools: a SARIF 2.1.0 log with one run.
    #[must_use]
    pub fn sarif(&self) -> Value {
        let mut lines = Lines::of(self.text);
        let mut used: Vec<&str> = self.diagnostics.iter().map(|finding| finding.code).collect();
        used.sort_unstable();
        used.dedup();
        let rules: Vec<Value> =
            used.iter().filter_map(|code| DIAGNOSTICS.iter().find(|info| info.code == *code)).map(rule).collect();
        let mut result = |finding: &Diagnostic| {
            let end = finding.column + width(lines.number(finding.line).from(finding.column - 1));
            let mut message = finding.message.clone();
            if let Some(help) = &finding.help {
                let _ = write!(message, "; {help}");
            }
            json!({
                "ruleId": finding.code,
                "ruleIndex": used.iter().position(|code| *code == finding.code),
                "level": level(finding.severity),
                "message": { "text": message },
                "locations": [{
                    "physicalLocation": {
                        "artifactLocation": { "uri": uri(self.path) },
                        "region": {
                            "startLine": finding.line, "startColumn": finding.column,
                            "endLine": finding.line, "endColumn": end,
                        },
                    },
                    "logicalLocations": [{ "fullyQualifiedName": finding.pointer, "kind": "member" }],
                }],
            })
        };
        json!({
            "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": { "driver": { "name": "signoff", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
                "columnKind": "unicodeCodePoints",
                "results": self.diagnostics.iter().map(&mut result).collect::<Vec<_>>(),
            }],
        })
    }
}

/// Escape codes, or none.
struct Paint(bool);

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

fn one(out: &mut String, path: &str, line: &Line, finding: &Diagnostic, paint: &Paint) {
    let (word, code) = match finding.severity {
        Severity::Error => ("error", "1;31"),
        Severity::Warning => ("warning", "1;33"),
    };
    let gutter = " ".repeat(finding.line.to_string().len());
    let bar = paint.with("34", "|");
    let head = paint.with(code, &format!("{word}[{}]", finding.code));
    let _ = writeln!(out, "{head}{}", paint.with("1", &format!(": {}", finding.message)));
    let arrow = paint.with("34", "-->");
    let _ = writeln!(out, "{gutter}{arrow} {}:{}:{}", printable(path), finding.line, finding.column);
    let (excerpt, before, marked) = excerpt(line, finding.column);
    let number = paint.with("34", &finding.line.to_string());
    let _ = writeln!(out, "{gutter} {bar}\n{number} {bar} {excerpt}");
    let mark = paint.with(code, &"^".repeat(marked));
    let _ = writeln!(out, "{gutter} {bar} {}{mark}", " ".repeat(before));
    let place = if finding.pointer.is_empty() { "the document".to_owned() } else { printable(&finding.pointer) };
    let equals = paint.with("34", "=");
    let _ = writeln!(out, "{gutter} {equals} at {place}");
    if let Some(help) = &finding.help {
        let _ = writeln!(out, "{gutter} {equals} help: {help}");
    }
    out.push('\n');
}

/// The lines of a text. Findings come in their order, so one is kept at hand.
struct Lines<'t> {
    lines: Vec<&'t str>,
    number: usize,
    line: Line,
}

/// A line's characters, and which of them are inside of strings that are not shown.
#[derive(Default)]
struct Line {
    characters: Vec<char>,
    hidden: Vec<bool>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        Self { lines: text.split('\n').collect(), number: 0, line: Line::default() }
    }

    fn number(&mut self, number: usize) -> &Line {
        if number != self.number {
            let line = number.checked_sub(1).and_then(|index| self.lines.get(index)).copied().unwrap_or_default();
            let characters: Vec<char> = line.strip_suffix('\r').unwrap_or(line).chars().collect();
            let hidden = hidden(&characters);
            (self.number, self.line) = (number, Line { characters, hidden });
        }
        &self.line
    }
}

impl Line {
    fn from(&self, index: usize) -> &[char] {
        self.characters.get(index..).unwrap_or_default()
    }
}

/// How many characters the value or key that begins here has: a word or string to its end, of an object or array its
/// bracket.
fn width(characters: &[char]) -> usize {
    let mut rest = characters.iter();
    match rest.next() {
        None => 1,
        Some('"') => {
            let mut escaped = false;
            let mut count = 1;
            for character in rest {
                count += 1;
                match character {
                    '"' if !escaped => break,
                    _ => escaped = *character == '\\' && !escaped,
                }
            }
            count
        }
        Some('{' | '[' | '}' | ']' | ',' | ':') => 1,
        Some(_) => 1 + rest.take_while(|c| !c.is_whitespace() && !matches!(c, ',' | ']' | '}' | ':')).count(),
    }
}

/// The line as it may be shown, the characters before the mark and those of the mark.
fn excerpt(line: &Line, column: usize) -> (String, usize, usize) {
    let column = column.saturating_sub(1);
    let length = line.characters.len();
    // A window around the place: a minified file is one line.
    let from = if length > WIDEST { column.saturating_sub(WIDEST / 2).min(length.saturating_sub(WIDEST)) } else { 0 };
    let end = column + width(line.from(column));
    let (mut shown, mut before, mut marked) = (String::new(), 0, 0);
    if from > 0 {
        shown.push('…');
        before += 1;
    }
    for (index, character) in line.characters.iter().enumerate().skip(from).take(WIDEST) {
        let visible = match *character {
            _ if line.hidden.get(index) == Some(&true) => "*".to_owned(),
            '\t' => " ".to_owned(),
            other => printable(other.encode_utf8(&mut [0; 4])),
        };
        let width = visible.chars().count();
        if index < column {
            before += width;
        } else if index < end {
            marked += width;
        }
        shown.push_str(&visible);
    }
    if length > from + WIDEST {
        shown.push('…');
    }
    (shown.trim_end().to_owned(), before, marked.max(1))
}

/// Which characters of a line are inside of strings that are not shown.
fn hidden(characters: &[char]) -> Vec<bool> {
    let mut hidden = vec![false; characters.len()];
    let mut key: Option<String> = None;
    let mut at = 0;
    while let Some(next) = characters.get(at..).and_then(|rest| rest.iter().position(|character| *character == '"')) {
        at += next;
        let length = width(characters.get(at..).unwrap_or_default());
        let inside: String = characters.iter().skip(at + 1).take(length.saturating_sub(2)).collect();
        if characters.iter().skip(at + length).find(|c| !c.is_whitespace()) == Some(&':') {
            key = Some(inside);
        } else if conceal(key.as_deref(), &inside) {
            hidden.iter_mut().skip(at + 1).take(length.saturating_sub(2)).for_each(|hidden| *hidden = true);
        }
        at += length;
    }
    hidden
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn rule(info: &&super::DiagnosticInfo) -> Value {
    let help = if info.help.is_empty() { info.meaning } else { info.help };
    json!({
        "id": info.code,
        "shortDescription": { "text": info.meaning },
        "help": { "text": help },
        "defaultConfiguration": { "level": level(info.severity) },
    })
}

/// A path as a URI reference.
fn uri(path: &str) -> String {
    let path = path.replace('\\', "/");
    let mut out = String::new();
    if Path::new(&path).is_absolute() {
        out.push_str("file://");
    }
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Contract;

    fn human(text: &str) -> String {
        let found = Contract::parse(text).err().unwrap_or_default();
        Report { path: "signoff.json", text, diagnostics: &found }.human(false)
    }

    #[test]
    fn a_finding_is_shown_with_its_line() {
        let text = super::super::EXAMPLE.replace("\"storage\"", "\"storrage\"");
        let expected = "error[UNKNOWN_FIELD]: `storrage` is not known here\n --> signoff.json:4:3\n  |\n4 |   \"storrage\": { \"sqlite_path\": \".signoff/ledger.db\" },\n  |   ^^^^^^^^^^\n  = at /storrage\n  = help: did you mean `storage`?\n\n";
        assert_eq!(human(&text), expected);
        let colour = {
            let found = Contract::parse(&text).unwrap_err();
            Report { path: "signoff.json", text: &text, diagnostics: &found }.human(true)
        };
        assert!(colour.contains("\u{1b}[1;31merror[UNKNOWN_FIELD]\u{1b}[0m"));
    }

    #[test]
    fn the_mark_stands_below_the_place_whatever_is_before_it() {
        let long = format!("{{\"a\u{202e}\": \"{}\", \"version\": 2}}", "x".repeat(500));
        for text in
            [long.as_str(), "{\t\"é\u{7}\": 1, \"version\": 2}", "{\"version\":2,\r\n \"x\":1}", "", "\n\n", "[1,"]
        {
            let shown = human(text);
            let lines: Vec<&str> = shown.lines().collect();
            for (index, line) in lines
                .iter()
                .enumerate()
                .filter(|(_, line)| line.trim_start_matches(' ').starts_with("| ") && line.contains('^'))
            {
                assert!(!line.contains('\u{202e}'));
                let source = lines[index - 1];
                assert!(source.chars().count() < 130, "{source}");
                let at = line.chars().position(|c| c == '^').unwrap();
                if shown.contains("VERSION") && source.contains("\"version\"") && lines[index + 1].contains("/version")
                {
                    assert_eq!(source.chars().nth(at), Some('2'), "{shown}");
                }
            }
        }
    }

    #[test]
    fn what_looks_like_a_credential_is_not_shown() {
        for (key, value) in [
            ("read_url_env", "postgres://u:hunter2@h/d"),
            ("read_url_env", "hunter2"),
            ("write_url_env", "hunter2"),
            ("database_url", "hunter2"),
            ("engine", "postgres://u:hunter2@h/d"),
        ] {
            let text = super::super::EXAMPLE
                .replace("\"engine\": \"postgres\"", &format!("\"{key}\": \"{value}\", \"engine\": \"x\""));
            let shown = human(&text);
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        let text = super::super::EXAMPLE.replace("\"source\": \"shop\"", "\"source\": \"https://u:hunter2@h\"");
        let found = Contract::parse(&text).unwrap_err();
        assert!(found.iter().all(|finding| !finding.to_string().contains("hunter2")), "{found:?}");
        let report = Report { path: "/a b/signoff.json", text: &text, diagnostics: &found };
        let sarif = report.sarif();
        assert!(!sarif.to_string().contains("hunter2"));
        assert_eq!(
            sarif.pointer("/runs/0/results/0/locations/0/physicalLocation/artifactLocation/uri"),
            Some(&json!("file:///a%20b/signoff.json"))
        );
    }
}
