//! Canonical JSON: RFC 8785 (JCS), written from the rules in its section 3, straight from what is to be written.

use std::cmp::Ordering;
use std::fmt;

use serde::Serialize;
use serde::ser::{self, Impossible, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple, SerializeTupleStruct};

use super::scalar::MAX_SAFE_INTEGER;
use crate::error::{Code, Error, Result};

/// The canonical bytes of a JSON value or of a document, as text: keys sorted by UTF-16 code units, no white space,
/// ECMAScript numbers.
///
/// # Errors
/// `NUMBER_NOT_EXACT` for an integer beyond ±(2^53−1) and for a number that is not finite: JCS would merge it with its
/// neighbours. `INTERNAL` for what is no JSON: a key that is no text or stands twice, a variant with several fields.
///
/// ```
/// let value = serde_json::json!({"b": 1.50, "a": [true, null]});
/// assert_eq!(signoff::primitives::canonical(&value)?, r#"{"a":[true,null],"b":1.5}"#);
/// # Ok::<(), signoff::Error>(())
/// ```
pub fn canonical<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    // Only ASCII was put between texts.
    String::from_utf8(write(value, None)?).map_err(|_| Failed::because("it is not text").0)
}

/// The canonical bytes of a document without one of its own members.
pub(crate) fn canonical_without<T: Serialize + ?Sized>(value: &T, member: &str) -> Result<Vec<u8>> {
    write(value, Some(member))
}

fn write<T: Serialize + ?Sized>(value: &T, without: Option<&str>) -> Result<Vec<u8>> {
    let mut writer =
        Writer { out: Vec::with_capacity(1024), entries: Vec::new(), sorted: Vec::new(), depth: 0, without };
    value.serialize(&mut writer).map_err(|failed| failed.0)?;
    Ok(writer.out)
}

/// Why something has no canonical form, as serde wants it.
#[derive(Debug)]
struct Failed(Error);

impl Failed {
    fn because(problem: impl fmt::Display) -> Self {
        Self(Error::new(Code::Internal).with("detail", format!("canonical JSON: {problem}")))
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl std::error::Error for Failed {}

impl ser::Error for Failed {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self::because(problem)
    }
}

type Done<T = ()> = std::result::Result<T, Failed>;

/// A member of an object, by where it was written.
#[derive(Clone, Copy)]
struct Entry {
    start: usize,
    key_end: usize,
    end: usize,
}

struct Writer<'a> {
    out: Vec<u8>,
    /// The members of every object that is open, one object after the other.
    entries: Vec<Entry>,
    /// Where members are put in order.
    sorted: Vec<u8>,
    /// How many objects and arrays are open.
    depth: usize,
    /// The member of the outermost object that is left out.
    without: Option<&'a str>,
}

impl Writer<'_> {
    fn integer(&mut self, text: &str, magnitude: u128) -> Done {
        if magnitude > u128::from(MAX_SAFE_INTEGER) {
            return Err(Failed(Code::NumberNotExact.into()));
        }
        self.out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn open(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.depth += 1;
    }

    fn close(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.depth -= 1;
    }

    /// What was written of a key, without its quotes.
    fn key(&self, entry: Entry) -> &[u8] {
        self.out.get(entry.start + 1..entry.key_end - 1).unwrap_or_default()
    }

    /// By UTF-16 code units. UTF-8 has the same order up to U+D7FF, which is all but few keys.
    fn compare(&self, left: Entry, right: Entry) -> Ordering {
        let (left, right) = (self.key(left), self.key(right));
        let plain = |key: &[u8]| key.iter().all(|byte| *byte < 0xee && *byte != b'\\');
        if plain(left) && plain(right) {
            return left.cmp(right);
        }
        let units = |key: &[u8]| -> Vec<u16> {
            let quoted = [b"\"", key, b"\""].concat();
            serde_json::from_slice::<String>(&quoted).unwrap_or_default().encode_utf16().collect()
        };
        units(left).cmp(&units(right))
    }
}

/// An object that is being written; its members are put in order when it ends.
struct Object<'w, 'a> {
    writer: &'w mut Writer<'a>,
    /// Where its bracket stands.
    start: usize,
    /// The first of its members.
    first: usize,
}

