//! The durable record: every step of every proposal, append-only and hash-chained.
//!
//! Each lifecycle step is one transaction: the rows it writes, one event whose digest covers those rows, the moved
//! state, and the new head of the chain. States move by compare-and-set only. The head, every event, every decision and
//! every proposal's present state carry an HMAC under a key kept outside the ledger file, so that a change to the file is
//! noticed even if every plain digest in it was made anew.

#[cfg(feature = "sqlite")]
mod lease;
mod records;
mod search;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "sqlite")]
pub use lease::{Holder, Lease};
pub use records::*;
pub use search::*;
#[cfg(feature = "sqlite")]
pub use sqlite::{LedgerOptions, SqliteLedger};

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;
use crate::guard::ReceiptTable;
use crate::primitives::{Instant, Redactor};
use crate::protocol::State;

/// A ledger. Every method is durable when it returns, and cancel-safe: dropping the future leaves either the whole step
/// or nothing.
#[async_trait]
pub trait Ledger: Send + Sync + Debug {
    /// What was noticed on opening that a person should know: loose permissions, a foreign file left alone.
    fn warnings(&self) -> &[String];

    /// The redactor under this ledger's key.
    fn redactor(&self) -> Redactor;

    /// Records a read, answered or denied.
    async fn record_read(&self, read: NewRead) -> Result<()>;

    /// Records a proposal with its evidence, unless one for the same object is active.
    ///
    /// # Errors
    /// `PROPOSAL_ACTIVE`.
    async fn record_proposal(&self, proposal: NewProposal) -> Result<Recorded>;

    /// Loads a proposal and everything that belongs to it, verified.
    ///
    /// # Errors
    /// `PROPOSAL_NOT_FOUND`, `LEDGER_TAMPERED`.
    async fn load(&self, proposal_id: &str) -> Result<ProposalRecord>;

    /// Moves a proposal by compare-and-set on its last event. `None`: something else moved it first, load it again. While
    /// an attempt is under way only that attempt may renew its lease or say how it ended, and only as long as its lease
    /// holds: otherwise, too, the answer is `None`.
    ///
    /// # Errors
    /// `TRANSITION_NOT_ALLOWED`; for a claim `ROW_BUSY`, and `RECEIPT_TABLE_CHANGED` if the source's receipts are recorded
    /// elsewhere.
    async fn advance(&self, advance: Advance) -> Result<Option<Advanced>>;

    /// Proposals in this state, made after that event, oldest first: so many at most.
    async fn open_work(&self, state: State, after: u64, limit: u32) -> Result<Vec<OpenWork>>;

    /// Waits until there are more or fewer events than that, and answers how many. What this process writes is noticed at
    /// once, what another one writes by looking every so often.
    async fn changed(&self, size: u64, every: Duration) -> Result<u64>;

    /// The table that a source's receipts are recorded in; none before its first claim.
    async fn receipts_table(&self, source: &str) -> Result<Option<ReceiptTable>>;

    /// Records another receipts table for a source, if nothing there is approved or unresolved; answers the one before.
    /// None: none was recorded, and none is now. The whole ledger is verified first: a state set back by hand would hide
    /// what is unresolved.
    ///
    /// # Errors
    /// `RECEIPT_TABLE_CHANGED`, `LEDGER_TAMPERED`.
    async fn rebind_receipts(&self, to: ReceiptsIn, actor: &str, at: Instant) -> Result<Option<ReceiptTable>>;

    /// Proposals, newest first. This and every other list answers what the filter allows and nothing else.
    ///
    /// # Errors
    /// `FILTER_UNKNOWN`, `CURSOR_INVALID`, `LEDGER_TAMPERED`: so with every list.
    async fn proposals(&self, filter: Filter, page: PageRequest) -> Result<Page<ProposalSummary>>;

    /// Evidence, newest first.
    async fn evidence_list(&self, filter: Filter, page: PageRequest) -> Result<Page<EvidenceSummary>>;

    /// Audits of queries, newest first.
    async fn query_audit(&self, filter: Filter, page: PageRequest) -> Result<Page<AuditRecord>>;

    /// Receipts, newest first.
    async fn receipts(&self, filter: Filter, page: PageRequest) -> Result<Page<ReceiptRecord>>;

    /// Events, newest first.
    async fn events(&self, filter: Filter, page: PageRequest) -> Result<Page<LoggedEvent>>;

    /// What happened, newest first, with the records it left.
    async fn activity(&self, filter: Filter, page: PageRequest) -> Result<Page<Activity>>;

    /// Events after this one, oldest first: 200 at most of the chain are looked at. With them the last event looked at.
    async fn events_after(&self, filter: Filter, seq: u64) -> Result<(Vec<LoggedEvent>, u64)>;

    /// The id that begins so, whole.
    ///
    /// # Errors
    /// `PROPOSAL_NOT_FOUND`, `EVIDENCE_NOT_FOUND`, `ID_AMBIGUOUS`.
    async fn named(&self, kind: Named, beginning: &str) -> Result<String>;

    /// The evidence bundle with this id, with the query audit recorded beside it.
    async fn evidence(&self, evidence_id: &str) -> Result<Option<EvidenceRecord>>;

    /// Recomputes everything: chain, rows, hashes, decisions, states. `progress` is told events done and all events.
    ///
    /// # Errors
    /// `LEDGER_TAMPERED` naming the first broken event, `LEDGER_CHECKPOINT_MISMATCH`.
    async fn verify(&self, expect: Option<Checkpoint>, progress: Box<dyn FnMut(u64, u64) + Send>) -> Result<Verified>;

    /// Forgets what terminal, aged proposals recorded; their events and hashes stay, so the chain still proves itself, and
    /// the pruning is an event. What something open still needs is kept. Done in rounds, each of them whole; `progress` is
    /// told proposals looked at and all.
    ///
    /// # Errors
    /// `LEDGER_TAMPERED`: what does not verify is not pruned.
    async fn prune(&self, prune: Prune, progress: Box<dyn FnMut(u64, u64) + Send>) -> Result<Pruned>;

    /// Gives free pages back to the file system; answers the bytes before and after.
    ///
    /// # Errors
    /// `LEDGER_BUSY`, `LEDGER_UNAVAILABLE`: it needs as much room again while it runs.
    async fn vacuum(&self) -> Result<(u64, u64)>;

    /// How many events there are.
    ///
    /// # Errors
    /// `LEDGER_TAMPERED`.
    async fn size(&self) -> Result<u64>;

    /// Counts and sizes.
    async fn stats(&self) -> Result<LedgerStats>;
}
