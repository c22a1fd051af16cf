//! What must hold on every engine.

use serde_json::{Value, json};
use signoff::handler::{Applied, AuthorResult, Reply};
use signoff::primitives::Scalar;

use super::app::{Answer, App, body, credit, credits, deliver, deliver_to, handler};

fn nobody<A: App>(_: &mut A, _: &signoff::handler::HandlerGuard, _: &super::app::Row) -> Reply {
    panic!("the author's function was called");
}

fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    *body.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
    body
}

pub fn an_effect_lands_once_and_a_duplicate_gets_the_receipt<A: App>(app: &mut A) {
    let request = body("wrp_1:7");
    let first = deliver(app, &request, |app, guard, row| {
        assert_eq!((guard.job().tenant_id.as_str(), guard.job().object_id.as_str()), ("acme", "7"));
        assert_eq!(guard.job().patch["credit_requested_cents"], Scalar::Int(500));
        assert_eq!(row["id"].to_text().as_deref(), Some("7"));
        assert_eq!(row.len(), 3, "key, tenant and version: nothing else is read");
        credit(app);
        Reply::Author(AuthorResult::Applied(Applied {
            rows_affected: 2,
            new_version: Some("v2".into()),
            effects: vec![json!({ "kind": "db.insert" })],
            ..Applied::default()
        }))
    });
    assert_eq!((first.told(), first.replayed), ((200, "applied", ""), false));
    assert_eq!(first.body["rows_affected"], 2);
    assert_eq!((&first.body["new_version"], &first.body["source_database_mutated"]), (&json!("v2"), &json!(true)));
    assert_eq!(first.body["details"], json!({ "effects": [{ "kind": "db.insert" }] }));
    for _ in 0..2 {
        let again = deliver(app, &request, nobody);
        assert_eq!((again.told(), again.replayed), ((200, "already_applied", ""), true));
        assert_eq!(again.body["details"], first.body["details"]);
    }
    let other = deliver(app, &with(request, "/patch/credit_requested_cents", json!(501)), nobody);
    assert_eq!(other.told(), (422, "failed", "IDEMPOTENCY_KEY_REUSED"));
    assert_eq!(credits(app), 1);
}

pub fn a_row_that_moved_is_a_terminal_conflict<A: App>(app: &mut A) {
    let stale = with(body("k"), "/guards/expected_version/value", json!("2026-06-20T14:31:08.0006Z"));
    let conflict = deliver(app, &stale, nobody);
    assert_eq!((conflict.told(), conflict.replayed), ((200, "conflict", "VERSION_CONFLICT"), false));
    let again = deliver(app, &stale, nobody);
    assert_eq!(again, Answer { replayed: true, ..conflict });
    let elsewhere = with(body("k2"), "/tenant_guard/value", json!("globex"));
    assert_eq!(deliver(app, &elsewhere, nobody).told(), (200, "conflict", "ROW_NOT_FOUND"));
}

pub fn declared_columns_are_compared<A: App>(app: &mut A) {
    let mut request = with(body("k"), "/action", json!("billing.compare"));
    request["guards"] = json!({ "expected_version": { "column": "__row_hash", "value": "sha256:whatever" } });
    let moved = deliver(app, &with(request.clone(), "/before/balance", json!("25500.51")), nobody);
    assert_eq!(moved.told(), (200, "conflict", "ROW_CHANGED_AFTER_PROPOSAL"));
    assert_eq!(moved.body["details"], json!({ "column": "balance" }));
    let mut silent = with(request.clone(), "/idempotency_key", json!("k2"));
    silent["before"] = json!({ "status": "overdue" });
    assert_eq!(deliver(app, &silent, nobody).told(), (400, "failed", "BAD_WRITEBACK_REQUEST"));
    let same = deliver(app, &with(request, "/idempotency_key", json!("k3")), |app, _, row| {
        assert_eq!(row["status"], Scalar::from("overdue"));
        credit(app)
    });
    assert_eq!(same.told(), (200, "applied", ""));
}

pub fn a_dry_run_calls_nobody_and_writes_nothing<A: App>(app: &mut A) {
    let dry = with(body("k"), "/dry_run", json!(true));
    let rehearsed = deliver(app, &dry, nobody);
    assert_eq!(rehearsed.told(), (200, "applied", ""));
    assert_eq!(
        (&rehearsed.body["rows_affected"], &rehearsed.body["source_database_mutated"]),
        (&json!(0), &json!(false))
    );
    assert_eq!(rehearsed.body["details"], json!({ "dry_run": true }));
    let stale = with(dry.clone(), "/guards/expected_version/value", json!("2026-06-20T14:31:08Z"));
    assert_eq!(deliver(app, &stale, nobody).told(), (200, "conflict", "VERSION_CONFLICT"));
    assert_eq!(app.rows("SELECT 'x' FROM synapsor_handler_receipts").len(), 0);
    assert_eq!(deliver(app, &body("k"), |app, _, _| credit(app)).told(), (200, "applied", ""), "the key is free");
    let after = deliver(app, &dry, nobody);
    assert_eq!((after.told(), after.replayed), ((200, "already_applied", ""), true));
}

