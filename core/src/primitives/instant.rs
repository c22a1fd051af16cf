use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use crate::error::{Code, Error, Result};

/// A point in time, to the nanosecond, in UTC. As text: RFC 3339 with `Z` and as many fraction digits as it has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instant(OffsetDateTime);

impl Instant {
    /// Reads an RFC 3339 instant; any offset is turned into UTC, no fraction digit up to nine is lost.
    ///
    /// # Errors
    /// `INSTANT_INVALID`: also for more than nine fraction digits and for a leap second, which would have to be rounded.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = || Error::new(Code::InstantInvalid).with("text", text);
        let fraction = text.split_once('.').map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count());
        let leap = text.get(17..19) == Some("60");
        if fraction > 9 || leap {
            return Err(invalid());
        }
        let parsed = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| invalid())?;
        parsed.checked_to_offset(UtcOffset::UTC).map(Self).ok_or_else(invalid)
    }

    /// The instant so many seconds after 1970-01-01T00:00:00Z; `None` beyond the year 9999.
    #[must_use]
    pub fn from_unix(seconds: i64) -> Option<Self> {
        OffsetDateTime::from_unix_timestamp(seconds).ok().map(Self)
    }

    /// Whole seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn unix(self) -> i64 {
        self.0.unix_timestamp()
    }

    /// This instant without its nanoseconds.
    #[must_use]
    pub fn to_microseconds(self) -> Self {
        self.0.replace_nanosecond(self.0.microsecond() * 1_000).map_or(self, Self)
    }

    /// How long after another instant this is; nothing if it is before.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::try_from(self.0 - earlier.0).unwrap_or_default()
    }

    /// This instant moved later; the end of time if it would go beyond it.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        time::Duration::try_from(duration)
            .ok()
            .and_then(|duration| self.0.checked_add(duration))
            .map_or_else(|| Self(time::PrimitiveDateTime::MAX.assume_utc()), Self)
    }
}

impl From<SystemTime> for Instant {
    fn from(time: SystemTime) -> Self {
        Self(OffsetDateTime::from(time).to_offset(UtcOffset::UTC))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.format(&Rfc3339).unwrap_or_default())
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// How long something holds: a duration, or for ever (`never`, which has to be said).
///
/// As text `7d`, `24h`, `30m`, `45s` or `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lifetime {
    /// It ends after this long.
    For(Duration),
    /// It does not end.
    Never,
}

impl Lifetime {
    /// Reads `never` or a positive whole number with `s`, `m`, `h` or `d`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "never" {
            return Some(Self::Never);
        }
        let unit = match text.chars().last()? {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return None,
        };
        let digits = text.get(..text.len().checked_sub(1)?)?;
        if digits.is_empty() || digits.len() > 9 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let seconds = digits.parse::<u64>().ok()?.checked_mul(unit)?;
        (seconds > 0).then(|| Self::For(Duration::from_secs(seconds)))
    }

    /// When something that begins now ends; `None` if never.
    #[must_use]
    pub fn end(self, start: Instant) -> Option<Instant> {
        match self {
            Self::For(duration) => Some(start.plus(duration)),
            Self::Never => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_every_digit_and_turns_offsets_into_utc() {
        for (text, expected) in [
            ("2026-06-20T14:31:08Z", "2026-06-20T14:31:08Z"),
            ("2026-06-20T20:01:08.000300+05:30", "2026-06-20T14:31:08.0003Z"),
            ("2026-06-20T14:31:08.123456789Z", "2026-06-20T14:31:08.123456789Z"),
        ] {
            assert_eq!(Instant::parse(text).unwrap().to_string(), expected);
        }
        let base = Instant::parse("2026-06-20T14:31:08Z").unwrap();
        assert!(Instant::parse("2026-06-20T14:31:08.0003Z").unwrap() > base);
        assert_eq!(Instant::from_unix(base.unix()), Some(base));
    }

    #[test]
    fn refuses_what_it_would_have_to_round() {
        for bad in [
            "",
            "x",
            "2026-06-20",
            "2026-06-20 14:31:08",
            "2026-06-20T14:31:60Z",
            "2026-06-20T14:31:08.1234567890Z",
            "2026-06-20T14:31:08",
        ] {
            assert_eq!(Instant::parse(bad).unwrap_err().code(), Code::InstantInvalid, "{bad}");
        }
    }

    #[test]
    fn lifetimes() {
        assert_eq!(Lifetime::parse("7d"), Some(Lifetime::For(Duration::from_secs(604_800))));
        assert_eq!(Lifetime::parse("never"), Some(Lifetime::Never));
        for bad in ["", "d", "0h", "-1h", "1w", "1.5h", "Never", "9999999999s", "é"] {
            assert_eq!(Lifetime::parse(bad), None, "{bad}");
        }
    }
}
