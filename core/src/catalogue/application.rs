//! A tool of the application's own, beside those of the contract: it may read or propose through the capabilities in its
//! scope, and never decides or applies.

use jsonschema::Validator;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::alias::{AliasMode, openai_alias};
use super::boundary::may_be_called;
use super::envelope::ResultFormat;
use super::output;
use super::tools::{Annotations, Tool, ToolOptions, tools};
use crate::contract::{Contract, Kind, RESERVED_ARGUMENTS};
use crate::error::{Code, Error, Result};
use crate::primitives::looks_secret;

/// What an application says of its tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplicationTool {
    /// The name it is called by: letters, digits, `_`, `-` and `.`.
    pub name: String,
    /// For the model.
    pub description: String,
    /// Read or proposal.
    pub kind: Kind,
    /// JSON Schema (2020-12) of an object; closed, unless it says otherwise.
    pub input_schema: Value,
    /// JSON Schema of its answer. A proposal has none: it answers with the proposal.
    #[serde(default)]
    pub output_schema: Option<Value>,
    /// The capabilities that it may use.
    #[serde(default)]
    pub scope: Vec<String>,
    /// For clients and people: how its calls are meant to be treated, such as `always_ask`. It loosens nothing.
    #[serde(default)]
    pub policy_hint: Option<String>,
}

/// A tool that was found to be sound, ready to be called.
#[derive(Debug)]
pub struct CheckedTool {
    tool: ApplicationTool,
    input: Validator,
    output: Option<Validator>,
}

impl ApplicationTool {
    /// Checks it beside a contract.
    ///
    /// # Errors
    /// `TOOL_INVALID`.
    pub fn check(mut self, contract: &Contract) -> Result<CheckedTool> {
        let problem = |problem: String| Error::new(Code::ToolInvalid).with("tool", &self.name).with("problem", problem);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let name = &self.name;
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) || !may_be_called(name) {
            return Err(problem(
                "its name says what no tool may do, or is not 1 to 64 of A-Z a-z 0-9 _ - .".to_owned(),
            ));
        }
        let taken = tools(contract, &ToolOptions { alias: AliasMode::Both, ..ToolOptions::default() });
        if taken.iter().any(|tool| tool.name == *name || tool.name == openai_alias(name)) {
            return Err(problem("the contract has a tool of this name".to_owned()));
        }
        if self.description.trim().is_empty() || looks_secret(&self.description) {
            return Err(problem("it needs a description".to_owned()));
        }
        let mut proposes = false;
        for capability in &self.scope {
            let Some(known) = contract.capability(capability) else {
                return Err(problem(format!("its scope names {capability}, which is no capability of the contract")));
            };
            proposes |= known.kind == Kind::Proposal;
        }
        if (self.kind == Kind::Proposal) != proposes {
            let what = "a proposal has a capability in its scope that proposes, and a read has none";
            return Err(problem(what.to_owned()));
        }
        if self.kind == Kind::Proposal && self.output_schema.is_some() {
            return Err(problem("a proposal answers with the proposal, and has no output schema".to_owned()));
        }
        if let Err(what) = close(&mut self.input_schema) {
            return Err(Error::new(Code::ToolInvalid).with("tool", &self.name).with("problem", what));
        }
        let compiled = |which: &str, schema: &Value| {
            jsonschema::draft202012::options().build(schema).map_err(|error| {
                let at = error.instance_path().to_string();
                let problem = format!("its {which} schema is no JSON Schema (2020-12), at `{at}`");
                Error::new(Code::ToolInvalid).with("tool", &self.name).with("problem", problem)
            })
        };
        let input = compiled("input", &self.input_schema)?;
        let output = self.output_schema.as_ref().map(|schema| compiled("output", schema)).transpose()?;
        Ok(CheckedTool { tool: self, input, output })
    }
}

