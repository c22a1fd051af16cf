use signoff::Result;
use signoff::error::printable;
use signoff::protocol::ReceiptStatus;
use signoff::runtime::Replay as Story;

use super::{answer_page, export, resolve, shown, tell_next};
use crate::args::{Global, Replay, ReplayCommand, ReplayShow};
use crate::output::Output;
use crate::setup::{Ledger, Need, runtime};

pub async fn run(global: &Global, replay: &Replay, output: &mut Output) -> Result<u8> {
    match &replay.command {
        ReplayCommand::Show(arguments) => show(global, arguments, output).await,
        ReplayCommand::List(list) => {
            let runtime = runtime(global, Need::Optional, Ledger::Existing, output)?;
            let page = runtime.replays(&super::meant(&runtime, list.filter()?).await?, &list.paging.request()?).await?;
            answer_page("replays", &page, output);
            shown::summaries(page.items.iter().map(|story| &story.proposal), output);
            tell_next(&page, output);
            Ok(0)
        }
        ReplayCommand::Export(wanted) => {
            let runtime = runtime(global, Need::Optional, Ledger::Existing, output)?;
            export::replay(global, &runtime, wanted, output).await
        }
    }
}

async fn show(global: &Global, arguments: &ReplayShow, output: &mut Output) -> Result<u8> {
    let runtime = runtime(global, Need::Optional, Ledger::Existing, output)?;
    let id = arguments.proposal.as_deref().or(arguments.replay.as_deref()).unwrap_or(&arguments.id);
    let id = resolve(&runtime, id).await?;
    let story = runtime.replay(&id).await?;
    output.value(&story);
    if !output.is_json() {
        let record = runtime.show(&id).await?;
        output.line(format!("{} {}", output.strong("Replay"), story.replay_id));
        output.line("What happened:");
        for (number, event) in story.events.iter().enumerate() {
            let why = event.detail.pointer("/reason").or_else(|| event.detail.pointer("/standing/last_error"));
            let why = why.and_then(|why| why.as_str()).map(|why| format!(": {}", printable(why))).unwrap_or_default();
            output.line(format!("  {}. {}  {} by {}{why}", number + 1, event.at, event.kind, printable(&event.actor)));
        }
        output.line("Proposed change:");
        shown::diff(&record.change_set, output);
        output.line(format!(
            "Evidence ({} query audit records, {} evidence bundles):",
            story.query_audit.len(),
            story.evidence.len()
        ));
        output.line(format!("  {}", record.change_set.evidence.bundle_id));
        writeback(&story, output);
        output.line("Every event, row and signature behind this was checked on the way here.");
        if arguments.details {
            let text = crate::output::pretty(&story);
            output.line(text);
        } else {
            output.line(format!("More: signoff replay show {} --details", record.id()));
        }
    }
    Ok(0)
}

fn writeback(story: &Story, output: &mut Output) {
    output.line("Writeback:");
    for record in &story.receipts {
        let receipt = &record.receipt;
        let status = match receipt.status {
            ReceiptStatus::Applied => "applied",
            ReceiptStatus::AlreadyApplied => "already applied by an earlier attempt",
            ReceiptStatus::Conflict => "conflict: nothing written",
            ReceiptStatus::Failed => "failed",
            ReceiptStatus::Canceled => "canceled: it never lands",
        };
        output.line(format!("  {status} ({} rows), receipt", receipt.rows_affected));
        output.line(format!("  {}", receipt.receipt_hash));
    }
    if story.receipts.is_empty() {
        output.line(format!("  none: the proposal is {}", story.state));
    }
}
