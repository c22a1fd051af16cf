//! Every success fits the schema that was listed with its tool, inputs are closed, and the list is small.

use serde_json::{Value, json};
use signoff::catalogue::AliasMode;
use signoff::ffi::{ConfigSource, Open, Session};
use signoff::mcp::{Door, DoorOptions};
use signoff::runtime::Caller;
use signoff_tests::library::block;

use super::house::{Client, House, INSPECT, STATUS, WAIVE, WITHDRAW, acme};

const CREDIT: &str = "billing.propose_account_credit";

/// A client that holds every success against what was listed.
struct Strict {
    client: Client,
    tools: Vec<Value>,
}

impl Strict {
    async fn new(house: &House) -> Self {
        let mut client = house.client(acme("ann", &[])).await;
        let tools = client.tools().await;
        Self { client, tools }
    }

    async fn call(&mut self, name: &str, arguments: Value) -> Value {
        let answer = self.client.call(name, arguments).await;
        assert_eq!(answer["isError"], false, "{answer}");
        let body = answer["structuredContent"].clone();
        let tool = self.tools.iter().find(|tool| tool["name"] == name).unwrap();
        fits(&tool["outputSchema"], &body);
        body
    }
}

#[track_caller]
fn fits(schema: &Value, body: &Value) {
    jsonschema::draft202012::meta::validate(schema).unwrap_or_else(|error| panic!("{error}: {schema}"));
    let validator = jsonschema::draft202012::options().build(schema).unwrap();
    assert!(body.is_object());
    if let Err(error) = validator.validate(body) {
        panic!("{error} at {}: {body}\n{schema}", error.instance_path());
    }
}

#[test]
fn every_success_fits_what_was_listed() {
    for format in [1, 2] {
        let house = House::with(|contract| contract["result_format"] = json!(format));
        block(async {
            let mut client = Strict::new(&house).await;
            let late = json!({ "invoice_id": "INV-1", "reason": "late" });
            client.call(INSPECT, json!({ "invoice_id": "INV-1" })).await;
            client.call("billing__inspect_invoice", json!({ "invoice_id": "INV-2" })).await;
            let made = client.call(WAIVE, late.clone()).await;
            let again = client.call(WAIVE, late).await;
            let existing = again.pointer("/proposal/existing").or(again.get("existing"));
            assert_eq!(existing, Some(&json!(true)), "{again}");
            client.call(CREDIT, json!({ "invoice_id": "INV-2", "amount_cents": 500, "reason": "late" })).await;
            let id = signoff_tests::proposal_id(&made);
            client.call(STATUS, json!({ "proposal_id": id })).await;
            client.call(WITHDRAW, json!({ "proposal_id": id })).await;
            client.call("signoff__proposal_status", json!({ "proposal_id": id })).await;
            // Through to the end: receipts, and every event.
            let made = client.call(WAIVE, json!({ "invoice_id": "INV-2", "reason": "late" })).await;
            let id = signoff_tests::proposal_id(&made);
            let run = |words: &[&str]| {
                house.workspace.run(words.iter().copied().chain(["--store", "ledger.db"])).expect(0);
            };
            run(&["proposals", "approve", &id, "--yes", "--actor", "dana"]);
            assert_eq!(client.call(STATUS, json!({ "proposal_id": id })).await["state"], "approved");
            run(&["apply", &id]);
            let told = client.call(STATUS, json!({ "proposal_id": id })).await;
            assert_eq!((told["state"].as_str(), told["receipts"].as_array().map(Vec::len)), (Some("applied"), Some(1)));
        });
    }
    for format in [1, 2] {
        let house = House::with(|contract| {
            contract["result_format"] = json!(format);
            contract["mode"] = json!("shadow");
        });
        block(async {
            let mut client = Strict::new(&house).await;
            client.call(WAIVE, json!({ "invoice_id": "INV-1", "reason": "late" })).await;
        });
    }
}

/// A schema that admits anything would fit as well.
#[test]
fn what_is_no_answer_of_the_tool_does_not_fit() {
    for format in [1, 2] {
        let house = House::with(|contract| contract["result_format"] = json!(format));
        block(async {
            let mut client = Strict::new(&house).await;
            let body = client.call(INSPECT, json!({ "invoice_id": "INV-1" })).await;
            let schema = client.tools.iter().find(|tool| tool["name"] == INSPECT).unwrap()["outputSchema"].clone();
            let validator = jsonschema::draft202012::options().build(&schema).unwrap();
            let mut wrong = vec![json!({}), json!({ "ok": false }), json!({ "status": "failed" })];
            for (pointer, value) in [
                ("/data", json!({})),
                ("/data/tenant_id", json!("acme")),
                ("/data/id", json!({ "is": "nested" })),
                ("/source_database_changed", json!(true)),
            ] {
                let mut other = body.clone();
                let (parent, key) = pointer.rsplit_once('/').unwrap();
                other.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value);
                wrong.push(other);
            }
            for body in wrong {
                assert!(!validator.is_valid(&body), "{body}");
            }
        });
    }
}

#[test]
fn inputs_are_closed_and_show_their_limits() {
    let house = House::with(|contract| {
        contract["capabilities"][2]["args"]["reason"]["enum"] = json!(["late", "kind"]);
    });
    block(async {
        let mut client = house.client(acme("ann", &[])).await;
        let tools = client.tools().await;
        for tool in &tools {
            let schema = &tool["inputSchema"];
            jsonschema::draft202012::meta::validate(schema).unwrap();
            assert_eq!((&schema["type"], &schema["additionalProperties"]), (&json!("object"), &json!(false)));
            assert!(!schema.to_string().contains("$ref"));
        }
        let credit = &tools.iter().find(|tool| tool["name"] == CREDIT).unwrap()["inputSchema"]["properties"];
        assert_eq!(
            (&credit["amount_cents"]["minimum"], &credit["amount_cents"]["maximum"]),
            (&json!(1), &json!(10000))
        );
        assert_eq!(
            (&credit["reason"]["enum"], &credit["invoice_id"]["maxLength"]),
            (&json!(["late", "kind"]), &json!(128))
        );
    });
}

