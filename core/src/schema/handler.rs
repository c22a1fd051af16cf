//! What an application's own handler gets and answers.

use serde_json::{Value, json};

use super::build::*;

/// The published shape, with the change in `change_set`; beside it, marked as ours, the flat one that runners send.
pub(super) fn request() -> Value {
    let or_null = |schema: Value| json!({ "anyOf": [schema, { "type": "null" }] });
    let column_values = || json!({ "type": "object", "propertyNames": { "pattern": IDENTIFIER }, "additionalProperties": scalar(), "minProperties": 1 });
    let principal = || json!({ "anyOf": [{ "type": ["string", "null"] }, { "type": "object" }] });
    let target = |schema: &'static str| {
        closed(&[(schema, pattern(IDENTIFIER)), ("table", pattern(IDENTIFIER)), ("primary_key", column_value())])
    };
    let key = || json!({ "type": "string", "pattern": "^[A-Za-z0-9_:-]{1,255}$" });
    let version = || or_null(words(&["1.0", "synapsor.handler-writeback.v1"], &[]));
    let common = vec![
        ("proposal_id", text()),
        ("idempotency_key", key()),
        ("writeback_job_id?", or_null(text())),
        ("proposal_version?", or_null(whole(1, None))),
        ("protocol_version?", version()),
        ("schema_version?", version()),
        ("issued_at?", or_null(instant())),
        ("audience?", ours(or_null(text()))),
        ("dry_run?", or_null(flag())),
        ("principal?", principal()),
    ];
    let change = open(&[
        ("action", text()),
        // Documents of v1 carry more in it than its schema says.
        ("scope?", or_null(open(&[("tenant_id?", scalar()), ("object_id?", scalar())]))),
        ("target", target("schema?")),
        ("patch", column_values()),
        (
            "guards",
            open(&[
                ("tenant", column_value()),
                ("expected_version", column_value()),
                ("allowed_columns?", or_null(list(pattern(IDENTIFIER)))),
            ]),
        ),
        ("principal?", principal()),
    ]);
    let wrapped = {
        let mut members = common.clone();
        members.extend([
            ("change_set", change),
            ("signature?", json!({ "type": "string", "pattern": "^sha256=[0-9a-f]{64}$" })),
        ]);
        open(&members)
    };
    let mut flat = {
        let mut members = common;
        members.extend([
            ("proposal_hash", text()),
            ("action", text()),
            ("target", target("schema")),
            ("tenant_guard?", or_null(column_value())),
            ("allowed_columns?", or_null(list(pattern(IDENTIFIER)))),
            ("patch", column_values()),
            ("guards", open(&[("tenant?", or_null(column_value())), ("expected_version", column_value())])),
        ]);
        open(&members)
    };
    with(
        &mut flat,
        "not",
        json!({ "properties": { "change_set": { "not": { "type": "null" } } }, "required": ["change_set"] }),
    );
    with(&mut flat, "anyOf", json!([{ "required": ["protocol_version"] }, { "required": ["schema_version"] }]));
    json!({ "title": "A writeback request to an application's own handler", "anyOf": [wrapped, ours(told(flat, "The flat body that runners send."))] })
}

pub(super) fn receipt() -> Value {
    let schema = closed(&[
        ("status", words(&["applied", "already_applied", "conflict", "failed"], &[])),
        ("rows_affected", whole(0, None)),
        ("source_database_mutated", flag()),
        ("previous_version?", scalar()),
        ("new_version?", scalar()),
        ("safe_error_code?", string()),
        ("details?", json!({ "type": "object" })),
    ]);
    told(schema, "What an application's own handler answers.")
}
