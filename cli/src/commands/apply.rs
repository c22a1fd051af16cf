use std::path::Path;
use std::time::Duration;

use signoff::ledger::ReceiptRecord;
use signoff::protocol::WritebackJob;
use signoff::runtime::{Applied, ApplyOptions, Ending, Environment, executor_warnings};
use signoff::{Code, Error, Result};

use super::{apply_all, resolve};
use crate::args::{Apply, Global};
use crate::output::Output;
use crate::setup::{Ledger, Need, read_input, runtime};

pub async fn run(global: &Global, apply: &Apply, output: &mut Output) -> Result<u8> {
    let runtime = runtime(global, Need::Contract, Ledger::Existing, output)?;
    if let Some(contract) = runtime.contract() {
        executor_warnings(contract, &Environment::system()).into_iter().for_each(|warning| output.warn(warning));
    }
    if apply.all_approved {
        return apply_all::run(runtime, apply, output).await;
    }
    let mut options = ApplyOptions::default();
    options.dry_run = apply.dry_run;
    options.resume = apply.resume;
    options.runner.clone_from(&apply.runner);
    options.lease = Duration::from_secs(apply.lease_seconds);
    let applied = if let Some(file) = &apply.job {
        let job = WritebackJob::parse(&read_input(Path::new(file))?)?;
        runtime.apply_job(&job, &options).await?
    } else {
        let id = apply.proposal.as_deref().or(apply.id.as_deref()).unwrap_or("latest");
        let id = resolve(&runtime, id).await?;
        runtime.apply(&id, &options).await?
    };
    let app_owned = runtime.is_app_owned(&applied.record);
    let view = applied.view(app_owned)?;
    output.value(&view);
    tell(&applied, app_owned, view.source_database_mutated, output);
    Ok(applied.ending.exit().into())
}

fn tell(applied: &Applied, app_owned: bool, mutated: bool, output: &mut Output) {
    let receipt = applied.receipt.as_ref();
    let column = receipt.and_then(|record| record.details.as_ref()).and_then(|details| details.get("column"));
    let column =
        column.and_then(|column| column.as_str()).map(|column| format!(" in column {column}")).unwrap_or_default();
    match &applied.ending {
        Ending::Applied if app_owned => {
            output.line("App-owned writeback applied.");
            output.line("* proposal approved: yes");
            output.line(format!("* source database changed by handler: {}", if mutated { "yes" } else { "no" }));
            output.line(format!("* affected rows: {}", receipt.map_or(0, |receipt| receipt.receipt.rows_affected)));
        }
        Ending::AlreadyApplied if app_owned => {
            output.line("App-owned writeback already applied. Nothing was written again.");
        }
        Ending::Conflict if app_owned => {
            output.line(format!("App-owned writeback found a conflict: {}. Nothing was written.", code(receipt)));
        }
        Ending::Failed if app_owned => {
            output.line(format!("App-owned writeback refused by the handler: {}. Nothing was written.", code(receipt)));
        }
        Ending::WouldApply if app_owned => {
            output.line("Dry run passed: the live row is the one that was approved. No state changed.");
        }
        Ending::Applied => {
            output.line("Guarded writeback applied.");
            checks(output);
            output.line(format!("* affected rows: {}", receipt.map_or(0, |receipt| receipt.receipt.rows_affected)));
            let still = receipt.is_some_and(|record| {
                record.receipt.new_version.is_some() && record.receipt.new_version == record.receipt.previous_version
            });
            if still {
                output.warn("the version column did not move: other writers cannot see this change by it; let a trigger move it");
            }
        }
        Ending::AlreadyApplied => output.line("Guarded writeback already applied. Nothing was written again."),
        Ending::Conflict => {
            let code =
                receipt.and_then(|receipt| receipt.receipt.safe_error_code.as_deref()).unwrap_or("VERSION_CONFLICT");
            output.line(format!("Guarded writeback found a conflict: {code}{column}. Nothing was written."));
            if let Some(code) = Code::parse(code).and_then(|code| Error::new(code).help()) {
                output.line(format!("* what to do: {code}"));
            }
        }
        Ending::Canceled => output.line("This proposal was canceled: it never lands."),
        Ending::WouldApply => {
            output.line("Dry run passed: on the live row, then rolled back. No state changed.");
            checks(output);
        }
        Ending::WouldConflict(code, column) => {
            let column = column.as_ref().map(|column| format!(" in column {column}")).unwrap_or_default();
            output.line(format!("Dry run found a conflict: {code}{column}. No state changed."));
        }
        Ending::Unknown => {}
        _ => output.line("Writeback failed."),
    }
    if let Some(receipt) = receipt {
        output.line(format!("* idempotency key: {}", receipt.receipt.idempotency_key));
        output.line(format!("Receipt: {}", receipt.receipt.receipt_hash));
    }
    output.line(format!("Source DB changed: {}", if mutated { "yes" } else { "no" }));
}

fn code(receipt: Option<&ReceiptRecord>) -> &str {
    receipt.and_then(|receipt| receipt.receipt.safe_error_code.as_deref()).unwrap_or("HANDLER_FAILED")
}

/// What an apply has proved by getting this far.
fn checks(output: &mut Output) {
    for check in [
        "proposal approved",
        "primary key matched",
        "tenant guard matched",
        "allowed columns only",
        "conflict guard passed",
    ] {
        output.line(format!("* {check}: yes"));
    }
}
