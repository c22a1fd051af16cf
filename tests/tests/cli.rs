//! The command line as its users call it: v1's script, flags, exit codes, and the words that scripts look for.

use serde_json::{Value, json};
use signoff_tests::{Engine, Workspace, on_each_engine, proposal_id};

on_each_engine!(
    the_script_of_v1_in_its_order,
    a_dry_run_changes_nothing_and_looks_at_the_live_row,
    arguments_are_checked_and_refusals_are_audited,
    an_omitted_optional_argument_leaves_its_column_alone,
    secrets_in_a_row_are_redacted_compared_and_never_printed,
    receipts_tables_are_made_by_migrate_only_or_where_the_contract_says,
    a_stand_in_for_a_secret_is_not_the_secret,
    an_attempt_that_a_crash_left_can_be_withdrawn,
    an_executor_without_its_variables_leaves_the_proposal_approved,
);

const WAIVE: &str = "billing.propose_late_fee_waiver";
const REASON: &str = r#"{"invoice_id":"INV-3001","reason":"kind"}"#;

fn contract(workspace: &Workspace, edit: impl FnOnce(&mut Value)) {
    let mut contract: Value = serde_json::from_str(&workspace.contract()).unwrap();
    edit(&mut contract);
    workspace.write_contract(&contract.to_string());
}

fn the_script_of_v1_in_its_order(engine: Engine) {
    let workspace = Workspace::on(engine);
    std::fs::write(workspace.path("input.json"), REASON).unwrap();
    workspace.run(["config", "validate"]).expect(0);
    assert!(workspace.run(["tools", "preview"]).expect(0).out.contains("execute_sql absent"));
    let proposed = workspace.run(["propose", WAIVE, "--input", "input.json"]).expect(0);
    assert!(proposed.out.contains("Source DB changed: no"));
    // Approving needs no contract: the stored proposal says what it was made under.
    std::fs::rename(workspace.path("signoff.json"), workspace.path("aside.json")).unwrap();
    let approved = workspace.run(["proposals", "approve", "latest", "--yes", "--store", "ledger.db"]).expect(0);
    assert!(approved.out.contains("late_fee_cents") && approved.out.contains("hash sha256:"), "{}", approved.out);
    std::fs::rename(workspace.path("aside.json"), workspace.path("signoff.json")).unwrap();
    let applied = workspace.run(["apply", "latest"]).expect(0);
    for words in [
        "Guarded writeback applied.",
        "* proposal approved: yes",
        "* primary key matched: yes",
        "* tenant guard matched: yes",
        "* allowed columns only: yes",
        "* conflict guard passed: yes",
        "Source DB changed: yes",
    ] {
        assert!(applied.out.contains(words), "{words} is not in\n{}", applied.out);
    }
    assert!(workspace.run(["apply", "latest"]).expect(0).out.contains("already applied"));
    let replay = workspace.run(["replay", "show", "latest", "--store", "ledger.db"]).expect(0);
    assert!(replay.out.contains("What happened:") && replay.out.contains("writeback_applied"));
    assert_eq!((workspace.effects("INV-3001"), workspace.executions("INV-3001")), (1, 1));
    let receipts = workspace.json(["receipts", "list"]).expect(0).json();
    assert_eq!(receipts["receipts"].as_array().unwrap().len(), 1);
    let seq = receipts["receipts"][0]["seq"].to_string();
    workspace.run(["receipts", "show", &seq]).expect(0);
    assert_eq!(workspace.json(["receipts", "show", "9999"]).expect(1).error_code(), "RECEIPT_NOT_FOUND");
    workspace.run(["store", "stats"]).expect(0);
    workspace.run(["store", "verify"]).expect(0);
}

#[test]
fn the_demo_tells_the_whole_story_again_and_again() {
    let workspace = Workspace::new();
    for _ in 0..2 {
        let demo = workspace.run(["demo", "--dir", "demo"]).expect(0);
        assert!(demo.out.lines().count() < 40, "{}", demo.out);
        for words in [
            "PROPOSAL_NOT_APPROVED",
            "SELF_APPROVAL",
            "applied; late_fee_cents is 0",
            "1 effect",
            "VERSION_CONFLICT",
            "LEDGER_TAMPERED",
        ] {
            assert!(demo.out.contains(words), "{words} is not in\n{}", demo.out);
        }
        assert_eq!(demo.err, "");
    }
    let answer = workspace.json(["demo", "--dir=demo"]).expect(0).json();
    workspace.run(["replay", "show", answer["proposal_id"].as_str().unwrap(), "--store", "demo/ledger.db"]).expect(0);
    // Somebody else's folder is left alone.
    std::fs::create_dir(workspace.path("mine")).unwrap();
    std::fs::write(workspace.path("mine/ledger.db"), "mine").unwrap();
    assert_eq!(workspace.json(["demo", "--dir", "mine"]).expect(1).error_code(), "FILE_UNWRITABLE");
    assert_eq!(std::fs::read(workspace.path("mine/ledger.db")).unwrap(), b"mine");
}

