//! One receipts table for each source: another one would not show what landed, and a change could run twice.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use signoff::contract::Contract;
use signoff::database::{Check, CheckRequest, Database, RowRead, ScopedRead, SqliteDatabase};
use signoff::guard::{Dialect, GuardJob, Outcome, ReceiptTable};
use signoff::ledger::{LedgerOptions, SqliteLedger};
use signoff::primitives::{Redactor, Secret, SystemClock, SystemIds};
use signoff::protocol::State;
use signoff::runtime::{ApplyOptions, Approver, Caller, Ending, Environment, Seen};
use signoff::{Code, Error, Result, Runtime};
use signoff_tests::{CONTRACT, Workspace};

/// A source whose schemas are files: the one thing a test of tables in two schemas needs. It counts what is sent to it,
/// and can lose an answer.
#[derive(Debug)]
struct TwoSchemas {
    main: SqliteDatabase,
    sent: AtomicU32,
    lose_answer: AtomicBool,
}

#[async_trait::async_trait]
impl Database for TwoSchemas {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }
    async fn read(&self, read: ScopedRead) -> Result<Option<RowRead>> {
        self.main.read(read).await
    }
    async fn run(&self, mut job: GuardJob, redactor: Option<Redactor>) -> Result<Outcome> {
        self.sent.fetch_add(1, Ordering::SeqCst);
        // The other schema is another table of the same file.
        if job.receipts.schema.as_str() != "public" {
            job.receipts.name = signoff::primitives::Identifier::new("elsewhere")?;
        }
        job.receipts.schema = signoff::primitives::Identifier::new("main")?;
        let outcome = self.main.run(job, redactor).await?;
        Ok(if self.lose_answer.load(Ordering::SeqCst) { Outcome::Unknown } else { outcome })
    }
    async fn migrate_receipts(&self, table: ReceiptTable) -> Result<Vec<String>> {
        self.main.migrate_receipts(table).await
    }
    async fn check(&self, request: CheckRequest) -> Vec<Check> {
        self.main.check(request).await
    }
}

struct House {
    workspace: Workspace,
    source: Arc<TwoSchemas>,
    ledger: Arc<SqliteLedger>,
}

fn open(folder: &Path) -> Arc<SqliteLedger> {
    Arc::new(SqliteLedger::open(LedgerOptions::create(folder.join("ledger.db")), &SystemClock, &SystemIds).unwrap())
}

impl House {
    fn new() -> Self {
        let workspace = Workspace::with_invoices(4);
        let address = Secret::new(workspace.path("billing.db").display().to_string());
        let main = SqliteDatabase::open("billing_db", "TEST", &address, None).unwrap();
        let app = workspace.app();
        let ddl = "SELECT sql FROM sqlite_schema WHERE name = 'synapsor_writeback_receipts'";
        let ddl: String = app.query_row(ddl, [], |row| row.get(0)).unwrap();
        app.execute_batch(&ddl.replace("synapsor_writeback_receipts", "elsewhere")).unwrap();
        let source = Arc::new(TwoSchemas { main, sent: AtomicU32::new(0), lose_answer: AtomicBool::new(false) });
        let ledger = open(&workspace.path(""));
        Self { workspace, source, ledger }
    }

    /// A process whose contract names this schema for the receipts. SQLite has one schema only, so it says another engine.
    fn under(&self, schema: &str) -> Runtime {
        let mut contract: serde_json::Value = serde_json::from_str(CONTRACT).unwrap();
        contract["sources"]["billing_db"]["engine"] = "postgres".into();
        contract["sources"]["billing_db"]["signoff"] = serde_json::json!({ "receipts_schema": schema });
        let contract = Contract::parse(&contract.to_string()).unwrap_or_else(|found| panic!("{found:?}")).0;
        let environment = Environment::new(|name| match name {
            "SYNAPSOR_TENANT_ID" => Some("acme".to_owned()),
            "SYNAPSOR_PRINCIPAL" => Some("support_agent".to_owned()),
            _ => None,
        });
        Runtime::new(Some(contract), self.ledger.clone())
            .with_environment(environment)
            .with_database("billing_db", self.source.clone())
    }

    async fn proposed(&self, invoice: &str) -> Seen {
        let arguments = serde_json::json!({ "invoice_id": invoice, "reason": "kind" }).to_string();
        let set = self
            .under("public")
            .propose("billing.propose_late_fee_waiver", &arguments, &Caller::FromContract)
            .await
            .unwrap()
            .change_set;
        Seen { proposal_id: set.proposal_id, hash: set.integrity.proposal_hash, version: 1 }
    }

    async fn approved(&self, invoice: &str) -> String {
        let seen = self.proposed(invoice).await;
        self.under("public").approve(&seen, &lead(), None).await.unwrap();
        seen.proposal_id
    }

    async fn state(&self, id: &str) -> State {
        self.under("public").show(id).await.unwrap().state
    }

