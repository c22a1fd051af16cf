//! The billing contract, and what each small edit of it is answered with.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::primitives::{Identifier, Lifetime, Scalar};

const BILLING: &str = include_str!("../../../tests/vectors/contracts/billing.sqlite.json");

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

/// One edit each: (where, to what, the code, the pointer of the finding; `=` for the place of the edit).
fn single_edits() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let null = Value::Null;
    vec![
        ("", json!([]), "CONFIG_NOT_OBJECT", ""),
        ("/version", json!(2), "UNSUPPORTED_CONFIG_VERSION", "="),
        ("/version", null.clone(), "UNSUPPORTED_CONFIG_VERSION", "="),
        ("/version", json!("1"), "UNSUPPORTED_CONFIG_VERSION", "="),
        ("/mode", json!("live"), "INVALID_MODE", "="),
        ("/mode", null.clone(), "INVALID_MODE", "="),
        ("/result_format", json!(3), "INVALID_RESULT_FORMAT", "="),
        ("/strict", json!("no"), "INVALID_BOOLEAN", "="),
        ("/storage", json!("x"), "STORAGE_NOT_OBJECT", "="),
        ("/storage/sqlite_path", json!(" "), "INVALID_SQLITE_PATH", "="),
        ("/storage/path", json!("x"), "UNKNOWN_FIELD", "="),
        ("/capabilites", json!([]), "UNKNOWN_FIELD", "="),
        ("/signoff", json!(true), "SIGNOFF_NOT_OBJECT", "="),
        ("/signoff/proposal_ttl", json!("soon"), "INVALID_LIFETIME", "="),
        ("/signoff/approval_ttl", json!(24), "INVALID_LIFETIME", "="),
        ("/signoff/quorum", json!(2), "UNKNOWN_FIELD", "="),
        ("/sources", null.clone(), "SOURCES_REQUIRED", "="),
        ("/sources", json!({}), "SOURCES_REQUIRED", "="),
        ("/sources/my-app", json!({}), "UNSAFE_SOURCE_NAME", "="),
        ("/sources/billing_app", json!("x"), "SOURCE_NOT_OBJECT", "="),
        ("/sources/billing_app/engine", json!("oracle"), "INVALID_SOURCE_ENGINE", "="),
        ("/sources/billing_app/read_url_env", null.clone(), "READ_URL_ENV_REQUIRED", "="),
        ("/sources/billing_app/read_url_env", json!("lower_case"), "READ_URL_ENV_REQUIRED", "="),
        ("/sources/billing_app/write_url_env", json!("postgres://u:p@h/d"), "INVALID_WRITE_URL_ENV", "="),
        ("/sources/billing_app/write_url_env", null.clone(), "WRITEBACK_DISABLED", "/capabilities/1/source"),
        ("/sources/billing_app/read_only", json!(1), "INVALID_SOURCE_READ_ONLY", "="),
        ("/sources/billing_app/read_only", json!(true), "READ_ONLY_SOURCE_DIRECT_WRITEBACK", "/capabilities/1/source"),
        ("/sources/billing_app/statement_timeout_ms", json!(0), "INVALID_TIMEOUT", "="),
        ("/sources/billing_app/statement_timeout_ms", json!(1.5), "INVALID_TIMEOUT", "="),
        ("/sources/billing_app/statement_timeout_ms", json!(2_147_483_648_u64), "INVALID_TIMEOUT", "="),
        ("/sources/billing_app/ssl", json!({"rejectUnauthorized": true}), "INERT_SETTING", "="),
        ("/sources/billing_app/signoff/receipts_schema", json!("a b"), "INVALID_RECEIPTS_SCHEMA", "="),
        ("/sources/billing_app/signoff/create_receipts", json!("yes"), "INVALID_BOOLEAN", "="),
        ("/sources/billing_app/signoff/create_receipt", json!(true), "UNKNOWN_FIELD", "="),
        ("/sources/billing_app/database_url", json!("x"), "INLINE_DATABASE_URL_FORBIDDEN", "="),
        ("/sources/other", json!({"engine": "mysql", "read_url_env": "X"}), "UNUSED_SOURCE", "="),
        ("/cloud", json!({}), "CLOUD_CONFIG_ONLY_FOR_CLOUD_MODE", "="),
        ("/mode", json!("cloud"), "CLOUD_CONFIG_REQUIRED", "/cloud"),
        ("/contexts", json!([]), "CONTEXTS_NOT_OBJECT", "="),
        ("/contexts", json!({"1x": {"provider": "environment"}}), "INVALID_CONTEXT_NAME", "/contexts/1x"),
        ("/contexts", json!({"x": {"provider": "environment"}}), "UNUSED_CONTEXT", "/contexts/x"),
        ("/trusted_context", null.clone(), "TRUSTED_CONTEXT_REQUIRED", "="),
        ("/trusted_context", json!("environment"), "TRUSTED_CONTEXT_NOT_OBJECT", "="),
        ("/trusted_context/provider", json!("model"), "INVALID_CONTEXT_PROVIDER", "="),
        ("/trusted_context/provider", json!("static_dev"), "STATIC_DEV_CONTEXT", "="),
        ("/trusted_context/provider", json!("http_claims"), "INERT_SETTING", "/trusted_context/values/principal_env"),
        (
            "/trusted_context",
            json!({"provider": "static_dev", "values": {"tenant_id": "acme"}}),
            "CONTEXT_VALUE_MISSING",
            "/trusted_context/values",
        ),
        ("/trusted_context/values", json!(1), "INVALID_CONTEXT_VALUE", "="),
        ("/trusted_context/values/principal_env", json!("me"), "INVALID_CONTEXT_VALUE", "="),
        ("/trusted_context/values/tenant", json!("acme"), "INERT_SETTING", "="),
        ("/executors", json!([]), "EXECUTORS_NOT_OBJECT", "="),
        ("/executors/-x", json!({"type": "sql_update"}), "INVALID_EXECUTOR_NAME", "="),
        (
            "/executors/sql_update",
            json!({"type": "command_handler", "command_env": "X"}),
            "EXECUTOR_NAME_RESERVED",
            "=",
        ),
        ("/executors/other", json!({"type": "sql_update"}), "UNUSED_EXECUTOR", "="),
        (
            "/executors/other",
            json!({"type": "sql_update", "timeout_ms": 5}),
            "INERT_SETTING",
            "/executors/other/timeout_ms",
        ),
        (
            "/executors/other",
            json!({"type": "command_handler"}),
            "COMMAND_ENV_REQUIRED",
            "/executors/other/command_env",
        ),
        ("/executors/billing_app_handler", json!([]), "EXECUTOR_NOT_OBJECT", "="),
        ("/executors/billing_app_handler/type", json!("webhook"), "INVALID_EXECUTOR_TYPE", "="),
        ("/executors/billing_app_handler/url_env", null.clone(), "HANDLER_URL_ENV_REQUIRED", "="),
        ("/executors/billing_app_handler/url", json!("http://x"), "INLINE_DATABASE_URL_FORBIDDEN", "="),
        ("/executors/billing_app_handler/method", json!("GET"), "INVALID_HANDLER_METHOD", "="),
        (
            "/executors/billing_app_handler/signing_secret_env",
            json!("s3cret"),
            "HANDLER_SIGNING_SECRET_ENV_INVALID",
            "=",
        ),
        ("/executors/billing_app_handler/timeout_ms", json!(-1), "INVALID_HANDLER_TIMEOUT", "="),
        ("/executors/billing_app_handler/auth", json!("x"), "EXECUTOR_AUTH_NOT_OBJECT", "="),
        ("/executors/billing_app_handler/auth/type", json!("basic"), "INVALID_EXECUTOR_AUTH", "="),
        ("/executors/billing_app_handler/auth/token_env", null.clone(), "EXECUTOR_TOKEN_ENV_REQUIRED", "="),
        (
            "/executors/billing_app_handler/signoff",
            json!({"x": 1}),
            "UNKNOWN_FIELD",
            "/executors/billing_app_handler/signoff/x",
        ),
        ("/mode", json!("read_only"), "EXECUTOR_INVALID_IN_READ_ONLY", "/executors/billing_app_handler"),
        ("/capabilities", null.clone(), "CAPABILITIES_REQUIRED", "="),
        ("/capabilities", json!({}), "CAPABILITIES_REQUIRED", "="),
        ("/capabilities/0", json!(7), "CAPABILITY_NOT_OBJECT", "="),
        ("/capabilities/0/name", json!("inspect"), "INVALID_CAPABILITY_NAME", "="),
        ("/capabilities/0/name", json!("billing..x"), "INVALID_CAPABILITY_NAME", "="),
        (
            "/capabilities/0/name",
            json!("billing.propose_account_credit"),
            "DUPLICATE_CAPABILITY",
            "/capabilities/2/name",
        ),
        ("/capabilities/0/kind", json!("write"), "INVALID_CAPABILITY_KIND", "="),
        ("/capabilities/0/description", json!(""), "INVALID_CAPABILITY_DESCRIPTION", "="),
        ("/capabilities/0/returns_hint", json!(5), "INVALID_RETURNS_HINT", "="),
        ("/capabilities/0/source", json!("billing"), "UNKNOWN_SOURCE", "="),
        ("/capabilities/0/context", json!("nobody"), "UNKNOWN_CONTEXT", "="),
        ("/capabilities/0/executor", json!("sql_update"), "INERT_SETTING", "="),
        ("/capabilities/0/evidence", json!("none"), "INERT_SETTING", "="),
        ("/capabilities/0/max_rows", json!(5), "INERT_SETTING", "="),
        ("/capabilities/0/max_rows", json!(0), "INVALID_MAX_ROWS", "="),
        ("/capabilities/0/signoff", json!({"quorum": 2}), "UNKNOWN_FIELD", "/capabilities/0/signoff/quorum"),
        ("/capabilities/0/raw_sql", json!("SELECT 1"), "ARBITRARY_SQL_FORBIDDEN", "="),
        ("/capabilities/0/target", json!("invoices"), "TARGET_REQUIRED", "="),
        ("/capabilities/0/target/table", json!("invoices; --"), "INVALID_TARGET_IDENTIFIER", "="),
        ("/capabilities/0/target/schema", null.clone(), "INVALID_TARGET_IDENTIFIER", "="),
        ("/capabilities/0/target/schema", json!("public"), "SQLITE_SCHEMA_NOT_MAIN", "="),
        ("/capabilities/0/target/tenant_key", null.clone(), "TENANT_GUARD_REQUIRED", "="),
        ("/capabilities/0/target/single_tenant_dev", json!(true), "INERT_SETTING", "="),
        ("/capabilities/0/args", json!({}), "ARGS_REQUIRED", "="),
        ("/capabilities/0/args/tenant_id", json!({"type": "string"}), "MODEL_CONTROLLED_RESERVED_ARG", "="),
        ("/capabilities/0/args/TenantID", json!({"type": "string"}), "MODEL_CONTROLLED_RESERVED_ARG", "="),
        ("/capabilities/0/args/__proto__", json!({"type": "string"}), "INVALID_ARG_NAME", "="),
        ("/capabilities/0/args/a b", json!({"type": "string"}), "INVALID_ARG_NAME", "="),
        ("/capabilities/0/args/invoice_id", json!("string"), "ARG_NOT_OBJECT", "="),
        ("/capabilities/0/args/invoice_id/type", json!("integer"), "INVALID_ARG_TYPE", "="),
        ("/capabilities/0/args/invoice_id/description", json!(1), "INVALID_ARG_DESCRIPTION", "="),
        ("/capabilities/0/args/invoice_id/required", json!("true"), "INVALID_BOOLEAN", "="),
        ("/capabilities/0/args/invoice_id/max_length", json!(0), "INVALID_MAX_LENGTH", "="),
        ("/capabilities/0/args/invoice_id/minimum", json!(1), "NUMERIC_BOUNDS_REQUIRE_NUMBER", "="),
        ("/capabilities/0/args/invoice_id/enum", json!([]), "INVALID_ENUM", "="),
        (
            "/capabilities/0/args/invoice_id/enum",
            json!(["INV-1", 2]),
            "INVALID_ENUM",
            "/capabilities/0/args/invoice_id/enum/1",
        ),
        (
            "/capabilities/0/args/invoice_id/enum",
            json!(["x".repeat(129)]),
            "ENUM_VALUE_UNREACHABLE",
            "/capabilities/0/args/invoice_id/enum/0",
        ),
        ("/capabilities/2/args/amount_cents/max_length", json!(4), "INERT_SETTING", "="),
        ("/capabilities/2/args/amount_cents/minimum", json!("1"), "INVALID_MINIMUM", "="),
        ("/capabilities/2/args/amount_cents/maximum", json!(true), "INVALID_MAXIMUM", "="),
        (
            "/capabilities/2/args/amount_cents/maximum",
            json!(0.5),
            "INVALID_NUMERIC_RANGE",
            "/capabilities/2/args/amount_cents",
        ),
        (
            "/capabilities/2/args/amount_cents/enum",
            json!([1, 10_001]),
            "ENUM_VALUE_UNREACHABLE",
            "/capabilities/2/args/amount_cents/enum/1",
        ),
        ("/capabilities/0/lookup", json!("invoice_id"), "LOOKUP_REQUIRED", "="),
        ("/capabilities/0/lookup/id_from_arg", json!(""), "LOOKUP_ARG_REQUIRED", "="),
        ("/capabilities/0/lookup/id_from_arg", json!("invoice"), "LOOKUP_ARG_UNKNOWN", "="),
        ("/capabilities/0/visible_columns", json!([]), "VISIBLE_COLUMNS_REQUIRED", "="),
        ("/capabilities/0/visible_columns/1", json!("status, balance"), "INVALID_VISIBLE_COLUMN", "="),
        ("/capabilities/0/visible_columns/1", json!("id"), "COLUMN_REPEATED", "="),
        ("/capabilities/1/patch", json!({}), "PATCH_REQUIRED", "="),
        ("/capabilities/1/patch/late fee", json!({"fixed": 0}), "INVALID_PATCH_COLUMN", "="),
        (
            "/capabilities/1/patch/Late_Fee_Cents",
            json!({"fixed": 0}),
            "DUPLICATE_PATCH_COLUMN",
            "/capabilities/1/patch/late_fee_cents",
        ),
        ("/capabilities/1/patch/late_fee_cents", json!(0), "PATCH_BINDING_NOT_OBJECT", "="),
        ("/capabilities/1/patch/late_fee_cents", json!({}), "INVALID_PATCH_BINDING", "="),
        (
            "/capabilities/1/patch/late_fee_cents",
            json!({"fixed": 0, "from_arg": "reason"}),
            "INVALID_PATCH_BINDING",
            "=",
        ),
        ("/capabilities/1/patch/late_fee_cents/fixed", json!([0]), "INVALID_PATCH_BINDING", "="),
        ("/capabilities/1/patch/waiver_reason/from_arg", json!(1), "INVALID_PATCH_ARG", "="),
        ("/capabilities/1/patch/waiver_reason/from_arg", json!("reson"), "FROM_ARG_UNKNOWN", "="),
        (
            "/capabilities/1/args/reason/required",
            json!(false),
            "OPTIONAL_PATCH_ARG",
            "/capabilities/1/patch/waiver_reason/from_arg",
        ),
        (
            "/capabilities/1/allowed_columns/1",
            json!("status"),
            "PATCH_COLUMN_NOT_ALLOWED",
            "/capabilities/1/patch/waiver_reason",
        ),
        (
            "/capabilities/1/conflict_guard/column",
            json!("WAIVER_reason"),
            "PATCH_COLUMN_IS_VERSION",
            "/capabilities/1/patch/waiver_reason",
        ),
        ("/capabilities/1/allowed_columns", null.clone(), "ALLOWED_COLUMNS_REQUIRED", "="),
        ("/capabilities/1/allowed_columns/0", json!("*"), "INVALID_ALLOWED_COLUMN", "="),
        ("/capabilities/1/allowed_columns/0", json!("ID"), "ALLOWED_COLUMN_IS_KEY", "="),
        ("/capabilities/1/allowed_columns/0", json!("tenant_id"), "ALLOWED_COLUMN_IS_TENANT", "="),
        ("/capabilities/1/numeric_bounds", json!([]), "NUMERIC_BOUNDS_NOT_OBJECT", "="),
        ("/capabilities/1/numeric_bounds/a-b", json!({"minimum": 0}), "INVALID_NUMERIC_BOUND_COLUMN", "="),
        (
            "/capabilities/1/numeric_bounds/balance_cents",
            json!({"minimum": 0}),
            "NUMERIC_BOUND_PATCH_COLUMN_REQUIRED",
            "=",
        ),
        ("/capabilities/1/numeric_bounds/late_fee_cents", json!(5), "NUMERIC_BOUND_NOT_OBJECT", "="),
        ("/capabilities/1/numeric_bounds/late_fee_cents", json!({}), "NUMERIC_BOUND_EMPTY", "="),
        ("/capabilities/1/numeric_bounds/waiver_reason", json!({"minimum": 0}), "BOUND_VALUE_NOT_NUMBER", "="),
        (
            "/capabilities/1/numeric_bounds/late_fee_cents/minimum",
            json!(1),
            "FIXED_VALUE_OUT_OF_BOUNDS",
            "/capabilities/1/numeric_bounds/late_fee_cents",
        ),
        ("/capabilities/1/transition_guards", json!(1), "TRANSITION_GUARDS_NOT_OBJECT", "="),
        (
            "/capabilities/1/transition_guards",
            json!({"a b": {"allowed": {"x": ["y"]}}}),
            "INVALID_TRANSITION_GUARD_COLUMN",
            "/capabilities/1/transition_guards/a b",
        ),
        (
            "/capabilities/1/transition_guards",
            json!({"status": {"allowed": {"x": ["y"]}}}),
            "TRANSITION_PATCH_COLUMN_REQUIRED",
            "/capabilities/1/transition_guards/status",
        ),
        (
            "/capabilities/1/transition_guards",
            json!({"waiver_reason": []}),
            "TRANSITION_GUARD_NOT_OBJECT",
            "/capabilities/1/transition_guards/waiver_reason",
        ),
        (
            "/capabilities/1/transition_guards",
            json!({"waiver_reason": {"from_column": "a b", "allowed": {"x": ["y"]}}}),
            "INVALID_TRANSITION_FROM_COLUMN",
            "/capabilities/1/transition_guards/waiver_reason/from_column",
        ),
        (
            "/capabilities/1/transition_guards",
            json!({"waiver_reason": {"from_column": "hidden", "allowed": {"x": ["y"]}}}),
            "TRANSITION_FROM_COLUMN_NOT_VISIBLE",
            "/capabilities/1/transition_guards/waiver_reason/from_column",
        ),
        (
            "/capabilities/1/transition_guards",
            json!({"waiver_reason": {}}),
            "TRANSITION_ALLOWED_REQUIRED",
            "/capabilities/1/transition_guards/waiver_reason/allowed",
        ),
        (
            "/capabilities/1/transition_guards",
            json!({"waiver_reason": {"allowed": {"": ["y"]}}}),
            "TRANSITION_FROM_REQUIRED",
            "/capabilities/1/transition_guards/waiver_reason/allowed/",
        ),
        (
            "/capabilities/1/transition_guards",
            json!({"waiver_reason": {"allowed": {"x": []}}}),
            "TRANSITION_TO_VALUES_REQUIRED",
            "/capabilities/1/transition_guards/waiver_reason/allowed/x",
        ),
        (
            "/capabilities/1/transition_guards",
            json!({"late_fee_cents": {"allowed": {"x": ["y"]}}}),
            "TRANSITION_VALUE_NOT_STRING",
            "/capabilities/1/transition_guards/late_fee_cents",
        ),
        ("/capabilities/1/conflict_guard", null.clone(), "CONFLICT_GUARD_REQUIRED", "="),
        (
            "/capabilities/1/conflict_guard",
            json!({}),
            "CONFLICT_GUARD_COLUMN_REQUIRED",
            "/capabilities/1/conflict_guard/column",
        ),
        (
            "/capabilities/1/conflict_guard",
            json!({"weak_guard_ack": false}),
            "CONFLICT_GUARD_COLUMN_REQUIRED",
            "/capabilities/1/conflict_guard/column",
        ),
        ("/capabilities/1/approval", json!("human"), "APPROVAL_NOT_OBJECT", "="),
        ("/capabilities/1/approval/mode", json!("auto"), "INERT_SETTING", "="),
        ("/capabilities/1/approval/required_role", json!(""), "INVALID_REQUIRED_ROLE", "="),
        ("/capabilities/1/executor", json!(7), "INVALID_EXECUTOR_REFERENCE", "="),
        ("/capabilities/2/executor", json!("billing_app_handlr"), "UNKNOWN_EXECUTOR", "="),
    ]
}

