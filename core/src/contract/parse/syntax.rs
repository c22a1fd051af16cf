//! A text that is not a JSON tree: why its reader refused it, as a finding.

use super::reader::Findings;
use crate::contract::diagnostics as d;
use crate::error::printable;
use crate::primitives::json::{Refusal, Why};

pub(super) fn report(findings: &mut Findings<'_>, refusal: Refusal) {
    let (info, message) = match refusal.why {
        Why::Invalid(problem) => (&d::JSON_INVALID, format!("not JSON: {}", printable(&problem))),
        Why::NotFinite => (&d::JSON_NUMBER_NOT_FINITE, "JSON has no NaN and no Infinity".to_owned()),
        Why::Duplicate(key) => {
            (&d::JSON_DUPLICATE_KEY, format!("key `{}` stands twice in one object", printable(&key)))
        }
        Why::TooDeep => (&d::JSON_TOO_DEEP, d::JSON_TOO_DEEP.meaning.to_owned()),
    };
    findings.push_at(info, refusal.pointer, refusal.line.max(1), refusal.column.max(1), message, None);
}
