//! The answers a model gets, in both formats. Only [`Audience::Model`] errors show their message; of the others a model
//! learns that the call failed and whether it may come back.

use serde_json::{Map, Value, json};

use crate::contract::{Kind, Mode};
use crate::error::{Audience, Code, Error};

/// Said of every evidence handle.
const EVIDENCE_NOTE: &str = "audit/replay handle; you do not need to act on it during this turn";
/// Said of every proposal that waits for a decision.
const NEXT: &str = "A human must approve outside this model-facing tool surface; nothing is committed yet.";
/// Said of a proposal that nobody will decide.
const NEXT_SHADOW: &str = "Recorded for comparison only; it is never approved and nothing is committed.";
/// Said instead of what an operator has to know.
const SAFE_INTERNAL: &str = "The capability failed safely. Check the local runner logs for details.";
/// Said instead of what an operator has to know, where waiting may help.
const SAFE_UNAVAILABLE: &str = "The source or the ledger cannot be reached now. Nothing was changed; try again later.";

/// The shape of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ResultFormat {
    /// v1's first: success and error differ in shape.
    #[default]
    V1,
    /// One envelope for everything.
    V2,
}

impl ResultFormat {
    /// The format of a contract's `result_format`: 2 is the second, everything else the first.
    #[must_use]
    pub fn from_number(number: u8) -> Self {
        if number == 2 { Self::V2 } else { Self::V1 }
    }
}

/// What a call answers with, ready for MCP.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Envelope {
    /// The answer.
    pub body: Value,
    /// MCP's `isError`: true only for errors in format 1; a format 2 error is an ordinary result.
    pub is_error: bool,
}

/// A read, as the runtime did it.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadAnswer {
    /// The capability's name.
    pub action: String,
    /// The contract's mode.
    pub mode: Mode,
    /// The business object: the table.
    pub object_type: String,
    /// The id that was looked up.
    pub object_id: String,
    /// The visible columns and nothing else.
    pub data: Map<String, Value>,
    /// The tenant; `None` for a contract without tenants.
    pub tenant_id: Option<String>,
    /// On whose behalf.
    pub principal: String,
    /// Where tenant and principal come from: the provider's word.
    pub provenance: String,
    /// `ev_…`.
    pub evidence_bundle_id: String,
}

/// A proposal, as the runtime recorded it.
#[derive(Debug, Clone, PartialEq)]
pub struct ProposalAnswer {
    /// The capability's name.
    pub action: String,
    /// The business object: the table.
    pub object_type: String,
    /// The id that was looked up.
    pub object_id: String,
    /// The tenant; `None` for a contract without tenants.
    pub tenant_id: Option<String>,
    /// On whose behalf.
    pub principal: String,
    /// Where tenant and principal come from: the provider's word.
    pub provenance: String,
    /// `ev_…`.
    pub evidence_bundle_id: String,
    /// `wrp_…`.
    pub proposal_id: String,
    /// From 1.
    pub proposal_version: u64,
    /// `sha256:…`.
    pub proposal_hash: String,
    /// The state in v1's words, `pending_review` as a rule.
    pub state: String,
    /// Column → `{before, proposed}`.
    pub diff: Map<String, Value>,
    /// The executor's name, `sql_update` if none is named.
    pub executor: String,
    /// True: one guarded UPDATE; false: the application's own handler.
    pub direct_sql: bool,
    /// True: compared, never approved.
    pub shadow: bool,
    /// True: the same proposal was already open and is answered again.
    pub existing: bool,
}

/// The envelope of a read.
#[must_use]
pub fn read_envelope(answer: &ReadAnswer, format: ResultFormat) -> Envelope {
    let ReadAnswer { action, object_type, object_id, .. } = answer;
    let body = match format {
        ResultFormat::V1 => json!({
            "status": "ok",
            "action": action,
            "mode": answer.mode.as_str(),
            "business_object": {"type": object_type, "id": object_id},
            "data": answer.data,
            "trusted_context": {"tenant_id": answer.tenant_id, "principal": answer.principal, "provenance": answer.provenance},
            "evidence_bundle_id": answer.evidence_bundle_id,
            "evidence_resource": format!("synapsor://evidence/{}", answer.evidence_bundle_id),
            "source_database_changed": false,
            "source_database_mutated": false,
        }),
        ResultFormat::V2 => json!({
            "ok": true,
            "summary": format!("Read {object_type} {object_id} through {action}. Source database changed: no."),
            "action": action,
            "kind": "read",
            "data": answer.data,
            "proposal": null,
            "error": null,
            "evidence": evidence(&answer.evidence_bundle_id),
            "source_database_changed": false,
            "_meta": meta(answer.tenant_id.as_deref(), &answer.principal, &answer.provenance, action),
        }),
    };
    Envelope { body, is_error: false }
}

