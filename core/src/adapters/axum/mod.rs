//! The handler as an [`axum::Router`](::axum::Router), over transactions of an sqlx pool on Postgres.
//!
//! A function per action, and a router; what a request has to be before the function sees it is in the
//! [module above](crate::handler).
//!
//! ```
//! use signoff::guard::Dialect;
//! use signoff::handler::axum::{LockedJob, WritebackHandler};
//! use signoff::handler::{Action, AuthorResult, HandlerConfig};
//! use signoff::primitives::Secret;
//! use sqlx::postgres::{PgConnection, PgPool};
//!
//! async fn waive_fee(job: LockedJob<'_>, connection: &mut PgConnection) -> sqlx::Result<AuthorResult> {
//!     let sql = "UPDATE invoices SET late_fee_cents = 0, updated_at = now() WHERE id = $1 AND tenant_id = $2";
//!     let done = sqlx::query(sql).bind(&job.object_id).bind(&job.tenant_id).execute(connection).await?;
//!     Ok(AuthorResult::applied(done.rows_affected()))
//! }
//!
//! fn app(pool: PgPool, secret: String) -> signoff::Result<axum::Router> {
//!     let invoices = Action::new("billing.waive_fee", "invoices", "id")?.tenant("tenant_id")?.version("updated_at")?;
//!     let config = HandlerConfig::new(Dialect::Postgres, [Secret::new(secret)]);
//!     let handler = WritebackHandler::new(pool, config)?.action(invoices, waive_fee)?;
//!     Ok(axum::Router::new().nest("/signoff", handler.router("/writeback")))
//! }
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # let _inside = runtime.enter();
//! # let pool = PgPool::connect_lazy("postgres://localhost/none").unwrap();
//! # app(pool, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned())?;
//! # Ok::<(), signoff::Error>(())
//! ```
//!
//! The receipts table has to be there before: `signoff handler migration --dialect postgres` prints it, and so does
//! [`WritebackHandler::receipts_ddl`].
//!
//! # What it does with a connection
//! One request takes one connection of the pool, from its first statement to its answer, and runs one transaction on it.
//! A connection whose answer may have been lost, or on which somebody left a transaction open, is closed. Settings of the
//! session are as the application made them when the function runs. The guard's own statements have no names, so a
//! pooler of transactions between pool and server is no danger to them; where there is none, say
//! [`WritebackHandler::prepared`], which is faster.
//!
//! # Cancellation
//! The guard runs in a task of its own: a client that hangs up, or a time limit around the router, stops nothing, and the
//! same request finds out how it ended. If the runtime shuts down meanwhile, the connection goes with it and the server
//! rolls back. What is local to a task is not there in the function; the span of `tracing` is.

mod drive;
mod effect;
mod http;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ::axum::Router;
use ::axum::extract::Request;
use ::axum::routing::{MethodRouter, any, get};
use sqlx::PgPool;
use tracing::Instrument as _;

use self::drive::Database;
use self::effect::AnyEffect;
pub use self::effect::{BoxError, Effect, Function, LockedJob};
use crate::error::{Code, Error, Result};
use crate::guard::Dialect;
use crate::handler::{Action, Handler, HandlerConfig, HandlerGuard, Job, METHODS, Placeholders, Response};
use crate::primitives::{Clock as _, SystemClock};

/// An application's handler: its pool, its secrets, a function for each action.
///
/// See the [module](self) for the whole of it in use.
pub struct WritebackHandler {
    database: Database,
    handler: Handler,
    effects: BTreeMap<String, Arc<dyn AnyEffect>>,
    on_error: OnError,
}

type OnError = Arc<dyn Fn(&Fault<'_>) + Send + Sync>;

/// Something for the application's log. It stays there: no answer says it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Fault<'a> {
    /// The request; absent if it was refused before its job was known.
    pub job: Option<&'a Job>,
    /// The error that the author's function returned, or an [`Error`] of ours, which has no text of a driver in it.
    pub error: &'a (dyn std::error::Error + Send + Sync + 'static),
}

impl fmt::Display for Fault<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(job) = self.job {
            write!(formatter, "{} {}: ", job.action, job.idempotency_key)?;
        }
        fmt::Display::fmt(self.error, formatter)
    }
}

impl WritebackHandler {
    /// Sets a handler up on the application's pool. Actions are added with [`Self::action`].
    ///
    /// # Errors
    /// Those of [`Handler::new`]; `HANDLER_CONFIG_INVALID` also for a dialect that is not Postgres, placeholders that are
    /// not its own, and actions in the configuration, which have no function.
    pub fn new(pool: PgPool, config: HandlerConfig) -> Result<Self> {
        let problem = if config.dialect != Dialect::Postgres {
            Some(("dialect", "this adapter is for postgres"))
        } else if config.placeholders != Placeholders::Native {
            Some(("placeholders", "sqlx takes the engine's own"))
        } else if config.actions.is_empty() {
            None
        } else {
            Some(("actions", "register each with its function"))
        };
        if let Some((at, problem)) = problem {
            return Err(Error::new(Code::HandlerConfigInvalid).with("at", at).with("problem", problem));
        }
        let handler = Handler::new(config)?;
        Ok(Self {
            database: Database { pool, prepared: false },
            handler,
            effects: BTreeMap::new(),
            on_error: Arc::new(log),
        })
    }