/// Codes that take more than one edit, or no JSON tree at all.
fn other_documents() -> Vec<(String, &'static str, &'static str)> {
    let cloud = |key: &str, value: Value| {
        let mut cloud = json!({"base_url_env": "B", "runner_token_env": "T", "adapter_id": "a"});
        cloud[key] = value;
        json!({"version": 1, "mode": "cloud", "cloud": cloud}).to_string()
    };
    vec![
        ("{\"version\": 1,,}".into(), "JSON_INVALID", ""),
        ("{\"a~b\": [{\"k\": 1, \"k\": 2}]}".into(), "JSON_DUPLICATE_KEY", "/a~0b/0/k"),
        (format!("{}1{}", "[".repeat(65), "]".repeat(65)), "JSON_TOO_DEEP", ""),
        (cloud("base_url_env", json!("https://x")), "CLOUD_BASE_URL_ENV_REQUIRED", "/cloud/base_url_env"),
        (cloud("runner_token_env", json!(1)), "CLOUD_RUNNER_TOKEN_ENV_REQUIRED", "/cloud/runner_token_env"),
        (cloud("adapter_id", json!("")), "CLOUD_ADAPTER_ID_REQUIRED", "/cloud/adapter_id"),
        (cloud("source_id", json!(1)), "INVALID_CLOUD_SOURCE_ID", "/cloud/source_id"),
        (cloud("runner_id", json!("")), "INVALID_CLOUD_RUNNER_ID", "/cloud/runner_id"),
        (cloud("runner_version", json!(1)), "INVALID_CLOUD_RUNNER_VERSION", "/cloud/runner_version"),
        (cloud("project_id", json!([])), "INVALID_CLOUD_PROJECT_ID", "/cloud/project_id"),
        (cloud("engines", json!(["oracle"])), "INVALID_CLOUD_ENGINES", "/cloud/engines"),
        (cloud("capabilities", json!([])), "INVALID_CLOUD_CAPABILITIES", "/cloud/capabilities"),
        (cloud("session", json!("x")), "INVALID_CLOUD_SESSION", "/cloud/session"),
        (cloud("sesion", json!({})), "INERT_SETTING", "/cloud/sesion"),
        (
            edited(&[
                ("/capabilities/0/target/tenant_key", Value::Null),
                ("/capabilities/0/target/single_tenant_dev", json!(true)),
            ]),
            "SINGLE_TENANT_DEV_EXCEPTION",
            "/capabilities/0/target/single_tenant_dev",
        ),
        (
            edited(&[
                ("/capabilities/1/patch/waiver_reason", json!({"fixed": "z"})),
                ("/capabilities/1/transition_guards", json!({"waiver_reason": {"allowed": {"x": ["y"]}}})),
            ]),
            "FIXED_VALUE_UNREACHABLE",
            "/capabilities/1/transition_guards/waiver_reason",
        ),
    ]
}