/// About four bytes are one token of a model: 1,000 of them are the whole list of a contract with one capability.
const MOST_BYTES: usize = 4_000;

#[test]
fn the_list_of_one_capability_is_small() {
    for one in 0..3 {
        for format in [1, 2] {
            for own_proposals in [false, true] {
                let house = House::with(|contract| {
                    contract["result_format"] = json!(format);
                    let capability = contract["capabilities"][one].clone();
                    contract["capabilities"] = json!([capability]);
                    if one != 2 {
                        contract.as_object_mut().unwrap().remove("executors");
                    }
                });
                block(async {
                    let mut options = DoorOptions::default();
                    options.alias = AliasMode::Canonical;
                    options.own_proposals = own_proposals;
                    let door = Door::new(house.runtime.clone(), options).unwrap().for_caller(Caller::FromContract);
                    let listed = Client::of(door).await.ask("tools/list", json!({})).await["result"].to_string();
                    assert!(listed.len() <= MOST_BYTES, "{} bytes: {listed}", listed.len());
                    println!("capability {one}, format {format}, own {own_proposals}: {} bytes", listed.len());
                    if std::env::var_os("SHOW_TOOLS").is_some() {
                        println!("{listed}");
                    }
                });
            }
        }
    }
}

/// The application's own: what it answers stands in `data`, whatever it is.
#[test]
fn an_applications_own_tool_fits_its_schema() {
    let house = House::new();
    let address = house.workspace.source.address();
    let session = Session::open(Open {
        config: Some(ConfigSource::Path(house.workspace.path("signoff.json").display().to_string())),
        ledger: Some(house.workspace.path("session.db").display().to_string()),
        create: true,
        environment: [
            ("BILLING_APP_READ_URL".to_owned(), address),
            ("SYNAPSOR_TENANT_ID".to_owned(), "acme".to_owned()),
            ("SYNAPSOR_PRINCIPAL".to_owned(), "ann".to_owned()),
        ]
        .into(),
        testing: None,
    })
    .unwrap();
    let ask =
        |request: Value| -> Value { serde_json::from_str(&block(session.call_json(&request.to_string()))).unwrap() };
    let fee = json!({ "type": "object", "properties": { "fee": { "$ref": "#/$defs/cents" } }, "required": ["fee"], "$defs": { "cents": { "type": "integer" } } });
    let secret = "sk_live_4eC39HqLyjWDarjtT1zdp7dc";
    for (number, (schema, answer, fits_still)) in [
        (Value::Null, json!({ "a": [1] }), true),
        (Value::Null, json!([1, 2]), true),
        (fee, json!({ "fee": 3 }), true),
        (json!({ "type": "array", "items": { "type": "integer" } }), json!([1, 2]), true),
        (json!({ "type": "string", "maxLength": 40 }), json!("short"), true),
        (json!({ "anyOf": [{ "type": "string" }, { "type": "object" }] }), json!("text"), true),
        // Its stand-in is longer than the schema allows.
        (json!({ "type": "string", "maxLength": 40 }), json!(secret), false),
        (json!({ "type": "object", "additionalProperties": { "maxLength": 40 } }), json!({ "a": secret }), false),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("billing.own_{number}");
        let mut tool =
            json!({ "call": "register_tool", "name": name, "description": "One.", "kind": "read", "scope": [INSPECT] });
        tool["input_schema"] = json!({ "type": "object", "properties": {} });
        tool["output_schema"] = schema;
        assert_eq!(ask(tool)["ok"], true);
        for format in [1, 2] {
            let listed = ask(json!({ "call": "tools", "format": format }))["value"]["tools"].clone();
            let shown = listed.as_array().unwrap().iter().find(|tool| tool["name"] == name.as_str()).unwrap().clone();
            let of = json!({ "tool": name, "arguments": "{}", "format": format });
            let ended = ask(json!({ "call": "finish_tool", "of": of, "outcome": { "output": answer.to_string() } }));
            let body = &ended["value"]["envelope"];
            let ok = body["ok"] == true || body["status"] == "ok";
            assert_eq!(ok, fits_still, "{ended}");
            if ok {
                fits(&shown["outputSchema"], body);
            } else {
                assert!(!body.to_string().contains(secret));
            }
        }
    }
    let tool = json!({
        "call": "register_tool", "name": "billing.forgive", "description": "Waives.", "kind": "proposal",
        "input_schema": { "type": "object", "properties": {} }, "scope": [WAIVE],
    });
    assert_eq!(ask(tool)["ok"], true);
    let arguments = json!({ "invoice_id": "INV-1", "reason": "late" }).to_string();
    let made =
        ask(json!({ "call": "propose", "capability": WAIVE, "arguments": arguments, "within": "billing.forgive" }));
    for format in [1, 2] {
        let of = json!({ "tool": "billing.forgive", "arguments": "{}", "format": format });
        let outcome = json!({ "proposal": made["value"]["proposal_id"] });
        let ended = ask(json!({ "call": "finish_tool", "of": of, "outcome": outcome }));
        let listed = ask(json!({ "call": "tools", "format": format }))["value"]["tools"].clone();
        let shown = listed.as_array().unwrap().iter().find(|tool| tool["name"] == "billing.forgive").unwrap();
        fits(&shown["outputSchema"], &ended["value"]["envelope"]);
    }
}
