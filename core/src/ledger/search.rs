//! Looking through a ledger: what to look for, and a page of what was found.
//!
//! Every list is ordered by the ledger's own sequence, newest first, and paged by it. What is written meanwhile stands
//! before the first page, so a page neither repeats nor misses anything.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::{ProposalSummary, ReceiptRecord};
use crate::error::{Code, Error, Result};
use crate::primitives::{Digest, Instant};
use crate::protocol::{ReceiptStatus, State};

/// The lists of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum List {
    /// Proposals.
    Proposals,
    /// Evidence bundles.
    Evidence,
    /// Audits of queries, answered and denied.
    QueryAudit,
    /// Execution receipts.
    Receipts,
    /// Stories of proposals.
    Replays,
    /// Events of the chain.
    Events,
    /// Everything that happened, of whatever kind.
    Activity,
}

impl List {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Proposals,
        Self::Evidence,
        Self::QueryAudit,
        Self::Receipts,
        Self::Replays,
        Self::Events,
        Self::Activity,
    ];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proposals => "proposals",
            Self::Evidence => "evidence",
            Self::QueryAudit => "query-audit",
            Self::Receipts => "receipts",
            Self::Replays => "replays",
            Self::Events => "events",
            Self::Activity => "activity",
        }
    }

    /// The filters that this list knows.
    #[must_use]
    pub fn filters(self) -> &'static [&'static str] {
        const PROPOSALS: &[&str] = &[
            "tenant",
            "principal",
            "capability",
            "object_type",
            "object_id",
            "state",
            "source",
            "table",
            "fingerprint",
            "proposal",
            "evidence",
            "receipt",
            "actor",
            "from",
            "to",
        ];
        const READS: &[&str] = &[
            "tenant",
            "principal",
            "capability",
            "object_type",
            "object_id",
            "source",
            "table",
            "fingerprint",
            "proposal",
            "evidence",
            "actor",
            "from",
            "to",
        ];
        const RECEIPTS: &[&str] = &[
            "tenant",
            "principal",
            "capability",
            "object_type",
            "object_id",
            "source",
            "table",
            "proposal",
            "job",
            "idempotency_key",
            "status",
            "receipt",
            "actor",
            "from",
            "to",
        ];
        const EVENTS: &[&str] = &[
            "tenant",
            "principal",
            "capability",
            "object_type",
            "object_id",
            "source",
            "table",
            "fingerprint",
            "proposal",
            "evidence",
            "receipt",
            "job",
            "idempotency_key",
            "status",
            "kind",
            "actor",
            "from",
            "to",
        ];
        match self {
            Self::Proposals | Self::Replays => PROPOSALS,
            Self::Evidence | Self::QueryAudit => READS,
            Self::Receipts => RECEIPTS,
            Self::Events | Self::Activity => EVENTS,
        }
    }
}

/// What to look for. Everything given has to hold; an empty filter finds everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// The tenant.
    pub tenant: Option<String>,
    /// Who read or proposed.
    pub principal: Option<String>,
    /// The capability.
    pub capability: Option<String>,
    /// The kind of object: its table, in singular or plural, with or without a schema.
    pub object_type: Option<String>,
    /// The object: the value of its primary key.
    pub object_id: Option<String>,
    /// The proposal's present state.
    pub state: Option<State>,
    /// The receipt's status.
    pub status: Option<ReceiptStatus>,
    /// The source.
    pub source: Option<String>,
    /// The table, `table` or `schema.table`.
    pub table: Option<String>,
    /// The fingerprint of the query.
    pub fingerprint: Option<String>,
    /// The proposal, by its id or its replay's.
    pub proposal: Option<String>,
    /// The evidence bundle.
    pub evidence: Option<String>,
    /// The receipt: the number of the event that it was recorded with.
    pub receipt: Option<u64>,
    /// The writeback job.
    pub job: Option<String>,
    /// The idempotency key.
    pub idempotency_key: Option<String>,
    /// The kind of event.
    pub kind: Option<String>,
    /// Who did it: principal, approver or worker.
    pub actor: Option<String>,
    /// Not before.
    pub from: Option<Instant>,
    /// Not after.
    pub to: Option<Instant>,
}

impl Filter {
    /// The names of what is given.
    #[must_use]
    pub fn given(&self) -> Vec<&'static str> {
        [
            ("tenant", self.tenant.is_some()),
            ("principal", self.principal.is_some()),
            ("capability", self.capability.is_some()),
            ("object_type", self.object_type.is_some()),
            ("object_id", self.object_id.is_some()),
            ("state", self.state.is_some()),
            ("status", self.status.is_some()),
            ("source", self.source.is_some()),
            ("table", self.table.is_some()),
            ("fingerprint", self.fingerprint.is_some()),
            ("proposal", self.proposal.is_some()),
            ("evidence", self.evidence.is_some()),
            ("receipt", self.receipt.is_some()),
            ("job", self.job.is_some()),
            ("idempotency_key", self.idempotency_key.is_some()),
            ("kind", self.kind.is_some()),
            ("actor", self.actor.is_some()),
            ("from", self.from.is_some()),
            ("to", self.to.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
        .collect()
    }

    /// Refuses what a list does not know: a filter that is not heeded would show too much.
    ///
    /// # Errors
    /// `FILTER_UNKNOWN`.
    pub fn check(&self, list: List) -> Result<()> {
        let known = list.filters();
        match self.given().into_iter().find(|name| !known.contains(name)) {
            None => Ok(()),
            Some(name) => Err(Error::new(Code::FilterUnknown)
                .with("filter", name)
                .with("list", list.as_str())
                .with("known", known.join(", "))),
        }
    }
}

/// Where a page ends: where the next one begins. To callers a handle; it belongs to one list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The list.
    pub list: List,
    /// The last event that the page before has reached.
    pub seq: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.list.as_str(), self.seq)
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.split_once(':').and_then(|(name, seq)| {
            let list = List::ALL.into_iter().find(|list| list.as_str() == name)?;
            // One number has one spelling.
            let seq = seq.parse().ok().filter(|number: &u64| number.to_string() == seq)?;
            Some(Self { list, seq })
        });
        parsed.ok_or_else(|| Error::new(Code::CursorInvalid).with("cursor", text))
    }
}