/// The envelope of a proposal. In both formats `existing: true` is added if it was open before.
#[must_use]
pub fn proposal_envelope(answer: &ProposalAnswer, format: ResultFormat) -> Envelope {
    let body = match format {
        ResultFormat::V1 => proposal_v1(answer),
        ResultFormat::V2 => proposal_v2(answer),
    };
    Envelope { body, is_error: false }
}

fn proposal_v1(answer: &ProposalAnswer) -> Value {
    let id = &answer.proposal_id;
    let mut body = json!({
        "status": if answer.shadow { "shadow_proposal_created" } else { "review_required" },
        "action": answer.action,
        "proposal_id": id,
        "proposal_version": answer.proposal_version,
        "proposal_hash": answer.proposal_hash,
        "target": {"type": answer.object_type, "id": answer.object_id, "tenant_id": answer.tenant_id},
        "diff": answer.diff,
        "evidence_bundle_id": answer.evidence_bundle_id,
        "evidence_resource": format!("synapsor://evidence/{}", answer.evidence_bundle_id),
        "proposal_resource": format!("synapsor://proposals/{id}"),
        "replay_resource": format!("synapsor://replay/replay_{id}"),
        "approval_required": true,
        "writeback": {"status": "not_applied", "mode": "trusted_worker_required", "executor": answer.executor},
        "source_database_changed": false,
        "source_database_mutated": false,
    });
    mark_existing(&mut body, answer);
    body
}

fn proposal_v2(answer: &ProposalAnswer) -> Value {
    let ProposalAnswer { proposal_id, object_type, object_id, .. } = answer;
    let did = if answer.existing { "Found open proposal" } else { "Created proposal" };
    let mut proposal = json!({
        "id": proposal_id,
        "state": answer.state,
        "target": format!("{object_type}:{object_id}"),
        "diff": answer.diff,
        "approval_required": !answer.shadow,
        "writeback": {"mode": if answer.direct_sql { "direct_update" } else { "app_handler" }, "applied": false},
        "next": if answer.shadow { NEXT_SHADOW } else { NEXT },
    });
    mark_existing(&mut proposal, answer);
    json!({
        "ok": true,
        "summary": format!("{did} {proposal_id} for {object_type} {object_id}. Source database changed: no."),
        "action": answer.action,
        "kind": "proposal",
        "data": null,
        "proposal": proposal,
        "error": null,
        "evidence": evidence(&answer.evidence_bundle_id),
        "source_database_changed": false,
        "_meta": meta(answer.tenant_id.as_deref(), &answer.principal, &answer.provenance, &answer.action),
    })
}

fn mark_existing(body: &mut Value, answer: &ProposalAnswer) {
    if let (true, Value::Object(map)) = (answer.existing, body) {
        map.insert("existing".to_owned(), Value::Bool(true));
    }
}

fn evidence(bundle_id: &str) -> Value {
    json!({"bundle_id": bundle_id, "note": EVIDENCE_NOTE})
}

fn meta(tenant_id: Option<&str>, principal: &str, provenance: &str, action: &str) -> Value {
    json!({"tenant_id": tenant_id, "principal": principal, "provenance": provenance, "canonical_capability": action})
}

/// The envelope of an error. `action` is the name that was called; `kind` that of the capability, if there is one.
#[must_use]
pub fn error_envelope(error: &Error, format: ResultFormat, action: &str, kind: Option<Kind>) -> Envelope {
    let (class, retryable) = class(error);
    let message = match error.audience() {
        Audience::Model => match error.help() {
            Some(help) => format!("{}; {help}", error.message()),
            None => error.message(),
        },
        Audience::Operator if retryable => SAFE_UNAVAILABLE.to_owned(),
        Audience::Operator => SAFE_INTERNAL.to_owned(),
    };
    let wait = error.field("retry_after_seconds").and_then(|seconds| seconds.parse::<u64>().ok());
    let (mut body, is_error) = match format {
        // Format 1 has no classes, and its clients match codes. A code alone names no table, column or credential.
        ResultFormat::V1 => (json!({"ok": false, "code": error.code().as_str(), "error": message}), true),
        ResultFormat::V2 => {
            let body = json!({
                "ok": false,
                "summary": format!("{message} Source database changed: no.", message = sentence(&message)),
                "action": action,
                "kind": kind.map(|kind| match kind { Kind::Read => "read", Kind::Proposal => "proposal" }),
                "data": null,
                "proposal": null,
                "error": {"code": class, "message": message, "retryable": retryable},
                "evidence": null,
                "source_database_changed": false,
                "_meta": {"canonical_capability": action},
            });
            (body, false)
        }
    };
    let told = if is_error { body.as_object_mut() } else { body.get_mut("error").and_then(Value::as_object_mut) };
    if let (Some(told), Some(wait)) = (told, wait) {
        told.insert("retry_after_seconds".to_owned(), wait.into());
    }
    Envelope { body, is_error }
}

