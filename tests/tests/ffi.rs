//! The facade that other languages call, from JSON to JSON.

use serde_json::{Value, json};
use signoff::ffi::{Answer, ConfigSource, Open, Session, Testing, check_contract};
use signoff::primitives::Instant;
use signoff_tests::Workspace;
use signoff_tests::library::block;

fn open(workspace: &Workspace) -> Session {
    let address = workspace.source.address();
    let variables = [
        ("BILLING_APP_READ_URL", address.as_str()),
        ("BILLING_APP_WRITE_URL", &address),
        ("SYNAPSOR_TENANT_ID", "acme"),
        ("SYNAPSOR_PRINCIPAL", "support_agent"),
    ];
    Session::open(Open {
        config: Some(ConfigSource::Path(workspace.path("signoff.json").display().to_string())),
        ledger: Some(workspace.path("ledger.db").display().to_string()),
        create: true,
        environment: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        testing: None,
    })
    .unwrap_or_else(|error| panic!("{error}"))
}

fn ask(session: &Session, request: Value) -> Value {
    serde_json::from_str(&block(session.call_json(&request.to_string()))).expect("JSON")
}

fn done(session: &Session, request: Value) -> Value {
    let answer = ask(session, request.clone());
    assert_eq!(answer["ok"], true, "{request}: {answer}");
    answer["value"].clone()
}

fn refused(session: &Session, request: Value) -> String {
    let answer = ask(session, request.clone());
    assert_eq!(answer["ok"], false, "{request}: {answer}");
    answer["error"]["code"].as_str().expect("a code").to_owned()
}

fn propose(session: &Session) -> Value {
    let arguments = json!({ "invoice_id": "INV-1", "reason": "we were late" }).to_string();
    done(session, json!({ "call": "propose", "capability": "billing.propose_late_fee_waiver", "arguments": arguments }))
}

fn decision(proposal: &Value) -> Value {
    json!({
        "call": "approve", "proposal_id": proposal["proposal_id"], "hash": proposal["proposal_hash"],
        "version": proposal["proposal_version"], "approver": { "id": "alice", "roles": ["billing_lead"] },
    })
}

#[test]
fn a_change_from_proposal_to_replay() {
    let workspace = Workspace::with_invoices(1);
    let session = open(&workspace);
    let proposal = propose(&session);
    assert_eq!((proposal["state"].as_str(), proposal["existing"].as_bool()), (Some("pending_review"), Some(false)));
    assert_eq!(proposal["diff"][0]["column"], "late_fee_cents");
    assert_eq!(propose(&session)["existing"], true);
    let id = proposal["proposal_id"].clone();
    assert_eq!(refused(&session, json!({ "call": "apply", "proposal_id": id })), "PROPOSAL_NOT_APPROVED");
    let mut other = decision(&proposal);
    other["hash"] = json!(format!("sha256:{}", "0".repeat(64)));
    assert_eq!(refused(&session, other), "PROPOSAL_HASH_MISMATCH");
    assert_eq!(done(&session, decision(&proposal))["state"], "approved");
    let rehearsed = done(&session, json!({ "call": "apply", "proposal_id": id, "dry_run": true }));
    assert_eq!((rehearsed["status"].as_str(), workspace.effects("INV-1")), (Some("would_apply"), 0));
    let applied = done(&session, json!({ "call": "apply", "proposal_id": id }));
    assert_eq!(
        (applied["status"].as_str(), applied["source_database_mutated"].as_bool()),
        (Some("applied"), Some(true))
    );
    assert_eq!(workspace.effects("INV-1"), 1);
    let again = done(&session, json!({ "call": "apply", "proposal_id": id }));
    assert_eq!((again["status"].as_str(), workspace.effects("INV-1")), (Some("already_applied"), 1));
    let story = done(&session, json!({ "call": "replay", "id": id }));
    assert_eq!(story["events"].as_array().map(Vec::len), Some(4));
    let page = done(&session, json!({ "call": "list", "list": "proposals", "filter": { "state": "applied" } }));
    assert_eq!(page["proposals"][0]["proposal_id"], id);
    let events = done(&session, json!({ "call": "next_events", "after": 0, "within_ms": 1000 }));
    assert_eq!(events["events"].as_array().map(Vec::len), Some(4));
    let none = done(&session, json!({ "call": "next_events", "after": events["after"], "within_ms": 0 }));
    assert_eq!((none["events"].as_array().map(Vec::len), &none["after"]), (Some(0), &events["after"]));
    assert_eq!(done(&session, json!({ "call": "verify_ledger" }))["events"], 4);
}

