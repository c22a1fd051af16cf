//! What somebody with write access to the ledger file, or to a job file, can achieve without the key: nothing.
//!
//! Every edit is tried twice: plain, and with every digest made anew that needs no key. An edit is refused wherever it is
//! looked at (`show`, `approve`, `apply`, `store verify`), nothing is written to the source, and nothing is decided.

use rusqlite::{Connection, params};
use serde_json::{Value, json};
use signoff::primitives::{Digest, canonical, digest_of};
use signoff_tests::{Engine, Workspace, binary, on_each_engine};

on_each_engine!(
    an_edited_ledger_row_is_refused_plain_and_recomputed,
    recomputing_without_an_edit_changes_nothing,
    an_edited_job_or_lease_in_the_ledger_is_refused,
    a_list_shows_nothing_that_the_chain_does_not_tell,
    a_restored_older_ledger_verifies_alone_but_not_against_a_checkpoint,
    an_edited_job_file_is_refused_and_an_honest_one_applies,
    without_a_contract_nothing_is_applied,
    a_changed_contract_does_not_apply_what_was_proposed_under_another,
    what_another_ledger_signed_with_the_same_key_fits_no_other,
);

/// The columns that an event covers, restated here: the intruder knows the format.
const COVERED: [(&str, &str); 8] = [
    ("proposals", "proposal_id, document, facts"),
    ("evidence", "evidence_id, document"),
    ("query_audit", "document"),
    ("approvals", "document, hex(mac)"),
    ("writeback_jobs", "document"),
    ("receipts", "document, details"),
    ("receipt_tables", "source, document"),
    ("prunings", "document"),
];

