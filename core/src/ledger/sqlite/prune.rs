//! Forgetting: what a terminal proposal recorded goes, its events and their hashes stay.
//!
//! Of a pruned event the chain needs one hash, the one over what the event covered; that is kept in `pruned`, and who and
//! why are taken out of the event itself. The pruning is an event too. It names the proposals, their hashes and states and
//! every event that it emptied, so nobody without the key can pass a deletion off as one.

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::chain::{Draft, append, head, payload_digest, tampered};
use super::index::{Recorded, Terms, forget, words_of};
use super::read::{document, load_in};
use super::schema::COVERED;
use super::{Failed, Store};
use crate::error::Result;
use crate::ledger::Prune;
use crate::primitives::{Instant, canonical};
use crate::protocol::State;

/// Proposals that share a pruning: the ledger's write lock is held as long.
const AT_ONCE: usize = 64;
/// Proposals looked at in one transaction.
const LOOKED_AT: u32 = 2_048;

/// What a pruning says: it is stored, and covered by its event.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pruning {
    before: Instant,
    proposals: Vec<PrunedProposal>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PrunedProposal {
    proposal_id: String,
    proposal_hash: String,
    state: State,
    events: Vec<u64>,
}

/// A set of events, a bit for each.
#[derive(Debug, Default)]
pub(super) struct Events(Vec<u64>);

impl Events {
    pub(super) fn add(&mut self, seq: u64) {
        let (word, bit) = place(seq);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    fn take(&mut self, seq: u64) -> bool {
        let (word, bit) = place(seq);
        self.0.get_mut(word).is_some_and(|word| {
            let had = *word & bit != 0;
            *word &= !bit;
            had
        })
    }

    /// Takes out what a pruning covers: pruned events before it, each once.
    pub(super) fn cover(&mut self, document: &str, seq: u64) -> Result<()> {
        let broken = || tampered(format!("event {seq}"), "it does not cover what was pruned");
        let pruning: Pruning = serde_json::from_str(document).map_err(|_| broken())?;
        let mut events = pruning.proposals.iter().flat_map(|proposal| &proposal.events);
        if events.all(|event| self.take(*event)) { Ok(()) } else { Err(broken()) }
    }

    pub(super) fn first(&self) -> Option<u64> {
        let (at, word) = self.0.iter().enumerate().find(|(_, word)| **word != 0)?;
        Some(u64::try_from(at).unwrap_or_default() * 64 + u64::from(word.trailing_zeros()))
    }
}

fn place(seq: u64) -> (usize, u64) {
    (usize::try_from(seq / 64).unwrap_or(usize::MAX - 1), 1 << (seq % 64))
}

/// One round of pruning.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Round {
    /// The proposals that were looked at end here; the next round begins behind it.
    pub reached: u64,
    /// False if there was nothing left to look at.
    pub more: bool,
    pub looked: u64,
    pub proposals: u64,
    pub events: u64,
}

/// Prunes, or with a rehearsal counts, what it may among the next proposals.
pub(super) fn round(store: &Store, prune: &Prune, after: u64) -> Result<Round> {
    let (connection, key) = (&store.connection, &store.key);
    let mut round = Round { reached: after, ..Round::default() };
    let mut chosen = Vec::new();
    {
        let mut statement = connection.prepare_cached(CANDIDATES).failed()?;
        let mut rows = statement.query((after, LOOKED_AT)).failed()?;
        while let Some(row) = rows.next().failed()? {
            round.reached = row.get(0).failed()?;
            round.looked += 1;
            round.more = true;
            let state: String = row.get(1).failed()?;
            let terminal = State::parse(&state).is_some_and(State::is_terminal);
            let ended: String = row.get(2).failed()?;
            let aged = Instant::parse(&ended).is_ok_and(|ended| ended < prune.before);
            if terminal && aged && may_go(connection, round.reached)? {
                chosen.push(row.get::<_, String>(3).failed()?);
                if chosen.len() == AT_ONCE && !prune.rehearse {
                    break;
                }
            }
        }
    }
    let mut pruning = Pruning { before: prune.before, proposals: Vec::with_capacity(chosen.len()) };
    let previous = head(connection, key)?;
    for id in chosen {
        // What does not verify is evidence, and stays.
        let record = load_in(connection, key, previous, &id)?;
        let events: Vec<u64> = record.events.iter().map(|event| event.seq).collect();
        round.events += u64::try_from(events.len()).unwrap_or_default();
        if !prune.rehearse {
            empty(connection, &id, record.created_seq, &events)?;
            pruning.proposals.push(PrunedProposal {
                proposal_hash: record.hash().to_owned(),
                state: record.state,
                proposal_id: id,
                events,
            });
        }
        round.proposals += 1;
    }
    if !pruning.proposals.is_empty() {
        let text = canonical(&pruning)?;
        connection
            .prepare_cached("INSERT INTO prunings (seq, document) VALUES (?1, ?2)")
            .and_then(|mut statement| statement.execute(params![previous.size + 1, text]))
            .failed()?;
        let detail =
            canonical(&json!({ "before": prune.before, "proposals": round.proposals, "events": round.events }))?;
        let draft = Draft { kind: "proposals_pruned", subject: "", actor: &prune.actor, at: prune.at, detail: &detail };
        append(connection, key, previous, &draft)?;
    }
    Ok(round)
}

