//! Lists, through the program and through the library: what a filter allows and nothing else, page by page, while others
//! write.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;
use signoff::Runtime;
use signoff::ledger::{Filter, PageRequest};
use signoff::primitives::{Instant, SystemClock};
use signoff::protocol::State;
use signoff_tests::scale::{BEGINNING, Template, fill, proposal_id};
use signoff_tests::{Workspace, library};

/// A ledger of so many proposals, and the workspace it stands in.
async fn filled(count: u32) -> (Workspace, Runtime, Template) {
    let workspace = Workspace::new();
    let ledger = library::ledger(&workspace.path(""), "ledger.db", &SystemClock);
    let template = Template::new().await;
    fill(&ledger, &template, 0, count).await;
    (workspace, Runtime::new(None, ledger), template)
}

/// What a filter has to find, by how the ledger was filled.
fn expected(count: u32, meant: impl Fn(u32) -> bool) -> BTreeSet<String> {
    (0..count).filter(|n| meant(*n)).map(proposal_id).collect()
}

async fn all(runtime: &Runtime, filter: &Filter, limit: u32) -> Vec<String> {
    let (mut page, mut found) = (PageRequest::first(limit), Vec::new());
    loop {
        let one = runtime.proposals(filter, &page).await.unwrap();
        assert!(one.items.len() <= limit as usize && (one.next.is_none() || one.items.len() == limit as usize));
        assert!(one.items.is_sorted_by(|left, right| left.seq > right.seq));
        found.extend(one.items.into_iter().map(|summary| summary.proposal_id));
        page.after = one.next;
        if page.after.is_none() {
            return found;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_finds_what_it_means_and_nothing_else() {
    // Over several blocks of the index, and into one that is not full.
    const COUNT: u32 = 300;
    let (_workspace, runtime, _) = filled(COUNT).await;
    let text = |text: &str| Some(text.to_owned());
    let at = |n: u32| Instant::from_unix(BEGINNING + i64::from(n));
    type Meant = Box<dyn Fn(u32) -> bool>;
    let cases: Vec<(Filter, Meant)> = vec![
        (Filter::default(), Box::new(|_| true)),
        (Filter { tenant: text("tenant_3"), ..Filter::default() }, Box::new(|n| n % 10 == 3)),
        (Filter { principal: text("agent_2"), ..Filter::default() }, Box::new(|n| n % 3 == 2)),
        (Filter { object_id: text("INV-77"), ..Filter::default() }, Box::new(|n| n == 77)),
        (
            Filter { object_type: text("invoice"), object_id: text("INV-78"), ..Filter::default() },
            Box::new(|n| n == 78),
        ),
        (Filter { object_type: text("orders"), ..Filter::default() }, Box::new(|_| false)),
        (Filter { table: text("main.invoices"), source: text("billing_db"), ..Filter::default() }, Box::new(|_| true)),
        (Filter { state: Some(State::Rejected), ..Filter::default() }, Box::new(|n| n % 8 == 2)),
        (
            Filter { state: Some(State::Applied), tenant: text("tenant_4"), ..Filter::default() },
            Box::new(|n| n % 10 == 4 && n % 8 > 3),
        ),
        // Two common words that never meet.
        (Filter { state: Some(State::Rejected), tenant: text("tenant_1"), ..Filter::default() }, Box::new(|_| false)),
        (Filter { from: at(100), to: at(119), ..Filter::default() }, Box::new(|n| (100..120).contains(&n))),
        (Filter { to: at(9), tenant: text("tenant_5"), ..Filter::default() }, Box::new(|n| n == 5)),
        (Filter { capability: text("billing.nothing"), ..Filter::default() }, Box::new(|_| false)),
        (Filter { proposal: Some(proposal_id(42)), ..Filter::default() }, Box::new(|n| n == 42)),
        (
            Filter { proposal: Some(proposal_id(42)), tenant: text("tenant_3"), ..Filter::default() },
            Box::new(|_| false),
        ),
    ];
    for (filter, meant) in cases {
        for limit in [7, 200] {
            let found = all(&runtime, &filter, limit).await;
            let once: BTreeSet<String> = found.iter().cloned().collect();
            assert_eq!(once.len(), found.len(), "{filter:?} repeats");
            assert_eq!(once, expected(COUNT, &meant), "{filter:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_neither_repeat_nor_miss_while_others_write() {
    const BEFORE: u32 = 200;
    let (workspace, runtime, template) = filled(BEFORE).await;
    let other = library::ledger(&workspace.path(""), "ledger.db", &SystemClock);
    let writer = tokio::spawn(async move { fill(&other, &template, BEFORE, BEFORE + 200).await });
    let found = all(&runtime, &Filter::default(), 3).await;
    writer.await.unwrap();
    let once: BTreeSet<String> = found.iter().cloned().collect();
    assert_eq!(once.len(), found.len(), "a page repeats");
    assert!(once.is_superset(&expected(BEFORE, |_| true)), "a page misses what was there before the first");
    let all = all(&runtime, &Filter::default(), 50).await;
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), expected(BEFORE + 200, |_| true));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_answers_its_own_records() {
    let (_workspace, runtime, _) = filled(120).await;
    let page = PageRequest::first(200);
    let of = |n: u32| Filter { proposal: Some(proposal_id(n)), ..Filter::default() };
    // 7 was applied in four steps.
    let events = runtime.events(&of(7), &page).await.unwrap().items;
    let kinds: Vec<&str> = events.iter().rev().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["proposal_created", "proposal_approved", "proposal_pending_worker", "writeback_applied"]);
    let receipt = &runtime.receipts(&of(7), &page).await.unwrap().items[0];
    assert_eq!(receipt.receipt.proposal_id, proposal_id(7));
    let by_key = Filter { idempotency_key: Some(receipt.receipt.idempotency_key.clone()), ..Filter::default() };
    assert_eq!(runtime.receipts(&by_key, &page).await.unwrap().items.len(), 1);
    let other_key = Filter { idempotency_key: Some(format!("{}:other", proposal_id(7))), ..Filter::default() };
    assert!(runtime.receipts(&other_key, &page).await.unwrap().items.is_empty());
    let from_receipt = Filter { receipt: Some(receipt.seq), ..Filter::default() };
    assert_eq!(runtime.replays(&from_receipt, &page).await.unwrap().items[0].proposal.proposal_id, proposal_id(7));
    let job = Filter { job: Some(format!("wbj_{}", proposal_id(7))), ..Filter::default() };
    assert_eq!(runtime.receipts(&job, &page).await.unwrap().items.len(), 1);
    // Steps are found by what their proposal is about.
    let about = Filter { object_id: Some("INV-7".to_owned()), ..Filter::default() };
    let activity = runtime.activity(&about, &page).await.unwrap().items;
    assert_eq!(activity.len(), 4);
    assert!(activity.iter().all(|one| one.object == Some(("invoices".to_owned(), "INV-7".to_owned()))));
    let evidence = &runtime.evidence(&of(7), &page).await.unwrap().items[0];
    let bundle = runtime.evidence_bundle(&evidence.evidence_id[..11]).await.unwrap();
    assert_eq!((&bundle.id, &bundle.document), (&evidence.evidence_id, &evidence.document));
    let audit = &runtime.query_audit(&of(7), &page).await.unwrap().items[0];
    assert_eq!(audit.evidence_id.as_ref(), Some(&evidence.evidence_id));
    assert_eq!(&runtime.audit_record(audit.seq).await.unwrap(), audit);
    assert_eq!(runtime.audit_record(0).await.unwrap_err().code().as_str(), "QUERY_AUDIT_NOT_FOUND");
    let refused = Filter { kind: Some("x".to_owned()), ..Filter::default() };
    assert_eq!(runtime.receipts(&refused, &page).await.unwrap_err().code().as_str(), "FILTER_UNKNOWN");
}

#[test]
fn the_program_lists_shows_and_exports() {
    let workspace = Workspace::with_invoices(3);
    let ids = [1, 2, 3].map(|n| workspace.propose(&format!("INV-{n}"), "kind"));
    workspace.run(["proposals", "approve", &ids[0], "--yes", "--actor", "dana"]).expect(0);
    workspace.run(["apply", &ids[0]]).expect(0);
    // A refusal is recorded, too.
    workspace
        .json(["propose", "billing.propose_late_fee_waiver", "--json", r#"{"invoice_id":"INV-404","reason":"x"}"#])
        .expect(1);

    let first = workspace.json(["proposals", "list", "--limit", "2"]).expect(0).json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = workspace.run(["proposals", "list", "--limit", "2", "--cursor", cursor, "--json"]).expect(0).json();
    assert_eq!(second["proposals"].as_array().unwrap().len(), 1);
    assert_eq!(second["proposals"][0]["proposal_id"], ids[0]);
    assert_eq!(second["next_cursor"], Value::Null);
    for (arguments, name, count) in [
        (vec!["proposals", "list", "--object", "invoice:INV-2"], "proposals", 1),
        (vec!["proposals", "list", "--tenant", "globex"], "proposals", 0),
        (vec!["proposals", "list", "--from", "1h", "--to", "2099-01-01"], "proposals", 3),
        (vec!["proposals", "list", "--to", "2000-01-01"], "proposals", 0),
        (vec!["replay", "list", "--state", "applied"], "replays", 1),
        (vec!["receipts", "list", "--status", "applied"], "receipts", 1),
        (vec!["evidence", "list", "--primary-key", "INV-3"], "evidence", 1),
        (vec!["query-audit", "list"], "query_audit", 4),
        (vec!["events", "list", "--kind", "proposal_approved"], "events", 1),
        (vec!["activity", "search", "--object-id", "INV-1"], "activity", 4),
    ] {
        let found = workspace.json(arguments.clone()).expect(0).json();
        assert_eq!(found[name].as_array().unwrap().len(), count, "{arguments:?}: {found}");
        // People get lines that fit 80 columns.
        let shown = workspace.run(arguments.clone()).expect(0);
        assert!(shown.out.lines().all(|line| line.chars().count() <= 80), "{arguments:?}\n{}", shown.out);
    }
    // The beginning of an id is enough, wherever an id is.
    let short = &ids[1][..12];
    assert_eq!(workspace.json(["proposals", "show", short]).expect(0).json()["proposal_id"], ids[1]);
    assert_eq!(
        workspace.json(["replay", "show", &short[4..]]).expect(0).json()["replay_id"],
        format!("replay_{}", ids[1])
    );
    workspace.run(["proposals", "reject", short, "--yes", "--reason", "no"]).expect(0);
    assert_eq!(workspace.state(&ids[1]), "rejected");
    assert_eq!(workspace.json(["proposals", "show", "wrp_zzzz"]).expect(1).error_code(), "PROPOSAL_NOT_FOUND");
    assert_eq!(workspace.json(["proposals", "show", "wrp_"]).expect(1).error_code(), "PROPOSAL_NOT_FOUND");
    assert_eq!(workspace.json(["evidence", "show", "ev_zzzz"]).expect(1).error_code(), "EVIDENCE_NOT_FOUND");
    assert_eq!(workspace.json(["query-audit", "show", "99"]).expect(1).error_code(), "QUERY_AUDIT_NOT_FOUND");
    workspace.run(["query-audit", "show", "1"]).expect(0);
    assert_eq!(workspace.json(["receipts", "list", "--cursor", cursor]).expect(2).error_code(), "CURSOR_INVALID");

    let markdown = workspace.run(["replay", "export", &ids[0], "--output", "story.md"]).expect(0);
    assert!(markdown.out.starts_with("story.md: "), "{}", markdown.out);
    let story = std::fs::read_to_string(workspace.path("story.md")).unwrap();
    for heading in [
        "# Synapsor Replay",
        "## What The Agent Requested",
        "## Trusted Context",
        "## Evidence",
        "## Proposed Diff",
        "## Approval",
        "## Guarded Writeback",
        "## Query Audit",
        "## Replay Note",
    ] {
        assert!(story.lines().any(|line| line == heading), "{heading} is not in\n{story}");
    }
    // What is there is not overwritten.
    assert_eq!(
        workspace.json(["replay", "export", &ids[0], "-o", "story.md"]).expect(1).error_code(),
        "FILE_UNWRITABLE"
    );
    let exported: Value = serde_json::from_str(&workspace.run(["proposals", "export", &ids[0]]).expect(0).out).unwrap();
    assert_eq!(exported["proposal_id"], ids[0]);
    let replayed: Value = serde_json::from_str(&workspace.run(["replay", "export"]).expect(0).out).unwrap();
    assert_eq!(replayed["replay_id"], format!("replay_{}", ids[2]));
}

#[test]
fn usage_errors_are_json_where_json_was_asked_for() {
    let workspace = Workspace::new();
    for arguments in [
        vec!["proposals", "list", "--limt", "3", "--json"],
        vec!["--format", "json", "proposals", "list", "--limit", "0"],
        vec!["--format=json", "nonsense"],
        vec!["proposals", "show", "--json"],
        vec!["events", "tail", "--interval-ms", "1", "--json"],
        vec!["proposals", "list", "--state", "pendng", "--json"],
        vec!["proposals", "list", "--from", "soon", "--json"],
    ] {
        // Those that clap lets pass need a ledger.
        workspace.propose("INV-3001", "kind");
        assert_eq!(workspace.run(arguments.clone()).expect(2).error_code(), "USAGE", "{arguments:?}");
    }
    // To people clap speaks for itself.
    let told = workspace.run(["proposals", "list", "--limt", "3"]).expect(2);
    assert!(told.out.is_empty() && told.err.contains("--limit"), "{}", told.err);
}

#[test]
fn the_latest_proposal_is_one_to_filter_by() {
    let workspace = Workspace::with_invoices(2);
    workspace.propose("INV-1", "first");
    let latest = workspace.propose("INV-2", "second");
    for list in
        [["evidence", "list"], ["query-audit", "list"], ["events", "list"], ["activity", "search"], ["replay", "list"]]
    {
        let by = |id: &str| workspace.run([list[0], list[1], "--json", "--proposal", id]).expect(0).out;
        assert!(by("latest") == by(&latest) && by("latest").contains(&latest), "{list:?}\n{}", by("latest"));
    }
}

#[test]
fn hidden_characters_are_shown_in_every_list() {
    let workspace = Workspace::new();
    workspace.sql("INSERT INTO invoices (id, tenant_id, customer_id, status, balance_cents, late_fee_cents, created_at, updated_at) SELECT 'INV-\u{202e}1', tenant_id, customer_id, status, 1, 2, created_at, updated_at FROM invoices WHERE id = 'INV-3001'");
    workspace.propose("INV-\u{202e}1", "kind");
    for list in [["proposals", "list"], ["evidence", "list"], ["activity", "search"], ["replay", "export"]] {
        let mut arguments = list.to_vec();
        if list[1] == "export" {
            arguments.extend(["--format", "markdown"]);
        }
        let shown = workspace.run(arguments).expect(0).out;
        // In the widest list the object is cut, before what is hidden in it.
        assert!(shown.contains("\\u{202e}") || list == ["activity", "search"], "{list:?}\n{shown}");
        assert!(!shown.contains('\u{202e}'), "{list:?}\n{shown}");
    }
    // What is shown as JSON has them as its escapes, to people and to programs.
    for show in [vec!["replay", "show", "latest", "--details"], vec!["proposals", "show", "latest", "--json"]] {
        let shown = workspace.run(show.clone()).expect(0).out;
        assert!(shown.contains(r"INV-\u202e1") && !shown.contains('\u{202e}'), "{show:?}\n{shown}");
    }
}

#[test]
fn a_tail_follows_and_ends_when_it_should() {
    let workspace = Workspace::with_invoices(2);
    let first = workspace.propose("INV-1", "kind");
    let mut command = workspace.command();
    command.args(["events", "tail", "--follow", "--interval-ms", "250", "--json"]).stdout(Stdio::piped());
    let mut following = command.spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["subject"], first);
    let second = workspace.propose("INV-2", "kind");
    assert_eq!(next()["subject"], second);
    // Interrupted, it ends as it should.
    let pid = following.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(following.wait().unwrap().code(), Some(0));
    // And when its reader goes away, though nothing more happens.
    let mut following = workspace.command();
    let mut following = following.args(["events", "tail", "-f"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(following.stdout.take());
    assert_eq!(following.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_library_follows_what_it_writes_itself() {
    let (_workspace, runtime, template) = filled(10).await;
    let size = runtime.ledger().size().await.unwrap();
    let follower = runtime.clone();
    let waiting = tokio::spawn(async move {
        follower.next_events(&Filter::default(), size, std::time::Duration::from_millis(10)).await
    });
    runtime.ledger().record_proposal(template.proposal(999)).await.unwrap();
    let (events, looked) = waiting.await.unwrap().unwrap();
    assert_eq!((events.len(), looked, events[0].subject.as_str()), (1, size + 1, proposal_id(999).as_str()));
    // From the beginning, in order, nothing left out.
    let (mut after, mut seen) = (0, Vec::new());
    while after < size + 1 {
        let (events, looked) =
            runtime.next_events(&Filter::default(), after, std::time::Duration::from_secs(1)).await.unwrap();
        seen.extend(events.iter().map(|event| event.seq));
        after = looked;
    }
    assert_eq!(seen, (1..=size + 1).collect::<Vec<_>>());
}
