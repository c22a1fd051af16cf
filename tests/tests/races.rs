//! Everything at once: many hands on one proposal, two ledgers on one source, two changes to one row.

use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use signoff::Code;
use signoff::ledger::{Advance, Decision, Ledger, ProposalRecord, Standing};
use signoff::primitives::{Clock, Instant};
use signoff::protocol::{Event, State};
use signoff::runtime::{Approver, Caller, Seen};
use signoff_tests::library::{self, block, count, ledger, runtime, texts};
use signoff_tests::{Engine, Workspace, binary, on_each_engine, rounds};

on_each_engine!(
    fifty_applies_of_one_proposal_land_once,
    two_copies_of_a_ledger_make_one_effect,
    sixteen_processes_propose_into_one_ledger,
    of_two_actions_on_one_row_version_the_second_conflicts,
    of_two_actions_at_once_one_lands,
    while_one_change_is_in_flight_another_to_the_row_waits,
    a_row_hash_guards_a_row_without_a_version,
);

fn hammer(workspace: &Workspace, all: &[Vec<String>]) -> Vec<Vec<Value>> {
    library::hammer(workspace, env!("CARGO_BIN_EXE_hammer").as_ref(), &workspace.source.address(), all)
}

fn verify(workspace: &Workspace, ledger: &str) {
    workspace.run(["--store", ledger, "store", "verify"]).expect(0);
}

/// Copies a ledger that nobody has open, with its key.
fn copy_ledger(workspace: &Workspace, from: &str, to: &str) {
    for ending in ["db", "key"] {
        std::fs::copy(workspace.path(&format!("{from}.{ending}")), workspace.path(&format!("{to}.{ending}")))
            .expect("a copy");
    }
    let log = workspace.path(&format!("{from}.db-wal"));
    assert!(!log.exists(), "somebody has the ledger open");
}

fn fifty_applies_of_one_proposal_land_once(engine: Engine) {
    let rounds = rounds(4, 40);
    let workspace = Workspace::with_invoices_on(engine, rounds);
    for n in 1..=rounds {
        let invoice = format!("INV-{n}");
        let id = workspace.approved(&invoice, "we were late");
        let own = texts(["apply", "ledger.db", &id, "25", "own"]);
        let shared = texts(["apply", "ledger.db", &id, "25", "shared"]);
        let answers = hammer(&workspace, &[own, shared]).concat();
        assert_eq!(answers.len(), 50);
        assert_eq!(count(&answers, "applied"), 1, "{answers:?}");
        let others = count(&answers, "already_applied") + count(&answers, "ATTEMPT_IN_FLIGHT");
        assert_eq!(others, 49, "{answers:?}");
        assert_eq!((workspace.effects(&invoice), workspace.executions(&invoice)), (1, 1));
        assert_eq!(workspace.state(&id), "applied");
    }
    verify(&workspace, "ledger.db");
}

/// The demo's invoices have no trigger that advances `updated_at`: only the receipt in the source can tell.
fn two_copies_of_a_ledger_make_one_effect(engine: Engine) {
    let rounds = rounds(4, 40);
    let workspace = Workspace::with_invoices_on(engine, rounds);
    for n in 1..=rounds {
        let invoice = format!("INV-{n}");
        let id = workspace.approved(&invoice, "we were late");
        copy_ledger(&workspace, "ledger", "copy");
        copy_ledger(&workspace, "ledger", "older");
        let both = ["ledger.db", "copy.db"].map(|name| texts(["apply", name, &id, "1", "own"]));
        let answers = hammer(&workspace, &both).concat();
        assert_eq!((count(&answers, "applied"), count(&answers, "already_applied")), (1, 1), "{answers:?}");
        let version =
            format!("SELECT count(*) FROM invoices WHERE id = '{invoice}' AND updated_at = '2026-06-20T14:31:08Z'");
        assert_eq!(workspace.ask(&version), 1, "the version never advances here");

        let restored = workspace.json(["--store", "older.db", "apply", &id]).expect(0).json();
        assert_eq!(
            (restored["status"].as_str(), restored["state"].as_str()),
            (Some("already_applied"), Some("applied"))
        );
        assert_eq!(restored["source_database_mutated"], json!(false));
        for name in ["ledger.db", "copy.db", "older.db"] {
            let shown = workspace.json(["--store", name, "proposals", "show", &id]).expect(0).json();
            assert_eq!(shown["state"], "applied", "{name}");
            verify(&workspace, name);
        }
        assert_eq!((workspace.effects(&invoice), workspace.executions(&invoice)), (1, 1));
    }
}

