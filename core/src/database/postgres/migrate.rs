//! The receipts table: the only DDL there is, by one process at a time.

use super::{PostgresDatabase, receipts};
use crate::error::Result;
use crate::guard::{Dialect, Failure, ReceiptTable, Statement};

/// The advisory lock of everybody who makes receipts tables: "signoff" in ASCII.
const LOCK: i64 = 0x0073_6967_6e6f_6666;

impl PostgresDatabase {
    pub(super) async fn migrate(&self, table: &ReceiptTable) -> Result<Vec<String>> {
        let failed = |failure: Failure| self.explain(failure);
        let lock = format!("SET LOCAL search_path = pg_catalog; SELECT pg_advisory_xact_lock({LOCK})::text");
        let (mut session, _) = self.opened("BEGIN ISOLATION LEVEL READ COMMITTED", &lock).await?;
        let found = receipts::found(&session.batch(&receipts::look(table)).await.map_err(failed)?);
        let statements = found.statements(Dialect::Postgres, table);
        let mut statements = statements.map_err(|error| error.with("source", &self.source))?;
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
