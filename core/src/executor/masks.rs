//! What an application answers is not ours, and it knows our secrets: none of them is repeated.

use std::fmt;

use serde_json::Value;

use crate::primitives::{Secret, looks_secret};

/// What stands in place of a secret.
const MASK: &str = "[redacted]";

/// Parts of a key whose value is for nobody's eyes.
const PRIVATE: &[&str] =
    &["secret", "token", "password", "passwd", "credential", "api_key", "apikey", "private_key", "authorization"];

/// The longest run of text that is kept of one value.
const LONGEST: usize = 4_096;

/// The secrets that this process holds.
#[derive(Clone, Default)]
pub struct Masks(Vec<Secret>);

impl Masks {
    /// These secrets; what is shorter than four characters would mask everything and is no secret.
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let mut secrets: Vec<Secret> = secrets.into_iter().filter(|secret| secret.expose().len() >= 4).collect();
        // The longest first, so that one that contains another goes whole.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        secrets.dedup_by(|one, other| one.expose() == other.expose());
        Self(secrets)
    }

    /// True if a text holds one of them, or has the shape of a credential.
    #[must_use]
    pub fn hides(&self, text: &str) -> bool {
        looks_secret(text) || self.0.iter().any(|secret| text.contains(secret.expose()))
    }

    /// The text without them; whole words of another's credential go whole.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        if self.hides(text) {
            return MASK.to_owned();
        }
        text.chars().take(LONGEST).collect()
    }

    /// The value without them, keys included.
    #[must_use]
    pub fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => Value::Array(items.into_iter().map(|item| self.value(item)).collect()),
            Value::Object(members) => Value::Object(
                members
                    .into_iter()
                    .map(|(key, value)| {
                        let lower = key.to_ascii_lowercase();
                        let private = PRIVATE.iter().any(|part| lower.contains(part)) && !value.is_null();
                        let value = if private { MASK.into() } else { self.value(value) };
                        (self.text(&key), value)
                    })
                    .collect(),
            ),
            other => other,
        }
    }
}

impl fmt::Debug for Masks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Masks({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_is_not_repeated_wherever_it_stands() {
        let masks = Masks::new(["planted-one", "planted", "abc"].map(|text| Secret::new(text.to_owned())));
        let said = json!({"planted key": 1, "a": ["x planted-one y", "prose"], "access_token": "short", "token": null,
            "n": {"url": "postgres://u:p@h/d"}});
        let shown = json!({"[redacted]": 1, "a": ["[redacted]", "prose"], "access_token": "[redacted]", "token": null,
            "n": {"url": "[redacted]"}});
        assert_eq!(masks.value(said), shown);
        assert_eq!(masks.text("abc"), "abc", "too short to be one");
        assert_eq!(masks.text(&"x".repeat(5_000)).len(), 4_096);
        assert_eq!(format!("{masks:?}"), "Masks(2)");
    }
}
