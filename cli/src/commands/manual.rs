//! What a packager or a shell wants to know of the command line, made from the command line itself.

use std::io::Write;
use std::path::Path;

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use signoff::{Code, Error, Result};

use crate::args::Arguments;
use crate::output::Output;

#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub struct Man {
    /// Write a page for every command into this directory, instead of the first page to standard output
    #[arg(long, value_name = "DIR")]
    pub dir: Option<String>,
}

pub fn completions(completions: &Completions) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut Arguments::command(), "signoff", &mut script);
    // A reader that went away is not an error.
    let _ = std::io::stdout().write_all(&script);
    Ok(0)
}

pub fn man(man: &Man, output: &mut Output) -> Result<u8> {
    let failed = |path: &Path, error: &std::io::Error| {
        Error::new(Code::FileUnwritable).with("path", path.display()).with("reason", error.kind())
    };
    let Some(dir) = man.dir.as_deref().map(Path::new) else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Arguments::command())
            .render(&mut page)
            .map_err(|error| failed(Path::new("standard output"), &error))?;
        let _ = std::io::stdout().write_all(&page);
        return Ok(0);
    };
    std::fs::create_dir_all(dir).map_err(|error| failed(dir, &error))?;
    clap_mangen::generate_to(Arguments::command(), dir).map_err(|error| failed(dir, &error))?;
    output.value(&serde_json::json!({ "ok": true, "dir": dir.display().to_string() }));
    output.line(format!("man pages are in {}", dir.display()));
    Ok(0)
}
