//! A runtime that other languages call.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use serde_json::{Value, json};

use super::answer::{self, Answer, value};
use super::mcp::McpMount;
use super::open::from_json;
use super::request::{ApplyRequest, CapabilityCall, Decide, ListRequest, NextEvents, Request, caller};
use crate::catalogue::{CheckedTool, openai_alias};
use crate::error::{Code, Error, Result};
use crate::ledger::{List, PageRequest};
use crate::mcp::http::Front;
use crate::primitives::Scripted;
use crate::runtime::{ApplyOptions, Runtime, Seen, page_view};

/// One open contract and ledger. Calls may come from any number of threads at once, on any tokio runtime with time and I/O
/// enabled. A call that is dropped leaves nothing half done: an apply that was begun runs on, and the next call finds how
/// it ended.
#[derive(Debug)]
pub struct Session {
    pub(super) runtime: Runtime,
    pub(super) tools: RwLock<BTreeMap<String, Arc<CheckedTool>>>,
    script: Option<Arc<Scripted>>,
    pub(super) fronts: Mutex<BTreeMap<McpMount, Front>>,
}

impl Session {
    pub(super) fn over(runtime: Runtime, script: Option<Arc<Scripted>>) -> Self {
        Self { runtime, tools: RwLock::default(), script, fronts: Mutex::default() }
    }

    /// The runtime behind it.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Does what is asked.
    pub async fn call(&self, request: Request) -> Answer {
        self.answer(request).await.into()
    }

    /// The same from the JSON of a [`Request`] to the JSON of an [`Answer`].
    pub async fn call_json(&self, request: &str) -> String {
        match from_json(request) {
            Ok(request) => self.call(request).await,
            Err(error) => Answer::Failure(error),
        }
        .to_json()
    }

    async fn answer(&self, request: Request) -> Result<Value> {
        let runtime = &self.runtime;
        Ok(match request {
            Request::Read(call) => {
                self.check_within(&call)?;
                answer::read(&runtime.read(&call.capability, &call.arguments, &caller(call.context)).await?)
            }
            Request::Propose(call) => {
                self.check_within(&call)?;
                answer::proposed(&runtime.propose(&call.capability, &call.arguments, &caller(call.context)).await?)
            }
            Request::Proposal(by) => {
                let id = runtime.proposal_named(&by.id).await?;
                answer::proposal(&runtime.show(&id).await?)
            }
            Request::Approve(decide) => {
                let (seen, decide) = seen(decide);
                answer::proposal(&runtime.approve(&seen, &decide.approver, decide.reason).await?)
            }
            Request::Reject(decide) => {
                let (seen, decide) = seen(decide);
                let reason = decide.reason.filter(|reason| !reason.trim().is_empty()).ok_or_else(|| {
                    Error::new(Code::Usage)
                        .with("problem", "reject needs a reason")
                        .with("hint", "say why; it is recorded")
                })?;
                answer::proposal(&runtime.reject(&seen, &decide.approver, reason).await?)
            }
            Request::Cancel(withdraw) => {
                let id = runtime.proposal_named(&withdraw.proposal_id).await?;
                let record = runtime.cancel(&id, &withdraw.actor, withdraw.reason, withdraw.take_over).await?;
                answer::proposal(&record)
            }
            Request::Apply(apply) => self.apply(apply).await?,
            Request::Replay(by) => value(&runtime.replay(&by.id).await?),
            Request::Evidence(by) => value(&runtime.evidence_bundle(&by.id).await?),
            Request::List(list) => self.list(list).await?,
            Request::NextEvents(next) => self.next_events(next).await?,
            Request::VerifyLedger { expect } => {
                let expect = expect.as_deref().map(str::parse).transpose()?;
                value(&runtime.ledger().verify(expect, Box::new(|_, _| {})).await?.view())
            }
            Request::Tools(wanted) => self.list_tools(wanted)?,
            Request::RegisterTool(tool) => self.register_tool(tool)?,
            Request::CallTool(call) => self.call_tool(&call).await?,
            Request::FinishTool(finish) => self.finish_tool(finish).await?,
            Request::Mcp(request) => self.mcp(request).await?,
            Request::Warnings => json!(runtime.warnings()),
            Request::Fail(refusal) => {
                self.testing()?;
                let code = Code::parse(&refusal.code).ok_or_else(|| {
                    Error::new(Code::Usage)
                        .with("problem", "there is no such code")
                        .with("hint", "see schemas/errors.json")
                })?;
                return Err(Error::retold(code, &refusal.context));
            }
            Request::Script { at, seed } => {
                self.testing()?.set(at, seed);
                Value::Null
            }
        })
    }

