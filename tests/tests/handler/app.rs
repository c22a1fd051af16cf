//! An application with one action, its adapter, and requests for it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use signoff::guard::Dialect;
use signoff::handler::{
    AuthorResult, Handler, HandlerConfig, HandlerGuard, Received, Reply, Response, SigningSecrets, Step, sign,
};
use signoff::primitives::{Identifier, Instant, Scalar, Secret};

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// One connection of the application's own.
pub trait App {
    const DIALECT: Dialect;

    /// The application's handler: a new one for each request, which remembers nothing of the ones before.
    fn handler(&self) -> Handler {
        handler(Self::DIALECT)
    }
    /// Does what a step asks for, the effect apart.
    fn perform(&mut self, step: &Step) -> Reply;
    /// Runs what an author, or a bystander, writes.
    fn sql(&mut self, sql: &str);
    /// Reads, outputs as text.
    fn rows(&mut self, sql: &str) -> Vec<String>;
}

pub fn now() -> Instant {
    Instant::parse("2026-06-28T00:00:00Z").unwrap()
}

pub fn config(dialect: Dialect) -> HandlerConfig {
    let dialect = if dialect == Dialect::Postgres { "postgres" } else { "sqlite" };
    let config = json!({
        "dialect": dialect, "secrets": [SECRET], "audience": "billing-app",
        "actions": [
            { "name": "billing.credit", "table": "invoices", "key": "id", "tenant": "tenant_id", "version": "updated_at" },
            { "name": "billing.compare", "table": "invoices", "key": "id", "tenant": "tenant_id", "compare": ["status", "balance"] },
        ],
    });
    HandlerConfig::from_json(&config.to_string()).unwrap()
}

pub fn handler(dialect: Dialect) -> Handler {
    Handler::new(config(dialect)).unwrap()
}

/// The flat body that runners send.
pub fn body(key: &str) -> Value {
    json!({
        "protocol_version": "1.0", "schema_version": "synapsor.handler-writeback.v1", "writeback_job_id": "hwb_wrp_1",
        "proposal_id": "wrp_1", "proposal_version": 1, "proposal_hash": format!("sha256:{}", "1".repeat(64)),
        "action": "billing.credit", "idempotency_key": key, "audience": "billing-app",
        "target": { "schema": "public", "table": "invoices", "primary_key": { "column": "id", "value": 7 } },
        "tenant_guard": { "column": "tenant_id", "value": "acme" },
        "allowed_columns": ["credit_requested_cents", "credit_reason"],
        "before": { "status": "overdue", "balance": "25500.50", "updated_at": "2026-06-20T14:31:08.0003Z" },
        "patch": { "credit_requested_cents": 500, "credit_reason": "a courtesy" },
        "guards": { "expected_version": { "column": "updated_at", "value": "2026-06-20T14:31:08.0003Z" } },
        "approval": { "status": "approved", "required_role": "billing_lead" },
        "source_database_mutated": false, "issued_at": "2026-06-28T00:00:00Z", "dry_run": false,
    })
}

/// What `perform` and the author make of a request.
pub fn deliver<A: App>(app: &mut A, body: &Value, author: impl FnMut(&mut A, &HandlerGuard, &Row) -> Reply) -> Answer {
    deliver_to(&app.handler(), app, body, author)
}

pub type Row = BTreeMap<Identifier, Scalar>;

