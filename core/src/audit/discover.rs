//! From a document of whatever shape to the tools in it.

use std::collections::BTreeSet;

use serde_json::Value;

/// How deep servers and answers may be wrapped.
const DEEPEST_WRAP: usize = 8;
/// How deep properties of a schema are looked at.
const DEEPEST_SCHEMA: usize = 10;
const WRAPS: [&str; 8] = ["result", "data", "adapter", "mcpServers", "mcp_servers", "servers", "server", "manifest"];
const NAMES: [&str; 3] = ["name", "tool_name", "toolName"];
const SCHEMAS: [&str; 6] = ["inputSchema", "input_schema", "parameters", "schema", "args_schema", "argsSchema"];
const OUTPUTS: [&str; 6] =
    ["outputSchema", "output_schema", "resultSchema", "result_schema", "output", "structuredContent"];
const FIXTURES: [&str; 5] = ["examples", "example", "input_examples", "test_fixture", "x_synapsor_test_fixture"];

/// One tool, as far as a review needs it.
#[derive(Debug)]
pub(super) struct Found {
    pub name: String,
    pub described: bool,
    /// Name, description and annotations in lower case, for what words tell.
    pub text: String,
    /// The names of its arguments, letters and digits only, in lower case, nested ones too.
    pub properties: BTreeSet<String>,
    pub annotated: bool,
    pub destructive: Option<bool>,
    pub read_only: Option<bool>,
    pub has_output: bool,
    pub has_fixture: bool,
}

pub(super) fn tools(document: &Value) -> Vec<Found> {
    let mut found = Vec::new();
    collect(document, 0, &mut found);
    found
}

fn collect(value: &Value, depth: usize, found: &mut Vec<Found>) {
    if depth > DEEPEST_WRAP {
        return;
    }
    match value {
        Value::Array(items) => {
            for item in items {
                match tool(item) {
                    Some(tool) => found.push(tool),
                    None => collect(item, depth + 1, found),
                }
            }
        }
        Value::Object(members) => {
            if let Some(tools) = members.get("tools") {
                match tools {
                    // By name: `{"tools": {"execute_sql": {…}}}`.
                    Value::Object(named) => {
                        found.extend(named.iter().filter_map(|(name, tool)| named_tool(name, tool)))
                    }
                    other => collect(other, depth + 1, found),
                }
            }
            for inner in WRAPS.iter().filter_map(|name| members.get(*name)) {
                match inner {
                    // Servers by name.
                    Value::Object(servers)
                        if !servers.keys().any(|key| key == "tools" || WRAPS.contains(&key.as_str())) =>
                    {
                        servers.values().for_each(|server| collect(server, depth + 1, found));
                    }
                    other => collect(other, depth + 1, found),
                }
            }
        }
        _ => {}
    }
}

fn tool(value: &Value) -> Option<Found> {
    let name = NAMES.iter().find_map(|key| value.get(key)?.as_str())?;
    // A server has a name as well.
    if value.get("tools").is_some() {
        return None;
    }
    named_tool(name, value)
}

fn named_tool(name: &str, value: &Value) -> Option<Found> {
    let object = value.as_object()?;
    let description = value.get("description").and_then(Value::as_str).unwrap_or_default();
    let annotations = value.get("annotations").filter(|annotations| annotations.is_object());
    let shown = annotations.map(ToString::to_string).unwrap_or_default();
    let hint = |name: &str| annotations.and_then(|annotations| annotations.get(name)?.as_bool());
    let mut properties = BTreeSet::new();
    for schema in SCHEMAS.iter().filter_map(|key| object.get(*key)) {
        names(schema, 0, &mut properties);
    }
    Some(Found {
        name: name.to_owned(),
        described: !description.trim().is_empty(),
        text: format!("{name} {description} {shown}").to_lowercase(),
        properties,
        annotated: annotations.is_some_and(|annotations| annotations.as_object().is_some_and(|all| !all.is_empty())),
        destructive: hint("destructiveHint"),
        read_only: hint("readOnlyHint"),
        has_output: OUTPUTS.iter().any(|key| object.get(*key).is_some_and(|value| !value.is_null())),
        has_fixture: FIXTURES.iter().any(|key| object.get(*key).is_some_and(|value| !value.is_null())),
    })
}

fn names(schema: &Value, depth: usize, found: &mut BTreeSet<String>) {
    if depth > DEEPEST_SCHEMA {
        return;
    }
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get("properties") {
                for (name, property) in properties {
                    found.insert(name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase());
                    names(property, depth + 1, found);
                }
            }
            for (key, inner) in members.iter().filter(|(key, _)| *key != "properties") {
                match key.as_str() {
                    "items"
                    | "anyOf"
                    | "oneOf"
                    | "allOf"
                    | "prefixItems"
                    | "additionalProperties"
                    | "not"
                    | "if"
                    | "then"
                    | "else" => names(inner, depth + 1, found),
                    "$defs" | "definitions" | "patternProperties" => {
                        inner
                            .as_object()
                            .into_iter()
                            .flat_map(|all| all.values())
                            .for_each(|one| names(one, depth + 1, found));
                    }
                    _ => {}
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| names(item, depth + 1, found)),
        _ => {}
    }
}
