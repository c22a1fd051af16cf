//! Applying: claim, check everything again, let the executor carry it out, record the truth.

use std::time::Duration;

use super::Runtime;
use super::backoff::Backoff;
use super::decide::{check_approver, check_name};
use crate::contract::{Capability, Mode};
use crate::database::ScopedRead;
use crate::error::{Code, Error, Result};
use crate::executor::{Ended, Execution, Executor};
use crate::fault_point;
use crate::guard::{Purpose, SourceReceipt};
use crate::ledger::{Advance, NewReceipt, ProposalRecord, ReceiptRecord, ReceiptsIn, Standing};
use crate::primitives::{Identifier, Instant, Redactor, Scalar};
use crate::protocol::{
    ChangeSetMode, Event, ExecutionReceipt, ExecutionReceiptSchema, ReceiptStatus, State, WritebackJob,
};

/// How to apply.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ApplyOptions {
    /// Rehearse on the live row and roll back; no state changes.
    pub dry_run: bool,
    /// Take over an attempt whose worker may still hold its lease.
    pub resume: bool,
    /// Who applies.
    pub runner: String,
    /// How long the lease holds: clamped to 15 s … 3600 s, and never shorter than an attempt may take.
    pub lease: Duration,
    /// For how long an application that asks to come back is asked again, all waits together.
    pub retry_for: Duration,
}

impl Default for ApplyOptions {
    fn default() -> Self {
        Self {
            dry_run: false,
            resume: false,
            runner: "local_runner".to_owned(),
            lease: Duration::from_secs(300),
            retry_for: Duration::from_secs(10),
        }
    }
}

impl ApplyOptions {
    /// The same, with a lease that is longer than an attempt may take.
    fn lasting(&self, patience: Duration) -> Self {
        Self { lease: self.held_for().max(patience + LEASE_MARGIN), ..self.clone() }
    }

    /// How long a lease really holds.
    pub(super) fn held_for(&self) -> Duration {
        self.lease.clamp(Duration::from_secs(15), Duration::from_secs(3600))
    }

    /// A dry run.
    #[must_use]
    pub fn rehearsal() -> Self {
        Self { dry_run: true, ..Self::default() }
    }
}

/// What an apply found or did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// It landed now.
    Applied,
    /// It had landed before.
    AlreadyApplied,
    /// The row had changed; nothing was written.
    Conflict,
    /// The executor refused it for good.
    Failed,
    /// It was canceled and never lands.
    Canceled,
    /// A dry run: it would be written.
    WouldApply,
    /// A dry run: it would be a conflict with this code, in this column.
    WouldConflict(Code, Option<Identifier>),
    /// The change was sent, and no answer read that tells.
    Unknown,
}

/// The answer to an apply.
#[derive(Debug, Clone)]
pub struct Applied {
    /// How it ended.
    pub ending: Ending,
    /// The receipt, where there is one.
    pub receipt: Option<ReceiptRecord>,
    /// Why nobody knows, of [`Ending::Unknown`].
    pub cause: Option<String>,
    /// The proposal afterwards.
    pub record: ProposalRecord,
    /// True if this call made an attempt of its own and recorded its end; false if it only tells how another one ended,
    /// and for a dry run.
    pub attempted: bool,
}

impl Applied {
    fn rehearsed(ending: Ending, record: ProposalRecord) -> Self {
        Self { ending, receipt: None, cause: None, record, attempted: false }
    }

    /// What the ledger has of one that ended before.
    fn stored(ending: Ending, record: ProposalRecord) -> Self {
        Self { ending, receipt: record.receipts.last().cloned(), cause: None, record, attempted: false }
    }
}

/// A lease holds so much longer than an attempt may take.
const LEASE_MARGIN: Duration = Duration::from_secs(15);

