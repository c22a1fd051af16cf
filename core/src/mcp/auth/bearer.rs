//! The token of a request, and the kind of token that is one secret for all.

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};
use subtle::Choice;

use crate::error::{Code, Error, Result};
use crate::primitives::{HmacKey, Secret};
use crate::runtime::Environment;

/// A shorter token can be guessed.
const SHORTEST: usize = 16;

/// Why there is no token to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoToken {
    /// Nothing was shown.
    Missing,
    /// Something was, and not as it has to be.
    Malformed(&'static str),
}

/// The token of a request: in `Authorization`, once, and nowhere else. The scheme is told by its letters, not by their case.
pub(super) fn token<'h>(headers: &'h HeaderMap, query: Option<&str>) -> Result<&'h str, NoToken> {
    if query.is_some_and(names_a_token) {
        // Addresses are written to logs on their way.
        return Err(NoToken::Malformed("a token stands in the query"));
    }
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(NoToken::Missing)?;
    if values.next().is_some() {
        return Err(NoToken::Malformed("Authorization stands twice"));
    }
    let value = value.to_str().map_err(|_| NoToken::Malformed("Authorization is not ASCII"))?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(NoToken::Missing);
    }
    match token.trim_matches(' ') {
        "" => Err(NoToken::Malformed("the token is empty")),
        token => Ok(token),
    }
}

/// True if a member of a query is called `access_token`, however it is written.
fn names_a_token(query: &str) -> bool {
    query.split('&').any(|member| {
        let name = member.split('=').next().unwrap_or_default();
        decoded(name).eq_ignore_ascii_case(b"access_token")
    })
}

/// Without its percent signs.
fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let digits = (byte == b'%').then(|| [ahead.next(), ahead.next()]);
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match digits.and_then(|[high, low]| Some(digit(high)? * 16 + digit(low)?)) {
            Some(escaped) => {
                out.push(escaped);
                bytes = ahead;
            }
            None => out.push(byte),
        }
    }
    out
}

/// One secret for every caller: the present one, and the next while it is changed. Only their digests are kept, so two
/// are compared over the same length whatever was sent.
pub(super) struct Bearer(Vec<[u8; 32]>);

impl Bearer {
    pub(super) fn new(environment: &Environment, current: &str, next: Option<&str>) -> Result<Self> {
        let held = |variable: &str| {
            environment.get(variable).ok_or_else(|| Error::new(Code::HttpAuthTokenMissing).with("variable", variable))
        };
        let current = held(current)?;
        // A name that holds nothing is a slip, and shows when the first one is taken away.
        let next = next.map(held).transpose()?;
        let mut digests = Vec::with_capacity(2);
        for (number, token) in std::iter::once(current).chain(next).map(Secret::new).enumerate() {
            let unusable = |reason: &str| {
                let error = Error::new(Code::SecretUnusable).with("what", "bearer token of HTTP callers");
                Err(error.with("number", number + 1).with("reason", reason))
            };
            let token = token.expose();
            if token.len() < SHORTEST {
                return unusable("it is shorter than 16 characters");
            }
            if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return unusable("it is not visible ASCII, and cannot stand in a header");
            }
            digests.push(digest(token));
        }
        Ok(Self(digests))
    }

    /// True if it is one of ours. Every one is compared, to its end.
    pub(super) fn admits(&self, token: &str) -> bool {
        let given = digest(token);
        self.0.iter().fold(Choice::from(0), |known, ours| known | HmacKey::same(ours, &given)).into()
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_in_one_place() {
        let given = |values: &[&str], query: Option<&str>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            token(&headers, query).map(str::to_owned)
        };
        for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
            assert_eq!(given(&[&format!("{scheme} abc")], Some("x=1")).as_deref(), Ok("abc"));
        }
        assert_eq!(given(&["Bearer   abc "], None).as_deref(), Ok("abc"));
        for missing in [&[][..], &["Basic YTpi"], &["abc"], &[""], &["Bearerabc"]] {
            assert_eq!(given(missing, None), Err(NoToken::Missing), "{missing:?}");
        }
        let malformed = |given: Result<String, NoToken>| matches!(given, Err(NoToken::Malformed(_)));
        for values in [&["Bearer"][..], &["Bearer "], &["Bearer a", "Bearer a"], &["Bearer a", "Basic b"]] {
            assert!(malformed(given(values, None)), "{values:?}");
        }
        for query in ["access_token=a", "x=1&access_token=a", "ACCESS_TOKEN=a", "%61ccess%5Ftoken=a", "access_token"] {
            assert!(malformed(given(&["Bearer abc"], Some(query))), "{query}");
            assert!(malformed(given(&[], Some(query))), "{query}");
        }
        for query in ["", "a=access_token", "my_access_token=a", "%", "%6", "%zz=1"] {
            assert_eq!(given(&["Bearer abc"], Some(query)).as_deref(), Ok("abc"), "{query}");
        }
    }
}