fn sixteen_processes_propose_into_one_ledger(engine: Engine) {
    let workspace = Workspace::with_invoices_on(engine, 850);
    assert!(!workspace.path("fresh.db").exists(), "they race to make it, and its key, too");
    let distinct: Vec<_> = (0..16).map(|n| texts(["propose", "fresh.db", &(1 + 50 * n).to_string(), "50"])).collect();
    let answers = hammer(&workspace, &distinct).concat();
    assert_eq!(answers.len(), 800);
    let new: Vec<_> = answers.iter().filter(|answer| answer["existing"] == json!(false)).collect();
    assert_eq!(new.len(), 800, "{:?}", answers.iter().find(|answer| answer["existing"] != json!(false)));

    let same = vec![texts(["propose", "fresh.db", "801", "50"]); 16];
    let answers = hammer(&workspace, &same).concat();
    assert_eq!(answers.len(), 800);
    for invoice in 801..=850 {
        let of: Vec<_> = answers.iter().filter(|answer| answer["invoice"] == json!(invoice)).collect();
        assert_eq!(of.len(), 16);
        assert_eq!(of.iter().filter(|answer| answer["existing"] == json!(false)).count(), 1, "{of:?}");
        assert!(of.iter().all(|answer| answer["id"].is_string() && answer["id"] == of[0]["id"]), "{of:?}");
    }
    let ledger = workspace.intruder("fresh.db");
    let number = |sql: &str| ledger.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
    assert_eq!(number("SELECT count(*) FROM proposals"), 850);
    assert_eq!(number("SELECT count(DISTINCT json_extract(document, '$.scope.object_id')) FROM proposals"), 850);
    assert_eq!(number("SELECT count(*) FROM events"), 850, "one step each, and an answer that was there is no step");
    drop(ledger);
    verify(&workspace, "fresh.db");
}

/// A clock that stands still.
#[derive(Debug)]
struct Still(Instant);

impl Clock for Still {
    fn now(&self) -> Instant {
        self.0
    }
}

const ACTS: [Event; 4] = [Event::Approve, Event::Reject, Event::Cancel, Event::Expire];

fn lead() -> Approver {
    Approver { id: "dana".to_owned(), roles: vec!["billing_lead".to_owned()], asserted: true }
}

fn decision(record: &ProposalRecord, word: &str, at: Instant) -> Decision {
    let lead = lead();
    Decision {
        proposal_id: record.id().to_owned(),
        proposal_version: record.change_set.proposal_version,
        proposal_hash: record.hash().to_owned(),
        authority: record.facts.authority,
        decision: word.to_owned(),
        approver: lead.id,
        roles: lead.roles,
        asserted: true,
        reason: None,
        decided_at: at,
        expires_at: None,
        nonce: word.to_owned(),
    }
}

fn word(event: Event) -> &'static str {
    match event {
        Event::Approve => "approved",
        Event::Reject => "rejected",
        Event::Cancel => "canceled",
        _ => "expired",
    }
}

