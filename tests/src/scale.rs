//! Large ledgers, made through the ledger's own calls from one real proposal, without a source.

use std::sync::Arc;

use serde_json::Value;
use signoff::ledger::{
    Advance, Decision, Facts, Ledger, NewEvidence, NewProposal, NewRead, NewReceipt, SqliteLedger, Standing,
};
use signoff::primitives::{Digest, Identifier, Instant, Scalar, SystemClock};
use signoff::protocol::{ChangeSet, Event, ExecutionReceipt, ExecutionReceiptSchema, ReceiptStatus, WritebackJob};
use signoff::runtime::Caller;

use crate::{Workspace, library};

/// A proposal as the runtime made it, to make others like it.
#[derive(Debug, Clone)]
pub struct Template {
    set: ChangeSet,
    facts: Facts,
    evidence: Value,
    audit: Value,
}

/// When the first proposal of a filled ledger was made; each next one is a second later.
pub const BEGINNING: i64 = 1_780_000_000;

impl Template {
    /// Proposes once in a workspace of its own.
    pub async fn new() -> Self {
        let workspace = Workspace::new();
        let clock = Arc::new(SystemClock);
        let ledger = library::ledger(&workspace.path(""), "template.db", &*clock);
        let runtime = library::runtime(&workspace.path(""), &workspace.source.address(), ledger, clock);
        let arguments = r#"{"invoice_id":"INV-3001","reason":"first late payment in six years"}"#;
        let answer = runtime.propose("billing.propose_late_fee_waiver", arguments, &Caller::FromContract).await;
        let record = runtime.show(&answer.expect("proposed").change_set.proposal_id).await.expect("a record");
        let bundle = runtime.evidence_bundle(&record.change_set.evidence.bundle_id).await.expect("evidence");
        Self { set: record.change_set, facts: record.facts, evidence: bundle.document, audit: bundle.audit }
    }

    /// The `n`-th proposal: its own object, a tenant of ten, a principal of three.
    pub fn proposal(&self, n: u32) -> NewProposal {
        let (id, evidence_id) = (format!("wrp_{}", uuid("proposal", n)), format!("ev_{}", uuid("evidence", n)));
        let (object, at) = (format!("INV-{n}"), at(n));
        let (tenant, principal) = (format!("tenant_{}", n % 10), format!("agent_{}", n % 3));
        let mut set = self.set.clone();
        set.proposal_id.clone_from(&id);
        set.principal.id.clone_from(&principal);
        set.scope.tenant_id.clone_from(&tenant);
        set.scope.object_id.clone_from(&object);
        set.guards.tenant.value = Scalar::Text(tenant.clone());
        set.source.primary_key.value = Scalar::Text(object.clone());
        for row in [&mut set.before, &mut set.after] {
            row.insert(Identifier::new("id").expect("a name"), Scalar::Text(object.clone()));
            row.insert(Identifier::new("tenant_id").expect("a name"), Scalar::Text(tenant.clone()));
        }
        set.evidence.bundle_id.clone_from(&evidence_id);
        set.created_at = at.to_string();
        let set = set.seal().expect("it has a hash");
        let (mut evidence, mut audit) = (self.evidence.clone(), self.audit.clone());
        evidence["tenant_id"] = tenant.into();
        evidence["principal"] = principal.as_str().into();
        evidence["items"][0]["primary_key"]["value"] = object.as_str().into();
        audit["primary_key_value"] = object.into();
        let evidence = Some(NewEvidence { id: evidence_id, document: evidence });
        NewProposal {
            change_set: set,
            facts: self.facts.clone(),
            read: NewRead { at, actor: principal, evidence, audit },
            expires_at: Some(at.plus(std::time::Duration::from_secs(7 * 86_400))),
        }
    }
}

fn at(n: u32) -> Instant {
    Instant::from_unix(BEGINNING + i64::from(n)).expect("an instant")
}

/// The proposal's id.
pub fn proposal_id(n: u32) -> String {
    format!("wrp_{}", uuid("proposal", n))
}

