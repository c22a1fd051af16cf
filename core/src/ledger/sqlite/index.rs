//! What lists are found by: for every 256 events, which of them a word stands in.
//!
//! A word is a field and its value, kept as eight bytes of a digest; a row of `terms` is a word, a block of events, and
//! which of these. So any number of filters is an AND of bits, a common word costs a bit an event, and a step of a
//! proposal writes nothing here: a block is written when it is full, and what comes after the last full one is read from
//! the events themselves. None of it is in the chain. It follows from what is, and a verification makes it anew.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension, params};
use serde::Deserialize;
use serde_json::Value;

use super::Failed;
use super::chain::tampered;
use crate::error::Result;
use crate::primitives::{Digest, Instant};

/// Events in a block.
pub(super) const BLOCK: u64 = 256;

/// The block of an event.
pub(super) fn block_of(seq: u64) -> u64 {
    seq.saturating_sub(1) / BLOCK
}

/// The events of a block, first and last.
pub(super) fn events_of(block: u64) -> (u64, u64) {
    (block * BLOCK + 1, (block + 1) * BLOCK)
}

/// Which events of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Bits([u128; 2]);

impl Bits {
    pub(super) const ALL: Self = Self([u128::MAX; 2]);

    pub(super) fn set(&mut self, seq: u64) {
        let offset = seq.saturating_sub(1) % BLOCK;
        let [low, high] = &mut self.0;
        if offset < 128 { *low |= 1 << offset } else { *high |= 1 << (offset - 128) }
    }

    pub(super) fn clear(&mut self, seq: u64) {
        let mut one = Self::default();
        one.set(seq);
        self.0.iter_mut().zip(one.0).for_each(|(word, one)| *word &= !one);
    }

    pub(super) fn and(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        Self([a & c, b & d])
    }

    pub(super) fn or(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        Self([a | c, b | d])
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Offsets within the block, ascending.
    pub(super) fn offsets(self) -> impl DoubleEndedIterator<Item = u8> {
        let [low, high] = self.0;
        (0..=u8::MAX).filter(move |offset| {
            let (word, bit) = if *offset < 128 { (low, *offset) } else { (high, *offset - 128) };
            word >> bit & 1 == 1
        })
    }

    /// As stored: up to 31 offsets, a byte each, or else 32 bytes of bits.
    pub(super) fn encode(self) -> Vec<u8> {
        let [low, high] = self.0;
        if low.count_ones() + high.count_ones() < 32 {
            self.offsets().collect()
        } else {
            [low.to_le_bytes(), high.to_le_bytes()].concat()
        }
    }

    pub(super) fn decode(stored: &[u8]) -> Self {
        if let Ok(whole) = <[u8; 32]>::try_from(stored) {
            let (low, high) = whole.split_at(16);
            let word = |half: &[u8]| half.try_into().map(u128::from_le_bytes).unwrap_or_default();
            return Self([word(low), word(high)]);
        }
        let mut bits = Self::default();
        stored.iter().for_each(|offset| bits.set(u64::from(*offset) + 1));
        bits
    }
}

/// What a word is about. The numbers are stored, inside the digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Field {
    /// What an event recorded: `proposal`, `evidence`, `audit`, `receipt`.
    Recorded = 1,
    Kind = 2,
    Actor = 3,
    Tenant = 4,
    Principal = 5,
    Capability = 6,
    /// `table`, `schema.table`, and the kind of object.
    Table = 7,
    /// The value of the primary key.
    Key = 8,
    Source = 9,
    Fingerprint = 10,
    Status = 11,
}

/// A word: a field and its value.
pub(super) fn term(field: Field, value: &str) -> i64 {
    let mut bytes = Vec::with_capacity(value.len() + 1);
    bytes.push(field as u8);
    bytes.extend_from_slice(value.as_bytes());
    let (first, _) = Digest::of(&bytes).as_bytes().split_first_chunk().map_or(([0; 8], ()), |(first, _)| (*first, ()));
    i64::from_be_bytes(first)
}

