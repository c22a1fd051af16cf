//! The helper that an application's own endpoint imports. A signed writeback request reaches the application's function only
//! if it is authentic, fresh, whole, for this action and audience, inside the tenant, on an unchanged row, and not done
//! before; the function writes in a transaction that also holds the receipt, and both commit or neither does.
//!
//! Nothing here does I/O. [`verify`] is the first thing to reach for: one call, bytes in, a [`Job`] out. [`Handler`] is the
//! rest: it knows the registered actions, and for an accepted request gives a [`HandlerGuard`], a machine that says what to
//! run next. So a binding is a loop, whatever its language:
//!
//! ```
//! use signoff::handler::{AuthorResult, Handler, HandlerConfig, Received, Reply, Step};
//! # use signoff::handler::{sign, SigningSecrets};
//! # use signoff::primitives::{Instant, Secret};
//! # struct Connection(Vec<Vec<Vec<Option<String>>>>);
//! # impl Connection {
//! #     fn query(&mut self, _: &str, _: &[Option<String>]) -> Vec<Vec<Option<String>>> { self.0.remove(0) }
//! #     fn execute(&mut self, _: &str, _: &[Option<String>]) -> u64 { 1 }
//! # }
//! # let row = |cells: &[&str]| vec![cells.iter().map(|cell| Some((*cell).to_owned())).collect()];
//! # let mut connection = Connection(vec![row(&["text", "INV-1", "text", "acme", "integer", "3"])]);
//! # let now = Instant::parse("2026-06-28T00:00:00Z")?;
//! let handler = Handler::new(HandlerConfig::from_json(r#"{
//!   "dialect": "sqlite", "secrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
//!   "actions": [{ "name": "billing.waive_fee", "table": "invoices", "key": "id", "tenant": "tenant_id", "version": "version" }]
//! }"#)?)?;
//! # let body = br#"{"protocol_version":"1.0","proposal_id":"wrp_1","proposal_hash":"sha256:11","idempotency_key":"wrp_1:INV-1",
//! #  "action":"billing.waive_fee","tenant_guard":{"column":"tenant_id","value":"acme"},"allowed_columns":["fee_cents"],
//! #  "target":{"schema":"main","table":"invoices","primary_key":{"column":"id","value":"INV-1"}},"patch":{"fee_cents":0},
//! #  "guards":{"expected_version":{"column":"version","value":3}}}"#;
//! # let secrets = SigningSecrets::new([Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned())])?;
//! # let headers = sign(body, &secrets, "wrp_1:INV-1", now)?;
//! let response = match handler.receive(body, &headers, now) {
//!     Received::Respond(response) => response,
//!     Received::Run(mut guard) => loop {
//!         let reply = match guard.step() {
//!             Step::Begin { sql, .. } => Reply::done(connection.execute(sql, &[])),
//!             Step::Run { sql, params, rows: true } => Reply::Ran { rows: connection.query(sql, params), changed: 0 },
//!             Step::Run { sql, params, rows: false } => Reply::done(connection.execute(sql, params)),
//!             Step::Effect { row } => {
//!                 assert_eq!(row["version"].to_text().as_deref(), Some("3"));
//!                 Reply::Author(AuthorResult::applied(1)) // or what the registered function answers
//!             }
//!             Step::Commit => Reply::done(connection.execute("COMMIT", &[])),
//!             Step::Rollback => Reply::done(connection.execute("ROLLBACK", &[])),
//!             Step::Done { response } => break response.clone(),
//!             _ => Reply::done(0), // a pause
//!         };
//!         guard.next(reply);
//!     },
//!     _ => unreachable!(),
//! };
//! assert_eq!(response.status, 200);
//! # Ok::<(), signoff::Error>(())
//! ```
//!
//! # What an adapter does
//!
//! It runs this SQL with these parameters and hands back the rows. It holds no rule: not what a reply means, not when to roll
//! back, not which failure is harmless.
//!
//! - **One connection** from [`Step::Begin`] to [`Step::Done`], used by nobody else in between but the author's function. If
//!   the work is cancelled in between: roll back, or close the connection.
//! - **Parameters are text or NULL, outputs are text or NULL**, whatever the columns' types are: the casts stand in the SQL.
//!   Placeholders are as [`Placeholders`] says; the default, `$1`, is what asyncpg, `pg`, sqlx and SQLAlchemy's
//!   `exec_driver_sql` over asyncpg take. `rows: true` wants the rows, `rows: false` the number of rows changed, which is the
//!   last word of Postgres' command tag (asyncpg: `get_statusmsg`).
//! - **Begin.** Ask the driver first whether a transaction is open on this connection (asyncpg `is_in_transaction`,
//!   SQLAlchemy `in_transaction`, psycopg `info.transaction_status`, sqlite3 `in_transaction`; `pg` raises a notice 25001 on
//!   BEGIN) and if so reply [`Failure::AlreadyOpen`](crate::guard::Failure::AlreadyOpen): the guard never joins one, since
//!   somebody else would then be in charge of COMMIT. So a request gets a connection or session of its own, never one that
//!   the framework has opened a transaction on. A driver that begins by itself (SQLAlchemy, psycopg, sqlite3) is let, and
//!   runs `set` as the first statement if there is one; the next statement is a write, so no read snapshot has to be
//!   upgraded. Autocommit is off, or the driver's own BEGIN is sent, until the end.
//! - **Failures** are told by their SQLSTATE or SQLite result code ([`Failure::from_sqlstate`](crate::guard::Failure::from_sqlstate),
//!   [`Failure::from_sqlite`](crate::guard::Failure::from_sqlite), or the forms of [`Reply::parse`]). Any error without one, a
//!   timeout included, is [`Failure::Lost`](crate::guard::Failure::Lost), and after it the connection is closed, not returned
//!   to its pool. That matters most at [`Step::Commit`]: a lost answer is not a rollback.
//! - **Effect.** Call the registered function with the author's own transaction object, the [`Job`] (ids, object, patch,
//!   principal, approval) and the row as it is locked. What it returns is an [`AuthorResult`]; if it fails in any other way,
//!   reply [`Reply::Threw`] and give the exception to the application's log, nowhere else. A failed statement of the
//!   author's that the author swallowed is the next statement's problem, not the adapter's.
//! - **An author who commits, rolls back or closes** the transaction needs no watching: on Postgres the receipt can only be
//!   finished by the transaction that claimed it, on SQLite a savepoint goes with it. The answer is `TRANSACTION_LOST`. What was
//!   written since, nobody can know, so the key stays claimed, in progress, and every later delivery gets
//!   `HANDLER_TRANSACTION_BROKEN`: the effect is not run again. Savepoints of
//!   the author's own are welcome.
//! - **Done** carries status, headers and body: send them unchanged. [`HandlerGuard::fault`] is for the application's log.
//!
//! Routers read the body as raw bytes, stop reading beyond [`MAX_BODY`], pass headers as received (all lines, before
//! anything joins equal names), answer other methods with [`Response::method_not_allowed`] and `GET /healthz` with
//! [`Response::health`]. The receipts table is made before, with the SQL of [`Handler::receipts_ddl`] (`signoff handler
//! migration`); nothing makes it while requests are served. The role that serves needs SELECT on the key, tenant, version
//! and compared columns, UPDATE on any one column of the table (Postgres asks for it to lock a row), SELECT, INSERT and UPDATE
//! on the receipts table, and what the author's function needs.
//!
//! # Answers
//!
//! A 2xx answer is terminal: what it says was stored before it was sent, and every later delivery of the same key gets it
//! again, marked `Idempotent-Replayed: true`. `applied` becomes `already_applied` then. Anything else stored nothing and
//! may be sent again; see [`Response`].
//!
//! | what happened | HTTP | `status` | `safe_error_code` |
//! |---|---|---|---|
//! | the function wrote, and it was committed | 200 | `applied` | |
//! | a duplicate of that | 200 | `already_applied` | |
//! | the row had changed, or is not there | 200 | `conflict` | `VERSION_CONFLICT`, `ROW_CHANGED_AFTER_PROPOSAL`, `ROW_NOT_FOUND` |
//! | the function answered a conflict | 200 | `conflict` | its own |
//! | the function refused | 200 | `failed` | its own |
//! | a dry run; nothing is written | 200 | `applied` or `conflict` | `details.dry_run` is true |
//! | the same key for another change | 422 | `failed` | `IDEMPOTENCY_KEY_REUSED` |
//! | the same key is running elsewhere | 409, `Retry-After: 1` | `failed` | `IDEMPOTENCY_IN_FLIGHT` |
//! | the function failed | 500 | `failed` | `HANDLER_BUSINESS_ERROR` |
//! | COMMIT was not answered | 503, `Retry-After: 1` | `failed` | `OUTCOME_UNKNOWN`: the same request finds out |
//! | anything else | that of its code | `failed` | the code |

