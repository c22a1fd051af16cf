use serde_json::json;
use signoff::Result;
use signoff::contract::{Contract, Severity};

use crate::args::{Config, ConfigCommand, Global};
use crate::output::Output;
use crate::setup;

pub fn run(global: &Global, config: &Config, output: &mut Output) -> Result<u8> {
    match &config.command {
        ConfigCommand::Validate(_) => validate(global, output),
    }
}

fn validate(global: &Global, output: &mut Output) -> Result<u8> {
    let path = setup::config_path(global)?.ok_or_else(setup::no_config)?;
    let text = setup::read_file(&path)?;
    let (ok, diagnostics) = match Contract::parse(&text) {
        Ok((_, warnings)) => (true, warnings),
        Err(all) => (false, all),
    };
    output.value(&json!({ "ok": ok, "path": path, "diagnostics": diagnostics }));
    for diagnostic in &diagnostics {
        output.line(format!("{}: {diagnostic}", path.display()));
    }
    let (errors, warnings): (Vec<_>, Vec<_>) =
        diagnostics.iter().partition(|diagnostic| diagnostic.severity == Severity::Error);
    if ok {
        output.line(format!("config valid: {} ({} warnings)", path.display(), warnings.len()));
        Ok(0)
    } else {
        output.line(format!(
            "config invalid: {} ({} errors, {} warnings)",
            path.display(),
            errors.len(),
            warnings.len()
        ));
        Ok(1)
    }
}
