//! How calls ended, for who watches the door: by tool and by code, in the text format that Prometheus reads.

use std::collections::BTreeMap;
#[cfg(feature = "mcp-http")]
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::catalogue::Envelope;

/// Names are those of the contract, and codes those of the catalogue: nothing that a client sends makes a line.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<BTreeMap<String, Calls>>);

#[derive(Debug, Default)]
struct Calls {
    by_outcome: BTreeMap<String, u64>,
    took: Duration,
}

impl Counts {
    pub(super) fn count(&self, tool: &str, answer: &Envelope, took: Duration) {
        let code = ["/error/code", "/code"].iter().find_map(|at| answer.body.pointer(at).and_then(Value::as_str));
        let outcome = code.unwrap_or(if answer.is_error { "error" } else { "ok" });
        let mut tools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !tools.contains_key(tool) {
            tools.insert(tool.to_owned(), Calls::default());
        }
        if let Some(calls) = tools.get_mut(tool) {
            match calls.by_outcome.get_mut(outcome) {
                Some(count) => *count += 1,
                None => drop(calls.by_outcome.insert(outcome.to_owned(), 1)),
            }
            calls.took += took;
        }
    }

    /// The lines.
    #[cfg(feature = "mcp-http")]
    pub(super) fn shown(&self) -> String {
        let tools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = String::from(
            "# HELP signoff_tool_calls_total Calls of tools, by how they ended.\n# TYPE signoff_tool_calls_total counter\n",
        );
        for (tool, calls) in tools.iter() {
            for (outcome, count) in &calls.by_outcome {
                let _ = writeln!(out, "signoff_tool_calls_total{{tool=\"{tool}\",outcome=\"{outcome}\"}} {count}");
            }
        }
        out.push_str("# HELP signoff_tool_seconds_total Time that calls of tools took.\n# TYPE signoff_tool_seconds_total counter\n");
        for (tool, calls) in tools.iter() {
            let _ = writeln!(out, "signoff_tool_seconds_total{{tool=\"{tool}\"}} {}", calls.took.as_secs_f64());
        }
        out
    }
}
