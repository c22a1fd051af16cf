//! What a review found, for programs and for people.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use super::rules::{RULES, Rule};
use crate::error::printable;
use crate::primitives::Instant;

/// What a report is not.
pub const DISCLAIMER: &str = "This is a static risk review, not proof that an MCP server is secure.";

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// A model can do what it must not.
    High,
    /// Something will go wrong sooner or later.
    Medium,
    /// It could be better said.
    Low,
}

impl Severity {
    /// The word in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The rule's code.
    pub code: &'static str,
    /// The server, where several were looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The tool; none if it is about all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// What it means.
    pub message: &'static str,
    /// The words and arguments that tell.
    pub evidence: Vec<String>,
    /// What to do.
    pub recommendation: &'static str,
}

impl Finding {
    pub(super) fn new(rule: &Rule, tool: Option<String>, evidence: Vec<String>) -> Self {
        let Rule { code, severity, message, recommendation } = *rule;
        Self { severity, code, server: None, tool, message, evidence, recommendation }
    }

    /// The tool, with its server where there are several.
    fn place(&self) -> String {
        let tool = self.tool.as_deref().unwrap_or_default();
        match &self.server {
            Some(server) if tool.is_empty() => server.clone(),
            Some(server) => format!("{server}/{tool}"),
            None => tool.to_owned(),
        }
    }
}

/// How many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Tools that were looked at.
    pub tools_inspected: usize,
    /// Findings that are high.
    pub high: usize,
    /// Medium.
    pub medium: usize,
    /// Low.
    pub low: usize,
    /// All of them.
    pub total_findings: usize,
}

/// A server of a client's configuration that nobody looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NotInspected {
    /// What the client calls it.
    pub server: String,
    /// `stdio`, `http` or `unknown`.
    pub transport: &'static str,
    /// Why.
    pub reason: String,
}

/// A review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// `synapsor.mcp-audit.v1`.
    pub schema_version: &'static str,
    /// What was reviewed.
    pub target: String,
    /// [`DISCLAIMER`].
    pub disclaimer: &'static str,
    /// When it was made, where its caller has a clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated_at: Option<Instant>,
    /// How many.
    pub summary: Summary,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// What was not looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_inspected: Vec<NotInspected>,
}

impl Report {
    pub(super) fn new(target: &str, tools: usize, findings: Vec<Finding>) -> Self {
        let mut report = Self {
            schema_version: "synapsor.mcp-audit.v1",
            target: target.to_owned(),
            disclaimer: DISCLAIMER,
            generated_at: None,
            summary: Summary { tools_inspected: tools, ..Summary::default() },
            findings,
            not_inspected: Vec::new(),
        };
        report.count();
        report
    }

    /// A review of several servers, to which each is [added](Self::add).
    #[must_use]
    pub fn of_servers(target: &str) -> Self {
        super::audit(&Value::Null, target)
    }

    /// Reviews the tools of one server, too.
    pub fn add(&mut self, server: &str, document: &Value) {
        let other = super::audit(document, &self.target);
        // What is said of a list without tools is said once, and not beside some.
        let empty = self.summary.tools_inspected == 0;
        if other.summary.tools_inspected > 0 && empty {
            self.findings.clear();
        }
        if other.summary.tools_inspected > 0 || !empty {
            let named = |finding| Finding { server: Some(server.to_owned()), ..finding };
            self.findings.extend(other.findings.into_iter().map(named));
        }
        self.summary.tools_inspected += other.summary.tools_inspected;
        self.findings.sort_by(|one, other| {
            one.severity.cmp(&other.severity).then_with(|| (&one.server, &one.tool).cmp(&(&other.server, &other.tool)))
        });
        self.count();
    }

    /// Says of a server that nobody looked at it.
    pub fn not_inspected(&mut self, server: &str, transport: &'static str, reason: &str) {
        self.not_inspected.push(NotInspected { server: server.to_owned(), transport, reason: reason.to_owned() });
    }

    /// The same, made at this time.
    #[must_use]
    pub fn at(mut self, instant: Instant) -> Self {
        self.generated_at = Some(instant);
        self
    }

