use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

use signoff::error::printable;
use signoff::ledger::{Filter, PageRequest, ProposalRecord};
use signoff::protocol::State;
use signoff::runtime::{ApplyOptions, Approver, Seen};
use signoff::{Code, Error, Result, Runtime};

use super::{answer_page, export, latest, resolve, shown, tell_next};
use crate::args::{Decide, Global, Proposals, ProposalsCommand, ProposalsList, WritebackJob};
use crate::output::Output;
use crate::setup::{Ledger, Need, operator, runtime};

pub async fn run(global: &Global, proposals: &Proposals, output: &mut Output) -> Result<u8> {
    let runtime = runtime(global, Need::Optional, Ledger::Existing, output)?;
    match &proposals.command {
        ProposalsCommand::List(filter) => list(&runtime, filter, output).await,
        ProposalsCommand::Show(show) => {
            let id = resolve(&runtime, &show.id).await?;
            let record = runtime.show(&id).await?;
            answer(&record, output);
            shown::proposal(&record, output);
            Ok(0)
        }
        ProposalsCommand::Export(wanted) => export::proposal(global, &runtime, wanted, output).await,
        ProposalsCommand::Approve(decision) => decide(&runtime, Verdict::Approve, decision, output).await,
        ProposalsCommand::Reject(decision) => decide(&runtime, Verdict::Reject, decision, output).await,
        ProposalsCommand::Cancel(cancel) => {
            let verdict = Verdict::Cancel { take_over: cancel.resume };
            decide(&runtime, verdict, &cancel.decide, output).await
        }
        ProposalsCommand::WritebackJob(job) => writeback_job(&runtime, job, output).await,
    }
}

async fn list(runtime: &Runtime, arguments: &ProposalsList, output: &mut Output) -> Result<u8> {
    let page = runtime.proposals(&arguments.filter()?, &arguments.paging.request()?).await?;
    answer_page("proposals", &page, output);
    shown::summaries(&page.items, output);
    tell_next(&page, output);
    Ok(0)
}

async fn writeback_job(runtime: &Runtime, arguments: &WritebackJob, output: &mut Output) -> Result<u8> {
    let id = resolve(runtime, &arguments.id).await?;
    let mut options = ApplyOptions::default();
    options.runner.clone_from(&arguments.runner);
    options.lease = Duration::from_secs(arguments.lease_seconds);
    let job = runtime.writeback_job(&id, &options).await?;
    export::record(&job, arguments.output.as_deref(), output)?;
    if let Some(path) = &arguments.output {
        output.line(format!("{} may be used until {}", job.writeback_job_id, job.lease.expires_at));
        output.line(format!("Next: signoff apply --job {path}"));
    }
    Ok(0)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Approve,
    Reject,
    Cancel { take_over: bool },
}

impl Verdict {
    fn verb(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Cancel { .. } => "cancel",
        }
    }
}

async fn decide(runtime: &Runtime, verdict: Verdict, arguments: &Decide, output: &mut Output) -> Result<u8> {
    let reason = arguments.reason.clone().filter(|reason| !reason.trim().is_empty());
    if verdict == Verdict::Reject && reason.is_none() {
        let usage = Error::new(Code::Usage).with("problem", "reject needs a reason");
        return Err(usage.with("hint", "add --reason \"…\""));
    }
    let by_name = arguments.id != "latest";
    let id = if by_name {
        runtime.proposal_named(&arguments.id).await?
    } else {
        latest(runtime, Some(State::PendingReview)).await?.proposal_id
    };
    let record = runtime.show(&id).await?;
    if !by_name || !arguments.yes {
        shown::proposal(&record, output);
    }
    check_prefix(&record, arguments)?;
    confirm(runtime, &record, verdict, arguments, by_name).await?;

    let actor = actor(&record, arguments);
    let seen = Seen { proposal_id: id, hash: record.hash().to_owned(), version: record.change_set.proposal_version };
    let decided = match verdict {
        Verdict::Approve => runtime.approve(&seen, &actor, reason).await?,
        Verdict::Reject => runtime.reject(&seen, &actor, reason.unwrap_or_default()).await?,
        Verdict::Cancel { take_over } => runtime.cancel(&seen.proposal_id, &actor, reason, take_over).await?,
    };
    answer(&decided, output);
    output.line(format!("Proposal {} is {}.", decided.id(), decided.state));
    output.line(format!("* decided by: {} (asserted by this terminal)", printable(&actor.id)));
    output.line(format!("* bound to hash: {}", decided.hash()));
    output.line(format!("Source DB changed: {}", if decided.state == State::Applied { "yes" } else { "no" }));
    if decided.state == State::Approved {
        output.line(format!("Next: signoff apply {}", decided.id()));
    }
    Ok(0)
}

/// With --hash, only what begins so is decided.
fn check_prefix(record: &ProposalRecord, arguments: &Decide) -> Result<()> {
    let Some(prefix) = &arguments.hash else { return Ok(()) };
    let digits = prefix.strip_prefix("sha256:").unwrap_or(prefix);
    let stored = record.hash().strip_prefix("sha256:").unwrap_or_default();
    if digits.len() < 8 {
        let usage = Error::new(Code::Usage).with("problem", "a hash prefix has at least 8 hex digits");
        return Err(usage.with("hint", "copy it from `proposals show`"));
    }
    if stored.starts_with(digits) {
        Ok(())
    } else {
        Err(Error::new(Code::ProposalHashMismatch).with("proposal", record.id()))
    }
}

async fn confirm(
    runtime: &Runtime,
    record: &ProposalRecord,
    verdict: Verdict,
    arguments: &Decide,
    by_name: bool,
) -> Result<()> {
    let needed = |what: String, how: &str| Error::new(Code::ConfirmationRequired).with("what", what).with("how", how);
    if arguments.yes {
        if by_name || arguments.hash.is_some() {
            return Ok(());
        }
        let filter = Filter { state: Some(State::PendingReview), ..Filter::default() };
        if runtime.proposals(&filter, &PageRequest::first(2)).await?.items.len() == 1 {
            return Ok(());
        }
        let what = format!("{} latest, with several proposals pending,", verdict.verb());
        return Err(needed(what, "name the proposal, or add --hash and the beginning of the hash you saw"));
    }
    if !std::io::stdin().is_terminal() {
        return Err(needed(format!("{} in a noninteractive mode", verdict.verb()), "add --yes"));
    }
    let _ = write!(std::io::stderr(), "{} {}? Type yes to continue: ", verdict.verb(), record.id());
    let mut line = String::new();
    let _ = std::io::stdin().lock().read_line(&mut line);
    if line.trim() == "yes" { Ok(()) } else { Err(needed(verdict.verb().to_owned(), "type yes, or add --yes")) }
}

/// The operator is trusted, and recorded as asserted: with no roles given they hold the one that is required.
fn actor(record: &ProposalRecord, arguments: &Decide) -> Approver {
    let id = operator(arguments.actor.as_deref());
    let roles = if arguments.role.is_empty() {
        // Set and empty means: no roles.
        match std::env::var("SIGNOFF_OPERATOR_ROLES").ok() {
            Some(list) => list.split(',').map(str::trim).filter(|role| !role.is_empty()).map(str::to_owned).collect(),
            None => record.required_role().map(str::to_owned).into_iter().collect(),
        }
    } else {
        arguments.role.clone()
    };
    Approver { id, roles, asserted: true }
}

fn answer(record: &ProposalRecord, output: &mut Output) {
    output.value(&record.view());
}
