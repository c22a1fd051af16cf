//! `examples/billing` on a throwaway cluster, as its README says: v1's script in its order, as the least-privileged writer.

use std::path::Path;
use std::process::{Command, Stdio};

use signoff_tests::shop::postgres::Shop;
use signoff_tests::{Ran, binary};

const SCHEMA: &str = include_str!("../../examples/billing/schema.postgres.sql");
const SEED: &str = include_str!("../../examples/billing/seed.postgres.sql");
const ROLES: &str = include_str!("../../examples/billing/roles.postgres.sql");
const CONTRACT: &str = include_str!("../../examples/billing/synapsor.runner.json");
const WAIVE: &str = "billing.propose_late_fee_waiver";

/// Written by a trigger only, with its owner's rights: the writer of the example cannot.
const EFFECTS: &str = "CREATE TABLE effects (id text, late_fee_cents integer);
    CREATE FUNCTION count_effect() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO public.effects VALUES (NEW.id, NEW.late_fee_cents); RETURN NEW; END $$;
    CREATE TRIGGER count_effect AFTER UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION count_effect();";

struct Example {
    shop: Shop,
    folder: tempfile::TempDir,
}

impl Example {
    fn signoff(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(binary("SIGNOFF_BIN", "debug/signoff"));
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null()).env_clear();
        command.env("USER", "dana").env("SYNAPSOR_TENANT_ID", "acme").env("SYNAPSOR_PRINCIPAL", "support_agent");
        command.env("BILLING_APP_READ_URL", self.shop.address("billing_reader", self.shop.name()));
        command.env("BILLING_APP_WRITE_URL", self.shop.address("billing_writer", self.shop.name()));
        command.output().unwrap().into()
    }

    fn file(&self, name: &str, text: &str) {
        std::fs::write(Path::new(self.folder.path()).join(name), text).unwrap();
    }
}

/// The checks that failed; with the words if they are a plain category.
fn failed(ran: &Ran) -> Vec<String> {
    let checks = ran.json()["sources"][0]["checks"].as_array().unwrap().clone();
    let plain = ["permission denied", "configured object not found", "there is no such role, or it may not log in"];
    let told = |check: &serde_json::Value| {
        let (name, message) = (check["name"].as_str().unwrap(), check["message"].as_str().unwrap());
        if plain.contains(&message) { format!("{name} {message}") } else { name.to_owned() }
    };
    checks.iter().filter(|check| check["ok"] == false).map(told).collect()
}

/// Each check of `doctor`, with its level.
fn levels(ran: &Ran) -> Vec<String> {
    let checks = ran.json()["checks"].as_array().unwrap().clone();
    checks
        .iter()
        .map(|check| format!("{} {}", check["level"].as_str().unwrap(), check["name"].as_str().unwrap()))
        .collect()
}

/// One login for both, none at all, and nothing to write to.
fn the_doctor_of_writebacks_looks_at_logins(Example { shop, folder }: &Example) {
    let (reader, writer) = (shop.address("billing_reader", shop.name()), shop.address("billing_writer", shop.name()));
    let doctor = |write: Option<&str>, more: &[&str]| -> Ran {
        let mut command = Command::new(binary("SIGNOFF_BIN", "debug/signoff"));
        command
            .args(["--format", "json", "doctor", "--check-writeback"])
            .args(more)
            .current_dir(folder.path())
            .env_clear();
        command.env("BILLING_APP_READ_URL", &reader).envs(write.map(|write| ("BILLING_APP_WRITE_URL", write)));
        command.output().unwrap().into()
    };
    let has = |ran: &Ran, check: &str| levels(ran).contains(&check.to_owned());
    let shared = doctor(Some(&reader), &[]).expect(1);
    assert!(has(&shared, "fail source:billing_db:credential-separation"), "{}", shared.out);
    let allowed = doctor(Some(&reader), &["--allow-shared-credential"]).expect(1);
    assert!(has(&allowed, "warn source:billing_db:credential-separation"), "{}", allowed.out);
    // What reads may not write.
    assert!(has(&allowed, &format!("fail capability:{WAIVE}:writeback-target-probe")), "{}", allowed.out);
    let apart = doctor(Some(&writer), &[]).expect(1);
    assert!(has(&apart, "pass source:billing_db:credential-separation"), "{}", apart.out);
    assert!(has(&apart, "fail source:billing_db:receipt-table-probe"), "{}", apart.out);
    assert_eq!(levels(&doctor(None, &[]).expect(1)), ["fail source:billing_db:write-url-env"]);
    assert_eq!(shop.one("SELECT count(*) FROM pg_class WHERE relname = 'synapsor_writeback_receipts'"), "0");
}

