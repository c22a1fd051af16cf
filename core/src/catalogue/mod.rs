//! The contract as an agent sees it: its tools, and the envelopes of their answers. Pure, and shared by every face.

mod alias;
mod boundary;
mod envelope;
mod tools;

pub use alias::{AliasMode, openai_alias};
pub use boundary::{BoundaryCheck, boundary};
pub use envelope::{
    Envelope, ProposalAnswer, ReadAnswer, ResultFormat, error_envelope, proposal_envelope, read_envelope,
};
pub use tools::{Annotations, Tool, ToolOptions, tools};
