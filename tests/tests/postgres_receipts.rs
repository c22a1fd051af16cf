//! Receipts tables on Postgres that would lose a receipt, or not find it again.

use std::process::{Command, Stdio};

use serde_json::json;
use signoff::Code;
use signoff::database::{CheckRequest, Database};
use signoff::guard::{Outcome, Purpose};
use signoff::primitives::Scalar;
use signoff_tests::shop::postgres::{Server, Shop, open, receipts};
use signoff_tests::shop::{Stock as _, text};
use signoff_tests::{Ran, binary, proposal_id};

fn approve() -> [(&'static str, Scalar); 1] {
    [("status", text("approved"))]
}

/// The columns of the table, without a key.
const COLUMNS: &str = "tenant_id text NOT NULL, idempotency_key text NOT NULL, job_id text NOT NULL, proposal_id text NOT NULL, status text NOT NULL, fingerprint text, receipt_json text, result_hash text, created_at timestamptz NOT NULL, completed_at timestamptz";
const KEY: &str = "PRIMARY KEY (tenant_id, idempotency_key)";

/// Another process: what this one knows of an address is of no use to it.
fn stranger(shop: &Shop) -> signoff::database::PostgresDatabase {
    let name =
        format!("process_{}", std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos());
    open(&format!("{}&application_name={name}", shop.address("postgres", shop.name()))).unwrap()
}

#[test]
fn a_table_that_loses_receipts_is_not_trusted() {
    let ours = "synapsor_writeback_receipts";
    let cases = [
        (format!("CREATE UNLOGGED TABLE {ours} ({COLUMNS}, {KEY})"), Code::ReceiptTableUnfit, "is UNLOGGED"),
        (
            format!("CREATE TABLE real ({COLUMNS}, {KEY}); CREATE VIEW {ours} AS SELECT * FROM real"),
            Code::ReceiptTableUnfit,
            "is not an ordinary table",
        ),
        (
            format!(
                "CREATE TABLE {ours} ({COLUMNS}, {KEY}) PARTITION BY LIST (tenant_id); CREATE UNLOGGED TABLE p PARTITION OF {ours} DEFAULT"
            ),
            Code::ReceiptTableUnfit,
            "is not an ordinary table",
        ),
        (
            format!(
                "CREATE TABLE whole ({COLUMNS}, {KEY}) PARTITION BY LIST (tenant_id); CREATE TABLE {ours} PARTITION OF whole DEFAULT"
            ),
            Code::ReceiptTableUnfit,
            "is a partition",
        ),
        (format!("CREATE TABLE {ours} ({COLUMNS})"), Code::ReceiptTableOutdated, "CREATE UNIQUE INDEX"),
        (
            format!(
                "CREATE TABLE {ours} ({COLUMNS}); CREATE UNIQUE INDEX i ON {ours} (tenant_id, idempotency_key) WHERE status = 'applied'"
            ),
            Code::ReceiptTableOutdated,
            "CREATE UNIQUE INDEX",
        ),
    ];
    for (ddl, code, words) in cases {
        let Some(shop) = Shop::bare(&format!("{}{}{ddl}", Server::ITEMS, Server::COUNTERS)) else { return };
        let request = || CheckRequest { receipts: receipts(), targets: Vec::new() };
        let failed = || -> Vec<String> {
            let checks = shop.wait(shop.database.check(request()));
            checks
                .into_iter()
                .filter(|check| !check.ok)
                .map(|check| format!("{} {}", check.name, check.message))
                .collect()
        };
        assert_eq!(failed().len(), 1, "{ddl}: {:?}", failed());
        assert!(failed()[0].starts_with("receipts-"), "{ddl}: {:?}", failed());
        let refused = shop.wait(shop.database.migrate_receipts(receipts())).unwrap_err();
        let told = format!("{refused} {}", refused.help().unwrap_or_default());
        assert!(refused.code() == code && told.contains(words), "{ddl}: {told}");
        let job = shop.job("7", &approve());
        for purpose in [Purpose::Apply, Purpose::DryRun, Purpose::Tombstone] {
            let job = signoff::guard::GuardJob { purpose, ..job.clone() };
            assert_eq!(shop.wait(shop.database.run(job, None)).unwrap_err().code(), code, "{ddl}");
        }
        assert_eq!((shop.effects(), shop.one(&format!("SELECT count(*) FROM {ours}"))), (0, "0".to_owned()));
    }
}

#[test]
fn the_index_that_is_asked_for_mends_the_table() {
    let ddl = format!("CREATE TABLE synapsor_writeback_receipts ({COLUMNS});");
    let Some(shop) = Shop::bare(&format!("{}{}{ddl}", Server::ITEMS, Server::COUNTERS)) else { return };
    let job = shop.job("7", &approve());
    let refused = shop.wait(shop.database.run(job.clone(), None)).unwrap_err();
    shop.sql(refused.field("ddl").unwrap());
    assert_eq!(shop.migrate(), Vec::<String>::new());
    shop.applies(job);
}

#[test]
fn a_table_is_looked_at_once_and_again_when_it_was_gone() {
    let Some(shop) = Shop::usual() else { return };
    shop.applies(shop.job("7", &approve()));
    let ddl = "ALTER TABLE synapsor_writeback_receipts SET UNLOGGED";
    shop.sql(ddl);
    // The price of not looking at each apply: this process does not notice.
    shop.applies(shop.keyed("again", "7", &[("status", text("denied"))]));
    let job = shop.job("8", &approve());
    let refused = shop.wait(stranger(&shop).run(job.clone(), None)).unwrap_err();
    assert_eq!((refused.code(), refused.field("source")), (Code::ReceiptTableUnfit, Some("app")));
    // Dropped and made anew: what was known of it is forgotten.
    shop.sql("DROP TABLE synapsor_writeback_receipts");
    assert!(matches!(shop.run(job.clone()), Outcome::Released(error) if error.code() == Code::ReceiptTableMissing));
    shop.migrate();
    shop.sql(ddl);
    assert_eq!(shop.wait(shop.database.run(job.clone(), None)).unwrap_err().code(), Code::ReceiptTableUnfit);
    shop.sql("ALTER TABLE synapsor_writeback_receipts SET LOGGED");
    shop.applies(job);
}

// ---- one table for each source, at the terminal

struct Desk {
    shop: Shop,
    folder: tempfile::TempDir,
}

impl Desk {
    fn contract(&self, schema: &str) {
        let contract = json!({
            "version": 1, "mode": "review", "result_format": 2, "storage": { "sqlite_path": "ledger.db" },
            "sources": { "app": { "engine": "postgres", "read_url_env": "APP_READ_URL", "write_url_env": "APP_WRITE_URL", "signoff": { "receipts_schema": schema } } },
            "trusted_context": { "provider": "environment", "values": { "tenant_id_env": "SIGNOFF_TENANT_ID", "principal_env": "SIGNOFF_PRINCIPAL" } },
            "capabilities": [{
                "name": "items.note", "kind": "proposal", "description": "Note.", "source": "app",
                "target": { "schema": "public", "table": "items", "primary_key": "id", "tenant_key": "tenant_id" },
                "args": { "id": { "type": "string" }, "note": { "type": "string" } }, "lookup": { "id_from_arg": "id" },
                "visible_columns": ["id", "note"], "patch": { "note": { "from_arg": "note" } }, "allowed_columns": ["note"],
                "conflict_guard": { "column": "version" }, "approval": { "mode": "human" }
            }]
        });
        std::fs::write(self.folder.path().join("signoff.json"), contract.to_string()).unwrap();
    }

    fn signoff(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(binary("SIGNOFF_BIN", "debug/signoff"));
        command.args(["--format", "json"]).args(arguments).current_dir(self.folder.path());
        command.stdin(Stdio::null()).env_clear();
        command.env("USER", "dana").env("SIGNOFF_TENANT_ID", "acme").env("SIGNOFF_PRINCIPAL", "agent");
        let address = self.shop.address("postgres", self.shop.name());
        command.env("APP_READ_URL", &address).env("APP_WRITE_URL", &address);
        command.output().unwrap().into()
    }

    fn approved(&self, id: &str) -> String {
        let arguments = json!({ "id": id, "note": "kind" }).to_string();
        let id = proposal_id(&self.signoff(&["propose", "items.note", "--json", &arguments]).expect(0).json());
        self.signoff(&["proposals", "approve", &id, "--yes"]).expect(0);
        id
    }
}

#[test]
fn another_schema_for_the_receipts_is_refused_until_it_is_meant() {
    let Some(shop) = Shop::usual() else { return };
    let desk = Desk { shop, folder: tempfile::tempdir().unwrap() };
    desk.contract("public");
    let (first, second) = (desk.approved("7"), desk.approved("8"));
    desk.signoff(&["apply", &first]).expect(0);
    desk.contract("audit");
    desk.signoff(&["writeback", "migrate"]).expect(0);
    for command in
        [vec!["apply", &second], vec!["apply", &second, "--dry-run"], vec!["writeback", "rebind", "--source", "app"]]
    {
        let refused = desk.signoff(&command).expect(4);
        assert_eq!(refused.error_code(), "RECEIPT_TABLE_CHANGED", "{command:?}");
        assert!(
            refused.out.contains("audit") && refused.out.contains("signoff writeback rebind --source app"),
            "{}",
            refused.out
        );
    }
    assert_eq!(desk.signoff(&["proposals", "show", &second]).expect(0).json()["state"], "approved");
    assert_eq!(desk.shop.effects(), 1);
    desk.contract("public");
    desk.signoff(&["apply", &second]).expect(0);
    desk.contract("audit");
    let rebound = desk.signoff(&["writeback", "rebind", "--source", "app"]).expect(0).json();
    assert_eq!(
        (&rebound["changed"], &rebound["before"]["schema"], &rebound["now"]["schema"]),
        (&json!(true), &json!("public"), &json!("audit"))
    );
    desk.shop.sql("UPDATE items SET note = NULL WHERE id = 7");
    desk.signoff(&["apply", &desk.approved("7")]).expect(0);
    assert_eq!(desk.shop.one("SELECT count(*) FROM audit.synapsor_writeback_receipts"), "1");
    desk.signoff(&["store", "verify"]).expect(0);
}
