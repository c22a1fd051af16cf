//! Documents of the protocol, checked as a worker or a handler would read them; their hashes are recomputed where they have one.

use std::path::Path;

use clap::Args;
use serde_json::json;
use signoff::Result;
use signoff::protocol::{ChangeSet, ExecutionReceipt, RunnerRegistration, WritebackJob};

use crate::args::JsonFlag;
use crate::output::Output;
use crate::setup::read_input;

#[derive(Debug, Args)]
#[group(id = "document", required = true, multiple = false, args = ["job", "change_set", "receipt", "registration"])]
pub struct Validate {
    /// A writeback job, of schema v1 or of the older 1.0
    #[arg(long, value_name = "FILE")]
    pub job: Option<String>,
    /// A change set
    #[arg(long, value_name = "FILE")]
    pub change_set: Option<String>,
    /// An execution receipt
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<String>,
    /// A runner's registration
    #[arg(long, value_name = "FILE")]
    pub registration: Option<String>,
    /// Also recompute the hash of a change set or a receipt
    #[arg(long)]
    pub verify_hash: bool,
    #[command(flatten)]
    pub json: JsonFlag,
}

pub fn run(validate: &Validate, output: &mut Output) -> Result<u8> {
    let read = |path: &String| read_input(Path::new(path));
    let (kind, id, hash) = if let Some(path) = &validate.job {
        let job = WritebackJob::parse_any(&read(path)?)?;
        ("job", job.writeback_job_id, None)
    } else if let Some(path) = &validate.change_set {
        let set = ChangeSet::parse(&read(path)?)?;
        let verified = validate.verify_hash.then(|| set.verify_hash()).transpose()?;
        ("change set", set.proposal_id, verified)
    } else if let Some(path) = &validate.receipt {
        let receipt = ExecutionReceipt::parse(&read(path)?)?;
        let verified = validate.verify_hash.then(|| receipt.verify_hash()).transpose()?;
        ("receipt", receipt.writeback_job_id, verified)
    } else {
        let path = validate.registration.as_ref().map(read).transpose()?.unwrap_or_default();
        ("registration", RunnerRegistration::parse(&path)?.runner_id, None)
    };
    output.value(&json!({ "ok": true, "document": kind, "id": id, "hash_verified": hash.is_some() }));
    output.line(format!("{kind} valid"));
    Ok(0)
}
