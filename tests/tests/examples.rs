//! The examples of clients, of the audit and of a support agent, as their pages say. What our own commands print stands in
//! them: `UPDATE=1` writes it anew.

use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;
use serde_json::Value;
use signoff_tests::{Ran, binary};

const WALK: &str = include_str!("../../examples/support-billing-agent/README.md");
const CONTRACT: &str = include_str!("../../examples/support-billing-agent/signoff.json");
const SUPPORT: &str = include_str!("../../examples/support-billing-agent/support.sql");
const BILLING: &str = include_str!("../../examples/support-billing-agent/billing.sql");
const SCRIPT: &str = include_str!("../../examples/claude-desktop/signoff.sh");

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

/// A folder with the support agent's contract and databases.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        std::fs::write(folder.path("signoff.json"), CONTRACT).unwrap();
        folder.database("support.db").execute_batch(SUPPORT).unwrap();
        folder.database("billing.db").execute_batch(BILLING).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn database(&self, name: &str) -> Connection {
        Connection::open(self.path(name)).unwrap()
    }

    /// A program that finds `signoff`, and gets nothing else.
    fn command(&self, program: &str) -> Command {
        let bin = binary("SIGNOFF_BIN", "debug/signoff");
        let path = format!("{}:{}", bin.parent().unwrap().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(program);
        command.current_dir(self.0.path()).env_clear().env("PATH", path).env("USER", "operator");
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.command("signoff").args(arguments).output().unwrap().into()
    }
}

/// What our command prints is what stands in the example.
fn pinned(file: &Path, printed: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(file, printed).unwrap();
    }
    let stands = std::fs::read_to_string(file).unwrap_or_default();
    assert_eq!(stands, printed, "{} is stale: UPDATE=1 writes it anew", file.display());
}

