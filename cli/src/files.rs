//! Files that are written whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use signoff::primitives::{Clock as _, SystemClock};
use signoff::{Code, Error, Result};

/// A file that was not there.
pub fn create(path: &Path, text: &str) -> Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(unwritable(path))?;
    fill(file, text).map_err(unwritable(path))
}

/// A file of the rights that the old one has: what stands in it may be nobody else's business.
fn create_like(old: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    fill(options.open(path)?, text)?;
    std::fs::set_permissions(path, std::fs::metadata(old)?.permissions())
}

fn fill(mut file: File, text: &str) -> std::io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Puts the new text into the place of the old one, whole or not at all, and says where the old one is now.
pub fn replace(path: &Path, old: &str, new: &str) -> Result<PathBuf> {
    // A link stays a link.
    let path = std::fs::canonicalize(path).map_err(unwritable(path))?;
    let beside = |ending: &str| {
        let mut name = path.clone().into_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    let time: String = SystemClock.now().to_string().chars().filter(|c| !matches!(c, '-' | ':' | '.')).collect();
    let (backup, fresh) = (beside(&format!(".bak.{time}")), beside(&format!(".new.{time}")));
    create_like(&path, &backup, old).map_err(unwritable(&backup))?;
    let moved = create_like(&path, &fresh, new).and_then(|()| std::fs::read_to_string(&path)).and_then(|now| {
        if now == old { std::fs::rename(&fresh, &path) } else { Err(std::io::ErrorKind::Other.into()) }
    });
    if let Err(error) = moved {
        let _ = std::fs::remove_file(&fresh);
        let _ = std::fs::remove_file(&backup);
        return Err(unwritable(&path)(error));
    }
    Ok(backup)
}

pub fn unwritable(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    move |error| {
        let reason = match error.kind() {
            std::io::ErrorKind::Other => "it changed meanwhile".to_owned(),
            kind => kind.to_string(),
        };
        Error::new(Code::FileUnwritable).with("path", path.display()).with("reason", reason)
    }
}
