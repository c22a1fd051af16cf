//! The suite's tools that end in one round.

use rmcp::model::*;
use rmcp::service::{Peer, RequestContext};
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};

use crate::server::{Change, Server, typed};

/// One red pixel.
pub const IMAGE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg==";
/// A WAV file without a sample.
const AUDIO: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=";

/// Tools without arguments, and what each is for.
const PLAIN: [(&str, &str); 22] = [
    ("test_simple_text", "Answers with text"),
    ("test_image_content", "Answers with an image"),
    ("test_audio_content", "Answers with sound"),
    ("test_embedded_resource", "Answers with a resource"),
    ("test_multiple_content_types", "Answers with text, an image and a resource"),
    ("test_tool_with_logging", "Logs three times"),
    ("test_error_handling", "Fails"),
    ("test_tool_with_progress", "Says three times how far it is"),
    ("test_elicitation_sep1034_defaults", "Asks for values that have defaults"),
    ("test_elicitation_sep1330_enums", "Asks to choose, in every way there is"),
    ("test_logging_tool", "Logs if the request asked for it"),
    ("test_missing_capability", "Needs sampling"),
    ("test_streaming_elicitation", "Asks back"),
    ("test_trigger_tool_change", "Says that the tools changed"),
    ("test_trigger_prompt_change", "Says that the prompts changed"),
    ("test_input_required_result_elicitation", "Asks back once"),
    ("test_input_required_result_sampling", "Asks the model"),
    ("test_input_required_result_list_roots", "Asks for the roots"),
    ("test_input_required_result_request_state", "Asks back with a state"),
    ("test_input_required_result_multi_round", "Asks back twice"),
    ("test_input_required_result_tampered_state", "Refuses a state that is not its own"),
    ("test_input_required_result_multiple_inputs", "Asks for three things at once"),
];

pub fn all() -> Vec<Tool> {
    let tool = |name: &str, about: &str, schema: Value| -> Tool {
        typed(json!({ "name": name, "description": about, "inputSchema": schema }))
    };
    let nothing = json!({ "type": "object", "properties": {} });
    let text =
        |name: &str| json!({ "type": "object", "properties": { name: { "type": "string" } }, "required": [name] });
    let mut all: Vec<Tool> = PLAIN.iter().map(|(name, about)| tool(name, about, nothing.clone())).collect();
    all.extend([
        tool("test_input_required_result_capabilities", "Asks for what the client can do", nothing.clone()),
        tool("test_sampling", "Asks the model", text("prompt")),
        tool("test_elicitation", "Asks the person", text("message")),
        tool("json_schema_2020_12_tool", "Has a schema with every keyword", schema_2020_12()),
        tool(
            "test_custom_header",
            "Wants an argument in a header, too",
            json!({
                "type": "object",
                "properties": { "region": { "type": "string", "x-mcp-header": "Region" } },
                "required": ["region"],
            }),
        ),
    ]);
    all
}

fn schema_2020_12() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": { "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": { "street": { "type": "string" }, "city": { "type": "string" } },
        } },
        "properties": {
            "name": { "type": "string" },
            "address": { "$ref": "#/$defs/address" },
            "contactMethod": { "type": "string", "enum": ["phone", "email"] },
            "phone": { "type": "string" },
            "email": { "type": "string" },
        },
        "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
        "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
        "then": { "required": ["phone"] },
        "else": { "required": ["email"] },
        "additionalProperties": false,
    })
}

/// A whole answer with this content.
pub fn content(blocks: Value) -> CallToolResponse {
    typed::<CallToolResult>(json!({ "content": blocks, "resultType": "complete" })).into()
}

pub fn text(text: impl Into<String>) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text)]).into()
}

