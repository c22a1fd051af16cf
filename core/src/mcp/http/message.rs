//! One message in the body of a request, looked at before the protocol's library sees it.

use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode};
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, ErrorData, GetExtensions as _, GetMeta as _, ProtocolVersion};
use serde_json::{Value, json};

use super::Answer;
use super::answer::{refused, rpc};
use crate::error::{Code, Error, printable};
use crate::mcp::lines::{Arguments, parse};

/// The first revision without sessions.
pub(super) const MODERN: &str = "2026-07-28";

/// The header that names the protocol's revision.
pub(super) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// Which lifecycle a message belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Era {
    /// With `initialize`, and sessions.
    Legacy,
    /// Every request says what it needs to say.
    Modern,
}

#[derive(Debug)]
pub(super) struct Message {
    pub id: Option<Value>,
    pub era: Era,
    /// It is an `initialize`.
    pub begins: bool,
    /// Of a call, as they were written.
    pub arguments: Option<String>,
}

/// A message that goes no further.
#[derive(Debug)]
pub(super) struct Unread {
    status: StatusCode,
    id: Option<Value>,
    error: Value,
}

impl Unread {
    pub(super) fn answer(&self) -> Answer {
        rpc(self.status, self.id.as_ref(), &self.error)
    }

    pub(super) fn new(id: Option<Value>, number: i32, message: &str) -> Self {
        Self::told(id, json!({ "code": number, "message": message }))
    }

    pub(super) fn coded(id: Option<Value>, number: i32, error: &Error) -> Self {
        Self::told(id, json!({ "code": number, "message": error.message(), "data": { "code": error.code() } }))
    }

    fn of(id: Option<Value>, error: &ErrorData) -> Self {
        Self::told(id, json!(error))
    }

    /// What is no method is not found; what is no request is a bad one.
    fn told(id: Option<Value>, error: Value) -> Self {
        let missing = error.get("code") == Some(&json!(-32601));
        Self { status: if missing { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST }, id, error }
    }
}

/// What the header says the protocol's revision is.
pub(super) fn version(headers: &HeaderMap) -> Option<&str> {
    headers.get(&VERSION).map(|value| value.to_str().unwrap_or("?"))
}

/// How long the body is, if its sender says so.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A body that is packed is another body to whoever unpacks it on the way.
pub(super) fn encoded(headers: &HeaderMap) -> Option<Answer> {
    let chunked = |value: &HeaderValue| value.to_str().is_ok_and(|value| value.trim().eq_ignore_ascii_case("chunked"));
    let plain = !headers.contains_key(CONTENT_ENCODING) && headers.get_all(TRANSFER_ENCODING).iter().all(chunked);
    (!plain).then(|| refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::HttpBodyEncoded))
}

/// Without an `Accept` anything may come.
pub(super) fn takes_json(headers: &HeaderMap) -> bool {
    let mut said = headers.get_all(ACCEPT).iter().peekable();
    said.peek().is_none()
        || said.any(|value| {
            let kinds = value.to_str().unwrap_or_default().split(',');
            kinds
                .map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
                .any(|kind| matches!(kind.as_str(), "application/json" | "application/*" | "*/*"))
        })
}

impl Message {
    pub(super) fn read(headers: &HeaderMap, bytes: &[u8]) -> Result<Self, Unread> {
        if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            return Err(Unread::new(None, -32600, "a request carries one message, not a batch"));
        }
        let said = version(headers);
        let no_handshake = |id| Unread::new(id, -32601, "initialize is not a method of this revision");
        let parsed = parse(bytes).map_err(|(id, error)| {
            let id = id.map(|id| json!(id));
            // Where there is no such method, it does not matter what its parameters are.
            let begins = |message: Value| message.get("method").is_some_and(|method| method == "initialize");
            let begins = serde_json::from_slice(bytes).is_ok_and(begins);
            if begins && said.is_some_and(|said| said >= MODERN) { no_handshake(id) } else { Unread::of(id, &error) }
        })?;
        let mut message = Self { id: None, era: Era::Legacy, begins: false, arguments: None };
        let mut in_message = None;
        if let ClientJsonRpcMessage::Request(request) = parsed {
            message.id = Some(json!(request.id));
            message.begins = matches!(request.request, ClientRequest::InitializeRequest(_));
            message.arguments = request.request.extensions().get::<Arguments>().map(|given| given.0.clone());
            in_message = request.request.get_meta().protocol_version();
            if matches!(request.request, ClientRequest::DiscoverRequest(_)) {
                message.era = Era::Modern;
            }
        }
        let known = |version: &str| ProtocolVersion::KNOWN_VERSIONS.iter().any(|known| known.as_str() == version);
        // Where the message names one, too, the library compares the two.
        if let (Some(said), None, false) = (said, &in_message, message.begins)
            && !known(said)
        {
            let supported: Vec<&str> = ProtocolVersion::KNOWN_VERSIONS.iter().map(ProtocolVersion::as_str).collect();
            let data = json!({ "supported": supported, "requested": printable(said) });
            let error = json!({ "code": -32022, "message": "unsupported protocol version", "data": data });
            return Err(Unread::told(message.id, error));
        }
        let latest = in_message.as_ref().map(ProtocolVersion::as_str).or(said);
        if latest.is_some_and(|version| version >= MODERN) {
            // The handshake is not of that revision. In its parameters alone, the version is a wish.
            if message.begins {
                return Err(no_handshake(message.id));
            }
            message.era = Era::Modern;
        }
        Ok(message)
    }
}
