//! SQLite: the storage class travels beside the text, because the same text can be stored in several classes. Numbers
//! of class real are shown with the fewest digits that read back to the same double.

use super::super::job::Cell;
use super::{ColumnType, Normal};
use crate::error::{Code, Error, Result};
use crate::primitives::{Identifier, Scalar, compare_decimals};

/// The affinity of a declared type ("Datatypes in SQLite" 3.1: the order of the rules matters).
pub(super) fn affinity(declared: &str) -> &'static str {
    let declared = declared.to_ascii_uppercase();
    let has = |word: &str| declared.contains(word);
    if has("INT") {
        "INTEGER"
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        "TEXT"
    } else if has("BLOB") || declared.is_empty() || declared == "ANY" {
        "BLOB"
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        "REAL"
    } else {
        "NUMERIC"
    }
}

/// A name in brackets: in double quotes SQLite would take the name of a missing column for a text.
pub(super) fn name(name: &Identifier) -> String {
    format!("[{name}]")
}

/// Two outputs: class and text. `!.17g` prints enough digits for every double; casting would print fifteen.
pub(super) fn select(column: &Identifier) -> String {
    let c = name(column);
    format!(
        "typeof({c}), CASE typeof({c}) WHEN 'real' THEN printf('%!.17g', {c}) WHEN 'blob' THEN '\\x' || lower(hex({c})) ELSE CAST({c} AS TEXT) END"
    )
}

pub(super) fn scalar(column: &Identifier, cell: &Cell) -> Result<Scalar> {
    let unreadable = |reason: &str| Error::new(Code::ValueNotReadable).with("column", column).with("reason", reason);
    let Some(text) = &cell.text else {
        return if cell.class == "null" { Ok(Scalar::Null) } else { Err(unreadable("it has a class and no text")) };
    };
    match cell.class.as_str() {
        "integer" => text.parse().map(Scalar::Int).map_err(|_| unreadable("not an integer")),
        "real" => Ok(Scalar::Decimal(real_text(text.parse().map_err(|_| unreadable("not a finite number"))?))),
        "text" | "blob" => Ok(Scalar::Text(text.clone())),
        _ => Err(unreadable("unknown storage class")),
    }
}

/// A double with the fewest digits that read back to it, always recognisable as one: `10.5`, `3.0`, `1e+300`.
fn real_text(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() };
    }
    format!("{value:?}").replace("e", "e+").replace("e+-", "e-")
}

pub(super) fn normalise(column: &Identifier, column_type: &ColumnType, value: &Scalar) -> Result<Normal> {
    let refuse = || Error::new(Code::ValueNotRepresentable).with("column", column).with("type", column_type.as_str());
    let normal = |class: &str, value: Scalar| Ok(Normal { class: class.to_owned(), value });
    if column_type.as_str() == "BLOB" {
        return Err(Error::new(Code::ColumnTypeMixed)
            .with("column", column)
            .with("declared", "without a type that decides")
            .with("class", "any"));
    }
    let text = match value {
        Scalar::Null => return normal("null", Scalar::Null),
        Scalar::Bool(_) if column_type.as_str() == "TEXT" => return Err(refuse()),
        Scalar::Bool(value) => u8::from(*value).to_string(),
        other => other.to_text().unwrap_or_default(),
    };
    if text.contains('\0') {
        return Err(refuse());
    }
    match column_type.as_str() {
        "TEXT" => normal("text", Scalar::Text(text)),
        "INTEGER" => normal("integer", Scalar::Int(integer(&text).ok_or_else(refuse)?)),
        "REAL" => normal("real", Scalar::Decimal(real(&text).ok_or_else(refuse)?)),
        // NUMERIC stores an integer where it can (also for `3.0` and `1e3`), and a double otherwise.
        _ => {
            let shown = match integer(&text) {
                Some(value) => return normal("integer", Scalar::Int(value)),
                None => real(&text).ok_or_else(refuse)?,
            };
            match shown.strip_suffix(".0").and_then(integer) {
                Some(value) => normal("integer", Scalar::Int(value)),
                None => normal("real", Scalar::Decimal(shown)),
            }
        }
    }
}

/// The integer that this text writes in its plain form, and in no other (`7`, not `07`, `+7` or `7.0`).
fn integer(text: &str) -> Option<i64> {
    text.parse::<i64>().ok().filter(|value| value.to_string() == text)
}

