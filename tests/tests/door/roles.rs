//! What no verified role allows is not there: not listed, and answered byte for byte as a name that no tool has.

use serde_json::{Value, json};
use signoff::catalogue::{AliasMode, ResultFormat, ToolOptions};
use signoff::ffi::{ConfigSource, Open, Session};
use signoff::runtime::Caller;
use signoff_tests::library::block;

use super::house::{Client, House, INSPECT, STATUS, WAIVE, acme};

const AUDIT: &str = "billing.audit_all_invoices";
/// As long, and of nobody.
const NOTHING: &str = "billing.there_is_no_such_1";

/// `AUDIT` is for auditors; waivers are for clerks and leads, and destroy.
fn house() -> House {
    House::with(|contract| {
        let mut audit = contract["capabilities"][0].clone();
        audit["name"] = json!(AUDIT);
        audit["signoff"] = json!({ "scope": "admin", "roles": ["auditor"] });
        contract["capabilities"][1]["signoff"] = json!({ "roles": ["clerk", "lead"], "policy_hint": "destructive" });
        contract["capabilities"].as_array_mut().unwrap().push(audit);
    })
}

fn arguments() -> [String; 4] {
    let long = json!({ "invoice_id": "x".repeat(70_000) });
    [json!({ "invoice_id": "INV-1" }), json!({ "invoice_id": "INV-1", "reason": "late" }), json!({ "no": 1 }), long]
        .map(|arguments| arguments.to_string())
}

#[test]
fn a_role_opens_what_names_it_and_nothing_else() {
    let house = house();
    block(async {
        for (roles, open) in [
            (vec![], vec![INSPECT, "billing.propose_account_credit"]),
            (vec!["auditors", "Auditor", " auditor", "admin"], vec![INSPECT, "billing.propose_account_credit"]),
            (vec!["auditor"], vec![INSPECT, "billing.propose_account_credit", AUDIT]),
            (vec!["lead", "auditor"], vec![INSPECT, WAIVE, "billing.propose_account_credit", AUDIT]),
        ] {
            let who = acme("ann", &roles);
            let listed: Vec<String> =
                house.runtime.tools(&ToolOptions::default(), &who).unwrap().into_iter().map(|tool| tool.name).collect();
            assert_eq!(listed, open, "{roles:?}");
            let mut door = Client::of(house.door(AliasMode::Canonical).for_caller(who.clone())).await;
            assert_eq!(door.names().await[..open.len()], open, "{roles:?}");
            for tool in [AUDIT, WAIVE] {
                let answer = door.call(tool, json!({ "invoice_id": "INV-1", "reason": "late" })).await.to_string();
                assert_eq!(answer.contains("CAPABILITY_NOT_FOUND"), !open.contains(&tool), "{roles:?} {tool} {answer}");
            }
        }
        // Nobody vouches for a role of the contract's own caller; the one at the terminal needs none.
        let count = |who: &Caller| house.runtime.tools(&ToolOptions::default(), who).unwrap().len();
        assert_eq!((count(&Caller::FromContract), count(&Caller::Operator)), (2, 4));
        let mut both = house.client(acme("ann", &["lead"])).await;
        let waive = both.tools().await.into_iter().find(|tool| tool["name"] == WAIVE).unwrap();
        assert_eq!(
            (&waive["annotations"]["destructiveHint"], &waive["annotations"]["readOnlyHint"]),
            (&json!(true), &json!(false))
        );
    });
}

/// Swaps the spelled name for one that is nowhere, and wants the same bytes.
#[test]
fn hidden_and_unknown_are_one_answer_at_every_door() {
    let house = house();
    block(async {
        let nobody = acme("ann", &["auditors"]);
        let alias = |name: &str| name.replace('.', "__");
        for hidden in [AUDIT, WAIVE] {
            let unknown = format!("billing.{}", "z".repeat(hidden.len() - 8));
            for (hidden, unknown) in [(hidden.to_owned(), unknown.clone()), (alias(hidden), alias(&unknown))] {
                for arguments in arguments() {
                    for who in [&nobody, &Caller::FromContract] {
                        for format in [ResultFormat::V1, ResultFormat::V2] {
                            let one = house.runtime.call_tool(&hidden, &arguments, who, format).await;
                            let other = house.runtime.call_tool(&unknown, &arguments, who, format).await;
                            let said = one.body.to_string().replace(&hidden, &unknown);
                            assert_eq!((said, one.is_error), (other.body.to_string(), other.is_error));
                        }
                        let told = |error: signoff::Error| format!("{error:?} {:?}", error.help());
                        let one = told(house.runtime.read(&hidden, &arguments, who).await.unwrap_err());
                        let other = told(house.runtime.read(&unknown, &arguments, who).await.unwrap_err());
                        assert_eq!(one.replace(&hidden, &unknown), other);
                        let one = told(house.runtime.propose(&hidden, &arguments, who).await.unwrap_err());
                        let other = told(house.runtime.propose(&unknown, &arguments, who).await.unwrap_err());
                        assert_eq!(one.replace(&hidden, &unknown), other);
                        let audits = house.audits(2).await;
                        assert_eq!(audits[0]["document"]["outcome"], audits[1]["document"]["outcome"]);
                        assert_eq!(audits[1]["document"]["outcome"], "MCP_TOOL_NOT_FOUND");
                    }
                    for mode in [AliasMode::Canonical, AliasMode::Openai, AliasMode::Both] {
                        let mut door = Client::of(house.door(mode).for_caller(nobody.clone())).await;
                        let given: Value = serde_json::from_str(&arguments).unwrap();
                        let one = door.call(&hidden, given.clone()).await.to_string();
                        assert_eq!(one.replace(&hidden, &unknown), door.call(&unknown, given).await.to_string());
                    }
                }
            }
        }
        assert_eq!(AUDIT.len(), NOTHING.len());
    });
}

