use serde_json::Value;
use signoff::error::printable;
use signoff::ledger::AuditRecord;
use signoff::{Code, Error, Result};

use super::{answer_page, tell_next};
use crate::args::{Global, QueryAudit, QueryAuditCommand};
use crate::output::Output;
use crate::setup::{Ledger, Need, runtime};
use crate::table;

pub async fn run(global: &Global, audit: &QueryAudit, output: &mut Output) -> Result<u8> {
    let runtime = runtime(global, Need::Optional, Ledger::Existing, output)?;
    match &audit.command {
        QueryAuditCommand::List(list) => {
            let page =
                runtime.query_audit(&super::meant(&runtime, list.filter()?).await?, &list.paging.request()?).await?;
            answer_page("query_audit", &page, output);
            let rows: Vec<_> = page.items.iter().map(row).collect();
            if !rows.is_empty() {
                table::print(["SEQ", "ASKED", "OUTCOME", "ACTOR", "CAPABILITY"], &rows, output);
            }
            tell_next(&page, output);
        }
        QueryAuditCommand::Show(show) => {
            let record = runtime.audit_record(number(&show.id)?).await?;
            output.value(&record);
            output.line(crate::output::pretty(&record));
        }
        QueryAuditCommand::Export(export) => {
            let record = runtime.audit_record(number(&export.id)?).await?;
            return super::export::record(&record, export.output.as_deref(), output);
        }
    }
    Ok(0)
}

fn number(text: &str) -> Result<u64> {
    text.parse().map_err(|_| Error::new(Code::AuditNotFound).with("audit", text))
}

fn row(found: &AuditRecord) -> [String; 5] {
    let word = |name: &str| found.document.get(name).and_then(Value::as_str).map_or_else(|| "-".to_owned(), printable);
    let actor = if found.actor.is_empty() { "-".to_owned() } else { printable(&found.actor) };
    [found.seq.to_string(), table::minute(&found.at.to_string()), word("outcome"), actor, word("capability")]
}
