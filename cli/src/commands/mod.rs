//! One file per command.

pub mod activity;
pub mod apply;
pub mod apply_all;
pub mod audit;
pub mod benchmark;
pub mod client_config;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod events;
pub mod evidence;
pub mod export;
pub mod handler;
pub mod manual;
pub mod mcp;
pub mod proposals;
pub mod propose;
pub mod query_audit;
pub mod receipts;
pub mod replay;
pub mod shadow;
pub mod shown;
pub mod smoke;
pub mod store;
pub mod tools;
pub mod up;
pub mod validate;
pub mod webhook;
pub mod worker;
pub mod writeback;

use serde::Serialize;
use signoff::ledger::{Filter, Page, PageRequest, ProposalSummary};
use signoff::protocol::State;
use signoff::runtime::page_view;
use signoff::{Code, Error, Result, Runtime};

use crate::output::Output;

/// The newest proposal, of one state if asked.
pub async fn latest(runtime: &Runtime, state: Option<State>) -> Result<ProposalSummary> {
    let filter = Filter { state, ..Filter::default() };
    let found = runtime.proposals(&filter, &PageRequest::first(1)).await?.items.into_iter().next();
    found.ok_or_else(|| match state {
        Some(state) => Error::new(Code::Usage)
            .with("problem", format!("no proposal is {state}"))
            .with("hint", "`signoff proposals list` shows where each stands"),
        None => Error::new(Code::ProposalNotFound).with("proposal", "latest"),
    })
}

/// A proposal's whole id: of `latest` the newest of all, of the beginning of one the one that begins so.
pub async fn resolve(runtime: &Runtime, id: &str) -> Result<String> {
    if id == "latest" { Ok(latest(runtime, None).await?.proposal_id) } else { runtime.proposal_named(id).await }
}

/// What a filter means whose proposal is `latest`: the newest of all.
pub async fn meant(runtime: &Runtime, mut filter: Filter) -> Result<Filter> {
    if filter.proposal.as_deref() == Some("latest") {
        filter.proposal = Some(latest(runtime, None).await?.proposal_id);
    }
    Ok(filter)
}

/// A page for a program: its items under the list's name, and where the next one begins.
fn answer_page<T: Serialize>(name: &str, page: &Page<T>, output: &mut Output) {
    output.value(&page_view(name, page));
    if page.items.is_empty() {
        output.line(format!("no {}", name.replace('_', " ")));
    }
}

/// How to go on, for people.
fn tell_next<T>(page: &Page<T>, output: &mut Output) {
    if let Some(next) = page.next {
        output.line(format!("more: --cursor {next}"));
    }
}
