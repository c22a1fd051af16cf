//! The billing contract, and what each small edit of it is answered with.

mod cases;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use self::cases::single_edits;
use super::*;
use crate::primitives::{Identifier, Lifetime, Scalar};

const BILLING: &str = include_str!("../../../../tests/vectors/contracts/billing.sqlite.json");

fn billing() -> Contract {
    Contract::parse(BILLING).unwrap().0
}

/// The contract with the value at `pointer` replaced, added, or (for `null`) removed.
fn edited(edits: &[(&str, Value)]) -> String {
    let mut document: Value = serde_json::from_str(BILLING).unwrap();
    for (pointer, value) in edits {
        if pointer.is_empty() {
            document = value.clone();
            continue;
        }
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let key = key.replace("~1", "/").replace("~0", "~");
        match document.pointer_mut(parent).unwrap_or_else(|| panic!("{parent}")) {
            Value::Object(map) if value.is_null() => drop(map.remove(&key).unwrap_or_else(|| panic!("{pointer}"))),
            Value::Object(map) => drop(map.insert(key, value.clone())),
            Value::Array(items) => items[key.parse::<usize>().unwrap()] = value.clone(),
            other => panic!("{parent}: {other}"),
        }
    }
    serde_json::to_string_pretty(&document).unwrap()
}

fn findings(text: &str) -> Vec<Diagnostic> {
    match Contract::parse(text) {
        Ok((contract, warnings)) => {
            let count = serde_json::from_str::<Value>(text).unwrap()["capabilities"].as_array().map_or(0, Vec::len);
            assert_eq!(contract.capabilities.len(), count, "a capability was lost");
            assert!(warnings.iter().all(|finding| finding.severity == Severity::Warning));
            warnings
        }
        Err(findings) => {
            assert!(findings.iter().any(|finding| finding.severity == Severity::Error), "refused without a reason");
            findings
        }
    }
}

#[test]
fn the_billing_contract_is_clean_and_typed() {
    let (contract, warnings) = Contract::parse(BILLING).unwrap();
    assert_eq!(warnings, []);
    assert_eq!((contract.mode, contract.result_format), (Mode::Review, 2));
    assert_eq!(contract.proposal_ttl, Lifetime::For(Duration::from_secs(604_800)));
    assert_eq!(contract.approval_ttl, Lifetime::For(Duration::from_secs(86_400)));
    let names: Vec<_> = contract.capabilities.iter().map(|capability| capability.name.as_str()).collect();
    assert_eq!(names, ["billing.inspect_invoice", "billing.propose_late_fee_waiver", "billing.propose_account_credit"]);
    let waiver = contract.capability("billing.propose_late_fee_waiver").unwrap();
    assert_eq!(waiver.executor, None);
    assert_eq!(waiver.required_role.as_deref(), Some("billing_lead"));
    assert_eq!(waiver.conflict_guard, Some(ConflictGuard::Column(Identifier::new("updated_at").unwrap())));
    assert_eq!(waiver.patch[0].1, PatchValue::Fixed(Scalar::Int(0)));
    assert_eq!(waiver.patch[1].1, PatchValue::FromArg("reason".into()));
    let credit = contract.capability("billing.propose_account_credit").unwrap();
    assert_eq!(credit.numeric_bounds["credit_requested_cents"].maximum, Some(Scalar::Int(10_000)));
    let ExecutorKind::HttpHandler { method, token_env, timeout_ms, .. } =
        &contract.executors["billing_app_handler"].kind
    else {
        panic!("not an http_handler")
    };
    assert_eq!(
        (method.as_str(), token_env.as_deref(), *timeout_ms),
        ("POST", Some("BILLING_APP_HANDLER_TOKEN"), 5_000)
    );
}

#[test]
fn each_edit_is_found_where_it_belongs() {
    for (at, value, code, pointer) in single_edits() {
        let (text, pointer) = (edited(&[(at, value)]), if pointer == "=" { at } else { pointer });
        let found = findings(&text);
        let here = found.iter().find(|finding| finding.code == code && finding.pointer == pointer);
        let listed: Vec<String> = found.iter().map(ToString::to_string).collect();
        let here = here.unwrap_or_else(|| panic!("{code} at {pointer} not among {listed:#?}"));
        assert!(here.line >= 1 && here.column >= 1);
        assert!(!here.message.contains("u:p@h"), "an address is echoed");
    }
}

#[test]
fn one_edit_is_one_error() {
    // What these take away is missed elsewhere too.
    let spreading = ["", "/sources", "/mode", "/executors", "/capabilities", "/trusted_context"];
    let codes = [
        "ARGS_REQUIRED",
        "PATCH_REQUIRED",
        "DUPLICATE_PATCH_COLUMN",
        "INVALID_ALLOWED_COLUMN",
        "ALLOWED_COLUMN_IS_KEY",
        "ALLOWED_COLUMN_IS_TENANT",
    ];
    for (at, value, code, _) in single_edits() {
        let found = findings(&edited(&[(at, value.clone())]));
        let errors: Vec<&Diagnostic> = found.iter().filter(|finding| finding.severity == Severity::Error).collect();
        assert!(spreading.contains(&at) || codes.contains(&code) || errors.len() <= 1, "{at} = {value}: {errors:#?}");
    }
}

