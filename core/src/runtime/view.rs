//! How answers look to programs: the same JSON from the command line and in every language.

use serde::Serialize;
use serde_json::{Value, json};

use super::Runtime;
use super::apply::{Applied, Ending};
use crate::contract::ExecutorKind;
use crate::error::{Code, Error, Exit};
use crate::ledger::{Decision, EventRecord, Facts, Page, ProposalRecord, ReceiptRecord, Standing, Verified};
use crate::primitives::Identifier;
use crate::protocol::{ChangeSet, State};

/// A proposal, whole.
#[derive(Debug, Clone, Serialize)]
pub struct ProposalView<'a> {
    /// `wrp_…`.
    pub proposal_id: &'a str,
    /// Its state.
    pub state: State,
    /// What a decision binds to.
    pub proposal_hash: &'a str,
    /// What was proposed.
    pub change_set: &'a ChangeSet,
    /// Its moving part.
    pub standing: &'a Standing,
    /// What the ledger keeps beside the change set.
    pub facts: &'a Facts,
    /// Decisions in order.
    pub decisions: &'a [Decision],
    /// Events in order.
    pub events: &'a [EventRecord],
    /// Receipts in order.
    pub receipts: &'a [ReceiptRecord],
}

impl ProposalRecord {
    /// The proposal, for programs.
    #[must_use]
    pub fn view(&self) -> ProposalView<'_> {
        ProposalView {
            proposal_id: self.id(),
            state: self.state,
            proposal_hash: self.hash(),
            change_set: &self.change_set,
            standing: &self.standing,
            facts: &self.facts,
            decisions: &self.decisions,
            events: &self.events,
            receipts: &self.receipts,
        }
    }
}

impl Ending {
    /// The word for programs.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::AlreadyApplied => "already_applied",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::WouldApply => "would_apply",
            Self::WouldConflict(..) => "would_conflict",
            Self::Unknown => "outcome_unknown",
        }
    }

    /// The exit code a command line answers with.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Applied | Self::AlreadyApplied | Self::WouldApply => Exit::Done,
            Self::Conflict | Self::WouldConflict(..) => Exit::Conflict,
            Self::Failed => Exit::Failed,
            Self::Canceled => Exit::Refused,
            Self::Unknown => Exit::Unknown,
        }
    }
}

/// The conflict that a dry run found.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ConflictView<'a> {
    /// Its code.
    pub code: Code,
    /// The column that differs.
    pub column: Option<&'a Identifier>,
}

/// The answer to an apply.
#[derive(Debug, Clone, Serialize)]
pub struct AppliedView<'a> {
    /// It is as it was approved to be, or would be.
    pub ok: bool,
    /// How it ended: a word of [`Ending::as_str`].
    pub status: &'static str,
    /// The proposal.
    pub proposal_id: &'a str,
    /// Its state now.
    pub state: State,
    /// True if this call changed the source.
    pub source_database_mutated: bool,
    /// The receipt, where there is one.
    pub receipt: Option<&'a ReceiptRecord>,
    /// The conflict, of a dry run.
    pub conflict: Option<ConflictView<'a>>,
}

impl Applied {
    /// The answer, for programs. Where nobody knows how it ended, that is no answer but an error.
    ///
    /// # Errors
    /// `OUTCOME_UNKNOWN`.
    pub fn view(&self, app_owned: bool) -> crate::Result<AppliedView<'_>> {
        let conflict = match &self.ending {
            Ending::Unknown => {
                let cause = self.cause.as_deref().unwrap_or("the answer was lost");
                return Err(Error::new(Code::OutcomeUnknown).with("proposal", self.record.id()).with("cause", cause));
            }
            Ending::WouldConflict(code, column) => Some(ConflictView { code: *code, column: column.as_ref() }),
            _ => None,
        };
        Ok(AppliedView {
            ok: self.ending.exit() == Exit::Done,
            status: self.ending.as_str(),
            proposal_id: self.record.id(),
            state: self.record.state,
            source_database_mutated: self.mutated(app_owned),
            receipt: self.receipt.as_ref(),
            conflict,
        })
    }

    /// True if this call changed the source: of an application's own handler, if its receipt says so.
    #[must_use]
    pub fn mutated(&self, app_owned: bool) -> bool {
        let told = || self.receipt.as_ref().is_some_and(|receipt| receipt.receipt.source_database_mutated);
        self.ending == Ending::Applied && (!app_owned || told())
    }
}

impl Runtime {
    /// True if the application itself carries out what this proposal asks for.
    #[must_use]
    pub fn is_app_owned(&self, record: &ProposalRecord) -> bool {
        let capability = |contract: &crate::contract::Contract| {
            let capability = contract.capability(&record.change_set.action)?;
            Some(!matches!(contract.executor_of(capability), ExecutorKind::SqlUpdate))
        };
        self.contract().and_then(capability).unwrap_or_default()
    }
}

/// A page of a list: its items under the list's name, and where the next one begins.
#[must_use]
pub fn page_view<T: Serialize>(name: &str, page: &Page<T>) -> Value {
    json!({ name: page.items, "next_cursor": page.next })
}

/// The answer to a verification.
#[derive(Debug, Clone, Serialize)]
pub struct VerifiedView {
    /// True: whatever does not verify is an error.
    pub ok: bool,
    /// Events checked.
    pub events: u64,
    /// Proposals checked.
    pub proposals: u64,
    /// The chain's end, `SIZE:HEAD`.
    pub checkpoint: String,
}

impl Verified {
    /// The answer, for programs.
    #[must_use]
    pub fn view(&self) -> VerifiedView {
        let checkpoint = self.checkpoint.to_string();
        VerifiedView { ok: true, events: self.checkpoint.size, proposals: self.proposals, checkpoint }
    }
}