fn sentence(message: &str) -> String {
    if message.ends_with('.') { message.to_owned() } else { format!("{message}.") }
}

/// The class a model is told, and whether the same call may succeed later.
fn class(error: &Error) -> (&'static str, bool) {
    use Code as C;
    let class = match error.code() {
        C::RowNotFound | C::ResourceNotFound => "NOT_FOUND_IN_TENANT",
        C::CapabilityNotFound => "CAPABILITY_NOT_FOUND",
        C::ProposalsDisabled => "APPROVAL_REQUIRED",
        C::ArgumentsInvalid
        | C::ToolArgumentsInvalid
        | C::ArgumentRequired
        | C::ArgumentTypeInvalid
        | C::ArgumentTooLong
        | C::ArgumentBelowMinimum
        | C::ArgumentAboveMaximum
        | C::ArgumentNotAllowed
        | C::ArgumentUnknown
        | C::ModelCannotOverrideBinding
        | C::LookupArgMissing
        | C::CapabilityKindMismatch
        | C::JsonInvalid
        | C::JsonDuplicateKey
        | C::JsonTooDeep
        | C::NumberNotExact => "INVALID_ARGUMENT",
        C::PatchBoundTypeInvalid
        | C::PatchBelowMinimum
        | C::PatchAboveMaximum
        | C::PatchTransitionTypeInvalid
        | C::PatchTransitionNotAllowed
        | C::PatchColumnNotAllowed
        | C::NoChange
        | C::ValueNotRepresentable
        | C::SecretMaterialRejected
        | C::ProposalActive
        | C::ProposalDecided
        | C::ConflictGuardMissing => "POLICY_VIOLATION",
        C::VersionConflict | C::RowChanged => "VERSION_CONFLICT",
        C::RowNotUnique | C::MultiRowWriteBlocked => "MULTI_ROW_BLOCKED",
        // v1 counts a missing credential as passing: the operator may set it while the server runs.
        C::SourceCredentialMissing => "TEMPORARILY_UNAVAILABLE",
        C::RateLimited => "RATE_LIMITED",
        _ if error.retryable() => "TEMPORARILY_UNAVAILABLE",
        // A missing trusted binding or context is here too. v1 calls it an invalid argument, which sends the model looking
        // for a tenant to supply: the one thing it must never do. It can do nothing about it, now or later.
        _ => "INTERNAL",
    };
    (class, matches!(class, "TEMPORARILY_UNAVAILABLE" | "RATE_LIMITED"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::CATALOGUE;

    fn read() -> ReadAnswer {
        ReadAnswer {
            action: "billing.inspect_invoice".into(),
            mode: Mode::Review,
            object_type: "invoices".into(),
            object_id: "INV-3001".into(),
            data: Map::from_iter([("late_fee_cents".to_owned(), json!(5500))]),
            tenant_id: Some("acme".into()),
            principal: "agent".into(),
            provenance: "environment".into(),
            evidence_bundle_id: "ev_1".into(),
        }
    }

    fn proposal() -> ProposalAnswer {
        ProposalAnswer {
            action: "billing.propose_late_fee_waiver".into(),
            object_type: "invoices".into(),
            object_id: "INV-3001".into(),
            tenant_id: Some("acme".into()),
            principal: "agent".into(),
            provenance: "environment".into(),
            evidence_bundle_id: "ev_1".into(),
            proposal_id: "wrp_1".into(),
            proposal_version: 1,
            proposal_hash: "sha256:00".into(),
            state: "pending_review".into(),
            diff: Map::from_iter([("late_fee_cents".to_owned(), json!({"before": 5500, "proposed": 0}))]),
            executor: "sql_update".into(),
            direct_sql: true,
            shadow: false,
            existing: false,
        }
    }

    #[test]
    fn reads() {
        let v1 = read_envelope(&read(), ResultFormat::V1).body;
        assert_eq!(v1["status"], "ok");
        assert_eq!(v1["business_object"], json!({"type": "invoices", "id": "INV-3001"}));
        assert_eq!(v1["evidence_resource"], "synapsor://evidence/ev_1");
        assert_eq!(v1["source_database_mutated"], false);
        let v2 = read_envelope(&read(), ResultFormat::V2).body;
        assert_eq!(
            v2["summary"],
            "Read invoices INV-3001 through billing.inspect_invoice. Source database changed: no."
        );
        assert_eq!(v2["data"], json!({"late_fee_cents": 5500}));
        assert_eq!((&v2["proposal"], &v2["error"]), (&Value::Null, &Value::Null));
        assert_eq!(v2.as_object().unwrap().len(), 10);
    }

    #[test]
    fn proposals() {
        let v1 = proposal_envelope(&proposal(), ResultFormat::V1).body;
        assert_eq!(v1["status"], "review_required");
        assert_eq!(v1["replay_resource"], "synapsor://replay/replay_wrp_1");
        assert_eq!(
            v1["writeback"],
            json!({"status": "not_applied", "mode": "trusted_worker_required", "executor": "sql_update"})
        );
        assert_eq!(v1.get("existing"), None);
        let v2 = proposal_envelope(&proposal(), ResultFormat::V2).body;
        assert_eq!(v2["proposal"]["writeback"], json!({"mode": "direct_update", "applied": false}));
        assert_eq!(v2["proposal"]["target"], "invoices:INV-3001");
        assert_eq!(v2["proposal"]["next"], NEXT);
        assert_eq!(v2["summary"], "Created proposal wrp_1 for invoices INV-3001. Source database changed: no.");
        let shadow = ProposalAnswer { shadow: true, existing: true, direct_sql: false, ..proposal() };
        assert_eq!(proposal_envelope(&shadow, ResultFormat::V1).body["status"], "shadow_proposal_created");
        let v2 = proposal_envelope(&shadow, ResultFormat::V2).body;
        assert_eq!(v2["proposal"]["existing"], true);
        assert_eq!(v2["proposal"]["approval_required"], false);
        assert_eq!(v2["proposal"]["writeback"]["mode"], "app_handler");
    }

    #[test]
    fn errors_for_the_model_say_what_to_do() {
        let error =
            Error::new(Code::ArgumentUnknown).with("argument", "zzz").with("capability", "a.b").with("known", "id");
        let v2 = error_envelope(&error, ResultFormat::V2, "a.b", Some(Kind::Read));
        assert!(!v2.is_error);
        let message = "`zzz` is not an argument of `a.b`; its arguments are: id";
        assert_eq!(v2.body["error"], json!({"code": "INVALID_ARGUMENT", "message": message, "retryable": false}));
        assert_eq!(v2.body["summary"], format!("{message}. Source database changed: no."));
        let v1 = error_envelope(&error, ResultFormat::V1, "a.b", None);
        assert!(v1.is_error);
        assert_eq!(v1.body, json!({"ok": false, "code": "ARGUMENT_UNKNOWN", "error": message}));
    }

    #[test]
    fn a_missing_binding_is_not_the_models_fault() {
        let error =
            Error::new(Code::TrustedBindingMissing).with("context", "trusted_context").with("binding", "tenant_id");
        let body = error_envelope(&error, ResultFormat::V2, "a.b", Some(Kind::Read)).body;
        assert_eq!(body["error"], json!({"code": "INTERNAL", "message": SAFE_INTERNAL, "retryable": false}));
    }

    #[test]
    fn no_operator_error_shows_its_context_in_either_format() {
        const MARK: &str = "m4rk";
        for (code, info) in CATALOGUE {
            let mut error = Error::new(*code);
            for field in [
                "table", "column", "object", "source", "variable", "reason", "path", "proposal", "other", "detail",
                "context",
            ] {
                error = error.with(field, MARK);
            }
            for format in [ResultFormat::V1, ResultFormat::V2] {
                let envelope = error_envelope(&error, format, "a.b", None);
                if info.audience == Audience::Operator {
                    assert!(!envelope.body.to_string().contains(MARK), "{code}");
                }
                if format == ResultFormat::V2 && error.retryable() {
                    assert_eq!(envelope.body["error"]["retryable"], true, "{code}");
                }
            }
        }
    }
}
