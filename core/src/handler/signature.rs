//! Signing a request and verifying one, under two schemes.
//!
//! | | Standard Webhooks ([specification](https://www.standardwebhooks.com)) | Synapsor Runner v1 |
//! |---|---|---|
//! | signed | `webhook-id` `.` `webhook-timestamp` `.` body | body |
//! | header | `webhook-signature: v1,` base64, several with a space between | `X-Synapsor-Signature: sha256=` hex |
//! | time | `webhook-timestamp`, seconds since 1970, signed | `issued_at` in the body, equal to `X-Synapsor-Issued-At` |
//!
//! The order of checks: size, form of the headers, signature, time; only then is the first byte of the body read as JSON.
//! The type says so: only a [`Verified`] body has a job.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::Choice;

use super::headers::{self, Headers, Name, malformed};
use super::request::{self, Job};
use super::secrets::{Policy, SigningSecrets};
use crate::error::{Code, Error, Result};
use crate::primitives::json::{self, Node};
use crate::primitives::{HmacKey, Instant};

/// The longest body that is looked at, in bytes: 1 MiB.
pub const MAX_BODY: usize = 1 << 20;

/// How far the clocks of sender and receiver may be apart, either way, this much included.
pub const TOLERANCE: Duration = Duration::from_secs(300);

const MOST_SIGNATURES: usize = 16;

/// A body that came from somebody who holds a secret, not long ago.
#[derive(Debug, Clone)]
pub struct Verified<'a> {
    body: &'a [u8],
    headers: Headers,
    /// In compat: what the body has to say, too.
    issued_at: Option<Instant>,
}

impl Verified<'_> {
    /// Reads the job that the body is.
    ///
    /// # Errors
    /// Those of [`verify`] that are about the body.
    pub fn job(self) -> Result<Job> {
        let job = request::read(self.body)?;
        self.cross_check(&job)?;
        Ok(job)
    }

    /// The headers say nothing else than the body. Those that are not signed could have been changed on the way.
    fn cross_check(&self, job: &Job) -> Result<()> {
        if let Some(expected) = self.issued_at {
            match job.issued_at {
                None => return Err(stale("the body has no issued_at")),
                Some(issued_at) if issued_at != expected => {
                    return Err(stale("issued_at in the body is not the one in x-synapsor-issued-at"));
                }
                Some(_) => {}
            }
        }
        let differs = |header: Name, member: &'static str| {
            Err(Error::new(Code::HeaderBodyMismatch).with("header", header).with("member", member))
        };
        let key = self.headers.get(Name::IdempotencyKey).map(unquoted);
        for (header, found, member, expected) in [
            (Name::WebhookId, self.headers.get(Name::WebhookId), "idempotency_key", &job.idempotency_key),
            (Name::IdempotencyKey, key, "idempotency_key", &job.idempotency_key),
            (Name::ProposalId, self.headers.get(Name::ProposalId), "proposal_id", &job.proposal_id),
        ] {
            if found.is_some_and(|found| found != expected) {
                return differs(header, member);
            }
        }
        match (self.headers.get(Name::IssuedAt), job.issued_at) {
            (Some(text), Some(issued_at)) if Instant::parse(text).ok() != Some(issued_at) => {
                differs(Name::IssuedAt, "issued_at")
            }
            _ => Ok(()),
        }
    }
}