#[test]
fn the_support_agent_walks_as_its_page_says() {
    let folder = Folder::new();
    let script = WALK.split("```sh\n").nth(1).unwrap().split("\n```").next().unwrap();
    // The sqlite3 program stands in for the applications; here the library did its part.
    let script: String =
        script.lines().filter(|line| !line.starts_with("sqlite3 ")).map(|l| format!("{l}\n")).collect();
    let output: Ran = folder.command("bash").args(["-euc", &script]).output().unwrap().into();
    let told = output.expect(0).out;
    for words in [
        "config valid",
        "execute_sql absent",
        "Please waive the late fee of INV-3001",
        "Source DB changed: no",
        "Guarded writeback applied.",
        "What happened:",
    ] {
        assert!(told.contains(words), "{words} is not in\n{told}");
    }
    assert_eq!(told.matches("Guarded writeback applied.").count(), 2, "{told}");
    let text = |database: &str, sql: &str| -> String {
        folder.database(database).query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let invoices =
        "SELECT group_concat(id || ' ' || late_fee_cents || ' ' || coalesce(waiver_reason, '-'), '; ') FROM invoices";
    assert_eq!(text("billing.db", invoices), "INV-3001 0 first late payment in six years; INV-9001 5500 -");
    let tickets =
        "SELECT group_concat(id || ' ' || status || ' ' || coalesce(resolution_note, '-'), '; ') FROM tickets";
    let expected = "TCK-1001 resolved The late fee is waived.; TCK-1002 needs_human -; TCK-9001 open -";
    assert_eq!(text("support.db", tickets), expected);
}

#[test]
fn the_support_agent_is_held_by_its_contract() {
    let folder = Folder::new();
    let asked = |arguments: &[&str]| -> Ran {
        let mut command = folder.command("signoff");
        for (variable, file) in [("SUPPORT_APP", "support.db"), ("BILLING_APP", "billing.db")] {
            for which in ["READ", "WRITE"] {
                command.env(format!("{variable}_{which}_URL"), folder.path(file));
            }
        }
        command.env("SYNAPSOR_TENANT_ID", "acme").env("SYNAPSOR_PRINCIPAL", "support_agent");
        command.args(["--format", "json"]).args(arguments).output().unwrap().into()
    };
    let propose = |status: &str, ticket: &str| {
        let arguments = serde_json::json!({ "ticket_id": ticket, "status": status, "note": "n" }).to_string();
        asked(&["propose", "support.propose_ticket_resolution", "--json", &arguments])
    };
    // Another tenant's ticket, a status that is none, and a way back that there is not.
    assert_eq!(propose("resolved", "TCK-9001").error_code(), "ROW_NOT_FOUND");
    assert_eq!(propose("deleted", "TCK-1001").error_code(), "ARGUMENT_NOT_ALLOWED");
    assert_eq!(propose("resolved", "TCK-1002").error_code(), "PATCH_TRANSITION_NOT_ALLOWED");
    propose("resolved", "TCK-1001").expect(0);
    // The lead of the other team does not decide it.
    let other = ["proposals", "approve", "latest", "--yes", "--actor", "dana", "--role", "billing_lead"];
    assert_eq!(asked(&other).error_code(), "ROLE_REQUIRED");
}

#[test]
fn the_clients_are_told_what_our_command_prints() {
    let folder = Folder::new();
    let cursor = folder.run(&["mcp", "config", "cursor"]).expect(0).out;
    pinned(&example("cursor/.cursor/mcp.json"), &cursor);
    // As its page says, in the folder of the contract.
    let script = folder.path("signoff.sh");
    std::fs::write(&script, SCRIPT).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    let line = "signoff mcp config claude-desktop --absolute-paths --command \"$PWD/signoff.sh\"";
    let page = std::fs::read_to_string(example("claude-desktop/README.md")).unwrap();
    assert!(page.contains(line));
    let printed: Ran = folder.command("sh").args(["-c", line]).output().unwrap().into();
    let printed = printed.expect(0).out;
    let here = std::fs::canonicalize(folder.0.path()).unwrap();
    let general = printed.replace(&here.display().to_string(), "/path/to/project");
    pinned(&example("claude-desktop/claude_desktop_config.json"), &general);

    // Started as the client starts it, from another folder, it serves the four tools and our own two.
    std::fs::write(folder.path("client.json"), &printed).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = folder.command("signoff");
    command.current_dir(elsewhere.path()).args([
        "--format",
        "json",
        "audit",
        "--spawn",
        "--timeout-ms",
        "60000",
        "--mcp-config",
    ]);
    let report: Ran = command.arg(folder.path("client.json")).output().unwrap().into();
    let report = report.expect(0).json();
    assert_eq!(report["summary"]["tools_inspected"], 6, "{report}");
    assert_eq!(report["summary"]["high"], 0, "{report}");
}

#[test]
fn raw_sql_beside_a_contract() {
    let manifest = format!("{}\n", serde_json::to_string_pretty(&signoff::audit::example()).unwrap());
    let folder = Folder::new();
    pinned(&example("raw-sql-vs-signoff/dangerous-db-mcp.json"), &manifest);
    let script = example("raw-sql-vs-signoff/compare.sh");
    let told: Ran = folder.command("sh").arg(script).output().unwrap().into();
    let told = told.expect(0).out;
    let [raw, contract] = told.lines().collect::<Vec<_>>()[..] else { panic!("{told}") };
    assert_eq!(raw, "dangerous-db-mcp.json: 6 tools, 15 high, 12 medium, 12 low");
    assert!(contract.contains("signoff.json: 4 tools, 0 high, "), "{contract}");
    let page = std::fs::read_to_string(example("raw-sql-vs-signoff/README.md")).unwrap();
    assert!(page.contains("| tools | 6 | 4 |") && page.contains("| findings of severity high | 15 | 0 |"), "{page}");
    let own: Value = folder.run(&["audit", "signoff.json", "--fail-on", "high", "--format", "json"]).expect(0).json();
    assert_eq!(own["summary"]["tools_inspected"], 4);
}
