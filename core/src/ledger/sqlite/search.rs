//! Lists: which events a filter allows, newest first, and the records they left, checked on the way out.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::Value;

use super::chain::{StoredEvent, head, tampered};
use super::index::{BELOW, Bits, Block, Field, block_of, events_of, make, term};
use super::read::{PROPOSALS, check_event, document, parse, proposal_row, receipt, summary};
use super::{Failed, Store, read};
use crate::error::{Code, Error, Result};
use crate::ledger::{
    Activity, AuditRecord, Cursor, EvidenceSummary, Filter, List, LoggedEvent, Named, Page, PageRequest,
    ProposalSummary, ReceiptRecord,
};
use crate::primitives::{Digest, Instant, MacKey};
use crate::protocol::State;

/// Something that says of a block which of its events may be meant.
enum Source {
    /// Any of these words.
    Words(Vec<i64>),
    /// These events.
    Events(BTreeSet<u64>),
    /// Proposals in this state now.
    State(State),
    /// Within these seconds.
    Times(i64, i64),
}

/// A search under way.
struct Search<'a> {
    connection: &'a Connection,
    size: u64,
    /// The last block, which is not stored because it is not full.
    last: (u64, Block),
    sources: Vec<Source>,
}

impl<'a> Search<'a> {
    fn new(store: &'a Store, list: List, filter: &Filter) -> Result<Self> {
        let connection = &store.connection;
        let size = head(connection, &store.key)?.size;
        let last = block_of(size + 1);
        let sources = sources(connection, list, filter)?;
        Ok(Self { connection, size, last: (last, make(connection, last, size)?), sources })
    }

    /// Calls `found` with each event below this one that every source allows, newest first, until it answers false.
    fn run(&self, below: u64, mut found: impl FnMut(u64) -> Result<bool>) -> Result<()> {
        let top = below.saturating_sub(1).min(self.size);
        if top == 0 {
            return Ok(());
        }
        let mut block = block_of(top);
        while let Some((at, bits)) = self.meeting(block)? {
            let (first, _) = events_of(at);
            for offset in bits.offsets().rev() {
                let seq = first + u64::from(offset);
                if seq <= top && !found(seq)? {
                    return Ok(());
                }
            }
            let Some(next) = at.checked_sub(1) else { return Ok(()) };
            block = next;
        }
        Ok(())
    }