    fn count(&mut self) {
        let count = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        self.summary.high = count(Severity::High);
        self.summary.medium = count(Severity::Medium);
        self.summary.low = count(Severity::Low);
        self.summary.total_findings = self.findings.len();
    }

    /// True if something is at least so bad.
    #[must_use]
    pub fn reaches(&self, severity: Severity) -> bool {
        self.findings.iter().any(|finding| finding.severity <= severity)
    }

    /// For people at a terminal.
    #[must_use]
    pub fn human(&self) -> String {
        let Summary { tools_inspected, high, medium, low, .. } = self.summary;
        let mut out =
            format!("{}: {tools_inspected} tools, {high} high, {medium} medium, {low} low\n", printable(&self.target));
        for finding in &self.findings {
            let place = finding.place();
            let tool = if place.is_empty() { place } else { format!(" {}", printable(&place)) };
            let _ = writeln!(out, "{:<6} {}{tool}: {}", finding.severity.as_str(), finding.code, finding.message);
            if !finding.evidence.is_empty() {
                let _ = writeln!(out, "       seen: {}", printable(&finding.evidence.join(", ")));
            }
            let _ = writeln!(out, "       {}", finding.recommendation);
        }
        for NotInspected { server, transport, reason } in &self.not_inspected {
            let _ = writeln!(out, "not looked at: {} ({transport}): {}", printable(server), printable(reason));
        }
        out.push_str(DISCLAIMER);
        out.push('\n');
        out
    }

    /// For a page: a table.
    #[must_use]
    pub fn markdown(&self) -> String {
        let cell = |text: &str| {
            printable(text).replace('\\', "\\\\").replace('|', "\\|").replace('`', "\\`").replace('<', "&lt;")
        };
        let Summary { tools_inspected, high, medium, low, .. } = self.summary;
        let mut out = format!(
            "# MCP audit of {}\n\n{tools_inspected} tools, {high} high, {medium} medium, {low} low.\n\n| severity | code | tool | what | seen | what to do |\n|---|---|---|---|---|---|\n",
            cell(&self.target)
        );
        for finding in &self.findings {
            let _ = writeln!(
                out,
                "| {} | `{}` | {} | {} | {} | {} |",
                finding.severity.as_str(),
                finding.code,
                cell(&finding.place()),
                finding.message,
                cell(&finding.evidence.join(", ")),
                finding.recommendation
            );
        }
        if !self.not_inspected.is_empty() {
            out.push_str("\nNot looked at:\n\n");
        }
        for NotInspected { server, transport, reason } in &self.not_inspected {
            let _ = writeln!(out, "- {} ({transport}): {}", cell(server), cell(reason));
        }
        let _ = write!(out, "\n{DISCLAIMER}\n");
        out
    }

    /// For tools: a SARIF 2.1.0 log with one run. `uri` is where the target lies.
    #[must_use]
    pub fn sarif(&self, uri: &str) -> Value {
        let level = |severity| match severity {
            Severity::High => "error",
            Severity::Medium => "warning",
            Severity::Low => "note",
        };
        let rule = |rule: &&Rule| {
            json!({
                "id": rule.code,
                "shortDescription": { "text": rule.message },
                "help": { "text": rule.recommendation },
                "defaultConfiguration": { "level": level(rule.severity) },
            })
        };
        let result = |finding: &Finding| {
            let place = json!({ "physicalLocation": { "artifactLocation": { "uri": uri } } });
            let mut place = place;
            if let (Some(_), Some(object)) = (&finding.tool, place.as_object_mut()) {
                let tool = json!([{ "fullyQualifiedName": finding.place(), "kind": "function" }]);
                object.insert("logicalLocations".to_owned(), tool);
            }
            json!({
                "ruleId": finding.code,
                "level": level(finding.severity),
                "message": { "text": format!("{}; {}", finding.message, finding.recommendation) },
                "locations": [place],
            })
        };
        json!({
            "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": { "driver": {
                    "name": "signoff audit", "version": env!("CARGO_PKG_VERSION"),
                    "rules": RULES.iter().map(rule).collect::<Vec<_>>(),
                } },
                "results": self.findings.iter().map(result).collect::<Vec<_>>(),
            }],
        })
    }
}
