//! The comparison under the lock: is this still the row that was read, shown and approved?

use std::collections::BTreeMap;

use serde_json::Value;

use super::job::{Cell, Effect, GuardJob};
use crate::error::{Code, Error, Result};
use crate::primitives::{Identifier, Redactor, Scalar, digest_of};

/// A locked row, by column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row(pub BTreeMap<Identifier, (Cell, Scalar)>);

/// What the comparison found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the row.
    Unchanged,
    /// It changed: a conflict, with its code and the column where it shows.
    Changed(Code, Option<Identifier>),
}

impl Row {
    /// Reads a row of the dialect's select outputs.
    pub(super) fn read(job: &GuardJob, columns: &[Identifier], outputs: &[Option<String>]) -> Result<Self> {
        let typed = columns.iter().map(|column| (column, job.types.get(column)));
        let cells = job.dialect.scalars(outputs, typed)?;
        if cells.len() != columns.len() {
            return Err(Error::new(Code::Internal).with("detail", "the row has fewer values than were selected"));
        }
        Ok(Self(cells.into_iter().map(|(column, cell, scalar)| (column.clone(), (cell, scalar))).collect()))
    }

    /// The value of a column.
    pub(super) fn value(&self, column: &Identifier) -> Option<&Scalar> {
        self.0.get(column).map(|(_, scalar)| scalar)
    }

    /// Compares with what the job expects.
    pub(super) fn compare(&self, job: &GuardJob, redactor: Option<&Redactor>) -> Result<Verdict> {
        self.check_identity(job)?;
        if let Some(column) = &job.version_column {
            let live = self.value(column).unwrap_or(&Scalar::Null);
            if !job.dialect.same_version(&job.expected_version, live) {
                return Ok(Verdict::Changed(Code::VersionConflict, Some(column.clone())));
            }
        }
        for (column, expected) in &job.before {
            let same = self.0.get(column).is_some_and(|(cell, live)| {
                let class_same = job.classes.get(column).is_none_or(|class| *class == cell.class);
                let version_same =
                    job.version_column.as_ref() == Some(column) && job.dialect.same_version(expected, live);
                // What an application's handler is sent was written by whatever reader its sender has.
                let sent_same =
                    job.effect == Effect::Author && job.dialect.same_as_sent(expected, live, job.types.get(column));
                class_same && (version_same || sent_same || same_value(expected, live, redactor))
            });
            if !same {
                return Ok(Verdict::Changed(Code::RowChanged, Some(column.clone())));
            }
        }
        // Last, because every column it covers was just compared one by one: what is left is a wrong digest. A handler
        // compares the columns that it declares, and its sender's digest may be over others.
        let hashed = job.version_column.is_none() && job.effect == Effect::Update;
        if hashed && Scalar::Text(row_hash(&job.before)?) != job.expected_version {
            return Ok(Verdict::Changed(Code::VersionConflict, None));
        }
        Ok(Verdict::Unchanged)
    }

    /// Key and tenant as bytes: a collation may have matched another one.
    fn check_identity(&self, job: &GuardJob) -> Result<()> {
        let key = self.value(&job.key_column).and_then(Scalar::to_text);
        let tenant_same = job.tenant_column.as_ref().is_none_or(|column| {
            self.value(column).and_then(Scalar::to_text).as_deref() == Some(job.tenant_id.as_str())
        });
        if tenant_same && key.is_some() && key == job.key_value.to_text() {
            Ok(())
        } else {
            Err(Code::TenantGuardMismatch.into())
        }
    }
}

/// The weak guard: a digest over every column read.
pub fn row_hash(row: &BTreeMap<Identifier, Scalar>) -> Result<String> {
    let object: serde_json::Map<String, Value> =
        row.iter().map(|(column, value)| (column.to_string(), value.to_json())).collect();
    Ok(digest_of(&Value::Object(object))?.to_string())
}

fn same_value(expected: &Scalar, live: &Scalar, redactor: Option<&Redactor>) -> bool {
    match (expected, live.to_text()) {
        (Scalar::Text(recorded), Some(live_text)) if Redactor::is_redacted(recorded) => {
            redactor.is_some_and(|redactor| redactor.redact(&live_text) == *recorded)
        }
        _ => expected.same(live),
    }
}
