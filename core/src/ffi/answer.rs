//! What a binding gets: success with a value, or failure with an error.

use std::collections::BTreeMap;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::guard::ColumnType;
use crate::ledger::ProposalRecord;
use crate::primitives::{Identifier, Scalar, compare_decimals};
use crate::protocol::ChangeSet;
use crate::runtime::{ProposalAnswer, ReadAnswer};

/// The answer to a request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Answer {
    /// It was done.
    Success(Value),
    /// It was not, and nothing is half done.
    Failure(Error),
}

impl From<crate::Result<Value>> for Answer {
    fn from(result: crate::Result<Value>) -> Self {
        match result {
            Ok(value) => Self::Success(value),
            Err(error) => Self::Failure(error),
        }
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        match self {
            Self::Success(value) => {
                map.serialize_entry("ok", &true)?;
                map.serialize_entry("value", value)?;
            }
            Self::Failure(error) => {
                map.serialize_entry("ok", &false)?;
                map.serialize_entry("error", error)?;
            }
        }
        map.end()
    }
}

impl Answer {
    /// The answer as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self)
            .unwrap_or_else(|_| r#"{"ok":false,"error":{"code":"INTERNAL","message":"an answer that is no JSON","retryable":false,"context":{}}}"#.to_owned())
    }
}

/// Anything that serialises, as a value.
pub(super) fn value(answer: &impl Serialize) -> Value {
    serde_json::to_value(answer).unwrap_or(Value::Null)
}

/// A value of a row, exact, with its kind where JSON cannot tell it. `declared` is the type of its column.
#[must_use]
pub fn exact(scalar: &Scalar, declared: Option<&ColumnType>) -> Value {
    let plain = scalar.to_json();
    let declared = declared.map_or("", ColumnType::as_str);
    let kind = match (scalar, &plain) {
        (Scalar::Int(_) | Scalar::UInt(_), Value::String(_)) => "$int",
        (Scalar::Decimal(_), _) => "$decimal",
        // In a stored change set a decimal and a large number are texts: the column tells.
        (Scalar::Text(text), _) if compare_decimals(text, text).is_some() && is_number(declared) => {
            if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') { "$int" } else { "$decimal" }
        }
        (Scalar::Text(text), _) if declared.starts_with("timestamp") && text.contains('T') => "$timestamp",
        _ => return plain,
    };
    json!({ kind: scalar.to_text() })
}

fn is_number(declared: &str) -> bool {
    ["numeric", "bigint", "decimal"].into_iter().any(|name| declared.starts_with(name))
}

/// The exact diff: for each patched column what stood there and what shall.
fn diff(set: &ChangeSet, types: &BTreeMap<Identifier, ColumnType>) -> Value {
    let line = |(column, proposed): (&Identifier, &Scalar)| {
        let before = set.before.get(column).unwrap_or(&Scalar::Null);
        let declared = types.get(column);
        json!({ "column": column, "before": exact(before, declared), "proposed": exact(proposed, declared) })
    };
    Value::Array(set.patch.iter().map(line).collect())
}

/// A read, for the application.
pub(super) fn read(answer: &ReadAnswer) -> Value {
    let data: Map<String, Value> = answer
        .data
        .iter()
        .map(|(column, value)| (column.to_string(), exact(value, answer.types.get(column))))
        .collect();
    json!({
        "capability": answer.action,
        "object_type": answer.object_type,
        "object_id": answer.object_id,
        "data": data,
        "tenant_id": answer.tenant,
        "principal": answer.principal,
        "provenance": answer.provenance,
        "evidence_id": answer.evidence_id,
    })
}

/// A proposal as it was just made or found.
pub(super) fn proposed(answer: &ProposalAnswer) -> Value {
    let set = &answer.change_set;
    json!({
        "proposal_id": set.proposal_id,
        "proposal_version": set.proposal_version,
        "proposal_hash": set.integrity.proposal_hash,
        "state": answer.state,
        "existing": answer.existing,
        "superseded": answer.superseded,
        "diff": diff(set, &answer.types),
        "change_set": set,
    })
}

/// A proposal with everything that belongs to it.
pub(super) fn proposal(record: &ProposalRecord) -> Value {
    let mut answer = value(&record.view());
    if let Some(object) = answer.as_object_mut() {
        object.insert("proposal_version".to_owned(), record.change_set.proposal_version.into());
        object.insert("diff".to_owned(), diff(&record.change_set, &record.facts.types));
    }
    answer
}
