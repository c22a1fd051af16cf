//! Carrying an approved change out. An executor decides nothing: it gets a job that was derived and checked, and says
//! truthfully how it ended.

mod sql_update;

pub use sql_update::SqlUpdate;

use std::fmt::Debug;

use async_trait::async_trait;

use crate::error::{Error, Result};
use crate::guard::{Purpose, ReceiptTable, SourceReceipt};
use crate::ledger::Facts;
use crate::primitives::{Identifier, Instant};
use crate::protocol::{ChangeSet, WritebackJob};

/// An approved change, derived from its proposal, with the job issued for this attempt.
#[derive(Debug, Clone)]
pub struct Execution {
    /// The change set, verified.
    pub change_set: ChangeSet,
    /// What the ledger keeps beside it.
    pub facts: Facts,
    /// The job of this attempt.
    pub job: WritebackJob,
    /// Apply, dry run, tombstone, or a conflict decided beforehand.
    pub purpose: Purpose,
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
    /// The key is taken by a tombstone: it never lands.
    Canceled(SourceReceipt),
    /// A dry run: `None` would be written, `Some` is why not.
    Rehearsed(Option<(crate::error::Code, Option<Identifier>)>),
    /// This attempt certainly had no effect.
    Released(Error),
    /// Nobody knows yet.
    Unknown,
}

/// A way to carry changes out.
#[async_trait]
pub trait Executor: Send + Sync + Debug {
    /// Where it finds and leaves receipts, if it does so in the source itself.
    fn receipts(&self) -> Option<&ReceiptTable> {
        None
    }

    /// Runs one attempt to its end. Cancelling the future does not stop it.
    ///
    /// # Errors
    /// Only before anything was done: the attempt is released.
    async fn execute(&self, execution: Execution) -> Result<Ended>;
}
