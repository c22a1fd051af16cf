use signoff::error::printable;
use signoff::ledger::{Cursor, Filter, List, PageRequest, ReceiptRecord};
use signoff::{Code, Error, Result, Runtime};

use super::{answer_page, tell_next};
use crate::args::{Global, Receipts, ReceiptsCommand};
use crate::output::Output;
use crate::setup::{Ledger, Need, runtime};
use crate::table;

pub async fn run(global: &Global, receipts: &Receipts, output: &mut Output) -> Result<u8> {
    let runtime = runtime(global, Need::Optional, Ledger::Existing, output)?;
    match &receipts.command {
        ReceiptsCommand::List(list) => {
            let page =
                runtime.receipts(&super::meant(&runtime, list.filter()?).await?, &list.paging.request()?).await?;
            answer_page("receipts", &page, output);
            let rows: Vec<_> = page.items.iter().map(row).collect();
            if !rows.is_empty() {
                table::print(["SEQ", "STATUS", "PROPOSAL", "EXECUTED", "ROWS", "RUNNER"], &rows, output);
            }
            tell_next(&page, output);
        }
        ReceiptsCommand::Show(show) => {
            let missing = || Error::new(Code::ReceiptNotFound).with("receipt", &show.id);
            let record = find(&runtime, &show.id).await?.ok_or_else(missing)?;
            output.value(&record);
            output.line(crate::output::pretty(&record));
        }
    }
    Ok(0)
}

/// By its number, its hash with the proposal's help, or the newest of its proposal.
async fn find(runtime: &Runtime, id: &str) -> Result<Option<ReceiptRecord>> {
    let (filter, page) = match id.parse::<u64>() {
        Ok(seq) => {
            let after = seq.checked_add(1).map(|seq| Cursor { list: List::Receipts, seq });
            (Filter::default(), PageRequest { limit: 1, after })
        }
        Err(_) => (Filter { proposal: Some(id.to_owned()), ..Filter::default() }, PageRequest::first(1)),
    };
    let found = runtime.receipts(&filter, &page).await?.items.into_iter().next();
    Ok(found.filter(|record| id.parse::<u64>().is_err() || id.parse() == Ok(record.seq)))
}

fn row(record: &ReceiptRecord) -> [String; 6] {
    let receipt = &record.receipt;
    let status =
        serde_json::to_value(receipt.status).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default();
    [
        record.seq.to_string(),
        status,
        table::short(&receipt.proposal_id),
        table::minute(&receipt.executed_at),
        receipt.rows_affected.to_string(),
        printable(&receipt.runner_id),
    ]
}
