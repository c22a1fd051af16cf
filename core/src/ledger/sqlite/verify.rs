//! Verifying: everything that can be recomputed is, from the first event to the signed head.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::chain::{ROOT, check, head, tampered};
use super::read::{EVENT_COLUMNS, Folded, PROPOSALS, decision, document, event_row, fold, job, proposal_row, receipt};
use super::schema::{COVERED, check_schema};
use super::{Failed, Store};
use crate::error::{Code, Error, Result};
use crate::ledger::{Checkpoint, Verified};
use crate::primitives::{Digest, canonical};
use crate::protocol::ChangeSet;

pub(super) fn verify(
    store: &Store,
    expect: Option<Checkpoint>,
    mut progress: Box<dyn FnMut(u64, u64) + Send>,
) -> Result<Verified> {
    // One snapshot: a ledger in use verifies as it was at one moment.
    store.connection.execute_batch("BEGIN DEFERRED").failed()?;
    let result = run(store, expect.as_ref(), &mut *progress);
    let ended = store.connection.execute_batch("COMMIT").failed();
    result.and_then(|verified| ended.map(|()| verified))
}

fn run(store: &Store, expect: Option<&Checkpoint>, progress: &mut dyn FnMut(u64, u64)) -> Result<Verified> {
    let (connection, key) = (&store.connection, &store.key);
    check_schema(connection)?;
    let sound: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).failed()?;
    if sound != "ok" {
        return Err(tampered("the file", "a page or an index is damaged"));
    }
    let end = head(connection, key)?;
    let mut previous = Digest::from_bytes(ROOT);
    let mut reached = 0_u64;
    let mut expected_found = expect.is_none_or(|checkpoint| checkpoint.size == 0 && checkpoint.head == previous);
    let mut proposals: HashMap<String, Folded> = HashMap::new();
    let mut rows: BTreeMap<&str, u64> = BTreeMap::new();

    let mut statement = connection.prepare(&format!("SELECT {EVENT_COLUMNS} FROM events ORDER BY seq")).failed()?;
    let mut cursor = statement.query([]).failed()?;
    while let Some(row) = cursor.next().failed()? {
        let event = event_row(row).failed()?;
        if event.seq != reached + 1 {
            return Err(tampered(format!("event {}", reached + 1), "it is missing"));
        }
        let (hash, tables) = check(connection, key, previous, &event)?;
        previous = hash;
        reached = event.seq;
        if expect.is_some_and(|checkpoint| checkpoint.size == reached) {
            expected_found = expect.is_some_and(|checkpoint| checkpoint.head == previous);
        }
        for table in tables {
            *rows.entry(table).or_default() += 1;
            check_row(store, table, event.seq, &event.subject)?;
        }
        if event.subject.starts_with("wrp_") {
            let detail: Value = serde_json::from_str(&event.detail).unwrap_or(Value::Null);
            let folded = fold(proposals.get(&event.subject), &event, &detail)?;
            proposals.insert(event.subject, folded);
        }
        if reached.is_multiple_of(512) {
            progress(reached, end.size);
        }
    }
    if reached != end.size || previous != end.hash {
        return Err(tampered(format!("event {}", reached + 1), "the chain ends before its signed head"));
    }
    for (table, _) in COVERED {
        let stored: u64 =
            connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).failed()?;
        if stored != rows.get(table).copied().unwrap_or_default() {
            return Err(tampered(format!("table {table}"), "it has rows that no event covers"));
        }
    }
    let standings: u64 = connection.query_row("SELECT count(*) FROM standings", [], |row| row.get(0)).failed()?;
    if standings != proposals.len() as u64 {
        return Err(tampered("table standings", "it has not one row for each proposal"));
    }
    check_proposals(store, &proposals)?;
    if !expected_found {
        let expected = expect.map(ToString::to_string).unwrap_or_default();
        return Err(Error::new(Code::LedgerCheckpointMismatch).with("expected", expected).with("size", end.size));
    }
    progress(end.size, end.size);
    Ok(Verified { checkpoint: Checkpoint { size: end.size, head: end.hash }, proposals: proposals.len() as u64 })
}

/// A row of an event: in its canonical form, and belonging to the event's proposal.
fn check_row(store: &Store, table: &str, seq: u64, subject: &str) -> Result<()> {
    let connection = &store.connection;
    let broken = |problem: &str| tampered(format!("event {seq}"), problem);
    let of = |proposal_id: &str| {
        if proposal_id == subject { Ok(()) } else { Err(broken("a row in it is another proposal's")) }
    };
    match table {
        "approvals" => decision(connection, &store.key, seq)?.map_or(Ok(()), |decision| of(&decision.proposal_id)),
        "receipts" => receipt(connection, seq)?.map_or(Ok(()), |receipt| of(&receipt.receipt.proposal_id)),
        // Checked whole, below, with what its events tell.
        "proposals" => Ok(()),
        _ => {
            let text = document(connection, table, seq)?.unwrap_or_default();
            let value: Value = serde_json::from_str(&text).map_err(|_| broken("a document does not parse"))?;
            if canonical(&value).ok().as_deref() != Some(&text) {
                return Err(broken("a document is not in its canonical form"));
            }
            if table == "writeback_jobs" {
                let proposal: String = connection
                    .prepare_cached("SELECT document FROM proposals WHERE proposal_id = ?1")
                    .and_then(|mut statement| statement.query_row([subject], |row| row.get(0)))
                    .failed()?;
                let set = ChangeSet::parse(&proposal).map_err(|_| broken("its job's proposal does not parse"))?;
                job(&set, &text, seq)?;
            }
            Ok(())
        }
    }
}

fn check_proposals(store: &Store, folded: &HashMap<String, Folded>) -> Result<()> {
    let mut statement = store.connection.prepare(&format!("{PROPOSALS} ORDER BY p.seq")).failed()?;
    let rows = statement.query_map([], proposal_row).failed()?;
    for row in rows {
        let row = row.failed()?;
        let told = folded
            .get(&row.proposal_id)
            .ok_or_else(|| tampered(format!("proposal {}", row.proposal_id), "it has no events"))?;
        row.check(&store.key, told, &row.change_set()?)?;
    }
    Ok(())
}