mod action;
mod headers;
mod request;
mod response;
mod result;
mod run;
mod secrets;
mod signature;
mod types;

use std::collections::BTreeMap;

#[cfg(feature = "axum")]
#[doc(inline)]
pub use crate::adapters::axum;
pub use action::{Action, HandlerConfig, Placeholders};
pub use request::{Job, Target};
pub use response::{METHODS, Response};
pub use result::{Applied, AuthorResult};
pub use run::{HandlerGuard, Reply, Step};
pub use secrets::{Policy, SigningSecrets};
pub use signature::{MAX_BODY, TOLERANCE, Verified, sign, verify, verify_signature};

use crate::error::{Code, Error, Result};
use crate::guard::{Dialect, ReceiptTable};
use crate::primitives::Instant;
use action::{Registered, invalid};
use headers::{Headers, Name};
use secrets::BearerTokens;

/// An application's handler: its secrets, its actions, its receipts.
#[derive(Debug, Clone)]
pub struct Handler {
    dialect: Dialect,
    secrets: SigningSecrets,
    policy: Policy,
    bearer_tokens: BearerTokens,
    audience: Option<String>,
    receipts: ReceiptTable,
    placeholders: Placeholders,
    actions: BTreeMap<String, Registered>,
    warnings: Vec<String>,
}

