//! The application's side of the demo: its tables, and what it does and sees by itself.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::Value;
#[cfg(feature = "postgres")]
use signoff::database::PostgresDatabase;
#[cfg(feature = "postgres")]
use signoff::primitives::Secret;
use signoff::{Code, Error, Result};

use super::stage::broken;

const CONTRACT: &str = include_str!("../../demo/billing.json");
const TABLES: &str = include_str!("../../demo/billing.sql");

/// The demo's own schema on Postgres, and what its comment says: nothing else is ever touched.
const SCHEMA: &str = "signoff_demo";
const MARK: &str = "made by `signoff demo`, which drops it";

/// Where the application's rows are.
pub(super) enum Source {
    Sqlite(PathBuf),
    #[cfg(feature = "postgres")]
    Postgres {
        address: String,
        database: PostgresDatabase,
    },
}

impl Source {
    pub(super) fn sqlite(folder: &Path) -> Self {
        Self::Sqlite(folder.join("billing.db"))
    }

    #[cfg(feature = "postgres")]
    pub(super) fn postgres(address: &str) -> Result<Self> {
        let database = PostgresDatabase::open("billing_db", "--postgres", &Secret::new(address.to_owned()), None)?;
        Ok(Self::Postgres { address: address.to_owned(), database })
    }

    #[cfg(not(feature = "postgres"))]
    pub(super) fn postgres(_: &str) -> Result<Self> {
        Err(Error::new(Code::EngineNotAvailable).with("engine", "postgres"))
    }

    /// What the contract's variables hold.
    pub(super) fn address(&self) -> String {
        match self {
            Self::Sqlite(path) => path.display().to_string(),
            #[cfg(feature = "postgres")]
            Self::Postgres { address, .. } => address.clone(),
        }
    }

    /// One contract for both: on Postgres rows and receipts are in the demo's schema.
    pub(super) fn contract(&self) -> Result<String> {
        match self {
            Self::Sqlite(_) => Ok(CONTRACT.to_owned()),
            #[cfg(feature = "postgres")]
            Self::Postgres { .. } => {
                let invalid = |_| Error::new(Code::Internal).with("detail", "the demo's contract is invalid");
                let mut contract: Value = serde_json::from_str(CONTRACT).map_err(invalid)?;
                if let Some(source) = contract.pointer_mut("/sources/billing_db") {
                    source["engine"] = "postgres".into();
                    source["signoff"] = serde_json::json!({ "receipts_schema": SCHEMA });
                }
                for capability in contract["capabilities"].as_array_mut().into_iter().flatten() {
                    capability["target"]["schema"] = SCHEMA.into();
                }
                serde_json::to_string_pretty(&contract).map(|text| text + "\n").map_err(invalid)
            }
        }
    }

    /// Makes tables and rows, in place of those that an earlier demo left.
    pub(super) async fn make(&self) -> Result<()> {
        match self {
            Self::Sqlite(path) => Connection::open(path).and_then(|app| app.execute_batch(TABLES)).map_err(broken),
            #[cfg(feature = "postgres")]
            Self::Postgres { database, .. } => {
                let facts = format!(
                    "SELECT obj_description(to_regnamespace('{SCHEMA}'), 'pg_namespace'), (to_regnamespace('{SCHEMA}') IS NOT NULL)::text, has_database_privilege(current_database(), 'CREATE')::text"
                );
                let rows = database.script(&facts).await?;
                let fact = |index: usize| rows.first().and_then(|row| row.get(index)?.as_deref());
                if fact(1) == Some("true") {
                    if fact(0) != Some(MARK) {
                        return Err(foreign("no demo made it"));
                    }
                    self.leave().await?;
                }
                if fact(2) != Some("true") {
                    let reason = "the demo makes a schema of its own, and the role may not: GRANT CREATE ON DATABASE";
                    return Err(Error::new(Code::SourceRejected).with("source", "billing_db").with("reason", reason));
                }
                // Up to the trigger, the tables are the same in both engines.
                let tables = TABLES.split("CREATE TRIGGER").next().unwrap_or_default();
                let script = format!(
                    "CREATE SCHEMA {SCHEMA}; COMMENT ON SCHEMA {SCHEMA} IS '{MARK}'; SET LOCAL search_path = {SCHEMA}; {tables}
                     CREATE FUNCTION count_effect() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO {SCHEMA}.effects VALUES (NEW.id, NEW.late_fee_cents); RETURN NEW; END $$;
                     CREATE TRIGGER count_effects AFTER UPDATE OF late_fee_cents ON invoices FOR EACH ROW EXECUTE FUNCTION count_effect();"
                );
                database.script(&script).await.map(drop)
            }
        }
    }

    /// Takes the demo's objects away, and nothing that somebody put beside them. A file stays where it is.
    pub(super) async fn leave(&self) -> Result<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            #[cfg(feature = "postgres")]
            Self::Postgres { database, .. } => {
                // Without CASCADE: the engine refuses if anything else is in the schema or stands on it.
                let script = format!(
                    "SET LOCAL search_path = {SCHEMA}; DROP TABLE IF EXISTS synapsor_writeback_receipts, effects, account_credits, invoices, customers, tenants; DROP FUNCTION IF EXISTS count_effect(); DROP SCHEMA IF EXISTS {SCHEMA};"
                );
                database.script(&script).await.map(drop).map_err(|error| match error.code() {
                    Code::SourceRejected => foreign("it holds, or something else needs, what no demo made"),
                    _ => error,
                })
            }
        }
    }

    async fn ask(&self, sql: &str) -> Result<i64> {
        match self {
            Self::Sqlite(path) => {
                Connection::open(path).and_then(|app| app.query_row(sql, [], |row| row.get(0))).map_err(broken)
            }
            #[cfg(feature = "postgres")]
            Self::Postgres { database, .. } => {
                let sql = sql.replace("main.", &format!("{SCHEMA}."));
                let rows = database.script(&format!("SELECT ({sql})::text")).await?;
                let number = rows.first().and_then(|row| row.first()?.as_deref()?.parse().ok());
                number.ok_or_else(|| Error::new(Code::Internal).with("detail", "the demo's database"))
            }
        }
    }

    /// What the row holds.
    pub(super) async fn fee(&self) -> Result<i64> {
        self.ask("SELECT late_fee_cents FROM main.invoices WHERE id = 'INV-3001'").await
    }

    /// How often it really changed.
    pub(super) async fn effects(&self) -> Result<i64> {
        self.ask("SELECT count(*) FROM main.effects").await
    }

    pub(super) async fn app_updates_the_row(&self) -> Result<()> {
        let sql =
            "UPDATE main.invoices SET status = 'in_review', updated_at = '2026-06-21T09:00:00Z' WHERE id = 'INV-3001'";
        match self {
            Self::Sqlite(path) => {
                Connection::open(path).and_then(|app| app.execute(sql, [])).map(|_| ()).map_err(broken)
            }
            #[cfg(feature = "postgres")]
            Self::Postgres { database, .. } => {
                database.script(&sql.replace("main.", &format!("{SCHEMA}."))).await.map(drop)
            }
        }
    }
}

#[cfg(feature = "postgres")]
fn foreign(problem: &str) -> Error {
    Error::new(Code::SchemaForeign).with("schema", SCHEMA).with("problem", problem)
}
