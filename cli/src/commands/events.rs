use std::time::Duration;

use signoff::error::printable;
use signoff::ledger::{LoggedEvent, PageRequest};
use signoff::{Code, Error, Result, Runtime};

use super::{answer_page, tell_next, webhook};
use crate::args::{Events, EventsCommand, EventsTail, Global};
use crate::output::{self, Output};
use crate::setup::{Ledger, Need, runtime};
use crate::table;

pub async fn run(global: &Global, events: &Events, output: &mut Output) -> Result<u8> {
    let runtime = runtime(global, Need::Optional, Ledger::Existing, output)?;
    match &events.command {
        EventsCommand::List(list) => {
            let page = runtime.events(&super::meant(&runtime, list.filter()?).await?, &list.paging.request()?).await?;
            answer_page("events", &page, output);
            let rows: Vec<_> = page.items.iter().map(row).collect();
            if !rows.is_empty() {
                table::print(["SEQ", "WHEN", "KIND", "ABOUT", "ACTOR"], &rows, output);
            }
            tell_next(&page, output);
        }
        EventsCommand::Tail(tail) => follow(&runtime, tail, output).await?,
        EventsCommand::Webhook(wanted) => return webhook::run(&runtime, wanted, output).await,
    }
    Ok(0)
}

/// The last events, and then what comes, until the reader goes away or somebody interrupts: both are its usual end.
async fn follow(runtime: &Runtime, tail: &EventsTail, output: &mut Output) -> Result<()> {
    let filter = super::meant(runtime, tail.filter()?).await?;
    let (mut after, mut last) = (runtime.ledger().size().await?, Vec::new());
    if tail.limit > 0 {
        last = runtime.events(&filter, &PageRequest::first(tail.limit)).await?.items;
    }
    // What was written between the two looks is in the second: it is not told twice.
    after = last.first().map_or(after, |event: &LoggedEvent| after.max(event.seq));
    last.iter().rev().for_each(|event| tell(event, output));
    if !tail.follow {
        return Ok(());
    }
    let every = Duration::from_millis(tail.interval_ms);
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        if output.is_closed() {
            return Ok(());
        }
        tokio::select! {
            biased;
            ended = &mut interrupted => {
                return ended.map_err(|_| Error::new(Code::Internal).with("detail", "no signal handler"));
            }
            // Nothing is written to a reader that went away, so nothing would tell: look.
            () = output::reader_gone(every) => return Ok(()),
            found = runtime.next_events(&filter, after, every) => {
                let (events, looked) = found?;
                after = looked;
                events.iter().for_each(|event| tell(event, output));
            }
        }
    }
}

/// One event a line, as soon as it is there: columns of fixed width, since nobody knows what comes.
fn tell(event: &LoggedEvent, output: &mut Output) {
    output.json_line(event);
    let [seq, at, kind, about, actor] = row(event);
    output.line(format!("{seq:>7}  {at}  {kind:<25}  {about:<12}  {actor}"));
}

fn row(event: &LoggedEvent) -> [String; 5] {
    [
        event.seq.to_string(),
        table::minute(&event.at.to_string()),
        printable(&event.kind),
        if event.subject.is_empty() { "-".to_owned() } else { table::short(&event.subject) },
        if event.pruned { "(pruned)".to_owned() } else { printable(&event.actor) },
    ]
}
