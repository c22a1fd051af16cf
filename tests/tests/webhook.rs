//! Events out, to a real receiver that verifies, fails, hangs, drops connections and redirects; and a sender that is killed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use signoff::handler::{Policy, SigningSecrets, verify_signature};
use signoff::primitives::{Clock as _, Secret, SystemClock};
use signoff_tests::{Workspace, rounds};
use tokio::net::{TcpListener, TcpStream};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const BEARER: &str = "planted-bearer-token-of-the-sender";
const QUERY: &str = "token=planted-query-token";

/// What the receiver does with a request, by its number and its event.
type Conduct = Box<dyn Fn(u64, &Value) -> Answer + Send + Sync>;

enum Answer {
    Take,
    Status(u16),
    Hang,
    Redirect,
    Flood,
}

struct Receiver {
    address: SocketAddr,
    seen: Arc<Seen>,
    heard: mpsc::Receiver<u64>,
    /// Serves for as long as this lives.
    _tokio: tokio::runtime::Runtime,
}

struct Seen {
    conduct: Mutex<Conduct>,
    requests: AtomicU64,
    elsewhere: AtomicU64,
    /// Events that were answered with a 2xx: what they are about, and which.
    taken: Mutex<Vec<(String, u64)>>,
    bodies: Mutex<Vec<String>>,
    tell: Mutex<mpsc::Sender<u64>>,
}

/// Hangs up on each so-manieth connection before a byte is read.
struct Rude(TcpListener, u64, u64);

