//! One error object, and the one catalogue of codes it draws from.
//!
//! A [`Code`] never changes its meaning and is never renamed; the text of a message may. Programs match codes, people
//! read messages. Values that came from outside stand in the message with control and bidirectional characters made
//! visible; driver text and secrets never stand in it.

mod catalogue;
#[cfg(feature = "runtime")]
mod credential;
mod object;
mod text;

pub use catalogue::{Audience, CATALOGUE, Code, CodeInfo, Exit};
#[cfg(feature = "runtime")]
pub use credential::looks_secret;
pub use object::{Error, Result};
pub use text::{nearest, printable, quoted, visible_json};
