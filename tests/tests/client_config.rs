//! What agents' clients are told: each in its own format, with names of variables and no value of any, and put into a file
//! that otherwise stays as it is.

use std::path::Path;

use serde_json::{Value, json};
use signoff_tests::{Ran, Workspace};

const CLIENTS: [&str; 7] =
    ["generic", "generic-stdio", "claude-desktop", "claude-code", "cursor", "vscode", "openai-agents"];
const PLANTED: [(&str, &str); 7] = [
    ("BILLING_APP_READ_URL", "postgres://u:planted-read-secret@h/d"),
    ("BILLING_APP_WRITE_URL", "postgres://u:planted-write-secret@h/d"),
    ("SYNAPSOR_TENANT_ID", "planted-tenant"),
    ("SYNAPSOR_PRINCIPAL", "planted-principal"),
    ("SIGNOFF_RUNNER_HTTP_TOKEN", "planted-token"),
    ("SYNAPSOR_RUNNER_HTTP_TOKEN", "planted-other-token"),
    ("SIGNOFF_LEDGER_KEY", "planted-key"),
];

fn run(workspace: &Workspace, arguments: &[&str]) -> Ran {
    let mut command = workspace.command();
    command.envs(PLANTED).env("HOME", workspace.path("home")).args(["mcp", "config"]).args(arguments);
    let ran: Ran = command.output().unwrap().into();
    for (variable, value) in PLANTED {
        assert!(!ran.out.contains(value) && !ran.err.contains(value), "{variable}: {} {}", ran.out, ran.err);
    }
    assert!(!ran.out.contains("planted") && !ran.err.contains("planted"));
    ran
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn each_client_is_told_in_its_own_format() {
    let workspace = Workspace::new();
    let arguments = ["mcp", "serve", "--config", "./signoff.json", "--store", "./ledger.db"];
    let plain = json!({ "command": "signoff", "args": arguments });
    let with = |more: Value| {
        let mut entry = plain.clone();
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        entry
    };
    let env = |spelled: fn(&str) -> String| {
        let names = ["BILLING_APP_READ_URL", "SYNAPSOR_TENANT_ID", "SYNAPSOR_PRINCIPAL"];
        names.iter().map(|name| ((*name).to_owned(), json!(spelled(name)))).collect::<serde_json::Map<_, _>>()
    };
    let braces = env(|name| format!("${{env:{name}}}"));
    for (client, expected) in [
        ("generic", json!({ "mcpServers": { "signoff": plain } })),
        ("generic-stdio", plain.clone()),
        ("claude", json!({ "mcpServers": { "signoff": plain } })),
        ("claude-desktop", json!({ "mcpServers": { "signoff": plain } })),
        (
            "claude-code",
            json!({ "mcpServers": { "signoff": with(json!({ "type": "stdio", "env": env(|name| format!("${{{name}:-}}")) })) } }),
        ),
        ("cursor", json!({ "mcpServers": { "signoff": with(json!({ "env": braces })) } })),
        ("vscode", json!({ "servers": { "signoff": with(json!({ "type": "stdio", "env": braces })) } })),
    ] {
        assert_eq!(run(&workspace, &[client]).expect(0).json(), expected, "{client}");
        assert_eq!(run(&workspace, &["--client", client]).expect(0).json(), expected, "{client}");
    }
    // Without a word, it is Claude Desktop; the other names of the command are the same one.
    let usual = run(&workspace, &[]).expect(0);
    assert_eq!(usual.out, run(&workspace, &["claude-desktop"]).out);
    for name in ["client-config", "configure"] {
        assert_eq!(workspace.run(["mcp", name]).expect(0).out, usual.out);
    }
    let openai = run(&workspace, &["cursor", "--alias-mode", "openai"]).expect(0).json();
    let words = openai["mcpServers"]["signoff"]["args"].as_array().unwrap();
    assert_eq!(words[6..], [json!("--alias-mode"), json!("openai")]);
}

#[test]
fn over_http_a_token_is_named_and_not_told() {
    let workspace = Workspace::new();
    let http = |client: &str| {
        let more = ["--transport", "streamable-http", "--port", "9000", "--auth-token-env", "MY_TOKEN"];
        run(&workspace, &[&[client], &more[..]].concat())
    };
    let url = "http://127.0.0.1:9000/mcp";
    for (client, expected) in [
        (
            "generic",
            json!({ "mcpServers": { "signoff": { "type": "http", "url": url, "headers": { "Authorization": "Bearer ${MY_TOKEN}" } } } }),
        ),
        (
            "claude-code",
            json!({ "mcpServers": { "signoff": { "type": "http", "url": url, "headers": { "Authorization": "Bearer ${MY_TOKEN:-}" } } } }),
        ),
        (
            "cursor",
            json!({ "mcpServers": { "signoff": { "url": url, "headers": { "Authorization": "Bearer ${env:MY_TOKEN}" } } } }),
        ),
        (
            "vscode",
            json!({ "servers": { "signoff": { "type": "http", "url": url, "headers": { "Authorization": "Bearer ${env:MY_TOKEN}" } } } }),
        ),
    ] {
        let ran = http(client).expect(0);
        assert_eq!(ran.json(), expected, "{client}");
        assert!(
            ran.err.contains("start the server with: signoff mcp serve-streamable-http --config ./signoff.json"),
            "{}",
            ran.err
        );
    }
    for client in ["claude-desktop", "generic-stdio"] {
        http(client).expect(2);
    }
    run(&workspace, &["openai-agents", "--transport", "stdio"]).expect(2);
    for bridge in ["http", "json-rpc-http"] {
        assert!(run(&workspace, &["cursor", "--transport", bridge]).expect(2).err.contains("JSON-RPC bridge"));
    }
    let sdk = http("openai-agents").expect(0).json();
    assert_eq!(sdk["transport"], "streamable-http");
    assert_eq!(sdk["start_server"]["env"], json!({ "MY_TOKEN": "<set-a-random-local-token>" }));
    assert_eq!(sdk["openai_agents_sdk"]["url"], url);
    assert_eq!(sdk["tool_names"]["billing.inspect_invoice"], "billing__inspect_invoice");
    let python = sdk["openai_agents_sdk"]["python"].as_str().unwrap();
    assert!(python.contains("os.environ['MY_TOKEN']") && python.contains("MCPServerStreamableHttp("), "{python}");
    std::fs::write(workspace.path("agent.py"), python).unwrap();
    let compiled =
        std::process::Command::new("python3").args(["-m", "py_compile"]).arg(workspace.path("agent.py")).status();
    match compiled {
        Ok(status) => assert!(status.success(), "{python}"),
        Err(error) => println!("the Python snippet is not compiled, no python3: {error}"),
    }
    // A value in the place of a name is not repeated.
    let ran = run(&workspace, &["cursor", "--auth-token-env", "s3cret-value"]).expect(2);
    assert!(!ran.err.contains("s3cret"), "{}", ran.err);
}

#[test]
fn whole_paths_instructions_and_answers_for_programs() {
    let workspace = Workspace::new();
    let whole = run(&workspace, &["--absolute-paths"]).expect(0).json();
    let entry = &whole["mcpServers"]["signoff"];
    for path in [&entry["command"], &entry["args"][3], &entry["args"][5]] {
        assert!(Path::new(path.as_str().unwrap()).is_absolute(), "{whole}");
    }
    let both = run(&workspace, &["cursor", "--include-instructions"]).expect(0).json();
    assert_eq!(
        (&both["instructions"]["target_client"], &both["instructions"]["alias_mode"]),
        (&json!("cursor"), &json!("canonical"))
    );
    assert!(
        both["instructions"]["recommended_system_prompt"].as_str().unwrap().contains("On VERSION_CONFLICT, re-inspect")
    );
    assert!(both["instructions"]["checklist"].as_array().unwrap().len() > 2);
    assert_eq!(both["config"], run(&workspace, &["cursor"]).json());
    for client in CLIENTS {
        let answer = run(&workspace, &[client, "--json"]).expect(0).json();
        assert_eq!((&answer["client"], &answer["ok"]), (&json!(client), &json!(true)));
        assert_eq!(answer["environment"], json!(["BILLING_APP_READ_URL", "SYNAPSOR_TENANT_ID", "SYNAPSOR_PRINCIPAL"]));
    }
}

/// A path that a variable holds is a value, too.
#[test]
fn a_contract_and_a_ledger_that_variables_name() {
    let workspace = Workspace::new();
    std::fs::rename(workspace.path("signoff.json"), workspace.path("elsewhere.json")).unwrap();
    let mut command = workspace.command();
    command.env("SIGNOFF_MCP_CONFIG", "elsewhere.json").env("SYNAPSOR_LOCAL_STORE", "postgres://u:planted@h/d");
    let ran: Ran = command.args(["mcp", "config", "cursor"]).output().unwrap().into();
    let entry = ran.expect(0).json()["mcpServers"]["signoff"].clone();
    assert_eq!(entry["args"], json!(["mcp", "serve"]));
    assert_eq!(entry["env"]["SIGNOFF_MCP_CONFIG"], "${env:SIGNOFF_MCP_CONFIG}");
    assert_eq!(entry["env"]["SYNAPSOR_LOCAL_STORE"], "${env:SYNAPSOR_LOCAL_STORE}");
    assert!(!entry.to_string().contains("planted") && !entry.to_string().contains("elsewhere"), "{entry}");
    let ran =
        workspace.run(["mcp", "config", "--config", "elsewhere.json", "--store", "postgres://u:planted@h/d"]).expect(2);
    assert!(!ran.err.contains("planted"), "{}", ran.err);
    assert_eq!(workspace.json(["mcp", "config"]).expect(4).error_code(), "CONFIG_NOT_FOUND");
}

#[test]
fn a_file_gains_one_entry_and_keeps_the_rest() {
    let workspace = Workspace::new();
    let home = workspace.path("home");
    std::fs::create_dir(&home).unwrap();
    // Each to where its client looks.
    for (client, file) in [
        ("claude-code", ".mcp.json"),
        ("cursor", ".cursor/mcp.json"),
        ("vscode", ".vscode/mcp.json"),
        ("claude-desktop", "home/.config/Claude/claude_desktop_config.json"),
    ] {
        if client == "claude-desktop" && !cfg!(target_os = "linux") {
            continue;
        }
        run(&workspace, &[client, "--write"]).expect(2);
        assert!(!workspace.path(file).exists());
        run(&workspace, &[client, "--write", "--yes"]).expect(0);
        assert_eq!(std::fs::read_to_string(workspace.path(file)).unwrap(), run(&workspace, &[client]).out);
    }
    let before = "{\n    \"zoom\": 1.50,\n    \"mcpServers\": {\n        \"other\": {\"command\": \"x\", \"env\": {\"KEY\": \"theirs\"}}\n    },\n    \"a\": []\n}\n";
    let file = workspace.path("client.json");
    std::fs::write(&file, before).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink("client.json", workspace.path("link.json")).unwrap();
    }
    let link = if cfg!(unix) { "link.json" } else { "client.json" };
    let answer = run(&workspace, &["cursor", "--write", "--yes", "--destination", link, "--json"]).expect(0).json();
    let after = std::fs::read_to_string(&file).unwrap();
    let (head, tail) = before.split_at(before.find("\n    },").unwrap());
    assert!(after.starts_with(head) && after.ends_with(tail), "{after}");
    let read: Value = serde_json::from_str(&after).unwrap();
    assert_eq!(read["mcpServers"]["signoff"], run(&workspace, &["cursor"]).json()["mcpServers"]["signoff"]);
    let backup = answer["backup"].as_str().unwrap();
    assert!(backup.contains("client.json.bak."), "{backup}");
    assert_eq!(std::fs::read_to_string(backup).unwrap(), before);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert!(std::fs::symlink_metadata(workspace.path("link.json")).unwrap().is_symlink());
        for path in [file.as_path(), Path::new(backup)] {
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        }
    }
    // Once more changes nothing, and so needs no backup.
    let again = run(&workspace, &["cursor", "--write", "--yes", "--destination", link, "--json"]).expect(0).json();
    assert_eq!((again.get("backup"), std::fs::read_to_string(&file).unwrap()), (None, after));
}

