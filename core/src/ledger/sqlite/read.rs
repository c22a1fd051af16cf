//! Reading: nothing leaves the ledger that was not checked against the chain and the key.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::chain::{
    EventRef, Head, Payload, ROOT, ROWS, Sealed, StoredEvent, check, check_payload, covered, head, tampered, within,
};
use super::group::run;
use super::schema::{COVERED, FORMAT};
use super::{Failed, Store};
use crate::error::{Code, Error, Result};
use crate::ledger::{
    Checkpoint, Decision, EventRecord, EvidenceRecord, Facts, LedgerStats, OpenWork, ProposalRecord, ProposalSummary,
    ReceiptRecord, Standing,
};
use crate::primitives::{Digest, Instant, MacKey};
use crate::protocol::{ChangeSet, Event, ExecutionReceipt, Lease, State, WritebackJob};

pub(super) const EVENT_COLUMNS: &str = "seq, kind, subject, actor, at, detail, hash, mac";

pub(super) fn event_row(row: &Row<'_>) -> rusqlite::Result<StoredEvent> {
    Ok(StoredEvent {
        seq: row.get(0)?,
        kind: row.get(1)?,
        subject: row.get(2)?,
        actor: row.get(3)?,
        at: row.get(4)?,
        detail: row.get(5)?,
        hash: row.get(6)?,
        mac: row.get(7)?,
    })
}

/// A proposal's state as its events tell it.
struct Folded {
    state: State,
    standing: Standing,
    last_seq: u64,
}

/// Folds one lifecycle event; refuses a move that the table does not have.
fn fold(before: Option<&Folded>, seq: u64, kind: &str, detail: &Value) -> Result<Folded> {
    let broken = || tampered(format!("event {seq}"), "it does not follow the lifecycle");
    let to = detail.get("to").and_then(Value::as_str).and_then(State::parse).ok_or_else(broken)?;
    let standing = detail.get("standing").ok_or_else(broken)?;
    let standing = Standing::deserialize(standing).map_err(|_| broken())?;
    let named = detail.get("event").and_then(Value::as_str).and_then(Event::parse);
    let allowed = match (before, named) {
        (None, None) => kind == "proposal_created" && to == State::PendingReview,
        (Some(before), Some(named)) => before.state.after(named).ok() == Some(to),
        _ => false,
    };
    if allowed { Ok(Folded { state: to, standing, last_seq: seq }) } else { Err(broken()) }
}

/// Where a proposal stands, as stored.
pub(super) struct StoredStanding {
    pub seq: u64,
    pub proposal_id: String,
    pub state: String,
    pub standing: String,
    pub last_seq: u64,
    pub seal: Vec<u8>,
    pub object_key: Option<Vec<u8>>,
    pub row_key: Vec<u8>,
}

/// Selects [`standing_row`]s.
pub(super) const STANDINGS: &str = "SELECT p.seq, p.proposal_id, s.state, s.standing, s.last_seq, s.seal, s.object_key, s.row_key FROM proposals p JOIN standings s ON s.seq = p.seq";

pub(super) fn standing_row(row: &Row<'_>) -> rusqlite::Result<StoredStanding> {
    Ok(StoredStanding {
        seq: row.get(0)?,
        proposal_id: row.get(1)?,
        state: row.get(2)?,
        standing: row.get(3)?,
        last_seq: row.get(4)?,
        seal: row.get(5)?,
        object_key: row.get(6)?,
        row_key: row.get(7)?,
    })
}

/// Where a proposal of this id stands.
pub(super) fn standing_of(connection: &Connection, proposal_id: &str) -> Result<Option<StoredStanding>> {
    static SQL: LazyLock<String> = LazyLock::new(|| format!("{STANDINGS} WHERE p.proposal_id = ?1"));
    connection
        .prepare_cached(&SQL)
        .and_then(|mut statement| statement.query_row([proposal_id], standing_row).optional())
        .failed()
}

/// The stored row of a proposal.
pub(super) struct StoredProposal {
    pub stands: StoredStanding,
    pub document: String,
}

/// Selects [`proposal_row`]s.
pub(super) const PROPOSALS: &str = "SELECT p.seq, p.proposal_id, s.state, s.standing, s.last_seq, s.seal, s.object_key, s.row_key, p.document FROM proposals p JOIN standings s ON s.seq = p.seq";

pub(super) fn proposal_row(row: &Row<'_>) -> rusqlite::Result<StoredProposal> {
    Ok(StoredProposal { stands: standing_row(row)?, document: row.get(8)? })
}

