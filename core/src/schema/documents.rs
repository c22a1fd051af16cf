//! The protocol's documents.

use serde_json::{Value, json};

use super::build::*;

pub(super) fn change_set() -> Value {
    let source = closed(&[
        ("kind", words(&["external_postgres", "external_mysql", "synapsor_table"], &["external_sqlite"])),
        ("source_id", text()),
        ("schema", pattern(IDENTIFIER)),
        ("table", pattern(IDENTIFIER)),
        ("primary_key", column_value()),
    ]);
    let guards = closed(&[
        ("tenant", column_value()),
        ("allowed_columns", list(pattern(IDENTIFIER))),
        ("expected_version", column_value()),
    ]);
    let mode = words(&["read_only", "shadow", "review_required", "approved_for_writeback"], &[]);
    let from = words(&["trusted_session", "cloud_session", "environment", "static_dev"], &[]);
    let decision = words(&["pending", "approved", "rejected", "canceled"], &[]);
    let writing = words(&["not_applied", "pending_worker", "applied", "conflict", "failed", "canceled"], &[]);
    let writer = words(&["trusted_worker_required", "synapsor_merge", "read_only"], &[]);
    titled(
        "A proposed change of one row",
        closed(&[
            ("schema_version", json!({ "const": "synapsor.change-set.v1" })),
            ("proposal_id", text()),
            ("proposal_version", counted()),
            ("action", text()),
            ("mode", mode),
            ("principal", closed(&[("id", text()), ("source", from)])),
            ("scope", closed(&[("tenant_id", text()), ("business_object", text()), ("object_id", text())])),
            ("source", source),
            ("before", columns()),
            ("patch", columns()),
            ("after", columns()),
            ("guards", guards),
            (
                "evidence",
                open(&[("bundle_id", text()), ("query_fingerprint", hash()), ("items", json!({ "type": "array" }))]),
            ),
            ("approval", open(&[("status", decision), ("required_role?", string())])),
            ("writeback", open(&[("status", writing), ("mode", writer), ("executor?", string())])),
            ("source_database_mutated", flag()),
            ("integrity", closed(&[("proposal_hash", hash())])),
            ("created_at", instant()),
        ]),
    )
}

pub(super) fn writeback_job() -> Value {
    let guard = |kind: &str, more: &[(&str, Value)]| {
        let mut members = vec![("kind", json!({ "const": kind }))];
        members.extend(more.iter().cloned());
        closed(&members)
    };
    let column = [("column", pattern(IDENTIFIER)), ("expected_value", scalar())];
    let target = |more: &[(&str, Value)]| {
        let mut members =
            vec![("schema", pattern(IDENTIFIER)), ("table", pattern(IDENTIFIER)), ("primary_key", column_value())];
        members.extend(more.iter().cloned());
        closed(&members)
    };
    let row_hash = [("expected_hash", text())];
    let engine = || words(&["postgres", "mysql"], &["sqlite"]);
    let operation = || json!({ "const": "single_row_update" });
    let current = closed(&[
        ("schema_version", json!({ "const": "synapsor.writeback-job.v1" })),
        ("writeback_job_id", text()),
        ("proposal_id", text()),
        ("proposal_version", counted()),
        ("proposal_hash", hash()),
        ("runner_scope", closed(&[("project_id", text()), ("source_id", text())])),
        ("engine", engine()),
        ("operation", operation()),
        ("target", target(&[])),
        ("tenant_guard", column_value()),
        ("allowed_columns", list(pattern(IDENTIFIER))),
        ("patch", columns()),
        (
            "conflict_guard",
            json!({ "oneOf": [guard("column", &column), guard("row_hash", &row_hash), guard("none", &[])] }),
        ),
        ("idempotency_key", text()),
        ("lease", closed(&[("lease_id", text()), ("attempt", counted()), ("expires_at", instant())])),
    ]);
    let older = closed(&[
        ("protocol_version", json!({ "const": "1.0" })),
        ("job_id", text()),
        ("proposal_id", text()),
        ("approval_id", hash()),
        ("source_id", text()),
        ("engine", engine()),
        ("operation?", operation()),
        ("target", target(&[("tenant_guard", column_value())])),
        ("allowed_columns", list(pattern(IDENTIFIER))),
        ("patch", columns()),
        (
            "conflict_guard",
            json!({ "oneOf": [guard("version_column", &column), guard("row_hash", &row_hash), guard("none", &[])] }),
        ),
        ("idempotency_key", text()),
        ("lease_expires_at", json!({ "anyOf": [instant(), { "type": "integer" }] })),
        ("attempt_count?", json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX })),
    ]);
    json!({
        "title": "An approved change on its way to its source",
        "oneOf": [current, told(older, "The older shape, which is read and turned into the current one.")],
    })
}

pub(super) fn execution_receipt() -> Value {
    titled(
        "What became of a writeback job",
        closed(&[
            ("schema_version", json!({ "const": "synapsor.execution-receipt.v1" })),
            ("writeback_job_id", text()),
            ("proposal_id", text()),
            ("runner_id", text()),
            ("status", words(&["applied", "conflict", "failed", "canceled", "already_applied"], &[])),
            ("rows_affected", whole(0, None)),
            ("idempotency_key", text()),
            ("previous_version?", scalar()),
            ("new_version?", scalar()),
            ("source_database_mutated", flag()),
            ("executed_at", instant()),
            ("safe_error_code?", string()),
            ("receipt_hash", hash()),
        ]),
    )
}

pub(super) fn runner_registration() -> Value {
    titled(
        "What a runner can do",
        closed(&[
            ("schema_version", json!({ "const": "synapsor.runner-registration.v1" })),
            ("runner_id", text()),
            ("runner_version", text()),
            ("engines", list(words(&["postgres", "mysql"], &["sqlite"]))),
            ("capabilities", list(text())),
            ("scope", closed(&[("project_id", text()), ("source_ids", list(text()))])),
            ("registered_at", instant()),
        ]),
    )
}

fn titled(title: &str, mut schema: Value) -> Value {
    with(&mut schema, "title", Value::String(title.to_owned()));
    schema
}

/// From 1, in 32 bits.
fn counted() -> Value {
    whole(1, Some(u32::MAX.into()))
}