/// The text of the double that equals this decimal exactly as read back; `None` if the nearest double is another number.
fn real(text: &str) -> Option<String> {
    // Adding zero turns -0 into the 0 that SQLite stores for it.
    let value = text.parse::<f64>().ok().filter(|value| value.is_finite())? + 0.0;
    let shown = real_text(value);
    let equal = compare_decimals(&shown, text)? == std::cmp::Ordering::Equal;
    // Beyond 2^53 the shown digits are not the digits stored.
    (equal && value.abs() < 9_007_199_254_740_992.0).then_some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column() -> Identifier {
        Identifier::new("c").unwrap()
    }

    #[test]
    fn affinities_follow_the_order_of_the_rules() {
        for (declared, expected) in [
            ("INTEGER", "INTEGER"),
            ("bigint", "INTEGER"),
            ("CHARINT", "INTEGER"),
            ("varchar(20)", "TEXT"),
            ("TEXT", "TEXT"),
            ("", "BLOB"),
            ("BLOB", "BLOB"),
            ("ANY", "BLOB"),
            ("double precision", "REAL"),
            ("FLOATING POINT", "INTEGER"),
            ("numeric(10,2)", "NUMERIC"),
            ("timestamptz", "NUMERIC"),
            ("boolean", "NUMERIC"),
        ] {
            assert_eq!(affinity(declared), expected, "{declared}");
        }
    }

    #[test]
    fn a_value_is_kept_exactly_or_refused() {
        let normal = |kind: &str, value: Scalar| normalise(&column(), &ColumnType::sqlite(kind), &value);
        let ok =
            |kind: &str, value: Scalar| normal(kind, value).map(|n| (n.class, n.value.to_json().to_string())).unwrap();
        assert_eq!(ok("INTEGER", Scalar::Int(0)), ("integer".into(), "0".into()));
        assert_eq!(ok("INTEGER", Scalar::from("42")), ("integer".into(), "42".into()));
        assert_eq!(ok("INTEGER", Scalar::Bool(true)), ("integer".into(), "1".into()));
        assert_eq!(
            ok("INTEGER", Scalar::Int(9_007_199_254_740_993)),
            ("integer".into(), "\"9007199254740993\"".into())
        );
        assert_eq!(ok("TEXT", Scalar::Int(7)), ("text".into(), "\"7\"".into()));
        assert_eq!(ok("REAL", Scalar::Int(5)), ("real".into(), "\"5.0\"".into()));
        assert_eq!(ok("NUMERIC", Scalar::Decimal("10.50".into())), ("real".into(), "\"10.5\"".into()));
        assert_eq!(ok("NUMERIC", Scalar::Decimal("1e3".into())), ("integer".into(), "1000".into()));
        assert_eq!(ok("NUMERIC", Scalar::Decimal("-0.0".into())), ("integer".into(), "0".into()));
        assert_eq!(ok("REAL", Scalar::Decimal("-0.0".into())), ("real".into(), "\"0.0\"".into()));
        assert_eq!(ok("TEXT", Scalar::Null), ("null".into(), "null".into()));
        for (kind, value) in [
            ("INTEGER", Scalar::from("abc")),
            ("INTEGER", Scalar::from("007")),
            ("INTEGER", Scalar::from(" 7")),
            ("INTEGER", Scalar::Decimal("1.5".into())),
            ("INTEGER", Scalar::UInt(u64::MAX)),
            ("REAL", Scalar::Decimal("0.12345678901234567890123".into())),
            ("REAL", Scalar::Int(9_007_199_254_740_993)),
            ("REAL", Scalar::Decimal("1e400".into())),
            ("TEXT", Scalar::Bool(true)),
            ("TEXT", Scalar::from("a\0b")),
        ] {
            assert_eq!(
                normal(kind, value.clone()).unwrap_err().code(),
                Code::ValueNotRepresentable,
                "{kind} {value:?}"
            );
        }
        assert_eq!(normal("BLOB", Scalar::Int(1)).unwrap_err().code(), Code::ColumnTypeMixed);
    }

    #[test]
    fn reals_show_the_fewest_exact_digits() {
        for (stored, shown) in [
            ("0.10000000000000001", "0.1"),
            ("3.0", "3.0"),
            ("1.0000000000000001e+300", "1e+300"),
            ("-2.5e-10", "-2.5e-10"),
        ] {
            let cell = Cell { class: "real".into(), text: Some(stored.into()) };
            assert_eq!(scalar(&column(), &cell).unwrap(), Scalar::Decimal(shown.into()));
        }
    }
}
