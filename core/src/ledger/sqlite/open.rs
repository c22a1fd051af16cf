//! Opening: permissions, the key, migrations, and the settings without which a commit is not durable.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use zeroize::Zeroizing;

use super::chain::{Head, ROOT, head, head_mac, signed_beginning, tampered};
use super::index::{self, BLOCK};
use super::schema::{APPLICATION_ID, FORMAT, FORMAT_WITH_INDEX, check_schema, migrate};
use super::{Failed, SqliteLedger, Store};
use crate::error::{Code, Error, Result};
use crate::ledger::Lease;
use crate::primitives::{Clock, Digest, IdSource, MacKey, Secret, SystemClock};
use crate::protocol::State;

const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// How to open a ledger.
#[derive(Debug)]
pub struct LedgerOptions {
    /// The file.
    pub path: PathBuf,
    /// Make it, and its key, if there is none.
    pub create: bool,
    /// The key in base64, instead of the key file (`SIGNOFF_LEDGER_KEY`).
    pub key: Option<Secret>,
}

impl LedgerOptions {
    /// The ledger at this path; an existing one only.
    #[must_use]
    pub fn existing(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), create: false, key: None }
    }

    /// The ledger at this path, made if there is none.
    #[must_use]
    pub fn create(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), create: true, key: None }
    }

    /// Uses this key, base64 of 32 bytes, instead of the key file.
    #[must_use]
    pub fn with_key(mut self, key: Option<Secret>) -> Self {
        self.key = key;
        self
    }
}

/// May a ledger be made in this file?
#[derive(Clone, Copy)]
enum Making {
    /// It was not there, or empty.
    Now,
    /// It has our mark: only if its first commit never ended.
    IfEmpty,
    Never,
}

enum Kind {
    Fresh,
    Ours,
    Foreign,
}

impl SqliteLedger {
    /// Opens a ledger. A file that is not ours is left alone and `<stem>.signoff.db` beside it is used, with a warning.
    ///
    /// # Errors
    /// `LEDGER_NOT_FOUND`, `LEDGER_KEY_MISSING`, `LEDGER_KEY_MISMATCH`, `LEDGER_KEY_INVALID`, `LEDGER_FORMAT_UNKNOWN`,
    /// `LEDGER_UNAVAILABLE`, `LEDGER_BUSY`.
    pub fn open(options: LedgerOptions, clock: &dyn Clock, ids: &dyn IdSource) -> Result<Self> {
        let mut warnings = Vec::new();
        let mut path = options.path;
        let mut kind = kind_of(&path)?;
        if matches!(kind, Kind::Foreign) {
            let own = path.with_extension("signoff.db");
            warnings.push(format!(
                "{} is not a Signoff ledger and is left as it is; using {}",
                path.display(),
                own.display()
            ));
            path = own;
            kind = kind_of(&path)?;
        }
        let fresh = match kind {
            Kind::Foreign => return Err(Error::new(Code::LedgerForeign).with("path", path.display())),
            Kind::Fresh if !options.create => return Err(Error::new(Code::LedgerNotFound).with("path", path.display())),
            Kind::Fresh => true,
            Kind::Ours => false,
        };
        if fresh {
            make_folder(&path)?;
        }
        warn_about_folder(&path, &mut warnings);
        let key = find_key(&path, options.key.as_ref(), fresh, ids)?;
        if fresh {
            make_file(&path)?;
        }
        warn_about_file(&path, &mut warnings);
        let making = if fresh {
            Making::Now
        } else if options.create {
            Making::IfEmpty
        } else {
            Making::Never
        };
        let opened = connect(&path, &key, making, clock, ids);
        let (connection, key, schema_version) = opened.map_err(|error| error.with("path", path.display()))?;
        Self::start(Store { connection, key, path, schema_version }, warnings)
    }
}

