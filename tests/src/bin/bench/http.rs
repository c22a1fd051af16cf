//! What an HTTP apply costs us beyond the bare client call: the same body to the same server on a kept-alive connection of
//! hyper's own, in the same run. The server says `applied` and does nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use signoff::Runtime;
use signoff::contract::Contract;
use signoff::executor::{Client, Ended, Execution, Executor as _, HttpHandler, HttpSettings, Masks, SystemResolver};
use signoff::guard::Purpose;
use signoff::primitives::{Clock as _, Secret, SystemClock, SystemIds};
use signoff::runtime::{ApplyOptions, Approver, Caller, Ending, Environment, Seen};
use signoff_tests::{CONTRACT, Workspace, library};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

const CHANGES: u32 = 1_000;
const RECEIPT: &str = r#"{"status":"applied","rows_affected":1,"source_database_mutated":true}"#;

pub(crate) fn run() {
    let workspace = Workspace::with_invoices(CHANGES);
    let (at, sample) = server();
    let source = workspace.path("billing.db").display().to_string();
    let environment = Environment::new(move |name| match name {
        "BILLING_APP_READ_URL" => Some(source.clone()),
        "APP_URL" => Some(format!("http://{at}/writeback")),
        "APP_SECRET" => Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()),
        "SYNAPSOR_TENANT_ID" => Some("acme".to_owned()),
        "SYNAPSOR_PRINCIPAL" => Some("support_agent".to_owned()),
        _ => None,
    });
    let (contract, _) = Contract::parse(&contract()).expect("a contract");
    let ledger = library::ledger(&workspace.path(""), "bench.db", &SystemClock);
    let runtime = Runtime::new(Some(contract), ledger)
        .with_environment(environment)
        .with_clock(Arc::new(SystemClock), Arc::new(SystemIds));
    let lead = Approver { id: "dana".to_owned(), roles: vec!["billing_lead".to_owned()], asserted: false };
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio");
    let ids: Vec<String> = tokio.block_on(async {
        let mut ids = Vec::new();
        for n in 1..=CHANGES {
            let arguments = format!(r#"{{"invoice_id":"INV-{n}","reason":"first late payment in six years"}}"#);
            let name = "billing.propose_late_fee_waiver";
            let set = runtime.propose(name, &arguments, &Caller::FromContract).await.expect("proposed").change_set;
            let hash = set.integrity.proposal_hash.clone();
            let seen = Seen { proposal_id: set.proposal_id, hash, version: 1 };
            runtime.approve(&seen, &lead, None).await.expect("approved");
            ids.push(seen.proposal_id);
        }
        ids
    });
    let ours = tokio.block_on(async {
        let begun = (of_thread(), of_process());
        for id in &ids {
            let applied = runtime.apply(id, &ApplyOptions::default()).await.expect("applied");
            assert_eq!(applied.ending, Ending::Applied);
        }
        (of_thread() - begun.0, of_process() - begun.1)
    });
    let executor = tokio.block_on(executor_alone(&runtime, at, &ids));
    let body = Bytes::from(sample.lock().expect("a body").clone());
    let bare = tokio.block_on(async {
        let stream = TcpStream::connect(at).await.expect("a connection");
        stream.set_nodelay(true).expect("a setting");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
        tokio::spawn(connection);
        let begun = (of_thread(), of_process());
        for _ in 0..CHANGES {
            sender.ready().await.expect("a connection");
            let request =
                Request::post("/writeback").header("host", "x").body(Full::new(body.clone())).expect("a request");
            let response = sender.send_request(request).await.expect("an answer");
            assert_eq!(response.into_body().collect().await.expect("a body").to_bytes(), RECEIPT);
        }
        (of_thread() - begun.0, of_process() - begun.1)
    });
    let each = |nanoseconds: u64| nanoseconds as f64 / f64::from(CHANGES) / 1_000.0;
    println!(
        "\n| HTTP apply, {CHANGES} in turn, body of {} B | CPU of ours | CPU of the bare call | beyond |",
        body.len()
    );
    println!("|---|---|---|---|");
    let row = |what: &str, ours: u64, bare: u64, goal: &str| {
        let (ours, bare, beyond) = (each(ours), each(bare), each(ours.saturating_sub(bare)));
        println!("| {what} | {ours:.1} µs | {bare:.1} µs | {beyond:.1} µs{goal} |");
    };
    row("the calling thread, all of it", ours.0, bare.0, "; goal ≤ 60 µs");
    row("of that the executor: request, signature, answer", executor, bare.0, "");
    row("of that the rest: checks, job, three calls of the ledger's thread", ours.0.saturating_sub(executor), 0, "");
    row("the whole process, with the ledger's thread and its two durable commits", ours.1, bare.1, "");
    // The first step of the ledger in an apply, and a third of its calls.
    let loads = tokio.block_on(async {
        let begun = of_process();
        for id in &ids {
            runtime.ledger().load(id).await.expect("a proposal");
        }
        of_process() - begun
    });
    row("a load of one that was applied, both threads", loads, 0, "");
}

