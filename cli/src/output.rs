//! Answers on standard output, everything else on standard error. A reader that went away is not an error.

use std::io::{IsTerminal, Write};

use serde::Serialize;
use serde_json::json;
use signoff::Error;

/// Where answers go.
pub struct Output {
    json: bool,
    colour: bool,
}

impl Output {
    pub fn new(json: bool) -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { json, colour }
    }

    /// Is the answer for a program?
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Does a person look at it, in colour?
    pub fn colour(&self) -> bool {
        self.colour
    }

    /// The answer in a form of its own.
    pub fn raw(&mut self, text: &str) {
        let _ = std::io::stdout().write_all(text.as_bytes());
    }

    /// A line of a human answer; nothing in JSON.
    pub fn line(&mut self, text: impl AsRef<str>) {
        if !self.json {
            let _ = writeln!(std::io::stdout(), "{}", text.as_ref());
        }
    }

    /// The answer of a program; nothing for humans.
    pub fn value(&mut self, value: &impl Serialize) {
        if self.json {
            let text = serde_json::to_string_pretty(value).unwrap_or_default();
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }

    /// Something a person should know, beside the answer.
    pub fn warn(&mut self, text: impl AsRef<str>) {
        let _ = writeln!(std::io::stderr(), "warning: {}", text.as_ref());
    }

    /// How far a long work is, on a terminal only.
    pub fn progress(label: &str, done: u64, all: u64) {
        let mut stderr = std::io::stderr();
        if stderr.is_terminal() && all > 0 {
            let filled = usize::try_from(done.saturating_mul(30) / all).unwrap_or(30).min(30);
            let end = if done >= all { "\n" } else { "" };
            let _ = write!(stderr, "\r{label} [{}{}] {done}/{all}{end}", "#".repeat(filled), " ".repeat(30 - filled));
        }
    }

    pub fn error(&mut self, error: &Error) {
        if self.json {
            self.value(&json!({ "ok": false, "error": error }));
            return;
        }
        let mut text = format!("error: {}\n  code: {}", error.message(), error.code());
        if let Some(help) = error.help() {
            text.push_str(&format!("\n  help: {help}"));
        }
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// Red on a terminal.
    pub fn old(&self, text: &str) -> String {
        self.paint("31", text)
    }

    /// Green on a terminal.
    pub fn new_value(&self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Bold on a terminal.
    pub fn strong(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
