//! The published v1 documents: byte for byte, read, written back, and mutated member by member.

use std::path::PathBuf;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use signoff::primitives::{Identifier, Scalar};
use signoff::protocol::{ChangeSet, ConflictGuard, ExecutionReceipt, RunnerRegistration, WritebackJob};
use signoff::{Code, Error};

fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/synapsor-v1").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const CHANGE_SET: &str = "change-set.late-fee-waiver.v1.json";
const JOB: &str = "writeback-job.late-fee-waiver.v1.json";
const APPLIED: &str = "execution-receipt.applied.v1.json";
const CONFLICT: &str = "execution-receipt.conflict.v1.json";
const REGISTRATION: &str = "runner-registration.v1.json";

/// Reads a document of the kind that the fixture is, and gives it back as a value.
fn read(name: &str, text: &str) -> Result<Value, Error> {
    Ok(match name {
        CHANGE_SET => serde_json::to_value(ChangeSet::parse(text)?),
        JOB => serde_json::to_value(WritebackJob::parse(text)?),
        REGISTRATION => serde_json::to_value(RunnerRegistration::parse(text)?),
        _ => serde_json::to_value(ExecutionReceipt::parse(text)?),
    }
    .unwrap())
}

fn change_set() -> ChangeSet {
    ChangeSet::parse(&fixture(CHANGE_SET)).unwrap()
}

#[test]
fn the_bytes_are_the_published_ones() {
    let manifest: Value = serde_json::from_str(&fixture("MANIFEST.json")).unwrap();
    let fixtures = manifest["artifacts"].as_array().unwrap().iter().filter(|artifact| artifact["kind"] == "fixture");
    let mut count = 0;
    for artifact in fixtures {
        let bytes = fixture(artifact["name"].as_str().unwrap());
        assert_eq!(hex::encode(Sha256::digest(bytes.as_bytes())), artifact["sha256"].as_str().unwrap());
        count += 1;
    }
    assert_eq!(count, 5);
}

#[test]
fn every_fixture_reads_and_writes_back_equal() {
    for name in [CHANGE_SET, JOB, APPLIED, CONFLICT, REGISTRATION] {
        let text = fixture(name);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read(name, &text).unwrap(), value, "{name}");
    }
}

/// Members that may be absent; everything else is required.
const OPTIONAL: &[&str] =
    &["/approval/required_role", "/previous_version", "/new_version", "/safe_error_code", "/writeback/executor"];
/// Objects that keep what v1 does not name.
const OPEN: &[&str] = &["/evidence", "/approval", "/writeback"];
/// Maps from columns to values.
const MAPS: &[&str] = &["/before", "/patch", "/after"];
/// Scalars, whose type is free.
const FREE: &[&str] = &["/previous_version", "/new_version"];

fn walk(value: &Value, at: &str, out: &mut Vec<String>) {
    if let Value::Object(map) = value {
        for (key, child) in map {
            let at = format!("{at}/{key}");
            walk(child, &at, out);
            out.push(at);
        }
    }
}

fn refused(name: &str, document: &Value, what: &str) {
    match read(name, &document.to_string()) {
        Ok(_) => panic!("{name}: {what} was read"),
        Err(error) => {
            assert_eq!(error.code(), Code::DocumentInvalid, "{name}: {what}: {error}");
            let problem = error.field("problem").unwrap();
            for word in
                ["struct", "u32", "u64", "enum", "Scalar", "sequence", "Identifier", "variant", " map", "value,"]
            {
                let problem = problem.replace("unknown variant", "");
                assert!(!problem.contains(word), "{name}: {what}: a reader's word in: {problem}");
            }
        }
    }
}