impl Runtime {
    /// Applies an approved proposal at most once, however often and from wherever it is called. One call makes one attempt;
    /// only where the application asks to come back it makes further ones, with the same key, for as long as
    /// [`ApplyOptions::retry_for`] says.
    ///
    /// On a proposal that has ended it writes nothing and answers how it ended. Not cancelled half-way: once claimed, the
    /// attempt runs in a task of its own, and dropping the future leaves its outcome to be found by the next apply.
    ///
    /// # Errors
    /// `PROPOSAL_NOT_APPROVED`, `APPROVAL_EXPIRED`, `ROLE_REQUIRED`, `SELF_APPROVAL`, `CONTRACT_CHANGED`,
    /// `ATTEMPT_IN_FLIGHT`, `ROW_BUSY`, `RECEIPT_TABLE_CHANGED`, `EXECUTOR_NOT_AVAILABLE`, `LEDGER_TAMPERED`; and with the proposal back in
    /// `approved`, whatever the source answered: `SOURCE_BUSY`, `SOURCE_REJECTED`, `RECEIPT_TABLE_MISSING`,
    /// `STORED_VALUE_DIFFERS`, `MULTI_ROW_WRITE_BLOCKED`, `IDEMPOTENCY_KEY_REUSED`.
    pub async fn apply(&self, proposal_id: &str, options: &ApplyOptions) -> Result<Applied> {
        let runtime = self.clone();
        let (id, options) = (proposal_id.to_owned(), options.clone());
        detached(async move { runtime.attempt(&id, &options, None).await }).await
    }

    /// Applies the proposal that a job file belongs to, if the file says exactly what the approved proposal says. What is
    /// run is derived from the proposal; the file only names it.
    ///
    /// # Errors
    /// `WRITEBACK_JOB_DIFFERS`, `WRITEBACK_LEASE_EXPIRED`, and those of [`Self::apply`].
    pub async fn apply_job(&self, job: &WritebackJob, options: &ApplyOptions) -> Result<Applied> {
        let record = self.ledger.load(&job.proposal_id).await?;
        let now = self.clock.now();
        if job.lease.expires_at <= now {
            return Err(Error::new(Code::LeaseExpired).with("at", job.lease.expires_at));
        }
        let derived = self.derive_job(&record, options, record.standing.attempt, now)?;
        let same = [
            ("writeback_job_id", job.writeback_job_id == derived.writeback_job_id),
            ("proposal_version", job.proposal_version == derived.proposal_version),
            ("proposal_hash", job.proposal_hash == derived.proposal_hash),
            ("source", job.runner_scope.source_id == derived.runner_scope.source_id && job.engine == derived.engine),
            ("target", job.target == derived.target),
            ("tenant_guard", job.tenant_guard == derived.tenant_guard),
            ("allowed_columns", job.allowed_columns == derived.allowed_columns),
            ("patch", job.patch == derived.patch),
            ("conflict_guard", job.conflict_guard == derived.conflict_guard),
            ("idempotency_key", job.idempotency_key == derived.idempotency_key),
        ];
        if let Some((field, _)) = same.iter().find(|(_, same)| !same) {
            return Err(Error::new(Code::JobDiffers).with("field", field));
        }
        self.apply(&job.proposal_id, options).await
    }

    /// The job of an approved proposal, to be handed to another runner on this ledger: [`Self::apply_job`] there accepts
    /// it until its lease ends, and only as long as it says what the proposal says. It claims nothing.
    ///
    /// # Errors
    /// `PROPOSAL_NOT_FOUND`, `PROPOSAL_NOT_APPROVED`, `SHADOW_WRITEBACK_DISABLED`, `APPROVAL_EXPIRED`, `ENGINE_NOT_AVAILABLE`.
    pub async fn writeback_job(&self, proposal_id: &str, options: &ApplyOptions) -> Result<WritebackJob> {
        check_name("a runner", &options.runner)?;
        let record = self.ledger.load(proposal_id).await?;
        let now = self.clock.now();
        if record.state != State::Approved {
            return Err(not_approved(&record));
        }
        self.approval_holds(&record, now)?;
        self.derive_job(&record, options, record.standing.attempt, now)
    }

