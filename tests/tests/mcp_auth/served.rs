//! The program over HTTP with tokens: every request brings its own caller, and a session stays whose it was.

use serde_json::{Value, json};
use signoff_tests::Workspace;
use signoff_tests::wire::{Reply, Served, TOKEN, hello, rpc};

use super::house::*;

struct Door {
    workspace: Workspace,
    served: Served,
    issuer: Signer,
}

impl Door {
    fn new() -> Self {
        let issuer = Signer::ed25519();
        let workspace = Workspace::with_invoices(3);
        let keys = workspace.path("keys.json");
        std::fs::write(&keys, json!({ "keys": [issuer.jwk("ed")] }).to_string()).unwrap();
        let mut contract: Value = serde_json::from_str(&workspace.contract()).unwrap();
        let file = json!({ "jwks_url": null, "jwks_file": keys.display().to_string() });
        contract["signoff"] = json!({ "mcp": { "auth": with(&auth("x"), file) } });
        contract["trusted_context"] =
            json!({ "provider": "http_claims", "values": { "tenant_id_key": "tenant", "principal_key": "sub" } });
        // Proposals are offered to `billing`, and to nobody else.
        for capability in contract["capabilities"].as_array_mut().unwrap() {
            if capability["kind"] == "proposal" {
                capability["signoff"] = json!({ "roles": ["billing"] });
            }
        }
        workspace.write_contract(&contract.to_string());
        let served = Served::start(&workspace, &["--metrics-token-env", "SIGNOFF_RUNNER_HTTP_TOKEN"]);
        Self { workspace, served, issuer }
    }

    /// A token of now, with these claims in place of the usual ones.
    fn token(&self, other: Value) -> String {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let times = json!({ "iat": now, "nbf": now, "exp": now + 600 });
        self.issuer.token("ed", &with(&with(&claims(), times), other))
    }

    fn ask(&self, method: &str, token: &str, session: Option<&str>, message: &Value) -> Reply {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
        headers.extend(session.map(|id| ("mcp-session-id", id)));
        self.served.ask(method, "/mcp", &headers, message.to_string().as_bytes())
    }

    fn begin(&self, token: &str) -> String {
        let begun = self.ask("POST", token, None, &hello("2025-11-25"));
        assert_eq!(begun.status, 200, "{begun:?}");
        begun.header("mcp-session-id").to_owned()
    }

    fn call(&self, token: &str, session: Option<&str>, tool: &str, arguments: Value) -> Value {
        let reply =
            self.ask("POST", token, session, &rpc(1, "tools/call", json!({ "name": tool, "arguments": arguments })));
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["result"].clone()
    }

