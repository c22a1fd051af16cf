//! Decisions: bound to the hash the reviewer saw, made by somebody else than the proposer, never through the agent's door.

use serde::{Deserialize, Serialize};

use super::Runtime;
use crate::contract::Mode;
use crate::error::{Code, Error, Result};
use crate::ledger::{Advance, Advanced, Decision, ProposalRecord, Standing};
use crate::primitives::{Instant, Lifetime, looks_secret};
use crate::protocol::{ChangeSetMode, Event, State};

/// Who decides, as the caller vouches for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// Their identity.
    pub id: String,
    /// The roles they hold.
    #[serde(default)]
    pub roles: Vec<String>,
    /// True if the identity is only what somebody at a terminal said.
    #[serde(default)]
    pub asserted: bool,
}

/// What the reviewer looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The proposal.
    pub proposal_id: String,
    /// The hash that was shown, whole.
    pub hash: String,
    /// The version that was shown.
    pub version: u32,
}

/// How long an approval holds where no contract says.
const DEFAULT_APPROVAL: Lifetime = Lifetime::For(std::time::Duration::from_secs(24 * 3600));

impl Runtime {
    /// A proposal, verified. Looking writes nothing: one whose time is over is moved to expired when it is decided or
    /// claimed, or by [`Runtime::expire`].
    ///
    /// # Errors
    /// `PROPOSAL_NOT_FOUND`, `LEDGER_TAMPERED`.
    pub async fn show(&self, proposal_id: &str) -> Result<ProposalRecord> {
        self.ledger.load(proposal_id).await
    }

    /// Approves exactly what was seen. Cancel-safe: the decision is recorded whole or not at all.
    ///
    /// # Errors
    /// `PROPOSAL_HASH_MISMATCH`, `PROPOSAL_VERSION_MISMATCH`, `PROPOSAL_NOT_PENDING_REVIEW`, `PROPOSAL_EXPIRED`,
    /// `SHADOW_WRITEBACK_DISABLED`, `READ_ONLY_WRITEBACK_DISABLED`, `CONTRACT_CHANGED`, `ROLE_REQUIRED`, `SELF_APPROVAL`,
    /// `ACTOR_INVALID`, `SECRET_MATERIAL_REJECTED`, `LEDGER_TAMPERED`.
    pub async fn approve(&self, seen: &Seen, approver: &Approver, reason: Option<String>) -> Result<ProposalRecord> {
        check_person(approver, reason.as_deref())?;
        loop {
            let mut record = self.ledger.load(&seen.proposal_id).await?;
            let now = self.clock.now();
            check_seen(&record, seen)?;
            match record.change_set.mode {
                ChangeSetMode::ReviewRequired => {}
                ChangeSetMode::Shadow => {
                    return Err(Error::new(Code::ShadowWritebackDisabled).with("proposal", record.id()));
                }
                _ => return Err(Code::ReadOnlyWritebackDisabled.into()),
            }
            if record.state != State::PendingReview {
                return Err(Error::new(Code::ProposalNotPending)
                    .with("proposal", record.id())
                    .with("state", record.state));
            }
            if self.expire_if_due(&record, now).await? {
                return Err(expired(&record));
            }
            self.check_authority(&record)?;
            check_approver(&record, &approver.id, &approver.roles)?;
            let lifetime = self.contract().map_or(DEFAULT_APPROVAL, |contract| contract.approval_ttl);
            let expires_at = lifetime.end(now);
            let decision = self.decision(&record, "approved", approver, reason.clone(), now, expires_at);
            let standing = Standing { expires_at, last_error: None, ..record.standing.clone() };
            if let Some(step) = self.step(&record, Event::Approve, &approver.id, now, standing, Some(decision)).await? {
                record.follow(step);
                return Ok(record);
            }
        }
    }

