//! Every change to a ledger file is found by a verification, or is none: random changes to rows and values, and to the
//! bytes of the file. The seed is the bug report: SIGNOFF_SEED runs it again.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, types::Value};
use signoff::ledger::{Ledger as _, LedgerOptions, SqliteLedger};
use signoff::primitives::{Digest, SystemClock, SystemIds};
use signoff_tests::scale::{Template, fill};
use signoff_tests::{library, rounds};

/// A small generator of numbers, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// A ledger with every kind of record in it, a full block of the index, and something pruned.
fn make(folder: &Path) -> String {
    let ledger = library::ledger(folder, "ledger.db", &SystemClock);
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
        fill(&ledger, &Template::new().await, 0, 96).await;
        let before = signoff::primitives::Instant::from_unix(signoff_tests::scale::BEGINNING + 20).unwrap();
        let prune = signoff::ledger::Prune { before, at: before, actor: "operator".to_owned(), rehearse: false };
        assert!(ledger.prune(prune, Box::new(|_, _| ())).await.unwrap().proposals > 0);
        ledger.verify(None, Box::new(|_, _| ())).await.unwrap().checkpoint.to_string()
    })
}

/// Everything that the tables say, and nothing of how it is laid out in the file.
fn content(path: &Path) -> Option<Digest> {
    let ledger = Connection::open(path).ok()?;
    let tables: Vec<(String, String)> = ledger
        .prepare("SELECT name, sql FROM sqlite_schema ORDER BY name, type")
        .ok()?
        .query_map([], |row| Ok((row.get(0)?, row.get::<_, Option<String>>(1)?.unwrap_or_default())))
        .ok()?
        .collect::<Result<_, _>>()
        .ok()?;
    let mut said = Vec::new();
    for pragma in ["user_version", "application_id"] {
        let number: i64 = ledger.pragma_query_value(None, pragma, |row| row.get(0)).ok()?;
        said.extend(format!("{pragma} {number};").bytes());
    }
    for (name, sql) in tables {
        said.extend(format!("{name}: {sql};").bytes());
        if !sql.starts_with("CREATE TABLE") {
            continue;
        }
        let mut statement = ledger
            .prepare(&format!("SELECT * FROM {name} NOT INDEXED ORDER BY 1, 2"))
            .ok()
            .or_else(|| ledger.prepare(&format!("SELECT * FROM {name} ORDER BY 1, 2")).ok())?;
        let width = statement.column_count();
        let mut rows = statement.query([]).ok()?;
        while let Some(row) = rows.next().ok()? {
            for index in 0..width {
                said.extend(format!("{:?},", row.get::<_, Value>(index).ok()?).bytes());
            }
        }
    }
    Some(Digest::of(&said))
}

fn verify(path: &Path, expect: Option<&str>) -> Result<(), String> {
    let opened = SqliteLedger::open(LedgerOptions::existing(path), &SystemClock, &SystemIds);
    let ledger = opened.map_err(|error| error.code().to_string())?;
    if ledger.path() != path {
        return Err("another file was used".to_owned());
    }
    let expect = expect.map(|text| text.parse().unwrap());
    let verified = library::block(ledger.verify(expect, Box::new(|_, _| ())));
    verified.map(|_| ()).map_err(|error| error.code().to_string())
}

const TABLES: [&str; 13] = [
    "chain",
    "events",
    "proposals",
    "standings",
    "evidence",
    "query_audit",
    "approvals",
    "writeback_jobs",
    "receipts",
    "terms",
    "blocks",
    "prunings",
    "pruned",
];

/// Changes rows: a value, a row less, one more, two swapped, the end cut off. Answers what it did; none if nothing.
fn mutate_rows(ledger: &Connection, random: &mut Random) -> Option<String> {
    let table = *random.of(&TABLES);
    let columns: Vec<String> = ledger
        .prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let key = if table == "terms" { "term" } else { columns[0].as_str() };
    let keys: Vec<i64> = ledger
        .prepare(&format!("SELECT {key} FROM {table} ORDER BY {key}"))
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let (one, other) = (*random.of(&keys), *random.of(&keys));
    let column = random.of(&columns).clone();
    let run = |sql: String| ledger.execute(&sql, []).ok().filter(|changed| *changed > 0).map(|_| sql);
    match random.below(7) {
        0 => {
            let value: Value = ledger
                .query_row(&format!("SELECT {column} FROM {table} WHERE {key} = {one}"), [], |row| row.get(0))
                .ok()?;
            let changed = flip(value, random);
            let sql = format!("UPDATE {table} SET {column} = ?1 WHERE {key} = {one}");
            ledger.execute(&sql, [&changed]).ok().filter(|count| *count > 0).map(|_| format!("{sql} {changed:?}"))
        }
        1 => run(format!("DELETE FROM {table} WHERE {key} = {one}")),
        2 => {
            let copied: Vec<String> = columns
                .iter()
                .map(|name| if name == key { format!("{name} + {}", 1 + random.below(500)) } else { name.clone() })
                .collect();
            run(format!("INSERT INTO {table} SELECT {} FROM {table} WHERE {key} = {one}", copied.join(", ")))
        }
        3 => run(format!(
            "UPDATE {table} SET {column} = (SELECT {column} FROM {table} WHERE {key} = {other}) WHERE {key} = {one}"
        )),
        4 => run(format!("DELETE FROM {table} WHERE {key} > {one}")),
        5 => {
            // Two rows change places.
            let swap = format!(
                "UPDATE {table} SET {key} = CASE {key} WHEN {one} THEN -{other} - 1 ELSE -{one} - 1 END WHERE {key} IN ({one}, {other}); UPDATE {table} SET {key} = -{key} - 1 WHERE {key} < 0"
            );
            (one != other && table != "terms" && table != "chain")
                .then(|| ledger.execute_batch(&swap).ok().map(|()| swap))?
        }
        _ => run(format!("UPDATE {table} SET {column} = NULL WHERE {key} = {one}")),
    }
}

