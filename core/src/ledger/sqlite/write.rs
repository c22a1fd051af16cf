//! Writing: one step, one event, inside a transaction that is open already (see [`group`](super::group)).

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde_json::{Value, json};

use super::chain::{Draft, Head, Sealed, append, head, tampered, within};
use super::read::{StoredStanding, document, load_in, parse, standing_of};
use super::receipt_table;
use super::{Failed, Store};
use crate::error::{Code, Error, Result};
use crate::fault_point;
use crate::ledger::{
    Advance, Advanced, EventRecord, HumanChange, NewProposal, NewRead, ProposalRecord, ReceiptRecord, Recorded,
    Standing,
};
use crate::primitives::{Instant, MacKey, canonical, digest_of};
use crate::protocol::{ChangeSet, ChangeSetMode, Columns, Event, ROW_HASH_COLUMN, State};

const ACTIVE: &str = "s.state IN ('pending_review', 'approved', 'pending_worker', 'outcome_unknown')";

/// The signature of a decision.
pub(super) fn decision_mac(key: &MacKey, document: &str) -> [u8; 32] {
    key.tag("signoff decision", document.as_bytes())
}

pub(super) fn record_read(store: &Store, read: &NewRead) -> Result<()> {
    let (connection, key) = (&store.connection, &store.key);
    let previous = head(connection, key)?;
    insert_read(connection, previous.size + 1, read)?;
    let (kind, subject) = match &read.evidence {
        Some(evidence) => ("evidence_recorded", evidence.id.as_str()),
        None => ("read_denied", ""),
    };
    let draft = Draft { kind, subject, actor: &read.actor, at: read.at, detail: "" };
    append(connection, key, previous, &draft).map(|_| ())
}

fn insert_read(connection: &Connection, seq: u64, read: &NewRead) -> Result<()> {
    if let Some(evidence) = &read.evidence {
        connection
            .prepare_cached("INSERT INTO evidence (seq, evidence_id, document) VALUES (?1, ?2, ?3)")
            .and_then(|mut statement| statement.execute(params![seq, evidence.id, text(&evidence.document)]))
            .failed()?;
    }
    connection
        .prepare_cached("INSERT INTO query_audit (seq, document) VALUES (?1, ?2)")
        .and_then(|mut statement| statement.execute(params![seq, text(&read.audit)]))
        .failed()?;
    Ok(())
}

/// Evidence holds scalars only, whose large numbers are strings: it always has a canonical form.
fn text(value: &Value) -> String {
    canonical(value).unwrap_or_default()
}

/// Sixteen bytes that name an object or a row.
fn short_key(value: &Value) -> Result<Vec<u8>> {
    Ok(digest_of(value)?.as_bytes().iter().copied().take(16).collect())
}

fn object_key(change_set: &ChangeSet) -> Result<Option<Vec<u8>>> {
    if change_set.mode != ChangeSetMode::ReviewRequired {
        return Ok(None);
    }
    let scope = &change_set.scope;
    short_key(&json!([scope.tenant_id, change_set.action, scope.object_id])).map(Some)
}

fn row_key(change_set: &ChangeSet) -> Result<Vec<u8>> {
    let source = &change_set.source;
    short_key(&json!([
        source.source_id,
        source.schema,
        source.table,
        source.primary_key.value,
        change_set.scope.tenant_id
    ]))
}

