//! The reviewed config: parsed, validated, typed. It knows the names of environment variables, never their values.

mod auth;
mod authority;
mod concealed;
mod diagnostics;
mod exposure;
mod keys;
mod parse;
mod report;
mod rewrite;
mod types;

pub use auth::{Algorithm, KeySource, McpAuth};
pub use diagnostics::{DIAGNOSTICS, Diagnostic, DiagnosticInfo, EXAMPLE, EXAMPLE_CLOUD, Example, Severity};
pub use exposure::{Exposure, PolicyHint, RateLimit, ToolScope};
pub use keys::{KeyInfo, Names, Need, OBJECTS, ObjectInfo, Shape};
pub use report::Report;
pub use rewrite::{Change, Migration};
pub use types::*;

#[cfg(test)]
mod tests;
