//! Tools for agents: the contract's, answered at once, and the application's own, whose function runs on its side.

use std::cmp::Ordering;
use std::sync::{Arc, PoisonError};

use serde_json::{Value, json};

use super::open::from_json;
use super::request::{FinishTool, Outcome, ToolCall, ToolsRequest, caller};
use super::session::{Session, unknown_tool};
use crate::catalogue::{
    AliasMode, ApplicationTool, CheckedTool, Envelope, ResultFormat, Tool, ToolOptions, error_envelope, openai_alias,
};
use crate::contract::Kind;
use crate::error::{Code, Error, Result};
use crate::primitives::json::{self as strict, Node};
use crate::primitives::{Scalar, compare_decimals};
use crate::runtime::Caller;

/// The longest answer of a tool of the application's own, in bytes of its JSON.
const MAX_OUTPUT: usize = 1 << 20;

impl Session {
    pub(super) fn list_tools(&self, wanted: ToolsRequest) -> Result<Value> {
        let alias = wanted.alias;
        let who = caller(wanted.context);
        let format = self.format(wanted.format)?;
        let mut listed: Vec<Tool> = self.runtime.tools(&ToolOptions { alias, format: Some(format) }, &who)?;
        let own = self.tools.read().unwrap_or_else(PoisonError::into_inner);
        for (name, tool) in own.iter().filter(|(_, tool)| self.is_offered(tool, &who)) {
            if alias != AliasMode::Openai {
                listed.push(tool.listed(name, format));
            }
            let short = openai_alias(name);
            if alias != AliasMode::Canonical && (short != *name || alias == AliasMode::Openai) {
                listed.push(tool.listed(&short, format));
            }
        }
        let kinds = |tool: &Tool| {
            let mut shown = super::answer::value(tool);
            if let Some(object) = shown.as_object_mut() {
                object.insert("kind".to_owned(), super::answer::value(&tool.kind));
                object.insert("canonicalName".to_owned(), tool.canonical_name.as_str().into());
            }
            shown
        };
        Ok(json!({ "tools": listed.iter().map(kinds).collect::<Vec<_>>() }))
    }

    pub(super) fn register_tool(&self, tool: ApplicationTool) -> Result<Value> {
        let name = tool.name.clone();
        let checked = tool.check(self.runtime.need_contract()?)?;
        let mut own = self.tools.write().unwrap_or_else(PoisonError::into_inner);
        let alias = openai_alias(&name);
        if own.keys().any(|known| *known == name || openai_alias(known) == alias) {
            return Err(Error::new(Code::ToolInvalid).with("tool", name).with("problem", "there is one of this name"));
        }
        own.insert(name, Arc::new(checked));
        Ok(Value::Null)
    }

    /// The envelope of a capability; of the application's own tool, what its function is to be run with.
    pub(super) async fn call_tool(&self, call: &ToolCall) -> Result<Value> {
        let format = self.format(call.format)?;
        let who = caller(call.context.clone());
        if let Some(tool) = self.tool(&call.tool).filter(|tool| self.is_offered(tool, &who)) {
            if let Some(refused) = self.runtime.refuse_oversized(&tool.tool().name, &call.arguments, &who, format).await
            {
                return Ok(enveloped(&refused));
            }
            return Ok(match self.begin(&tool, call, &who) {
                Ok(run) => run,
                Err(error) => self.refused(&tool, error, &who, format).await?,
            });
        }
        self.runtime.need_contract()?;
        Ok(enveloped(&self.runtime.call_tool(&call.tool, &call.arguments, &who, format).await))
    }

    /// Checks a call of the application's own tool.
    fn begin(&self, tool: &CheckedTool, call: &ToolCall, who: &Caller) -> Result<Value> {
        self.runtime.identify(tool.tool().scope.first().map(String::as_str), who)?;
        let arguments = exact_arguments(tool, &call.arguments)?;
        tool.check_arguments(&arguments)?;
        let said = tool.tool();
        Ok(json!({ "run": { "tool": said.name, "kind": said.kind, "scope": said.scope, "arguments": call.arguments } }))
    }

    pub(super) async fn finish_tool(&self, finish: FinishTool) -> Result<Value> {
        let call = finish.of;
        let format = self.format(call.format)?;
        let who = caller(call.context.clone());
        let offered = self.tool(&call.tool).filter(|tool| self.is_offered(tool, &who));
        let tool = offered.ok_or_else(|| unknown_tool(&call.tool))?;
        let ended =
            match finish.outcome {
                Outcome::Output(text) => self.finish_read(&tool, &call, &text, &who, format).await,
                Outcome::Proposal(id) => self.finish_proposal(&tool, &id, &who, format).await,
                Outcome::Failed => Err(failed(&tool)),
                Outcome::Refused(refusal) => Err(Code::parse(&refusal.code)
                    .map_or_else(|| failed(&tool), |code| Error::retold(code, &refusal.context))),
            };
        match ended {
            Ok(envelope) => Ok(enveloped(&envelope)),
            Err(error) => self.refused(&tool, error, &who, format).await,
        }
    }