impl Object<'_, '_> {
    fn name<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        let writer = &mut *self.writer;
        if writer.entries.len() > self.first {
            writer.out.push(b',');
        }
        let start = writer.out.len();
        key.serialize(&mut *writer)?;
        let key_end = writer.out.len();
        if writer.out.get(start) != Some(&b'"') {
            return Err(Failed::because("a key is no text"));
        }
        writer.out.push(b':');
        writer.entries.push(Entry { start, key_end, end: key_end });
        Ok(())
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        value.serialize(&mut *self.writer)?;
        let end = self.writer.out.len();
        if let Some(entry) = self.writer.entries.last_mut() {
            entry.end = end;
        }
        Ok(())
    }

    fn end_object(self) -> Done {
        let writer = self.writer;
        let mut mine = writer.entries.split_off(self.first);
        let outermost = writer.depth == 1;
        let before = mine.len();
        if let Some(member) = writer.without.filter(|_| outermost) {
            mine.retain(|entry| writer.key(*entry) != member.as_bytes());
        }
        let in_order = mine.is_sorted_by(|left, right| writer.compare(*left, *right) == Ordering::Less);
        if !in_order {
            mine.sort_by(|left, right| writer.compare(*left, *right));
            let twice =
                mine.iter().zip(mine.iter().skip(1)).any(|(one, next)| writer.compare(*one, *next) == Ordering::Equal);
            if twice {
                return Err(Failed::because("a key stands twice"));
            }
        }
        if !in_order || mine.len() < before {
            writer.sorted.clear();
            for (index, entry) in mine.iter().enumerate() {
                if index > 0 {
                    writer.sorted.push(b',');
                }
                writer.sorted.extend_from_slice(writer.out.get(entry.start..entry.end).unwrap_or_default());
            }
            writer.out.truncate(self.start + 1);
            writer.out.extend_from_slice(&writer.sorted);
        }
        writer.close(b'}');
        Ok(())
    }
}

impl SerializeMap for Object<'_, '_> {
    type Ok = ();
    type Error = Failed;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        self.name(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.value(value)
    }

    fn end(self) -> Done {
        self.end_object()
    }
}

impl SerializeStruct for Object<'_, '_> {
    type Ok = ();
    type Error = Failed;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Done {
        self.name(key)?;
        self.value(value)
    }

    fn end(self) -> Done {
        self.end_object()
    }
}

/// An array that is being written.
struct Array<'w, 'a> {
    writer: &'w mut Writer<'a>,
    any: bool,
}

impl Array<'_, '_> {
    fn item<T: Serialize + ?Sized>(&mut self, item: &T) -> Done {
        if self.any {
            self.writer.out.push(b',');
        }
        self.any = true;
        item.serialize(&mut *self.writer)
    }
}

impl SerializeSeq for Array<'_, '_> {
    type Ok = ();
    type Error = Failed;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, item: &T) -> Done {
        self.item(item)
    }

    fn end(self) -> Done {
        self.writer.close(b']');
        Ok(())
    }
}

impl SerializeTuple for Array<'_, '_> {
    type Ok = ();
    type Error = Failed;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, item: &T) -> Done {
        self.item(item)
    }

    fn end(self) -> Done {
        SerializeSeq::end(self)
    }
}

impl SerializeTupleStruct for Array<'_, '_> {
    type Ok = ();
    type Error = Failed;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, item: &T) -> Done {
        self.item(item)
    }

    fn end(self) -> Done {
        SerializeSeq::end(self)
    }
}

/// Integers of every width.
macro_rules! integers {
    ($($name:ident: $type:ty => $magnitude:expr),* $(,)?) => {
        $(fn $name(self, value: $type) -> Done {
            let magnitude: u128 = $magnitude(value);
            self.integer(&value.to_string(), magnitude)
        })*
    };
}

impl<'w, 'a> ser::Serializer for &'w mut Writer<'a> {
    type Ok = ();
    type Error = Failed;
    type SerializeSeq = Array<'w, 'a>;
    type SerializeTuple = Array<'w, 'a>;
    type SerializeTupleStruct = Array<'w, 'a>;
    type SerializeTupleVariant = Impossible<(), Failed>;
    type SerializeMap = Object<'w, 'a>;
    type SerializeStruct = Object<'w, 'a>;
    type SerializeStructVariant = Impossible<(), Failed>;