pub async fn call(
    server: &Server,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let said = |name: &str| {
        let given = request.arguments.as_ref().and_then(|given| given.get(name)?.as_str());
        given.unwrap_or_default().to_owned()
    };
    let resource = |uri: &str, kind: &str, text: &str| json!({ "type": "resource", "resource": { "uri": uri, "mimeType": kind, "text": text } });
    let image = json!({ "type": "image", "data": IMAGE, "mimeType": "image/png" });
    Ok(match request.name.as_ref() {
        "test_simple_text" => text("This is a simple text response for testing."),
        "test_image_content" => content(json!([image])),
        "test_audio_content" => content(json!([{ "type": "audio", "data": AUDIO, "mimeType": "audio/wav" }])),
        "test_embedded_resource" => {
            content(json!([resource("test://embedded-resource", "text/plain", "An embedded resource.")]))
        }
        "test_multiple_content_types" => content(json!([
            { "type": "text", "text": "Multiple content types test:" },
            image,
            resource("test://mixed-content-resource", "application/json", r#"{"test":"data","value":123}"#),
        ])),
        "test_error_handling" => {
            CallToolResult::error(vec![ContentBlock::text("This tool always returns an error.")]).into()
        }
        "test_tool_with_logging" => {
            for line in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
                log(&context.peer, line).await;
            }
            text("Logged.")
        }
        "test_logging_tool" => {
            if context.meta.log_level().is_some() {
                log(&context.peer, "You asked for it.").await;
            }
            text("Done.")
        }
        "test_tool_with_progress" => {
            for progress in [0, 50, 100] {
                if let Some(token) = context.meta.get_progress_token() {
                    let told = json!({ "progressToken": token, "progress": progress, "total": 100 });
                    let _ = context.peer.notify_progress(typed(told)).await;
                }
            }
            text("Done.")
        }
        "test_sampling" => sampling(&context.peer, &said("prompt")).await?,
        "test_elicitation" => elicit(&context.peer, &said("message"), wanted()).await?,
        "test_elicitation_sep1034_defaults" => elicit(&context.peer, "Who are you?", defaults()).await?,
        "test_elicitation_sep1330_enums" => elicit(&context.peer, "What shall it be?", choices()).await?,
        "test_missing_capability" => {
            if context.client_capabilities().is_none_or(|can| can.sampling.is_none()) {
                let needed = typed(json!({ "sampling": {} }));
                return Err(ErrorData::missing_required_client_capability(needed));
            }
            text("It can sample.")
        }
        "test_streaming_elicitation" => crate::rounds::ask_name(),
        "test_trigger_tool_change" => changed(server, Change::Tools),
        "test_trigger_prompt_change" => changed(server, Change::Prompts),
        "json_schema_2020_12_tool" => text(format!("Hello, {}.", said("name"))),
        "test_custom_header" => text(format!("In {}.", said("region"))),
        unknown => return Err(ErrorData::invalid_params(format!("Unknown tool: {unknown}"), None)),
    })
}

fn changed(server: &Server, change: Change) -> CallToolResponse {
    // Nobody may be listening.
    let _ = server.changes.send(change);
    text("Told.")
}

#[expect(deprecated, reason = "2025-11-25 has logging, and that is examined, too")]
async fn log(peer: &Peer<RoleServer>, line: &str) {
    let _ = peer.notify_logging_message(typed(json!({ "level": "info", "data": line }))).await;
}

/// Asks the client in the middle of a call, as revisions before 2026-07-28 do.
async fn ask(peer: &Peer<RoleServer>, request: Value) -> Result<Value, ErrorData> {
    let answer = peer.send_request(typed(request)).await;
    let answer = answer.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    Ok(serde_json::to_value(answer).expect("an answer is JSON"))
}

async fn sampling(peer: &Peer<RoleServer>, prompt: &str) -> Result<CallToolResponse, ErrorData> {
    let messages = json!([{ "role": "user", "content": { "type": "text", "text": prompt } }]);
    let request = json!({ "method": "sampling/createMessage", "params": { "messages": messages, "maxTokens": 100 } });
    let answer = ask(peer, request).await?;
    let said = [&answer["content"]["text"], &answer["content"][0]["text"]].into_iter().find_map(Value::as_str);
    Ok(text(format!("LLM response: {}", said.unwrap_or_default())))
}

async fn elicit(peer: &Peer<RoleServer>, message: &str, properties: Value) -> Result<CallToolResponse, ErrorData> {
    let schema = json!({ "type": "object", "properties": properties });
    let params = json!({ "mode": "form", "message": message, "requestedSchema": schema });
    let answer = ask(peer, json!({ "method": "elicitation/create", "params": params })).await?;
    let action = answer["action"].as_str().unwrap_or_default();
    Ok(text(format!("Elicitation completed: action={action}, content={}", answer["content"])))
}

fn wanted() -> Value {
    json!({ "username": { "type": "string" }, "email": { "type": "string" } })
}

fn defaults() -> Value {
    json!({
        "name": { "type": "string", "default": "John Doe" },
        "age": { "type": "integer", "default": 30 },
        "score": { "type": "number", "default": 95.5 },
        "status": { "type": "string", "enum": ["active", "inactive", "pending"], "default": "active" },
        "verified": { "type": "boolean", "default": true },
    })
}

fn choices() -> Value {
    let titled = |values: [(&str, &str); 3]| -> Vec<Value> {
        values.iter().map(|(value, title)| json!({ "const": value, "title": title })).collect()
    };
    let options = json!(["option1", "option2", "option3"]);
    let first = [("value1", "First Option"), ("value2", "Second Option"), ("value3", "Third Option")];
    let second = [("value1", "First Choice"), ("value2", "Second Choice"), ("value3", "Third Choice")];
    json!({
        "untitledSingle": { "type": "string", "enum": options },
        "titledSingle": { "type": "string", "oneOf": titled(first) },
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": { "type": "array", "items": { "type": "string", "enum": options } },
        "titledMulti": { "type": "array", "items": { "anyOf": titled(second) } },
    })
}
