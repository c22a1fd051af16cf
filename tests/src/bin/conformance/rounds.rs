//! What needs an answer of the client's first, as 2026-07-28 asks it: the call ends with the question, and comes again with
//! the answer.

use rmcp::ErrorData;
use rmcp::model::*;
use serde_json::{Value, json};

use crate::server::{Server, typed};
use crate::tools::text;

/// What came with a call: the client's answers, our state, and what the client can do.
pub struct Asked {
    pub answers: InputResponses,
    pub state: Option<String>,
    pub can: Option<ClientCapabilities>,
}

impl Asked {
    /// A value that a person filled in under this key.
    fn filled(&self, key: &str, field: &str) -> Option<&Value> {
        let answer = self.answers.get(key)?;
        (answer.get("action")? == "accept").then_some(())?;
        answer.get("content")?.get(field)
    }
}

fn form(message: &str, field: &str, kind: &str) -> Value {
    let schema = json!({ "type": "object", "properties": { field: { "type": kind } }, "required": [field] });
    json!({ "method": "elicitation/create", "params": { "mode": "form", "message": message, "requestedSchema": schema } })
}

fn model(question: &str) -> Value {
    let message = json!({ "role": "user", "content": { "type": "text", "text": question } });
    json!({ "method": "sampling/createMessage", "params": { "messages": [message], "maxTokens": 100 } })
}

fn roots() -> Value {
    json!({ "method": "roots/list", "params": {} })
}

pub fn asking(requests: Value, state: Option<String>) -> InputRequiredResult {
    InputRequiredResult::new(Some(typed(requests)), state)
}

pub fn ask_name() -> CallToolResponse {
    asking(json!({ "user_name": form("What is your name?", "name", "string") }), None).into()
}

pub fn ask_context() -> InputRequiredResult {
    asking(json!({ "user_context": form("What context should the prompt use?", "context", "string") }), None)
}

/// The context a person filled in for a prompt.
pub fn context(answers: &InputResponses) -> Option<&str> {
    answers.get("user_context")?.get("content")?.get("context")?.as_str()
}

pub fn tool(server: &Server, name: &str, asked: Asked) -> Result<CallToolResponse, ErrorData> {
    // A state that we did not give out is refused, whatever it came with.
    let round = match &asked.state {
        Some(sealed) => Some(
            server
                .seal
                .open_json::<String>(sealed)
                .map_err(|_| ErrorData::invalid_params("the state is not one that this server gave out", None))?,
        ),
        None => None,
    };
    let sealed = |round: &str| server.seal.seal_json(&round).ok();
    let confirm = || json!({ "confirm": form("Please confirm", "ok", "boolean") });
    Ok(match name {
        "elicitation" => match asked.filled("user_name", "name").and_then(Value::as_str) {
            Some(name) => text(format!("Hello, {name}!")),
            None => ask_name(),
        },
        "sampling" => match asked.answers.get("capital_question") {
            Some(answer) => text(answer.to_string()),
            None => asking(json!({ "capital_question": model("What is the capital of France?") }), None).into(),
        },
        "list_roots" => match asked.answers.get("client_roots").and_then(|answer| answer.get("roots")) {
            Some(roots) => text(format!("Roots: {roots}")),
            None => asking(json!({ "client_roots": roots() }), None).into(),
        },
        "request_state" | "tampered_state" => match (asked.filled("confirm", "ok"), round.as_deref()) {
            (Some(_), Some("confirm")) => text("state-ok"),
            _ => asking(confirm(), sealed("confirm")).into(),
        },
        "multiple_inputs" => {
            let requests = json!({
                "user_name": form("What is your name?", "name", "string"),
                "greeting": model("Generate a greeting"),
                "client_roots": roots(),
            });
            let all = ["user_name", "greeting", "client_roots"].iter().all(|key| asked.answers.contains_key(*key));
            if all && round.is_some() { text("Got all three.") } else { asking(requests, sealed("all")).into() }
        }
        "multi_round" => match (round.as_deref(), asked.filled("step1", "name"), asked.filled("step2", "color")) {
            (Some("two"), _, Some(color)) => text(format!("You like {color}.")),
            (Some("one"), Some(_), _) => asking(
                json!({ "step2": form("Step 2: What is your favorite color?", "color", "string") }),
                sealed("two"),
            )
            .into(),
            _ => asking(json!({ "step1": form("Step 1: What is your name?", "name", "string") }), sealed("one")).into(),
        },
        "capabilities" => {
            let can = asked.can.unwrap_or_default();
            let mut requests = json!({});
            if can.elicitation.is_some() {
                requests["user_name"] = form("What is your name?", "name", "string");
            }
            if can.sampling.is_some() {
                requests["greeting"] = model("Generate a greeting");
            }
            if requests == json!({}) || !asked.answers.is_empty() {
                text("Nothing to ask.")
            } else {
                asking(requests, None).into()
            }
        }
        unknown => return Err(ErrorData::invalid_params(format!("Unknown tool: {unknown}"), None)),
    })
}