    /// Resolves an unknown outcome so that the change never lands, if it has not.
    pub(super) async fn tombstone(&self, proposal_id: &str, actor: &str, take_over: bool) -> Result<Applied> {
        let runtime = self.clone();
        let options = ApplyOptions { runner: actor.to_owned(), resume: take_over, ..ApplyOptions::default() };
        let id = proposal_id.to_owned();
        detached(async move { runtime.attempt(&id, &options, Some(Purpose::Tombstone)).await }).await
    }

    async fn attempt(&self, id: &str, options: &ApplyOptions, wanted: Option<Purpose>) -> Result<Applied> {
        check_name("a runner", &options.runner)?;
        loop {
            let mut record = self.ledger.load(id).await?;
            if let Some(ending) = stored_ending(&record) {
                return Ok(Applied::stored(ending, record));
            }
            let now = self.clock.now();
            let lapsed = self.may_claim(&record, options, now)?;
            let capability = self.capability_of(&record)?;
            let executor = self.executor(capability)?;
            let options = options.lasting(executor.patience());
            if !lapsed && executor.receipts().is_none() {
                // Two attempts at once are serialised by a source, and by nobody elsewhere.
                return Err(Error::new(Code::AttemptInFlight).with("proposal", id));
            }
            let purpose = self.purpose(&record, &options, wanted.clone(), &*executor, now).await?;
            let job = self.derive_job(&record, &options, record.standing.attempt, now)?;
            let unresolved = record.state != State::Approved;
            let receipts_in =
                executor.receipts().map(|table| ReceiptsIn { source: capability.source.clone(), table: table.clone() });
            if options.dry_run {
                if let Some(place) = &receipts_in
                    && let Some(recorded) = self.ledger.receipts_table(&place.source).await?
                {
                    place.same_as(&recorded)?;
                }
                let execution = execution(&record, job, Purpose::DryRun, unresolved, &options, now);
                return self.rehearse(capability, &*executor, execution, record).await;
            }
            let claim = claim(&record, job.clone(), &options, now, receipts_in);
            let Some(claimed) = self.ledger.advance(claim).await? else { continue };
            let purpose = match purpose {
                Purpose::Apply if claimed.overtaken_by.is_some() => {
                    Purpose::Conflict(Code::VersionConflict.as_str().to_owned())
                }
                purpose => purpose,
            };
            record.follow(claimed);
            fault_point!("fault:apply.intent");
            let attempt = Attempt { capability, executor: &*executor, options: &options, purpose };
            return self.carry_out(record, job, &attempt, unresolved, now).await;
        }
    }

    /// What this attempt is for, by what the approval is worth now.
    async fn purpose(
        &self,
        record: &ProposalRecord,
        options: &ApplyOptions,
        wanted: Option<Purpose>,
        executor: &dyn Executor,
        now: Instant,
    ) -> Result<Purpose> {
        // Where no tombstone can be written, only an answer to the same key tells what became of an attempt.
        let owned = executor.receipts().is_none();
        if owned && wanted == Some(Purpose::Tombstone) {
            return Err(Error::new(Code::AttemptInFlight).with("proposal", record.id()));
        }
        match self.approval_holds(record, now) {
            Ok(()) => Ok(wanted.unwrap_or(Purpose::Apply)),
            Err(error) if record.state == State::Approved => {
                if error.code() == Code::ApprovalExpired && !options.dry_run {
                    self.expire_if_due(record, now).await?;
                }
                Err(error)
            }
            // It was judged at the first claim, and the application may have acted on it.
            Err(error) if owned && error.code() == Code::ApprovalExpired => Ok(Purpose::Apply),
            Err(error) if owned => Err(error),
            // An earlier attempt may have landed; if it has not, it must not land any more.
            Err(_) => Ok(Purpose::Tombstone),
        }
    }

