//! A SQLite source whose connections are kept between calls: the file at its path is what counts, and nobody is kept out.

use std::sync::Arc;

use signoff::Runtime;
use signoff::primitives::SystemClock;
use signoff::runtime::{ApplyOptions, Approver, Caller, Ending, Seen};
use signoff_tests::Workspace;
use signoff_tests::library::{block, ledger, runtime};

fn embedded(workspace: &Workspace) -> Runtime {
    let clock = Arc::new(SystemClock);
    let ledger = ledger(&workspace.path(""), "ledger.db", &*clock);
    runtime(&workspace.path(""), &workspace.source.address(), ledger, clock)
}

/// Propose, approve, apply.
async fn land(runtime: &Runtime, invoice: &str) -> Ending {
    let arguments = format!(r#"{{"invoice_id":"{invoice}","reason":"kind"}}"#);
    let answer = runtime.propose("billing.propose_late_fee_waiver", &arguments, &Caller::FromContract).await.unwrap();
    let set = answer.change_set;
    let seen = Seen { proposal_id: set.proposal_id.clone(), hash: set.integrity.proposal_hash.clone(), version: 1 };
    let lead = Approver { id: "dana".to_owned(), roles: vec!["billing_lead".to_owned()], asserted: false };
    runtime.approve(&seen, &lead, None).await.unwrap();
    runtime.apply(&set.proposal_id, &ApplyOptions::default()).await.unwrap().ending
}

/// How many of this process's files are this one.
fn open_files(path: &std::path::Path) -> usize {
    let wanted = path.canonicalize().unwrap();
    let all = std::fs::read_dir("/proc/self/fd").expect("Linux");
    all.filter(|entry| std::fs::read_link(entry.as_ref().unwrap().path()).is_ok_and(|target| target == wanted)).count()
}

#[test]
fn a_file_that_was_put_in_its_place_is_the_source() {
    let workspace = Workspace::with_invoices(4);
    let runtime = embedded(&workspace);
    block(async {
        assert_eq!(land(&runtime, "INV-1").await, Ending::Applied);
        // A restored copy takes the path: from the next call on, the old file is nobody's.
        let copy = workspace.path("copy.db");
        workspace.app().execute("VACUUM INTO ?1", [copy.display().to_string()]).unwrap();
        let kept = workspace.path("kept.db");
        std::fs::hard_link(workspace.path("billing.db"), &kept).unwrap();
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(workspace.path(&format!("billing.db{suffix}")));
        }
        std::fs::rename(copy, workspace.path("billing.db")).unwrap();
        assert_eq!(land(&runtime, "INV-2").await, Ending::Applied);
        assert_eq!((workspace.effects("INV-1"), workspace.effects("INV-2")), (1, 1));
        let old = rusqlite::Connection::open(kept).unwrap();
        let effects = "SELECT count(*) FROM effects WHERE invoice_id = 'INV-2'";
        assert_eq!(old.query_row(effects, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
        // And with no file there at all, it says so.
        std::fs::rename(workspace.path("billing.db"), workspace.path("aside.db")).unwrap();
        let gone = runtime.read("billing.inspect_invoice", r#"{"invoice_id":"INV-3"}"#, &Caller::FromContract).await;
        assert_eq!(gone.unwrap_err().code().as_str(), "SOURCE_UNAVAILABLE");
    });
}

#[test]
fn connections_are_kept_few_and_hold_no_lock() {
    let workspace = Workspace::with_invoices(4);
    let runtime = embedded(&workspace);
    let path = workspace.path("billing.db");
    block(async {
        for invoice in ["INV-1", "INV-2", "INV-3"] {
            assert_eq!(land(&runtime, invoice).await, Ending::Applied);
        }
        assert_eq!(open_files(&path), 2, "one to read and one to write");
        // The application may have its file for itself.
        let app = workspace.app();
        app.execute_batch("BEGIN EXCLUSIVE; UPDATE invoices SET customer_id = customer_id; COMMIT").unwrap();
        drop(app);
        // A call that failed leaves no connection of doubtful standing.
        let denied = runtime.read("billing.inspect_invoice", r#"{"invoice_id":"INV-none"}"#, &Caller::FromContract);
        assert!(denied.await.is_err());
        assert_eq!(land(&runtime, "INV-4").await, Ending::Applied);
    });
    drop(runtime);
    assert_eq!(open_files(&path), 0, "they end with the runtime");
}