/// Runs `act` on every invoice's proposal from four threads at once, one event each, and hands what they answered to
/// `check` with the proposal before and after. Every thread has a ledger handle of its own. In odd rounds all clocks say
/// that the time is over at this very instant; in even ones only the expiring thread's does, and the others' are a second
/// behind, so that an approval may win.
fn four_hands<T: Send>(
    act: impl Fn(&signoff::Runtime, &Arc<signoff::ledger::SqliteLedger>, Event, &ProposalRecord) -> T + Sync,
    check: impl Fn(u32, &ProposalRecord, &ProposalRecord, Vec<(Event, T)>),
) {
    let rounds = rounds(1000, 1000);
    let workspace = Workspace::with_invoices(rounds);
    let (folder, address) = (workspace.path(""), workspace.source.address());
    let start = Instant::from_unix(1_780_000_000).expect("an instant");
    let due = start.plus(Duration::from_secs(7 * 24 * 3600));
    let nearly = Instant::from_unix(due.unix() - 1).expect("an instant");
    let first = ledger(&folder, "ledger.db", &Still(start));
    let proposer = runtime(&folder, &address, Arc::clone(&first), Arc::new(Still(start)));
    let present: Mutex<Option<(u32, ProposalRecord)>> = Mutex::new(None);
    let answers: Mutex<Vec<(Event, std::thread::Result<T>)>> = Mutex::new(Vec::new());
    let (begin, end) = (Barrier::new(5), Barrier::new(5));
    std::thread::scope(|scope| {
        for event in ACTS {
            let (folder, address, present, answers, begin, end, act) =
                (&folder, &address, &present, &answers, &begin, &end, &act);
            scope.spawn(move || {
                let own = ledger(folder, "ledger.db", &Still(due));
                let at = [if event == Event::Expire { due } else { nearly }, due];
                let runtimes = at.map(|at| runtime(folder, address, Arc::clone(&own), Arc::new(Still(at))));
                loop {
                    begin.wait();
                    let Some((round, record)) = present.lock().expect("no panic").clone() else { break };
                    let runtime = &runtimes[round as usize % 2];
                    // A failure is the main thread's to tell: here it would leave the others waiting.
                    let answer = catch_unwind(AssertUnwindSafe(|| act(runtime, &own, event, &record)));
                    answers.lock().expect("no panic").push((event, answer));
                    end.wait();
                }
            });
        }
        let told = catch_unwind(AssertUnwindSafe(|| {
            (1..=rounds).for_each(|round| {
                let arguments = json!({ "invoice_id": format!("INV-{round}"), "reason": "we were late" }).to_string();
                let made =
                    block(proposer.propose("billing.propose_late_fee_waiver", &arguments, &Caller::FromContract));
                let id = made.expect("a proposal").change_set.proposal_id;
                let before = block(first.load(&id)).expect("it loads");
                assert_eq!(before.standing.expires_at, Some(due), "the contract's lifetime");
                *present.lock().expect("no panic") = Some((round, before.clone()));
                begin.wait();
                end.wait();
                let after = block(first.load(&id)).expect("it loads");
                let answers = std::mem::take(&mut *answers.lock().expect("no panic"));
                let answers = answers
                    .into_iter()
                    .map(|(event, answer)| (event, answer.unwrap_or_else(|panic| resume_unwind(panic))));
                check(round, &before, &after, answers.collect());
            })
        }));
        *present.lock().expect("no panic") = None;
        begin.wait();
        told.unwrap_or_else(|panic| resume_unwind(panic));
    });
    drop((first, proposer));
    verify(&workspace, "ledger.db");
}

/// Four steps from the same state of the same proposal: the ledger lets exactly one of them be.
#[test]
fn of_approve_reject_cancel_and_expire_one_moves_a_state() {
    let wins = Mutex::new([0_u32; 4]);
    four_hands(
        |_, ledger, event, record| {
            let at = record.standing.expires_at.expect("an end");
            let advance = Advance {
                proposal_id: record.id().to_owned(),
                expected_seq: record.last_seq,
                event,
                actor: "dana".to_owned(),
                at,
                standing: Standing { expires_at: None, ..record.standing.clone() },
                decision: (event != Event::Expire).then(|| decision(record, word(event), at)),
                job: None,
                receipt: None,
                receipts_in: None,
                human: None,
            };
            block(ledger.advance(advance)).expect("no error").map(|advanced| advanced.state)
        },
        |round, before, after, answers| {
            let won: Vec<_> = answers.iter().filter_map(|(event, state)| state.map(|state| (*event, state))).collect();
            assert_eq!(won.len(), 1, "round {round}: {answers:?}");
            let (event, state) = won[0];
            assert_eq!((after.state, after.state.as_str()), (state, word(event)), "round {round}");
            assert_eq!(after.events.len(), before.events.len() + 1, "round {round}");
            let decisions: Vec<_> = after.decisions.iter().map(|decision| decision.decision.as_str()).collect();
            let expected = if event == Event::Expire { vec![] } else { vec![word(event)] };
            assert_eq!(decisions, expected, "round {round}");
            let place = ACTS.iter().position(|act| *act == event).expect("one of the four");
            wins.lock().expect("no panic")[place] += 1;
        },
    );
    eprintln!("wins of approve, reject, cancel, expire: {:?}", wins.lock().expect("no panic"));
}

