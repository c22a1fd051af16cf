//! The helper.

mod action;
mod headers;
mod request;
mod response;
mod result;
mod run;
mod secrets;
mod signature;

use std::collections::BTreeMap;

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
use headers::Headers;
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
        self.bearer_tokens.check(headers.get(headers::AUTHORIZATION))?;
        let job = signature::authentic(body, headers, &self.secrets, now, self.policy)?.job()?;
        if self.audience.is_some() && job.audience != self.audience {
            return Err(Code::AudienceMismatch.into());
        }
        let Some(action) = self.actions.get(&job.action) else {
            return Err(Error::new(Code::UnsupportedAction).with("action", &job.action));
        };
        let guarded = action.guard_job(&job, self.dialect, &self.receipts, now)?;
        HandlerGuard::start(job, guarded, self.placeholders)
    }
}
