//! Who may begin an attempt, and when: leases that hold, lapse and are renewed, approvals that run out, rows that another
//! change got to first. Time is a clock in the test's hand.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use signoff::Runtime;
use signoff::ledger::Ledger as _;
use signoff::primitives::{Clock, Instant, SystemClock, SystemIds};
use signoff::runtime::{ApplyOptions, Approver, Ending, Report, Seen, Worker, WorkerOptions};
use signoff_tests::library::block;

use super::house::{CREDIT, House, SECOND, contract_with};
use super::proxy::Fault;

#[derive(Debug)]
struct Moved(Mutex<Instant>);

impl Moved {
    fn of(house: &House) -> (Arc<Self>, Runtime) {
        let clock = Arc::new(Self(Mutex::new(SystemClock.now())));
        let runtime = house.runtime.clone().with_clock(clock.clone(), Arc::new(SystemIds));
        (clock, runtime)
    }

    fn forward(&self, seconds: u64) {
        let mut now = self.0.lock().unwrap();
        *now = now.plus(Duration::from_secs(seconds));
    }
}

impl Clock for Moved {
    fn now(&self) -> Instant {
        *self.0.lock().unwrap()
    }
}

/// Its lease holds as briefly as one can.
fn briefly(resume: bool) -> ApplyOptions {
    let mut options = ApplyOptions::default();
    (options.resume, options.lease) = (resume, Duration::from_secs(15));
    options
}

fn dana() -> Approver {
    Approver { id: "dana".to_owned(), roles: vec!["billing_lead".to_owned()], asserted: false }
}

/// Two capabilities for the same rows.
fn two(contract: &mut Value) {
    let capabilities = contract["capabilities"].as_array_mut().unwrap();
    let mut second = capabilities.iter().find(|capability| capability["name"] == CREDIT).unwrap().clone();
    second["name"] = SECOND.into();
    capabilities.push(second);
}

#[test]
fn of_two_changes_on_one_version_the_second_is_not_sent() {
    let Some(house) = House::of(3, &contract_with(two)) else { return };
    let asked = |invoice: &str| json!({ "invoice_id": invoice, "amount_cents": 500, "reason": "a courtesy" });
    // Nothing of the row shows it, or only a column that the handler does not compare: it would book a second credit.
    for (invoice, elsewhere) in [("INV-1", ""), ("INV-2", "UPDATE invoices SET status = 'paid' WHERE id = 'INV-2'")] {
        let first = house.approved(invoice);
        let second = house.approved_as(SECOND, &asked(invoice));
        assert_eq!(house.apply(&first).unwrap().ending, Ending::Applied);
        house.app.shop.sql(elsewhere);
        let sent = house.sent().len();
        let error = house.apply(&second).unwrap_err();
        assert_eq!((error.code().as_str(), error.retryable()), ("VERSION_CONFLICT", false), "{invoice}");
        let record = house.wait(house.runtime.show(&second)).unwrap();
        assert_eq!(
            (record.state.as_str(), record.standing.last_error.as_deref()),
            ("approved", Some("VERSION_CONFLICT"))
        );
        assert_eq!((house.sent().len(), house.effects(invoice).as_str()), (sent, "1"), "{invoice}");
    }
    // The version moved: the application's own guard sees that, and what it says is kept there and here.
    let first = house.approved("INV-3");
    let second = house.approved_as(SECOND, &asked("INV-3"));
    assert_eq!(house.apply(&first).unwrap().ending, Ending::Applied);
    house.app.shop.sql("ALTER TABLE invoices DISABLE TRIGGER keep_version; UPDATE invoices SET updated_at = updated_at + interval '1 microsecond' WHERE id = 'INV-3'");
    let ended = house.apply(&second).unwrap();
    assert_eq!((ended.ending, house.state(&second).as_str()), (Ending::Conflict, "conflict"));
    assert_eq!(ended.receipt.unwrap().receipt.safe_error_code.as_deref(), Some("VERSION_CONFLICT"));
    assert_eq!(house.effects("INV-3"), "1");
    assert_eq!(house.app.receipts().iter().filter(|receipt| receipt.ends_with("|conflict")).count(), 1);
}

