//! What tools answer with, as JSON Schema 2020-12: short, since a model reads it with every list of tools. What a client
//! relies on is in it and required; what may be added later is not forbidden, except among the columns of a row.

use serde_json::{Map, Value, json};

use super::envelope::ResultFormat;
use crate::contract::{Capability, Kind};
use crate::primitives::Identifier;

/// What a value of a row can be.
const SCALAR: [&str; 4] = ["string", "number", "boolean", "null"];

/// v1's words for states.
const STATES: [&str; 8] =
    ["pending_review", "approved", "rejected", "canceled", "pending_worker", "applied", "conflict", "failed"];

/// The answer of a capability.
pub(super) fn of_capability(capability: &Capability, format: ResultFormat) -> Value {
    match capability.kind {
        Kind::Read => read(row(&capability.visible_columns), format),
        Kind::Proposal => {
            let columns = capability.patch.iter().map(|(column, _)| column);
            proposal(&names(columns), format)
        }
    }
}

/// The answer of a read whose `data` is this.
pub(super) fn read(data: Value, format: ResultFormat) -> Value {
    match format {
        ResultFormat::V1 => object(json!({
            "status": { "const": "ok" }, "data": data, "evidence_bundle_id": text(), "source_database_changed": no(),
        })),
        ResultFormat::V2 => object(json!({
            "ok": { "const": true }, "summary": text(), "data": data, "evidence": with_member("bundle_id"),
            "source_database_changed": no(),
        })),
    }
}

/// The answer of a proposal to change these columns; any, if it names none.
pub(super) fn proposal(columns: &Value, format: ResultFormat) -> Value {
    let mut diff = json!({ "type": "object", "additionalProperties": with_member("proposed") });
    if let (Some([_, ..]), Some(diff)) = (columns.as_array().map(Vec::as_slice), diff.as_object_mut()) {
        diff.insert("propertyNames".to_owned(), json!({ "enum": columns }));
    }
    match format {
        ResultFormat::V1 => object(json!({
            "status": { "enum": ["review_required", "shadow_proposal_created"] }, "proposal_id": text(), "diff": diff,
            "evidence_bundle_id": text(), "source_database_changed": no(),
        })),
        ResultFormat::V2 => object(json!({
            "ok": { "const": true }, "summary": text(),
            "proposal": object(json!({ "id": text(), "state": text(), "diff": diff, "next": text() })),
            "evidence": with_member("bundle_id"), "source_database_changed": no(),
        })),
    }
}

/// The answer about a proposal of the caller's own, the same in both formats.
#[must_use]
pub fn own_proposal_schema() -> Value {
    object(json!({
        "ok": { "const": true }, "state": { "enum": STATES }, "proposal": with_member("id"),
        "events": { "type": "array" }, "receipts": { "type": "array" },
    }))
}

/// `data` of a tool of the application's own, whose answer fits this schema. What is no object stands in `answer`.
#[cfg(feature = "ffi")]
pub(super) fn data_of(answer: Option<&Value>) -> Value {
    let Some(answer) = answer else { return json!({ "type": "object" }) };
    let mut answer = answer.clone();
    let kind = answer.get("type").and_then(Value::as_str).map(str::to_owned);
    // A reference of its own starts at its own beginning.
    let refers = answer.to_string().contains("Ref\"") || answer.to_string().contains("$ref\"");
    if let (true, Some(answer)) = (refers, answer.as_object_mut()) {
        answer.entry("$id").or_insert_with(|| json!("urn:signoff:answer"));
    }
    match kind.as_deref() {
        Some("object") => answer,
        Some(_) => object(json!({ "answer": answer })),
        None => json!({ "type": "object" }),
    }
}

/// Exactly these columns.
fn row(columns: &[Identifier]) -> Value {
    json!({
        "type": "object", "propertyNames": { "enum": names(columns.iter()) }, "minProperties": columns.len(),
        "additionalProperties": { "type": SCALAR },
    })
}

fn names<'a>(columns: impl Iterator<Item = &'a Identifier>) -> Value {
    columns.map(Identifier::as_str).collect()
}

/// An object that has all of these.
fn object(properties: Value) -> Value {
    let required: Vec<&String> = properties.as_object().into_iter().flat_map(Map::keys).collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

fn with_member(name: &str) -> Value {
    json!({ "type": "object", "required": [name] })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn no() -> Value {
    json!({ "const": false })
}
