// What it shows needs both.
#![cfg_attr(all(feature = "axum", feature = "sqlite"), doc = include_str!("../../README.md"))]
#![cfg_attr(
    not(all(feature = "axum", feature = "sqlite")),
    doc = "Signoff: agents propose, people sign off, the change lands exactly once."
)]
//!
//! How it works inside: [`docs::architecture`].
//!
//! # Features
//! - `sqlite` (default): SQLite as a source and as the embedded ledger.
//! - `runtime`: the proposal runtime without an engine.
//! - `handler`: the helper that an application's own endpoint imports. No I/O either.
//! - `axum`: the helper as a router over an sqlx transaction.
//! - `audit`: the static review of the tools that an MCP server offers.
//! - `mcp`: the agent's door, an MCP server.
//! - `mcp-http`: who comes in over HTTP.
//! - `ffi`: the facade that the packages of other languages call, and the tools of an application's own.
//! - none: contract, catalogue, protocol documents, and the guard; no I/O, no async runtime.
//! - `fault-injection`: numbered points at which a test can end the process. Never in a published build.

#[cfg(feature = "axum")]
mod adapters;
#[cfg(feature = "audit")]
pub mod audit;
pub mod catalogue;
pub mod contract;
#[cfg(feature = "runtime")]
pub mod database;
#[cfg(doc)]
pub mod docs;
pub mod error;
#[cfg(feature = "runtime")]
pub mod executor;
#[doc(hidden)]
pub mod fault;
#[cfg(feature = "ffi")]
pub mod ffi;
pub mod guard;
#[cfg(feature = "handler")]
pub mod handler;
#[cfg(feature = "runtime")]
pub mod ledger;
#[cfg(feature = "mcp")]
pub mod mcp;
pub mod onboarding;
pub mod primitives;
pub mod protocol;
#[cfg(feature = "runtime")]
pub mod runtime;
pub mod schema;

pub use error::{Code, Error, Result};
#[cfg(feature = "runtime")]
pub use runtime::Runtime;