/// Which page, and how long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// At most so many; 0 is 20, and never more than 200.
    pub limit: u32,
    /// The end of the page before; none is the first page.
    pub after: Option<Cursor>,
}

impl PageRequest {
    /// The first page, of this length.
    #[must_use]
    pub fn first(limit: u32) -> Self {
        Self { limit, after: None }
    }

    /// The length that is meant.
    #[must_use]
    pub fn length(&self) -> usize {
        let limit = if self.limit == 0 { 20 } else { self.limit.min(200) };
        usize::try_from(limit).unwrap_or(20)
    }

    /// The event below which this page begins.
    ///
    /// # Errors
    /// `CURSOR_INVALID` if the cursor belongs to another list.
    pub fn below(&self, list: List) -> Result<u64> {
        match self.after {
            None => Ok(u64::MAX),
            Some(cursor) if cursor.list == list => Ok(cursor.seq),
            Some(cursor) => Err(Error::new(Code::CursorInvalid).with("cursor", cursor)),
        }
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page<T> {
    /// What was found, newest first.
    pub items: Vec<T>,
    /// Where the next page begins; none if this is the last.
    pub next: Option<Cursor>,
}

/// The audit of a query, as recorded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditRecord {
    /// The event it was recorded with, which is its number.
    pub seq: u64,
    /// When.
    pub at: Instant,
    /// Who asked.
    pub actor: String,
    /// The evidence recorded with it; none for a query that was denied or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence_id: Option<String>,
    /// The proposal recorded with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposal_id: Option<String>,
    /// What was asked; parameters are never in it.
    pub document: Value,
}

/// Evidence in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvidenceSummary {
    /// The event it was recorded with.
    pub seq: u64,
    /// `ev_…`.
    pub evidence_id: String,
    /// When.
    pub at: Instant,
    /// Who asked.
    pub actor: String,
    /// The proposal recorded with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposal_id: Option<String>,
    /// What was seen.
    pub document: Value,
}

/// A story in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplaySummary {
    /// `replay_…`.
    pub replay_id: String,
    /// The proposal it tells of.
    #[serde(flatten)]
    pub proposal: ProposalSummary,
}

/// An event of the chain with what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoggedEvent {
    /// Its place in the chain, from 1.
    pub seq: u64,
    /// Its kind, in v1's words where v1 has one.
    pub kind: String,
    /// What it is about: a proposal, an evidence bundle, nothing for a denied read.
    pub subject: String,
    /// Who; empty if it was pruned.
    pub actor: String,
    /// When.
    pub at: Instant,
    /// What it says beyond the rows it covers.
    pub detail: Value,
    /// Its hash.
    pub hash: Digest,
    /// True if what it covered was pruned, and only its hash is kept.
    pub pruned: bool,
}

/// Something that happened, with the record it left.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Activity {
    /// The event.
    #[serde(flatten)]
    pub event: LoggedEvent,
    /// The evidence recorded with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence_id: Option<String>,
    /// The capability, where a query or a proposal stands behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capability: Option<String>,
    /// The object: its kind and its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<(String, String)>,
    /// The receipt recorded with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<ReceiptRecord>,
}

/// What an id can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Named {
    /// A proposal, also by its replay's or its job's id.
    Proposal,
    /// An evidence bundle.
    Evidence,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_belongs_to_one_list() {
        let cursor = Cursor { list: List::QueryAudit, seq: 17 };
        assert_eq!(cursor.to_string(), "query-audit:17");
        assert_eq!("query-audit:17".parse::<Cursor>().unwrap(), cursor);
        for bad in ["", "17", "query-audit:", "query-audit:-1", "query-audit:017", "nothing:17", "events:+1"] {
            assert_eq!(bad.parse::<Cursor>().unwrap_err().code(), Code::CursorInvalid, "{bad}");
        }
        let page = PageRequest { limit: 0, after: Some(cursor) };
        assert_eq!((page.length(), page.below(List::QueryAudit).unwrap()), (20, 17));
        assert_eq!(page.below(List::Events).unwrap_err().code(), Code::CursorInvalid);
    }

    #[test]
    fn a_filter_that_a_list_does_not_know_is_refused() {
        let filter = Filter { kind: Some("proposal_created".to_owned()), ..Filter::default() };
        assert!(filter.check(List::Events).is_ok());
        assert_eq!(filter.check(List::Proposals).unwrap_err().code(), Code::FilterUnknown);
        // Every name that a list knows is the name of a filter.
        let all = Filter {
            tenant: Some(String::new()),
            principal: Some(String::new()),
            capability: Some(String::new()),
            object_type: Some(String::new()),
            object_id: Some(String::new()),
            state: Some(State::Applied),
            status: Some(ReceiptStatus::Applied),
            source: Some(String::new()),
            table: Some(String::new()),
            fingerprint: Some(String::new()),
            proposal: Some(String::new()),
            evidence: Some(String::new()),
            receipt: Some(1),
            job: Some(String::new()),
            idempotency_key: Some(String::new()),
            kind: Some(String::new()),
            actor: Some(String::new()),
            from: Instant::from_unix(0),
            to: Instant::from_unix(0),
        };
        for list in List::ALL {
            assert!(list.filters().iter().all(|name| all.given().contains(name)), "{list:?}");
        }
    }
}
