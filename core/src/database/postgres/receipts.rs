//! The receipts table in Postgres' catalogue, and whether what it says can be relied on.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::PostgresDatabase;
use super::session::Rows;
use crate::database::receipts::Found;
use crate::error::{Code, Result};
use crate::guard::{Dialect, GuardJob, Outcome, ReceiptTable};
use crate::primitives::{Digest, Redactor};

/// Tables found fit, by address. Bounded: beyond that all are looked at again.
static FIT: LazyLock<Mutex<HashSet<(Digest, String)>>> = LazyLock::new(Mutex::default);
const KEPT: usize = 1024;

/// The statement that finds the table; one row or none. Names are checked identifiers, which need no quoting in a literal.
pub(super) fn look(table: &ReceiptTable) -> String {
    let (schema, name) = (&table.schema, &table.name);
    format!(
        "SELECT c.relkind::text, c.relpersistence::text, c.relispartition::text, \
         (SELECT string_agg(a.attname::text, ',') FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), \
         EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL \
         AND (SELECT string_agg(a.attname::text, ',' ORDER BY a.attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])) IN ('idempotency_key,tenant_id', 'idempotency_key'))::text \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = '{schema}' AND c.relname = '{name}'"
    )
}

/// The answer to [`look`].
pub(super) fn found(rows: &Rows) -> Found {
    let Some(row) = rows.iter().find(|row| row.len() == 5) else { return Found::default() };
    let text = |index: usize| row.get(index).and_then(Option::as_deref).unwrap_or_default();
    let unfit = match (text(0), text(1), text(2)) {
        (_, "u", _) => {
            Some("is UNLOGGED: a crash of the server empties it; `ALTER TABLE … SET LOGGED` if none was lost")
        }
        (_, "t", _) => Some("is a temporary table: it goes with its session"),
        (_, _, "true") => Some("is a partition of another table: it can be detached with what it holds"),
        ("r", "p", _) => None,
        _ => {
            Some("is not an ordinary table: a view, a foreign or a partitioned table cannot promise to keep a receipt")
        }
    };
    let columns = text(3).split(',').filter(|column| !column.is_empty()).map(str::to_owned).collect();
    Found { columns, unique: text(4) == "true", unfit }
}

impl PostgresDatabase {
    /// Runs a guard on a receipts table that was looked at. Looking costs a round trip, so it is done once for each
    /// address and table in a process: a table that somebody makes UNLOGGED later is found by the doctor, by `migrate`,
    /// and by the next process.
    pub(super) async fn run_trusted(&self, job: GuardJob, redactor: Option<Redactor>) -> Result<Outcome> {
        let key = (self.address.digest(), job.receipts.sql());
        let fit = || FIT.lock().unwrap_or_else(PoisonError::into_inner);
        let known = fit().contains(&key);
        if !known {
            let table = &job.receipts;
            let sql = format!("SET LOCAL search_path = pg_catalog; {}", look(table));
            let (mut session, rows) = self.opened("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY", &sql).await?;
            // Nothing was written; a connection that cannot say so is closed.
            let _ = session.end("ROLLBACK").await;
            let found = found(&rows);
            found.trusted(Dialect::Postgres, table).map_err(|error| error.with("source", &self.source))?;
            // One that is not there is the guard's to tell.
            if found != Found::default() {
                let mut fit = fit();
                if fit.len() >= KEPT {
                    fit.clear();
                }
                fit.insert(key.clone());
            }
        }
        let outcome = match self.run_guard(job, redactor).await {
            Err(error) if error.code() == Code::SourceUnavailable => return Err(self.unavailable().await),
            ended => ended?,
        };
        if matches!(&outcome, Outcome::Released(error) if error.code() == Code::ReceiptTableMissing) {
            // Whoever makes it anew may make it otherwise.
            fit().remove(&key);
        }
        Ok(outcome)
    }
}