    /// What a session that was opened for testing goes by.
    fn testing(&self) -> Result<&Scripted> {
        self.script.as_deref().ok_or_else(|| {
            Error::new(Code::Usage)
                .with("problem", "this session is not for testing")
                .with("hint", "open one with time and ids of its own")
        })
    }

    /// On behalf of a tool, only what is in its scope.
    fn check_within(&self, call: &CapabilityCall) -> Result<()> {
        match &call.within {
            None => Ok(()),
            Some(tool) => self.tool(tool).ok_or_else(|| unknown_tool(tool))?.check_scope(&call.capability),
        }
    }

    async fn apply(&self, apply: ApplyRequest) -> Result<Value> {
        let mut options = ApplyOptions { dry_run: apply.dry_run, resume: apply.resume, ..ApplyOptions::default() };
        if let Some(runner) = apply.runner {
            options.runner = runner;
        }
        if let Some(seconds) = apply.lease_seconds {
            options.lease = Duration::from_secs(seconds);
        }
        let id = self.runtime.proposal_named(&apply.proposal_id).await?;
        let applied = self.runtime.apply(&id, &options).await?;
        let app_owned = self.runtime.is_app_owned(&applied.record);
        Ok(value(&applied.view(app_owned)?))
    }

    async fn list(&self, wanted: ListRequest) -> Result<Value> {
        let after = wanted.cursor.as_deref().map(str::parse).transpose()?;
        let page = PageRequest { limit: wanted.limit, after };
        let (runtime, filter) = (&self.runtime, &wanted.filter);
        Ok(match wanted.list {
            List::Proposals => page_view("proposals", &runtime.proposals(filter, &page).await?),
            List::Evidence => page_view("evidence", &runtime.evidence(filter, &page).await?),
            List::QueryAudit => page_view("query_audit", &runtime.query_audit(filter, &page).await?),
            List::Receipts => page_view("receipts", &runtime.receipts(filter, &page).await?),
            List::Replays => page_view("replays", &runtime.replays(filter, &page).await?),
            List::Events => page_view("events", &runtime.events(filter, &page).await?),
            List::Activity => page_view("activity", &runtime.activity(filter, &page).await?),
        })
    }

    async fn next_events(&self, next: NextEvents) -> Result<Value> {
        let every = Duration::from_millis(next.every_ms.clamp(10, 60_000));
        let within = Duration::from_millis(next.within_ms.min(60_000));
        let (events, after) = self.runtime.next_events_within(&next.filter, next.after, every, within).await?;
        Ok(json!({ "events": events, "after": after }))
    }

    /// A tool of the application's own, by its name or its alias.
    pub(super) fn tool(&self, name: &str) -> Option<Arc<CheckedTool>> {
        let tools = self.tools.read().unwrap_or_else(PoisonError::into_inner);
        let aliased = || tools.values().find(|tool| openai_alias(&tool.tool().name) == name);
        tools.get(name).or_else(aliased).cloned()
    }
}

fn seen(decide: Decide) -> (Seen, Decide) {
    let seen = Seen { proposal_id: decide.proposal_id.clone(), hash: decide.hash.clone(), version: decide.version };
    (seen, decide)
}

pub(super) fn unknown_tool(name: &str) -> Error {
    Error::new(Code::CapabilityNotFound).with("capability", name)
}
