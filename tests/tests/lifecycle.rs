//! The lifecycle through the library, with a clock that stands still and a source that can lose its answers.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use signoff::contract::Contract;
use signoff::database::{Check, CheckRequest, Database, RowRead, ScopedRead};
use signoff::guard::{Dialect, GuardJob, Outcome, ReceiptTable};
use signoff::ledger::{Filter, PageRequest};
use signoff::primitives::{Clock, Instant, Redactor};
use signoff::protocol::State;
use signoff::runtime::{ApplyOptions, Approver, Caller, Ending, Seen};
use signoff::{Code, Result, Runtime};
use signoff_tests::{Engine, Workspace, library, on_each_engine};

on_each_engine!(
    async
    an_approval_ends_to_the_second,
    a_pending_proposal_ends_after_seven_days_and_makes_room,
    decisions_are_bound_to_hash_version_role_and_person,
    a_lost_answer_is_unknown_and_then_the_truth,
    canceling_an_unknown_outcome_finds_the_truth_or_forbids_it_for_ever,
    an_unknown_outcome_under_an_expired_approval_never_lands_later,
    a_failure_before_any_effect_gives_the_proposal_back,
    an_attempt_in_flight_waits_unless_it_is_taken_over,
    one_open_proposal_per_object,
    shadow_and_read_only_contracts_never_write,
    a_retry_finds_its_proposal_whatever_the_row_holds,
);

const START: i64 = 1_800_000_000;
const HOUR: i64 = 3_600;

/// A clock that moves only when told to.
#[derive(Debug)]
struct StillClock(AtomicI64);

