//! A server's list of tools over Streamable HTTP, of either era: first as a request on its own, then with a handshake.

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use serde_json::Value;
use signoff::primitives::Secret;
use signoff::{Code, Error, Result};

use super::messages::{
    HANDSHAKE, LIMIT, Pages, STATELESS, Trouble, answer, initialize, initialized, request, stateless,
};

const SESSION: &str = "mcp-session-id";
const VERSION: &str = "mcp-protocol-version";

/// Where a server is asked.
#[derive(Debug, Clone)]
pub struct Address(Url);

impl Address {
    /// # Errors
    /// `AUDIT_ADDRESS_REFUSED`, which never repeats what may be a password.
    pub fn parse(text: &str) -> Result<Self> {
        let refused = |target: &str, problem: &str| {
            Error::new(Code::AuditAddressRefused).with("target", target).with("problem", problem)
        };
        let url = Url::parse(text).map_err(|_| refused("the address", "it is no URL"))?;
        let address = Self(url);
        if !matches!(address.0.scheme(), "http" | "https") {
            return Err(refused("the address", "it is neither http nor https"));
        }
        if !address.0.username().is_empty() || address.0.password().is_some() {
            return Err(refused("the address", "it holds a user; a token goes into --bearer-env"));
        }
        Ok(address)
    }

    /// Without what may be a token.
    pub fn shown(&self) -> String {
        let mut url = self.0.clone();
        url.set_query(None);
        url.set_fragment(None);
        url.to_string()
    }

    fn is_private(&self) -> bool {
        self.0.scheme() == "https" || matches!(self.0.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"))
    }
}

/// Every tool that the server lists, as `{"tools": […]}`.
///
/// # Errors
/// `AUDIT_ADDRESS_REFUSED`, `AUDIT_TARGET_UNREACHABLE`, `AUDIT_ANSWER_INVALID`.
pub async fn tools(address: &Address, bearer: Option<Secret>, time: Duration) -> Result<Value> {
    let shown = address.shown();
    if bearer.is_some() && !address.is_private() {
        let problem = "a token goes over https alone, except on this machine";
        return Err(Error::new(Code::AuditAddressRefused).with("target", shown).with("problem", problem));
    }
    let mut session = Session::new(address, bearer)?;
    let asked = tokio::time::timeout(time, session.list()).await;
    asked
        .unwrap_or_else(|_| Err(Trouble::Unreachable(format!("no answer within {} ms", time.as_millis()))))
        .map_err(|trouble| trouble.error(&shown))
}

struct Session {
    client: Client,
    url: Url,
    bearer: Option<HeaderValue>,
    version: String,
    session: Option<HeaderValue>,
    id: u64,
    read: usize,
}

/// How one request ended.
enum Ended {
    Answered(Value),
    /// Refused in this form; in the other one it may not be.
    Otherwise(Trouble),
}

impl Session {
    fn new(address: &Address, bearer: Option<Secret>) -> Result<Self> {
        // The second call in a process finds it done.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .user_agent(concat!("signoff/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| Error::new(Code::Internal).with("detail", "no HTTP client"))?;
        let bearer = bearer.map(|token| {
            let value = HeaderValue::try_from(format!("Bearer {}", token.expose()));
            let mut value = value.map_err(|_| {
                Error::new(Code::Usage)
                    .with("problem", "the bearer token cannot stand in a header")
                    .with("hint", "look at --bearer-env")
            })?;
            value.set_sensitive(true);
            Ok::<_, Error>(value)
        });
        let (url, version) = (address.0.clone(), STATELESS.to_owned());
        Ok(Self { client, url, bearer: bearer.transpose()?, version, session: None, id: 0, read: 0 })
    }

    async fn list(&mut self) -> std::result::Result<Value, Trouble> {
        let mut pages = Pages::default();
        // A server without sessions answers this, and so does a plain JSON-RPC endpoint.
        match self.call("tools/list", pages.ask(stateless())).await? {
            Ended::Answered(page) => {
                if pages.take(page)? {
                    self.rest(&mut pages, &stateless()).await?;
                }
                return Ok(pages.document());
            }
            Ended::Otherwise(_) => self.version = HANDSHAKE.to_owned(),
        }
        let answered = match self.call("initialize", initialize()).await? {
            Ended::Answered(answered) => answered,
            Ended::Otherwise(trouble) => return Err(trouble),
        };
        let version = answered.get("protocolVersion").and_then(Value::as_str);
        version.unwrap_or(HANDSHAKE).clone_into(&mut self.version);
        drop(self.send(&initialized()).await?);
        let listed = self.rest(&mut pages, &serde_json::json!({})).await;
        if self.session.is_some() {
            // A courtesy: what it answers is not waited for beyond its head.
            drop(self.headed(self.client.delete(self.url.clone())).send().await);
        }
        listed.map(|()| pages.document())
    }

