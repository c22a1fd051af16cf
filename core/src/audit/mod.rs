//! A static review of the tools that an MCP server offers: what a model could do with them that it should not. It reads a
//! list of tools and calls none of them.
//!
//! ```
//! use signoff::audit::{Severity, audit, example};
//! let report = audit(&example(), "dangerous-db-mcp");
//! assert_eq!((report.summary.high, report.summary.medium, report.summary.low), (15, 12, 12));
//! assert!(report.reaches(Severity::High));
//! ```

mod discover;
mod example;
mod report;
mod rules;
#[cfg(test)]
mod tests;

pub use example::example;
pub use report::{DISCLAIMER, Finding, NotInspected, Report, Severity, Summary};
pub use rules::{RULES, Rule};

use serde_json::Value;

/// Reviews every tool that is found in a document: a `tools/list` answer, a manifest, a client's list of servers with their
/// tools. `target` is what the report calls it.
#[must_use]
pub fn audit(document: &Value, target: &str) -> Report {
    let tools = discover::tools(document);
    let mut findings = rules::review(&tools);
    findings.sort_by(|one, other| one.severity.cmp(&other.severity).then_with(|| one.tool.cmp(&other.tool)));
    Report::new(target, tools.len(), findings)
}