#[test]
fn a_file_that_cannot_be_edited_is_left_alone() {
    let workspace = Workspace::new();
    for (name, text, problem) in [
        ("comments.json", "{\n  // mine\n  \"servers\": {}\n}\n", "comments"),
        ("trailing.json", "{ \"servers\": {}, }", "line 1"),
        ("list.json", "[]", "JSON object"),
        ("twice.json", "{ \"servers\": {}, \"servers\": {} }", "twice"),
        ("kind.json", "{ \"servers\": [] }", "object"),
    ] {
        std::fs::write(workspace.path(name), text).unwrap();
        let before = files(&workspace.path(""));
        let arguments = ["mcp", "config", "vscode", "--write", "--yes", "--destination", name];
        let refused = workspace.json(arguments).expect(4);
        assert_eq!(refused.error_code(), "CLIENT_CONFIG_NOT_EDITABLE");
        assert!(refused.out.contains(problem), "{}", refused.out);
        assert_eq!(std::fs::read_to_string(workspace.path(name)).unwrap(), text);
        assert_eq!(files(&workspace.path("")), before);
    }
    std::fs::write(workspace.path("bytes.json"), [0xff, 0xfe]).unwrap();
    let refused = workspace.json(["mcp", "config", "vscode", "--write", "--yes", "--destination", "bytes.json"]);
    assert_eq!(refused.error_code(), "CLIENT_CONFIG_NOT_EDITABLE");
    for client in ["openai-agents", "generic"] {
        workspace.run(["mcp", "config", client, "--write", "--yes"]).expect(2);
    }
}