impl StoredStanding {
    fn broken(&self, problem: &str) -> Error {
        tampered(format!("proposal {}", self.proposal_id), problem)
    }

    /// The state, if its seal is ours.
    pub(super) fn sealed_state(&self, key: &MacKey) -> Result<State> {
        let state = State::parse(&self.state).ok_or_else(|| self.broken("its state is not a state"))?;
        let sealed = self.sealed(state, &self.standing, self.last_seq);
        if sealed.verify(key, &self.seal) { Ok(state) } else { Err(self.broken("its state is not signed by us")) }
    }

    /// What is sealed when it stands so.
    pub(super) fn sealed<'a>(&'a self, state: State, standing: &'a str, last_seq: u64) -> Sealed<'a> {
        let object_key = self.object_key.as_deref();
        Sealed { proposal_id: &self.proposal_id, object_key, row_key: &self.row_key, state, standing, last_seq }
    }

    /// The state is signed, and as the events tell.
    fn check(&self, key: &MacKey, folded: &Folded) -> Result<()> {
        let state = self.sealed_state(key)?;
        let standing: Standing =
            serde_json::from_str(&self.standing).map_err(|_| self.broken("its standing is not one"))?;
        if state != folded.state || standing != folded.standing || self.last_seq != folded.last_seq {
            return Err(self.broken("its state is not what its events tell"));
        }
        Ok(())
    }
}

impl StoredProposal {
    /// The change set, parsed; its hash is not compared.
    pub(super) fn change_set(&self) -> Result<ChangeSet> {
        ChangeSet::parse(&self.document).map_err(|_| self.stands.broken("its change set is not one"))
    }
}

/// By the index of states; a proposal whose standing cannot be read counts as due, so that somebody tells.
pub(super) const OPEN_WORK: &str = "SELECT p.seq, p.proposal_id, s.standing, s.last_seq, s.row_key FROM standings s JOIN proposals p ON p.seq = s.seq WHERE s.state = ?1 AND s.seq > ?2 ORDER BY s.seq LIMIT ?3";

pub(super) fn open_work(store: &Store, state: State, after: u64, limit: u32) -> Result<Vec<OpenWork>> {
    let lease =
        |text: String| serde_json::from_str(&text).ok().and_then(|standing: Standing| standing.lease_expires_at);
    let mut statement = store.connection.prepare_cached(OPEN_WORK).failed()?;
    let rows = statement.query_map(params![state.as_str(), after, limit], |row| {
        Ok(OpenWork {
            seq: row.get(0)?,
            proposal_id: row.get(1)?,
            lease_expires_at: lease(row.get(2)?),
            last_seq: row.get(3)?,
            row: row.get(4)?,
        })
    });
    rows.and_then(Iterator::collect).failed()
}

pub(super) fn load(store: &Store, proposal_id: &str) -> Result<ProposalRecord> {
    // One snapshot for all the selects.
    run(&store.connection, "BEGIN DEFERRED")?;
    let result =
        head(&store.connection, &store.key).and_then(|head| load_in(&store.connection, &store.key, head, proposal_id));
    let ended = run(&store.connection, "COMMIT");
    result.and_then(|record| ended.map(|()| record))
}

/// A proposal's events in order, each with the hash before it, a decision's signature and the rows written with it.
static STORY: LazyLock<String> = LazyLock::new(|| {
    let (columns, joins) = &*ROWS;
    format!(
        "SELECT e.seq, e.kind, e.actor, e.at, e.detail, e.hash, e.mac, b.hash, approvals.mac, {columns} FROM events e LEFT JOIN events b ON b.seq = e.seq - 1{joins} WHERE e.subject = ?1 AND e.subject <> '' ORDER BY e.seq"
    )
});

/// Each document is read once, hashed as it stands, and parsed when its event is known to be ours.
pub(super) fn load_in(connection: &Connection, key: &MacKey, head: Head, proposal_id: &str) -> Result<ProposalRecord> {
    let Some(stored) = standing_of(connection, proposal_id)? else {
        return Err(missing(connection, key, proposal_id)?);
    };
    let mut statement = connection.prepare_cached(&STORY).failed()?;
    let mut rows = statement.query([proposal_id]).failed()?;
    let mut story = Story::default();
    while let Some(row) = rows.next().failed()? {
        story.event(row, key, head, &stored)?;
    }
    let folded = story.folded.ok_or_else(|| stored.broken("it has no events"))?;
    let (change_set, document, facts) =
        story.proposal.ok_or_else(|| stored.broken("it was not made by its first event"))?;
    stored.check(key, &folded)?;
    Ok(ProposalRecord {
        change_set,
        document,
        facts,
        state: folded.state,
        standing: folded.standing,
        created_seq: stored.seq,
        last_seq: stored.last_seq,
        events: story.events,
        decisions: story.decisions,
        jobs: story.jobs,
        receipts: story.receipts,
    })
}