    /// The last block, up to this one, in which all sources meet.
    fn meeting(&self, mut block: u64) -> Result<Option<(u64, Bits)>> {
        'again: loop {
            let mut bits = Bits::ALL;
            for source in &self.sources {
                match self.below(source, block)? {
                    None => return Ok(None),
                    Some((lower, _)) if lower < block => {
                        block = lower;
                        continue 'again;
                    }
                    Some((_, some)) => bits = bits.and(some),
                }
            }
            if !bits.is_empty() {
                return Ok(Some((block, bits)));
            }
            let Some(next) = block.checked_sub(1) else { return Ok(None) };
            block = next;
        }
    }

    /// What a source allows in the last block, up to this one, in which it allows anything.
    fn below(&self, source: &Source, block: u64) -> Result<Option<(u64, Bits)>> {
        match source {
            Source::Words(words) => {
                let mut best: Option<(u64, Bits)> = None;
                for word in words {
                    let Some((at, bits)) = self.word_below(*word, block)? else { continue };
                    best = match best {
                        Some((known, _)) if known > at => best,
                        Some((known, some)) if known == at => Some((at, some.or(bits))),
                        _ => Some((at, bits)),
                    };
                }
                Ok(best)
            }
            Source::Events(events) => {
                let (_, end) = events_of(block);
                let Some(newest) = events.range(..=end).next_back() else { return Ok(None) };
                let at = block_of(*newest);
                let (first, last) = events_of(at);
                let mut bits = Bits::default();
                events.range(first..=last).for_each(|seq| bits.set(*seq));
                Ok(Some((at, bits)))
            }
            Source::State(state) => self.state_below(*state, block),
            Source::Times(from, to) => self.times_below(*from, *to, block),
        }
    }

    fn word_below(&self, word: i64, mut block: u64) -> Result<Option<(u64, Bits)>> {
        let (last, made) = &self.last;
        if block >= *last {
            if let Some(bits) = made.terms.get(&word) {
                return Ok(Some((*last, *bits)));
            }
            let Some(before) = last.checked_sub(1) else { return Ok(None) };
            block = before;
        }
        self.connection
            .prepare_cached(BELOW)
            .and_then(|mut statement| {
                let bits = |row: &Row<'_>| Ok((row.get(0)?, Bits::decode(row.get_ref(1)?.as_blob()?)));
                statement.query_row((word, block), bits).optional()
            })
            .failed()
    }

    fn state_below(&self, state: State, block: u64) -> Result<Option<(u64, Bits)>> {
        let (_, end) = events_of(block);
        let newest: Option<u64> = self
            .connection
            .prepare_cached(STATE_BELOW)
            .and_then(|mut statement| statement.query_row((state.as_str(), end), |row| row.get(0)).optional())
            .failed()?;
        let Some(newest) = newest else { return Ok(None) };
        let at = block_of(newest);
        let (first, last) = events_of(at);
        let mut bits = Bits::default();
        let mut statement = self.connection.prepare_cached(STATE_WITHIN).failed()?;
        let mut rows = statement.query((state.as_str(), first, last)).failed()?;
        while let Some(row) = rows.next().failed()? {
            bits.set(row.get(0).failed()?);
        }
        Ok(Some((at, bits)))
    }

    fn times_below(&self, from: i64, to: i64, block: u64) -> Result<Option<(u64, Bits)>> {
        let (last, made) = &self.last;
        let overlaps = |(earliest, latest): (i64, i64)| earliest <= to && latest >= from;
        if block >= *last && made.times.is_some_and(overlaps) {
            return Ok(Some((*last, Bits::ALL)));
        }
        self.connection
            .prepare_cached(TIMES_BELOW)
            .and_then(|mut statement| {
                statement.query_row((block.min(last.saturating_sub(1)), from, to), |row| row.get(0)).optional()
            })
            .failed()
            .map(|found| found.map(|at| (at, Bits::ALL)))
    }
}

/// By the index on states, whose rows are in the order of the proposals.
const STATE_BELOW: &str = "SELECT seq FROM standings WHERE state = ?1 AND seq <= ?2 ORDER BY seq DESC LIMIT 1";
const STATE_WITHIN: &str = "SELECT seq FROM standings WHERE state = ?1 AND seq BETWEEN ?2 AND ?3";
/// A row for 256 events: walking all of them is a matter of a millisecond where there are a million.
const TIMES_BELOW: &str =
    "SELECT block FROM blocks WHERE block <= ?1 AND latest >= ?2 AND earliest <= ?3 ORDER BY block DESC LIMIT 1";
const OF_SUBJECT: &str = "SELECT seq FROM events WHERE subject = ?1 AND subject <> ''";

fn sources(connection: &Connection, list: List, filter: &Filter) -> Result<Vec<Source>> {
    filter.check(list)?;
    let mut sources = Vec::new();
    // What is rarest first: the others are only asked where it stands.
    for seqs in named_events(connection, filter)? {
        sources.push(Source::Events(seqs));
    }
    let mut words = |field, value: &Option<String>| {
        sources.extend(value.iter().map(|value| Source::Words(vec![term(field, value)])));
    };
    words(Field::Key, &filter.object_id);
    let labelled = filter.fingerprint.as_ref().map(|text| match text.strip_prefix("sha256:") {
        Some(_) => text.clone(),
        None => format!("sha256:{text}"),
    });
    words(Field::Fingerprint, &labelled);
    words(Field::Actor, &filter.actor);
    words(Field::Principal, &filter.principal);
    words(Field::Capability, &filter.capability);
    words(Field::Table, &filter.table);
    words(Field::Source, &filter.source);
    words(Field::Tenant, &filter.tenant);
    words(Field::Kind, &filter.kind);
    if let Some(status) = filter.status {
        let word = serde_json::to_value(status).ok();
        let word = word.as_ref().and_then(Value::as_str).unwrap_or_default();
        sources.push(Source::Words(vec![term(Field::Status, word)]));
    }
    if let Some(kind) = &filter.object_type {
        sources.push(Source::Words(spellings(kind).iter().map(|name| term(Field::Table, name)).collect()));
    }
    if let Some(state) = filter.state {
        sources.push(Source::State(state));
    }
    if filter.from.is_some() || filter.to.is_some() {
        let from = filter.from.map_or(i64::MIN, Instant::unix);
        sources.push(Source::Times(from, filter.to.map_or(i64::MAX, Instant::unix)));
    }
    let recorded = match list {
        List::Proposals | List::Replays => Some("proposal"),
        List::Evidence => Some("evidence"),
        List::QueryAudit => Some("audit"),
        List::Receipts => Some("receipt"),
        _ => None,
    };
    sources.extend(recorded.map(|what| Source::Words(vec![term(Field::Recorded, what)])));
    Ok(sources)
}

