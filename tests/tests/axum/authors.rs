//! What authors do, and what becomes of it.

use serde_json::{Value, json};
use signoff::handler::axum::{BoxError, Effect, LockedJob};
use signoff::handler::{Applied, AuthorResult};
use signoff::primitives::Scalar;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _, Postgres};

use super::client::{body, with};
use super::shop::{App, action, credit};

/// An author who fails the first time, then writes.
struct Moody(std::sync::atomic::AtomicU32);

impl Effect for Moody {
    async fn run(&self, job: LockedJob<'_>, connection: &mut PgConnection) -> Result<AuthorResult, BoxError> {
        let result = credit(job, connection).await?;
        match self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Err("the planted error of the author".into()),
            1 => panic!("the planted panic of the author"),
            // A statement that fails, and is not looked at: nothing can be committed any more.
            2 => {
                let _ = connection.execute("SELECT 1 / 0").await;
                Ok(result)
            }
            3 => Ok(AuthorResult::refused("not a code")),
            4 => {
                // Far into an answer that nobody reads to its end.
                let rows = connection.fetch("SELECT repeat('x', 1000) FROM generate_series(1, 100000)");
                drop(rows);
                Err("gone".into())
            }
            _ => Ok(result),
        }
    }
}

fn of(name: &str, key: &str) -> Value {
    with(body(key), "/action", json!(name))
}

#[test]
fn an_author_that_fails_is_rolled_back_and_may_be_tried_again() {
    let Some(app) = App::start(|handler| handler.action(action("moody"), Moody(0.into()))) else { return };
    for round in 0..5 {
        let failed = app.post(&of("moody", "k"));
        let code = if round == 2 { failed.told().2.to_owned() } else { "HANDLER_BUSINESS_ERROR".to_owned() };
        assert_eq!((failed.http / 100, failed.told().1, failed.told().2), (5, "failed", code.as_str()), "{round}");
        assert_eq!((app.effects(), app.receipts().len()), (0, 0), "{round}");
        assert!(!failed.body.to_string().contains("planted"), "{round}");
    }
    let applied = app.post(&of("moody", "k"));
    assert_eq!((applied.told(), applied.replayed()), ((200, "applied", ""), false));
    assert_eq!(app.effects(), 1);
    let logged = app.logged();
    assert!(logged.contains("moody k: the planted error of the author"), "{logged}");
    assert!(logged.contains("moody k: the function panicked"), "{logged}");
    assert_eq!(logged.lines().count(), 5, "each once: {logged}");
}

async fn declines(job: LockedJob<'_>, connection: &mut PgConnection) -> Result<AuthorResult, BoxError> {
    credit(job, connection).await?;
    Ok(AuthorResult::Conflict {
        code: "CREDIT_LIMIT".to_owned(),
        details: json!({ "limit_cents": 100 }).as_object().unwrap().clone(),
    })
}

async fn refuses(job: LockedJob<'_>, connection: &mut PgConnection) -> Result<AuthorResult, BoxError> {
    credit(job, connection).await?;
    Ok(AuthorResult::refused("NO_CREDIT"))
}

#[test]
fn an_author_declines_for_good_after_partial_writes() {
    let add = |handler: signoff::handler::axum::WritebackHandler| {
        handler.action(action("declines"), declines)?.action(action("refuses"), refuses)
    };
    let Some(app) = App::start(add) else { return };
    for (name, told) in [("declines", (200, "conflict", "CREDIT_LIMIT")), ("refuses", (200, "failed", "NO_CREDIT"))] {
        let declined = app.post(&of(name, name));
        assert_eq!((declined.told(), declined.replayed(), app.effects()), (told, false, 0));
        let again = app.post(&of(name, name));
        assert_eq!((&again.body, again.replayed(), app.effects()), (&declined.body, true, 0), "the same for ever");
    }
    assert_eq!(app.receipts(), ["declines|conflict", "refuses|failed"]);
}

/// Ends the guard's transaction as the key says.
async fn ends(job: LockedJob<'_>, connection: &mut PgConnection) -> Result<AuthorResult, BoxError> {
    if job.idempotency_key.ends_with("-done") {
        return credit(job, connection).await;
    }
    credit(job, connection).await?;
    let (statement, then) = match job.idempotency_key.as_str() {
        "commit" => ("COMMIT", Ok(AuthorResult::applied(1))),
        "commit-begin" => ("COMMIT; BEGIN", Ok(AuthorResult::applied(1))),
        "commit-error" => ("COMMIT", Err("after COMMIT".into())),
        "commit-conflict" => ("COMMIT", Ok(AuthorResult::conflict("NO"))),
        "rollback" => ("ROLLBACK", Ok(AuthorResult::applied(1))),
        "rollback-begin" => ("ROLLBACK; BEGIN", Ok(AuthorResult::applied(1))),
        "rollback-write" => ("ROLLBACK", Ok(AuthorResult::applied(1))),
        other => panic!("{other}"),
    };
    connection.execute(statement).await?;
    if job.idempotency_key == "rollback-write" {
        return credit(job, connection).await;
    }
    then
}

