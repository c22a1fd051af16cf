//! Direct SQL: the guard with its own UPDATE as the effect.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Ended, Execution, Executor};
use crate::database::Database;
use crate::error::{Code, Error, Result};
use crate::guard::{Effect, GuardJob, Outcome, Purpose, ReceiptStatus, ReceiptTable};
use crate::primitives::Redactor;
use crate::protocol::ConflictGuard;

/// Direct SQL on one source.
#[derive(Debug, Clone)]
pub struct SqlUpdate {
    database: Arc<dyn Database>,
    receipts: ReceiptTable,
    create_receipts: bool,
    redactor: Redactor,
}

impl SqlUpdate {
    /// Direct SQL on this database, with receipts in this table.
    #[must_use]
    pub fn new(database: Arc<dyn Database>, receipts: ReceiptTable, create_receipts: bool, redactor: Redactor) -> Self {
        Self { database, receipts, create_receipts, redactor }
    }

    fn guard_job(&self, execution: &Execution) -> Result<GuardJob> {
        let Execution { change_set, facts, job, purpose, now, .. } = execution;
        let target = &job.target;
        let tenant = &job.tenant_guard;
        let (version_column, expected_version) = match &job.conflict_guard {
            ConflictGuard::Column { column, expected_value } => (Some(column.clone()), expected_value.clone()),
            ConflictGuard::RowHash { expected_hash } => (None, expected_hash.as_str().into()),
            // No guard is no permission.
            ConflictGuard::None => return Err(Code::ConflictGuardMissing.into()),
        };
        Ok(GuardJob {
            dialect: self.database.dialect(),
            purpose: purpose.clone(),
            effect: Effect::Update,
            receipts: self.receipts.clone(),
            job_id: job.writeback_job_id.clone(),
            proposal_id: job.proposal_id.clone(),
            proposal_hash: job.proposal_hash.clone(),
            action: change_set.action.clone(),
            idempotency_key: job.idempotency_key.clone(),
            tenant_id: change_set.scope.tenant_id.clone(),
            schema: target.schema.clone(),
            table: target.table.clone(),
            key_column: target.primary_key.column.clone(),
            key_value: target.primary_key.value.clone(),
            tenant_column: (tenant.column.as_str() != crate::protocol::SINGLE_TENANT_COLUMN)
                .then(|| tenant.column.clone()),
            version_column,
            expected_version,
            before: change_set.before.clone(),
            classes: change_set
                .before
                .iter()
                .map(|(column, value)| {
                    let plain = || self.database.dialect().plain_class(value).to_owned();
                    (column.clone(), facts.classes.get(column).cloned().unwrap_or_else(plain))
                })
                .collect(),
            types: facts.types.clone(),
            patch: job.patch.clone(),
            allowed_columns: job.allowed_columns.clone(),
            now: *now,
        })
    }
}

/// Only an author's function refuses, and this effect is the guard's own.
fn refused() -> Ended {
    Ended::Released(Error::new(Code::Internal).with("detail", "an UPDATE cannot refuse"))
}

#[async_trait]
impl Executor for SqlUpdate {
    fn receipts(&self) -> Option<&ReceiptTable> {
        Some(&self.receipts)
    }

    async fn execute(&self, execution: Execution) -> Result<Ended> {
        let job = self.guard_job(&execution)?;
        let mut outcome = self.database.run(job.clone(), Some(self.redactor.clone())).await?;
        let missing = matches!(&outcome, Outcome::Released(error) if error.code() == Code::ReceiptTableMissing);
        if missing && self.create_receipts && execution.purpose != Purpose::DryRun {
            self.database.migrate_receipts(self.receipts.clone()).await?;
            outcome = self.database.run(job, Some(self.redactor.clone())).await?;
        }
        Ok(match outcome {
            Outcome::Applied(receipt) => Ended::Applied(receipt),
            Outcome::Conflict(receipt) => Ended::Conflict(receipt),
            Outcome::Refused(_) => refused(),
            Outcome::Tombstoned(receipt) => Ended::Canceled(receipt),
            Outcome::Stored(receipt) => match receipt.status {
                ReceiptStatus::Applied => Ended::AlreadyApplied(receipt),
                ReceiptStatus::Conflict => Ended::Conflict(receipt),
                ReceiptStatus::Canceled => Ended::Canceled(receipt),
                ReceiptStatus::Failed => refused(),
            },
            Outcome::Rehearsed(found) => Ended::Rehearsed(found),
            Outcome::Released(error) => Ended::Released(error),
            Outcome::Unknown => Ended::Unknown("the answer to COMMIT was lost".to_owned()),
        })
    }
}
