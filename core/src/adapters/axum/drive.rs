//! The loop: what the guard asks for is run on one connection of the application's pool, and handed back.

use std::future::Future;
use std::time::Duration;

use sqlx::postgres::{PgPool, PgRow};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Postgres, Row as _, Transaction};

use super::effect::{AnyEffect, BoxError, Ended, LockedJob};
use crate::guard::Failure;
use crate::handler::{HandlerGuard, Reply, Response, Step};

/// How long a statement of ours may take before the connection counts as lost. The longest waits for a lock, 2 seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Follows BEGIN in the same message, and fails unless that BEGIN opened the transaction: one that is open began earlier.
/// What the driver counts does not tell, since anybody may send the word as text.
const BEGAN_NOW: &str = "SELECT (CASE WHEN pg_catalog.transaction_timestamp() OPERATOR(pg_catalog.=) pg_catalog.statement_timestamp() THEN '1' ELSE 'began before' END)::pg_catalog.int4";
/// What says that a transaction is open: [`BEGAN_NOW`] is no number; BEGIN wants another isolation level than the open one
/// has, or that one has failed already.
const OPEN: [&str; 3] = ["22P02", "25001", "25P02"];

/// Where the guard's statements run.
pub(super) struct Database {
    pub(super) pool: PgPool,
    /// May the driver keep them prepared?
    pub(super) prepared: bool,
}

/// Drives a guard to its end. `failed` hears the author's own errors.
pub(super) async fn drive(
    database: &Database,
    guard: &mut HandlerGuard,
    effect: &dyn AnyEffect,
    failed: &mut (dyn FnMut(&HandlerGuard, BoxError) + Send),
) -> Response {
    loop {
        let reply = match guard.step() {
            Step::Begin { .. } => match database.pool.acquire().await {
                Ok(mut connection) => {
                    if !transaction(&mut connection, database.prepared, guard, effect, failed).await {
                        // Not the polite way, which could wait for a server that is gone.
                        drop(connection.detach());
                    }
                    continue;
                }
                Err(error) => Reply::Failed(Failure::from_sqlx(&error)),
            },
            Step::Pause { ms } => {
                tokio::time::sleep(Duration::from_millis(*ms)).await;
                Reply::done(0)
            }
            Step::Done { response } => return response.clone(),
            // Whatever was open went with its connection.
            Step::Rollback => Reply::done(0),
            _ => Reply::Failed(Failure::Lost),
        };
        guard.next(reply);
    }
}

/// From BEGIN to the end of that transaction. False if the connection may not be used again.
async fn transaction(
    connection: &mut PgConnection,
    prepared: bool,
    guard: &mut HandlerGuard,
    effect: &dyn AnyEffect,
    failed: &mut (dyn FnMut(&HandlerGuard, BoxError) + Send),
) -> bool {
    let Step::Begin { sql, .. } = guard.step() else { return true };
    // Through the driver, so that it counts: then `begin` of the author's makes a savepoint.
    let mut open = match begin(connection, sql).await {
        Ok(open) => open,
        Err(failure) => {
            guard.next(Reply::Failed(failure));
            return false;
        }
    };
    guard.next(Reply::done(0));
    let mut lost = false;
    loop {
        let reply = match guard.step() {
            Step::Run { sql, params, rows } => {
                run(&mut open, prepared, sql, params, *rows).await.unwrap_or_else(Reply::Failed)
            }
            Step::Effect { row } => match effect.call(LockedJob::new(guard.job(), row), &mut open).await {
                Ended::Returned(result) => Reply::Author(result),
                Ended::Failed(error) => {
                    failed(guard, error);
                    Reply::Threw
                }
                Ended::Panicked => {
                    failed(guard, "the function panicked".into());
                    Reply::Threw
                }
            },
            Step::Commit => {
                let mut ended = within(open.commit()).await;
                // An author who made a savepoint and forgot it: the driver released that, and has not committed yet.
                if ended.is_ok() && connection.is_in_transaction() {
                    ended = Err(Failure::Other);
                }
                let clean = ended.is_ok();
                guard.next(ended.map_or_else(Reply::Failed, |()| Reply::done(0)));
                return clean;
            }
            Step::Rollback => {
                let clean = !lost && within(open.rollback()).await.is_ok() && !connection.is_in_transaction();
                guard.next(Reply::done(0));
                return clean;
            }
            // No guard goes on to anything else before it has ended its transaction.
            _ => return false,
        };
        lost |= reply == Reply::Failed(Failure::Lost);
        guard.next(reply);
    }
}

async fn begin<'c>(connection: &'c mut PgConnection, sql: &str) -> Result<Transaction<'c, Postgres>, Failure> {
    if connection.is_in_transaction() {
        return Err(Failure::AlreadyOpen);
    }
    let statement = AssertSqlSafe(format!("{sql}; {BEGAN_NOW}"));
    match tokio::time::timeout(PATIENCE, connection.begin_with(statement)).await {
        Ok(Ok(open)) => Ok(open),
        Ok(Err(error)) if state(&error).is_some_and(|state| OPEN.contains(&&*state)) => Err(Failure::AlreadyOpen),
        Ok(Err(error)) => Err(Failure::from_sqlx(&error)),
        Err(_) => Err(Failure::Lost),
    }
}

fn state(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// Runs one statement of the guard's. Not under a name unless we are told that it is ours alone: behind a pooler of
/// transactions another client's statement may have the name that the driver would give it.
async fn run(
    connection: &mut PgConnection,
    prepared: bool,
    sql: &str,
    params: &[Option<String>],
    wants_rows: bool,
) -> Result<Reply, Failure> {
    let sql = AssertSqlSafe(sql.to_owned());
    let ran = async {
        if params.is_empty() && wants_rows {
            return sqlx::raw_sql(sql).fetch_all(connection).await.map(|rows| (rows, 0));
        }
        let query =
            params.iter().fold(sqlx::query(sql).persistent(prepared), |query, param| query.bind(param.as_deref()));
        if wants_rows {
            query.fetch_all(connection).await.map(|rows| (rows, 0))
        } else {
            query.execute(connection).await.map(|done| (Vec::new(), done.rows_affected()))
        }
    };
    let (rows, changed) = within(ran).await?;
    Ok(Reply::Ran { rows: rows.iter().map(texts).collect::<Result<_, _>>()?, changed })
}

/// Every output of ours is of type text.
fn texts(row: &PgRow) -> Result<Vec<Option<String>>, Failure> {
    (0..row.len()).map(|index| row.try_get(index)).collect::<sqlx::Result<_>>().map_err(|e| Failure::from_sqlx(&e))
}

async fn within<T>(work: impl Future<Output = sqlx::Result<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(answer) => answer.map_err(|error| Failure::from_sqlx(&error)),
        Err(_) => Err(Failure::Lost),
    }
}