impl SqliteLedger {
    /// Deletes a ledger that is ours, with its log. Its key stays: copies of it can still be verified. What is not at its
    /// end is only given up with `force`; what a living server holds, never.
    ///
    /// # Errors
    /// `LEDGER_HELD`, `LEDGER_OPEN_WORK`, `LEDGER_NOT_FOUND`, `LEDGER_FOREIGN`, `LEDGER_BUSY`, and those of [`Self::open`].
    pub fn reset(path: &Path, key: Option<Secret>, force: bool) -> Result<()> {
        match kind_of(path)? {
            Kind::Fresh => return Err(Error::new(Code::LedgerNotFound).with("path", path.display())),
            Kind::Foreign => return Err(Error::new(Code::LedgerForeign).with("path", path.display())),
            Kind::Ours => {}
        }
        let key = find_key(path, key.as_ref(), false, &NoIds)?;
        let opened = connect(path, &key, Making::Never, &SystemClock, &NoIds).and_then(|(connection, ..)| {
            // Everything into the one file, and nobody else in it: what another process wrote now would be lost.
            connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").failed()?;
            let open = open_work(&connection)?;
            Ok((connection, open))
        });
        let (connection, open) = opened.map_err(|error| error.with("path", path.display()))?;
        Lease::refuse_if_held(path)?;
        if let (Some(work), false) = (open, force) {
            return Err(Error::new(Code::LedgerOpenWork).with("path", path.display()).with("work", work));
        }
        for end in ["", "-wal", "-shm", ".lease.json"] {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            match std::fs::remove_file(&name) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unwritable(path, &error)),
                _ => {}
            }
        }
        sync_folder(path);
        drop(connection);
        Ok(())
    }
}

/// What is not at its end, in words.
fn open_work(connection: &Connection) -> Result<Option<String>> {
    let mut found = Vec::new();
    for state in State::ALL.iter().filter(|state| !state.is_terminal()) {
        let count: u64 = connection
            .query_row("SELECT count(*) FROM standings WHERE state = ?1", [state.as_str()], |row| row.get(0))
            .failed()?;
        if count > 0 {
            found.push(format!("{count} {state}"));
        }
    }
    Ok((!found.is_empty()).then(|| found.join(", ")))
}

/// A ledger that is there needs none.
#[derive(Debug)]
struct NoIds;

impl IdSource for NoIds {
    fn uuid(&self) -> String {
        String::new()
    }

    fn key(&self) -> Option<[u8; 32]> {
        None
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(Code::FileUnreadable).with("path", path.display()).with("reason", error.kind())
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(Code::FileUnwritable).with("path", path.display()).with("reason", error.kind())
}

/// Tells our file from another by its header alone: a foreign file is not even opened as a database.
fn kind_of(path: &Path) -> Result<Kind> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Kind::Fresh),
        Err(error) => return Err(unreadable(path, &error)),
    };
    let mut header = Vec::with_capacity(100);
    Read::by_ref(&mut file).take(100).read_to_end(&mut header).map_err(|error| unreadable(path, &error))?;
    let id = header.get(68..72).and_then(|bytes| bytes.try_into().ok()).map(i32::from_be_bytes);
    Ok(match id {
        None if header.is_empty() => Kind::Fresh,
        Some(APPLICATION_ID) if header.starts_with(b"SQLite format 3\0") => Kind::Ours,
        _ => Kind::Foreign,
    })
}

fn make_folder(path: &Path) -> Result<()> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) else {
        return Ok(());
    };
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| unwritable(folder, &error))?;
    // A ledger and its key have no place in a repository. If this cannot be written, the ledger says why next.
    let _ = std::fs::write(folder.join(".gitignore"), "*\n");
    Ok(())
}

/// An existing folder is the operator's: it is never changed, only spoken of.
fn warn_about_folder(path: &Path, warnings: &mut Vec<String>) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if let Ok(metadata) = std::fs::metadata(folder)
            && metadata.permissions().mode() & 0o022 != 0
        {
            warnings.push(format!(
                "{} can be written by others than its owner: they could replace the ledger and its key",
                folder.display()
            ));
        }
    }
    #[cfg(not(unix))]
    let _ = (path, warnings);
}

