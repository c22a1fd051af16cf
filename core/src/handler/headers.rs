//! The headers that mean something here: each at most once, printable, of bounded length.

use std::fmt;

use crate::error::{Code, Error, Result};

/// A header that means something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    WebhookId,
    WebhookTimestamp,
    WebhookSignature,
    Signature,
    IssuedAt,
    ProposalId,
    IdempotencyKey,
    Authorization,
}

/// In the order of [`Name`], in lower case.
const KNOWN: [(Name, &str); 8] = [
    (Name::WebhookId, "webhook-id"),
    (Name::WebhookTimestamp, "webhook-timestamp"),
    (Name::WebhookSignature, "webhook-signature"),
    (Name::Signature, "x-synapsor-signature"),
    (Name::IssuedAt, "x-synapsor-issued-at"),
    (Name::ProposalId, "x-synapsor-proposal-id"),
    (Name::IdempotencyKey, "idempotency-key"),
    (Name::Authorization, "authorization"),
];

impl Name {
    pub(super) fn as_str(self) -> &'static str {
        KNOWN.get(self as usize).map_or("", |(_, text)| text)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The longest value: room for sixteen signatures, or for a token.
const LONGEST: usize = 4_096;

/// The known headers of one request, their values one after the other. One may be a credential: it does not print.
#[derive(Clone, Default)]
pub(super) struct Headers {
    values: String,
    places: [Option<(u16, u16)>; KNOWN.len()],
}

impl Headers {
    /// Picks the known ones, whatever the case of their names.
    pub(super) fn read<N: AsRef<[u8]>, V: AsRef<[u8]>>(lines: impl IntoIterator<Item = (N, V)>) -> Result<Self> {
        let mut headers = Self { values: String::with_capacity(512), places: [None; KNOWN.len()] };
        for (name, value) in lines {
            let name = name.as_ref();
            let Some(((known, _), place)) = KNOWN
                .iter()
                .zip(&mut headers.places)
                .find(|((_, known), _)| known.as_bytes().eq_ignore_ascii_case(name))
            else {
                continue;
            };
            if place.is_some() {
                return Err(Error::new(Code::HeaderDuplicated).with("header", known));
            }
            // Eight values of at most 4096 bytes: their places fit.
            let end = |values: &str| u16::try_from(values.len()).unwrap_or(u16::MAX);
            let start = end(&headers.values);
            headers.values.push_str(text(*known, value.as_ref())?);
            *place = Some((start, end(&headers.values)));
        }
        Ok(headers)
    }

    pub(super) fn get(&self, name: Name) -> Option<&str> {
        let (start, end) = (*self.places.get(name as usize)?)?;
        self.values.get(usize::from(start)..usize::from(end))
    }
}

/// RFC 9110, section 5.5, without `obs-text`: visible ASCII with spaces and tabs inside.
pub(super) fn text(header: Name, value: &[u8]) -> Result<&str> {
    let value = value.trim_ascii();
    if value.len() > LONGEST {
        return Err(malformed(header, "longer than 4096 bytes"));
    }
    // Without an early end, so that many bytes are looked at in one instruction.
    let printable = value.iter().fold(true, |all, byte| all & (matches!(byte, b' '..=b'~') | (*byte == b'\t')));
    std::str::from_utf8(value).ok().filter(|_| printable).ok_or_else(|| malformed(header, "not printable ASCII"))
}

pub(super) fn malformed(header: Name, reason: &str) -> Error {
    Error::new(Code::HeaderInvalid).with("header", header).with("reason", reason)
}

impl fmt::Debug for Headers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let present = KNOWN.iter().zip(&self.places).filter(|(_, place)| place.is_some()).map(|((_, name), _)| name);
        formatter.debug_set().entries(present).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_stands_at_its_place() {
        for (index, (name, text)) in KNOWN.iter().enumerate() {
            assert_eq!((*name as usize, name.as_str()), (index, *text));
        }
    }

    #[test]
    fn names_have_no_case_and_a_line_stands_once() {
        let headers = Headers::read([("Webhook-ID", " a\t"), ("accept", "\u{1}"), ("x", "y")]).unwrap();
        assert_eq!((headers.get(Name::WebhookId), headers.get(Name::Signature)), (Some("a"), None));
        let twice = Headers::read([("webhook-id", "a"), ("WEBHOOK-ID", "a")]).unwrap_err();
        assert_eq!((twice.code(), twice.field("header")), (Code::HeaderDuplicated, Some("webhook-id")));
        assert!(Headers::read([("accept", "a"), ("accept", "b")]).is_ok(), "not ours");
        for bad in ["a\u{0}b", "a\nb", "é", &"x".repeat(4_097)] {
            assert_eq!(Headers::read([("webhook-id", bad)]).unwrap_err().code(), Code::HeaderInvalid);
        }
        assert!(Headers::read([("webhook-id".as_bytes(), &b"\xff"[..])]).is_err());
        let planted = Headers::read([("authorization", "Bearer planted")]).unwrap();
        assert_eq!(format!("{planted:?}"), "{\"authorization\"}");
    }
}
