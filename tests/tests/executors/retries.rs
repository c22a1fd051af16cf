//! Asked to come back: the same key and the same body, each time as an attempt of its own.

use std::time::Duration;

use serde_json::Value;
use signoff::runtime::{ApplyOptions, Ending};

use super::house::{House, header};
use super::proxy::Fault;

fn answer(status: &str, code: &str) -> Fault {
    let body = format!(r#"{{"status":"failed","source_database_mutated":false,"safe_error_code":"{code}"}}"#);
    Fault::Instead(format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).leak())
}

#[test]
fn in_flight_and_busy_get_the_same_key_again() {
    let Some(house) = House::new(1) else { return };
    let id = house.approved("INV-1");
    // The first delivery commits; what is answered of it is that it is still running.
    house.proxy.queue(&[
        answer("409 Conflict", "IDEMPOTENCY_IN_FLIGHT"),
        answer("503 Busy", "SOURCE_BUSY"),
        Fault::Instead("HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"),
    ]);
    let applied = house.apply(&id).unwrap();
    assert_eq!((applied.ending, house.effects("INV-1").as_str()), (Ending::AlreadyApplied, "1"));
    let record = house.wait(house.runtime.show(&id)).unwrap();
    assert_eq!((record.standing.attempt, record.jobs.len()), (4, 4), "each attempt is in the ledger");
    let kinds: Vec<&str> = record.events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "proposal_pending_worker").count(), 4);

    let plain = |mut body: Value| {
        body.as_object_mut().unwrap().remove("issued_at");
        body
    };
    let sent = house.sent();
    assert_eq!(sent.len(), 4);
    for (head, body) in &sent[1..] {
        let (first_head, first) = &sent[0];
        assert_eq!(plain(body.clone()), plain(first.clone()));
        assert_eq!(header(head, "idempotency-key"), header(first_head, "idempotency-key"));
        assert_ne!(body["issued_at"], first["issued_at"]);
        for renewed in ["webhook-signature", "x-synapsor-signature", "x-synapsor-issued-at"] {
            assert_ne!(header(head, renewed), header(first_head, renewed), "{renewed}");
        }
    }
}

#[test]
fn patience_ends_and_says_what_is_known() {
    let Some(house) = House::new(3) else { return };
    let mut options = ApplyOptions::default();
    options.retry_for = Duration::from_millis(250);
    let apply = |id: &str| house.wait(house.runtime.apply(id, &options));
    // Somebody may be writing under this key.
    let id = house.approved("INV-1");
    house.proxy.set(answer("409 Conflict", "IDEMPOTENCY_IN_FLIGHT"));
    assert_eq!(apply(&id).unwrap().ending, Ending::Unknown);
    assert_eq!(house.state(&id), "outcome_unknown");
    // Nobody is.
    let id = house.approved("INV-2");
    house.proxy.set(answer("503 Busy", "SOURCE_BUSY"));
    let error = apply(&id).unwrap_err();
    assert_eq!((error.code().as_str(), house.state(&id).as_str()), ("EXECUTOR_BUSY", "approved"));
    // Once it was not known, busy does not make it known.
    let id = house.approved("INV-3");
    house.proxy.queue(&[answer("503 Busy", "OUTCOME_UNKNOWN")]);
    assert_eq!(apply(&id).unwrap().ending, Ending::Unknown);
    house.proxy.set(Fault::None);
    assert_eq!(apply(&id).unwrap().ending, Ending::AlreadyApplied);
    // An unknown answer ends an apply at once: one attempt, one request.
    assert!(house.sent().len() >= 6);
}
