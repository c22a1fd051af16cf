//! Whatever arrives at the agent's door, each request is answered once, under its id, with a code of the protocol's; nothing
//! panics, nothing hangs, nothing reaches the source. 2,000 messages, or 100,000 with `SIGNOFF_FULL=1`; `SIGNOFF_SEED`
//! takes another seed, and a failure says which message it was.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::Request;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use signoff::Runtime;
use signoff::mcp::auth::Gate;
use signoff::mcp::http::{Front, FrontOptions};
use signoff::mcp::{Door, DoorOptions, MAX_MESSAGE, serve};
use signoff::primitives::SystemClock;
use signoff_tests::fuzz::Chance;
use signoff_tests::messages::{Due, bases, check, due, message, meta};
use signoff_tests::{Workspace, library, rounds};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, ReadHalf, WriteHalf};
use tokio::task::JoinHandle;

/// After so long it hangs. Not a measure: an answer is due at once.
const HANGS: Duration = Duration::from_secs(60);

fn seed() -> u64 {
    std::env::var("SIGNOFF_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x6d63_7021)
}

/// A session with the door, in this process.
struct Line {
    to: WriteHalf<DuplexStream>,
    from: BufReader<ReadHalf<DuplexStream>>,
    serving: JoinHandle<signoff::Result<()>>,
}

impl Line {
    fn open(door: Door) -> Self {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (read, write) = tokio::io::split(theirs);
        let (from, to) = tokio::io::split(ours);
        Self { to, from: BufReader::new(from), serving: tokio::spawn(serve(door, read, write)) }
    }

    /// A session that has begun, in one era or the other.
    async fn begun(door: Door, modern: bool) -> Self {
        let mut line = Self::open(door);
        let hello = if modern {
            json!({ "jsonrpc": "2.0", "id": 0, "method": "server/discover", "params": { "_meta": meta() } })
        } else {
            let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "f", "version": "1" } });
            json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params })
        };
        line.say(hello.to_string().as_bytes()).await;
        assert!(line.hear("the first").await["result"].is_object());
        if !modern {
            line.say(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        }
        line
    }

    async fn say(&mut self, message: &[u8]) {
        let write = async {
            self.to.write_all(message).await?;
            self.to.write_all(b"\n").await
        };
        tokio::time::timeout(HANGS, write).await.expect("it reads").expect("it has not hung up");
    }

    async fn hear(&mut self, what: &str) -> Value {
        let mut text = String::new();
        let read = tokio::time::timeout(HANGS, self.from.read_line(&mut text)).await;
        read.unwrap_or_else(|_| panic!("it hangs: {what}")).expect("it answers");
        assert!(!text.is_empty(), "it hung up: {what}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}\n{what}"))
    }

    /// Hangs up, and waits for the other side to see it.
    async fn end(mut self) -> signoff::Result<()> {
        let _ = self.to.shutdown().await;
        drop((self.to, self.from));
        tokio::time::timeout(HANGS, self.serving).await.expect("it ends").expect("no task of ours panics")
    }
}

fn runtime(workspace: &Workspace) -> Runtime {
    let ledger = library::ledger(&workspace.path(""), "ledger.db", &SystemClock);
    library::runtime(&workspace.path(""), &workspace.source.address(), ledger, Arc::new(SystemClock))
}

fn door(runtime: &Runtime) -> Door {
    Door::new(runtime.clone(), DoorOptions::default()).expect("a contract")
}

fn shown(seed: u64, index: u64, message: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(message).chars().take(2000).collect();
    format!("seed {seed}, message {index}: {text}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_is_answered_once() {
    let workspace = Workspace::with_invoices(3);
    let (runtime, bases, seed) = (runtime(&workspace), bases(), seed());
    let before = std::fs::read(workspace.path("billing.db")).unwrap();
    let count = u64::from(rounds(2_000, 100_000));
    let mut line = Line::begun(door(&runtime), false).await;
    // How many errors without an id may still come for what was neither a request nor surely none.
    let (mut loose, mut answered) = (0, 0);
    for index in 0..count {
        if index % 500 == 499 {
            line.end().await.expect("a session that was served");
            line = Line::begun(door(&runtime), index % 1000 == 999).await;
            loose = 0;
        }
        let message = message(&mut Chance::of(seed, index), &bases, MAX_MESSAGE, index);
        let said = || shown(seed, index, &message);
        let due = due(&message, MAX_MESSAGE);
        line.say(&message).await;
        // A request that is good tells that nothing else came, and that it goes on.
        let sentinel = format!("sentinel {index}");
        let ask = json!({ "jsonrpc": "2.0", "id": sentinel, "method": "tools/list", "params": { "_meta": meta() } });
        line.say(ask.to_string().as_bytes()).await;
        let mut open = matches!(due, Due::Answer(_) | Due::Error);
        loose += usize::from(due == Due::Silence);
        let mut asked = true;
        while open || asked {
            let answer = line.hear(&said()).await;
            if answer["id"] == *sentinel {
                assert!(asked && answer["result"]["tools"].is_array(), "{answer}\n{}", said());
                asked = false;
            } else if open && !(loose > 0 && matches!(&due, Due::Answer(id) if answer["id"] != *id)) {
                check(&answer, &due, &said);
                (open, answered) = (false, answered + 1);
            } else {
                assert!(loose > 0, "one too many: {answer}\n{}", said());
                check(&answer, &Due::Silence, &said);
                loose -= 1;
            }
        }
    }
    line.end().await.expect("a session that was served");
    println!("{count} messages, {answered} answers that were due, seed {seed}");
    assert!(answered > count / 2, "most are requests: {answered}");
    assert_eq!(std::fs::read(workspace.path("billing.db")).unwrap(), before, "the source is what it was");
}

/// One body at the front, as a client with these headers sends it: what came back, and with what status.
async fn post(front: &Front, message: &[u8], headers: &[(&str, String)]) -> (u16, Option<Value>) {
    let mut request = Request::post("/mcp").header("host", "localhost").header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, value.as_str());
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(message))).expect("a request");
    let answer = tokio::time::timeout(HANGS, front.handle(request)).await.expect("it hangs");
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    (status, (!body.is_empty()).then(|| serde_json::from_slice(&body).expect("an answer is JSON")))
}

