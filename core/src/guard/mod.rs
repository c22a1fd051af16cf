//! The one guard: the promise that an effect runs at most once per key, and only on an unchanged row of the right
//! tenant, in the same transaction as its receipt.
//!
//! It is a pure state machine. [`Guard::start`] takes a [`GuardJob`] and answers the first [`Step`]; an adapter performs
//! each step on one connection and hands the [`Reply`] to [`Guard::next`], until [`Step::Done`]. Adapters hold no rule:
//! not what a reply means, not when to roll back, not which failure is harmless.
//!
//! ```text
//! Begin ─▶ claim the key ─┬─ taken ─▶ read the stored receipt ─▶ Rollback ─▶ Done(Stored)
//!                         └─ ours  ─▶ lock the row ─▶ compare ─┬─ differs ─▶ finish as conflict ─▶ Commit ─▶ Done
//!                                                              └─ equal   ─▶ effect ─▶ re-read ─▶ finish ─▶ Commit ─▶ Done
//! ```

mod compare;
mod dialect;
mod failure;
mod job;
mod machine;
mod receipt;
mod statements;
mod wire;

pub use compare::row_hash;
pub use dialect::{ColumnType, Dialect, Normal};
pub use job::{Cell, Effect, GuardJob, Purpose};
pub use machine::{Failure, Guard, Outcome, Reply, Step};
pub use receipt::{ReceiptStatus, ReceiptTable, SourceReceipt};
pub use statements::Statement;