#[test]
fn a_broken_target_does_not_hide_a_broken_patch() {
    let text = edited(&[
        ("/capabilities/1/target", json!(1)),
        ("/capabilities/1/source", json!("x")),
        ("/capabilities/1/patch/waiver_reason/from_arg", json!("nobody")),
    ]);
    let codes: Vec<_> = findings(&text).iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["FROM_ARG_UNKNOWN", "UNKNOWN_SOURCE", "TARGET_REQUIRED"]);
}

#[test]
fn the_nearest_known_word_is_named_and_the_place_is_exact() {
    let text = BILLING.replace("\"returns_hint\": \"The inv", "\"return_hint\": \"The inv");
    let found = findings(&text);
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].to_string(),
        "33:7: error UNKNOWN_FIELD at /capabilities/0/return_hint: `return_hint` is not known here; did you mean `returns_hint`?"
    );
    let duplicate = BILLING.replace("\"mode\": \"review\",", "\"mode\": \"review\", \"mode\": \"shadow\",");
    let found = findings(&duplicate);
    assert_eq!((found[0].code, found[0].line, found[0].column), ("JSON_DUPLICATE_KEY", 3, 21));
}

#[test]
fn strict_false_lets_unknown_fields_pass_and_nothing_else() {
    let loose = edited(&[("/strict", json!(false)), ("/extra", json!(1)), ("/capabilities/0/extra", json!(1))]);
    assert_eq!(findings(&loose), []);
    let bad = edited(&[("/strict", json!(false)), ("/capabilities/0/sql", json!("x")), ("/mode", json!("x"))]);
    let codes: BTreeSet<_> = findings(&bad).iter().map(|finding| finding.code).collect();
    assert_eq!(codes, BTreeSet::from(["ARBITRARY_SQL_FORBIDDEN", "INVALID_MODE"]));
}

#[test]
fn all_problems_come_at_once_and_their_number_is_bounded() {
    let found = findings("{\"version\": 3, \"mode\": \"x\", \"sources\": [], \"zzz\": 1}");
    let codes: BTreeSet<_> = found.iter().map(|finding| finding.code).collect();
    for code in [
        "UNSUPPORTED_CONFIG_VERSION",
        "INVALID_MODE",
        "SOURCES_REQUIRED",
        "UNKNOWN_FIELD",
        "CAPABILITIES_REQUIRED",
        "TRUSTED_CONTEXT_REQUIRED",
    ] {
        assert!(codes.contains(code), "{code}");
    }
    let many: Vec<String> = (0..2_000).map(|n| format!("\"k{n}\":1")).collect();
    assert!(findings(&format!("{{{}}}", many.join(","))).len() <= 501);
}

#[test]
fn a_v1_postgres_contract_needs_no_change() {
    let mut document: Value = serde_json::from_str(BILLING).unwrap();
    document["sources"]["billing_app"] = json!({"engine": "postgres", "read_url_env": "R", "write_url_env": "W"});
    document.as_object_mut().unwrap().remove("signoff");
    document.as_object_mut().unwrap().remove("result_format");
    for capability in document["capabilities"].as_array_mut().unwrap() {
        capability["target"]["schema"] = json!("public");
    }
    let (contract, warnings) = Contract::parse(&document.to_string()).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(contract.result_format, 1);
    assert_eq!(contract.approval_ttl, Lifetime::For(Duration::from_secs(86_400)));
}

#[test]
fn a_cloud_contract_needs_neither_sources_nor_capabilities() {
    let text = r#"{"version":1,"mode":"cloud","cloud":{"base_url_env":"B","runner_token_env":"T","adapter_id":"a"}}"#;
    assert_eq!(Contract::parse(text).unwrap().0.mode, Mode::Cloud);
}

