//! What the lists take: filters and pages.

use std::time::Duration;

use clap::{Args, Subcommand};
use signoff::ledger::{Cursor, Filter, PageRequest};
use signoff::primitives::{Clock as _, Instant, Lifetime, SystemClock};
use signoff::protocol::{ReceiptStatus, State};
use signoff::{Code, Error, Result};

use super::JsonFlag;

/// Which page, and how to answer.
#[derive(Debug, Args)]
pub struct Paging {
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub limit: u32,
    /// Go on where the page before ended: what it answered as next_cursor
    #[arg(long, value_name = "CURSOR")]
    pub cursor: Option<String>,
    #[command(flatten)]
    pub json: JsonFlag,
}

impl Paging {
    pub fn request(&self) -> Result<PageRequest> {
        let after = self.cursor.as_deref().map(str::parse::<Cursor>).transpose()?;
        Ok(PageRequest { limit: self.limit, after })
    }
}

/// What it is about, and when it was.
#[derive(Debug, Args)]
pub struct About {
    /// Only of this tenant
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
    /// Only what this principal read or proposed
    #[arg(long, value_name = "ID")]
    pub principal: Option<String>,
    /// Only through this capability
    #[arg(long, alias = "action", value_name = "NAME")]
    pub capability: Option<String>,
    /// Only about this object, such as invoice:INV-3001
    #[arg(long, value_name = "TYPE:ID", conflicts_with_all = ["object_type", "object_id"])]
    pub object: Option<String>,
    /// Only about this kind of object
    #[arg(long, value_name = "TYPE")]
    pub object_type: Option<String>,
    /// Only about the object with this id
    #[arg(long, visible_alias = "primary-key", value_name = "ID")]
    pub object_id: Option<String>,
    /// Only in this source
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// Only in this table, TABLE or SCHEMA.TABLE
    #[arg(long, value_name = "TABLE")]
    pub table: Option<String>,
    /// Only what this one did: principal, approver or worker
    #[arg(long, value_name = "ID")]
    pub actor: Option<String>,
    /// Not before: an instant, a date, or so long ago, such as 7d
    #[arg(long, value_name = "WHEN")]
    pub from: Option<String>,
    /// Not after
    #[arg(long, value_name = "WHEN")]
    pub to: Option<String>,
}

impl About {
    fn filter(&self) -> Result<Filter> {
        let (mut object_type, mut object_id) = (self.object_type.clone(), self.object_id.clone());
        if let Some(object) = &self.object {
            let (kind, id) = object
                .split_once(':')
                .filter(|(kind, id)| !kind.is_empty() && !id.is_empty())
                .ok_or_else(|| usage(format!("`{object}` is not TYPE:ID"), "for example --object invoice:INV-3001"))?;
            (object_type, object_id) = (Some(kind.to_owned()), Some(id.to_owned()));
        }
        Ok(Filter {
            tenant: self.tenant.clone(),
            principal: self.principal.clone(),
            capability: self.capability.clone(),
            object_type,
            object_id,
            source: self.source.clone(),
            table: self.table.clone(),
            actor: self.actor.clone(),
            from: self.from.as_deref().map(|text| instant(text, "T00:00:00Z")).transpose()?,
            to: self.to.as_deref().map(|text| instant(text, "T23:59:59.999999999Z")).transpose()?,
            ..Filter::default()
        })
    }
}

fn usage(problem: String, hint: impl Into<String>) -> Error {
    Error::new(Code::Usage).with("problem", problem).with("hint", hint.into())
}

/// An instant, a date of which `rest` makes one, or a time so long ago.
fn instant(text: &str, rest: &str) -> Result<Instant> {
    if let Some(Lifetime::For(ago)) = Lifetime::parse(text) {
        return before_now(ago);
    }
    let whole = if text.len() == 10 { format!("{text}{rest}") } else { text.to_owned() };
    Instant::parse(&whole).map_err(|_| {
        let hint = "write 2026-06-20T14:31:08Z, 2026-06-20, or 7d for seven days ago";
        usage(format!("`{text}` is not a time"), hint)
    })
}

/// The instant so long ago.
pub fn before_now(ago: Duration) -> Result<Instant> {
    let seconds = i64::try_from(ago.as_secs()).ok().and_then(|ago| SystemClock.now().unix().checked_sub(ago));
    seconds.and_then(Instant::from_unix).ok_or_else(|| usage("that long ago there was no time".to_owned(), ""))
}

