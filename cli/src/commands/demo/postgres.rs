//! The demo's schema on a Postgres server: made, used, and taken away, and nothing else is ever touched.

use serde_json::{Value, json};
use signoff::database::PostgresDatabase;
use signoff::primitives::Secret;
use signoff::{Code, Error, Result};

use super::source::{CONTRACT, TABLES};

const SCHEMA: &str = "signoff_demo";
/// What the schema's comment says.
const MARK: &str = "made by `signoff demo`, which drops it";

/// The schema, and where it is.
pub(super) struct Schema {
    pub(super) address: String,
    database: PostgresDatabase,
}

impl Schema {
    pub(super) fn at(address: &str) -> Result<Self> {
        let database = PostgresDatabase::open("billing_db", "--postgres", &Secret::new(address.to_owned()), None)?;
        Ok(Self { address: address.to_owned(), database })
    }

    /// The demo's contract, with rows and receipts in this schema.
    pub(super) fn contract() -> Result<String> {
        let invalid = |_| Error::new(Code::Internal).with("detail", "the demo's contract is invalid");
        let mut contract: Value = serde_json::from_str(CONTRACT).map_err(invalid)?;
        if let Some(source) = contract.pointer_mut("/sources/billing_db").and_then(Value::as_object_mut) {
            source.insert("engine".to_owned(), "postgres".into());
            source.insert("signoff".to_owned(), json!({ "receipts_schema": SCHEMA }));
        }
        let capabilities = contract.get_mut("capabilities").and_then(Value::as_array_mut);
        for schema in capabilities.into_iter().flatten().filter_map(|one| one.pointer_mut("/target/schema")) {
            *schema = SCHEMA.into();
        }
        serde_json::to_string_pretty(&contract).map(|text| text + "\n").map_err(invalid)
    }

    /// Makes it, in place of one that an earlier demo left.
    pub(super) async fn make(&self) -> Result<()> {
        let facts = format!(
            "SELECT (to_regnamespace('{SCHEMA}') IS NOT NULL)::text, obj_description(to_regnamespace('{SCHEMA}'), 'pg_namespace'), has_database_privilege(current_database(), 'CREATE')::text"
        );
        let rows = self.database.script(&facts).await?;
        let fact = |index: usize| rows.first().and_then(|row| row.get(index)?.as_deref());
        if fact(0) == Some("true") {
            if fact(1) != Some(MARK) {
                return Err(foreign("no demo made it"));
            }
            self.leave().await?;
        }
        if fact(2) != Some("true") {
            let reason = "the demo makes a schema of its own, and the role may not: GRANT CREATE ON DATABASE";
            return Err(Error::new(Code::SourceRejected).with("source", "billing_db").with("reason", reason));
        }
        // Up to the trigger, the tables are the same in both engines.
        let tables = TABLES.split("CREATE TRIGGER").next().unwrap_or_default();
        let script = format!(
            "CREATE SCHEMA {SCHEMA}; COMMENT ON SCHEMA {SCHEMA} IS '{MARK}'; SET LOCAL search_path = {SCHEMA}; {tables}
             CREATE FUNCTION count_effect() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO {SCHEMA}.effects VALUES (NEW.id, NEW.late_fee_cents); RETURN NEW; END $$;
             CREATE TRIGGER count_effects AFTER UPDATE OF late_fee_cents ON invoices FOR EACH ROW EXECUTE FUNCTION count_effect();"
        );
        self.database.script(&script).await.map(drop)
    }

    /// Takes the demo's objects away. Without CASCADE: the engine refuses if anything else is in the schema or needs it.
    pub(super) async fn leave(&self) -> Result<()> {
        let script = format!(
            "SET LOCAL search_path = {SCHEMA}; DROP TABLE IF EXISTS synapsor_writeback_receipts, effects, account_credits, invoices, customers, tenants; DROP FUNCTION IF EXISTS count_effect(); DROP SCHEMA IF EXISTS {SCHEMA};"
        );
        self.database.script(&script).await.map(drop).map_err(|error| match error.code() {
            Code::SourceRejected => foreign("it holds, or something else needs, what no demo made"),
            _ => error,
        })
    }

    /// Runs a statement of the application, which says `main.` where this schema is meant; answers the first value.
    pub(super) async fn run(&self, sql: &str) -> Result<Option<String>> {
        let rows = self.database.script(&sql.replace("main.", &format!("{SCHEMA}."))).await?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()?))
    }
}

fn foreign(problem: &str) -> Error {
    Error::new(Code::SchemaForeign).with("schema", SCHEMA).with("problem", problem)
}
