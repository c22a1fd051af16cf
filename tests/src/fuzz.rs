//! Documents made wrong in ways that nobody thought of one by one: good ones, changed member by member or letter by letter.
//! A seed and a number give one document, always the same one.

use serde_json::{Map, Value};

/// SplitMix64: small, and the same everywhere.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The chances of one document.
    pub fn of(seed: u64, index: u64) -> Self {
        let mut chance = Self(seed ^ index.wrapping_mul(0xd134_2543_de82_ef95));
        chance.next();
        chance
    }

    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "it never ends, so it is no iterator")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 for 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).unwrap_or_default()
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

/// What stands in place of a value. `#` begins one that is no string but a literal.
const ODD: &[&str] = &[
    "#null",
    "#true",
    "#false",
    "#0",
    "#-1",
    "#1",
    "#2",
    "#1.5",
    "#1.0",
    "#3e3",
    "#1e400",
    "#-1e400",
    "#-0",
    "#01",
    "#NaN",
    "#-Infinity",
    "#9007199254740993",
    "#18446744073709551616",
    "#0.1000000000000000055511151231257827",
    "#[]",
    "#{}",
    "#[[]]",
    "#[1,\"a\"]",
    "#{\"a\":{\"b\":[1]}}",
    "#{\"column\":\"id\",\"value\":\"x\"}",
    "",
    " ",
    "x",
    "id",
    "tenant_id",
    "a b",
    "a.b",
    "a.b.c",
    "x; DROP TABLE y",
    "READ_URL",
    "read_url",
    "postgres://u:p@h/d",
    "https://u:p@h",
    "sqlite",
    "mysql",
    "proposal",
    "read",
    "review",
    "cloud",
    "shadow",
    "static_dev",
    "http_claims",
    "sql_update",
    "http_handler",
    "never",
    "7d",
    "0d",
    "999999999d",
    "\u{202e}",
    "\u{0}",
    "\u{feff}",
    "é😀",
    "sha256:",
    "sha256:0",
    "2026-06-20T14:31:08Z",
    "2026-06-20",
    "__proto__",
    "\\",
    "\"",
    "/~01",
];

/// Names of members.
const KEYS: &[&str] = &[
    "",
    "x",
    "url",
    "sql",
    "rawSql",
    "databaseUrl",
    "ssl",
    "signoff",
    "evidence",
    "max_rows",
    "strict",
    "mode",
    "name",
    "version",
    "storrage",
    "visable_columns",
    "a/b",
    "a~b",
    "\u{202e}",
    "__proto__",
    "single_tenant_dev",
    "weak_guard_ack",
    "fixed",
    "from_arg",
    "enum",
    "minimum",
    "column",
    "value",
    "kind",
    "extra",
];

/// One of these documents, changed in up to four ways. In a few cases what comes out is no JSON.
pub fn mutant(chance: &mut Chance, bases: &[Value]) -> String {
    let mut document = chance.pick(bases).clone();
    for _ in 0..*chance.pick(&[1, 1, 1, 2, 4]) {
        change(chance, &mut document, bases);
    }
    let text =
        if chance.below(2) == 0 { document.to_string() } else { serde_json::to_string_pretty(&document).unwrap() };
    let mut text = literals(&text);
    if chance.below(8) == 0 {
        for _ in 0..=chance.below(3) {
            text = letters(chance, &text);
        }
    }
    text
}

fn odd(chance: &mut Chance) -> Value {
    Value::String((*chance.pick(ODD)).to_owned())
}

/// Strings that begin with `#` become what follows it.
fn literals(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\"#") {
        out.push_str(before);
        // Up to the closing quote; those in between are escaped.
        let end =
            after.match_indices('"').map(|(at, _)| at).find(|at| !after[..*at].ends_with('\\')).unwrap_or(after.len());
        out.push_str(&after[..end].replace("\\\"", "\""));
        rest = after.get(end + 1..).unwrap_or_default();
    }
    out + rest
}

/// The pointers of everything below.
pub fn pointers(value: &Value) -> Vec<String> {
    fn walk(value: &Value, at: &str, out: &mut Vec<String>) {
        let mut below = |key: &str, value: &Value| {
            let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
            walk(value, &at, out);
            out.push(at);
        };
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| below(key, value)),
            Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| below(&index.to_string(), item)),
            _ => {}
        }
    }
    let mut out = Vec::new();
    walk(value, "", &mut out);
    out
}

