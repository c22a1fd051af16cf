//! Connections of the application's pool, clients that hang up, and a server that goes away.

use std::io::Write as _;
use std::time::{Duration, Instant as Moment};

use signoff::handler::AuthorResult;
use signoff::handler::axum::{BoxError, LockedJob};
use signoff_tests::cluster::Cluster;
use signoff_tests::pooler::Pooler;
use signoff_tests::shop::postgres::Shop;
use sqlx::Executor as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};

use super::client::{begin, body, signed, with};
use super::shop::{App, action, config, credit, shop};

/// Looks until it is so.
#[track_caller]
pub fn until(mut so: impl FnMut() -> bool) {
    let begun = Moment::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it did not come to that");
    }
}

/// How many sessions wait at the gate.
pub fn waiting(shop: &Shop) -> usize {
    shop.rows(&format!(
        "SELECT pid FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = '{}'",
        shop.name()
    ))
    .len()
}

async fn waits(job: LockedJob<'_>, connection: &mut PgConnection) -> Result<AuthorResult, BoxError> {
    let result = credit(job, connection).await?;
    connection.execute("SELECT pg_advisory_xact_lock_shared(7)").await?;
    Ok(result)
}

#[test]
fn a_client_that_hangs_up_stops_nothing() {
    let Some(app) = App::start(|handler| handler.action(action("waits"), waits)) else { return };
    let mut gate = signoff_tests::cluster::Cluster::shared().unwrap().session(app.shop.name());
    gate.say("SELECT pg_advisory_lock(7);");
    let request = with(body("k"), "/action", "waits".into());
    let bytes = request.to_string();
    let mut socket = begin(app.at, "POST", "/signoff/writeback", &signed(&request), bytes.len()).unwrap();
    socket.write_all(bytes.as_bytes()).unwrap();
    until(|| waiting(&app.shop) == 1);
    drop(socket);
    // The key is held meanwhile.
    assert_eq!(app.post(&request).told(), (409, "failed", "IDEMPOTENCY_IN_FLIGHT"));
    gate.say("SELECT pg_advisory_unlock(7);");
    until(|| app.effects() == 1);
    assert_eq!(app.post(&request).told(), (200, "already_applied", ""));
    assert_eq!(app.effects(), 1);
}

#[test]
fn a_session_inside_of_somebody_elses_transaction_is_not_joined() {
    for left in [
        "BEGIN",
        "BEGIN; SELECT 1 / 0",
        "BEGIN; SELECT 1",
        "BEGIN ISOLATION LEVEL REPEATABLE READ; INSERT INTO account_credits SELECT 'x', 'x', 'INV-3001', 'x', 1, 'x', 'x', 'x'",
    ] {
        let Some(shop) = shop() else { return };
        let Some(app) = App::on(shop, 1, config(), Ok) else { return };
        app.shop.wait(async {
            let mut connection = app.pool.acquire().await.unwrap();
            let _ = connection.execute(left).await;
        });
        let answer = app.post(&body("k"));
        assert_eq!(answer.told(), (500, "failed", "TRANSACTION_ALREADY_OPEN"), "{left}");
        assert_eq!((app.effects(), app.receipts().len()), (0, 0), "{left}");
        assert_eq!(app.post(&body("k")).told(), (200, "applied", ""), "{left}: that connection is gone");
        assert_eq!(app.effects(), 1);
    }
}

/// Books nothing; tells what this session has prepared.
async fn names(_: LockedJob<'_>, connection: &mut PgConnection) -> sqlx::Result<AuthorResult> {
    sqlx::query("SELECT $1::text").bind("x").execute(&mut *connection).await?;
    let sql = "SELECT coalesce(string_agg(statement, ' & '), '') FROM pg_prepared_statements";
    let names: String = sqlx::query_scalar(sql).persistent(false).fetch_one(connection).await?;
    let mut result = signoff::handler::Applied::default();
    result.effects.push(names.into());
    Ok(AuthorResult::Applied(result))
}

