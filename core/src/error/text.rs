//! Text that people read: outside input made visible, and the nearest known word for a mistyped one.

use std::fmt::Write as _;

/// Input from outside, safe to print: hidden characters become `\u{…}`, and more than 200 characters are cut with `…`.
#[must_use]
pub fn printable(input: &str) -> String {
    let mut out = String::with_capacity(input.len());
    for (index, character) in input.chars().enumerate() {
        if index == 200 {
            out.push('…');
            break;
        }
        push_visible(&mut out, character);
    }
    out
}

/// A text that somebody decides on, whole and unambiguous: in double quotes, with those and backslashes escaped, and
/// every hidden character as its escape. Two different texts never look the same by it.
#[must_use]
pub fn quoted(input: &str) -> String {
    let mut out = String::with_capacity(input.len() + 2);
    out.push('"');
    for character in input.chars() {
        match character {
            '"' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other => push_visible(&mut out, other),
        }
    }
    out.push('"');
    out
}

/// JSON with every hidden character in its strings as its escape: the same value, and nothing that a terminal would act on.
#[must_use]
pub fn visible_json(json: String) -> String {
    let acts = |character: char| hidden(character) && character != '\n';
    if !json.contains(acts) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 64);
    for character in json.chars() {
        if acts(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    out
}

fn push_visible(out: &mut String, character: char) {
    if hidden(character) {
        // Writing to a String cannot fail.
        let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
    } else {
        out.push(character);
    }
}

/// Controls, spaces that are not the space, and what Unicode calls default ignorable or bidirectional: characters that
/// show nothing, or show another thing than they are.
fn hidden(character: char) -> bool {
    character.is_control()
        || (character.is_whitespace() && character != ' ')
        || matches!(u32::from(character),
            0xad | 0x34f | 0x61c | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f | 0x200b..=0x200f | 0x2028..=0x202e
            | 0x2060..=0x206f | 0x2800 | 0x3164 | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xfffb | 0x1_bca0..=0x1_bca3
            | 0x1_d173..=0x1_d17a | 0xe_0000..=0xe_0fff)
}

/// The nearest of `known` to `word`, if it is near enough to be a slip of the fingers.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(2);
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, over characters, with case ignored.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.to_lowercase().chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        for (r, pair) in right.iter().zip(row.windows(2)) {
            let (&[diagonal, above], Some(&before)) = (pair, next.last()) else { continue };
            next.push((diagonal + usize::from(l != *r)).min(above + 1).min(before + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_shown() {
        assert_eq!(printable("a\u{202e}b\u{1b}[31m\n"), "a\\u{202e}b\\u{1b}[31m\\u{a}");
        assert_eq!(printable(&"x".repeat(300)).chars().count(), 201);
    }

    #[test]
    fn what_is_decided_on_is_whole_and_unambiguous() {
        assert_eq!(quoted("a\nb\" -> \"c\\"), r#""a\nb\" -> \"c\\""#);
        assert_eq!(quoted("a\u{ad}\u{3164}\u{e0041}\u{a0}"), r#""a\u{ad}\u{3164}\u{e0041}\u{a0}""#);
        assert_eq!(quoted(&"x".repeat(500)).len(), 502);
    }

    #[test]
    fn json_that_is_shown_is_the_same_value() {
        let value = serde_json::json!({ "a\u{202e}": "\u{9b}31m\u{7f}\u{e0041}\u{feff}\n\u{1b} \u{65e5}" });
        let shown = visible_json(serde_json::to_string_pretty(&value).unwrap());
        assert!(!shown.contains(|c| hidden(c) && c != '\n'), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn nearest_finds_slips_only() {
        assert_eq!(nearest("visable_columns", ["visible_columns", "patch"]), Some("visible_columns"));
        assert_eq!(nearest("zebra", ["visible_columns", "patch"]), None);
    }
}
