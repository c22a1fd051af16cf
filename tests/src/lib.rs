//! What the tests share: a billing workspace on disk, driven through the command line as its users would; its source on
//! either engine; the application's table for the guard alone; a throwaway Postgres server.

pub mod cluster;
pub mod fuzz;
pub mod gate;
pub mod library;
pub mod mutants;
pub mod pages;
pub mod pooler;
pub mod scale;
pub mod scenario;
pub mod shop;
pub mod source;
pub mod wire;
mod workspace;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

pub use source::{CONTRACT, Engine, TABLES};
pub use workspace::Workspace;

/// What a run of the command line answered.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; -1 for a signal.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("not JSON ({error}):\n{}\n{}", self.out, self.err))
    }

    /// The code of the error it answered.
    pub fn error_code(&self) -> String {
        self.json().pointer("/error/code").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Panics unless the exit code is this one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).expect("output is UTF-8"),
            err: String::from_utf8(output.stderr).expect("errors are UTF-8"),
        }
    }
}

/// The proposal's id in the answer of `propose`, in either envelope.
pub fn proposal_id(answer: &Value) -> String {
    let id = answer.pointer("/proposal/id").or_else(|| answer.pointer("/proposal_id")).and_then(Value::as_str);
    id.unwrap_or_else(|| panic!("no proposal id in {answer}")).to_owned()
}

/// A binary that `make test` built: by its variable, else where cargo puts it. Building is not a test's business, so a
/// missing one is a failure that says what to do.
pub fn binary(variable: &str, below_target: &str) -> PathBuf {
    let path = match std::env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => {
            let target = std::env::var_os("CARGO_TARGET_DIR")
                .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
            target.join(below_target)
        }
    };
    assert!(path.is_file(), "{} is not built: run `make test`, or set {variable}", path.display());
    path
}

/// Says why a test is not run here. It is said past the harness, which shows only what failed; with SIGNOFF_REQUIRE_ALL it
/// is a failure.
pub fn skip(reason: &str) {
    assert!(std::env::var_os("SIGNOFF_REQUIRE_ALL").is_none(), "{reason}");
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}

/// A number of rounds: small by default, whole with SIGNOFF_FULL=1.
pub fn rounds(small: u32, full: u32) -> u32 {
    if std::env::var_os("SIGNOFF_FULL").is_some() { full } else { small }
}