/// Verifies a request and reads the job in it. `now` is the present instant.
///
/// The body is the bytes as received. Headers are names and values, names in any case; lines that mean nothing here are
/// skipped. Time: the request may be 300 seconds old or early, 300 itself included, to the nanosecond of `now`.
///
/// # Errors
/// In this order: `BODY_TOO_LARGE`; `HEADER_DUPLICATED`, `HEADER_INVALID`; `SECRET_UNUSABLE` for a secret too short for the
/// policy; `INVALID_SIGNATURE`; `INVALID_ISSUED_AT`; `JSON_INVALID`, `JSON_DUPLICATE_KEY`, `JSON_TOO_DEEP`; then
/// `UNSUPPORTED_PROTOCOL_VERSION`, `BAD_WRITEBACK_REQUEST`, `IDEMPOTENCY_KEY_REQUIRED`, `IDEMPOTENCY_KEY_INVALID`,
/// `UNSAFE_IDENTIFIER`, `NUMBER_NOT_EXACT`, `VERSION_IS_NULL`, `PATCH_COLUMN_NOT_ALLOWED`; `HEADER_BODY_MISMATCH`.
///
/// ```
/// use signoff::handler::{self, Policy, SigningSecrets};
/// use signoff::primitives::{Instant, Secret};
///
/// let body = br#"{"protocol_version":"1.0","proposal_id":"wrp_1","proposal_hash":"sha256:11","idempotency_key":"wrp_1:INV-1",
///   "action":"billing.waive_fee","tenant_guard":{"column":"tenant_id","value":"acme"},"allowed_columns":["fee_cents"],
///   "target":{"schema":"public","table":"invoices","primary_key":{"column":"id","value":"INV-1"}},"patch":{"fee_cents":0},
///   "guards":{"expected_version":{"column":"updated_at","value":"2026-06-20T14:31:08Z"}}}"#;
/// let secrets = SigningSecrets::new([Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned())])?;
/// let now = Instant::parse("2026-06-28T00:00:00Z")?;
///
/// let headers = handler::sign(body, &secrets, "wrp_1:INV-1", now)?;
/// let job = handler::verify(body, &headers, &secrets, now, Policy::Strict)?;
/// assert_eq!((job.action.as_str(), job.object_id.as_str()), ("billing.waive_fee", "INV-1"));
///
/// let late = now.plus(std::time::Duration::from_secs(301));
/// assert_eq!(handler::verify(body, &headers, &secrets, late, Policy::Strict).unwrap_err().code().as_str(), "INVALID_ISSUED_AT");
/// # Ok::<(), signoff::Error>(())
/// ```
pub fn verify<N: AsRef<[u8]>, V: AsRef<[u8]>>(
    body: &[u8],
    headers: impl IntoIterator<Item = (N, V)>,
    secrets: &SigningSecrets,
    now: Instant,
    policy: Policy,
) -> Result<Job> {
    verify_signature(body, headers, secrets, now, policy)?.job()
}

/// The first half of [`verify`]: authentic and fresh, with not one byte of JSON read.
///
/// # Errors
/// `BODY_TOO_LARGE`, `HEADER_DUPLICATED`, `HEADER_INVALID`, `SECRET_UNUSABLE`, `INVALID_SIGNATURE`, `INVALID_ISSUED_AT`.
pub fn verify_signature<'a, N: AsRef<[u8]>, V: AsRef<[u8]>>(
    body: &'a [u8],
    headers: impl IntoIterator<Item = (N, V)>,
    secrets: &SigningSecrets,
    now: Instant,
    policy: Policy,
) -> Result<Verified<'a>> {
    sized(body)?;
    let headers = Headers::read(headers)?;
    secrets.fit(policy)?;
    authentic(body, headers, secrets, now, policy)
}

pub(super) fn sized(body: &[u8]) -> Result<()> {
    if body.len() > MAX_BODY { Err(Error::new(Code::BodyTooLarge).with("limit", MAX_BODY)) } else { Ok(()) }
}

pub(super) fn authentic<'a>(
    body: &'a [u8],
    headers: Headers,
    secrets: &SigningSecrets,
    now: Instant,
    policy: Policy,
) -> Result<Verified<'a>> {
    if let Some(value) = headers.get(Name::IdempotencyKey) {
        well_formed_key(Name::IdempotencyKey, unquoted(value))?;
    }
    let issued_at = match policy {
        Policy::Strict => {
            webhooks(body, &headers, secrets, now)?;
            None
        }
        Policy::Compat => Some(synapsor(body, &headers, secrets, now)?),
    };
    Ok(Verified { body, headers, issued_at })
}

/// Standard Webhooks.
fn webhooks(body: &[u8], headers: &Headers, secrets: &SigningSecrets, now: Instant) -> Result<()> {
    let present = |name| headers.get(name).ok_or_else(|| unsigned(name));
    let (id, timestamp, list) =
        (present(Name::WebhookId)?, present(Name::WebhookTimestamp)?, present(Name::WebhookSignature)?);
    well_formed_key(Name::WebhookId, id)?;
    let seconds = seconds(timestamp)?;
    let signatures = signatures(list)?;
    let content: [&[u8]; 5] = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    let tags = secrets.keys().iter().map(|key| key.webhooks.tag(&content));
    // Every signature is compared with every key's tag: which one fits takes no time to learn from.
    let found = tags.fold(Choice::from(0), |found, tag| {
        signatures.clone().fold(found, |found, signature| found | HmacKey::same(&tag, &signature))
    });
    if !bool::from(found) {
        return Err(wrong("no signature in webhook-signature fits"));
    }
    // Beyond the year 9999 nothing is fresh.
    match Instant::from_unix(seconds) {
        Some(signed) if fresh(signed, now) => Ok(()),
        _ => Err(stale("webhook-timestamp is more than 300 seconds away")),
    }
}

