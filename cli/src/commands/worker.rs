use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use signoff::error::Exit;
use signoff::runtime::{Applied, Next, Report, Worker, WorkerOptions};
use signoff::{Code, Error, Result};

use crate::args::{Global, JsonFlag};
use crate::output::Output;
use crate::service::{Level, Log, put, told_to_stop};
use crate::setup::{Ledger, Need, runtime};

/// Workers.
#[derive(Debug, Args)]
pub struct Work {
    #[command(subcommand)]
    pub command: WorkCommand,
}

#[derive(Debug, Subcommand)]
pub enum WorkCommand {
    /// Apply what is approved until told to stop; then finish what was begun
    ///
    /// SIGTERM or Ctrl-C drains: nothing new is begun, and what runs is finished. The second one ends it at once; what it
    /// had begun is taken over when its lease is over. It logs to standard error, one line of JSON for each attempt.
    Run(WorkerRun),
}

#[derive(Debug, Args)]
pub struct WorkerRun {
    /// Attempts at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
    /// Who applies [default: local_runner]
    #[arg(
        long,
        env = "SYNAPSOR_RUNNER_ID",
        default_value = "local_runner",
        hide_default_value = true,
        hide_env = true
    )]
    pub runner: String,
    /// How long an attempt's lease holds, in seconds; one that takes longer renews it
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(15..=3600))]
    pub lease_seconds: u64,
    /// How often to look for what other processes wrote, in milliseconds
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(250..=60_000))]
    pub poll_ms: u64,
    /// Do what can be done now, and end
    #[arg(long)]
    pub once: bool,
    #[command(flatten)]
    pub json: JsonFlag,
}

pub async fn run(global: &Global, work: &Work, output: &mut Output) -> Result<u8> {
    let WorkCommand::Run(wanted) = &work.command;
    let runtime = runtime(global, Need::Contract, Ledger::Existing, output)?;
    let mut options = WorkerOptions::default();
    options.concurrency = wanted.concurrency.into();
    options.runner.clone_from(&wanted.runner);
    options.lease = Duration::from_secs(wanted.lease_seconds);
    options.poll = Duration::from_millis(wanted.poll_ms);
    options.once = wanted.once;
    let worker = Worker::new(runtime, options)?;
    let stop = told_to_stop()?;
    let log = Log::new();
    let mut tally = Tally::default();
    log.write(
        Level::Info,
        "worker started",
        json!({ "runner": wanted.runner, "concurrency": wanted.concurrency, "lease_seconds": wanted.lease_seconds, "pid": std::process::id() }),
    );
    let done = worker.run(stop, |report| {
        let (level, message, meta) = entry(&report);
        log.write(level, message, meta);
        tally.count(&report);
        log.now(tally.to_string());
    });
    let summary = done.await?;
    log.write(Level::Info, "worker stopped", json!({ "attempts": summary.attempts, "ended": summary.ended }));
    drop(log);
    output
        .value(&json!({ "ok": true, "attempts": summary.attempts, "ended": summary.ended, "endings": tally.endings }));
    output.line(format!("{} attempts: {tally}", summary.attempts));
    Ok(if wanted.once { tally.worst.into() } else { 0 })
}

/// What a report is in a log.
fn entry(report: &Report) -> (Level, &'static str, Value) {
    match report {
        Report::Begun { proposal_id } => (Level::Info, "attempt begun", json!({ "proposal_id": proposal_id })),
        Report::Draining { running } => (Level::Info, "draining", json!({ "running": running })),
        Report::LedgerFailed(error) => {
            (Level::Error, "the ledger cannot be read", json!({ "code": error.code(), "detail": error.message() }))
        }
        Report::Ended { proposal_id, result, took, next } => {
            let mut meta = json!({ "proposal_id": proposal_id, "duration_ms": took.as_secs_f64() * 1_000.0 });
            let mut put = |key: &str, value: Value| put(&mut meta, key, value);
            match next {
                Next::Retry(after) => put("retry_in_ms", json!(after.as_secs_f64() * 1_000.0)),
                Next::Parked => put("parked", json!(true)),
                _ => {}
            }
            match &**result {
                // It ended before this worker came to it.
                Ok(_) if *next == Next::Elsewhere => (Level::Info, "another worker has it", meta),
                Ok(applied) => {
                    put("attempt", json!(applied.record.standing.attempt));
                    put("code", code(applied));
                    let done = applied.ending.exit() == Exit::Done;
                    (if done { Level::Info } else { Level::Warn }, applied.ending.as_str(), meta)
                }
                Err(error) => {
                    put("code", json!(error.code()));
                    put("detail", json!(error.message()));
                    match next {
                        Next::Elsewhere if error.code() == Code::AttemptInFlight => {
                            (Level::Info, "another worker has it", meta)
                        }
                        Next::Elsewhere => (Level::Warn, "another worker has it", meta),
                        Next::Parked => (Level::Error, "not applied", meta),
                        _ => (Level::Warn, "not applied", meta),
                    }
                }
            }
        }
        _ => (Level::Info, "report", Value::Null),
    }
}

/// Why it ended so, where there is a code.
fn code(applied: &Applied) -> Value {
    let receipt = applied.receipt.as_ref().and_then(|record| record.receipt.safe_error_code.clone());
    json!(receipt.or_else(|| applied.record.standing.last_error.clone()))
}

/// How attempts ended, and the worst of it.
#[derive(Debug)]
pub struct Tally {
    pub endings: BTreeMap<String, u64>,
    pub worst: Exit,
    running: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self { endings: BTreeMap::new(), worst: Exit::Done, running: 0 }
    }
}

impl Tally {
    pub fn count(&mut self, report: &Report) {
        match report {
            Report::Begun { .. } => self.running += 1,
            Report::Ended { result, next, .. } => {
                self.running = self.running.saturating_sub(1);
                // What another worker does is its to tell.
                if *next == Next::Elsewhere {
                    return;
                }
                *self.endings.entry(ending(result)).or_default() += 1;
                let exit = result.as_ref().as_ref().map_or_else(Error::exit, |applied| applied.ending.exit());
                self.worst = worse(self.worst, exit);
            }
            _ => {}
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts: Vec<String> = self.endings.iter().map(|(word, count)| format!("{count} {word}")).collect();
        if self.running > 0 {
            parts.push(format!("{} running", self.running));
        }
        formatter.write_str(&if parts.is_empty() { "nothing to do".to_owned() } else { parts.join(", ") })
    }
}

/// The word of an ending, or the code of why there is none.
pub fn ending(result: &Result<Applied>) -> String {
    match result {
        Ok(applied) => applied.ending.as_str().to_owned(),
        Err(error) => error.code().to_string(),
    }
}

/// Not knowing is worst, then having failed.
fn worse(one: Exit, other: Exit) -> Exit {
    let rank = |exit| match exit {
        Exit::Unknown => 5,
        Exit::Failed => 4,
        Exit::Usage => 3,
        Exit::Refused => 2,
        Exit::Conflict => 1,
        Exit::Done => 0,
        _ => 4,
    };
    if rank(other) > rank(one) { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_ending_is_the_exit_code() {
        let order = [Exit::Done, Exit::Conflict, Exit::Refused, Exit::Usage, Exit::Failed, Exit::Unknown];
        for (index, one) in order.iter().enumerate() {
            for (other_index, other) in order.iter().enumerate() {
                assert_eq!(worse(*one, *other), order[index.max(other_index)]);
            }
        }
    }
}
