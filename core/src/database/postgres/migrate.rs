//! The receipts table: the only DDL there is, by one process at a time.

use super::PostgresDatabase;
use crate::error::Result;
use crate::guard::{Dialect, Failure, ReceiptTable, Statement};

/// The advisory lock of everybody who makes receipts tables: "signoff" in ASCII.
const LOCK: i64 = 0x0073_6967_6e6f_6666;

impl PostgresDatabase {
    pub(super) async fn migrate(&self, table: &ReceiptTable) -> Result<Vec<String>> {
        let failed = |failure: Failure| self.explain(failure);
        let lock = format!("SET LOCAL search_path = pg_catalog; SELECT pg_advisory_xact_lock({LOCK})::text");
        let (mut session, _) = self.begin("BEGIN ISOLATION LEVEL READ COMMITTED", &lock).await.map_err(failed)?;
        let columns = Statement {
            sql: "SELECT a.attname::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped".to_owned(),
            params: vec![Some(table.schema.to_string()), Some(table.name.to_string())],
        };
        let (rows, _) = session.run(&columns).await.map_err(failed)?;
        let existing: Vec<&str> = rows.iter().filter_map(|row| row.first()?.as_deref()).collect();
        let mut statements = if existing.is_empty() {
            Dialect::Postgres.receipts_ddl(table)
        } else {
            let missing: Vec<&str> =
                Dialect::receipt_columns().iter().copied().filter(|column| !existing.contains(column)).collect();
            Dialect::Postgres.receipts_upgrade(table, &missing)
        };
        let schema = Statement {
            sql: "SELECT nspname::text FROM pg_namespace WHERE nspname = $1".to_owned(),
            params: vec![Some(table.schema.to_string())],
        };
        // IF NOT EXISTS would still need the right to make schemas.
        if !session.run(&schema).await.map_err(failed)?.0.is_empty() {
            statements.retain(|statement| !statement.starts_with("CREATE SCHEMA"));
        }
        for statement in &statements {
            session.batch(statement).await.map_err(failed)?;
        }
        session.end("COMMIT").await.map_err(failed)?;
        Ok(statements)
    }
}