fn uuid(what: &str, n: u32) -> String {
    let hex = Digest::of(format!("{what} {n}").as_bytes()).hex();
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

/// Adds proposals `from..to` at once: of eight, two stay pending, one is rejected, one ends in a conflict, four are
/// applied.
pub async fn fill(ledger: &Arc<SqliteLedger>, template: &Template, from: u32, to: u32) {
    const AT_ONCE: u32 = 64;
    let mut running = tokio::task::JoinSet::new();
    for lane in 0..AT_ONCE {
        let (ledger, template) = (Arc::clone(ledger), template.clone());
        running.spawn(async move {
            let mut n = from + lane;
            while n < to {
                live(&ledger, &template, n).await;
                n += AT_ONCE;
            }
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.expect("a lane ends");
    }
}

async fn live(ledger: &SqliteLedger, template: &Template, n: u32) {
    let proposal = template.proposal(n);
    let set = proposal.change_set.clone();
    ledger.record_proposal(proposal).await.expect("recorded");
    let lot = n % 8;
    if lot < 2 {
        return;
    }
    let record = ledger.load(&set.proposal_id).await.expect("loaded");
    let at = at(n);
    let step = |seq, event, standing| Advance {
        proposal_id: set.proposal_id.clone(),
        expected_seq: seq,
        event,
        actor: "dana".to_owned(),
        at,
        standing,
        decision: None,
        job: None,
        receipt: None,
        receipts_in: None,
        human: None,
    };
    let rejected = lot == 2;
    let decision = Decision {
        proposal_id: set.proposal_id.clone(),
        proposal_version: 1,
        proposal_hash: set.integrity.proposal_hash.clone(),
        authority: record.facts.authority,
        decision: if rejected { "rejected" } else { "approved" }.to_owned(),
        approver: "dana".to_owned(),
        roles: vec!["billing_lead".to_owned()],
        asserted: false,
        reason: Some("within policy".to_owned()),
        decided_at: at,
        expires_at: None,
        nonce: uuid("nonce", n),
    };
    let event = if rejected { Event::Reject } else { Event::Approve };
    let mut decide = step(record.last_seq, event, record.standing.clone());
    decide.decision = Some(decision);
    let decided = ledger.advance(decide).await.expect("decided").expect("nothing else moved it");
    if rejected {
        return;
    }
    let job = WritebackJob::derive(&set, 1, at.plus(std::time::Duration::from_secs(300))).expect("a job");
    let standing = Standing { attempt: 1, lease_expires_at: Some(job.lease.expires_at), ..record.standing.clone() };
    let mut claim = step(decided.seq, Event::Claim, standing);
    claim.actor = "local_runner".to_owned();
    claim.job = Some(job.clone());
    let claimed = ledger.advance(claim).await.expect("claimed").expect("nothing else moved it");
    let (event, status) =
        if lot == 3 { (Event::Conflict, ReceiptStatus::Conflict) } else { (Event::Applied, ReceiptStatus::Applied) };
    let receipt = ExecutionReceipt {
        schema_version: ExecutionReceiptSchema::V1,
        writeback_job_id: job.writeback_job_id.clone(),
        proposal_id: set.proposal_id.clone(),
        runner_id: "local_runner".to_owned(),
        status,
        rows_affected: u64::from(lot != 3),
        idempotency_key: job.idempotency_key.clone(),
        previous_version: None,
        new_version: None,
        source_database_mutated: lot != 3,
        executed_at: at.to_string(),
        safe_error_code: (lot == 3).then(|| "VERSION_CONFLICT".to_owned()),
        receipt_hash: String::new(),
    };
    let mut end = step(claimed.seq, event, Standing { attempt: 1, ..record.standing.clone() });
    end.actor = "local_runner".to_owned();
    end.receipt = Some(NewReceipt {
        receipt: receipt.seal().expect("it has a hash"),
        details: Some(serde_json::json!({ "attempt": 1 })),
    });
    ledger.advance(end).await.expect("ended").expect("nothing else moved it");
}
