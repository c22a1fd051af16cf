//! What the README shows runs as it stands. (Its Rust examples are compiled as doc tests of the crate.)

use std::process::Command;

use signoff_tests::{Workspace, binary};

const README: &str = include_str!("../../README.md");

/// The first block of this language after a heading.
fn block(heading: &str, language: &str) -> String {
    let (_, after) = README.split_once(heading).unwrap_or_else(|| panic!("no heading {heading}"));
    let (_, code) =
        after.split_once(&format!("```{language}\n")).unwrap_or_else(|| panic!("no {language} after {heading}"));
    code.split("\n```").next().unwrap().to_owned()
}

#[test]
fn the_walk_through_runs_as_it_stands() {
    let workspace = Workspace::new();
    std::fs::write(workspace.path("signoff.json"), block("## From nothing to a receipt", "json")).unwrap();
    std::fs::remove_file(workspace.path("billing.db")).unwrap();
    // The sqlite3 program stands in for the application; here the library does.
    let script = block("## From nothing to a receipt", "sh");
    let (_, after) = script.split_once("sqlite3 billing.db \"").unwrap();
    let (sql, commands) = after.split_once("\"\n").unwrap();
    workspace.app().execute_batch(sql).unwrap();
    let folder = binary("SIGNOFF_BIN", "debug/signoff").parent().unwrap().to_owned();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-euc", commands])
        .current_dir(workspace.path(""))
        .env_clear()
        .env("PATH", path)
        .env("USER", "operator")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for words in ["config valid", "Guarded writeback applied.", "already applied", "What happened:", "ledger verifies"]
    {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }
    let landed =
        "SELECT count(*) FROM invoices WHERE id = 'INV-3001' AND late_fee_cents = 0 AND waiver_reason = 'goodwill'";
    assert_eq!(workspace.ask(landed), 1);
}

#[test]
fn the_demo_prints_what_the_readme_shows() {
    let shown = block("make test", "text");
    let workspace = Workspace::new();
    let ran = workspace.run(["demo"]).expect(0);
    // Ids and hashes differ from run to run; everything else is the same.
    let plain = |text: &str| -> String {
        let mut out = Vec::new();
        for word in text.split_whitespace() {
            let differs = word.starts_with("wrp_") || word.starts_with("sha256:");
            out.push(if differs { "…" } else { word });
        }
        out.join(" ")
    };
    assert_eq!(plain(&shown), plain(&ran.out));
}

#[test]
fn every_target_and_variable_the_readme_names_exists() {
    let makefile = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Makefile")).unwrap();
    for target in ["demo", "test", "build", "lint", "fmt", "bench", "clean"] {
        assert!(README.contains(target) && makefile.contains(&format!("\n{target}:")), "{target}");
    }
}

#[test]
fn an_endpoint_takes_fifteen_lines() {
    let shown = block("## In your own service", "rust");
    let lines = shown.lines().filter(|line| !line.is_empty()).count();
    assert!((10..=15).contains(&lines), "{lines}");
}
