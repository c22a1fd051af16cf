//! PostgreSQL as a source. Every read and every guard is one transaction on a connection of a shared, bounded pool; no
//! session state survives a transaction, ours or anybody's.

mod catalogue;
mod check;
mod migrate;
mod pool;
mod read;
mod receipts;
mod session;
mod unavailable;

use std::time::Duration;

use async_trait::async_trait;

use self::pool::Address;
use self::session::Session;
use super::{Check, CheckRequest, Database, RowRead, ScopedRead};
use crate::error::{Code, Error, Result};
use crate::guard::{Dialect, Failure, Guard, GuardJob, Outcome, ReceiptTable, Reply, Step};
use crate::primitives::{Redactor, Secret};

/// How long a statement may take unless the source says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// A PostgreSQL database with an application's rows.
#[derive(Debug, Clone)]
pub struct PostgresDatabase {
    source: String,
    variable: String,
    address: Address,
    timeout: Duration,
}

impl PostgresDatabase {
    /// A source at the address that `variable` holds: `postgres://` or `postgresql://`, with `sslmode` and `sslrootcert`
    /// as libpq has them. Nothing is opened yet.
    ///
    /// # Errors
    /// `SOURCE_URL_INVALID`, also for a parameter that is not known: it would be ignored.
    pub fn open(source: &str, variable: &str, address: &Secret, timeout: Option<Duration>) -> Result<Self> {
        let invalid = || Error::new(Code::SourceUrlInvalid).with("variable", variable).with("engine", "postgres");
        let address = Address::parse(address.expose()).ok_or_else(invalid)?;
        let timeout = timeout.unwrap_or(DEFAULT_TIMEOUT);
        Ok(Self { source: source.to_owned(), variable: variable.to_owned(), address, timeout })
    }

    /// Does this address say `sslmode=no-verify`: encryption without a look at the server's certificate?
    #[must_use]
    pub fn is_unverified(address: &Secret) -> bool {
        pool::unverified(address.expose())
    }

    /// Runs an operator's own statements, without parameters, in one transaction: to set a database up, not to change what
    /// is signed off. Answers the rows they gave, whose outputs have to be of type text.
    ///
    /// # Errors
    /// `SOURCE_UNAVAILABLE`, `SOURCE_BUSY`, `SOURCE_READ_ONLY`, `SOURCE_OBJECT_NOT_FOUND`, `SOURCE_REJECTED`.
    pub async fn script(&self, statements: &str) -> Result<Vec<Vec<Option<String>>>> {
        let failed = |failure: Failure| match failure {
            Failure::Other => self.explain(Failure::Rejected),
            failure => self.explain(failure),
        };
        let (mut session, rows) = match self.begin("BEGIN ISOLATION LEVEL READ COMMITTED", statements).await {
            Err(Failure::Lost) => return Err(self.unavailable().await),
            begun => begun.map_err(failed)?,
        };
        session.end("COMMIT").await.map_err(failed)?;
        Ok(rows)
    }

    fn explain(&self, failure: Failure) -> Error {
        super::explain(&self.source, &self.variable, failure)
    }

    /// Opens a transaction on a pooled connection that is as its role's configuration made it, whatever a function of
    /// the application left in the session. `mode` follows BEGIN; `more` runs in the same round trip.
    async fn begin(&self, mode: &str, more: &str) -> std::result::Result<(Session, session::Rows), Failure> {
        Session::open(&self.address.pool()?, &self.opening(mode, more), self.timeout).await
    }

    fn opening(&self, begin: &str, more: &str) -> String {
        let timeout = self.timeout.as_millis().max(1);
        // An author of triggers may have said SET, and a pool of the operator's may share sessions. In a transaction of its
        // own: the next one takes its defaults (read-only among them) as it begins. The encoding is said again: behind a
        // pooler, what RESET goes back to is not what we said when we connected.
        format!(
            "BEGIN; RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; COMMIT; {begin}; SET LOCAL statement_timeout = {timeout}; SET LOCAL idle_in_transaction_session_timeout = 10000; SET LOCAL client_encoding = 'UTF8'; {more}"
        )
    }

