//! How often one principal may call one tool: a leaky bucket for each pair, in bounded memory.
//!
//! Written here because what is asked for is the bound: principals come from outside, and the well-kept crate for this
//! keeps a state for each key that was ever seen until somebody sweeps it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::contract::RateLimit;
use crate::runtime::Caller;

const MINUTE: Duration = Duration::from_secs(60);
/// Buckets at most: about two megabytes.
const MOST: usize = 10_000;

/// What a call counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    Read,
    Proposal,
}

/// Time that has passed since some moment, and never runs back.
#[derive(Clone)]
pub(super) struct Monotonic(Arc<dyn Fn() -> Duration + Send + Sync>);

impl Monotonic {
    pub fn new(passed: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(passed))
    }

    fn system() -> Self {
        let start = tokio::time::Instant::now();
        Self::new(move || start.elapsed())
    }
}

impl fmt::Debug for Monotonic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Monotonic(…)")
    }
}

/// Tenant, principal and tool.
type Key = (String, String, String);

/// One limiter, shared by all clients of a door.
#[derive(Debug)]
pub(super) struct Limits {
    limit: RateLimit,
    clock: Monotonic,
    /// For each key, until when its calls so far are spread out at the steady rate.
    busy: Mutex<HashMap<Key, Duration>>,
}

impl Limits {
    pub fn new(limit: RateLimit) -> Self {
        Self { limit, clock: Monotonic::system(), busy: Mutex::default() }
    }

    /// The same limits from the beginning, by another clock.
    pub fn by(&self, clock: Monotonic) -> Self {
        Self { limit: self.limit, clock, busy: Mutex::default() }
    }

    /// Counts a call; if it is one too many, the seconds until the next one may pass. One that is refused counts as well, so
    /// whoever does not wait waits longer, by a minute at most.
    pub fn count(&self, caller: &Caller, tool: &str, counted: Counted) -> Result<(), u64> {
        let per_minute = match counted {
            Counted::Read => self.limit.reads_per_minute,
            Counted::Proposal => self.limit.proposals_per_minute,
        };
        let Some(per_minute) = per_minute else { return Ok(()) };
        let each = MINUTE / per_minute.max(1);
        let key = match caller {
            Caller::Trusted { tenant, principal, .. } => (tenant.clone(), principal.clone(), tool.to_owned()),
            _ => (String::new(), String::new(), tool.to_owned()),
        };
        let now = (self.clock.0)();
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if busy.len() >= MOST && !busy.contains_key(&key) {
            make_room(&mut busy, now);
        }
        let until = busy.entry(key).or_insert(now);
        let after = (*until).max(now) + each;
        if after <= now + MINUTE {
            *until = after;
            return Ok(());
        }
        *until = after.min(now + 2 * MINUTE);
        Err((*until + each).saturating_sub(now + MINUTE).as_secs_f64().ceil() as u64)
    }
}

/// Forgets whoever has been idle: nothing is lost by it. If nobody has, the half that is idle soonest: they begin anew, which
/// is no more than another principal would get.
fn make_room(busy: &mut HashMap<Key, Duration>, now: Duration) {
    busy.retain(|_, until| *until > now);
    if busy.len() >= MOST {
        let mut ends: Vec<Duration> = busy.values().copied().collect();
        let (_, median, _) = ends.select_nth_unstable(MOST / 2);
        let median = *median;
        let mut room = MOST / 2;
        busy.retain(|_, until| {
            let forgotten = *until <= median && room > 0;
            room -= usize::from(forgotten);
            !forgotten
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn limits(proposals: u32) -> (Limits, Arc<AtomicU64>) {
        let time = Arc::new(AtomicU64::new(1_000));
        let shown = Arc::clone(&time);
        let clock = Monotonic::new(move || Duration::from_millis(shown.load(Ordering::Relaxed)));
        let limit = RateLimit { proposals_per_minute: Some(proposals), ..RateLimit::default() };
        (Limits::new(limit).by(clock), time)
    }

    fn ann() -> Caller {
        Caller::trusted("acme", "ann")
    }

    #[test]
    fn the_last_of_a_minute_passes_and_the_next_one_does_not() {
        let (limits, time) = limits(30);
        let propose = || limits.count(&ann(), "a.b", Counted::Proposal);
        assert!((0..30).all(|_| propose().is_ok()));
        assert_eq!(propose(), Err(4), "two seconds for this one, which counts, and two for the next");
        time.fetch_add(3_999, Ordering::Relaxed);
        assert!(propose().is_err());
        time.fetch_add(3_000, Ordering::Relaxed);
        assert_eq!((propose(), propose().is_err()), (Ok(()), true));
    }

    #[test]
    fn waiting_as_long_as_was_said_is_enough_however_often_it_was_refused() {
        for refused in [1, 7, 1_000] {
            let (limits, time) = limits(60);
            let propose = || limits.count(&ann(), "a.b", Counted::Proposal);
            assert!((0..60).all(|_| propose().is_ok()));
            let wait = (0..refused).fold(0, |_, _| propose().unwrap_err());
            assert!((1..=61).contains(&wait), "{wait}");
            time.fetch_add((wait - 1) * 1_000 - 1, Ordering::Relaxed);
            let early = Limits {
                limit: limits.limit,
                clock: limits.clock.clone(),
                busy: Mutex::new(limits.busy.lock().unwrap().clone()),
            };
            assert!(early.count(&ann(), "a.b", Counted::Proposal).is_err());
            time.fetch_add(1_001, Ordering::Relaxed);
            assert_eq!(propose(), Ok(()), "{refused}");
        }
    }

    #[test]
    fn others_and_other_tools_and_no_limit_are_not_held_up() {
        let (limits, _) = limits(1);
        assert!(limits.count(&ann(), "a.b", Counted::Proposal).is_ok());
        assert!(limits.count(&ann(), "a.b", Counted::Proposal).is_err());
        assert!(limits.count(&ann(), "a.c", Counted::Proposal).is_ok());
        assert!(limits.count(&Caller::trusted("acme", "bob"), "a.b", Counted::Proposal).is_ok());
        assert!(limits.count(&Caller::trusted("globex", "ann"), "a.b", Counted::Proposal).is_ok());
        assert!(limits.count(&Caller::FromContract, "a.b", Counted::Proposal).is_ok());
        let unlimited = Limits::new(RateLimit { proposals_per_minute: None, reads_per_minute: None });
        assert!((0..10_000).all(|_| unlimited.count(&ann(), "a.b", Counted::Read).is_ok()));
    }

    #[test]
    fn any_number_of_principals_fits_and_a_busy_one_is_remembered_over_idle_ones() {
        let (limits, time) = limits(60);
        let many = |from: usize| {
            for n in from..from + 3 * MOST {
                let who = Caller::trusted("acme", format!("p{n}"));
                assert!(limits.count(&who, "a.b", Counted::Proposal).is_ok());
                assert!(limits.busy.lock().unwrap().len() <= MOST);
            }
        };
        many(0);
        time.fetch_add(2_000, Ordering::Relaxed);
        while limits.count(&ann(), "a.b", Counted::Proposal).is_ok() {}
        for _ in 0..60 {
            let _ = limits.count(&ann(), "a.b", Counted::Proposal);
        }
        many(1_000_000);
        assert!(limits.count(&ann(), "a.b", Counted::Proposal).is_err(), "the busiest is forgotten last");
    }
}
