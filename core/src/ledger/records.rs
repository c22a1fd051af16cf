use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Code, Error, Result};
use crate::guard::{ColumnType, ReceiptTable};
use crate::primitives::{Digest, Identifier, Instant};
use crate::protocol::{ChangeSet, Columns, Event, ExecutionReceipt, State, WritebackJob};

/// A read to be recorded: its evidence if it was answered, and its audit in any case.
#[derive(Debug, Clone)]
pub struct NewRead {
    /// When.
    pub at: Instant,
    /// The principal.
    pub actor: String,
    /// The evidence bundle; none for a read that was denied or failed.
    pub evidence: Option<NewEvidence>,
    /// The query audit.
    pub audit: Value,
}

/// An evidence bundle to be recorded.
#[derive(Debug, Clone)]
pub struct NewEvidence {
    /// `ev_…`.
    pub id: String,
    /// What was seen.
    pub document: Value,
}

/// A proposal to be recorded.
#[derive(Debug, Clone)]
pub struct NewProposal {
    /// The sealed change set.
    pub change_set: ChangeSet,
    /// What the ledger keeps beside it.
    pub facts: Facts,
    /// Its evidence and audit.
    pub read: NewRead,
    /// When a pending proposal expires.
    pub expires_at: Option<Instant>,
}

/// What the ledger keeps beside a change set; v1's closed objects have no room for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// The authority digest of the capability it was proposed under.
    pub authority: Digest,
    /// The storage class of each value whose JSON form does not tell it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub classes: BTreeMap<Identifier, String>,
    /// The declared type of each column read, where binding needs it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<Identifier, ColumnType>,
}

/// What came of recording a proposal.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Recorded {
    /// It is new; an older one of the same principal may have been superseded.
    New {
        /// The proposal that was canceled for it.
        superseded: Option<String>,
    },
    /// The same principal had already proposed exactly this.
    Existing(Box<ProposalRecord>),
}

/// A decision as it is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The proposal.
    pub proposal_id: String,
    /// Its version.
    pub proposal_version: u32,
    /// The hash the reviewer saw.
    pub proposal_hash: String,
    /// The capability's authority digest.
    pub authority: Digest,
    /// `approved`, `rejected` or `canceled`.
    pub decision: String,
    /// Who decided.
    pub approver: String,
    /// The roles the caller vouched for.
    pub roles: Vec<String>,
    /// True if the identity is only what the operator of a command line said.
    pub asserted: bool,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    pub decided_at: Instant,
    /// When an approval stops to hold; none is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Instant>,
    /// Makes two equal decisions differ.
    pub nonce: String,
}

/// One lifecycle step.
#[derive(Debug, Clone)]
pub struct Advance {
    /// The proposal.
    pub proposal_id: String,
    /// The last event the caller saw.
    pub expected_seq: u64,
    /// What happens.
    pub event: Event,
    /// Who does it.
    pub actor: String,
    /// When.
    pub at: Instant,
    /// The proposal's moving part afterwards.
    pub standing: Standing,
    /// A decision made with it.
    pub decision: Option<Decision>,
    /// A job issued with it.
    pub job: Option<WritebackJob>,
    /// A receipt recorded with it.
    pub receipt: Option<NewReceipt>,
    /// For a claim: where the source keeps its receipts. Recorded with the first one of that source.
    pub receipts_in: Option<ReceiptsIn>,
    /// For [`Event::HumanAction`]: what the person changed.
    pub human: Option<HumanChange>,
}

/// Where a source keeps its receipts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptsIn {
    /// The source.
    pub source: String,
    /// The table.
    pub table: ReceiptTable,
}

impl ReceiptsIn {
    /// Refuses another table than the recorded one: what landed under that would not be seen in this.
    ///
    /// # Errors
    /// `RECEIPT_TABLE_CHANGED`.
    pub fn same_as(&self, recorded: &ReceiptTable) -> Result<()> {
        if *recorded == self.table {
            return Ok(());
        }
        Err(self.changed(recorded, "a receipt in the first would not be seen in the second, and nothing was sent"))
    }

    /// The refusal, with the reason in words.
    pub(crate) fn changed(&self, recorded: &ReceiptTable, why: impl fmt::Display) -> Error {
        Error::new(Code::ReceiptTableChanged)
            .with("source", &self.source)
            .with("recorded", recorded.sql())
            .with("configured", self.table.sql())
            .with("why", why)
    }
}

/// What a person changed, as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HumanChange {
    /// The columns they wrote, and what.
    pub patch: Columns,
    /// What they say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

/// A receipt to be recorded.
#[derive(Debug, Clone)]
pub struct NewReceipt {
    /// The wire receipt, sealed.
    pub receipt: ExecutionReceipt,
    /// Details that its closed schema has no room for.
    pub details: Option<Value>,
}

/// The moving part of a proposal beside its state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// How many attempts were begun; also the fencing token of the latest.
    pub attempt: u32,
    /// Until when the latest attempt's lease holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_expires_at: Option<Instant>,
    /// When a pending proposal or an approval expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Instant>,
    /// The code of the last attempt's failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// What came of a step.
#[derive(Debug, Clone)]
pub struct Advanced {
    /// The sequence number of its event.
    pub seq: u64,
    /// The new state.
    pub state: State,
    /// For a claim: another proposal that was applied on the same row version after this one was made.
    pub overtaken_by: Option<String>,
    /// Its event, as it stands in the chain.
    pub event: EventRecord,
    /// The proposal's moving part.
    pub standing: Standing,
    /// The decision made with it.
    pub decision: Option<Decision>,
    /// The job issued with it.
    pub job: Option<WritebackJob>,
    /// The receipt recorded with it.
    pub receipt: Option<ReceiptRecord>,
}