/// `invoice`, `invoices` and `public.invoices` are one kind of object.
fn spellings(kind: &str) -> BTreeSet<String> {
    let plain = kind.rsplit_once('.').map_or(kind, |(_, table)| table);
    let mut all: BTreeSet<String> = [kind, plain].map(str::to_owned).into();
    let forms = [("", "s"), ("", "es"), ("s", ""), ("es", ""), ("y", "ies"), ("ies", "y")];
    for (end, other) in forms {
        all.extend(plain.strip_suffix(end).map(|stem| format!("{stem}{other}")));
    }
    all
}

/// The events that a filter names by an id; a set for each of them.
fn named_events(connection: &Connection, filter: &Filter) -> Result<Vec<BTreeSet<u64>>> {
    let numbers = |sql: &str, value: &str| {
        connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_map([value], |row| row.get(0))?.collect())
            .failed()
    };
    let of_proposal = |id: &str| numbers(OF_SUBJECT, proposal_of(id));
    let mut all = Vec::new();
    for id in [&filter.proposal, &filter.job].into_iter().flatten() {
        all.push(of_proposal(id)?);
    }
    if let Some(key) = &filter.idempotency_key {
        all.push(of_proposal(key.split_once(':').map_or(key.as_str(), |(id, _)| id))?);
    }
    if let Some(seq) = filter.receipt {
        let subject: Option<String> = connection
            .prepare_cached("SELECT e.subject FROM events e JOIN receipts r ON r.seq = e.seq WHERE e.seq = ?1")
            .and_then(|mut statement| statement.query_row([seq], |row| row.get(0)).optional())
            .failed()?;
        all.push(of_proposal(&subject.unwrap_or_default())?);
    }
    if let Some(id) = &filter.evidence {
        all.push(numbers("SELECT seq FROM evidence WHERE evidence_id = ?1", id)?);
    }
    Ok(all)
}

/// The proposal that a replay or a job belongs to, by its id.
fn proposal_of(id: &str) -> &str {
    ["replay_", "wbj_", "hwb_"].iter().find_map(|prefix| id.strip_prefix(prefix)).unwrap_or(id)
}

/// A page of a list. `show` makes the record of an event; none if the filter does not mean it after all.
fn page<T>(
    store: &Store,
    list: List,
    filter: &Filter,
    request: &PageRequest,
    show: impl Fn(&Connection, &MacKey, u64) -> Result<Option<(u64, T)>>,
) -> Result<Page<T>> {
    let below = request.below(list)?;
    let connection = &store.connection;
    // One snapshot: a page is what the ledger was at one moment.
    connection.execute_batch("BEGIN DEFERRED").failed()?;
    let looked = Search::new(store, list, filter).and_then(|search| {
        let mut found: Vec<(u64, T)> = Vec::with_capacity(request.length() + 1);
        search.run(below, |seq| {
            if within(connection, filter, seq)? {
                found.extend(show(connection, &store.key, seq)?);
            }
            Ok(found.len() <= request.length())
        })?;
        Ok(found)
    });
    let ended = connection.execute_batch("COMMIT").failed();
    let mut found = looked.and_then(|found| ended.map(|()| found))?;
    let more = found.len() > request.length();
    found.truncate(request.length());
    let next = found.last().filter(|_| more).map(|(seq, _)| Cursor { list, seq: *seq });
    Ok(Page { items: found.into_iter().map(|(_, item)| item).collect(), next })
}

