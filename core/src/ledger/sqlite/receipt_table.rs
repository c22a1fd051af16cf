//! Where each source keeps its receipts: recorded with its first claim, and changed only by an event of its own while
//! nothing there is approved or unresolved. A receipt in another table would not be seen, and its change run twice.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use super::chain::{Draft, append, head, tampered};
use super::read::{PROPOSALS, check_event, parse, proposal_row};
use super::{Failed, Store};
use crate::error::Result;
use crate::guard::ReceiptTable;
use crate::ledger::ReceiptsIn;
use crate::primitives::{Instant, MacKey, canonical};

/// The table last recorded for a source, checked with the event that covers it.
fn last(connection: &Connection, key: &MacKey, source: &str) -> Result<Option<ReceiptTable>> {
    let row = connection
        .prepare_cached("SELECT seq, document FROM receipt_tables WHERE source = ?1 ORDER BY seq DESC LIMIT 1")
        .and_then(|mut statement| {
            statement.query_row([source], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, String>(1)?))).optional()
        })
        .failed()?;
    let Some((seq, document)) = row else { return Ok(None) };
    check_event(connection, key, seq)?;
    parse(&document, seq).map(Some)
}

fn record(connection: &Connection, seq: u64, place: &ReceiptsIn) -> Result<()> {
    let document = text(&place.table)?;
    connection
        .prepare_cached("INSERT INTO receipt_tables (seq, source, document) VALUES (?1, ?2, ?3)")
        .and_then(|mut statement| statement.execute(params![seq, place.source, document]))
        .failed()
        .map(|_| ())
}

fn text(table: &ReceiptTable) -> Result<String> {
    canonical(table)
}

/// Inside a claim's transaction: the recorded table must be this one; the first claim of a source records it.
pub(super) fn hold(connection: &Connection, key: &MacKey, seq: u64, place: &ReceiptsIn) -> Result<()> {
    match last(connection, key, &place.source)? {
        Some(recorded) => place.same_as(&recorded),
        None => record(connection, seq, place),
    }
}

pub(super) fn recorded(store: &Store, source: &str) -> Result<Option<ReceiptTable>> {
    last(&store.connection, &store.key, source)
}

/// The caller has verified the ledger before: it takes time, and writers would wait for it.
pub(super) fn rebind(store: &Store, to: &ReceiptsIn, actor: &str, at: Instant) -> Result<Option<ReceiptTable>> {
    let (connection, key) = (&store.connection, &store.key);
    let previous = head(connection, key)?;
    let before = last(connection, key, &to.source)?;
    let Some(recorded) = before.as_ref().filter(|recorded| **recorded != to.table) else { return Ok(before) };
    let open = open(connection, key, &to.source)?;
    if let Some(first) = open.first() {
        let why = match open.len() {
            1 => format!("{first} is approved or unresolved"),
            more => format!("{more} proposals are approved or unresolved, among them {first}"),
        };
        return Err(to.changed(recorded, why));
    }
    record(connection, previous.size + 1, to)?;
    let detail = canonical(&json!({ "from": recorded.sql(), "to": to.table.sql() }))?;
    // Never the id of a proposal, whatever the source is called.
    let subject = format!("source:{}", to.source);
    let draft = Draft { kind: "receipts_table_changed", subject: &subject, actor, at, detail: &detail };
    append(connection, key, previous, &draft)?;
    Ok(before)
}

/// The proposals of a source that may have, or may yet leave, a receipt in its table.
fn open(connection: &Connection, key: &MacKey, source: &str) -> Result<Vec<String>> {
    let sql = format!("{PROPOSALS} WHERE s.state IN ('approved', 'pending_worker', 'outcome_unknown') ORDER BY s.seq");
    let mut statement = connection.prepare_cached(&sql).failed()?;
    let rows =
        statement.query_map([], proposal_row).and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>).failed()?;
    let mut found = Vec::new();
    for row in rows {
        row.stands.sealed_state(key)?;
        let change_set = row.change_set()?;
        change_set
            .verify_hash()
            .map_err(|_| tampered(format!("proposal {}", row.stands.proposal_id), "its hash is wrong"))?;
        if change_set.source.source_id == source {
            found.push(row.stands.proposal_id);
        }
    }
    Ok(found)
}
