use serde_json::json;
use signoff::Result;

use crate::args::{Global, Store, StoreCommand};
use crate::output::Output;
use crate::setup::{Ledger, Need, runtime};

pub async fn run(global: &Global, store: &Store, output: &mut Output) -> Result<u8> {
    let runtime = runtime(global, Need::Optional, Ledger::Existing, output)?;
    match &store.command {
        StoreCommand::Verify(verify) => {
            let expect = verify.expect.as_deref().map(str::parse).transpose()?;
            let progress = Box::new(|done, all| Output::progress("verifying", done, all));
            let verified = runtime.ledger().verify(expect, progress).await?;
            let checkpoint = verified.checkpoint.to_string();
            output.value(&json!({ "ok": true, "events": verified.checkpoint.size, "proposals": verified.proposals, "checkpoint": checkpoint }));
            output.line(format!(
                "ledger verifies: {} events, {} proposals",
                verified.checkpoint.size, verified.proposals
            ));
            output.line(format!("checkpoint {checkpoint}"));
            output
                .line("Keep the checkpoint elsewhere: `store verify --expect` with it also finds a truncated ledger.");
        }
        StoreCommand::Stats(_) => {
            let stats = runtime.ledger().stats().await?;
            output.value(&stats);
            output.line(format!("{} (format {}, {} bytes)", stats.path, stats.format, stats.bytes));
            for (table, rows) in &stats.rows {
                output.line(format!("  {table:<15} {rows}"));
            }
            for (state, rows) in stats.states.iter().filter(|(_, rows)| **rows > 0) {
                output.line(format!("  proposals {state:<16} {rows}"));
            }
            output.line(format!("checkpoint {}", stats.checkpoint));
        }
    }
    Ok(0)
}
