//! Shadow mode: what an agent would have done, beside what a person did. Nothing here is ever applied.

use serde::Serialize;

use super::Runtime;
use super::decide::check_name;
use crate::error::{Code, Error, Result};
use crate::ledger::{Advance, Filter, HumanChange, PageRequest, ProposalRecord, ProposalSummary};
use crate::primitives::json::{self, NodeValue};
use crate::primitives::{Identifier, Instant, Scalar, looks_secret};
use crate::protocol::{ChangeSetMode, Columns, Event};

/// How an agent's patch and a person's compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Match {
    /// The same columns, the same values.
    ExactMatch,
    /// At least one column has the same value.
    PartialMatch,
    /// No column has the same value.
    Mismatch,
    /// Nobody recorded what a person did.
    NoHumanAction,
}

/// One shadow proposal beside the latest action recorded for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ShadowComparison {
    /// The proposal.
    pub proposal_id: String,
    /// What comes of it.
    pub status: Match,
    /// What the agent proposed.
    pub agent_patch: Columns,
    /// What the person did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub human_patch: Option<Columns>,
    /// Columns with the same value.
    pub matching_columns: Vec<Identifier>,
    /// Columns of both, with two values.
    pub differing_columns: Vec<Identifier>,
    /// Columns that only the agent wrote.
    pub missing_from_human: Vec<Identifier>,
    /// Columns that only the person wrote.
    pub extra_human_columns: Vec<Identifier>,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// What they say of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// When it was compared.
    pub compared_at: Instant,
}

/// All shadow proposals that a filter allows.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ShadowReport {
    /// How many there are.
    pub total_shadow_proposals: u64,
    /// Those with an action.
    pub with_human_action: u64,
    /// Those where agent and person did the same.
    pub exact_matches: u64,
    /// Those where they agree in part.
    pub partial_matches: u64,
    /// Those where they do not agree.
    pub mismatches: u64,
    /// Those without an action.
    pub no_human_action: u64,
    /// Each of them, newest first.
    pub comparisons: Vec<ShadowComparison>,
}

/// Proposals that are looked at together.
const PAGE: u32 = 200;

impl Runtime {
    /// Records what a person did on the row of a shadow proposal, and compares. A later action takes the place of an
    /// earlier one; both stay in the ledger. `patch` is the text of a JSON object of columns and scalars. Cancel-safe.
    ///
    /// # Errors
    /// `NOT_SHADOW_PROPOSAL`, `HUMAN_PATCH_INVALID`, `JSON_INVALID`, `JSON_DUPLICATE_KEY`, `SECRET_MATERIAL_REJECTED`,
    /// `ACTOR_INVALID`, `PROPOSAL_NOT_FOUND`, `TRANSITION_NOT_ALLOWED` once it is withdrawn, `LEDGER_TAMPERED`.
    pub async fn record_human_action(
        &self,
        proposal_id: &str,
        patch: &str,
        actor: &str,
        notes: Option<String>,
    ) -> Result<ShadowComparison> {
        check_name("a human action", actor)?;
        let did = HumanChange { patch: human_patch(patch)?, notes };
        if did.notes.as_deref().is_some_and(looks_secret) {
            return Err(Error::new(Code::SecretMaterialRejected).with("path", "/notes"));
        }
        loop {
            let record = self.shadow(proposal_id).await?;
            // Its standing and its state stay; its last event moves, so that two at once do not cross.
            let step = Advance {
                proposal_id: proposal_id.to_owned(),
                expected_seq: record.last_seq,
                event: Event::HumanAction,
                actor: actor.to_owned(),
                at: self.clock.now(),
                standing: record.standing,
                decision: None,
                job: None,
                receipt: None,
                receipts_in: None,
                human: Some(did.clone()),
            };
            if self.ledger.advance(step).await?.is_some() {
                return self.shadow_compare(proposal_id).await;
            }
        }
    }

    /// Compares a shadow proposal with the latest action recorded for it.
    ///
    /// # Errors
    /// `NOT_SHADOW_PROPOSAL`, `PROPOSAL_NOT_FOUND`, `LEDGER_TAMPERED`.
    pub async fn shadow_compare(&self, proposal_id: &str) -> Result<ShadowComparison> {
        let record = self.shadow(proposal_id).await?;
        compare(&record, self.clock.now())
    }

    /// The shadow proposals that a filter allows, newest first, each with its comparison; counted.
    ///
    /// # Errors
    /// Those of [`Self::proposals`].
    pub async fn shadow_report(&self, filter: &Filter) -> Result<ShadowReport> {
        let mut report = ShadowReport {
            total_shadow_proposals: 0,
            with_human_action: 0,
            exact_matches: 0,
            partial_matches: 0,
            mismatches: 0,
            no_human_action: 0,
            comparisons: Vec::new(),
        };
        let now = self.clock.now();
        for (_, record) in self.shadows(filter, u32::MAX).await? {
            let compared = compare(&record, now)?;
            report.total_shadow_proposals += 1;
            report.with_human_action += u64::from(compared.status != Match::NoHumanAction);
            *match compared.status {
                Match::ExactMatch => &mut report.exact_matches,
                Match::PartialMatch => &mut report.partial_matches,
                Match::Mismatch => &mut report.mismatches,
                Match::NoHumanAction => &mut report.no_human_action,
            } += 1;
            report.comparisons.push(compared);
        }
        Ok(report)
    }

