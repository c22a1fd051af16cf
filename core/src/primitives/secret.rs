use std::fmt;

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::digest::MacKey;

/// A value that cannot be printed: `Debug` shows `[redacted]`, there is no `Display`, and the bytes are wiped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a value out of sight.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The value, for the one call that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    /// A text. An error never shows what stood there instead.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)
            .map(Self::new)
            .map_err(|_| serde::de::Error::custom("a secret has to be a text"))
    }
}

/// Replaces a secret-shaped value by a keyed digest of it: it can still be compared, not read.
#[derive(Debug, Clone)]
pub struct Redactor(MacKey);

impl Redactor {
    const PREFIX: &str = "redacted:hmac-sha256:";

    /// A redactor under this key.
    #[must_use]
    pub fn new(key: MacKey) -> Self {
        Self(key)
    }

    /// What stands in a record for this value.
    #[must_use]
    pub fn redact(&self, value: &str) -> String {
        format!("{}{}", Self::PREFIX, hex::encode(self.0.tag("signoff redaction", value.as_bytes())))
    }

    /// True if a recorded value is such a stand-in.
    #[must_use]
    pub fn is_redacted(recorded: &str) -> bool {
        recorded
            .strip_prefix(Self::PREFIX)
            .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redaction_compares_under_its_key_only_and_nothing_prints() {
        let (one, two) = (Redactor::new(MacKey::new([1; 32])), Redactor::new(MacKey::new([2; 32])));
        assert_eq!(one.redact("x"), one.redact("x"));
        assert_ne!(one.redact("x"), one.redact("y"));
        assert_ne!(one.redact("x"), two.redact("x"));
        assert!(Redactor::is_redacted(&one.redact("x")));
        assert!(!Redactor::is_redacted("redacted:hmac-sha256:zz"));
        assert_eq!(format!("{:?} {one:?}", Secret::new("planted".into())), "[redacted] Redactor(MacKey(…))");
    }
}
