//! The generated schemas, under a validator that is not ours: they are schemas, they take every good document of this
//! repository, and they never refuse what the reader takes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use serde_json::{Value, json};
use signoff::contract::{Contract, DIAGNOSTICS, Severity};
use signoff::protocol::{ChangeSet, ExecutionReceipt, RunnerRegistration, WritebackJob};
use signoff::schema::{NAMES, schema};
use signoff_tests::fuzz::{pointers, remove};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn validator(name: &str) -> Validator {
    let schema = serde_json::from_str(&text(format!("schemas/{name}"))).unwrap();
    jsonschema::draft7::meta::validate(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    jsonschema::draft7::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[track_caller]
fn accepted(validator: &Validator, name: &str, document: &Value) {
    let errors: Vec<String> =
        validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}");
}

const V1: &str = "tests/vectors/synapsor-v1";

#[test]
fn every_schema_is_one_and_says_whose_keys_are_whose() {
    for name in NAMES {
        validator(name);
        let schema = schema(name).unwrap();
        assert_eq!(schema["$id"], name);
        // What v1 does not have is marked, wherever it stands.
        let marked = |at: &str| schema.pointer(at).is_some_and(|part| part["x-signoff-extension"] == json!(true));
        for at in pointers(&schema) {
            let part = schema.pointer(&at).unwrap();
            if at.ends_with("/properties/signoff") || at.ends_with("/properties/audience") {
                assert!(marked(&at), "{name}: {at}");
            }
            if part == &json!("sqlite") || part == &json!("external_sqlite") {
                let list = at.rsplit_once("/enum/").expect("in a list").0;
                assert!(marked(list), "{name}: {at}");
            }
        }
    }
    assert!(text("schemas/synapsor.runner.schema.json").matches("x-signoff-extension").count() > 8);
}

fn contracts() -> Vec<(String, String)> {
    let mut all = vec![
        ("examples/billing".to_owned(), text("examples/billing/synapsor.runner.json")),
        ("examples/billing/sqlite".to_owned(), text("examples/billing/sqlite/signoff.json")),
        ("demo".to_owned(), text("cli/src/demo/billing.json")),
        ("vector".to_owned(), text("tests/vectors/contracts/billing.sqlite.json")),
        ("example".to_owned(), signoff::contract::EXAMPLE.to_owned()),
        ("cloud example".to_owned(), signoff::contract::EXAMPLE_CLOUD.to_owned()),
    ];
    let expect: Value = serde_json::from_str(&text("tests/vectors/configs/expect.json")).unwrap();
    for case in expect["cases"].as_array().unwrap() {
        let name = case["file"].as_str().unwrap();
        all.push((name.to_owned(), text(format!("tests/vectors/configs/{name}"))));
    }
    all
}

#[test]
fn contracts_that_load_are_accepted_and_the_others_are_not() {
    let validator = validator("synapsor.runner.schema.json");
    for (name, text) in contracts() {
        let document: Value = serde_json::from_str(&text).unwrap();
        match Contract::parse(&text) {
            Ok(_) => accepted(&validator, &name, &document),
            Err(_) => assert!(!validator.is_valid(&document), "{name} is accepted"),
        }
    }
}

/// What a schema of draft 7 cannot say: references between parts, and what is wrong with the text itself.
const BEYOND: &[&str] = &[
    "JSON_INVALID",
    "JSON_DUPLICATE_KEY",
    "JSON_NUMBER_NOT_FINITE",
    "READ_ONLY_SOURCE_DIRECT_WRITEBACK",
    "SQLITE_SCHEMA_NOT_MAIN",
    "TRUSTED_CONTEXT_REQUIRED",
    "CONTEXT_CLAIM_MISMATCH",
    "EXECUTOR_NAME_RESERVED",
    "EXECUTOR_INVALID_IN_READ_ONLY",
    "DUPLICATE_CAPABILITY",
    "TOOL_ALIAS_COLLISION",
    "UNKNOWN_SOURCE",
    "UNKNOWN_CONTEXT",
    "UNKNOWN_EXECUTOR",
    "MODEL_CONTROLLED_RESERVED_ARG",
    "INVALID_NUMERIC_RANGE",
    "LOOKUP_ARG_UNKNOWN",
    "DUPLICATE_PATCH_COLUMN",
    "FROM_ARG_UNKNOWN",
    "PATCH_COLUMN_NOT_ALLOWED",
    "PATCH_COLUMN_IS_VERSION",
    "ALLOWED_COLUMN_IS_KEY",
    "ALLOWED_COLUMN_IS_TENANT",
    "NUMERIC_BOUND_PATCH_COLUMN_REQUIRED",
    "BOUND_VALUE_NOT_NUMBER",
    "FIXED_VALUE_OUT_OF_BOUNDS",
    "ARGUMENT_NEVER_FITS",
    "TRANSITION_PATCH_COLUMN_REQUIRED",
    "TRANSITION_FROM_COLUMN_NOT_VISIBLE",
    "TRANSITION_VALUE_NOT_STRING",
    "FIXED_VALUE_UNREACHABLE",
];

#[test]
fn the_schema_refuses_every_example_that_a_schema_can_refuse() {
    let validator = validator("synapsor.runner.schema.json");
    let mut beyond = BTreeSet::new();
    for info in DIAGNOSTICS {
        // What is no JSON has no schema.
        let Ok(document) = serde_json::from_str::<Value>(&info.example.text()) else {
            beyond.insert(info.code);
            continue;
        };
        match info.severity {
            Severity::Warning => accepted(&validator, info.code, &document),
            _ if validator.is_valid(&document) => drop(beyond.insert(info.code)),
            _ => {}
        }
    }
    beyond.insert("JSON_DUPLICATE_KEY");
    assert_eq!(beyond.symmetric_difference(&BEYOND.iter().copied().collect()).collect::<Vec<_>>(), Vec::<&&str>::new());
}

/// A document of the protocol, and whether its reader takes it.
type Reads = fn(&str) -> bool;

#[test]
fn documents_are_judged_alike_by_schema_and_reader() {
    let documents: [(&str, &str, Reads); 5] = [
        ("change-set.v1.schema.json", "change-set.late-fee-waiver.v1.json", |text| ChangeSet::parse(text).is_ok()),
        ("writeback-job.v1.schema.json", "writeback-job.late-fee-waiver.v1.json", |text| {
            WritebackJob::parse_any(text).is_ok()
        }),
        ("execution-receipt.v1.schema.json", "execution-receipt.applied.v1.json", |text| {
            ExecutionReceipt::parse(text).is_ok()
        }),
        ("execution-receipt.v1.schema.json", "execution-receipt.conflict.v1.json", |text| {
            ExecutionReceipt::parse(text).is_ok()
        }),
        ("runner-registration.v1.schema.json", "runner-registration.v1.json", |text| {
            RunnerRegistration::parse(text).is_ok()
        }),
    ];
    let (mut alike, mut reader_only) = (0, BTreeSet::new());
    for (schema, fixture, reads) in documents {
        let validator = validator(schema);
        let document: Value = serde_json::from_str(&text(format!("{V1}/{fixture}"))).unwrap();
        accepted(&validator, fixture, &document);
        assert!(reads(&document.to_string()));
        for at in pointers(&document) {
            let mut variants = Vec::new();
            let mut without = document.clone();
            remove(&mut without, &at);
            variants.push(without);
            for other in [
                json!(null),
                json!(true),
                json!(-1),
                json!(0),
                json!(1.5),
                json!("?"),
                json!(""),
                json!([]),
                json!(["x", "y"]),
                json!({}),
                json!({"x": null}),
            ] {
                let mut changed = document.clone();
                *changed.pointer_mut(&at).unwrap() = other.clone();
                variants.push(changed);
                let mut more = document.clone();
                if let Some(Value::Object(map)) = more.pointer_mut(&at) {
                    map.insert("more".to_owned(), other);
                    variants.push(more);
                }
            }
            for variant in variants {
                match (reads(&variant.to_string()), validator.is_valid(&variant)) {
                    (true, false) => panic!("{fixture}: the schema refuses what is read: {at}: {variant}"),
                    (false, true) => drop(reader_only.insert(format!("{fixture} {at}"))),
                    _ => alike += 1,
                }
            }
        }
    }
    // What only the reader sees: that columns hang together, and nulls for members that may be absent.
    let rules = [
        "/before",
        "/patch",
        "/after",
        "/guards",
        "/primary_key",
        "/tenant_guard",
        "/allowed_columns",
        "version",
        "/status",
        "_code",
    ];
    for place in &reader_only {
        assert!(rules.iter().any(|rule| place.contains(rule)), "the schema could refuse {place}");
    }
    assert!(alike > 1_500, "{alike}");
}

#[test]
fn the_older_job_is_accepted() {
    let older = json!({"protocol_version": "1.0", "job_id": "wbj_1", "proposal_id": "wrp_1", "approval_id": "sha256:2", "source_id": "s",
        "engine": "mysql", "target": {"schema": "public", "table": "t", "primary_key": {"column": "id", "value": 1},
        "tenant_guard": {"column": "tenant_id", "value": "acme"}}, "allowed_columns": ["a"], "patch": {"a": 1},
        "conflict_guard": {"kind": "version_column", "column": "v", "expected_value": 1}, "idempotency_key": "wrp_1:1",
        "lease_expires_at": 1_750_000_000_000_u64, "attempt_count": 0});
    assert!(WritebackJob::parse_any(&older.to_string()).is_ok());
    let validator = validator("writeback-job.v1.schema.json");
    accepted(&validator, "1.0", &older);
    let mut closed = older;
    closed["more"] = json!(1);
    assert!(!validator.is_valid(&closed));
}

/// Every request of the vectors that a handler takes, the schema takes; every answer of theirs is a receipt.
#[test]
fn handler_requests_and_receipts() {
    let (request, receipt) =
        (validator("synapsor.app-handler-request.v1.json"), validator("synapsor.app-handler-receipt.v1.json"));
    let file: Value = serde_json::from_str(&text("tests/vectors/request.json")).unwrap();
    let body = |case: &Value| case["body"].as_str().or_else(|| file["body"].as_str()).map(str::to_owned);
    let (mut taken, mut refused) = (0, 0);
    for case in file["cases"].as_array().unwrap() {
        let Some(document) = body(case).and_then(|body| serde_json::from_str::<Value>(&body).ok()) else { continue };
        if case["expect"].get("ok").is_some() {
            accepted(&request, case["name"].as_str().unwrap(), &document);
            taken += 1;
        } else if case["expect"]["code"] == "BAD_WRITEBACK_REQUEST" {
            refused += u32::from(!request.is_valid(&document));
        }
    }
    assert!(taken > 10 && refused > 10, "{taken} taken, {refused} refused");
    let handler: Value = serde_json::from_str(&text("tests/vectors/handler.json")).unwrap();
    let mut answers = 0;
    for case in handler["cases"].as_array().unwrap() {
        let body = &case["response"]["body"];
        let body: Value = match body {
            Value::String(text) => serde_json::from_str(text).unwrap(),
            other => other.clone(),
        };
        if body.is_object() {
            accepted(&receipt, case["name"].as_str().unwrap(), &body);
            answers += 1;
        }
    }
    assert!(answers > 20, "{answers}");
    let open = json!({"status": "applied", "rows_affected": 1, "source_database_mutated": true, "more": 1});
    assert!(!receipt.is_valid(&open));
}

#[test]
fn selections() {
    let validator = validator("onboarding-selection.v1.schema.json");
    let good = json!({"version": 1, "engine": "postgres", "schema": "public", "table": "invoices", "primary_key": "id",
        "tenant_key": "tenant_id", "namespace": "billing", "visible_columns": ["id"], "patch": {"late_fee_cents": {"fixed": 0}},
        "numeric_bounds": {"late_fee_cents": {"minimum": 0}}, "transition_guards": {"status": {"allowed": {"a": ["b"]}}},
        "patch_args": {"reason": {"type": "string"}}, "trusted_context": {"tenant_id_env": "T"}, "approval": {"required_role": "lead"}});
    accepted(&validator, "selection", &good);
    for at in ["/engine", "/schema", "/table", "/primary_key", "/tenant_key", "/namespace", "/visible_columns"] {
        let mut without = good.clone();
        remove(&mut without, at);
        assert!(!validator.is_valid(&without), "without {at}");
    }
}
