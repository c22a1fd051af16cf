//! Verifying: everything that can be recomputed is, from the first event to the signed head.
//!
//! One pass in the order of the chain. Every table is read beside the events, row by row, so that whatever lies between
//! two of them is noticed; what is kept in memory is the proposals that are under way at that point of the chain. A row
//! whose event is signed is as it was written: it is not derived from others again, as loading it does.

use std::collections::HashMap;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Rows, Statement};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::chain::{Payload, ROOT, Sealed, StoredEvent, check_beginning, check_payload, head, tampered};
use super::index::{self, BLOCK, Block, Recorded, block_of, proposal_terms};
use super::read::EVENT_COLUMNS;
use super::schema::{COVERED, check_schema};
use super::write::decision_mac;
use super::{Failed, Store, prune};
use crate::error::{Code, Error, Result};
use crate::ledger::{Checkpoint, Verified};
use crate::primitives::{Digest, MacKey};
use crate::protocol::{ChangeSet, Event, ExecutionReceipt, State};

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
    let connection = &store.connection;
    check_schema(connection)?;
    let sound: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).failed()?;
    if sound != "ok" {
        return Err(tampered("the file", "a page or an index is damaged"));
    }
    let end = head(connection, &store.key)?;
    check_beginning(connection, &store.key)?;
    let root = Digest::from_bytes(ROOT);
    let mut expected_found = expect.is_none_or(|checkpoint| checkpoint.size == 0 && checkpoint.head == root);
    let mut pass = Pass::new(store)?;

    let select: Vec<String> = COVERED.iter().map(|(table, columns)| rows_of(table, columns)).collect();
    let mut statements: Vec<Statement<'_>> =
        select.iter().map(|sql| connection.prepare(sql)).collect::<rusqlite::Result<_>>().failed()?;
    let mut of_pruned = connection.prepare("SELECT seq, payload FROM pruned ORDER BY seq").failed()?;
    let mut tables = Vec::with_capacity(COVERED.len());
    for ((table, columns), statement) in COVERED.iter().zip(&mut statements) {
        tables.push(Table::new(table, columns.len(), statement)?);
    }
    let mut pruned = Table::new("pruned", 1, &mut of_pruned)?;

    let mut statement = connection.prepare(&format!("SELECT {EVENT_COLUMNS} FROM events ORDER BY seq")).failed()?;
    let mut cursor = statement.query([]).failed()?;
    let mut event = StoredEvent::default();
    while let Some(row) = cursor.next().failed()? {
        read_event(row, &mut event).failed()?;
        if event.seq != pass.reached + 1 {
            return Err(tampered(format!("event {}", pass.reached + 1), "it is missing"));
        }
        if pruned.seq == Some(event.seq) {
            pass.pruned(&event, &tables, &pruned)?;
            pruned.advance()?;
        } else {
            pass.event(&event, &tables)?;
        }
        for table in tables.iter_mut().chain([&mut pruned]) {
            match table.seq {
                Some(seq) if seq < event.seq => return Err(table.uncovered()),
                Some(seq) if seq == event.seq => table.advance()?,
                _ => {}
            }
        }
        if expect.is_some_and(|checkpoint| checkpoint.size == pass.reached) {
            expected_found = expect.is_some_and(|checkpoint| checkpoint.head == pass.previous);
        }
        if pass.reached.is_multiple_of(512) {
            progress(pass.reached, end.size);
        }
    }
    if pass.reached != end.size || pass.previous != end.hash {
        return Err(tampered(format!("event {}", pass.reached + 1), "the chain ends before its signed head"));
    }
    if let Some(table) = tables.iter().chain([&pruned]).find(|table| table.seq.is_some()) {
        return Err(table.uncovered());
    }
    let proposals = pass.finish()?;
    if !expected_found {
        let expected = expect.map(ToString::to_string).unwrap_or_default();
        return Err(Error::new(Code::LedgerCheckpointMismatch).with("expected", expected).with("size", end.size));
    }
    progress(end.size, end.size);
    Ok(Verified { checkpoint: Checkpoint { size: end.size, head: end.hash }, proposals })
}

fn rows_of(table: &str, columns: &[&str]) -> String {
    let outputs: Vec<String> = columns.iter().map(|column| column.replace('$', table)).collect();
    let mac = if table == "approvals" { ", mac" } else { "" };
    format!("SELECT seq, {}{mac} FROM {table} ORDER BY seq", outputs.join(", "))
}