/// A proposal, as far as its events have been read.
#[derive(Default)]
struct Story {
    text: Vec<u8>,
    folded: Option<Folded>,
    proposal: Option<(ChangeSet, String, Facts)>,
    events: Vec<EventRecord>,
    decisions: Vec<Decision>,
    jobs: Vec<WritebackJob>,
    receipts: Vec<ReceiptRecord>,
}

impl Story {
    /// The next event, checked before anything of it is believed.
    fn event(&mut self, row: &Row<'_>, key: &MacKey, head: Head, stored: &StoredStanding) -> Result<()> {
        let text = |index: usize| row.get_ref(index).and_then(|value| Ok(value.as_str()?)).failed();
        let maybe = |index: usize| row.get_ref(index).and_then(|value| Ok(value.as_str_or_null()?)).failed();
        let bytes = |index: usize| row.get_ref(index).and_then(|value| Ok(value.as_blob()?)).failed();
        let seq: u64 = row.get(0).failed()?;
        within(head, seq)?;
        let previous = match row.get::<_, Option<[u8; 32]>>(7).failed()? {
            _ if seq <= 1 => ROOT,
            Some(hash) => hash,
            None => return Err(tampered(format!("event {}", seq - 1), "it is missing")),
        };
        let (kind, actor, at, detail) = (text(1)?, text(2)?, text(3)?, text(4)?);
        let mut payload = Payload::new(&mut self.text, actor, detail);
        let mut found = Vec::new();
        covered(row, 9, &mut payload, |table, index| found.push((table, index))).failed()?;
        let stored_event = EventRef { seq, kind, subject: &stored.proposal_id, at, hash: bytes(5)?, mac: bytes(6)? };
        let hash = check_payload(key, Digest::from_bytes(previous), stored_event, payload.digest())?;
        let detail: Value = serde_json::from_str(detail).unwrap_or(Value::Null);
        self.folded = Some(fold(self.folded.as_ref(), seq, kind, &detail)?);
        for (table, index) in found {
            match table {
                // What made it stands in its first event, and in no other.
                "proposals" if self.events.is_empty() && seq == stored.seq && text(index)? == stored.proposal_id => {
                    self.proposal = Some(proposal(text(index + 1)?, text(index + 2)?, stored)?);
                }
                "proposals" => return Err(stored.broken("it was not made by its first event")),
                "approvals" => self.decisions.push(signed_decision(key, seq, text(index)?, bytes(8)?)?),
                "receipts" => self.receipts.push(receipt_of(seq, text(index)?, maybe(index + 1)?)?),
                "writeback_jobs" => {
                    let made = self.proposal.as_ref().map(|(change_set, ..)| change_set);
                    let made = made.ok_or_else(|| stored.broken("it was not made by its first event"))?;
                    self.jobs.push(job(made, text(index)?, seq)?);
                }
                _ => {}
            }
        }
        let at = Instant::parse(at).map_err(|_| stored.broken("an event has no time"))?;
        self.events.push(EventRecord { seq, kind: kind.to_owned(), actor: actor.to_owned(), at, detail, hash });
        Ok(())
    }
}

/// A change set that its event shows to be as it was written, and the facts beside it.
fn proposal(document: &str, facts: &str, stored: &StoredStanding) -> Result<(ChangeSet, String, Facts)> {
    let change_set =
        ChangeSet::read_own(document).ok_or_else(|| stored.broken("its hash is not the hash of its change set"))?;
    if change_set.proposal_id != stored.proposal_id {
        return Err(stored.broken("its change set is another's"));
    }
    let facts = serde_json::from_str(facts).map_err(|_| stored.broken("its facts are not readable"))?;
    Ok((change_set, document.to_owned(), facts))
}

