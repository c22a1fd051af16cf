//! Signoff: agents propose, people sign off, the change lands exactly once.

pub mod contract;
pub mod error;
pub mod primitives;
pub mod protocol;

pub use error::{Code, Error, Result};
