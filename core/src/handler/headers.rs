//! The headers that mean something here: each at most once, printable, of bounded length.

use std::fmt;

use crate::error::{Code, Error, Result};

pub(super) const WEBHOOK_ID: &str = "webhook-id";
pub(super) const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
pub(super) const WEBHOOK_SIGNATURE: &str = "webhook-signature";
pub(super) const SIGNATURE: &str = "x-synapsor-signature";
pub(super) const ISSUED_AT: &str = "x-synapsor-issued-at";
pub(super) const PROPOSAL_ID: &str = "x-synapsor-proposal-id";
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";
pub(super) const AUTHORIZATION: &str = "authorization";

const KNOWN: [&str; 8] = [
    WEBHOOK_ID,
    WEBHOOK_TIMESTAMP,
    WEBHOOK_SIGNATURE,
    SIGNATURE,
    ISSUED_AT,
    PROPOSAL_ID,
    IDEMPOTENCY_KEY,
    AUTHORIZATION,
];

/// The longest value: room for sixteen signatures, or for a token.
const LONGEST: usize = 4_096;

/// The known headers of one request, their values one after the other. One may be a credential: it does not print.
#[derive(Clone, Default)]
pub(super) struct Headers {
    values: String,
    places: [Option<(usize, usize)>; KNOWN.len()],
}

impl Headers {
    /// Picks the known ones, whatever the case of their names.
    pub(super) fn read<N: AsRef<[u8]>, V: AsRef<[u8]>>(lines: impl IntoIterator<Item = (N, V)>) -> Result<Self> {
        let mut headers = Self { values: String::with_capacity(512), places: [None; KNOWN.len()] };
        for (name, value) in lines {
            let Some((known, place)) = KNOWN
                .iter()
                .zip(&mut headers.places)
                .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name.as_ref()))
            else {
                continue;
            };
            if place.is_some() {
                return Err(Error::new(Code::HeaderDuplicated).with("header", known));
            }
            let start = headers.values.len();
            headers.values.push_str(text(known, value.as_ref())?);
            *place = Some((start, headers.values.len()));
        }
        Ok(headers)
    }

    pub(super) fn get(&self, name: &'static str) -> Option<&str> {
        let (start, end) = KNOWN.iter().zip(self.places).find(|(known, _)| **known == name)?.1?;
        self.values.get(start..end)
    }
}

/// RFC 9110, section 5.5, without `obs-text`: visible ASCII with spaces and tabs inside.
pub(super) fn text<'v>(header: &str, value: &'v [u8]) -> Result<&'v str> {
    let value = value.trim_ascii();
    if value.len() > LONGEST {
        return Err(malformed(header, "longer than 4096 bytes"));
    }
    match std::str::from_utf8(value) {
        Ok(text) if text.bytes().all(|b| b.is_ascii_graphic() || matches!(b, b' ' | b'\t')) => Ok(text),
        _ => Err(malformed(header, "not printable ASCII")),
    }
}

pub(super) fn malformed(header: &str, reason: &str) -> Error {
    Error::new(Code::HeaderInvalid).with("header", header).with("reason", reason)
}

impl fmt::Debug for Headers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let present = KNOWN.iter().zip(&self.places).filter(|(_, place)| place.is_some()).map(|(name, _)| name);
        formatter.debug_set().entries(present).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_case_and_a_line_stands_once() {
        let headers = Headers::read([("Webhook-ID", " a\t"), ("accept", "\u{1}"), ("x", "y")]).unwrap();
        assert_eq!((headers.get(WEBHOOK_ID), headers.get(SIGNATURE)), (Some("a"), None));
        let twice = Headers::read([("webhook-id", "a"), ("WEBHOOK-ID", "a")]).unwrap_err();
        assert_eq!((twice.code(), twice.field("header")), (Code::HeaderDuplicated, Some(WEBHOOK_ID)));
        assert!(Headers::read([("accept", "a"), ("accept", "b")]).is_ok(), "not ours");
        for bad in ["a\u{0}b", "a\nb", "é", &"x".repeat(4_097)] {
            assert_eq!(Headers::read([("webhook-id", bad)]).unwrap_err().code(), Code::HeaderInvalid);
        }
        assert!(Headers::read([("webhook-id".as_bytes(), &b"\xff"[..])]).is_err());
        let planted = Headers::read([("authorization", "Bearer planted")]).unwrap();
        assert_eq!(format!("{planted:?}"), "{\"authorization\"}");
    }
}