#[test]
fn an_author_that_ends_our_transaction_is_noticed() {
    let Some(app) = App::start(|handler| handler.action(action("ends"), ends)) else { return };
    for (key, code) in [
        ("commit", "TRANSACTION_LOST"),
        ("commit-begin", "TRANSACTION_LOST"),
        ("commit-error", "HANDLER_BUSINESS_ERROR"),
        ("commit-conflict", "HANDLER_TRANSACTION_BROKEN"),
    ] {
        let before = app.effects();
        assert_eq!(app.post(&of("ends", key)).told(), (500, "failed", code), "{key}");
        for _ in 0..2 {
            let again = app.post(&of("ends", key));
            assert_eq!(again.told(), (500, "failed", "HANDLER_TRANSACTION_BROKEN"), "{key}");
        }
        assert_eq!(app.effects(), before + 1, "{key}: never run again");
    }
    for (key, landed) in [("rollback", 0), ("rollback-begin", 0), ("rollback-write", 1)] {
        let before = app.effects();
        assert_eq!(app.post(&of("ends", key)).told(), (500, "failed", "TRANSACTION_LOST"), "{key}");
        for _ in 0..2 {
            let again = app.post(&of("ends", key));
            assert_eq!(again.told(), (500, "failed", "HANDLER_TRANSACTION_BROKEN"), "{key}");
        }
        assert_eq!(app.effects(), before + landed, "{key}: never run again");
    }
    assert_eq!(app.post(&of("ends", "x-done")).told(), (200, "applied", ""), "the connections are fit for others");
}

/// Transactions of the author's own, in ours.
async fn nests(job: LockedJob<'_>, connection: &mut PgConnection) -> Result<AuthorResult, BoxError> {
    // Rolled back when it is dropped.
    let mut dropped = connection.begin().await?;
    credit(job, &mut dropped).await?;
    drop(dropped);
    let mut kept = connection.begin().await?;
    credit(job, &mut kept).await?;
    let mut inner = kept.begin().await?;
    credit(job, &mut inner).await?;
    inner.rollback().await?;
    kept.commit().await?;
    of_a_library(connection).await?;
    Ok(AuthorResult::applied(1))
}

/// Wants a transaction of its own, from whatever can give one.
async fn of_a_library<'c>(from: impl sqlx::Acquire<'c, Database = Postgres> + Send) -> sqlx::Result<()> {
    let mut transaction = from.begin().await?;
    transaction.execute("SELECT 1").await?;
    transaction.commit().await
}

async fn forgets(job: LockedJob<'_>, connection: &mut PgConnection) -> Result<AuthorResult, BoxError> {
    let mut forgotten = connection.begin().await?;
    credit(job, &mut forgotten).await?;
    std::mem::forget(forgotten);
    Ok(AuthorResult::applied(1))
}

#[test]
fn transactions_of_the_authors_own_are_savepoints() {
    let add = |handler: signoff::handler::axum::WritebackHandler| {
        handler.action(action("nests"), nests)?.action(action("forgets"), forgets)
    };
    let Some(app) = App::start(add) else { return };
    assert_eq!((app.post(&of("nests", "k1")).told(), app.effects()), ((200, "applied", ""), 1));
    // The driver would not have sent COMMIT, and says it did: that is no 200.
    let forgotten = app.post(&of("forgets", "k2"));
    assert_eq!((forgotten.http / 100, app.effects(), app.receipts()), (5, 1, vec!["k1|applied".to_owned()]));
    assert_eq!(
        app.post(&of("nests", "k2")).told(),
        (200, "applied", ""),
        "the key is free, the connection is not used"
    );
    assert_eq!(app.effects(), 2);
}

#[test]
fn the_function_gets_job_row_and_the_sessions_own_settings() {
    async fn looks(job: LockedJob<'_>, connection: &mut PgConnection) -> Result<AuthorResult, BoxError> {
        assert_eq!(job.patch["credit_requested_cents"], Scalar::Int(500));
        assert_eq!((job.tenant_id.as_str(), job.object_id.as_str()), ("acme", "INV-3001"));
        assert_eq!(job.row["updated_at"], Scalar::from("2026-06-20T14:31:08.0003+00:00"));
        assert_eq!(job.row.len(), 3, "key, tenant and version: nothing else is read");
        let shown = "SELECT concat_ws(' ', current_setting('TimeZone'), current_setting('lock_timeout'))";
        let shown: String = sqlx::query_scalar(shown).fetch_one(&mut *connection).await?;
        let result = credit(job, connection).await?;
        let AuthorResult::Applied(applied) = result else { unreachable!() };
        Ok(AuthorResult::Applied(Applied { effects: vec![json!({ "shown": shown })], ..applied }))
    }
    let closure = async |job: LockedJob<'_>, connection: &mut PgConnection| credit(job, connection).await;
    let Some(app) = App::start(|h| h.action(action("looks"), looks)?.action(action("closure"), closure)) else {
        return;
    };
    let applied = app.post(&of("looks", "k"));
    assert_eq!(applied.told(), (200, "applied", ""), "{}", app.logged());
    assert_eq!(applied.body["details"]["effects"], json!([{ "shown": "Asia/Kolkata 0" }]));
    assert_eq!((app.post(&of("closure", "k2")).told(), app.effects()), ((200, "applied", ""), 2));
}