/// Is the event's own time what is asked for? The index knows only the times of its block.
fn within(connection: &Connection, filter: &Filter, seq: u64) -> Result<bool> {
    if filter.from.is_none() && filter.to.is_none() {
        return Ok(true);
    }
    let at: String = connection
        .prepare_cached("SELECT at FROM events WHERE seq = ?1")
        .and_then(|mut statement| statement.query_row([seq], |row| row.get(0)))
        .failed()?;
    let at = instant(&at, seq)?;
    Ok(filter.from.is_none_or(|from| at >= from) && filter.to.is_none_or(|to| at <= to))
}

fn instant(text: &str, seq: u64) -> Result<Instant> {
    Instant::parse(text).map_err(|_| tampered(format!("event {seq}"), "it has no time"))
}

pub(super) fn proposals(store: &Store, filter: &Filter, request: &PageRequest) -> Result<Page<ProposalSummary>> {
    page(store, List::Proposals, filter, request, |connection, key, seq| {
        let row = connection
            .prepare_cached(&format!("{PROPOSALS} WHERE p.seq = ?1"))
            .and_then(|mut statement| statement.query_row([seq], proposal_row))
            .failed()?;
        let found = summary(connection, key, row)?;
        // A word is eight bytes of a digest, and the index is not signed: what it found is asked again.
        let is = |wanted: &Option<String>, value: &str| wanted.as_ref().is_none_or(|wanted| wanted == value);
        let meant = is(&filter.tenant, &found.tenant_id)
            && is(&filter.principal, &found.principal)
            && is(&filter.capability, &found.action);
        Ok(meant.then_some((seq, found)))
    })
}

pub(super) fn evidence(store: &Store, filter: &Filter, request: &PageRequest) -> Result<Page<EvidenceSummary>> {
    page(store, List::Evidence, filter, request, |connection, key, seq| {
        let event = check_event(connection, key, seq)?;
        let text = document(connection, "evidence", seq)?.unwrap_or_default();
        let evidence_id = evidence_id(connection, seq)?.unwrap_or_default();
        let (at, proposal_id) = (instant(&event.at, seq)?, proposal_id(&event));
        let document = parse(&text, seq)?;
        Ok(Some((seq, EvidenceSummary { seq, evidence_id, at, actor: event.actor, proposal_id, document })))
    })
}

fn evidence_id(connection: &Connection, seq: u64) -> Result<Option<String>> {
    connection
        .prepare_cached("SELECT evidence_id FROM evidence WHERE seq = ?1")
        .and_then(|mut statement| statement.query_row([seq], |row| row.get(0)).optional())
        .failed()
}

fn proposal_id(event: &StoredEvent) -> Option<String> {
    event.subject.starts_with("wrp_").then(|| event.subject.clone())
}

pub(super) fn query_audit(store: &Store, filter: &Filter, request: &PageRequest) -> Result<Page<AuditRecord>> {
    page(store, List::QueryAudit, filter, request, |connection, key, seq| {
        let event = check_event(connection, key, seq)?;
        let text = document(connection, "query_audit", seq)?.unwrap_or_default();
        let evidence_id = evidence_id(connection, seq)?;
        let (at, proposal_id) = (instant(&event.at, seq)?, proposal_id(&event));
        let document = parse(&text, seq)?;
        Ok(Some((seq, AuditRecord { seq, at, actor: event.actor, evidence_id, proposal_id, document })))
    })
}

pub(super) fn receipts(store: &Store, filter: &Filter, request: &PageRequest) -> Result<Page<ReceiptRecord>> {
    page(store, List::Receipts, filter, request, |connection, key, seq| {
        check_event(connection, key, seq)?;
        let record = receipt(connection, seq)?;
        let meant = |record: &ReceiptRecord| {
            filter.receipt.is_none_or(|wanted| wanted == seq)
                && filter.idempotency_key.as_ref().is_none_or(|key| *key == record.receipt.idempotency_key)
        };
        Ok(record.filter(meant).map(|record| (seq, record)))
    })
}

