//! Forgetting: the chain still proves itself, nothing that is needed goes, and nobody can pass a deletion off as a pruning.

use std::time::Duration;

use rusqlite::params;
use serde_json::Value;
use signoff::Runtime;
use signoff::ledger::{Filter, Lease, PageRequest, Prune, Pruned};
use signoff::primitives::{Clock as _, Instant, SystemClock};
use signoff_tests::scale::{BEGINNING, Template, fill, proposal_id};
use signoff_tests::{Workspace, library};

const COUNT: u32 = 160;

async fn filled(count: u32) -> (Workspace, Runtime) {
    let workspace = Workspace::new();
    let ledger = library::ledger(&workspace.path(""), "ledger.db", &SystemClock);
    fill(&ledger, &Template::new().await, 0, count).await;
    (workspace, Runtime::new(None, ledger))
}

async fn prune(runtime: &Runtime, before: u32, rehearse: bool) -> Pruned {
    let before = Instant::from_unix(BEGINNING + i64::from(before)).unwrap();
    let prune = Prune { before, at: SystemClock.now(), actor: "operator".to_owned(), rehearse };
    runtime.prune(prune, Box::new(|_, _| ())).await.unwrap()
}

async fn verify(runtime: &Runtime) -> signoff::Result<u64> {
    runtime.ledger().verify(None, Box::new(|_, _| ())).await.map(|verified| verified.proposals)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pruned_is_gone_and_the_chain_still_proves_itself() {
    let (workspace, runtime) = filled(COUNT).await;
    let checkpoint = runtime.ledger().stats().await.unwrap().checkpoint;
    let rehearsed = prune(&runtime, 100, true).await;
    // Of the first hundred three quarters are at their end.
    assert_eq!(rehearsed.proposals, u64::from((0..100).filter(|n| n % 8 > 1).count() as u32));
    assert_eq!(verify(&runtime).await.unwrap(), u64::from(COUNT));
    assert_eq!(prune(&runtime, 100, false).await, rehearsed);
    assert_eq!(prune(&runtime, 100, false).await, Pruned::default());
    let left = u64::from(COUNT) - rehearsed.proposals;
    assert_eq!(verify(&runtime).await.unwrap(), left);
    // The chain goes on from where it was.
    runtime.ledger().verify(Some(checkpoint.parse().unwrap()), Box::new(|_, _| ())).await.unwrap();
    let gone = runtime.show(&proposal_id(7)).await.unwrap_err();
    assert_eq!(gone.code().as_str(), "PROPOSAL_PRUNED");
    assert_eq!(runtime.replay(&proposal_id(7)).await.unwrap_err().code().as_str(), "PROPOSAL_PRUNED");
    for open in [0, 8, 107] {
        runtime.show(&proposal_id(open)).await.unwrap();
    }
    // Lists pass over it; its events are what is left of it.
    let page = PageRequest::first(200);
    for object in ["INV-7", "INV-95"] {
        let about = Filter { object_id: Some(object.to_owned()), ..Filter::default() };
        assert!(runtime.proposals(&about, &page).await.unwrap().items.is_empty());
        assert!(runtime.activity(&about, &page).await.unwrap().items.is_empty());
    }
    let of = Filter { proposal: Some(proposal_id(7)), ..Filter::default() };
    let events = runtime.events(&of, &page).await.unwrap().items;
    assert_eq!(events.len(), 4);
    assert!(events.iter().all(|event| event.pruned && event.actor.is_empty() && event.detail == Value::Null));
    let prunings = Filter { kind: Some("proposals_pruned".to_owned()), ..Filter::default() };
    let prunings = runtime.events(&prunings, &page).await.unwrap().items;
    assert_eq!(prunings.len(), 2, "64 at once");
    assert!(prunings.iter().all(|event| event.actor == "operator"));
    // Nothing of it is left in the file, once the log is empty.
    runtime.ledger().vacuum().await.unwrap();
    assert_eq!(verify(&runtime).await.unwrap(), left);
    drop(runtime);
    let bytes = std::fs::read(workspace.path("ledger.db")).unwrap();
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!holds("INV-95\"") && holds("INV-96\"") && holds(&proposal_id(95)));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_without_the_key_prunes() {
    let (workspace, runtime) = filled(24).await;
    prune(&runtime, 16, false).await;
    drop(runtime);
    let clean = std::fs::read(workspace.path("ledger.db")).unwrap();
    // The payload of an event is no secret: an intruder can compute it.
    let victim = proposal_id(23);
    let edits: [(&str, String); 6] = [
        ("a pruning undone", "DELETE FROM pruned WHERE seq = (SELECT min(seq) FROM pruned)".to_owned()),
        (
            "another hash",
            "UPDATE pruned SET payload = zeroblob(32) WHERE seq = (SELECT min(seq) FROM pruned)".to_owned(),
        ),
        ("what a pruning says", "UPDATE prunings SET document = replace(document, 'rejected', 'applied')".to_owned()),
        ("an actor put back", "UPDATE events SET actor = 'x' WHERE seq = (SELECT min(seq) FROM pruned)".to_owned()),
        (
            "a row put back",
            "INSERT INTO approvals SELECT (SELECT min(seq) FROM pruned), document, mac FROM approvals LIMIT 1"
                .to_owned(),
        ),
        (
            "a standing taken away",
            format!("DELETE FROM standings WHERE seq = (SELECT seq FROM proposals WHERE proposal_id = '{victim}')"),
        ),
    ];
    // What a list of events shows of a pruned one is signed, too.
    let listed = ["another hash", "an actor put back"];
    for (name, sql) in edits {
        restore(&workspace, &clean);
        assert!(workspace.intruder("ledger.db").execute(&sql, []).unwrap() > 0, "{name} edited nothing");
        assert_eq!(
            workspace.json(["store", "verify", "--store", "ledger.db"]).expect(4).error_code(),
            "LEDGER_TAMPERED",
            "{name}"
        );
        if listed.contains(&name) {
            let ran = workspace.json(["events", "list", "--limit", "200", "--store", "ledger.db"]).expect(4);
            assert_eq!(ran.error_code(), "LEDGER_TAMPERED", "{name}");
        }
    }
    // A whole proposal made to look pruned, with the right payloads of all its events.
    restore(&workspace, &clean);
    let ledger = workspace.intruder("ledger.db");
    let seqs: Vec<u64> = ledger
        .prepare("SELECT seq FROM events WHERE subject = ?1")
        .unwrap()
        .query_map([&victim], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for seq in &seqs {
        let payload = payload(&ledger, *seq);
        for table in ["proposals", "evidence", "query_audit", "approvals", "writeback_jobs", "receipts", "standings"] {
            ledger.execute(&format!("DELETE FROM {table} WHERE seq = ?1"), [seq]).unwrap();
        }
        ledger.execute("UPDATE events SET actor = '', detail = '' WHERE seq = ?1", [seq]).unwrap();
        ledger.execute("INSERT INTO pruned VALUES (?1, ?2)", params![seq, payload]).unwrap();
    }
    drop(ledger);
    let ran = workspace.json(["store", "verify", "--store", "ledger.db"]).expect(4);
    assert!(ran.out.contains("no pruning says so"), "{}", ran.out);
    // Nor is it said to be pruned, as one is that was.
    let shown = |id: &str| workspace.json(["proposals", "show", id, "--store", "ledger.db"]).expect(4).error_code();
    assert_eq!((shown(&victim).as_str(), shown(&proposal_id(7)).as_str()), ("LEDGER_TAMPERED", "PROPOSAL_PRUNED"));
}

fn restore(workspace: &Workspace, clean: &[u8]) {
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(workspace.path(&format!("ledger.db{suffix}")));
    }
    std::fs::write(workspace.path("ledger.db"), clean).unwrap();
}

/// What an event covers, hashed as an intruder would.
fn payload(ledger: &rusqlite::Connection, seq: u64) -> Vec<u8> {
    let (actor, detail): (String, String) = ledger
        .query_row("SELECT actor, detail FROM events WHERE seq = ?1", [seq], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    let mut rows = Vec::new();
    for (table, columns) in [
        ("proposals", "proposal_id, document, facts"),
        ("evidence", "evidence_id, document"),
        ("query_audit", "document"),
        ("approvals", "document, hex(mac)"),
        ("writeback_jobs", "document"),
        ("receipts", "document, details"),
    ] {
        let mut statement = ledger.prepare(&format!("SELECT {columns} FROM {table} WHERE seq = ?1")).unwrap();
        let width = statement.column_count();
        let mut found = statement.query([seq]).unwrap();
        if let Some(row) = found.next().unwrap() {
            let values: Vec<Option<String>> = (0..width).map(|index| row.get(index).unwrap()).collect();
            rows.push(serde_json::json!([table, values]));
        }
    }
    signoff::primitives::digest_of(&serde_json::json!([actor, detail, rows])).unwrap().as_bytes().to_vec()
}

#[test]
fn what_something_open_needs_is_kept() {
    let workspace = Workspace::with_invoices(2);
    // The first claim of a source says where its receipts are.
    let first = workspace.approved("INV-1", "kind");
    workspace.run(["apply", &first]).expect(0);
    let second = workspace.approved("INV-2", "kind");
    workspace.run(["apply", &second]).expect(0);
    // Another proposal for the row of the second one is open, and has to learn of it.
    let arguments = r#"{"invoice_id":"INV-2","amount_cents":500,"reason":"kind"}"#;
    workspace.json(["propose", "billing.propose_account_credit", "--json", arguments]).expect(0);
    // Ages are counted in whole seconds: after two, everything is older than one.
    std::thread::sleep(Duration::from_millis(2100));
    let pruned = |arguments: &[&str]| {
        let mut all = vec!["store", "prune", "--older-than", "1s"];
        all.extend(arguments);
        workspace.json(all).expect(0).json()
    };
    assert_eq!(pruned(&["--yes"])["proposals"], 0);
    let open = workspace.json(["proposals", "list", "--state", "pending_review"]).expect(0).json();
    workspace
        .run(["proposals", "reject", open["proposals"][0]["proposal_id"].as_str().unwrap(), "--yes", "--reason", "no"])
        .expect(0);
    let counted = pruned(&[]);
    assert_eq!((&counted["dry_run"], &counted["proposals"]), (&Value::from(true), &Value::from(1)));
    assert_eq!(pruned(&["--yes"])["proposals"], 1);
    assert_eq!(workspace.json(["proposals", "show", &second]).expect(4).error_code(), "PROPOSAL_PRUNED");
    assert_eq!(workspace.state(&first), "applied");
    workspace.run(["store", "verify"]).expect(0);
    assert_eq!(workspace.json(["store", "prune", "--older-than", "never"]).expect(2).error_code(), "USAGE");
}

#[test]
fn a_reset_asks_and_gives_up_nothing_by_itself() {
    let workspace = Workspace::new();
    let id = workspace.propose("INV-3001", "kind");
    let reset = |arguments: &[&str]| {
        let mut all = vec!["store", "reset"];
        all.extend(arguments);
        workspace.json(all)
    };
    assert_eq!(reset(&[]).expect(2).error_code(), "CONFIRMATION_REQUIRED");
    let refused = reset(&["--yes"]).expect(4);
    assert!(refused.error_code() == "LEDGER_OPEN_WORK" && refused.out.contains("1 pending_review"), "{}", refused.out);
    assert_eq!(workspace.state(&id), "pending_review");
    workspace.run(["proposals", "reject", &id, "--yes", "--reason", "no"]).expect(0);
    // A server that lives keeps it from being deleted under its feet, whatever is forced.
    let lease = Lease::take(&workspace.path("ledger.db"), "serve", "stdio", &SystemClock).unwrap();
    let held = reset(&["--yes", "--force"]).expect(4);
    assert!(held.error_code() == "LEDGER_HELD" && held.out.contains(&std::process::id().to_string()), "{}", held.out);
    assert_eq!(workspace.json(["store", "stats"]).expect(0).json()["lease"]["mode"], "serve");
    drop(lease);
    reset(&["--yes"]).expect(0);
    assert!(!workspace.path("ledger.db").exists() && workspace.path("ledger.key").exists());
    workspace.propose("INV-3001", "kind");
    workspace.run(["store", "verify"]).expect(0);
    reset(&["--yes", "--force"]).expect(0);
}
