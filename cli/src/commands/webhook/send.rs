//! One request: what it says, how it is signed, and whether it was taken.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use signoff::handler::{SigningSecrets, sign};
use signoff::ledger::LoggedEvent;
use signoff::primitives::{Clock as _, Instant, Secret, SystemClock};
use signoff::{Code, Error, Result};

use super::usage;
use crate::service::{put, redacted};

/// So much of an answer's body is read, to keep the connection; the rest is not waited for.
const ANSWER: usize = 64 * 1024;

/// Where events go.
#[derive(Debug, Clone)]
pub struct Destination {
    url: Url,
    id: String,
}

impl Destination {
    /// # Errors
    /// `USAGE`: what it says never holds the address, which may hold a token.
    pub fn parse(text: &Secret) -> Result<Self> {
        let hint = "https://host/path, or http://localhost:port/path";
        let url = Url::parse(text.expose()).map_err(|_| usage("the endpoint is not a URL".to_owned(), hint))?;
        let digest = Sha256::digest(text.expose().as_bytes());
        let id = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let destination = Self { url, id };
        let problem = match destination.url.scheme() {
            "https" => None,
            "http" if destination.is_loopback() => None,
            "http" => Some("an endpoint on another machine has to be https"),
            _ => Some("the endpoint is neither https nor http"),
        };
        let named = !destination.url.username().is_empty() || destination.url.password().is_some();
        match problem.or(named.then_some("the endpoint holds a user: use --bearer-env")) {
            Some(problem) => Err(usage(problem.to_owned(), hint)),
            None => Ok(destination),
        }
    }

    pub fn is_loopback(&self) -> bool {
        matches!(self.url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"))
    }

    /// Tells it from other endpoints, and says nothing of it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Without what may be a token.
    pub fn shown(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.set_fragment(None);
        url.to_string()
    }

    /// What of it may be a token.
    pub fn hidden(&self) -> Vec<String> {
        self.url.query().filter(|query| query.len() >= 8).map(str::to_owned).into_iter().collect()
    }
}

#[derive(Clone)]
pub struct Sender {
    client: Client,
    destination: Destination,
    signing: Option<SigningSecrets>,
    bearer: Option<HeaderValue>,
    store_path: String,
    hidden: Vec<String>,
}

impl Sender {
    pub fn new(
        destination: Destination,
        signing: Option<SigningSecrets>,
        bearer: Option<Secret>,
        timeout: Duration,
        store_path: &str,
    ) -> Result<Self> {
        // The second call in a process finds it done.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(timeout)
            .user_agent(concat!("signoff/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| Error::new(Code::Internal).with("detail", "no HTTP client"))?;
        let bearer = bearer.map(|token| {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
                .map_err(|_| usage("the bearer token cannot stand in a header".to_owned(), "look at --bearer-env"))?;
            value.set_sensitive(true);
            Ok::<_, Error>(value)
        });
        let (bearer, store_path) = (bearer.transpose()?, store_path.to_owned());
        Ok(Self { client, destination, signing, bearer, store_path, hidden: Vec::new() })
    }

    /// The same, and these are in no payload.
    pub fn hiding(mut self, secrets: &[String]) -> Self {
        self.hidden = secrets.to_vec();
        self
    }

    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The body of a request.
    pub fn payload(&self, event: &LoggedEvent, now: Instant) -> Value {
        let mut told = serde_json::to_value(event).unwrap_or(Value::Null);
        put(&mut told, "event_id", json!(id(event)));
        let proposal = event.subject.starts_with("wrp_").then_some(&event.subject);
        put(&mut told, "proposal_id", json!(proposal));
        put(&mut told, "created_at", json!(event.at));
        json!({
            "schema_version": "synapsor.local-event-webhook.v1",
            "delivered_at": now,
            "source": { "kind": "local_store", "store_path": self.store_path },
            "event": redacted(told, &self.hidden),
        })
    }

    /// Sends it once. Taken is a 2xx and nothing else; why not is said in our words.
    pub async fn send(&self, event: &LoggedEvent) -> std::result::Result<(), String> {
        let now = SystemClock.now();
        let body = self.payload(event, now).to_string();
        let id = id(event);
        let mut request = self.client.post(self.destination.url.clone()).header(CONTENT_TYPE, "application/json");
        request = match &self.signing {
            Some(secrets) => {
                let signed = sign(body.as_bytes(), secrets, &id, now).map_err(|error| error.code().to_string())?;
                signed.into_iter().filter(|(name, _)| name.starts_with("webhook-")).fold(
                    request,
                    |request, (name, value)| match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                        (Ok(name), Ok(value)) => request.header(name, value),
                        _ => request,
                    },
                )
            }
            None => request.header("webhook-id", &id).header("webhook-timestamp", now.unix().to_string()),
        };
        if let Some(bearer) = &self.bearer {
            request = request.header(AUTHORIZATION, bearer);
        }
        let mut response = request.body(body).send().await.map_err(|error| why(&error).to_owned())?;
        let status = response.status();
        // What it says is not ours to read; it only has to be out of the way.
        let mut read = 0;
        while read < ANSWER {
            match response.chunk().await {
                Ok(Some(chunk)) => read += chunk.len(),
                // The status was whole: what follows it does not matter.
                Ok(None) | Err(_) => break,
            }
        }
        if status.is_success() { Ok(()) } else { Err(format!("answered {}", status.as_u16())) }
    }
}

fn why(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the answer was cut or is not HTTP"
    }
}

/// The same for an event however often it is sent, and another for every other event, also of another ledger.
pub fn id(event: &LoggedEvent) -> String {
    let hash = event.hash.hex();
    format!("evt_{}_{}", event.seq, hash.get(..16).unwrap_or_default())
}