    /// The newest shadow proposals that a filter allows.
    ///
    /// # Errors
    /// Those of [`Self::proposals`].
    pub async fn shadow_list(&self, filter: &Filter, limit: u32) -> Result<Vec<ProposalSummary>> {
        Ok(self.shadows(filter, limit).await?.into_iter().map(|(summary, _)| summary).collect())
    }

    async fn shadows(&self, filter: &Filter, limit: u32) -> Result<Vec<(ProposalSummary, ProposalRecord)>> {
        let mut found = Vec::new();
        let mut page = PageRequest::first(PAGE);
        loop {
            let next = self.proposals(filter, &page).await?;
            for summary in next.items {
                let record = self.ledger.load(&summary.proposal_id).await?;
                if is_shadow(&record) {
                    found.push((summary, record));
                }
                if found.len() >= limit as usize {
                    return Ok(found);
                }
            }
            if next.next.is_none() {
                return Ok(found);
            }
            page.after = next.next;
        }
    }

    async fn shadow(&self, proposal_id: &str) -> Result<ProposalRecord> {
        let record = self.ledger.load(proposal_id).await?;
        if is_shadow(&record) {
            Ok(record)
        } else {
            Err(Error::new(Code::NotShadowProposal).with("proposal", proposal_id))
        }
    }
}

fn is_shadow(record: &ProposalRecord) -> bool {
    record.change_set.mode == ChangeSetMode::Shadow
}

fn invalid(problem: impl Into<String>) -> Error {
    Error::new(Code::HumanPatchInvalid).with("problem", problem.into()).with("example", r#"{"late_fee_cents":0}"#)
}

fn human_patch(text: &str) -> Result<Columns> {
    let node = json::parse(text)?;
    let NodeValue::Object(entries) = &node.value else { return Err(invalid("it is no object")) };
    if entries.is_empty() {
        return Err(invalid("it has no column"));
    }
    entries
        .iter()
        .map(|(key, node)| {
            if looks_secret(key) {
                return Err(Error::new(Code::SecretMaterialRejected).with("path", "/patch"));
            }
            let column = Identifier::new(key.as_str())?;
            let value = node.scalar().ok_or_else(|| invalid(format!("{column} is given a list or an object")))?;
            if matches!(&value, Scalar::Text(text) if looks_secret(text)) {
                return Err(Error::new(Code::SecretMaterialRejected).with("path", format!("/patch/{column}")));
            }
            Ok((column, value))
        })
        .collect()
}

fn compare(record: &ProposalRecord, now: Instant) -> Result<ShadowComparison> {
    let agent = &record.change_set.patch;
    let latest = record.events.iter().rev().find_map(|event| Some((event, event.detail.get("human_action")?)));
    let latest = latest
        .map(|(event, detail)| {
            let did: HumanChange = serde_json::from_value(detail.clone()).map_err(|_| {
                let at = format!("event {}", event.seq);
                Error::new(Code::LedgerTampered).with("at", at).with("problem", "its human action is not one")
            })?;
            Ok::<_, Error>((event.actor.clone(), did))
        })
        .transpose()?;
    let nobody = Columns::new();
    let human = latest.as_ref().map_or(&nobody, |(_, did)| &did.patch);
    let names = |columns: &Columns, wanted: &dyn Fn(&Identifier, &Scalar) -> bool| -> Vec<Identifier> {
        columns.iter().filter(|(column, value)| wanted(column, value)).map(|(column, _)| column.clone()).collect()
    };
    let matching = names(agent, &|column, value| human.get(column).is_some_and(|other| other.same(value)));
    let differing = names(agent, &|column, value| human.get(column).is_some_and(|other| !other.same(value)));
    let missing = names(agent, &|column, _| !human.contains_key(column));
    let extra = names(human, &|column, _| !agent.contains_key(column));
    let status = match (&latest, matching.is_empty()) {
        (None, _) => Match::NoHumanAction,
        (_, true) => Match::Mismatch,
        _ if differing.is_empty() && missing.is_empty() && extra.is_empty() => Match::ExactMatch,
        _ => Match::PartialMatch,
    };
    let (actor, human_patch, notes) = match latest {
        Some((actor, did)) => (Some(actor), Some(did.patch), did.notes),
        None => (None, None, None),
    };
    Ok(ShadowComparison {
        proposal_id: record.id().to_owned(),
        status,
        agent_patch: agent.clone(),
        human_patch,
        matching_columns: matching,
        differing_columns: differing,
        missing_from_human: if status == Match::NoHumanAction { Vec::new() } else { missing },
        extra_human_columns: extra,
        actor,
        notes,
        compared_at: now,
    })
}
