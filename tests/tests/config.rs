//! `signoff config`: what is wrong, in three forms; the contract shown; the contract brought up to date.

use std::path::Path;

use serde_json::Value;
use signoff_tests::{Ran, binary};

const GOOD: &str = signoff::contract::EXAMPLE;

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("signoff.json"), text).unwrap();
        Self(folder)
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let output = std::process::Command::new(binary("SIGNOFF_BIN", "debug/signoff"))
            .args(["config"])
            .args(arguments)
            .current_dir(self.0.path())
            .env_remove("SIGNOFF_MCP_CONFIG")
            .env_remove("SYNAPSOR_MCP_CONFIG")
            .output()
            .unwrap();
        Ran::from(output)
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.0.path().join("signoff.json")).unwrap()
    }

    fn files(&self) -> Vec<String> {
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut files: Vec<String> = std::fs::read_dir(self.0.path()).unwrap().map(name).collect();
        files.sort();
        files
    }
}

fn old() -> String {
    GOOD.replace("\"engine\": \"postgres\",", "\"engine\": \"postgres\",\n      \"ssl\": {},")
        .replace("\"kind\": \"read\",", "\"kind\": \"read\",\n      \"evidence\": \"none\",")
}

#[test]
fn findings_for_people() {
    let folder = Folder::with(&GOOD.replace("\"storage\"", "\"storrage\""));
    let ran = folder.run(&["validate"]).expect(1);
    for line in [
        "error[UNKNOWN_FIELD]: `storrage` is not known here",
        " --> signoff.json:4:3",
        "4 |   \"storrage\": { \"sqlite_path\": \".signoff/ledger.db\" },",
        "  |   ^^^^^^^^^^",
        "  = help: did you mean `storage`?",
        "config invalid: signoff.json (1 error, 0 warnings)",
    ] {
        assert!(ran.out.lines().any(|found| found == line), "{line} not in\n{}", ran.out);
    }
    // No terminal, no colour.
    assert!(!ran.out.contains('\u{1b}'));
    let good = Folder::with(GOOD).run(&["validate"]).expect(0);
    assert_eq!(good.out, "config valid: signoff.json (0 warnings)\n");
}