#[test]
fn every_mutation_of_a_closed_document_is_refused() {
    let mut tried = 0;
    for name in [CHANGE_SET, JOB, APPLIED, CONFLICT, REGISTRATION] {
        let document: Value = serde_json::from_str(&fixture(name)).unwrap();
        let mut pointers = Vec::new();
        walk(&document, "", &mut pointers);
        for pointer in &pointers {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            let scalar =
                MAPS.contains(&parent) || FREE.contains(&pointer.as_str()) || key == "value" || key == "expected_value";

            // A column may be missing where nothing else tells that it was read or is to be written.
            let spare =
                parent == "/before" && document["patch"].get(key).is_some() || parent == "/patch" && name == JOB;
            if !OPTIONAL.contains(&pointer.as_str()) && !spare {
                let mut without = document.clone();
                without.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key);
                refused(name, &without, &format!("without {pointer}"));
                tried += 1;
            }
            let others =
                [json!(null), json!(true), json!(-1), json!(1.5), json!("?"), json!(["x", "y"]), json!({"x": null})];
            for other in others {
                let original = document.pointer(pointer).unwrap();
                let same_type = std::mem::discriminant(original) == std::mem::discriminant(&other);
                let free_word = original.is_string() && (other == json!("?"));
                if free_word
                    || (same_type && original.is_boolean())
                    || (scalar && !other.is_array() && !other.is_object())
                {
                    continue;
                }
                let mut changed = document.clone();
                *changed.pointer_mut(pointer).unwrap() = other.clone();
                if pointer == "/evidence/items" && other.is_array()
                    || (pointer.ends_with("capabilities") || pointer.ends_with("source_ids")) && other.is_array()
                {
                    continue;
                }
                refused(name, &changed, &format!("{pointer} = {other}"));
                tried += 1;
            }
        }
        // An unknown member: refused, except where the schema is open.
        for pointer in pointers.iter().map(String::as_str).chain([""]) {
            let mut more = document.clone();
            let Some(object) = more.pointer_mut(pointer).and_then(Value::as_object_mut) else { continue };
            object.insert("unknown_member".into(), json!({"kept": [1, 1.5, "x", null]}));
            if OPEN.contains(&pointer) {
                assert_eq!(
                    read(name, &more.to_string()).unwrap(),
                    more,
                    "{name}: {pointer} keeps what it does not know"
                );
            } else {
                refused(name, &more, &format!("{pointer}/unknown_member"));
            }
            tried += 1;
        }
    }
    assert!(tried > 500, "{tried}");
}

#[test]
fn words_that_v1_does_not_know_are_refused() {
    for (name, pointer) in [
        (CHANGE_SET, "/schema_version"),
        (CHANGE_SET, "/mode"),
        (CHANGE_SET, "/principal/source"),
        (CHANGE_SET, "/source/kind"),
        (CHANGE_SET, "/approval/status"),
        (CHANGE_SET, "/writeback/status"),
        (CHANGE_SET, "/writeback/mode"),
        (CHANGE_SET, "/source/table"),
        (CHANGE_SET, "/created_at"),
        (CHANGE_SET, "/integrity/proposal_hash"),
        (CHANGE_SET, "/evidence/query_fingerprint"),
        (JOB, "/engine"),
        (JOB, "/operation"),
        (JOB, "/conflict_guard/kind"),
        (JOB, "/lease/expires_at"),
        (JOB, "/proposal_hash"),
        (APPLIED, "/status"),
        (APPLIED, "/executed_at"),
        (APPLIED, "/receipt_hash"),
        (REGISTRATION, "/registered_at"),
        (REGISTRATION, "/engines/0"),
    ] {
        for word in ["", "no such word", "2026-99-99T00:00:00Z", "sha256:"] {
            let mut document: Value = serde_json::from_str(&fixture(name)).unwrap();
            *document.pointer_mut(pointer).unwrap() = json!(word);
            refused(name, &document, &format!("{pointer} = {word:?}"));
        }
        // A word may not come as an object with one key, which a derived reader would take.
        let mut document: Value = serde_json::from_str(&fixture(name)).unwrap();
        let word = document.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        *document.pointer_mut(pointer).unwrap() = json!({ word: null });
        refused(name, &document, &format!("{pointer} as an object"));
    }
}

#[test]
fn objects_may_not_come_as_arrays() {
    let mut document: Value = serde_json::from_str(&fixture(CHANGE_SET)).unwrap();
    document["principal"] = json!(["support_agent_17", "trusted_session"]);
    refused(CHANGE_SET, &document, "principal as an array");
    let mut document: Value = serde_json::from_str(&fixture(JOB)).unwrap();
    document["lease"] = json!(["lease_123", 1, "2026-06-20T14:36:00Z"]);
    refused(JOB, &document, "lease as an array");
    document = serde_json::from_str(&fixture(JOB)).unwrap();
    document["conflict_guard"] = json!({"kind": "none", "column": "updated_at"});
    refused(JOB, &document, "a guard of kind none with a column");
}

