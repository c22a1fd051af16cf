//! The issuer's keys as they are at present. They are fetched when they are needed, by one task for all who wait, and no
//! more often than once in a cool-down, whatever callers send: an unknown key id costs the issuer nothing.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::keys::{Key, KeySet, LONGEST, Pick};
use crate::contract::Algorithm;
use crate::executor::{Client, Document};
use crate::primitives::{Clock, Instant};

/// Keys are used for so long before they are asked for again: a key that was taken back goes by then.
const FRESH: Duration = Duration::from_secs(300);
/// While the issuer does not answer, the last keys are used for so long.
const LAST: Duration = Duration::from_secs(3_600);
/// Between two fetches.
const COOL_DOWN: Duration = Duration::from_secs(30);
/// For one fetch.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where keys come from.
#[derive(Debug)]
pub(super) enum Origin {
    Address { document: Document, client: Arc<Client> },
    File(PathBuf),
}

/// The keys, and when they were asked for.
#[derive(Debug)]
pub(super) struct KeyStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    origin: Origin,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    keys: Option<Held>,
    asked: Option<Instant>,
    /// The last fetch came to nothing, for this reason.
    failed: Option<&'static str>,
    /// A fetch under way holds the other end.
    running: Option<watch::Receiver<()>>,
}

#[derive(Debug, Clone)]
struct Held {
    keys: Arc<KeySet>,
    since: Instant,
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The issuer has none for this token.
    Refused(&'static str),
    /// The issuer cannot be asked.
    Unavailable(&'static str),
}

impl KeyStore {
    pub(super) fn new(origin: Origin, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { origin, clock, state: Mutex::default() }))
    }

    /// Reads a file at once, so that a wrong one is found when the server starts.
    pub(super) fn of_file(path: PathBuf, clock: Arc<dyn Clock>) -> Result<Self, &'static str> {
        let keys = Arc::new(read(&path)?);
        let since = clock.now();
        let store = Self::new(Origin::File(path), clock);
        store.0.state().keys = Some(Held { keys, since });
        store.0.state().asked = Some(since);
        Ok(store)
    }

    /// The key for a token's header.
    pub(super) async fn find(&self, algorithm: Algorithm, id: Option<&str>) -> Result<Arc<Key>, NoKey> {
        let mut held = self.0.held(FRESH);
        if held.is_none() {
            self.refresh().await;
            held = self.0.held(LAST);
        }
        let unavailable = |why: Option<&'static str>| NoKey::Unavailable(why.unwrap_or("there are no keys yet"));
        let keys = held.ok_or_else(|| unavailable(self.0.state().failed))?;
        match keys.pick(algorithm, id) {
            Pick::One(key) => return Ok(key),
            Pick::Refused(why) => return Err(NoKey::Refused(why)),
            Pick::Unknown => self.refresh().await,
        }
        let failed = self.0.state().failed;
        let keys = self.0.held(LAST).ok_or_else(|| unavailable(failed))?;
        match (keys.pick(algorithm, id), failed) {
            (Pick::One(key), _) => Ok(key),
            (Pick::Refused(why), _) => Err(NoKey::Refused(why)),
            (Pick::Unknown, None) => Err(NoKey::Refused("its key is not known")),
            // It may be a new one: who can tell?
            (Pick::Unknown, Some(why)) => Err(NoKey::Unavailable(why)),
        }
    }

    /// Fetches the keys, or waits for whoever does; at once if that was done a moment ago. The fetch is a task of its own:
    /// a caller that hangs up does not take it along.
    async fn refresh(&self) {
        let Some(mut running) = self.begin() else { return };
        // It ends when the other end is dropped.
        while running.changed().await.is_ok() {}
    }

    fn begin(&self) -> Option<watch::Receiver<()>> {
        let now = self.0.clock.now();
        let mut state = self.0.state();
        if let Some(running) = state.running.as_ref().filter(|running| running.has_changed().is_ok()) {
            return Some(running.clone());
        }
        // A clock that was set back ends the cool-down.
        if state.asked.is_some_and(|asked| now >= asked && now.since(asked) < COOL_DOWN) {
            return None;
        }
        let (held, running) = watch::channel(());
        state.asked = Some(now);
        state.running = Some(running.clone());
        drop(state);
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            let loaded = inner.load().await;
            let mut state = inner.state();
            match loaded {
                Ok(keys) => {
                    state.keys = Some(Held { keys: Arc::new(keys), since: now });
                    state.failed = None;
                }
                Err(why) => state.failed = Some(why),
            }
            drop(state);
            drop(held);
        });
        Some(running)
    }
}

impl Inner {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys, if they are no older than this.
    fn held(&self, oldest: Duration) -> Option<Arc<KeySet>> {
        let now = self.clock.now();
        let state = self.state();
        let held = state.keys.as_ref()?;
        // Under a clock that was set back, their age is not known: they are asked for again, and are the last resort.
        let young = if now < held.since { oldest > FRESH } else { now.since(held.since) < oldest };
        young.then(|| Arc::clone(&held.keys))
    }

    async fn load(&self) -> Result<KeySet, &'static str> {
        match &self.origin {
            Origin::Address { document, client } => KeySet::parse(&document.read(client, LONGEST, PATIENCE).await?),
            Origin::File(path) => {
                let path = path.clone();
                tokio::task::spawn_blocking(move || read(&path)).await.map_err(|_| "the file could not be read")?
            }
        }
    }
}

fn read(path: &std::path::Path) -> Result<KeySet, &'static str> {
    use std::io::Read as _;
    let unreadable = |_| "the file cannot be read";
    let mut document = Vec::new();
    let most = u64::try_from(LONGEST).unwrap_or(u64::MAX);
    std::fs::File::open(path).map_err(unreadable)?.take(most + 1).read_to_end(&mut document).map_err(unreadable)?;
    KeySet::parse(&document)
}
