//! The secrets a request may be signed with: several at once while they are rotated. None prints.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::primitives::{HmacKey, Secret};

/// The shortest and the longest key, in bytes ("Symmetric keys" in the Standard Webhooks specification).
const SHORTEST: usize = 24;
const LONGEST: usize = 64;

/// Which signature a receiver asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Policy {
    /// The Standard Webhooks signature over id, timestamp and body, not more than 300 seconds old or early.
    #[default]
    Strict,
    /// Synapsor's signature over the body, for senders that know no other; the body must say when it was issued.
    Compat,
}

/// Signing secrets, made ready.
///
/// A secret that begins with `whsec_` is base64 after it: the decoded bytes sign for Standard Webhooks, the UTF-8 bytes of
/// the whole text for Synapsor's scheme. Any other secret signs with its UTF-8 bytes in both.
///
/// ```
/// use signoff::handler::{Policy, SigningSecrets};
/// use signoff::primitives::Secret;
///
/// let secret = |text: &str| Secret::new(text.to_owned());
/// let secrets = SigningSecrets::new([secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), secret("the old one, 24 bytes long")])?;
/// secrets.fit(Policy::Strict)?;
///
/// let weak = SigningSecrets::new([secret("dev-signing-secret")])?;
/// assert_eq!(weak.fit(Policy::Strict).unwrap_err().code().as_str(), "SECRET_UNUSABLE");
/// assert_eq!(weak.fit(Policy::Compat)?.len(), 1, "a warning");
/// # Ok::<(), signoff::Error>(())
/// ```
#[derive(Clone)]
pub struct SigningSecrets(Vec<SigningKey>);

#[derive(Clone)]
pub(super) struct SigningKey {
    pub(super) webhooks: HmacKey,
    pub(super) synapsor: HmacKey,
    /// Shorter than strict allows.
    weak: bool,
}

impl SigningSecrets {
    /// Takes secrets, the newest first: it is the one that signs Synapsor's scheme.
    ///
    /// # Errors
    /// `HANDLER_SIGNING_SECRET_MISSING` for none at all; `SECRET_UNUSABLE` for one that is empty, begins or ends with white
    /// space, or begins with `whsec_` and goes on with anything but padded base64 of at most 64 bytes.
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Result<Self> {
        let keys: Vec<SigningKey> = secrets
            .into_iter()
            .zip(1_usize..)
            .map(|(secret, number)| {
                SigningKey::new(secret.expose()).map_err(|reason| unusable("signing secret", number, reason))
            })
            .collect::<Result<_>>()?;
        if keys.is_empty() { Err(Code::SigningSecretMissing.into()) } else { Ok(Self(keys)) }
    }

    /// Whether they are strong enough for this policy; in compat a short one is only warned of.
    ///
    /// # Errors
    /// `SECRET_UNUSABLE` for a key shorter than 24 bytes in strict.
    pub fn fit(&self, policy: Policy) -> Result<Vec<String>> {
        let weak = self.0.iter().zip(1_usize..).filter(|(key, _)| key.weak).map(|(_, number)| number);
        match policy {
            Policy::Strict => match weak.min() {
                Some(number) => Err(unusable("signing secret", number, "its key is shorter than 24 bytes")),
                None => Ok(Vec::new()),
            },
            Policy::Compat => {
                Ok(weak.map(|number| format!("signing secret {number} is shorter than 24 bytes: replace it")).collect())
            }
        }
    }

    pub(super) fn keys(&self) -> &[SigningKey] {
        &self.0
    }
}

impl fmt::Debug for SigningSecrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningSecrets({})", self.0.len())
    }
}

impl SigningKey {
    fn new(secret: &str) -> Result<Self, &'static str> {
        plain(secret)?;
        let decoded = match secret.strip_prefix("whsec_") {
            Some(encoded) => {
                let bytes = STANDARD.decode(encoded).map_err(|_| "what follows whsec_ is not padded base64")?;
                if bytes.len() > LONGEST {
                    return Err("what follows whsec_ is more than 64 bytes");
                }
                Some(Zeroizing::new(bytes))
            }
            None => None,
        };
        let key = decoded.as_deref().map_or(secret.as_bytes(), Vec::as_slice);
        if key.is_empty() {
            return Err("nothing follows whsec_");
        }
        Ok(Self { webhooks: HmacKey::new(key), synapsor: HmacKey::new(secret.as_bytes()), weak: key.len() < SHORTEST })
    }
}

