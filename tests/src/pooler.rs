//! PgBouncer in front of a cluster, giving each transaction whichever of its few sessions is free. Its configuration is
//! the one it comes with, but for where it listens and what it connects to.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant as Moment};

use crate::cluster::{Cluster, Session, keep, own_folder};
use crate::skip;

const PORT: u16 = 6432;

/// A running pooler.
#[derive(Debug)]
pub struct Pooler {
    cluster: &'static Cluster,
    folder: PathBuf,
    // Its standard input is how the pooler learns that we are gone.
    _keeper: Child,
}

impl Pooler {
    /// One with so many sessions for each database; `None`, said, where there is none to start.
    pub fn start(cluster: &'static Cluster, sessions: u32) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Debian keeps it where the PATH of an ordinary user does not look.
        let mut folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
        let Some(program) = folders.find_map(|folder| Some(folder.join("pgbouncer")).filter(|file| file.is_file()))
        else {
            skip("no pooler here (install `pgbouncer`)");
            return None;
        };
        let folder = own_folder("signoff-pooler-");
        let (at, server) = (folder.display(), cluster.folder().display());
        std::fs::write(
            folder.join("pooler.ini"),
            format!(
                "[databases]\n* = host={server}\n[pgbouncer]\nlisten_port = {PORT}\nunix_socket_dir = {at}\nauth_type = trust\nauth_file = {at}/users\npool_mode = transaction\ndefault_pool_size = {sessions}\nlogfile = {at}/log\n"
            ),
        )
        .unwrap();
        std::fs::write(folder.join("users"), "\"postgres\" \"\"\n").unwrap();
        let script = r#""$1" -q "$2/pooler.ini" & pooler=$!; cat >/dev/null; kill -9 $pooler; rm -rf "$2""#;
        let keeper = keep(script, &program, &folder);
        let pooler = Self { cluster, folder, _keeper: keeper };
        let begun = Moment::now();
        while !pooler.folder.join(format!(".s.PGSQL.{PORT}")).exists() {
            let log = std::fs::read_to_string(pooler.folder.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_secs(30), "the pooler does not listen: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(pooler)
    }

    /// Where a database is through it.
    pub fn address(&self, database: &str) -> String {
        format!("postgres://postgres@localhost/{database}?host={}&port={PORT}", self.folder.display())
    }

    /// Another client of the pooler.
    pub fn session(&self, database: &str) -> Session {
        self.cluster.session_through(&self.folder, PORT, database)
    }

    /// What it wrote.
    pub fn log(&self) -> String {
        std::fs::read_to_string(Path::new(&self.folder).join("log")).unwrap_or_default()
    }
}