/// Reads a state; a slip of the fingers gets the nearest one.
pub fn state(word: &Option<String>) -> Result<Option<State>> {
    let Some(word) = word else { return Ok(None) };
    one_of(word, "state", State::ALL.iter().map(|state| (state.as_str(), *state))).map(Some)
}

fn status(word: &Option<String>) -> Result<Option<ReceiptStatus>> {
    let Some(word) = word else { return Ok(None) };
    let all = [
        ("applied", ReceiptStatus::Applied),
        ("already_applied", ReceiptStatus::AlreadyApplied),
        ("conflict", ReceiptStatus::Conflict),
        ("failed", ReceiptStatus::Failed),
        ("canceled", ReceiptStatus::Canceled),
    ];
    one_of(word, "status", all.into_iter()).map(Some)
}

fn one_of<T>(word: &str, what: &str, all: impl Iterator<Item = (&'static str, T)> + Clone) -> Result<T> {
    let words = all.clone().map(|(word, _)| word);
    all.into_iter().find(|(known, _)| *known == word).map(|(_, value)| value).ok_or_else(|| {
        let nearest = signoff::error::nearest(word, words.clone()).map(|word| format!("did you mean {word}?"));
        usage(format!("`{word}` is not a {what}"), nearest.unwrap_or_else(|| words.collect::<Vec<_>>().join(", ")))
    })
}

#[derive(Debug, Args)]
pub struct ProposalsList {
    #[command(flatten)]
    pub about: About,
    /// Only in this state
    #[arg(long, alias = "status")]
    pub state: Option<String>,
    #[command(flatten)]
    pub paging: Paging,
}

impl ProposalsList {
    pub fn filter(&self) -> Result<Filter> {
        Ok(Filter { state: state(&self.state)?, ..self.about.filter()? })
    }
}

#[derive(Debug, Args)]
pub struct ReplayList {
    #[command(flatten)]
    pub about: About,
    /// Only in this state
    #[arg(long, alias = "status")]
    pub state: Option<String>,
    /// Only of this proposal
    #[arg(long, value_name = "ID")]
    pub proposal: Option<String>,
    /// Only what rests on this evidence
    #[arg(long, value_name = "ID")]
    pub evidence: Option<String>,
    /// Only what led to this receipt
    #[arg(long, value_name = "SEQ")]
    pub receipt: Option<u64>,
    #[command(flatten)]
    pub paging: Paging,
}

impl ReplayList {
    pub fn filter(&self) -> Result<Filter> {
        let (proposal, evidence) = (self.proposal.clone(), self.evidence.clone());
        let state = state(&self.state)?;
        Ok(Filter { state, proposal, evidence, receipt: self.receipt, ..self.about.filter()? })
    }
}

/// What evidence and query audit are looked for by.
#[derive(Debug, Args)]
pub struct ReadsList {
    #[command(flatten)]
    pub about: About,
    /// Only of this proposal
    #[arg(long, value_name = "ID")]
    pub proposal: Option<String>,
    /// Only with this evidence
    #[arg(long, value_name = "ID")]
    pub evidence: Option<String>,
    /// Only of the query with this fingerprint
    #[arg(long, value_name = "HASH")]
    pub query_fingerprint: Option<String>,
    #[command(flatten)]
    pub paging: Paging,
}

impl ReadsList {
    pub fn filter(&self) -> Result<Filter> {
        let (proposal, evidence) = (self.proposal.clone(), self.evidence.clone());
        Ok(Filter { proposal, evidence, fingerprint: self.query_fingerprint.clone(), ..self.about.filter()? })
    }
}

#[derive(Debug, Args)]
pub struct ReceiptsList {
    #[command(flatten)]
    pub about: About,
    /// Only of this proposal
    #[arg(long, value_name = "ID")]
    pub proposal: Option<String>,
    /// Only of this writeback job
    #[arg(long, value_name = "ID")]
    pub writeback_job: Option<String>,
    /// Only under this key
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Only with this status
    #[arg(long)]
    pub status: Option<String>,
    #[command(flatten)]
    pub paging: Paging,
}

impl ReceiptsList {
    pub fn filter(&self) -> Result<Filter> {
        Ok(Filter {
            proposal: self.proposal.clone(),
            job: self.writeback_job.clone(),
            idempotency_key: self.idempotency_key.clone(),
            status: status(&self.status)?,
            ..self.about.filter()?
        })
    }
}

/// Everything that can be looked for.
#[derive(Debug, Args)]
pub struct Anything {
    #[command(flatten)]
    pub about: About,
    /// Only of this proposal
    #[arg(long, value_name = "ID")]
    pub proposal: Option<String>,
    /// Only with this evidence
    #[arg(long, value_name = "ID")]
    pub evidence: Option<String>,
    /// Only what led to this receipt
    #[arg(long, value_name = "SEQ")]
    pub receipt: Option<u64>,
    /// Only of this writeback job
    #[arg(long, value_name = "ID")]
    pub writeback_job: Option<String>,
    /// Only under this key
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Only receipts with this status
    #[arg(long)]
    pub status: Option<String>,
    /// Only of the query with this fingerprint
    #[arg(long, value_name = "HASH")]
    pub query_fingerprint: Option<String>,
    /// Only this kind of event
    #[arg(long)]
    pub kind: Option<String>,
    #[command(flatten)]
    pub paging: Paging,
}

impl Anything {
    pub fn filter(&self) -> Result<Filter> {
        Ok(Filter {
            proposal: self.proposal.clone(),
            evidence: self.evidence.clone(),
            receipt: self.receipt,
            job: self.writeback_job.clone(),
            idempotency_key: self.idempotency_key.clone(),
            status: status(&self.status)?,
            fingerprint: self.query_fingerprint.clone(),
            kind: self.kind.clone(),
            ..self.about.filter()?
        })
    }
}

#[derive(Debug, Args)]
pub struct EventsTail {
    #[command(flatten)]
    pub about: About,
    /// Only of this proposal
    #[arg(long, value_name = "ID")]
    pub proposal: Option<String>,
    /// Only this kind of event
    #[arg(long)]
    pub kind: Option<String>,
    /// Begin with so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=200))]
    pub limit: u32,
    /// Go on with what comes, until interrupted
    #[arg(long, short)]
    pub follow: bool,
    /// How often to look, in milliseconds
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(250..=60_000))]
    pub interval_ms: u64,
    /// One event a line
    #[command(flatten)]
    pub json: JsonFlag,
}