/// The approval was judged when the first attempt began; what is unknown is resolved under it, however late.
#[test]
fn an_unknown_attempt_is_resolved_after_its_approval_ran_out() {
    let brief = |contract: &mut Value| contract["signoff"] = json!({ "approval_ttl": "60s" });
    let Some(house) = House::of(3, &contract_with(brief)) else { return };
    for (invoice, fault, landed, again) in
        [("INV-1", Fault::Dropped, "1", Ending::AlreadyApplied), ("INV-2", Fault::Swallowed, "0", Ending::Applied)]
    {
        let (clock, runtime) = Moved::of(&house);
        let id = house.approved(invoice);
        house.proxy.queue(&[fault]);
        let apply = || house.wait(runtime.apply(&id, &ApplyOptions::default()));
        assert_eq!(apply().unwrap().ending, Ending::Unknown);
        assert_eq!(house.effects(invoice), landed);
        clock.forward(120);
        // It may have landed: nobody can say any more that it shall not.
        let canceled = house.wait(runtime.cancel(&id, &dana(), None, true)).unwrap_err();
        let expired = house.wait(runtime.expire(&id)).map_err(|error| error.code().as_str());
        assert_eq!((canceled.code().as_str(), canceled.retryable()), ("ATTEMPT_IN_FLIGHT", true));
        assert_eq!(expired, Err("ATTEMPT_IN_FLIGHT"));
        let record = house.wait(runtime.show(&id)).unwrap();
        let seen = Seen { proposal_id: id.clone(), hash: record.hash().to_owned(), version: 1 };
        let rejected = house.wait(runtime.reject(&seen, &dana(), "no".to_owned())).unwrap_err();
        assert_eq!(rejected.code().as_str(), "ATTEMPT_IN_FLIGHT");
        assert_eq!(house.state(&id), "outcome_unknown");
        let first = house.sent().pop().unwrap().1;
        assert_eq!(apply().unwrap().ending, again);
        let resent = house.sent().pop().unwrap().1;
        assert_eq!((&resent["idempotency_key"], &resent["patch"]), (&first["idempotency_key"], &first["patch"]));
        assert_eq!((house.state(&id).as_str(), house.effects(invoice).as_str()), ("applied", "1"));
    }
    // Where nothing was begun the approval is over.
    let (clock, runtime) = Moved::of(&house);
    let id = house.approved("INV-3");
    let sent = house.sent().len();
    clock.forward(120);
    let error = house.wait(runtime.apply(&id, &ApplyOptions::default())).unwrap_err();
    assert_eq!((error.code().as_str(), house.state(&id).as_str()), ("APPROVAL_EXPIRED", "expired"));
    assert_eq!((house.sent().len(), house.effects("INV-3").as_str()), (sent, "0"));
}

#[test]
fn a_live_lease_over_http_is_not_taken_over_and_a_lapsed_one_is() {
    let Some(house) = House::with(1, |executor| executor["timeout_ms"] = 30_000.into()) else { return };
    let (clock, runtime) = Moved::of(&house);
    let id = house.approved("INV-1");
    house.proxy.queue(&[Fault::Held]);
    let attempt = house.app.shop.spawn({
        let (runtime, id) = (runtime.clone(), id.clone());
        async move { runtime.apply(&id, &briefly(false)).await }
    });
    while house.effects("INV-1") == "0" {}
    let refused = |why: &str| {
        for resume in [false, true] {
            let error = house.wait(runtime.apply(&id, &briefly(resume))).unwrap_err();
            assert_eq!((error.code().as_str(), error.retryable()), ("ATTEMPT_IN_FLIGHT", true), "{why}");
            let error = house.wait(runtime.cancel(&id, &dana(), None, resume)).unwrap_err();
            assert_eq!(error.code().as_str(), "ATTEMPT_IN_FLIGHT", "{why}");
        }
        assert_eq!(house.sent().len(), 1, "{why}");
    };
    refused("it began just now");
    // Its lease is longer than an attempt may take, whatever was asked for.
    clock.forward(44);
    refused("a second is left");
    clock.forward(1);
    let error = house.wait(runtime.cancel(&id, &dana(), None, true)).unwrap_err();
    assert_eq!(error.code().as_str(), "ATTEMPT_IN_FLIGHT", "no tombstone there");
    let taken = house.wait(runtime.apply(&id, &briefly(true))).unwrap();
    assert_eq!((taken.ending, taken.record.standing.attempt), (Ending::AlreadyApplied, 2));
    // The first hears that it had landed, and records nothing of it.
    let events = house.wait(house.ledger.size()).unwrap();
    house.proxy.gate.add_permits(1);
    let first = house.wait(attempt).unwrap().unwrap();
    assert_eq!(first.ending, Ending::AlreadyApplied);
    assert_eq!(house.wait(house.ledger.size()).unwrap(), events);
    assert_eq!((house.effects("INV-1").as_str(), first.record.receipts.len()), ("1", 1));
}

