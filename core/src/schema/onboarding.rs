//! What somebody chose when a contract was made for them.

use serde_json::{Value, json};

use super::build::*;

pub(super) fn selection() -> Value {
    let context = closed(&[("tenant_id_env?", pattern(ENV_NAME)), ("principal_env?", pattern(ENV_NAME))]);
    let map =
        |of: Value| json!({ "type": "object", "propertyNames": { "pattern": IDENTIFIER }, "additionalProperties": of });
    let mut schema = closed(&[
        ("version?", json!({ "const": 1 })),
        ("engine", words(&["postgres", "mysql"], &["sqlite"])),
        ("mode?", words(&["read_only", "shadow", "review"], &[])),
        ("result_format?", json!({ "enum": [1, 2] })),
        ("source_name?", pattern(IDENTIFIER)),
        ("read_url_env?", pattern(ENV_NAME)),
        ("database_url_env?", pattern(ENV_NAME)),
        ("write_url_env?", pattern(ENV_NAME)),
        ("statement_timeout_ms?", whole(1, Some(2_147_483_647))),
        ("schema", pattern(IDENTIFIER)),
        ("table", pattern(IDENTIFIER)),
        ("primary_key", pattern(IDENTIFIER)),
        ("tenant_key?", pattern(IDENTIFIER)),
        ("single_tenant_dev?", flag()),
        ("conflict_column?", pattern(IDENTIFIER)),
        ("namespace", pattern(IDENTIFIER)),
        ("object_name?", pattern(IDENTIFIER)),
        ("read_tool?", pattern(TOOL_NAME)),
        ("proposal_tool?", pattern(TOOL_NAME)),
        ("inspect_tool_name?", pattern(TOOL_NAME)),
        ("proposal_tool_name?", pattern(TOOL_NAME)),
        ("inspect_description?", text()),
        ("proposal_description?", text()),
        ("inspect_returns_hint?", text()),
        ("proposal_returns_hint?", text()),
        ("lookup_arg?", pattern(SAFE_NAME)),
        ("visible_columns", list(pattern(IDENTIFIER))),
        ("allowed_columns?", json!({ "type": "array", "items": pattern(IDENTIFIER) })),
        (
            "patch?",
            map(json!({ "type": "object", "minProperties": 1, "maxProperties": 1,
            "properties": { "fixed": scalar(), "from_arg": text() }, "additionalProperties": false })),
        ),
        (
            "patch_args?",
            json!({ "type": "object", "propertyNames": { "pattern": SAFE_NAME }, "additionalProperties": { "type": "object" } }),
        ),
        (
            "numeric_bounds?",
            map(json!({ "type": "object", "minProperties": 1,
            "properties": { "minimum": { "type": "number" }, "maximum": { "type": "number" } }, "additionalProperties": false })),
        ),
        (
            "transition_guards?",
            map(open(&[("allowed", json!({ "type": "object" })), ("from_column?", pattern(IDENTIFIER))])),
        ),
        ("trusted_context?", context),
        ("approval?", closed(&[("required_role?", text())])),
        ("writeback?", json!({ "type": "object" })),
    ]);
    with(&mut schema, "title", json!("What was chosen when a contract was made"));
    with(
        &mut schema,
        "anyOf",
        json!([
            { "required": ["tenant_key"] },
            { "properties": { "single_tenant_dev": { "const": true } }, "required": ["single_tenant_dev"] },
        ]),
    );
    schema
}