#[test]
fn the_script_of_v1_in_its_order() {
    let Some(shop) = Shop::bare(&format!("{SCHEMA}{SEED}{ROLES}{EFFECTS}")) else { return };
    let example = Example { shop, folder: tempfile::tempdir().unwrap() };
    example.file("synapsor.runner.json", CONTRACT);
    the_doctor_of_writebacks_looks_at_logins(&example);
    let printed = example.signoff(&["writeback", "migration", "--engine", "postgres"]).expect(0);
    let doctor = ["--format", "json", "writeback", "doctor", "--check-db"];
    assert_eq!(failed(&example.signoff(&doctor).expect(1)), ["receipts-table"]);
    example.shop.sql(&printed.out);
    assert_eq!(failed(&example.signoff(&doctor).expect(1)), ["receipts-probe permission denied"]);
    let role = ["writeback", "grants", "--engine", "postgres", "--writer-role", "billing_writer"];
    example.shop.sql(&example.signoff(&role).expect(0).out);
    assert!(failed(&example.signoff(&doctor).expect(0)).is_empty());
    let all = ["--format", "json", "doctor", "--check-writeback"];
    let names = ["write-url-env", "credential-separation", "writeback-probe", "receipt-table-probe"]
        .map(|what| format!("pass source:billing_db:{what}"));
    let target = format!("capability:{WAIVE}:writeback-target-probe");
    let healthy = [&names[..], &[format!("pass {target}")]].concat();
    assert_eq!(levels(&example.signoff(&all).expect(0)), healthy);
    for (broken, mended, found) in [
        (
            "REVOKE UPDATE (waiver_reason) ON invoices FROM billing_writer",
            "GRANT UPDATE (waiver_reason) ON invoices TO billing_writer",
            "target:public.invoices permission denied",
        ),
        (
            "ALTER TABLE invoices RENAME waiver_reason TO w",
            "ALTER TABLE invoices RENAME w TO waiver_reason",
            "target:public.invoices configured object not found",
        ),
        (
            "ALTER TABLE synapsor_writeback_receipts DROP CONSTRAINT synapsor_writeback_receipts_pkey",
            "ALTER TABLE synapsor_writeback_receipts ADD PRIMARY KEY (tenant_id, idempotency_key)",
            "receipts-key",
        ),
        (
            "ALTER TABLE synapsor_writeback_receipts RENAME fingerprint TO f",
            "ALTER TABLE synapsor_writeback_receipts RENAME f TO fingerprint",
            "receipts-table",
        ),
        (
            "ALTER ROLE billing_writer SET default_transaction_read_only = on",
            "ALTER ROLE billing_writer RESET default_transaction_read_only",
            "writable",
        ),
        (
            "ALTER ROLE billing_writer NOLOGIN",
            "ALTER ROLE billing_writer LOGIN",
            "connect there is no such role, or it may not log in",
        ),
    ] {
        example.shop.sql(broken);
        assert_eq!(failed(&example.signoff(&doctor).expect(1)), [found]);
        let told = levels(&example.signoff(&all).expect(1));
        let which = match found.split([':', ' ', '-']).next().unwrap() {
            "target" => target.as_str(),
            "receipts" => "source:billing_db:receipt-table-probe",
            _ => "source:billing_db:writeback-probe",
        };
        let wrong: Vec<&String> = told.iter().filter(|check| check.starts_with("fail")).collect();
        assert_eq!(wrong, [&format!("fail {which}")]);
        example.shop.sql(mended);
    }
    assert!(failed(&example.signoff(&doctor).expect(0)).is_empty());
    assert_eq!(example.shop.one("SELECT count(*) FROM synapsor_writeback_receipts"), "0");

    example.signoff(&["config", "validate"]).expect(0);
    assert!(example.signoff(&["tools", "preview"]).expect(0).out.contains("execute_sql absent"));
    example.file("waiver.json", r#"{"invoice_id":"INV-3001","reason":"first late payment in six years"}"#);
    let proposed = example.signoff(&["propose", WAIVE, "--input", "waiver.json"]).expect(0);
    assert!(proposed.out.contains("Source DB changed: no"), "{}", proposed.out);
    let effects = || example.shop.rows("SELECT id, late_fee_cents FROM effects");
    assert!(effects().is_empty());

    // The store is named and the contract is not there: a decision needs the ledger alone.
    std::fs::rename(example.folder.path().join("synapsor.runner.json"), example.folder.path().join("aside")).unwrap();
    let store = ["--store", ".synapsor/local.db"];
    example.signoff(&["proposals", "approve", "latest", "--yes", store[0], store[1]]).expect(0);
    std::fs::rename(example.folder.path().join("aside"), example.folder.path().join("synapsor.runner.json")).unwrap();

    let applied = example.signoff(&["apply", "latest"]).expect(0).out;
    for words in [
        "Guarded writeback applied.",
        "* proposal approved: yes",
        "* primary key matched: yes",
        "* tenant guard matched: yes",
        "* allowed columns only: yes",
        "* conflict guard passed: yes",
    ] {
        assert!(applied.contains(words), "{words} is not in\n{applied}");
    }
    assert_eq!(effects(), ["INV-3001|0"]);
    assert!(example.signoff(&["apply", "latest"]).expect(0).out.contains("already applied"));
    assert_eq!(effects(), ["INV-3001|0"]);
    assert_eq!(example.shop.one("SELECT count(*) FROM synapsor_writeback_receipts WHERE status = 'applied'"), "1");
    let replay = example.signoff(&["replay", "show", "latest", store[0], store[1]]).expect(0).out;
    assert!(replay.contains("What happened:") && replay.contains("writeback_applied"), "{replay}");

    // Another tenant's row is not there, and the script's roles can do no more than they need.
    example.file("other.json", r#"{"invoice_id":"INV-9001","reason":"mine now"}"#);
    let foreign = example.signoff(&["--format", "json", "propose", WAIVE, "--input", "other.json"]).expect(1);
    assert_eq!(foreign.error_code(), "ROW_NOT_FOUND");
    for (role, denied) in [
        ("billing_reader", "UPDATE invoices SET late_fee_cents = 1"),
        ("billing_writer", "UPDATE invoices SET balance_cents = 1"),
        ("billing_writer", "DELETE FROM invoices"),
        ("billing_writer", "CREATE TABLE mine (id text)"),
        ("billing_writer", "DELETE FROM synapsor_writeback_receipts"),
    ] {
        let error = example.shop.try_sql(&format!("SET ROLE {role}; {denied}")).unwrap_err();
        assert!(error.contains("permission denied"), "{role}: {denied}: {error}");
    }
}

#[test]
fn an_address_that_checks_nobody_is_spoken_of() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("synapsor.runner.json"), CONTRACT).unwrap();
    let doctor = |address: &str| -> Ran {
        let mut command = Command::new(binary("SIGNOFF_BIN", "debug/signoff"));
        command.args(["writeback", "doctor", "--check-db"]).current_dir(folder.path()).env_clear();
        // Nothing listens there.
        command.env("BILLING_APP_WRITE_URL", format!("postgres://u:hunter2@127.0.0.1:1/db?sslmode={address}"));
        command.output().unwrap().into()
    };
    let ran = doctor("no-verify").expect(1);
    assert_eq!(ran.err.matches("warning: BILLING_APP_WRITE_URL says sslmode=no-verify").count(), 1, "{}", ran.err);
    assert!(ran.out.contains("FAIL connect: nothing listens there: the connection was refused"), "{}", ran.out);
    assert!(!format!("{ran:?}").contains("hunter2"));
    assert_eq!(doctor("verify-full").expect(1).err, "");
}