#[test]
fn ambiguous_json_is_refused() {
    let text = fixture(CHANGE_SET);
    let twice = text.replacen("\"proposal_version\": 1,", "\"proposal_version\": 1, \"proposal_version\": 2,", 1);
    assert_eq!(ChangeSet::parse(&twice).unwrap_err().code(), Code::JsonDuplicateKey);
    assert_eq!(ChangeSet::parse("{").unwrap_err().code(), Code::JsonInvalid);
    assert_eq!(ChangeSet::parse("[]").unwrap_err().code(), Code::DocumentInvalid);
    // Decimals become strings; one that a float would change is refused.
    let amount = |number: &str| text.replacen("\"late_fee_cents\": 5500", &format!("\"late_fee_cents\": {number}"), 1);
    let column = Identifier::new("late_fee_cents").unwrap();
    let decimal = ChangeSet::parse(&amount("55.5")).unwrap();
    assert_eq!(decimal.before[&column].to_json(), json!("55.5"));
    let exact = ChangeSet::parse(&amount("9007199254740993")).unwrap();
    assert_eq!(exact.before[&column].to_json(), json!("9007199254740993"));
    for number in ["0.1000000000000000055511", "9007199254740993.0", "18446744073709551617", "1e999"] {
        let error = ChangeSet::parse(&amount(number)).unwrap_err();
        assert!(matches!(error.code(), Code::DocumentInvalid | Code::JsonInvalid), "{number}: {error}");
    }
}

#[test]
fn invariants_of_a_change_set() {
    let id = |name: &str| Identifier::new(name).unwrap();
    type Break = fn(&mut ChangeSet);
    let breaks: &[(&str, Break)] = &[
        ("patch empty", |c| c.patch.clear()),
        ("before empty", |c| c.before.clear()),
        ("patch beyond the allow-list", |c| c.guards.allowed_columns.truncate(1)),
        ("key allowed", |c| c.guards.allowed_columns.push(c.source.primary_key.column.clone())),
        ("tenant allowed", |c| c.guards.allowed_columns.push(c.guards.tenant.column.clone())),
        ("after differs", |c| *c.after.values_mut().next().unwrap() = Scalar::Int(7)),
        ("after has less", |c| drop(c.after.pop_first())),
        ("after has more", |c| drop(c.after.insert(Identifier::new("zzz").unwrap(), Scalar::Null))),
        ("version 0", |c| c.proposal_version = 0),
        ("another version than read", |c| c.guards.expected_version.value = "2026-06-20T14:31:09Z".into()),
        ("created some day", |c| c.created_at = "yesterday".into()),
        ("no tenant", |c| c.scope.tenant_id.clear()),
        ("no hash", |c| c.integrity.proposal_hash = "sha256:".into()),
    ];
    for (what, break_it) in breaks {
        let mut broken = change_set();
        break_it(&mut broken);
        assert_eq!(broken.validate().unwrap_err().code(), Code::DocumentInvalid, "{what}");
    }
    // Columns that stand for something else are fine, and the version's column need not have been read.
    let mut dev = change_set();
    dev.guards.tenant.column = id("__single_tenant_dev");
    dev.guards.expected_version.column = id("__row_hash");
    dev.guards.expected_version.value = "sha256:00".into();
    dev.validate().unwrap();
}

#[test]
fn the_hash_covers_everything_but_itself() {
    let placeholder = change_set();
    assert_eq!(placeholder.verify_hash().unwrap_err().code(), Code::ProposalHashMismatch);
    let sealed = placeholder.clone().seal().unwrap();
    sealed.verify_hash().unwrap();
    assert_eq!(sealed.digest().unwrap(), placeholder.digest().unwrap());
    assert_eq!(ChangeSet::parse(&sealed.canonical().unwrap()).unwrap(), sealed);

    // The digest as anybody could compute it from the text.
    let mut value: Value = serde_json::from_str(&fixture(CHANGE_SET)).unwrap();
    value.as_object_mut().unwrap().remove("integrity");
    let bytes = signoff::primitives::canonical(&value).unwrap();
    assert_eq!(sealed.integrity.proposal_hash, format!("sha256:{}", hex::encode(Sha256::digest(bytes))));

    let mut touched = sealed.clone();
    touched.patch.insert(Identifier::new("late_fee_cents").unwrap(), Scalar::Int(1));
    assert_eq!(touched.verify_hash().unwrap_err().code(), Code::ProposalHashMismatch);
    let mut touched = sealed;
    touched.approval.extra.insert("note".into(), json!("x"));
    assert_eq!(touched.verify_hash().unwrap_err().code(), Code::ProposalHashMismatch);
}

