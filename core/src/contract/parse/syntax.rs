//! A text that is not a JSON tree: the reader's error as a finding, with its place.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::reader::Findings;
use crate::contract::diagnostics as d;
use crate::error::{Code, Error, printable};
use crate::primitives::json;

/// Reports what [`json::parse`] refused.
pub(super) fn report(findings: &mut Findings<'_>, text: &str, error: &Error) {
    let number = |field| error.field(field).and_then(|value| value.parse().ok()).unwrap_or(1);
    match error.code() {
        Code::JsonDuplicateKey => {
            let object = error.field("pointer").filter(|at| at.starts_with('/')).unwrap_or_default();
            let key = error.field("key").unwrap_or_default();
            let (line, column) = second(text, object, key).map_or((1, 1), |offset| json::line_column(text, offset));
            let message = format!("key `{}` stands twice in one object", printable(key));
            findings.push_at(&d::JSON_DUPLICATE_KEY, json::pointer(object, key), line, column, message, None);
        }
        Code::JsonTooDeep => findings.push_at(&d::JSON_TOO_DEEP, String::new(), 1, 1, error.message(), None),
        _ => {
            let (line, column) = (number("line").max(1), number("column").max(1));
            let message = format!("not JSON: {}", printable(error.field("problem").unwrap_or("it cannot be read")));
            findings.push_at(&d::JSON_INVALID, String::new(), line, column, message, None);
        }
    }
}

/// The offset of the value of the second `key` in the object at `pointer`.
fn second(text: &str, pointer: &str, key: &str) -> Option<usize> {
    let mut raw: &RawValue = serde_json::from_str(text).ok()?;
    for segment in pointer.split('/').skip(1) {
        let name = segment.replace("~1", "/").replace("~0", "~");
        raw = match raw.get().as_bytes().first()? {
            b'{' => members(raw)?.into_iter().find(|(key, _)| *key == name)?.1,
            _ => serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok()?.into_iter().nth(name.parse().ok()?)?,
        };
    }
    let value = members(raw)?.into_iter().filter(|(name, _)| name == key).nth(1)?.1;
    // The raw text is a slice of `text`, so the distance of the two pointers is the offset.
    (value.get().as_ptr() as usize).checked_sub(text.as_ptr() as usize)
}

fn members(raw: &RawValue) -> Option<Vec<(String, &RawValue)>> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, &'de RawValue)>;
        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = map.next_entry()? {
                entries.push(entry);
            }
            Ok(entries)
        }
    }
    serde_json::Deserializer::from_str(raw.get()).deserialize_map(Members).ok()
}