impl axum::serve::Listener for Rude {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            if let Ok((stream, address)) = self.0.accept().await {
                self.1 += 1;
                if self.2 == 0 || !self.1.is_multiple_of(self.2) {
                    return (stream, address);
                }
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Receiver {
    fn start(hang_up_each: u64, conduct: impl Fn(u64, &Value) -> Answer + Send + Sync + 'static) -> Self {
        let (tell, heard) = mpsc::channel();
        let seen = Arc::new(Seen {
            conduct: Mutex::new(Box::new(conduct)),
            requests: AtomicU64::new(0),
            elsewhere: AtomicU64::new(0),
            taken: Mutex::default(),
            bodies: Mutex::default(),
            tell: Mutex::new(tell),
        });
        let tokio =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let listener = tokio.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let away = |State(seen): State<Arc<Seen>>| async move {
            seen.elsewhere.fetch_add(1, Ordering::SeqCst);
        };
        let router = Router::new()
            .route("/hook", post(receive))
            .route("/elsewhere", axum::routing::any(away))
            .with_state(Arc::clone(&seen));
        tokio.spawn(async move { axum::serve(Rude(listener, 0, hang_up_each), router).await });
        Self { address, seen, heard, _tokio: tokio }
    }

    fn url(&self) -> String {
        format!("http://{}/hook?{QUERY}", self.address)
    }

    fn conduct(&self, conduct: impl Fn(u64, &Value) -> Answer + Send + Sync + 'static) {
        *self.seen.conduct.lock().expect("no panic") = Box::new(conduct);
    }

    fn taken(&self) -> Vec<(String, u64)> {
        self.seen.taken.lock().expect("no panic").clone()
    }

    /// Every event was taken, and of each proposal none before an earlier one.
    #[track_caller]
    fn assert_whole(&self, size: u64) {
        let taken = self.taken();
        let mut first: BTreeMap<u64, usize> = BTreeMap::new();
        for (index, (_, seq)) in taken.iter().enumerate() {
            first.entry(*seq).or_insert(index);
        }
        let missing: Vec<u64> = (1..=size).filter(|seq| !first.contains_key(seq)).collect();
        assert!(missing.is_empty(), "never taken: {missing:?} of {size}");
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for (index, (subject, seq)) in taken.iter().enumerate() {
            if first[seq] == index {
                let before = last.insert(subject, *seq).unwrap_or(0);
                assert!(before < *seq, "{seq} after {before} of {subject}: {taken:?}");
            }
        }
    }
}

async fn receive(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: Bytes) -> Response {
    let number = seen.requests.fetch_add(1, Ordering::SeqCst) + 1;
    let secrets = SigningSecrets::new([Secret::new(SECRET.to_owned())]).expect("a secret");
    let lines: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    verify_signature(&body, lines, &secrets, SystemClock.now(), Policy::Strict).expect("it is signed");
    assert_eq!(headers["authorization"], format!("Bearer {BEARER}"));
    assert_eq!(headers["content-type"], "application/json");
    let payload: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(payload["schema_version"], "synapsor.local-event-webhook.v1");
    assert_eq!(payload["source"]["kind"], "local_store");
    let event = &payload["event"];
    assert_eq!(headers["webhook-id"], event["event_id"].as_str().expect("an id"));
    seen.bodies.lock().expect("no panic").push(payload.to_string());
    let answer = (seen.conduct.lock().expect("no panic"))(number, event);
    let take = || {
        let of = (event["subject"].as_str().expect("a subject").to_owned(), event["seq"].as_u64().expect("a number"));
        seen.taken.lock().expect("no panic").push(of.clone());
        let _ = seen.tell.lock().expect("no panic").send(of.1);
    };
    match answer {
        Answer::Take => {
            take();
            StatusCode::NO_CONTENT.into_response()
        }
        Answer::Status(status) => StatusCode::from_u16(status).expect("a status").into_response(),
        Answer::Hang => std::future::pending().await,
        Answer::Redirect => (StatusCode::TEMPORARY_REDIRECT, [("location", "/elsewhere")]).into_response(),
        Answer::Flood => {
            take();
            (StatusCode::OK, vec![b'x'; 32 << 20]).into_response()
        }
    }
}

/// A ledger in which proposals were made, approved, applied, rejected; answers how many events it has.
fn busy_ledger(workspace: &Workspace, invoices: std::ops::RangeInclusive<u32>) -> u64 {
    for n in invoices {
        let id = workspace.propose(&format!("INV-{n}"), "we were late");
        if n % 3 == 0 {
            workspace.run(["proposals", "reject", &id, "--yes", "--reason", "no"]).expect(0);
        } else {
            workspace.run(["proposals", "approve", &id, "--yes", "--actor", "dana"]).expect(0);
        }
    }
    workspace.run(["apply", "--all-approved"]).expect(0);
    size(workspace)
}

fn size(workspace: &Workspace) -> u64 {
    workspace.intruder("ledger.db").query_row("SELECT size FROM chain", [], |row| row.get(0)).expect("a number")
}

fn sender(workspace: &Workspace, receiver: &Receiver, more: &[&str]) -> Command {
    let mut command = workspace.command();
    command.env("HOOK", receiver.url()).env("SIGNING", SECRET).env("BEARER", BEARER);
    command.args(["--format", "json", "events", "webhook", "--url-env", "HOOK"]);
    command.args(["--secret-env", "SIGNING", "--bearer-env", "BEARER"]).args(more);
    command
}

fn send(workspace: &Workspace, receiver: &Receiver, more: &[&str]) -> signoff_tests::Ran {
    let ran: signoff_tests::Ran = sender(workspace, receiver, more).output().expect("it runs").into();
    for planted in [SECRET, BEARER, QUERY] {
        assert!(!ran.out.contains(planted) && !ran.err.contains(planted), "{planted} in {} {}", ran.out, ran.err);
    }
    ran
}

/// The cursor's text; the endpoint's address is not in it as a whole.
fn cursor(workspace: &Workspace) -> Value {
    let found: Vec<_> = std::fs::read_dir(workspace.path(""))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.to_string_lossy().contains("ledger.db.webhook-") && path.extension().is_some_and(|e| e == "json")
        })
        .collect();
    let [path] = found.as_slice() else { panic!("not one cursor: {found:?}") };
    let text = std::fs::read_to_string(path).expect("a cursor");
    assert!(!text.contains("planted"), "{text}");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn every_event_arrives_in_order_through_all_that_can_happen() {
    let workspace = Workspace::with_invoices(8);
    let size = busy_ledger(&workspace, 1..=8);
    let receiver = Receiver::start(5, |number, _| match number {
        n if n % 5 == 1 => Answer::Status(500),
        n if n % 11 == 3 => Answer::Hang,
        n if n % 9 == 2 => Answer::Redirect,
        n if n % 13 == 4 => Answer::Flood,
        n if n % 17 == 5 => Answer::Status(404),
        _ => Answer::Take,
    });
    let ran = send(&workspace, &receiver, &["--timeout-ms", "1000", "--attempts", "50"]).expect(0);
    receiver.assert_whole(size);
    assert_eq!(receiver.seen.elsewhere.load(Ordering::SeqCst), 0, "no redirect is followed");
    assert_eq!((ran.json()["reached"].as_u64(), cursor(&workspace)["reached"].as_u64()), (Some(size), Some(size)));
    assert!(ran.err.contains("not delivered"), "some were not taken at first");
    // Nothing is left.
    let before = receiver.taken().len();
    assert_eq!(send(&workspace, &receiver, &[]).expect(0).json()["delivered"], 0);
    assert_eq!(receiver.taken().len(), before);
}

#[test]
fn killed_at_any_moment_it_skips_nothing() {
    let workspace = Workspace::with_invoices(12);
    let mut size = busy_ledger(&workspace, 1..=6);
    let receiver = Receiver::start(0, |number, _| if number % 6 == 0 { Answer::Status(503) } else { Answer::Take });
    let start = || -> Child {
        let mut command = sender(&workspace, &receiver, &["--follow", "--interval-ms", "250"]);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("it starts")
    };
    let kills = rounds(8, 40);
    for kill in 0..kills {
        let mut child = start();
        // Killed when so many more were taken: at the first one, and within the next ones.
        for _ in 0..=(kill % 4) {
            let heard = receiver.heard.recv_timeout(Duration::from_secs(60));
            assert!(heard.is_ok(), "it sends nothing any more");
        }
        child.kill().expect("it is killed");
        child.wait().expect("it is dead");
        if kill == kills / 2 {
            size = busy_ledger(&workspace, 7..=12);
        } else if kill % 4 == 3 {
            // So that there is always something to send.
            workspace.run([
                "propose",
                "billing.propose_late_fee_waiver",
                "--json",
                "{\"invoice_id\":\"INV-404\",\"reason\":\"x\"}",
            ]);
            size = self::size(&workspace);
        }
        while receiver.heard.try_recv().is_ok() {}
        if cursor_reached(&workspace) >= size {
            size = add_one(&workspace);
        }
    }
    send(&workspace, &receiver, &["--attempts", "20"]).expect(0);
    receiver.assert_whole(size);
}

fn cursor_reached(workspace: &Workspace) -> u64 {
    let any = std::fs::read_dir(workspace.path("")).expect("a folder").any(|entry| {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        name.contains("webhook-") && name.ends_with(".json")
    });
    if any { cursor(workspace)["reached"].as_u64().expect("a number") } else { 0 }
}

/// One more event: a read that is denied.
fn add_one(workspace: &Workspace) -> u64 {
    workspace.run([
        "propose",
        "billing.propose_late_fee_waiver",
        "--json",
        "{\"invoice_id\":\"INV-404\",\"reason\":\"x\"}",
    ]);
    size(workspace)
}

#[test]
fn a_stuck_proposal_waits_and_the_others_go_on() {
    let workspace = Workspace::with_invoices(5);
    let stuck = workspace.propose("INV-1", "we were late");
    workspace.run(["proposals", "approve", &stuck, "--yes", "--actor", "dana"]).expect(0);
    let size = busy_ledger(&workspace, 2..=5);
    let of = stuck.clone();
    let receiver = Receiver::start(0, move |_, event| {
        if event["subject"] == of && event["kind"] != "proposal_created" { Answer::Status(400) } else { Answer::Take }
    });
    let ran = send(&workspace, &receiver, &["--attempts", "2"]).expect(1).json();
    let taken: Vec<u64> =
        receiver.taken().iter().filter(|(subject, _)| *subject == stuck).map(|(_, seq)| *seq).collect();
    assert_eq!(taken, [1], "of the stuck one only what came before");
    let others = receiver.taken().iter().filter(|(subject, _)| *subject != stuck).count() as u64;
    let events = signoff_count(&workspace, &stuck);
    assert_eq!((others, ran["held"].clone()), (size - events, json!({ stuck.clone(): 2 })));
    assert_eq!(cursor(&workspace)["held"], json!({ stuck.clone(): 2 }));
    receiver.conduct(|_, _| Answer::Take);
    let ran = send(&workspace, &receiver, &[]).expect(0).json();
    assert_eq!(
        (ran["delivered"].as_u64(), ran["held"].clone()),
        (Some(events - 1), json!({})),
        "and nothing else again"
    );
    receiver.assert_whole(size);
    assert_eq!(receiver.taken().len() as u64, size, "each once, when nothing is lost");
}

/// The events of a proposal.
fn signoff_count(workspace: &Workspace, id: &str) -> u64 {
    let ledger = workspace.intruder("ledger.db");
    ledger.query_row("SELECT count(*) FROM events WHERE subject = ?1", [id], |row| row.get(0)).expect("a number")
}

#[test]
fn what_is_sent_holds_no_secret_and_a_dry_run_sends_nothing() {
    let workspace = Workspace::with_invoices(1);
    let id = workspace.propose("INV-1", "we were late");
    // What looks like a credential does not get into a ledger; what is one only here may.
    let reason = format!("sent with {BEARER}");
    workspace.run(["proposals", "reject", &id, "--yes", "--reason", &reason]).expect(0);
    let receiver = Receiver::start(0, |_, _| Answer::Take);
    let shown = send(&workspace, &receiver, &["--dry-run"]).expect(0).out;
    let lines: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).expect("a payload")).collect();
    assert_eq!(lines.len() as u64, size(&workspace));
    assert_eq!(lines[0]["event"]["proposal_id"], json!(id));
    assert_eq!(receiver.seen.requests.load(Ordering::SeqCst), 0);
    assert_eq!(cursor_reached(&workspace), 0, "and the cursor stays");
    send(&workspace, &receiver, &[]).expect(0);
    let bodies = receiver.seen.bodies.lock().expect("no panic").join("\n");
    assert!(bodies.contains("[redacted]") && !bodies.contains("planted"), "{bodies}");
}

