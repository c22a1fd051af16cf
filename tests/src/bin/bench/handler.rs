//! What the handler costs: a signature beside the bare HMAC, and a credit booked through the axum router beside the same
//! guarded transaction written by hand and beside the same effect without a guard; from one pool, in the same run.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use axum::routing::Router;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use signoff::guard::Dialect;
use signoff::handler::axum::{LockedJob, WritebackHandler};
use signoff::handler::{Action, AuthorResult, HandlerConfig, Policy, sign, verify_signature};
use signoff::primitives::{Clock, Secret, SystemClock};
use signoff_tests::cluster::Cluster;
use signoff_tests::mutants;
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use tower::ServiceExt;

use super::postgres::{CONNECTIONS, measure};

const LEVELS: [usize; 2] = [1, 16];
const ROUNDS: usize = 7;
/// Credits of each way in a round.
const EACH: usize = 400;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const VERSION: &str = "2026-06-20T14:31:08.0003Z";
const TABLES: &str = "
CREATE TABLE invoices (id text PRIMARY KEY, tenant_id text NOT NULL, credited_cents integer NOT NULL DEFAULT 0, updated_at timestamptz NOT NULL);
CREATE TABLE account_credits (id text PRIMARY KEY, tenant_id text NOT NULL, invoice_id text NOT NULL, amount_cents integer NOT NULL);
CREATE TABLE receipts_by_hand (tenant_id text NOT NULL, idempotency_key text NOT NULL, fingerprint text NOT NULL, status text NOT NULL, receipt_json text, created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (tenant_id, idempotency_key));
";

/// A request of 1 KiB: is it authentic and fresh, and what is the job in it?
pub(crate) fn verify() {
    let now = signoff::primitives::Instant::from_unix(1_782_604_800).expect("an instant");
    let secrets = mutants::secrets();
    let pad = |length: usize| mutants::request(length).into_bytes();
    let body = pad(1_024 - (pad(0).len()));
    assert_eq!(body.len(), 1_024);
    let headers = sign(&body, &secrets, "wrp_1:INV-3001", now).expect("signed");
    let key = Hmac::<Sha256>::new_from_slice(b"a key of twenty-four bytes").expect("a key");
    let bare = each(|| {
        let mut mac = key.clone();
        mac.update(&body);
        assert_ne!(mac.finalize().into_bytes()[..], [0; 32]);
    });
    let signature = each(|| {
        verify_signature(&body, &headers, &secrets, now, Policy::Strict).expect("authentic");
    });
    let whole = each(|| {
        signoff::handler::verify(&body, &headers, &secrets, now, Policy::Strict).expect("a job");
    });
    let read = each(|| {
        serde_json::from_slice::<serde_json::Value>(&body).expect("JSON");
    });
    let ratio = |one: Duration, other: Duration| one.as_secs_f64() / other.as_secs_f64();
    println!(
        "| signature and time of a 1 KiB request | {signature:.2?} | bare HMAC, prepared key {bare:.2?} | {:.2} ×; goal ≤ 1.3 × |",
        ratio(signature, bare)
    );
    println!(
        "| `verify` of it, the job included | {whole:.2?} | bare HMAC and serde_json to a value {:.2?} | {:.2} × |",
        bare + read,
        ratio(whole, bare + read)
    );
}

/// The fastest mean of ten runs of a thousand.
fn each(mut work: impl FnMut()) -> Duration {
    let run = |work: &mut dyn FnMut()| {
        let begun = Instant::now();
        (0..1_000).for_each(|_| work());
        begun.elapsed() / 1_000
    };
    (0..10).map(|_| run(&mut work)).min().expect("ten runs")
}

