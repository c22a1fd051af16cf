//! Text that people read: outside input made visible, and the nearest known word for a mistyped one.

use std::fmt::Write as _;

/// Input from outside, safe to print: control, bidirectional and zero-width characters become `\u{…}`, and more than
/// 200 characters are cut with `…`.
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

fn push_visible(out: &mut String, character: char) {
    let hidden = character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{61c}');
    if hidden {
        // Writing to a String cannot fail.
        let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
    } else {
        out.push(character);
    }
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
    fn nearest_finds_slips_only() {
        assert_eq!(nearest("visable_columns", ["visible_columns", "patch"]), Some("visible_columns"));
        assert_eq!(nearest("zebra", ["visible_columns", "patch"]), None);
    }
}