pub(super) fn events(store: &Store, filter: &Filter, request: &PageRequest) -> Result<Page<LoggedEvent>> {
    page(store, List::Events, filter, request, |connection, key, seq| Ok(Some((seq, logged(connection, key, seq)?))))
}

/// An event, checked with its rows; of a pruned one, what is left. That a pruning covers it, a verification finds.
fn logged(connection: &Connection, key: &MacKey, seq: u64) -> Result<LoggedEvent> {
    let payload: Option<[u8; 32]> = connection
        .prepare_cached("SELECT payload FROM pruned WHERE seq = ?1")
        .and_then(|mut statement| statement.query_row([seq], |row| row.get(0)).optional())
        .failed()?;
    let pruned = payload.is_some();
    let event = match payload {
        Some(payload) => read::check_pruned(connection, key, seq, payload)?,
        None => check_event(connection, key, seq)?,
    };
    let broken = || tampered(format!("event {seq}"), "its hash is not one");
    let hash = event.hash.as_slice().try_into().map(Digest::from_bytes).map_err(|_| broken())?;
    let at = instant(&event.at, seq)?;
    let detail = if event.detail.is_empty() { Value::Null } else { parse(&event.detail, seq)? };
    Ok(LoggedEvent { seq, kind: event.kind, subject: event.subject, actor: event.actor, at, detail, hash, pruned })
}

pub(super) fn activity(store: &Store, filter: &Filter, request: &PageRequest) -> Result<Page<Activity>> {
    page(store, List::Activity, filter, request, |connection, key, seq| {
        let event = logged(connection, key, seq)?;
        let of_proposal = if event.subject.starts_with("wrp_") {
            connection
                .prepare_cached("SELECT document FROM proposals WHERE proposal_id = ?1")
                .and_then(|mut statement| {
                    statement.query_row([&event.subject], |row| row.get::<_, String>(0)).optional()
                })
                .failed()?
        } else {
            None
        };
        let (mut capability, mut object) = (None, None);
        if let Some(text) = of_proposal {
            let set: Value = parse(&text, seq)?;
            let word = |pointer: &str| set.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            capability = word("/action");
            object = word("/scope/business_object").zip(word("/scope/object_id"));
        } else if let Some(text) = document(connection, "query_audit", seq)? {
            let audit: Value = parse(&text, seq)?;
            capability = audit.get("capability").and_then(Value::as_str).map(str::to_owned);
            let table = audit.get("table_name").and_then(Value::as_str);
            let object_id =
                audit.get("primary_key_value").map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
            object = table.map(|name| name.rsplit_once('.').map_or(name, |(_, table)| table).to_owned()).zip(object_id);
        }
        let evidence_id = evidence_id(connection, seq)?;
        let receipt = receipt(connection, seq)?;
        Ok(Some((seq, Activity { event, evidence_id, capability, object, receipt })))
    })
}

pub(super) fn events_after(store: &Store, filter: &Filter, after: u64) -> Result<(Vec<LoggedEvent>, u64)> {
    const AT_ONCE: u64 = 200;
    let connection = &store.connection;
    connection.execute_batch("BEGIN DEFERRED").failed()?;
    let looked = head(connection, &store.key).and_then(|head| {
        let last = head.size.min(after.saturating_add(AT_ONCE));
        if last <= after {
            return Ok((Vec::new(), after));
        }
        let search = Search::new(store, List::Events, filter)?;
        let mut found = Vec::new();
        search.run(last + 1, |seq| {
            if seq > after && within(connection, filter, seq)? {
                found.push(logged(connection, &store.key, seq)?);
            }
            Ok(seq > after)
        })?;
        found.reverse();
        Ok((found, last))
    });
    let ended = connection.execute_batch("COMMIT").failed();
    looked.and_then(|found| ended.map(|()| found))
}

