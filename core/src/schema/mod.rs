//! JSON Schemas (draft 7, the one that editors know best) of the contract and the protocol's documents, under v1's file
//! names. What v1 does not have is marked `"x-signoff-extension": true`.
//!
//! A schema says what a document's shape can be; the reader of the document says the rest. Whatever the reader takes, the
//! schema takes, too; a test compares the two over many documents.

mod build;
mod contract;
mod documents;
mod handler;
mod onboarding;

use serde_json::Value;

/// The file names of the schemas.
pub const NAMES: [&str; 8] = [
    "synapsor.runner.schema.json",
    "change-set.v1.schema.json",
    "writeback-job.v1.schema.json",
    "execution-receipt.v1.schema.json",
    "runner-registration.v1.schema.json",
    "onboarding-selection.v1.schema.json",
    "synapsor.app-handler-request.v1.json",
    "synapsor.app-handler-receipt.v1.json",
];

/// The schema of this file name, one of [`NAMES`].
///
/// ```
/// let schema = signoff::schema::schema("synapsor.runner.schema.json").ok_or("no such schema")?;
/// assert_eq!(schema["type"], "object");
/// # Ok::<(), &str>(())
/// ```
#[must_use]
pub fn schema(name: &str) -> Option<Value> {
    let body = match name {
        "synapsor.runner.schema.json" => contract::contract(),
        "change-set.v1.schema.json" => documents::change_set(),
        "writeback-job.v1.schema.json" => documents::writeback_job(),
        "execution-receipt.v1.schema.json" => documents::execution_receipt(),
        "runner-registration.v1.schema.json" => documents::runner_registration(),
        "onboarding-selection.v1.schema.json" => onboarding::selection(),
        "synapsor.app-handler-request.v1.json" => handler::request(),
        "synapsor.app-handler-receipt.v1.json" => handler::receipt(),
        _ => return None,
    };
    Some(build::document(name, body))
}
