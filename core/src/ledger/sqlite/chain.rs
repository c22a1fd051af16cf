//! The chain: what an event's hash covers, and what is signed under the key.

use std::sync::LazyLock;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};

use super::schema::COVERED;
use super::{Failed, index};
use crate::error::{Code, Error, Result};
use crate::primitives::{Digest, Instant, MacKey, escape};
use crate::protocol::State;

/// The hash before the first event.
pub(super) const ROOT: [u8; 32] = [0; 32];

/// The end of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub size: u64,
    pub hash: Digest,
}

/// An event as stored.
#[derive(Debug, Clone, Default)]
pub(super) struct StoredEvent {
    pub seq: u64,
    pub kind: String,
    pub subject: String,
    pub actor: String,
    pub at: String,
    pub detail: String,
    pub hash: Vec<u8>,
    pub mac: Vec<u8>,
}

/// What of an event its hash and its signature are checked by.
#[derive(Clone, Copy)]
pub(super) struct EventRef<'a> {
    pub seq: u64,
    pub kind: &'a str,
    pub subject: &'a str,
    pub at: &'a str,
    pub hash: &'a [u8],
    pub mac: &'a [u8],
}

impl<'a> From<&'a StoredEvent> for EventRef<'a> {
    fn from(event: &'a StoredEvent) -> Self {
        let StoredEvent { seq, kind, subject, at, hash, mac, .. } = event;
        Self { seq: *seq, kind, subject, at, hash, mac }
    }
}

/// An event about to be appended.
pub(super) struct Draft<'a> {
    pub kind: &'a str,
    pub subject: &'a str,
    pub actor: &'a str,
    pub at: Instant,
    pub detail: &'a str,
}

/// What is wrong, and where.
pub(super) fn tampered(at: impl std::fmt::Display, problem: impl std::fmt::Display) -> Error {
    Error::new(Code::LedgerTampered).with("at", at).with("problem", problem)
}

/// Nothing beyond the signed head is part of the ledger, however well it is signed.
pub(super) fn within(head: Head, seq: u64) -> Result<()> {
    if seq <= head.size { Ok(()) } else { Err(tampered(format!("event {seq}"), "it lies beyond the signed head")) }
}

/// Reads the head and checks its signature.
pub(super) fn head(connection: &Connection, key: &MacKey) -> Result<Head> {
    let (size, hash, mac) = connection
        .prepare_cached("SELECT size, head, mac FROM chain WHERE id = 1")
        .and_then(|mut statement| {
            statement
                .query_row([], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, [u8; 32]>(1)?, row.get::<_, Vec<u8>>(2)?)))
        })
        .failed()?;
    let head = Head { size, hash: Digest::from_bytes(hash) };
    if key.verify("signoff chain head", &head_message(head), &mac) {
        Ok(head)
    } else {
        Err(tampered("the chain's head", "its signature is not ours"))
    }
}

fn head_message(head: Head) -> Vec<u8> {
    [&head.size.to_be_bytes()[..], head.hash.as_bytes()].concat()
}

/// The signature of a head.
pub(super) fn head_mac(head: Head, key: &MacKey) -> [u8; 32] {
    key.tag("signoff chain head", &head_message(head))
}

/// When a ledger was made, with its signature.
pub(super) fn signed_beginning(key: &MacKey, at: &str) -> String {
    format!("{at} {}", hex::encode(key.tag("signoff ledger made", at.as_bytes())))
}

/// Checks when the ledger was made.
pub(super) fn check_beginning(connection: &Connection, key: &MacKey) -> Result<()> {
    let stored: String =
        connection.query_row("SELECT created_at FROM chain WHERE id = 1", [], |row| row.get(0)).failed()?;
    let (at, tag) = stored.split_once(' ').unwrap_or_default();
    let tag = hex::decode(tag).unwrap_or_default();
    // One signature has one spelling.
    if key.verify("signoff ledger made", at.as_bytes(), &tag) && signed_beginning(key, at) == stored {
        Ok(())
    } else {
        Err(tampered("the ledger's beginning", "its signature is not ours"))
    }
}