    /// A dry run: no state changes. An application is asked only if it is known to honour it.
    async fn rehearse(
        &self,
        capability: &Capability,
        executor: &dyn Executor,
        execution: Execution,
        record: ProposalRecord,
    ) -> Result<Applied> {
        if executor.receipts().is_none()
            && let Some((code, column)) = self.moved(capability, &record).await?
        {
            return Ok(Applied::rehearsed(Ending::WouldConflict(code, column), record));
        }
        if !executor.rehearses() {
            return Ok(Applied::rehearsed(Ending::WouldApply, record));
        }
        Ok(match executor.execute(execution).await? {
            Ended::Rehearsed(None) => Applied::rehearsed(Ending::WouldApply, record),
            Ended::Rehearsed(Some((code, column))) => Applied::rehearsed(Ending::WouldConflict(code, column), record),
            Ended::AlreadyApplied(_) => Applied::rehearsed(Ending::AlreadyApplied, record),
            Ended::Conflict(_) => Applied::rehearsed(Ending::Conflict, record),
            Ended::Canceled(_) => Applied::rehearsed(Ending::Canceled, record),
            Ended::Released(error) | Ended::Again { error, .. } => return Err(error),
            Ended::Unknown(cause) => {
                let executor = capability.executor.as_deref().unwrap_or_default();
                let error = Error::new(Code::ExecutorFailed).with("executor", executor);
                return Err(error.with("reason", format!("no answer to a dry run: {cause}")));
            }
            _ => return Err(Error::new(Code::Internal).with("detail", "a dry run has no such end")),
        })
    }

    /// Whether the live row is another one than was approved: as the guard compares it, without its lock.
    async fn moved(
        &self,
        capability: &Capability,
        record: &ProposalRecord,
    ) -> Result<Option<(Code, Option<Identifier>)>> {
        let change = &record.change_set;
        let source = self.source(&capability.source)?;
        let key = &change.source.primary_key;
        let read = ScopedRead {
            schema: change.source.schema.clone(),
            table: change.source.table.clone(),
            key_column: key.column.clone(),
            key_value: key.value.to_text().unwrap_or_default(),
            tenant: capability.target.tenant_key.clone().map(|column| (column, change.scope.tenant_id.clone())),
            columns: change.before.keys().cloned().collect(),
            patch: std::collections::BTreeMap::new(),
        };
        let Some(row) = self.database(source, &source.read_url_env)?.read(read).await? else {
            return Ok(Some((Code::RowNotFound, None)));
        };
        let redactor = self.ledger.redactor();
        let same = |column: &Identifier, before: &Scalar| match (before, row.values.get(column)) {
            (Scalar::Text(known), Some(Scalar::Text(live))) if Redactor::is_redacted(known) => {
                redactor.redact(live) == *known
            }
            (before, live) => live.is_some_and(|live| live.same(before)),
        };
        let version = &change.guards.expected_version;
        if change.before.get(&version.column).is_some_and(|before| !same(&version.column, before)) {
            return Ok(Some((Code::VersionConflict, Some(version.column.clone()))));
        }
        let other = change.before.iter().find(|(column, before)| !same(column, before));
        Ok(other.map(|(column, _)| (Code::RowChanged, Some(column.clone()))))
    }

    /// From the claim to the recorded end. An application that asks to come back gets the same key again, each time as an
    /// attempt of its own.
    async fn carry_out(
        &self,
        mut record: ProposalRecord,
        mut job: WritebackJob,
        attempt: &Attempt<'_>,
        mut unresolved: bool,
        mut now: Instant,
    ) -> Result<Applied> {
        let Attempt { capability, executor, options, purpose } = attempt;
        let mut backoff = Backoff::new(options.retry_for, &*self.ids);
        loop {
            let execution = execution(&record, job, purpose.clone(), unresolved, options, now);
            let overtaken = executor.receipts().is_none() && matches!(purpose, Purpose::Conflict(_));
            let running = async {
                if overtaken && !unresolved {
                    self.overtaken(capability, *executor, &record, execution).await
                } else {
                    executor.execute(execution).await
                }
            };
            let (ended, renewals) = self.while_held(&record, options, running).await;
            renewals.into_iter().for_each(|renewal| record.follow(renewal));
            fault_point!("fault:apply.effect");
            let (error, unsure, after) = match ended.unwrap_or_else(Ended::Released) {
                Ended::Again { error, unsure, after } => (error, unsure, after),
                ended => return self.record_end(record, options, ended, unresolved).await,
            };
            unresolved |= unsure;
            let Some(wait) = backoff.next(after) else {
                return self.record_end(record, options, Ended::Released(error), unresolved).await;
            };
            tokio::time::sleep(wait).await;
            now = self.clock.now();
            job = self.derive_job(&record, options, record.standing.attempt, now)?;
            let next = claim(&record, job.clone(), options, now, None);
            match self.ledger.advance(next).await? {
                Some(claimed) => record.follow(claimed),
                None => return self.taken_over(&record).await,
            }
        }
    }

