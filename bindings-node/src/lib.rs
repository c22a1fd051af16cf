//! The native half of the npm package `signoff`. It translates and decides nothing: JSON text and bytes cross, each
//! function is one call of `signoff::handler` or `signoff::ffi`, and what is idiomatic in JavaScript is written in `../lib`.
//!
//! An error crosses as a thrown `Error` whose `code` is `SIGNOFF` and whose message is the JSON of ours; the TypeScript
//! half throws it anew as a `SignoffError`, with a stack that begins at the caller. A panic crosses as an `Error`, too.
//! Promises of sessions resolve to an answer in any case: see `session.rs`.

// In a test build napi registers nothing, and all of this would be dead code.
#![cfg(not(test))]

mod handler;
mod session;
mod signature;

use std::time::Duration;

use napi::bindgen_prelude::{Error, Result};
use napi_derive::napi;
use serde::de::value::{Error as Unknown, StrDeserializer};
use serde::{Deserialize, Serialize};
use signoff::Code;
use signoff::primitives::Instant;

/// Many small strings, made and dropped in one call: a quarter less time in `verify` than with the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An error of ours as one that napi throws.
fn thrown(error: &signoff::Error) -> Error<String> {
    let text = serde_json::to_string(error).unwrap_or_else(|_| format!("{{\"code\":\"{}\"}}", Code::Internal));
    Error::new("SIGNOFF".to_owned(), text)
}

/// `Date.now()`: whole milliseconds since 1970. JavaScript's NaN, fractions and infinities arrive here as they are.
fn instant(milliseconds: f64) -> Result<Instant, String> {
    // No Date is farther away (ECMA-262, section 21.4.1.1).
    const FARTHEST: f64 = 8.64e15;
    let whole = milliseconds.fract() == 0.0 && milliseconds.abs() <= FARTHEST;
    #[expect(clippy::cast_possible_truncation, reason = "whole, and checked to be in range")]
    let whole = whole.then_some(milliseconds as i64);
    whole
        .and_then(|all| {
            let rest = u64::try_from(all.rem_euclid(1_000)).ok()?;
            Some(Instant::from_unix(all.div_euclid(1_000))?.plus(Duration::from_millis(rest)))
        })
        .ok_or_else(|| thrown(&signoff::Error::new(Code::InstantInvalid).with("text", milliseconds)))
}

fn json(value: &impl Serialize) -> Result<String, String> {
    json_of(value, 128)
}

/// JSON of about this many bytes.
fn json_of(value: &impl Serialize, length: usize) -> Result<String, String> {
    let mut out = Vec::with_capacity(length);
    serde_json::to_writer(&mut out, value)
        .ok()
        .and_then(|()| String::from_utf8(out).ok())
        .ok_or_else(|| thrown(&Code::Internal.into()))
}

/// A value that JavaScript writes as one of a few words.
fn named<'a, T: Deserialize<'a>>(name: &'a str, problem: &str, hint: &str) -> Result<T, String> {
    T::deserialize(StrDeserializer::<Unknown>::new(name)).map_err(|_| misused(problem, hint))
}

fn misused(problem: &str, hint: &str) -> Error<String> {
    thrown(&signoff::Error::new(Code::Usage).with("problem", problem).with("hint", hint))
}

/// Throws `USAGE`, for arguments of a wrong type, which only JavaScript can see.
#[napi(catch_unwind)]
pub fn usage(problem: String, hint: String) -> Result<(), String> {
    Err(misused(&problem, &hint))
}

/// Throws `HANDLER_CONFIG_INVALID`, for options that JSON cannot hold.
#[napi(catch_unwind)]
pub fn not_configured(at: String, problem: String) -> Result<(), String> {
    Err(thrown(&signoff::Error::new(Code::HandlerConfigInvalid).with("at", at).with("problem", problem)))
}
