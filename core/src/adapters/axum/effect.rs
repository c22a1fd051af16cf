//! The author's function, in every form that it may be written in, and what becomes of its panics.

use std::any::Any;
use std::collections::BTreeMap;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;

use sqlx::PgConnection;

use crate::handler::{AuthorResult, Job};
use crate::primitives::{Identifier, Scalar};

/// Any error of the author's: what `?` makes of it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What the author's function is about: the request, and the row as it is locked.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct LockedJob<'c> {
    /// The request.
    pub job: &'c Job,
    /// Key, tenant, version and the compared columns, as they are under the lock; nothing else of the row was read.
    pub row: &'c BTreeMap<Identifier, Scalar>,
}

impl<'c> LockedJob<'c> {
    pub(super) fn new(job: &'c Job, row: &'c BTreeMap<Identifier, Scalar>) -> Self {
        Self { job, row }
    }
}

impl Deref for LockedJob<'_> {
    type Target = Job;

    fn deref(&self) -> &Job {
        self.job
    }
}

/// What happens when an action is applied. Every `async fn(LockedJob<'_>, &mut PgConnection) -> Result<AuthorResult, E>` is
/// one, and so is an async closure of that form that captures nothing; implement it where more is needed than the two
/// arguments.
///
/// The connection is in the guard's transaction, which also holds the lock on the row and, with the COMMIT that follows,
/// the receipt. Any query of sqlx runs on it. There is no transaction object to commit: `connection.begin()` makes a
/// savepoint, so a function that wants a transaction of its own can be called as it is. `COMMIT` or `ROLLBACK` as SQL text
/// would end the guard's transaction; that is noticed, answered `TRANSACTION_LOST`, and never run again for that key.
///
/// Nothing limits how long it takes, and the row is locked meanwhile: a `statement_timeout` of the pool's is the
/// application's to set.
///
/// Whatever is written through another connection, or sent to another service, is outside of the transaction: it
/// happens even if the change is rolled back. Write it to a table here, and send it from there.
///
/// ```
/// use signoff::handler::AuthorResult;
/// use signoff::handler::axum::{BoxError, Effect, LockedJob};
/// use signoff::primitives::Scalar;
/// use sqlx::PgConnection;
///
/// struct Credits {
///     maximum_cents: i64,
/// }
///
/// impl Effect for Credits {
///     async fn run(&self, job: LockedJob<'_>, connection: &mut PgConnection) -> Result<AuthorResult, BoxError> {
///         let cents = match job.patch["credit_requested_cents"] {
///             Scalar::Int(cents) if cents <= self.maximum_cents => cents,
///             _ => return Ok(AuthorResult::refused("CREDIT_OUT_OF_BOUNDS")),
///         };
///         let sql = "UPDATE invoices SET credited_cents = credited_cents + $1 WHERE id = $2 AND tenant_id = $3";
///         let done = sqlx::query(sql).bind(cents).bind(&job.object_id).bind(&job.tenant_id).execute(connection).await?;
///         Ok(AuthorResult::applied(done.rows_affected()))
///     }
/// }
/// ```
pub trait Effect: Send + Sync + 'static {
    /// Writes, and says what was written.
    ///
    /// # Errors
    /// Whatever the author likes: everything is rolled back and nothing is stored, the sender is told
    /// `HANDLER_BUSINESS_ERROR`, and may try again. The error itself goes to the application's log and nowhere else. So
    /// does a panic. A change that shall not be tried again is a [`AuthorResult::Conflict`] or [`AuthorResult::Refused`].
    fn run(
        &self,
        job: LockedJob<'_>,
        connection: &mut PgConnection,
    ) -> impl Future<Output = Result<AuthorResult, BoxError>> + Send;
}

impl<F: for<'c> Function<'c>> Effect for F {
    async fn run(&self, job: LockedJob<'_>, connection: &mut PgConnection) -> Result<AuthorResult, BoxError> {
        // The future borrows for as long as both live, so both have to live as long.
        called(self, job, connection).await
    }
}

async fn called<'c, F: Function<'c>>(
    function: &F,
    job: LockedJob<'c>,
    connection: &'c mut PgConnection,
) -> Result<AuthorResult, BoxError> {
    function(job, connection).await.map_err(Into::into)
}

/// An async function, for arguments of one lifetime. Nothing else can be one: see [`Effect`].
pub trait Function<'c>:
    Fn(LockedJob<'c>, &'c mut PgConnection) -> <Self as Function<'c>>::Future + Send + Sync + 'static
{
    /// Its error.
    type Error: Into<BoxError>;
    /// What it returns.
    type Future: Future<Output = Result<AuthorResult, Self::Error>> + Send + 'c;
}

impl<'c, F, E, R> Function<'c> for F
where
    F: Fn(LockedJob<'c>, &'c mut PgConnection) -> R + Send + Sync + 'static,
    E: Into<BoxError>,
    R: Future<Output = Result<AuthorResult, E>> + Send + 'c,
{
    type Error = E;
    type Future = R;
}

/// What an effect left: its result, its error, or its panic.
pub(super) enum Ended {
    Returned(AuthorResult),
    Failed(BoxError),
    Panicked,
}

/// An [`Effect`] that can be kept in a map.
pub(super) trait AnyEffect: Send + Sync {
    fn call<'c>(
        &'c self,
        job: LockedJob<'c>,
        connection: &'c mut PgConnection,
    ) -> Pin<Box<dyn Future<Output = Ended> + Send + 'c>>;
}

impl<T: Effect> AnyEffect for T {
    fn call<'c>(
        &'c self,
        job: LockedJob<'c>,
        connection: &'c mut PgConnection,
    ) -> Pin<Box<dyn Future<Output = Ended> + Send + 'c>> {
        Box::pin(async move {
            match caught(async { self.run(job, connection).await }).await {
                Ok(Ok(result)) => Ended::Returned(result),
                Ok(Err(error)) => Ended::Failed(error),
                // Its message went to the panic hook, which is the application's own.
                Err(_) => Ended::Panicked,
            }
        })
    }
}

/// The future's output, or its panic. It is not polled again after one.
async fn caught<T>(future: impl Future<Output = T>) -> Result<T, Box<dyn Any + Send>> {
    let mut future = pin!(future);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}
