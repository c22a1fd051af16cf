//! The application's own handler, asked over HTTP: a signed request, one attempt, and an answer that is read strictly or
//! not at all.

mod address;
mod client;
#[cfg(feature = "mcp-http")]
mod document;

pub use address::{Resolve, SystemResolver};
pub use client::Client;
#[cfg(feature = "mcp-http")]
pub(crate) use document::Document;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request};
use tokio::time::Instant;

use self::address::Address;
use self::client::Failure;
use super::answer::{Asked, judge};
use super::{Ended, Execution, Executor, Masks, request};
use crate::error::{Code, Error, Result};
use crate::guard::Purpose;
use crate::handler::{self, Policy, SigningSecrets};
use crate::primitives::Secret;

/// How a handler is reached.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// The executor's name.
    pub name: String,
    /// The variable that its address comes from, for messages.
    pub variable: String,
    /// Its address.
    pub url: Secret,
    /// `POST`, `PUT` or `PATCH`.
    pub method: String,
    /// The bearer token.
    pub token: Option<Secret>,
    /// The signing secret.
    pub signing_secret: Option<Secret>,
    /// From the first look-up to the last byte of the answer.
    pub timeout: Duration,
    /// Private networks may be called.
    pub allow_private: bool,
    /// Off loopback, too, requests may go unsigned.
    pub allow_unsigned: bool,
    /// It honours `dry_run`.
    pub dry_run: bool,
    /// What `audience` says; else the address without its query.
    pub audience: Option<String>,
    /// What is never repeated of its answers.
    pub masks: Masks,
}

/// An application's handler.
#[derive(Debug)]
pub struct HttpHandler {
    settings: HttpSettings,
    address: Address,
    method: Method,
    token: Option<HeaderValue>,
    secrets: Option<SigningSecrets>,
    client: Arc<Client>,
}

impl HttpHandler {
    /// Checks the settings. Nothing is resolved or sent yet.
    ///
    /// # Errors
    /// `EXECUTOR_URL_REFUSED`, `HANDLER_SIGNING_REQUIRED`, `SECRET_UNUSABLE`.
    pub fn new(settings: HttpSettings, client: Arc<Client>) -> Result<Self> {
        let refused = |reason: &'static str| refusal(&settings, reason);
        let address = Address::parse(settings.url.expose()).map_err(refused)?;
        address.check(settings.allow_private).map_err(refused)?;
        let secrets = settings.signing_secret.clone().map(|secret| SigningSecrets::new([secret])).transpose()?;
        if secrets.is_none() && !address.is_loopback() && !settings.allow_unsigned {
            return Err(Error::new(Code::ExecutorSigningRequired).with("executor", &settings.name));
        }
        let token = settings.token.as_ref().map(|token| bearer(token.expose())).transpose()?;
        // The contract has no other; an embedding application may say what it likes.
        let method = match settings.method.as_str() {
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            _ => Method::POST,
        };
        Ok(Self { settings, address, method, token, secrets, client })
    }