#[test]
fn authority_moves_with_what_may_happen_and_with_nothing_else() {
    let digest = |text: &str| Contract::parse(text).unwrap().0.authority_of("billing.propose_account_credit").unwrap();
    let base = digest(BILLING);
    let words = edited(&[
        ("/capabilities/2/description", json!("Other words.")),
        ("/capabilities/2/args/reason/description", json!("Other words.")),
        ("/capabilities/1/patch/late_fee_cents/fixed", json!(5)),
        (
            "/capabilities/2/visible_columns",
            json!(["updated_at", "credited_cents", "credit_reason", "credit_requested_cents", "status", "id"]),
        ),
    ]);
    assert_eq!(digest(&words), base);
    let pinned =
        json!({"scope": "user-space", "policy_hint": "write", "tool_digest": format!("sha256:{}", "0".repeat(64))});
    assert_eq!(digest(&edited(&[("/capabilities/2/signoff", pinned)])), base, "what holds anyway, and words");
    let roles = |roles: Value| digest(&edited(&[("/capabilities/2/signoff", json!({ "roles": roles }))]));
    assert_eq!(roles(json!(["a", "b"])), roles(json!(["b", "a"])));
    let powers: Vec<(&str, Value)> = vec![
        ("/capabilities/2/args/amount_cents/maximum", json!(10_001)),
        ("/capabilities/2/args/reason/max_length", json!(501)),
        ("/capabilities/2/args/reason/required", json!(false)),
        ("/capabilities/2/args/reason/enum", json!(["x"])),
        ("/capabilities/2/target/table", json!("payments")),
        ("/capabilities/2/target/tenant_key", json!("org_id")),
        ("/capabilities/2/visible_columns/0", json!("balance_cents")),
        ("/capabilities/2/allowed_columns", json!(["credit_requested_cents", "credit_reason", "status"])),
        ("/capabilities/2/patch/credit_reason", json!({"fixed": "1"})),
        ("/capabilities/2/patch/credit_reason", json!({"fixed": 1})),
        ("/capabilities/2/numeric_bounds/credit_requested_cents/maximum", json!(10_000.5)),
        ("/capabilities/2/conflict_guard", json!({"weak_guard_ack": true})),
        ("/capabilities/2/approval/required_role", json!("clerk")),
        ("/capabilities/2/executor", json!("sql_update")),
        ("/capabilities/2/signoff", json!({"roles": ["clerk"]})),
        ("/capabilities/2/signoff", json!({"roles": ["clerk", "lead"]})),
        ("/capabilities/2/signoff", json!({"roles": ["clerk"], "scope": "admin"})),
        ("/capabilities/2/signoff", json!({"policy_hint": "destructive"})),
        ("/capabilities/2/transition_guards", json!({"credit_reason": {"allowed": {"x": ["y"]}}})),
        ("/executors/billing_app_handler/url_env", json!("OTHER_URL")),
        ("/executors/billing_app_handler/signing_secret_env", json!("SECRET")),
        ("/sources/billing_app/engine", json!("mysql")),
    ];
    let mut seen = BTreeSet::from([base]);
    for (at, value) in powers {
        assert!(seen.insert(digest(&edited(&[(at, value.clone())]))), "{at} = {value} is not in the digest");
    }
    let other = billing();
    assert_ne!(other.authority_of("billing.inspect_invoice"), other.authority_of("billing.propose_late_fee_waiver"));
}

#[test]
fn numbers_stay_exact() {
    let text = edited(&[])
        .replace("\"fixed\": 0", "\"fixed\": 9007199254740993")
        .replace("\"maximum\": 10000", "\"maximum\": 9007199254740993");
    let contract = Contract::parse(&text).unwrap().0;
    assert_eq!(contract.capabilities[1].patch[0].1, PatchValue::Fixed(Scalar::Int(9_007_199_254_740_993)));
    let over = text.replace("\"fixed\": 9007199254740993", "\"fixed\": 9007199254740994");
    assert_eq!(findings(&over)[0].code, "FIXED_VALUE_OUT_OF_BOUNDS");
}

#[test]
fn whatever_stands_anywhere_a_refusal_has_a_reason() {
    fn pointers(value: &Value, at: &str, out: &mut Vec<String>) {
        let mut below = |key: &str, value| {
            let pointer = crate::primitives::json::pointer(at, key);
            pointers(value, &pointer, out);
            out.push(pointer);
        };
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| below(key, value)),
            Value::Array(items) => items.iter().enumerate().for_each(|(index, value)| below(&index.to_string(), value)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    pointers(&serde_json::from_str(BILLING).unwrap(), "", &mut all);
    assert!(all.len() > 100);
    for pointer in &all {
        for value in [
            json!(-1),
            json!(1e300),
            json!(""),
            json!("x"),
            json!(true),
            json!([]),
            json!([{}]),
            json!({}),
            json!({"": null}),
        ] {
            // `findings` holds that an error is among them, or that no capability was lost.
            findings(&edited(&[(pointer, value)]));
        }
    }
}

/// The table of diagnostics is the list of these tests: its example is answered with its code, there, and nothing else.
#[test]
fn each_example_is_answered_with_its_code_where_its_mark_stands() {
    for base in [EXAMPLE, EXAMPLE_CLOUD] {
        assert_eq!(findings(base), []);
    }
    let mut wrong = Vec::new();
    for info in DIAGNOSTICS {
        for (old, _) in info.example.edits {
            assert!(old.is_empty() || info.example.base.matches(old).count() == 1, "{}: {old}", info.code);
        }
        let text = info.example.text();
        let found = match Contract::parse(&text) {
            Ok((_, found)) | Err(found) => found,
        };
        // A context that lacks a value is one for development, and that is said as well.
        let said: Vec<_> = found
            .iter()
            .filter(|finding| (info.code, finding.code) != ("CONTEXT_VALUE_MISSING", "STATIC_DEV_CONTEXT"))
            .map(|finding| (finding.code, finding.severity, finding.pointer.as_str(), (finding.line, finding.column)))
            .collect();
        if said != [(info.code, info.severity, info.example.pointer, info.example.place())] {
            wrong.push(format!("{} {:?}: {said:#?}", info.code, info.example.place()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