    fn tools(&self, token: &str) -> Vec<String> {
        let listed = self.ask("POST", token, None, &rpc(1, "tools/list", json!({}))).json();
        let tools = listed["result"]["tools"].as_array().unwrap_or_else(|| panic!("{listed}"));
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn a_session_belongs_to_whoever_began_it_as_they_were() {
    let door = Door::new();
    let list = rpc(4, "tools/list", json!({}));
    let alice = door.token(json!({}));
    let session = door.begin(&alice);
    let session = Some(session.as_str());
    for (who, other) in [
        ("bob", json!({ "sub": "bob" })),
        ("alice of another tenant", json!({ "tenant": "globex" })),
        ("alice with a role less", json!({ "roles": ["support"] })),
        ("alice with a role more", json!({ "roles": ["support", "billing", "admin"] })),
    ] {
        let token = door.token(other);
        for method in ["POST", "DELETE"] {
            let reply = door.ask(method, &token, session, &list);
            let code = &reply.json()["error"]["data"]["code"];
            assert_eq!((reply.status, code), (403, &json!("HTTP_SESSION_FOREIGN")), "{method} by {who}");
        }
        assert_eq!(door.ask("POST", &alice, session, &list).status, 200, "{who} left it unharmed");
        // Of their own they may begin one.
        assert_ne!(Some(door.begin(&token).as_str()), session);
    }
    // A new token of the same alice goes on where she was; an old one does not.
    let later = door.token(json!({ "jti": "another", "exp": 4_000_000_000_u64 }));
    assert_eq!(door.ask("POST", &later, session, &list).status, 200);
    let old = door.token(json!({ "iat": 1_000, "nbf": 1_000, "exp": 2_000 }));
    let reply = door.ask("POST", &old, session, &list);
    assert_eq!(reply.status, 401);
    let challenge = reply.header("www-authenticate");
    assert!(challenge.starts_with("Bearer ") && challenge.contains("resource_metadata="), "{challenge}");
    assert_eq!(door.ask("POST", &later, session, &list).status, 200);
    assert_eq!(door.ask("DELETE", &later, session, &list).status, 204);
}

#[test]
fn each_request_acts_for_its_own_token() {
    let door = Door::new();
    let (alice, bob) = (door.token(json!({})), door.token(json!({ "sub": "bob" })));
    let elsewhere = door.token(json!({ "tenant": "globex" }));
    let invoice = |id: &str| json!({ "invoice_id": id });
    assert_eq!(door.call(&alice, None, "billing.inspect_invoice", invoice("INV-1"))["isError"], false);
    let foreign = door.call(&elsewhere, None, "billing.inspect_invoice", invoice("INV-1"));
    let missing = door.call(&elsewhere, None, "billing.inspect_invoice", invoice("INV-2"));
    assert_eq!(foreign.to_string().replace("INV-1", "INV-2"), missing.to_string());

    let waiver = json!({ "invoice_id": "INV-1", "reason": "goodwill" });
    let proposed = door.call(&alice, None, "billing.propose_late_fee_waiver", waiver);
    let id =
        proposed["structuredContent"]["proposal"]["id"].as_str().unwrap_or_else(|| panic!("{proposed}")).to_owned();
    let read = |token: &str, id: &str| {
        door.ask("POST", token, None, &rpc(1, "resources/read", json!({ "uri": format!("synapsor://proposals/{id}") })))
    };
    assert!(read(&alice, &id).json()["result"].is_object());
    let (of_bob, of_nobody) = (read(&bob, &id), read(&bob, "wrp_00000000-0000-4000-8000-000000000000"));
    assert_eq!((of_bob.status, &of_bob.body), (of_nobody.status, &of_nobody.body));
    assert!(of_bob.body.contains("RESOURCE_NOT_FOUND"), "{of_bob:?}");
    let taken = door.call(&bob, None, "signoff.withdraw_proposal", json!({ "proposal_id": id }));
    assert_eq!(taken["isError"], true);
    assert_eq!(door.workspace.ask("SELECT count(*) FROM invoices WHERE waiver_reason IS NOT NULL"), 0);
}

#[test]
fn a_tool_that_a_role_does_not_have_is_no_tool() {
    let door = Door::new();
    let (alice, clerk) = (door.token(json!({})), door.token(json!({ "sub": "clerk", "roles": ["support"] })));
    let hidden = "billing.propose_late_fee_waiver";
    assert!(door.tools(&alice).iter().any(|tool| tool == hidden));
    assert!(!door.tools(&clerk).iter().any(|tool| tool == hidden));
    let waiver = json!({ "invoice_id": "INV-1", "reason": "goodwill" });
    let refused = door.call(&clerk, None, hidden, waiver.clone());
    let unknown = door.call(&clerk, None, "billing.propose_late_fee_waivex", waiver);
    assert_eq!(refused.to_string(), unknown.to_string().replace("waivex", "waiver"));
}

/// Why a token was refused stands in the operator's log, once for many; whoever looks for hidden tools stands in the audit.
#[test]
fn the_operator_sees_who_was_turned_away_and_why() {
    let door = Door::new();
    let mut command = door.workspace.command();
    command.args(["mcp", "serve-streamable-http", "--port", "0"]);
    let (served, said) = Served::heard(&mut command);
    let ask = |token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let call = json!({ "name": "billing.of_nobody", "arguments": {} });
        served.ask("POST", "/mcp", &headers, rpc(1, "tools/call", call).to_string().as_bytes()).status
    };
    let old = door.token(json!({ "exp": 2_000 }));
    for _ in 0..50 {
        assert_eq!(ask(&old), 401);
    }
    assert_eq!(ask(&door.token(json!({ "aud": "https://other.example" }))), 401);
    assert_eq!(ask(&door.token(json!({ "sub": "prober" }))), 200);
    assert_eq!(served.stop(), Some(0));
    let said = said.join().unwrap();
    let lines: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let reasons: Vec<&str> = lines.iter().map(|line| line["meta"]["reason"].as_str().unwrap()).collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(reasons[0] != reasons[1] && lines.iter().all(|line| line["message"] == "refused"), "{said}");
    assert!(!said.contains(&old[..40]), "nothing of a token is written");
    let audit = door.workspace.json(["query-audit", "list"]).expect(0).json();
    let probed = audit["query_audit"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["document"]["capability"] == "billing.of_nobody");
    assert_eq!(probed.unwrap_or_else(|| panic!("{audit}"))["document"]["principal"], "prober");
}

/// What is counted tells of tools that a caller is not offered, and of other tenants' calls.
#[test]
fn what_is_counted_is_not_for_callers() {
    let door = Door::new();
    let alice = format!("Bearer {}", door.token(json!({})));
    let metrics = |authorization: &str| door.served.ask("GET", "/metrics", &[("authorization", authorization)], b"");
    assert_eq!(metrics(&alice).status, 401);
    assert!(metrics(&format!("Bearer {TOKEN}")).body.contains("signoff_mcp_sessions"));
    let served = Served::start(&door.workspace, &[]);
    assert_eq!(served.ask("GET", "/metrics", &[("authorization", &alice)], b"").status, 404, "nobody was named");
}

#[test]
fn where_a_token_comes_from() {
    let door = Door::new();
    for path in ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"] {
        let reply = door.served.ask("GET", path, &[], b"");
        assert_eq!(reply.status, 200);
        let told = reply.json();
        assert_eq!((&told["resource"], &told["authorization_servers"]), (&json!(AUDIENCE), &json!([ISSUER])), "{told}");
        assert!(!reply.body.contains("offline_access"));
    }
    let none = door.served.ask("POST", "/mcp", &[("content-type", "application/json")], b"{}");
    assert_eq!(none.status, 401);
    assert!(none.header("www-authenticate").contains("/.well-known/oauth-protected-resource"), "{none:?}");
    let alice = door.token(json!({}));
    let message = rpc(1, "tools/list", json!({})).to_string();
    let in_query = format!("/mcp?access_token={alice}");
    let asked = door.served.ask("POST", &in_query, &[("content-type", "application/json")], message.as_bytes());
    assert_eq!(asked.status, 401, "a token in an address ends up in logs");
    let two = [
        ("authorization", "Bearer x"),
        ("authorization", &format!("Bearer {alice}")),
        ("content-type", "application/json"),
    ];
    assert_eq!(door.served.ask("POST", "/mcp", &two, message.as_bytes()).status, 401, "two are a trick");
}