    /// Another change to this row was applied since, on the same version. The application's own guard is asked if it sees
    /// that for certain, by the row's version; where only another column tells, or nothing does, nothing is sent.
    async fn overtaken(
        &self,
        capability: &Capability,
        executor: &dyn Executor,
        record: &ProposalRecord,
        mut execution: Execution,
    ) -> Result<Ended> {
        let moved = self.moved(capability, record).await?;
        if !matches!(moved, Some((Code::VersionConflict | Code::RowNotFound, _))) {
            return Ok(Ended::Released(Code::VersionConflict.into()));
        }
        execution.purpose = Purpose::Apply;
        executor.execute(execution).await
    }

    /// May this caller begin an attempt now? True if nobody else holds one, false if one would be taken over.
    fn may_claim(&self, record: &ProposalRecord, options: &ApplyOptions, now: Instant) -> Result<bool> {
        match record.state {
            State::Approved | State::OutcomeUnknown => Ok(true),
            State::PendingWorker => {
                // Without an end the lease counts as held: what is missing never opens a door.
                let lapsed = record.standing.lease_expires_at.is_some_and(|end| end <= now);
                if lapsed || options.resume {
                    Ok(lapsed)
                } else {
                    Err(Error::new(Code::AttemptInFlight).with("proposal", record.id()))
                }
            }
            _ => Err(not_approved(record)),
        }
    }

    /// The live contract's capability, if it is still the one that was proposed under.
    fn capability_of(&self, record: &ProposalRecord) -> Result<&Capability> {
        let contract = self.need_contract()?;
        if contract.mode != Mode::Review {
            return Err(Code::ReadOnlyWritebackDisabled.into());
        }
        self.check_authority(record)?;
        let action = &record.change_set.action;
        contract.capability(action).ok_or_else(|| Error::new(Code::CapabilityNotFound).with("capability", action))
    }

    /// Is there an approval of exactly this, by somebody who may give it, that has not run out?
    fn approval_holds(&self, record: &ProposalRecord, now: Instant) -> Result<()> {
        let missing = || {
            Error::new(Code::ProposalNotApproved)
                .with("proposal", record.id())
                .with("state", "without an approval of this hash")
        };
        let approval = record.approval().ok_or_else(missing)?;
        let exact = approval.proposal_id == record.id()
            && approval.proposal_hash == record.hash()
            && approval.proposal_version == record.change_set.proposal_version
            && approval.authority == record.facts.authority;
        if !exact {
            return Err(missing());
        }
        check_approver(record, &approval.approver, &approval.roles)?;
        // Approved without this contract at hand, it still does not outlive what the contract allows.
        let allowed = self.contract().and_then(|contract| contract.approval_ttl.end(approval.decided_at));
        match approval.expires_at.into_iter().chain(allowed).min() {
            Some(end) if end <= now => {
                Err(Error::new(Code::ApprovalExpired).with("proposal", record.id()).with("at", end))
            }
            _ => Ok(()),
        }
    }

    /// The job of this attempt, from the proposal and nothing else.
    fn derive_job(
        &self,
        record: &ProposalRecord,
        options: &ApplyOptions,
        attempts: u32,
        now: Instant,
    ) -> Result<WritebackJob> {
        WritebackJob::derive(&record.change_set, attempts.saturating_add(1), now.plus(options.held_for()))
    }

