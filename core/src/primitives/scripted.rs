use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::{Clock, IdSource, Instant};

/// Time and ids as a test wants them: the clock stands at an instant, and ids follow from a seed. Whoever can guess ids
/// can name proposals: it is for tests alone.
#[derive(Debug)]
pub struct Scripted(Mutex<Script>);

#[derive(Debug)]
struct Script {
    at: Instant,
    seed: String,
    drawn: u64,
}

impl Scripted {
    /// The clock stands at this instant, and ids follow from this seed.
    #[must_use]
    pub fn new(at: Instant, seed: impl Into<String>) -> Self {
        Self(Mutex::new(Script { at, seed: seed.into(), drawn: 0 }))
    }

    /// The same from now on with another instant and another seed.
    pub fn set(&self, at: Instant, seed: impl Into<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Script { at, seed: seed.into(), drawn: 0 };
    }

    fn draw(&self) -> [u8; 32] {
        let mut script = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        script.drawn += 1;
        Sha256::digest(format!("{}#{}", script.seed, script.drawn)).into()
    }
}

impl Clock for Scripted {
    fn now(&self) -> Instant {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).at
    }
}

impl IdSource for Scripted {
    fn uuid(&self) -> String {
        let [bytes @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = self.draw();
        uuid::Builder::from_random_bytes(bytes).into_uuid().hyphenated().to_string()
    }

    fn key(&self) -> Option<[u8; 32]> {
        Some(self.draw())
    }
}
