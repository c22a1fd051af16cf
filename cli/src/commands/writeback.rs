use serde_json::json;
use signoff::{Code, Error, Result};

use crate::args::{Global, Writeback, WritebackCommand};
use crate::output::Output;
use crate::setup::{Ledger, Need, runtime};

pub async fn run(global: &Global, writeback: &Writeback, output: &mut Output) -> Result<u8> {
    let WritebackCommand::Migrate(migrate) = &writeback.command;
    let runtime = runtime(global, Need::Contract, Ledger::Create, output)?;
    let names: Vec<String> = match &migrate.source {
        Some(name) => vec![name.clone()],
        None => runtime
            .contract()
            .map(|contract| {
                contract
                    .sources
                    .values()
                    .filter(|source| !source.read_only && source.write_url_env.is_some())
                    .map(|source| source.name.clone())
                    .collect()
            })
            .unwrap_or_default(),
    };
    if names.is_empty() {
        let usage = Error::new(Code::Usage).with("problem", "no source of this contract can be written");
        return Err(usage.with("hint", "give one a write_url_env"));
    }
    let mut done = Vec::new();
    for name in names {
        let statements = runtime.migrate_receipts(&name).await?;
        output.line(format!(
            "source {name}: {}",
            if statements.is_empty() { "up to date" } else { "receipts table ready" }
        ));
        for statement in &statements {
            output.line(format!("  {statement};"));
        }
        done.push(json!({ "source": name, "statements": statements }));
    }
    output.value(&json!({ "ok": true, "sources": done }));
    Ok(0)
}