/// The ledger and its key hold what nobody else may read or write.
fn warn_about_file(path: &Path, warnings: &mut Vec<String>) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        for file in [path.to_owned(), path.with_extension("key")] {
            let open = std::fs::metadata(&file).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0);
            if open {
                warnings.push(format!("{} can be read or written by others than its owner: chmod 600", file.display()));
            }
        }
    }
    #[cfg(not(unix))]
    let _ = (path, warnings);
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// SQLite gives its log files the permissions of the main one, so that is made first.
fn make_file(path: &Path) -> Result<()> {
    match private().open(path) {
        Ok(_) => Ok(()),
        // An empty file that was here becomes a ledger: as private as one that we make.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                let private = std::fs::Permissions::from_mode(0o600);
                std::fs::set_permissions(path, private).map_err(|error| unwritable(path, &error))?;
            }
            Ok(())
        }
        Err(error) => Err(unwritable(path, &error)),
    }
}

fn find_key(ledger: &Path, given: Option<&Secret>, fresh: bool, ids: &dyn IdSource) -> Result<MacKey> {
    if let Some(text) = given {
        return decode(text.expose())
            .ok_or_else(|| Error::new(Code::LedgerKeyInvalid).with("path", "SIGNOFF_LEDGER_KEY"));
    }
    let path = ledger.with_extension("key");
    if path == ledger {
        let reason = "its name is the name of its key";
        return Err(Error::new(Code::LedgerUnavailable).with("path", path.display()).with("reason", reason));
    }
    if fresh && !path.exists() {
        make_key(&path, ids)?;
    }
    match std::fs::read_to_string(&path).map(Zeroizing::new) {
        Ok(text) => {
            decode(text.trim_end()).ok_or_else(|| Error::new(Code::LedgerKeyInvalid).with("path", path.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::new(Code::LedgerKeyMissing).with("path", path.display()))
        }
        Err(error) => Err(unreadable(&path, &error)),
    }
}

fn decode(text: &str) -> Option<MacKey> {
    let bytes = Zeroizing::new(STANDARD.decode(text).ok()?);
    <[u8; 32]>::try_from(bytes.as_slice()).ok().map(MacKey::new)
}

/// Writes a whole key beside its place and links it there: of two makers one wins, and nobody reads half a key.
fn make_key(path: &Path, ids: &dyn IdSource) -> Result<()> {
    let bytes = ids.key().map(Zeroizing::new).ok_or_else(|| {
        Error::new(Code::LedgerUnavailable)
            .with("path", path.display())
            .with("reason", "the system gave no randomness for a key")
    })?;
    let text = Zeroizing::new(format!("{}\n", STANDARD.encode(bytes.as_slice())));
    let draft = path.with_extension(format!("key.{}", ids.uuid()));
    let written = private().open(&draft).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    let linked = written.and_then(|()| match std::fs::hard_link(&draft, path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    });
    let removed = std::fs::remove_file(&draft);
    linked.and(removed).map_err(|error| unwritable(path, &error))?;
    sync_folder(path);
    Ok(())
}

/// Makes a new name durable. Not every file system can; the database's own commit does it again.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

fn connect(
    path: &Path,
    key: &MacKey,
    making: Making,
    clock: &dyn Clock,
    ids: &dyn IdSource,
) -> Result<(Connection, MacKey, i64)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).failed()?;
    // We have no triggers and no views: whoever planted one in the file shall not run it with our key at hand.
    for planted in [DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW] {
        connection.set_db_config(planted, false).failed()?;
    }
    // A plan that depends on what is bound would be made anew at every call.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).failed()?;
    connection.busy_timeout(BUSY_TIMEOUT).failed()?;
    connection.set_prepared_statement_cache_capacity(128);
    let format: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).failed()?;
    if format > FORMAT {
        return Err(Error::new(Code::LedgerFormatUnknown).with("found", format).with("known", FORMAT));
    }
    if format == 0 {
        // Our mark and the format are written together: a file with the one and not the other was emptied.
        // A first commit that a full disk or a crash cut short was taken back on opening: then there is no file, again.
        let pages: u64 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).failed()?;
        match making {
            Making::Now => {}
            _ if pages > 0 => return Err(tampered("the file", "its tables are gone")),
            Making::IfEmpty => {}
            Making::Never => return Err(Error::new(Code::LedgerNotFound).with("path", path.display())),
        }
        // A change set takes half a default page: larger pages hold more of them. Only a new file heeds this.
        connection.pragma_update(None, "page_size", 8192).failed()?;
    }
    if format < FORMAT {
        upgrade(&connection, path, key, clock, ids)?;
    }
    make_durable(&connection)?;
    let schema_version = check_schema(&connection)?;
    let (key_id, ledger_id): (String, String) = connection
        .query_row("SELECT key_id, ledger_id FROM chain WHERE id = 1", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .failed()?;
    ours(path, key, &key_id)?;
    let key = key.derive("signoff ledger", &ledger_id);
    head(&connection, &key)?;
    Ok((connection, key, schema_version))
}