/// Why there is no such proposal: there never was, or a pruning says that it was pruned.
pub(super) fn missing(connection: &Connection, key: &MacKey, proposal_id: &str) -> Result<Error> {
    let first: Option<u64> = connection
        .prepare_cached("SELECT min(seq) FROM events WHERE subject = ?1 AND subject <> ''")
        .and_then(|mut statement| statement.query_row([proposal_id], |row| row.get(0)))
        .failed()?;
    let Some(first) = first else { return Ok(Error::new(Code::ProposalNotFound).with("proposal", proposal_id)) };
    let named = format!("\"proposal_id\":\"{proposal_id}\"");
    let pruning: Option<u64> = connection
        .prepare_cached("SELECT seq FROM prunings WHERE seq > ?1 AND instr(document, ?2) > 0 LIMIT 1")
        .and_then(|mut statement| statement.query_row((first, named), |row| row.get(0)).optional())
        .failed()?;
    let Some(pruning) = pruning else {
        return Err(tampered(format!("proposal {proposal_id}"), "it is gone, and no pruning says so"));
    };
    check_event(connection, key, pruning)?;
    Ok(Error::new(Code::ProposalPruned).with("proposal", proposal_id))
}

/// An event of which only the hashes are kept, checked against them and the key.
pub(super) fn check_pruned(connection: &Connection, key: &MacKey, seq: u64, payload: [u8; 32]) -> Result<StoredEvent> {
    let event = stored_event(connection, seq)?;
    within(head(connection, key)?, seq)?;
    if !event.actor.is_empty() || !event.detail.is_empty() {
        return Err(tampered(format!("event {seq}"), "it is pruned and has something left"));
    }
    check_payload(key, predecessor(connection, seq)?, (&event).into(), Digest::from_bytes(payload))?;
    Ok(event)
}

fn stored_event(connection: &Connection, seq: u64) -> Result<StoredEvent> {
    connection
        .prepare_cached(&format!("SELECT {EVENT_COLUMNS} FROM events WHERE seq = ?1"))
        .and_then(|mut statement| statement.query_row([seq], event_row))
        .failed()
}

/// One event, checked against its predecessor, its rows and the key.
pub(super) fn check_event(connection: &Connection, key: &MacKey, seq: u64) -> Result<StoredEvent> {
    let event = stored_event(connection, seq)?;
    within(head(connection, key)?, seq)?;
    check(connection, key, predecessor(connection, seq)?, &event)?;
    Ok(event)
}

/// The hash before an event.
fn predecessor(connection: &Connection, seq: u64) -> Result<Digest> {
    if seq <= 1 {
        return Ok(Digest::from_bytes(ROOT));
    }
    connection
        .prepare_cached("SELECT hash FROM events WHERE seq = ?1")
        .and_then(|mut statement| statement.query_row([seq - 1], |row| row.get::<_, [u8; 32]>(0)).optional())
        .failed()?
        .map(Digest::from_bytes)
        .ok_or_else(|| tampered(format!("event {}", seq - 1), "it is missing"))
}

pub(super) fn document(connection: &Connection, table: &str, seq: u64) -> Result<Option<String>> {
    connection
        .prepare_cached(&format!("SELECT document FROM {table} WHERE seq = ?1"))
        .and_then(|mut statement| statement.query_row([seq], |row| row.get(0)).optional())
        .failed()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredJob {
    digest: Digest,
    lease: Lease,
}

/// The job of an event, derived again from its proposal and compared with the digest kept of it.
pub(super) fn job(set: &ChangeSet, document: &str, seq: u64) -> Result<WritebackJob> {
    let stored: StoredJob = parse(document, seq)?;
    let broken = || tampered(format!("event {seq}"), "its job is not the job of its proposal");
    let mut job = WritebackJob::derive(set, stored.lease.attempt, stored.lease.expires_at).map_err(|_| broken())?;
    job.lease = stored.lease;
    if job.digest()? == stored.digest { Ok(job) } else { Err(broken()) }
}

/// A decision, its own signature checked.
fn signed_decision(key: &MacKey, seq: u64, document: &str, mac: &[u8]) -> Result<Decision> {
    if !key.verify("signoff decision", document.as_bytes(), mac) {
        return Err(tampered(format!("event {seq}"), "the decision's signature is not ours"));
    }
    parse(document, seq)
}

pub(super) fn parse<T: DeserializeOwned>(document: &str, seq: u64) -> Result<T> {
    serde_json::from_str(document).map_err(|_| tampered(format!("event {seq}"), "a document does not parse"))
}

/// The receipt of an event that was checked, its own hash compared.
pub(super) fn receipt(connection: &Connection, seq: u64) -> Result<Option<ReceiptRecord>> {
    let row = connection
        .prepare_cached("SELECT document, details FROM receipts WHERE seq = ?1")
        .and_then(|mut statement| {
            statement
                .query_row([seq], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)))
                .optional()
        })
        .failed()?;
    row.map(|(document, details)| receipt_of(seq, &document, details.as_deref())).transpose()
}

