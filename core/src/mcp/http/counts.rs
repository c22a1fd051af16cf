//! What is counted, in the text format that Prometheus reads.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use http::StatusCode;

use crate::error::Code;

#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    answered: BTreeMap<u16, u64>,
    refused: BTreeMap<&'static str, u64>,
}

impl Counts {
    fn count(&self, with: impl FnOnce(&mut Counted)) {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn answered(&self, status: StatusCode) {
        self.count(|counted| *counted.answered.entry(status.as_u16()).or_default() += 1);
    }

    pub(super) fn refused(&self, code: Code) {
        self.count(|counted| *counted.refused.entry(code.as_str()).or_default() += 1);
    }

    pub(super) fn shown(&self, sessions: usize) -> String {
        let mut out = String::new();
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        out.push_str("# HELP signoff_http_responses_total Requests that were answered.\n# TYPE signoff_http_responses_total counter\n");
        for (status, count) in &counted.answered {
            let _ = writeln!(out, "signoff_http_responses_total{{status=\"{status}\"}} {count}");
        }
        out.push_str("# HELP signoff_http_refused_total Requests that did not reach a tool.\n# TYPE signoff_http_refused_total counter\n");
        for (code, count) in &counted.refused {
            let _ = writeln!(out, "signoff_http_refused_total{{code=\"{code}\"}} {count}");
        }
        let _ = writeln!(
            out,
            "# HELP signoff_mcp_sessions Sessions that are open.\n# TYPE signoff_mcp_sessions gauge\nsignoff_mcp_sessions {sessions}"
        );
        out
    }
}