/// Bearer tokens that are accepted besides the signature.
#[derive(Clone, Default)]
pub(super) struct BearerTokens(Vec<[u8; 32]>);

impl BearerTokens {
    pub(super) fn new(tokens: impl IntoIterator<Item = Secret>) -> Result<Self> {
        tokens
            .into_iter()
            .zip(1_usize..)
            .map(|(token, number)| {
                let visible = token.expose().bytes().all(|b| b.is_ascii_graphic());
                plain(token.expose())
                    .and(if visible { Ok(()) } else { Err("it is not visible ASCII") })
                    .map_err(|reason| unusable("bearer token", number, reason))?;
                Ok(Sha256::digest(token.expose()).into())
            })
            .collect::<Result<_>>()
            .map(Self)
    }

    /// Compared as digests, so that not even a length shows; with all of them, so that no order does.
    pub(super) fn check(&self, authorization: Option<&str>) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        // The scheme's name has no case (RFC 9110, section 11.1).
        let token = authorization
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let given: [u8; 32] = Sha256::digest(token.map_or("", |(_, token)| token.trim())).into();
        let known = self.0.iter().fold(Choice::from(0), |found, token| found | token.ct_eq(&given));
        if bool::from(known) { Ok(()) } else { Err(Code::Unauthorized.into()) }
    }
}

impl fmt::Debug for BearerTokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "BearerTokens({})", self.0.len())
    }
}

fn plain(secret: &str) -> Result<(), &'static str> {
    if secret.is_empty() {
        Err("it is empty")
    } else if secret.trim() != secret {
        Err("it begins or ends with white space")
    } else {
        Ok(())
    }
}

fn unusable(what: &'static str, number: usize, reason: &'static str) -> Error {
    Error::new(Code::SecretUnusable).with("what", what).with("number", number).with("reason", reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(texts: &[&str]) -> Result<SigningSecrets> {
        SigningSecrets::new(texts.iter().map(|text| Secret::new((*text).to_owned())))
    }

    #[test]
    fn weak_and_broken_secrets_are_refused_when_they_are_configured() {
        assert_eq!(secrets(&[]).unwrap_err().code(), Code::SigningSecretMissing);
        let long = format!("whsec_{}", STANDARD.encode([7; 65]));
        for broken in [
            "",
            "whsec_",
            " padded, and more than 24 bytes",
            "newline at the end of the file\n",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
            &long,
            "whsec_*",
        ] {
            let error = secrets(&["a good secret of enough bytes", broken]).unwrap_err();
            assert_eq!((error.code(), error.field("number")), (Code::SecretUnusable, Some("2")), "{broken:?}");
            assert!(broken.len() < 8 || !format!("{error:?}").contains(broken.trim()));
        }
        for (text, strong) in [
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", true),
            (&format!("whsec_{}", STANDARD.encode([7; 64])), true),
            (&format!("whsec_{}", STANDARD.encode([7; 23])), false),
            ("exactly 24 bytes of text", true),
            ("dev-signing-secret", false),
        ] {
            let made = secrets(&[text]).unwrap();
            assert_eq!(made.fit(Policy::Strict).is_ok(), strong, "{text}");
            assert_eq!(made.fit(Policy::Compat).unwrap().is_empty(), strong);
            assert_eq!(format!("{made:?}"), "SigningSecrets(1)");
        }
    }

    #[test]
    fn a_bearer_token_is_an_addition() {
        assert!(BearerTokens::default().check(None).is_ok());
        let tokens = BearerTokens::new(["first-token", "second"].map(|text| Secret::new(text.to_owned()))).unwrap();
        for good in ["Bearer first-token", "bearer second", "BEARER  second"] {
            assert!(tokens.check(Some(good)).is_ok(), "{good}");
        }
        for bad in [
            None,
            Some(""),
            Some("Bearer"),
            Some("Bearer "),
            Some("Basic second"),
            Some("Bearer secon"),
            Some("second"),
        ] {
            assert_eq!(tokens.check(bad).unwrap_err().code(), Code::Unauthorized, "{bad:?}");
        }
        for broken in ["", " x", "a b", "é"] {
            assert_eq!(BearerTokens::new([Secret::new(broken.to_owned())]).unwrap_err().code(), Code::SecretUnusable);
        }
        assert_eq!(format!("{tokens:?}"), "BearerTokens(2)");
    }
}