pub fn an_author_that_fails_is_rolled_back_and_may_be_tried_again<A: App>(app: &mut A) {
    let failed = deliver(app, &body("k"), |app, _, _| {
        credit(app);
        Reply::Threw
    });
    assert_eq!(failed.told(), (500, "failed", "HANDLER_BUSINESS_ERROR"));
    assert_eq!(failed.body["details"]["retryable"], true);
    assert_eq!((credits(app), app.rows("SELECT 'x' FROM synapsor_handler_receipts").len()), (0, 0));
    let odd = deliver(app, &body("k"), |app, _, _| {
        credit(app);
        Reply::Author(AuthorResult::Refused { code: "not a code".into(), details: Default::default() })
    });
    assert_eq!(odd.told(), (500, "failed", "HANDLER_BUSINESS_ERROR"), "what cannot be recorded is a failure, too");
    assert_eq!(deliver(app, &body("k"), |app, _, _| credit(app)).told(), (200, "applied", ""));
    assert_eq!(credits(app), 1);
}

pub fn an_author_declines_for_good<A: App>(app: &mut A) {
    let details = json!({ "limit_cents": 100 });
    let code = || "CREDIT_LIMIT".to_owned();
    let decline = |conflict: bool| {
        let details = details.as_object().unwrap().clone();
        if conflict {
            AuthorResult::Conflict { code: code(), details }
        } else {
            AuthorResult::Refused { code: code(), details }
        }
    };
    for (key, conflict, status) in [("k1", true, "conflict"), ("k2", false, "failed")] {
        let declined = deliver(app, &body(key), |app, _, _| {
            credit(app);
            Reply::Author(decline(conflict))
        });
        assert_eq!((declined.told(), declined.replayed), ((200, status, "CREDIT_LIMIT"), false));
        assert_eq!((&declined.body["details"], &declined.body["rows_affected"]), (&details, &json!(0)));
        assert_eq!(credits(app), 0, "what it wrote before is gone");
        assert_eq!(deliver(app, &body(key), nobody), Answer { replayed: true, ..declined }, "the same answer for ever");
    }
}

pub fn an_author_that_ends_our_transaction_is_noticed<A: App>(app: &mut A) {
    for (key, ends) in [("k1", "COMMIT"), ("k2", "COMMIT; BEGIN")] {
        let before = credits(app);
        let lost = deliver(app, &body(key), |app, _, _| {
            credit(app);
            ends.split("; ").for_each(|statement| app.sql(statement));
            Reply::Author(AuthorResult::applied(1))
        });
        assert_eq!(lost.told(), (500, "failed", "TRANSACTION_LOST"), "{ends}");
        assert_eq!(deliver(app, &body(key), nobody).told(), (500, "failed", "HANDLER_TRANSACTION_BROKEN"), "{ends}");
        assert_eq!(credits(app), before + 1);
    }
    // Committed and then declined: the second transaction finds what foreign code left behind.
    let declined = deliver(app, &body("k3"), |app, _, _| {
        app.sql("COMMIT");
        Reply::Author(AuthorResult::Conflict { code: "NO".into(), details: Default::default() })
    });
    assert_eq!(declined.told(), (500, "failed", "HANDLER_TRANSACTION_BROKEN"));
    // Rolled back, and then written on their own account: the claim went, what was written stays, and never again.
    for (key, then) in [("k4", ""), ("k5", "BEGIN")] {
        let before = credits(app);
        let rolled = deliver(app, &body(key), |app, _, _| {
            credit(app);
            app.sql("ROLLBACK");
            then.split_terminator("; ").for_each(|statement| app.sql(statement));
            credit(app);
            Reply::Author(AuthorResult::applied(1))
        });
        let left = before + usize::from(then.is_empty());
        assert_eq!((rolled.told(), credits(app)), ((500, "failed", "TRANSACTION_LOST"), left), "{key}");
        for _ in 0..2 {
            assert_eq!(deliver(app, &body(key), nobody).told(), (500, "failed", "HANDLER_TRANSACTION_BROKEN"), "{key}");
        }
        assert_eq!(credits(app), left, "{key}");
    }
}

