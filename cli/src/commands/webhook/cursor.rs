//! Where deliveries go on: a small file beside the ledger, whole at any moment, used by one sender at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use signoff::ledger::{Cursor as At, List, PageRequest};
use signoff::primitives::{Clock as _, Instant, SystemClock};
use signoff::{Code, Error, Result, Runtime};

use super::all;
use super::outbox::Mark;
use super::send::Destination;

const SCHEMA: &str = "signoff.webhook-cursor.v1";

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    schema_version: String,
    /// For people.
    url: String,
    #[serde(flatten)]
    mark: Mark,
    /// The hash of the last event reached: tells another ledger, and an older copy of this one.
    reached_hash: Option<String>,
    updated_at: Instant,
}

#[derive(Debug)]
pub struct Cursor {
    path: PathBuf,
    /// Keeps other senders away.
    _lock: Option<File>,
}

impl Cursor {
    /// Beside the ledger, one for each endpoint.
    pub fn beside(store_path: &str, endpoint: &str) -> PathBuf {
        PathBuf::from(format!("{store_path}.webhook-{endpoint}.json"))
    }

    /// Only to read it.
    pub fn look(path: PathBuf) -> Self {
        Self { path, _lock: None }
    }

    /// For a sender; refused while another one has it. The kernel gives it back however that one ends.
    pub fn take(path: PathBuf) -> Result<Self> {
        let lock = path.with_extension("lock");
        let file = private().create(true).truncate(false).write(true).open(&lock);
        let file = file.map_err(|error| unwritable(&lock, error.kind()))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(unwritable(&path, "another sender is at work with it")),
            // A file system without locks.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Self { path, _lock: Some(file) }),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How far deliveries got; from the beginning if there were none.
    pub async fn read(&self, runtime: &Runtime) -> Result<Mark> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Mark::default()),
            Err(error) => {
                let unreadable = Error::new(Code::FileUnreadable).with("path", self.path.display());
                return Err(unreadable.with("reason", error.kind()));
            }
        };
        let mismatch = || Error::new(Code::WebhookCursorMismatch).with("path", self.path.display());
        let document: Document = serde_json::from_str(&text).map_err(|_| mismatch())?;
        let ours = document.schema_version == SCHEMA
            && document.reached_hash == hash(runtime, document.mark.reached).await?
            && document.mark.held.values().all(|seq| *seq <= document.mark.reached);
        if ours { Ok(document.mark) } else { Err(mismatch()) }
    }

    /// Replaces it as a whole, durably.
    pub async fn write(&self, runtime: &Runtime, mark: &Mark, destination: &Destination) -> Result<()> {
        let document = Document {
            schema_version: SCHEMA.to_owned(),
            url: destination.shown(),
            reached_hash: hash(runtime, mark.reached).await?,
            mark: mark.clone(),
            updated_at: SystemClock.now(),
        };
        let text = serde_json::to_string_pretty(&document).unwrap_or_default() + "\n";
        let beside = self.path.with_extension("tmp");
        let written = private().create(true).truncate(true).write(true).open(&beside).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&beside, &self.path)?;
            let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        });
        written.map_err(|error| unwritable(&self.path, error.kind()))
    }
}

/// The hash of an event; none for the place before the first, and for one that is not there.
async fn hash(runtime: &Runtime, seq: u64) -> Result<Option<String>> {
    if seq == 0 {
        return Ok(None);
    }
    let page = PageRequest { limit: 1, after: Some(At { list: List::Events, seq: seq.saturating_add(1) }) };
    let found = runtime.ledger().events(all(), page).await?.items.into_iter().next();
    Ok(found.filter(|event| event.seq == seq).map(|event| event.hash.to_string()))
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn unwritable(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::new(Code::FileUnwritable).with("path", path.display()).with("reason", reason)
}
