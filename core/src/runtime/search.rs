//! Looking through the ledger: lists with filters, page by page, and the log as it grows.
//!
//! Every list is newest first and paged by a cursor that stays right while others write. All of these only read, so all
//! are cancel-safe.

use std::time::Duration;

use super::Runtime;
use crate::error::{Code, Result};
use crate::ledger::{
    Activity, AuditRecord, Cursor, EvidenceRecord, EvidenceSummary, Filter, List, LoggedEvent, Named, Page,
    PageRequest, ProposalSummary, Prune, Pruned, ReceiptRecord, ReplaySummary,
};
use crate::protocol::replay_id;

/// What an id is that names nothing that can be shown.
const MISSING: [Code; 3] = [Code::ProposalNotFound, Code::ProposalPruned, Code::EvidenceNotFound];

impl Runtime {
    /// Proposals. Ids in the filter may be cut short as long as they name one thing; so in every list.
    ///
    /// ```no_run
    /// # async fn all(runtime: &signoff::Runtime) -> signoff::Result<()> {
    /// use signoff::ledger::{Filter, PageRequest};
    /// let filter = Filter { tenant: Some("acme".to_owned()), ..Filter::default() };
    /// let mut page = PageRequest::first(100);
    /// loop {
    ///     let found = runtime.proposals(&filter, &page).await?;
    ///     for proposal in &found.items {
    ///         println!("{} {}", proposal.state, proposal.proposal_id);
    ///     }
    ///     if found.next.is_none() {
    ///         return Ok(());
    ///     }
    ///     page.after = found.next;
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// `FILTER_UNKNOWN`, `CURSOR_INVALID`, `ID_AMBIGUOUS`, `LEDGER_TAMPERED`; so in every list.
    pub async fn proposals(&self, filter: &Filter, page: &PageRequest) -> Result<Page<ProposalSummary>> {
        self.ledger.proposals(self.whole(filter).await?, *page).await
    }

    /// Evidence bundles.
    ///
    /// # Errors
    /// Those of [`Self::proposals`].
    pub async fn evidence(&self, filter: &Filter, page: &PageRequest) -> Result<Page<EvidenceSummary>> {
        self.ledger.evidence_list(self.whole(filter).await?, *page).await
    }

    /// One evidence bundle, by its id or the beginning of it.
    ///
    /// # Errors
    /// `EVIDENCE_NOT_FOUND`, `ID_AMBIGUOUS`, `LEDGER_TAMPERED`.
    pub async fn evidence_bundle(&self, id: &str) -> Result<EvidenceRecord> {
        let id = self.ledger.named(Named::Evidence, id).await?;
        let found = self.ledger.evidence(&id).await?;
        found.ok_or_else(|| crate::Error::new(Code::EvidenceNotFound).with("evidence", id))
    }

    /// Audits of queries.
    ///
    /// # Errors
    /// Those of [`Self::proposals`].
    pub async fn query_audit(&self, filter: &Filter, page: &PageRequest) -> Result<Page<AuditRecord>> {
        self.ledger.query_audit(self.whole(filter).await?, *page).await
    }

    /// One audit, by the number of the event that it was recorded with.
    ///
    /// # Errors
    /// `QUERY_AUDIT_NOT_FOUND`, `LEDGER_TAMPERED`.
    pub async fn audit_record(&self, seq: u64) -> Result<AuditRecord> {
        let missing = || crate::Error::new(Code::AuditNotFound).with("audit", seq);
        let after = Cursor { list: List::QueryAudit, seq: seq.checked_add(1).ok_or_else(missing)? };
        let page = PageRequest { limit: 1, after: Some(after) };
        let found = self.ledger.query_audit(Filter::default(), page).await?.items.into_iter().next();
        found.filter(|record| record.seq == seq).ok_or_else(missing)
    }

    /// Execution receipts.
    ///
    /// # Errors
    /// Those of [`Self::proposals`].
    pub async fn receipts(&self, filter: &Filter, page: &PageRequest) -> Result<Page<ReceiptRecord>> {
        self.ledger.receipts(self.whole(filter).await?, *page).await
    }