/// Synapsor's: the signature does not cover the header's time, so [`Verified::job`] compares it with the body's.
fn synapsor(body: &[u8], headers: &Headers, secrets: &SigningSecrets, now: Instant) -> Result<Instant> {
    let given = headers.get(Name::Signature).ok_or_else(|| unsigned(Name::Signature))?;
    let digits =
        given.strip_prefix("sha256=").ok_or_else(|| malformed(Name::Signature, "it does not begin with sha256="))?;
    let mut tag = [0; 32];
    hex::decode_to_slice(digits, &mut tag)
        .map_err(|_| malformed(Name::Signature, "not 64 hex digits after sha256="))?;
    let fits = |key: &HmacKey| Choice::from(u8::from(key.verify(&[body], &tag)));
    let found = secrets.keys().iter().fold(Choice::from(0), |found, key| found | fits(&key.synapsor));
    if !bool::from(found) {
        return Err(wrong("x-synapsor-signature does not fit"));
    }
    let issued_at = headers.get(Name::IssuedAt).ok_or_else(|| stale("x-synapsor-issued-at is missing"))?;
    let issued_at = Instant::parse(issued_at).map_err(|_| stale("x-synapsor-issued-at is not an RFC 3339 instant"))?;
    if fresh(issued_at, now) { Ok(issued_at) } else { Err(stale("issued_at is more than 300 seconds away")) }
}

fn fresh(signed: Instant, now: Instant) -> bool {
    now <= signed.plus(TOLERANCE) && signed <= now.plus(TOLERANCE)
}

/// One to twelve digits, as a number is written: no sign, no leading zero, no other digits than ASCII's.
fn seconds(text: &str) -> Result<i64> {
    let plain = matches!(text.len(), 1..=12) && text.bytes().all(|b| b.is_ascii_digit());
    let leading = text.len() > 1 && text.starts_with('0');
    text.parse()
        .ok()
        .filter(|_| plain && !leading)
        .ok_or_else(|| malformed(Name::WebhookTimestamp, "not a whole number of seconds since 1970"))
}

/// The `v1` signatures of the list; other versions, and what is not a tag in padded base64, fit nothing.
fn signatures(list: &str) -> Result<impl Iterator<Item = [u8; 32]> + Clone + '_> {
    let entries = list.split(' ').filter(|entry| !entry.is_empty());
    if entries.clone().count() > MOST_SIGNATURES {
        return Err(malformed(Name::WebhookSignature, "more than 16 signatures"));
    }
    Ok(entries.filter_map(|entry| entry.strip_prefix("v1,")).filter_map(|text| {
        // Room for the estimate of the decoder, which is in whole groups of four.
        let mut tag = [0; 33];
        (STANDARD.decode_slice(text, &mut tag) == Ok(32)).then_some(())?;
        tag.first_chunk().copied()
    }))
}

/// 1 to 255 of `[A-Za-z0-9_:-]`; above all no `.`, which separates what is signed.
pub(super) fn is_key(text: &str) -> bool {
    matches!(text.len(), 1..=255) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'-'))
}

fn well_formed_key(header: Name, key: &str) -> Result<()> {
    if is_key(key) { Ok(()) } else { Err(Error::new(Code::IdempotencyKeyInvalid).with("header", header)) }
}

/// The key without the quotes of a Structured Field String (RFC 8941, section 3.3.3). One with an escape in it keeps its
/// quotes, and is no key.
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).filter(|inner| is_key(inner)).unwrap_or(value)
}

fn unsigned(header: Name) -> Error {
    Error::new(Code::InvalidSignature).with("reason", format!("{header} is missing"))
}

fn wrong(reason: &str) -> Error {
    Error::new(Code::InvalidSignature).with("reason", reason)
}

