//! `signoff`: the operator's command line. It translates arguments and answers; every rule is in the library.

mod args;
mod commands;
mod files;
mod output;
mod service;
mod setup;
mod table;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use signoff::primitives::looks_secret;

use crate::args::{
    Arguments, Command, Config, ConfigCommand, Format, Proposals, ProposalsCommand, Replay, ReplayCommand,
};
use crate::commands::mcp::{Mcp, McpCommand};
use crate::output::Output;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(refused) => return usage(&refused),
    };
    let mut output = Output::new(arguments.json());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(&arguments, &mut output)),
        Err(_) => Err(signoff::Error::new(signoff::Code::Internal).with("detail", "no async runtime")),
    };
    let exit = match result {
        Ok(exit) => exit,
        Err(error) => {
            output.error(&error);
            u8::from(error.exit())
        }
    };
    ExitCode::from(output.end(exit))
}

/// What clap refused: in its own words for people, and as an error with its code for programs.
fn usage(refused: &clap::Error) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).take_while(|word| word != "--").collect();
    let carries_input = words.iter().any(|word| word == "propose");
    let wanted = words.iter().any(|word| word == "--format=json" || (word == "--json" && !carries_input))
        || words.windows(2).any(|pair| matches!(pair, [flag, form] if flag == "--format" && form == "json"));
    let code = u8::try_from(refused.exit_code()).unwrap_or(2);
    if code != 0 && wanted {
        let text = refused.to_string();
        let text = text.trim().strip_prefix("error: ").unwrap_or_else(|| text.trim());
        let (problem, rest) = text.split_once("\n\n").unwrap_or((text, ""));
        let hint = rest.lines().map(str::trim).find(|line| line.starts_with("tip:")).unwrap_or("see --help");
        let problem = problem.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        let error = signoff::Error::new(signoff::Code::Usage).with("problem", problem);
        Output::new(true).error(&error.with("hint", hint.trim_start_matches("tip: ")));
    } else {
        // A reader that went away is not an error.
        let _ = if code != 0 && looks_secret(&refused.to_string()) {
            let text = "error: what is wrong in the command line looks like a credential, and is not repeated";
            writeln!(std::io::stderr(), "{text}\n\nFor more information, try '--help'.")
        } else {
            refused.print()
        };
    }
    ExitCode::from(code)
}

async fn run(arguments: &Arguments, output: &mut Output) -> signoff::Result<u8> {
    let global = &arguments.global;
    let audited = matches!(&arguments.command, Command::Audit(_) | Command::Mcp(Mcp { command: McpCommand::Audit(_) }));
    let scanned =
        audited || matches!(&arguments.command, Command::Config(Config { command: ConfigCommand::Validate(_) }));
    let told = matches!(
        &arguments.command,
        Command::Proposals(Proposals { command: ProposalsCommand::Export(_) })
            | Command::Replay(Replay { command: ReplayCommand::Export(_) })
    ) || audited;
    let misplaced = match global.format {
        Format::Sarif if !scanned => Some("--format sarif is for `signoff config validate` and `audit`"),
        Format::Markdown if !told => {
            Some("--format markdown is for `signoff proposals export`, `replay export` and `audit`")
        }
        _ => None,
    };
    if let Some(problem) = misplaced {
        let usage = signoff::Error::new(signoff::Code::Usage).with("problem", problem);
        return Err(usage.with("hint", "use --format json"));
    }
    match &arguments.command {
        Command::Demo(demo) => commands::demo::run(demo, output).await,
        Command::Config(config) => commands::config::run(global, config, output),
        Command::Tools(tools) => commands::tools::run(global, tools, output),
        Command::Propose(propose) => commands::propose::run(global, propose, output).await,
        Command::Proposals(proposals) => commands::proposals::run(global, proposals, output).await,
        Command::Apply(apply) => commands::apply::run(global, apply, output).await,
        Command::Worker(work) => commands::worker::run(global, work, output).await,
        Command::Replay(replay) => commands::replay::run(global, replay, output).await,
        Command::Receipts(receipts) => commands::receipts::run(global, receipts, output).await,
        Command::Evidence(evidence) => commands::evidence::run(global, evidence, output).await,
        Command::QueryAudit(audit) => commands::query_audit::run(global, audit, output).await,
        Command::Activity(activity) => commands::activity::run(global, activity, output).await,
        Command::Events(events) => commands::events::run(global, events, output).await,
        Command::Store(store) => commands::store::run(global, store, output).await,
        Command::Handler(handler) => commands::handler::run(handler, output),
        Command::Shadow(shadow) => commands::shadow::run(global, shadow, output).await,
        Command::Mcp(mcp) => commands::mcp::run(global, mcp, output).await,
        Command::Up(up) => commands::up::run(global, up, output).await,
        Command::Audit(audit) => commands::audit::run(global.format, audit, output).await,
        Command::Smoke(smoke) => commands::smoke::run(global, smoke, output).await,
        Command::Validate(validate) => commands::validate::run(validate, output),
        Command::Benchmark(benchmark) => commands::benchmark::run(global, benchmark, output),
        Command::Completions(shell) => commands::manual::completions(shell),
        Command::Man(man) => commands::manual::man(man, output),
        Command::Doctor(doctor) => commands::doctor::run(global, doctor, output).await,
        Command::Writeback(writeback) => commands::writeback::run(global, writeback, output).await,
    }
}
