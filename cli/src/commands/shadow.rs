//! What an agent would have done, beside what a person did.

use clap::{Args, Subcommand};
use serde_json::json;
use signoff::Result;
use signoff::error::printable;
use signoff::ledger::Filter;
use signoff::protocol::Columns;
use signoff::runtime::{Match, ShadowComparison};

use super::resolve;
use crate::args::{Global, JsonFlag};
use crate::output::Output;
use crate::setup::{Ledger, Need, operator, runtime};

#[derive(Debug, Args)]
pub struct Shadow {
    #[command(subcommand)]
    pub command: ShadowCommand,
}

#[derive(Debug, Subcommand)]
pub enum ShadowCommand {
    /// Shadow proposals, newest first
    List(ShadowList),
    /// Record what a person did on the row of a shadow proposal, and compare
    RecordHumanAction(RecordHumanAction),
    /// Compare a shadow proposal with the latest action recorded for it
    Compare(ShadowCompare),
    /// How often agent and person did the same
    Report(ShadowReport),
}

#[derive(Debug, Args)]
pub struct ShadowList {
    /// Only of this capability
    #[arg(long, value_name = "NAME")]
    pub capability: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub limit: u32,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Args)]
pub struct RecordHumanAction {
    /// The proposal, or latest
    pub id: String,
    /// What the person wrote: a JSON object of columns and values
    #[arg(long, value_name = "JSON")]
    pub patch: String,
    /// Who did it [default: the user of the operating system]
    #[arg(long)]
    pub actor: Option<String>,
    /// What there is to say of it
    #[arg(long)]
    pub notes: Option<String>,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Args)]
pub struct ShadowCompare {
    /// The proposal, or latest
    pub id: String,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Args)]
pub struct ShadowReport {
    /// Only of this capability
    #[arg(long, value_name = "NAME")]
    pub capability: Option<String>,
    #[command(flatten)]
    pub json: JsonFlag,
}

impl Shadow {
    pub fn json(&self) -> bool {
        match &self.command {
            ShadowCommand::List(list) => list.json.json,
            ShadowCommand::RecordHumanAction(record) => record.json.json,
            ShadowCommand::Compare(compare) => compare.json.json,
            ShadowCommand::Report(report) => report.json.json,
        }
    }
}

pub async fn run(global: &Global, shadow: &Shadow, output: &mut Output) -> Result<u8> {
    let runtime = runtime(global, Need::Optional, Ledger::Existing, output)?;
    let of = |capability: &Option<String>| Filter { capability: capability.clone(), ..Filter::default() };
    match &shadow.command {
        ShadowCommand::List(list) => {
            let found = runtime.shadow_list(&of(&list.capability), list.limit).await?;
            output.value(&json!({ "proposals": found }));
            if found.is_empty() {
                output.line("no shadow proposals");
            }
            for summary in &found {
                let object = format!("{} {}", printable(&summary.business_object), printable(&summary.object_id));
                output.line(format!("{}  {}\n    {object}", summary.proposal_id, printable(&summary.action)));
            }
        }
        ShadowCommand::RecordHumanAction(record) => {
            let id = resolve(&runtime, &record.id).await?;
            let actor = operator(record.actor.as_deref());
            let compared = runtime.record_human_action(&id, &record.patch, &actor, record.notes.clone()).await?;
            output.value(&compared);
            output.line(format!("Recorded what {} did.", printable(&actor)));
            tell(&compared, output);
        }
        ShadowCommand::Compare(compare) => {
            let id = resolve(&runtime, &compare.id).await?;
            let compared = runtime.shadow_compare(&id).await?;
            output.value(&compared);
            tell(&compared, output);
        }
        ShadowCommand::Report(report) => {
            let report = runtime.shadow_report(&of(&report.capability)).await?;
            output.value(&report);
            for (what, count) in [
                ("shadow proposals", report.total_shadow_proposals),
                ("with what a person did", report.with_human_action),
                ("  the same", report.exact_matches),
                ("  the same in part", report.partial_matches),
                ("  something else", report.mismatches),
                ("without", report.no_human_action),
            ] {
                output.line(format!("{what:<24} {count:>8}"));
            }
        }
    }
    Ok(0)
}

fn tell(compared: &ShadowComparison, output: &mut Output) {
    let said = match compared.status {
        Match::ExactMatch => "the same as the agent proposed",
        Match::PartialMatch => "in part what the agent proposed",
        Match::Mismatch => "something else than the agent proposed",
        _ => "nobody recorded what a person did",
    };
    output.line(format!("{}: {said}", compared.proposal_id));
    let nothing = Columns::new();
    let human = compared.human_patch.as_ref().unwrap_or(&nothing);
    let columns: std::collections::BTreeSet<_> = compared.agent_patch.keys().chain(human.keys()).collect();
    for column in columns {
        let text = |patch: &Columns| {
            patch
                .get(column)
                .map_or_else(|| "(not written)".to_owned(), |value| printable(&value.to_json().to_string()))
        };
        let same = compared.matching_columns.contains(column);
        let (agent, human) = (text(&compared.agent_patch), text(human));
        output.line(format!("  {column}"));
        output.line(format!("    agent   {}", if same { output.new_value(&agent) } else { output.old(&agent) }));
        if compared.human_patch.is_some() {
            output.line(format!("    person  {}", if same { output.new_value(&human) } else { output.old(&human) }));
        }
    }
    if let Some(notes) = &compared.notes {
        output.line(format!("  notes: {}", printable(notes)));
    }
}
