//! The lease of a long-running server on a ledger: a second one is told who is there.
//!
//! It is for people, not for safety: every step of the ledger is safe with any number of writers. A lease is a file beside
//! the ledger, made only where there is none, and locked for as long as its holder lives. The kernel gives the lock back
//! however the holder ends, so whether it is alive is asked of the lock. Where there are no locks, the file says from which
//! boot of the machine it is and which process holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, Result};
use crate::primitives::{Clock, Instant};

/// More than any lease says; the rest of a longer file is not read.
const LONGEST: u64 = 64 * 1024;

/// Who holds a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// What it does: `serve`, `up`.
    pub mode: String,
    /// How it is reached: `stdio`, `streamable-http`.
    pub transport: String,
    /// The ledger.
    pub store_path: String,
    /// Since when.
    pub started_at: Instant,
    /// The boot of the machine that it runs on; empty where that cannot be told.
    #[serde(default)]
    pub boot_id: String,
    /// When that process began, in ticks of that boot: a number that is used again does not pass for it.
    #[serde(default)]
    pub process_started: Option<u64>,
}

/// A lease that is held; it ends when this goes.
#[derive(Debug)]
pub struct Lease {
    path: PathBuf,
    /// Keeps the lock.
    _file: File,
}

impl Lease {
    /// Takes the lease of a ledger; a stale one is taken over.
    ///
    /// # Errors
    /// `LEDGER_HELD` naming the holder, `FILE_UNWRITABLE`.
    pub fn take(ledger: &Path, mode: &str, transport: &str, clock: &dyn Clock) -> Result<Self> {
        let path = place(ledger);
        let _guard = guard(&path)?;
        if let Some(holder) = living(&path)? {
            return Err(held(ledger, &holder));
        }
        let failed = |error: std::io::Error| unwritable(&path, &error);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let pid = std::process::id();
        let holder = Holder {
            pid,
            mode: mode.to_owned(),
            transport: transport.to_owned(),
            store_path: ledger.display().to_string(),
            started_at: clock.now(),
            boot_id: boot_id(),
            process_started: process_started(pid),
        };
        let mut file = private().create_new(true).write(true).open(&path).map_err(failed)?;
        // A file system without locks: the file itself has to do.
        let _ = file.try_lock();
        let text = serde_json::to_string_pretty(&holder).unwrap_or_default();
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        Ok(Self { path, _file: file })
    }

    /// Who holds the lease of a ledger; none if nobody does, or nobody who is alive.
    ///
    /// # Errors
    /// `FILE_UNWRITABLE`, `FILE_UNREADABLE`.
    pub fn holder(ledger: &Path) -> Result<Option<Holder>> {
        let path = place(ledger);
        if !path.exists() {
            return Ok(None);
        }
        let _guard = guard(&path)?;
        living(&path)
    }

    /// Refuses if somebody holds the lease of a ledger.
    ///
    /// # Errors
    /// `LEDGER_HELD`.
    pub fn refuse_if_held(ledger: &Path) -> Result<()> {
        Self::holder(ledger)?.map_or(Ok(()), |holder| Err(held(ledger, &holder)))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // It is ours while we hold its lock. If it cannot be removed, it is stale as soon as the lock goes.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Beside the ledger, under v1's name.
fn place(ledger: &Path) -> PathBuf {
    let mut name = ledger.as_os_str().to_owned();
    name.push(".lease.json");
    PathBuf::from(name)
}

fn held(ledger: &Path, holder: &Holder) -> Error {
    let who = if holder.pid == 0 {
        "a process that has not said who it is".to_owned()
    } else {
        format!("process {} ({} over {}, since {})", holder.pid, holder.mode, holder.transport, holder.started_at)
    };
    Error::new(Code::LedgerHeld).with("path", ledger.display()).with("holder", who)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(Code::FileUnwritable).with("path", path.display()).with("reason", error.kind())
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// One at a time looks and takes, so nobody removes a lease that was taken a moment ago. The guard is a file of its own,
/// which is never removed: who waits for it waits for the same one.
fn guard(path: &Path) -> Result<File> {
    let guard = path.with_extension("lock");
    let failed = |error: std::io::Error| unwritable(&guard, &error);
    let file = private().create(true).truncate(false).write(true).open(&guard).map_err(failed)?;
    match file.lock() {
        Err(error) if error.kind() != std::io::ErrorKind::Unsupported => Err(failed(error)),
        _ => Ok(file),
    }
}

/// The holder, if it is alive.
fn living(path: &Path) -> Result<Option<Holder>> {
    let unreadable = |error: &std::io::Error| {
        Error::new(Code::FileUnreadable).with("path", path.display()).with("reason", error.kind())
    };
    // A pipe would keep us waiting, and a device would never end.
    let file = match std::fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => return Err(unreadable(&std::io::ErrorKind::InvalidInput.into())),
        Ok(_) => File::open(path),
        Err(error) => Err(error),
    };
    let file = match file {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(&error)),
    };
    let mut text = Vec::new();
    Read::take(&file, LONGEST).read_to_end(&mut text).map_err(|error| unreadable(&error))?;
    let said: Option<Holder> = serde_json::from_slice(&text).ok();
    let alive = match file.try_lock() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(_)) => said.as_ref().is_none_or(runs),
    };
    // Half a lease under a lock belongs to somebody all the same.
    let nobody = || Holder {
        pid: 0,
        mode: String::new(),
        transport: String::new(),
        store_path: String::new(),
        started_at: Instant::from_unix(0).unwrap_or_else(|| Instant::from(std::time::SystemTime::UNIX_EPOCH)),
        boot_id: String::new(),
        process_started: None,
    };
    Ok(alive.then(|| said.unwrap_or_else(nobody)))
}