pub(super) fn record_proposal(store: &Store, proposal: &NewProposal) -> Result<Recorded> {
    let (connection, key) = (&store.connection, &store.key);
    let change_set = &proposal.change_set;
    let document = change_set.canonical()?;
    let facts = canonical(&proposal.facts)?;
    let object_key = object_key(change_set)?;
    let mut previous = head(connection, key)?;
    let mut superseded = None;
    if let Some(object_key) = &object_key {
        let active: Option<String> = connection
            .prepare_cached(&format!("SELECT p.proposal_id FROM standings s JOIN proposals p ON p.seq = s.seq WHERE s.object_key = ?1 AND {ACTIVE}"))
            .and_then(|mut statement| statement.query_row([object_key], |row| row.get(0)).optional())
            .failed()?;
        if let Some(active) = active {
            let record = load_in(connection, key, previous, &active)?;
            match succession(&record, proposal) {
                Succession::Same => return Ok(Recorded::Existing(Box::new(record))),
                Succession::Refused => return Err(refused(&record, change_set)),
                Succession::Ends(event, reason) => {
                    let step =
                        Step { event, actor: &change_set.principal.id, at: proposal.read.at, reason: Some(reason) };
                    previous = step_in(connection, key, previous, &record, &step)?;
                    superseded = (event == Event::Cancel).then(|| record.id().to_owned());
                }
            }
        }
    }
    let seq = previous.size + 1;
    insert_read(connection, seq, &proposal.read)?;
    fault_point!("fault:ledger.rows");
    let standing = Standing { expires_at: proposal.expires_at, ..Standing::default() };
    let state = State::PendingReview;
    let detail = Detail { to: state, standing: &standing, event: None, reason: None, human_action: None };
    let detail = canonical(&detail)?;
    let standing = canonical(&standing)?;
    let row_key = row_key(change_set)?;
    let sealed = Sealed {
        proposal_id: &change_set.proposal_id,
        object_key: object_key.as_deref(),
        row_key: &row_key,
        state,
        standing: &standing,
        last_seq: seq,
    };
    let seal = sealed.seal(key);
    connection
        .prepare_cached("INSERT INTO proposals (seq, proposal_id, document, facts) VALUES (?1, ?2, ?3, ?4)")
        .and_then(|mut statement| statement.execute(params![seq, change_set.proposal_id, document, facts]))
        .failed()?;
    connection
        .prepare_cached(
            "INSERT INTO standings (seq, object_key, row_key, state, standing, last_seq, seal) VALUES (?1, ?2, ?3, ?4, ?5, ?1, ?6)",
        )
        .and_then(|mut statement| statement.execute(params![seq, object_key, row_key, state.as_str(), standing, seal]))
        .failed()?;
    let draft = Draft {
        kind: "proposal_created",
        subject: &change_set.proposal_id,
        actor: &change_set.principal.id,
        at: proposal.read.at,
        detail: &detail,
    };
    append(connection, key, previous, &draft)?;
    fault_point!("fault:ledger.event");
    Ok(Recorded::New { superseded })
}

/// What an active proposal for the same object means for a new one.
enum Succession {
    Same,
    Ends(Event, &'static str),
    Refused,
}

fn succession(record: &ProposalRecord, new: &NewProposal) -> Succession {
    let (old_set, new_set) = (&record.change_set, &new.change_set);
    let lapsed = record.standing.expires_at.is_some_and(|end| end <= new.read.at);
    if lapsed && !record.state.is_in_flight() {
        return Succession::Ends(Event::Expire, "expired");
    }
    let same_principal = old_set.principal.id == new_set.principal.id;
    let same_authority = record.facts.authority == new.facts.authority;
    let same_row = same(&old_set.before, &new_set.before) && record.facts.classes == new.facts.classes;
    if same_principal && same_authority && same_row && same(&old_set.patch, &new_set.patch) {
        Succession::Same
    } else if same_principal && !same_row && record.state == State::PendingReview {
        Succession::Ends(Event::Cancel, "superseded")
    } else {
        Succession::Refused
    }
}

/// Equal as they are stored: a decimal read back from the ledger is a text, and the same value.
fn same(left: &Columns, right: &Columns) -> bool {
    left.len() == right.len()
        && left.iter().all(|(column, value)| right.get(column).is_some_and(|other| other.same(value)))
}

/// Another principal learns that there is one, not which.
fn refused(record: &ProposalRecord, change_set: &ChangeSet) -> Error {
    let error = Error::new(Code::ProposalActive);
    if record.change_set.principal.id == change_set.principal.id {
        error.with("proposal", record.id())
    } else {
        error.with("proposal", "it is somebody else's")
    }
}

/// What an event says of the lifecycle; a verification folds these.
#[derive(Serialize)]
struct Detail<'a> {
    to: State,
    standing: &'a Standing,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    human_action: Option<&'a HumanChange>,
}

struct Step<'a> {
    event: Event,
    actor: &'a str,
    at: Instant,
    reason: Option<&'a str>,
}

