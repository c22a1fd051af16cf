//! Signoff: agents propose, people sign off, the change lands exactly once.

pub mod contract;
#[cfg(feature = "runtime")]
pub mod database;
pub mod error;
#[doc(hidden)]
pub mod fault;
pub mod guard;
pub mod primitives;

pub use error::{Code, Error, Result};
