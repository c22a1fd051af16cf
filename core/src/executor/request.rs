//! What the application is told: the body of v1, flat, with the whole change set beside it for those who read the
//! published schema.

use serde_json::{Map, Value, json};

use super::Execution;
use crate::error::Result;
use crate::guard::Purpose;
use crate::primitives::canonical;

/// The body that http and command share. It is the same at every attempt.
pub(super) fn body(execution: &Execution, executor: &str, audience: Option<&str>) -> Map<String, Value> {
    let Execution { change_set, approval, job, purpose, runner, .. } = execution;
    let wire = |value: serde_json::Result<Value>| value.unwrap_or(Value::Null);
    let mut change = wire(serde_json::to_value(change_set));
    // The published schema has the row in `target`; the proposal's hash covers `source`, which stays beside it.
    let target = wire(serde_json::to_value(&job.target));
    let member = |name: &str| change.get(name).cloned().unwrap_or(Value::Null);
    let mut body = Map::new();
    for name in
        ["proposal_id", "proposal_version", "action", "principal", "scope", "source", "before", "patch", "after"]
    {
        body.insert(name.to_owned(), member(name));
    }
    for name in ["guards", "evidence"] {
        body.insert(name.to_owned(), member(name));
    }
    let mut told = |name: &str, value: Value| body.insert(name.to_owned(), value);
    told("schema_version", "synapsor.handler-writeback.v1".into());
    told("writeback_job_id", handler_job_id(&job.writeback_job_id).into());
    told("proposal_hash", change_set.integrity.proposal_hash.as_str().into());
    told("runner_hint", runner.as_str().into());
    told("idempotency_key", job.idempotency_key.as_str().into());
    told("target", target.clone());
    told("tenant_guard", wire(serde_json::to_value(&job.tenant_guard)));
    told("allowed_columns", wire(serde_json::to_value(&job.allowed_columns)));
    told("executor", executor.into());
    told("source_database_mutated", false.into());
    told("dry_run", (*purpose == Purpose::DryRun).into());
    if let Some(decision) = approval {
        told(
            "approval",
            json!({
                "status": "approved",
                "approver": decision.approver,
                "role": change_set.approval.required_role.as_ref().or(decision.roles.first()),
                "approved_at": decision.decided_at.to_string(),
            }),
        );
    }
    if let Some(audience) = audience {
        told("audience", audience.into());
    }
    if let Some(change) = change.as_object_mut() {
        change.insert("target".to_owned(), target);
    }
    told("change_set", change);
    body
}

/// The canonical text of a body, so that the same change is the same bytes.
pub(super) fn text(body: Map<String, Value>) -> Result<String> {
    canonical(&Value::Object(body))
}

/// v1 names a handler's job `hwb_<proposal_id>`, the ledger's own is `wbj_<proposal_id>`.
fn handler_job_id(job_id: &str) -> String {
    format!("hwb_{}", job_id.strip_prefix("wbj_").unwrap_or(job_id))
}
