//! What a client may read by its handle: its own proposals, what it saw, and how they went. Only columns that its capability
//! shows, only of its own tenant and principal; everything else is not there.

use rmcp::ErrorData;
use rmcp::model::{ReadResourceResult, ResourceContents, ResourceTemplate};
use serde_json::{Value, json};

use crate::catalogue::ResultFormat;
use crate::error::{Code, Error};
use crate::ledger::ProposalRecord;
use crate::runtime::{Caller, Runtime};

const PROPOSALS: &str = "synapsor://proposals/";
const EVIDENCE: &str = "synapsor://evidence/";
const REPLAY: &str = "synapsor://replay/";

pub(super) fn templates() -> Vec<ResourceTemplate> {
    let template = |start: &str, name: &str, about: &str| {
        ResourceTemplate::new(format!("{start}{{id}}"), name).with_description(about).with_mime_type("application/json")
    };
    vec![
        template(PROPOSALS, "proposal", "A proposal of yours: its difference and where it stands."),
        template(EVIDENCE, "evidence", "What a read of yours showed."),
        template(REPLAY, "replay", "What happened to a proposal of yours, step by step."),
    ]
}

pub(super) async fn read(runtime: &Runtime, uri: &str, caller: &Caller) -> Result<ReadResourceResult, ErrorData> {
    let found = match (uri.strip_prefix(PROPOSALS), uri.strip_prefix(EVIDENCE), uri.strip_prefix(REPLAY)) {
        (Some(id), ..) => own(runtime, id, caller).await.map(|record| proposal(runtime, &record)),
        (_, Some(id), _) => evidence(runtime, id, caller).await,
        (.., Some(id)) => {
            let id = id.strip_prefix("replay_").unwrap_or(id);
            own(runtime, id, caller).await.map(|record| replay(runtime, &record))
        }
        _ => Err(Code::ResourceNotFound.into()),
    };
    match found {
        Ok(document) => {
            let contents = ResourceContents::text(document.to_string(), uri).with_mime_type("application/json");
            Ok(ReadResourceResult::new(vec![contents]))
        }
        // What is somebody else's and what is nobody's answer the same; only a ledger that cannot be used says so.
        Err(error) if error.retryable() => Err(ErrorData::internal_error("the ledger cannot be used now", None)),
        Err(_) => {
            let missing = Error::new(Code::ResourceNotFound);
            Err(ErrorData::invalid_params(missing.message(), Some(json!({ "code": missing.code() }))))
        }
    }
}

/// A proposal of the caller's own, by its whole id. Of anything else nothing is told but that there is no such thing: not
/// that it is somebody's, not that it has another form, not that it cannot be read.
pub(super) async fn own(runtime: &Runtime, id: &str, caller: &Caller) -> crate::Result<ProposalRecord> {
    let found = look(runtime, id, caller).await;
    found.map_err(|error| if error.retryable() { error } else { Code::ResourceNotFound.into() })
}

async fn look(runtime: &Runtime, id: &str, caller: &Caller) -> crate::Result<ProposalRecord> {
    let record = runtime.show(id).await?;
    let set = &record.change_set;
    shown_to(runtime, &set.action, caller)?;
    let (tenant, principal, _) = runtime.identify(Some(&set.action), caller)?;
    if set.scope.tenant_id == tenant && set.principal.id == principal {
        return Ok(record);
    }
    Err(Code::ResourceNotFound.into())
}

/// What came of a tool that the caller is offered no more is not there, either.
fn shown_to(runtime: &Runtime, capability: &str, caller: &Caller) -> crate::Result<()> {
    let known = runtime.contract().and_then(|contract| contract.capability(capability));
    if known.is_none_or(|capability| caller.is_offered(capability)) {
        Ok(())
    } else {
        Err(Code::ResourceNotFound.into())
    }
}

/// What a caller is told of its proposal.
pub(super) fn proposal(runtime: &Runtime, record: &ProposalRecord) -> Value {
    let envelope = runtime.proposal_envelope(record, ResultFormat::V2);
    json!({
        "proposal": envelope.body.get("proposal"),
        "state": record.state.v1_word(),
        "expires_at": record.standing.expires_at,
        "events": steps(record),
        "receipts": receipts(record),
    })
}

fn replay(runtime: &Runtime, record: &ProposalRecord) -> Value {
    let mut story = proposal(runtime, record);
    if let Some(story) = story.as_object_mut() {
        story.insert("replay_id".to_owned(), crate::protocol::replay_id(record.id()).into());
        story.insert("evidence".to_owned(), json!(record.change_set.evidence.bundle_id));
    }
    story
}

/// What happened and when. Who decided is not the model's business.
fn steps(record: &ProposalRecord) -> Value {
    record.events.iter().map(|event| json!({ "kind": event.kind, "at": event.at })).collect()
}

fn receipts(record: &ProposalRecord) -> Value {
    let told = record.receipts.iter().map(|receipt| &receipt.receipt);
    told.map(|receipt| json!({ "status": receipt.status, "rows_affected": receipt.rows_affected, "code": receipt.safe_error_code }))
        .collect()
}

async fn evidence(runtime: &Runtime, id: &str, caller: &Caller) -> crate::Result<Value> {
    let bundle = runtime.ledger().evidence(id).await?.ok_or(Code::ResourceNotFound)?;
    let said = |field: &str| bundle.document.get(field).and_then(Value::as_str).unwrap_or_default();
    shown_to(runtime, said("capability"), caller)?;
    let (tenant, principal, _) = runtime.identify(Some(said("capability")), caller)?;
    if said("tenant_id") != tenant || said("principal") != principal {
        return Err(Code::ResourceNotFound.into());
    }
    let items: Vec<Value> = bundle
        .document
        .get("items")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|item| json!({ "kind": item.get("kind"), "visible_row": item.get("visible_row") }))
        .collect();
    Ok(json!({ "id": bundle.id, "at": bundle.at, "capability": said("capability"), "items": items }))
}
