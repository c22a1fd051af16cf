//! The application's database behind a workspace: the billing tables on either engine, and what counts the writes to
//! them. Signoff never writes to a counter: `effects` gets a row whenever an invoice's value really changed, `executions`
//! one for every UPDATE that ran.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use signoff::database::{Database, PostgresDatabase, SqliteDatabase};
use signoff::primitives::Secret;

use crate::cluster::{Cluster, Session};
use crate::shop::sqlite::plain;

/// The demo's contract: the billing capabilities on SQLite.
pub const CONTRACT: &str = include_str!("../../cli/src/demo/billing.json");

/// The demo's tables and rows.
pub const TABLES: &str = include_str!("../../cli/src/demo/billing.sql");

const SQLITE_COUNTERS: &str = "
DROP TRIGGER count_effects;
DROP TABLE effects;
CREATE TABLE effects (n INTEGER PRIMARY KEY, invoice_id TEXT NOT NULL, what TEXT NOT NULL);
CREATE TABLE executions (n INTEGER PRIMARY KEY, invoice_id TEXT NOT NULL);
CREATE TRIGGER count_executions BEFORE UPDATE ON invoices BEGIN INSERT INTO executions (invoice_id) VALUES (old.id); END;
CREATE TRIGGER count_effects AFTER UPDATE ON invoices
WHEN old.late_fee_cents IS NOT new.late_fee_cents OR old.waiver_reason IS NOT new.waiver_reason OR old.status IS NOT new.status
BEGIN INSERT INTO effects (invoice_id, what) VALUES (new.id, new.late_fee_cents || '/' || coalesce(new.waiver_reason, '')); END;
PRAGMA journal_mode = WAL;
";

/// The same with the same names. The example moves its version with every change; here, as on SQLite, only the receipt
/// can tell that a change has landed.
const POSTGRES_COUNTERS: &str = "
DROP TRIGGER touch_invoice ON invoices;
CREATE TABLE effects (n serial PRIMARY KEY, invoice_id text NOT NULL, what text NOT NULL);
CREATE TABLE executions (n serial PRIMARY KEY, invoice_id text NOT NULL);
CREATE FUNCTION count_execution() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.executions (invoice_id) VALUES (OLD.id); RETURN NEW; END $$;
CREATE FUNCTION count_effect() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.effects (invoice_id, what) VALUES (NEW.id, concat(NEW.late_fee_cents, '/', NEW.waiver_reason)); RETURN NULL; END $$;
CREATE TRIGGER a_count BEFORE UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION count_execution();
CREATE TRIGGER a_count_after AFTER UPDATE ON invoices FOR EACH ROW WHEN
  ((OLD.late_fee_cents, OLD.waiver_reason, OLD.status) IS DISTINCT FROM (NEW.late_fee_cents, NEW.waiver_reason, NEW.status)) EXECUTE FUNCTION count_effect();
";

/// Where a source lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A file.
    Sqlite,
    /// A database of its own on the test binary's cluster.
    Postgres,
}

impl Engine {
    /// Can it be tested here? Where not, that is said, or is a failure: see [`Cluster::shared`].
    pub fn is_here(self) -> bool {
        self == Self::Sqlite || Cluster::shared().is_some()
    }

    /// The billing contract for it, its ledger in `ledger.db`: the demo's, and the example's.
    pub fn contract(self) -> String {
        match self {
            Self::Sqlite => CONTRACT.replace(".signoff/demo/ledger.db", "ledger.db"),
            Self::Postgres => {
                include_str!("../../examples/billing/synapsor.runner.json").replace("./.synapsor/local.db", "ledger.db")
            }
        }
    }

    /// The word for it in a contract.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// The schema of the billing tables.
    pub fn schema(self) -> &'static str {
        match self {
            Self::Sqlite => "main",
            Self::Postgres => "public",
        }
    }
}

/// One test's database, as its application sees it.
#[derive(Debug)]
pub enum Source {
    /// A file.
    Sqlite(PathBuf),
    /// A database on a cluster.
    Postgres {
        /// Its cluster.
        cluster: &'static Cluster,
        /// Its name there.
        name: String,
    },
}

