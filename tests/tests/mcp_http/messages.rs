//! What is sent, and what it is answered with.

use serde_json::{Value, json};
use signoff_tests::Workspace;
use signoff_tests::wire::{Reply, Served, TOKEN, hello, rpc};

const MODERN: &str = "2026-07-28";

fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": { "name": "tests", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

fn modern(served: &Served, method: &str, name: Option<&str>, mut params: Value) -> Reply {
    params["_meta"] = meta();
    let mut headers = vec![("mcp-protocol-version", MODERN), ("mcp-method", method)];
    headers.extend(name.map(|name| ("mcp-name", name)));
    served.message(&headers, &rpc(7, method, params))
}

/// The same calls in both eras: one handler, the same answers.
#[test]
fn both_eras_read_and_propose() {
    let workspace = Workspace::with_invoices(2);
    let served = Served::start(&workspace, &[]);
    let begun = served.message(&[], &hello("2025-11-25"));
    assert_eq!(begun.json()["result"]["protocolVersion"], "2025-11-25");
    let session = begun.header("mcp-session-id").to_owned();
    assert_eq!(session.len(), 36);
    let legacy = [("mcp-session-id", session.as_str()), ("mcp-protocol-version", "2025-11-25")];
    let started = served.message(&legacy, &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    assert_eq!((started.status, started.body.as_str()), (202, ""));
    let listed = served.message(&legacy, &rpc(3, "tools/list", json!({}))).json();
    let named = |listed: &Value| -> Vec<String> {
        let tools = listed["result"]["tools"].as_array().unwrap_or_else(|| panic!("{listed}"));
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    };
    assert!(named(&listed).contains(&"billing.propose_late_fee_waiver".to_owned()));

    let discovered = modern(&served, "server/discover", None, json!({}));
    assert_eq!(discovered.status, 200, "{discovered:?}");
    assert_eq!(discovered.header("mcp-session-id"), "", "no session is minted");
    assert_eq!(named(&modern(&served, "tools/list", None, json!({})).json()), named(&listed));

    let arguments = json!({ "invoice_id": "INV-1" });
    let read = served.call(&legacy, "billing.inspect_invoice", arguments.clone());
    let call = json!({ "name": "billing.inspect_invoice", "arguments": arguments });
    let again = modern(&served, "tools/call", Some("billing.inspect_invoice"), call).json();
    assert_eq!(read["structuredContent"]["data"], again["result"]["structuredContent"]["data"]);

    let before = workspace.ask("SELECT late_fee_cents FROM invoices WHERE id = 'INV-2'");
    let proposed =
        served.call(&legacy, "billing.propose_late_fee_waiver", json!({ "invoice_id": "INV-2", "reason": "goodwill" }));
    let id = proposed["structuredContent"]["proposal"]["id"].as_str().expect("an id").to_owned();
    let uri = format!("synapsor://proposals/{id}");
    let resource = modern(&served, "resources/read", Some(&uri), json!({ "uri": uri })).json();
    assert!(
        resource["result"]["contents"][0]["text"].as_str().is_some_and(|text| text.contains("pending_review")),
        "{resource}"
    );
    assert_eq!(workspace.ask("SELECT late_fee_cents FROM invoices WHERE id = 'INV-2'"), before, "nothing was applied");
}

#[test]
fn codes_of_what_does_not_fit() {
    let workspace = Workspace::with_invoices(1);
    let served = Served::start(&workspace, &[]);
    let bearer = format!("Bearer {TOKEN}");
    let raw = |extra: &[(&str, &str)], body: &[u8]| {
        let mut headers = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
        headers.extend_from_slice(extra);
        served.ask("POST", "/mcp", &headers, body)
    };
    let at = |version| [("mcp-protocol-version", version)];
    let list = rpc(5, "tools/list", json!({})).to_string();
    let twice = br#"{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"billing.inspect_invoice","arguments":{"invoice_id":"INV-1","invoice_id":"INV-2"}}}"#;
    let batch = format!("[{list}]");
    let hello_in_modern = hello(MODERN).to_string();
    for (what, reply, status, number, id) in [
        ("no JSON", raw(&[], b"{"), 400, -32700, Value::Null),
        ("not UTF-8", raw(&[], b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}"), 400, -32700, json!(1)),
        ("a key twice", raw(&[], twice), 400, -32700, json!(9)),
        ("a batch", raw(&[], batch.as_bytes()), 400, -32600, Value::Null),
        ("empty", raw(&[], b""), 400, -32700, Value::Null),
        ("no object", raw(&[], b"7"), 400, -32600, Value::Null),
        ("no parameters", raw(&[], br#"{"jsonrpc":"2.0","id":2,"method":"tools/call"}"#), 400, -32602, json!(2)),
        ("a version of the future", raw(&at("2099-01-01"), list.as_bytes()), 400, -32022, json!(5)),
        (
            "no _meta",
            raw(&[("mcp-protocol-version", MODERN), ("mcp-method", "tools/list")], list.as_bytes()),
            400,
            -32602,
            json!(5),
        ),
        (
            "a handshake of the era without",
            raw(&[("mcp-protocol-version", MODERN), ("mcp-method", "initialize")], hello_in_modern.as_bytes()),
            404,
            -32601,
            json!(0),
        ),
        (
            "another method in the header",
            served.message(
                &[("mcp-protocol-version", MODERN), ("mcp-method", "tools/call")],
                &rpc(6, "tools/list", json!({ "_meta": meta() })),
            ),
            400,
            -32020,
            json!(6),
        ),
        (
            "no method in the header",
            served.message(&[("mcp-protocol-version", MODERN)], &rpc(6, "tools/list", json!({ "_meta": meta() }))),
            400,
            -32020,
            json!(6),
        ),
        (
            "no version in the header",
            served.message(&[("mcp-method", "tools/list")], &rpc(6, "tools/list", json!({ "_meta": meta() }))),
            400,
            -32020,
            json!(6),
        ),
        (
            "another name in the header",
            modern(
                &served,
                "tools/call",
                Some("billing.other"),
                json!({ "name": "billing.inspect_invoice", "arguments": {} }),
            ),
            400,
            -32020,
            json!(7),
        ),
        ("a method that there is not", modern(&served, "proposals/approve", None, json!({})), 404, -32601, json!(7)),
    ] {
        assert_eq!(reply.status, status, "{what}: {reply:?}");
        let told = reply.json();
        assert_eq!((&told["error"]["code"], &told["id"]), (&json!(number), &id), "{what}: {told}");
        assert_eq!(told["jsonrpc"], "2.0", "{what}");
    }
    let supported = raw(&at("2099-01-01"), list.as_bytes()).json();
    assert!(supported["error"]["data"]["supported"].as_array().is_some_and(|known| known.contains(&json!(MODERN))));
    // A name that is no ASCII is said in base64.
    let name = "=?base64?YmlsbGluZy5pbnNwZWN0X2ludm9pY2U=?=";
    let call = json!({ "name": "billing.inspect_invoice", "arguments": { "invoice_id": "INV-1" } });
    assert_eq!(modern(&served, "tools/call", Some(name), call).status, 200);
    // A revision of its own for each request: what is of the other era is ignored.
    let ignored = [
        ("mcp-protocol-version", MODERN),
        ("mcp-method", "tools/list"),
        ("mcp-session-id", "x"),
        ("last-event-id", "1"),
    ];
    let reply = served.message(&ignored, &rpc(6, "tools/list", json!({ "_meta": meta() })));
    assert_eq!((reply.status, reply.header("mcp-session-id")), (200, ""));
    assert_eq!(raw(&[("accept", "text/html")], list.as_bytes()).status, 406);
    for takes in ["application/json", "*/*", "application/json, text/event-stream", "text/html, application/json;q=0.5"]
    {
        assert_eq!(raw(&[("accept", takes)], list.as_bytes()).status, 200, "{takes}");
    }
}

#[test]
fn a_message_has_a_length_that_it_may_have() {
    let workspace = Workspace::with_invoices(1);
    let served = Served::start(&workspace, &[]);
    let bearer = format!("Bearer {TOKEN}");
    let padded = |length: usize| {
        let start = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#;
        format!("{start}{}", " ".repeat(length - start.len()))
    };
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    assert_eq!(served.ask("POST", "/mcp", &headers, padded(1 << 20).as_bytes()).status, 200);
    let reply = served.ask("POST", "/mcp", &headers, padded((1 << 20) + 1).as_bytes());
    assert_eq!((reply.status, &reply.json()["code"]), (413, &json!("HTTP_BODY_TOO_LARGE")));
    let long = json!({ "invoice_id": "x".repeat(70 << 10) });
    let answer = served.call(&[], "billing.inspect_invoice", long);
    assert_eq!(answer["isError"], true);
    assert!(answer["content"][0]["text"].as_str().is_some_and(|text| text.contains("INVALID_ARGUMENT")), "{answer}");
}

/// Plain JSON-RPC: the three methods, ids as they were sent, codes as the standard says.
#[test]
fn the_bridge() {
    let workspace = Workspace::with_invoices(1);
    let served = Served::start(&workspace, &["--transport", "json-rpc"]);
    let ask = |message: Value| served.message(&[], &message);
    let listed = ask(json!({ "id": "a", "method": "tools/list" })).json();
    assert_eq!(listed["id"], "a");
    assert_eq!(listed["result"]["tools"][0]["inputSchema"]["type"], "object", "a JSON Schema");
    for arguments in ["arguments", "args"] {
        let params = json!({ "name": "billing.inspect_invoice", arguments: { "invoice_id": "INV-1" } });
        let read = ask(json!({ "jsonrpc": "2.0", "id": 1.5, "method": "tools/call", "params": params }));
        assert_eq!(read.status, 400, "an id is a whole number or a text: {read:?}");
        let read = ask(json!({ "jsonrpc": "2.0", "id": 12, "method": "tools/call", "params": params })).json();
        assert_eq!((&read["id"], &read["result"]["structuredContent"]["data"]["id"]), (&json!(12), &json!("INV-1")));
    }
    for (message, status, number, code) in [
        (json!({ "id": 1, "method": "approve" }), 404, -32601, "HTTP_JSONRPC_METHOD_UNSUPPORTED"),
        (json!({ "id": 1, "method": "initialize" }), 404, -32601, "HTTP_JSONRPC_METHOD_UNSUPPORTED"),
        (json!({ "id": 1, "method": "tools/call", "params": {} }), 400, -32602, "HTTP_TOOL_NAME_REQUIRED"),
        (json!({ "id": 1, "method": "resources/read" }), 400, -32602, "HTTP_RESOURCE_URI_REQUIRED"),
    ] {
        let reply = ask(message);
        assert_eq!(reply.status, status, "{reply:?}");
        let told = reply.json();
        assert_eq!((&told["error"]["code"], &told["error"]["data"]["code"]), (&json!(number), &json!(code)));
        assert_eq!(told["id"], 1);
    }
    for message in [
        json!([]),
        json!(7),
        json!({ "method": "tools/list" }),
        json!({ "id": null, "method": "tools/list" }),
        json!({ "id": 1 }),
    ] {
        let reply = ask(message.clone());
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (400, &json!(-32600)), "{message}");
    }
    let missing =
        ask(json!({ "id": 3, "method": "resources/read", "params": { "uri": "synapsor://proposals/none" } })).json();
    assert_eq!((&missing["id"], &missing["error"]["data"]["code"]), (&json!(3), &json!("RESOURCE_NOT_FOUND")));
    // No number passes through a float on the way.
    let params = r#"{"name":"billing.propose_account_credit","arguments":{"invoice_id":"INV-1","amount_cents":9007199254740993,"reason":"x"}}"#;
    let text = format!(r#"{{"id":1,"method":"tools/call","params":{params}}}"#);
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let answer = served.ask("POST", "/mcp", &headers, text.as_bytes());
    assert_eq!(answer.json()["result"]["isError"], true, "{answer:?}");
}
