//! The application's side of the demo: its tables, and what it does and sees by itself.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use signoff::{Code, Error, Result};

#[cfg(feature = "postgres")]
use super::postgres::Schema;
use super::stage::broken;

pub(super) const CONTRACT: &str = include_str!("../../demo/billing.json");
pub(super) const TABLES: &str = include_str!("../../demo/billing.sql");

/// Where the application's rows are.
pub(super) enum Source {
    Sqlite(PathBuf),
    #[cfg(feature = "postgres")]
    Postgres(Box<Schema>),
}

impl Source {
    pub(super) fn sqlite(folder: &Path) -> Self {
        Self::Sqlite(folder.join("billing.db"))
    }

    #[cfg(feature = "postgres")]
    pub(super) fn postgres(address: &str) -> Result<Self> {
        Schema::at(address).map(|schema| Self::Postgres(Box::new(schema)))
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
            Self::Postgres(schema) => schema.address.clone(),
        }
    }

    pub(super) fn contract(&self) -> Result<String> {
        match self {
            Self::Sqlite(_) => Ok(CONTRACT.to_owned()),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Schema::contract(),
        }
    }

    /// Makes tables and rows.
    pub(super) async fn make(&self) -> Result<()> {
        match self {
            Self::Sqlite(path) => Connection::open(path).and_then(|app| app.execute_batch(TABLES)).map_err(broken),
            #[cfg(feature = "postgres")]
            Self::Postgres(schema) => schema.make().await,
        }
    }

    /// Leaves somebody's server as it was. A file stays where it is.
    pub(super) async fn leave(&self) -> Result<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            #[cfg(feature = "postgres")]
            Self::Postgres(schema) => schema.leave().await,
        }
    }

    /// What the row holds.
    pub(super) async fn fee(&self) -> Result<i64> {
        self.number("SELECT late_fee_cents FROM main.invoices WHERE id = 'INV-3001'").await
    }

    /// How often it really changed.
    pub(super) async fn effects(&self) -> Result<i64> {
        self.number("SELECT count(*) FROM main.effects").await
    }

    pub(super) async fn app_updates_the_row(&self) -> Result<()> {
        let sql =
            "UPDATE main.invoices SET status = 'in_review', updated_at = '2026-06-21T09:00:00Z' WHERE id = 'INV-3001'";
        match self {
            Self::Sqlite(path) => {
                Connection::open(path).and_then(|app| app.execute(sql, [])).map(|_| ()).map_err(broken)
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(schema) => schema.run(sql).await.map(|_| ()),
        }
    }

    async fn number(&self, sql: &str) -> Result<i64> {
        match self {
            Self::Sqlite(path) => {
                Connection::open(path).and_then(|app| app.query_row(sql, [], |row| row.get(0))).map_err(broken)
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(schema) => {
                let text = schema.run(&format!("SELECT ({sql})::text")).await?;
                let number = text.and_then(|text| text.parse().ok());
                number.ok_or_else(|| Error::new(Code::Internal).with("detail", "the demo's database"))
            }
        }
    }
}