/// An object and nothing else, without the arguments that only trusted context may bind.
fn close(schema: &mut Value) -> std::result::Result<(), String> {
    let object = schema.as_object_mut().filter(|schema| schema.get("type").and_then(Value::as_str) == Some("object"));
    let object = object.ok_or("its input schema does not say `\"type\": \"object\"`")?;
    let properties = object.get("properties").and_then(Value::as_object);
    let reserved = |name: &&String| RESERVED_ARGUMENTS.contains(&name.as_str());
    if let Some(name) = properties.into_iter().flat_map(Map::keys).find(reserved) {
        return Err(format!("trusted context binds {name}, no argument does"));
    }
    object.entry("additionalProperties").or_insert(Value::Bool(false));
    Ok(())
}

impl CheckedTool {
    /// What the application said of it.
    #[must_use]
    pub fn tool(&self) -> &ApplicationTool {
        &self.tool
    }

    /// As an agent is shown it, under one of its names.
    #[must_use]
    pub fn listed(&self, name: &str, format: ResultFormat) -> Tool {
        let read = self.tool.kind == Kind::Read;
        let mut meta = Map::new();
        let mut put = |key: &str, value: Value| drop(meta.insert(format!("synapsor.{key}"), value));
        put("kind", if read { "read" } else { "proposal" }.into());
        put("canonical_tool_name", self.tool.name.as_str().into());
        put("exposed_tool_name", name.into());
        put("raw_sql_exposed", false.into());
        put("approval_tool", false.into());
        meta.insert("signoff.application_tool".to_owned(), Value::Bool(true));
        if let Some(hint) = &self.tool.policy_hint {
            meta.insert("signoff.policy_hint".to_owned(), hint.as_str().into());
        }
        Tool {
            name: name.to_owned(),
            canonical_name: self.tool.name.clone(),
            title: self.tool.name.clone(),
            description: self.tool.description.clone(),
            kind: self.tool.kind,
            input_schema: self.tool.input_schema.clone(),
            output_schema: if read {
                output::read(output::data_of(self.tool.output_schema.as_ref()), format)
            } else {
                output::proposal(&Value::Null, format)
            },
            annotations: Annotations { read_only: read, destructive: false, idempotent: read, open_world: false },
            meta,
        }
    }

    /// Checks what a model wants it called with.
    ///
    /// # Errors
    /// `TOOL_ARGUMENTS_INVALID`.
    pub fn check_arguments(&self, arguments: &Value) -> Result<()> {
        fits(&self.input, arguments).map_err(|problem| {
            Error::new(Code::ToolArgumentsInvalid).with("tool", &self.tool.name).with("problem", problem)
        })
    }

    /// Checks what it wants to answer with.
    ///
    /// # Errors
    /// `TOOL_OUTPUT_INVALID`.
    pub fn check_output(&self, output: &Value) -> Result<()> {
        let Some(schema) = &self.output else { return Ok(()) };
        fits(schema, output).map_err(|problem| {
            Error::new(Code::ToolOutputInvalid).with("tool", &self.tool.name).with("problem", problem)
        })
    }

    /// Checks what is answered in the end: `data`, or its member `answer` if it is `wrapped`.
    ///
    /// # Errors
    /// `TOOL_OUTPUT_INVALID`.
    pub fn check_answered(&self, data: &Map<String, Value>, wrapped: bool) -> Result<()> {
        match data.get("answer").filter(|_| wrapped) {
            Some(answer) => self.check_output(answer),
            None => self.check_output(&Value::Object(data.clone())),
        }
    }

    /// Checks that it may use this capability.
    ///
    /// # Errors
    /// `TOOL_SCOPE_EXCEEDED`.
    pub fn check_scope(&self, capability: &str) -> Result<()> {
        if self.tool.scope.iter().any(|name| name == capability) {
            return Ok(());
        }
        Err(Error::new(Code::ToolScopeExceeded).with("tool", &self.tool.name).with("capability", capability))
    }
}

/// The first thing that is wrong: where, and which rule; never the value.
fn fits(schema: &Validator, value: &Value) -> std::result::Result<(), String> {
    match schema.validate(value) {
        Ok(()) => Ok(()),
        Err(error) => Err(format!("at `{}`, {}", error.instance_path(), error.masked_with("the value"))),
    }
}
