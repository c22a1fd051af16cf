//! The receipts table as an engine finds it: what is wrong with it, and what would mend it.

use super::check::Check;
use crate::error::{Code, Error, Result};
use crate::guard::{Dialect, ReceiptTable};

/// What an engine's catalogue says of the table; the default is that there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The names of its columns; empty if there is no table.
    pub columns: Vec<String>,
    /// A unique index that always holds is on the key.
    pub unique: bool,
    /// Why a receipt in it could be lost, or not be found again.
    pub unfit: Option<&'static str>,
}

impl Found {
    fn exists(&self) -> bool {
        !self.columns.is_empty()
    }

    fn missing(&self) -> Vec<&'static str> {
        let has = |column: &&&str| !self.columns.iter().any(|have| have == **column);
        Dialect::receipt_columns().iter().filter(has).copied().collect()
    }

    /// A table that is there keeps a receipt for good, and gives a key once.
    ///
    /// # Errors
    /// `RECEIPT_TABLE_UNFIT`; `RECEIPT_TABLE_OUTDATED` with the index that it lacks.
    pub(super) fn trusted(&self, dialect: Dialect, table: &ReceiptTable) -> Result<()> {
        if let Some(reason) = self.unfit {
            return Err(Error::new(Code::ReceiptTableUnfit).with("table", table.sql()).with("reason", reason));
        }
        if self.exists() && !self.unique {
            // An index is in the schema of its table; SQLite takes no schema before the table's name.
            let name = if dialect == Dialect::Sqlite { table.name.quoted() } else { table.sql() };
            let ddl = format!("CREATE UNIQUE INDEX synapsor_writeback_key ON {name} (tenant_id, idempotency_key)");
            return Err(Error::new(Code::ReceiptTableOutdated)
                .with("table", table.sql())
                .with("columns", "a unique key on (tenant_id, idempotency_key)")
                .with("ddl", ddl));
        }
        Ok(())
    }

    /// The statements that make the table, or bring it up to date.
    ///
    /// # Errors
    /// Those of [`Self::trusted`]: a table that loses receipts is not mended by columns.
    pub(super) fn statements(&self, dialect: Dialect, table: &ReceiptTable) -> Result<Vec<String>> {
        self.trusted(dialect, table)?;
        Ok(if self.exists() { dialect.receipts_upgrade(table, &self.missing()) } else { dialect.receipts_ddl(table) })
    }

    /// The same in words.
    pub(super) fn checks(&self, table: &ReceiptTable) -> Vec<Check> {
        let name = table.sql();
        if let Some(reason) = self.unfit {
            return vec![Check::failed("receipts-table", format!("{name} {reason}"))];
        }
        if !self.exists() {
            return vec![Check::failed("receipts-table", format!("{name} not found: `signoff writeback migrate`"))];
        }
        let missing = self.missing().join(", ");
        let shape = if missing.is_empty() {
            Check::passed("receipts-table", format!("{name} is up to date"))
        } else {
            Check::failed("receipts-table", format!("{name} lacks {missing}: `signoff writeback migrate`"))
        };
        let key = if self.unique {
            Check::passed("receipts-key", "a key is given once")
        } else {
            Check::failed("receipts-key", "no unique key on (tenant_id, idempotency_key)")
        };
        vec![shape, key]
    }
}