    /// Adds an action and what happens when it is applied.
    ///
    /// # Errors
    /// Those of [`Handler::register`].
    pub fn action(mut self, action: Action, effect: impl Effect) -> Result<Self> {
        let name = action.name.clone();
        self.handler.register(action)?;
        self.effects.insert(name, Arc::new(effect));
        Ok(self)
    }

    /// Lets the driver keep the guard's few statements prepared on each connection, as it does with the application's own
    /// queries. That saves half of their round trips and most of the server's work on them.
    ///
    /// Only without a pooler of transactions between pool and server: behind one, a name may be another client's statement.
    #[must_use]
    pub fn prepared(mut self) -> Self {
        self.database.prepared = true;
        self
    }

    /// Who hears what went wrong, instead of `tracing`: by default errors of the author's function and of the guard are
    /// events of level ERROR, requests refused before that of level WARN, target `signoff::handler`.
    #[must_use]
    pub fn on_error(mut self, hear: impl Fn(&Fault<'_>) + Send + Sync + 'static) -> Self {
        self.on_error = Arc::new(hear);
        self
    }

    /// What the operator should know, for the application's log at its start.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        self.handler.warnings()
    }

    /// The SQL that makes the receipts table, one statement each. Nothing makes it while requests are served.
    #[must_use]
    pub fn receipts_ddl(&self) -> Vec<String> {
        self.handler.receipts_ddl()
    }

    /// A router with writebacks at this path and `GET /healthz`, which asks no database. Nest it or merge it; an
    /// application with a `/healthz` of its own takes [`Self::method_router`].
    ///
    /// # Panics
    /// As [`Router::route`] does, if this is no path.
    pub fn router<S: Clone + Send + Sync + 'static>(self, path: &str) -> Router<S> {
        Router::new().route(path, self.method_router()).route("/healthz", get(async || http::sent(Response::health())))
    }

    /// What answers at one path, whatever the method: those of [`METHODS`], and 405 for every other.
    pub fn method_router<S: Clone + Send + Sync + 'static>(self) -> MethodRouter<S> {
        let shared = Arc::new(self);
        any(move |request: Request| {
            let shared = Arc::clone(&shared);
            async move { http::sent(shared.answer(request).await) }
        })
    }

    async fn answer(self: Arc<Self>, request: Request) -> Response {
        if !METHODS.contains(&request.method().as_str()) {
            return Response::method_not_allowed();
        }
        let (head, body) = request.into_parts();
        let accepted = match http::read(body).await {
            // Header lines as they came: which may stand twice is not ours to say.
            Ok(body) => self.handler.accept(&body, head.headers.iter(), SystemClock.now()),
            Err(error) => Err(error),
        };
        let mut guard = match accepted {
            Ok(guard) => guard,
            Err(error) => {
                (self.on_error)(&Fault { job: None, error: &error });
                return Response::error(&error);
            }
        };
        // In a task of its own: a client that goes away does not leave a change half-done.
        let work = async move { self.run(&mut guard).await }.in_current_span();
        let ended = tokio::spawn(work).await;
        ended.unwrap_or_else(|_| Response::error(&Error::new(Code::Internal).with("detail", "a task ended early")))
    }

    async fn run(&self, guard: &mut HandlerGuard) -> Response {
        let Some(effect) = self.effects.get(&guard.job().action) else {
            return Response::error(&Error::new(Code::UnsupportedAction).with("action", &guard.job().action));
        };
        let mut said = false;
        let mut failed = |guard: &HandlerGuard, error: BoxError| {
            said = true;
            (self.on_error)(&Fault { job: Some(guard.job()), error: &*error });
        };
        let response = drive::drive(&self.database, guard, effect.as_ref(), &mut failed).await;
        // That the author's function failed is no news by then.
        if let Some(error) = guard.fault()
            && !said
        {
            (self.on_error)(&Fault { job: Some(guard.job()), error });
        }
        response
    }
}

impl fmt::Debug for WritebackHandler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WritebackHandler").field("handler", &self.handler).finish_non_exhaustive()
    }
}

fn log(fault: &Fault<'_>) {
    match fault.job {
        Some(job) => tracing::error!(
            target: "signoff::handler",
            action = job.action,
            proposal_id = job.proposal_id,
            idempotency_key = job.idempotency_key,
            error = fault.error as &(dyn std::error::Error + 'static),
            "a writeback failed"
        ),
        None => tracing::warn!(
            target: "signoff::handler",
            error = fault.error as &(dyn std::error::Error + 'static),
            "a writeback request was refused"
        ),
    }
}