#[test]
fn findings_for_programs() {
    let folder = Folder::with(&old());
    let answer = folder.run(&["validate", "--format", "json"]).expect(1).json();
    assert_eq!(answer["ok"], false);
    let found: Vec<(&str, u64, u64)> = answer["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| (d["code"].as_str().unwrap(), d["line"].as_u64().unwrap(), d["column"].as_u64().unwrap()))
        .collect();
    assert_eq!(found, [("INERT_SETTING", 8, 7), ("INVALID_EVIDENCE", 25, 19)]);
    assert!(answer["diagnostics"][0]["help"].is_string() && answer["diagnostics"][0]["severity"] == "warning");
}

#[test]
fn findings_for_code_scanners_are_sarif() {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/sarif-schema-2.1.0.json");
    let mut schema: Value = serde_json::from_str(&std::fs::read_to_string(schema).unwrap()).unwrap();
    // As published, the pattern of `language` is no regular expression (a bracket too many), and nothing of ours has that member.
    for object in ["run", "toolComponent"] {
        let language = schema.pointer_mut(&format!("/definitions/{object}/properties/language")).unwrap();
        language.as_object_mut().unwrap().remove("pattern").unwrap();
    }
    let validator = jsonschema::draft7::options().should_validate_formats(true).build(&schema).unwrap();
    for (text, exit, results) in [(old().as_str(), 1, 2), (GOOD, 0, 0), ("{", 1, 1), ("", 1, 1), ("[1,\r\n 2]", 1, 1)] {
        let log = Folder::with(text).run(&["validate", "--format", "sarif"]).expect(exit).json();
        let errors: Vec<String> = validator.iter_errors(&log).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:#?}\n{log:#}");
        let run = &log["runs"][0];
        assert_eq!(run["results"].as_array().unwrap().len(), results, "{log:#}");
        for result in run["results"].as_array().unwrap() {
            let rule = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(run["tool"]["driver"]["rules"][rule]["id"], result["ruleId"]);
        }
    }
    let mut broken = Folder::with(&old()).run(&["validate", "--format", "sarif"]).json();
    broken["runs"][0]["results"][0]["level"] = "fatal".into();
    assert!(!validator.is_valid(&broken), "a validator that takes everything");
}

#[test]
fn sarif_is_for_validate_only() {
    let refused = Folder::with(GOOD).run(&["show", "--format", "sarif"]).expect(2);
    assert!(refused.err.contains("USAGE"), "{}", refused.err);
}

#[test]
fn the_contract_is_shown_without_credentials() {
    let text = GOOD.replace("\"SHOP_READ_URL\"", "\"postgres://u:hunter2@h/d\"").replace("5000", "9007199254740993");
    let folder = Folder::with(&text);
    let shown = folder.run(&["show", "--redacted"]).expect(0);
    assert_eq!(shown.out, text.replace("\"postgres://u:hunter2@h/d\"", "\"[redacted]\""));
    assert_eq!(folder.run(&["show"]).expect(0).out, shown.out);
    let answer = folder.run(&["show", "--json"]).expect(0);
    // As written: a reader with floats would make another number of it.
    assert!(answer.out.contains("9007199254740993") && answer.json()["valid"] == false);
    assert!(folder.run(&["validate"]).expect(1).out.contains("READ_URL_ENV_REQUIRED"));
    for arguments in [&["validate"][..], &["validate", "--format", "sarif"], &["validate", "--json"], &["migrate"]] {
        let ran = folder.run(arguments);
        assert!(!ran.out.contains("hunter2") && !ran.err.contains("hunter2"), "{arguments:?}: {}", ran.out);
    }
    assert_eq!(Folder::with("{").run(&["show", "--json"]).expect(1).error_code(), "JSON_INVALID");
}

#[test]
fn migrate_shows_and_writes_only_if_told_to() {
    let folder = Folder::with(&old());
    let shown = folder.run(&["migrate"]).expect(0);
    assert!(
        shown.out.contains("-      \"ssl\": {},\n") && shown.out.contains("-      \"evidence\": \"none\",\n"),
        "{}",
        shown.out
    );
    assert!(!shown.out.lines().any(|line| line.starts_with('+') && !line.starts_with("+++")), "{}", shown.out);
    assert_eq!((folder.text(), folder.files()), (old(), vec!["signoff.json".to_owned()]));

    folder.run(&["migrate", "--output", "new.json"]).expect(0);
    assert_eq!(std::fs::read_to_string(folder.0.path().join("new.json")).unwrap(), GOOD);
    let again = folder.run(&["migrate", "--output", "new.json", "--json"]).expect(1);
    assert_eq!(again.error_code(), "FILE_UNWRITABLE");
    assert_eq!(folder.text(), old());

    let written = folder.run(&["migrate", "--write", "--json"]).expect(0).json();
    assert_eq!(folder.text(), GOOD);
    let backup = written["backup"].as_str().unwrap();
    assert!(backup.contains("signoff.json.bak."));
    assert_eq!(std::fs::read_to_string(backup).unwrap(), old());
    assert_eq!(written["changes"].as_array().unwrap().len(), 2);

    let files = folder.files();
    assert_eq!(folder.run(&["migrate", "--write", "--yes"]).expect(0).out, "config already current: signoff.json\n");
    assert_eq!(folder.files(), files, "nothing to change, and yet something was written");
    folder.run(&["migrate", "--write", "--output", "x.json"]).expect(2);
}

#[test]
fn what_somebody_has_to_decide_is_not_written() {
    let text = old().replace("\"mode\": \"review\"", "\"mode\": \"live\"");
    let folder = Folder::with(&text);
    let ran = folder.run(&["migrate", "--write"]).expect(1);
    assert!(ran.out.contains("error[INVALID_MODE]") && ran.out.contains("nothing written"), "{}", ran.out);
    assert_eq!((folder.text(), folder.files()), (text, vec!["signoff.json".to_owned()]));
}

#[cfg(unix)]
#[test]
fn a_link_stays_a_link_and_the_mode_stays_the_mode() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::with(&old());
    let (real, link) = (folder.0.path().join("real.json"), folder.0.path().join("signoff.json"));
    std::fs::rename(&link, &real).unwrap();
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("real.json", &link).unwrap();
    folder.run(&["migrate", "--write"]).expect(0);
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(std::fs::read_to_string(&real).unwrap(), GOOD);
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
}
