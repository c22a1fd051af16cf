//! One file per command.

pub mod apply;
pub mod benchmark;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod handler;
pub mod manual;
pub mod proposals;
pub mod propose;
pub mod receipts;
pub mod replay;
pub mod shown;
pub mod smoke;
pub mod store;
pub mod tools;
pub mod validate;
pub mod writeback;

use signoff::ledger::{ProposalFilter, ProposalSummary};
use signoff::protocol::State;
use signoff::{Code, Error, Result, Runtime};

/// The newest proposal, of one state if asked.
pub async fn latest(runtime: &Runtime, state: Option<State>) -> Result<ProposalSummary> {
    let filter = ProposalFilter { state, limit: 1, ..ProposalFilter::default() };
    let found = runtime.ledger().list(filter).await?.into_iter().next();
    found.ok_or_else(|| match state {
        Some(state) => Error::new(Code::Usage)
            .with("problem", format!("no proposal is {state}"))
            .with("hint", "`signoff proposals list` shows where each stands"),
        None => Error::new(Code::ProposalNotFound).with("proposal", "latest"),
    })
}

/// An id, with `latest` resolved to the newest proposal of all.
pub async fn resolve(runtime: &Runtime, id: &str) -> Result<String> {
    if id == "latest" { Ok(latest(runtime, None).await?.proposal_id) } else { Ok(id.to_owned()) }
}