/// Appends an event that covers the rows already written under the next sequence number.
pub(super) fn append(connection: &Connection, key: &MacKey, previous: Head, draft: &Draft<'_>) -> Result<Head> {
    let seq = previous.size + 1;
    let at = draft.at.to_string();
    let payload = payload_digest(connection, seq, draft.actor, draft.detail)?;
    let hash = event_hash(seq, previous.hash, draft.kind, draft.subject, &at, payload);
    let head = Head { size: seq, hash };
    connection
        .prepare_cached("INSERT INTO events (seq, kind, subject, actor, at, detail, hash, mac) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")
        .and_then(|mut statement| {
            let mac = event_mac(key, hash);
            statement.execute(params![seq, draft.kind, draft.subject, draft.actor, at, draft.detail, hash.as_bytes(), mac])
        })
        .failed()?;
    connection
        .prepare_cached("UPDATE chain SET size = ?1, head = ?2, mac = ?3 WHERE id = 1")
        .and_then(|mut statement| statement.execute(params![seq, hash.as_bytes(), head_mac(head, key)]))
        .failed()?;
    index::appended(connection, seq)?;
    Ok(head)
}

/// Checks one event against its predecessor, its rows and the key.
pub(super) fn check(connection: &Connection, key: &MacKey, previous: Digest, event: &StoredEvent) -> Result<()> {
    let payload = payload_digest(connection, event.seq, &event.actor, &event.detail)?;
    check_payload(key, previous, event.into(), payload).map(|_| ())
}

/// Checks one event against its predecessor, the hash over what it covers and the key; answers its hash.
pub(super) fn check_payload(key: &MacKey, previous: Digest, event: EventRef<'_>, payload: Digest) -> Result<Digest> {
    let name = || format!("event {}", event.seq);
    let hash = event_hash(event.seq, previous, event.kind, event.subject, event.at, payload);
    if event.hash != hash.as_bytes() {
        return Err(tampered(name(), "its hash does not cover what is stored with it"));
    }
    if !key.verify("signoff event", hash.as_bytes(), event.mac) {
        return Err(tampered(name(), "its signature is not ours"));
    }
    Ok(hash)
}

fn event_mac(key: &MacKey, hash: Digest) -> [u8; 32] {
    key.tag("signoff event", hash.as_bytes())
}

/// Over sequence, predecessor, kind, subject, time and payload, as the canonical JSON of an array of them.
pub(super) fn event_hash(seq: u64, previous: Digest, kind: &str, subject: &str, at: &str, payload: Digest) -> Digest {
    let mut text = Vec::with_capacity(384);
    text.push(b'[');
    text.extend_from_slice(seq.to_string().as_bytes());
    for value in [hex_of(previous).as_slice(), kind.as_bytes(), subject.as_bytes(), at.as_bytes(), &hex_of(payload)] {
        text.push(b',');
        escape(value, &mut text);
    }
    text.push(b']');
    Digest::of(&text)
}

fn hex_of(digest: Digest) -> [u8; 64] {
    let mut digits = [0; 64];
    // The lengths fit.
    let _ = hex::encode_to_slice(digest.as_bytes(), &mut digits);
    digits
}

/// What an event covers, as the canonical JSON that its payload digest goes over, written piece by piece.
pub(super) struct Payload<'a> {
    text: &'a mut Vec<u8>,
    any: bool,
}

impl<'a> Payload<'a> {
    /// Begins with the event's own part, in a buffer that is used again and again.
    pub(super) fn new(text: &'a mut Vec<u8>, actor: &str, detail: &str) -> Self {
        text.clear();
        text.push(b'[');
        escape(actor, text);
        text.push(b',');
        escape(detail, text);
        text.extend_from_slice(b",[");
        Self { text, any: false }
    }

