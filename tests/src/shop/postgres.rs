//! The shop on a Postgres server.

use signoff::database::{PostgresDatabase, RowRead};
use signoff::guard::{Dialect, GuardJob, ReceiptTable};
use signoff::primitives::Secret;

use super::Stock;
use crate::cluster::Cluster;

/// The shop of this engine.
pub type Shop = super::Shop<Server>;

/// A database on a cluster.
pub struct Server {
    /// Where it is.
    pub cluster: &'static Cluster,
    /// What it is called there.
    pub name: String,
}

impl Stock for Server {
    type Database = PostgresDatabase;
    const DIALECT: Dialect = Dialect::Postgres;
    const SCHEMA: &'static str = "public";
    const ITEMS: &'static str = "CREATE TABLE items (id bigint PRIMARY KEY, tenant_id text NOT NULL, status text, amount numeric(10,2), note text, version timestamptz);
        INSERT INTO items VALUES (7, 'acme', 'pending', 10.5, NULL, '2026-06-20 14:31:08.000300+00'), (8, 'acme', 'pending', 1, NULL, '2026-06-20 14:31:08+00'), (9, 'globex', 'pending', 1, NULL, '2026-06-20 14:31:08+00');";
    const COUNTERS: &'static str = "CREATE TABLE executions (id text); CREATE TABLE effects (id text);
        CREATE FUNCTION count_execution() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO public.executions VALUES (OLD.id); RETURN NEW; END $$;
        CREATE FUNCTION count_effect() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO public.effects VALUES (NEW.id); RETURN NEW; END $$;
        CREATE TRIGGER a_count BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION count_execution();
        CREATE TRIGGER a_count_after AFTER UPDATE ON items FOR EACH ROW EXECUTE FUNCTION count_effect();";
    const COLUMNS: &'static str = "SELECT attname FROM pg_attribute WHERE attrelid = 'items'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
    const MOMENT: &'static str = "interval '1 microsecond'";
    const BUMP: &'static str = "CREATE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.version := OLD.version + interval '1 microsecond'; RETURN NEW; END $$; CREATE TRIGGER b_bump BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION bump()";
    const INSTANT: &'static str = "timestamptz";

    fn with(sql: &str) -> Option<(Self, PostgresDatabase)> {
        Some(Self::on(Cluster::shared()?, sql))
    }

    fn lines(&self, sql: &str) -> Vec<String> {
        self.cluster.psql(&self.name, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    fn exact(&self, table: &str) -> Vec<String> {
        self.lines(&format!("SELECT * FROM {table} AS t ORDER BY t::text"))
    }
}

impl Server {
    fn on(cluster: &'static Cluster, sql: &str) -> (Self, PostgresDatabase) {
        let server = Self { cluster, name: cluster.database() };
        server.lines(sql);
        let database = open(&cluster.address("postgres", &server.name)).unwrap();
        (server, database)
    }
}

impl Shop {
    /// With the usual rows and a receipts table.
    pub fn usual() -> Option<Self> {
        Self::new(Server::ITEMS)
    }

    /// With this table `items` and a receipts table.
    pub fn new(items: &str) -> Option<Self> {
        Self::counted(items)
    }

    /// With this SQL and nothing else.
    pub fn bare(sql: &str) -> Option<Self> {
        Self::filled(sql)
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.stock.name
    }

    /// Where a database is for a user.
    pub fn address(&self, user: &str, database: &str) -> String {
        self.stock.cluster.address(user, database)
    }

    /// The same database as another user.
    pub fn as_user(&self, user: &str) -> PostgresDatabase {
        open(&self.address(user, self.name())).unwrap()
    }

    /// Makes a standby of the cluster; answers where this database is on it.
    pub fn standby(&self) -> String {
        self.stock.cluster.standby();
        format!("{}&port=5433", self.address("postgres", self.name()))
    }

    /// Runs SQL; answers its rows, values parted by `|`, or what went wrong.
    pub fn try_sql(&self, sql: &str) -> Result<Vec<String>, String> {
        self.stock.cluster.psql(self.name(), sql)
    }

    /// All rows, values parted by `|`.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        self.stock.lines(sql)
    }

    /// All of it as one text.
    pub fn one(&self, sql: &str) -> String {
        self.rows(sql).join("\n")
    }
}

/// The adapter on a database.
pub fn open(address: &str) -> signoff::Result<PostgresDatabase> {
    PostgresDatabase::open("app", "APP_DATABASE", &Secret::new(address.to_owned()), None)
}

/// Where receipts are.
pub fn receipts() -> ReceiptTable {
    super::receipts(Server::SCHEMA)
}

/// The job that a proposal against this row would lead to.
pub fn job(tenant: &str, row: &RowRead) -> GuardJob {
    super::job::<Server>(tenant, row)
}
