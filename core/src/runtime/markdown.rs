//! A story as Markdown, to hand to somebody who has no terminal here.

use std::fmt::Write as _;

use serde_json::Value;

use super::Replay;
use crate::error::{printable, quoted};

const NOTE: &str = "This is a local replay of a captured interaction, told from the ledger alone and checked against its chain and key. \
It is not time travel in the external database: what the rows hold today is not in it.";

impl Replay {
    /// The whole story as Markdown, under v1's headings. Whatever came from outside is in code, its hidden characters
    /// made visible.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut out = self.proposal_markdown();
        section(&mut out, "Approval");
        for decision in &self.approvals {
            let asserted = if decision.asserted { ", as its terminal asserted" } else { "" };
            let reason = decision.reason.as_deref().map(|text| format!(": {}", code(text))).unwrap_or_default();
            let who = code(&decision.approver);
            line(
                &mut out,
                format_args!("- {} by {who}{asserted} at {}{reason}", decision.decision, decision.decided_at),
            );
        }
        if self.approvals.is_empty() {
            line(&mut out, format_args!("Nobody has decided. The proposal is {}.", self.state));
        }
        section(&mut out, "Guarded Writeback");
        for record in &self.receipts {
            let receipt = &record.receipt;
            let status = serde_json::to_value(receipt.status).ok();
            let status = status.as_ref().and_then(Value::as_str).unwrap_or_default();
            let error =
                receipt.safe_error_code.as_deref().map(|code| format!(", {}", printable(code))).unwrap_or_default();
            line(
                &mut out,
                format_args!("- {status}{error}: {} rows, at {}", receipt.rows_affected, receipt.executed_at),
            );
            line(&mut out, format_args!("  - idempotency key {}", code(&receipt.idempotency_key)));
            line(&mut out, format_args!("  - receipt {}", code(&receipt.receipt_hash)));
        }
        if self.receipts.is_empty() {
            line(&mut out, format_args!("None: the proposal is {}.", self.state));
        }
        section(&mut out, "Query Audit");
        for audit in &self.query_audit {
            let word = |name: &str| audit.get(name).map(plain).unwrap_or_default();
            let (table, rows, print) = (word("table_name"), word("row_count"), word("query_fingerprint"));
            line(
                &mut out,
                format_args!(
                    "- {} in {}: {rows} rows, fingerprint {}",
                    code(&word("outcome")),
                    code(&table),
                    code(&print)
                ),
            );
        }
        section(&mut out, "What Happened");
        for event in &self.events {
            line(&mut out, format_args!("{}. {} {} by {}", event.seq, event.at, code(&event.kind), code(&event.actor)));
        }
        section(&mut out, "Replay Note");
        line(&mut out, format_args!("{NOTE}"));
        out
    }

    /// The proposal alone as Markdown: what was asked, on what grounds, and the exact diff.
    #[must_use]
    pub fn proposal_markdown(&self) -> String {
        let set = |pointer: &str| self.proposal.pointer(&format!("/change_set{pointer}")).unwrap_or(&Value::Null);
        let word = |pointer: &str| code(&plain(set(pointer)));
        let mut out = String::new();
        line(&mut out, format_args!("# Synapsor Replay\n"));
        line(&mut out, format_args!("- replay {}", code(&self.replay_id)));
        line(&mut out, format_args!("- proposal {}, {}", word("/proposal_id"), self.state));
        line(&mut out, format_args!("- hash {}", word("/integrity/proposal_hash")));
        section(&mut out, "What The Agent Requested");
        line(&mut out, format_args!("- capability {}", word("/action")));
        line(&mut out, format_args!("- object {} {}", word("/scope/business_object"), word("/scope/object_id")));
        line(&mut out, format_args!("- at {}", word("/created_at")));
        section(&mut out, "Trusted Context");
        line(&mut out, format_args!("- tenant {}", word("/scope/tenant_id")));
        line(&mut out, format_args!("- principal {}, from {}", word("/principal/id"), word("/principal/source")));
        section(&mut out, "Evidence");
        line(&mut out, format_args!("- bundle {}", word("/evidence/bundle_id")));
        line(&mut out, format_args!("- query fingerprint {}", word("/evidence/query_fingerprint")));
        let target = format!("{}.{}", plain(set("/source/schema")), plain(set("/source/table")));
        let key = format!("{} = {}", plain(set("/source/primary_key/column")), plain(set("/source/primary_key/value")));
        line(
            &mut out,
            format_args!("- row {} of {} in source {}", code(&key), code(&target), word("/source/source_id")),
        );
        section(&mut out, "Proposed Diff");
        line(&mut out, format_args!("| column | before | proposed |\n|---|---|---|"));
        for (column, proposed) in set("/patch").as_object().into_iter().flatten() {
            let before = set("/before").get(column).unwrap_or(&Value::Null);
            line(
                &mut out,
                format_args!("| {} | {} | {} |", cell(column), cell(&whole(before)), cell(&whole(proposed))),
            );
        }
        out
    }
}

fn section(out: &mut String, heading: &str) {
    line(out, format_args!("\n## {heading}\n"));
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A value that somebody decided on: texts are quoted, so that `"null"` is not `null`.
fn whole(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), quoted)
}

/// As code that nothing in the text can end.
fn code(text: &str) -> String {
    fenced(&visible(text))
}

/// The same in a table, where a bar ends the cell even in code.
fn cell(text: &str) -> String {
    fenced(&visible(text).replace('|', "\\|"))
}

/// The whole text, its hidden characters made visible.
fn visible(text: &str) -> String {
    text.chars().map(|character| printable(character.encode_utf8(&mut [0; 4]))).collect()
}

/// In more backticks than any run of them in the text.
fn fenced(text: &str) -> String {
    let mut longest = 0;
    for run in text.split(|c| c != '`') {
        longest = longest.max(run.len());
    }
    let fence = "`".repeat(longest + 1);
    let space = if text.starts_with('`') || text.ends_with('`') || text.is_empty() { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_ends_its_code_or_its_cell() {
        assert_eq!(code("plain"), "`plain`");
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code("# no heading\n## nor this"), "`# no heading\\u{a}## nor this`");
        assert_eq!(cell("a|b\u{202e}"), "`a\\|b\\u{202e}`");
        assert_eq!(whole(&Value::from("null")), "\"null\"");
    }
}
