//! What a binding can ask for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::mcp::McpRequest;
use crate::catalogue::{AliasMode, ApplicationTool};
use crate::ledger::{Filter, List};
use crate::primitives::Instant;
use crate::runtime::{Approver, Caller};

/// One call. In JSON, `call` names it: `{"call": "read", "capability": …}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Request {
    /// Answers a read capability: [`crate::Runtime::read`].
    Read(CapabilityCall),
    /// Proposes a change: [`crate::Runtime::propose`].
    Propose(CapabilityCall),
    /// One proposal, whole: [`crate::Runtime::show`].
    Proposal(By),
    /// Approves what was seen: [`crate::Runtime::approve`].
    Approve(Decide),
    /// Rejects what was seen: [`crate::Runtime::reject`].
    Reject(Decide),
    /// Withdraws a proposal: [`crate::Runtime::cancel`].
    Cancel(Withdraw),
    /// Applies an approved proposal: [`crate::Runtime::apply`].
    Apply(ApplyRequest),
    /// The whole story: [`crate::Runtime::replay`].
    Replay(By),
    /// One evidence bundle: [`crate::Runtime::evidence_bundle`].
    Evidence(By),
    /// A page of a list.
    List(ListRequest),
    /// The next events, waiting for them: [`crate::Runtime::next_events_within`].
    NextEvents(NextEvents),
    /// Recomputes everything in the ledger.
    VerifyLedger {
        /// A checkpoint, `SIZE:HEAD`, that the ledger must contain.
        #[serde(default)]
        expect: Option<String>,
    },
    /// The tools that an agent is shown, the application's own among them.
    Tools(ToolsRequest),
    /// Registers a tool of the application's own.
    RegisterTool(ApplicationTool),
    /// Calls a tool as an agent does, and answers the envelope; of the application's own tool, what to run first.
    CallTool(ToolCall),
    /// Ends the call of a tool of the application's own.
    FinishTool(FinishTool),
    /// Answers a request of MCP over HTTP that the application received.
    Mcp(McpRequest),
    /// What a person should know before this is used.
    Warnings,
    /// Fails as it says, in a session that was opened for testing: so every code can be seen to arrive.
    Fail(Refusal),
    /// Sets the clock and the ids of a session that was opened for testing.
    Script {
        /// Where the clock stands from now on.
        at: Instant,
        /// What ids follow from.
        seed: String,
    },
}

/// Who asks, as the application vouches for it; never from a model.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// The tenant.
    pub tenant: String,
    /// The principal.
    pub principal: String,
    /// The roles they hold.
    #[serde(default)]
    pub roles: Vec<String>,
}

/// Without a context, the contract's provider says who asks.
pub(super) fn caller(context: Option<Context>) -> Caller {
    context.map_or(Caller::FromContract, |context| {
        Caller::trusted(context.tenant, context.principal).with_roles(context.roles)
    })
}

/// A capability and its arguments.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapabilityCall {
    /// Its name.
    pub capability: String,
    /// The text of a JSON object: numbers in it are taken exactly as they are written.
    pub arguments: String,
    /// Who asks.
    #[serde(default)]
    pub context: Option<Context>,
    /// The tool of the application's own on whose behalf: only what is in its scope is done.
    #[serde(default)]
    pub within: Option<String>,
}

/// An id, or the beginning of one that names one thing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct By {
    /// It.
    pub id: String,
}

/// A decision on what was seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    /// The proposal.
    pub proposal_id: String,
    /// The hash that was shown, whole.
    pub hash: String,
    /// The version that was shown.
    pub version: u32,
    /// Who decides.
    pub approver: Approver,
    /// Why; a rejection needs it.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A withdrawal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdraw {
    /// The proposal.
    pub proposal_id: String,
    /// Who withdraws it.
    pub actor: Approver,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// Also if the worker of an attempt may still hold its lease.
    #[serde(default)]
    pub take_over: bool,
}

/// How to apply. What is left out is as in [`crate::runtime::ApplyOptions`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyRequest {
    /// The proposal.
    pub proposal_id: String,
    /// Rehearse on the live row and roll back.
    #[serde(default)]
    pub dry_run: bool,
    /// Take over an attempt whose worker may still hold its lease.
    #[serde(default)]
    pub resume: bool,
    /// Who applies.
    #[serde(default)]
    pub runner: Option<String>,
    /// How long the lease holds, in seconds: 15 to 3600.
    #[serde(default)]
    pub lease_seconds: Option<u64>,
}

/// A page of a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListRequest {
    /// Which one.
    pub list: List,
    /// What to look for.
    #[serde(default)]
    pub filter: Filter,
    /// At most so many: 1 to 200, 20 if left out.
    #[serde(default)]
    pub limit: u32,
    /// The `next_cursor` of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// The log as it grows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NextEvents {
    /// After this event; 0 is from the beginning.
    pub after: u64,
    /// What to look for.
    #[serde(default)]
    pub filter: Filter,
    /// How often to look, in milliseconds.
    #[serde(default = "NextEvents::every")]
    pub every_ms: u64,
    /// How long to wait at most, in milliseconds.
    pub within_ms: u64,
}

impl NextEvents {
    fn every() -> u64 {
        250
    }
}

/// Under which names tools are listed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolsRequest {
    /// Canonical names if left out.
    pub alias: AliasMode,
    /// Who asks: what they are not offered is not listed.
    pub context: Option<Context>,
    /// The format of the envelope that their output schemas describe, 1 or 2; the contract's if left out.
    pub format: Option<u8>,
}

/// A tool call, as an agent makes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    /// The name it was offered by: canonical or alias.
    pub tool: String,
    /// The text of a JSON object.
    pub arguments: String,
    /// Who asks.
    #[serde(default)]
    pub context: Option<Context>,
    /// The format of the envelope, 1 or 2; the contract's if left out.
    #[serde(default)]
    pub format: Option<u8>,
}

/// The end of the call of a tool of the application's own.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishTool {
    /// The call, as it was made.
    pub of: ToolCall,
    /// What came of it.
    pub outcome: Outcome,
}

/// What the function of a tool of the application's own came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// A read: its answer, as the text of a JSON value.
    Output(String),
    /// A proposal that it made.
    Proposal(String),
    /// It failed, and its error is the application's own.
    Failed,
    /// It failed with an error of ours, which it let pass.
    Refused(Refusal),
}

/// An error of ours on its way back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refusal {
    /// Its code.
    pub code: String,
    /// What its message speaks of.
    #[serde(default)]
    pub context: BTreeMap<String, String>,
}