    async fn record_end(
        &self,
        mut record: ProposalRecord,
        options: &ApplyOptions,
        ended: Ended,
        unresolved: bool,
    ) -> Result<Applied> {
        let id = record.id();
        let now = self.clock.now();
        let mut cause = None;
        let (event, ending, status, source, error) = match ended {
            Ended::Applied(receipt) => {
                (Event::Applied, Ending::Applied, Some(ReceiptStatus::Applied), Some(receipt), None)
            }
            Ended::AlreadyApplied(receipt) => {
                (Event::Applied, Ending::AlreadyApplied, Some(ReceiptStatus::AlreadyApplied), Some(receipt), None)
            }
            Ended::Conflict(receipt) => {
                (Event::Conflict, Ending::Conflict, Some(ReceiptStatus::Conflict), Some(receipt), None)
            }
            Ended::Failed(receipt) => (Event::Failed, Ending::Failed, Some(ReceiptStatus::Failed), Some(receipt), None),
            Ended::Canceled(receipt) => {
                (Event::Tombstoned, Ending::Canceled, Some(ReceiptStatus::Canceled), Some(receipt), None)
            }
            // An earlier attempt may still land: what this one knows of itself does not resolve it.
            Ended::Released(error) if unresolved => {
                cause =
                    Some(format!("an earlier attempt is unresolved, and this one ended with {}", last_error(&error)));
                (Event::Lost, Ending::Unknown, None, None, Some(error))
            }
            Ended::Released(error) => (Event::Release, Ending::Unknown, None, None, Some(error)),
            Ended::Unknown(why) => {
                let error = Error::new(Code::OutcomeUnknown).with("proposal", id).with("cause", &why);
                cause = Some(why);
                (Event::Lost, Ending::Unknown, None, None, Some(error))
            }
            Ended::Rehearsed(_) | Ended::Again { .. } => {
                return Err(Error::new(Code::Internal).with("detail", "an attempt has no such end"));
            }
        };
        let receipt = match (status, &source, record.jobs.last()) {
            (Some(status), Some(source), Some(job)) => Some(wire_receipt(job, options, status, source, now)?),
            _ => None,
        };
        let last_error = error.as_ref().map(last_error);
        let advance = Advance {
            proposal_id: id.to_owned(),
            expected_seq: record.last_seq,
            event,
            actor: options.runner.clone(),
            at: now,
            standing: Standing { lease_expires_at: None, last_error, ..record.standing.clone() },
            decision: None,
            job: None,
            receipt,
            receipts_in: None,
            human: None,
        };
        let recorded = self.ledger.advance(advance).await?;
        fault_point!("fault:apply.recorded");
        match recorded {
            Some(recorded) => record.follow(recorded),
            // Its lease lapsed, and somebody may have taken the change over and ended it already: ours is not recorded.
            None => return self.taken_over(&record).await,
        }
        match (event, error) {
            (Event::Release, Some(error)) => Err(error),
            _ => Ok(Applied { ending, receipt: record.receipts.last().cloned(), cause, record, attempted: true }),
        }
    }

    /// Somebody took the attempt over and may have ended it already; ours is not recorded twice.
    async fn taken_over(&self, ours: &ProposalRecord) -> Result<Applied> {
        let record = self.ledger.load(ours.id()).await?;
        match stored_ending(&record) {
            Some(ending) => Ok(Applied::stored(ending, record)),
            None => {
                let stale = Error::new(Code::FencingTokenStale).with("attempt", ours.standing.attempt);
                Err(stale.with("proposal", ours.id()))
            }
        }
    }
}

/// What stays the same while an apply asks again and again.
struct Attempt<'a> {
    capability: &'a Capability,
    executor: &'a dyn Executor,
    options: &'a ApplyOptions,
    purpose: Purpose,
}