/// The same through the runtime, where a reviewer may still reject or cancel what another just approved. Whatever the
/// order: each call that said it decided did, in one history, with one end.
#[test]
fn people_and_the_clock_agree_on_one_history() {
    four_hands(
        |runtime, _, event, record| {
            let seen = Seen {
                proposal_id: record.id().to_owned(),
                hash: record.hash().to_owned(),
                version: record.change_set.proposal_version,
            };
            match event {
                Event::Approve => block(runtime.approve(&seen, &lead(), None)).map(|_| true),
                Event::Reject => block(runtime.reject(&seen, &lead(), "no".to_owned())).map(|_| true),
                Event::Cancel => block(runtime.cancel(record.id(), &lead(), None, false)).map(|_| true),
                // It answers whether the time is over, which it is not for an approval made just before.
                _ => block(runtime.expire(record.id())),
            }
            .map_err(|error| error.code())
        },
        |round, before, after, answers| {
            let kinds: Vec<&str> =
                after.events[before.events.len()..].iter().map(|event| event.kind.as_str()).collect();
            let told = format!("round {round}: {kinds:?} {answers:?}");
            let (last, earlier) = kinds.split_last().expect("one of them moved it");
            assert_eq!(*last, format!("proposal_{}", after.state), "{told}");
            assert!(earlier.is_empty() || earlier == ["proposal_approved"], "{told}");
            for (event, answer) in &answers {
                let happened = kinds.contains(&format!("proposal_{}", word(*event)).as_str());
                match (event, answer) {
                    (Event::Expire, Ok(over)) => assert!(*over || !happened, "{told}"),
                    (_, Ok(_)) => assert!(happened, "{told}"),
                    (_, Err(code)) => {
                        let late = *event == Event::Approve && *code == Code::ProposalExpired && round % 2 == 1;
                        let known =
                            [Code::ProposalNotPending, Code::ProposalNotRejectable, Code::ProposalNotCancelable];
                        assert!(!happened && (late || known.contains(code)), "{told}");
                    }
                }
            }
            assert!(round % 2 == 0 || !kinds.contains(&"proposal_approved"), "approved when its time was over: {told}");
            let ends = [State::Approved, State::Rejected, State::Canceled, State::Expired];
            assert!(ends.contains(&after.state), "{told}");
        },
    );
}

/// The billing contract with two proposal capabilities that share no column but the version.
fn disjoint(workspace: &Workspace) -> String {
    let mut contract: Value = serde_json::from_str(&workspace.contract()).expect("JSON");
    let waiver = contract["capabilities"][1].clone();
    let capability = |name: &str, column: &str, value: Value| {
        let mut one = waiver.clone();
        one["name"] = json!(name);
        one["args"] = json!({ "invoice_id": { "type": "string", "max_length": 128 } });
        one["visible_columns"] = json!(["id", column, "updated_at"]);
        one["patch"] = json!({ column: { "fixed": value } });
        one["allowed_columns"] = json!([column]);
        one.as_object_mut().expect("an object").remove("numeric_bounds");
        one
    };
    contract["capabilities"] = json!([
        capability("billing.waive", "late_fee_cents", json!(0)),
        capability("billing.review", "status", json!("in_review")),
    ]);
    contract.to_string()
}

fn two_actions(workspace: &Workspace, invoice: &str) -> [String; 2] {
    ["billing.waive", "billing.review"].map(|capability| {
        let arguments = json!({ "invoice_id": invoice }).to_string();
        let id =
            signoff_tests::proposal_id(&workspace.json(["propose", capability, "--json", &arguments]).expect(0).json());
        workspace.run(["proposals", "approve", &id, "--yes", "--actor", "dana"]).expect(0);
        id
    })
}