fn receipt_of(seq: u64, document: &str, details: Option<&str>) -> Result<ReceiptRecord> {
    let broken = || tampered(format!("event {seq}"), "the receipt's hash is not the hash of what it says");
    let receipt = ExecutionReceipt::read_own(document).ok_or_else(broken)?;
    let details = details.map(|text| parse(text, seq)).transpose()?;
    Ok(ReceiptRecord { seq, receipt, details })
}

/// A list checks the event that made each row, its seal, and that this is the seal of its last event: an older one is
/// genuine, too. The events between are checked when a proposal is loaded.
pub(super) fn summary(connection: &Connection, key: &MacKey, proposal: StoredProposal) -> Result<ProposalSummary> {
    let StoredProposal { stands: row, document } = proposal;
    if check_event(connection, key, row.seq)?.subject != row.proposal_id {
        return Err(row.broken("it was not made by its first event"));
    }
    let change_set: ChangeSet = serde_json::from_str(&document).map_err(|_| row.broken("its change set is not one"))?;
    let state = row.sealed_state(key)?;
    let last: Option<u64> = connection
        .prepare_cached(LAST_OF)
        .and_then(|mut statement| statement.query_row([&row.proposal_id], |found| found.get(0)))
        .failed()?;
    if last != Some(row.last_seq) {
        return Err(row.broken("its state is not what its events tell"));
    }
    Ok(ProposalSummary {
        seq: row.seq,
        proposal_id: row.proposal_id,
        proposal_hash: change_set.integrity.proposal_hash,
        state,
        action: change_set.action,
        tenant_id: change_set.scope.tenant_id,
        principal: change_set.principal.id,
        business_object: change_set.scope.business_object,
        object_id: change_set.scope.object_id,
        created_at: change_set.created_at,
    })
}

pub(super) const LAST_OF: &str = "SELECT max(seq) FROM events WHERE subject = ?1 AND subject <> ''";

pub(super) fn evidence(store: &Store, evidence_id: &str) -> Result<Option<EvidenceRecord>> {
    let connection = &store.connection;
    let row = connection
        .prepare_cached("SELECT seq, document FROM evidence WHERE evidence_id = ?1")
        .and_then(|mut statement| {
            statement.query_row([evidence_id], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, String>(1)?))).optional()
        })
        .failed()?;
    let Some((seq, text)) = row else { return Ok(None) };
    let event = check_event(connection, &store.key, seq)?;
    let audit = document(connection, "query_audit", seq)?.map_or(Ok(Value::Null), |text| parse(&text, seq))?;
    let at = Instant::parse(&event.at).map_err(|_| tampered(format!("event {seq}"), "it has no time"))?;
    Ok(Some(EvidenceRecord { id: evidence_id.to_owned(), at, document: parse(&text, seq)?, audit }))
}

fn number(store: &Store, sql: &str) -> Result<u64> {
    store.connection.query_row(sql, [], |row| row.get(0)).failed()
}

/// How many proposals there are.
pub(super) fn proposals(store: &Store) -> Result<u64> {
    number(store, "SELECT count(*) FROM standings")
}

/// How large the file is.
pub(super) fn bytes(store: &Store) -> Result<u64> {
    number(store, "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
}

/// Moves what is in the log into the file, and empties the log if nobody reads it.
pub(super) fn checkpoint(store: &Store) -> Result<()> {
    store.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).failed()
}

pub(super) fn stats(store: &Store) -> Result<LedgerStats> {
    let connection = &store.connection;
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, u64>(0)).failed();
    let mut rows = BTreeMap::new();
    for table in COVERED.iter().map(|(table, _)| *table).chain(["events", "pruned"]) {
        rows.insert(table.to_owned(), count(&format!("SELECT count(*) FROM {table}"))?);
    }
    let mut states = BTreeMap::new();
    for state in State::ALL {
        states.insert(
            state.as_str().to_owned(),
            count(&format!("SELECT count(*) FROM standings WHERE state = '{state}'"))?,
        );
    }
    let end = head(connection, &store.key)?;
    let checkpoint = Checkpoint { size: end.size, head: end.hash };
    Ok(LedgerStats {
        path: store.path.display().to_string(),
        format: FORMAT,
        bytes: bytes(store)?,
        rows,
        states,
        checkpoint: checkpoint.to_string(),
    })
}
