//! The reviewed config: parsed, validated, typed. It knows the names of environment variables, never their values.

mod authority;
mod diagnostics;
mod parse;
mod types;

pub use diagnostics::{DIAGNOSTICS, Diagnostic, DiagnosticInfo, EXAMPLE, EXAMPLE_CLOUD, Example, Severity};
pub use types::*;

#[cfg(test)]
mod tests;
