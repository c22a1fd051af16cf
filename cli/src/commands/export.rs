//! Writing a proposal or its story to a file, for people or programs.

use std::fs::OpenOptions;
use std::io::Write as _;

use serde_json::json;
use signoff::{Code, Error, Result, Runtime};

use super::resolve;
use crate::args::{Export, Format, Global};
use crate::output::Output;

pub async fn proposal(global: &Global, runtime: &Runtime, wanted: &Export, output: &mut Output) -> Result<u8> {
    let id = resolve(runtime, which(wanted)).await?;
    let text = if as_markdown(global, wanted) {
        runtime.replay(&id).await?.proposal_markdown()
    } else {
        pretty(&runtime.show(&id).await?.view())
    };
    write(wanted.output.as_deref(), &text, output)
}

pub async fn replay(global: &Global, runtime: &Runtime, wanted: &Export, output: &mut Output) -> Result<u8> {
    let id = resolve(runtime, which(wanted)).await?;
    let story = runtime.replay(&id).await?;
    let text = if as_markdown(global, wanted) {
        story.markdown()
    } else {
        pretty(&serde_json::to_value(&story).unwrap_or_default())
    };
    write(wanted.output.as_deref(), &text, output)
}

fn which(wanted: &Export) -> &str {
    wanted.proposal.as_deref().or(wanted.replay.as_deref()).unwrap_or(&wanted.id)
}

/// As the flag says, else by the file's name.
fn as_markdown(global: &Global, wanted: &Export) -> bool {
    let named = wanted.output.as_deref().is_some_and(|path| path.ends_with(".md") || path.ends_with(".markdown"));
    global.format == Format::Markdown || (global.format == Format::Human && named)
}

/// A record as it is.
pub fn record(value: &impl serde::Serialize, wanted: Option<&str>, output: &mut Output) -> Result<u8> {
    write(wanted, &pretty(&serde_json::to_value(value).unwrap_or_default()), output)
}

fn pretty(value: &impl serde::Serialize) -> String {
    format!("{}\n", crate::output::pretty(value))
}

/// A file is made, never overwritten, and is its owner's alone: it holds what the ledger holds.
fn write(path: Option<&str>, text: &str, output: &mut Output) -> Result<u8> {
    let Some(path) = path else {
        output.text(text);
        return Ok(0);
    };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .map_err(|error| Error::new(Code::FileUnwritable).with("path", path).with("reason", error.kind()))?;
    output.value(&json!({ "ok": true, "path": path, "bytes": text.len() }));
    output.line(format!("{path}: {} bytes", text.len()));
    Ok(0)
}
