//! The machine itself: one state, one reply, one step. Read [`Guard::next`] from top to bottom and it is the whole story.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::compare::{Row, Verdict};
use super::job::{Effect, GuardJob, Purpose};
use super::receipt::{ReceiptStatus, SourceReceipt};
use super::statements::{self, Statement};
use crate::error::{Code, Error, Result};
use crate::primitives::{Digest, Identifier, Redactor, Scalar};

mod author;

/// How often a transaction that lost a race before its effect is tried again.
const RETRIES: u32 = 5;
/// How long the guard waits for a lock, in milliseconds; and how long it takes to find out whose lock that was.
pub(super) const PATIENCE: u32 = 2_000;
const SECOND_LOOK: u32 = 100;

/// What the adapter does next, on the one connection of this guard.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// Open the transaction with this statement. If one is already open: reply [`Failure::AlreadyOpen`].
    Begin(Statement),
    /// Run it; reply [`Reply::Ran`] with all its rows and the number of rows it changed.
    Run(Statement),
    /// Call the author's function in this transaction; reply [`Reply::Effect`].
    Effect,
    /// Commit.
    Commit,
    /// Roll back. If that fails, close the connection; reply [`Reply::Ran`] either way.
    Rollback,
    /// Wait, then reply [`Reply::Ran`]. The transaction is closed.
    Pause(Duration),
    /// It is over; the transaction is closed.
    Done(Outcome),
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// It ran.
    Ran {
        /// The rows, outputs as text.
        rows: Vec<Vec<Option<String>>>,
        /// Rows changed.
        changed: u64,
    },
    /// The author's function returned, with the rows it wrote and the version it left.
    Effect {
        /// Rows written.
        rows_affected: u64,
        /// The new version, if the author told it.
        new_version: Option<Scalar>,
        /// What else the author wants to be remembered with the receipt.
        details: Option<Value>,
    },
    /// The author's function decided that the change may not land: what it wrote is rolled back, and this is stored.
    Declined {
        /// [`ReceiptStatus::Conflict`] or [`ReceiptStatus::Failed`].
        status: ReceiptStatus,
        /// Why, as a code of the author's.
        code: String,
        /// What else the author wants to be remembered with the receipt.
        details: Option<Value>,
    },
    /// The author's function ended in any other way: rolled back, nothing stored.
    Threw,
    /// It failed.
    Failed(Failure),
}

impl Reply {
    /// A reply without rows.
    #[must_use]
    pub fn done(changed: u64) -> Self {
        Self::Ran { rows: Vec::new(), changed }
    }
}

/// How a statement failed, as far as a rule depends on it. Driver text does not cross.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Failure {
    /// A transaction was open already.
    AlreadyOpen,
    /// Somebody else holds a lock for longer than we wait.
    Busy,
    /// The transaction lost a race and was rolled back: 40001, 40P01, 1213, SQLITE_BUSY_SNAPSHOT.
    Serialization,
    /// A table that the statement names does not exist.
    MissingTable,
    /// A column that the statement names does not exist.
    MissingColumn,
    /// A value that was read cannot be shown exactly, such as text that is no UTF-8.
    Unreadable,
    /// A constraint, a trigger or a type refused the values.
    Rejected,
    /// The database or the transaction is read-only, or a standby.
    ReadOnly,
    /// The user may not do this.
    Denied,
    /// The connection is gone, or an I/O error: at COMMIT the outcome is unknown.
    Lost,
    /// Anything else that the server answered: it rolled back.
    Other,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// The change landed now.
    Applied(SourceReceipt),
    /// The row had changed; the conflict was recorded now.
    Conflict(SourceReceipt),
    /// The author's function refused the change for good; that was recorded now.
    Refused(SourceReceipt),
    /// The key was taken now, so that the change can never land.
    Tombstoned(SourceReceipt),
    /// The key had been used for this very change: its receipt is the truth.
    Stored(SourceReceipt),
    /// A dry run came to this end: `None` means it would be written.
    Rehearsed(Option<(Code, Option<Identifier>)>),
    /// Rolled back, nothing stored: the same job may be tried again.
    Released(Error),
    /// COMMIT was sent and no answer read: only a claim of the same key can tell.
    Unknown,
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    Begin,
    Settings,
    Claim,
    ClaimAndLock,
    Lookup,
    Lock,
    /// No row was there to lock: is there one that only came while we waited?
    Gone,
    Update,
    Constraints,
    Restore,
    Mark,
    Effect,
    Unmark(Outcome),
    Reread,
    Finish(Outcome),
    /// With what the UPDATE answered: the row has to show it still.
    FinishIfWritten(Outcome, Vec<Option<String>>),
    Commit(Outcome),
    Rollback(Ending),
    Pause,
    Done,
}

