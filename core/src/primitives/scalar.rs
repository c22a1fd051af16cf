use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::canonical::canonical_number;

/// The largest integer that every JSON reader keeps exactly: 2^53 − 1 (RFC 8259 section 6, RFC 8785 appendix D).
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// One value of a column, exact.
///
/// In JSON an integer within ±(2^53−1) is a number; a larger one and every decimal is a string, because a reader that
/// goes through a float would merge neighbours. Two scalars are the same value on the wire if [`Scalar::to_json`]
/// gives the same JSON: how it is bound in SQL comes from the column's type, never from this one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scalar {
    /// SQL NULL.
    Null,
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer beyond `i64`.
    UInt(u64),
    /// A decimal number as its text.
    Decimal(String),
    /// Text, and everything whose exact form is text.
    Text(String),
}

impl Scalar {
    /// The value as JSON, as it stands in every hashed object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) if value.unsigned_abs() <= MAX_SAFE_INTEGER => Value::from(*value),
            Self::UInt(value) if *value <= MAX_SAFE_INTEGER => Value::from(*value),
            Self::Int(value) => Value::String(value.to_string()),
            Self::UInt(value) => Value::String(value.to_string()),
            Self::Decimal(text) | Self::Text(text) => Value::String(text.clone()),
        }
    }

    /// The value as plain text; `None` for NULL. Booleans are `true` and `false`.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Bool(value) => Some(value.to_string()),
            Self::Int(value) => Some(value.to_string()),
            Self::UInt(value) => Some(value.to_string()),
            Self::Decimal(text) | Self::Text(text) => Some(text.clone()),
        }
    }

    /// The decimal text of a number, or of a text that is one; `None` otherwise.
    #[must_use]
    pub fn as_number_text(&self) -> Option<String> {
        match self {
            Self::Int(_) | Self::UInt(_) | Self::Decimal(_) => self.to_text(),
            _ => None,
        }
    }

    /// True if both are the same value on the wire.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Decimal(one) | Self::Text(one), Self::Decimal(other) | Self::Text(other)) => one == other,
            _ => self.to_json() == other.to_json(),
        }
    }

    /// The scalar of a JSON number's text: an integer if it is one and fits, else its decimal text.
    #[must_use]
    pub fn from_number_text(text: &str) -> Self {
        if let Ok(value) = text.parse::<i64>()
            && text != "-0"
        {
            return Self::Int(value);
        }
        text.parse::<u64>().map_or_else(|_| Self::Decimal(text.to_owned()), Self::UInt)
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => formatter.write_str("null"),
            Self::Text(text) => write!(formatter, "{text:?}"),
            other => formatter.write_str(&other.to_text().unwrap_or_default()),
        }
    }
}

impl From<&str> for Scalar {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Scalar {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl Serialize for Scalar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) if value.unsigned_abs() <= MAX_SAFE_INTEGER => serializer.serialize_i64(*value),
            Self::UInt(value) if *value <= MAX_SAFE_INTEGER => serializer.serialize_u64(*value),
            Self::Int(value) => serializer.collect_str(value),
            Self::UInt(value) => serializer.collect_str(value),
            Self::Decimal(text) | Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;
        impl Visitor<'_> for ScalarVisitor {
            type Value = Scalar;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string, number, boolean or null")
            }
            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar::Int(value))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
                Ok(i64::try_from(value).map_or(Scalar::UInt(value), Scalar::Int))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Scalar, E> {
                canonical_number(value).map(Scalar::Decimal).map_err(E::custom)
            }
            fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(value.to_owned()))
            }
            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar::Null)
            }
        }
        deserializer.deserialize_any(ScalarVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_beyond_the_safe_range_are_strings_and_stay_apart() {
        let two_53 = Scalar::Int(9_007_199_254_740_992);
        let next = Scalar::Int(9_007_199_254_740_993);
        assert_eq!(two_53.to_json(), Value::String("9007199254740992".into()));
        assert!(!two_53.same(&next));
        assert_eq!(Scalar::Int(-9_007_199_254_740_991).to_json(), Value::from(-9_007_199_254_740_991_i64));
        assert_eq!(Scalar::UInt(u64::MAX).to_json(), Value::String(u64::MAX.to_string()));
    }

    #[test]
    fn number_text_stays_exact() {
        assert_eq!(Scalar::from_number_text("18446744073709551615"), Scalar::UInt(u64::MAX));
        assert_eq!(Scalar::from_number_text("10.50"), Scalar::Decimal("10.50".into()));
        assert_eq!(Scalar::from_number_text("1e400"), Scalar::Decimal("1e400".into()));
        assert_eq!(Scalar::from_number_text("-7"), Scalar::Int(-7));
    }

    #[test]
    fn parses_every_json_scalar_and_nothing_else() {
        for (text, expected) in [("null", Scalar::Null), ("true", Scalar::Bool(true)), ("-3", Scalar::Int(-3))] {
            assert_eq!(serde_json::from_str::<Scalar>(text).unwrap(), expected);
        }
        assert!(serde_json::from_str::<Scalar>("[1]").is_err());
        assert!(serde_json::from_str::<Scalar>("{}").is_err());
    }
}
