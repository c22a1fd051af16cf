//! Reading: nothing leaves the ledger that was not checked against the chain and the key.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::chain::{Head, ROOT, Sealed, StoredEvent, check, check_payload, head, tampered, within};
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
#[derive(Debug, Clone)]
pub(super) struct Folded {
    pub state: State,
    pub standing: Standing,
    pub last_seq: u64,
}

/// Folds one lifecycle event; refuses a move that the table does not have.
pub(super) fn fold(before: Option<&Folded>, event: &StoredEvent, detail: &Value) -> Result<Folded> {
    let broken = || tampered(format!("event {}", event.seq), "it does not follow the lifecycle");
    let to = detail.get("to").and_then(Value::as_str).and_then(State::parse).ok_or_else(broken)?;
    let standing =
        detail.get("standing").cloned().and_then(|value| serde_json::from_value(value).ok()).ok_or_else(broken)?;
    let named = detail.get("event").and_then(Value::as_str).and_then(Event::parse);
    let allowed = match (before, named) {
        (None, None) => event.kind == "proposal_created" && to == State::PendingReview,
        (Some(before), Some(named)) => before.state.after(named).ok() == Some(to),
        _ => false,
    };
    if allowed { Ok(Folded { state: to, standing, last_seq: event.seq }) } else { Err(broken()) }
}

/// The stored row of a proposal.
pub(super) struct StoredProposal {
    pub seq: u64,
    pub proposal_id: String,
    pub document: String,
    pub facts: String,
    pub state: String,
    pub standing: String,
    pub last_seq: u64,
    pub seal: Vec<u8>,
    pub object_key: Option<Vec<u8>>,
    pub row_key: Vec<u8>,
}

/// Selects [`proposal_row`]s.
pub(super) const PROPOSALS: &str = "SELECT p.seq, p.proposal_id, p.document, p.facts, s.state, s.standing, s.last_seq, s.seal, s.object_key, s.row_key FROM proposals p JOIN standings s ON s.seq = p.seq";

pub(super) fn proposal_row(row: &Row<'_>) -> rusqlite::Result<StoredProposal> {
    Ok(StoredProposal {
        seq: row.get(0)?,
        proposal_id: row.get(1)?,
        document: row.get(2)?,
        facts: row.get(3)?,
        state: row.get(4)?,
        standing: row.get(5)?,
        last_seq: row.get(6)?,
        seal: row.get(7)?,
        object_key: row.get(8)?,
        row_key: row.get(9)?,
    })
}

impl StoredProposal {
    /// The state, if its seal is ours.
    pub(super) fn sealed_state(&self, key: &MacKey) -> Result<State> {
        let broken = |problem: &str| tampered(format!("proposal {}", self.proposal_id), problem);
        let state = State::parse(&self.state).ok_or_else(|| broken("its state is not a state"))?;
        let sealed = self.sealed(state, &self.standing, self.last_seq);
        if sealed.verify(key, &self.seal)? { Ok(state) } else { Err(broken("its state is not signed by us")) }
    }

    /// What is sealed when it stands so.
    pub(super) fn sealed<'a>(&'a self, state: State, standing: &'a str, last_seq: u64) -> Sealed<'a> {
        let object_key = self.object_key.as_deref();
        Sealed { proposal_id: &self.proposal_id, object_key, row_key: &self.row_key, state, standing, last_seq }
    }

    /// The facts, if the change set hashes to its hash, and the state is signed and as the events tell.
    pub(super) fn check(&self, key: &MacKey, folded: &Folded, change_set: &ChangeSet) -> Result<Facts> {
        let broken = |problem: &str| tampered(format!("proposal {}", self.proposal_id), problem);
        change_set.verify_hash().map_err(|_| broken("its hash is not the hash of its change set"))?;
        if change_set.proposal_id != self.proposal_id {
            return Err(broken("its change set is another's"));
        }
        let state = self.sealed_state(key)?;
        let standing: Standing = serde_json::from_str(&self.standing).map_err(|_| broken("its standing is not one"))?;
        if state != folded.state || standing != folded.standing || self.last_seq != folded.last_seq {
            return Err(broken("its state is not what its events tell"));
        }
        let facts = serde_json::from_str(&self.facts).map_err(|_| broken("its facts are not readable"))?;
        Ok(facts)
    }