/// Runs the rows about writebacks. Rounds alternate, and a ratio is the median of its rounds' ratios: other work on the
/// machine hits both sides alike.
pub(crate) fn run() {
    let Some(cluster) = Cluster::shared() else { return };
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("tokio");
    cluster.psql("postgres", "CREATE DATABASE bench_handler").expect("a database");
    cluster.psql("bench_handler", TABLES).expect("tables");
    let rows = EACH * LEVELS.len() * ROUNDS * 5;
    cluster.psql("bench_handler", &format!("INSERT INTO invoices (id, tenant_id, updated_at) SELECT 'INV-' || n, 'acme', '{VERSION}' FROM generate_series(1, {rows}) AS n; ANALYZE")).expect("rows");
    println!(
        "\n| handler on Postgres, medians of {ROUNDS} rounds of {EACH} credits | in flight | a second | ratio | goal |"
    );
    println!("|---|---|---|---|---|");
    tokio.block_on(async {
        let address = cluster.address("postgres", "bench_handler");
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(&address).await.expect("a pool");
        let routers = [router(&pool, true).await, router(&pool, false).await];
        let mut next = 0;
        let mut invoices = || -> VecDeque<String> {
            next += EACH;
            (next - EACH + 1..=next).map(|n| format!("INV-{n}")).collect()
        };
        for level in LEVELS {
            let mut rounds: Vec<[f64; 5]> = Vec::new();
            for _ in 0..ROUNDS {
                let mut rates = [measure(level, invoices(), |id| unguarded(pool.clone(), id)).await.rate(); 5];
                for (n, router) in routers.iter().enumerate() {
                    let prepared = n == 0;
                    rates[2 * n + 1] =
                        measure(level, invoices(), |id| by_hand(pool.clone(), id, prepared)).await.rate();
                    let requests = invoices().into_iter().map(|id| request(&id)).collect();
                    rates[2 * n + 2] =
                        measure(level, requests, |request| guarded(router.clone(), request)).await.rate();
                }
                rounds.push(rates);
            }
            let print = |what: &str, way: usize, floor: usize, ratio: &str, goal: &str| {
                let rate = median(rounds.iter().map(|rates| rates[way]));
                let times = median(rounds.iter().map(|rates| rates[way] / rates[floor]));
                println!("| {what} | {level} | {rate:.0} | {times:.2} {ratio} | {goal} |");
            };
            print("(a) the effect alone: BEGIN, INSERT, UPDATE, COMMIT", 0, 1, "H", "");
            print("(b) H: BEGIN, claim, lock, effect, receipt, COMMIT, by hand", 1, 1, "H", "");
            print("(c) a signed request through the axum router, `prepared()`", 2, 1, "H", "≥ 0.85 H");
            print("(d) U: as (b), its three guarding statements without names", 3, 1, "H", "");
            print("(e) a signed request through the axum router, without names", 4, 3, "U", "≥ 0.85 U");
        }
    });
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn router(pool: &PgPool, prepared: bool) -> Router {
    let config = HandlerConfig::new(Dialect::Postgres, [Secret::new(SECRET.to_owned())]);
    let action = Action::new("billing.credit", "invoices", "id").and_then(|action| action.tenant("tenant_id"));
    let action = action.and_then(|action| action.version("updated_at")).expect("an action");
    let handler = WritebackHandler::new(pool.clone(), config).and_then(|handler| handler.action(action, credit));
    let handler = handler.expect("a handler");
    let handler = if prepared { handler.prepared() } else { handler };
    for statement in handler.receipts_ddl() {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(pool).await.expect("a receipts table");
    }
    handler.router("/")
}

fn request(id: &str) -> Request<Body> {
    let key = format!("wrp_{id}:{id}");
    let body = json!({
        "protocol_version": "1.0", "schema_version": "synapsor.handler-writeback.v1", "writeback_job_id": "hwb_wrp_1",
        "proposal_id": format!("wrp_{id}"), "proposal_version": 1, "proposal_hash": format!("sha256:{}", "1".repeat(64)),
        "action": "billing.credit", "idempotency_key": key,
        "target": { "schema": "public", "table": "invoices", "primary_key": { "column": "id", "value": id } },
        "tenant_guard": { "column": "tenant_id", "value": "acme" }, "allowed_columns": ["credited_cents"],
        "before": { "credited_cents": 0, "updated_at": VERSION }, "patch": { "credited_cents": 500 },
        "guards": { "expected_version": { "column": "updated_at", "value": VERSION } },
    });
    let body = body.to_string();
    let headers = sign(body.as_bytes(), &secrets(), &key, SystemClock.now()).expect("signed");
    let request = headers.iter().fold(Request::post("/"), |request, (name, value)| request.header(name, value));
    request.body(Body::from(body)).expect("a request")
}

fn secrets() -> signoff::handler::SigningSecrets {
    signoff::handler::SigningSecrets::new([Secret::new(SECRET.to_owned())]).expect("a secret")
}

async fn guarded(router: Router, request: Request<Body>) {
    let response = router.oneshot(request).await.expect("an answer");
    assert_eq!(response.status(), 200);
}

async fn credit(job: LockedJob<'_>, connection: &mut PgConnection) -> sqlx::Result<AuthorResult> {
    effect(&job.object_id, connection).await?;
    Ok(AuthorResult::applied(2))
}

/// What all three ways write.
async fn effect(id: &str, connection: &mut PgConnection) -> sqlx::Result<()> {
    let sql = "INSERT INTO account_credits (id, tenant_id, invoice_id, amount_cents) VALUES ($1, 'acme', $1, 500)";
    sqlx::query(sql).bind(id).execute(&mut *connection).await?;
    let sql = "UPDATE invoices SET credited_cents = credited_cents + 500, updated_at = clock_timestamp() WHERE id = $1 AND tenant_id = 'acme'";
    sqlx::query(sql).bind(id).execute(connection).await.map(drop)
}

async fn unguarded(pool: PgPool, id: String) {
    let mut transaction = pool.begin().await.expect("BEGIN");
    effect(&id, &mut transaction).await.expect("an effect");
    transaction.commit().await.expect("COMMIT");
}

async fn by_hand(pool: PgPool, id: String, prepared: bool) {
    let mut transaction = pool.begin().await.expect("BEGIN");
    let sql = "INSERT INTO receipts_by_hand (tenant_id, idempotency_key, fingerprint, status) VALUES ('acme', $1, $2, 'in_progress') ON CONFLICT DO NOTHING";
    let claim = sqlx::query(sql)
        .persistent(prepared)
        .bind(&id)
        .bind("sha256:1")
        .execute(&mut *transaction)
        .await
        .expect("a claim");
    assert_eq!(claim.rows_affected(), 1);
    let sql = "SELECT 1 FROM invoices WHERE id = $1 AND tenant_id = 'acme' AND updated_at = $2::text::timestamptz FOR NO KEY UPDATE";
    let locked = sqlx::query(sql)
        .persistent(prepared)
        .bind(&id)
        .bind(VERSION)
        .fetch_all(&mut *transaction)
        .await
        .expect("a lock");
    assert_eq!(locked.len(), 1);
    effect(&id, &mut transaction).await.expect("an effect");
    let sql = "UPDATE receipts_by_hand SET status = 'applied', receipt_json = $2 WHERE tenant_id = 'acme' AND idempotency_key = $1 AND status = 'in_progress'";
    let receipt =
        format!(r#"{{"status":"applied","invoice":"{id}","rows_affected":2,"previous_version":"{VERSION}"}}"#);
    let done = sqlx::query(sql)
        .persistent(prepared)
        .bind(&id)
        .bind(receipt)
        .execute(&mut *transaction)
        .await
        .expect("a receipt");
    assert_eq!(done.rows_affected(), 1);
    transaction.commit().await.expect("COMMIT");
}
