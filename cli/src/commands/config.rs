use std::path::{Path, PathBuf};

use serde_json::json;
use serde_json::value::RawValue;
use signoff::contract::{Contract, Diagnostic, Migration, Report, Severity};
use signoff::runtime::read_contract;
use signoff::{Code, Error, Result};
use similar::{ChangeTag, TextDiff};

use crate::args::{Config, ConfigCommand, ConfigMigrate, Format, Global};
use crate::files::{create, replace};
use crate::output::Output;
use crate::setup;

pub fn run(global: &Global, config: &Config, output: &mut Output) -> Result<u8> {
    let path = setup::config_path(global)?.ok_or_else(setup::no_config)?;
    let text = read_contract(&path)?;
    match &config.command {
        ConfigCommand::Validate(_) => validate(global, &path, &text, output),
        ConfigCommand::Show(_) => show(&path, &text, output),
        ConfigCommand::Migrate(migrate) => self::migrate(migrate, &path, &text, output),
    }
}

fn validate(global: &Global, path: &Path, text: &str, output: &mut Output) -> Result<u8> {
    let (ok, diagnostics) = match Contract::parse(text) {
        Ok((_, warnings)) => (true, warnings),
        Err(all) => (false, all),
    };
    if !output.is_json() && global.format == Format::Sarif {
        let name = path.display().to_string();
        let log = Report { path: &name, text, diagnostics: &diagnostics }.sarif();
        output.raw(&format!("{}\n", crate::output::pretty(&log)));
        return Ok(u8::from(!ok));
    }
    output.value(&json!({ "ok": ok, "path": path, "diagnostics": diagnostics }));
    found(path, text, &diagnostics, output);
    let (errors, warnings) = count(&diagnostics);
    if ok {
        output.line(format!("config valid: {} ({warnings})", path.display()));
        Ok(0)
    } else {
        output.line(format!("config invalid: {} ({errors}, {warnings})", path.display()));
        Ok(1)
    }
}

fn show(path: &Path, text: &str, output: &mut Output) -> Result<u8> {
    let shown = Contract::redacted(text)?;
    if output.is_json() {
        // As written: numbers keep their digits, members their order.
        let config = RawValue::from_string(shown).map_err(|_| Error::new(Code::Internal).with("detail", "not JSON"))?;
        let valid = Contract::parse(text).is_ok();
        output.value(&Shown { ok: true, path, valid, config: &config });
    } else {
        output.raw(&shown);
        if !shown.ends_with('\n') {
            output.raw("\n");
        }
    }
    Ok(0)
}

#[derive(serde::Serialize)]
struct Shown<'a> {
    ok: bool,
    path: &'a Path,
    valid: bool,
    config: &'a RawValue,
}

fn migrate(options: &ConfigMigrate, path: &Path, text: &str, output: &mut Output) -> Result<u8> {
    let migration = Contract::migrate(text);
    let invalid = migration.diagnostics.iter().any(|finding| finding.severity == Severity::Error);
    let changed = !migration.changes.is_empty();
    difference(path, text, &migration, output);
    if invalid {
        output.value(&answer(path, &migration, false, None, None));
        found(path, &migration.text, &migration.diagnostics, output);
        let (errors, _) = count(&migration.diagnostics);
        output.line(format!("nothing written: {errors} left in {}, for you to decide", path.display()));
        return Ok(1);
    }
    let (mut written, mut backup) = (None, None);
    if let Some(target) = &options.output {
        create(Path::new(target), &migration.text)?;
        written = Some(PathBuf::from(target));
    } else if options.write && changed {
        backup = Some(replace(path, text, &migration.text)?);
        written = Some(path.to_owned());
    }
    output.value(&answer(path, &migration, true, written.as_deref(), backup.as_deref()));
    match (&written, &backup) {
        (Some(file), Some(backup)) => {
            output.line(format!("written: {}; the old one is {}", file.display(), backup.display()))
        }
        (Some(file), None) => output.line(format!("written: {}", file.display())),
        (None, _) if changed => output.line("nothing written: --write does it in place, --output FILE beside it"),
        (None, _) => output.line(format!("config already current: {}", path.display())),
    }
    Ok(0)
}

fn answer(
    path: &Path,
    migration: &Migration,
    ok: bool,
    written: Option<&Path>,
    backup: Option<&Path>,
) -> serde_json::Value {
    json!({
        "ok": ok, "path": path, "changes": migration.changes, "written": written, "backup": backup,
        "diagnostics": migration.diagnostics,
    })
}

/// The findings with their lines, for people.
fn found(path: &Path, text: &str, diagnostics: &[Diagnostic], output: &mut Output) {
    let name = path.display().to_string();
    let report = Report { path: &name, text, diagnostics };
    if !output.is_json() {
        output.raw(&report.human(output.colour()));
    }
}

/// "2 errors", "1 warning".
fn count(diagnostics: &[Diagnostic]) -> (String, String) {
    let errors = diagnostics.iter().filter(|finding| finding.severity == Severity::Error).count();
    let told = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    (told(errors, "error"), told(diagnostics.len() - errors, "warning"))
}

/// What changes, line by line; what looks like a credential is masked on both sides.
fn difference(path: &Path, old: &str, migration: &Migration, output: &mut Output) {
    let masked = |text: &str| Contract::redacted(text).unwrap_or_default();
    let (old, new) = (masked(old), masked(&migration.text));
    if output.is_json() || old == new {
        return;
    }
    output.line(output.strong(&format!("--- {0}\n+++ {0}", path.display())));
    let diff = TextDiff::from_lines(&old, &new);
    for hunk in diff.unified_diff().context_radius(2).iter_hunks() {
        output.line(hunk.header().to_string());
        for change in hunk.iter_changes() {
            let line = change.value().trim_end_matches(['\n', '\r']);
            output.line(match change.tag() {
                ChangeTag::Delete => output.old(&format!("-{line}")),
                ChangeTag::Insert => output.new_value(&format!("+{line}")),
                ChangeTag::Equal => format!(" {line}"),
            });
        }
    }
}