    /// The change set, parsed; its hash is for [`Self::check`].
    pub(super) fn change_set(&self) -> Result<ChangeSet> {
        let broken = || tampered(format!("proposal {}", self.proposal_id), "its change set is not one");
        ChangeSet::parse(&self.document).map_err(|_| broken())
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
    store.connection.execute_batch("BEGIN DEFERRED").failed()?;
    let result =
        head(&store.connection, &store.key).and_then(|head| load_in(&store.connection, &store.key, head, proposal_id));
    let ended = store.connection.execute_batch("COMMIT").failed();
    result.and_then(|record| ended.map(|()| record))
}

pub(super) fn load_in(connection: &Connection, key: &MacKey, head: Head, proposal_id: &str) -> Result<ProposalRecord> {
    let stored = connection
        .prepare_cached(&format!("{PROPOSALS} WHERE p.proposal_id = ?1"))
        .and_then(|mut statement| statement.query_row([proposal_id], proposal_row).optional())
        .failed()?;
    let Some(stored) = stored else { return Err(missing(connection, key, proposal_id)?) };
    let events = connection
        .prepare_cached(&format!(
            "SELECT {EVENT_COLUMNS} FROM events WHERE subject = ?1 AND subject <> '' ORDER BY seq"
        ))
        .and_then(|mut statement| statement.query_map([proposal_id], event_row)?.collect::<rusqlite::Result<Vec<_>>>())
        .failed()?;
    let broken = |problem: &str| tampered(format!("proposal {proposal_id}"), problem);
    let change_set = stored.change_set()?;

    let mut folded: Option<Folded> = None;
    let (mut decisions, mut jobs, mut receipts, mut history) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for event in &events {
        within(head, event.seq)?;
        let previous = predecessor(connection, event.seq)?;
        let (hash, tables) = check(connection, key, previous, event)?;
        let detail: Value = serde_json::from_str(&event.detail).unwrap_or(Value::Null);
        folded = Some(fold(folded.as_ref(), event, &detail)?);
        for table in tables {
            match table {
                "approvals" => decisions.extend(decision(connection, key, event.seq)?),
                "receipts" => receipts.extend(receipt(connection, event.seq)?),
                "writeback_jobs" => {
                    let text = document(connection, table, event.seq)?.unwrap_or_default();
                    jobs.push(job(&change_set, &text, event.seq)?);
                }
                _ => {}
            }
        }
        let at = Instant::parse(&event.at).map_err(|_| broken("an event has no time"))?;
        history.push(EventRecord {
            seq: event.seq,
            kind: event.kind.clone(),
            actor: event.actor.clone(),
            at,
            detail,
            hash,
        });
    }
    let folded = folded.ok_or_else(|| broken("it has no events"))?;
    let facts = stored.check(key, &folded, &change_set)?;
    if events.first().map(|event| event.seq) != Some(stored.seq) {
        return Err(broken("it was not made by its first event"));
    }
    Ok(ProposalRecord {
        change_set,
        document: stored.document,
        facts,
        state: folded.state,
        standing: folded.standing,
        created_seq: stored.seq,
        last_seq: stored.last_seq,
        events: history,
        decisions,
        jobs,
        receipts,
    })
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
    check_payload(key, predecessor(connection, seq)?, &event, Digest::from_bytes(payload))?;
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

/// The decision of an event, its own signature checked.
pub(super) fn decision(connection: &Connection, key: &MacKey, seq: u64) -> Result<Option<Decision>> {
    let row = connection
        .prepare_cached("SELECT document, mac FROM approvals WHERE seq = ?1")
        .and_then(|mut statement| {
            statement.query_row([seq], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?))).optional()
        })
        .failed()?;
    let Some((document, mac)) = row else { return Ok(None) };
    if !key.verify("signoff decision", document.as_bytes(), &mac) {
        return Err(tampered(format!("event {seq}"), "the decision's signature is not ours"));
    }
    parse(&document, seq).map(Some)
}

pub(super) fn parse<T: DeserializeOwned>(document: &str, seq: u64) -> Result<T> {
    serde_json::from_str(document).map_err(|_| tampered(format!("event {seq}"), "a document does not parse"))
}

/// The receipt of an event, its own hash checked.
pub(super) fn receipt(connection: &Connection, seq: u64) -> Result<Option<ReceiptRecord>> {
    let row = connection
        .prepare_cached("SELECT document, details FROM receipts WHERE seq = ?1")
        .and_then(|mut statement| {
            statement
                .query_row([seq], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)))
                .optional()
        })
        .failed()?;
    let Some((document, details)) = row else { return Ok(None) };
    let broken = || tampered(format!("event {seq}"), "the receipt's hash is not the hash of what it says");
    let receipt = ExecutionReceipt::parse(&document).map_err(|_| broken())?;
    receipt.verify_hash().map_err(|_| broken())?;
    let details = details.map(|text| parse(&text, seq)).transpose()?;
    Ok(Some(ReceiptRecord { seq, receipt, details }))
}

/// A list checks the event that made each row, its seal, and that this is the seal of its last event: an older one is
/// genuine, too. The events between are checked when a proposal is loaded.
pub(super) fn summary(connection: &Connection, key: &MacKey, row: StoredProposal) -> Result<ProposalSummary> {
    let broken = |problem: &str| tampered(format!("proposal {}", row.proposal_id), problem);
    if check_event(connection, key, row.seq)?.subject != row.proposal_id {
        return Err(broken("it was not made by its first event"));
    }
    let change_set = ChangeSet::parse(&row.document).map_err(|_| broken("its change set is not one"))?;
    let state = row.sealed_state(key)?;
    let last: Option<u64> = connection
        .prepare_cached(LAST_OF)
        .and_then(|mut statement| statement.query_row([&row.proposal_id], |found| found.get(0)))
        .failed()?;
    if last != Some(row.last_seq) {
        return Err(broken("its state is not what its events tell"));
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