#[test]
fn a_receipt_seals_itself() {
    let placeholder = ExecutionReceipt::parse(&fixture(CONFLICT)).unwrap();
    assert_eq!(placeholder.verify_hash().unwrap_err().code(), Code::DocumentInvalid);
    let sealed = placeholder.seal().unwrap();
    sealed.verify_hash().unwrap();
    assert_eq!(sealed.clone().seal().unwrap(), sealed);
    let mut touched = sealed.clone();
    touched.rows_affected = 1;
    assert!(touched.verify_hash().is_err());
    assert_eq!(ExecutionReceipt::parse(&sealed.canonical().unwrap()).unwrap(), sealed);
    // A version may be any scalar, null included.
    for version in [json!(null), json!(7), json!("7")] {
        let mut value = serde_json::to_value(&sealed).unwrap();
        value["previous_version"] = version;
        assert_eq!(read(CONFLICT, &value.to_string()).unwrap(), value);
    }
}

fn legacy() -> Value {
    json!({
        "protocol_version": "1.0", "job_id": "wbj_123", "proposal_id": "wrp_123",
        "approval_id": "sha256:2222222222222222222222222222222222222222222222222222222222222222",
        "source_id": "src_pg_acme", "engine": "postgres",
        "target": {
            "schema": "public", "table": "invoices",
            "primary_key": {"column": "id", "value": "INV-3001"},
            "tenant_guard": {"column": "tenant_id", "value": "acme"},
        },
        "allowed_columns": ["late_fee_cents", "waiver_reason"],
        "patch": {"late_fee_cents": 0, "waiver_reason": "approved support waiver"},
        "conflict_guard": {"kind": "version_column", "column": "updated_at", "expected_value": "2026-06-20T14:31:08Z"},
        "idempotency_key": "wrp_123:INV-3001", "lease_expires_at": "2026-06-20T14:36:00Z", "attempt_count": 1,
    })
}

#[test]
fn the_older_job_means_the_same() {
    let mut published = WritebackJob::parse(&fixture(JOB)).unwrap();
    assert_eq!(WritebackJob::parse_any(&fixture(JOB)).unwrap(), published);
    published.runner_scope.project_id = "local".into();
    published.lease.lease_id = "lease_wrp_123".into();
    assert_eq!(WritebackJob::parse_any(&legacy().to_string()).unwrap(), published);
    assert_eq!(WritebackJob::parse(&legacy().to_string()).unwrap_err().code(), Code::DocumentInvalid);

    let with = |pointer: &str, value: Value| {
        let mut job = legacy();
        *job.pointer_mut(pointer).unwrap() = value;
        WritebackJob::parse_any(&job.to_string())
    };
    let millis = with("/lease_expires_at", json!(1_781_966_160_999_i64)).unwrap();
    assert_eq!(millis.lease.expires_at, published.lease.expires_at);
    assert_eq!(with("/conflict_guard", json!({"kind": "none"})).unwrap().conflict_guard, ConflictGuard::None);
    let hash = with("/conflict_guard", json!({"kind": "row_hash", "expected_hash": "sha256:1"})).unwrap();
    assert_eq!(hash.conflict_guard, ConflictGuard::RowHash { expected_hash: "sha256:1".into() });

    for (pointer, bad) in [
        ("/lease_expires_at", json!("soon")),
        ("/lease_expires_at", json!(true)),
        ("/lease_expires_at", json!(1.5)),
        ("/lease_expires_at", json!(i64::MAX)),
        ("/attempt_count", json!(-1)),
        ("/conflict_guard", json!({"kind": "column", "column": "updated_at", "expected_value": 1})),
        ("/conflict_guard", json!({"kind": "none", "more": 1})),
        ("/approval_id", json!("2222")),
        ("/protocol_version", json!("1.1")),
        ("/allowed_columns", json!(["late_fee_cents"])),
        ("/allowed_columns", json!(["late_fee_cents", "waiver_reason", "id"])),
    ] {
        assert_eq!(with(pointer, bad.clone()).unwrap_err().code(), Code::DocumentInvalid, "{pointer} = {bad}");
    }
}
