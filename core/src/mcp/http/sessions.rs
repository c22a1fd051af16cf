//! Sessions of the revisions before 2026-07-28: names for conversations, each bound to who began it.
//!
//! Nothing hangs on them: who calls is told by every request anew. They are kept so that a name that somebody else took is
//! refused, and a change of identity in the middle is noticed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many sessions there may be, and for how long.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SessionLimits {
    /// One that nobody used for so long is over.
    pub idle: Duration,
    /// At most, of everybody.
    pub at_most: usize,
    /// At most, of one identity that a token names; its oldest gives way to a new one. Where all callers share one token,
    /// nobody is to end another's.
    pub per_identity: usize,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { idle: Duration::from_secs(30 * 60), at_most: 10_000, per_identity: 100 }
    }
}

impl SessionLimits {
    /// These limits.
    #[must_use]
    pub fn new(idle: Duration, at_most: usize, per_identity: usize) -> Self {
        Self { idle, at_most, per_identity }
    }
}

/// Whose a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Own,
    Foreign,
    No,
}

/// Who began a session: a digest, so that no claim is kept.
pub(super) type Key = [u8; 32];

#[derive(Debug, Clone, Copy)]
struct Session {
    key: Key,
    used: Instant,
}

#[derive(Debug)]
pub(super) struct Sessions {
    limits: SessionLimits,
    /// The key of whoever shows the one token of all.
    shared: Key,
    open: Mutex<HashMap<String, Session>>,
}

impl Sessions {
    pub(super) fn new(limits: SessionLimits, shared: Key) -> Self {
        Self { limits, shared, open: Mutex::default() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(&self) -> usize {
        self.lock().len()
    }

    /// Only its own caller keeps it alive.
    pub(super) fn check(&self, id: &str, key: &Key) -> Known {
        let mut open = self.lock();
        let now = Instant::now();
        match open.get_mut(id) {
            Some(session) if now.duration_since(session.used) > self.limits.idle => {
                open.remove(id);
                Known::No
            }
            Some(session) if session.key == *key => {
                session.used = now;
                Known::Own
            }
            Some(_) => Known::Foreign,
            None => Known::No,
        }
    }

    fn most_of(&self, key: &Key) -> usize {
        if *key == self.shared { self.limits.at_most } else { self.limits.per_identity }
    }

    /// May this identity begin one more? What is over gives way, and its own oldest.
    pub(super) fn has_room(&self, key: &Key) -> bool {
        let open = self.lock();
        if open.len() < self.limits.at_most {
            return true;
        }
        let own = open.values().filter(|session| session.key == *key).count();
        drop(open);
        self.sweep();
        own >= self.most_of(key) || self.open() < self.limits.at_most
    }

    pub(super) fn bind(&self, id: String, key: Key) {
        let mut open = self.lock();
        let own = || open.iter().filter(|(_, session)| session.key == key);
        if own().count() >= self.most_of(&key) {
            let oldest = own().min_by_key(|(_, session)| session.used).map(|(id, _)| id.clone());
            oldest.and_then(|oldest| open.remove(&oldest));
        }
        open.insert(id, Session { key, used: Instant::now() });
    }

    pub(super) fn end(&self, id: &str) {
        self.lock().remove(id);
    }

    /// Forgets what is over; answers their names.
    pub(super) fn sweep(&self) -> Vec<String> {
        let now = Instant::now();
        let mut open = self.lock();
        let over = |session: &Session| now.duration_since(session.used) > self.limits.idle;
        let ended: Vec<String> = open.iter().filter(|(_, session)| over(session)).map(|(id, _)| id.clone()).collect();
        for id in &ended {
            open.remove(id);
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Key = [1; 32];
    const BOB: Key = [2; 32];

    fn sessions() -> Sessions {
        Sessions::new(SessionLimits::new(Duration::from_secs(60), 4, 2), [0; 32])
    }

    #[tokio::test(start_paused = true)]
    async fn only_their_own_callers_use_them_and_keep_them_alive() {
        let sessions = sessions();
        sessions.bind("a".to_owned(), ALICE);
        for _ in 0..3 {
            tokio::time::advance(Duration::from_secs(40)).await;
            assert_eq!(sessions.check("a", &ALICE), Known::Own);
        }
        tokio::time::advance(Duration::from_secs(40)).await;
        assert_eq!(sessions.check("a", &BOB), Known::Foreign);
        tokio::time::advance(Duration::from_secs(21)).await;
        // Bob's attempt did not keep it alive.
        assert_eq!(sessions.check("a", &ALICE), Known::No);
        assert_eq!(sessions.check("a", &BOB), Known::No);
    }

    #[tokio::test(start_paused = true)]
    async fn who_share_a_token_do_not_end_each_others() {
        let sessions = sessions();
        for id in ["1", "2", "3"] {
            sessions.bind(id.to_owned(), [0; 32]);
        }
        assert_eq!(sessions.check("1", &[0; 32]), Known::Own);
    }

    #[tokio::test(start_paused = true)]
    async fn one_identity_cannot_take_the_places_of_others() {
        let sessions = sessions();
        for id in ["1", "2", "3"] {
            assert!(sessions.has_room(&ALICE));
            sessions.bind(id.to_owned(), ALICE);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(sessions.check("1", &ALICE), Known::No, "its oldest gave way");
        sessions.bind("4".to_owned(), BOB);
        sessions.bind("5".to_owned(), BOB);
        assert_eq!(sessions.open(), 4);
        assert!(!sessions.has_room(&[3; 32]), "full");
        assert!(sessions.has_room(&ALICE), "of its own there is room");
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(sessions.has_room(&[3; 32]), "what is over gives way");
    }
}