#[derive(Debug, Clone, PartialEq)]
enum Ending {
    With(Box<Outcome>),
    Again,
    /// Begin anew, to store what the author decided.
    Record,
}

/// The guard of one change. See the [module](super).
#[derive(Debug)]
pub struct Guard {
    job: GuardJob,
    redactor: Option<Redactor>,
    fingerprint: Digest,
    state: State,
    attempts: u32,
    /// The author's function was called: it may have done what no rollback undoes, so it is not called again.
    effect_ran: bool,
    /// Statements go out together where the engine can run them so.
    together: bool,
    /// They were refused together, not for what they found.
    refused: bool,
    /// A lock was waited for already, and it did not tell whose.
    waited: bool,
    previous_version: Option<Scalar>,
    /// The row that the settings statement answered.
    session: Vec<Option<String>>,
    /// The row as it is locked.
    locked: Columns,
    /// What the author decided and the second transaction stores.
    verdict: Option<Outcome>,
}

type Columns = BTreeMap<Identifier, Scalar>;

impl Guard {
    /// Starts a guard: the machine and its first step. The redactor compares values that were recorded redacted.
    ///
    /// # Errors
    /// `NO_CHANGE` for an UPDATE of nothing; `PATCH_COLUMN_NOT_ALLOWED` for a patch outside the allow-list or on the key, tenant or version column.
    pub fn start(job: GuardJob, redactor: Option<Redactor>) -> Result<(Self, Step)> {
        for column in job.patch.keys() {
            let guarded = *column == job.key_column
                || Some(column) == job.tenant_column.as_ref()
                || Some(column) == job.version_column.as_ref();
            if guarded || !job.allowed_columns.contains(column) {
                return Err(Error::new(Code::PatchColumnNotAllowed).with("column", column));
            }
        }
        if job.patch.is_empty() && job.effect == Effect::Update {
            return Err(Code::NoChange.into());
        }
        let fingerprint = job.fingerprint()?;
        let together = job.dialect.combines()
            && (job.effect == Effect::Update || !job.types.is_empty())
            && matches!(job.purpose, Purpose::Apply | Purpose::DryRun);
        let begin = Step::Begin(statements::begin(&job, together));
        let guard = Self {
            job,
            redactor,
            fingerprint,
            state: State::Begin,
            attempts: 0,
            effect_ran: false,
            together,
            refused: false,
            waited: false,
            previous_version: None,
            session: Vec::new(),
            locked: Columns::new(),
            verdict: None,
        };
        Ok((guard, begin))
    }

    /// The job.
    #[must_use]
    pub fn job(&self) -> &GuardJob {
        &self.job
    }

    /// Did statements go out together, and were they refused so?
    #[cfg(feature = "handler")]
    pub(crate) fn together(&self) -> (bool, bool) {
        (self.together, self.refused)
    }

