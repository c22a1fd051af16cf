//! Sessions of the revisions before 2026-07-28, on the program.

use serde_json::json;
use signoff_tests::Workspace;
use signoff_tests::wire::{Served, TOKEN, hello, rpc};

#[test]
fn a_session_is_a_name_and_ends_when_its_caller_says_so() {
    let workspace = Workspace::with_invoices(1);
    let served = Served::start(&workspace, &[]);
    let list = rpc(1, "tools/list", json!({}));
    let session = served.message(&[], &hello("2025-11-25")).header("mcp-session-id").to_owned();
    let own = [("mcp-session-id", session.as_str())];
    assert_eq!(served.message(&own, &list).status, 200);
    assert_eq!(served.message(&own, &hello("2025-11-25")).status, 400, "it has begun");
    let unknown = served.message(&[("mcp-session-id", "00000000-0000-4000-8000-000000000000")], &list);
    assert_eq!((unknown.status, &unknown.json()["error"]["data"]["code"]), (404, &json!("HTTP_SESSION_NOT_FOUND")));
    assert_eq!(unknown.json()["id"], 1);
    // Whoever has no token learns nothing of sessions, and ends none.
    for method in ["POST", "DELETE"] {
        assert_eq!(served.ask(method, "/mcp", &own, b"{}").status, 401);
    }
    let bearer = format!("Bearer {TOKEN}");
    let end = |session: &str| {
        let headers = [("authorization", bearer.as_str()), ("mcp-session-id", session)];
        served.ask("DELETE", "/mcp", &headers, b"").status
    };
    assert_eq!(served.ask("DELETE", "/mcp", &[("authorization", &bearer)], b"").status, 400);
    assert_eq!(end("none"), 404);
    assert_eq!(end(&session), 204);
    assert_eq!(end(&session), 404);
    assert_eq!(served.message(&own, &list).status, 404);
    let one = served.message(&[], &hello("2025-11-25")).header("mcp-session-id").to_owned();
    let two = served.message(&[], &hello("2025-11-25")).header("mcp-session-id").to_owned();
    assert_ne!(one, two);
}
