//! Canonical JSON: RFC 8785 (JCS), written from the rules in its section 3.

use std::fmt::Write as _;

use serde_json::Value;

use super::scalar::MAX_SAFE_INTEGER;
use crate::error::{Code, Result};

/// The canonical bytes of a JSON value, as text: keys sorted by UTF-16 code units, no white space, ECMAScript numbers.
///
/// # Errors
/// `NUMBER_NOT_EXACT` for an integer beyond ±(2^53−1) and for a number that is not finite: JCS would merge it with its
/// neighbours.
///
/// ```
/// let value = serde_json::json!({"b": 1.50, "a": [true, null]});
/// assert_eq!(signoff::primitives::canonical(&value)?, r#"{"a":[true,null],"b":1.5}"#);
/// # Ok::<(), signoff::Error>(())
/// ```
pub fn canonical(value: &Value) -> Result<String> {
    let mut out = String::with_capacity(256);
    write_value(value, &mut out)?;
    Ok(out)
}

fn write_value(value: &Value, out: &mut String) -> Result<()> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => {
            if let Some(integer) = number.as_i64() {
                if integer.unsigned_abs() > MAX_SAFE_INTEGER {
                    return Err(Code::NumberNotExact.into());
                }
                // Writing into a String cannot fail.
                let _ = write!(out, "{integer}");
            } else if number.is_u64() {
                return Err(Code::NumberNotExact.into());
            } else {
                out.push_str(&canonical_number(number.as_f64().unwrap_or(f64::NAN))?);
            }
        }
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(item, out)?;
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            let mut separator = "";
            let mut entry = |(key, item): (&String, &Value)| {
                out.push_str(separator);
                separator = ",";
                write_string(key, out);
                out.push(':');
                write_value(item, out)
            };
            // The map is in the order of UTF-8, which is that of UTF-16 up to U+D7FF: all but few keys.
            if map.keys().all(|key| key.bytes().all(|byte| byte < 0xee)) {
                map.iter().try_for_each(&mut entry)?;
            } else {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_by(|(left, _), (right, _)| left.encode_utf16().cmp(right.encode_utf16()));
                entries.into_iter().try_for_each(&mut entry)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    // What needs no escape is taken in one piece.
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || matches!(byte, b'"' | b'\\')) {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        match special.bytes().next() {
            Some(b'"') => out.push_str("\\\""),
            Some(b'\\') => out.push_str("\\\\"),
            Some(0x8) => out.push_str("\\b"),
            Some(b'\t') => out.push_str("\\t"),
            Some(b'\n') => out.push_str("\\n"),
            Some(0xc) => out.push_str("\\f"),
            Some(b'\r') => out.push_str("\\r"),
            control => {
                out.push_str("\\u00");
                out.push_str(&hex::encode([control.unwrap_or(0)]));
            }
        }
        rest = special.get(1..).unwrap_or_default();
    }
    out.push_str(rest);
    out.push('"');
}

/// A finite double as ECMAScript prints it (RFC 8785 section 3.2.2.3).
///
/// # Errors
/// `NUMBER_NOT_EXACT` for NaN and the infinities.
pub fn canonical_number(value: f64) -> Result<String> {
    if value.is_finite() {
        Ok(ryu_js::Buffer::new().format_finite(value).to_owned())
    } else {
        Err(Code::NumberNotExact.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn integers_beyond_2_53_are_refused_not_merged() {
        for value in [json!(9_007_199_254_740_992_i64), json!(-9_007_199_254_740_992_i64), json!(u64::MAX)] {
            assert_eq!(canonical(&json!({ "v": value })).unwrap_err().code(), Code::NumberNotExact);
        }
        assert_eq!(canonical(&json!(9_007_199_254_740_991_i64)).unwrap(), "9007199254740991");
        assert_eq!(canonical_number(f64::INFINITY).unwrap_err().code(), Code::NumberNotExact);
    }

    #[test]
    fn keys_sort_by_utf16_and_controls_escape_short() {
        let value = json!({"\u{fb33}": 1, "\u{1f602}": 2, "\r": 3, "a\u{1}\u{7f}": "\u{8}\u{1f}\"\\"});
        assert_eq!(
            canonical(&value).unwrap(),
            "{\"\\r\":3,\"a\\u0001\u{7f}\":\"\\b\\u001f\\\"\\\\\",\"\u{1f602}\":2,\"\u{fb33}\":1}"
        );
    }
}
