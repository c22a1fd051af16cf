//! The contract's schema, from the table of its keys.

use serde_json::{Map, Value, json};

use super::build::{self, ENV_NAME, IDENTIFIER, SAFE_NAME, TOOL_NAME, told, with, words};
use crate::contract::{Names, Need, OBJECTS, ObjectInfo, Shape};

pub(super) fn contract() -> Value {
    let definitions: Map<String, Value> = OBJECTS.iter().map(|info| (info.name.to_owned(), object(info))).collect();
    json!({ "title": "Contract", "definitions": definitions, "type": "object", "allOf": [{ "$ref": "#/definitions/contract" }] })
}

fn object(info: &ObjectInfo) -> Value {
    let mut properties = Map::new();
    for key in info.keys {
        let mut schema = match key.need {
            // It is not looked at.
            Need::Inert if !matches!(key.shape, Shape::Whole(_)) => json!({}),
            _ => shape(&key.shape),
        };
        let meaning = match key.need {
            Need::Inert => format!("No effect. {}", key.meaning),
            _ => key.meaning.to_owned(),
        };
        schema = told(schema, &meaning);
        if let Some(default) = default(key.need, &key.shape) {
            with(&mut schema, "default", default);
        }
        if key.extension {
            schema = build::ours(schema);
        }
        properties.insert(key.name.to_owned(), schema);
    }
    let required: Vec<&str> = info.keys.iter().filter(|key| key.need == Need::Required).map(|key| key.name).collect();
    let mut schema = json!({ "type": "object", "description": info.meaning, "properties": properties });
    if !required.is_empty() {
        with(&mut schema, "required", json!(required));
    }
    if info.closed {
        with(&mut schema, "additionalProperties", Value::Bool(false));
    }
    for (key, value) in rules(info.name) {
        with(&mut schema, key, value);
    }
    schema
}

/// What hangs on more than one key.
fn rules(object: &str) -> Vec<(&'static str, Value)> {
    let is = |key: &str, word: &str| json!({ "properties": { key: { "const": word } }, "required": [key] });
    let hint = |words: &[&str]| {
        let ours = build::ours(json!({ "properties": { "policy_hint": { "enum": words } } }));
        json!({ "signoff": ours })
    };
    match object {
        "contract" => vec![(
            "allOf",
            json!([{
                "if": is("mode", "cloud"),
                "then": { "required": ["cloud"] },
                "else": { "required": ["sources", "capabilities"], "properties": { "cloud": false } },
            }]),
        )],
        "executor" => vec![(
            "allOf",
            json!([
                { "if": is("type", "http_handler"), "then": { "required": ["url_env"] } },
                { "if": is("type", "command_handler"), "then": { "required": ["command_env"] } },
            ]),
        )],
        "capability" => vec![(
            "allOf",
            json!([{
                "if": is("kind", "proposal"),
                "then": {
                    "required": ["patch", "allowed_columns", "conflict_guard"],
                    "properties": hint(&["write", "destructive"]),
                },
                "else": { "properties": hint(&["read"]) },
            }]),
        )],
        "target" => vec![(
            "anyOf",
            json!([
                { "required": ["tenant_key"] },
                { "properties": { "single_tenant_dev": { "const": true } }, "required": ["single_tenant_dev"] },
            ]),
        )],
        "conflict guard" => vec![(
            "anyOf",
            json!([
                { "required": ["column"] },
                { "properties": { "weak_guard_ack": { "const": true } }, "required": ["weak_guard_ack"] },
            ]),
        )],
        "mcp auth" => {
            let one = ["jwks_url", "jwks_url_env", "jwks_file"].map(|key| json!({ "required": [key] }));
            let url = r"^(https://|http://(127\.0\.0\.1|\[::1\]|localhost)([:/]|$))";
            let members = json!({
                "jwks_url": { "pattern": url }, "scopes_required": { "items": { "not": { "const": "offline_access" } } },
            });
            vec![("oneOf", json!(one)), ("allOf", json!([{ "properties": members }]))]
        }
        "patch value" => vec![("minProperties", json!(1)), ("maxProperties", json!(1))],
        "numeric bound" => vec![("minProperties", json!(1))],
        "capability settings" => {
            vec![("allOf", json!([{ "if": is("scope", "admin"), "then": { "required": ["roles"] } }]))]
        }
        "argument" => vec![(
            "allOf",
            json!([{
                "if": { "properties": { "type": { "enum": ["string", "boolean"] } }, "required": ["type"] },
                "then": { "properties": { "minimum": false, "maximum": false } },
            }]),
        )],
        _ => Vec::new(),
    }
}