    /// The envelope of a call that came to nothing; it is audited, as every refusal is.
    async fn refused(&self, tool: &CheckedTool, error: Error, who: &Caller, format: ResultFormat) -> Result<Value> {
        let said = tool.tool();
        let scope = said.scope.first().map(String::as_str);
        let error = self.runtime.record_application_refusal(&said.name, scope, error, who).await?;
        Ok(enveloped(&error_envelope(&error, format, &said.name, Some(said.kind))))
    }

    async fn finish_read(
        &self,
        tool: &CheckedTool,
        call: &ToolCall,
        output: &str,
        who: &Caller,
        format: ResultFormat,
    ) -> Result<Envelope> {
        if tool.tool().kind != Kind::Read {
            let problem = "it ended without a proposal";
            return Err(Error::new(Code::ToolOutputInvalid).with("tool", &tool.tool().name).with("problem", problem));
        }
        if output.len() > MAX_OUTPUT {
            let problem = format!("longer than {MAX_OUTPUT} bytes");
            return Err(Error::new(Code::ToolOutputInvalid).with("tool", &tool.tool().name).with("problem", problem));
        }
        let output: Value = from_json(output)?;
        tool.check_output(&output)?;
        let wrapped = !output.is_object();
        let arguments = exact_arguments(tool, &call.arguments)?;
        let scope = tool.tool().scope.first().map(String::as_str);
        let answer = self.runtime.record_application_read(&tool.tool().name, scope, &arguments, output, who).await?;
        // A secret was replaced, and its place may have had a form: what is answered fits the schema, or nothing is.
        tool.check_answered(&answer.data, wrapped)?;
        Ok(crate::catalogue::read_envelope(&answer, format))
    }

    async fn finish_proposal(
        &self,
        tool: &CheckedTool,
        id: &str,
        who: &Caller,
        format: ResultFormat,
    ) -> Result<Envelope> {
        let name = &tool.tool().name;
        let invalid = |problem: &str| Error::new(Code::ToolOutputInvalid).with("tool", name).with("problem", problem);
        if tool.tool().kind != Kind::Proposal {
            return Err(invalid("it reads, and ended with a proposal"));
        }
        let record = self.runtime.show(id).await?;
        let set = &record.change_set;
        tool.check_scope(&set.action)?;
        let (tenant, principal, _) = self.runtime.identify(Some(&set.action), who)?;
        if set.scope.tenant_id != tenant || set.principal.id != principal {
            return Err(invalid("it ended with somebody else's proposal"));
        }
        Ok(self.runtime.proposal_envelope(&record, format))
    }

    /// A tool of the application's own is offered to those who are offered all that it may use.
    fn is_offered(&self, tool: &CheckedTool, who: &Caller) -> bool {
        tool.tool().scope.iter().all(|capability| self.runtime.is_offered(capability, who))
    }

    fn format(&self, format: Option<u8>) -> Result<ResultFormat> {
        match format {
            Some(format @ (1 | 2)) => Ok(ResultFormat::from_number(format)),
            Some(_) => Err(Error::new(Code::Usage)
                .with("problem", "an envelope has format 1 or 2")
                .with("hint", "leave it out for the contract's")),
            None => Ok(self.runtime.result_format()),
        }
    }
}

fn failed(tool: &CheckedTool) -> Error {
    Error::new(Code::ToolFailed).with("tool", &tool.tool().name)
}

fn enveloped(envelope: &Envelope) -> Value {
    json!({ "envelope": envelope.body, "is_error": envelope.is_error })
}

/// The arguments for the schema: read strictly, so that nothing stands in them twice.
fn exact_arguments(tool: &CheckedTool, text: &str) -> Result<Value> {
    let invalid = |problem: String| {
        Error::new(Code::ToolArgumentsInvalid).with("tool", &tool.tool().name).with("problem", problem)
    };
    let node = strict::parse(text).map_err(|error| invalid(error.message()))?;
    if !survives(&node) {
        return Err(invalid("a number in it is finer than a double: write it as a string".to_owned()));
    }
    let value: Value = serde_json::from_str(text).map_err(|_| invalid("not JSON".to_owned()))?;
    if value.is_object() { Ok(value) } else { Err(invalid("it is another kind of value".to_owned())) }
}

/// The schema judges numbers as doubles: one that a double cannot hold would be judged as another.
fn survives(node: &Node) -> bool {
    if let Some(members) = node.as_object() {
        return members.iter().all(|(_, member)| survives(member));
    }
    if let Some(items) = node.as_array() {
        return items.iter().all(survives);
    }
    match node.scalar() {
        Some(Scalar::Decimal(text)) => {
            let double = text.parse().ok().and_then(serde_json::Number::from_f64);
            double.is_some_and(|double| compare_decimals(&double.to_string(), &text).is_some_and(Ordering::is_eq))
        }
        _ => true,
    }
}
