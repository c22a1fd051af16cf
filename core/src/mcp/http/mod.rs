//! The door over HTTP: one front for both eras of the protocol, that every request passes in the same order.
//!
//! host and origin → route → method → who calls → size and form of the message → session → the door. Nothing but a message
//! of an admitted caller reaches the handler behind it, and every request brings its own caller: a session is a name for a
//! conversation, bound to who began it, and never a credential.

mod answer;
mod bridge;
mod counts;
mod message;
mod places;
mod serve;
mod sessions;

pub use serve::{Listener, ListenerOptions};
pub use sessions::SessionLimits;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::session::SessionManager as _;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::Value;
use tokio::sync::Semaphore;

use self::answer::{json, refused, rpc_error};
use self::counts::Counts;
use self::message::{Era, Message};
use self::places::Places;
use self::sessions::{Known, Sessions};
use super::auth::{Admitted, Gate, Identity};
use super::door::Door;
use crate::error::Code;
use crate::primitives::{IdSource as _, SystemIds};

/// What a front answers with.
pub type Answer = Response<BoxBody<Bytes, Infallible>>;

/// So many kibibytes of messages may be on their way at a time: each is held several times over until it is answered, and
/// anybody with a token may send them.
const AT_A_TIME: usize = 16 << 10;

/// The header that names a session of the revisions before 2026-07-28.
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// How a front is set up.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FrontOptions {
    /// Where the protocol is spoken.
    pub path: String,
    /// Names that a request may have in `Host`, with or without a port; loopback is always one.
    pub hosts: Vec<String>,
    /// Origins that a browser may call from, such as `https://chat.example`; no other may.
    pub origins: Vec<String>,
    /// The longest message, in bytes.
    pub max_body: usize,
    /// How long a message may take to arrive.
    pub body_timeout: Duration,
    /// Sessions of the revisions before 2026-07-28.
    pub sessions: SessionLimits,
    /// Speak plain JSON-RPC, without a handshake, for clients that do not know MCP.
    pub bridge: bool,
    /// Who may read `/metrics` where callers bring tokens of an issuer: they count everybody's calls. Without it nobody may
    /// there; where all callers share one token, that one is enough.
    pub metrics: Option<Gate>,
    /// Who is told of requests that did not reach a tool.
    pub watch: Option<Watch>,
    /// Let the handler send requests and notifications of its own, over event streams. The agent's door never does.
    pub streams: bool,
}

impl Default for FrontOptions {
    fn default() -> Self {
        Self {
            path: "/mcp".to_owned(),
            hosts: Vec::new(),
            origins: Vec::new(),
            max_body: super::MAX_MESSAGE,
            body_timeout: Duration::from_secs(30),
            sessions: SessionLimits::default(),
            bridge: false,
            metrics: None,
            watch: None,
            streams: false,
        }
    }
}

/// A request that did not reach a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct TurnedAway {
    /// Why, as the client is told.
    pub code: Code,
    /// Which check failed, as nobody else is told; empty if the code says it. Nothing that was sent stands in it.
    pub reason: &'static str,
}

/// Something of the operator's that is told.
#[derive(Clone)]
pub struct Watch(Arc<dyn Fn(TurnedAway) + Send + Sync>);

impl Watch {
    /// Calls this, which must not block.
    pub fn new(told: impl Fn(TurnedAway) + Send + Sync + 'static) -> Self {
        Self(Arc::new(told))
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Watch(…)")
    }
}

/// An MCP server over HTTP, without the sockets: it takes requests and answers them. [`Listener`] brings sockets;
/// [`Front::router`] stands in an application's own router.
pub struct Front<S = Door> {
    inner: Arc<Inner<S>>,
}

struct Inner<S> {
    handler: S,
    gate: Option<Gate>,
    options: FrontOptions,
    places: Places,
    sessions: Sessions,
    managed: Arc<LocalSessionManager>,
    service: StreamableHttpService<S, LocalSessionManager>,
    counts: Counts,
    /// Room for messages, in kibibytes.
    room: Arc<Semaphore>,
}

impl<S> Clone for Front<S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<S> fmt::Debug for Front<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Front").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

/// What a front asks of what stands behind it, beside MCP itself.
pub trait Behind: ServerHandler + Clone {
    /// Can it answer now?
    fn ready(&self) -> impl Future<Output = bool> + Send {
        std::future::ready(true)
    }