#[test]
fn the_writeback_doctor_looks_and_leaves_nothing() {
    let workspace = Workspace::new();
    let doctor = ["writeback", "doctor", "--check-db", "--source", "billing_db"];
    assert!(workspace.run(doctor).expect(0).out.starts_with("source billing_db: ready"));
    assert_eq!(workspace.ask("SELECT count(*) FROM synapsor_writeback_receipts"), 0);
    assert_eq!(workspace.ask("SELECT count(*) FROM executions"), 0);
    for (broken, found) in [
        ("ALTER TABLE invoices RENAME waiver_reason TO w", "FAIL target:main.invoices: configured object not found"),
        ("ALTER TABLE synapsor_writeback_receipts RENAME fingerprint TO f", "lacks fingerprint"),
        ("DROP TABLE synapsor_writeback_receipts", "FAIL receipts-table"),
    ] {
        workspace.app().execute_batch(broken).unwrap();
        let ran = workspace.run(doctor).expect(1);
        assert!(ran.out.contains(found), "{found} is not in\n{}", ran.out);
    }
    std::fs::remove_file(workspace.path("billing.db")).unwrap();
    assert!(workspace.run(doctor).expect(1).out.contains("FAIL address"));
}

fn a_dry_run_changes_nothing_and_looks_at_the_live_row(engine: Engine) {
    let workspace = Workspace::on(engine);
    let id = workspace.approved("INV-3001", "kind");
    let before = std::fs::read(workspace.path("ledger.db")).unwrap().len();
    let rehearsed = workspace.json(["apply", &id, "--dry-run"]).expect(0).json();
    assert_eq!((rehearsed["status"].as_str(), rehearsed["state"].as_str()), (Some("would_apply"), Some("approved")));
    assert_eq!(workspace.ask("SELECT count(*) FROM executions"), 0);
    assert_eq!(workspace.ask("SELECT count(*) FROM synapsor_writeback_receipts"), 0);
    workspace.sql("UPDATE invoices SET balance_cents = 1 WHERE id = 'INV-3001'");
    let rehearsed = workspace.json(["apply", &id, "--dry-run"]).expect(3).json();
    assert_eq!(rehearsed["conflict"]["code"], "ROW_CHANGED_AFTER_PROPOSAL");
    assert_eq!(workspace.state(&id), "approved");
    assert_eq!(std::fs::read(workspace.path("ledger.db")).unwrap().len(), before);
    let conflict = workspace.json(["apply", &id]).expect(3).json();
    assert_eq!((conflict["status"].as_str(), conflict["state"].as_str()), (Some("conflict"), Some("conflict")));
    assert_eq!(workspace.json(["apply", &id]).expect(3).json()["status"], "conflict");
}

fn an_executor_without_its_variables_leaves_the_proposal_approved(engine: Engine) {
    let workspace = Workspace::on(engine);
    let arguments = r#"{"invoice_id":"INV-3001","amount_cents":500,"reason":"kind"}"#;
    let id = proposal_id(
        &workspace.json(["propose", "billing.propose_account_credit", "--json", arguments]).expect(0).json(),
    );
    workspace.run(["proposals", "approve", &id, "--yes"]).expect(0);
    assert_eq!(workspace.json(["apply", &id]).expect(4).error_code(), "EXECUTOR_CREDENTIAL_MISSING");
    assert_eq!(workspace.state(&id), "approved");
}