pub fn an_author_may_use_savepoints<A: App>(app: &mut A) {
    let applied = deliver(app, &body("k"), |app, _, _| {
        app.sql("SAVEPOINT mine");
        credit(app);
        app.sql("ROLLBACK TO SAVEPOINT mine");
        app.sql("SAVEPOINT signoff_effect");
        let reply = credit(app);
        app.sql("RELEASE SAVEPOINT signoff_effect");
        app.sql("RELEASE SAVEPOINT mine");
        reply
    });
    assert_eq!((applied.told(), credits(app)), ((200, "applied", ""), 1));
}

pub fn a_transaction_that_is_open_is_not_joined<A: App>(app: &mut A) {
    app.sql("BEGIN");
    assert_eq!(deliver(app, &body("k"), nobody).told(), (500, "failed", "TRANSACTION_ALREADY_OPEN"));
    app.sql("ROLLBACK");
}

pub fn a_missing_receipts_table_is_said<A: App>(app: &mut A) {
    app.sql("DROP TABLE synapsor_handler_receipts");
    let missing = deliver(app, &body("k"), nobody);
    assert_eq!(missing.told(), (500, "failed", "RECEIPT_TABLE_MISSING"));
    assert!(missing.body["details"]["help"].as_str().unwrap().contains("signoff handler migration"));
    for statement in handler(A::DIALECT).receipts_ddl() {
        app.sql(&statement);
    }
    assert_eq!(deliver(app, &body("k"), |app, _, _| credit(app)).told(), (200, "applied", ""));
}

pub fn a_table_of_v1_is_told_what_it_lacks<A: App>(app: &mut A) {
    app.sql("DROP TABLE synapsor_handler_receipts");
    app.sql("CREATE TABLE synapsor_handler_receipts (idempotency_key text PRIMARY KEY, proposal_id text, action text, status text, receipt_json text, created_at timestamp, completed_at timestamp)");
    app.sql("INSERT INTO synapsor_handler_receipts (idempotency_key, proposal_id, status) VALUES ('old', 'wrp_1', 'applied'), ('foreign', 'wrp_2', 'applied')");
    let outdated = deliver(app, &body("k"), nobody);
    assert_eq!(outdated.told(), (500, "failed", "RECEIPT_TABLE_OUTDATED"));
    outdated.body["details"]["ddl"].as_str().unwrap().split("; ").for_each(|statement| app.sql(statement));
    assert_eq!(deliver(app, &body("k"), |app, _, _| credit(app)).told(), (200, "applied", ""));
    let old = deliver(app, &body("old"), nobody);
    assert_eq!(
        (old.told(), old.replayed),
        ((200, "already_applied", ""), true),
        "a row from before counts for its proposal"
    );
    assert_eq!(deliver(app, &body("foreign"), nobody).told(), (422, "failed", "IDEMPOTENCY_KEY_REUSED"));
}

pub fn what_is_refused_is_refused_without_a_connection<A: App>(app: &mut A) {
    let mut no_audience = body("k");
    no_audience.as_object_mut().unwrap().remove("audience");
    for (request, expected) in [
        (with(body("k"), "/action", json!("billing.other")), (400, "UNSUPPORTED_ACTION")),
        (with(body("k"), "/audience", json!("another-app")), (403, "AUDIENCE_MISMATCH")),
        (no_audience, (403, "AUDIENCE_MISMATCH")),
        (with(body("k"), "/target/table", json!("tenants")), (403, "TARGET_MISMATCH")),
        (with(body("k"), "/tenant_guard/column", json!("id2")), (403, "TARGET_MISMATCH")),
        (with(body("k"), "/patch", json!({ "status": "paid" })), (422, "PATCH_COLUMN_NOT_ALLOWED")),
    ] {
        let answer = deliver_to(&handler(A::DIALECT), app, &request, nobody);
        assert_eq!((answer.http, answer.told().2), expected);
        assert_eq!(
            (&answer.body["status"], &answer.body["source_database_mutated"]),
            (&json!("failed"), &json!(false))
        );
    }
}

/// Makes each scenario a test on this engine; `$start` answers an app, or `None` where there is no server.
macro_rules! on {
    ($start:path: $($scenario:ident)*) => { $(
        #[test]
        fn $scenario() {
            if let Some(mut app) = $start() {
                super::scenarios::$scenario(&mut app);
            }
        }
    )* };
    ($start:path) => {
        super::scenarios::on!($start:
            an_effect_lands_once_and_a_duplicate_gets_the_receipt
            a_row_that_moved_is_a_terminal_conflict
            declared_columns_are_compared
            a_dry_run_calls_nobody_and_writes_nothing
            an_author_that_fails_is_rolled_back_and_may_be_tried_again
            an_author_declines_for_good
            an_author_that_ends_our_transaction_is_noticed
            an_author_may_use_savepoints
            a_transaction_that_is_open_is_not_joined
            a_missing_receipts_table_is_said
            a_table_of_v1_is_told_what_it_lacks
            what_is_refused_is_refused_without_a_connection);
    };
}
pub(crate) use on;
