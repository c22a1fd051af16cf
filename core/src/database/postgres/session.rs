//! One connection and the transactions on it. What did not end cleanly never goes back to the pool.

use std::future::Future;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgPool, PgRow, Postgres};
use sqlx::{AssertSqlSafe, Row as _};

use super::failure::classify;
use super::pool::CONNECTIONS;
use crate::guard::{Failure, Statement};

/// Rows as text.
pub(super) type Rows = Vec<Vec<Option<String>>>;

/// How much longer than the server's own limit an answer may take before the connection counts as lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection, in a transaction until [`Session::end`].
#[derive(Debug)]
pub(super) struct Session {
    connection: Option<PoolConnection<Postgres>>,
    /// True between transactions, when the connection may be returned to the pool.
    clean: bool,
    limit: Duration,
}

impl Session {
    /// Opens a transaction with this batch of statements; answers the rows they gave. A connection that died while it
    /// lay in the pool shows here, where nothing was done yet, and the next one is taken.
    pub(super) async fn open(pool: &PgPool, batch: &str, timeout: Duration) -> Result<(Self, Rows), Failure> {
        let limit = timeout.saturating_add(PATIENCE);
        for _ in 0..=CONNECTIONS {
            let connection = pool.acquire().await.map_err(|_| Failure::Lost)?;
            let mut session = Self { connection: Some(connection), clean: false, limit };
            match session.batch(batch).await {
                Err(Failure::Lost) => {}
                Ok(rows) => return Ok((session, rows)),
                Err(failure) => {
                    session.clean = session.batch("ROLLBACK").await.is_ok();
                    return Err(failure);
                }
            }
        }
        Err(Failure::Lost)
    }

    /// Opens the next transaction on the same connection.
    pub(super) async fn again(mut self, batch: &str) -> Result<Self, Failure> {
        self.clean = false;
        self.batch(batch).await.map(|_| self)
    }

    /// Ends the transaction.
    pub(super) async fn end(&mut self, statement: &str) -> Result<(), Failure> {
        self.batch(statement).await?;
        self.clean = true;
        Ok(())
    }

    /// Runs statements without parameters in one round trip.
    pub(super) async fn batch(&mut self, sql: &str) -> Result<Rows, Failure> {
        let limit = self.limit;
        let connection = self.connection.as_deref_mut().ok_or(Failure::Lost)?;
        let query = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        let answer = within(limit, query.fetch_all(connection)).await;
        self.check(answer).and_then(|rows| texts(&rows))
    }

    /// Runs one statement; answers its rows, or the number of rows it changed.
    pub(super) async fn run(&mut self, statement: &Statement) -> Result<(Rows, u64), Failure> {
        let limit = self.limit;
        let connection = self.connection.as_deref_mut().ok_or(Failure::Lost)?;
        let mut query = sqlx::query(AssertSqlSafe(statement.sql.clone()));
        for param in &statement.params {
            query = query.bind(param.clone());
        }
        if statement.sql.starts_with("SELECT") {
            let answer = within(limit, query.fetch_all(connection)).await;
            Ok((texts(&self.check(answer)?)?, 0))
        } else {
            let answer = within(limit, query.execute(connection)).await;
            Ok((Vec::new(), self.check(answer)?.rows_affected()))
        }
    }

    /// After an answer that may have been lost the connection is closed at once.
    fn check<T>(&mut self, answer: Result<T, Failure>) -> Result<T, Failure> {
        if let Err(Failure::Lost) = &answer {
            self.close();
        }
        answer
    }

    /// Closes the socket without a word: a polite end could wait for a server that is gone.
    fn close(&mut self) {
        drop(self.connection.take().map(PoolConnection::detach));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.clean {
            self.close();
        }
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = sqlx::Result<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(limit, work).await {
        Ok(answer) => answer.map_err(|error| classify(&error)),
        Err(_) => Err(Failure::Lost),
    }
}

/// Every output of ours is of type text.
fn texts(rows: &[PgRow]) -> Result<Rows, Failure> {
    let row =
        |row: &PgRow| (0..row.len()).map(|index| row.try_get(index)).collect::<sqlx::Result<Vec<Option<String>>>>();
    rows.iter().map(row).collect::<sqlx::Result<Rows>>().map_err(|error| classify(&error))
}