/// An event and the documents recorded with it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Recorded<'a> {
    pub kind: &'a str,
    pub subject: &'a str,
    pub actor: &'a str,
    pub proposal: Option<&'a str>,
    pub evidence: Option<&'a str>,
    pub audit: Option<&'a str>,
    pub receipt: Option<&'a str>,
}

/// The words that a proposal gives to each of its events.
#[derive(Deserialize)]
struct ProposalWords {
    action: String,
    principal: PrincipalWords,
    scope: ScopeWords,
    source: SourceWords,
    evidence: EvidenceWords,
}

#[derive(Deserialize)]
struct PrincipalWords {
    id: String,
}

#[derive(Deserialize)]
struct ScopeWords {
    tenant_id: String,
    business_object: String,
    object_id: String,
}

#[derive(Deserialize)]
struct SourceWords {
    source_id: String,
    schema: String,
    table: String,
}

#[derive(Deserialize)]
struct EvidenceWords {
    query_fingerprint: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ReadWords {
    capability: Option<String>,
    tenant_id: Option<String>,
    source_id: Option<String>,
    query_fingerprint: Option<String>,
    table_name: Option<String>,
    primary_key_value: Value,
}

#[derive(Deserialize)]
struct ReceiptWords {
    status: String,
}

/// The words of a change set.
pub(super) fn proposal_terms(document: &str) -> Vec<i64> {
    // What does not parse is found by whoever shows or verifies it.
    let Ok(words) = serde_json::from_str::<ProposalWords>(document) else { return Vec::new() };
    let table = format!("{}.{}", words.source.schema, words.source.table);
    vec![
        term(Field::Capability, &words.action),
        term(Field::Principal, &words.principal.id),
        term(Field::Tenant, &words.scope.tenant_id),
        term(Field::Table, &words.scope.business_object),
        term(Field::Table, &words.source.table),
        term(Field::Table, &table),
        term(Field::Key, &words.scope.object_id),
        term(Field::Source, &words.source.source_id),
        term(Field::Fingerprint, &words.evidence.query_fingerprint),
    ]
}

fn read_terms(recorded: &Recorded<'_>, audit: &str) -> Vec<i64> {
    let words: ReadWords = serde_json::from_str(audit).unwrap_or_default();
    let seen: ReadWords = recorded.evidence.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let mut terms = vec![term(Field::Principal, recorded.actor)];
    let plain = [
        (Field::Capability, &words.capability),
        (Field::Tenant, if words.tenant_id.is_some() { &words.tenant_id } else { &seen.tenant_id }),
        (Field::Source, &words.source_id),
        (Field::Fingerprint, &words.query_fingerprint),
        (Field::Table, &words.table_name),
    ];
    terms.extend(plain.into_iter().filter_map(|(field, value)| Some(term(field, value.as_deref()?))));
    if let Some((_, table)) = words.table_name.as_deref().and_then(|name| name.split_once('.')) {
        terms.push(term(Field::Table, table));
    }
    match &words.primary_key_value {
        Value::Null => {}
        Value::String(text) => terms.push(term(Field::Key, text)),
        other => terms.push(term(Field::Key, &other.to_string())),
    }
    terms
}

/// Makes words, and remembers the few that most events have.
#[derive(Default)]
pub(super) struct Terms {
    known: HashMap<Field, HashMap<Box<str>, i64>>,
}

impl Terms {
    const AT_MOST: usize = 1_024;

    fn common(&mut self, field: Field, value: &str) -> i64 {
        let known = self.known.entry(field).or_default();
        if let Some(known) = known.get(value) {
            return *known;
        }
        let made = term(field, value);
        if known.len() < Self::AT_MOST {
            known.insert(Box::from(value), made);
        }
        made
    }

