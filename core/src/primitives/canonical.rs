//! Canonical JSON: RFC 8785 (JCS), written from the rules in its section 3.

use serde_json::Value;

use super::scalar::MAX_SAFE_INTEGER;
use crate::error::{Code, Error, Result};

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
    let mut out = Vec::with_capacity(256);
    write(value, &mut out)?;
    // Only ASCII was put between texts.
    String::from_utf8(out).map_err(|_| Error::new(Code::Internal).with("detail", "canonical JSON is not text"))
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<()> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => {
            if let Some(integer) = number.as_i64() {
                if integer.unsigned_abs() > MAX_SAFE_INTEGER {
                    return Err(Code::NumberNotExact.into());
                }
                out.extend_from_slice(integer.to_string().as_bytes());
            } else if number.is_u64() {
                return Err(Code::NumberNotExact.into());
            } else {
                out.extend_from_slice(canonical_number(number.as_f64().unwrap_or(f64::NAN))?.as_bytes());
            }
        }
        Value::String(text) => escape(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(map) => {
            out.push(b'{');
            let mut first = true;
            let mut entry = |(key, item): (&String, &Value)| {
                if !first {
                    out.push(b',');
                }
                first = false;
                escape(key, out);
                out.push(b':');
                write(item, out)
            };
            // The map is in the order of UTF-8, which is that of UTF-16 up to U+D7FF: all but few keys.
            if map.keys().all(|key| key.bytes().all(|byte| byte < 0xee)) {
                map.iter().try_for_each(&mut entry)?;
            } else {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_by(|(left, _), (right, _)| left.encode_utf16().cmp(right.encode_utf16()));
                entries.into_iter().try_for_each(&mut entry)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

/// A text as a canonical JSON string.
pub(crate) fn escape(text: impl AsRef<[u8]>, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_ref();
    // Most of a text needs no escape: it is copied in runs.
    while let Some(at) = rest.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\') {
        let Some((plain, [special, after @ ..])) = rest.split_at_checked(at) else { break };
        out.extend_from_slice(plain);
        match special {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            control => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(hex::encode([*control]).as_bytes());
            }
        }
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
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