    /// Rejects a pending or approved proposal. Cancel-safe.
    ///
    /// # Errors
    /// `PROPOSAL_HASH_MISMATCH`, `PROPOSAL_VERSION_MISMATCH`, `PROPOSAL_NOT_REJECTABLE`, `ATTEMPT_IN_FLIGHT`,
    /// `ROLE_REQUIRED`, `LEDGER_TAMPERED`.
    pub async fn reject(&self, seen: &Seen, approver: &Approver, reason: String) -> Result<ProposalRecord> {
        check_person(approver, Some(&reason))?;
        loop {
            let mut record = self.ledger.load(&seen.proposal_id).await?;
            check_seen(&record, seen)?;
            if record.state.is_in_flight() {
                return Err(Error::new(Code::AttemptInFlight).with("proposal", record.id()));
            }
            if record.state.after(Event::Reject).is_err() {
                return Err(Error::new(Code::ProposalNotRejectable)
                    .with("proposal", record.id())
                    .with("state", record.state));
            }
            check_role(&record, &approver.roles)?;
            let now = self.clock.now();
            let decision = self.decision(&record, "rejected", approver, Some(reason.clone()), now, None);
            let standing = Standing { expires_at: None, ..record.standing.clone() };
            if let Some(step) = self.step(&record, Event::Reject, &approver.id, now, standing, Some(decision)).await? {
                record.follow(step);
                return Ok(record);
            }
        }
    }

    /// Withdraws a proposal. One whose last attempt ended without an answer, or whose worker's lease lapsed, is resolved at
    /// the source first: its key is taken by a tombstone, or the receipt found there is the truth. With `take_over` also one
    /// whose lease still holds. Cancel-safe.
    ///
    /// # Errors
    /// `PROPOSAL_NOT_CANCELABLE`, `ATTEMPT_IN_FLIGHT`, `ACTOR_INVALID`, `SECRET_MATERIAL_REJECTED`, `LEDGER_TAMPERED`, and
    /// for an unresolved attempt those of [`Runtime::apply`].
    pub async fn cancel(
        &self,
        proposal_id: &str,
        actor: &Approver,
        reason: Option<String>,
        take_over: bool,
    ) -> Result<ProposalRecord> {
        check_person(actor, reason.as_deref())?;
        loop {
            let mut record = self.ledger.load(proposal_id).await?;
            match record.state {
                State::OutcomeUnknown | State::PendingWorker => {
                    self.tombstone(proposal_id, &actor.id, take_over).await?;
                    return self.ledger.load(proposal_id).await;
                }
                state if state.after(Event::Cancel).is_err() => {
                    return Err(Error::new(Code::ProposalNotCancelable)
                        .with("proposal", proposal_id)
                        .with("state", state));
                }
                _ => {}
            }
            if self.call_off(&mut record, actor, reason.clone()).await? {
                return Ok(record);
            }
        }
    }

    /// Cancels it on the very event that was looked at; false if something else moved it first.
    async fn call_off(&self, record: &mut ProposalRecord, actor: &Approver, reason: Option<String>) -> Result<bool> {
        let now = self.clock.now();
        let decision = self.decision(record, "canceled", actor, reason, now, None);
        let standing = Standing { expires_at: None, ..record.standing.clone() };
        let step = self.step(record, Event::Cancel, &actor.id, now, standing, Some(decision)).await?;
        Ok(step.map(|step| record.follow(step)).is_some())
    }

    /// Takes a proposal back on its principal's behalf, if nobody has decided it: a decision made meanwhile stands.
    /// Cancel-safe.
    ///
    /// # Errors
    /// `PROPOSAL_DECIDED`, `PROPOSAL_NOT_FOUND`, `LEDGER_TAMPERED`.
    pub async fn withdraw(&self, proposal_id: &str) -> Result<ProposalRecord> {
        loop {
            let mut record = self.ledger.load(proposal_id).await?;
            if record.state != State::PendingReview {
                return Err(Error::new(Code::ProposalDecided).with("proposal", proposal_id));
            }
            let actor = Approver { id: record.change_set.principal.id.clone(), roles: Vec::new(), asserted: false };
            if self.call_off(&mut record, &actor, Some("withdrawn by its principal".to_owned())).await? {
                return Ok(record);
            }
        }
    }

    /// Moves a proposal to expired if its time is over; `true` if it is over. One with an attempt whose end is not known does
    /// not expire: it may have landed.
    ///
    /// # Errors
    /// `ATTEMPT_IN_FLIGHT`; those of the ledger.
    pub async fn expire(&self, proposal_id: &str) -> Result<bool> {
        let record = self.ledger.load(proposal_id).await?;
        let due = self.expire_if_due(&record, self.clock.now()).await?;
        if due && matches!(record.state, State::PendingWorker | State::OutcomeUnknown) {
            return Err(Error::new(Code::AttemptInFlight).with("proposal", proposal_id));
        }
        Ok(due)
    }

