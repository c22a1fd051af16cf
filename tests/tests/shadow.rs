//! Shadow mode: proposals that are compared with what people did, and never applied.

use serde_json::{Value, json};
use signoff_tests::{Engine, Workspace, on_each_engine};

on_each_engine!(what_a_person_did_is_recorded_and_compared, nothing_of_a_shadow_is_ever_applied,);

const WAIVE: &str = "billing.propose_late_fee_waiver";
const REASON: &str = r#"{"invoice_id":"INV-3001","reason":"kind"}"#;

/// A workspace in mode shadow with one proposal.
fn shadow(engine: Engine) -> (Workspace, String) {
    let workspace = Workspace::on(engine);
    let mut contract: Value = serde_json::from_str(&workspace.contract()).unwrap();
    contract["mode"] = json!("shadow");
    workspace.write_contract(&contract.to_string());
    let proposed = workspace.json(["propose", WAIVE, "--json", REASON]).expect(0).json();
    let id = signoff_tests::proposal_id(&proposed);
    (workspace, id)
}

fn what_a_person_did_is_recorded_and_compared(engine: Engine) {
    let (workspace, id) = shadow(engine);
    let compare = || workspace.json(["shadow", "compare", &id]).expect(0).json();
    let none = compare();
    assert_eq!((&none["status"], none.get("human_patch")), (&json!("no_human_action"), None));
    let agent = none["agent_patch"].clone();
    assert_eq!(agent["late_fee_cents"], 0);

    // (what the person wrote, what comes of it, matching, differing, missing, extra)
    let reason = agent["waiver_reason"].clone();
    for (patch, status, lists) in [
        (agent.clone(), "exact_match", json!([["late_fee_cents", "waiver_reason"], [], [], []])),
        (json!({"late_fee_cents": 0}), "partial_match", json!([["late_fee_cents"], [], ["waiver_reason"], []])),
        (
            json!({"late_fee_cents": 100, "waiver_reason": reason}),
            "partial_match",
            json!([["waiver_reason"], ["late_fee_cents"], [], []]),
        ),
        (
            json!({"status": "paid", "late_fee_cents": 5}),
            "mismatch",
            json!([[], ["late_fee_cents"], ["waiver_reason"], ["status"]]),
        ),
    ] {
        let patch = patch.to_string();
        let told = workspace.json(["shadow", "record-human-action", &id, "--patch", &patch, "--actor", "dana"]);
        let told = told.expect(0).json();
        let found = json!([
            told["matching_columns"],
            told["differing_columns"],
            told["missing_from_human"],
            told["extra_human_columns"]
        ]);
        assert_eq!((&told["status"], &found, &told["actor"]), (&json!(status), &lists, &json!("dana")), "{patch}");
        // The latest action counts, as it was recorded.
        let compared = compare();
        assert_eq!((&compared["status"], &compared["human_patch"]), (&told["status"], &told["human_patch"]));
    }
    let report = workspace.json(["shadow", "report"]).expect(0).json();
    assert_eq!((&report["total_shadow_proposals"], &report["mismatches"]), (&json!(1), &json!(1)));
    assert_eq!(report["comparisons"].as_array().unwrap().len(), 1);
    assert_eq!(workspace.json(["shadow", "list"]).expect(0).json()["proposals"][0]["proposal_id"], json!(id));
    let tail = workspace.run(["events", "list", "--proposal", &id]).expect(0);
    assert_eq!(tail.out.matches("shadow_human_action_recorded").count(), 4, "{}", tail.out);
    workspace.run(["store", "verify"]).expect(0);
    let people = workspace.run(["shadow", "compare", &id]).expect(0);
    assert!(people.out.contains("something else") && people.out.contains("(not written)"), "{}", people.out);
}

fn nothing_of_a_shadow_is_ever_applied(engine: Engine) {
    let (workspace, id) = shadow(engine);
    assert_eq!(
        workspace.json(["proposals", "approve", &id, "--yes"]).expect(4).error_code(),
        "SHADOW_WRITEBACK_DISABLED"
    );
    workspace.run(["shadow", "record-human-action", &id, "--patch", r#"{"late_fee_cents":0}"#]).expect(0);
    for arguments in [vec!["apply", &id], vec!["apply", &id, "--dry-run"], vec!["proposals", "writeback-job", &id]] {
        let refused = workspace.json(arguments.clone()).expect(4).error_code();
        assert_eq!(refused, "SHADOW_WRITEBACK_DISABLED", "{arguments:?}");
    }
    let shown = workspace.run(["proposals", "show", &id]).expect(0);
    assert!(shown.out.contains("pending_review, in shadow: compared, never applied"), "{}", shown.out);
    assert_eq!((workspace.effects("INV-3001"), workspace.executions("INV-3001")), (0, 0));
}

#[test]
fn what_is_no_patch_is_refused_and_not_recorded() {
    let (workspace, id) = shadow(Engine::Sqlite);
    let before = workspace.json(["store", "stats"]).expect(0).json()["rows"]["events"].clone();
    for (patch, code) in [
        ("{}", "HUMAN_PATCH_INVALID"),
        ("[]", "HUMAN_PATCH_INVALID"),
        ("7", "HUMAN_PATCH_INVALID"),
        (r#"{"late_fee_cents":{}}"#, "HUMAN_PATCH_INVALID"),
        (r#"{"a":1,"a":2}"#, "JSON_DUPLICATE_KEY"),
        ("{", "JSON_INVALID"),
        (r#"{"late fee":1}"#, "UNSAFE_IDENTIFIER"),
        (r#"{"waiver_reason":"postgres://u:planted@h/db"}"#, "SECRET_MATERIAL_REJECTED"),
        (r#"{"ghp_planted0planted0planted0":1}"#, "SECRET_MATERIAL_REJECTED"),
    ] {
        let told = workspace.json(["shadow", "record-human-action", &id, "--patch", patch]);
        assert_eq!(told.error_code(), code, "{patch}");
        assert!(!told.out.contains("planted"));
    }
    let noted = workspace.json(["shadow", "record-human-action", &id, "--patch", r#"{"a":1}"#, "--actor", " "]);
    assert_eq!(noted.error_code(), "ACTOR_INVALID");
    assert_eq!(workspace.json(["store", "stats"]).expect(0).json()["rows"]["events"], before);
    // A proposal that is decided is not compared.
    let review = Workspace::new();
    review.run(["propose", WAIVE, "--json", REASON]).expect(0);
    let told = review.json(["shadow", "record-human-action", "latest", "--patch", r#"{"a":1}"#]).expect(4);
    assert_eq!(told.error_code(), "NOT_SHADOW_PROPOSAL");
    assert_eq!(review.json(["shadow", "list"]).expect(0).json()["proposals"], json!([]));
}
