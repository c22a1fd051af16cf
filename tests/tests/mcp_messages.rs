//! Whatever arrives at the agent's door, each request is answered once, under its id, with a code of the protocol's; nothing
//! panics, nothing hangs, nothing reaches the source. 2,000 messages, or 100,000 with `SIGNOFF_FULL=1`; `SIGNOFF_SEED`
//! takes another seed, and a failure says which message it was.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
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

fn doors(workspace: &Workspace) -> impl Fn() -> Door {
    let ledger = library::ledger(&workspace.path(""), "ledger.db", &SystemClock);
    let runtime = library::runtime(&workspace.path(""), &workspace.source.address(), ledger, Arc::new(SystemClock));
    move || Door::new(runtime.clone(), DoorOptions::default()).expect("a contract")
}

fn shown(seed: u64, index: u64, message: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(message).chars().take(2000).collect();
    format!("seed {seed}, message {index}: {text}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_is_answered_once() {
    let workspace = Workspace::with_invoices(3);
    let (door, bases, seed) = (doors(&workspace), bases(), seed());
    let before = std::fs::read(workspace.path("billing.db")).unwrap();
    let count = u64::from(rounds(2_000, 100_000));
    let mut line = Line::begun(door(), false).await;
    // How many errors without an id may still come for what was neither a request nor surely none.
    let (mut loose, mut answered) = (0, 0);
    for index in 0..count {
        if index % 500 == 499 {
            line.end().await.expect("a session that was served");
            line = Line::begun(door(), index % 1000 == 999).await;
            loose = 0;
        }
        let message = message(&mut Chance::of(seed, index), &bases, MAX_MESSAGE);
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

/// What comes first begins a session or ends it; and whoever hangs up then is not waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_comes_first() {
    let workspace = Workspace::with_invoices(1);
    let (door, bases, seed) = (doors(&workspace), bases(), seed() ^ 1);
    for index in 0..u64::from(rounds(200, 5_000)) {
        let message = message(&mut Chance::of(seed, index), &bases, MAX_MESSAGE);
        let mut line = Line::open(door());
        line.say(&message).await;
        if let Err(error) = line.end().await {
            assert_eq!(error.code().as_str(), "MCP_TRANSPORT_FAILED", "{}", shown(seed, index, &message));
        }
    }
}
