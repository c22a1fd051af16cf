use serde_json::json;
use signoff::ledger::{ReceiptFilter, ReceiptRecord};
use signoff::{Code, Error, Result};

use crate::args::{Global, Receipts, ReceiptsCommand};
use crate::output::Output;
use crate::setup::{Ledger, Need, runtime};

pub async fn run(global: &Global, receipts: &Receipts, output: &mut Output) -> Result<u8> {
    let runtime = runtime(global, Need::Optional, Ledger::Existing, output)?;
    match &receipts.command {
        ReceiptsCommand::List(list) => {
            let filter = ReceiptFilter { proposal_id: list.proposal.clone(), before_seq: None, limit: list.limit };
            let found = runtime.ledger().receipts(filter).await?;
            output.value(&json!({ "receipts": found }));
            if found.is_empty() {
                output.line("no receipts");
            }
            for record in &found {
                output.line(line(record));
            }
            Ok(0)
        }
        ReceiptsCommand::Show(show) => {
            let filter = match show.id.parse::<u64>() {
                Ok(seq) => ReceiptFilter { proposal_id: None, before_seq: Some(seq.saturating_add(1)), limit: 1 },
                Err(_) => ReceiptFilter { proposal_id: Some(show.id.clone()), before_seq: None, limit: 1 },
            };
            let by_number = filter.before_seq.map(|next| next.saturating_sub(1));
            let found = runtime.ledger().receipts(filter).await?.into_iter().next();
            let record = found
                .filter(|record| by_number.is_none_or(|seq| record.seq == seq))
                .ok_or_else(|| Error::new(Code::ReceiptNotFound).with("receipt", &show.id))?;
            output.value(&record);
            output.line(serde_json::to_string_pretty(&record).unwrap_or_default());
            Ok(0)
        }
    }
}

fn line(record: &ReceiptRecord) -> String {
    let receipt = &record.receipt;
    let status =
        serde_json::to_value(receipt.status).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default();
    format!("{:>6}  {status:<15} {}  {}", record.seq, receipt.proposal_id, receipt.executed_at)
}