#[test]
fn every_code_is_found_where_it_belongs() {
    let mut documents = other_documents();
    for (at, value, code, pointer) in single_edits() {
        documents.push((edited(&[(at, value)]), code, if pointer == "=" { at } else { pointer }));
    }
    let mut missed: BTreeSet<&str> = DIAGNOSTICS.iter().map(|info| info.code).collect();
    for (text, code, pointer) in documents {
        let found = findings(&text);
        let here = found.iter().find(|finding| finding.code == code && finding.pointer == pointer);
        let listed: Vec<String> = found.iter().map(ToString::to_string).collect();
        let here = here.unwrap_or_else(|| panic!("{code} at {pointer} not among {listed:#?}"));
        assert!(here.line >= 1 && here.column >= 1);
        assert!(!here.message.contains("u:p@h"), "an address is echoed");
        missed.remove(code);
    }
    assert_eq!(missed, BTreeSet::new(), "codes without a case");
}

#[test]
fn one_edit_is_one_finding() {
    // Edits that rightly have consequences elsewhere.
    let spreading =
        ["", "/sources", "/mode", "/executors", "/capabilities", "/trusted_context", "/trusted_context/provider"];
    for (at, value, code, _) in single_edits() {
        let found = findings(&edited(&[(at, value.clone())]));
        let errors: Vec<&Diagnostic> = found.iter().filter(|finding| finding.severity == Severity::Error).collect();
        if !spreading.contains(&at) && errors.len() > 1 {
            println!("{code} at {at} = {value}:");
            errors.iter().for_each(|finding| println!("    {finding}"));
        }
    }
}

#[test]
fn the_nearest_known_word_is_named_and_the_place_is_exact() {
    let text = BILLING.replace("\"returns_hint\": \"The inv", "\"return_hint\": \"The inv");
    let found = findings(&text);
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].to_string(),
        "33:22: error UNKNOWN_FIELD at /capabilities/0/return_hint: `return_hint` is not known here; did you mean `returns_hint`?"
    );
    let duplicate = BILLING.replace("\"mode\": \"review\",", "\"mode\": \"review\", \"mode\": \"shadow\",");
    let found = findings(&duplicate);
    assert_eq!((found[0].code, found[0].line, found[0].column), ("JSON_DUPLICATE_KEY", 3, 29));
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
