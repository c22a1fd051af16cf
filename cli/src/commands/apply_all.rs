use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use signoff::runtime::{Next, Report, Worker, WorkerOptions};
use signoff::{Result, Runtime};

use super::worker::{Tally, ending};
use crate::args::Apply;
use crate::output::Output;
use crate::service::told_to_stop;
use crate::table;

/// Everything that can be applied now, once; then a table, and the worst ending as exit code.
pub async fn run(runtime: Runtime, apply: &Apply, output: &mut Output) -> Result<u8> {
    let mut options = WorkerOptions::default();
    options.concurrency = apply.concurrency.into();
    options.runner.clone_from(&apply.runner);
    options.lease = Duration::from_secs(apply.lease_seconds);
    options.once = true;
    let worker = Worker::new(runtime, options)?;
    let mut tally = Tally::default();
    let mut rows: BTreeMap<usize, [String; 4]> = BTreeMap::new();
    let mut results: Vec<Value> = Vec::new();
    let done = worker.run(told_to_stop()?, |report| {
        tally.count(&report);
        let Report::Ended { proposal_id, result, took, next } = &report else { return };
        if *next == Next::Elsewhere {
            return;
        }
        let (what, why) = match &**result {
            Ok(applied) => {
                let receipt = applied.receipt.as_ref().and_then(|record| record.receipt.safe_error_code.clone());
                let why = receipt.or_else(|| applied.record.standing.last_error.clone());
                (applied.record.change_set.action.clone(), why)
            }
            Err(error) => (String::new(), Some(error.message())),
        };
        let ended = ending(result);
        results.push(json!({
            "proposal_id": proposal_id, "ending": ended, "duration_ms": took.as_secs_f64() * 1_000.0,
            "error": result.as_ref().as_ref().err(), "code": result.as_ref().as_ref().ok().and(why.as_ref()),
        }));
        let why = why.unwrap_or(what);
        rows.insert(
            rows.len(),
            [table::short(proposal_id), ended, format!("{took:.1?}"), signoff::error::printable(&why)],
        );
    });
    let summary = done.await?;
    let exit = u8::from(tally.worst);
    output
        .value(&json!({ "ok": exit == 0, "attempts": summary.attempts, "endings": tally.endings, "results": results }));
    if !rows.is_empty() {
        let rows: Vec<_> = rows.into_values().collect();
        table::print(["PROPOSAL", "ENDING", "TOOK", "WHAT"], &rows, output);
    }
    output.line(tally.to_string());
    Ok(exit)
}
