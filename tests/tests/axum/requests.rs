//! What a request has to be.

use std::io::Write as _;

use serde_json::json;
use signoff::handler::{HandlerConfig, MAX_BODY, Policy};

use super::client::{SECRET, ago, begin, body, post, read, send, signed, signed_by, with};
use super::shop::{App, config, shop};

const PATH: &str = "/signoff/writeback";

#[test]
fn what_is_not_authentic_or_not_meant_for_us_runs_nothing() {
    let Some(app) = App::start(Ok) else { return };
    let request = body("k");
    let bytes = request.to_string();
    let try_with = |lines| send(app.at, "POST", PATH, &lines, bytes.as_bytes());

    let forged = signed_by("whsec_c29tZWJvZHkgZWxzZSdzIHNlY3JldA==", &request, ago(0));
    assert_eq!(try_with(forged).told(), (401, "failed", "INVALID_SIGNATURE"));
    assert_eq!(try_with(vec![]).told(), (401, "failed", "INVALID_SIGNATURE"));
    let stale = try_with(signed_by(SECRET, &request, ago(301)));
    assert_eq!(stale.told(), (401, "failed", "INVALID_ISSUED_AT"));
    // Captured, and sent again under a time of now.
    let now = ago(0).unix().to_string();
    let fresh = |(name, value): (String, String)| {
        let value = if name == "webhook-timestamp" { now.clone() } else { value };
        (name, value)
    };
    let replayed: Vec<_> = signed_by(SECRET, &request, ago(301)).into_iter().map(fresh).collect();
    assert_eq!(try_with(replayed).told(), (401, "failed", "INVALID_SIGNATURE"));
    let mut twice = signed(&request);
    twice.push(("Webhook-Id".to_owned(), "k".to_owned()));
    assert_eq!(try_with(twice).told(), (400, "failed", "HEADER_DUPLICATED"), "lines reach the core as they came");
    let changed = send(app.at, "POST", PATH, &signed(&request), bytes.replace("500", "501").as_bytes());
    assert_eq!(changed.told(), (401, "failed", "INVALID_SIGNATURE"));

    for (pointer, value, told) in [
        ("/tenant_guard/value", json!("globex"), (200, "conflict", "ROW_NOT_FOUND")),
        ("/tenant_guard/column", json!("customer_id"), (403, "failed", "TARGET_MISMATCH")),
        ("/action", json!("billing.other"), (400, "failed", "UNSUPPORTED_ACTION")),
        ("/audience", json!("another-app"), (403, "failed", "AUDIENCE_MISMATCH")),
        ("/target/table", json!("account_credits"), (403, "failed", "TARGET_MISMATCH")),
        // 300 microseconds.
        ("/guards/expected_version/value", json!("2026-06-20T14:31:08.0006Z"), (200, "conflict", "VERSION_CONFLICT")),
    ] {
        let key = pointer.replace('/', "_");
        let answer = app.post(&with(with(request.clone(), "/idempotency_key", json!(key)), pointer, value));
        assert_eq!(answer.told(), told, "{pointer}");
    }
    assert_eq!(app.effects(), 0);
    assert_eq!(app.receipts(), ["_guards_expected_version_value|conflict", "_tenant_guard_value|conflict"]);
    let logged = app.logged();
    assert!(logged.contains("signature") && !logged.contains("whsec"), "{logged}");
    assert_eq!(app.post(&request).told(), (200, "applied", ""), "the key is still free");
}

#[test]
fn compat_takes_synapsors_signature_if_the_body_says_when() {
    let Some(shop) = shop() else { return };
    let config = HandlerConfig { policy: Policy::Compat, ..config() };
    let Some(app) = App::on(shop, 5, config, Ok) else { return };
    let issued = |seconds| {
        let mut body = body("k");
        body["issued_at"] = json!(ago(seconds).to_string());
        body
    };
    let old = issued(301);
    let fresh = |(name, value): (String, String)| {
        let value = if name == "x-synapsor-issued-at" { ago(0).to_string() } else { value };
        (name, value)
    };
    let replayed = signed(&old).into_iter().map(fresh).collect();
    let answer = send(app.at, "POST", PATH, &replayed, old.to_string().as_bytes());
    assert_eq!(answer.told(), (401, "failed", "INVALID_ISSUED_AT"));
    assert_eq!((app.post(&issued(0)).told(), app.effects()), ((200, "applied", ""), 1));
}