/// The headers that 2026-07-28 wants with this message: what it says itself, and now and then something else.
fn headers(chance: &mut Chance, message: &[u8]) -> Vec<(&'static str, String)> {
    let said: Value = serde_json::from_slice(message).unwrap_or_default();
    let text = |value: &Value| {
        value.as_str().filter(|text| text.bytes().all(|byte| (32..127).contains(&byte))).map(str::to_owned)
    };
    let version = text(&said["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"]);
    let name = text(&said["params"]["name"]).or_else(|| text(&said["params"]["uri"]));
    let mut all = vec![("accept", "application/json, text/event-stream".to_owned())];
    for (header, value) in
        [("mcp-protocol-version", version), ("mcp-method", text(&said["method"])), ("mcp-name", name)]
    {
        let value = match chance.below(20) {
            0 => None,
            1 => Some(
                (*chance.pick(&["2025-11-25", "2026-07-28", "2099-01-01", "x", "=?base64?eA==?=", "=?base64?%?="]))
                    .to_owned(),
            ),
            _ => value,
        };
        all.extend(value.map(|value| (header, value)));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_over_http_is_answered_once() {
    let workspace = Workspace::with_invoices(3);
    let (runtime, bases, seed) = (runtime(&workspace), bases(), seed() ^ 2);
    let before = std::fs::read(workspace.path("billing.db")).unwrap();
    let front = Front::new(door(&runtime), Gate::open(), FrontOptions::default()).expect("a front");
    let count = u64::from(rounds(2_000, 100_000));
    let mut statuses = BTreeMap::<u16, u64>::new();
    for index in 0..count {
        let mut chance = Chance::of(seed, index);
        let message = message(&mut chance, &bases, MAX_MESSAGE, index);
        let headers = headers(&mut chance, &message);
        let said = || format!("{}\n{headers:?}", shown(seed, index, &message));
        let due = match due(&message, MAX_MESSAGE) {
            // A request without a message is none.
            Due::Nothing => Due::Error,
            due => due,
        };
        let (status, answer) = post(&front, &message, &headers).await;
        *statuses.entry(status).or_default() += 1;
        let Some(answer) = answer else {
            assert!(status == 202 && due == Due::Silence, "{status}, and nothing: {due:?}\n{}", said());
            continue;
        };
        if status == 413 {
            assert!(message.len() > MAX_MESSAGE, "{answer}\n{}", said());
            continue;
        }
        let code = answer["error"]["code"].as_i64();
        let modern = headers.iter().any(|(name, value)| *name == "mcp-protocol-version" && value == "2026-07-28");
        let right = match code {
            None => status == 200,
            // Before 2026-07-28 there is no status for it.
            Some(-32601) => status == 404 || (status == 200 && !modern),
            // Before the handler it is a bad request; a handler's own refusal is an answer.
            Some(-32602) => matches!(status, 200 | 400),
            Some(_) => status == 400,
        };
        assert!(right, "{status} for {answer}\n{}", said());
        check(&answer, &due, &said);
    }
    println!("{count} bodies, seed {seed}: {statuses:?}");
    assert!(statuses[&200] > count / 10, "some are good");
    assert_eq!(std::fs::read(workspace.path("billing.db")).unwrap(), before, "the source is what it was");
}

/// What comes first begins a session or ends it; and whoever hangs up then is not waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_comes_first() {
    let workspace = Workspace::with_invoices(1);
    let (runtime, bases, seed) = (runtime(&workspace), bases(), seed() ^ 1);
    for index in 0..u64::from(rounds(200, 5_000)) {
        let message = message(&mut Chance::of(seed, index), &bases, MAX_MESSAGE, index);
        let mut line = Line::open(door(&runtime));
        line.say(&message).await;
        if let Err(error) = line.end().await {
            assert_eq!(error.code().as_str(), "MCP_TRANSPORT_FAILED", "{}", shown(seed, index, &message));
        }
    }
}

/// A client that asked what the server is, and did not wait for the answer, says so; it goes on.
#[tokio::test]
async fn a_notification_before_the_first_request_ends_nothing() {
    let workspace = Workspace::with_invoices(1);
    let mut line = Line::begun(door(&runtime(&workspace)), true).await;
    line.say(br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":0}}"#).await;
    line.say(br#"{"jsonrpc":"2.0","id":"x","result":{}}"#).await;
    let ask = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": { "_meta": meta() } });
    line.say(ask.to_string().as_bytes()).await;
    assert!(line.hear("tools/list").await["result"]["tools"].is_array());
    line.end().await.expect("a session that was served");
}