#[test]
fn decisions_at_the_terminal() {
    let workspace = Workspace::with_invoices(3);
    let first = workspace.propose("INV-1", "kind");
    let second = workspace.propose("INV-2", "kind");
    // Two are pending: `latest` could be another one than was looked at.
    assert_eq!(
        workspace.json(["proposals", "approve", "latest", "--yes"]).expect(2).error_code(),
        "CONFIRMATION_REQUIRED"
    );
    assert_eq!(workspace.json(["proposals", "approve", &first]).expect(2).error_code(), "CONFIRMATION_REQUIRED");
    let shown = workspace.json(["proposals", "show", "latest"]).expect(0).json();
    let hash = shown["proposal_hash"].as_str().unwrap();
    let prefix = &hash["sha256:".len()..][..12];
    assert_eq!(
        workspace.json(["proposals", "approve", "latest", "--yes", "--hash", "00000000"]).expect(4).error_code(),
        "PROPOSAL_HASH_MISMATCH"
    );
    assert_eq!(
        workspace.json(["proposals", "approve", "latest", "--yes", "--hash", "0000"]).expect(2).error_code(),
        "USAGE"
    );
    workspace.run(["proposals", "approve", "latest", "--yes", "--hash", prefix]).expect(0);
    assert_eq!(workspace.state(&second), "approved");
    // Nobody approves their own, and roles are what is said.
    assert_eq!(
        workspace.json(["proposals", "approve", &first, "--yes", "--actor", "support_agent"]).expect(4).error_code(),
        "SELF_APPROVAL"
    );
    assert_eq!(
        workspace.json(["proposals", "approve", &first, "--yes", "--role", "intern"]).expect(4).error_code(),
        "ROLE_REQUIRED"
    );
    let roles = workspace
        .command()
        .args(["proposals", "approve", &first, "--yes"])
        .env("SIGNOFF_OPERATOR_ROLES", "intern, guest")
        .output()
        .unwrap();
    assert_eq!(roles.status.code(), Some(4));
    assert_eq!(workspace.json(["proposals", "reject", &first, "--yes"]).expect(2).error_code(), "USAGE");
    workspace.run(["proposals", "reject", "--yes", &first, "--reason=no need"]).expect(0);
    assert_eq!(workspace.json(["apply", &first]).expect(4).error_code(), "PROPOSAL_NOT_APPROVED");
    workspace.run(["proposals", "cancel", &second, "--yes"]).expect(0);
    assert_eq!(workspace.json(["apply", &second]).expect(4).json()["status"], "canceled");
    let decision = workspace.json(["proposals", "show", &first]).expect(0).json()["decisions"][0].clone();
    assert_eq!((decision["approver"].as_str(), decision["asserted"].as_bool()), (Some("operator"), Some(true)));
    assert_eq!(
        workspace.json(["proposals", "list", "--state", "rejected"]).expect(0).json()["proposals"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert!(
        workspace.run(["proposals", "list", "--state", "rejcted"]).expect(2).err.contains("did you mean rejected?")
    );
    assert_eq!(workspace.json(["proposals", "show", "wrp_none"]).expect(1).error_code(), "PROPOSAL_NOT_FOUND");
}

#[test]
fn flags_are_read_as_people_write_them() {
    let workspace = Workspace::new();
    let unknown = workspace.run(["proposals", "list", "--limt", "3"]).expect(2);
    assert!(unknown.err.contains("--limit"), "{}", unknown.err);
    workspace.run(["--store=other.db", "propose", WAIVE, "--json", REASON]).expect(0);
    assert!(workspace.path("other.db").exists() && !workspace.path("ledger.db").exists());
    workspace.run(["proposals", "list", "--store", "other.db", "--format=json"]).expect(0);
    workspace.run(["proposals", "approve", "--actor", "--yes", "x"]).expect(2);
    workspace.run(["apply", "a", "--job", "b"]).expect(2);
    assert_eq!(workspace.json(["propose", WAIVE]).expect(2).error_code(), "USAGE");
    assert_eq!(
        workspace.json(["proposals", "list", "--store", "missing.db"]).expect(1).error_code(),
        "LEDGER_NOT_FOUND"
    );
    assert!(!workspace.path("missing.db").exists());
    workspace.run(["propose", WAIVE, "--sample", "--store", "sample.db"]).expect(0);
}

fn arguments_are_checked_and_refusals_are_audited(engine: Engine) {
    let workspace = Workspace::on(engine);
    let cases = [
        (r#"{"invoice_id":"INV-3001"}"#, "ARGUMENT_REQUIRED"),
        (r#"{"invoice_id":"INV-3001","reason":7}"#, "ARGUMENT_TYPE_INVALID"),
        (r#"{"invoice_id":"INV-3001","reason":null}"#, "ARGUMENT_TYPE_INVALID"),
        (r#"{"invoice_id":"INV-3001","reason":"a\u0000b"}"#, "ARGUMENT_TYPE_INVALID"),
        (r#"{"invoice_id":"INV-3001","reason":"x","zzz":1}"#, "ARGUMENT_UNKNOWN"),
        (r#"{"invoice_id":"INV-3001","reason":"x","__proto__":1}"#, "ARGUMENT_UNKNOWN"),
        (r#"{"invoice_id":"INV-3001","reason":"x","tenant_id":"globex"}"#, "MODEL_CANNOT_OVERRIDE_BINDING"),
        (r#"{"invoice_id":"INV-3001","invoice_id":"INV-9001","reason":"x"}"#, "ARGUMENTS_INVALID"),
        (r#"[]"#, "ARGUMENTS_INVALID"),
        (r#"{"invoice_id":"INV-9001","reason":"x"}"#, "ROW_NOT_FOUND"),
        (r#"{"invoice_id":"nothing","reason":"x"}"#, "ROW_NOT_FOUND"),
        (r#"{"invoice_id":"INV-3001","reason":"postgres://user:planted@host/db"}"#, "SECRET_MATERIAL_REJECTED"),
    ];
    for (arguments, code) in cases {
        let ran = workspace.json(["propose", WAIVE, "--json", arguments]).expect(1);
        assert_eq!(ran.error_code(), code, "{arguments}");
        assert!(!ran.out.contains("planted"));
    }
    let long = json!({ "invoice_id": "INV-3001", "reason": "x".repeat(501) }).to_string();
    assert_eq!(workspace.json(["propose", WAIVE, "--json", &long]).expect(1).error_code(), "ARGUMENT_TOO_LONG");
    assert_eq!(
        workspace.json(["propose", "billing.nothing", "--json", "{}"]).expect(1).error_code(),
        "MCP_TOOL_NOT_FOUND"
    );
    assert_eq!(
        workspace
            .json(["propose", "billing.inspect_invoice", "--json", r#"{"invoice_id":"INV-3001"}"#])
            .expect(1)
            .error_code(),
        "CAPABILITY_KIND_MISMATCH"
    );
    let credit = r#"{"invoice_id":"INV-3001","amount_cents":10001,"reason":"x"}"#;
    assert_eq!(
        workspace.json(["propose", "billing.propose_account_credit", "--json", credit]).expect(1).error_code(),
        "ARGUMENT_ABOVE_MAXIMUM"
    );
    let ledger = workspace.intruder("ledger.db");
    let audited: i64 = ledger.query_row("SELECT count(*) FROM query_audit", [], |row| row.get(0)).unwrap();
    assert_eq!(audited, cases.len() as i64 + 4, "every refusal is in the audit");
    let denied: i64 = ledger
        .query_row("SELECT count(*) FROM query_audit WHERE document LIKE '%ROW_NOT_FOUND%'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(denied, 2);
    drop(ledger);
    workspace.run(["store", "verify"]).expect(0);
    // A row of another tenant and a missing one answer the same bytes.
    let foreign = workspace.json(["propose", WAIVE, "--json", r#"{"invoice_id":"INV-9001","reason":"x"}"#]);
    let missing = workspace.json(["propose", WAIVE, "--json", r#"{"invoice_id":"INV-0000","reason":"x"}"#]);
    assert_eq!((foreign.out, foreign.err, foreign.code), (missing.out, missing.err, missing.code));
}

fn an_omitted_optional_argument_leaves_its_column_alone(engine: Engine) {
    let workspace = Workspace::on(engine);
    contract(&workspace, |contract| contract["capabilities"][1]["args"]["reason"]["required"] = false.into());
    workspace.sql("UPDATE invoices SET waiver_reason = 'kept' WHERE id = 'INV-3001'");
    let answer = workspace.json(["propose", WAIVE, "--json", r#"{"invoice_id":"INV-3001"}"#]).expect(0).json();
    assert_eq!(answer["proposal"]["diff"], json!({ "late_fee_cents": { "before": 5500, "proposed": 0 } }));
    let id = proposal_id(&answer);
    workspace.run(["proposals", "approve", &id, "--yes"]).expect(0);
    workspace.run(["apply", &id]).expect(0);
    assert_eq!(
        workspace.ask(
            "SELECT count(*) FROM invoices WHERE id = 'INV-3001' AND waiver_reason = 'kept' AND late_fee_cents = 0"
        ),
        1
    );
    // And a change that changes nothing is not one.
    assert_eq!(
        workspace.json(["propose", WAIVE, "--json", r#"{"invoice_id":"INV-3001"}"#]).expect(1).error_code(),
        "NO_CHANGE"
    );
}

#[test]
fn a_version_that_cannot_tell_is_refused_with_its_own_code() {
    let workspace = Workspace::new();
    let app = workspace.app();
    app.execute_batch(
        "CREATE TABLE copy AS SELECT * FROM invoices; DROP TABLE invoices; ALTER TABLE copy RENAME TO invoices",
    )
    .unwrap();
    let propose = || workspace.json(["propose", WAIVE, "--json", REASON]).expect(1).error_code();
    app.execute("UPDATE invoices SET updated_at = NULL", []).unwrap();
    assert_eq!(propose(), "VERSION_IS_NULL");
    app.execute("UPDATE invoices SET updated_at = CAST('1.5' AS REAL)", []).unwrap();
    app.execute_batch("CREATE TABLE real AS SELECT * FROM invoices WHERE 0; ALTER TABLE invoices DROP COLUMN updated_at; ALTER TABLE invoices ADD COLUMN updated_at REAL DEFAULT 1.5").unwrap();
    assert_eq!(propose(), "VERSION_TYPE_UNSUPPORTED");
    app.execute("INSERT INTO invoices (id, tenant_id) VALUES ('INV-3001', 'acme')", []).unwrap();
    assert_eq!(propose(), "ROW_NOT_UNIQUE");
    app.execute_batch("ALTER TABLE invoices DROP COLUMN updated_at").unwrap();
    assert_eq!(propose(), "SOURCE_OBJECT_NOT_FOUND");
    app.execute_batch("DROP TABLE invoices").unwrap();
    assert_eq!(propose(), "SOURCE_OBJECT_NOT_FOUND");
}

fn secrets_in_a_row_are_redacted_compared_and_never_printed(engine: Engine) {
    let workspace = Workspace::on(engine);
    let secret = "postgres://app:planted-secret@db/app";
    workspace.sql(&format!("UPDATE invoices SET status = '{secret}' WHERE id = 'INV-3001'"));
    workspace.sql("UPDATE invoices SET waiver_reason = 'Bearer bonds please' WHERE id = 'INV-3001'");
    let proposed = workspace.json(["propose", WAIVE, "--json", REASON]).expect(0);
    let id = proposal_id(&proposed.json());
    let shown = workspace.json(["proposals", "show", &id]).expect(0);
    let before = shown.json()["change_set"]["before"].clone();
    assert!(before["status"].as_str().unwrap().starts_with("redacted:hmac-sha256:"), "{before}");
    assert_eq!(before["waiver_reason"], "Bearer bonds please");
    workspace.run(["proposals", "approve", &id, "--yes"]).expect(0);
    // It is still compared: another secret in its place is another row.
    workspace.sql("UPDATE invoices SET status = 'postgres://app:other@db/app' WHERE id = 'INV-3001'");
    assert_eq!(workspace.json(["apply", &id, "--dry-run"]).expect(3).json()["conflict"]["column"], "status");
    workspace.sql(&format!("UPDATE invoices SET status = '{secret}' WHERE id = 'INV-3001'"));
    workspace.run(["apply", &id]).expect(0);
    let mut outputs = vec![proposed.out, proposed.err, shown.out];
    outputs.push(workspace.run(["replay", "show", &id, "--details"]).expect(0).out);
    for name in ["ledger.db", "ledger.db-wal"] {
        let bytes = std::fs::read(workspace.path(name)).unwrap_or_default();
        outputs.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    assert!(!outputs.iter().any(|output| output.contains("planted-secret")), "a secret was printed or stored");
}

#[test]
fn files_of_others_are_left_as_they_are() {
    let workspace = Workspace::new();
    // A store of v1, or any other file, where the ledger should be.
    let foreign = rusqlite::Connection::open(workspace.path("ledger.db")).unwrap();
    foreign
        .execute_batch(
            "CREATE TABLE proposals (proposal_id TEXT PRIMARY KEY); INSERT INTO proposals VALUES ('wrp_v1');",
        )
        .unwrap();
    drop(foreign);
    let bytes = std::fs::read(workspace.path("ledger.db")).unwrap();
    let proposed = workspace.run(["propose", WAIVE, "--json", REASON]).expect(0);
    assert!(proposed.err.contains("ledger.signoff.db"), "{}", proposed.err);
    workspace.run(["proposals", "approve", "latest", "--yes"]).expect(0);
    workspace.run(["apply", "latest"]).expect(0);
    assert_eq!(std::fs::read(workspace.path("ledger.db")).unwrap(), bytes);
    // Both contracts: neither is guessed.
    std::fs::copy(workspace.path("signoff.json"), workspace.path("synapsor.runner.json")).unwrap();
    assert_eq!(workspace.json(["apply", "latest"]).expect(4).error_code(), "CONFIG_AMBIGUOUS");
    std::fs::remove_file(workspace.path("signoff.json")).unwrap();
    workspace.run(["config", "validate"]).expect(0);
    // A source that is not there is not made.
    let missing = workspace
        .command()
        .args(["--format", "json", "propose", WAIVE, "--json", REASON])
        .env("BILLING_APP_READ_URL", "nowhere.db")
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(!workspace.path("nowhere.db").exists());
}

#[cfg(unix)]
#[test]
fn the_ledger_and_its_key_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: std::path::PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let workspace = Workspace::new();
    workspace.run(["propose", WAIVE, "--json", REASON, "--store", "new/ledger.db"]).expect(0);
    assert_eq!(mode(workspace.path("new")), 0o700);
    assert_eq!(mode(workspace.path("new/ledger.db")), 0o600);
    assert_eq!(mode(workspace.path("new/ledger.key")), 0o600);
    // An existing folder is never changed, only spoken of.
    std::fs::create_dir(workspace.path("open")).unwrap();
    std::fs::set_permissions(workspace.path("open"), std::fs::Permissions::from_mode(0o777)).unwrap();
    let warned = workspace.run(["propose", WAIVE, "--json", REASON, "--store", "open/ledger.db"]).expect(0);
    assert!(warned.err.contains("warning:"), "{}", warned.err);
    assert_eq!(mode(workspace.path("open")), 0o777);
}

#[test]
fn an_invalid_contract_says_where_and_what_to_do() {
    let workspace = Workspace::new();
    contract(&workspace, |contract| {
        let capability = contract["capabilities"][1].as_object_mut().unwrap();
        let columns = capability.remove("visible_columns").unwrap();
        capability.insert("visable_columns".to_owned(), columns);
    });
    let human = workspace.run(["config", "validate"]).expect(1);
    assert!(human.out.contains("UNKNOWN_FIELD") && human.out.contains("visible_columns"), "{}", human.out);
    let answer = workspace.json(["config", "validate"]).expect(1).json();
    assert_eq!(answer["ok"], false);
    let unknown =
        answer["diagnostics"].as_array().unwrap().iter().find(|d| d["code"] == "UNKNOWN_FIELD").unwrap().clone();
    assert_eq!(unknown["pointer"], "/capabilities/1/visable_columns");
    assert_eq!(workspace.json(["propose", WAIVE, "--json", REASON]).expect(1).error_code(), "CONFIG_INVALID");
    assert!(!workspace.path("ledger.db").exists());
}

fn receipts_tables_are_made_by_migrate_only_or_where_the_contract_says(engine: Engine) {
    let workspace = Workspace::on(engine);
    workspace.sql("DROP TABLE synapsor_writeback_receipts");
    let id = workspace.approved("INV-3001", "kind");
    for command in [vec!["apply", &id, "--dry-run"], vec!["apply", &id]] {
        let refused = workspace.json(command).expect(1);
        assert_eq!(refused.error_code(), "RECEIPT_TABLE_MISSING");
        assert!(refused.out.contains("signoff writeback migrate"));
    }
    assert_eq!(workspace.state(&id), "approved");
    let first = workspace.json(["writeback", "migrate"]).expect(0).json();
    assert_eq!(first["sources"][0]["statements"].as_array().unwrap().len(), 1);
    assert_eq!(workspace.json(["writeback", "migrate"]).expect(0).json()["sources"][0]["statements"], json!([]));
    workspace.run(["apply", &id]).expect(0);
    assert_eq!(workspace.effects("INV-3001"), 1);

    let workspace = Workspace::on(engine);
    workspace.sql("DROP TABLE synapsor_writeback_receipts");
    contract(&workspace, |contract| contract["sources"]["billing_db"]["signoff"] = json!({ "create_receipts": true }));
    let id = workspace.approved("INV-3001", "kind");
    assert_eq!(workspace.json(["apply", &id, "--dry-run"]).expect(1).error_code(), "RECEIPT_TABLE_MISSING");
    workspace.run(["apply", &id]).expect(0);
}

/// What the command prints is what the library makes, and a database takes it, twice.
#[test]
fn the_receipts_table_of_a_handler_is_printed_as_sql() {
    let workspace = Workspace::new();
    let printed = workspace.run(["handler", "migration", "--dialect", "sqlite"]).expect(0).out;
    for _ in 0..2 {
        workspace.app().execute_batch(&printed).unwrap();
    }
    assert_eq!(workspace.ask("SELECT count(*) FROM main.synapsor_handler_receipts"), 0);
    let own = workspace.json([
        "handler",
        "migration",
        "--dialect",
        "postgres",
        "--table",
        "app.receipts",
        "--writer-role",
        "a\"pp",
    ]);
    let statements = own.expect(0).json()["statements"].as_array().unwrap().clone();
    assert_eq!(statements.len(), 4);
    assert!(statements[1].as_str().unwrap().starts_with("CREATE TABLE IF NOT EXISTS \"app\".\"receipts\" ("));
    assert_eq!(statements[3], "GRANT SELECT, INSERT, UPDATE ON TABLE \"app\".\"receipts\" TO \"a\"\"pp\"");
    let unsafe_name = workspace.json(["handler", "migration", "--dialect", "sqlite", "--table", "a.b;c"]);
    assert_eq!(unsafe_name.expect(1).error_code(), "UNSAFE_IDENTIFIER");
}

#[test]
fn another_tenants_row_is_not_replaced_by_a_clash() {
    let workspace = Workspace::new();
    let app = workspace.app();
    // A column can declare that a clash deletes the other row, whosever it is.
    app.execute_batch(
        "CREATE TABLE copy (id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, customer_id TEXT, status TEXT, balance_cents INTEGER,
           late_fee_cents INTEGER, waiver_reason TEXT UNIQUE ON CONFLICT REPLACE, updated_at TEXT);
         INSERT INTO copy SELECT id, tenant_id, customer_id, status, balance_cents, late_fee_cents, CASE id WHEN 'INV-9001' THEN 'victim' END, updated_at FROM invoices;
         DROP TABLE invoices; ALTER TABLE copy RENAME TO invoices;",
    )
    .unwrap();
    let id = workspace.approved("INV-3001", "victim");
    assert_eq!(workspace.json(["apply", &id]).expect(1).error_code(), "SOURCE_REJECTED");
    assert_eq!(workspace.ask("SELECT count(*) FROM invoices WHERE waiver_reason = 'victim' AND id = 'INV-9001'"), 1);
    assert_eq!(workspace.state(&id), "approved");
}

#[test]
fn whoever_acts_has_a_name_and_keeps_secrets_to_themselves() {
    let workspace = Workspace::new();
    let id = workspace.approved("INV-3001", "kind");
    assert_eq!(workspace.json(["apply", &id, "--runner", ""]).expect(2).error_code(), "ACTOR_INVALID");
    assert_eq!(workspace.state(&id), "approved");
    assert_eq!(
        workspace.json(["proposals", "cancel", &id, "--yes", "--actor", " "]).expect(2).error_code(),
        "ACTOR_INVALID"
    );
    let secret = "postgres://u:planted@h/db";
    for command in [
        vec!["proposals", "cancel", &id, "--yes", "--reason", secret],
        vec!["proposals", "reject", &id, "--yes", "--reason", secret],
    ] {
        assert_eq!(workspace.json(command).expect(1).error_code(), "SECRET_MATERIAL_REJECTED");
    }
    assert_eq!(
        workspace.json(["proposals", "cancel", &id, "--yes", "--actor", secret]).expect(2).error_code(),
        "ACTOR_INVALID"
    );
    workspace.json(["propose", secret, "--json", "{}"]).expect(1);
    let bytes = [
        std::fs::read(workspace.path("ledger.db")).unwrap(),
        std::fs::read(workspace.path("ledger.db-wal")).unwrap_or_default(),
    ]
    .concat();
    assert!(!String::from_utf8_lossy(&bytes).contains("planted"));
    let none = workspace
        .command()
        .args(["proposals", "reject", &id, "--yes", "--reason", "x"])
        .env("SIGNOFF_OPERATOR_ROLES", "")
        .output()
        .unwrap();
    assert_eq!(none.status.code(), Some(4), "set and empty means no roles");
    workspace.run(["store", "verify"]).expect(0);
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    let workspace = Workspace::new();
    let id = workspace.propose("INV-3001", "kind");
    let waive = "billing.propose_late_fee_waiver";
    for (secret, planted) in [
        ("AKIAPLANTEDPLANTED99", "PLANTED"),
        ("ghp_planted0planted0planted0", "planted"),
        ("sk_live_planted0planted0", "planted"),
        ("xoxb-123456789012-planted", "planted"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.planted-1", "planted"),
        ("Bearer 0planted0planted0planted", "planted"),
        ("postgres://u:planted@h/db", "planted"),
        ("-----BEGIN RSA PRIVATE KEY-----\nplanted\n-----END RSA PRIVATE KEY-----", "planted"),
    ] {
        for value in [secret.to_owned(), format!("take {secret} for the refund, thanks")] {
            let unknown = serde_json::json!({ "invoice_id": "INV-9001", "reason": "x", value.as_str(): 1 }).to_string();
            let reason = serde_json::json!({ "invoice_id": "INV-9001", "reason": value }).to_string();
            for command in [
                vec!["propose", waive, "--json", &unknown],
                vec!["propose", waive, "--json", &reason],
                vec!["propose", &value, "--json", "{}"],
                vec!["proposals", "show", &value],
                vec!["proposals", "list", "--cursor", &value],
                vec!["proposals", "list", "--state", &value],
                vec!["proposals", "list", &value],
                vec!["proposals", "reject", &id, "--yes", "--actor", &value],
                vec!["proposals", "reject", &id, "--yes", "--reason", &value],
                vec!["events", "list", "--from", &value],
                vec!["store", "verify", "--store", &value],
                vec!["store", "verify", "--expect", &value],
                vec!["config", "validate", "--config", &value],
            ] {
                for ran in [workspace.run(command.clone()), workspace.json(command.clone())] {
                    assert_ne!(ran.code, 0, "{command:?}");
                    assert!(!ran.out.contains(planted) && !ran.err.contains(planted), "{}{}", ran.out, ran.err);
                }
            }
        }
    }
    for name in ["ledger.db", "ledger.db-wal"] {
        let bytes = std::fs::read(workspace.path(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        assert!(!text.contains("planted"), "{name}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_could_not_be_written_was_not_given() {
    let workspace = Workspace::new();
    workspace.propose("INV-3001", "kind");
    for command in [["proposals", "list"], ["proposals", "export"], ["config", "show"], ["store", "stats"]] {
        for json in [&[][..], &["--format", "json"]] {
            let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
            let ran = workspace.command().args(command).args(json).stdout(full).output().unwrap();
            let told = String::from_utf8(ran.stderr).unwrap();
            assert_eq!(ran.status.code(), Some(1), "{command:?}: {told}");
            assert!(told.contains("FILE_UNWRITABLE"), "{command:?}: {told}");
        }
    }
}

#[test]
fn a_reviewer_sees_the_whole_text_and_nothing_else() {
    let workspace = Workspace::new();
    let tail = "AND BALANCE REFUNDED IN FULL";
    let id = workspace.propose("INV-3001", &format!("{}{tail}", "harmless ".repeat(40)));
    assert!(workspace.run(["proposals", "show", &id]).expect(0).out.contains(tail));
    workspace.run(["proposals", "cancel", &id, "--yes"]).expect(0);
    let id = workspace.propose("INV-3001", "a\nb\" -> \"c\u{202e}\u{ad}\u{3164}");
    let shown = workspace.run(["proposals", "show", &id]).expect(0).out;
    assert!(shown.contains(r#"null -> "a\nb\" -> \"c\u{202e}\u{ad}\u{3164}""#), "{shown}");
}

fn a_stand_in_for_a_secret_is_not_the_secret(engine: Engine) {
    let workspace = Workspace::on(engine);
    workspace.sql("UPDATE invoices SET status = 'postgres://u:hunter2@h/db' WHERE id = 'INV-3001'");
    let id = workspace.approved("INV-3001", "kind");
    let shown = workspace.json(["proposals", "show", &id]).expect(0).json();
    let stand_in = shown["change_set"]["before"]["status"].as_str().unwrap();
    workspace.sql(&format!("UPDATE invoices SET status = '{stand_in}' WHERE id = 'INV-3001'"));
    assert_eq!(
        workspace.json(["apply", &id]).expect(3).json()["receipt"]["receipt"]["safe_error_code"],
        "ROW_CHANGED_AFTER_PROPOSAL"
    );
}

fn an_attempt_that_a_crash_left_can_be_withdrawn(engine: Engine) {
    let fault = signoff_tests::binary("SIGNOFF_FAULT_BIN", "fault/debug/signoff");
    for (point, end) in [("fault:apply.intent", "canceled"), ("fault:apply.effect", "applied")] {
        let workspace = Workspace::on(engine);
        let id = workspace.approved("INV-3001", "kind");
        let killed = workspace.command_of(&fault).args(["apply", &id]).env("SIGNOFF_FAULT_AT", point).status().unwrap();
        assert_eq!(killed.code(), None);
        assert_eq!(workspace.json(["proposals", "cancel", &id, "--yes"]).expect(1).error_code(), "ATTEMPT_IN_FLIGHT");
        workspace.run(["proposals", "cancel", &id, "--yes", "--resume"]).expect(0);
        assert_eq!(workspace.state(&id), end);
        assert_eq!(workspace.effects("INV-3001"), i64::from(end == "applied"));
        workspace.run(["store", "verify"]).expect(0);
    }
}

#[test]
fn a_receipts_table_that_lost_its_key_gives_a_key_once() {
    let fault = signoff_tests::binary("SIGNOFF_FAULT_BIN", "fault/debug/signoff");
    let workspace = Workspace::new();
    let app = workspace.app();
    app.execute_batch("ALTER TABLE synapsor_writeback_receipts RENAME TO old; CREATE TABLE synapsor_writeback_receipts AS SELECT * FROM old; DROP TABLE old").unwrap();
    let id = workspace.approved("INV-3001", "kind");
    let killed = workspace
        .command_of(&fault)
        .args(["apply", &id])
        .env("SIGNOFF_FAULT_AT", "fault:apply.effect")
        .status()
        .unwrap();
    assert_eq!(killed.code(), None);
    assert_eq!(workspace.json(["apply", &id, "--resume"]).expect(0).json()["status"], "already_applied");
    assert_eq!(workspace.effects("INV-3001"), 1);
    let refused = workspace.json(["writeback", "migrate"]).expect(1);
    assert_eq!(refused.error_code(), "RECEIPT_TABLE_OUTDATED");
    assert!(refused.out.contains("CREATE UNIQUE INDEX"), "{}", refused.out);
}

#[cfg(unix)]
#[test]
fn open_files_are_spoken_of() {
    use std::os::unix::fs::PermissionsExt;
    let workspace = Workspace::new();
    std::fs::write(workspace.path("ledger.db"), "").unwrap();
    workspace.propose("INV-3001", "kind");
    let mode = |name: &str| std::fs::metadata(workspace.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("ledger.db"), 0o600, "an empty file that becomes a ledger becomes private");
    std::fs::set_permissions(workspace.path("ledger.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(workspace.run(["store", "verify"]).expect(0).err.contains("chmod 600"));
    assert_eq!(
        workspace.json(["propose", WAIVE, "--sample", "--store", "z.key"]).expect(1).error_code(),
        "LEDGER_UNAVAILABLE"
    );
    assert!(!workspace.path("z.key").exists());
}