/// A step inside somebody else's transaction, without rows of its own.
fn step_in(
    connection: &Connection,
    key: &MacKey,
    previous: Head,
    record: &ProposalRecord,
    step: &Step<'_>,
) -> Result<Head> {
    let state = record.state.after(step.event)?;
    let standing = &record.standing;
    let event = Some(step.event.as_str());
    let detail = canonical(&Detail { to: state, standing, event, reason: step.reason, human_action: None })?;
    let kind = kind_of(step.event);
    let draft = Draft { kind, subject: record.id(), actor: step.actor, at: step.at, detail: &detail };
    let head = append(connection, key, previous, &draft)?;
    let stored = stored(connection, record.id())?;
    update_standing(connection, key, &stored, state, &canonical(standing)?, head.size)?;
    Ok(head)
}

/// The event's name in the log; v1's word where v1 has one.
fn kind_of(event: Event) -> &'static str {
    match event {
        Event::Approve => "proposal_approved",
        Event::Reject => "proposal_rejected",
        Event::Cancel => "proposal_canceled",
        Event::Expire => "proposal_expired",
        Event::Claim => "proposal_pending_worker",
        Event::Renew => "writeback_lease_renewed",
        Event::Release => "proposal_released",
        Event::Lost => "writeback_outcome_unknown",
        Event::Applied => "writeback_applied",
        Event::Conflict => "writeback_conflict",
        Event::Failed => "writeback_failed",
        Event::Tombstoned => "writeback_canceled",
        Event::HumanAction => "shadow_human_action_recorded",
    }
}

fn stored(connection: &Connection, proposal_id: &str) -> Result<StoredStanding> {
    standing_of(connection, proposal_id)?
        .ok_or_else(|| Error::new(Code::ProposalNotFound).with("proposal", proposal_id))
}

fn update_standing(
    connection: &Connection,
    key: &MacKey,
    stored: &StoredStanding,
    state: State,
    standing: &str,
    seq: u64,
) -> Result<()> {
    let seal = stored.sealed(state, standing, seq).seal(key);
    let moved = connection
        .prepare_cached(
            "UPDATE standings SET state = ?1, standing = ?2, last_seq = ?3, seal = ?4 WHERE seq = ?5 AND last_seq = ?6",
        )
        .and_then(|mut statement| {
            statement.execute(params![state.as_str(), standing, seq, seal, stored.seq, stored.last_seq])
        })
        .failed()?;
    if moved == 1 {
        Ok(())
    } else {
        Err(Error::new(Code::Internal).with("detail", "a proposal moved inside our transaction"))
    }
}

pub(super) fn advance(store: &Store, step: Advance) -> Result<Option<Advanced>> {
    let (connection, key) = (&store.connection, &store.key);
    let previous = head(connection, key)?;
    let row = stored(connection, &step.proposal_id)?;
    within(previous, row.last_seq)?;
    if row.last_seq != step.expected_seq {
        return Ok(None);
    }
    let before = row.sealed_state(key)?;
    let state = before.after(step.event)?;
    if before == State::PendingWorker && step.event != Event::Claim && !holds(&row, &step)? {
        return Ok(None);
    }
    let overtaken_by = if step.event == Event::Claim { row_rivals(connection, &row)? } else { None };

    let seq = previous.size + 1;
    if let Some(place) = &step.receipts_in {
        receipt_table::hold(connection, key, seq, place)?;
    }
    let details = insert_rows(connection, key, seq, &step)?;
    fault_point!("fault:ledger.rows");
    let Advance { standing, decision, job, receipt, human, actor, at, .. } = step;
    let reason = decision.as_ref().and_then(|decision| decision.reason.as_deref());
    let event = Some(step.event.as_str());
    let detail = canonical(&Detail { to: state, standing: &standing, event, reason, human_action: human.as_ref() })?;
    let kind = kind_of(step.event);
    let draft = Draft { kind, subject: &step.proposal_id, actor: &actor, at, detail: &detail };
    let hash = append(connection, key, previous, &draft)?.hash;
    update_standing(connection, key, &row, state, &canonical(&standing)?, seq)?;
    fault_point!("fault:ledger.event");
    // As a load would tell them.
    let event = EventRecord { seq, kind: kind.to_owned(), actor, at, detail: parse(&detail, seq)?, hash };
    let details = details.map(|text| parse(&text, seq)).transpose()?;
    let receipt = receipt.map(|new| ReceiptRecord { seq, receipt: new.receipt, details });
    Ok(Some(Advanced { seq, state, overtaken_by, event, standing, decision, job, receipt }))
}