const CANDIDATES: &str = "SELECT s.seq, s.state, e.at, p.proposal_id FROM standings s JOIN events e ON e.seq = s.last_seq JOIN proposals p ON p.seq = s.seq WHERE s.seq > ?1 ORDER BY s.seq LIMIT ?2";

/// Does nothing else need it? An older proposal for the same row that is still open has to learn that this one landed, and
/// where a source keeps its receipts is recorded with a claim.
fn may_go(connection: &Connection, seq: u64) -> Result<bool> {
    connection
        .prepare_cached(NEEDED)
        .and_then(|mut statement| statement.query_row([seq], |row| row.get::<_, bool>(0)))
        .failed()
        .map(|needed| !needed)
}

const NEEDED: &str = "SELECT EXISTS (SELECT 1 FROM standings o INDEXED BY standings_row JOIN standings s ON s.seq = ?1 WHERE o.row_key = s.row_key AND o.state IN ('pending_review', 'approved', 'pending_worker', 'outcome_unknown'))
 OR EXISTS (SELECT 1 FROM proposals p JOIN events e ON e.subject = p.proposal_id AND e.subject <> '' JOIN receipt_tables t ON t.seq = e.seq WHERE p.seq = ?1)";

/// Takes out of a proposal's events everything but kind, subject, time and hashes.
fn empty(connection: &Connection, proposal_id: &str, created: u64, events: &[u64]) -> Result<()> {
    let words = words_of(connection, proposal_id)?;
    let mut all_terms = Terms::default();
    for seq in events {
        let (kind, actor, detail): (String, String, String) = connection
            .prepare_cached("SELECT kind, actor, detail FROM events WHERE seq = ?1")
            .and_then(|mut statement| statement.query_row([seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))))
            .failed()?;
        let payload = payload_digest(connection, *seq, &actor, &detail)?;
        let stored = |table: &str| document(connection, table, *seq);
        let (proposal, evidence, audit, receipt) =
            (stored("proposals")?, stored("evidence")?, stored("query_audit")?, stored("receipts")?);
        let recorded = Recorded {
            kind: &kind,
            subject: proposal_id,
            actor: &actor,
            proposal: proposal.as_deref(),
            evidence: evidence.as_deref(),
            audit: audit.as_deref(),
            receipt: receipt.as_deref(),
        };
        let mut terms = Vec::new();
        all_terms.of(&recorded, &words, |term| terms.push(term));
        // The first is its kind, and that it keeps.
        forget(connection, *seq, terms.get(1..).unwrap_or_default())?;
        for (table, _) in COVERED {
            connection
                .prepare_cached(&format!("DELETE FROM {table} WHERE seq = ?1"))
                .and_then(|mut statement| statement.execute([seq]))
                .failed()?;
        }
        connection
            .prepare_cached("UPDATE events SET actor = '', detail = '' WHERE seq = ?1")
            .and_then(|mut statement| statement.execute([seq]))
            .failed()?;
        connection
            .prepare_cached("INSERT INTO pruned (seq, payload) VALUES (?1, ?2)")
            .and_then(|mut statement| statement.execute(params![seq, payload.as_bytes()]))
            .failed()?;
    }
    connection
        .prepare_cached("DELETE FROM standings WHERE seq = ?1")
        .and_then(|mut statement| statement.execute([created]))
        .failed()
        .map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn a_pruning_covers_each_event_once_and_only_what_was_pruned() {
        let mut events = Events::default();
        [3, 64, 200].into_iter().for_each(|seq| events.add(seq));
        let says = |numbers: &[u64]| {
            let proposal =
                json!({ "proposal_id": "wrp_1", "proposal_hash": "sha256:0", "state": "applied", "events": numbers });
            json!({ "before": "2026-01-01T00:00:00Z", "proposals": [proposal] }).to_string()
        };
        events.cover(&says(&[3, 200]), 300).unwrap();
        assert_eq!(events.first(), Some(64));
        assert_eq!(events.cover(&says(&[3]), 301).unwrap_err().code(), Code::LedgerTampered);
        assert_eq!(events.cover(&says(&[9_999_999]), 302).unwrap_err().code(), Code::LedgerTampered);
        events.cover(&says(&[64]), 303).unwrap();
        assert_eq!(events.first(), None);
    }
}