    /// Adds a row with its covered columns.
    pub(super) fn row<'v, E>(
        &mut self,
        table: &str,
        values: impl Iterator<Item = std::result::Result<Option<&'v str>, E>>,
    ) -> std::result::Result<(), E> {
        self.text.extend_from_slice(if self.any { b",[" } else { b"[" });
        self.any = true;
        escape(table, self.text);
        self.text.extend_from_slice(b",[");
        for (number, value) in values.enumerate() {
            if number > 0 {
                self.text.push(b',');
            }
            match value? {
                Some(value) => escape(value, self.text),
                None => self.text.extend_from_slice(b"null"),
            }
        }
        self.text.extend_from_slice(b"]]");
        Ok(())
    }

    /// The digest over all of it.
    pub(super) fn digest(self) -> Digest {
        self.text.extend_from_slice(b"]]");
        Digest::of(self.text)
    }
}

/// The rows that were written with an event: columns and joins. Each table gives its `seq`, which is NULL where it has no
/// row, and its covered columns.
pub(super) static ROWS: LazyLock<(String, String)> = LazyLock::new(|| {
    let (mut outputs, mut joins) = (Vec::new(), String::new());
    for (table, columns) in COVERED {
        outputs.push(format!("{table}.seq"));
        outputs.extend(columns.iter().map(|column| column.replace("$", table)));
        joins.push_str(&format!(" LEFT JOIN {table} ON {table}.seq = e.seq"));
    }
    (outputs.join(", "), joins)
});

/// The tables that have a row among what [`ROWS`] selected from this column on, each with its first covered column. Adds
/// them to the payload.
pub(super) fn covered(
    row: &Row<'_>,
    first: usize,
    payload: &mut Payload<'_>,
    mut tell: impl FnMut(&'static str, usize),
) -> rusqlite::Result<()> {
    let mut index = first;
    for (table, columns) in COVERED {
        if row.get_ref(index)? != ValueRef::Null {
            let value = |offset| Ok::<_, rusqlite::Error>(row.get_ref(index + offset)?.as_str_or_null()?);
            payload.row(table, (1..=columns.len()).map(value))?;
            tell(table, index + 1);
        }
        index += columns.len() + 1;
    }
    Ok(())
}

/// One event's rows.
static ROWS_OF_ONE: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM (SELECT ?1 AS seq) AS e{}", ROWS.0, ROWS.1));

/// Over the event's own detail and every row written with it.
pub(super) fn payload_digest(connection: &Connection, seq: u64, actor: &str, detail: &str) -> Result<Digest> {
    let mut text = Vec::with_capacity(4096);
    let mut payload = Payload::new(&mut text, actor, detail);
    connection
        .prepare_cached(&ROWS_OF_ONE)
        .and_then(|mut statement| statement.query_row([seq], |row| covered(row, 0, &mut payload, |_, _| ())))
        .failed()?;
    Ok(payload.digest())
}

/// A proposal's present state, as it is sealed.
#[derive(Debug, Clone)]
pub(super) struct Sealed<'a> {
    pub proposal_id: &'a str,
    pub object_key: Option<&'a [u8]>,
    pub row_key: &'a [u8],
    pub state: State,
    pub standing: &'a str,
    pub last_seq: u64,
}

impl Sealed<'_> {
    const DOMAIN: &'static str = "signoff proposal state";

    /// The signature over all of it.
    pub(super) fn seal(&self, key: &MacKey) -> [u8; 32] {
        key.tag(Self::DOMAIN, &self.message())
    }

    /// True if the seal is ours.
    pub(super) fn verify(&self, key: &MacKey, seal: &[u8]) -> bool {
        key.verify(Self::DOMAIN, &self.message(), seal)
    }

    /// As the canonical JSON of an array.
    fn message(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(512);
        text.push(b'[');
        escape(self.proposal_id, &mut text);
        text.push(b',');
        match self.object_key {
            Some(key) => escape(hex::encode(key), &mut text),
            None => text.extend_from_slice(b"null"),
        }
        for part in [&hex::encode(self.row_key), self.state.as_str(), self.standing] {
            text.push(b',');
            escape(part, &mut text);
        }
        text.push(b',');
        text.extend_from_slice(self.last_seq.to_string().as_bytes());
        text.push(b']');
        text
    }
}
