//! A room of the core uses rooms on lower floors only. A text search, on purpose: it finds every path that is written
//! out, and nobody here hides one in a macro.

use std::path::{Path, PathBuf};

/// Every room and its floor.
const FLOORS: &[(&str, u8)] = &[
    ("error", 0),
    ("primitives", 0),
    ("protocol", 1),
    ("contract", 1),
    ("guard", 1),
    ("handler", 2),
    ("catalogue", 2),
    ("schema", 2),
    ("audit", 2),
    ("database", 2),
    ("ledger", 2),
    ("executor", 3),
    ("runtime", 4),
    ("mcp", 5),
    ("adapters", 5),
    ("onboarding", 5),
    ("doctor", 5),
    ("review", 5),
    ("ffi", 6),
    // Guides: text only.
    ("docs", 0),
];
/// Hooks for tests: everybody may use them, they use nobody.
const HOOKS: &str = "fault";
/// Names at the root of the crate that stand for a room.
const REEXPORTED: &[(&str, &str)] =
    &[("Code", "error"), ("Error", "error"), ("Result", "error"), ("fault_point", "fault")];

/// Where a room of a higher floor shows: by name, and by nothing else that is said of it there.
const SHOWN: &[(&str, &str)] = &[("handler", "pub use crate::adapters::axum;")];

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

fn allowed(from: &str, to: &str) -> bool {
    if from == to || (to == HOOKS && from != HOOKS) || (from, to) == ("primitives", "error") {
        return true;
    }
    matches!((floor(from), floor(to)), (Some(from), Some(to)) if to < from)
}

/// The rooms that a source text names after `crate::`, groups such as `use crate::{a, b::c}` included.
fn named(source: &str) -> Vec<String> {
    let code: String =
        source.lines().filter(|line| !line.trim_start().starts_with("//")).map(|l| format!("{l}\n")).collect();
    let code = code.replace("$crate::", "crate::");
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        // `other_crate::` is somebody else's.
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => rooms.extend(top_level(group)),
            None => rooms.extend(word(rest)),
        }
    }
    rooms.retain(|room| !room.is_empty());
    rooms
}

fn word(text: &str) -> Option<String> {
    let word: String =
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == '*').collect();
    (!word.is_empty()).then_some(word)
}

/// The first word of each member of a group that was just opened.
fn top_level(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut members = vec![String::new()];
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => members.push(String::new()),
            _ => {}
        }
        members.last_mut().unwrap().push(character);
    }
    members.iter().filter_map(|member| word(member.trim_start_matches(','))).collect()
}

/// What this source of this room may not name.
fn broken(room: &str, source: &str) -> Vec<String> {
    let room_of =
        |name: String| REEXPORTED.iter().find(|(n, _)| *n == name).map_or(name, |(_, room)| (*room).to_owned());
    let mut source = source.to_owned();
    for (_, line) in SHOWN.iter().filter(|(at, _)| *at == room) {
        source = source.replacen(line, "", 1);
    }
    named(&source)
        .into_iter()
        .map(room_of)
        .filter(|to| !allowed(room, to))
        .map(|to| format!("{room} uses {to}"))
        .collect()
}

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
}

#[test]
fn rooms_use_lower_floors_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut problems = Vec::new();
    for file in &files {
        let inside = file.strip_prefix(&root).unwrap();
        let first = Path::new(inside.components().next().unwrap().as_os_str());
        let room = first.file_stem().unwrap().to_str().unwrap();
        if room == "lib" {
            continue;
        }
        if floor(room).is_none() && room != HOOKS {
            problems.push(format!("{}: room {room} has no floor", inside.display()));
        }
        let source = std::fs::read_to_string(file).unwrap();
        problems.extend(broken(room, &source).into_iter().map(|problem| format!("{}: {problem}", inside.display())));
    }
    assert!(files.len() > 10, "{} files under {}", files.len(), root.display());
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn the_check_can_fail() {
    for (room, source) in [
        ("protocol", "use crate::runtime::Runtime;"),
        ("protocol", "use crate::contract::Contract;"),
        ("protocol", "use crate::{error::Code, ledger::{self, Ledger}};"),
        ("protocol", "use crate::{\n    error::{Code, Error},\n    guard,\n};"),
        ("protocol", "fn f() -> crate::executor::Receipt {}"),
        ("protocol", "pub(in crate::ledger) fn f() {}"),
        ("error", "use crate::primitives::Scalar;"),
        ("primitives", "use crate::protocol::ChangeSet;"),
        ("ledger", "use crate::database::Engine;"),
        ("fault", "use crate::error::Code;"),
        ("protocol", "use crate::nowhere::X;"),
        ("protocol", "use crate::*;"),
        ("protocol", "pub use crate::adapters::axum;"),
        ("handler", "pub use crate::adapters::axum;\nuse crate::adapters::axum;"),
        ("handler", "pub use crate::adapters::axum::Effect;"),
    ] {
        assert_eq!(broken(room, source).len(), 1, "{room}: {source}");
    }
    for (room, source) in [
        ("protocol", "use crate::error::Code;\nuse crate::primitives::{Digest, canonical};"),
        ("primitives", "use crate::{Code, Error, Result};"),
        ("runtime", "use crate::{executor::{self, X}, ledger, protocol::Y};"),
        ("ledger", "crate::fault::point(7);"),
        ("handler", "pub use crate::adapters::axum;"),
        ("adapters", "use crate::handler::Handler; use crate::guard::Failure;"),
        ("ledger", "use crate::ledger::sqlite; use other_crate::runtime; use super::x;"),
        ("protocol", "//! see [`crate::runtime::Runtime`]\n/// and [`crate::ffi`]"),
    ] {
        assert_eq!(broken(room, source), Vec::<String>::new(), "{room}: {source}");
    }
}