/// What the executor gets.
fn execution(
    record: &ProposalRecord,
    job: WritebackJob,
    purpose: Purpose,
    unresolved: bool,
    options: &ApplyOptions,
    now: Instant,
) -> Execution {
    Execution {
        change_set: record.change_set.clone(),
        facts: record.facts.clone(),
        approval: record.approval().cloned(),
        job,
        purpose,
        unresolved,
        runner: options.runner.clone(),
        now,
    }
}

/// A claim with this job, from where the proposal stands.
fn claim(
    record: &ProposalRecord,
    job: WritebackJob,
    options: &ApplyOptions,
    now: Instant,
    receipts_in: Option<ReceiptsIn>,
) -> Advance {
    Advance {
        proposal_id: record.id().to_owned(),
        expected_seq: record.last_seq,
        event: Event::Claim,
        actor: options.runner.clone(),
        at: now,
        standing: Standing {
            attempt: job.lease.attempt,
            lease_expires_at: Some(job.lease.expires_at),
            ..record.standing.clone()
        },
        decision: None,
        job: Some(job),
        receipt: None,
        receipts_in,
        human: None,
    }
}

/// The code that the ledger keeps of a failure: the application's own where it gave one.
fn last_error(error: &Error) -> String {
    let own = [Code::ExecutorFailed, Code::ExecutorRefused, Code::ExecutorBusy].contains(&error.code());
    let told = error
        .field("reason")
        .filter(|reason| own && reason.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'));
    told.unwrap_or_else(|| error.code().as_str()).to_owned()
}

/// Runs to its end even if nobody waits any more.
async fn detached<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let joined = tokio::task::spawn(work).await;
    joined.unwrap_or_else(|_| Err(Error::new(Code::Internal).with("detail", "an apply task ended early")))
}

/// Why it cannot be applied: nobody approved it, or nobody ever will.
fn not_approved(record: &ProposalRecord) -> Error {
    if record.change_set.mode == ChangeSetMode::Shadow {
        return Error::new(Code::ShadowWritebackDisabled).with("proposal", record.id());
    }
    Error::new(Code::ProposalNotApproved).with("proposal", record.id()).with("state", record.state)
}

/// What an ended proposal answers to an apply; `None` if it has not ended.
fn stored_ending(record: &ProposalRecord) -> Option<Ending> {
    match record.state {
        State::Applied => Some(Ending::AlreadyApplied),
        State::Conflict => Some(Ending::Conflict),
        State::Failed => Some(Ending::Failed),
        State::Canceled => Some(Ending::Canceled),
        _ => None,
    }
}

fn wire_receipt(
    job: &WritebackJob,
    options: &ApplyOptions,
    status: ReceiptStatus,
    source: &SourceReceipt,
    now: Instant,
) -> Result<NewReceipt> {
    let applied = status == ReceiptStatus::Applied;
    let receipt = ExecutionReceipt {
        schema_version: ExecutionReceiptSchema::V1,
        writeback_job_id: job.writeback_job_id.clone(),
        proposal_id: job.proposal_id.clone(),
        runner_id: options.runner.clone(),
        status,
        rows_affected: if applied { source.rows_affected } else { 0 },
        idempotency_key: job.idempotency_key.clone(),
        previous_version: source.previous_version.clone(),
        new_version: source.new_version.clone(),
        source_database_mutated: applied && source.mutated.unwrap_or(source.rows_affected > 0),
        executed_at: now.to_string(),
        safe_error_code: source.safe_error_code.clone(),
        receipt_hash: String::new(),
    }
    .seal()?;
    let mut details = serde_json::Map::new();
    details.insert("attempt".to_owned(), job.lease.attempt.into());
    if let Some(column) = &source.column {
        details.insert("column".to_owned(), column.as_str().into());
    }
    if let Some(told) = &source.details {
        details.insert("handler".to_owned(), told.clone());
    }
    if status == ReceiptStatus::AlreadyApplied && source.mutated.is_none() {
        // When it really landed, by the source's own receipt.
        details.insert("source_completed_at".to_owned(), source.completed_at.to_string().into());
    }
    Ok(NewReceipt { receipt, details: Some(details.into()) })
}
