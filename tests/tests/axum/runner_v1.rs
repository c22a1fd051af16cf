//! A request as a Synapsor Runner v1 sends it, built here from its published form and nothing of ours.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use signoff::handler::{HandlerConfig, Policy};
use signoff::primitives::{Clock as _, Secret, SystemClock};

use super::client::{Lines, send};
use super::shop::{App, config, shop};

const TOKEN: &str = "the-token-of-a-v1-demo";
const SHARED: &str = "a plain signing secret of v1's days";

/// Flat, its keys in the order in which v1 inserts them, without principal and audience, its approval as created.
fn body(issued_at: &str) -> String {
    format!(
        r#"{{"protocol_version":"1.0","schema_version":"synapsor.handler-writeback.v1","writeback_job_id":"hwb_wrp_1","proposal_id":"wrp_1","proposal_version":1,"proposal_hash":"sha256:{hash}","action":"billing.propose_account_credit","runner_hint":"synapsor-runner","idempotency_key":"wrp_1:INV-3001","source":{{"kind":"external_postgres","source_id":"billing_db","schema":"public","table":"invoices","primary_key":{{"column":"id","value":"INV-3001"}}}},"target":{{"schema":"public","table":"invoices","primary_key":{{"column":"id","value":"INV-3001"}}}},"tenant_guard":{{"column":"tenant_id","value":"acme"}},"allowed_columns":["credit_requested_cents","credit_reason"],"before":{{"credit_requested_cents":0,"credit_reason":null,"updated_at":"2026-06-20T14:31:08.0003Z"}},"patch":{{"credit_requested_cents":500,"credit_reason":"a courtesy"}},"after":{{"credit_requested_cents":500,"credit_reason":"a courtesy"}},"guards":{{"tenant":{{"column":"tenant_id","value":"acme"}},"allowed_columns":["credit_requested_cents","credit_reason"],"expected_version":{{"column":"updated_at","value":"2026-06-20T14:31:08.0003Z"}}}},"evidence":{{"bundle_id":"ev_1","query_fingerprint":"sha256:{hash}","items":[]}},"approval":{{"status":"pending","required_role":"billing_lead"}},"source_database_mutated":false,"issued_at":"{issued_at}","executor":"billing_app_handler","dry_run":false}}"#,
        hash = "1".repeat(64)
    )
}

/// Its headers: nothing of Standard Webhooks.
fn headers(body: &str, issued_at: &str) -> Lines {
    let mut mac = Hmac::<Sha256>::new_from_slice(SHARED.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    [
        ("accept", "application/json"),
        ("content-type", "application/json"),
        ("idempotency-key", "wrp_1:INV-3001"),
        ("authorization", &format!("Bearer {TOKEN}")),
        ("x-synapsor-issued-at", issued_at),
        ("x-synapsor-proposal-id", "wrp_1"),
        ("X-Synapsor-Signature", &signature),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

fn app(policy: Policy) -> Option<App> {
    let config = HandlerConfig {
        policy,
        audience: None,
        secrets: vec![Secret::new(SHARED.to_owned())],
        bearer_tokens: vec![Secret::new(TOKEN.to_owned())],
        ..config()
    };
    App::on(shop()?, 3, config, Ok)
}

#[test]
fn our_helper_in_compat_accepts_a_request_signed_as_a_synapsor_runner_v1_does() {
    let Some(app) = app(Policy::Compat) else { return };
    let issued_at = SystemClock.now().to_string();
    let body = body(&issued_at);
    let lines = headers(&body, &issued_at);
    let post = |lines: &Lines, body: &str| send(app.at, "POST", "/signoff/writeback", lines, body.as_bytes());
    let without = |name: &str| -> Lines { lines.iter().filter(|(known, _)| known != name).cloned().collect() };

    // What is not quite it is turned away and leaves nothing.
    let other = body.replace(r#""credit_requested_cents":500"#, r#""credit_requested_cents":501"#);
    let later = body.replace(&issued_at, "2999-01-01T00:00:00Z");
    for (lines, body, code) in [
        (&lines, &other, "INVALID_SIGNATURE"),
        (&without("X-Synapsor-Signature"), &body, "INVALID_SIGNATURE"),
        (&without("authorization"), &body, "UNAUTHORIZED"),
        (&without("x-synapsor-issued-at"), &body, "INVALID_ISSUED_AT"),
        (&headers(&later, "2999-01-01T00:00:00Z"), &later, "INVALID_ISSUED_AT"),
    ] {
        assert_eq!(post(lines, body).told(), (401, "failed", code));
    }
    assert!(app.effects() == 0 && app.receipts().is_empty());

    let answer = post(&lines, &body);
    assert_eq!(answer.told(), (200, "applied", ""), "{answer:?}");
    assert_eq!(
        (answer.body["rows_affected"].as_u64(), answer.body["source_database_mutated"].as_bool()),
        (Some(1), Some(true))
    );
    assert_eq!(post(&lines, &body).told(), (200, "already_applied", ""));
    assert_eq!((app.effects(), app.receipts()), (1, vec!["wrp_1:INV-3001|applied".to_owned()]));
}

/// Strict asks for more than v1 signs.
#[test]
fn our_helper_in_strict_does_not_accept_it() {
    let Some(app) = app(Policy::Strict) else { return };
    let issued_at = SystemClock.now().to_string();
    let body = body(&issued_at);
    let answer = send(app.at, "POST", "/signoff/writeback", &headers(&body, &issued_at), body.as_bytes());
    assert_eq!((answer.told(), app.effects()), ((401, "failed", "INVALID_SIGNATURE"), 0));
}
