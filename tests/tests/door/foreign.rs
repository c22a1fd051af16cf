//! Every tool and resource with every handle and every foreign principal: byte for byte what a handle of nobody gets.

use serde_json::{Value, json};
use signoff::runtime::Caller;
use signoff_tests::{library::block, proposal_id};

use super::house::{Client, House, INSPECT, STATUS, WAIVE, WITHDRAW, acme};

const NOBODYS: &str = "00000000-0000-4000-8000-000000000000";

/// The whole answer as text, without the number of the request.
fn bytes(answer: &Value) -> String {
    answer.to_string()
}

#[test]
fn no_handle_is_anything_to_anybody_else() {
    let house = House::new();
    block(async {
        let mut alice = house.client(acme("alice", &[])).await;
        let made =
            alice.call(WAIVE, json!({ "invoice_id": "INV-1", "reason": "late" })).await["structuredContent"].clone();
        let read = alice.call(INSPECT, json!({ "invoice_id": "INV-1" })).await["structuredContent"].clone();
        let proposal = proposal_id(&made);
        let bundle = |body: &Value| body["evidence"]["bundle_id"].as_str().unwrap().to_owned();
        let handles = [
            proposal.clone(),
            format!("replay_{proposal}"),
            bundle(&made),
            bundle(&read),
            proposal.strip_prefix("wrp_").unwrap().to_owned(),
            proposal[..12].to_owned(),
            format!("wbj_{proposal}"),
            format!("{proposal} "),
            format!("{proposal}/"),
            proposal.to_uppercase(),
            "%".to_owned(),
            "latest".to_owned(),
            String::new(),
        ];
        let before = house.runtime.ledger().verify(None, Box::new(|_, _| {})).await.unwrap().checkpoint;
        let state = || async { alice_state(&house, &proposal).await };
        let mut looked = 0;
        for who in [
            acme("bob", &[]),
            acme("alice ", &[]),
            acme("Alice", &["billing_lead", "admin"]),
            Caller::trusted("globex", "alice"),
            Caller::trusted("globex", "bob"),
            Caller::trusted("ACME", "alice"),
            Caller::FromContract,
        ] {
            let mut stranger: Client = house.client(who.clone()).await;
            for handle in &handles {
                for place in ["proposals", "evidence", "replay"] {
                    let nobodys = match place {
                        "evidence" => format!("ev_{NOBODYS}"),
                        "replay" => format!("replay_wrp_{NOBODYS}"),
                        _ => format!("wrp_{NOBODYS}"),
                    };
                    let missing = stranger.resource(&format!("synapsor://{place}/{nobodys}")).await;
                    assert_eq!(missing["error"]["data"]["code"], "RESOURCE_NOT_FOUND");
                    let hidden = stranger.resource(&format!("synapsor://{place}/{handle}")).await;
                    assert_eq!(bytes(&hidden), bytes(&missing), "{who:?} {place} {handle:?}");
                    looked += 1;
                }
                for tool in [STATUS, WITHDRAW, "signoff__proposal_status", "signoff__withdraw_proposal"] {
                    let hidden = stranger.call(tool, json!({ "proposal_id": handle })).await;
                    let missing = stranger.call(tool, json!({ "proposal_id": format!("wrp_{NOBODYS}") })).await;
                    assert_eq!(bytes(&hidden), bytes(&missing), "{who:?} {tool} {handle:?}");
                    assert_eq!(hidden["isError"], true);
                    looked += 1;
                }
            }
            assert_eq!(state().await, "pending_review");
        }
        assert_eq!(looked, 7 * handles.len() * 7);
        // Only the owner's whole handles are anything, each in its own place.
        for (place, handle, there) in [
            ("proposals", &handles[0], true),
            ("replay", &handles[0], true),
            ("replay", &handles[1], true),
            ("evidence", &handles[2], true),
            ("evidence", &handles[0], false),
            ("proposals", &handles[2], false),
            ("proposals", &handles[5], false),
            ("proposals", &handles[11], false),
        ] {
            let own = alice.resource(&format!("synapsor://{place}/{handle}")).await;
            assert_eq!(own.get("result").is_some(), there, "{place} {handle}: {own}");
        }
        let after = house.runtime.ledger().verify(None, Box::new(|_, _| {})).await.unwrap().checkpoint;
        assert_eq!(after.to_string(), before.to_string(), "nothing happened to anything");
    });
}

async fn alice_state(house: &House, id: &str) -> String {
    house.runtime.show(id).await.unwrap().state.to_string()
}

/// A row of another tenant, a row of nobody, and a key that is next to one: the same bytes from every tool.
#[test]
fn another_tenants_row_is_a_row_that_is_not_there() {
    for format in [1, 2] {
        let house = House::with(|contract| contract["result_format"] = json!(format));
        block(async {
            let mut ann = house.client(acme("ann", &[])).await;
            let tools = ann.names().await;
            for tool in tools.iter().filter(|tool| tool.starts_with("billing")) {
                let arguments = |id: &str| {
                    let mut arguments = json!({ "invoice_id": id });
                    if tool.contains("propose") {
                        arguments["reason"] = json!("late");
                    }
                    if tool.contains("credit") {
                        arguments["amount_cents"] = json!(5);
                    }
                    arguments
                };
                let missing = ann.call(tool, arguments("INV-0000")).await;
                for id in ["INV-9001", "INV-9001 ", "inv-9001", "INV-900_", "INV-%", ""] {
                    assert_eq!(bytes(&ann.call(tool, arguments(id)).await), bytes(&missing), "{tool} {id:?}");
                }
                let text = missing["content"][0]["text"].as_str().unwrap();
                assert!(text.contains("NOT_FOUND"), "{text}");
                // And it is there for whose it is.
                let mut theirs = house.client(Caller::trusted("globex", "ann")).await;
                assert_eq!(theirs.call(tool, arguments("INV-9001")).await["isError"], false, "{tool}");
            }
        });
    }
}
