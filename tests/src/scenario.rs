//! The scenario of `vectors/scenario`: its stage, its steps, and what each face has to come to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::Value;
use signoff::guard::{Dialect, ReceiptTable};
use signoff::primitives::Identifier;

/// Where its files are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/scenario")
}

fn read(name: &str) -> String {
    let path = folder().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Lays out a folder: the application's database with its receipts table, and the contract.
pub fn make(folder: &Path) {
    let source = Connection::open(folder.join("app.db")).expect("a source");
    source.execute_batch(&read("source.sql")).expect("its tables");
    let table = ReceiptTable::in_schema(Identifier::new("main").expect("a name")).expect("a table");
    for statement in Dialect::Sqlite.receipts_ddl(&table) {
        source.execute_batch(&statement).expect("its receipts");
    }
    std::fs::write(folder.join("signoff.json"), read("contract.json")).expect("a contract");
}

/// The variables that every face plays it with. The key of the ledger is fixed: its chain depends on it.
pub fn environment(folder: &Path) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("BILLING_URL", folder.join("app.db").display().to_string()),
        ("SIGNOFF_TENANT_ID", "acme".to_owned()),
        ("SIGNOFF_PRINCIPAL", "support_agent".to_owned()),
        ("SIGNOFF_LEDGER_KEY", "c2NlbmFyaW8gc2NlbmFyaW8gc2NlbmFyaW8gc2NlbmE=".to_owned()),
    ])
}

/// How often each invoice was changed, counted by the application's own trigger.
pub fn effects(folder: &Path) -> BTreeMap<String, u64> {
    let source = Connection::open(folder.join("app.db")).expect("a source");
    let mut counted = source.prepare("SELECT invoice_id, count(*) FROM effects GROUP BY 1").expect("counts");
    let rows = counted.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    rows.collect::<Result<_, _>>().expect("counts")
}

/// The whole scenario.
pub fn script() -> Value {
    serde_json::from_str(&read("steps.json")).expect("the scenario is JSON")
}

/// What earlier steps answered, by the names they were saved under.
#[derive(Default)]
pub struct Saved(BTreeMap<String, String>);

impl Saved {
    /// Keeps one value, such as `w1.id`.
    pub fn keep(&mut self, name: &str, value: &str) {
        self.0.insert(format!("${name}"), value.to_owned());
    }

    /// The value with every `$name.field` in it filled in.
    pub fn fill(&self, value: &Value) -> Value {
        match value {
            Value::String(text) if text.starts_with('$') => {
                Value::String(self.0.get(text).unwrap_or_else(|| panic!("{text} was not saved")).clone())
            }
            Value::Array(items) => items.iter().map(|item| self.fill(item)).collect(),
            Value::Object(members) => {
                Value::Object(members.iter().map(|(name, member)| (name.clone(), self.fill(member))).collect())
            }
            other => other.clone(),
        }
    }
}