    async fn verify(&self) -> Result<()> {
        self.under("public").ledger().verify(None, Box::new(|_, _| ())).await.map(drop)
    }

    fn sent(&self) -> u32 {
        self.source.sent.load(Ordering::SeqCst)
    }
}

fn lead() -> Approver {
    Approver { id: "dana".into(), roles: vec!["billing_lead".into()], asserted: false }
}

async fn apply(runtime: &Runtime, id: &str) -> Result<Ending> {
    runtime.apply(id, &ApplyOptions::default()).await.map(|applied| applied.ending)
}

/// Everything that would send something to the source is refused; the proposal stays as it is.
async fn refused(house: &House, schema: &str, id: &str) -> Error {
    let (state, sent, runtime) = (house.state(id).await, house.sent(), house.under(schema));
    let mut resume = ApplyOptions::default();
    resume.resume = true;
    let mut errors = vec![
        apply(&runtime, id).await.unwrap_err(),
        runtime.apply(id, &ApplyOptions::rehearsal()).await.unwrap_err(),
        runtime.apply(id, &resume).await.unwrap_err(),
    ];
    if state == State::OutcomeUnknown {
        // A tombstone there would prove nothing.
        errors.push(runtime.cancel(id, &lead(), None, true).await.unwrap_err());
    }
    errors.push(runtime.rebind_receipts("billing_db", "dana").await.unwrap_err());
    assert!(errors.iter().all(|error| error.code() == Code::ReceiptTableChanged), "{errors:?}");
    assert_eq!((house.state(id).await, house.sent()), (state, sent));
    errors.swap_remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_approved_is_not_applied_under_another_table() {
    let house = House::new();
    let (first, second) = (house.approved("INV-1").await, house.approved("INV-2").await);
    assert_eq!(apply(&house.under("public"), &first).await.unwrap(), Ending::Applied);
    let error = refused(&house, "other", &second).await;
    let message = format!("{} {}", error.message(), error.help().unwrap_or_default());
    for words in [r#""public"."synapsor_writeback_receipts""#, r#""other"."synapsor_writeback_receipts""#, "rebind"] {
        assert!(message.contains(words), "{message}");
    }
    // What has ended is answered from the ledger, whatever the contract says.
    assert_eq!(apply(&house.under("other"), &first).await.unwrap(), Ending::AlreadyApplied);
    assert_eq!(apply(&house.under("public"), &second).await.unwrap(), Ending::Applied);
    assert_eq!((house.workspace.effects("INV-1"), house.workspace.effects("INV-2")), (1, 1));
    house.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_resolved_where_its_receipt_is() {
    let house = House::new();
    let id = house.approved("INV-1").await;
    house.source.lose_answer.store(true, Ordering::SeqCst);
    assert_eq!(apply(&house.under("public"), &id).await.unwrap(), Ending::Unknown);
    house.source.lose_answer.store(false, Ordering::SeqCst);
    // The row is as it was before: under another table nothing would tell that the change has landed.
    let app = house.workspace.app();
    app.execute("UPDATE invoices SET late_fee_cents = 5500, waiver_reason = NULL WHERE id = 'INV-1'", []).unwrap();
    let before = house.workspace.effects("INV-1");
    refused(&house, "other", &id).await;
    assert_eq!(apply(&house.under("public"), &id).await.unwrap(), Ending::AlreadyApplied);
    assert_eq!(house.workspace.effects("INV-1"), before);
    house.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_on_purpose_is_an_event_of_its_own() {
    let house = House::new();
    let other = house.under("other");
    let (before, now) = other.rebind_receipts("billing_db", "dana").await.unwrap();
    assert_eq!((before, now.schema.as_str()), (None, "other"), "nothing was recorded, so nothing changed");
    let (first, second) = (house.approved("INV-1").await, house.approved("INV-2").await);
    let waiting = house.proposed("INV-3").await;
    assert_eq!(apply(&house.under("public"), &first).await.unwrap(), Ending::Applied);
    refused(&house, "other", &second).await;
    house.under("public").cancel(&second, &lead(), None, false).await.unwrap();
    assert_eq!(other.rebind_receipts("billing_db", "  ").await.unwrap_err().code(), Code::ActorInvalid);
    assert_eq!(other.rebind_receipts("nowhere", "dana").await.unwrap_err().code(), Code::SourceNotFound);
    let (before, now) = other.rebind_receipts("billing_db", "dana").await.unwrap();
    assert_eq!((before.unwrap().schema.as_str(), now.schema.as_str()), ("public", "other"));
    // What waits for a decision is carried over.
    other.approve(&waiting, &lead(), None).await.unwrap();
    refused(&house, "public", &waiting.proposal_id).await;
    assert_eq!(apply(&other, &waiting.proposal_id).await.unwrap(), Ending::Applied);
    assert_eq!(house.workspace.ask("SELECT count(*) FROM elsewhere"), 1);
    house.verify().await.unwrap();
    let stats = house.under("other").ledger().stats().await.unwrap();
    assert_eq!(stats.rows["receipt_tables"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_cannot_be_moved_by_hand() {
    let edits = [
        r#"UPDATE receipt_tables SET document = replace(document, '"public"', '"other"')"#,
        "UPDATE receipt_tables SET source = 'another'",
        "DELETE FROM receipt_tables",
        r#"INSERT INTO receipt_tables SELECT 1, source, replace(document, '"public"', '"other"') FROM receipt_tables"#,
        r#"INSERT INTO receipt_tables SELECT seq + 1, source, replace(document, '"public"', '"other"') FROM receipt_tables"#,
        // Also without a look at the table: what is unresolved is hidden.
        "UPDATE standings SET state = 'rejected' WHERE state = 'approved'",
    ];
    for edit in edits {
        let house = House::new();
        let (first, _open) = (house.approved("INV-1").await, house.approved("INV-2").await);
        assert_eq!(apply(&house.under("public"), &first).await.unwrap(), Ending::Applied);
        assert!(house.workspace.intruder("ledger.db").execute(edit, []).unwrap() > 0, "{edit}");
        assert_eq!(house.verify().await.unwrap_err().code(), Code::LedgerTampered, "{edit}");
        let rebound = house.under("other").rebind_receipts("billing_db", "dana").await;
        assert_eq!(rebound.unwrap_err().code(), Code::LedgerTampered, "{edit}");
    }
    let house = House::new();
    let (first, second) = (house.approved("INV-1").await, house.approved("INV-2").await);
    assert_eq!(apply(&house.under("public"), &first).await.unwrap(), Ending::Applied);
    house.workspace.intruder("ledger.db").execute(edits[0], []).unwrap();
    let (sent, under_other) = (house.sent(), house.under("other"));
    assert_eq!(apply(&under_other, &second).await.unwrap_err().code(), Code::LedgerTampered);
    assert_eq!(house.sent(), sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_the_format_before_is_brought_up_to_date() {
    let workspace = Workspace::new();
    workspace.approved("INV-3001", "kind");
    let back_to_2 = "DROP TABLE terms; DROP TABLE blocks; DROP TABLE prunings; DROP TABLE pruned;
        UPDATE chain SET created_at = substr(created_at, 1, instr(created_at, ' ') - 1); PRAGMA user_version = 2";
    let format = || -> u32 {
        workspace.intruder("ledger.db").pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    };
    workspace.intruder("ledger.db").execute_batch(back_to_2).unwrap();
    // Whoever has another key brings nothing up to date, and breaks nothing.
    let other = workspace.command().env("SIGNOFF_LEDGER_KEY", "ab".repeat(32)).args(["store", "verify"]).output();
    assert_eq!((other.unwrap().status.code(), format()), (Some(4), 2));
    workspace.run(["store", "verify"]).expect(0);
    assert_eq!(format(), 3);
    workspace.intruder("ledger.db").execute_batch(back_to_2).unwrap();
    workspace.intruder("ledger.db").execute_batch("DROP TABLE receipt_tables; PRAGMA user_version = 1").unwrap();
    workspace.run(["store", "verify"]).expect(0);
    workspace.run(["apply", "latest"]).expect(0);
    let recorded: String = workspace
        .intruder("ledger.db")
        .query_row("SELECT source || ' ' || document FROM receipt_tables", [], |row| row.get(0))
        .unwrap();
    assert_eq!(recorded, r#"billing_db {"name":"synapsor_writeback_receipts","schema":"main"}"#);
    workspace.run(["store", "verify"]).expect(0);
}

#[test]
fn the_terminal_says_what_is_recorded() {
    let workspace = Workspace::new();
    let rebind = ["writeback", "rebind", "--source", "billing_db"];
    workspace.approved("INV-3001", "kind");
    assert!(workspace.run(rebind).expect(0).out.contains("nothing is recorded yet"));
    workspace.run(["apply", "latest"]).expect(0);
    assert!(workspace.run(rebind).expect(0).out.contains("as before"));
    assert_eq!(workspace.json(rebind).expect(0).json()["changed"], false);
    workspace.run(["writeback", "rebind"]).expect(2);
}

#[test]
fn what_keeps_nothing_is_no_receipts_table() {
    let workspace = Workspace::new();
    let app = workspace.app();
    app.execute_batch("ALTER TABLE synapsor_writeback_receipts RENAME TO real; CREATE VIEW synapsor_writeback_receipts AS SELECT * FROM real").unwrap();
    let id = workspace.approved("INV-3001", "kind");
    assert_eq!(workspace.json(["writeback", "migrate"]).expect(4).error_code(), "RECEIPT_TABLE_UNFIT");
    let doctor = workspace.run(["writeback", "doctor", "--check-db"]).expect(1).out;
    assert!(doctor.contains("FAIL receipts-table") && doctor.contains("is a view"), "{doctor}");
    workspace.run(["apply", &id]).expect(1);
    assert_eq!((workspace.state(&id).as_str(), workspace.executions("INV-3001")), ("approved", 0));
}
