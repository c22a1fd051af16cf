//! The wire objects of protocol v1, typed and strict, and the lifecycle of a proposal.
//!
//! Reading a document goes three ways at once: the JSON has to be unambiguous (no key twice, no number that a float
//! would change), the types have to fit, and the typed document has to say everything that the text said. So what is
//! read writes back to equal JSON, decimals apart: they become strings, as in everything that is hashed.

mod change_set;
mod ids;
mod job;
mod lifecycle;
mod receipt;
mod registration;
mod wire;

pub use change_set::{
    Approval, ApprovalStatus, ChangeSet, ChangeSetMode, ChangeSetSchema, ChangeSource, ColumnValue, Columns, Evidence,
    Guards, Integrity, Principal, PrincipalSource, Scope, SourceKind, Writeback, WritebackMode, WritebackStatus,
};
pub use ids::{ROW_HASH_COLUMN, SINGLE_TENANT_COLUMN, idempotency_key, job_id, lease_id, replay_id};
pub use job::{ConflictGuard, EngineName, JobTarget, Lease, Operation, RunnerScope, WritebackJob, WritebackJobSchema};
pub use lifecycle::{Event, State, TABLE};
pub use receipt::{ExecutionReceipt, ExecutionReceiptSchema, ReceiptStatus};
pub use registration::{RegistrationScope, RunnerRegistration, RunnerRegistrationSchema};