/// The same requests again by the executor alone, on this thread.
async fn executor_alone(runtime: &Runtime, at: SocketAddr, ids: &[String]) -> u64 {
    let settings = HttpSettings {
        name: "app".to_owned(),
        variable: "APP_URL".to_owned(),
        url: Secret::new(format!("http://{at}/writeback")),
        method: "POST".to_owned(),
        token: None,
        signing_secret: Some(Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned())),
        timeout: Duration::from_secs(5),
        allow_private: false,
        allow_unsigned: false,
        dry_run: false,
        audience: None,
        masks: Masks::new(Vec::new()),
    };
    let client = Client::new(Arc::new(SystemResolver), None).expect("a client");
    let handler = HttpHandler::new(settings, Arc::new(client)).expect("a handler");
    let mut executions = Vec::new();
    for id in ids {
        let record = runtime.ledger().load(id).await.expect("a proposal");
        executions.push(Execution {
            approval: record.approval().cloned(),
            job: record.jobs.last().expect("a job").clone(),
            change_set: record.change_set,
            facts: record.facts,
            purpose: Purpose::Apply,
            unresolved: false,
            runner: "local_runner".to_owned(),
            now: SystemClock.now(),
        });
    }
    let begun = of_thread();
    for execution in executions {
        let ended = handler.execute(execution).await.expect("an answer");
        assert!(matches!(ended, Ended::Applied(_)), "{ended:?}");
    }
    of_thread() - begun
}

fn contract() -> String {
    let mut contract: Value = serde_json::from_str(CONTRACT).expect("the demo's contract");
    contract["executors"] =
        json!({ "app": { "type": "http_handler", "url_env": "APP_URL", "signing_secret_env": "APP_SECRET" } });
    let capabilities = contract["capabilities"].as_array_mut().expect("capabilities");
    capabilities.retain(|capability| capability["executor"].is_null());
    for capability in capabilities.iter_mut().filter(|capability| capability["kind"] == "proposal") {
        capability["executor"] = json!("app");
    }
    contract.to_string()
}

/// A server on a thread of its own; it keeps the first body it gets.
fn server() -> (SocketAddr, Arc<std::sync::Mutex<Vec<u8>>>) {
    let kept = Arc::new(std::sync::Mutex::new(Vec::new()));
    let keep = Arc::clone(&kept);
    let (say, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio");
        tokio.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            say.send(listener.local_addr().expect("an address")).expect("somebody waits");
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{RECEIPT}", RECEIPT.len());
            loop {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let (keep, answer) = (Arc::clone(&keep), answer.clone());
                tokio::spawn(async move {
                    while let Some(body) = request(&mut stream).await {
                        keep_first(&keep, body);
                        stream.write_all(answer.as_bytes()).await.expect("an answer");
                    }
                });
            }
        });
    });
    (heard.recv().expect("an address"), kept)
}

fn keep_first(kept: &std::sync::Mutex<Vec<u8>>, body: Vec<u8>) {
    let mut kept = kept.lock().expect("a body");
    if kept.is_empty() {
        *kept = body;
    }
}

/// The body of the next request.
async fn request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    use tokio::io::AsyncReadExt as _;
    let mut all = Vec::new();
    let mut some = [0; 1 << 14];
    loop {
        if let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&all[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |length| length.trim().parse().expect("a length"));
            if all.len() >= end + 4 + length {
                return Some(all.split_off(end + 4));
            }
        }
        let count = stream.read(&mut some).await.ok().filter(|count| *count > 0)?;
        all.extend_from_slice(&some[..count]);
    }
}

/// CPU time of this thread, in nanoseconds.
fn of_thread() -> u64 {
    first(&std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux"))
}

/// CPU time of this process, all its threads that live.
fn of_process() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux").flatten();
    tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok()).map(|text| first(&text)).sum()
}

fn first(text: &str) -> u64 {
    text.split_ascii_whitespace().next().and_then(|word| word.parse().ok()).expect("a number")
}