fn read_event(row: &rusqlite::Row<'_>, event: &mut StoredEvent) -> rusqlite::Result<()> {
    event.seq = row.get(0)?;
    let texts = [&mut event.kind, &mut event.subject, &mut event.actor, &mut event.at, &mut event.detail];
    for (index, text) in texts.into_iter().enumerate() {
        text.clear();
        text.push_str(row.get_ref(index + 1)?.as_str()?);
    }
    for (index, bytes) in [&mut event.hash, &mut event.mac].into_iter().enumerate() {
        bytes.clear();
        bytes.extend_from_slice(row.get_ref(index + 6)?.as_blob()?);
    }
    Ok(())
}

/// A table, read in the order of the events its rows belong to.
struct Table<'s> {
    name: &'static str,
    rows: Rows<'s>,
    /// The event of the present row; none behind the last.
    seq: Option<u64>,
    /// Its covered columns.
    values: Vec<Option<String>>,
    /// What is signed beside them.
    bytes: Vec<u8>,
}

impl<'s> Table<'s> {
    fn new(name: &'static str, columns: usize, statement: &'s mut Statement<'_>) -> Result<Self> {
        let rows = statement.query([]).failed()?;
        let mut table = Self { name, rows, seq: None, values: vec![None; columns], bytes: Vec::new() };
        table.advance()?;
        Ok(table)
    }

    /// Reads the next row into the same buffers.
    fn advance(&mut self) -> Result<()> {
        self.seq = None;
        let Some(row) = self.rows.next().failed()? else { return Ok(()) };
        let mut read = || -> rusqlite::Result<u64> {
            for (index, value) in self.values.iter_mut().enumerate() {
                match row.get_ref(index + 1)? {
                    ValueRef::Null => *value = None,
                    ValueRef::Blob(bytes) => {
                        self.bytes.clear();
                        self.bytes.extend_from_slice(bytes);
                    }
                    text => {
                        let text = text.as_str()?;
                        let kept = value.get_or_insert_default();
                        kept.clear();
                        kept.push_str(text);
                    }
                }
            }
            if self.name == "approvals" {
                self.bytes.clear();
                self.bytes.extend_from_slice(row.get_ref(self.values.len() + 1)?.as_blob()?);
            }
            row.get(0)
        };
        self.seq = Some(read().failed()?);
        Ok(())
    }

    fn uncovered(&self) -> Error {
        tampered(format!("table {}", self.name), "it has rows that no event covers")
    }

    fn value(&self, index: usize) -> &str {
        self.values.get(index).and_then(Option::as_deref).unwrap_or_default()
    }
}

/// What an event says of the lifecycle.
#[derive(Deserialize)]
struct Detail<'a> {
    to: &'a str,
    #[serde(default, borrow)]
    event: Option<&'a str>,
    #[serde(borrow)]
    standing: &'a RawValue,
}

#[derive(Deserialize)]
struct OfProposal<'a> {
    proposal_id: &'a str,
}

/// A proposal whose last event has not been reached.
struct Open {
    created: u64,
    last: u64,
    state: State,
    terms: Vec<i64>,
}

/// How far the pass is, and what it has to remember.
struct Pass<'a> {
    connection: &'a Connection,
    key: &'a MacKey,
    previous: Digest,
    reached: u64,
    proposals: u64,
    open: HashMap<String, Open>,
    /// Pruned events for which the pruning that covers them has not been reached.
    pruned: prune::Events,
    block: Block,
    blocks: u64,
    words: u64,
    terms: index::Terms,
    text: Vec<u8>,
}

impl<'a> Pass<'a> {
    fn new(store: &'a Store) -> Result<Self> {
        Ok(Self {
            connection: &store.connection,
            key: &store.key,
            previous: Digest::from_bytes(ROOT),
            reached: 0,
            proposals: 0,
            open: HashMap::new(),
            pruned: prune::Events::default(),
            block: Block::default(),
            blocks: 0,
            words: 0,
            terms: index::Terms::default(),
            text: Vec::new(),
        })
    }

