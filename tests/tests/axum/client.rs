//! Requests as bytes on a socket, and what comes back.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use signoff::handler::{SigningSecrets, sign};
use signoff::primitives::{Clock as _, Instant, Secret, SystemClock};

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// An approved credit of 5.00, as a runner sends it.
pub fn body(key: &str) -> Value {
    json!({
        "protocol_version": "1.0", "schema_version": "synapsor.handler-writeback.v1", "writeback_job_id": "hwb_wrp_1",
        "proposal_id": "wrp_1", "proposal_version": 1, "proposal_hash": format!("sha256:{}", "1".repeat(64)),
        "action": "billing.propose_account_credit", "idempotency_key": key, "audience": "billing-app",
        "target": { "schema": "public", "table": "invoices", "primary_key": { "column": "id", "value": "INV-3001" } },
        "tenant_guard": { "column": "tenant_id", "value": "acme" },
        "allowed_columns": ["credit_requested_cents", "credit_reason"],
        "before": { "credit_requested_cents": 0, "updated_at": "2026-06-20T14:31:08.0003Z" },
        "patch": { "credit_requested_cents": 500, "credit_reason": "a courtesy" },
        "guards": { "expected_version": { "column": "updated_at", "value": "2026-06-20T14:31:08.0003Z" } },
        "dry_run": false,
    })
}

/// The same with another value somewhere.
pub fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    *body.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
    body
}

pub type Lines = Vec<(String, String)>;

pub fn ago(seconds: i64) -> Instant {
    Instant::from_unix(SystemClock.now().unix() - seconds).unwrap()
}

/// The header lines of a request that was signed then.
pub fn signed_by(secret: &str, body: &Value, at: Instant) -> Lines {
    let secrets = SigningSecrets::new([Secret::new(secret.to_owned())]).unwrap();
    let key = body["idempotency_key"].as_str().unwrap();
    sign(body.to_string().as_bytes(), &secrets, key, at).unwrap().into_iter().collect()
}

pub fn signed(body: &Value) -> Lines {
    signed_by(SECRET, body, SystemClock.now())
}

#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub http: u16,
    pub headers: Lines,
    pub body: Value,
}

impl Answer {
    /// Status code, status, code.
    pub fn told(&self) -> (u16, &str, &str) {
        let text = |key| self.body.get(key).and_then(Value::as_str).unwrap_or_default();
        (self.http, text("status"), text("safe_error_code"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn replayed(&self) -> bool {
        self.header("idempotent-replayed") == Some("true")
    }
}

/// Sends a signed request.
pub fn post(to: SocketAddr, body: &Value) -> Answer {
    send(to, "POST", "/signoff/writeback", &signed(body), body.to_string().as_bytes())
}

pub fn send(to: SocketAddr, method: &str, path: &str, lines: &Lines, body: &[u8]) -> Answer {
    exchange(to, method, path, lines, body).unwrap()
}

/// One request on a connection of its own; an error if it ended without an answer.
pub fn exchange(to: SocketAddr, method: &str, path: &str, lines: &Lines, body: &[u8]) -> std::io::Result<Answer> {
    let mut socket = begin(to, method, path, lines, body.len())?;
    socket.write_all(body)?;
    read(&mut socket)
}

/// The head of a request, of whose body nothing was sent.
pub fn begin(to: SocketAddr, method: &str, path: &str, lines: &Lines, length: usize) -> std::io::Result<TcpStream> {
    let mut socket = TcpStream::connect(to)?;
    socket.set_read_timeout(Some(Duration::from_secs(60)))?;
    let lines: String = lines.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(
        socket,
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{lines}\r\n"
    )?;
    Ok(socket)
}

pub fn read(socket: &mut TcpStream) -> std::io::Result<Answer> {
    let mut text = String::new();
    socket.read_to_string(&mut text)?;
    let (head, body) =
        text.split_once("\r\n\r\n").ok_or_else(|| std::io::Error::other(format!("no answer: {text:?}")))?;
    let mut lines = head.lines();
    let http = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.filter_map(|line| line.split_once(": ")).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    Ok(Answer { http, headers, body: serde_json::from_str(body).unwrap_or(Value::Null) })
}
