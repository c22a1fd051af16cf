//! The commands beside the lifecycle: smoke, validate, a job handed on, benchmark, completions and manual pages.

use std::process::Command;

use serde_json::{Value, json};
use signoff_tests::{Engine, Workspace, binary, on_each_engine};

on_each_engine!(a_tool_is_called_as_an_agent_calls_it, a_job_is_handed_on_and_applies_once,);

const WAIVE: &str = "billing.propose_late_fee_waiver";
const REASON: &str = r#"{"invoice_id":"INV-3001","reason":"kind"}"#;

fn a_tool_is_called_as_an_agent_calls_it(engine: Engine) {
    let workspace = Workspace::on(engine);
    let read = workspace.json(["smoke", "call", "billing.inspect_invoice", "--json", r#"{"invoice_id":"INV-3001"}"#]);
    let read = read.expect(0).json();
    assert_eq!(read["ok"], true, "{read}");
    // Without a name it is the first read, without arguments they are made up.
    let sampled = workspace.run(["smoke", "call"]).expect(0);
    assert!(sampled.out.contains("INV-3001") && sampled.out.contains("Source DB changed: no"), "{}", sampled.out);
    let proposed = workspace.json(["smoke", "call", WAIVE, "--sample"]).expect(0).json();
    assert_eq!(proposed["ok"], true, "{proposed}");
    assert_eq!((workspace.effects("INV-3001"), workspace.executions("INV-3001")), (0, 0));
    assert_eq!(workspace.json(["smoke", "call", "no.such"]).expect(1).error_code(), "MCP_TOOL_NOT_FOUND");
    let denied = workspace.json(["smoke", "call", "billing.inspect_invoice", "--json", r#"{"invoice_id":"INV-0"}"#]);
    assert_eq!(denied.error_code(), "ROW_NOT_FOUND");
}

#[test]
fn the_boundary_holds_until_a_tool_is_called_what_none_may_be() {
    let workspace = Workspace::new();
    let answer = workspace.json(["smoke", "boundary"]).expect(0).json();
    assert_eq!(answer["ok"], true);
    let names: Vec<_> = answer["checks"].as_array().unwrap().iter().map(|check| check["name"].clone()).collect();
    assert_eq!(
        names,
        [
            "semantic tools present",
            "execute_sql absent",
            "approval tools absent",
            "commit tools absent",
            "database_url absent",
            "write credentials absent"
        ]
    );
    for (name, broken) in [
        ("billing.approve_proposal", "approval tools absent"),
        ("billing.commit", "commit tools absent"),
        ("billing.execute_sql", "execute_sql absent"),
    ] {
        let mut contract: Value = serde_json::from_str(&workspace.contract()).unwrap();
        contract["capabilities"][0]["name"] = json!(name);
        workspace.write_contract(&contract.to_string());
        let answer = workspace.json(["smoke", "boundary"]).expect(1).json();
        let failed: Vec<_> = answer["checks"].as_array().unwrap().iter().filter(|c| c["ok"] == false).collect();
        assert_eq!((failed.len(), &failed[0]["name"]), (1, &json!(broken)), "{name}");
    }
    // The variable that holds the address, told to a model in a description.
    let mut contract: Value = serde_json::from_str(&workspace.contract()).unwrap();
    contract["capabilities"][0]["description"] = json!("Reads by BILLING_APP_WRITE_URL.");
    workspace.write_contract(&contract.to_string());
    let told = workspace.run(["smoke", "boundary"]).expect(1);
    assert!(told.out.contains("FAIL write credentials absent"), "{}", told.out);
}

fn a_job_is_handed_on_and_applies_once(engine: Engine) {
    let workspace = Workspace::on(engine);
    workspace.run(["propose", WAIVE, "--json", REASON]).expect(0);
    let early = workspace.json(["proposals", "writeback-job", "latest"]).expect(4);
    assert_eq!(early.error_code(), "PROPOSAL_NOT_APPROVED");
    workspace.run(["proposals", "approve", "latest", "--yes"]).expect(0);
    let printed = workspace.json(["proposals", "writeback-job", "latest"]).expect(0).json();
    assert_eq!(printed["schema_version"], "synapsor.writeback-job.v1");
    workspace.run(["proposals", "writeback-job", "latest", "--output", "job.json"]).expect(0);
    let again = workspace.json(["proposals", "writeback-job", "latest", "--output", "job.json"]).expect(1);
    assert_eq!(again.error_code(), "FILE_UNWRITABLE");
    workspace.run(["validate", "--job", "job.json"]).expect(0);
    assert_eq!(workspace.run(["validate", "--job", "job.json"]).out, "job valid\n");

    let mut other: Value = serde_json::from_str(&std::fs::read_to_string(workspace.path("job.json")).unwrap()).unwrap();
    other["patch"]["late_fee_cents"] = json!(1);
    std::fs::write(workspace.path("other.json"), other.to_string()).unwrap();
    assert_eq!(workspace.json(["apply", "--job", "other.json"]).error_code(), "WRITEBACK_JOB_DIFFERS");
    assert_eq!(workspace.effects("INV-3001"), 0);
    for _ in 0..2 {
        workspace.run(["apply", "--job", "job.json"]).expect(0);
    }
    assert_eq!((workspace.effects("INV-3001"), workspace.executions("INV-3001")), (1, 1));
}

#[test]
fn documents_are_checked_and_named() {
    let workspace = Workspace::new();
    let vector = |name: &str| {
        let path = format!("{}/vectors/synapsor-v1/{name}", env!("CARGO_MANIFEST_DIR"));
        assert!(std::path::Path::new(&path).exists(), "{path}");
        path
    };
    for (flag, file, said) in [
        ("--job", "writeback-job.late-fee-waiver.v1.json", "job valid\n"),
        ("--change-set", "change-set.late-fee-waiver.v1.json", "change set valid\n"),
        ("--receipt", "execution-receipt.applied.v1.json", "receipt valid\n"),
        ("--registration", "runner-registration.v1.json", "registration valid\n"),
    ] {
        let path = vector(file);
        assert_eq!(workspace.run(["validate", flag, &path]).expect(0).out, said);
        // None of them is another.
        for other in ["--job", "--change-set", "--receipt", "--registration"].iter().filter(|other| **other != flag) {
            assert_eq!(workspace.json(["validate", other, &path]).expect(1).error_code(), "DOCUMENT_INVALID");
        }
    }
    // The published fixtures carry placeholders for hashes.
    let path = vector("change-set.late-fee-waiver.v1.json");
    let hashed = workspace.json(["validate", "--change-set", &path, "--verify-hash"]);
    assert_eq!(hashed.error_code(), "PROPOSAL_HASH_MISMATCH");
    assert_eq!(workspace.json(["validate", "--job", "absent.json"]).error_code(), "FILE_UNREADABLE");
    workspace.run(["validate"]).expect(2);
}

#[test]
fn a_contract_is_measured_beside_a_server_that_hands_out_sql() {
    let workspace = Workspace::new();
    let answer = workspace.json(["benchmark", "mcp-efficiency"]).expect(0).json();
    let list = workspace.json(["tools", "list"]).expect(0).json()["tools"].to_string();
    assert_eq!(answer["contract"]["tools_list_bytes"], list.len());
    assert_eq!(
        (&answer["contract"]["tools"], &answer["contract"]["calls_to_propose_one_change"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(answer["generic_sql_server"]["tools"], 4);
    let told = workspace.run(["benchmark", "mcp-efficiency"]).expect(0);
    assert!(told.out.lines().all(|line| line.chars().count() <= 80), "{}", told.out);
}

/// Each script is read by its own shell, where that is installed.
#[test]
fn shells_read_their_completions() {
    let workspace = Workspace::new();
    for (shell, check) in [
        ("bash", Some(("bash", vec!["-n"]))),
        ("zsh", Some(("zsh", vec!["-n"]))),
        ("fish", Some(("fish", vec!["--no-execute"]))),
        ("powershell", None),
        ("elvish", None),
    ] {
        let script = workspace.run(["completions", shell]).expect(0).out;
        assert!(script.contains("mcp-efficiency") && script.contains("writeback-job"), "{shell}");
        let Some((program, mut arguments)) = check else { continue };
        let file = workspace.path(shell);
        std::fs::write(&file, script).unwrap();
        arguments.push(file.to_str().unwrap());
        match Command::new(program).args(arguments).status() {
            Ok(status) => assert!(status.success(), "{shell} cannot read its completions"),
            Err(error) => println!("not checked by {program}, which does not run here: {error}"),
        }
    }
    // What bash offers after a command and a letter.
    let offered = Command::new("bash")
        .arg("-c")
        .arg("source ./bash; COMP_WORDS=(signoff proposals a); COMP_CWORD=2; _signoff signoff a proposals; echo \"${COMPREPLY[@]}\"")
        .current_dir(workspace.path(""))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&offered.stdout).trim(), "approve");
}

#[test]
fn every_command_has_a_manual_page() {
    let workspace = Workspace::new();
    workspace.run(["man", "--dir", "man"]).expect(0);
    for page in ["signoff.1", "signoff-proposals-approve.1", "signoff-benchmark-mcp-efficiency.1"] {
        let text = std::fs::read_to_string(workspace.path("man").join(page)).unwrap();
        assert!(text.starts_with(".ie") && text.contains(".TH"), "{page}:\n{text}");
    }
    assert!(workspace.run(["man"]).expect(0).out.contains(".TH signoff 1"));
}

#[test]
fn records_are_exported_as_v1_spells_it() {
    let workspace = Workspace::new();
    let id = workspace.propose("INV-3001", "kind");
    let story = workspace.run(["replay", "export", &id, "--format", "markdown"]).expect(0).out;
    assert!(story.starts_with("# ") && story.contains("## Approval"), "{story}");
    let told = workspace.run(["replay", "export", &id, "--output", "story.md"]).expect(0);
    assert!(told.out.starts_with("story.md: "), "{}", told.out);
    assert!(std::fs::read_to_string(workspace.path("story.md")).unwrap().starts_with("# "));
    let document = workspace.run(["replay", "export", &id, "--format", "json"]).expect(0).json();
    assert_eq!(document["proposal"]["change_set"]["proposal_id"], json!(id), "{document}");

    let bundles = workspace.json(["evidence", "list"]).expect(0).json();
    let bundle = bundles["evidence"][0]["evidence_id"].as_str().unwrap().to_owned();
    workspace.run(["evidence", "export", &bundle, "--output", "evidence.json"]).expect(0);
    let written: Value =
        serde_json::from_str(&std::fs::read_to_string(workspace.path("evidence.json")).unwrap()).unwrap();
    assert_eq!(written, workspace.json(["evidence", "show", &bundle]).expect(0).json());
    assert_eq!(
        workspace.json(["evidence", "export", &bundle, "--output", "evidence.json"]).error_code(),
        "FILE_UNWRITABLE"
    );
    let audits = workspace.json(["query-audit", "list"]).expect(0).json();
    let seq = audits["query_audit"][0]["seq"].to_string();
    let audit = workspace.run(["query-audit", "export", &seq]).expect(0).json();
    assert_eq!(audit, workspace.json(["query-audit", "show", &seq]).expect(0).json());
    // A document for people is no answer of a list.
    assert_eq!(workspace.run(["--format", "markdown", "proposals", "list"]).expect(2).out, "");
}

/// The whole `--help` tree, at 80 columns, as it is pinned: a flag that changes is seen in review.
#[test]
fn the_help_of_every_command_is_as_pinned() {
    fn help(path: &[String]) -> String {
        let output = Command::new(binary("SIGNOFF_BIN", "debug/signoff"))
            .args(path)
            .arg("--help")
            .env("COLUMNS", "80")
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{path:?}");
        String::from_utf8(output.stdout).unwrap()
    }
    fn walk(path: &mut Vec<String>, out: &mut String) {
        let text = help(path);
        out.push_str(&format!(
            "$ signoff {}--help\n{text}\n",
            path.iter().map(|p| format!("{p} ")).collect::<String>()
        ));
        let mut commands = false;
        for line in text.lines() {
            if line == "Commands:" {
                commands = true;
            } else if line.is_empty() {
                commands = false;
            } else if commands && let Some(name) = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) {
                let name = name.split_whitespace().next().unwrap();
                if name != "help" {
                    path.push(name.to_owned());
                    walk(path, out);
                    path.pop();
                }
            }
        }
    }
    let mut tree = String::new();
    walk(&mut Vec::new(), &mut tree);
    let file = format!("{}/vectors/cli-help.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE").is_some_and(|update| update == "1") {
        std::fs::write(&file, &tree).unwrap();
    }
    let pinned = std::fs::read_to_string(&file).unwrap_or_default();
    if let Some((was, is)) = pinned.lines().zip(tree.lines()).find(|(was, is)| was != is) {
        panic!("the help has changed:\n- {was}\n+ {is}\nif that is meant, run this test with UPDATE=1");
    }
    assert_eq!(
        pinned.lines().count(),
        tree.lines().count(),
        "the help has changed; if that is meant, run with UPDATE=1"
    );
}
