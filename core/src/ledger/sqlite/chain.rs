//! The chain: what an event's hash covers, and what is signed under the key.

use std::sync::LazyLock;

use rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::schema::COVERED;
use super::{Failed, index};
use crate::error::{Code, Error, Result};
use crate::ledger::Standing;
use crate::primitives::{Digest, Instant, MacKey, canonical, digest_of, escape};
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

/// An event about to be appended.
pub(super) struct Draft<'a> {
    pub kind: &'a str,
    pub subject: &'a str,
    pub actor: &'a str,
    pub at: Instant,
    pub detail: String,
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
    let (payload, _) = payload_digest(connection, seq, draft.actor, &draft.detail)?;
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

/// Checks one event against its predecessor, its rows and the key; answers its hash and the tables it has rows in.
pub(super) fn check(
    connection: &Connection,
    key: &MacKey,
    previous: Digest,
    event: &StoredEvent,
) -> Result<(Digest, Vec<&'static str>)> {
    let (payload, tables) = payload_digest(connection, event.seq, &event.actor, &event.detail)?;
    check_payload(key, previous, event, payload).map(|hash| (hash, tables))
}

/// Checks one event against its predecessor, the hash over what it covers and the key; answers its hash.
pub(super) fn check_payload(key: &MacKey, previous: Digest, event: &StoredEvent, payload: Digest) -> Result<Digest> {
    let name = || format!("event {}", event.seq);
    let hash = event_hash(event.seq, previous, &event.kind, &event.subject, &event.at, payload);
    if event.hash.as_slice() != hash.as_bytes() {
        return Err(tampered(name(), "its hash does not cover what is stored with it"));
    }
    if !key.verify("signoff event", hash.as_bytes(), &event.mac) {
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

/// One look at every table: each gives its `seq`, which is NULL where it has no row, and its covered columns.
static ROWS: LazyLock<String> = LazyLock::new(|| {
    let (mut outputs, mut joins) = (Vec::new(), String::new());
    for (table, columns) in COVERED {
        outputs.push(format!("{table}.seq"));
        outputs.extend(columns.iter().map(|column| column.replace("$", table)));
        joins.push_str(&format!(" LEFT JOIN {table} ON {table}.seq = asked.seq"));
    }
    format!("SELECT {} FROM (SELECT ?1 AS seq) AS asked{joins}", outputs.join(", "))
});

/// Over the event's own detail and every row written with it.
pub(super) fn payload_digest(
    connection: &Connection,
    seq: u64,
    actor: &str,
    detail: &str,
) -> Result<(Digest, Vec<&'static str>)> {
    let (mut rows, mut tables) = (Vec::new(), Vec::new());
    connection
        .prepare_cached(&ROWS)
        .and_then(|mut statement| {
            statement.query_row([seq], |row| {
                let mut index = 0;
                for (table, columns) in COVERED {
                    let present = row.get::<_, Option<u64>>(index)?.is_some();
                    if present {
                        let values: rusqlite::Result<Vec<Option<String>>> =
                            (1..=columns.len()).map(|offset| row.get(index + offset)).collect();
                        rows.push(json!([table, values?]));
                        tables.push(*table);
                    }
                    index += columns.len() + 1;
                }
                Ok(())
            })
        })
        .failed()?;
    Ok((digest_of(&json!([actor, detail, rows]))?, tables))
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
    pub(super) fn seal(&self, key: &MacKey) -> Result<[u8; 32]> {
        Ok(key.tag(Self::DOMAIN, self.message()?.as_bytes()))
    }

    /// True if the seal is ours.
    pub(super) fn verify(&self, key: &MacKey, seal: &[u8]) -> Result<bool> {
        Ok(key.verify(Self::DOMAIN, self.message()?.as_bytes(), seal))
    }

    fn message(&self) -> Result<String> {
        let object = self.object_key.map(hex::encode);
        canonical(&json!([
            self.proposal_id,
            object,
            hex::encode(self.row_key),
            self.state.as_str(),
            self.standing,
            self.last_seq
        ]))
    }
}

/// A standing as its canonical text.
pub(super) fn standing_text(standing: &Standing) -> Result<String> {
    canonical(&serde_json::to_value(standing).unwrap_or(Value::Null))
}