pub fn deliver_to<A: App>(
    handler: &Handler,
    app: &mut A,
    body: &Value,
    mut author: impl FnMut(&mut A, &HandlerGuard, &Row) -> Reply,
) -> Answer {
    let mut body = body.clone();
    if A::DIALECT == Dialect::Sqlite && body.pointer("/target/schema").is_some() {
        body["target"]["schema"] = "main".into();
        // As a reader of SQLite shows a real.
        if body["before"]["balance"] == "25500.50" {
            body["before"]["balance"] = "25500.5".into();
        }
    }
    let text = body.to_string();
    let secrets = SigningSecrets::new([Secret::new(SECRET.to_owned())]).unwrap();
    let headers = sign(text.as_bytes(), &secrets, body["idempotency_key"].as_str().unwrap(), now()).unwrap();
    let mut guard = match handler.receive(text.as_bytes(), &headers, now()) {
        Received::Respond(response) => return Answer::new(&response),
        Received::Run(guard) => guard,
        other => panic!("{other:?}"),
    };
    loop {
        let step = guard.step().clone();
        let reply = match &step {
            Step::Done { response } => return Answer::new(response),
            Step::Effect { row } => author(app, &guard, row),
            other => app.perform(other),
        };
        guard.next(reply);
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub http: u16,
    pub replayed: bool,
    pub body: Value,
}

impl Answer {
    fn new(response: &Response) -> Self {
        let replayed = response.headers.iter().any(|(name, value)| *name == "idempotent-replayed" && value == "true");
        Self { http: response.status, replayed, body: serde_json::from_str(&response.body).unwrap() }
    }

    /// Status code, status, code.
    pub fn told(&self) -> (u16, &str, &str) {
        let text = |key| self.body.get(key).and_then(Value::as_str).unwrap_or_default();
        (self.http, text("status"), text("safe_error_code"))
    }
}

/// What the author of the account credit writes: nothing of it touches the row's version.
pub fn credit<A: App>(app: &mut A) -> Reply {
    app.sql("INSERT INTO account_credits (invoice_id, amount_cents) VALUES (7, 500)");
    Reply::Author(AuthorResult::applied(1))
}

pub fn credits<A: App>(app: &mut A) -> usize {
    app.rows("SELECT 'x' FROM account_credits").len()
}

/// What a handler prints of itself, at every stage of a request, holds none of its secrets; nor does what it refuses.
#[test]
fn no_secret_is_printed() {
    let token = "planted-bearer-token";
    let text = json!({ "dialect": "sqlite", "secrets": [SECRET, "planted secret of 24 bytes"], "bearer_tokens": [token],
        "actions": [{ "name": "billing.credit", "table": "invoices", "key": "id", "tenant": "tenant_id", "version": "updated_at" }] });
    let config = HandlerConfig::from_json(&text.to_string()).unwrap();
    let mut printed = format!("{config:?}");
    let handler = Handler::new(config).unwrap();
    let mut body = body("k");
    body["target"]["schema"] = "main".into();
    let body = body.to_string();
    let secrets = SigningSecrets::new([Secret::new(SECRET.to_owned())]).unwrap();
    let mut headers = sign(body.as_bytes(), &secrets, "k", now()).unwrap();
    printed += &format!("{handler:?} {secrets:?} {:?}", handler.receive(body.as_bytes(), &headers, now()));
    headers.insert("authorization".to_owned(), format!("Bearer {token}"));
    printed += &format!("{:?}", handler.receive(body.as_bytes(), &headers, now()));
    headers.insert("webhook-timestamp".to_owned(), "1".to_owned());
    printed += &format!("{:?}", handler.receive(body.as_bytes(), &headers, now()));
    for wrong in ["secrets", "bearer_tokens", "audience", "dialect", "policy", "planted-key"] {
        let mut text = text.clone();
        text[wrong] = json!([{ "planted": SECRET }]);
        printed += &format!("{:?}", HandlerConfig::from_json(&text.to_string()).unwrap_err());
        text[wrong] = json!(SECRET);
        printed += &format!("{:?}", HandlerConfig::from_json(&text.to_string()).map(drop));
    }
    for secret in [SECRET, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "planted secret", token] {
        assert!(!printed.contains(secret), "{secret} stands in {printed}");
    }
    // It did print.
    assert!(
        printed.contains("planted-key") && printed.contains("INVALID_SIGNATURE") && printed.contains("UNAUTHORIZED")
    );
}