impl Source {
    /// The billing tables and their counters, in a file of this folder.
    pub fn in_file(path: PathBuf) -> Self {
        let source = Self::Sqlite(path);
        source.run(&format!("{TABLES}{SQLITE_COUNTERS}"));
        source
    }

    /// The same in a new database on this cluster.
    pub fn on(cluster: &'static Cluster) -> Self {
        let source = Self::Postgres { cluster, name: cluster.database() };
        source.run(include_str!("../../examples/billing/schema.postgres.sql"));
        source.run(include_str!("../../examples/billing/seed.postgres.sql"));
        source.run(POSTGRES_COUNTERS);
        source
    }

    /// Its engine.
    pub fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres { .. } => Engine::Postgres,
        }
    }

    /// What a variable of the contract holds.
    pub fn address(&self) -> String {
        match self {
            Self::Sqlite(path) => path.display().to_string(),
            Self::Postgres { cluster, name } => cluster.address("postgres", name),
        }
    }

    /// It, as the library opens it.
    pub fn database(&self) -> Arc<dyn Database> {
        let address = Secret::new(self.address());
        match self.engine() {
            Engine::Sqlite => Arc::new(SqliteDatabase::open("billing_db", "TEST", &address, None).unwrap()),
            Engine::Postgres => Arc::new(PostgresDatabase::open("billing_db", "TEST", &address, None).unwrap()),
        }
    }

    /// The application does something; any number of statements.
    pub fn run(&self, sql: &str) {
        match self {
            Self::Sqlite(path) => {
                connect(path).execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
            }
            Self::Postgres { .. } => drop(self.rows(sql)),
        }
    }

    /// The rows of one query, values parted by `|`.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        match self {
            Self::Sqlite(path) => {
                let connection = connect(path);
                let mut statement = connection.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
                let width = statement.column_count();
                let rows = statement.query_map([], |row| {
                    (0..width).map(|index| row.get_ref(index).map(plain)).collect::<rusqlite::Result<Vec<_>>>()
                });
                rows.unwrap().map(|row| row.unwrap().join("|")).collect()
            }
            Self::Postgres { cluster, name } => {
                cluster.psql(name, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
            }
        }
    }

    /// Runs SQL in a transaction of the application's that stays open.
    pub fn hold(&self, sql: &str) -> Held {
        match self {
            Self::Sqlite(path) => {
                let connection = connect(path);
                connection.execute_batch(&format!("BEGIN IMMEDIATE; {sql}")).expect("an open change");
                Held::Sqlite(connection)
            }
            Self::Postgres { cluster, name } => {
                let mut session = cluster.session(name);
                session.say(&format!("BEGIN; {sql};"));
                Held::Postgres(session)
            }
        }
    }
}

/// A transaction of the application's that is open.
pub enum Held {
    /// On a connection of its own.
    Sqlite(Connection),
    /// In a `psql` that listens.
    Postgres(Session),
}

impl Held {
    /// Ends it, so that its changes count.
    pub fn commit(self) {
        match self {
            Self::Sqlite(connection) => connection.execute_batch("COMMIT").expect("a commit"),
            Self::Postgres(mut session) => drop(session.say("COMMIT;")),
        }
    }
}

/// A connection to a file, as an application has one.
pub(crate) fn connect(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("the file opens");
    connection.busy_timeout(Duration::from_secs(30)).expect("a timeout");
    connection
}

/// Makes each of these functions, which take an [`Engine`], a test on each: `sqlite::name` and `postgres::name`. With
/// `async` first, they are run on a tokio of their own.
#[macro_export]
macro_rules! on_each_engine {
    (async $($test:ident),+ $(,)?) => { $crate::on_each_engine!(@ $crate::library::block; $($test),+); };
    ($($test:ident),+ $(,)?) => { $crate::on_each_engine!(@ std::convert::identity; $($test),+); };
    (@ $run:path; $($test:ident),+) => {
        mod sqlite {
            $(#[test] fn $test() { $run(super::$test($crate::Engine::Sqlite)); })+
        }
        mod postgres {
            $(#[test] fn $test() {
                if $crate::Engine::Postgres.is_here() {
                    $run(super::$test($crate::Engine::Postgres));
                }
            })+
        }
    };
}
