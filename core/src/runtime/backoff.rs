//! When an application that asked to come back is asked again: twice as long each time, scattered, and not for ever.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);

/// The waits of one apply.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    left: Duration,
}

impl Backoff {
    /// All waits together are no longer than this.
    pub fn new(budget: Duration) -> Self {
        Self { next: FIRST, left: budget }
    }

    /// The next wait: between half and all of its step, or what the application asked for if that is longer; `None` if it
    /// does not fit into what is left.
    pub fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        let step = self.next;
        self.next = (step * 2).min(LONGEST);
        let wait = (step / 2 + step.mul_f64(scatter() / 2.0)).max(asked.unwrap_or_default());
        self.left = self.left.checked_sub(wait)?;
        Some(wait)
    }
}

/// A number from 0 to 1, so that many workers do not come back at once. Without randomness they all wait the longest.
fn scatter() -> f64 {
    let mut byte = [255];
    let _ = getrandom::fill(&mut byte);
    f64::from(byte[0]) / 255.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end() {
        let mut backoff = Backoff::new(Duration::from_secs(10));
        let waits: Vec<Duration> = std::iter::from_fn(|| backoff.next(None)).collect();
        assert!((5..=10).contains(&waits.len()), "{waits:?}");
        let mut step = FIRST;
        for wait in &waits {
            assert!(*wait >= step / 2 && *wait <= step, "{wait:?} of {step:?}");
            step = (step * 2).min(LONGEST);
        }
        assert!(waits.iter().sum::<Duration>() <= Duration::from_secs(10));
        let mut asked = Backoff::new(Duration::from_secs(3));
        assert_eq!(asked.next(Some(Duration::from_secs(2))), Some(Duration::from_secs(2)));
        assert_eq!(asked.next(Some(Duration::from_secs(2))), None);
        assert_eq!(Backoff::new(Duration::ZERO).next(None), None);
    }
}
