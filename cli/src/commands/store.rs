use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use signoff::ledger::{Lease, Prune, SqliteLedger};
use signoff::primitives::{Clock as _, Lifetime, SystemClock};
use signoff::{Code, Error, Result, Runtime};

use crate::args::{Global, Store, StoreCommand, StorePrune, StoreReset, StoreVerify, before_now};
use crate::output::{Output, Progress};
use crate::setup::{Ledger, Need, operator, runtime};

pub async fn run(global: &Global, store: &Store, output: &mut Output) -> Result<u8> {
    let runtime = runtime(global, Need::Optional, Ledger::Existing, output)?;
    match &store.command {
        StoreCommand::Verify(arguments) => verify(&runtime, arguments, output).await?,
        StoreCommand::Stats(_) => stats(&runtime, output).await?,
        StoreCommand::Prune(arguments) => prune(&runtime, arguments, output).await?,
        StoreCommand::Vacuum(_) => {
            let (before, after) = runtime.ledger().vacuum().await?;
            output.value(&json!({ "ok": true, "bytes_before": before, "bytes_after": after }));
            output.line(format!("{before} bytes before, {after} bytes now"));
        }
        StoreCommand::Reset(arguments) => {
            let path = PathBuf::from(runtime.ledger().stats().await?.path);
            drop(runtime);
            reset(&path, arguments, output)?;
        }
    }
    Ok(0)
}

async fn verify(runtime: &Runtime, arguments: &StoreVerify, output: &mut Output) -> Result<()> {
    let expect = arguments.expect.as_deref().map(str::parse).transpose()?;
    let bar = Progress::begin("verifying", "events");
    let verified = runtime.ledger().verify(expect, bar.teller()).await?;
    bar.end();
    output.value(&verified.view());
    output.line(format!("ledger verifies: {} events, {} proposals", verified.checkpoint.size, verified.proposals));
    output.line(format!("checkpoint {}", verified.checkpoint));
    output.line("Keep the checkpoint elsewhere: `store verify --expect` with it also finds a truncated ledger.");
    Ok(())
}

async fn stats(runtime: &Runtime, output: &mut Output) -> Result<()> {
    let stats = runtime.ledger().stats().await?;
    let holder = Lease::holder(&PathBuf::from(&stats.path))?;
    let mut answer = serde_json::to_value(&stats).unwrap_or_default();
    if let Some(object) = answer.as_object_mut() {
        object.insert("lease".to_owned(), serde_json::to_value(&holder).unwrap_or_default());
    }
    output.value(&answer);
    output.line(format!("{} (format {}, {} bytes)", stats.path, stats.format, stats.bytes));
    for (table, rows) in &stats.rows {
        output.line(format!("  {table:<15} {rows}"));
    }
    for (state, rows) in stats.states.iter().filter(|(_, rows)| **rows > 0) {
        output.line(format!("  proposals {state:<16} {rows}"));
    }
    if let Some(holder) = holder {
        output.line(format!("held by process {} ({} over {})", holder.pid, holder.mode, holder.transport));
    }
    output.line(format!("checkpoint {}", stats.checkpoint));
    Ok(())
}

/// Without --yes it is a rehearsal, as in v1.
async fn prune(runtime: &Runtime, arguments: &StorePrune, output: &mut Output) -> Result<()> {
    let Some(Lifetime::For(age)) = Lifetime::parse(&arguments.older_than) else {
        let problem = format!("`{}` is not an age", arguments.older_than);
        return Err(Error::new(Code::Usage).with("problem", problem).with("hint", "write 90d, 24h, 30m or 45s"));
    };
    let prune = Prune {
        before: before_now(age)?,
        at: SystemClock.now(),
        actor: operator(arguments.actor.as_deref()),
        rehearse: !arguments.yes,
    };
    let bar = Progress::begin("pruning", "proposals");
    let pruned = runtime.prune(prune, bar.teller()).await?;
    bar.end();
    output.value(
        &json!({ "ok": true, "dry_run": !arguments.yes, "proposals": pruned.proposals, "events": pruned.events }),
    );
    let (count, events) = (pruned.proposals, pruned.events);
    if arguments.yes {
        output.line(format!("pruned {count} proposals: of their {events} events the hashes are kept"));
        output.line("`signoff store vacuum` gives the room back.");
    } else {
        output.line(format!("{count} proposals with {events} events would be pruned; nothing was changed"));
        output.line("Add --yes to prune them.");
    }
    Ok(())
}

fn reset(path: &Path, arguments: &StoreReset, output: &mut Output) -> Result<()> {
    if !arguments.yes {
        let needed = |how: &str| {
            Error::new(Code::ConfirmationRequired).with("what", format!("deleting {}", path.display())).with("how", how)
        };
        if !std::io::stdin().is_terminal() {
            return Err(needed("add --yes"));
        }
        let _ = write!(std::io::stderr(), "Delete {} and all it tells? Type reset to continue: ", path.display());
        let mut line = String::new();
        let _ = std::io::stdin().lock().read_line(&mut line);
        if line.trim() != "reset" {
            return Err(needed("type reset, or add --yes"));
        }
    }
    let key = signoff::runtime::Environment::system().get("SIGNOFF_LEDGER_KEY").map(signoff::primitives::Secret::new);
    SqliteLedger::reset(path, key, arguments.force)?;
    output.value(&json!({ "ok": true, "path": path.display().to_string() }));
    output.line(format!("{} is gone; its key is kept", path.display()));
    Ok(())
}