/// May this attempt still say how it stands? Not once its lease lapsed: by then a later one may have begun, or is about to.
fn holds(row: &StoredStanding, step: &Advance) -> Result<bool> {
    let unreadable = |_| tampered(format!("proposal {}", row.proposal_id), "its standing is not one");
    let standing: Standing = serde_json::from_str(&row.standing).map_err(unreadable)?;
    if step.standing.attempt != standing.attempt {
        return Ok(false);
    }
    let lease = standing.lease_expires_at;
    if step.event == Event::Renew && step.standing.lease_expires_at < lease {
        return Err(Error::new(Code::Internal).with("detail", "a renewal that shortens its lease"));
    }
    Ok(lease.is_some_and(|end| step.at < end))
}

/// Other proposals for the same source row: one being applied makes this one wait; one applied since, on the version this
/// one expects, makes it a conflict, even if nothing in the row tells.
fn row_rivals(connection: &Connection, row: &StoredStanding) -> Result<Option<String>> {
    // By the row, whatever the planner thinks: by the state it would read every proposal that was ever applied.
    const SAME_ROW: &str = "SELECT p.proposal_id, p.document FROM standings s INDEXED BY standings_row JOIN proposals p ON p.seq = s.seq WHERE s.row_key = ?1";
    let busy: Option<String> = connection
        .prepare_cached(&format!("{SAME_ROW} AND s.state IN ('pending_worker', 'outcome_unknown') AND s.seq <> ?2"))
        .and_then(|mut statement| statement.query_row(params![row.row_key, row.seq], |row| row.get(0)).optional())
        .failed()?;
    if let Some(other) = busy {
        return Err(Error::new(Code::RowBusy).with("other", other));
    }
    let mut statement =
        connection.prepare_cached(&format!("{SAME_ROW} AND s.state = 'applied' AND s.last_seq > ?2")).failed()?;
    let later = statement
        .query_map(params![row.row_key, row.seq], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
        .and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
        .failed()?;
    if later.is_empty() {
        return Ok(None);
    }
    let version = |document: &str| ChangeSet::parse(document).map(|set| set.guards.expected_version);
    let ours = version(&document(connection, "proposals", row.seq)?.unwrap_or_default())?;
    for (other, document) in later {
        let theirs = version(&document)?;
        // A row hash says nothing of columns outside it, so any change since counts.
        let weak = [&ours, &theirs].iter().any(|version| version.column.as_str() == ROW_HASH_COLUMN);
        if weak || theirs == ours {
            return Ok(Some(other));
        }
    }
    Ok(None)
}

/// Answers the receipt's details as they stand there.
fn insert_rows(connection: &Connection, key: &MacKey, seq: u64, step: &Advance) -> Result<Option<String>> {
    if let Some(decision) = &step.decision {
        let document = canonical(decision)?;
        let mac = decision_mac(key, &document);
        connection
            .prepare_cached("INSERT INTO approvals (seq, document, mac) VALUES (?1, ?2, ?3)")
            .and_then(|mut statement| statement.execute(params![seq, document, mac]))
            .failed()?;
    }
    if let Some(job) = &step.job {
        // The rest of a job follows from its proposal: its digest and its lease are all there is to keep.
        let document = canonical(&json!({ "digest": job.digest()?, "lease": job.lease }))?;
        connection
            .prepare_cached("INSERT INTO writeback_jobs (seq, document) VALUES (?1, ?2)")
            .and_then(|mut statement| statement.execute(params![seq, document]))
            .failed()?;
    }
    if let Some(new) = &step.receipt {
        let document = new.receipt.canonical()?;
        let details = new.details.as_ref().map(text);
        connection
            .prepare_cached("INSERT INTO receipts (seq, document, details) VALUES (?1, ?2, ?3)")
            .and_then(|mut statement| statement.execute(params![seq, document, details]))
            .failed()?;
        return Ok(details);
    }
    Ok(None)
}