    /// Tells the words of an event; `proposal` are those of the proposal that it is a step of.
    pub(super) fn of(&mut self, recorded: &Recorded<'_>, proposal: &[i64], mut tell: impl FnMut(i64)) {
        tell(self.common(Field::Kind, recorded.kind));
        if !recorded.actor.is_empty() {
            tell(self.common(Field::Actor, recorded.actor));
        }
        for (what, document) in [
            ("proposal", recorded.proposal),
            ("evidence", recorded.evidence),
            ("audit", recorded.audit),
            ("receipt", recorded.receipt),
        ] {
            if document.is_some() {
                tell(self.common(Field::Recorded, what));
            }
        }
        match (recorded.proposal, recorded.audit) {
            (None, Some(audit)) => read_terms(recorded, audit).into_iter().for_each(&mut tell),
            _ => proposal.iter().copied().for_each(&mut tell),
        }
        if let Some(words) = recorded.receipt.and_then(|text| serde_json::from_str::<ReceiptWords>(text).ok()) {
            tell(self.common(Field::Status, &words.status));
        }
    }
}

/// A block, made from its events.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub terms: BTreeMap<i64, Bits>,
    /// The earliest and the latest of its times, in seconds; clocks are set back, so the first event need not be first.
    pub times: Option<(i64, i64)>,
}

impl Block {
    /// Adds a word of an event.
    pub(super) fn add(&mut self, seq: u64, term: i64) {
        self.terms.entry(term).or_default().set(seq);
    }

    /// Adds an event's time.
    pub(super) fn time(&mut self, seq: u64, at: &str) -> Result<()> {
        let at = seconds(at).ok_or_else(|| tampered(format!("event {seq}"), "it has no time"))?;
        self.times = Some(self.times.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
        Ok(())
    }

    /// Begins the next one.
    pub(super) fn clear(&mut self) {
        self.terms.clear();
        self.times = None;
    }
}

fn seconds(at: &str) -> Option<i64> {
    Instant::parse(at).ok().map(Instant::unix)
}

const EVENTS: &str = "SELECT e.seq, e.kind, e.subject, e.actor, e.at, p.document, v.document, q.document, r.document FROM events e LEFT JOIN proposals p ON p.seq = e.seq LEFT JOIN evidence v ON v.seq = e.seq LEFT JOIN query_audit q ON q.seq = e.seq LEFT JOIN receipts r ON r.seq = e.seq WHERE e.seq BETWEEN ?1 AND ?2";

/// Makes a block from its events, up to and with this one.
pub(super) fn make(connection: &Connection, block: u64, size: u64) -> Result<Block> {
    let (first, last) = events_of(block);
    let (mut made, mut terms) = (Block::default(), Terms::default());
    let mut known: HashMap<String, Vec<i64>> = HashMap::new();
    let mut statement = connection.prepare_cached(EVENTS).failed()?;
    let mut rows = statement.query((first, last.min(size))).failed()?;
    while let Some(row) = rows.next().failed()? {
        let text = |index: usize| row.get_ref(index).and_then(|value| Ok(value.as_str()?)).failed();
        let maybe = |index: usize| row.get_ref(index).and_then(|value| Ok(value.as_str_or_null()?)).failed();
        let recorded = Recorded {
            kind: text(1)?,
            subject: text(2)?,
            actor: text(3)?,
            proposal: maybe(5)?,
            evidence: maybe(6)?,
            audit: maybe(7)?,
            receipt: maybe(8)?,
        };
        if recorded.subject.starts_with("wrp_") && !known.contains_key(recorded.subject) {
            let words = match recorded.proposal {
                Some(document) => proposal_terms(document),
                None => words_of(connection, recorded.subject)?,
            };
            known.insert(recorded.subject.to_owned(), words);
        }
        let proposal = known.get(recorded.subject).map_or(&[][..], Vec::as_slice);
        let seq = row.get(0).failed()?;
        terms.of(&recorded, proposal, |term| made.add(seq, term));
        made.time(seq, text(4)?)?;
    }
    Ok(made)
}

/// The words of a proposal that is still there.
pub(super) fn words_of(connection: &Connection, proposal_id: &str) -> Result<Vec<i64>> {
    let document: Option<String> = connection
        .prepare_cached("SELECT document FROM proposals WHERE proposal_id = ?1")
        .and_then(|mut statement| statement.query_row([proposal_id], |row| row.get(0)).optional())
        .failed()?;
    Ok(document.map(|text| proposal_terms(&text)).unwrap_or_default())
}

/// Writes a block that has become full.
pub(super) fn write(connection: &Connection, block: u64) -> Result<()> {
    let (_, last) = events_of(block);
    let made = make(connection, block, last)?;
    let mut statement =
        connection.prepare_cached("INSERT INTO terms (term, block, bits) VALUES (?1, ?2, ?3)").failed()?;
    for (term, bits) in &made.terms {
        statement.execute(params![term, block, bits.encode()]).failed()?;
    }
    let (first, last) = made.times.unwrap_or_default();
    connection
        .prepare_cached("INSERT INTO blocks (block, earliest, latest) VALUES (?1, ?2, ?3)")
        .and_then(|mut statement| statement.execute(params![block, first, last]))
        .failed()
        .map(|_| ())
}

/// Called when an event was appended: writes its block if that made it full.
pub(super) fn appended(connection: &Connection, seq: u64) -> Result<()> {
    if seq.is_multiple_of(BLOCK) { write(connection, block_of(seq)) } else { Ok(()) }
}

/// Takes an event out of the words of its block. The block may not be full yet: then nothing of it is stored.
pub(super) fn forget(connection: &Connection, seq: u64, terms: &[i64]) -> Result<()> {
    let block = block_of(seq);
    for term in terms {
        let stored: Option<Vec<u8>> = connection
            .prepare_cached(AT)
            .and_then(|mut statement| statement.query_row(params![term, block], |row| row.get(0)).optional())
            .failed()?;
        let Some(stored) = stored else { continue };
        let mut bits = Bits::decode(&stored);
        bits.clear(seq);
        let sql = if bits.is_empty() {
            "DELETE FROM terms WHERE term = ?1 AND block = ?2 AND ?3 IS NOT NULL"
        } else {
            "UPDATE terms SET bits = ?3 WHERE term = ?1 AND block = ?2"
        };
        connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(params![term, block, bits.encode()]))
            .failed()?;
    }
    Ok(())
}