    /// Moves it to expired if its time is over; true if it is over.
    pub(super) async fn expire_if_due(&self, record: &ProposalRecord, now: Instant) -> Result<bool> {
        let due = record.standing.expires_at.is_some_and(|end| end <= now);
        if due && record.state.after(Event::Expire).is_ok() {
            // If something moved it first, that stands; its time is over all the same.
            self.step(record, Event::Expire, "clock", now, record.standing.clone(), None).await?;
        }
        Ok(due)
    }

    pub(super) async fn step(
        &self,
        record: &ProposalRecord,
        event: Event,
        actor: &str,
        at: Instant,
        standing: Standing,
        decision: Option<Decision>,
    ) -> Result<Option<Advanced>> {
        let advance = Advance {
            proposal_id: record.id().to_owned(),
            expected_seq: record.last_seq,
            event,
            actor: actor.to_owned(),
            at,
            standing,
            decision,
            job: None,
            receipt: None,
            receipts_in: None,
            human: None,
        };
        self.ledger.advance(advance).await
    }

    fn decision(
        &self,
        record: &ProposalRecord,
        word: &str,
        approver: &Approver,
        reason: Option<String>,
        now: Instant,
        expires_at: Option<Instant>,
    ) -> Decision {
        Decision {
            proposal_id: record.id().to_owned(),
            proposal_version: record.change_set.proposal_version,
            proposal_hash: record.hash().to_owned(),
            authority: record.facts.authority,
            decision: word.to_owned(),
            approver: approver.id.clone(),
            roles: approver.roles.clone(),
            asserted: approver.asserted,
            reason,
            decided_at: now,
            expires_at,
            nonce: self.ids.uuid(),
        }
    }

    /// With a contract at hand: it must be in review mode, and the capability must be the one that was proposed under.
    pub(super) fn check_authority(&self, record: &ProposalRecord) -> Result<()> {
        let Some(contract) = self.contract() else { return Ok(()) };
        if contract.mode != Mode::Review {
            return Err(Code::ReadOnlyWritebackDisabled.into());
        }
        let action = &record.change_set.action;
        if self.authority(contract, action) == Some(record.facts.authority) {
            Ok(())
        } else {
            Err(Error::new(Code::ContractChanged).with("capability", action).with("proposal", record.id()))
        }
    }
}

/// Whoever decides has a name, and neither it nor the reason is a credential: both are kept for ever.
fn check_person(person: &Approver, reason: Option<&str>) -> Result<()> {
    check_name("a decision", &person.id)?;
    match reason {
        Some(reason) if looks_secret(reason) => Err(Error::new(Code::SecretMaterialRejected).with("path", "/reason")),
        _ => Ok(()),
    }
}

/// A name that can stand in the ledger.
pub(super) fn check_name(what: &str, name: &str) -> Result<()> {
    // A blank at an end would make two names of one.
    if name.is_empty() || name.trim() != name || name.chars().any(char::is_control) || looks_secret(name) {
        return Err(Error::new(Code::ActorInvalid).with("what", what));
    }
    Ok(())
}

fn expired(record: &ProposalRecord) -> Error {
    let at = record.standing.expires_at.map(|end| end.to_string()).unwrap_or_default();
    Error::new(Code::ProposalExpired).with("proposal", record.id()).with("at", at)
}

fn check_seen(record: &ProposalRecord, seen: &Seen) -> Result<()> {
    if record.hash() != seen.hash {
        return Err(Error::new(Code::ProposalHashMismatch).with("proposal", record.id()));
    }
    if record.change_set.proposal_version != seen.version {
        return Err(Error::new(Code::ProposalVersionMismatch)
            .with("proposal", record.id())
            .with("stored", record.change_set.proposal_version)
            .with("given", seen.version));
    }
    Ok(())
}

fn check_role(record: &ProposalRecord, roles: &[String]) -> Result<()> {
    match record.required_role() {
        Some(role) if !roles.iter().any(|held| held == role) => {
            Err(Error::new(Code::RoleRequired).with("proposal", record.id()).with("role", role))
        }
        _ => Ok(()),
    }
}

/// The rules an approval must meet, when it is made and again when it is used.
pub(super) fn check_approver(record: &ProposalRecord, approver: &str, roles: &[String]) -> Result<()> {
    check_role(record, roles)?;
    if approver == record.change_set.principal.id {
        return Err(Error::new(Code::SelfApproval).with("actor", approver));
    }
    Ok(())
}
