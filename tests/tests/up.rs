//! `signoff up`: what is there, what is missing, what comes next; and the server, if nothing is.

use std::io::BufRead as _;
use std::process::Stdio;

use serde_json::json;
use signoff_tests::{Ran, Workspace};

const TOKEN: &str = "planted-http-token-of-32-characters";

#[test]
fn what_is_there_and_what_comes_next() {
    let workspace = Workspace::new();
    let all = workspace.json(["up"]).expect(0).json();
    assert_eq!(all["tools"].as_array().unwrap().len(), 3, "{all}");
    assert_eq!(all["client"]["mcpServers"]["signoff"]["command"], "signoff");
    let levels: Vec<&str> =
        all["checks"].as_array().unwrap().iter().map(|check| check["level"].as_str().unwrap()).collect();
    assert!(!levels.contains(&"fail"), "{all}");
    assert!(!all.to_string().contains(&workspace.source.address()), "{all}");
    let told = workspace.run(["up"]).expect(0).out;
    for words in [
        "pass variable:BILLING_APP_READ_URL: set",
        "execute_sql absent",
        "billing.inspect_invoice",
        "\"mcpServers\"",
        "signoff up --serve",
    ] {
        assert!(told.contains(words), "{words} is not in\n{told}");
    }

    // Each line of `--print-next` is a command, and nothing else is printed.
    let mut command = workspace.command();
    command.env("SIGNOFF_RUNNER_HTTP_TOKEN", TOKEN).args(["up", "--print-next"]);
    let next = Ran::from(command.output().unwrap()).expect(0).out;
    assert!(next.lines().all(|line| line.starts_with("signoff ")), "{next}");
    for line in next.lines().filter(|line| !line.contains("--serve")) {
        let words: Vec<&str> = line.split(' ').skip(1).collect();
        let ran = workspace.run(words.iter().copied());
        assert!(ran.code != 2, "{line}: {}", ran.err);
    }

    let mut command = workspace.command();
    let missing: Ran = command.env_remove("SYNAPSOR_TENANT_ID").args(["up", "--print-next"]).output().unwrap().into();
    assert_eq!(missing.expect(1).out.lines().next(), Some("export SYNAPSOR_TENANT_ID=…"));
    // What only a worker needs may be elsewhere.
    let mut command = workspace.command();
    let elsewhere: Ran =
        command.env_remove("BILLING_APP_WRITE_URL").args(["--format", "json", "up"]).output().unwrap().into();
    let checks = elsewhere.expect(0).json()["checks"].clone();
    assert!(
        checks
            .as_array()
            .unwrap()
            .contains(&json!({ "name": "variable:BILLING_APP_WRITE_URL", "level": "warn", "message": "not set" })),
        "{checks}"
    );
}

#[test]
fn it_serves_what_is_whole_and_nothing_else() {
    let workspace = Workspace::new();
    let nobody = workspace.run(["up", "--serve", "--dry-run"]).expect(1);
    assert!(nobody.err.contains("FAIL variable:SIGNOFF_RUNNER_HTTP_TOKEN: not set"), "{}", nobody.err);
    let mut command = workspace.command();
    command.env("SIGNOFF_RUNNER_HTTP_TOKEN", TOKEN).args(["up", "--serve", "--dry-run"]);
    let rehearsed = Ran::from(command.output().unwrap()).expect(0);
    assert!(rehearsed.out.is_empty() && rehearsed.err.contains("not served: --dry-run"), "{}", rehearsed.err);
    let mut command = workspace.command();
    command.env_remove("BILLING_APP_READ_URL").env("SYNAPSOR_RUNNER_HTTP_TOKEN", TOKEN);
    let refused: Ran = command.args(["up", "--serve", "--port", "0"]).output().unwrap().into();
    assert!(refused.expect(1).err.contains("not served: something is missing"));

    let mut command = workspace.command();
    command.env("SYNAPSOR_RUNNER_HTTP_TOKEN", TOKEN).args(["up", "--serve", "--port", "0"]).stderr(Stdio::piped());
    let mut served = command.spawn().unwrap();
    let mut told = std::io::BufReader::new(served.stderr.take().unwrap()).lines();
    let url = told.find_map(|line| line.unwrap().strip_prefix("serving ").map(str::to_owned)).expect("an address");
    let mut command = workspace.command();
    command.env("SYNAPSOR_MCP_AUDIT_BEARER", TOKEN).args(["--format", "json", "audit", &url, "--timeout-ms", "60000"]);
    let asked: Ran = command.output().unwrap().into();
    served.kill().unwrap();
    served.wait().unwrap();
    assert_eq!(asked.expect(0).json()["summary"]["tools_inspected"], 5);
}