#[test]
fn a_session_lists_and_answers_for_the_caller_of_the_call() {
    let house = house();
    let address = house.workspace.source.address();
    let session = Session::open(Open {
        config: Some(ConfigSource::Path(house.workspace.path("signoff.json").display().to_string())),
        ledger: Some(house.workspace.path("session.db").display().to_string()),
        create: true,
        environment: [("BILLING_APP_READ_URL".to_owned(), address)].into(),
        testing: None,
    })
    .unwrap();
    let ask =
        |request: Value| -> Value { serde_json::from_str(&block(session.call_json(&request.to_string()))).unwrap() };
    let own = json!({
        "call": "register_tool", "name": "billing.audit_report", "description": "Of all invoices.", "kind": "read",
        "input_schema": { "type": "object", "properties": {} }, "scope": [INSPECT, AUDIT],
    });
    assert_eq!(ask(own)["ok"], true);
    let context = |roles: &[&str]| json!({ "tenant": "acme", "principal": "ann", "roles": roles });
    let names = |roles: &[&str]| -> Vec<String> {
        let listed = ask(json!({ "call": "tools", "context": context(roles) }))["value"]["tools"].clone();
        listed.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&["clerk"]), [INSPECT, WAIVE, "billing.propose_account_credit"]);
    assert_eq!(names(&["auditor"]), [INSPECT, "billing.propose_account_credit", AUDIT, "billing.audit_report"]);
    let said = |call: &str, member: &str, name: &str| {
        let mut request = json!({ "call": call, member: name, "arguments": "{\"invoice_id\":\"INV-1\"}" });
        request["context"] = context(&["clerk"]);
        ask(request).to_string()
    };
    for hidden in [AUDIT, "billing.audit_report"] {
        let unknown = format!("billing.{}", "z".repeat(hidden.len() - 8));
        for (call, member) in [("call_tool", "tool"), ("read", "capability"), ("propose", "capability")] {
            let one = said(call, member, hidden).replace(hidden, &unknown);
            assert_eq!(one, said(call, member, &unknown), "{call}");
            assert!(one.contains("NOT_FOUND"), "{one}");
        }
        let end = |tool: &str| {
            let of = json!({ "tool": tool, "arguments": "{}", "context": context(&["clerk"]) });
            ask(json!({ "call": "finish_tool", "of": of, "outcome": { "output": "{}" } })).to_string()
        };
        assert_eq!(end(hidden).replace(hidden, &unknown), end(&unknown));
    }
}

/// Whoever lost the role does not see what it once gave.
#[test]
fn a_role_that_is_gone_takes_its_proposals_and_evidence_with_it() {
    let house = house();
    block(async {
        let mut clerk = house.client(acme("ann", &["clerk"])).await;
        let made =
            clerk.call(WAIVE, json!({ "invoice_id": "INV-1", "reason": "late" })).await["structuredContent"].clone();
        let id = made["proposal"]["id"].as_str().unwrap();
        let mut nobody = house.client(acme("ann", &[])).await;
        for uri in [
            format!("synapsor://proposals/{id}"),
            format!("synapsor://replay/replay_{id}"),
            format!("synapsor://evidence/{}", made["evidence"]["bundle_id"].as_str().unwrap()),
        ] {
            assert!(clerk.resource(&uri).await.get("result").is_some(), "{uri}");
            assert_eq!(nobody.resource(&uri).await, nobody.resource("synapsor://proposals/wrp_nobodys").await);
        }
        let gone = nobody.call(STATUS, json!({ "proposal_id": id })).await;
        assert_eq!(gone, nobody.call(STATUS, json!({ "proposal_id": "wrp_nobodys" })).await);
        assert_eq!(
            clerk.call(STATUS, json!({ "proposal_id": id })).await["structuredContent"]["state"],
            "pending_review"
        );
    });
}

#[test]
fn the_terminal_is_offered_everything() {
    let house = house();
    let listed = house.workspace.json(["tools", "list"]).expect(0).json();
    assert_eq!(listed["tools"].as_array().map(Vec::len), Some(4));
    house.workspace.propose("INV-1", "asked for");
    let read = ["smoke", "call", AUDIT, "--json", r#"{"invoice_id":"INV-1"}"#];
    assert_eq!(house.workspace.json(read).expect(0).json()["ok"], true);
}
