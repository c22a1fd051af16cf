//! The static review of MCP tools, from the command line.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};
use signoff_tests::Workspace;

#[test]
fn the_dangerous_example() {
    let workspace = Workspace::new();
    let report = workspace.json(["audit", "--example", "dangerous-db-mcp"]).expect(0).json();
    assert_eq!(report["schema_version"], "synapsor.mcp-audit.v1");
    let counted = ["tools_inspected", "high", "medium", "low"].map(|name| report["summary"][name].as_u64().unwrap());
    assert_eq!(counted, [6, 15, 12, 12]);
    for (limit, code) in [("high", 1), ("medium", 1), ("low", 1)] {
        workspace.run(["audit", "--example", "dangerous-db-mcp", "--fail-on", limit]).expect(code);
    }
    let told = workspace.run(["audit", "--example", "dangerous-db-mcp"]).expect(0).out;
    assert!(told.contains("15 high, 12 medium, 12 low") && told.contains("not proof"), "{told}");
    let page = workspace.run(["audit", "--example", "dangerous-db-mcp", "--format", "markdown"]).expect(0).out;
    assert!(page.starts_with("# MCP audit of dangerous-db-mcp\n"), "{page}");
}

#[test]
fn its_log_is_sarif() {
    let text = Workspace::new().run(["audit", "--example", "dangerous-db-mcp", "--format", "sarif"]).expect(0).out;
    let log: Value = serde_json::from_str(&text).unwrap();
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/sarif-schema-2.1.0.json");
    let mut schema: Value = serde_json::from_str(&std::fs::read_to_string(schema).unwrap()).unwrap();
    // As published, the pattern of `language` is no regular expression (a bracket too many), and nothing of ours has that member.
    for object in ["run", "toolComponent"] {
        let language = schema.pointer_mut(&format!("/definitions/{object}/properties/language")).unwrap();
        language.as_object_mut().unwrap().remove("pattern").unwrap();
    }
    let validator = jsonschema::draft7::options().build(&schema).unwrap();
    let wrong: Vec<String> = validator.iter_errors(&log).map(|error| error.to_string()).collect();
    assert_eq!(wrong, [""; 0]);
    assert_eq!(log["runs"][0]["results"].as_array().map(Vec::len), Some(39));
}

/// Our own tools: nothing that a model could do harm with.
#[test]
fn our_own_contract_has_nothing_high() {
    let workspace = Workspace::new();
    let report = workspace.json(["audit", "signoff.json", "--fail-on", "high"]).expect(0).json();
    assert_eq!(
        (report["summary"]["high"].as_u64(), report["summary"]["tools_inspected"].as_u64() > Some(1)),
        (Some(0), true)
    );
}

#[test]
fn a_list_from_a_pipe_and_hostile_text() {
    let workspace = Workspace::new();
    let mut command = workspace.command();
    let mut child =
        command.args(["audit", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let list = json!({ "result": { "tools": [{ "name": "a\u{1b}[2J\u{202e}b", "description": "run sql" }] } });
    child.stdin.take().unwrap().write_all(list.to_string().as_bytes()).unwrap();
    let out = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(out.contains("GENERIC_SQL_TOOL") && !out.contains('\u{1b}') && !out.contains('\u{202e}'), "{out}");
    std::fs::write(workspace.path("no.json"), "not json").unwrap();
    assert_eq!(workspace.json(["audit", "no.json"]).expect(2).error_code(), "USAGE");
    assert_eq!(workspace.json(["audit", "missing.json"]).error_code(), "FILE_UNREADABLE");
    workspace.run(["audit"]).expect(2);
    let empty = json!({ "tools": [] });
    std::fs::write(workspace.path("empty.json"), empty.to_string()).unwrap();
    let report = workspace.json(["audit", "empty.json"]).expect(0).json();
    assert_eq!(report["findings"][0]["code"], "NO_TOOLS_FOUND");
}