/// A proposal that may have something left to be carried out. It is not verified: whoever acts on it loads it first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenWork {
    /// The event that made it: the key of the next page.
    pub seq: u64,
    /// Its id.
    pub proposal_id: String,
    /// Its last event.
    pub last_seq: u64,
    /// What names the row that it changes; two proposals for one row have the same.
    pub row: Vec<u8>,
    /// Until when an attempt's lease holds.
    pub lease_expires_at: Option<Instant>,
}

/// A proposal with everything that belongs to it.
#[derive(Debug, Clone)]
pub struct ProposalRecord {
    /// The change set.
    pub change_set: ChangeSet,
    /// Its canonical text, as stored and hashed.
    pub document: String,
    /// What the ledger keeps beside it.
    pub facts: Facts,
    /// Its state.
    pub state: State,
    /// Its moving part.
    pub standing: Standing,
    /// The event that made it.
    pub created_seq: u64,
    /// The last event.
    pub last_seq: u64,
    /// Its events in order.
    pub events: Vec<EventRecord>,
    /// Decisions in order.
    pub decisions: Vec<Decision>,
    /// Jobs in order.
    pub jobs: Vec<WritebackJob>,
    /// Receipts in order.
    pub receipts: Vec<ReceiptRecord>,
}

impl ProposalRecord {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.change_set.proposal_id
    }

    /// Its hash.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.change_set.integrity.proposal_hash
    }

    /// The role a decision needs.
    #[must_use]
    pub fn required_role(&self) -> Option<&str> {
        self.change_set.approval.required_role.as_deref()
    }

    /// The same after a step that was taken from here: what loading it again would tell, if nothing has moved it since.
    pub(crate) fn follow(&mut self, step: Advanced) {
        self.state = step.state;
        self.last_seq = step.seq;
        self.standing = step.standing;
        self.events.push(step.event);
        self.decisions.extend(step.decision);
        self.jobs.extend(step.job);
        self.receipts.extend(step.receipt);
    }

    /// The approval that stands, if one does.
    #[must_use]
    pub fn approval(&self) -> Option<&Decision> {
        self.decisions.iter().rev().find(|decision| decision.decision == "approved")
    }
}

/// One event of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventRecord {
    /// Its place in the chain, from 1.
    pub seq: u64,
    /// Its kind, in v1's words where v1 has one.
    pub kind: String,
    /// Who.
    pub actor: String,
    /// When.
    pub at: Instant,
    /// What it says beyond the rows it covers.
    pub detail: Value,
    /// Its hash.
    pub hash: Digest,
}

/// A receipt as recorded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReceiptRecord {
    /// The event it was recorded with.
    pub seq: u64,
    /// The wire receipt.
    pub receipt: ExecutionReceipt,
    /// Details beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

/// Evidence as recorded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvidenceRecord {
    /// `ev_…`.
    pub id: String,
    /// When.
    pub at: Instant,
    /// What was seen.
    pub document: Value,
    /// The query audit beside it.
    pub audit: Value,
}

/// One line of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProposalSummary {
    /// The event that made it: the key of the next page.
    pub seq: u64,
    /// Its id.
    pub proposal_id: String,
    /// Its hash.
    pub proposal_hash: String,
    /// Its state.
    pub state: State,
    /// The capability.
    pub action: String,
    /// The tenant.
    pub tenant_id: String,
    /// Who proposed.
    pub principal: String,
    /// The kind of object.
    pub business_object: String,
    /// The object.
    pub object_id: String,
    /// When it was made.
    pub created_at: String,
}

/// A point of the chain that somebody wrote down: `SIZE:HEAD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// How many events there were.
    pub size: u64,
    /// The hash of the last one.
    pub head: Digest,
}

impl FromStr for Checkpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = || {
            Error::new(Code::Usage)
                .with("problem", "a checkpoint is SIZE:HEAD")
                .with("hint", "copy it from `store verify`")
        };
        let (size, head) = text.split_once(':').ok_or_else(invalid)?;
        let head = if head.starts_with("sha256:") { head.to_owned() } else { format!("sha256:{head}") };
        Ok(Self { size: size.parse().map_err(|_| invalid())?, head: Digest::parse(&head).map_err(|_| invalid())? })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.size, self.head.hex())
    }
}

/// What a full verification found.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The chain's end: write it down, and `--expect` finds a truncation.
    pub checkpoint: Checkpoint,
    /// Proposals checked.
    pub proposals: u64,
}

/// What to forget.
#[derive(Debug, Clone)]
pub struct Prune {
    /// Terminal proposals whose last event is older than this.
    pub before: Instant,
    /// When.
    pub at: Instant,
    /// Who does it.
    pub actor: String,
    /// Only count: nothing is changed.
    pub rehearse: bool,
}

/// What was forgotten, or would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Proposals.
    pub proposals: u64,
    /// Their events; the hashes are kept.
    pub events: u64,
}

/// Counts and sizes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerStats {
    /// Where it is.
    pub path: String,
    /// Format version.
    pub format: u32,
    /// Bytes in the main file.
    pub bytes: u64,
    /// Rows per table.
    pub rows: BTreeMap<String, u64>,
    /// Proposals per state.
    pub states: BTreeMap<String, u64>,
    /// The chain's end.
    pub checkpoint: String,
}