/// What a call answers is what the command line prints for the same.
#[test]
fn the_command_line_says_the_same() {
    let workspace = Workspace::with_invoices(1);
    let session = open(&workspace);
    let id = propose(&session)["proposal_id"].as_str().unwrap().to_owned();
    let ledger = workspace.path("ledger.db").display().to_string();
    let printed = |arguments: &[&str]| {
        let all = arguments.iter().copied().chain(["--store", &ledger]);
        workspace.json(all.collect::<Vec<_>>()).expect(0).json()
    };
    let mut shown = done(&session, json!({ "call": "proposal", "id": id }));
    let object = shown.as_object_mut().unwrap();
    assert!(object.remove("diff").is_some() && object.remove("proposal_version").is_some());
    assert_eq!(printed(&["proposals", "show", &id]), shown);
    assert_eq!(printed(&["proposals", "list"]), done(&session, json!({ "call": "list", "list": "proposals" })));
    assert_eq!(printed(&["replay", "show", &id]), done(&session, json!({ "call": "replay", "id": id })));
    assert_eq!(printed(&["store", "verify"]), done(&session, json!({ "call": "verify_ledger" })));
}

#[test]
fn who_asks_is_what_the_application_says() {
    let workspace = Workspace::with_invoices(1);
    let session = open(&workspace);
    let read = |context: Value| {
        json!({
            "call": "read", "capability": "billing.inspect_invoice",
            "arguments": json!({ "invoice_id": "INV-1" }).to_string(), "context": context,
        })
    };
    let answer = done(&session, read(json!({ "tenant": "acme", "principal": "bot", "roles": ["support"] })));
    assert_eq!((answer["principal"].as_str(), answer["provenance"].as_str()), (Some("bot"), Some("trusted_session")));
    let evidence = done(&session, json!({ "call": "evidence", "id": answer["evidence_id"] }));
    assert_eq!(evidence["document"]["roles"], json!(["support"]));
    assert_eq!(refused(&session, read(json!({ "tenant": "globex", "principal": "bot" }))), "ROW_NOT_FOUND");
    assert_eq!(refused(&session, read(json!({ "tenant": "", "principal": "bot" }))), "TRUSTED_BINDING_MISSING");
    // With neither, nobody is guessed.
    let bare = Session::open(Open {
        config: Some(ConfigSource::Text(workspace.contract())),
        ledger: Some(workspace.path("bare.db").display().to_string()),
        create: true,
        ..Open::default()
    });
    assert_eq!(refused(&bare.unwrap(), read(Value::Null)), "TRUSTED_BINDING_MISSING");
}

#[test]
fn what_is_no_request_is_refused() {
    let workspace = Workspace::with_invoices(1);
    let session = open(&workspace);
    for request in ["", "{}", "[1]", r#"{"call": "drop"}"#, r#"{"call": "proposal", "id": "x", "force": true}"#] {
        let answer: Value = serde_json::from_str(&block(session.call_json(request))).unwrap();
        assert_eq!(answer["error"]["code"], "USAGE", "{request}: {answer}");
    }
    let script = json!({ "call": "script", "at": "2026-01-01T00:00:00Z", "seed": "a" });
    assert_eq!(refused(&session, script), "USAGE", "real time stays real");
    assert_eq!(refused(&session, json!({ "call": "fail", "code": "ROW_NOT_FOUND" })), "USAGE");
}

