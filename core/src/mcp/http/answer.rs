//! Answers that are not the handler's: as JSON, with a stable code, and nothing for a cache or a frame.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue,
    RETRY_AFTER, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json as value};

use super::Answer;
use crate::error::{Code, Error, printable};
use crate::mcp::auth::Refused;

fn with(status: StatusCode, kind: Option<&'static str>, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body).boxed());
    *answer.status_mut() = status;
    if let Some(kind) = kind {
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    answer
}

pub(super) fn json(status: StatusCode, body: &Value) -> Answer {
    with(status, Some("application/json"), body.to_string().into())
}

pub(super) fn text(body: String) -> Answer {
    with(StatusCode::OK, Some("text/plain; version=0.0.4; charset=utf-8"), body.into())
}

pub(super) fn empty(status: StatusCode) -> Answer {
    with(status, None, Bytes::new())
}

fn word(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "unauthorized",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::PAYLOAD_TOO_LARGE => "body_too_large",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        _ => "bad_request",
    }
}

pub(super) fn refused(status: StatusCode, code: Code) -> Answer {
    let message = Error::new(code).message();
    json(status, &value!({ "ok": false, "error": word(status), "code": code, "message": message }))
}

/// 503, and when to come back, in seconds.
pub(super) fn later(code: Code, seconds: &'static str) -> Answer {
    let mut answer = refused(StatusCode::SERVICE_UNAVAILABLE, code);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(seconds));
    answer
}

/// 401 or 403, with what a client needs to get a token that will do.
pub(super) fn challenged(found: &Refused) -> Answer {
    let status = StatusCode::from_u16(found.status).unwrap_or(StatusCode::UNAUTHORIZED);
    let mut answer = refused(status, found.code);
    if let Ok(challenge) = HeaderValue::from_str(&found.challenge)
        && !found.challenge.is_empty()
    {
        answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    answer
}

pub(super) fn not_found() -> Answer {
    let status = StatusCode::NOT_FOUND;
    json(status, &value!({ "ok": false, "error": word(status) }))
}

#[cfg(feature = "ffi")]
pub(super) fn bad_request() -> Answer {
    let status = StatusCode::BAD_REQUEST;
    json(status, &value!({ "ok": false, "error": word(status) }))
}

pub(super) fn not_allowed(allow: &'static str) -> Answer {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let mut answer = json(status, &value!({ "ok": false, "error": word(status) }));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    answer
}

/// A JSON-RPC error of this front's own, under the id of the request if it has one.
pub(super) fn rpc_error(status: StatusCode, id: Option<&Value>, number: i32, code: Code) -> Answer {
    let error = value!({ "code": number, "message": Error::new(code).message(), "data": { "code": code } });
    rpc(status, id, &error)
}

pub(super) fn rpc(status: StatusCode, id: Option<&Value>, error: &Value) -> Answer {
    let mut body = value!({ "jsonrpc": "2.0", "error": error });
    if let (Some(id), Some(body)) = (id, body.as_object_mut()) {
        body.insert("id".to_owned(), id.clone());
    }
    json(status, &body)
}

/// What the protocol's library refuses in plain text, as JSON.
pub(super) async fn as_json(answer: Answer) -> Answer {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !(answer.status().is_client_error() || answer.status().is_server_error()) || kind.contains("json") {
        return answer;
    }
    let (parts, body) = answer.into_parts();
    let said = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(never) => match never {},
    };
    let said = printable(&String::from_utf8_lossy(&said));
    // What went wrong inside is not for a client.
    let said = if parts.status.is_server_error() { "the server could not answer" } else { &said };
    let number = if parts.status.is_server_error() { -32603 } else { -32600 };
    let mut told = rpc(parts.status, None, &value!({ "code": number, "message": said }));
    for (name, value) in &parts.headers {
        if name != CONTENT_TYPE {
            told.headers_mut().insert(name, value.clone());
        }
    }
    told
}

pub(super) fn preflight() -> Answer {
    let mut answer = empty(StatusCode::NO_CONTENT);
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE"));
    let allowed = "authorization, content-type, accept, mcp-protocol-version, mcp-session-id, mcp-method, mcp-name, last-event-id";
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(allowed));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    answer
}

pub(super) fn allow_origin(answer: &mut Answer, origin: HeaderValue) {
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("mcp-session-id, www-authenticate"));
    headers.append(VARY, HeaderValue::from_static("Origin"));
}

/// What one caller reads is for no cache, and is not to be taken for a page.
pub(super) fn guard(answer: &mut Answer) {
    let put = |headers: &mut HeaderMap, name, value| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    let headers = answer.headers_mut();
    put(headers, CACHE_CONTROL, "no-store");
    put(headers, X_CONTENT_TYPE_OPTIONS, "nosniff");
}
