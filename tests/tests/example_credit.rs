//! `examples/billing` with the service of `examples/axum-account-credit` as its handler: v1's script in its order, with the
//! capability of v1's demo and the words that v1's scripts look for.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use signoff_tests::shop::postgres::Shop;
use signoff_tests::{Ran, binary};

const SCHEMA: &str = include_str!("../../examples/billing/schema.postgres.sql");
const SEED: &str = include_str!("../../examples/billing/seed.postgres.sql");
const ROLES: &str = include_str!("../../examples/billing/roles.postgres.sql");
const CONTRACT: &str = include_str!("../../examples/billing/synapsor.runner.json");
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Written by a trigger only.
const EFFECTS: &str = "CREATE TABLE effects (invoice_id text, amount_cents integer);
    CREATE FUNCTION count_effect() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO public.effects VALUES (NEW.invoice_id, NEW.amount_cents); RETURN NEW; END $$;
    CREATE TRIGGER count_effect AFTER INSERT ON account_credits FOR EACH ROW EXECUTE FUNCTION count_effect();";

struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Service {
    /// Started on a port of its own; where it listens.
    fn start(database: &str) -> (Self, String) {
        let mut child = Command::new(binary("SIGNOFF_AXUM_EXAMPLE", "debug/axum-account-credit"))
            .env("BILLING_APP_WRITE_URL", database)
            .env("BILLING_APP_HANDLER_SECRET", SECRET)
            .env("BILLING_APP_LISTEN", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let at = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}")).to_owned();
        (Self(child), at)
    }
}

#[test]
fn the_script_of_v1_in_its_order_with_the_credit() {
    let Some(shop) = Shop::bare(&format!("{SCHEMA}{SEED}{ROLES}{EFFECTS}")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    // v1's demo signs nothing; this service asks for it.
    let mut contract: Value = serde_json::from_str(CONTRACT).unwrap();
    let executor = &mut contract["executors"]["billing_app_handler"];
    executor["signing_secret_env"] = "BILLING_APP_HANDLER_SECRET".into();
    executor["signoff"] = serde_json::json!({ "audience": "billing-app" });
    file("synapsor.runner.json", &contract.to_string());
    let (service, at) = Service::start(&shop.address("billing_writer", shop.name()));
    let signoff = |arguments: &[&str]| -> Ran {
        let mut command = Command::new(binary("SIGNOFF_BIN", "debug/signoff"));
        command.args(arguments).current_dir(folder.path()).stdin(Stdio::null()).env_clear();
        command.env("USER", "dana").env("SYNAPSOR_TENANT_ID", "acme").env("SYNAPSOR_PRINCIPAL", "support_agent");
        // The worker reads, and writes nothing itself.
        command.env("BILLING_APP_READ_URL", shop.address("billing_reader", shop.name()));
        command.env("BILLING_APP_HANDLER_URL", format!("http://{at}/signoff/writeback"));
        command.env("BILLING_APP_HANDLER_TOKEN", "a-token").env("BILLING_APP_HANDLER_SECRET", SECRET);
        command.output().unwrap().into()
    };
    let role = ["handler", "migration", "--dialect", "postgres", "--writer-role", "billing_writer"];
    shop.sql(&signoff(&role).expect(0).out);
    assert!(
        signoff(&["doctor", "--check-handlers"])
            .expect(0)
            .out
            .contains("pass executor:billing_app_handler:handler-signing")
    );

    signoff(&["config", "validate"]).expect(0);
    assert!(signoff(&["tools", "preview"]).expect(0).out.contains("execute_sql absent"));
    file("credit.json", r#"{"invoice_id":"INV-3001","amount_cents":500,"reason":"a courtesy"}"#);
    let proposed = signoff(&["propose", "billing.propose_account_credit", "--input", "credit.json"]).expect(0).out;
    assert!(proposed.contains("Source DB changed: no"), "{proposed}");
    let effects = || shop.rows("SELECT invoice_id, amount_cents FROM effects");
    assert!(effects().is_empty());

    // A decision needs the ledger alone.
    std::fs::rename(folder.path().join("synapsor.runner.json"), folder.path().join("aside")).unwrap();
    let store = ["--store", ".synapsor/local.db"];
    signoff(&["proposals", "approve", "latest", "--yes", store[0], store[1]]).expect(0);
    std::fs::rename(folder.path().join("aside"), folder.path().join("synapsor.runner.json")).unwrap();

    let applied = signoff(&["apply", "latest"]).expect(0).out;
    for words in ["App-owned writeback applied.", "source database changed by handler: yes"] {
        assert!(applied.contains(words), "{words} is not in\n{applied}");
    }
    assert_eq!(effects(), ["INV-3001|500"]);
    let again = signoff(&["apply", "latest"]).expect(0).out;
    assert!(again.contains("App-owned writeback already applied."), "{again}");
    assert_eq!(effects(), ["INV-3001|500"]);
    assert_eq!(
        shop.rows("SELECT credited_cents, credit_requested_cents, credit_reason FROM invoices WHERE id = 'INV-3001'"),
        ["500|500|a courtesy"]
    );
    let replay = signoff(&["replay", "show", "latest", store[0], store[1]]).expect(0).out;
    assert!(replay.contains("What happened:") && replay.contains("writeback_applied"), "{replay}");
    let told = signoff(&["--format", "json", "replay", "show", "latest"]).expect(0).json();
    let receipt = &told["receipts"][0];
    assert_eq!((&receipt["receipt"]["rows_affected"], &receipt["receipt"]["status"]), (&2.into(), &"applied".into()));
    let kinds: Vec<&str> = receipt["details"]["handler"]["effects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|effect| effect["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["db.insert", "db.update", "event"]);

    // Another tenant's row is not there; and with the service gone nothing is lost.
    file("other.json", r#"{"invoice_id":"INV-9001","amount_cents":500,"reason":"mine now"}"#);
    let foreign = signoff(&["--format", "json", "propose", "billing.propose_account_credit", "--input", "other.json"]);
    assert_eq!(foreign.expect(1).error_code(), "ROW_NOT_FOUND");
    drop(service);
    file("credit.json", r#"{"invoice_id":"INV-3001","amount_cents":700,"reason":"another courtesy"}"#);
    signoff(&["propose", "billing.propose_account_credit", "--input", "credit.json"]).expect(0);
    signoff(&["proposals", "approve", "latest", "--yes"]).expect(0);
    assert_eq!(signoff(&["--format", "json", "apply", "latest"]).expect(1).error_code(), "EXECUTOR_UNREACHABLE");
    assert_eq!(effects(), ["INV-3001|500"]);
    signoff(&["store", "verify"]).expect(0);
}