/// Makes every unkeyed digest anew: proposal hashes, the decision's copy of them, event hashes, the head.
fn recompute(ledger: &Connection) {
    let documents: Vec<(i64, String)> = rows(ledger, "SELECT seq, document FROM proposals");
    for (seq, text) in documents {
        let mut set: Value = serde_json::from_str(&text).unwrap();
        let old = set["integrity"]["proposal_hash"].as_str().unwrap().to_owned();
        set.as_object_mut().unwrap().remove("integrity");
        let new = digest_of(&set).unwrap().to_string();
        set["integrity"] = json!({ "proposal_hash": new });
        ledger
            .execute("UPDATE proposals SET document = ?1 WHERE seq = ?2", params![canonical(&set).unwrap(), seq])
            .unwrap();
        for table in ["approvals", "writeback_jobs"] {
            ledger.execute(&format!("UPDATE {table} SET document = replace(document, ?1, ?2)"), [&old, &new]).unwrap();
        }
    }
    let mut previous = Digest::from_bytes([0; 32]);
    let mut statement =
        ledger.prepare("SELECT seq, kind, subject, at, actor, detail FROM events ORDER BY seq").unwrap();
    let events: Vec<(u64, String, String, String, String, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut size = 0;
    for (seq, kind, subject, at, actor, detail) in events {
        let mut covered = Vec::new();
        for (table, columns) in COVERED {
            let mut statement = ledger.prepare(&format!("SELECT {columns} FROM {table} WHERE seq = ?1")).unwrap();
            let width = statement.column_count();
            let mut found = statement.query([seq]).unwrap();
            if let Some(row) = found.next().unwrap() {
                let values: Vec<Option<String>> = (0..width).map(|index| row.get(index).unwrap()).collect();
                covered.push(json!([table, values]));
            }
        }
        let payload = digest_of(&json!([actor, detail, covered])).unwrap();
        previous = digest_of(&json!([seq, previous.hex(), kind, subject, at, payload.hex()])).unwrap();
        ledger.execute("UPDATE events SET hash = ?1 WHERE seq = ?2", params![previous.as_bytes(), seq]).unwrap();
        size = seq;
    }
    ledger.execute("UPDATE chain SET head = ?1, size = ?2", params![previous.as_bytes(), size]).unwrap();
}

fn rows(ledger: &Connection, sql: &str) -> Vec<(i64, String)> {
    let mut statement = ledger.prepare(sql).unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

/// One edit, as SQL on the ledger.
struct Edit {
    name: &'static str,
    sql: &'static str,
}

/// Edits of an approved proposal. `replace` keeps the document canonical, so only the content is wrong.
const EDITS: &[Edit] = &[
    Edit {
        name: "primary key",
        sql: r#"UPDATE proposals SET document = replace(document, '"primary_key":{"column":"id","value":"INV-3001"}', '"primary_key":{"column":"id","value":"INV-9001"}')"#,
    },
    Edit { name: "tenant", sql: r#"UPDATE proposals SET document = replace(document, '"acme"', '"globex"')"# },
    Edit {
        name: "patch value",
        sql: r#"UPDATE proposals SET document = replace(document, '"late_fee_cents":0', '"late_fee_cents":-99')"#,
    },
    Edit {
        name: "version",
        sql: r#"UPDATE proposals SET document = replace(document, '2026-06-20T14:31:08', '2026-06-20T14:31:09')"#,
    },
    Edit {
        name: "guard kind",
        sql: r#"UPDATE proposals SET document = replace(document, '"expected_version":{"column":"updated_at"', '"expected_version":{"column":"__row_hash"')"#,
    },
    Edit {
        name: "idempotency key",
        sql: r#"UPDATE proposals SET document = replace(document, '"object_id":"INV-3001"', '"object_id":"INV-3002"')"#,
    },
    Edit {
        name: "allow-list",
        sql: r#"UPDATE proposals SET document = replace(document, '"allowed_columns":["late_fee_cents","waiver_reason"]', '"allowed_columns":["late_fee_cents","status","waiver_reason"]')"#,
    },
    Edit {
        name: "facts",
        sql: r#"UPDATE proposals SET facts = replace(facts, '}', ',"classes":{"late_fee_cents":"text"}}')"#,
    },
    Edit {
        name: "required role",
        sql: r#"UPDATE proposals SET document = replace(document, '"required_role":"billing_lead"', '"required_role":"anybody"')"#,
    },
    Edit { name: "approver", sql: r#"UPDATE approvals SET document = replace(document, '"dana"', '"mallory"')"# },
    Edit {
        name: "approval's roles",
        sql: r#"UPDATE approvals SET document = replace(document, '"billing_lead"', '"billing_boss"')"#,
    },
    Edit {
        name: "approval's end",
        sql: r#"UPDATE approvals SET document = replace(document, '"expires_at":"20', '"expires_at":"21')"#,
    },
    Edit { name: "approval removed", sql: "DELETE FROM approvals" },
    Edit {
        name: "lease and expiry",
        sql: r#"UPDATE standings SET standing = replace(standing, '"expires_at":"20', '"expires_at":"21')"#,
    },
    Edit { name: "attempt", sql: r#"UPDATE standings SET standing = replace(standing, '"attempt":0', '"attempt":7')"# },
    Edit { name: "state", sql: "UPDATE standings SET state = 'outcome_unknown'" },
    Edit { name: "event actor", sql: "UPDATE events SET actor = 'mallory' WHERE kind = 'proposal_approved'" },
    Edit { name: "event time", sql: "UPDATE events SET at = '2020-01-01T00:00:00Z' WHERE kind = 'proposal_approved'" },
    Edit {
        name: "event detail",
        sql: r#"UPDATE events SET detail = replace(detail, '"to":"approved"', '"to":"applied"')"#,
    },
];

fn refused_everywhere(workspace: &Workspace, id: &str, name: &str) {
    for command in [
        vec!["apply", id],
        vec!["apply", id, "--resume"],
        vec!["apply", id, "--dry-run"],
        vec!["store", "verify"],
        vec!["proposals", "approve", id, "--yes"],
    ] {
        let ran = workspace.json(command.clone());
        assert_eq!(ran.code, 4, "{name}: {command:?} exited {}\n{}{}", ran.code, ran.out, ran.err);
        assert_eq!(ran.error_code(), "LEDGER_TAMPERED", "{name}: {command:?}");
    }
    assert_eq!(workspace.ask("SELECT count(*) FROM executions"), 0, "{name}: an UPDATE ran");
    assert_eq!(workspace.ask("SELECT count(*) FROM synapsor_writeback_receipts"), 0, "{name}: a receipt was written");
    assert_eq!(workspace.ask("SELECT sum(late_fee_cents) FROM invoices"), 11_000, "{name}: a row changed");
}

fn an_edited_ledger_row_is_refused_plain_and_recomputed(engine: Engine) {
    let workspace = Workspace::on(engine);
    let id = workspace.approved("INV-3001", "tampering");
    let clean = std::fs::read(workspace.path("ledger.db")).unwrap();
    for edit in EDITS {
        for recomputed in [false, true] {
            for suffix in ["-wal", "-shm"] {
                let _ = std::fs::remove_file(workspace.path(&format!("ledger.db{suffix}")));
            }
            std::fs::write(workspace.path("ledger.db"), &clean).unwrap();
            let ledger = workspace.intruder("ledger.db");
            let changed = ledger.execute(edit.sql, []).unwrap();
            let touched = ledger.query_row("SELECT count(*) FROM proposals", [], |row| row.get::<_, i64>(0)).unwrap();
            assert!(changed > 0 && touched == 1, "{} edited nothing", edit.name);
            if recomputed {
                recompute(&ledger);
            }
            drop(ledger);
            refused_everywhere(&workspace, &id, &format!("{} (recomputed: {recomputed})", edit.name));
        }
    }
    // The clean file still applies: it was the edits that were refused.
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(workspace.path(&format!("ledger.db{suffix}")));
    }
    std::fs::write(workspace.path("ledger.db"), &clean).unwrap();
    workspace.run(["apply", &id]).expect(0);
    assert_eq!(workspace.effects("INV-3001"), 1);
}

fn recomputing_without_an_edit_changes_nothing(engine: Engine) {
    // If the intruder's recomputation were wrong, the test above would prove nothing.
    let workspace = Workspace::on(engine);
    let id = workspace.approved("INV-3001", "tampering");
    recompute(&workspace.intruder("ledger.db"));
    workspace.run(["store", "verify"]).expect(0);
    workspace.run(["apply", &id]).expect(0);
}

fn an_edited_job_or_lease_in_the_ledger_is_refused(engine: Engine) {
    let fault = binary("SIGNOFF_FAULT_BIN", "fault/debug/signoff");
    for (name, sql) in [
        (
            "lease date",
            r#"UPDATE standings SET standing = replace(standing, '"lease_expires_at":"20', '"lease_expires_at":"19')"#,
        ),
        ("lease garbage", r#"UPDATE standings SET standing = json_set(standing, '$.lease_expires_at', 'x')"#),
        (
            "job's lease",
            r#"UPDATE writeback_jobs SET document = replace(document, '"expires_at":"20', '"expires_at":"21')"#,
        ),
        ("job's attempt", r#"UPDATE writeback_jobs SET document = replace(document, '"attempt":1', '"attempt":2')"#),
        (
            "job's digest",
            r#"UPDATE writeback_jobs SET document = json_set(document, '$.digest', 'sha256:' || hex(zeroblob(32)))"#,
        ),
        ("job removed", "DELETE FROM writeback_jobs"),
    ] {
        for recomputed in [false, true] {
            let workspace = Workspace::on(engine);
            let id = workspace.approved("INV-3001", "tampering");
            let killed = workspace
                .command_of(&fault)
                .args(["apply", &id])
                .env("SIGNOFF_FAULT_AT", "fault:apply.intent")
                .status()
                .unwrap();
            assert_eq!(killed.code(), None, "the worker was not killed");
            let ledger = workspace.intruder("ledger.db");
            assert!(ledger.execute(sql, []).unwrap() > 0, "{name} edited nothing");
            if recomputed {
                recompute(&ledger);
            }
            drop(ledger);
            refused_everywhere(&workspace, &id, &format!("{name} (recomputed: {recomputed})"));
        }
    }
}

#[test]
fn deleted_reordered_and_truncated_events_are_found() {
    for (name, sql) in [
        ("deleted in the middle", "DELETE FROM events WHERE seq = 2"),
        (
            "swapped",
            "UPDATE events SET seq = CASE seq WHEN 1 THEN -2 ELSE -1 END WHERE seq IN (1, 2); UPDATE events SET seq = -seq WHERE seq < 0",
        ),
        ("truncated", "DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)"),
        ("a stray row", "INSERT INTO receipts VALUES (9999, '{}', NULL)"),
        ("another head", "UPDATE chain SET size = size - 1"),
        ("another key id", "UPDATE chain SET key_id = '0000000000000000'"),
    ] {
        for recomputed in [false, true] {
            // Making the head anew would undo this edit.
            if recomputed && name == "another head" {
                continue;
            }
            let workspace = Workspace::new();
            workspace.approved("INV-3001", "tampering");
            let ledger = workspace.intruder("ledger.db");
            ledger.execute_batch(sql).unwrap();
            if recomputed {
                recompute(&ledger);
            }
            drop(ledger);
            let ran = workspace.run(["store", "verify"]);
            assert_eq!(ran.code, 4, "{name} (recomputed: {recomputed}): {}{}", ran.out, ran.err);
        }
    }
}

fn a_list_shows_nothing_that_the_chain_does_not_tell(engine: Engine) {
    let workspace = Workspace::on(engine);
    let id = workspace.approved("INV-3001", "tampering");
    let older: (Vec<u8>, String, String, i64) = workspace
        .intruder("ledger.db")
        .query_row("SELECT seal, state, standing, last_seq FROM standings", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .unwrap();
    workspace.run(["apply", &id]).expect(0);
    workspace.run(["proposals", "list"]).expect(0);
    let refused = |name: &str| {
        for command in [vec!["proposals", "list"], vec!["replay", "list"], vec!["proposals", "show", &id]] {
            let ran = workspace.json(command.clone());
            assert_eq!(
                (ran.code, ran.error_code().as_str()),
                (4, "LEDGER_TAMPERED"),
                "{name}: {command:?}\n{}",
                ran.out
            );
        }
    };
    // An old state under its old, genuine seal.
    let clean = std::fs::read(workspace.path("ledger.db")).unwrap();
    let (seal, state, standing, last) = &older;
    workspace
        .intruder("ledger.db")
        .execute(
            "UPDATE standings SET seal = ?1, state = ?2, standing = ?3, last_seq = ?4",
            params![seal, state, standing, last],
        )
        .unwrap();
    refused("an old state");
    // Another row and another agent, under the hash that such a change set has.
    std::fs::write(workspace.path("ledger.db"), &clean).unwrap();
    let ledger = workspace.intruder("ledger.db");
    let forged =
        r#"UPDATE proposals SET document = replace(document, '"object_id":"INV-3001"', '"object_id":"INV-3002"')"#;
    assert_eq!(ledger.execute(forged, []).unwrap(), 1);
    recompute(&ledger);
    drop(ledger);
    refused("another row");
    // The proposal without its row.
    std::fs::write(workspace.path("ledger.db"), &clean).unwrap();
    workspace.intruder("ledger.db").execute_batch("DELETE FROM proposals; DELETE FROM standings").unwrap();
    assert_eq!(workspace.json(["proposals", "show", &id]).expect(4).error_code(), "LEDGER_TAMPERED");
}

fn a_restored_older_ledger_verifies_alone_but_not_against_a_checkpoint(engine: Engine) {
    let workspace = Workspace::on(engine);
    let id = workspace.approved("INV-3001", "tampering");
    let older = std::fs::read(workspace.path("ledger.db")).unwrap();
    workspace.run(["apply", &id]).expect(0);
    let checkpoint = workspace.json(["store", "verify"]).expect(0).json()["checkpoint"].as_str().unwrap().to_owned();
    workspace.run(["store", "verify", "--expect", &checkpoint]).expect(0);
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(workspace.path(&format!("ledger.db{suffix}")));
    }
    std::fs::write(workspace.path("ledger.db"), &older).unwrap();
    workspace.run(["store", "verify"]).expect(0);
    assert_eq!(
        workspace.json(["store", "verify", "--expect", &checkpoint]).expect(4).error_code(),
        "LEDGER_CHECKPOINT_MISMATCH"
    );
    // And it cannot apply again: the source's own receipt is the truth.
    assert_eq!(workspace.json(["apply", &id]).expect(0).json()["status"], "already_applied");
    assert_eq!((workspace.effects("INV-3001"), workspace.executions("INV-3001")), (1, 1));
}

/// The job file that belongs to a proposal, as v1's tools write it.
fn job_file(workspace: &Workspace, id: &str) -> Value {
    let shown = workspace.json(["proposals", "show", id]).expect(0).json();
    let set = &shown["change_set"];
    json!({
        "schema_version": "synapsor.writeback-job.v1",
        "writeback_job_id": format!("wbj_{id}"),
        "proposal_id": id,
        "proposal_version": 1,
        "proposal_hash": shown["proposal_hash"],
        "runner_scope": { "project_id": "local", "source_id": "billing_db" },
        "engine": workspace.engine().word(),
        "operation": "single_row_update",
        "target": { "schema": workspace.engine().schema(), "table": "invoices", "primary_key": set["source"]["primary_key"] },
        "tenant_guard": set["guards"]["tenant"],
        "allowed_columns": set["guards"]["allowed_columns"],
        "patch": set["patch"],
        "conflict_guard": { "kind": "column", "column": "updated_at", "expected_value": set["guards"]["expected_version"]["value"] },
        "idempotency_key": format!("{id}:INV-3001"),
        "lease": { "lease_id": format!("lease_{id}"), "attempt": 1, "expires_at": "2099-01-01T00:00:00Z" },
    })
}

fn an_edited_job_file_is_refused_and_an_honest_one_applies(engine: Engine) {
    let workspace = Workspace::on(engine);
    let id = workspace.approved("INV-3001", "tampering");
    let honest = job_file(&workspace, &id);
    let apply = |job: &Value| {
        std::fs::write(workspace.path("job.json"), job.to_string()).unwrap();
        workspace.json(["apply", "--job", "job.json"])
    };
    for (pointer, value, code) in [
        ("/target/primary_key/value", json!("INV-9001"), "WRITEBACK_JOB_DIFFERS"),
        ("/tenant_guard/value", json!("globex"), "WRITEBACK_JOB_DIFFERS"),
        ("/patch/late_fee_cents", json!(-99), "WRITEBACK_JOB_DIFFERS"),
        ("/conflict_guard/expected_value", json!("2026-06-20T14:31:09Z"), "WRITEBACK_JOB_DIFFERS"),
        ("/conflict_guard", json!({ "kind": "none" }), "WRITEBACK_JOB_DIFFERS"),
        ("/idempotency_key", json!("other"), "WRITEBACK_JOB_DIFFERS"),
        ("/proposal_hash", json!(format!("sha256:{}", "0".repeat(64))), "WRITEBACK_JOB_DIFFERS"),
        ("/allowed_columns", json!(["late_fee_cents", "waiver_reason", "status"]), "WRITEBACK_JOB_DIFFERS"),
        ("/proposal_id", json!("wrp_other"), "PROPOSAL_NOT_FOUND"),
        ("/lease/expires_at", json!("2020-01-01T00:00:00Z"), "WRITEBACK_LEASE_EXPIRED"),
        ("/lease/expires_at", json!("x"), "DOCUMENT_INVALID"),
        ("/operation", json!("multi_row_update"), "DOCUMENT_INVALID"),
    ] {
        let mut job = honest.clone();
        *job.pointer_mut(pointer).unwrap() = value;
        let ran = apply(&job);
        assert_eq!(ran.error_code(), code, "{pointer}: {}", ran.out);
        assert!(ran.code == 4 || ran.code == 1, "{pointer}");
        assert_eq!(workspace.ask("SELECT count(*) FROM executions"), 0);
    }
    apply(&honest).expect(0);
    assert_eq!(workspace.effects("INV-3001"), 1);
}

fn without_a_contract_nothing_is_applied(engine: Engine) {
    let workspace = Workspace::on(engine);
    let id = workspace.approved("INV-3001", "tampering");
    std::fs::write(workspace.path("job.json"), job_file(&workspace, &id).to_string()).unwrap();
    std::fs::rename(workspace.path("signoff.json"), workspace.path("elsewhere.json")).unwrap();
    for command in
        [vec!["apply", &id, "--store", "ledger.db"], vec!["apply", "--job", "job.json", "--store", "ledger.db"]]
    {
        let ran = workspace.json(command).expect(4);
        assert_eq!(ran.error_code(), "CONFIG_NOT_FOUND");
    }
    assert_eq!(workspace.ask("SELECT count(*) FROM executions"), 0);
    // What a reviewer needs works without one.
    workspace.run(["proposals", "show", &id, "--store", "ledger.db"]).expect(0);
    workspace.run(["replay", "show", &id, "--store", "ledger.db"]).expect(0);
}

fn a_changed_contract_does_not_apply_what_was_proposed_under_another(engine: Engine) {
    let workspace = Workspace::on(engine);
    let id = workspace.approved("INV-3001", "tampering");
    let contract = std::fs::read_to_string(workspace.path("signoff.json")).unwrap();
    let wider = contract.replace(
        r#""allowed_columns": ["late_fee_cents", "waiver_reason"]"#,
        r#""allowed_columns": ["late_fee_cents", "waiver_reason", "status"]"#,
    );
    assert_ne!(contract, wider);
    std::fs::write(workspace.path("signoff.json"), wider).unwrap();
    assert_eq!(workspace.json(["apply", &id]).expect(4).error_code(), "CONTRACT_CHANGED");
    assert_eq!(workspace.state(&id), "approved");
    // Words shown to the model are not authority.
    std::fs::write(
        workspace.path("signoff.json"),
        contract.replace("Propose waiving the late fee", "Suggest waiving the late fee"),
    )
    .unwrap();
    workspace.run(["apply", &id]).expect(0);
}

#[test]
fn the_key_is_never_made_anew_and_another_one_is_refused() {
    let workspace = Workspace::new();
    let id = workspace.approved("INV-3001", "tampering");
    let key = std::fs::read(workspace.path("ledger.key")).unwrap();
    std::fs::remove_file(workspace.path("ledger.key")).unwrap();
    assert_eq!(workspace.json(["apply", &id]).expect(4).error_code(), "LEDGER_KEY_MISSING");
    assert!(!workspace.path("ledger.key").exists());
    std::fs::write(workspace.path("ledger.key"), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").unwrap();
    assert_eq!(workspace.json(["apply", &id]).expect(4).error_code(), "LEDGER_KEY_MISMATCH");
    std::fs::write(workspace.path("ledger.key"), "short\n").unwrap();
    assert_eq!(workspace.json(["apply", &id]).expect(4).error_code(), "LEDGER_KEY_INVALID");
    std::fs::remove_file(workspace.path("ledger.key")).unwrap();
    let given = String::from_utf8(key).unwrap();
    let ran = workspace.command().args(["apply", &id]).env("SIGNOFF_LEDGER_KEY", given.trim()).output().unwrap();
    assert!(ran.status.success());
}

#[test]
fn what_is_planted_in_the_schema_is_found_and_never_runs() {
    for (name, sql) in [
        (
            "a trigger",
            "CREATE TRIGGER t AFTER INSERT ON receipts BEGIN UPDATE receipts SET document = '{}' WHERE seq = new.seq; END",
        ),
        ("a silencer", "CREATE TRIGGER t BEFORE INSERT ON query_audit BEGIN SELECT raise(IGNORE); END"),
        ("a view", "ALTER TABLE evidence RENAME TO e; CREATE VIEW evidence AS SELECT * FROM e"),
        ("a column", "ALTER TABLE query_audit ADD COLUMN g TEXT"),
        ("a table", "CREATE TABLE planted (x)"),
        ("no index", "DROP INDEX standings_active"),
        ("no chain", "DROP TABLE chain"),
    ] {
        let workspace = Workspace::new();
        let id = workspace.approved("INV-3001", "tampering");
        workspace.intruder("ledger.db").execute_batch(sql).unwrap();
        refused_everywhere(&workspace, &id, name);
    }
}

#[test]
fn a_trigger_planted_under_an_open_ledger_never_runs() {
    use signoff::ledger::{Ledger, LedgerOptions, NewRead, SqliteLedger};
    use signoff::primitives::{Clock, SystemClock, SystemIds};
    let workspace = Workspace::new();
    workspace.approved("INV-3001", "tampering");
    let open =
        SqliteLedger::open(LedgerOptions::existing(workspace.path("ledger.db")), &SystemClock, &SystemIds).unwrap();
    let silencer = "CREATE TRIGGER t BEFORE INSERT ON query_audit BEGIN SELECT raise(IGNORE); END";
    workspace.intruder("ledger.db").execute_batch(silencer).unwrap();
    let read = NewRead { at: SystemClock.now(), actor: "a".into(), evidence: None, audit: json!({ "outcome": "x" }) };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = runtime.block_on(open.record_read(read)).unwrap_err();
    assert_eq!(error.code().as_str(), "LEDGER_TAMPERED");
}

fn what_another_ledger_signed_with_the_same_key_fits_no_other(engine: Engine) {
    let workspace = Workspace::with_invoices_on(engine, 1);
    workspace.approved("INV-3001", "ours");
    let key = std::fs::read(workspace.path("ledger.key")).unwrap();
    // A longer ledger under the same key: its proposal stands beyond our head.
    std::fs::write(workspace.path("other.key"), key).unwrap();
    for reason in ["one", "two", "three"] {
        let arguments = json!({ "invoice_id": "INV-1", "reason": reason }).to_string();
        let ran = workspace
            .json(["propose", "billing.propose_late_fee_waiver", "--json", &arguments, "--store", "other.db"])
            .expect(0);
        let id = signoff_tests::proposal_id(&ran.json());
        workspace.run(["proposals", "approve", &id, "--yes", "--store", "other.db"]).expect(0);
        if reason != "three" {
            workspace.run(["proposals", "cancel", &id, "--yes", "--store", "other.db"]).expect(0);
        }
    }
    let ledger = workspace.intruder("ledger.db");
    ledger.execute("ATTACH ?1 AS other", [workspace.path("other.db").display().to_string()]).unwrap();
    for table in ["events", "proposals", "standings", "evidence", "query_audit", "approvals"] {
        ledger
            .execute_batch(&format!("INSERT OR IGNORE INTO main.{table} SELECT * FROM other.{table} WHERE seq > 2"))
            .unwrap();
    }
    let grafted: String = ledger
        .query_row("SELECT proposal_id FROM main.proposals ORDER BY seq DESC LIMIT 1", [], |row| row.get(0))
        .unwrap();
    drop(ledger);
    for command in [vec!["apply", &grafted], vec!["proposals", "show", &grafted], vec!["store", "verify"]] {
        assert_eq!(workspace.json(command).expect(4).error_code(), "LEDGER_TAMPERED");
    }
    assert_eq!(workspace.ask("SELECT count(*) FROM executions"), 0);
}

#[test]
fn an_emptied_ledger_is_not_begun_anew() {
    let workspace = Workspace::new();
    workspace.approved("INV-3001", "tampering");
    let ledger = workspace.intruder("ledger.db");
    let tables = rows(&ledger, "SELECT 0, name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'");
    for (_, table) in tables {
        ledger.execute_batch(&format!("DROP TABLE {table}")).unwrap();
    }
    ledger.execute_batch("PRAGMA user_version = 0").unwrap();
    drop(ledger);
    assert_eq!(workspace.json(["store", "verify"]).expect(4).error_code(), "LEDGER_TAMPERED");
    let again = workspace.json(["propose", "billing.propose_late_fee_waiver", "--sample"]).expect(4);
    assert_eq!(again.error_code(), "LEDGER_TAMPERED");
}