impl Clock for StillClock {
    fn now(&self) -> Instant {
        Instant::from_unix(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

/// A fake for one fault only: it runs the guard on the real engine, then loses the answer to COMMIT, or the connection
/// before anything was sent.
#[derive(Debug)]
struct Unreliable {
    real: Arc<dyn Database>,
    lose_answer: AtomicBool,
    lose_request: AtomicBool,
    ran: Mutex<Vec<GuardJob>>,
}

#[async_trait::async_trait]
impl Database for Unreliable {
    fn dialect(&self) -> Dialect {
        self.real.dialect()
    }
    async fn read(&self, read: ScopedRead) -> Result<Option<RowRead>> {
        self.real.read(read).await
    }
    async fn run(&self, job: GuardJob, redactor: Option<Redactor>) -> Result<Outcome> {
        self.ran.lock().unwrap().push(job.clone());
        if self.lose_request.load(Ordering::SeqCst) {
            return Ok(Outcome::Unknown);
        }
        let outcome = self.real.run(job, redactor).await?;
        Ok(if self.lose_answer.load(Ordering::SeqCst) { Outcome::Unknown } else { outcome })
    }
    async fn migrate_receipts(&self, table: ReceiptTable) -> Result<Vec<String>> {
        self.real.migrate_receipts(table).await
    }
    async fn check(&self, request: CheckRequest) -> Vec<Check> {
        self.real.check(request).await
    }
}

struct House {
    workspace: Workspace,
    runtime: Runtime,
    clock: Arc<StillClock>,
    source: Arc<Unreliable>,
}

impl House {
    fn new(engine: Engine) -> Self {
        Self::with(engine, &engine.contract())
    }

    fn with(engine: Engine, contract: &str) -> Self {
        let workspace = Workspace::with_invoices_on(engine, 3);
        workspace.write_contract(contract);
        let clock = Arc::new(StillClock(AtomicI64::new(START)));
        let source = Arc::new(Unreliable {
            real: workspace.source.database(),
            lose_answer: AtomicBool::new(false),
            lose_request: AtomicBool::new(false),
            ran: Mutex::default(),
        });
        let folder = workspace.path("");
        let runtime =
            library::runtime(&folder, "unused", library::ledger(&folder, "ledger.db", &*clock), clock.clone())
                .with_database("billing_db", source.clone());
        Self { workspace, runtime, clock, source }
    }

    /// A house where the answer to the one attempt was lost, or the attempt itself, and everything works again.
    async fn unsure(engine: Engine, landed: bool) -> (Self, Seen) {
        let house = Self::new(engine);
        let seen = house.approved("INV-1").await;
        let fault = if landed { &house.source.lose_answer } else { &house.source.lose_request };
        fault.store(true, Ordering::SeqCst);
        assert_eq!(house.apply(&seen).await.unwrap(), Ending::Unknown);
        fault.store(false, Ordering::SeqCst);
        (house, seen)
    }

    fn pass(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
    }

    async fn propose(&self, invoice: &str, reason: &str) -> Result<Seen> {
        let arguments = serde_json::json!({ "invoice_id": invoice, "reason": reason }).to_string();
        let set = self
            .runtime
            .propose("billing.propose_late_fee_waiver", &arguments, &Caller::FromContract)
            .await?
            .change_set;
        Ok(Seen { proposal_id: set.proposal_id, hash: set.integrity.proposal_hash, version: 1 })
    }

    async fn approved(&self, invoice: &str) -> Seen {
        let seen = self.propose(invoice, "kind").await.unwrap();
        self.runtime.approve(&seen, &lead(), None).await.unwrap();
        seen
    }

    async fn state(&self, seen: &Seen) -> State {
        self.runtime.show(&seen.proposal_id).await.unwrap().state
    }

    async fn apply(&self, seen: &Seen) -> Result<Ending> {
        self.runtime.apply(&seen.proposal_id, &ApplyOptions::default()).await.map(|applied| applied.ending)
    }

    async fn verify(&self) {
        self.runtime.ledger().verify(None, Box::new(|_, _| ())).await.unwrap();
    }
}

fn lead() -> Approver {
    Approver { id: "dana".into(), roles: vec!["billing_lead".into()], asserted: false }
}

fn code<T: std::fmt::Debug>(result: Result<T>) -> Code {
    result.unwrap_err().code()
}

async fn an_approval_ends_to_the_second(engine: Engine) {
    let house = House::new(engine);
    let seen = house.approved("INV-1").await;
    house.pass(24 * HOUR - 1);
    let rehearsed = house.runtime.apply(&seen.proposal_id, &ApplyOptions::rehearsal()).await.unwrap();
    assert_eq!(rehearsed.ending, Ending::WouldApply);
    house.pass(1);
    assert_eq!(code(house.apply(&seen).await), Code::ApprovalExpired);
    assert_eq!(house.state(&seen).await, State::Expired);
    assert_eq!(code(house.apply(&seen).await), Code::ProposalNotApproved);
    assert_eq!(house.workspace.executions("INV-1"), 0);
    // Its object is free again.
    house.propose("INV-1", "again").await.unwrap();
    house.verify().await;
}

async fn a_pending_proposal_ends_after_seven_days_and_makes_room(engine: Engine) {
    let house = House::new(engine);
    let seen = house.propose("INV-1", "kind").await.unwrap();
    house.pass(7 * 24 * HOUR);
    assert_eq!(code(house.runtime.approve(&seen, &lead(), None).await), Code::ProposalExpired);
    assert_eq!(house.state(&seen).await, State::Expired);
    let second = house.propose("INV-2", "kind").await.unwrap();
    house.pass(7 * 24 * HOUR);
    let third = house.propose("INV-2", "other").await.unwrap();
    assert_ne!(second.proposal_id, third.proposal_id);
    assert_eq!(house.state(&second).await, State::Expired);
    house.verify().await;
}

async fn decisions_are_bound_to_hash_version_role_and_person(engine: Engine) {
    let house = House::new(engine);
    let seen = house.propose("INV-1", "kind").await.unwrap();
    let wrong = Seen { hash: format!("sha256:{}", "0".repeat(64)), ..seen.clone() };
    assert_eq!(code(house.runtime.approve(&wrong, &lead(), None).await), Code::ProposalHashMismatch);
    assert_eq!(
        code(house.runtime.approve(&Seen { version: 2, ..seen.clone() }, &lead(), None).await),
        Code::ProposalVersionMismatch
    );
    let nobody = Approver { roles: Vec::new(), ..lead() };
    assert_eq!(code(house.runtime.approve(&seen, &nobody, None).await), Code::RoleRequired);
    assert_eq!(code(house.runtime.reject(&seen, &nobody, "no".into()).await), Code::RoleRequired);
    let proposer = Approver { id: "support_agent".into(), ..lead() };
    assert_eq!(code(house.runtime.approve(&seen, &proposer, None).await), Code::SelfApproval);
    house.runtime.approve(&seen, &lead(), None).await.unwrap();
    assert_eq!(code(house.runtime.approve(&seen, &lead(), None).await), Code::ProposalNotPending);
    house.runtime.reject(&seen, &lead(), "second thoughts".into()).await.unwrap();
    assert_eq!(code(house.apply(&seen).await), Code::ProposalNotApproved);
    assert_eq!(code(house.runtime.cancel(&seen.proposal_id, &lead(), None, false).await), Code::ProposalNotCancelable);
    assert_eq!(house.workspace.executions("INV-1"), 0);
}

async fn a_lost_answer_is_unknown_and_then_the_truth(engine: Engine) {
    for landed in [true, false] {
        let (house, seen) = House::unsure(engine, landed).await;
        assert_eq!(house.state(&seen).await, State::OutcomeUnknown);
        assert_eq!(house.workspace.effects("INV-1"), i64::from(landed));
        // Nobody decides over an unknown outcome.
        assert_eq!(code(house.runtime.reject(&seen, &lead(), "no".into()).await), Code::AttemptInFlight);
        assert_eq!(code(house.runtime.approve(&seen, &lead(), None).await), Code::ProposalNotPending);
        let ending = house.apply(&seen).await.unwrap();
        assert_eq!(ending, if landed { Ending::AlreadyApplied } else { Ending::Applied });
        assert_eq!((house.workspace.effects("INV-1"), house.workspace.executions("INV-1")), (1, 1));
        house.verify().await;
    }
}

async fn canceling_an_unknown_outcome_finds_the_truth_or_forbids_it_for_ever(engine: Engine) {
    for landed in [true, false] {
        let (house, seen) = House::unsure(engine, landed).await;
        let record = house.runtime.cancel(&seen.proposal_id, &lead(), None, false).await.unwrap();
        assert_eq!(record.state, if landed { State::Applied } else { State::Canceled });
        let after = house.apply(&seen).await.unwrap();
        assert_eq!(after, if landed { Ending::AlreadyApplied } else { Ending::Canceled });
        // A delivery that was still on its way finds the key taken.
        let late = house.source.ran.lock().unwrap()[0].clone();
        let outcome = house.source.real.run(late, Some(house.runtime.ledger().redactor())).await.unwrap();
        assert!(matches!(outcome, Outcome::Stored(_)), "{outcome:?}");
        assert_eq!(house.workspace.effects("INV-1"), i64::from(landed));
        house.verify().await;
    }
}

async fn an_unknown_outcome_under_an_expired_approval_never_lands_later(engine: Engine) {
    for landed in [true, false] {
        let (house, seen) = House::unsure(engine, landed).await;
        house.pass(25 * HOUR);
        assert_eq!(house.apply(&seen).await.unwrap(), if landed { Ending::AlreadyApplied } else { Ending::Canceled });
        assert_eq!(house.workspace.effects("INV-1"), i64::from(landed));
        house.verify().await;
    }
}

async fn a_failure_before_any_effect_gives_the_proposal_back(engine: Engine) {
    let house = House::new(engine);
    house.workspace.sql(match engine {
        Engine::Sqlite => {
            "CREATE TRIGGER no BEFORE UPDATE ON invoices BEGIN SELECT raise(ABORT, 'secret text of the application'); END"
        }
        Engine::Postgres => {
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'secret text of the application'; END $$;
             CREATE TRIGGER no BEFORE UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION no()"
        }
    });
    let seen = house.approved("INV-1").await;
    let error = house.runtime.apply(&seen.proposal_id, &ApplyOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), Code::SourceRejected);
    assert!(!format!("{error:?} {}", serde_json::to_string(&error).unwrap()).contains("secret text"));
    let record = house.runtime.show(&seen.proposal_id).await.unwrap();
    assert_eq!((record.state, record.standing.attempt), (State::Approved, 1));
    assert_eq!(record.standing.last_error.as_deref(), Some("SOURCE_REJECTED"));
    house.workspace.sql(match engine {
        Engine::Sqlite => "DROP TRIGGER no",
        Engine::Postgres => "DROP TRIGGER no ON invoices",
    });
    assert_eq!(house.apply(&seen).await.unwrap(), Ending::Applied);
    assert_eq!(house.workspace.effects("INV-1"), 1);
    house.verify().await;
}

async fn an_attempt_in_flight_waits_unless_it_is_taken_over(engine: Engine) {
    let house = House::new(engine);
    let seen = house.approved("INV-1").await;
    let (one, two) = (house.apply(&seen), house.apply(&seen));
    let (one, two) = tokio::join!(one, two);
    let landed = [&one, &two].into_iter().filter(|ending| matches!(ending, Ok(Ending::Applied))).count();
    assert_eq!(landed, 1, "{one:?} {two:?}");
    assert_eq!((house.workspace.effects("INV-1"), house.workspace.executions("INV-1")), (1, 1));
}

async fn one_open_proposal_per_object(engine: Engine) {
    let house = House::new(engine);
    let first = house.propose("INV-1", "kind").await.unwrap();
    assert_eq!(house.propose("INV-1", "kind").await.unwrap(), first, "a retry answers the same proposal");
    assert_eq!(code(house.propose("INV-1", "other").await), Code::ProposalActive);
    let stranger = Caller::trusted("acme", "mallory");
    let arguments = r#"{"invoice_id":"INV-1","reason":"kind"}"#;
    let error = house.runtime.propose("billing.propose_late_fee_waiver", arguments, &stranger).await.unwrap_err();
    assert_eq!(error.code(), Code::ProposalActive);
    assert!(!format!("{error:?}").contains(&first.proposal_id), "another principal learns no id");
    house.workspace.sql("UPDATE invoices SET updated_at = '2026-07-01T00:00:00Z' WHERE id = 'INV-1'");
    let second = house.propose("INV-1", "kind").await.unwrap();
    assert_ne!(second.proposal_id, first.proposal_id);
    assert_eq!(house.state(&first).await, State::Canceled);
    let pending = Filter { state: Some(State::PendingReview), ..Filter::default() };
    let open = house.runtime.proposals(&pending, &PageRequest::default()).await.unwrap();
    assert_eq!(open.items.len(), 1);
    house.verify().await;
}

async fn shadow_and_read_only_contracts_never_write(engine: Engine) {
    let house = House::with(engine, &engine.contract().replace(r#""mode": "review""#, r#""mode": "shadow""#));
    let seen = house.propose("INV-1", "kind").await.unwrap();
    assert_eq!(code(house.runtime.approve(&seen, &lead(), None).await), Code::ShadowWritebackDisabled);
    assert_eq!(code(house.apply(&seen).await), Code::ShadowWritebackDisabled);
    house.propose("INV-1", "another view").await.unwrap();

    let contract: serde_json::Value = serde_json::from_str(&engine.contract()).unwrap();
    let mut read_only = contract;
    read_only["mode"] = "read_only".into();
    read_only.as_object_mut().unwrap().remove("executors");
    read_only["capabilities"].as_array_mut().unwrap().retain(|capability| capability.get("executor").is_none());
    let house = House::with(engine, &read_only.to_string());
    assert_eq!(code(house.propose("INV-1", "kind").await), Code::ProposalsDisabled);
    house.runtime.read("billing.inspect_invoice", r#"{"invoice_id":"INV-1"}"#, &Caller::FromContract).await.unwrap();
    assert_eq!(house.workspace.ask("SELECT count(*) FROM executions"), 0);
}

async fn a_retry_finds_its_proposal_whatever_the_row_holds(engine: Engine) {
    // Decimals and large integers are texts once they are stored: the same value all the same.
    for value in ["12.5", "9007199254740993", "1e300"] {
        let house = House::new(engine);
        house
            .workspace
            .sql(&format!("ALTER TABLE invoices ADD COLUMN refund NUMERIC; UPDATE invoices SET refund = {value};"));
        let contract = engine.contract().replace(
            r#""visible_columns": ["id", "status", "balance_cents", "late_fee_cents""#,
            r#""visible_columns": ["id", "refund", "status", "balance_cents", "late_fee_cents""#,
        );
        let (contract, _) = Contract::parse(&contract).unwrap();
        let ledger = library::ledger(&house.workspace.path(""), "decimal.db", &*house.clock);
        let runtime = Runtime::new(Some(contract), ledger).with_database("billing_db", house.source.clone());
        let caller = Caller::trusted("acme", "support_agent");
        let propose = |reason: &str| {
            let arguments = serde_json::json!({ "invoice_id": "INV-1", "reason": reason }).to_string();
            let (runtime, caller) = (runtime.clone(), caller.clone());
            async move { runtime.propose("billing.propose_late_fee_waiver", &arguments, &caller).await }
        };
        let first = propose("kind").await.unwrap();
        let again = propose("kind").await.unwrap();
        assert!(again.existing && again.change_set.proposal_id == first.change_set.proposal_id, "{value}");
        assert_eq!(code(propose("other").await), Code::ProposalActive, "{value}");
    }
}
