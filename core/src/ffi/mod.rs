//! The one facade for every language: owned requests in, a tagged answer out, typed and as JSON.
//!
//! A binding holds a [`Session`], hands it the JSON of a [`Request`] and gets the JSON of an [`Answer`]: `{"ok": true,
//! "value": …}` or `{"ok": false, "error": {code, message, help, retryable, context}}`. Nothing is thrown across, and no
//! rule lives beyond this point. What a value looks like is what `signoff --format json` prints for the same call.
//!
//! Values of a row are exact: a number is a whole one within ±(2^53 − 1), and what JSON cannot hold says its kind, as
//! `{"$int": "9007199254740993"}`, `{"$decimal": "12.30"}` or `{"$timestamp": "2026-06-20T14:31:08.123456+00:00"}`.
//!
//! ```
//! # use signoff::ffi::{Open, Session};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> signoff::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let ledger = folder.path().join("ledger.db").display().to_string();
//! let session = Session::open(Open { ledger: Some(ledger), create: true, ..Open::default() })?;
//! let answer = session.call_json(r#"{"call": "list", "list": "proposals"}"#).await;
//! assert_eq!(answer, r#"{"ok":true,"value":{"next_cursor":null,"proposals":[]}}"#);
//! # Ok(())
//! # }
//! ```

mod answer;
mod mcp;
mod open;
mod request;
mod session;
mod tools;

pub use answer::{Answer, exact};
pub use mcp::{McpMount, McpRequest};
pub use open::{ConfigSource, Open, Testing, audit_tools, check_contract, open_json};
pub use request::{
    ApplyRequest, By, CapabilityCall, Context, Decide, FinishTool, ListRequest, NextEvents, Outcome, Refusal, Request,
    ToolCall, ToolsRequest, Withdraw,
};
pub use session::Session;