    /// An event with its rows.
    fn event(&mut self, event: &StoredEvent, tables: &[Table<'_>]) -> Result<()> {
        let rows = || tables.iter().filter(|table| table.seq == Some(event.seq));
        let mut payload = Payload::new(&mut self.text, &event.actor, &event.detail);
        for table in rows() {
            payload.row(table.name, table.values.iter().map(|value| Ok::<_, Error>(value.as_deref())))?;
        }
        let payload = payload.digest();
        self.link(event, payload)?;
        let mut recorded =
            Recorded { kind: &event.kind, subject: &event.subject, actor: &event.actor, ..Recorded::default() };
        for table in rows() {
            match table.name {
                "proposals" => {
                    check_change_set(table, event)?;
                    recorded.proposal = Some(table.value(1));
                }
                "evidence" => recorded.evidence = Some(table.value(1)),
                "query_audit" => recorded.audit = Some(table.value(0)),
                "receipts" => {
                    check_receipt(table, event)?;
                    recorded.receipt = Some(table.value(0));
                }
                "approvals" => check_decision(self.key, table, event)?,
                "prunings" => self.pruned.cover(table.value(0), event.seq)?,
                _ => {}
            }
        }
        let at = &event.at;
        if event.subject.starts_with("wrp_") {
            let terms = self.step(event, &recorded)?;
            self.terms.of(&recorded, &terms, |word| self.block.add(event.seq, word));
        } else {
            self.terms.of(&recorded, &[], |word| self.block.add(event.seq, word));
        }
        self.block.time(event.seq, at)?;
        self.end_block()
    }

    /// An event of which only the hashes are kept.
    fn pruned(&mut self, event: &StoredEvent, tables: &[Table<'_>], pruned: &Table<'_>) -> Result<()> {
        let name = || format!("event {}", event.seq);
        if !event.actor.is_empty() || !event.detail.is_empty() || tables.iter().any(|t| t.seq == Some(event.seq)) {
            return Err(tampered(name(), "it is pruned and has something left"));
        }
        let payload: [u8; 32] =
            pruned.bytes.as_slice().try_into().map_err(|_| tampered(name(), "what is kept of it is not a hash"))?;
        self.link(event, Digest::from_bytes(payload))?;
        self.pruned.add(event.seq);
        let recorded = Recorded { kind: &event.kind, ..Recorded::default() };
        self.terms.of(&recorded, &[], |word| self.block.add(event.seq, word));
        self.block.time(event.seq, &event.at)?;
        self.end_block()
    }

    /// Its hash follows from the one before, and is signed.
    fn link(&mut self, event: &StoredEvent, payload: Digest) -> Result<()> {
        let hash = check_payload(self.key, self.previous, event.into(), payload)?;
        (self.previous, self.reached) = (hash, event.seq);
        Ok(())
    }

    /// A step of a proposal: one that the lifecycle has, and after the last one it stands as is stored. Answers the words
    /// of the proposal.
    fn step(&mut self, event: &StoredEvent, recorded: &Recorded<'_>) -> Result<Vec<i64>> {
        let broken = || tampered(format!("event {}", event.seq), "it does not follow the lifecycle");
        let detail: Detail<'_> = serde_json::from_str(&event.detail).map_err(|_| broken())?;
        let to = State::parse(detail.to).ok_or_else(broken)?;
        let named = detail.event.map(|word| Event::parse(word).ok_or_else(broken)).transpose()?;
        let mut open = match (self.open.remove(&event.subject), named, recorded.proposal) {
            (None, None, Some(document)) if event.kind == "proposal_created" && to == State::PendingReview => {
                self.proposals += 1;
                let last = self.last_of(event)?;
                Open { created: event.seq, last, state: to, terms: proposal_terms(document) }
            }
            (Some(open), Some(named), None) if open.state.after(named).ok() == Some(to) => open,
            _ => return Err(broken()),
        };
        open.state = to;
        let terms = open.terms.clone();
        if open.last == event.seq {
            self.check_standing(event, &open, detail.standing.get())?;
        } else {
            self.open.insert(event.subject.clone(), open);
        }
        Ok(terms)
    }

    /// The last event of a proposal, as its standing has it.
    fn last_of(&self, event: &StoredEvent) -> Result<u64> {
        self.connection
            .prepare_cached("SELECT last_seq FROM standings WHERE seq = ?1")
            .and_then(|mut statement| statement.query_row([event.seq], |row| row.get(0)))
            .failed()
    }

    fn check_standing(&self, event: &StoredEvent, open: &Open, told: &str) -> Result<()> {
        let broken = |problem: &str| tampered(format!("proposal {}", event.subject), problem);
        let mut statement = self.connection.prepare_cached(STANDING).failed()?;
        let mut rows = statement.query([open.created]).failed()?;
        let row = rows.next().failed()?.ok_or_else(|| broken("it has no standing"))?;
        let read = || -> rusqlite::Result<_> {
            let (state, standing) = (row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?);
            let (object_key, row_key) = (row.get_ref(2)?.as_blob_or_null()?, row.get_ref(3)?.as_blob()?);
            Ok((state, standing, object_key, row_key, row.get_ref(4)?.as_blob()?))
        };
        let (state, standing, object_key, row_key, seal) = read().failed()?;
        if state != open.state.as_str() || standing != told {
            return Err(broken("its state is not what its events tell"));
        }
        let sealed = Sealed {
            proposal_id: &event.subject,
            object_key,
            row_key,
            state: open.state,
            standing,
            last_seq: event.seq,
        };
        if sealed.verify(self.key, seal) { Ok(()) } else { Err(broken("its state is not signed by us")) }
    }

    /// A full block of the index is what its events say.
    fn end_block(&mut self) -> Result<()> {
        if self.reached.is_multiple_of(BLOCK) {
            self.words += index::check(self.connection, block_of(self.reached), &self.block)?;
            self.blocks += 1;
            self.block.clear();
        }
        Ok(())
    }

    /// What has to be true when the last event was seen. Answers how many proposals there are.
    fn finish(&self) -> Result<u64> {
        if let Some(id) = self.open.keys().next() {
            return Err(tampered(format!("proposal {id}"), "its last event is missing"));
        }
        if let Some(seq) = self.pruned.first() {
            return Err(tampered(format!("event {seq}"), "what it covered is gone, and no pruning says so"));
        }
        for (table, expected) in [("standings", self.proposals), ("terms", self.words), ("blocks", self.blocks)] {
            let sql = format!("SELECT count(*) FROM {table}");
            let stored: u64 = self.connection.query_row(&sql, [], |row| row.get(0)).failed()?;
            if stored != expected {
                return Err(tampered(format!("table {table}"), "it has rows that no event stands for"));
            }
        }
        Ok(self.proposals)
    }
}

const STANDING: &str = "SELECT state, standing, object_key, row_key, seal FROM standings WHERE seq = ?1";

/// The change set hashes to its hash. It is stored in its canonical form, so without the hash it is what was hashed.
fn check_change_set(table: &Table<'_>, event: &StoredEvent) -> Result<()> {
    let broken = |problem: &str| tampered(format!("proposal {}", event.subject), problem);
    let document = table.value(1);
    if table.value(0) != event.subject {
        return Err(broken("its row is another's"));
    }
    if ChangeSet::sealed(document).is_some() {
        return Ok(());
    }
    let set = ChangeSet::parse(document).map_err(|_| broken("its change set is not one"))?;
    set.verify_hash().map_err(|_| broken("its hash is not the hash of its change set"))
}

fn check_receipt(table: &Table<'_>, event: &StoredEvent) -> Result<()> {
    let broken = || tampered(format!("event {}", event.seq), "the receipt's hash is not the hash of what it says");
    belongs(table.value(0), event)?;
    if ExecutionReceipt::sealed(table.value(0)).is_some() {
        return Ok(());
    }
    let receipt = ExecutionReceipt::parse(table.value(0)).map_err(|_| broken())?;
    receipt.verify_hash().map_err(|_| broken())
}

fn check_decision(key: &MacKey, table: &Table<'_>, event: &StoredEvent) -> Result<()> {
    belongs(table.value(0), event)?;
    if table.bytes == decision_mac(key, table.value(0)) {
        Ok(())
    } else {
        Err(tampered(format!("event {}", event.seq), "the decision's signature is not ours"))
    }
}

fn belongs(document: &str, event: &StoredEvent) -> Result<()> {
    let of: OfProposal<'_> = serde_json::from_str(document)
        .map_err(|_| tampered(format!("event {}", event.seq), "a document does not parse"))?;
    if of.proposal_id == event.subject {
        Ok(())
    } else {
        Err(tampered(format!("event {}", event.seq), "a row in it is another proposal's"))
    }
}