/// Every code there is arrives as the catalogue describes it, with what its message speaks of.
#[test]
fn every_code_arrives() {
    let folder = tempfile::tempdir().unwrap();
    let session = Session::open(Open {
        ledger: Some(folder.path().join("ledger.db").display().to_string()),
        create: true,
        testing: Some(Testing { at: Instant::parse("2026-01-01T00:00:00Z").unwrap(), seed: "1".to_owned() }),
        ..Open::default()
    })
    .unwrap();
    for (code, info) in signoff::error::CATALOGUE {
        let names = [info.message, info.help].map(|text| text.split('{').skip(1)).into_iter().flatten();
        let names = names.filter_map(|rest| rest.split_once('}').map(|(name, _)| name));
        let context: serde_json::Map<String, Value> =
            names.map(|name| (name.to_owned(), json!(format!("a {name}")))).collect();
        let answer = ask(&session, json!({ "call": "fail", "code": code, "context": context }));
        let error = &answer["error"];
        assert_eq!((&error["code"], &error["retryable"]), (&json!(code), &json!(info.retryable)), "{answer}");
        assert_eq!(error["context"], Value::Object(context), "{code}");
        assert!(!error["message"].as_str().unwrap().contains(['{', '?']), "{answer}");
    }
}

#[test]
fn a_server_is_no_ledger_yet_and_its_password_is_not_said() {
    for address in ["postgres://app:hunter2@db/x", "postgresql://app:hunter2@db/x", "mysql://app:hunter2@db/x"] {
        let error =
            Session::open(Open { ledger: Some(address.to_owned()), create: true, ..Open::default() }).unwrap_err();
        assert_eq!(error.code().as_str(), "LEDGER_ENGINE_NOT_AVAILABLE");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

#[test]
fn a_contract_is_looked_at_without_a_session() {
    let text = Workspace::with_invoices(1).contract();
    let Answer::Success(good) = check_contract(&ConfigSource::Text(text.clone())) else { panic!("an answer") };
    assert_eq!((good["valid"].as_bool(), good["capabilities"][0]["kind"].as_str()), (Some(true), Some("read")));
    let Answer::Success(bad) = check_contract(&ConfigSource::Text(text.replace("\"review\"", "\"yolo\""))) else {
        panic!("an answer")
    };
    assert_eq!((bad["valid"].as_bool(), bad["diagnostics"][0]["pointer"].as_str()), (Some(false), Some("/mode")));
    let Answer::Failure(error) = check_contract(&ConfigSource::Path("/nowhere".to_owned())) else { panic!("an error") };
    assert_eq!(error.code().as_str(), "CONFIG_NOT_FOUND");
}

#[test]
fn time_and_ids_are_a_tests_own() {
    let made = || {
        let workspace = Workspace::with_invoices(1);
        let mut wanted = Open {
            config: Some(ConfigSource::Path(workspace.path("signoff.json").display().to_string())),
            ledger: Some(workspace.path("ledger.db").display().to_string()),
            create: true,
            ..Open::default()
        };
        wanted.testing = Some(Testing { at: Instant::parse("2026-01-01T00:00:00Z").unwrap(), seed: "open".to_owned() });
        let address = workspace.source.address();
        wanted.environment.insert("BILLING_APP_READ_URL".to_owned(), address);
        wanted.environment.insert("SIGNOFF_TENANT_ID".to_owned(), "acme".to_owned());
        wanted.environment.insert("SIGNOFF_PRINCIPAL".to_owned(), "bot".to_owned());
        let session = Session::open(wanted).unwrap();
        done(&session, json!({ "call": "script", "at": "2026-01-02T00:00:00Z", "seed": "step 1" }));
        let proposal = propose(&session);
        assert_eq!(proposal["change_set"]["created_at"], "2026-01-02T00:00:00Z");
        done(&session, json!({ "call": "verify_ledger" }))["checkpoint"].clone()
    };
    assert_eq!(made(), made());
}

mod tools {
    use super::*;

    fn register(session: &Session, tool: Value) -> Value {
        let mut request = tool;
        request["call"] = json!("register_tool");
        ask(session, request)
    }

    fn fees() -> Value {
        json!({
            "name": "billing.fee_report", "description": "What fees an invoice has.", "kind": "read",
            "input_schema": { "type": "object", "properties": { "invoice_id": { "type": "string" } }, "required": ["invoice_id"] },
            "output_schema": { "type": "object", "properties": { "fees": { "type": "integer" }, "note": { "type": "string" } }, "required": ["fees"] },
            "scope": ["billing.inspect_invoice"], "policy_hint": "auto",
        })
    }

    fn call(arguments: Value) -> Value {
        json!({ "tool": "billing.fee_report", "arguments": arguments.to_string() })
    }

    #[test]
    fn the_contracts_tools_answer_with_their_envelope() {
        let workspace = Workspace::with_invoices(1);
        let session = open(&workspace);
        let tools = done(&session, json!({ "call": "tools", "alias": "openai" }));
        assert_eq!(tools["tools"][0]["name"], "billing__inspect_invoice");
        assert_eq!(tools["tools"][0]["canonicalName"], "billing.inspect_invoice");
        let call = |tool: &str, format: u8| {
            let arguments = json!({ "invoice_id": "INV-1" }).to_string();
            json!({ "call": "call_tool", "tool": tool, "arguments": arguments, "format": format })
        };
        let two = done(&session, call("billing__inspect_invoice", 2));
        assert_eq!((two["envelope"]["ok"].as_bool(), two["is_error"].as_bool()), (Some(true), Some(false)));
        assert_eq!(done(&session, call("billing.inspect_invoice", 1))["envelope"]["status"], "ok");
        let unknown = done(&session, call("billing.approve", 1));
        assert_eq!(
            (unknown["is_error"].as_bool(), unknown["envelope"]["code"].as_str()),
            (Some(true), Some("MCP_TOOL_NOT_FOUND"))
        );
        assert_eq!(refused(&session, call("billing.inspect_invoice", 3)), "USAGE");
    }

    #[test]
    fn an_applications_own_reads_and_leaves_evidence() {
        let workspace = Workspace::with_invoices(1);
        let session = open(&workspace);
        assert_eq!(register(&session, fees())["ok"], true);
        let listed = done(&session, json!({ "call": "tools" }));
        let own = listed["tools"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(
            (own["name"].as_str(), own["_meta"]["signoff.policy_hint"].as_str()),
            (Some("billing.fee_report"), Some("auto"))
        );
        assert_eq!(own["inputSchema"]["additionalProperties"], false);
        let begin = |arguments: Value| {
            let mut request = call(arguments);
            request["call"] = json!("call_tool");
            done(&session, request)
        };
        assert_eq!(begin(json!({ "invoice_id": "INV-1" }))["run"]["scope"], json!(["billing.inspect_invoice"]));
        for bad in
            [json!({}), json!({ "invoice_id": 1 }), json!({ "invoice_id": "INV-1", "tenant": "globex" }), json!([])]
        {
            let answer = begin(bad);
            assert_eq!(answer["envelope"]["error"]["code"], "INVALID_ARGUMENT", "{answer}");
        }
        let exact = |arguments: &str| {
            done(&session, json!({ "call": "call_tool", "tool": "billing.fee_report", "arguments": arguments }))
        };
        // What the schema would judge as another number, and what is too long to be looked at.
        for bad in [
            r#"{"invoice_id":1.00000000000000000001}"#.to_owned(),
            format!("{{\"invoice_id\":\"{}\"}}", "x".repeat(70_000)),
        ] {
            assert_eq!(exact(&bad)["envelope"]["error"]["code"], "INVALID_ARGUMENT");
        }
        let end = |outcome: Value| {
            let of = call(json!({ "invoice_id": "INV-1" }));
            done(&session, json!({ "call": "finish_tool", "of": of, "outcome": outcome }))["envelope"].clone()
        };
        let secret = "sk_live_4eC39HqLyjWDarjtT1zdp7dc";
        let answer = end(json!({ "output": json!({ "fees": 3, "note": secret }).to_string() }));
        assert_eq!((answer["ok"].as_bool(), &answer["data"]["fees"]), (Some(true), &json!(3)), "{answer}");
        assert!(!answer.to_string().contains(secret));
        let evidence = done(&session, json!({ "call": "evidence", "id": answer["evidence"]["bundle_id"] }));
        assert!(evidence.to_string().contains("fee_report") && !evidence.to_string().contains(secret));
        let keyed = json!({ "fees": 3, "note": "x", secret: 1 }).to_string();
        assert!(!end(json!({ "output": keyed })).to_string().contains(secret), "nor as a name");
        let audits =
            || done(&session, json!({ "call": "list", "list": "query_audit", "limit": 200 }))["query_audit"].clone();
        let before = audits().as_array().unwrap().len();
        assert_eq!(end(json!({ "output": "{\"fees\":\"many\"}" }))["error"]["code"], "INTERNAL");
        assert_eq!(
            end(json!({ "output": format!("{{\"fees\":1,\"note\":\"{}\"}}", "x".repeat(1 << 20)) }))["ok"],
            false
        );
        assert_eq!(begin(json!({}))["envelope"]["ok"], false);
        let after = audits();
        assert_eq!(after.as_array().unwrap().len(), before + 3, "every refusal is audited");
        assert_eq!(after[0]["document"]["outcome"], "TOOL_ARGUMENTS_INVALID", "{after}");
        assert_eq!(end(json!("failed"))["ok"], false);
        let told = end(
            json!({ "refused": { "code": "ARGUMENT_TOO_LONG", "context": { "argument": "reason", "limit": "5" } } }),
        );
        assert_eq!(told["error"]["code"], "INVALID_ARGUMENT");
        assert!(told["error"]["message"].as_str().unwrap().contains("reason"), "{told}");
    }

    #[test]
    fn an_applications_own_proposes_within_its_scope() {
        let workspace = Workspace::with_invoices(2);
        let session = open(&workspace);
        let tool = json!({
            "name": "billing.forgive", "description": "Waives the late fee.", "kind": "proposal",
            "input_schema": { "type": "object", "properties": { "invoice_id": { "type": "string" } } },
            "scope": ["billing.propose_late_fee_waiver"],
        });
        assert_eq!(register(&session, tool)["ok"], true);
        let within = |capability: &str| {
            let arguments = json!({ "invoice_id": "INV-1", "reason": "sorry" }).to_string();
            json!({ "call": "propose", "capability": capability, "arguments": arguments, "within": "billing.forgive" })
        };
        assert_eq!(refused(&session, within("billing.propose_account_credit")), "TOOL_SCOPE_EXCEEDED");
        let proposal = done(&session, within("billing.propose_late_fee_waiver"));
        let end = |context: Value| {
            let of =
                json!({ "tool": "billing__forgive", "arguments": "{\"invoice_id\":\"INV-1\"}", "context": context });
            let outcome = json!({ "proposal": proposal["proposal_id"] });
            done(&session, json!({ "call": "finish_tool", "of": of, "outcome": outcome }))["envelope"].clone()
        };
        let answer = end(Value::Null);
        assert_eq!(answer["proposal"]["id"], proposal["proposal_id"], "{answer}");
        assert_eq!(end(json!({ "tenant": "acme", "principal": "somebody else" }))["ok"], false);
        assert_eq!(workspace.effects("INV-1"), 0);
    }

    #[test]
    fn what_may_not_be_a_tool_is_refused() {
        let workspace = Workspace::with_invoices(1);
        let session = open(&workspace);
        let with = |field: &str, value: Value| {
            let mut tool = fees();
            tool[field] = value;
            tool
        };
        for bad in [
            with("name", json!("billing.approve")),
            with("name", json!("run_sql")),
            with("name", json!("billing__approve")),
            with("name", json!("x.approve_")),
            with("name", json!("x.approveProposal")),
            with("name", json!("signoff.proposal_status")),
            with("name", json!("billing.inspect_invoice")),
            with("name", json!("billing__inspect_invoice")),
            with("name", json!("")),
            with("name", json!("a b")),
            with("description", json!(" ")),
            with("scope", json!(["billing.nothing"])),
            with("scope", json!(["billing.propose_late_fee_waiver"])),
            with("kind", json!("proposal")),
            with("input_schema", json!({ "type": "string" })),
            with("input_schema", json!({ "type": "object", "properties": { "tenant_id": {} } })),
            with("input_schema", json!({ "type": "object", "required": 3 })),
            with("input_schema", json!({ "type": "object", "$ref": "https://example.invalid/schema" })),
            with("output_schema", json!({ "type": 7 })),
        ] {
            let answer = register(&session, bad.clone());
            assert_eq!(answer["error"]["code"], "TOOL_INVALID", "{bad}: {answer}");
        }
        assert_eq!(register(&session, fees())["ok"], true);
        assert_eq!(register(&session, fees())["error"]["code"], "TOOL_INVALID", "twice");
    }
}

/// The agent's door for an application's own server.
mod mcp {
    use signoff_tests::wire::{hello, rpc};

    use super::*;

    /// A request of an application that says who calls.
    fn request(who: Value, headers: &[(&str, &str)], body: &str) -> Value {
        let headers: Vec<_> =
            [("host", "localhost"), ("content-type", "application/json")].iter().chain(headers).collect();
        json!({
            "call": "mcp", "mount": { "application_authenticates": true }, "method": "POST", "target": "/mcp",
            "headers": headers, "body": body, "context": who,
        })
    }

    fn who(principal: &str, tenant: &str) -> Value {
        json!({ "tenant": tenant, "principal": principal })
    }

    fn status(answer: &Value) -> u64 {
        answer["status"].as_u64().unwrap_or_else(|| panic!("{answer}"))
    }

    fn body(answer: &Value) -> Value {
        serde_json::from_str(answer["body"].as_str().expect("a body")).unwrap_or_else(|_| panic!("{answer}"))
    }

    fn tool(name: &str, arguments: &Value) -> String {
        rpc(1, "tools/call", json!({ "name": name, "arguments": arguments })).to_string()
    }

    #[test]
    fn each_request_brings_its_caller_and_a_session_stays_whose_it_was() {
        let workspace = Workspace::with_invoices(1);
        let session = open(&workspace);
        let ask = |who: Value, id: &str, body: &str| {
            let named = [("mcp-session-id", id)];
            done(&session, request(who, if id.is_empty() { &[] } else { &named }, body))
        };
        let read = tool("billing.inspect_invoice", &json!({ "invoice_id": "INV-1" }));
        assert_eq!(status(&ask(Value::Null, "", &read)), 401);
        let begun = ask(who("alice", "acme"), "", &hello("2025-11-25").to_string());
        let headers = begun["headers"].as_array().expect("headers");
        let id = headers.iter().find(|line| line[0] == "mcp-session-id").expect("a session")[1].as_str().unwrap();
        let own = body(&ask(who("alice", "acme"), id, &read));
        assert_eq!(own["result"]["structuredContent"]["data"]["id"], "INV-1", "{own}");
        for other in [who("bob", "acme"), who("alice", "globex")] {
            let answer = ask(other, id, &read);
            assert_eq!(
                (status(&answer), &body(&answer)["error"]["data"]["code"]),
                (403, &json!("HTTP_SESSION_FOREIGN"))
            );
        }
        assert_eq!(status(&ask(who("alice", "acme"), id, &read)), 200);
        let elsewhere = body(&ask(who("alice", "globex"), "", &read));
        assert!(elsewhere.to_string().contains("NOT_FOUND_IN_TENANT"), "{elsewhere}");
        // Only where the mount says so does the application say who calls.
        let mut unsaid = request(who("alice", "acme"), &[], &read);
        unsaid["mount"] = json!({});
        assert_eq!(refused(&session, unsaid), "HTTP_AUTH_TOKEN_MISSING");
    }

    #[test]
    fn what_is_no_request_is_its_senders_mistake() {
        let workspace = Workspace::with_invoices(1);
        let session = open(&workspace);
        let alice = || who("alice", "acme");
        let list = rpc(1, "tools/list", json!({})).to_string();
        let with = |name: &str, value: &str| request(alice(), &[(name, value)], &list);
        let changed = |member: &str, value: Value| {
            let mut request = request(alice(), &[], &list);
            request[member] = value;
            request
        };
        for (expected, request) in [
            (200, with("x-name", "caf\u{e9}\u{ff}\t")),
            (404, with("mcp-session-id", "\u{e9}")),
            (400, with("x-name", "\u{20ac}")),
            (400, with("x-name", "a\nb")),
            (400, with("x name", "a")),
            (400, with("mcp-protocol-version", "\u{e9}")),
            (406, with("accept", "\u{e9}")),
            (403, with("origin", "\u{e9}")),
            (403, with("host", "\u{e9}")),
            (413, with("content-length", "1048577")),
            (400, changed("method", json!("PO ST"))),
            (405, changed("method", json!("BREW"))),
            (400, changed("target", json!("/mcp\u{0}"))),
            (403, changed("target", json!("http://evil.example/mcp"))),
            (404, changed("target", json!("*"))),
            (400, changed("body", Value::Null)),
            (400, changed("body", json!(""))),
            (413, changed("body", json!(" ".repeat((1 << 20) + 1)))),
        ] {
            let answer = done(&session, request.clone());
            assert_eq!(
                status(&answer),
                expected,
                "{}: {answer}",
                request.to_string().chars().take(300).collect::<String>()
            );
        }
        let text = done(&session, changed("body", Value::Null));
        assert_eq!(body(&text)["error"]["code"], -32700);
    }

    #[test]
    fn numbers_are_what_was_written() {
        let workspace = Workspace::with_invoices(1);
        workspace.sql("UPDATE invoices SET balance_cents = 9007199254740993 WHERE id = 'INV-1'");
        let contract = workspace.contract();
        let bound =
            contract.replace(r#""minimum": 1, "maximum": 10000"#, r#""minimum": 1, "maximum": 9007199254740992"#);
        assert_ne!(bound, contract);
        workspace.write_contract(&bound);
        let session = open(&workspace);
        let call = |body: &str| done(&session, request(who("alice", "acme"), &[], body));
        let read = call(&tool("billing.inspect_invoice", &json!({ "invoice_id": "INV-1" })));
        assert!(read["body"].as_str().unwrap().contains(r#""balance_cents":"9007199254740993""#), "{read}");
        // Its neighbour is the same float, and allowed.
        let credit = |cents: &str| {
            let written = tool(
                "billing.propose_account_credit",
                &json!({ "invoice_id": "INV-1", "amount_cents": 0, "reason": "r" }),
            );
            call(&written.replace("\"amount_cents\":0", &format!("\"amount_cents\":{cents}")))["body"].to_string()
        };
        let above = "is above the maximum 9007199254740992";
        assert!(credit("9007199254740993").contains(above));
        assert!(!credit("9007199254740992").contains(above));
    }

    /// All requests of one mount count together, whoever brings them.
    #[test]
    fn a_mount_limits_all_its_calls() {
        let workspace = Workspace::with_invoices(1);
        let mut contract: Value = serde_json::from_str(&workspace.contract()).expect("JSON");
        contract["signoff"]["mcp"] = json!({ "rate_limit": { "proposals_per_minute": 5, "reads_per_minute": 2 } });
        workspace.write_contract(&contract.to_string());
        let session = open(&workspace);
        let read = tool("billing.inspect_invoice", &json!({ "invoice_id": "INV-1" }));
        let limited =
            |who: Value| done(&session, request(who, &[], &read))["body"].to_string().contains("RATE_LIMITED");
        let alice = || who("alice", "acme");
        assert_eq!([limited(alice()), limited(alice()), limited(alice())], [false, false, true]);
        assert!(!limited(who("bob", "acme")), "each for themselves");
    }
}