#[test]
fn where_it_sends_and_from_where_is_checked() {
    let workspace = Workspace::with_invoices(3);
    let size = busy_ledger(&workspace, 1..=2);
    let refused = |arguments: &[&str]| {
        let mut command = workspace.command();
        command.env("SIGNING", SECRET).args(["--format", "json", "events", "webhook"]).args(arguments);
        let ran: signoff_tests::Ran = command.output().expect("it runs").into();
        assert_eq!(ran.code, 2, "{arguments:?}: {} {}", ran.out, ran.err);
        assert!(!ran.out.contains("planted") && !ran.err.contains("planted"), "{} {}", ran.out, ran.err);
        ran.json()["error"]["message"].as_str().expect("a message").to_owned()
    };
    let signed = ["--secret-env", "SIGNING"];
    let with = |url: &'static str| refused(&[&["--url", url][..], &signed].concat());
    assert!(with("http://hooks.example.com/x?t=planted").contains("https"));
    assert!(with("http://127.0.0.1.example.com/").contains("https"));
    assert!(with("ftp://localhost/").contains("neither"));
    assert!(with("https://user:planted@hooks.example.com/").contains("user"));
    assert!(with("no url").contains("not a URL"));
    assert!(refused(&["--url", "https://hooks.example.com/x"]).contains("signed"));
    refused(&["--url", "https://hooks.example.com/x", "--secret-env", "NOT_SET"]);
    refused(&["--url", "http://localhost:1/", "--secret-env", "SIGNING", "--since", "9999"]);

    let receiver = Receiver::start(0, |_, _| Answer::Take);
    assert_eq!(send(&workspace, &receiver, &["--since", "latest"]).expect(0).json()["delivered"], 0);
    assert_eq!(send(&workspace, &receiver, &[]).expect(0).json()["delivered"], 0, "it is kept");
    assert_eq!(send(&workspace, &receiver, &["--since", &(size - 2).to_string()]).expect(0).json()["delivered"], 2);
    let bodies = receiver.seen.bodies.lock().expect("no panic").clone();
    let mut ids = bodies.iter().map(|body| serde_json::from_str::<Value>(body).expect("JSON")["event"].clone());
    let id = ids.find(|event| event["seq"] == json!(size - 1)).expect("it was sent")["event_id"].clone();
    let id = id.as_str().expect("an id").to_owned();
    assert_eq!(send(&workspace, &receiver, &["--since-event-id", &id]).expect(0).json()["delivered"], 1);

    // Another sender is at work.
    let mut first = sender(&workspace, &receiver, &["--follow"]);
    let mut first =
        first.stderr(std::process::Stdio::null()).stdout(std::process::Stdio::null()).spawn().expect("it starts");
    workspace.propose("INV-3", "we were late");
    receiver.heard.recv_timeout(Duration::from_secs(60)).expect("it is at work");
    while receiver.taken().last().is_none_or(|(_, seq)| *seq <= size) {
        receiver.heard.recv_timeout(Duration::from_secs(60)).expect("it is at work");
    }
    assert_eq!(send(&workspace, &receiver, &[]).expect(1).error_code(), "FILE_UNWRITABLE");
    let status = Command::new("kill").args(["-TERM", &first.id().to_string()]).status().expect("kill runs");
    assert!(status.success());
    assert_eq!(first.wait().expect("it ends").code(), Some(0));

    // A ledger that was put back: the cursor has seen what is not there.
    let ledger = std::fs::read_dir(workspace.path("")).expect("a folder").map(|entry| entry.expect("an entry").path());
    for path in
        ledger.filter(|path| path.to_string_lossy().contains("ledger.") && !path.to_string_lossy().contains("webhook"))
    {
        std::fs::remove_file(path).expect("it goes");
    }
    workspace.propose("INV-3", "we were late");
    let answered = send(&workspace, &receiver, &[]).expect(4);
    assert_eq!(answered.error_code(), "WEBHOOK_CURSOR_MISMATCH");
    send(&workspace, &receiver, &["--since", "0"]).expect(0);
}