    async fn rest(&mut self, pages: &mut Pages, params: &Value) -> std::result::Result<(), Trouble> {
        loop {
            match self.call("tools/list", pages.ask(params.clone())).await? {
                Ended::Answered(page) => {
                    if !pages.take(page)? {
                        return Ok(());
                    }
                }
                Ended::Otherwise(trouble) => return Err(trouble),
            }
        }
    }

    async fn call(&mut self, method: &str, params: Value) -> std::result::Result<Ended, Trouble> {
        self.id += 1;
        let mut response = self.send(&request(self.id, method, params)).await?;
        let status = response.status();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(Trouble::Unreachable(format!("it wants another token: it answered {}", status.as_u16())));
            }
            _ if status.is_redirection() => {
                return Err(Trouble::Unreachable("it points elsewhere, and that is not followed".to_owned()));
            }
            _ => {}
        }
        if let Some(session) = response.headers().get(SESSION) {
            self.session = Some(session.clone());
        }
        let found = self.read(&mut response).await?;
        match found {
            Some(Ok(result)) if status.is_success() => Ok(Ended::Answered(result)),
            Some(Err(trouble)) => Ok(Ended::Otherwise(trouble)),
            _ if status.is_success() => {
                Ok(Ended::Otherwise(Trouble::NotMcp("what it answered is no JSON-RPC".to_owned())))
            }
            _ => Ok(Ended::Otherwise(Trouble::NotMcp(format!("it answered {}", status.as_u16())))),
        }
    }

    async fn send(&self, message: &Value) -> std::result::Result<Response, Trouble> {
        let method = message.get("method").and_then(Value::as_str).unwrap_or_default();
        let post = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .header("mcp-method", method)
            .body(message.to_string());
        self.headed(post).send().await.map_err(|error| lost(&error))
    }

    fn headed(&self, mut request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request = request.header(VERSION, &self.version);
        if let Some(session) = &self.session {
            request = request.header(SESSION, session);
        }
        match &self.bearer {
            Some(bearer) => request.header(AUTHORIZATION, bearer),
            None => request,
        }
    }

    /// The answer in a body: the body as a whole, or one event of a stream.
    async fn read(
        &mut self,
        response: &mut Response,
    ) -> std::result::Result<Option<std::result::Result<Value, Trouble>>, Trouble> {
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let streamed = kind.starts_with("text/event-stream");
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| lost(&error))? {
            self.read += chunk.len();
            if self.read > LIMIT {
                return Err(Trouble::too_long());
            }
            body.extend_from_slice(&chunk);
            // A stream may stay open after its answer.
            if streamed
                && body.ends_with(b"\n")
                && let Some(found) = events(&body).find_map(|message| answer(&message, self.id))
            {
                return Ok(Some(found));
            }
        }
        if streamed {
            return Ok(events(&body).find_map(|message| answer(&message, self.id)));
        }
        Ok(serde_json::from_slice::<Value>(&body).ok().and_then(|message| answer(&message, self.id)))
    }
}

/// The messages of a stream of events, as far as they are whole.
fn events(body: &[u8]) -> impl Iterator<Item = Value> {
    let text = String::from_utf8_lossy(body).replace("\r\n", "\n");
    let mut events: Vec<String> = text.split("\n\n").map(str::to_owned).collect();
    // What no empty line ends is not whole yet.
    events.pop();
    events.into_iter().filter_map(|event| {
        let data: Vec<&str> =
            event.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim_start).collect();
        serde_json::from_str(&data.join("\n")).ok()
    })
}

fn lost(error: &reqwest::Error) -> Trouble {
    let why = if error.is_connect() { "no connection" } else { "the answer was cut or is not HTTP" };
    Trouble::Unreachable(why.to_owned())
}