/// Without locks: the process is there, since the same moment of the same boot.
fn runs(holder: &Holder) -> bool {
    holder.boot_id == boot_id() && process_started(holder.pid) == holder.process_started
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// The 22nd field of a process's line, counted behind its name, which may hold anything.
fn process_started(pid: u32) -> Option<u64> {
    let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = line.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::SystemClock;

    fn take(ledger: &Path) -> Result<Lease> {
        Lease::take(ledger, "serve", "stdio", &SystemClock)
    }

    #[test]
    fn one_holds_it_and_the_second_is_told_who() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("ledger.db");
        assert_eq!(Lease::holder(&ledger).unwrap(), None);
        let lease = take(&ledger).unwrap();
        let refused = take(&ledger).unwrap_err();
        assert_eq!(refused.code(), Code::LedgerHeld);
        assert!(refused.message().contains(&format!("process {}", std::process::id())), "{refused}");
        assert_eq!(Lease::refuse_if_held(&ledger).unwrap_err().code(), Code::LedgerHeld);
        let holder = Lease::holder(&ledger).unwrap().unwrap();
        assert!(runs(&holder) && !holder.boot_id.is_empty());
        drop(lease);
        assert_eq!(Lease::holder(&ledger).unwrap(), None);
        drop(take(&ledger).unwrap());
    }

    #[test]
    fn what_a_dead_holder_left_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("ledger.db");
        let holder =
            r#"{"pid":1,"mode":"serve","transport":"stdio","store_path":"x","started_at":"2026-01-01T00:00:00Z"}"#;
        for left in [holder, "", "{", "null"] {
            std::fs::write(place(&ledger), left).unwrap();
            assert_eq!(Lease::holder(&ledger).unwrap(), None, "{left}");
            let lease = take(&ledger).unwrap();
            assert_eq!(take(&ledger).unwrap_err().code(), Code::LedgerHeld);
            drop(lease);
        }
        // Nothing can be read from it, and yet somebody holds it.
        std::fs::write(place(&ledger), "{").unwrap();
        let file = File::open(place(&ledger)).unwrap();
        file.lock().unwrap();
        assert_eq!(take(&ledger).unwrap_err().code(), Code::LedgerHeld);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_no_lease() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("ledger.db");
        std::os::unix::fs::symlink("/dev/zero", place(&ledger)).unwrap();
        assert_eq!(Lease::holder(&ledger).unwrap_err().code(), Code::FileUnreadable);
        assert_eq!(take(&ledger).unwrap_err().code(), Code::FileUnreadable);
        std::fs::remove_file(place(&ledger)).unwrap();
        std::fs::write(place(&ledger), vec![b' '; 1 << 20]).unwrap();
        assert_eq!(Lease::holder(&ledger).unwrap(), None);
    }

    #[test]
    fn without_locks_it_is_the_boot_and_the_process_that_tell() {
        let pid = std::process::id();
        let mut holder: Holder = serde_json::from_str(
            r#"{"pid":1,"mode":"serve","transport":"stdio","store_path":"x","started_at":"2026-01-01T00:00:00Z"}"#,
        )
        .unwrap();
        (holder.pid, holder.boot_id, holder.process_started) = (pid, boot_id(), process_started(pid));
        assert!(runs(&holder));
        // The number belongs to another process now.
        holder.process_started = holder.process_started.map(|ticks| ticks + 1);
        assert!(!runs(&holder));
        (holder.boot_id, holder.process_started) = ("another".to_owned(), process_started(pid));
        assert!(!runs(&holder));
    }

    #[test]
    fn of_many_takers_one_wins() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("ledger.db");
        for _ in 0..20 {
            std::fs::write(place(&ledger), "{}").unwrap();
            let together = std::sync::Barrier::new(8);
            let held: Vec<_> = std::thread::scope(|scope| {
                let takers: Vec<_> = (0..8)
                    .map(|_| {
                        scope.spawn(|| {
                            together.wait();
                            take(&ledger)
                        })
                    })
                    .collect();
                takers.into_iter().map(|taker| taker.join().unwrap()).collect()
            });
            assert_eq!(held.iter().filter(|taken| taken.is_ok()).count(), 1);
        }
    }
}
