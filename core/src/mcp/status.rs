//! Two tools about the caller's own proposals: where one stands, and taking a pending one back.

use std::sync::Arc;

use rmcp::model::{Tool, ToolAnnotations};
use serde_json::{Map, Value, json};

use super::limits::Counted;
use super::resources::{own, proposal};
use crate::catalogue::{AliasMode, Envelope, ResultFormat, error_envelope, openai_alias, own_proposal_schema};
use crate::error::{Code, Error};
use crate::primitives::json as strict;
use crate::runtime::{Caller, Runtime};

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    Status,
    Withdraw,
}

impl Own {
    const ALL: [Self; 2] = [Self::Status, Self::Withdraw];

    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "signoff.proposal_status",
            Self::Withdraw => "signoff.withdraw_proposal",
        }
    }

    /// As what a call counts.
    pub fn counted(self) -> Counted {
        match self {
            Self::Status => Counted::Read,
            Self::Withdraw => Counted::Proposal,
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Status => "Where one of your own proposals stands.",
            Self::Withdraw => "Takes back a proposal of your own that nobody has decided yet.",
        }
    }
}

/// The tool that is called by this name or its alias.
pub(super) fn named(name: &str) -> Option<Own> {
    Own::ALL.into_iter().find(|own| own.name() == name || openai_alias(own.name()) == name)
}

pub(super) fn tools(alias: AliasMode) -> Vec<Tool> {
    let mut out = Vec::new();
    for own in Own::ALL {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": { "proposal_id": { "type": "string", "description": "The id that proposing answered with." } },
            "required": ["proposal_id"],
            "additionalProperties": false,
        });
        let (Value::Object(schema), Value::Object(answer)) = (schema, own_proposal_schema()) else { continue };
        let read = own == Own::Status;
        let annotations = ToolAnnotations::from_raw(None, Some(read), Some(false), Some(true), Some(false));
        let names = match alias {
            AliasMode::Canonical => vec![own.name().to_owned()],
            AliasMode::Openai => vec![openai_alias(own.name())],
            AliasMode::Both => vec![own.name().to_owned(), openai_alias(own.name())],
        };
        let (schema, answer) = (Arc::new(schema), Arc::new(answer));
        for name in names {
            let tool = Tool::new(name, own.description(), Arc::<Map<String, Value>>::clone(&schema));
            let tool = tool.with_raw_output_schema(Arc::clone(&answer));
            out.push(tool.with_title(own.name()).with_annotations(annotations.clone()));
        }
    }
    out
}

pub(super) async fn call(
    runtime: &Runtime,
    which: Own,
    arguments: &str,
    caller: &Caller,
    format: ResultFormat,
) -> Envelope {
    match answer(runtime, which, arguments, caller).await {
        Ok(body) => envelope(which, body),
        Err(error) => error_envelope(&error, format, which.name(), None),
    }
}

fn envelope(which: Own, mut body: Value) -> Envelope {
    if let Some(object) = body.as_object_mut() {
        object.insert("ok".to_owned(), Value::Bool(true));
        object.insert("action".to_owned(), which.name().into());
        object.insert("source_database_changed".to_owned(), Value::Bool(false));
    }
    Envelope { body, is_error: false }
}

async fn answer(runtime: &Runtime, which: Own, arguments: &str, caller: &Caller) -> crate::Result<Value> {
    let id = proposal_id(which, arguments)?;
    let record = own(runtime, &id, caller).await?;
    if which == Own::Status {
        return Ok(proposal(runtime, &record));
    }
    let record = runtime.withdraw(&id).await?;
    Ok(proposal(runtime, &record))
}

fn proposal_id(which: Own, arguments: &str) -> crate::Result<String> {
    let invalid =
        |problem: &str| Error::new(Code::ArgumentsInvalid).with("capability", which.name()).with("problem", problem);
    let node = strict::parse(arguments).map_err(|error| invalid(&error.message()))?;
    match node.as_object() {
        Some([(name, value)]) if name == "proposal_id" => value
            .scalar()
            .and_then(|scalar| match scalar {
                crate::primitives::Scalar::Text(text) => Some(text),
                _ => None,
            })
            .ok_or_else(|| invalid("proposal_id is a string")),
        _ => Err(invalid("it has proposal_id and nothing else")),
    }
}