fn stale(reason: &str) -> Error {
    Error::new(Code::InvalidIssuedAt).with("reason", reason)
}

/// Signs a request under both schemes: the headers to send, names in lower case.
///
/// `key` is the idempotency key. With several secrets `webhook-signature` holds one signature of each, and Synapsor's is
/// made with the first. `X-Synapsor-Issued-At` and `X-Synapsor-Proposal-Id` repeat what the body says; a body that does not
/// say when it was issued gets `now`, and will not pass a receiver in compat.
///
/// # Errors
/// `IDEMPOTENCY_KEY_INVALID`, `BODY_TOO_LARGE`; `HEADER_INVALID` for a proposal id that cannot stand in a header;
/// `INSTANT_INVALID` for a `now` before 1970.
pub fn sign(body: &[u8], secrets: &SigningSecrets, key: &str, now: Instant) -> Result<BTreeMap<String, String>> {
    sized(body)?;
    well_formed_key(Name::WebhookId, key)?;
    let timestamp = now.unix().to_string();
    seconds(&timestamp).map_err(|_| Error::new(Code::InstantInvalid).with("text", now))?;
    let content: [&[u8]; 5] = [key.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    let entries: Vec<String> =
        secrets.keys().iter().map(|key| format!("v1,{}", STANDARD.encode(key.webhooks.tag(&content)))).collect();
    let document = std::str::from_utf8(body).ok().and_then(|text| json::parse(text).ok());
    let said = |member: &str| document.as_ref().and_then(|d| d.get(member)).and_then(Node::as_str);
    let issued_at = said("issued_at").filter(|text| Instant::parse(text).is_ok());

    let mut headers = vec![
        (Name::WebhookId, key.to_owned()),
        (Name::WebhookTimestamp, timestamp),
        (Name::WebhookSignature, entries.join(" ")),
        (Name::IdempotencyKey, key.to_owned()),
        (Name::IssuedAt, issued_at.map_or_else(|| now.to_string(), str::to_owned)),
    ];
    if let Some(first) = secrets.keys().first() {
        headers.push((Name::Signature, format!("sha256={}", hex::encode(first.synapsor.tag(&[body])))));
    }
    if let Some(id) = said("proposal_id") {
        headers.push((Name::ProposalId, headers::text(Name::ProposalId, id.as_bytes())?.to_owned()));
    }
    Ok(headers.into_iter().map(|(name, value)| (name.to_string(), value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::Secret;

    /// The order of checks by a count of documents read, not by a clock.
    #[test]
    fn nothing_is_parsed_before_the_signature_and_the_time_are_right() {
        let secrets = |text: &str| SigningSecrets::new([Secret::new(text.to_owned())]).unwrap();
        let (ours, theirs) = (secrets("the secret of this receiver"), secrets("the secret of somebody else"));
        let now = Instant::from_unix(1_782_604_800).unwrap();
        let late = now.plus(Duration::from_secs(301));
        let body = vec![b'['; MAX_BODY];
        let signed = |by: &SigningSecrets| sign(&body, by, "key", now).unwrap();
        let (forged, good) = (signed(&theirs), signed(&ours));
        let mut twice: Vec<_> = good.clone().into_iter().collect();
        twice.push(("Webhook-Id".to_owned(), "key".to_owned()));
        let parsed = || json::PARSED.with(std::cell::Cell::get);

        for policy in [Policy::Strict, Policy::Compat] {
            let before = parsed();
            for (headers, at, code) in [
                (forged.clone().into_iter().collect(), now, Code::InvalidSignature),
                (good.clone().into_iter().collect(), late, Code::InvalidIssuedAt),
                (twice.clone(), now, Code::HeaderDuplicated),
            ] {
                let headers: Vec<(String, String)> = headers;
                assert_eq!(verify(&body, headers, &ours, at, policy).unwrap_err().code(), code);
            }
            let long = vec![b'['; MAX_BODY + 1];
            assert_eq!(verify(&long, &good, &ours, now, policy).unwrap_err().code(), Code::BodyTooLarge);
            assert_eq!(parsed(), before, "a body was read that nobody vouched for");
            assert_eq!(verify(&body, &good, &ours, now, policy).unwrap_err().code(), Code::JsonInvalid);
            assert_eq!(parsed(), before + 1);
        }
    }
}
