//! Signoff: agents propose, people sign off, the change lands exactly once.

pub mod catalogue;
pub mod contract;
pub mod error;
pub mod primitives;

pub use error::{Code, Error, Result};