    /// What it has counted, in the text format of Prometheus.
    fn metrics(&self) -> String {
        String::new()
    }
}

impl<S: Behind> Front<S> {
    /// Before this handler, for callers that this gate admits. Without a gate only those come in whose request the
    /// application has given an [`Admitted`] as an extension.
    ///
    /// # Errors
    /// `HTTP_PLACE_INVALID` for a path, a host or an origin that is none.
    pub fn new(handler: S, gate: impl Into<Option<Gate>>, options: FrontOptions) -> crate::Result<Self> {
        let gate = gate.into();
        let places = Places::new(&options)?;
        // Hosts, origins and sessions are looked at before, with answers of ours.
        let config = StreamableHttpServerConfig::default()
            .disable_allowed_hosts()
            .with_max_request_body_bytes(options.max_body)
            .with_legacy_session_mode(options.streams)
            .with_json_response(!options.streams);
        let managed = Arc::new(LocalSessionManager::default());
        let served = handler.clone();
        let service = StreamableHttpService::new(move || Ok(served.clone()), Arc::clone(&managed), config);
        let sessions = Sessions::new(options.sessions, Who::key(&Admitted::Contract));
        let counts = Counts::default();
        Ok(Self {
            inner: Arc::new(Inner {
                handler,
                gate,
                options,
                places,
                sessions,
                managed,
                service,
                counts,
                room: Arc::new(Semaphore::new(AT_A_TIME)),
            }),
        })
    }

    /// In an application's own router: merge it, or nest it, in which case the metadata of
    /// `/.well-known/oauth-protected-resource` is the application's to serve.
    pub fn router(&self) -> axum::Router {
        let front = self.clone();
        axum::Router::new().fallback(move |request: axum::extract::Request| {
            let front = front.clone();
            async move { front.handle(request).await.map(axum::body::Body::new) }
        })
    }

