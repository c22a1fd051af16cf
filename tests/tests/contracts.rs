//! Contracts in the style of v1, whole: each loads, or is refused, with exactly the findings that `expect.json` has.

use std::path::PathBuf;

use serde_json::Value;
use signoff::contract::{Contract, Severity};

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
