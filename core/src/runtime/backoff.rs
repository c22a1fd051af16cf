//! When an application that asked to come back is asked again: twice as long each time, scattered, and not for ever.

use std::time::Duration;

use crate::primitives::IdSource;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);

/// The waits of one apply.
#[derive(Debug)]
pub(super) struct Backoff<'a> {
    next: Duration,
    left: Duration,
    chance: &'a dyn IdSource,
}

impl<'a> Backoff<'a> {
    /// All waits together are no longer than this.
    pub fn new(budget: Duration, chance: &'a dyn IdSource) -> Self {
        Self { next: FIRST, left: budget, chance }
    }

    /// The next wait: between half and all of its step, or what the application asked for if that is longer; `None` if it
    /// does not fit into what is left.
    pub fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        let step = self.next;
        self.next = (step * 2).min(LONGEST);
        let wait = (step / 2 + step.mul_f64(self.scatter() / 2.0)).max(asked.unwrap_or_default());
        self.left = self.left.checked_sub(wait)?;
        Some(wait)
    }

    /// A number from 0 to 1, so that many workers do not come back at once. Without chance they all wait the longest.
    fn scatter(&self) -> f64 {
        let id = self.chance.uuid();
        let byte = id.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(u8::MAX);
        f64::from(byte) / 255.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::SystemIds;

    #[test]
    fn waits_double_and_end() {
        let mut backoff = Backoff::new(Duration::from_secs(10), &SystemIds);
        let waits: Vec<Duration> = std::iter::from_fn(|| backoff.next(None)).collect();
        assert!((5..=10).contains(&waits.len()), "{waits:?}");
        let mut step = FIRST;
        for wait in &waits {
            assert!(*wait >= step / 2 && *wait <= step, "{wait:?} of {step:?}");
            step = (step * 2).min(LONGEST);
        }
        assert!(waits.iter().sum::<Duration>() <= Duration::from_secs(10));
        let mut asked = Backoff::new(Duration::from_secs(3), &SystemIds);
        assert_eq!(asked.next(Some(Duration::from_secs(2))), Some(Duration::from_secs(2)));
        assert_eq!(asked.next(Some(Duration::from_secs(2))), None);
        assert_eq!(Backoff::new(Duration::ZERO, &SystemIds).next(None), None);
    }
}
