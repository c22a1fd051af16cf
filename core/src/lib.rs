//! Signoff: agents propose, people sign off, the change lands exactly once.

pub mod catalogue;
pub mod contract;
#[cfg(feature = "runtime")]
pub mod database;
pub mod error;
#[cfg(feature = "runtime")]
pub mod executor;
#[doc(hidden)]
pub mod fault;
pub mod guard;
#[cfg(feature = "runtime")]
pub mod ledger;
pub mod primitives;
pub mod protocol;
#[cfg(feature = "runtime")]
pub mod runtime;

pub use error::{Code, Error, Result};
#[cfg(feature = "runtime")]
pub use runtime::Runtime;
