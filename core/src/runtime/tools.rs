//! A tool of the contract, called as an agent calls it.

use super::Runtime;
use super::context::Caller;
use crate::catalogue::{AliasMode, Envelope, ResultFormat, Tool, ToolOptions, error_envelope, tools};
use crate::contract::{Contract, Kind};
use crate::error::printable;
use crate::error::{Code, Error, Result};

/// The longest arguments of a call, in bytes of their text.
pub const MAX_ARGUMENTS: usize = 64 << 10;
/// No tool has a longer name.
const LONGEST_NAME: usize = 256;

impl Runtime {
    /// Calls a tool by the name it was offered by, canonical or alias. Whatever goes wrong is in the envelope, in words that
    /// a model may read; it was audited before. Cancel-safe, as [`Runtime::read`] and [`Runtime::propose`] are.
    pub async fn call_tool(&self, name: &str, arguments: &str, caller: &Caller, format: ResultFormat) -> Envelope {
        if let Some(refused) = self.refuse_oversized(name, arguments, caller, format).await {
            return refused;
        }
        let (name, kind) =
            self.contract().map_or((name.to_owned(), None), |contract| offered_as(contract, name, caller));
        let answered = match kind {
            Some(Kind::Proposal) => self.propose(&name, arguments, caller).await.map(|answer| answer.envelope(format)),
            // An unknown one as well: the refusal is audited.
            _ => self.read(&name, arguments, caller).await.map(|answer| answer.envelope(format)),
        };
        answered.unwrap_or_else(|error| error_envelope(&error, format, &name, kind))
    }

    /// The answer to a call that is too large to be looked at, if it is; it is audited. What is that long is not said again.
    pub async fn refuse_oversized(
        &self,
        name: &str,
        arguments: &str,
        caller: &Caller,
        format: ResultFormat,
    ) -> Option<Envelope> {
        let (shown, error) = if name.len() > LONGEST_NAME {
            let shown = shortened(name);
            (shown.clone(), Error::new(Code::CapabilityNotFound).with("capability", shown))
        } else if arguments.len() > MAX_ARGUMENTS {
            let problem = format!("longer than {MAX_ARGUMENTS} bytes");
            let error = Error::new(Code::ArgumentsInvalid).with("capability", name).with("problem", problem);
            (name.to_owned(), error)
        } else {
            return None;
        };
        let refused: Result<()> = self.audited(&shown, caller, Err(error)).await;
        refused.err().map(|error| error_envelope(&error, format, &shown, None))
    }

    /// The answer to a call that comes too soon after others; it is audited.
    pub async fn refuse_limited(
        &self,
        name: &str,
        retry_after_seconds: u64,
        caller: &Caller,
        format: ResultFormat,
    ) -> Envelope {
        let shown = shortened(name);
        let limited = Error::new(Code::RateLimited).with("tool", &shown);
        let limited = limited.with("retry_after_seconds", retry_after_seconds);
        let refused: Result<()> = self.audited(&shown, caller, Err(limited)).await;
        error_envelope(&refused.err().unwrap_or_else(|| Code::RateLimited.into()), format, &shown, None)
    }

    /// The answer to a tool that is not offered, whether there is one or not; it is audited.
    pub async fn refuse_tool(&self, name: &str, caller: &Caller, format: ResultFormat) -> Envelope {
        let unknown = Error::new(Code::CapabilityNotFound).with("capability", name);
        let refused: Result<()> = self.audited(name, caller, Err(unknown)).await;
        error_envelope(&refused.err().unwrap_or_else(|| Code::CapabilityNotFound.into()), format, name, None)
    }

    /// The tools that this caller is offered, in the order of the contract.
    ///
    /// # Errors
    /// `CONFIG_NOT_FOUND` for a runtime without a contract.
    pub fn tools(&self, options: &ToolOptions, caller: &Caller) -> Result<Vec<Tool>> {
        let contract = self.need_contract()?;
        let mut offered = tools(contract, options);
        offered.retain(|tool| self.is_offered(&tool.canonical_name, caller));
        Ok(offered)
    }

    /// Whether the contract has a capability of this name that this caller is offered.
    #[must_use]
    pub fn is_offered(&self, capability: &str, caller: &Caller) -> bool {
        let known = self.contract().and_then(|contract| contract.capability(capability));
        known.is_some_and(|capability| caller.is_offered(capability))
    }

    /// The format of envelopes that the contract asks for.
    #[must_use]
    pub fn result_format(&self) -> ResultFormat {
        self.contract().map_or(ResultFormat::V2, |contract| ResultFormat::from_number(contract.result_format))
    }
}

/// A name as it may be said again.
fn shortened(name: &str) -> String {
    if name.len() <= LONGEST_NAME {
        return name.to_owned();
    }
    let cut: String = name.chars().take(32).collect();
    format!("{}…", printable(&cut))
}

/// The capability that this caller is offered by this name, and what it is.
fn offered_as(contract: &Contract, name: &str, caller: &Caller) -> (String, Option<Kind>) {
    let offered = |name: &str| contract.capability(name).filter(|capability| caller.is_offered(capability));
    let alias = || {
        let all = tools(contract, &ToolOptions { alias: AliasMode::Openai, ..ToolOptions::default() });
        offered(&all.into_iter().find(|tool| tool.name == name)?.canonical_name)
    };
    offered(name)
        .or_else(alias)
        .map_or_else(|| (name.to_owned(), None), |capability| (capability.name.clone(), Some(capability.kind)))
}
