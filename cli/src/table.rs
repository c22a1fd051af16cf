//! Lists for people: columns that fit the terminal, or 80 characters where there is none.

use console::{Term, measure_text_width, truncate_str};
use signoff::error::printable;

use crate::output::Output;

/// The beginning of an id that people type: enough to tell it from the others, and accepted wherever an id is.
pub fn short(id: &str) -> String {
    let (prefix, rest) = id.split_at_checked(id.find('_').map_or(0, |at| at + 1)).unwrap_or(("", id));
    printable(&format!("{prefix}{}", rest.chars().take(8).collect::<String>()))
}

/// An instant to the minute, as it is read: `2026-06-20 14:31`.
pub fn minute(at: &str) -> String {
    printable(&at.chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect::<String>())
}

/// Prints rows under their headings. The last column takes what is left of the line, and is cut with `…`; the others are
/// cut only if one alone would take half of it.
pub fn print<const N: usize>(headings: [&str; N], rows: &[[String; N]], output: &mut Output) {
    let line = Term::stdout().size_checked().map_or(80, |(_, columns)| usize::from(columns).max(40));
    let mut widths = headings.map(measure_text_width);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(measure_text_width(cell)).min(line / 2);
        }
    }
    // What does not fit is taken from the last, then from the widest, and never from the first, which names the thing.
    while widths.iter().map(|width| width + 2).sum::<usize>() - 2 > line {
        let Some((_, rest)) = widths.split_first_mut() else { break };
        let last = rest.last_mut().filter(|width| **width > 8).map(|width| *width -= 1);
        if last.is_none() {
            let Some(wide) = rest.iter_mut().max_by_key(|width| **width).filter(|width| **width > 8) else { break };
            *wide -= 1;
        }
    }
    let heading = output.strong(&fit(&headings.map(str::to_owned), &widths, line));
    output.line(heading);
    for row in rows {
        output.line(fit(row, &widths, line));
    }
}

fn fit(cells: &[String], widths: &[usize], line: usize) -> String {
    let mut text = String::new();
    let mut used = 0;
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let last = index + 1 == cells.len();
        let room = if last { line.saturating_sub(used) } else { *width };
        let cell = truncate_str(cell, room, "…");
        let pad = if last { 0 } else { width.saturating_sub(measure_text_width(&cell)) + 2 };
        text.push_str(&cell);
        text.push_str(&" ".repeat(pad));
        used += width + 2;
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_whatever_stands_in_them() {
        let row = [
            "wrp_1a2b3c4d",
            "pending_review",
            "汉字汉字汉字汉字汉字汉字汉字汉字汉字汉字汉字汉字汉字汉字汉字汉字汉字汉字汉字汉字汉字",
        ]
        .map(str::to_owned);
        let widths = [12, 15, 40];
        let text = fit(&row, &widths, 80);
        assert!(measure_text_width(&text) <= 80 && text.ends_with('…'), "{text}");
        assert_eq!(
            fit(&["a", "b", "c"].map(str::to_owned), &widths, 80),
            format!("a{}b{}c", " ".repeat(13), " ".repeat(16))
        );
    }

    #[test]
    fn ids_are_short_and_times_are_to_the_minute() {
        assert_eq!(short("wrp_1a2b3c4d-0000-4000-8000-000000000000"), "wrp_1a2b3c4d");
        assert_eq!(short("INV-3001"), "INV-3001");
        assert_eq!(short("x_\u{202e}abc"), "x_\\u{202e}abc");
        assert_eq!(minute("2026-06-20T14:31:08.5Z"), "2026-06-20 14:31");
    }
}