#[test]
fn a_live_lease_of_a_command_is_not_taken_over_and_a_lapsed_one_is() {
    let command = |contract: &mut Value| {
        contract["executors"]["billing_app_handler"] =
            json!({ "type": "command_handler", "command_env": "APP_COMMAND", "timeout_ms": 60_000 });
    };
    let Some(house) = House::of(1, &contract_with(command)) else { return };
    let (clock, runtime) = Moved::of(&house);
    let path = |name: &str| house.folder.path().join(name);
    let answer = r#"echo '{"status":"applied"}'"#;
    let (begun, go) = (path("begun"), path("go"));
    let script =
        format!("echo >> '{}'; until [ -e '{}' ]; do sleep 0.02; done; {answer}", begun.display(), go.display());
    std::fs::write(path("script"), script).unwrap();
    house.set("APP_COMMAND", &format!("/bin/sh '{}'", path("script").display()));
    let id = house.approved("INV-1");
    let attempt = house.app.shop.spawn({
        let (runtime, id) = (runtime.clone(), id.clone());
        async move { runtime.apply(&id, &briefly(false)).await }
    });
    while !begun.exists() {
        std::thread::yield_now();
    }
    for seconds in [0, 74] {
        clock.forward(seconds);
        let error = house.wait(runtime.apply(&id, &briefly(true))).unwrap_err();
        assert_eq!((error.code().as_str(), error.retryable()), ("ATTEMPT_IN_FLIGHT", true), "{seconds}");
    }
    clock.forward(1);
    std::fs::write(path("script"), answer.replace("applied", "already_applied")).unwrap();
    let taken = house.wait(runtime.apply(&id, &briefly(true))).unwrap();
    assert_eq!((taken.ending, taken.record.standing.attempt), (Ending::AlreadyApplied, 2));
    let events = house.wait(house.ledger.size()).unwrap();
    std::fs::write(go, "").unwrap();
    assert_eq!(house.wait(attempt).unwrap().unwrap().ending, Ending::AlreadyApplied);
    assert_eq!(house.wait(house.ledger.size()).unwrap(), events, "what came late is not recorded");
    assert_eq!(std::fs::read(begun).unwrap().len(), 1);
}

/// Slow, and within its deadline: for as long as it runs nobody else begins, however long that is.
#[test]
fn a_long_attempt_over_http_renews_its_lease() {
    let Some(house) = House::with(1, |executor| executor["timeout_ms"] = 600_000.into()) else { return };
    let (clock, runtime) = Moved::of(&house);
    let id = house.approved("INV-1");
    house.proxy.queue(&[Fault::Held]);
    block(async {
        let attempt = tokio::spawn({
            let (runtime, id) = (runtime.clone(), id.clone());
            async move { runtime.apply(&id, &briefly(false)).await }
        });
        while house.proxy.requests.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        // From here on timers move when they are told to: while something blocks, tokio does not move them by itself.
        let (resume, resumed) = std::sync::mpsc::channel::<()>();
        let blocked = tokio::task::spawn_blocking(move || resumed.recv());
        tokio::time::pause();
        let began = house.ledger.load(&id).await.unwrap().standing.lease_expires_at.unwrap();
        for _ in 0..2 {
            // What renewed has been answered before we were: it sets its next timer before time moves.
            for _ in 0..256 {
                tokio::task::yield_now().await;
            }
            clock.forward(400);
            let expected = clock.now().plus(Duration::from_secs(615));
            tokio::time::advance(Duration::from_secs(206)).await;
            let mut turns = 0;
            while house.ledger.load(&id).await.unwrap().standing.lease_expires_at != Some(expected) {
                turns += 1;
                assert!(turns < 10_000, "it is not renewed");
                tokio::time::advance(Duration::from_millis(1)).await;
            }
        }
        tokio::time::resume();
        drop(resume);
        blocked.await.unwrap().unwrap_err();
        assert!(clock.now() > began, "without renewals it would be over");
        assert!(!attempt.is_finished());
        let error = runtime.apply(&id, &briefly(true)).await.unwrap_err();
        assert_eq!(error.code().as_str(), "ATTEMPT_IN_FLIGHT");
        let mut options = WorkerOptions::default();
        options.once = true;
        let mut heard = Vec::new();
        let worker = Worker::new(runtime.clone(), options).unwrap();
        worker.run(std::future::pending(), |report: Report| heard.push(format!("{report:?}"))).await.unwrap();
        assert!(heard.iter().all(|report| !report.starts_with("Begun")), "{heard:?}");
        house.proxy.gate.add_permits(1);
        let ended = attempt.await.unwrap().unwrap();
        assert_eq!((ended.ending, ended.record.standing.attempt), (Ending::Applied, 1));
        let renewed = ended.record.events.iter().filter(|event| event.kind == "writeback_lease_renewed").count();
        assert!(renewed >= 2, "{renewed}");
    });
    assert_eq!((house.sent().len(), house.effects("INV-1").as_str()), (1, "1"));
}