/// Nothing in the row tells that the first one landed: the version stays and the columns are others.
fn of_two_actions_on_one_row_version_the_second_conflicts(engine: Engine) {
    let workspace = Workspace::with_invoices_on(engine, 2);
    workspace.write_contract(&disjoint(&workspace));
    for (invoice, order) in [("INV-1", [0, 1]), ("INV-2", [1, 0])] {
        let ids = two_actions(&workspace, invoice);
        let first = workspace.json(["apply", &ids[order[0]]]).expect(0).json();
        assert_eq!(first["status"], "applied");
        let second = workspace.json(["apply", &ids[order[1]]]).expect(3).json();
        assert_eq!(second["status"], "conflict");
        assert_eq!(second["receipt"]["receipt"]["safe_error_code"], "VERSION_CONFLICT");
        assert_eq!((workspace.effects(invoice), workspace.executions(invoice)), (1, 1));
        assert_eq!(workspace.state(&ids[order[1]]), "conflict");
    }
    verify(&workspace, "ledger.db");
}

fn of_two_actions_at_once_one_lands(engine: Engine) {
    let rounds = rounds(6, 60);
    let workspace = Workspace::with_invoices_on(engine, rounds);
    workspace.write_contract(&disjoint(&workspace));
    for n in 1..=rounds {
        let invoice = format!("INV-{n}");
        let ids = two_actions(&workspace, &invoice);
        let both = ids.each_ref().map(|id| texts(["apply", "ledger.db", id, "1", "own"]));
        let answers = hammer(&workspace, &both).concat();
        assert_eq!(count(&answers, "applied"), 1, "{answers:?}");
        assert_eq!(count(&answers, "conflict") + count(&answers, "ROW_BUSY"), 1, "{answers:?}");
        for id in &ids {
            workspace.json(["apply", id]);
        }
        let mut states = ids.map(|id| workspace.state(&id));
        states.sort();
        assert_eq!(states, ["applied", "conflict"]);
        assert_eq!((workspace.effects(&invoice), workspace.executions(&invoice)), (1, 1));
    }
    verify(&workspace, "ledger.db");
}

fn while_one_change_is_in_flight_another_to_the_row_waits(engine: Engine) {
    let workspace = Workspace::with_invoices_on(engine, 2);
    workspace.write_contract(&disjoint(&workspace));
    // Killed before its effect, and after it.
    for (invoice, point) in [("INV-1", "fault:apply.intent"), ("INV-2", "fault:apply.effect")] {
        let [first, second] = two_actions(&workspace, invoice);
        let mut command = workspace.command_of(&binary("SIGNOFF_FAULT_BIN", "fault/debug/signoff"));
        let killed = command.args(["apply", &first]).env("SIGNOFF_FAULT_AT", point).output().expect("it runs");
        assert_eq!(killed.status.signal(), Some(9), "{point}");
        assert_eq!(workspace.state(&first), "pending_worker");
        let effects = workspace.effects(invoice);
        for _ in 0..2 {
            let refused = workspace.json(["apply", &second]).expect(1);
            assert_eq!(refused.error_code(), "ROW_BUSY");
            assert_eq!((workspace.state(&second).as_str(), workspace.effects(invoice)), ("approved", effects));
        }
        workspace.json(["apply", &first, "--resume"]).expect(0);
        assert_eq!(workspace.state(&first), "applied");
        workspace.json(["apply", &second]).expect(3);
        assert_eq!((workspace.effects(invoice), workspace.executions(invoice)), (1, 1));
    }
    verify(&workspace, "ledger.db");
}

fn weak(workspace: &Workspace) -> String {
    let mut contract: Value = serde_json::from_str(&workspace.contract()).expect("JSON");
    contract["capabilities"][1]["conflict_guard"] = json!({ "weak_guard_ack": true });
    contract.to_string()
}

