//! The static review of the tools that an MCP server offers. It reads, and calls nothing.

use std::path::Path;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use signoff::audit::{Severity, audit, example};
use signoff::catalogue::{ToolOptions, tools};
use signoff::contract::Contract;
use signoff::{Code, Error, Result};

use crate::args::{Format, JsonFlag};
use crate::output::Output;
use crate::setup::read_input;

#[derive(Debug, Args)]
pub struct Audit {
    /// The answer of tools/list, a manifest, a client's configuration with tools, or a contract of ours; `-` is standard input
    #[arg(required_unless_present = "example")]
    pub target: Option<String>,
    /// A server as it should not be, to see what a report looks like
    #[arg(long, conflicts_with = "target")]
    pub example: Option<ExampleName>,
    /// Exit with 1 if something is at least so bad
    #[arg(long, value_name = "SEVERITY")]
    pub fail_on: Option<FailOn>,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ExampleName {
    DangerousDbMcp,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum FailOn {
    High,
    Medium,
    Low,
}

pub fn run(format: Format, arguments: &Audit, output: &mut Output) -> Result<u8> {
    let (document, target) = match &arguments.target {
        None => (example(), "dangerous-db-mcp"),
        Some(path) => (document(path)?, path.as_str()),
    };
    let report = audit(&document, target);
    match format {
        _ if output.is_json() => output.value(&report),
        Format::Markdown => output.text(&report.markdown()),
        Format::Sarif => output.text(&format!("{}\n", crate::output::pretty(&report.sarif(target)))),
        _ => output.text(&report.human()),
    }
    let limit = arguments.fail_on.map(|limit| match limit {
        FailOn::High => Severity::High,
        FailOn::Medium => Severity::Medium,
        FailOn::Low => Severity::Low,
    });
    Ok(u8::from(limit.is_some_and(|limit| report.reaches(limit))))
}

/// A contract of ours is reviewed by the tools it offers.
fn document(path: &str) -> Result<Value> {
    let text = if path == "-" {
        std::io::read_to_string(std::io::stdin()).map_err(|error| {
            Error::new(Code::FileUnreadable).with("path", "standard input").with("reason", error.kind())
        })?
    } else {
        read_input(Path::new(path))?
    };
    if let Ok((contract, _)) = Contract::parse(&text) {
        return Ok(json!({ "tools": tools(&contract, &ToolOptions::default()) }));
    }
    serde_json::from_str(&text).map_err(|_| {
        Error::new(Code::Usage).with("problem", "the target is not JSON").with("hint", "save the answer of tools/list")
    })
}
