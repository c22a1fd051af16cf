//! The agent's door inside an application's own HTTP server: its request comes in, and what to answer goes out.

use std::sync::PoisonError;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request as HttpRequest, Uri};
use http_body_util::{BodyExt as _, Full};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::request::Context;
use super::session::Session;
use crate::catalogue::AliasMode;
use crate::error::{Code, Error, Result};
use crate::mcp::auth::{Admitted, Gate, GateOptions, Identity};
use crate::mcp::http::{Front, FrontOptions};
use crate::mcp::{Door, DoorOptions};

/// How the door stands in an application. One that is the same is the same door.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McpMount {
    /// Where the protocol is spoken.
    #[serde(default = "path")]
    pub path: String,
    /// Names that a request may have in `Host`, beside loopback's.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Origins whose pages may call.
    #[serde(default)]
    pub origins: Vec<String>,
    /// Under which names tools are offered.
    #[serde(default)]
    pub alias: AliasMode,
    /// Offer the status and the withdrawal of the caller's own proposals, too.
    #[serde(default = "yes")]
    pub own_proposals: bool,
    /// The application says who calls; else the contract's authentication does.
    #[serde(default)]
    pub application_authenticates: bool,
    /// This server's address as clients know it.
    #[serde(default)]
    pub resource: Option<String>,
}

fn path() -> String {
    FrontOptions::default().path
}

fn yes() -> bool {
    true
}

/// A request that the application received.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McpRequest {
    /// Which door it is for.
    pub mount: McpMount,
    /// Its method.
    pub method: String,
    /// Its path and query, as the door knows them.
    pub target: String,
    /// Its headers, in order; a letter of a value is a byte of it.
    pub headers: Vec<(String, String)>,
    /// Its body; null if it is not UTF-8.
    #[serde(default)]
    pub body: Option<String>,
    /// Who calls, where the application says so; without, nobody that it knows.
    #[serde(default)]
    pub context: Option<Context>,
}

/// More doors than any application has.
const MOST_MOUNTS: usize = 64;

impl Session {
    pub(super) async fn mcp(&self, request: McpRequest) -> Result<Value> {
        let front = self.front(&request.mount)?;
        let answer = match built(request) {
            Some(built) => front.handle(built).await,
            // Servers let through what is no HTTP: that is its sender's mistake, and not the application's.
            None => front.unreadable(),
        };
        let (parts, body) = answer.into_parts();
        let Ok(body) = body.collect().await;
        let body = String::from_utf8(body.to_bytes().into()).map_err(|_| Code::Internal)?;
        let headers: Vec<_> =
            parts.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default())).collect();
        Ok(json!({ "status": parts.status.as_u16(), "headers": headers, "body": body }))
    }

    fn front(&self, mount: &McpMount) -> Result<Front> {
        let mut fronts = self.fronts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(front) = fronts.get(mount) {
            return Ok(front.clone());
        }
        if fronts.len() >= MOST_MOUNTS {
            return Err(Error::new(Code::Usage)
                .with("problem", "there are more mounts than an application has")
                .with("hint", "make one, and use it for every request"));
        }
        let mut offered = DoorOptions::default();
        (offered.alias, offered.own_proposals) = (mount.alias, mount.own_proposals);
        let door = Door::new(self.runtime.clone(), offered)?;
        let mut options = FrontOptions::default();
        options.path.clone_from(&mount.path);
        options.hosts.clone_from(&mount.hosts);
        options.origins.clone_from(&mount.origins);
        let mut gated = GateOptions::default();
        gated.resource.clone_from(&mount.resource);
        let gate = match mount.application_authenticates {
            true => None,
            false => Some(Gate::from_contract(&self.runtime, &gated)?),
        };
        let front = Front::new(door, gate, options)?;
        fronts.insert(mount.clone(), front.clone());
        Ok(front)
    }
}

fn built(request: McpRequest) -> Option<HttpRequest<Full<Bytes>>> {
    // What is not text is no JSON, either: a byte that says so.
    let body = request.body.map_or(Bytes::from_static(&[0xff]), Bytes::from);
    let mut built = HttpRequest::new(Full::new(body));
    *built.method_mut() = request.method.parse::<Method>().ok()?;
    *built.uri_mut() = request.target.parse::<Uri>().ok()?;
    for (name, value) in request.headers {
        built.headers_mut().append(name.parse::<HeaderName>().ok()?, HeaderValue::from_bytes(&latin1(&value)?).ok()?);
    }
    if let (true, Some(context)) = (request.mount.application_authenticates, request.context) {
        let Context { tenant, principal, mut roles } = context;
        roles.sort();
        roles.dedup();
        let identity =
            Identity { issuer: "application".to_owned(), subject: principal.clone(), tenant, principal, roles };
        built.extensions_mut().insert(Admitted::Claims(identity));
    }
    Some(built)
}

/// Servers show a header's bytes as so many letters; beyond ASCII they go on as they came.
fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|letter| u8::try_from(letter).ok()).collect()
}