    /// The job's fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        self.fingerprint
    }

    /// The row as it is locked: key, tenant, version and what is compared. Empty before [`Step::Effect`].
    #[must_use]
    pub fn locked(&self) -> &BTreeMap<Identifier, Scalar> {
        &self.locked
    }

    /// The next step after this reply.
    pub fn next(&mut self, reply: Reply) -> Step {
        let state = std::mem::replace(&mut self.state, State::Done);
        match self.advance(state, reply) {
            Ok(step) => step,
            Err(error) => self.roll_back(Ending::With(Box::new(Outcome::Released(error)))),
        }
    }

    fn advance(&mut self, state: State, reply: Reply) -> Result<Step> {
        match (state, reply) {
            // 1 begin
            (State::Begin, Reply::Ran { .. }) => Ok(match self.job.dialect.settings_waiting(self.patience()) {
                Some(sql) if self.author() && !self.together => {
                    self.run(State::Settings, Statement::plain(sql + &self.describe()))
                }
                _ => self.claim(),
            }),
            (State::Begin, Reply::Failed(Failure::Serialization)) => Ok(self.again()),
            (State::Begin, Reply::Failed(failure)) => Ok(self.done(Outcome::Released(self.explain(failure)))),
            (State::Settings, Reply::Ran { rows, .. }) => {
                let standby =
                    rows.first().and_then(|row| row.first()).is_some_and(|cell| cell.as_deref() == Some("true"));
                if standby {
                    return Err(self.explain(Failure::ReadOnly));
                }
                self.session = rows.into_iter().next().unwrap_or_default();
                self.described()?;
                Ok(self.claim())
            }
            // 2 claim the key
            (State::Claim, Reply::Ran { changed: 0, .. }) => Ok(self.run(State::Lookup, statements::lookup(&self.job))),
            (State::Claim, Reply::Ran { .. }) => self.claimed(),
            (State::Claim, Reply::Failed(Failure::MissingTable)) => {
                Err(Error::new(Code::ReceiptTableMissing).with("table", self.job.receipts.sql()))
            }
            (State::Claim, Reply::Failed(Failure::MissingColumn)) => Err(self.outdated()),
            (State::Claim, Reply::Failed(Failure::Busy)) if self.author() => {
                Err(Error::new(Code::IdempotencyKeyInFlight).with("key", &self.job.idempotency_key))
            }
            // 2 and 4 in one. Which of the two was refused it does not tell: alone, each says for itself.
            (State::ClaimAndLock, Reply::Ran { rows, .. }) => self.claimed_and_locked(&rows),
            (
                State::ClaimAndLock,
                Reply::Failed(
                    Failure::MissingTable
                    | Failure::MissingColumn
                    | Failure::Denied
                    | Failure::Rejected
                    | Failure::Unreadable
                    | Failure::Other,
                ),
            ) => {
                self.refused = true;
                Ok(self.alone())
            }
            (State::ClaimAndLock, Reply::Failed(Failure::Busy)) if self.author() => {
                self.waited = true;
                Ok(self.alone())
            }
            // 3 the key was used before
            (State::Lookup, Reply::Ran { rows, .. }) => {
                let outcome = self.stored(&rows)?;
                Ok(self.roll_back(Ending::With(Box::new(outcome))))
            }
            // 4 the row is locked, 5 compare
            // On an engine that waits for a row, one that was replaced meanwhile looks gone to who waited.
            (State::Lock, Reply::Ran { rows, .. }) if rows.is_empty() && self.job.dialect.combines() => {
                Ok(self.run(State::Gone, statements::look(&self.job)))
            }
            // Tried often enough, it is there and not to be locked: a policy shows it and does not let us write it.
            (State::Gone, Reply::Ran { rows, .. }) if !rows.is_empty() && self.attempts >= RETRIES => {
                Err(Code::WriteBlocked.into())
            }
            (State::Gone, Reply::Ran { rows, .. }) if !rows.is_empty() => Ok(self.again()),
            (State::Lock | State::Gone, Reply::Ran { rows, .. }) => self.compared(&rows),
            // 6 the effect
            (State::Update, Reply::Ran { rows, changed }) => match changed {
                0 => Err(Code::WriteBlocked.into()),
                1 if self.together => self.written(rows),
                1 => Ok(match self.job.dialect.immediate() {
                    Some(sql) => self.run(State::Constraints, Statement::plain(sql)),
                    None => self.run(State::Reread, statements::reread(&self.job)),
                }),
                more => Err(Error::new(Code::MultiRowWriteBlocked).with("rows", more)),
            },
            (State::Constraints, Reply::Ran { .. }) => Ok(self.run(State::Reread, statements::reread(&self.job))),
            // A deferred constraint may hold only when the last trigger has run, and a rule may have no answer to RETURNING.
            (State::Update, Reply::Failed(Failure::Rejected | Failure::Other)) if self.together => Ok(self.alone()),
            (State::Restore, Reply::Ran { .. }) => Ok(self.mark()),
            (State::Mark, Reply::Ran { .. }) => Ok(self.call_author()),
            (State::Effect, Reply::Effect { rows_affected, new_version, details }) => {
                let mut receipt = self.receipt(ReceiptStatus::Applied, rows_affected, new_version);
                receipt.details = details;
                self.unmark(Outcome::Applied(receipt))
            }
            (State::Effect, Reply::Declined { status, code, details }) => {
                self.verdict = Some(self.declined(status, code, details)?);
                Ok(self.roll_back(Ending::Record))
            }
            (State::Effect, Reply::Threw) => {
                Err(Error::new(Code::HandlerBusinessError).with("action", &self.job.action))
            }
            (State::Unmark(outcome), Reply::Ran { .. }) => self.finish(outcome),
            (State::Unmark(_) | State::Finish(_), Reply::Failed(Failure::Lost)) if self.author() => {
                Err(Code::TransactionLost.into())
            }
            // The savepoint is gone: the author's function ended our transaction.
            (State::Unmark(_), Reply::Failed(_)) => Ok(self.taken_for_good()),
            (State::Reread, Reply::Ran { rows, .. }) => {
                let receipt = self.verify_written(rows.first().filter(|_| rows.len() == 1))?;
                self.finish(Outcome::Applied(receipt))
            }
            // 7 finish
            (State::Finish(outcome), Reply::Ran { changed: 1, .. }) => {
                self.state = State::Commit(outcome);
                Ok(Step::Commit)
            }
            (State::Finish(_), Reply::Ran { .. }) if self.effect_ran => Ok(self.taken_for_good()),
            (State::Finish(_), Reply::Ran { .. }) => Err(Code::TransactionLost.into()),
            (State::FinishIfWritten(outcome, expected), Reply::Ran { rows, .. }) => {
                self.finished_if_written(outcome, &expected, rows)
            }
            (State::Commit(outcome), Reply::Ran { .. }) => Ok(self.done(outcome)),
            (State::Commit(_), Reply::Failed(Failure::Lost)) => Ok(self.done(Outcome::Unknown)),
            (State::Rollback(Ending::With(outcome)), _) => Ok(self.done(*outcome)),
            (State::Rollback(Ending::Again), _) => {
                self.state = State::Pause;
                Ok(Step::Pause(self.pause()))
            }
            (State::Rollback(Ending::Record), _) => {
                // A new transaction without an effect: losing a race is harmless again.
                self.effect_ran = false;
                (self.together, self.waited) = (false, false);
                self.state = State::Begin;
                Ok(Step::Begin(statements::begin(&self.job, self.together)))
            }
            (State::Pause, _) => {
                self.state = State::Begin;
                Ok(Step::Begin(statements::begin(&self.job, self.together)))
            }
            // Whatever fails elsewhere is rolled back: nothing is stored, the job may be tried again. An UPDATE of ours is
            // undone with it, so that one is tried again here.
            (_, Reply::Failed(Failure::Serialization)) if !self.effect_ran => Ok(self.again()),
            (_, Reply::Failed(failure)) => Err(self.explain(failure)),
            _ => Err(Error::new(Code::Internal).with("detail", "the guard got a reply that fits no step")),
        }
    }

    fn claim(&mut self) -> Step {
        if self.together {
            let both = if self.author() { statements::claim_lock_and_restore } else { statements::claim_and_lock };
            self.run(State::ClaimAndLock, both(&self.job, &self.fingerprint))
        } else {
            self.run(State::Claim, statements::claim(&self.job, &self.fingerprint))
        }
    }

    fn claimed_and_locked(&mut self, rows: &[Vec<Option<String>>]) -> Result<Step> {
        let free = rows.first().is_some_and(|row| matches!(row.as_slice(), [Some(taken), ..] if taken == "1"));
        if !free {
            return Ok(self.run(State::Lookup, statements::lookup(&self.job)));
        }
        let mut live = present(rows);
        if self.author() {
            if live.is_empty() || live.len() < rows.len() {
                // No row, or not of these types: whoever asks for them anew can tell.
                return Ok(self.alone());
            }
            // After the columns stands what gave the session its own settings back.
            live.iter_mut().for_each(|row| row.truncate(row.len().saturating_sub(1)));
            return self.compared(&live);
        }
        if live.is_empty() {
            // It was looked for as of a moment before the wait for the key: only a look of its own can say that it is gone.
            return Ok(self.run(State::Lock, statements::lock(&self.job)));
        }
        self.compared(&live)
    }

    /// What a row found under our key means.
    fn stored(&self, rows: &[Vec<Option<String>>]) -> Result<Outcome> {
        let reused = || Error::new(Code::IdempotencyKeyReused).with("key", &self.job.idempotency_key);
        let [row] = rows else { return Err(reused()) };
        let [_, Some(status), fingerprint, proposal_id, receipt_json] = row.as_slice() else { return Err(reused()) };
        let ours = match fingerprint {
            Some(text) => *text == self.fingerprint.to_string(),
            // A row from before fingerprints counts only for its own proposal.
            None => proposal_id.as_deref() == Some(self.job.proposal_id.as_str()),
        };
        if !ours {
            return Err(reused());
        }
        let status = match status.as_str() {
            "applied" => ReceiptStatus::Applied,
            "conflict" => ReceiptStatus::Conflict,
            "failed" if self.author() => ReceiptStatus::Failed,
            "canceled" => ReceiptStatus::Canceled,
            _ => return Err(Error::new(Code::HandlerTransactionBroken).with("key", &self.job.idempotency_key)),
        };
        let receipt = receipt_json
            .as_deref()
            .and_then(|text| serde_json::from_str::<SourceReceipt>(text).ok())
            .filter(|receipt| receipt.status == status)
            .unwrap_or_else(|| self.receipt(status, u64::from(status == ReceiptStatus::Applied), None));
        Ok(Outcome::Stored(receipt))
    }

    fn claimed(&mut self) -> Result<Step> {
        match self.verdict.clone() {
            // Left unfinished, which tells every later delivery that foreign code ended the transaction.
            Some(lost @ Outcome::Released(_)) => {
                self.state = State::Commit(lost);
                return Ok(Step::Commit);
            }
            Some(verdict) => return self.finish(verdict),
            None => {}
        }
        match &self.job.purpose {
            Purpose::Apply | Purpose::DryRun => Ok(self.run(State::Lock, statements::lock(&self.job))),
            Purpose::Tombstone => {
                let receipt = self.receipt(ReceiptStatus::Canceled, 0, None);
                self.finish(Outcome::Tombstoned(receipt))
            }
            Purpose::Conflict(code) => {
                let mut receipt = self.receipt(ReceiptStatus::Conflict, 0, None);
                receipt.safe_error_code = Some(code.clone());
                receipt.previous_version = self.job.version_column.as_ref().map(|_| self.job.expected_version.clone());
                self.finish(Outcome::Conflict(receipt))
            }
        }
    }

    fn compared(&mut self, rows: &[Vec<Option<String>>]) -> Result<Step> {
        let verdict = match rows {
            [] => Verdict::Changed(Code::RowNotFound, None),
            [row] => {
                let columns: Vec<Identifier> = self.job.compared().cloned().collect();
                let live = Row::read(&self.job, &columns, row)?;
                self.previous_version = self.job.version_column.as_ref().and_then(|column| live.value(column).cloned());
                self.locked = live.0.iter().map(|(column, (_, value))| (column.clone(), value.clone())).collect();
                live.compare(&self.job, self.redactor.as_ref())?
            }
            more => return Err(Error::new(Code::MultiRowWriteBlocked).with("rows", more.len())),
        };
        match (verdict, &self.job.purpose) {
            (Verdict::Unchanged, Purpose::DryRun) => {
                Ok(self.roll_back(Ending::With(Box::new(Outcome::Rehearsed(None)))))
            }
            (Verdict::Changed(code, column), Purpose::DryRun) => {
                Ok(self.roll_back(Ending::With(Box::new(Outcome::Rehearsed(Some((code, column)))))))
            }
            (Verdict::Changed(code, column), _) => {
                let found = self.previous_version.take();
                let mut receipt = self.receipt(ReceiptStatus::Conflict, 0, found);
                receipt.previous_version = self.job.version_column.as_ref().map(|_| self.job.expected_version.clone());
                receipt.safe_error_code = Some(code.as_str().to_owned());
                receipt.column = column;
                self.finish(Outcome::Conflict(receipt))
            }
            (Verdict::Unchanged, _) => Ok(match self.job.effect {
                Effect::Update => self.run(State::Update, statements::update(&self.job, self.together)),
                // The author's function runs in the author's own session: nothing of ours is set in it.
                Effect::Author => match self.job.dialect.restore(&self.session) {
                    Some((sql, params)) if !self.together => self.run(State::Restore, Statement { sql, params }),
                    _ => self.mark(),
                },
            }),
        }
    }

    /// The UPDATE answered what it wrote; what triggers make of it after that, the last statement sees.
    fn written(&mut self, mut rows: Vec<Vec<Option<String>>>) -> Result<Step> {
        let receipt = self.verify_written(rows.first())?;
        let shown = rows.pop().unwrap_or_default();
        self.finish_if_written(Outcome::Applied(receipt), shown)
    }

    /// What landed must be what was approved, whatever triggers and types did.
    fn verify_written(&self, row: Option<&Vec<Option<String>>>) -> Result<SourceReceipt> {
        let differs = |column: &dyn std::fmt::Display| Error::new(Code::StoredValueDiffers).with("column", column);
        let Some(row) = row else { return Err(differs(&self.job.key_column)) };
        let live = Row::read(&self.job, &statements::written(&self.job), row)?;
        for (column, approved) in &self.job.patch {
            // The same text in another storage class is another value: a blob can show as a text does.
            let class = self
                .job
                .types
                .get(column)
                .map(|kind| self.job.dialect.normalise(column, kind, approved))
                .transpose()?;
            let same = live.0.get(column).is_some_and(|(cell, stored)| {
                stored.same(approved) && class.is_none_or(|normal| normal.class == cell.class)
            });
            if !same {
                return Err(differs(column));
            }
        }
        let new_version = self.job.version_column.as_ref().and_then(|column| live.value(column).cloned());
        Ok(self.receipt(ReceiptStatus::Applied, 1, new_version))
    }

    fn receipt(&self, status: ReceiptStatus, rows_affected: u64, new_version: Option<Scalar>) -> SourceReceipt {
        SourceReceipt {
            status,
            proposal_id: self.job.proposal_id.clone(),
            job_id: self.job.job_id.clone(),
            rows_affected,
            previous_version: self.previous_version.clone(),
            new_version,
            safe_error_code: None,
            column: None,
            details: None,
            completed_at: self.job.now,
            mutated: None,
        }
    }

    fn finish(&mut self, outcome: Outcome) -> Result<Step> {
        let statement = statements::finish(&self.job, stored_by(&outcome)?)?;
        Ok(self.run(State::Finish(outcome), statement))
    }

    fn finish_if_written(&mut self, outcome: Outcome, shown: Vec<Option<String>>) -> Result<Step> {
        let statement = statements::finish_if_written(&self.job, stored_by(&outcome)?, &shown)?;
        Ok(self.run(State::FinishIfWritten(outcome, shown), statement))
    }

    fn finished_if_written(
        &mut self,
        outcome: Outcome,
        expected: &[Option<String>],
        rows: Vec<Vec<Option<String>>>,
    ) -> Result<Step> {
        let stored = rows.first().is_some_and(|row| matches!(row.as_slice(), [Some(stored), ..] if stored == "1"));
        if stored {
            self.state = State::Commit(outcome);
            return Ok(Step::Commit);
        }
        let mut live = present(&rows);
        let receipt = self.verify_written(live.first().filter(|_| live.len() == 1))?;
        let shown = live.pop().unwrap_or_default();
        // What was approved is there, so a trigger moved the version after the UPDATE; once it has, nothing else can.
        if shown != expected && stored_by(&outcome)?.new_version != receipt.new_version {
            self.finish_if_written(Outcome::Applied(receipt), shown)
        } else {
            Err(Code::TransactionLost.into())
        }
    }

    fn run(&mut self, state: State, statement: Statement) -> Step {
        self.state = state;
        Step::Run(statement)
    }

    fn done(&mut self, outcome: Outcome) -> Step {
        self.state = State::Done;
        Step::Done(match (&self.verdict, outcome) {
            // However the attempt to take the key ended: this is what happened.
            (Some(lost @ Outcome::Released(_)), Outcome::Released(_) | Outcome::Unknown) => lost.clone(),
            (_, outcome) => outcome,
        })
    }

    fn roll_back(&mut self, ending: Ending) -> Step {
        self.state = State::Rollback(ending);
        Step::Rollback
    }

    /// Try again one by one: what was refused together did not say which of it was.
    fn alone(&mut self) -> Step {
        self.together = false;
        self.forget_types();
        self.roll_back(Ending::Again)
    }

    /// Try again, unless it was tried often enough.
    fn again(&mut self) -> Step {
        self.attempts += 1;
        self.previous_version = None;
        let ending = if self.attempts > RETRIES {
            Ending::With(Box::new(Outcome::Released(self.explain(Failure::Serialization))))
        } else {
            Ending::Again
        };
        self.roll_back(ending)
    }

    /// Longer each time, and different for each key, so that two losers do not meet again. Pure: no random source.
    fn pause(&self) -> Duration {
        let spread = u64::from(self.fingerprint.as_bytes().first().copied().unwrap_or(0)) % 16;
        Duration::from_millis((5_u64 << self.attempts.min(6)) + spread)
    }

    fn explain(&self, failure: Failure) -> Error {
        let code = match failure {
            Failure::AlreadyOpen => Code::TransactionAlreadyOpen,
            Failure::Busy => Code::SourceBusy,
            Failure::ReadOnly => Code::SourceReadOnly,
            Failure::Unreadable => Code::ValueNotReadable,
            Failure::Rejected => Code::SourceRejected,
            Failure::Denied => Code::SourceRejected,
            Failure::MissingTable | Failure::MissingColumn => Code::SourceObjectNotFound,
            Failure::Serialization | Failure::Lost | Failure::Other => Code::TransactionFailed,
        };
        let error = Error::new(code);
        match failure {
            Failure::Unreadable => {
                error.with("column", format!("{}.*", self.job.table)).with("reason", "its text is not UTF-8")
            }
            Failure::Rejected => error.with("reason", "a constraint, a trigger or a type does not allow it"),
            Failure::Denied => error.with("reason", "its user lacks a privilege"),
            Failure::MissingTable => error.with("object", format!("table {}", self.job.table)),
            Failure::MissingColumn => {
                error.with("object", format!("column of {} that the proposal read", self.job.table))
            }
            _ => error,
        }
    }
}

/// The receipt that an outcome stores.
fn stored_by(outcome: &Outcome) -> Result<&SourceReceipt> {
    match outcome {
        Outcome::Applied(receipt)
        | Outcome::Conflict(receipt)
        | Outcome::Refused(receipt)
        | Outcome::Tombstoned(receipt) => Ok(receipt),
        _ => Err(Error::new(Code::Internal).with("detail", "nothing to store")),
    }
}

/// The values of the rows that a combined statement found, without what it says of itself before them.
fn present(rows: &[Vec<Option<String>>]) -> Vec<Vec<Option<String>>> {
    let found = |row: &&Vec<Option<String>>| matches!(row.as_slice(), [_, Some(found), ..] if found == "true");
    rows.iter().filter(found).map(|row| row.iter().skip(2).cloned().collect()).collect()
}
