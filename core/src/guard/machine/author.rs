//! What the guard does differently for an author's function: it asks for the types that no job can know, it keeps its own
//! settings and the transaction's end apart from foreign code, and it stores what the author decided instead of writing.

use serde_json::Value;

use super::{Effect, Ending, Guard, Outcome, PATIENCE, SECOND_LOOK, State, Step};
use crate::error::{Code, Error, Result};
use crate::guard::receipt::ReceiptStatus;
use crate::guard::statements::Statement;

impl Guard {
    pub(super) fn author(&self) -> bool {
        self.job.effect == Effect::Author
    }

    /// What the settings statement answers besides, if the job does not say the columns' types: the catalogue's word.
    pub(super) fn describe(&self) -> String {
        if !self.author() || !self.job.types.is_empty() {
            return String::new();
        }
        self.job.dialect.describe(&self.job.schema, &self.job.table, self.job.compared()).unwrap_or_default()
    }

    /// How long to wait for a lock. Together, a key and a row look alike to who waited for one of them in vain.
    pub(super) fn patience(&self) -> u32 {
        if self.waited { SECOND_LOOK } else { PATIENCE }
    }

    /// The types of an author's row are only remembered: where they may have changed, the catalogue is asked again.
    pub(super) fn forget_types(&mut self) {
        if self.author() {
            self.job.types.clear();
        }
    }

    pub(super) fn described(&mut self) -> Result<()> {
        if !self.author() || !self.job.types.is_empty() {
            return Ok(());
        }
        self.job.types = self.job.dialect.described(&self.session)?;
        let version = self.job.version_column.as_ref();
        match version.and_then(|column| self.job.types.get(column).map(|kind| (column, kind.as_str()))) {
            Some((column, kind @ ("real" | "double precision"))) => {
                Err(Error::new(Code::VersionTypeUnsupported).with("column", column).with("class", kind))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn outdated(&self) -> Error {
        // Those that a table of v1 has not; which of them this one lacks, only its catalogue knows.
        let (added, columns): (&[&str], _) = if self.author() {
            let columns = "some of tenant_id, job_id, fingerprint and result_hash";
            (&["tenant_id", "job_id", "fingerprint", "result_hash"], columns)
        } else {
            (&["tenant_id", "fingerprint", "receipt_json"], "some of tenant_id, fingerprint and receipt_json")
        };
        let ddl = self.job.dialect.receipts_upgrade(&self.job.receipts, added).join("; ");
        let outdated = Error::new(Code::ReceiptTableOutdated).with("table", self.job.receipts.sql());
        outdated.with("columns", columns).with("ddl", ddl)
    }

    /// What the author decided instead of writing.
    pub(super) fn declined(&self, status: ReceiptStatus, code: String, details: Option<Value>) -> Result<Outcome> {
        let mut receipt = self.receipt(status, 0, None);
        receipt.safe_error_code = Some(code);
        receipt.details = details;
        match status {
            ReceiptStatus::Conflict => Ok(Outcome::Conflict(receipt)),
            ReceiptStatus::Failed => Ok(Outcome::Refused(receipt)),
            _ => Err(Error::new(Code::Internal).with("detail", "an author declines as conflict or failed")),
        }
    }

    /// Where the engine cannot tell a transaction from the next one, a savepoint of ours does: it ends with ours.
    pub(super) fn mark(&mut self) -> Step {
        match self.job.dialect.mark() {
            Some((mark, _)) => self.run(State::Mark, Statement::plain(mark)),
            None => self.call_author(),
        }
    }

    pub(super) fn unmark(&mut self, outcome: Outcome) -> Result<Step> {
        match self.job.dialect.mark() {
            Some((_, unmark)) => Ok(self.run(State::Unmark(outcome), Statement::plain(unmark))),
            None => self.finish(outcome),
        }
    }

    /// The author's function ended our transaction. What it committed in its place nobody can know, and a claim that it
    /// rolled back would let the next delivery run it again: so the key is claimed once more, and left unfinished.
    pub(super) fn taken_for_good(&mut self) -> Step {
        self.verdict = Some(Outcome::Released(Code::TransactionLost.into()));
        self.roll_back(Ending::Record)
    }

    pub(super) fn call_author(&mut self) -> Step {
        self.effect_ran = true;
        self.state = State::Effect;
        Step::Effect
    }
}
