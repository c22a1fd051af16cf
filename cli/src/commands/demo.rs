//! One change from proposal to receipt, with everything that is refused on the way. Every line is what really happened:
//! the demo makes the same calls as any application, on a throwaway SQLite file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use serde_json::json;
use signoff::contract::Contract;
use signoff::ledger::{LedgerOptions, SqliteLedger};
use signoff::primitives::{SystemClock, SystemIds};
use signoff::runtime::{ApplyOptions, Approver, Caller, Ending, Environment, Seen, migrate_receipts};
use signoff::{Code, Error, Result, Runtime};

use crate::args::Demo;
use crate::output::Output;

const CONTRACT: &str = include_str!("../demo/billing.json");
const TABLES: &str = include_str!("../demo/billing.sql");
const OURS: [&str; 4] = ["signoff.json", "billing.db", "ledger.db", "ledger.key"];
const INSPECT: &str = "billing.inspect_invoice";
const WAIVE: &str = "billing.propose_late_fee_waiver";

pub async fn run(demo: &Demo, output: &mut Output) -> Result<u8> {
    let stage = Stage::set(Path::new(&demo.dir))?;
    let runtime = stage.runtime("ledger.db")?;
    stage.migrate().await?;
    let caller = Caller::FromContract;
    let lead = Approver { id: "dana".to_owned(), roles: vec!["billing_lead".to_owned()], asserted: true };
    let options = ApplyOptions::default();

    output.line(output.strong("An agent reads one row, inside its tenant"));
    let read = runtime.read(INSPECT, r#"{"invoice_id":"INV-3001"}"#, &caller).await?;
    let fee =
        read.data.iter().find(|(column, _)| column.as_str() == "late_fee_cents").map(|(_, value)| value.to_string());
    output.line(format!("  {INSPECT} INV-3001: late_fee_cents {}", fee.unwrap_or_default()));
    let foreign = runtime.read(INSPECT, r#"{"invoice_id":"INV-9001"}"#, &caller).await;
    output.line(format!("  {INSPECT} INV-9001 (another tenant's): {}", refused(foreign)?));

    output.line(output.strong("It proposes an exact change; the row stays as it was"));
    let proposed = runtime
        .propose(WAIVE, r#"{"invoice_id":"INV-3001","reason":"first late payment in six years"}"#, &caller)
        .await?;
    let id = proposed.change_set.proposal_id.clone();
    let hash = proposed.change_set.integrity.proposal_hash.clone();
    output.line(format!("  {id}"));
    super::shown::diff(&proposed.change_set, output);
    output.line(format!("  Source DB changed: no (late_fee_cents is {})", stage.fee()?));

    output.line(output.strong("Nothing lands without a decision by somebody else"));
    output.line(format!("  apply before approval: {}", refused(runtime.apply(&id, &options).await)?));
    let seen = Seen { proposal_id: id.clone(), hash: hash.clone(), version: 1 };
    let agent = Approver { id: "support_agent".to_owned(), ..lead.clone() };
    output.line(format!("  approved by the proposer: {}", refused(runtime.approve(&seen, &agent, None).await)?));
    runtime.approve(&seen, &lead, Some("within policy".to_owned())).await?;
    output.line(format!("  approved by dana (billing_lead), bound to {}…", hash.get(..23).unwrap_or(&hash)));

    output.line(output.strong("A worker checks everything again and applies it, once"));
    let rehearsed = runtime.apply(&id, &ApplyOptions::rehearsal()).await?;
    output.line(format!(
        "  dry run on the live row: {}; late_fee_cents is still {}",
        word(&rehearsed.ending),
        stage.fee()?
    ));
    let applied = runtime.apply(&id, &options).await?;
    output.line(format!("  apply:  {}; late_fee_cents is {}", word(&applied.ending), stage.fee()?));
    let retried = runtime.apply(&id, &options).await?;
    output.line(format!("  again:  {}; a trigger counted {} effect", word(&retried.ending), stage.effects()?));

    output.line(output.strong("A row that changed since is not overwritten"));
    let stale =
        runtime.propose(WAIVE, r#"{"invoice_id":"INV-3001","reason":"second thoughts"}"#, &caller).await?.change_set;
    let seen = Seen { proposal_id: stale.proposal_id.clone(), hash: stale.integrity.proposal_hash.clone(), version: 1 };
    runtime.approve(&seen, &lead, None).await?;
    stage.app_updates_the_row()?;
    let conflict = runtime.apply(&stale.proposal_id, &options).await?;
    let code =
        conflict.receipt.as_ref().and_then(|receipt| receipt.receipt.safe_error_code.clone()).unwrap_or_default();
    output.line(format!("  the app updated it meanwhile; apply: {} ({code})", word(&conflict.ending)));

    output.line(output.strong("What happened can be replayed, and tampering is found"));
    let story = runtime.replay(&id).await?;
    output.line(format!(
        "  replay: {}",
        story.events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>().join(" > ")
    ));
    let verified = runtime.ledger().verify(None, Box::new(|_, _| ())).await?;
    output.line(format!("  ledger verifies: {} events", verified.checkpoint.size));
    let found = stage.tamper(&runtime, &id).await?;
    output.line(format!("  one digit edited in a copy: {found}"));

    output.line(output.strong("Where to look next"));
    let ledger = stage.file("ledger.db");
    output.line(format!("  signoff proposals list --store {}", ledger.display()));
    output.line(format!("  signoff replay show {id} --store {}", ledger.display()));
    output.line(format!("  signoff tools preview --config {}", stage.file("signoff.json").display()));
    output.line("  README.md: the same with your own tables, from the command line or from Rust");
    output.value(&json!({
        "mode": "demo",
        "store": ledger,
        "config": stage.file("signoff.json"),
        "proposal_id": id,
        "evidence_bundle_id": proposed.change_set.evidence.bundle_id,
        "replay_id": story.replay_id,
        "model_tool": WAIVE,
        "business_object": { "type": "invoices", "id": "INV-3001" },
        "proposed_change": proposed.change_set.patch,
        "effects": stage.effects()?,
        "approval": "required outside MCP",
    }));
    Ok(0)
}

/// What was refused, as its code; if it was not refused, the demo is broken and says so.
fn refused<T>(result: Result<T>) -> Result<String> {
    match result {
        Err(error) => Ok(format!("refused, {}", error.code())),
        Ok(_) => Err(Error::new(Code::Internal).with("detail", "the demo expected a refusal")),
    }
}

fn word(ending: &Ending) -> &'static str {
    match ending {
        Ending::Applied => "applied",
        Ending::AlreadyApplied => "already applied, nothing written",
        Ending::Conflict => "conflict, nothing written",
        Ending::WouldApply => "would apply",
        _ => "not applied",
    }
}

/// The demo's folder, its database and its environment.
struct Stage {
    folder: PathBuf,
}

impl Stage {
    /// Sets it anew. Only a folder that an earlier demo made is cleared.
    fn set(folder: &Path) -> Result<Self> {
        let stage = Self { folder: folder.to_owned() };
        let unwritable = |error: std::io::Error| {
            Error::new(Code::FileUnwritable).with("path", folder.display()).with("reason", error.kind())
        };
        let marker = stage.file(".signoff-demo");
        let empty = std::fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
        if !empty && !marker.exists() {
            let reason = "it holds files that no demo made; name an empty folder with --dir";
            return Err(Error::new(Code::FileUnwritable).with("path", folder.display()).with("reason", reason));
        }
        std::fs::create_dir_all(folder).map_err(unwritable)?;
        std::fs::write(&marker, "made by `signoff demo`, which clears this folder\n").map_err(unwritable)?;
        for name in OURS.into_iter().chain(["tampered.db", "tampered.key"]) {
            for suffix in ["", "-wal", "-shm"] {
                match std::fs::remove_file(stage.file(&format!("{name}{suffix}"))) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unwritable(error)),
                    _ => {}
                }
            }
        }
        std::fs::write(stage.file("signoff.json"), CONTRACT).map_err(unwritable)?;
        let database = Connection::open(stage.file("billing.db")).map_err(broken)?;
        database.execute_batch(TABLES).map_err(broken)?;
        Ok(stage)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn contract() -> Result<Contract> {
        Contract::parse(CONTRACT)
            .map(|(contract, _)| contract)
            .map_err(|_| Error::new(Code::Internal).with("detail", "the demo's contract is invalid"))
    }

    async fn migrate(&self) -> Result<()> {
        migrate_receipts(&Self::contract()?, &self.environment(), "billing_db").await.map(|_| ())
    }

    fn runtime(&self, ledger: &str) -> Result<Runtime> {
        let store = SqliteLedger::open(LedgerOptions::create(self.file(ledger)), &SystemClock, &SystemIds)?;
        Ok(Runtime::new(Some(Self::contract()?), Arc::new(store)).with_environment(self.environment()))
    }

    fn environment(&self) -> Environment {
        let database = self.file("billing.db").display().to_string();
        Environment::new(move |name| match name {
            "BILLING_APP_READ_URL" | "BILLING_APP_WRITE_URL" => Some(database.clone()),
            "SYNAPSOR_TENANT_ID" => Some("acme".to_owned()),
            "SYNAPSOR_PRINCIPAL" => Some("support_agent".to_owned()),
            _ => None,
        })
    }

    fn ask(&self, sql: &str) -> Result<i64> {
        Connection::open(self.file("billing.db"))
            .and_then(|database| database.query_row(sql, [], |row| row.get(0)))
            .map_err(broken)
    }

    fn fee(&self) -> Result<i64> {
        self.ask("SELECT late_fee_cents FROM invoices WHERE id = 'INV-3001'")
    }

    fn effects(&self) -> Result<i64> {
        self.ask("SELECT count(*) FROM effects")
    }

    fn app_updates_the_row(&self) -> Result<()> {
        let sql = "UPDATE invoices SET status = 'in_review', updated_at = '2026-06-21T09:00:00Z' WHERE id = 'INV-3001'";
        Connection::open(self.file("billing.db"))
            .and_then(|database| database.execute(sql, []))
            .map(|_| ())
            .map_err(broken)
    }

    /// Copies the ledger with its key, edits one digit as an intruder would, and looks at it.
    async fn tamper(&self, runtime: &Runtime, id: &str) -> Result<String> {
        let copy = self.file("tampered.db");
        let source = Connection::open(self.file("ledger.db")).map_err(broken)?;
        source.execute("VACUUM INTO ?1", [copy.display().to_string()]).map_err(broken)?;
        std::fs::copy(self.file("ledger.key"), self.file("tampered.key")).map_err(|error| {
            Error::new(Code::FileUnwritable).with("path", copy.display()).with("reason", error.kind())
        })?;
        let intruder = Connection::open(&copy).map_err(broken)?;
        let sql = r#"UPDATE proposals SET document = replace(document, '"late_fee_cents":0', '"late_fee_cents":9') WHERE proposal_id = ?1"#;
        intruder.execute(sql, [id]).map_err(broken)?;
        drop(intruder);
        let edited = self.runtime("tampered.db")?;
        let found = refused(edited.show(id).await)?;
        // The real one is untouched.
        runtime.show(id).await?;
        Ok(found)
    }
}

fn broken(_: rusqlite::Error) -> Error {
    Error::new(Code::Internal).with("detail", "the demo's database")
}
