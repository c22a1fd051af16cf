//! What the outcome is when the answer tells, and when it does not.

use serde_json::Value;
use signoff::protocol::State;
use signoff::runtime::{ApplyOptions, Ending};
use signoff_tests::rounds;

use super::house::{House, header, instant};
use super::proxy::Fault;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ";

#[test]
fn propose_approve_apply_applied_already_applied_replay() {
    let Some(house) = House::new(1) else { return };
    let id = house.approved("INV-1");
    let applied = house.apply(&id).unwrap();
    assert_eq!((applied.ending, house.effects("INV-1").as_str()), (Ending::Applied, "1"));
    let receipt = applied.receipt.unwrap();
    assert_eq!((receipt.receipt.rows_affected, receipt.receipt.source_database_mutated), (1, true));
    receipt.receipt.verify_hash().unwrap();
    // In the ledger it is answered from there: nothing is sent again.
    assert_eq!(house.apply(&id).unwrap().ending, Ending::AlreadyApplied);
    assert_eq!(house.sent().len(), 1);
    let replay = house.wait(house.runtime.replay(&id)).unwrap();
    let kinds: Vec<&str> = replay.events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["proposal_created", "proposal_approved", "proposal_pending_worker", "writeback_applied"]);
    assert_eq!((replay.state, replay.receipts.len(), replay.writeback_jobs.len()), (State::Applied, 1, 1));

    let (head, body) = house.sent().remove(0);
    let record = house.wait(house.runtime.show(&id)).unwrap();
    let change: Value = serde_json::from_str(&record.document).unwrap();
    for member in ["action", "before", "patch", "after", "guards", "principal", "evidence", "source"] {
        assert_eq!(body[member], change[member], "{member}");
    }
    let mut wrapped = body["change_set"].clone();
    assert_eq!(wrapped.as_object_mut().unwrap().remove("target"), Some(body["target"].clone()));
    assert_eq!(wrapped, change, "the change set stays as it was hashed");
    assert_eq!(body["approval"]["approver"], "dana");
    assert_eq!(
        (body["approval"]["status"].as_str(), body["approval"]["role"].as_str()),
        (Some("approved"), Some("billing_lead"))
    );
    assert_eq!((body["audience"].as_str(), body["dry_run"].as_bool()), (Some("billing-app"), Some(false)));
    assert_eq!(body["writeback_job_id"], format!("hwb_{id}"));
    assert_eq!(header(&head, "idempotency-key").as_deref(), body["idempotency_key"].as_str());
    assert_eq!(header(&head, "webhook-id").as_deref(), body["idempotency_key"].as_str());
    assert_eq!(header(&head, "x-synapsor-issued-at").as_deref(), body["issued_at"].as_str());
    assert!(header(&head, "x-synapsor-signature").unwrap().starts_with("sha256="));
    assert!(head.starts_with("POST /signoff/writeback HTTP/1.1"), "{head}");
    let schema: Value =
        serde_json::from_str(include_str!("../../../schemas/synapsor.app-handler-request.v1.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let wrong: Vec<String> = validator.iter_errors(&body).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Every way in which an answer can go missing after the handler committed: unknown, then the truth, and one effect.
#[test]
fn a_lost_answer_is_unknown_and_then_the_truth() {
    let other = |body: &str| -> &'static str { format!("{OK}{}\r\n\r\n{body}", body.len()).leak() };
    let faults = [
        ("late", Fault::Late),
        ("dropped", Fault::Dropped),
        ("cut", Fault::Cut),
        ("endless", Fault::Endless),
        ("500", Fault::Instead("HTTP/1.1 500 Oops\r\ncontent-length: 4\r\n\r\noops")),
        ("502", Fault::Instead("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")),
        (
            "redirect",
            Fault::Instead(
                "HTTP/1.1 307 Temporary Redirect\r\nlocation: /signoff/writeback\r\ncontent-length: 0\r\n\r\n",
            ),
        ),
        ("408", Fault::Instead("HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")),
        ("no content", Fault::Instead("HTTP/1.1 204 No Content\r\n\r\n")),
        ("no HTTP", Fault::Instead("hello there, this is no HTTP\r\n\r\n")),
        ("garbage", Fault::Instead(other("<html>applied</html>"))),
        ("duplicate keys", Fault::Instead(other(r#"{"status":"failed","status":"applied"}"#))),
        ("wrong types", Fault::Instead(other(r#"{"status":"applied","rows_affected":"1"}"#))),
        ("another's", Fault::Instead(other(r#"{"status":"applied","proposal_id":"wrp_other"}"#))),
        (
            "deep",
            Fault::Instead(other(&format!(r#"{{"status":"applied","x":{}{}}}"#, "[".repeat(100), "]".repeat(100)))),
        ),
    ];
    let each = rounds(2, 200);
    let Some(house) = House::with(each * 15, |executor| executor["timeout_ms"] = 400.into()) else { return };
    let mut invoices = (1..).map(|number| format!("INV-{number}"));
    let mut before = None;
    for (name, fault) in faults {
        for round in 0..each {
            let invoice = invoices.next().unwrap();
            let id = house.approved(&invoice);
            house.proxy.set(fault);
            let applied = house.apply(&id).unwrap();
            assert_eq!(applied.ending, Ending::Unknown, "{name}, round {round}");
            assert!(applied.cause.is_some_and(|cause| !cause.is_empty()), "{name}");
            assert_eq!(house.state(&id), "outcome_unknown", "{name}");
            house.proxy.set(Fault::None);
            let again = house.apply(&id).unwrap();
            assert_eq!(
                (again.ending, house.state(&id).as_str()),
                (Ending::AlreadyApplied, "applied"),
                "{name}, round {round}"
            );
            assert_eq!(house.effects(&invoice), "1", "{name}, round {round}");
            // Two attempts, and not one request more: nothing is followed, nothing is retried behind our back.
            let sent = house.proxy.requests.lock().unwrap().drain(..).count();
            assert_eq!(sent, 2, "{name}, round {round}");
        }
        let now = resident();
        // What stays is counted from the second fault on, when everything that is kept for good has been made.
        let start = *before.get_or_insert(now);
        assert!(now < start + 48 * 1024, "{name}: {start} KiB before, {now} KiB after");
    }
    assert_eq!(house.app.effects(), usize::try_from(each).unwrap() * 15);
}

/// This process's memory, in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Two answers at once: the second is nobody's, above all not the next proposal's.
#[test]
fn an_answer_that_nobody_asked_for_is_never_taken_for_another() {
    let Some(house) = House::new(6) else { return };
    for number in 1..=3 {
        house.proxy.set(Fault::Doubled);
        let first = house.approved(&format!("INV-{number}"));
        assert_eq!(house.apply(&first).unwrap().ending, Ending::Applied);
        house.proxy.set(Fault::Late);
        let second = house.approved(&format!("INV-{}", number + 3));
        // It waits for an answer of its own: the one left over would have said `applied`.
        assert_eq!(house.apply(&second).unwrap().ending, Ending::Unknown);
        house.proxy.set(Fault::None);
        assert_eq!(house.apply(&second).unwrap().ending, Ending::AlreadyApplied);
    }
    assert_eq!(house.app.effects(), 6);
}

#[test]
fn what_tells_of_one_attempt_does_not_resolve_another() {
    let Some(house) = House::new(4) else { return };
    let turned = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
    let refused = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    let failed: &'static str = {
        let body = r#"{"status":"failed","source_database_mutated":false,"safe_error_code":"DEADLOCK"}"#;
        format!("HTTP/1.1 500 Oops\r\ncontent-length: {}\r\n\r\n{body}", body.len()).leak()
    };
    // At the first attempt each is believed of it.
    let id = house.approved("INV-1");
    for (answer, code, last) in
        [(turned, "EXECUTOR_REFUSED", "EXECUTOR_REFUSED"), (failed, "EXECUTOR_FAILED", "DEADLOCK")]
    {
        house.proxy.set(Fault::Instead(answer));
        let error = house.apply(&id).unwrap_err();
        assert_eq!((error.code().as_str(), house.state(&id).as_str()), (code, "approved"));
        let standing = house.wait(house.runtime.show(&id)).unwrap().standing;
        assert_eq!(standing.last_error.as_deref(), Some(last));
    }
    house.proxy.set(Fault::Instead(refused));
    let ended = house.apply(&id).unwrap();
    assert_eq!((ended.ending, house.state(&id).as_str()), (Ending::Failed, "failed"));
    assert_eq!(ended.receipt.unwrap().receipt.safe_error_code.as_deref(), Some("HANDLER_HTTP_400"));
    // It lied: it had landed. That is what the handler's word is worth; ours says what it said.
    assert_eq!(house.effects("INV-1"), "1");

    // After a lost one none of them resolves it.
    let id = house.approved("INV-2");
    house.proxy.set(Fault::Dropped);
    assert_eq!(house.apply(&id).unwrap().ending, Ending::Unknown);
    for answer in [turned, failed, refused] {
        house.proxy.set(Fault::Instead(answer));
        assert_eq!(house.apply(&id).unwrap().ending, Ending::Unknown);
        assert_eq!(house.state(&id), "outcome_unknown");
    }
    // Nor does an address where nobody listens.
    let url = house.variables.lock().unwrap()["BILLING_APP_HANDLER_URL"].clone();
    house.set("BILLING_APP_HANDLER_URL", "http://127.0.0.1:9/");
    assert_eq!(house.apply(&id).unwrap().ending, Ending::Unknown);
    house.set("BILLING_APP_HANDLER_URL", &url);
    house.proxy.set(Fault::None);
    assert_eq!(house.apply(&id).unwrap().ending, Ending::AlreadyApplied);
    assert_eq!(house.effects("INV-2"), "1");

    // Never sent is released, whatever comes later.
    let id = house.approved("INV-3");
    house.set("BILLING_APP_HANDLER_URL", "http://127.0.0.1:9/");
    let error = house.apply(&id).unwrap_err();
    assert_eq!(
        (error.code().as_str(), error.retryable(), house.state(&id).as_str()),
        ("EXECUTOR_UNREACHABLE", true, "approved")
    );
    assert_eq!(house.effects("INV-3"), "0");
    house.set("BILLING_APP_HANDLER_URL", &url);
    assert_eq!(house.apply(&id).unwrap().ending, Ending::Applied);
}

#[test]
fn an_unknown_outcome_is_not_canceled_where_no_tombstone_can_be() {
    let Some(house) = House::new(1) else { return };
    let id = house.approved("INV-1");
    house.proxy.set(Fault::Late);
    assert_eq!(house.apply(&id).unwrap().ending, Ending::Unknown);
    let dana = signoff::runtime::Approver { id: "dana".to_owned(), roles: vec![], asserted: false };
    let error = house.wait(house.runtime.cancel(&id, &dana, None, true)).unwrap_err();
    assert_eq!((error.code().as_str(), house.state(&id).as_str()), ("ATTEMPT_IN_FLIGHT", "outcome_unknown"));
    house.proxy.set(Fault::None);
    assert_eq!(house.apply(&id).unwrap().ending, Ending::AlreadyApplied);
}

#[test]
fn a_conflict_is_the_handlers_word_and_a_dry_run_sends_nothing() {
    let Some(house) = House::new(2) else { return };
    let id = house.approved("INV-1");
    let rehearsal = || house.wait(house.runtime.apply(&id, &ApplyOptions::rehearsal())).unwrap().ending;
    assert_eq!(rehearsal(), Ending::WouldApply);
    house.app.shop.sql("ALTER TABLE invoices DISABLE TRIGGER keep_version; UPDATE invoices SET updated_at = updated_at + interval '1 microsecond' WHERE id = 'INV-1'; ALTER TABLE invoices ENABLE TRIGGER keep_version");
    assert!(matches!(rehearsal(), Ending::WouldConflict(code, _) if code.as_str() == "VERSION_CONFLICT"));
    assert_eq!((house.state(&id).as_str(), house.sent().len()), ("approved", 0), "a dry run is no attempt");
    let ended = house.apply(&id).unwrap();
    assert_eq!((ended.ending, house.state(&id).as_str()), (Ending::Conflict, "conflict"));
    assert_eq!(ended.receipt.unwrap().receipt.safe_error_code.as_deref(), Some("VERSION_CONFLICT"));
    assert_eq!(house.app.effects(), 0);
    // Another column than the version.
    let id = house.approved("INV-2");
    house.app.shop.sql("UPDATE invoices SET credit_reason = 'x' WHERE id = 'INV-2'");
    let ending = house.wait(house.runtime.apply(&id, &ApplyOptions::rehearsal())).unwrap().ending;
    assert!(
        matches!(ending, Ending::WouldConflict(code, Some(column)) if code.as_str() == "ROW_CHANGED_AFTER_PROPOSAL" && column.as_str() == "credit_reason")
    );
}

#[test]
fn a_handler_that_honours_a_dry_run_is_asked() {
    let Some(house) = House::with(1, |executor| executor["signoff"]["dry_run"] = true.into()) else { return };
    let id = house.approved("INV-1");
    let ending = house.wait(house.runtime.apply(&id, &ApplyOptions::rehearsal())).unwrap().ending;
    assert_eq!((ending, house.sent().len(), house.app.effects()), (Ending::WouldApply, 1, 0));
    let (_, body) = house.sent().remove(0);
    assert_eq!(body["dry_run"], true);
    assert_eq!(house.state(&id), "approved");
    assert!(house.app.receipts().is_empty());
    assert_eq!(house.apply(&id).unwrap().ending, Ending::Applied);
    assert!(instant(&body["issued_at"]).unix() > 0);
}
