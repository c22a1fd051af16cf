use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Code, Error, Result};

/// The name of a schema, table or column: `[A-Za-z_][A-Za-z0-9_]*`, at most 128 bytes, case kept. Nothing else ever
/// reaches SQL as a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Identifier(String);

impl Identifier {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// `UNSAFE_IDENTIFIER`.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        let mut characters = text.bytes();
        let first = characters.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        if first && text.len() <= 128 && characters.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            Ok(Self(text))
        } else {
            Err(Error::new(Code::IdentifierUnsafe).with("identifier", text))
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as SQL with double quotes (SQLite, Postgres).
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl AsRef<str> for Identifier {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Identifier {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Identifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_pass() {
        for good in ["id", "_x", "A1_b"] {
            assert_eq!(Identifier::new(good).unwrap().quoted(), format!("\"{good}\""));
        }
        for bad in ["", "1a", "a-b", "a b", "a\"b", "é", "a;--", &"x".repeat(129)] {
            assert_eq!(Identifier::new(bad).unwrap_err().code(), Code::IdentifierUnsafe);
        }
    }
}
