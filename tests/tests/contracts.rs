//! Contracts in the style of v1, whole: each loads, or is refused, with exactly the findings that `expect.json` has.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use signoff::Code;
use signoff::contract::{Contract, Severity};
use signoff::primitives::SystemClock;
use signoff::runtime::Caller;
use signoff_tests::{Workspace, library};

fn read(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/configs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn each_is_answered_as_expected_and_with_nothing_else() {
    let expect: Value = serde_json::from_str(&read("expect.json")).unwrap();
    let cases = expect["cases"].as_array().unwrap();
    for case in cases {
        let name = case["file"].as_str().unwrap();
        let answer = Contract::parse(&read(name));
        assert_eq!(answer.is_ok(), case["loads"].as_bool().unwrap(), "{name}: {answer:#?}");
        let found = match answer {
            Ok((contract, found)) => {
                assert!(found.iter().all(|finding| finding.severity == Severity::Warning), "{name}");
                let document: Value = serde_json::from_str(&read(name)).unwrap();
                assert_eq!(
                    contract.capabilities.len(),
                    document["capabilities"].as_array().map_or(0, Vec::len),
                    "{name}"
                );
                found
            }
            Err(found) => found,
        };
        let found: Vec<(&str, &str)> = found.iter().map(|finding| (finding.code, finding.pointer.as_str())).collect();
        let expected: Vec<(&str, &str)> = case["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| (finding["code"].as_str().unwrap(), finding["pointer"].as_str().unwrap()))
            .collect();
        assert_eq!(found, expected, "{name}");
    }
    let files = std::fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/configs")).unwrap();
    assert_eq!(files.count(), cases.len() + 1, "a contract that is not in expect.json, or the other way round");
}

/// What the guide shows is true: whole contracts load without a finding, and fragments are objects with known keys.
#[test]
fn the_examples_of_the_guide_load() {
    let page =
        std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../core/docs/contract.md")).unwrap();
    let (mut whole, mut parts) = (0, 0);
    for block in page.split("```json\n").skip(1).map(|rest| rest.split("\n```").next().unwrap()) {
        if block.starts_with('{') {
            let (_, found) = Contract::parse(block).unwrap_or_else(|found| panic!("{block}\n{found:#?}"));
            assert_eq!(found, [], "{block}");
            whole += 1;
        } else {
            let part: Value =
                serde_json::from_str(&format!("{{{block}}}")).unwrap_or_else(|error| panic!("{error}: {block}"));
            let known = |key: &String| {
                key == "json.schemas" || signoff::contract::OBJECTS.iter().any(|o| o.keys.iter().any(|k| k.name == key))
            };
            assert!(part.as_object().unwrap().keys().all(known), "{block}");
            parts += 1;
        }
    }
    assert!(whole >= 4 && parts >= 18, "{whole} whole, {parts} parts");
}

/// Contexts that need a caller load with a warning, refuse a call that has none, and take one that the application vouches for.
#[test]
fn a_context_of_claims_waits_for_a_caller() {
    for provider in ["http_claims", "cloud_session"] {
        let workspace = Workspace::new();
        let mut contract: Value = serde_json::from_str(&workspace.contract()).unwrap();
        contract["trusted_context"] = serde_json::json!({ "provider": provider });
        workspace.write_contract(&contract.to_string());
        let (typed, found) = Contract::parse(&contract.to_string()).unwrap();
        assert_eq!(typed.trusted_context.unwrap().provider.as_str(), provider);
        assert_eq!(found.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["CONTEXT_NEEDS_CALLER"]);

        let (tool, arguments) = ("billing.propose_late_fee_waiver", r#"{"invoice_id": "INV-3001", "reason": "kind"}"#);
        let refused = workspace.json(["propose", tool, "--json", arguments]).expect(1);
        assert_eq!(refused.error_code(), "TRUSTED_CONTEXT_UNSUPPORTED");

        let folder = workspace.path("");
        let ledger = library::ledger(&folder, "claims.db", &SystemClock);
        let address = workspace.path("billing.db").display().to_string();
        let runtime = library::runtime(&folder, &address, ledger, Arc::new(SystemClock));
        let propose = |caller: Caller| library::block(runtime.propose(tool, arguments, &caller));
        assert_eq!(propose(Caller::FromContract).unwrap_err().code(), Code::TrustedContextUnsupported);
        let proposed = propose(Caller::trusted("acme", "a_customer")).unwrap();
        assert_eq!(proposed.change_set.scope.tenant_id, "acme");
        assert_eq!(proposed.change_set.principal.id, "a_customer");
    }
}
