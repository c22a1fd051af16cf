//! What happened, from the ledger alone.

use serde::Serialize;
use serde_json::{Value, json};

use super::Runtime;
use crate::error::Result;
use crate::ledger::{Decision, EventRecord, EvidenceRecord, ReceiptRecord};
use crate::primitives::canonical;
use crate::protocol::{State, WritebackJob, replay_id};

/// A proposal's whole story. Reading it writes nothing.
#[derive(Debug, Clone, Serialize)]
pub struct Replay {
    /// `replay_…`.
    pub replay_id: String,
    /// The change set and where it stands.
    pub proposal: Value,
    /// Its state.
    pub state: State,
    /// Its events, in order.
    pub events: Vec<EventRecord>,
    /// Decisions, in order.
    pub approvals: Vec<Decision>,
    /// Jobs, in order.
    pub writeback_jobs: Vec<WritebackJob>,
    /// Receipts, in order.
    pub receipts: Vec<ReceiptRecord>,
    /// The query audit recorded with it.
    pub query_audit: Vec<Value>,
    /// The evidence it rests on.
    pub evidence: Vec<EvidenceRecord>,
}

impl Runtime {
    /// The whole story of a proposal; `replay_…` and bare proposal ids are both taken, whole or cut short. Everything in it was checked
    /// against the chain and the key. Cancel-safe: it only reads.
    ///
    /// # Errors
    /// `PROPOSAL_NOT_FOUND`, `ID_AMBIGUOUS`, `LEDGER_TAMPERED`.
    pub async fn replay(&self, id: &str) -> Result<Replay> {
        let id = self.proposal_named(id).await?;
        let record = self.ledger.load(&id).await?;
        let evidence: Vec<EvidenceRecord> =
            self.ledger.evidence(&record.change_set.evidence.bundle_id).await?.into_iter().collect();
        let proposal = json!({
            "change_set": serde_json::to_value(&record.change_set).unwrap_or(Value::Null),
            "state": record.state,
            "v1_state": record.state.v1_word(),
            "standing": record.standing,
            "authority": record.facts.authority,
        });
        Ok(Replay {
            replay_id: replay_id(record.id()),
            proposal,
            state: record.state,
            events: record.events,
            approvals: record.decisions,
            writeback_jobs: record.jobs,
            receipts: record.receipts,
            query_audit: evidence.iter().map(|bundle| bundle.audit.clone()).collect(),
            evidence,
        })
    }
}

impl Replay {
    /// The story as canonical JSON: the same ledger gives the same bytes.
    ///
    /// # Errors
    /// `NUMBER_NOT_EXACT` never happens: everything in a ledger has a canonical form.
    pub fn canonical(&self) -> Result<String> {
        canonical(self)
    }
}