    async fn run_guard(&self, job: GuardJob, redactor: Option<Redactor>) -> Result<Outcome> {
        let (mut guard, mut step) = Guard::start(job, redactor)?;
        let mut session: Option<Session> = None;
        loop {
            fault_point(&step);
            let reply = match &step {
                Step::Begin(statement) => {
                    // Again on the connection of the first attempt, if it still has one.
                    let begun = match session.take() {
                        Some(open) => open.again(&self.opening(&statement.sql, "")).await,
                        None => self.begin(&statement.sql, "").await.map(|(open, _)| open),
                    };
                    match begun {
                        Ok(open) => {
                            session = Some(open);
                            Ok((Vec::new(), 0))
                        }
                        Err(Failure::Lost) => return Err(self.explain(Failure::Lost)),
                        Err(failure) => Err(failure),
                    }
                }
                Step::Run(statement) => match &mut session {
                    Some(open) => open.run(statement).await,
                    None => Err(Failure::Lost),
                },
                Step::Commit => match &mut session {
                    Some(open) => open.end("COMMIT").await.map(|()| (Vec::new(), 0)),
                    None => Err(Failure::Lost),
                },
                Step::Rollback => {
                    if let Some(open) = &mut session
                        && open.end("ROLLBACK").await.is_err()
                    {
                        session = None;
                    }
                    Ok((Vec::new(), 0))
                }
                Step::Pause(duration) => {
                    tokio::time::sleep(*duration).await;
                    Ok((Vec::new(), 0))
                }
                Step::Done(outcome) => {
                    return Ok(match outcome.clone() {
                        // The guard knows no source names; its errors get ours.
                        Outcome::Released(error) => Outcome::Released(error.with("source", &self.source)),
                        other => other,
                    });
                }
                Step::Effect => Err(Failure::Other),
            };
            step = guard.next(match reply {
                Ok((rows, changed)) => Reply::Ran { rows, changed },
                Err(failure) => Reply::Failed(failure),
            });
        }
    }
}

#[async_trait]
impl Database for PostgresDatabase {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    async fn read(&self, read: ScopedRead) -> Result<Option<RowRead>> {
        self.read_row(&read).await
    }

    async fn run(&self, job: GuardJob, redactor: Option<Redactor>) -> Result<Outcome> {
        let database = self.clone();
        // In a task of its own: a caller that goes away does not leave a change half-done.
        let joined = tokio::spawn(async move { database.run_trusted(job, redactor).await }).await;
        joined.unwrap_or_else(|_| Err(Error::new(Code::Internal).with("detail", "a database task ended early")))
    }

    async fn migrate_receipts(&self, table: ReceiptTable) -> Result<Vec<String>> {
        self.migrate(&table).await
    }

    async fn check(&self, request: CheckRequest) -> Vec<Check> {
        self.check_source(&request).await
    }
}

/// Passes the numbered point of a step, in a build that has them.
fn fault_point(step: &Step) {
    #[cfg(not(feature = "fault-injection"))]
    let _ = step;
    #[cfg(feature = "fault-injection")]
    {
        use crate::fault::reach;
        match step {
            Step::Begin(_) => reach("fault:guard.begin"),
            Step::Run(statement) if statement.sql.contains("INSERT INTO") => reach("fault:guard.claim"),
            Step::Run(statement) if statement.sql.contains("receipt_json = ") => reach("fault:guard.finish"),
            Step::Run(statement) if statement.sql.starts_with("UPDATE") => reach("fault:guard.effect"),
            Step::Run(_) => reach("fault:guard.read"),
            Step::Commit => reach("fault:guard.commit"),
            Step::Done(_) => reach("fault:guard.committed"),
            _ => {}
        }
    }
}
