//! `signoff`: the operator's command line. It translates arguments and answers; every rule is in the library.

mod args;
mod commands;
mod output;
mod setup;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Arguments, Command, Config, ConfigCommand, Format};
use crate::output::Output;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut output = Output::new(arguments.json());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(&arguments, &mut output)),
        Err(_) => Err(signoff::Error::new(signoff::Code::Internal).with("detail", "no async runtime")),
    };
    match result {
        Ok(exit) => ExitCode::from(exit),
        Err(error) => {
            output.error(&error);
            ExitCode::from(u8::from(error.exit()))
        }
    }
}

async fn run(arguments: &Arguments, output: &mut Output) -> signoff::Result<u8> {
    let global = &arguments.global;
    let scanned = matches!(&arguments.command, Command::Config(Config { command: ConfigCommand::Validate(_) }));
    if global.format == Format::Sarif && !scanned {
        return Err(signoff::Error::new(signoff::Code::Usage)
            .with("problem", "--format sarif is for `signoff config validate`")
            .with("hint", "use --format json"));
    }
    match &arguments.command {
        Command::Demo(demo) => commands::demo::run(demo, output).await,
        Command::Config(config) => commands::config::run(global, config, output),
        Command::Tools(tools) => commands::tools::run(global, tools, output),
        Command::Propose(propose) => commands::propose::run(global, propose, output).await,
        Command::Proposals(proposals) => commands::proposals::run(global, proposals, output).await,
        Command::Apply(apply) => commands::apply::run(global, apply, output).await,
        Command::Replay(replay) => commands::replay::run(global, replay, output).await,
        Command::Receipts(receipts) => commands::receipts::run(global, receipts, output).await,
        Command::Store(store) => commands::store::run(global, store, output).await,
        Command::Handler(handler) => commands::handler::run(handler, output),
        Command::Smoke(smoke) => commands::smoke::run(global, smoke, output).await,
        Command::Validate(validate) => commands::validate::run(validate, output),
        Command::Benchmark(benchmark) => commands::benchmark::run(global, benchmark, output),
        Command::Completions(shell) => commands::manual::completions(shell),
        Command::Man(man) => commands::manual::man(man, output),
        Command::Doctor(_) => commands::doctor::run(global, output).await,
        Command::Writeback(writeback) => commands::writeback::run(global, writeback, output).await,
    }
}
