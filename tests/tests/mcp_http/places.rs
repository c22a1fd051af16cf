//! Where requests go to and come from.

use serde_json::json;
use signoff_tests::Workspace;
use signoff_tests::wire::{Served, TOKEN, hello, rpc};

const ROUTES: [&str; 6] =
    ["/mcp", "/healthz", "/readyz", "/metrics", "/.well-known/oauth-protected-resource", "/anything"];

/// A page that was given our address under its own name reaches nothing, on any route, with any method.
#[test]
fn neither_another_host_nor_another_origin_reaches_a_route() {
    let workspace = Workspace::with_invoices(1);
    let served = Served::start(&workspace, &["--cors-origin", "https://chat.example", "--allowed-host", "mcp.example"]);
    let bearer = format!("Bearer {TOKEN}");
    for route in ROUTES {
        for method in ["GET", "POST", "DELETE", "OPTIONS", "PUT"] {
            for (name, value, code) in [
                ("host", "evil.example", "HTTP_HOST_REFUSED"),
                ("host", "169.254.169.254", "HTTP_HOST_REFUSED"),
                ("host", "localhost.evil.example", "HTTP_HOST_REFUSED"),
                ("origin", "https://evil.example", "HTTP_ORIGIN_REFUSED"),
                ("origin", "null", "HTTP_ORIGIN_REFUSED"),
                ("origin", "http://localhost", "HTTP_ORIGIN_REFUSED"),
            ] {
                let reply = served.ask(method, route, &[(name, value), ("authorization", &bearer)], b"");
                assert_eq!(reply.status, 403, "{method} {route} {name}: {value}");
                assert_eq!(reply.json()["code"], code);
                assert_eq!(reply.header("access-control-allow-origin"), "");
            }
        }
    }
    let reply =
        served.message(&[("host", "mcp.example:8766"), ("origin", "https://chat.example")], &hello("2025-11-25"));
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, "https://chat.example"));
    assert_eq!(reply.header("vary"), "Origin");
    let preflight = served.ask("OPTIONS", "/mcp", &[("origin", "https://chat.example")], b"");
    assert_eq!(preflight.status, 204);
    for needed in ["authorization", "mcp-protocol-version", "mcp-session-id", "last-event-id"] {
        assert!(preflight.header("access-control-allow-headers").contains(needed), "{preflight:?}");
    }
}

#[test]
fn routes() {
    let workspace = Workspace::with_invoices(1);
    let served = Served::start(&workspace, &[]);
    let bearer = format!("Bearer {TOKEN}");
    for route in ["/healthz", "/readyz"] {
        let reply = served.ask("GET", route, &[], b"");
        assert_eq!((reply.status, reply.body.as_str()), (200, r#"{"ok":true}"#), "nothing about tools or modes");
        assert_eq!((reply.header("cache-control"), reply.header("x-content-type-options")), ("no-store", "nosniff"));
        assert_eq!(served.ask("POST", route, &[], b"").status, 405);
    }
    assert_eq!(served.ask("GET", "/metrics", &[], b"").status, 401);
    served.call(&[], "billing.inspect_invoice", json!({ "invoice_id": "INV-1" }));
    let counted = served.ask("GET", "/metrics", &[("authorization", &bearer)], b"");
    assert!(counted.body.contains(r#"signoff_http_responses_total{status="401"} 1"#), "{}", counted.body);
    let called = r#"signoff_tool_calls_total{tool="billing.inspect_invoice",outcome="ok"} 1"#;
    assert!(counted.body.contains(called), "{}", counted.body);
    assert_eq!(served.ask("GET", "/nothing", &[("authorization", &bearer)], b"").status, 404);
    assert_eq!(
        served.ask("GET", "/.well-known/oauth-protected-resource", &[], b"").status,
        404,
        "no JWT is configured"
    );
    for method in ["GET", "PUT", "HEAD", "PATCH", "OPTIONS"] {
        let reply = served.ask(method, "/mcp", &[("authorization", &bearer)], b"");
        assert_eq!((reply.status, reply.header("allow")), (405, "POST, DELETE"), "{method}");
    }
}

#[test]
fn who_has_no_token_gets_nothing_and_no_server_starts_without_one() {
    let workspace = Workspace::with_invoices(1);
    let served = Served::start(&workspace, &[]);
    let with = |value: &str| {
        let message = rpc(1, "tools/list", json!({})).to_string();
        let headers = [("authorization", value), ("content-type", "application/json")];
        served.ask("POST", "/mcp", &headers, message.as_bytes())
    };
    let good = format!("Bearer {TOKEN}");
    assert_eq!(with(&good).status, 200);
    for wrong in ["", "Bearer", "Bearer ", "Basic YTpi", TOKEN, &good[..good.len() - 1], &format!("{good}x")] {
        let reply = with(wrong);
        assert_eq!(reply.status, 401, "{wrong}");
        assert!(reply.header("www-authenticate").starts_with("Bearer"), "{reply:?}");
        assert!(!reply.body.contains(TOKEN));
    }
    let address = format!("/mcp?access_token={TOKEN}");
    assert_ne!(served.ask("POST", &address, &[("content-type", "application/json")], b"{}").status, 200);

    let refused = |arguments: &[&str]| {
        let ran = workspace.json(["mcp", "serve-streamable-http", "--port", "0"].iter().chain(arguments).copied());
        (ran.code, ran.error_code())
    };
    assert_eq!(refused(&[]), (4, "HTTP_AUTH_TOKEN_MISSING".to_owned()));
    for host in ["0.0.0.0", "::", "192.0.2.1", "example.org"] {
        assert_eq!(
            refused(&["--dev-no-auth", "--host", host]),
            (2, "HTTP_DEV_NO_AUTH_UNSAFE_HOST".to_owned()),
            "{host}"
        );
    }
    assert_eq!(refused(&["--dev-no-auth", "--allowed-host", "*.example"]), (2, "HTTP_PLACE_INVALID".to_owned()));
    let ran = workspace.json(["mcp", "serve", "--port", "0"]);
    assert_eq!((ran.code, ran.error_code()), (2, "USAGE".to_owned()), "it would wait on standard input");
    assert_eq!(refused(&["--dev-no-auth", "--cors-origin", "nowhere"]), (2, "HTTP_PLACE_INVALID".to_owned()));
}

/// Without authentication it is for programs of this machine: a page of a browser, which sends what it likes as text/plain,
/// is none.
#[test]
fn without_authentication_pages_still_reach_nothing() {
    let workspace = Workspace::with_invoices(1);
    for transport in ["streamable-http", "json-rpc"] {
        let served = Served::start(&workspace, &["--transport", transport, "--dev-no-auth"]);
        let message = rpc(1, "tools/list", json!({})).to_string();
        let ask = |headers: &[(&str, &str)]| served.ask("POST", "/mcp", headers, message.as_bytes()).status;
        assert_eq!(ask(&[("content-type", "application/json")]), 200);
        assert_eq!(ask(&[("content-type", "text/plain")]), 415, "{transport}");
        assert_eq!(ask(&[]), 415, "{transport}");
        assert_eq!(ask(&[("content-type", "application/json"), ("origin", "http://localhost:3000")]), 403);
    }
}