#[test]
fn statements_of_ours_have_no_name_unless_they_may() {
    for prepared in [false, true] {
        let Some(shop) = shop() else { return };
        let add = |handler: signoff::handler::axum::WritebackHandler| {
            let handler = handler.action(action("names"), names)?;
            Ok(if prepared { handler.prepared() } else { handler })
        };
        let Some(app) = App::on(shop, 1, config(), add) else { return };
        // The first one asks for the types, the second one prepares what the third one finds.
        let told = ["k1", "k2", "k3"].map(|key| app.post(&with(body(key), "/action", "names".into())));
        let told = told[2].body["details"]["effects"][0].as_str().unwrap().to_owned();
        assert!(told.contains("SELECT $1::text"), "the author's: {told}");
        assert_eq!((told.contains("WITH session"), told.contains("SET status")), (prepared, prepared), "{told}");
        assert_eq!(app.post(&body("k4")).told(), (200, "applied", ""));
        assert_eq!(app.post(&body("k4")).told(), (200, "already_applied", ""));
        assert_eq!(app.effects(), 1);
    }
}

/// Books without a name, as everything behind a pooler of transactions has to.
async fn unnamed(job: LockedJob<'_>, connection: &mut PgConnection) -> sqlx::Result<AuthorResult> {
    let sql = "INSERT INTO account_credits (id, tenant_id, invoice_id, customer_id, amount_cents, reason, idempotency_key, created_by) VALUES ($1, $2, $3, 'c', 500, 'r', $1, 'test')";
    let query = sqlx::query(sql).bind(&job.idempotency_key).bind(&job.tenant_id).bind(&job.object_id);
    query.persistent(false).execute(connection).await?;
    Ok(AuthorResult::applied(1))
}

#[test]
fn through_a_pooler_of_transactions_every_key_lands_once() {
    let Some(shop) = shop() else { return };
    let Some(pooler) = Pooler::start(Cluster::shared().unwrap(), 2) else { return };
    let address: PgConnectOptions = pooler.address(shop.name()).parse().unwrap();
    // The pooler knows no such parameter of a session.
    let options = address.extra_float_digits(None::<i8>);
    let pool = shop.wait(PgPoolOptions::new().max_connections(8).connect_with(options)).unwrap();
    let app = App::with(shop, pool, config(), |handler| handler.action(action("unnamed"), unnamed));
    let request = |key: &str| with(body(key), "/action", "unnamed".into());
    assert_eq!(app.post(&request("first")).told(), (200, "applied", ""));
    let keys: Vec<String> = (0..8).map(|n| format!("k{n}")).collect();
    std::thread::scope(|scope| {
        for key in keys.iter().flat_map(|key| [key; 4]) {
            scope.spawn(|| {
                let answer = app.post(&request(key));
                assert_eq!(answer.http, 200, "{answer:?} {}", app.logged());
            });
        }
    });
    assert_eq!(app.effects(), 9);
}

async fn dies(job: LockedJob<'_>, connection: &mut PgConnection) -> Result<AuthorResult, BoxError> {
    let result = credit(job, connection).await?;
    // The server ends the session; the author does not care.
    let _ = connection.execute("SELECT pg_terminate_backend(pg_backend_pid())").await;
    Ok(result)
}

#[test]
fn a_connection_that_is_gone_is_said_without_its_words_and_not_used_again() {
    let Some(shop) = shop() else { return };
    let add = |handler: signoff::handler::axum::WritebackHandler| handler.action(action("dies"), dies);
    let Some(app) = App::on(shop, 1, config(), add) else { return };
    let lost = app.post(&with(body("k"), "/action", "dies".into()));
    assert_eq!((lost.http / 100, lost.told().1, app.effects()), (5, "failed", 0), "{lost:?}");
    assert!(!format!("{lost:?}{}", app.logged()).contains("terminating"), "driver text");
    assert_eq!((app.post(&body("k")).told(), app.effects()), ((200, "applied", ""), 1));
    app.shop.wait(app.pool.close());
    let closed = app.post(&body("k2"));
    assert_eq!(closed.told(), (503, "failed", "TRANSACTION_FAILED"));
}