    integers! {
        serialize_i8: i8 => |value: i8| value.unsigned_abs().into(),
        serialize_i16: i16 => |value: i16| value.unsigned_abs().into(),
        serialize_i32: i32 => |value: i32| value.unsigned_abs().into(),
        serialize_i64: i64 => |value: i64| value.unsigned_abs().into(),
        serialize_i128: i128 => |value: i128| value.unsigned_abs(),
        serialize_u8: u8 => u128::from,
        serialize_u16: u16 => u128::from,
        serialize_u32: u32 => u128::from,
        serialize_u64: u64 => u128::from,
        serialize_u128: u128 => |value: u128| value,
    }

    fn serialize_bool(self, value: bool) -> Done {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Done {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Done {
        self.out.extend_from_slice(canonical_number(value).map_err(Failed)?.as_bytes());
        Ok(())
    }

    fn serialize_char(self, value: char) -> Done {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Done {
        escape(value, &mut self.out);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Done {
        self.collect_seq(value)
    }

    fn serialize_none(self) -> Done {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Done {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Done {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Done {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Done {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Done {
        self.collect_map([(variant, value)])
    }

    fn serialize_seq(self, _: Option<usize>) -> Done<Array<'w, 'a>> {
        self.open(b'[');
        Ok(Array { writer: self, any: false })
    }

    fn serialize_tuple(self, _: usize) -> Done<Array<'w, 'a>> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Done<Array<'w, 'a>> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Done<Self::SerializeTupleVariant> {
        Err(Failed::because("a variant with several fields"))
    }

    fn serialize_map(self, _: Option<usize>) -> Done<Object<'w, 'a>> {
        let (start, first) = (self.out.len(), self.entries.len());
        self.open(b'{');
        Ok(Object { writer: self, start, first })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Done<Object<'w, 'a>> {
        self.serialize_map(None)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Done<Self::SerializeStructVariant> {
        Err(Failed::because("a variant with several fields"))
    }
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

    #[derive(Serialize)]
    struct Document {
        z: Inner,
        #[serde(skip_serializing_if = "Option::is_none")]
        absent: Option<u8>,
        empty: Option<u8>,
        #[serde(flatten)]
        more: std::collections::BTreeMap<String, serde_json::Value>,
        kind: Kind,
        a: Vec<Inner>,
    }

    #[derive(Serialize, Clone)]
    struct Inner {
        two: (u8, char),
        one: f64,
    }

    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Plain,
        With(i64),
    }

    fn document(kind: Kind, more: serde_json::Value) -> Document {
        let inner = Inner { two: (2, '"'), one: -0.0 };
        let more = serde_json::from_value(more).unwrap();
        Document { z: inner.clone(), absent: None, empty: None, more, kind, a: vec![inner.clone(), inner] }
    }

    #[test]
    fn a_document_is_written_as_its_value_would_be() {
        let more =
            json!({"m": {"y": 1, "b": [{"d": 1, "c": 2}]}, "\u{fb33}": 1, "\u{1f602}": {}, "q\"": [], "back\\": "\n"});
        for kind in [Kind::Plain, Kind::With(-7)] {
            let document = document(kind, more.clone());
            let value = serde_json::to_value(&document).unwrap();
            let text = canonical(&document).unwrap();
            assert_eq!(text, canonical(&value).unwrap());
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&text).unwrap()["z"],
                json!({"one": 0, "two": [2, "\""]})
            );
            for member in ["z", "a", "kind", "m", "no such"] {
                let mut rest = value.clone();
                rest.as_object_mut().unwrap().remove(member);
                let without = String::from_utf8(canonical_without(&document, member).unwrap()).unwrap();
                assert_eq!(without, canonical(&rest).unwrap(), "{member}");
            }
        }
        // Only the outermost object's own member is left out.
        assert_eq!(canonical_without(&json!({"a": {"b": 1}, "b": 2}), "b").unwrap(), br#"{"a":{"b":1}}"#);
        assert_eq!(canonical_without(&json!({"b": 2}), "b").unwrap(), b"{}");
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let twice = document(Kind::Plain, json!({"kind": 1}));
        assert_eq!(canonical(&twice).unwrap_err().code(), Code::Internal);
        assert_eq!(canonical(&std::collections::BTreeMap::from([(1, 2)])).unwrap_err().code(), Code::Internal);
        assert_eq!(canonical(&f32::NAN).unwrap_err().code(), Code::NumberNotExact);
        assert_eq!(canonical(&[u128::MAX]).unwrap_err().code(), Code::NumberNotExact);
        assert_eq!(canonical(&Some(())).unwrap(), "null");
    }
}
