//! The contract as an agent sees it: its tools, and the envelopes of their answers. Pure, and shared by every face.

mod alias;
#[cfg(feature = "ffi")]
mod application;
mod boundary;
mod envelope;
mod output;
mod tools;

pub use alias::{AliasMode, openai_alias};
#[cfg(feature = "ffi")]
pub use application::{ApplicationTool, CheckedTool};
pub use boundary::{BoundaryCheck, boundary};
pub use envelope::{
    Envelope, ProposalAnswer, ReadAnswer, ResultFormat, error_envelope, proposal_envelope, read_envelope,
};
pub use output::own_proposal_schema;
pub use tools::{Annotations, Tool, ToolOptions, check_tool_digests, tools};