fn flip(value: Value, random: &mut Random) -> Value {
    match value {
        Value::Text(text) => {
            let mut characters: Vec<char> = text.chars().collect();
            let at = random.below(characters.len());
            match random.below(3) {
                0 if !characters.is_empty() => {
                    characters.remove(at);
                }
                1 if !characters.is_empty() => characters[at] = if characters[at] == 'x' { 'y' } else { 'x' },
                _ => characters.insert(at, 'z'),
            }
            Value::Text(characters.into_iter().collect())
        }
        Value::Blob(mut bytes) if !bytes.is_empty() => {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
            Value::Blob(bytes)
        }
        Value::Integer(number) => Value::Integer(number.wrapping_add(1)),
        _ => Value::Text("x".to_owned()),
    }
}

/// Changes bytes of the file: one bit, a run, two runs swapped, some less, some more.
fn mutate_bytes(bytes: &mut Vec<u8>, random: &mut Random) -> String {
    let (at, other) = (random.below(bytes.len()), random.below(bytes.len()));
    let run = (1 + random.below(64)).min(bytes.len() - at).min(bytes.len() - other);
    match random.below(6) {
        0 => {
            bytes[at] ^= 1 << random.below(8);
            format!("a bit at {at}")
        }
        1 => {
            bytes[at..at + run].fill(random.next() as u8);
            format!("{run} bytes at {at}")
        }
        2 => {
            for offset in 0..run {
                bytes.swap(at + offset, other + offset);
            }
            format!("{run} bytes swapped between {at} and {other}")
        }
        3 => {
            bytes.drain(at..at + run);
            format!("{run} bytes less at {at}")
        }
        4 => {
            let more = vec![random.next() as u8; run];
            bytes.splice(at..at, more);
            format!("{run} bytes more at {at}")
        }
        _ => {
            bytes.truncate(at);
            format!("cut at {at}")
        }
    }
}

fn lay(path: &PathBuf, bytes: &[u8]) {
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", path.display()));
    }
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn every_random_change_is_found_or_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = make(folder.path());
    let path = folder.path().join("ledger.db");
    let clean = std::fs::read(&path).unwrap();
    let honest = content(&path).unwrap();
    verify(&path, Some(&checkpoint)).unwrap();
    let seed = std::env::var("SIGNOFF_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) << 20);
    let (mut done, mut harmless, mut round) = (0, 0, 0);
    let wanted = rounds(300, 10_000);
    while done < wanted {
        let mut random = Random(seed.wrapping_add(round));
        round += 1;
        lay(&path, &clean);
        let what = if random.below(2) == 0 {
            let ledger = Connection::open(&path).unwrap();
            ledger.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF").unwrap();
            match mutate_rows(&ledger, &mut random) {
                Some(what) => what,
                None => continue,
            }
        } else {
            let mut bytes = clean.clone();
            let what = mutate_bytes(&mut bytes, &mut random);
            if bytes == clean {
                continue;
            }
            lay(&path, &bytes);
            what
        };
        done += 1;
        if verify(&path, Some(&checkpoint)).is_ok() {
            // What was not found is nothing: the tables say what they said.
            assert_eq!(content(&path), Some(honest), "not found, seed {}: {what}", seed.wrapping_add(round - 1));
            harmless += 1;
        }
    }
    println!("{done} changes: {} found, {harmless} without a trace in what the ledger says", done - harmless);
    assert!(harmless * 2 < wanted, "most changes should be changes");
}

#[test]
fn a_cut_at_an_older_state_is_found_by_its_checkpoint_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let template = tokio.block_on(Template::new());
    let (mut copies, mut checkpoints) = (Vec::new(), Vec::new());
    for step in 0..12 {
        let ledger = library::ledger(folder.path(), "ledger.db", &SystemClock);
        tokio.block_on(fill(&ledger, &template, step * 5, step * 5 + 5));
        checkpoints.push(tokio.block_on(ledger.stats()).unwrap().checkpoint);
        drop(ledger);
        copies.push(std::fs::read(&path).unwrap());
    }
    for (age, copy) in copies.iter().enumerate() {
        lay(&path, copy);
        verify(&path, None).unwrap();
        for (then, checkpoint) in checkpoints.iter().enumerate() {
            let found = verify(&path, Some(checkpoint));
            assert_eq!(found.is_ok(), then <= age, "a copy of {age} against the checkpoint of {then}: {found:?}");
        }
    }
}