/// A word in one block.
const AT: &str = "SELECT bits FROM terms WHERE term = ?1 AND block = ?2";

/// A word in the last block that has it, up to one.
pub(super) const BELOW: &str =
    "SELECT block, bits FROM terms WHERE term = ?1 AND block <= ?2 ORDER BY block DESC LIMIT 1";

/// Compares a full block with what is stored of it; answers how many words it has.
pub(super) fn check(connection: &Connection, block: u64, made: &Block) -> Result<u64> {
    let broken = || tampered(format!("block {block} of the index"), "it is not what its events say");
    let times: Option<(i64, i64)> = connection
        .prepare_cached("SELECT earliest, latest FROM blocks WHERE block = ?1")
        .and_then(|mut statement| statement.query_row([block], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .failed()?;
    if times.is_none() || times != made.times {
        return Err(broken());
    }
    let mut statement = connection.prepare_cached(AT).failed()?;
    for (term, bits) in &made.terms {
        let mut rows = statement.query(params![term, block]).failed()?;
        let row = rows.next().failed()?.ok_or_else(broken)?;
        let stored = row.get_ref(0).and_then(|value| Ok(value.as_blob()?)).failed()?;
        if stored != bits.encode() {
            return Err(broken());
        }
    }
    u64::try_from(made.terms.len()).map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_read_back_in_both_forms() {
        for events in
            [vec![], vec![1], vec![256, 1, 128, 129], (1..=31).collect(), (1..=32).collect(), (1..=256).collect()]
        {
            let mut bits = Bits::default();
            events.iter().for_each(|seq| bits.set(*seq));
            let stored = bits.encode();
            assert_eq!(stored.len(), if events.len() < 32 { events.len() } else { 32 });
            assert_eq!(Bits::decode(&stored), bits, "{events:?}");
            assert_eq!(bits.offsets().count(), events.len());
            events.iter().for_each(|seq| bits.clear(*seq));
            assert!(bits.is_empty());
        }
        let mut one = Bits::default();
        one.set(300);
        assert_eq!(one.offsets().collect::<Vec<_>>(), [43]);
        assert_eq!(one.and(Bits::ALL), one);
        assert_eq!((block_of(1), block_of(256), block_of(257), events_of(1)), (0, 0, 1, (257, 512)));
    }
}
