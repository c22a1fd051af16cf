use signoff::Result;
use signoff::error::printable;
use signoff::ledger;

use super::{answer_page, tell_next};
use crate::args::{Activity, ActivityCommand, Global};
use crate::output::Output;
use crate::setup::{Ledger, Need, runtime};
use crate::table;

pub async fn run(global: &Global, activity: &Activity, output: &mut Output) -> Result<u8> {
    let ActivityCommand::Search(search) = &activity.command;
    let runtime = runtime(global, Need::Optional, Ledger::Existing, output)?;
    let page = runtime.activity(&super::meant(&runtime, search.filter()?).await?, &search.paging.request()?).await?;
    answer_page("activity", &page, output);
    let rows: Vec<_> = page.items.iter().map(row).collect();
    if !rows.is_empty() {
        table::print(["SEQ", "WHEN", "KIND", "ABOUT", "OBJECT", "ACTOR"], &rows, output);
    }
    tell_next(&page, output);
    Ok(0)
}

fn row(found: &ledger::Activity) -> [String; 6] {
    let event = &found.event;
    let object = found.object.as_ref().map(|(kind, id)| format!("{}:{}", printable(kind), printable(id)));
    [
        event.seq.to_string(),
        table::minute(&event.at.to_string()),
        printable(&event.kind),
        if event.subject.is_empty() { "-".to_owned() } else { table::short(&event.subject) },
        object.unwrap_or_else(|| "-".to_owned()),
        printable(&event.actor),
    ]
}