    /// Answers one request. Cancel-safe as the calls behind it are: a client that hangs up half-way leaves a proposal
    /// whole or not at all.
    pub async fn handle<B>(&self, request: Request<B>) -> Answer
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let inner = &self.inner;
        let mut answer = match inner.places.admit(request.uri(), request.headers()) {
            Err(code) => {
                self.turned_away(code, "");
                refused(StatusCode::FORBIDDEN, code)
            }
            Ok(None) => self.route(request).await,
            Ok(Some(origin)) => {
                let preflight = *request.method() == Method::OPTIONS;
                let mut answer = if preflight { answer::preflight() } else { self.route(request).await };
                answer::allow_origin(&mut answer, origin);
                answer
            }
        };
        answer::guard(&mut answer);
        inner.counts.answered(answer.status());
        answer
    }

    /// The answer to what is no request of HTTP.
    #[cfg(feature = "ffi")]
    pub(crate) fn unreadable(&self) -> Answer {
        let mut answer = answer::bad_request();
        answer::guard(&mut answer);
        self.inner.counts.answered(answer.status());
        answer
    }

    async fn route<B>(&self, request: Request<B>) -> Answer
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let inner = &self.inner;
        let path = request.uri().path().to_owned();
        if path == inner.options.path {
            return self.endpoint(request).await;
        }
        let get = matches!(*request.method(), Method::GET | Method::HEAD);
        let known = inner.places.metadata(&path) || matches!(path.as_str(), "/healthz" | "/readyz" | "/metrics");
        if known && !get {
            return answer::not_allowed("GET, HEAD");
        }
        match path.as_str() {
            "/healthz" => json(StatusCode::OK, &serde_json::json!({ "ok": true })),
            "/readyz" => {
                let ready = inner.handler.ready().await;
                let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                json(status, &serde_json::json!({ "ok": ready }))
            }
            "/metrics" => self.metrics(request.into_parts().0).await,
            _ if known => inner
                .gate
                .as_ref()
                .and_then(Gate::metadata)
                .map_or_else(answer::not_found, |found| json(StatusCode::OK, &found)),
            _ => answer::not_found(),
        }
    }

    /// What is counted names tools and tells when others are at work: for the operator, and not for one caller of many.
    async fn metrics(&self, parts: Parts) -> Answer {
        let inner = &self.inner;
        let admitted = match &inner.options.metrics {
            Some(gate) => gate.admit(&parts.headers, parts.uri.query()).await,
            None => self.admit(&parts).await,
        };
        match admitted {
            Ok(Admitted::Contract) => {
                answer::text(inner.counts.shown(inner.sessions.open()) + &inner.handler.metrics())
            }
            Ok(Admitted::Claims(_)) => answer::not_found(),
            Err(refused) => self.unknown_caller(refused),
        }
    }

    /// Who calls: as the application said, or as the gate finds.
    async fn admit(&self, parts: &Parts) -> Result<Admitted, super::auth::Refused> {
        if let Some(admitted) = parts.extensions.get::<Admitted>() {
            return Ok(admitted.clone());
        }
        match &self.inner.gate {
            Some(gate) => gate.admit(&parts.headers, parts.uri.query()).await,
            None => Err(super::auth::Refused::unknown()),
        }
    }

    fn turned_away(&self, code: Code, reason: &'static str) {
        self.inner.counts.refused(code);
        if let Some(Watch(told)) = &self.inner.options.watch {
            told(TurnedAway { code, reason });
        }
    }

    fn unknown_caller(&self, refused: super::auth::Refused) -> Answer {
        self.turned_away(refused.code, refused.reason);
        answer::challenged(&refused)
    }

    async fn endpoint<B>(&self, request: Request<B>) -> Answer
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let inner = &self.inner;
        let deletes = *request.method() == Method::DELETE && !inner.options.bridge;
        let listens = *request.method() == Method::GET && inner.options.streams;
        let modern = message::version(request.headers()).is_some_and(|version| version >= message::MODERN);
        if *request.method() != Method::POST && (modern || !(deletes || listens)) {
            return answer::not_allowed(if inner.options.bridge { "POST" } else { "POST, DELETE" });
        }
        let (mut parts, body) = request.into_parts();
        let admitted = match self.admit(&parts).await {
            Ok(admitted) => admitted,
            Err(refused) => return self.unknown_caller(refused),
        };
        if parts.method != Method::POST {
            return self.without_message(parts, &admitted).await;
        }
        if let Some(answer) = message::encoded(&parts.headers) {
            return answer;
        }
        let most = inner.options.max_body as u64;
        let kibibytes = message::length(&parts.headers).unwrap_or(most).min(most) / 1024 + 1;
        let room = Arc::clone(&inner.room).try_acquire_many_owned(u32::try_from(kibibytes).unwrap_or(u32::MAX));
        match room {
            // With the request, which lives on where its sender has hung up.
            Ok(room) => drop(parts.extensions.insert(Arc::new(room))),
            Err(_) => return answer::later(Code::HttpBusy, "1"),
        }
        let mut bytes = match self.read(&parts, body).await {
            Ok(bytes) => bytes,
            Err(answer) => return *answer,
        };
        if inner.options.bridge {
            bytes = match bridge::said_again(&bytes) {
                Ok(bytes) => bytes,
                Err(unread) => return unread.answer(),
            };
            // No revision was agreed on, and there is no session.
            for name in [&SESSION, &message::VERSION] {
                parts.headers.remove(name);
            }
        }
        match Message::read(&parts.headers, &bytes) {
            Ok(message) => self.message(parts, bytes, message, admitted).await,
            Err(refused) => refused.answer(),
        }
    }

    /// DELETE ends a session, and GET listens to one.
    async fn without_message(&self, mut parts: Parts, admitted: &Admitted) -> Answer {
        let inner = &self.inner;
        let named = parts.headers.get(&SESSION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let Some(id) = named else {
            return refused(StatusCode::BAD_REQUEST, Code::HttpSessionMissing);
        };
        if let Err(answer) = self.in_session(&id, admitted, None) {
            return *answer;
        }
        if parts.method == Method::DELETE {
            inner.sessions.end(&id);
            if inner.options.streams {
                let _ = inner.managed.close_session(&id.as_str().into()).await;
            }
            return answer::empty(StatusCode::NO_CONTENT);
        }
        parts.extensions.insert(Who::of(admitted));
        answer::as_json(inner.service.handle(Request::from_parts(parts, Full::<Bytes>::default())).await).await
    }

    /// The body, if it is as long as it may be and comes in time.
    async fn read<B>(&self, parts: &Parts, body: B) -> Result<Bytes, Box<Answer>>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let most = self.inner.options.max_body;
        let said = message::length(&parts.headers);
        let too_long = || Box::new(refused(StatusCode::PAYLOAD_TOO_LARGE, Code::HttpBodyTooLarge));
        if said.is_some_and(|said: u64| said > most as u64) {
            return Err(too_long());
        }
        let whole = http_body_util::Limited::new(body, most).collect();
        match tokio::time::timeout(self.inner.options.body_timeout, Box::pin(whole)).await {
            Ok(Ok(whole)) => Ok(whole.to_bytes()),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_long()),
            Ok(Err(_)) => Err(Box::new(refused(StatusCode::BAD_REQUEST, Code::HttpBodyIncomplete))),
            Err(_) => Err(Box::new(refused(StatusCode::REQUEST_TIMEOUT, Code::HttpBodyIncomplete))),
        }
    }

    async fn message(&self, mut parts: Parts, bytes: Bytes, message: Message, admitted: Admitted) -> Answer {
        let inner = &self.inner;
        if message.era == Era::Modern {
            // Not of that era: whoever sends it is told nothing by it.
            parts.headers.remove(&SESSION);
        } else if let Some(id) = parts.headers.get(&SESSION) {
            let id = id.to_str().unwrap_or_default().to_owned();
            if let Err(answer) = self.in_session(&id, &admitted, message.id.as_ref()) {
                return *answer;
            }
            if message.begins {
                return rpc_error(StatusCode::BAD_REQUEST, message.id.as_ref(), -32600, Code::HttpSessionBegun);
            }
        }
        let begins = message.begins;
        if begins && inner.options.streams {
            for ended in inner.sessions.sweep() {
                let _ = inner.managed.close_session(&ended.as_str().into()).await;
            }
        }
        if begins && !inner.sessions.has_room(&Who::key(&admitted)) {
            return answer::later(Code::HttpSessionsExhausted, "30");
        }
        parts.extensions.insert(Who::of(&admitted));
        if let Some(arguments) = message.arguments {
            parts.extensions.insert(super::lines::Arguments(arguments));
        }
        // Answers are JSON, so who takes that takes everything; rmcp insists on both words.
        if !inner.options.streams && message::takes_json(&parts.headers) {
            parts.headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        }
        let answer = inner.service.handle(Request::from_parts(parts, Full::new(bytes))).await;
        let mut answer = answer::as_json(answer).await;
        if begins && answer.status() == StatusCode::OK {
            self.begun(&mut answer, &admitted);
        }
        answer
    }

    /// A session began: its name is bound to who began it.
    fn begun(&self, answer: &mut Answer, admitted: &Admitted) {
        let sessions = &self.inner.sessions;
        let key = Who::key(admitted);
        match answer.headers().get(&SESSION).and_then(|value| value.to_str().ok()) {
            Some(id) => sessions.bind(id.to_owned(), key),
            None => {
                let id = SystemIds.uuid();
                if let Ok(value) = HeaderValue::from_str(&id) {
                    answer.headers_mut().insert(SESSION, value);
                    sessions.bind(id, key);
                }
            }
        }
    }

    /// Is this the caller's own session? What is somebody else's is left as it was.
    fn in_session(&self, id: &str, admitted: &Admitted, request: Option<&Value>) -> Result<(), Box<Answer>> {
        let (status, code) = match self.inner.sessions.check(id, &Who::key(admitted)) {
            Known::Own => return Ok(()),
            Known::Foreign => (StatusCode::FORBIDDEN, Code::HttpSessionForeign),
            Known::No => (StatusCode::NOT_FOUND, Code::HttpSessionNotFound),
        };
        self.turned_away(code, "");
        Err(Box::new(rpc_error(status, request, -32000, code)))
    }
}

/// Who sent a request, as the door finds it among the request's extensions.
#[derive(Debug, Clone)]
pub(super) struct Who(pub Admitted);

impl Who {
    fn of(admitted: &Admitted) -> Self {
        Self(admitted.clone())
    }

    /// What a session is bound to.
    fn key(admitted: &Admitted) -> [u8; 32] {
        use sha2::{Digest as _, Sha256};
        let parts = match admitted {
            Admitted::Contract => Value::Null,
            Admitted::Claims(Identity { issuer, subject, tenant, principal, roles }) => {
                serde_json::json!([issuer, subject, tenant, principal, roles])
            }
        };
        Sha256::digest(parts.to_string()).into()
    }
}