impl EventsTail {
    pub fn filter(&self) -> Result<Filter> {
        Ok(Filter { proposal: self.proposal.clone(), kind: self.kind.clone(), ..self.about.filter()? })
    }
}

/// What is written where.
#[derive(Debug, Args)]
pub struct Export {
    /// Which, or latest
    #[arg(default_value = "latest")]
    pub id: String,
    /// The proposal
    #[arg(long, value_name = "ID")]
    pub proposal: Option<String>,
    /// The replay
    #[arg(long, value_name = "ID", conflicts_with = "proposal")]
    pub replay: Option<String>,
    /// The file, as --format says, else Markdown if its name ends so, else JSON; it must not be there yet [default:
    /// standard output]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<String>,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Args)]
pub struct Evidence {
    #[command(subcommand)]
    pub command: EvidenceCommand,
}

#[derive(Debug, Subcommand)]
pub enum EvidenceCommand {
    /// Evidence bundles, newest first
    List(Box<ReadsList>),
    /// One bundle, with the audit of its query
    Show(ShowOne),
    /// Write one bundle to a file, as JSON
    Export(ExportOne),
}

#[derive(Debug, Args)]
pub struct QueryAudit {
    #[command(subcommand)]
    pub command: QueryAuditCommand,
}

#[derive(Debug, Subcommand)]
pub enum QueryAuditCommand {
    /// Audits of queries, newest first
    List(Box<ReadsList>),
    /// One audit, by its number
    Show(ShowOne),
    /// Write one audit to a file, as JSON
    Export(ExportOne),
}

#[derive(Debug, Args)]
pub struct ShowOne {
    /// Its id, or the beginning of it; of an audit its number
    pub id: String,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Args)]
pub struct ExportOne {
    /// Its id, or the beginning of it; of an audit its number
    pub id: String,
    /// The file; it must not be there yet [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<String>,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Args)]
pub struct Activity {
    #[command(subcommand)]
    pub command: ActivityCommand,
}

#[derive(Debug, Subcommand)]
pub enum ActivityCommand {
    /// Reads, refusals, steps and receipts, newest first
    Search(Anything),
}

#[derive(Debug, Args)]
pub struct Events {
    #[command(subcommand)]
    pub command: EventsCommand,
}

#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Events, newest first
    List(Anything),
    /// The last events, oldest first, and what comes after them
    Tail(EventsTail),
}
