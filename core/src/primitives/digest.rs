use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::canonical::canonical;
use super::hmac::HmacKey;
use crate::error::{Code, Error, Result};

/// A SHA-256 digest. As text: `sha256:` and 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of these bytes, one after the other.
    #[must_use]
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        parts.iter().for_each(|part| hasher.update(part));
        Self(hasher.finalize().into())
    }

    /// A digest from its 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 hex digits without the label.
    #[must_use]
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Reads `sha256:` + 64 lower-case hex digits.
    ///
    /// # Errors
    /// `DOCUMENT_INVALID`.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = || {
            Error::new(Code::DocumentInvalid).with("schema", "digest").with("problem", "not sha256: and 64 hex digits")
        };
        let digits = text.strip_prefix("sha256:").ok_or_else(invalid)?;
        if digits.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(invalid());
        }
        let mut bytes = [0_u8; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| invalid())?;
        Ok(Self(bytes))
    }
}

/// The digest of the canonical bytes (RFC 8785) of a JSON value or of a document.
///
/// # Errors
/// Those of [`canonical`].
pub fn digest_of<T: Serialize + ?Sized>(value: &T) -> Result<Digest> {
    Ok(Digest::of(canonical(value)?.as_bytes()))
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A 32-byte key for HMAC-SHA256, made ready once. It cannot be printed; its state is wiped when it goes.
#[derive(Clone)]
pub struct MacKey(HmacKey);

impl MacKey {
    /// A key from its bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(HmacKey::new(Zeroizing::new(bytes).as_slice()))
    }

    /// HMAC-SHA256 over a domain label, a NUL and the message, so that a tag made for one purpose fits no other.
    #[must_use]
    pub fn tag(&self, domain: &str, message: &[u8]) -> [u8; 32] {
        self.0.tag(&[domain.as_bytes(), &[0], message])
    }

    /// True if `tag` is the tag of the message; compared in constant time.
    #[must_use]
    pub fn verify(&self, domain: &str, message: &[u8], tag: &[u8]) -> bool {
        self.0.verify(&[domain.as_bytes(), &[0], message], tag)
    }

    /// Another key, for one named use of this one.
    #[must_use]
    pub fn derive(&self, domain: &str, name: &str) -> Self {
        Self::new(self.tag(domain, name.as_bytes()))
    }

    /// A name for the key that tells nothing about it: 16 hex digits.
    #[must_use]
    pub fn id(&self) -> String {
        let tag = self.tag("signoff key id", b"");
        hex::encode(tag.get(..8).unwrap_or_default())
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MacKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_strict() {
        let digest = Digest::of(b"x");
        assert_eq!(Digest::parse(&digest.to_string()).unwrap(), digest);
        for bad in [digest.hex(), digest.to_string().to_uppercase(), "sha256:00".into(), format!("{digest}0")] {
            assert_eq!(Digest::parse(&bad).unwrap_err().code(), Code::DocumentInvalid);
        }
    }

    #[test]
    fn a_tag_fits_its_domain_message_and_key_only() {
        let key = MacKey::new([7; 32]);
        let tag = key.tag("a", b"message");
        assert!(key.verify("a", b"message", &tag));
        assert!(!key.verify("b", b"message", &tag));
        assert!(!key.verify("a", b"massage", &tag));
        assert!(!MacKey::new([8; 32]).verify("a", b"message", &tag));
        assert!(!key.verify("a", b"message", tag.get(..31).unwrap()));
        assert_eq!(format!("{key:?}"), "MacKey(…)");
    }
}