#[test]
fn methods_paths_and_routes_of_the_applications_own() {
    let Some(app) = App::start(Ok) else { return };
    for method in ["GET", "DELETE", "OPTIONS"] {
        let answer = send(app.at, method, PATH, &vec![], b"");
        assert_eq!(
            (answer.told(), answer.header("allow")),
            ((405, "failed", "METHOD_NOT_ALLOWED"), Some("POST, PUT, PATCH"))
        );
    }
    for (key, method) in [("k1", "PUT"), ("k2", "PATCH")] {
        let request = body(key);
        let answer = send(app.at, method, PATH, &signed(&request), request.to_string().as_bytes());
        assert_eq!(answer.told(), (200, "applied", ""));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let health = send(app.at, "GET", "/signoff/healthz", &vec![], b"");
    assert_eq!((health.http, health.body), (200, json!({ "ok": true })));
    let state = send(app.at, "GET", "/state", &vec![], b"");
    assert_eq!((state.http, state.body), (200, json!(7)));
}

#[test]
fn a_body_beyond_the_limit_is_refused_before_it_is_read() {
    let Some(app) = App::start(Ok) else { return };
    // Announced, and not one byte of it sent.
    let mut socket = begin(app.at, "POST", PATH, &vec![], MAX_BODY + 1).unwrap();
    assert_eq!(read(&mut socket).unwrap().told(), (413, "failed", "BODY_TOO_LARGE"));
    // In chunks, and never ended: what is sent is one chunk beyond the limit.
    let mut socket = std::net::TcpStream::connect(app.at).unwrap();
    write!(socket, "POST {PATH} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n")
        .unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..17 {
        socket.write_all(chunk.as_bytes()).unwrap();
    }
    assert_eq!(read(&mut socket).unwrap().told(), (413, "failed", "BODY_TOO_LARGE"));
    // A body of exactly the limit is read.
    let mut whole = body("k").to_string();
    whole.push_str(&" ".repeat(MAX_BODY - whole.len()));
    let secrets = signoff::handler::SigningSecrets::new([signoff::primitives::Secret::new(SECRET.to_owned())]).unwrap();
    let lines = signoff::handler::sign(whole.as_bytes(), &secrets, "k", ago(0)).unwrap().into_iter().collect();
    assert_eq!(send(app.at, "POST", PATH, &lines, whole.as_bytes()).told(), (200, "applied", ""));
}

#[test]
fn the_same_key_with_another_body_and_a_duplicate() {
    let Some(app) = App::start(Ok) else { return };
    let first = app.post(&body("k"));
    assert_eq!((first.told(), first.replayed()), ((200, "applied", ""), false));
    let again = app.post(&body("k"));
    assert_eq!((again.told(), again.replayed()), ((200, "already_applied", ""), true));
    let other = app.post(&with(body("k"), "/patch/credit_requested_cents", json!(501)));
    assert_eq!(other.told(), (422, "failed", "IDEMPOTENCY_KEY_REUSED"));
    assert_eq!(app.effects(), 1);
}

#[test]
fn a_dry_run_calls_nobody_and_writes_nothing() {
    let Some(app) = App::start(Ok) else { return };
    let dry = with(body("k"), "/dry_run", json!(true));
    let rehearsed = post(app.at, &dry);
    assert_eq!((rehearsed.told(), &rehearsed.body["details"]), ((200, "applied", ""), &json!({ "dry_run": true })));
    let stale = with(dry, "/guards/expected_version/value", json!("2026-06-20T14:31:08Z"));
    assert_eq!(post(app.at, &stale).told(), (200, "conflict", "VERSION_CONFLICT"));
    assert_eq!((app.effects(), app.receipts().len()), (0, 0));
    assert_eq!(app.post(&body("k")).told(), (200, "applied", ""), "the key is free");
}

#[test]
fn a_missing_receipts_table_is_said() {
    let Some(app) = App::start(Ok) else { return };
    app.shop.sql("ALTER TABLE synapsor_handler_receipts RENAME TO elsewhere");
    let missing = app.post(&body("k"));
    assert_eq!(missing.told(), (500, "failed", "RECEIPT_TABLE_MISSING"));
    assert!(app.logged().contains("synapsor_handler_receipts"), "{}", app.logged());
    app.shop.sql("ALTER TABLE elsewhere RENAME TO synapsor_handler_receipts");
    assert_eq!((app.post(&body("k")).told(), app.effects()), ((200, "applied", ""), 1));
}
