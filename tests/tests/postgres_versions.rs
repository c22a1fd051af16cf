//! Which columns of Postgres can tell whether a row changed.

use std::sync::Arc;

use serde_json::json;
use signoff::contract::Contract;
use signoff::ledger::{LedgerOptions, SqliteLedger};
use signoff::primitives::{SystemClock, SystemIds};
use signoff::runtime::Caller;
use signoff::{Code, Runtime};
use signoff_tests::shop::postgres::Shop;

#[test]
fn a_float_is_no_version_under_whatever_name() {
    let Some(shop) = Shop::bare(
        "CREATE DOMAIN rough AS double precision; CREATE DOMAIN rougher AS rough CHECK (VALUE > 0); CREATE DOMAIN small AS real;
         CREATE DOMAIN moment AS timestamptz; CREATE DOMAIN serial_no AS bigint; CREATE DOMAIN exact AS numeric(10,2);
         CREATE TABLE items (id int PRIMARY KEY, tenant_id text, note text, a double precision DEFAULT 1.5, b real DEFAULT 1.5, c rough DEFAULT 1.5, d rougher DEFAULT 1.5, e small DEFAULT 1.5,
           f moment DEFAULT now(), g serial_no DEFAULT 7, h exact DEFAULT 1.5, i numeric DEFAULT 1.5);
         INSERT INTO items (id, tenant_id) VALUES (7, 'acme');",
    ) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let propose = |column: &str| {
        let contract = json!({
            "version": 1, "mode": "review",
            "sources": { "app": { "engine": "postgres", "read_url_env": "APP_READ_URL", "write_url_env": "APP_WRITE_URL" } },
            "trusted_context": { "provider": "environment", "values": { "tenant_id_env": "T", "principal_env": "P" } },
            "capabilities": [{
                "name": "items.note", "kind": "proposal", "description": "Note.", "source": "app",
                "target": { "schema": "public", "table": "items", "primary_key": "id", "tenant_key": "tenant_id" },
                "args": { "id": { "type": "string" } }, "lookup": { "id_from_arg": "id" },
                "visible_columns": ["id", "note"], "patch": { "note": { "fixed": column } }, "allowed_columns": ["note"],
                "conflict_guard": { "column": column }, "approval": { "mode": "human" }
            }]
        });
        let contract = Contract::parse(&contract.to_string()).unwrap_or_else(|found| panic!("{found:?}")).0;
        let options = LedgerOptions::create(folder.path().join(format!("{column}.db")));
        let ledger = SqliteLedger::open(options, &SystemClock, &SystemIds).unwrap();
        let runtime =
            Runtime::new(Some(contract), Arc::new(ledger)).with_database("app", Arc::new(shop.database.clone()));
        shop.wait(runtime.propose("items.note", r#"{"id":"7"}"#, &Caller::trusted("acme", "agent")))
    };
    for (column, class) in
        [("a", "double precision"), ("b", "real"), ("c", "double precision"), ("d", "double precision"), ("e", "real")]
    {
        let error = propose(column).unwrap_err();
        assert_eq!((error.code(), error.field("class")), (Code::VersionTypeUnsupported, Some(class)), "{column}");
    }
    for column in ["f", "g", "h", "i"] {
        let proposed = propose(column).unwrap_or_else(|error| panic!("{column}: {error}"));
        assert_eq!(proposed.change_set.guards.expected_version.column.as_str(), column);
    }
}
