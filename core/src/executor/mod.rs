//! Carrying an approved change out. An executor decides nothing: it gets a job that was derived and checked, and says
//! truthfully how it ended.
//!
//! | executor | who writes | where the receipt that counts is |
//! |---|---|---|
//! | [`SqlUpdate`] | the guard's own UPDATE | the source's receipts table |
//! | [`HttpHandler`] | the application, asked by a signed request | the application's; it answers the same key the same way |
//! | [`CommandHandler`] | a local command, asked by a line of JSON | the command's |

#[cfg(any(feature = "http", feature = "command"))]
mod answer;
#[cfg(all(feature = "command", unix))]
mod command;
#[cfg(feature = "http")]
mod http;
#[cfg(any(feature = "http", feature = "command"))]
mod masks;
#[cfg(any(feature = "http", feature = "command"))]
mod request;
mod sql_update;

#[cfg(all(feature = "command", unix))]
pub(crate) use command::INHERITED;
#[cfg(all(feature = "command", unix))]
pub use command::{CommandHandler, CommandSettings};
#[cfg(feature = "mcp-http")]
pub(crate) use http::Document;
#[cfg(feature = "http")]
pub use http::{Client, HttpHandler, HttpSettings, Resolve, SystemResolver};
#[cfg(any(feature = "http", feature = "command"))]
pub use masks::Masks;
pub use sql_update::SqlUpdate;

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::{Error, Result};
use crate::guard::{Purpose, ReceiptTable, SourceReceipt};
use crate::ledger::{Decision, Facts};
use crate::primitives::{Identifier, Instant};
use crate::protocol::{ChangeSet, WritebackJob};

/// An approved change, derived from its proposal, with the job issued for this attempt.
#[derive(Debug, Clone)]
pub struct Execution {
    /// The change set, verified.
    pub change_set: ChangeSet,
    /// What the ledger keeps beside it.
    pub facts: Facts,
    /// The decision it rests on.
    pub approval: Option<Decision>,
    /// The job of this attempt.
    pub job: WritebackJob,
    /// Apply, dry run, tombstone, or a conflict decided beforehand.
    pub purpose: Purpose,
    /// True while the end of an earlier attempt is not known: what only tells of this one resolves nothing.
    pub unresolved: bool,
    /// Who applies.
    pub runner: String,
    /// When the attempt began.
    pub now: Instant,
}

/// How an attempt ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Ended {
    /// It landed now.
    Applied(SourceReceipt),
    /// It had landed before, under the same key.
    AlreadyApplied(SourceReceipt),
    /// The row had changed: recorded at the source, now or before.
    Conflict(SourceReceipt),
    /// The application refused it for good.
    Failed(SourceReceipt),
    /// The key is taken by a tombstone: it never lands.
    Canceled(SourceReceipt),
    /// A dry run: `None` would be written, `Some` is why not.
    Rehearsed(Option<(crate::error::Code, Option<Identifier>)>),
    /// This attempt certainly had no effect; [`Error::retryable`] says whether another may have one.
    Released(Error),
    /// Asked to come back with the same key.
    Again {
        /// What was said.
        error: Error,
        /// True if somebody may be writing under this key now: not to come back leaves the outcome unknown.
        unsure: bool,
        /// When, if that was said.
        after: Option<Duration>,
    },
    /// Nobody knows yet, and why.
    Unknown(String),
}

/// A way to carry changes out.
#[async_trait]
pub trait Executor: Send + Sync + Debug {
    /// Where it finds and leaves receipts, if it does so in the source itself. An executor without is one of the
    /// application's own: no tombstone can be written there, and a live lease is never taken over.
    fn receipts(&self) -> Option<&ReceiptTable> {
        None
    }

    /// How long an attempt may take; its lease holds longer.
    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether a dry run is for it, or the live row alone tells.
    fn rehearses(&self) -> bool {
        true
    }

    /// Runs one attempt to its end. Cancelling the future does not stop it.
    ///
    /// # Errors
    /// Only before anything was done: the attempt is released.
    async fn execute(&self, execution: Execution) -> Result<Ended>;
}
