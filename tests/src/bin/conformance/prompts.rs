//! The suite's prompts, and completions for them.

use rmcp::ErrorData;
use rmcp::model::*;
use serde_json::{Value, json};

use crate::rounds;
use crate::server::typed;
use crate::tools::IMAGE;

pub fn all() -> Vec<Prompt> {
    let argument = |name: &str| json!({ "name": name, "required": true });
    typed(json!([
        { "name": "test_simple_prompt", "description": "Without arguments" },
        { "name": "test_prompt_with_arguments", "description": "With two", "arguments": [argument("arg1"), argument("arg2")] },
        { "name": "test_prompt_with_embedded_resource", "description": "With a resource", "arguments": [argument("resourceUri")] },
        { "name": "test_prompt_with_image", "description": "With an image" },
        { "name": "test_input_required_result_prompt", "description": "Asks for its context" },
    ]))
}

pub fn complete(begun: &str) -> CompleteResult {
    let values: Vec<&str> = ["paris", "park", "party"].into_iter().filter(|word| word.starts_with(begun)).collect();
    let total = values.len();
    typed(json!({ "completion": { "values": values, "total": total, "hasMore": false }, "resultType": "complete" }))
}

pub fn get(request: &GetPromptRequestParams) -> Result<GetPromptResponse, ErrorData> {
    let said = |name: &str| {
        let given = request.arguments.as_ref().and_then(|given| given.get(name)?.as_str());
        given.map(str::to_owned).ok_or_else(|| ErrorData::invalid_params(format!("{name} is missing"), None))
    };
    let text = |text: String| json!({ "type": "text", "text": text });
    let blocks: Vec<Value> = match request.name.as_str() {
        "test_simple_prompt" => vec![text("This is a simple prompt for testing.".to_owned())],
        "test_prompt_with_arguments" => {
            vec![text(format!("Prompt with arguments: arg1='{}', arg2='{}'", said("arg1")?, said("arg2")?))]
        }
        "test_prompt_with_embedded_resource" => {
            let resource = json!({ "uri": said("resourceUri")?, "mimeType": "text/plain", "text": "Embedded." });
            vec![
                json!({ "type": "resource", "resource": resource }),
                text("Please process the resource above.".to_owned()),
            ]
        }
        "test_prompt_with_image" => vec![
            json!({ "type": "image", "data": IMAGE, "mimeType": "image/png" }),
            text("Please analyze the image above.".to_owned()),
        ],
        "test_input_required_result_prompt" => {
            let Some(context) = request.input_responses.as_ref().and_then(rounds::context) else {
                return Ok(rounds::ask_context().into());
            };
            vec![text(format!("In the context of {context}."))]
        }
        unknown => return Err(ErrorData::invalid_params(format!("Unknown prompt: {unknown}"), None)),
    };
    let messages: Vec<Value> = blocks.iter().map(|content| json!({ "role": "user", "content": content })).collect();
    let result: GetPromptResult = typed(json!({ "messages": messages, "resultType": "complete" }));
    Ok(result.into())
}
