//! Every class of error that format 2 knows, as it really comes about, and in words that a model may read.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use signoff::catalogue::ResultFormat;
use signoff::ffi::{ConfigSource, Open, Session};
use signoff::primitives::SystemClock;
use signoff::runtime::{Caller, Environment};
use signoff_tests::library::{block, ledger, runtime};

use super::house::{House, INSPECT, WAIVE, acme};

/// Every class, as `docs` and clients know them.
const CLASSES: [&str; 10] = [
    "APPROVAL_REQUIRED",
    "CAPABILITY_NOT_FOUND",
    "INTERNAL",
    "INVALID_ARGUMENT",
    "MULTI_ROW_BLOCKED",
    "NOT_FOUND_IN_TENANT",
    "POLICY_VIOLATION",
    "RATE_LIMITED",
    "TEMPORARILY_UNAVAILABLE",
    "VERSION_CONFLICT",
];

#[test]
fn every_class_comes_about() {
    let mut seen = BTreeSet::new();
    let mut told = |body: &Value, class: &str| {
        let error = &body["error"];
        assert_eq!((&body["ok"], error["code"].as_str()), (&json!(false), Some(class)), "{body}");
        assert_eq!((&body["data"], &body["proposal"], &body["evidence"]), (&Value::Null, &Value::Null, &Value::Null));
        let again = matches!(class, "TEMPORARILY_UNAVAILABLE" | "RATE_LIMITED");
        assert_eq!(error["retryable"], again, "{body}");
        let words = body.to_string().to_lowercase();
        for never in ["sqlite", "select ", "billing.db", "billing_app_read_url", "globex", "tenant_id = "] {
            assert!(!words.contains(never), "{never} in {words}");
        }
        seen.insert(class.to_owned());
    };
    let late = r#"{"invoice_id":"INV-1","reason":"late"}"#;
    let ann = acme("ann", &[]);
    let house = House::new();
    block(async {
        let call = async |house: &House, tool: &str, arguments: &str, who: &Caller| {
            house.runtime.call_tool(tool, arguments, who, ResultFormat::V2).await.body
        };
        told(&call(&house, INSPECT, r#"{"invoice_id":"INV-9001"}"#, &ann).await, "NOT_FOUND_IN_TENANT");
        told(&call(&house, "billing.approve", "{}", &ann).await, "CAPABILITY_NOT_FOUND");
        told(&call(&house, INSPECT, r#"{"invoice_id":7}"#, &ann).await, "INVALID_ARGUMENT");
        call(&house, WAIVE, late, &ann).await;
        told(&call(&house, WAIVE, late, &acme("bob", &[])).await, "POLICY_VIOLATION");
        house.workspace.sql("UPDATE invoices SET late_fee_cents = 0, waiver_reason = 'same' WHERE id = 'INV-2'");
        told(&call(&house, WAIVE, r#"{"invoice_id":"INV-2","reason":"same"}"#, &ann).await, "POLICY_VIOLATION");
        let read_only = House::with(|contract| {
            contract["mode"] = json!("read_only");
            contract.as_object_mut().unwrap().remove("executors");
            contract["capabilities"][2].as_object_mut().unwrap().remove("executor");
        });
        told(&call(&read_only, WAIVE, late, &ann).await, "APPROVAL_REQUIRED");
        let many = House::with(|contract| contract["capabilities"][0]["target"]["primary_key"] = json!("status"));
        told(&call(&many, INSPECT, r#"{"invoice_id":"overdue"}"#, &ann).await, "MULTI_ROW_BLOCKED");
        // Nobody said where the source is, who asks, or that it is there.
        let ledger = || ledger(&house.workspace.path(""), "other.db", &SystemClock);
        let address = house.workspace.source.address();
        let clock = || Arc::new(SystemClock);
        let nowhere = runtime(&house.workspace.path(""), &address, ledger(), clock())
            .with_environment(Environment::new(|_| None));
        let body = nowhere.call_tool(INSPECT, r#"{"invoice_id":"INV-1"}"#, &ann, ResultFormat::V2).await.body;
        told(&body, "TEMPORARILY_UNAVAILABLE");
        let nobody = {
            let address = address.clone();
            let environment = Environment::new(move |name| name.starts_with("BILLING").then(|| address.clone()));
            runtime(&house.workspace.path(""), "", ledger(), clock()).with_environment(environment)
        };
        let body =
            nobody.call_tool(INSPECT, r#"{"invoice_id":"INV-1"}"#, &Caller::FromContract, ResultFormat::V2).await.body;
        told(&body, "INTERNAL");
        let gone = runtime(&house.workspace.path(""), "/nowhere/at/all.db", ledger(), clock());
        let body = gone.call_tool(INSPECT, r#"{"invoice_id":"INV-1"}"#, &ann, ResultFormat::V2).await.body;
        told(&body, "TEMPORARILY_UNAVAILABLE");
        let body = house.runtime.refuse_limited(INSPECT, 3, &ann, ResultFormat::V2).await.body;
        assert_eq!(body["error"]["retry_after_seconds"], 3);
        told(&body, "RATE_LIMITED");
    });
    // A conflict is met while applying, where no model is; a tool of the application's own may pass one on.
    let session = Session::open(Open {
        config: Some(ConfigSource::Path(house.workspace.path("signoff.json").display().to_string())),
        ledger: Some(house.workspace.path("session.db").display().to_string()),
        create: true,
        environment: [("SYNAPSOR_TENANT_ID", "acme"), ("SYNAPSOR_PRINCIPAL", "ann")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        testing: None,
    })
    .unwrap();
    let ask =
        |request: Value| -> Value { serde_json::from_str(&block(session.call_json(&request.to_string()))).unwrap() };
    let tool = json!({
        "call": "register_tool", "name": "billing.again", "description": "Tries again.", "kind": "read",
        "input_schema": { "type": "object", "properties": {} }, "scope": [INSPECT],
    });
    assert_eq!(ask(tool)["ok"], true);
    let of = json!({ "tool": "billing.again", "arguments": "{}", "format": 2 });
    let outcome = json!({ "refused": { "code": "VERSION_CONFLICT", "context": {} } });
    let ended = ask(json!({ "call": "finish_tool", "of": of, "outcome": outcome }));
    told(&ended["value"]["envelope"], "VERSION_CONFLICT");
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), CLASSES);
}