fn shape(shape: &Shape) -> Value {
    let reference = |below: &ObjectInfo| json!({ "allOf": [{ "$ref": pointer(below) }] });
    match *shape {
        Shape::Flag => build::flag(),
        // White space alone is nothing.
        Shape::Text => build::pattern("\\S"),
        Shape::EnvName => build::pattern(ENV_NAME),
        Shape::Identifier => build::pattern(IDENTIFIER),
        Shape::ToolName => build::pattern(TOOL_NAME),
        Shape::Whole(most) => build::whole(1, (most < u64::MAX).then_some(most)),
        Shape::WholeOrNull(most) => {
            let mut schema = build::whole(1, Some(most));
            with(&mut schema, "type", json!(["integer", "null"]));
            schema
        }
        Shape::Digest => build::pattern("^sha256:[0-9a-f]{64}$"),
        Shape::OneOf(numbers) => json!({ "enum": numbers }),
        Shape::Words(theirs, extra) => words(theirs, extra),
        Shape::Number => json!({ "type": "number" }),
        Shape::Scalar => build::scalar(),
        Shape::Lifetime => build::pattern("^(never|[0-9]+[smhd])$"),
        Shape::Values => build::list(json!({ "type": ["string", "number", "boolean"] })),
        Shape::Columns => build::list(build::pattern(IDENTIFIER)),
        Shape::TextOrTexts => json!({ "anyOf": [build::pattern("\\S"), build::list(build::pattern("\\S"))] }),
        Shape::UpTo(most) => json!({ "type": "integer", "minimum": 0, "maximum": most }),
        Shape::Texts => build::list(build::pattern("\\S")),
        Shape::ListOf(theirs, extra) => build::list(words(theirs, extra)),
        Shape::Transitions => json!({
            "type": "object", "propertyNames": { "pattern": "\\S" }, "additionalProperties": build::list(build::pattern("\\S")),
            "minProperties": 1,
        }),
        Shape::Free => json!({ "type": "object" }),
        Shape::Anything => json!({}),
        Shape::Object(below) => reference(below),
        Shape::Map(names, below) => {
            let pattern = if names == Names::Identifier { IDENTIFIER } else { SAFE_NAME };
            let mut map = json!({
                "type": "object", "propertyNames": { "pattern": pattern }, "additionalProperties": { "$ref": pointer(below) },
            });
            if ["source", "argument", "patch value"].contains(&below.name) {
                with(&mut map, "minProperties", json!(1));
            }
            map
        }
        Shape::List(below) => build::list(json!({ "$ref": pointer(below) })),
    }
}

fn pointer(info: &ObjectInfo) -> String {
    format!("#/definitions/{}", info.name.replace(' ', "%20"))
}

/// A default that is a value, not words.
fn default(need: Need, shape: &Shape) -> Option<Value> {
    let Need::Default(text) = need else { return None };
    match shape {
        Shape::Flag | Shape::Whole(_) | Shape::WholeOrNull(_) | Shape::UpTo(_) | Shape::OneOf(_) => {
            serde_json::from_str(text).ok()
        }
        Shape::Text | Shape::Words(..) | Shape::Lifetime if !text.contains(' ') => Some(Value::String(text.to_owned())),
        _ => None,
    }
}