    /// What the operator should know.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let name = &self.settings.name;
        match &self.secrets {
            None => vec![format!(
                "executor {name} signs nothing: whoever learns its token or reaches its port can ask for changes; name a secret with signing_secret_env"
            )],
            Some(secrets) if secrets.fit(Policy::Strict).is_err() => {
                vec![format!(
                    "the signing secret of executor {name} is shorter than 24 bytes: receivers that are strict refuse it"
                )]
            }
            Some(_) => Vec::new(),
        }
    }

    /// Whether requests are signed.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.secrets.is_some()
    }

    /// Asks with `OPTIONS` whether somebody is there; answers the status. Nothing is asked for.
    ///
    /// # Errors
    /// `EXECUTOR_UNREACHABLE`, `EXECUTOR_URL_REFUSED`.
    pub async fn probe(&self, timeout: Duration) -> Result<u16> {
        let request = Request::builder()
            .method(Method::OPTIONS)
            .uri(self.address.path.clone())
            .header("host", &self.address.authority)
            .body(Full::new(Bytes::new()))
            .map_err(|_| refusal(&self.settings, "it cannot stand in a request"))?;
        let deadline = Instant::now() + timeout;
        match self.client.send(&self.address, self.settings.allow_private, request, deadline).await {
            Ok(answer) => Ok(answer.status),
            Err(Failure::Forbidden(reason)) => Err(refusal(&self.settings, reason)),
            Err(Failure::NeverSent(reason) | Failure::Lost(reason)) => {
                Err(self.error(Code::ExecutorUnreachable, reason))
            }
        }
    }

    fn error(&self, code: Code, reason: &str) -> Error {
        Error::new(code).with("executor", &self.settings.name).with("reason", reason)
    }

    /// The request of this attempt: everything but its time and its signatures is the same at every attempt.
    fn request(&self, execution: &Execution) -> Result<Request<Full<Bytes>>> {
        let audience = self.settings.audience.as_deref().unwrap_or(&self.address.audience);
        let mut body = request::body(execution, &self.settings.name, Some(audience));
        body.insert("protocol_version".to_owned(), "1.0".into());
        body.insert("issued_at".to_owned(), execution.now.to_string().into());
        let body = request::text(body)?;
        let key = &execution.job.idempotency_key;
        let signed = match &self.secrets {
            Some(secrets) => handler::sign(body.as_bytes(), secrets, key, execution.now)?,
            None => BTreeMap::from([
                ("idempotency-key".to_owned(), key.clone()),
                ("x-synapsor-issued-at".to_owned(), execution.now.to_string()),
                ("x-synapsor-proposal-id".to_owned(), execution.job.proposal_id.clone()),
            ]),
        };
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(self.address.path.clone())
            .header("host", &self.address.authority)
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .header("user-agent", concat!("signoff/", env!("CARGO_PKG_VERSION")));
        for (name, value) in signed {
            let (name, value) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value));
            if let (Ok(name), Ok(value)) = (name, value) {
                request = request.header(name, value);
            }
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", token.clone());
        }
        let body = Full::new(Bytes::from(body));
        request.body(body).map_err(|_| refusal(&self.settings, "it cannot stand in a request"))
    }
}

fn refusal(settings: &HttpSettings, reason: &str) -> Error {
    Error::new(Code::ExecutorUrlRefused)
        .with("executor", &settings.name)
        .with("variable", &settings.variable)
        .with("reason", reason)
}

/// Never shown, also not by hyper.
fn bearer(token: &str) -> Result<HeaderValue> {
    let unusable = || Error::new(Code::SecretUnusable).with("what", "bearer token").with("number", 1);
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(unusable().with("reason", "it is empty, or not visible ASCII"));
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| unusable().with("reason", "it cannot stand in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[async_trait]
impl Executor for HttpHandler {
    fn patience(&self) -> Duration {
        self.settings.timeout
    }

    fn rehearses(&self) -> bool {
        self.settings.dry_run
    }

    async fn execute(&self, execution: Execution) -> Result<Ended> {
        let request = self.request(&execution)?;
        let deadline = Instant::now() + self.settings.timeout;
        let sent = self.client.send(&self.address, self.settings.allow_private, request, deadline).await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(Failure::Forbidden(reason)) => return Err(refusal(&self.settings, reason)),
            Err(Failure::NeverSent(reason)) => return Err(self.error(Code::ExecutorUnreachable, reason)),
            Err(Failure::Lost(reason)) => return Ok(Ended::Unknown(reason.to_owned())),
        };
        let asked = Asked {
            proposal_id: &execution.job.proposal_id,
            idempotency_key: &execution.job.idempotency_key,
            job_id: &execution.job.writeback_job_id,
            dry_run: execution.purpose == Purpose::DryRun,
            masks: &self.settings.masks,
        };
        let answered = judge(answer.status, &answer.body, &asked);
        Ok(match answered.ended(&self.settings.name, answer.status, &execution) {
            Ended::Again { error, unsure, .. } => Ended::Again { error, unsure, after: answer.retry_after },
            other => other,
        })
    }
}