fn ours(path: &Path, key: &MacKey, key_id: &str) -> Result<()> {
    if key_id == key.id() {
        return Ok(());
    }
    Err(Error::new(Code::LedgerKeyMismatch).with("path", path.with_extension("key").display()))
}

/// Of several processes that find an old or empty file, one upgrades it and the others find it done. The header must
/// carry our mark before the log is switched on, or a crash would leave a file that looks foreign.
fn upgrade(connection: &Connection, path: &Path, key: &MacKey, clock: &dyn Clock, ids: &dyn IdSource) -> Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE").failed()?;
    let from: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).failed()?;
    if from < FORMAT {
        migrate(connection, from).failed()?;
        index_what_is_there(connection, from)?;
    }
    if from == 0 {
        // One key may serve several ledgers; what one of them signed fits no other.
        let ledger_id = ids.uuid();
        let signing = key.derive("signoff ledger", &ledger_id);
        let root = Head { size: 0, hash: Digest::from_bytes(ROOT) };
        connection
            .execute(
                "INSERT INTO chain (id, size, head, mac, key_id, ledger_id, created_at) VALUES (1, 0, ?1, ?2, ?3, ?4, ?5)",
                params![ROOT, head_mac(root, &signing), key.id(), ledger_id, signed_beginning(&signing, &clock.now().to_string())],
            )
            .failed()?;
    }
    if (1..FORMAT_WITH_INDEX).contains(&from) {
        // Until then nothing covered when a ledger was made.
        let (key_id, ledger_id, made): (String, String, String) = connection
            .query_row("SELECT key_id, ledger_id, created_at FROM chain WHERE id = 1", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .failed()?;
        // Signed under another key it would be nobody's. Closing takes the whole upgrade back.
        ours(path, key, &key_id)?;
        let signing = key.derive("signoff ledger", &ledger_id);
        connection
            .execute("UPDATE chain SET created_at = ?1 WHERE id = 1", [signed_beginning(&signing, &made)])
            .failed()?;
    }
    connection.execute_batch("COMMIT").failed()
}

/// A ledger from before the index gets it whole.
fn index_what_is_there(connection: &Connection, from: u32) -> Result<()> {
    if !(1..FORMAT_WITH_INDEX).contains(&from) {
        return Ok(());
    }
    let size: u64 = connection.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).failed()?;
    (0..size / BLOCK).try_for_each(|block| index::write(connection, block))
}

/// WAL, and a full sync at every commit; both are read back, because a setting that was ignored protects nobody.
fn make_durable(connection: &Connection) -> Result<()> {
    let mut waited = Duration::ZERO;
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0)) {
            Ok(mode) if mode == "wal" => break,
            Ok(_) => {
                return Err(Error::new(Code::LedgerUnavailable)
                    .with("reason", "its file system does not allow write-ahead logging"));
            }
            // Switching modes does not wait for other connections by itself.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && waited < BUSY_TIMEOUT => {
                let pause = Duration::from_millis(5);
                std::thread::sleep(pause);
                waited += pause;
            }
            Err(error) => return Err(error).failed(),
        }
    }
    connection
        .execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;")
        .failed()?;
    let level: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0)).failed()?;
    if level == 2 { Ok(()) } else { Err(Error::new(Code::LedgerUnavailable).with("reason", "synchronous is not FULL")) }
}
