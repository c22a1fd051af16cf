//! Applying: claim, check everything again, let the executor carry it out, record the truth.

use std::time::Duration;

use super::Runtime;
use super::decide::{check_approver, check_name};
use crate::contract::{Capability, Mode};
use crate::error::{Code, Error, Result};
use crate::executor::{Ended, Execution};
use crate::fault_point;
use crate::guard::{Purpose, SourceReceipt};
use crate::ledger::{Advance, NewReceipt, ProposalRecord, ReceiptRecord, ReceiptsIn, Standing};
use crate::primitives::{Identifier, Instant};
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
    /// How long the lease holds: clamped to 15 s … 3600 s.
    pub lease: Duration,
}

impl Default for ApplyOptions {
    fn default() -> Self {
        Self { dry_run: false, resume: false, runner: "local_runner".to_owned(), lease: Duration::from_secs(300) }
    }
}

impl ApplyOptions {
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
    /// COMMIT was sent and no answer read.
    Unknown,
}

/// The answer to an apply.
#[derive(Debug, Clone)]
pub struct Applied {
    /// How it ended.
    pub ending: Ending,
    /// The receipt, where there is one.
    pub receipt: Option<ReceiptRecord>,
    /// The proposal afterwards.
    pub record: ProposalRecord,
}

impl Runtime {
    /// Applies an approved proposal at most once, however often and from wherever it is called. One call makes one attempt.
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
        let derived = self.derive_job(&record, options, now)?;
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
        self.derive_job(&record, options, now)
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
            let record = self.ledger.load(id).await?;
            if let Some(stored) = stored_outcome(&record)? {
                return Ok(stored);
            }
            let now = self.clock.now();
            self.may_claim(&record, options, now)?;
            let capability = self.capability_of(&record)?;
            let executor = self.executor(capability)?;
            let purpose = match self.approval_holds(&record, now) {
                Ok(()) => wanted.clone().unwrap_or(Purpose::Apply),
                Err(error) if record.state == State::Approved => {
                    if error.code() == Code::ApprovalExpired && !options.dry_run {
                        self.expire_if_due(&record, now).await?;
                    }
                    return Err(error);
                }
                // An earlier attempt may have landed; if it has not, it must not land any more.
                Err(_) => Purpose::Tombstone,
            };
            let job = self.derive_job(&record, options, now)?;
            let mut execution =
                Execution { change_set: record.change_set.clone(), facts: record.facts.clone(), job, purpose, now };
            let receipts_in =
                executor.receipts().map(|table| ReceiptsIn { source: capability.source.clone(), table: table.clone() });
            if options.dry_run {
                if let Some(place) = &receipts_in
                    && let Some(recorded) = self.ledger.receipts_table(&place.source).await?
                {
                    place.same_as(&recorded)?;
                }
                execution.purpose = Purpose::DryRun;
                return match executor.execute(execution).await? {
                    Ended::Rehearsed(None) => Ok(Applied { ending: Ending::WouldApply, receipt: None, record }),
                    Ended::Rehearsed(Some((code, column))) => {
                        Ok(Applied { ending: Ending::WouldConflict(code, column), receipt: None, record })
                    }
                    Ended::AlreadyApplied(_) => Ok(Applied { ending: Ending::AlreadyApplied, receipt: None, record }),
                    Ended::Conflict(_) => Ok(Applied { ending: Ending::Conflict, receipt: None, record }),
                    Ended::Canceled(_) => Ok(Applied { ending: Ending::Canceled, receipt: None, record }),
                    Ended::Released(error) => Err(error),
                    _ => Err(Error::new(Code::Internal).with("detail", "a dry run has no such end")),
                };
            }
            let claim = Advance {
                proposal_id: id.to_owned(),
                expected_seq: record.last_seq,
                event: Event::Claim,
                actor: options.runner.clone(),
                at: now,
                standing: Standing {
                    attempt: execution.job.lease.attempt,
                    lease_expires_at: Some(execution.job.lease.expires_at),
                    ..record.standing.clone()
                },
                decision: None,
                job: Some(execution.job.clone()),
                receipt: None,
                receipts_in,
            };
            let standing = claim.standing.clone();
            let Some(claimed) = self.ledger.advance(claim).await? else { continue };
            if claimed.overtaken_by.is_some() && execution.purpose == Purpose::Apply {
                execution.purpose = Purpose::Conflict(Code::VersionConflict.as_str().to_owned());
            }
            fault_point!("fault:apply.intent");
            let job = execution.job.clone();
            let unresolved = record.state != State::Approved;
            let ended = executor.execute(execution).await.unwrap_or_else(Ended::Released);
            fault_point!("fault:apply.effect");
            return self.record_end(id, options, claimed.seq, standing, &job, ended, unresolved).await;
        }
    }

    /// May this caller begin an attempt now?
    fn may_claim(&self, record: &ProposalRecord, options: &ApplyOptions, now: Instant) -> Result<()> {
        match record.state {
            State::Approved | State::OutcomeUnknown => Ok(()),
            State::PendingWorker => {
                // Without an end the lease counts as held: what is missing never opens a door.
                let lapsed = record.standing.lease_expires_at.is_some_and(|end| end <= now);
                if lapsed || options.resume {
                    Ok(())
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
    fn derive_job(&self, record: &ProposalRecord, options: &ApplyOptions, now: Instant) -> Result<WritebackJob> {
        let seconds = options.lease.as_secs().clamp(15, 3600);
        let attempt = record.standing.attempt.saturating_add(1);
        WritebackJob::derive(&record.change_set, attempt, now.plus(Duration::from_secs(seconds)))
    }

    #[expect(clippy::too_many_arguments, reason = "one call, one place: the parts of one attempt")]
    async fn record_end(
        &self,
        id: &str,
        options: &ApplyOptions,
        claim_seq: u64,
        standing: Standing,
        job: &WritebackJob,
        ended: Ended,
        unresolved: bool,
    ) -> Result<Applied> {
        let now = self.clock.now();
        let standing = Standing { lease_expires_at: None, last_error: None, ..standing };
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
            Ended::Canceled(receipt) => {
                (Event::Tombstoned, Ending::Canceled, Some(ReceiptStatus::Canceled), Some(receipt), None)
            }
            // An earlier attempt may still land: what this one knows of itself does not resolve it.
            Ended::Released(error) if unresolved => (Event::Lost, Ending::Unknown, None, None, Some(error)),
            Ended::Released(error) => (Event::Release, Ending::Unknown, None, None, Some(error)),
            Ended::Unknown => {
                (Event::Lost, Ending::Unknown, None, None, Some(Error::new(Code::OutcomeUnknown).with("proposal", id)))
            }
            Ended::Rehearsed(_) => {
                return Err(Error::new(Code::Internal).with("detail", "an attempt ended as a dry run"));
            }
        };
        let receipt = match (status, &source) {
            (Some(status), Some(source)) => Some(wire_receipt(job, options, status, source, now)?),
            _ => None,
        };
        let standing =
            Standing { last_error: error.as_ref().map(|error| error.code().as_str().to_owned()), ..standing };
        let advance = Advance {
            proposal_id: id.to_owned(),
            expected_seq: claim_seq,
            event,
            actor: options.runner.clone(),
            at: now,
            standing,
            decision: None,
            job: None,
            receipt,
            receipts_in: None,
        };
        let recorded = self.ledger.advance(advance).await?;
        fault_point!("fault:apply.recorded");
        let record = self.ledger.load(id).await?;
        if recorded.is_none() {
            // Somebody took the attempt over and may have ended it already; ours is not recorded twice.
            return match stored_outcome(&record)? {
                Some(stored) => Ok(stored),
                None => {
                    Err(Error::new(Code::FencingTokenStale).with("attempt", job.lease.attempt).with("proposal", id))
                }
            };
        }
        match (event, error) {
            (Event::Release, Some(error)) => Err(error),
            _ => Ok(Applied { ending, receipt: record.receipts.last().cloned(), record }),
        }
    }
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
fn stored_outcome(record: &ProposalRecord) -> Result<Option<Applied>> {
    let ending = match record.state {
        State::Applied => Ending::AlreadyApplied,
        State::Conflict => Ending::Conflict,
        State::Failed => Ending::Failed,
        State::Canceled => Ending::Canceled,
        _ => return Ok(None),
    };
    Ok(Some(Applied { ending, receipt: record.receipts.last().cloned(), record: record.clone() }))
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
        source_database_mutated: applied && source.rows_affected > 0,
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
    if status == ReceiptStatus::AlreadyApplied {
        // When it really landed, by the source's own receipt.
        details.insert("source_completed_at".to_owned(), source.completed_at.to_string().into());
    }
    Ok(NewReceipt { receipt, details: Some(details.into()) })
}
