//! Files that are generated from the code are the ones that the code generates. `UPDATE=1` rewrites them.

use std::path::PathBuf;

use signoff::error::CATALOGUE;
use signoff::schema;
use signoff_tests::pages;

fn compare(path: &str, expected: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("UPDATE").is_some_and(|update| update == "1") {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, expected).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == expected, "{path} is not what the code generates; run the test again with UPDATE=1");
}

#[test]
fn the_error_catalogue() {
    let mut entries: Vec<_> = CATALOGUE.iter().map(|(_, info)| info).collect();
    entries.sort_by_key(|info| info.code);
    compare("schemas/errors.json", &(serde_json::to_string_pretty(&entries).unwrap() + "\n"));
}

#[test]
fn the_schemas() {
    for name in schema::NAMES {
        let schema = schema::schema(name).expect("a name of the list has a schema");
        compare(&format!("schemas/{name}"), &(serde_json::to_string_pretty(&schema).unwrap() + "\n"));
    }
    let files = std::fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../schemas")).unwrap();
    assert_eq!(files.count(), schema::NAMES.len() + 1, "a file in schemas/ that nothing generates");
}

#[test]
fn the_page_of_diagnostics() {
    compare("core/docs/diagnostics.md", &pages::diagnostics());
}

#[test]
fn the_tables_of_the_contract_guide() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../core/docs/contract.md");
    compare("core/docs/contract.md", &pages::with_keys(&std::fs::read_to_string(path).unwrap()));
}