/// What a request comes to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Received {
    /// Send this; nothing was run.
    Respond(Response),
    /// Drive this to its end.
    Run(Box<HandlerGuard>),
}

impl Handler {
    /// Sets a handler up.
    ///
    /// # Errors
    /// `HANDLER_SIGNING_SECRET_MISSING`, `SECRET_UNUSABLE`, `UNSAFE_IDENTIFIER`, `HANDLER_CONFIG_INVALID`.
    pub fn new(config: HandlerConfig) -> Result<Self> {
        let receipts = config.receipt_table()?;
        let secrets = SigningSecrets::new(config.secrets)?;
        let warnings = secrets.fit(config.policy)?;
        if config.audience.as_deref() == Some("") {
            return Err(invalid("audience", "it is empty"));
        }
        let mut handler = Self {
            dialect: config.dialect,
            secrets,
            policy: config.policy,
            bearer_tokens: BearerTokens::new(config.bearer_tokens)?,
            audience: config.audience,
            receipts,
            placeholders: config.placeholders,
            actions: BTreeMap::new(),
            warnings,
        };
        config.actions.into_iter().try_for_each(|action| handler.register(action))?;
        Ok(handler)
    }

    /// Adds an action.
    ///
    /// # Errors
    /// `HANDLER_CONFIG_INVALID` for a name that is taken and an action that guards nothing, `UNSAFE_IDENTIFIER`.
    pub fn register(&mut self, action: Action) -> Result<()> {
        let registered = Registered::new(action, self.dialect)?;
        if self.actions.contains_key(registered.name()) {
            return Err(invalid(format!("action {}", registered.name()), "it is registered already"));
        }
        self.actions.insert(registered.name().to_owned(), registered);
        Ok(())
    }

    /// What the operator should know, for the application's log at its start.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The SQL that makes the receipts table, one statement each. Nothing makes it while requests are served.
    #[must_use]
    pub fn receipts_ddl(&self) -> Vec<String> {
        self.dialect.receipts_ddl(&self.receipts)
    }

    /// Takes a request in: verified, read, compared with what is registered.
    pub fn receive<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        body: &[u8],
        headers: impl IntoIterator<Item = (N, V)>,
        now: Instant,
    ) -> Received {
        match self.accept(body, headers, now) {
            Ok(guard) => Received::Run(Box::new(guard)),
            Err(error) => Received::Respond(Response::error(&error)),
        }
    }

    /// [`Self::receive`] with the error as it is.
    ///
    /// # Errors
    /// Those of [`verify`]; `UNAUTHORIZED` before the signature is looked at; `AUDIENCE_MISMATCH`, `UNSUPPORTED_ACTION`,
    /// `TARGET_MISMATCH`, `PATCH_COLUMN_NOT_ALLOWED`, `BAD_WRITEBACK_REQUEST` after the body was read.
    pub fn accept<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        body: &[u8],
        headers: impl IntoIterator<Item = (N, V)>,
        now: Instant,
    ) -> Result<HandlerGuard> {
        signature::sized(body)?;
        let headers = Headers::read(headers)?;
        self.bearer_tokens.check(headers.get(Name::Authorization))?;
        let job = signature::authentic(body, headers, &self.secrets, now, self.policy)?.job()?;
        if self.audience.is_some() && job.audience != self.audience {
            return Err(Code::AudienceMismatch.into());
        }
        let Some(action) = self.actions.get(&job.action) else {
            return Err(Error::new(Code::UnsupportedAction).with("action", &job.action));
        };
        let guarded = action.guard_job(&job, self.dialect, &self.receipts, now)?;
        HandlerGuard::start(job, guarded, self.placeholders, action.types().clone())
    }
}
