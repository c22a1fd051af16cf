use serde_json::Value;
use signoff::Result;
use signoff::error::printable;
use signoff::ledger::EvidenceSummary;

use super::{answer_page, tell_next};
use crate::args::{Evidence, EvidenceCommand, Global};
use crate::output::Output;
use crate::setup::{Ledger, Need, runtime};
use crate::table;

pub async fn run(global: &Global, evidence: &Evidence, output: &mut Output) -> Result<u8> {
    let runtime = runtime(global, Need::Optional, Ledger::Existing, output)?;
    match &evidence.command {
        EvidenceCommand::List(list) => {
            let page =
                runtime.evidence(&super::meant(&runtime, list.filter()?).await?, &list.paging.request()?).await?;
            answer_page("evidence", &page, output);
            let rows: Vec<_> = page.items.iter().map(row).collect();
            if !rows.is_empty() {
                table::print(["EVIDENCE", "SEEN", "PROPOSAL", "OBJECT", "CAPABILITY"], &rows, output);
            }
            tell_next(&page, output);
        }
        EvidenceCommand::Show(show) => {
            let record = runtime.evidence_bundle(&show.id).await?;
            output.value(&record);
            output.line(crate::output::pretty(&record));
        }
        EvidenceCommand::Export(export) => {
            let record = runtime.evidence_bundle(&export.id).await?;
            return super::export::record(&record, export.output.as_deref(), output);
        }
    }
    Ok(0)
}

fn row(found: &EvidenceSummary) -> [String; 5] {
    let word = |pointer: &str| match found.document.pointer(pointer) {
        Some(Value::String(text)) => printable(text),
        Some(other) => printable(&other.to_string()),
        None => "-".to_owned(),
    };
    let target = word("/target");
    let table = target.rsplit_once('.').map_or(target.as_str(), |(_, table)| table);
    [
        table::short(&found.evidence_id),
        table::minute(&found.at.to_string()),
        found.proposal_id.as_deref().map_or_else(|| "-".to_owned(), table::short),
        format!("{table}:{}", word("/items/0/primary_key/value")),
        word("/capability"),
    ]
}
