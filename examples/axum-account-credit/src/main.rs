//! An account credit, booked exactly once: axum, sqlx and Postgres.

use std::env::var;

use signoff::guard::Dialect;
use signoff::handler::axum::{BoxError, LockedJob, WritebackHandler};
use signoff::handler::{Action, Applied, AuthorResult, HandlerConfig};
use signoff::primitives::{Scalar, Secret};
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgPool};

const CREDIT: &str = "INSERT INTO account_credits (id, tenant_id, invoice_id, customer_id, amount_cents, reason, idempotency_key, created_by)
    SELECT $5, tenant_id, id, customer_id, $1, $2, $5, 'signoff' FROM invoices WHERE id = $3 AND tenant_id = $4";
const INVOICE: &str =
    "UPDATE invoices SET credited_cents = credited_cents + $1, credit_requested_cents = $1, credit_reason = $2,
    updated_at = clock_timestamp() WHERE id = $3 AND tenant_id = $4 RETURNING to_jsonb(updated_at) #>> '{}'";

async fn account_credit(job: LockedJob<'_>, connection: &mut PgConnection) -> Result<AuthorResult, BoxError> {
    let (Scalar::Int(cents @ 1..=10_000), reason) =
        (&job.patch["credit_requested_cents"], job.patch["credit_reason"].to_text())
    else {
        return Ok(AuthorResult::refused("CREDIT_OUT_OF_BOUNDS"));
    };
    let bound =
        |sql| sqlx::query(sql).bind(*cents as i32).bind(reason.clone()).bind(&job.object_id).bind(&job.tenant_id);
    bound(CREDIT).bind(&job.idempotency_key).execute(&mut *connection).await?;
    let version: String = bound(INVOICE).fetch_one(connection).await?.get(0);
    let effects = ["db.insert", "db.update", "event"].map(|kind| serde_json::json!({ "kind": kind })).to_vec();
    let new_version = Some(version.as_str().into());
    Ok(AuthorResult::Applied(Applied { rows_affected: 2, new_version, effects, ..Applied::default() }))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let pool = PgPool::connect(&var("BILLING_APP_WRITE_URL")?).await?;
    let config = HandlerConfig {
        audience: Some("billing-app".into()),
        ..HandlerConfig::new(Dialect::Postgres, [Secret::new(var("BILLING_APP_HANDLER_SECRET")?)])
    };
    let credit =
        Action::new("billing.propose_account_credit", "invoices", "id")?.tenant("tenant_id")?.version("updated_at")?;
    let handler = WritebackHandler::new(pool, config)?.action(credit, account_credit)?;
    let listener = tokio::net::TcpListener::bind(var("BILLING_APP_LISTEN")?).await?;
    println!("listening on {}", listener.local_addr()?);
    Ok(axum::serve(listener, handler.router("/signoff/writeback")).await?)
}