fn change(chance: &mut Chance, document: &mut Value, bases: &[Value]) {
    let places = pointers(document);
    if places.is_empty() {
        *document = chance.pick(bases).clone();
        return;
    }
    let place = chance.pick(&places).clone();
    match chance.below(9) {
        0 | 1 => *document.pointer_mut(&place).unwrap() = odd(chance),
        2 => drop(remove(document, &place)),
        3 => {
            // Something from elsewhere, of this document or of another.
            let other = chance.pick(bases).clone();
            let from = pointers(&other);
            let part = other.pointer(chance.pick::<String>(&from)).cloned().unwrap_or(Value::Null);
            *document.pointer_mut(&place).unwrap() = part;
        }
        4 => {
            let other = chance.pick(&places).clone();
            let (one, two) = (document.pointer(&place).cloned(), document.pointer(&other).cloned());
            if let (Some(one), Some(two)) = (one, two) {
                *document.pointer_mut(&place).unwrap() = two;
                if let Some(there) = document.pointer_mut(&other) {
                    *there = one;
                }
            }
        }
        5 => {
            let value = if chance.below(2) == 0 { odd(chance) } else { document.pointer(&place).cloned().unwrap() };
            let key = (*chance.pick(KEYS)).to_owned();
            match document.pointer_mut(&place) {
                Some(Value::Object(map)) => drop(map.insert(key, value)),
                Some(Value::Array(items)) => items.push(value),
                _ => {}
            }
        }
        6 => {
            // A slip of the fingers in a name.
            let (parent, key) = place.rsplit_once('/').unwrap();
            let key = key.replace("~1", "/").replace("~0", "~");
            if let Some(value) = document.pointer(&place).cloned()
                && let Some(Value::Object(map)) = document.pointer_mut(parent)
            {
                map.remove(&key);
                let mut letters: Vec<char> = key.chars().collect();
                let at = chance.below(letters.len());
                match chance.below(3) {
                    0 if !letters.is_empty() => drop(letters.remove(at)),
                    1 => letters.insert(at, 'e'),
                    _ => letters.reverse(),
                }
                map.insert(letters.into_iter().collect(), value);
            }
        }
        7 => {
            if let Some(Value::String(text)) = document.pointer_mut(&place) {
                let at = text.char_indices().map(|(at, _)| at).nth(chance.below(text.chars().count() + 1));
                text.insert_str(
                    at.unwrap_or(text.len()),
                    chance.pick::<&str>(&[" ", "\u{202e}", "\n", "-", ".", "9", "é", "\u{1}"]),
                );
            }
        }
        _ => {
            let depth = chance.below(70);
            let inner = document.pointer(&place).cloned().unwrap();
            let deep = (0..depth).fold(inner, |inner, level| {
                if level % 2 == 0 {
                    Value::Array(vec![inner])
                } else {
                    Value::Object(Map::from_iter([("a".to_owned(), inner)]))
                }
            });
            *document.pointer_mut(&place).unwrap() = deep;
        }
    }
}

/// Takes a member or an item out.
pub fn remove(document: &mut Value, place: &str) -> Option<Value> {
    let (parent, key) = place.rsplit_once('/')?;
    match document.pointer_mut(parent)? {
        Value::Object(map) => map.remove(&key.replace("~1", "/").replace("~0", "~")),
        Value::Array(items) => {
            let index = key.parse::<usize>().ok().filter(|index| *index < items.len())?;
            Some(items.remove(index))
        }
        _ => None,
    }
}

fn letters(chance: &mut Chance, text: &str) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let at = chance.below(characters.len() + 1);
    match chance.below(5) {
        0 if at < characters.len() => drop(characters.remove(at)),
        1 => characters.insert(
            at,
            *chance.pick(&['"', '{', '}', '[', ']', ',', ':', '\\', '\u{0}', '\u{feff}', 'e', '-', '9', '\r']),
        ),
        2 => characters.truncate(at),
        3 => {
            // A line twice: often a key twice.
            let text: String = characters.iter().collect();
            let lines: Vec<&str> = text.lines().collect();
            let line = chance.below(lines.len());
            let mut out: Vec<&str> = lines.clone();
            out.insert(line, lines.get(line).copied().unwrap_or_default());
            return out.join("\n");
        }
        _ if at < characters.len() => characters[at] = *chance.pick(&['x', '"', ' ', '0', '\u{202e}', '\t']),
        _ => {}
    }
    characters.into_iter().collect()
}
