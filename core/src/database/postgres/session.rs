//! One connection and the transactions on it. What did not end cleanly never goes back to the pool.
//!
//! Statements are prepared once for each connection, because planning is most of what they cost. The driver names them
//! `sqlx_s_1`, `sqlx_s_2`, ..., and behind a pooler of transactions another client's statement can have that name: to
//! bind our values to it would run it. So each text begins with a tag that only this connection uses, and each
//! transaction first asks the server, which cannot change within it, whether all of them are there and no others. If not, the
//! connection uses unnamed statements from then on, at one more round trip each, and so does every new one of its pool.

use std::future::Future;
use std::time::Duration;

use deadpool::managed::Object;
use sqlx::postgres::{PgDatabaseError, PgRow};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::pool::{CONNECTIONS, Manager, Pool};
use crate::guard::{Failure, Statement};

/// Rows as text.
pub(super) type Rows = Vec<Vec<Option<String>>>;

/// How much longer than the server's own limit an answer may take before the connection counts as lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection, in a transaction until [`Session::end`].
#[derive(Debug)]
pub(super) struct Session {
    connection: Option<Object<Manager>>,
    /// True between transactions, when the connection may be returned to the pool.
    clean: bool,
    limit: Duration,
}

impl Session {
    /// Opens a transaction with this batch of statements; answers the rows they gave. A connection that died while it
    /// lay in the pool shows here, where nothing was done yet, and the next one is taken; unless it showed by its silence,
    /// which is waited for once: the next one may be as silent.
    pub(super) async fn open(pool: &Pool, batch: &str, timeout: Duration) -> Result<(Self, Rows), Failure> {
        let limit = timeout.saturating_add(PATIENCE);
        let began = tokio::time::Instant::now();
        for _ in 0..=CONNECTIONS {
            let connection = pool.get().await.map_err(|_| Failure::Lost)?;
            let mut session = Self { connection: Some(connection), clean: false, limit };
            match session.begin(batch).await {
                Err(Failure::Lost) if began.elapsed() < limit => {}
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
        self.begin(batch).await.map(|_| self)
    }

    /// Opens the transaction, and looks whether the server still has what was prepared.
    async fn begin(&mut self, batch: &str) -> Result<Rows, Failure> {
        let connection = self.connection.as_deref().ok_or(Failure::Lost)?;
        if !connection.named() {
            return self.batch(batch).await;
        }
        let prepared = connection.inner.cached_statements_size().to_string();
        // How many of the driver's names there are on this server, and how many of them are ours: both as many as we know.
        let proof = format!(
            "SELECT pg_catalog.count(*)::pg_catalog.text, pg_catalog.count(*) FILTER (WHERE pg_catalog.strpos(p.statement, '{}') OPERATOR(pg_catalog.=) 1)::pg_catalog.text FROM pg_catalog.pg_prepared_statement() AS p WHERE pg_catalog.strpos(p.name, 'sqlx_s_') OPERATOR(pg_catalog.=) 1",
            connection.tag
        );
        let mut rows = self.batch(&format!("{batch}; {proof}")).await?;
        let found = rows.pop().unwrap_or_default();
        if (found.len() != 2 || found.iter().any(|count| count.as_ref() != Some(&prepared)))
            && let Some(connection) = &mut self.connection
        {
            connection.forget_names();
        }
        Ok(rows)
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
        let answer = within(limit, query.fetch_all(&mut connection.inner)).await;
        self.check(answer).and_then(|rows| texts(&rows))
    }

    /// Runs one statement; answers its rows, or the number of rows it changed.
    pub(super) async fn run(&mut self, statement: &Statement) -> Result<(Rows, u64), Failure> {
        let limit = self.limit;
        let connection = self.connection.as_deref_mut().ok_or(Failure::Lost)?;
        let named = connection.named();
        let sql = if named { format!("{}{}", connection.tag, statement.sql) } else { statement.sql.clone() };
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(named);
        for param in &statement.params {
            query = query.bind(param.clone());
        }
        let answer = within(limit, async {
            if statement.returns_rows() {
                let rows = query.fetch_all(&mut connection.inner).await?;
                let changed = rows.len() as u64;
                Ok((rows, changed))
            } else {
                let done = query.execute(&mut connection.inner).await?;
                Ok((Vec::new(), done.rows_affected()))
            }
        });
        let (rows, changed) = match answer.await {
            Err(error) if named && error.as_ref().is_some_and(lost_its_statement) => {
                // Refused before it was run, and the transaction with it: the next try does without names.
                connection.forget_names();
                return Err(Failure::Serialization);
            }
            answer => self.check(answer)?,
        };
        Ok((texts(&rows)?, changed))
    }

    /// After an answer that may have been lost the connection is closed at once.
    fn check<T>(&mut self, answer: Result<T, Option<sqlx::Error>>) -> Result<T, Failure> {
        let answer = answer.map_err(|error| error.map_or(Failure::Lost, |error| Failure::from_sqlx(&error)));
        if let Err(Failure::Lost) = &answer {
            self.close();
        }
        answer
    }

    /// Closes the socket without a word: a polite end could wait for a server that is gone.
    fn close(&mut self) {
        drop(self.connection.take().map(Object::take));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.clean {
            self.close();
        }
    }
}

/// The driver's error, or `None` if there was no answer in time.
async fn within<T>(limit: Duration, work: impl Future<Output = sqlx::Result<T>>) -> Result<T, Option<sqlx::Error>> {
    match tokio::time::timeout(limit, work).await {
        Ok(answer) => answer.map_err(Some),
        Err(_) => Err(None),
    }
}

/// A prepared statement that is not there, is somebody else's, or has a plan that no longer fits.
fn lost_its_statement(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>()) else {
        return false;
    };
    match error.code() {
        "26000" | "42P05" => true,
        // A code for much else: what a rule or a trigger does not support is no fault of the statement's name.
        "0A000" => error.routine() == Some("RevalidateCachedQuery"),
        _ => false,
    }
}

/// Every output of ours is of type text.
fn texts(rows: &[PgRow]) -> Result<Rows, Failure> {
    let row =
        |row: &PgRow| (0..row.len()).map(|index| row.try_get(index)).collect::<sqlx::Result<Vec<Option<String>>>>();
    rows.iter().map(row).collect::<sqlx::Result<Rows>>().map_err(|error| Failure::from_sqlx(&error))
}
