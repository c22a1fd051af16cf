//! Connections between two calls. Opening one costs a parse of the schema, and closing the last one of a file in WAL mode a
//! checkpoint: most of what a small write costs.
//!
//! A file that is overwritten in place under an open connection is beyond help (sqlite.org/howtocorrupt.html): a copy has to
//! be moved into its place.

use std::path::Path;
use std::process;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};

/// Kept at most, of either kind. More are opened when more are needed, and closed after.
const AT_MOST: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

impl Access {
    pub(super) fn flags(self) -> OpenFlags {
        match self {
            Self::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Self::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
        }
    }
}

/// Which file stands at a path: a copy moved into its place is another one. None where nobody can tell; such a connection
/// is not kept.
pub(super) type FileIdentity = (u64, u64);

#[cfg(unix)]
pub(super) fn identity(path: &Path) -> Option<FileIdentity> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

#[cfg(not(unix))]
pub(super) fn identity(_: &Path) -> Option<FileIdentity> {
    None
}

/// A connection and the file that it has open. Dropped, it is closed; given back, it is used again.
#[derive(Debug)]
pub(super) struct Kept {
    pub connection: Connection,
    pub access: Access,
    pub file: Option<FileIdentity>,
}

/// The connections that nobody uses.
#[derive(Debug)]
pub(super) struct Idle {
    kept: Mutex<Vec<Kept>>,
    /// A child process must not use, nor close, what its parent opened (sqlite.org/howtocorrupt.html, section 2.6).
    process: u32,
}

impl Default for Idle {
    fn default() -> Self {
        Self { kept: Mutex::default(), process: process::id() }
    }
}

impl Idle {
    /// One that has this path's file open, still.
    pub(super) fn take(&self, access: Access, path: &Path) -> Option<Kept> {
        if self.process != process::id() {
            return None;
        }
        let now = identity(path);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|one| one.file == now);
        let at = kept.iter().position(|one| one.access == access)?;
        Some(kept.swap_remove(at))
    }

    /// Keeps one for the next call. No transaction may be open in it.
    pub(super) fn give_back(&self, one: Kept) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let alike = kept.iter().filter(|other| other.access == one.access).count();
        if self.process == process::id() && one.file.is_some() && alike < AT_MOST {
            kept.push(one);
        }
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        if self.process != process::id() {
            let kept = std::mem::take(self.kept.get_mut().unwrap_or_else(PoisonError::into_inner));
            kept.into_iter().for_each(std::mem::forget);
        }
    }
}
