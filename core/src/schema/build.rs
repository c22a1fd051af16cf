//! Pieces of schemas.

use serde_json::{Map, Value, json};

/// A name of SQL, as [`crate::primitives::Identifier`] takes it.
pub const IDENTIFIER: &str = "^[A-Za-z_][A-Za-z0-9_]{0,127}$";
/// The name of an environment variable.
pub const ENV_NAME: &str = "^[A-Z_][A-Z0-9_]*$";
/// Names of contexts, executors and arguments.
pub const SAFE_NAME: &str = "^[A-Za-z_][A-Za-z0-9_.-]*$";
/// Names joined by points.
pub const TOOL_NAME: &str = "^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)+$";

/// The whole file.
pub fn document(name: &str, body: Value) -> Value {
    let mut document = json!({ "$schema": "http://json-schema.org/draft-07/schema#", "$id": name });
    if let (Value::Object(document), Value::Object(body)) = (&mut document, body) {
        document.extend(body);
    }
    document
}

/// An object that has nothing but these members; those whose name ends in `?` may be absent.
pub fn closed(members: &[(&str, Value)]) -> Value {
    let mut object = open(members);
    with(&mut object, "additionalProperties", Value::Bool(false));
    object
}

/// An object that may have others beside these.
pub fn open(members: &[(&str, Value)]) -> Value {
    let required: Vec<&str> = members.iter().map(|(name, _)| *name).filter(|name| !name.ends_with('?')).collect();
    let properties: Map<String, Value> =
        members.iter().map(|(name, schema)| (name.trim_end_matches('?').to_owned(), schema.clone())).collect();
    let mut object = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        with(&mut object, "required", json!(required));
    }
    object
}

/// Adds a member to a schema.
pub fn with(schema: &mut Value, key: &str, value: Value) {
    if let Value::Object(map) = schema {
        map.insert(key.to_owned(), value);
    }
}

/// The schema with words for the reader.
pub fn told(mut schema: Value, description: &str) -> Value {
    with(&mut schema, "description", Value::String(description.to_owned()));
    schema
}

/// The schema, marked as ours.
pub fn ours(mut schema: Value) -> Value {
    with(&mut schema, "x-signoff-extension", Value::Bool(true));
    schema
}

/// One of these words; those of the second list are ours.
pub fn words(theirs: &[&str], extra: &[&str]) -> Value {
    let all: Vec<&str> = theirs.iter().chain(extra).copied().collect();
    match (all.as_slice(), extra) {
        ([one], []) => json!({ "const": one }),
        (_, []) => json!({ "enum": all }),
        _ => json!({ "anyOf": [{ "enum": theirs }, { "enum": extra, "x-signoff-extension": true }] }),
    }
}

/// A string that is not empty.
pub fn text() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

pub fn string() -> Value {
    json!({ "type": "string" })
}

pub fn pattern(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

pub fn flag() -> Value {
    json!({ "type": "boolean" })
}

pub fn whole(from: u64, to: Option<u64>) -> Value {
    let mut schema = json!({ "type": "integer", "minimum": from });
    if let Some(to) = to {
        with(&mut schema, "maximum", json!(to));
    }
    schema
}

pub fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of, "minItems": 1 })
}

pub fn scalar() -> Value {
    json!({ "type": ["string", "number", "boolean", "null"] })
}

/// From columns to values.
pub fn columns() -> Value {
    json!({
        "type": "object", "propertyNames": { "pattern": IDENTIFIER }, "additionalProperties": scalar(), "minProperties": 1,
    })
}

pub fn column_value() -> Value {
    closed(&[("column", pattern(IDENTIFIER)), ("value", scalar())])
}

pub fn hash() -> Value {
    // Opaque behind its label in foreign documents.
    json!({ "type": "string", "pattern": "^sha256:[\\s\\S]+" })
}

/// RFC 3339.
pub fn instant() -> Value {
    json!({ "type": "string", "format": "date-time" })
}
