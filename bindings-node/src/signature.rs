//! `verify` and `sign`.

use napi::bindgen_prelude::{Either, Result};
use napi_derive::napi;
use signoff::handler::{self, SigningSecrets};
use signoff::primitives::Secret;

use crate::{instant, json, json_of, named, thrown};

/// Signing secrets, made ready once.
#[napi]
pub struct Secrets(SigningSecrets);

#[napi]
impl Secrets {
    /// Takes secrets, the newest first.
    #[napi(constructor, catch_unwind)]
    pub fn new(secrets: Vec<String>) -> Result<Self, String> {
        SigningSecrets::new(secrets.into_iter().map(Secret::new)).map(Self).map_err(|error| thrown(&error))
    }
}

/// Headers as they cross: name, value, name, value; joined by newlines, which is quicker, unless one of them holds one.
pub(crate) type Flat = Either<String, Vec<String>>;

pub(crate) fn lines(flat: &Flat) -> Vec<(&str, &str)> {
    let parts: Vec<&str> = match flat {
        Either::A(joined) => joined.split('\n').collect(),
        Either::B(parts) => parts.iter().map(String::as_str).collect(),
    };
    parts.as_chunks::<2>().0.iter().map(|[name, value]| (*name, *value)).collect()
}

/// The job of an authentic and fresh request, as JSON.
#[napi(catch_unwind)]
pub fn verify(
    body: &[u8],
    headers: Flat,
    secrets: &Secrets,
    now: f64,
    policy: Option<String>,
) -> Result<String, String> {
    let policy =
        policy.map(|name| named(&name, "unknown policy", "it is strict or compat")).transpose()?.unwrap_or_default();
    let job = handler::verify(body, lines(&headers), &secrets.0, instant(now)?, policy);
    job.map_err(|error| thrown(&error)).and_then(|job| json_of(&job, body.len()))
}

/// The headers to send, as a JSON object.
#[napi(catch_unwind)]
pub fn sign(body: &[u8], secrets: &Secrets, key: String, now: f64) -> Result<String, String> {
    let headers = handler::sign(body, &secrets.0, &key, instant(now)?);
    headers.map_err(|error| thrown(&error)).and_then(|headers| json(&headers))
}