pub(super) fn named(store: &Store, kind: Named, beginning: &str) -> Result<String> {
    let (beginning, prefix, sql, missing, field) = match kind {
        Named::Proposal => (proposal_of(beginning), "wrp_", PROPOSALS_NAMED, Code::ProposalNotFound, "proposal"),
        Named::Evidence => (beginning, "ev_", EVIDENCE_NAMED, Code::EvidenceNotFound, "evidence"),
    };
    let low = if beginning.starts_with(prefix) { beginning.to_owned() } else { format!("{prefix}{beginning}") };
    // An empty beginning would name whatever there is only one of.
    if low.len() < prefix.len() + 4 {
        return Err(Error::new(missing).with(field, beginning));
    }
    let high = format!("{low}\u{10ffff}");
    let found: Vec<String> = store
        .connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_map((&low, &high), |row| row.get(0))?.collect())
        .failed()?;
    match found.as_slice() {
        // A whole id is meant, though another should begin with it.
        [first, ..] if *first == low => Ok(low),
        [one] => Ok(one.clone()),
        [one, other, ..] => {
            Err(Error::new(Code::IdAmbiguous).with("id", beginning).with("first", one).with("second", other))
        }
        [] if kind == Named::Proposal => match read::missing(&store.connection, &store.key, &low)? {
            // In the words that were used.
            error if error.code() == missing => Err(Error::new(missing).with(field, beginning)),
            error => Err(error),
        },
        [] => Err(Error::new(missing).with(field, beginning)),
    }
}

const PROPOSALS_NAMED: &str =
    "SELECT proposal_id FROM proposals WHERE proposal_id >= ?1 AND proposal_id <= ?2 ORDER BY proposal_id LIMIT 2";
const EVIDENCE_NAMED: &str =
    "SELECT evidence_id FROM evidence WHERE evidence_id >= ?1 AND evidence_id <= ?2 ORDER BY evidence_id LIMIT 2";

#[cfg(test)]
mod tests {
    use super::super::schema::migrate;
    use super::*;

    /// What SQLite does for a statement.
    fn plan(connection: &Connection, sql: &str) -> String {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let nulls = vec![rusqlite::types::Null; statement.parameter_count()];
        let lines = statement.query_map(rusqlite::params_from_iter(nulls), |row| row.get::<_, String>(3)).unwrap();
        lines.map(Result::unwrap).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn no_list_scans_or_sorts() {
        let connection = Connection::open_in_memory().unwrap();
        migrate(&connection, 0).unwrap();
        let by_seq = format!("{PROPOSALS} WHERE p.seq = ?1");
        for (sql, by) in [
            (BELOW, "USING PRIMARY KEY (term=? AND block<?)"),
            (STATE_BELOW, "USING COVERING INDEX standings_state (state=? AND seq<?)"),
            (STATE_WITHIN, "USING COVERING INDEX standings_state (state=? AND seq>? AND seq<?)"),
            (TIMES_BELOW, "USING INTEGER PRIMARY KEY (rowid<?)"),
            (
                read::OPEN_WORK,
                "SEARCH s USING INDEX standings_state (state=? AND seq>?); SEARCH p USING INTEGER PRIMARY KEY (rowid=?)",
            ),
            (OF_SUBJECT, "USING COVERING INDEX events_subject (subject=?)"),
            (read::LAST_OF, "USING COVERING INDEX events_subject (subject=?)"),
            (PROPOSALS_NAMED, "USING COVERING INDEX proposals_id (proposal_id>? AND proposal_id<?)"),
            (EVIDENCE_NAMED, "USING COVERING INDEX evidence_by_id (evidence_id>? AND evidence_id<?)"),
            (&by_seq, "SEARCH p USING INTEGER PRIMARY KEY (rowid=?); SEARCH s USING INTEGER PRIMARY KEY (rowid=?)"),
        ] {
            let plan = plan(&connection, sql);
            assert!(plan.contains(by) && !plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
        }
    }

    #[test]
    fn a_kind_of_object_has_several_spellings() {
        for (asked, stored) in [
            ("invoice", "invoices"),
            ("invoices", "invoice"),
            ("public.invoices", "invoices"),
            ("public.invoice", "invoices"),
            ("address", "addresses"),
            ("category", "categories"),
            ("categories", "category"),
        ] {
            assert!(spellings(asked).contains(stored), "{asked}");
        }
        assert!(!spellings("invoice").contains("invoiced"));
    }
}