    /// Stories that [`Self::replay`] can tell: one for each proposal.
    ///
    /// # Errors
    /// Those of [`Self::proposals`].
    pub async fn replays(&self, filter: &Filter, page: &PageRequest) -> Result<Page<ReplaySummary>> {
        let after = page.after.map(|_| page.below(List::Replays)).transpose()?;
        let page = PageRequest { limit: page.limit, after: after.map(|seq| Cursor { list: List::Proposals, seq }) };
        let found = self.proposals(filter, &page).await?;
        let story = |proposal: ProposalSummary| ReplaySummary { replay_id: replay_id(&proposal.proposal_id), proposal };
        let next = found.next.map(|cursor| Cursor { list: List::Replays, ..cursor });
        Ok(Page { items: found.items.into_iter().map(story).collect(), next })
    }

    /// Events of the chain.
    ///
    /// # Errors
    /// Those of [`Self::proposals`].
    pub async fn events(&self, filter: &Filter, page: &PageRequest) -> Result<Page<LoggedEvent>> {
        self.ledger.events(self.whole(filter).await?, *page).await
    }

    /// Everything that happened: reads, refusals, steps of proposals, receipts. A step is found by what its proposal is
    /// about.
    ///
    /// # Errors
    /// Those of [`Self::proposals`].
    pub async fn activity(&self, filter: &Filter, page: &PageRequest) -> Result<Page<Activity>> {
        self.ledger.activity(self.whole(filter).await?, *page).await
    }

    /// The next events after this one, oldest first, and the number to go on from. Waits until there are some, looking
    /// every so often; begin with 0 for all of them, or with the first event of a page of [`Self::events`].
    ///
    /// # Errors
    /// Those of [`Self::proposals`].
    pub async fn next_events(&self, filter: &Filter, after: u64, every: Duration) -> Result<(Vec<LoggedEvent>, u64)> {
        self.look(filter, after, every, None).await
    }

    /// The same, but after this long it answers with none, and the number to go on from.
    ///
    /// # Errors
    /// Those of [`Self::proposals`].
    pub async fn next_events_within(
        &self,
        filter: &Filter,
        after: u64,
        every: Duration,
        within: Duration,
    ) -> Result<(Vec<LoggedEvent>, u64)> {
        self.look(filter, after, every, Some(within)).await
    }

    async fn look(
        &self,
        filter: &Filter,
        mut after: u64,
        every: Duration,
        within: Option<Duration>,
    ) -> Result<(Vec<LoggedEvent>, u64)> {
        let filter = self.whole(filter).await?;
        let end = within.map(|within| tokio::time::Instant::now() + within);
        loop {
            let (events, looked) = self.ledger.events_after(filter.clone(), after).await?;
            let now = tokio::time::Instant::now();
            if !events.is_empty() || end.is_some_and(|end| end <= now) {
                return Ok((events, looked));
            }
            // Behind, it hurries; at the end, it waits.
            if looked == after {
                tokio::time::sleep(end.map_or(every, |end| every.min(end - now))).await;
            }
            after = looked;
        }
    }

    /// Forgets what terminal proposals of long ago recorded, and keeps their hashes. Not cancel-safe as a whole: it is done
    /// in rounds, and a round is whole.
    ///
    /// # Errors
    /// `ACTOR_INVALID`, `LEDGER_TAMPERED`.
    pub async fn prune(&self, prune: Prune, progress: Box<dyn FnMut(u64, u64) + Send>) -> Result<Pruned> {
        super::decide::check_name("whoever prunes a ledger", &prune.actor)?;
        self.ledger.prune(prune, progress).await
    }

    /// The proposal whose id begins so; a replay's or a job's id names its proposal.
    ///
    /// # Errors
    /// `PROPOSAL_NOT_FOUND`, `ID_AMBIGUOUS`.
    pub async fn proposal_named(&self, beginning: &str) -> Result<String> {
        self.ledger.named(Named::Proposal, beginning).await
    }

    /// The filter with whole ids. What names nothing stays: it finds nothing, or what a pruning left.
    async fn whole(&self, filter: &Filter) -> Result<Filter> {
        let mut whole = filter.clone();
        for (kind, id) in [
            (Named::Proposal, &mut whole.proposal),
            (Named::Proposal, &mut whole.job),
            (Named::Evidence, &mut whole.evidence),
        ] {
            let Some(text) = id.as_deref() else { continue };
            match self.ledger.named(kind, text).await {
                Ok(found) => *id = Some(found),
                Err(error) if MISSING.contains(&error.code()) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(whole)
    }
}