fn a_row_hash_guards_a_row_without_a_version(engine: Engine) {
    let workspace = Workspace::with_invoices_on(engine, 3);
    workspace.write_contract(&weak(&workspace));
    let ids = ["INV-1", "INV-2", "INV-3"].map(|invoice| workspace.approved(invoice, "we were late"));

    let unchanged = workspace.json(["apply", &ids[0]]).expect(0).json();
    assert_eq!(unchanged["status"], "applied");
    assert_eq!((workspace.effects("INV-1"), workspace.executions("INV-1")), (1, 1));

    workspace.sql("UPDATE invoices SET balance_cents = 1 WHERE id = 'INV-2'");
    assert_eq!(workspace.json(["apply", &ids[1]]).expect(3).json()["status"], "conflict");
    assert_eq!((workspace.effects("INV-2"), workspace.executions("INV-2")), (0, 1), "only the application's own");

    // The application holds the row, changed and not yet committed, while the attempt has begun: what counts is the row
    // under the attempt's own lock.
    let change = workspace.source.hold("UPDATE invoices SET balance_cents = 1 WHERE id = 'INV-3'");
    let apply = workspace.start(["apply", &ids[2]]);
    let ledger = workspace.intruder("ledger.db");
    let begun = "SELECT count(*) FROM events WHERE subject = ?1 AND kind = 'proposal_pending_worker'";
    while ledger.query_row(begun, [&ids[2]], |row| row.get::<_, i64>(0)).expect("a number") == 0 {
        std::thread::yield_now();
    }
    change.commit();
    let output = apply.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!((workspace.effects("INV-3"), workspace.executions("INV-3")), (0, 1), "only the application's own");
    drop(ledger);
    verify(&workspace, "ledger.db");
}

/// An agent takes its proposal back while a person approves it and a worker waits: one of the two has its way, and what was
/// approved lands. The application's trigger counts.
#[test]
fn what_a_person_approved_an_agent_does_not_take_back() {
    let rounds = rounds(60, 600);
    let workspace = Workspace::with_invoices(rounds);
    let address = workspace.source.address();
    let open = || {
        let shared = ledger(&workspace.path(""), "ledger.db", &signoff::primitives::SystemClock);
        runtime(&workspace.path(""), &address, shared, Arc::new(signoff::primitives::SystemClock))
    };
    let (people, agent) = (open(), open());
    let mut approved = 0;
    for round in 1..=rounds {
        let invoice = format!("INV-{round}");
        let arguments = json!({ "invoice_id": invoice, "reason": "we were late" }).to_string();
        let made = block(agent.propose("billing.propose_late_fee_waiver", &arguments, &Caller::FromContract));
        let set = made.expect("a proposal").change_set;
        let (proposal_id, hash) = (set.proposal_id, set.integrity.proposal_hash);
        let seen = Seen { proposal_id: proposal_id.clone(), hash, version: 1 };
        let begin = Barrier::new(2);
        let (decided, withdrawn) = std::thread::scope(|scope| {
            let decided = scope.spawn(|| {
                begin.wait();
                block(people.approve(&seen, &lead(), None)).map_err(|error| error.code())
            });
            begin.wait();
            let withdrawn = block(agent.withdraw(&proposal_id)).map_err(|error| error.code());
            (decided.join().expect("no panic"), withdrawn)
        });
        let applied = block(people.apply(&proposal_id, &signoff::runtime::ApplyOptions::default()));
        match (decided.is_ok(), withdrawn.is_ok()) {
            (true, false) => {
                assert_eq!(withdrawn.unwrap_err(), Code::ProposalDecided, "round {round}");
                assert_eq!(applied.expect("it lands").record.state, State::Applied, "round {round}");
                approved += 1;
            }
            (false, true) => assert_eq!(decided.unwrap_err(), Code::ProposalNotPending, "round {round}"),
            both => panic!("round {round}: {both:?}"),
        }
        assert_eq!(workspace.effects(&invoice), i64::from(decided_lands(&people, &proposal_id)), "round {round}");
    }
    eprintln!("approved {approved} of {rounds}");
    drop((people, agent));
    verify(&workspace, "ledger.db");
}

fn decided_lands(runtime: &signoff::Runtime, id: &str) -> bool {
    block(runtime.show(id)).expect("it loads").state == State::Applied
}
