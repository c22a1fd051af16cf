//! Answers that nobody would give: a receipt, its JSON, its HTTP and its framing, each broken in ways of its own, over real
//! sockets. Whatever comes, `applied` is said only of a receipt that is one, whole, of this job.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};
use signoff::Runtime;
use signoff::contract::Contract;
use signoff::ledger::Ledger;
use signoff::primitives::{SystemClock, SystemIds};
use signoff::runtime::{ApplyOptions, Approver, Caller, Ending, Environment, Seen};
use signoff_tests::library::{block, ledger};
use signoff_tests::{Workspace, rounds};

use super::scripts::{WAIVE, contract};

const PLANTED: [&str; 2] = ["planted-bearer-token", "planted signing secret, long enough"];

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % sides
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.roll(of.len())]
    }
}

/// What is sent, and whether it may count as `applied`.
struct Made {
    bytes: Vec<u8>,
    may_apply: bool,
}

/// Members of a receipt and what may stand there; the first of each is what a decent handler says.
fn members(request: &Value) -> Vec<(&'static str, Vec<Value>)> {
    let odd = |good: Value, bad: &[Value]| [&[good][..], bad].concat();
    let huge: Value = "x".repeat(70_000).into();
    vec![
        (
            "status",
            odd(
                "applied".into(),
                &[
                    "already_applied".into(),
                    "conflict".into(),
                    "failed".into(),
                    "Applied".into(),
                    "ok".into(),
                    true.into(),
                    json!(["applied"]),
                    Value::Null,
                ],
            ),
        ),
        (
            "rows_affected",
            odd(1.into(), &[0.into(), (-1).into(), 1.5.into(), "1".into(), json!(1_u64 << 60), Value::Null, json!({})]),
        ),
        ("source_database_mutated", odd(true.into(), &[false.into(), "true".into(), 1.into(), Value::Null])),
        ("proposal_id", odd(request["proposal_id"].clone(), &["wrp_another".into(), 7.into(), Value::Null])),
        ("idempotency_key", odd(request["idempotency_key"].clone(), &["wrp_another:INV-1".into(), json!([])])),
        ("writeback_job_id", odd(request["writeback_job_id"].clone(), &["hwb_wrp_another".into(), false.into()])),
        ("new_version", odd("2026-06-21T00:00:00Z".into(), &[json!({}), true.into(), huge.clone(), PLANTED[0].into()])),
        (
            "safe_error_code",
            odd(
                Value::Null,
                &[
                    "IDEMPOTENCY_IN_FLIGHT".into(),
                    "OUTCOME_UNKNOWN".into(),
                    "SOURCE_BUSY".into(),
                    "not a code\r\n".into(),
                    PLANTED[1].into(),
                    7.into(),
                ],
            ),
        ),
        (
            "details",
            odd(
                json!({ "effects": [] }),
                &[json!({ "dry_run": true }), json!({ PLANTED[0]: { "token": PLANTED[1] } }), "text".into(), huge],
            ),
        ),
    ]
}

/// By the published receipt and nothing of ours: does it say that this change is there?
fn says_applied(text: &str, request: &Value) -> bool {
    let Ok(Value::Object(receipt)) = serde_json::from_str::<Value>(text) else { return false };
    let of = |name: &str| receipt.get(name).filter(|value| !value.is_null());
    let names = ["proposal_id", "idempotency_key", "writeback_job_id"];
    let landed = matches!(of("status").and_then(Value::as_str), Some("applied" | "already_applied"));
    let rows = receipt.get("rows_affected").is_none_or(|rows| rows.as_u64().is_some_and(|rows| rows < 1 << 53));
    let mutated = receipt.get("source_database_mutated").is_none_or(Value::is_boolean);
    landed && rows && mutated && names.iter().all(|name| of(name).is_none_or(|value| *value == request[*name]))
}

fn answer(dice: &mut Dice, request: &Value) -> Made {
    let mut receipt = Map::new();
    for (name, values) in members(request) {
        match dice.roll(30) {
            0 if name != "status" => continue,
            1 => receipt.insert(name.to_owned(), values[dice.roll(values.len())].clone()),
            _ => receipt.insert(name.to_owned(), values[0].clone()),
        };
    }
    let mut text = Value::Object(receipt).to_string();
    let mut twice = false;
    match dice.roll(20) {
        0 => {
            twice = true;
            text.insert_str(1, r#""status":"failed","#);
        }
        1 => text.push_str(dice.pick(&["{}", "\0", ",", " applied"])),
        2 => text.truncate(dice.roll(text.len())),
        3 => text = format!("[{text}]"),
        4 => text = format!("{}{text}{}", r#"{"a":"#.repeat(200), "}".repeat(200)),
        5 => text.insert(0, '\u{feff}'),
        _ => {}
    }
    let mut body = text.clone().into_bytes();
    if dice.roll(15) == 0 && !body.is_empty() {
        let at = dice.roll(body.len());
        body[at] ^= 0x80;
    }
    let statuses = [
        "200 OK",
        "200 OK",
        "201 Created",
        "204 No Content",
        "206 Partial",
        "299 X",
        "301 M",
        "304 N",
        "307 T",
        "400 B",
        "401 U",
        "404 N",
        "408 R",
        "409 C",
        "413 P",
        "422 U",
        "429 T",
        "500 E",
        "502 B",
        "503 S",
        "599 X",
        "999 X",
        "20 X",
    ];
    let status = if dice.roll(4) == 0 { dice.pick(&statuses) } else { statuses[0] };
    let (length, mut whole) = (body.len(), true);
    let framing = match dice.roll(24) {
        0 => {
            whole = false;
            format!("content-length: {}\r\n", length + 1 + dice.roll(100))
        }
        1 => {
            whole = length == 0;
            format!("content-length: {}\r\n", length / 2)
        }
        2 => {
            whole = false;
            format!("content-length: {length}\r\ncontent-length: {}\r\n", length + 1)
        }
        3 | 4 => {
            let (first, second) = body.split_at(dice.roll(length + 1));
            let chunk = |part: &[u8]| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
            let parts: Vec<Vec<u8>> = [first, second].into_iter().filter(|part| !part.is_empty()).map(chunk).collect();
            whole = dice.roll(2) == 0;
            let end: &[u8] =
                if whole { b"0\r\n\r\n" } else { dice.pick(&[&b""[..], b"zz\r\n", b"ffffffffffffffffff\r\n"]) };
            body = [parts.concat().as_slice(), end].concat();
            "transfer-encoding: chunked\r\n".to_owned()
        }
        // It ends with the connection.
        5 => "connection: close\r\n".to_owned(),
        _ => format!("content-length: {length}\r\n"),
    };
    let more = match dice.roll(14) {
        0 => "x: y\r\n".repeat(500),
        1 => format!("location: http://127.0.0.1:1/{}\r\nretry-after: 999999999999\r\n", PLANTED[0]),
        2 => format!("set-cookie: {}\r\nx-synapsor-signature: sha256=00\r\n", PLANTED[1]),
        3 => {
            whole = false;
            "x y\0z\r\n: :\r\n".to_owned()
        }
        _ => String::new(),
    };
    let before = dice.pick(&[
        "",
        "",
        "",
        "",
        "",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n",
    ]);
    let head = format!("{before}HTTP/1.1 {status}\r\n{more}{framing}content-type: application/json\r\n\r\n");
    let fine = status.starts_with('2')
        && status.split(' ').next().is_some_and(|digits| digits.len() == 3)
        && !status.starts_with("204");
    let intact = std::str::from_utf8(&body).is_ok();
    let may_apply = whole && fine && intact && !twice && says_applied(&text, request);
    Made { bytes: [head.into_bytes(), body].concat(), may_apply }
}

/// One request a connection; tells of each whether its answer may count.
fn serve(seed: u64) -> (u16, Arc<Mutex<Vec<bool>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tells = Arc::clone(&told);
    std::thread::spawn(move || {
        let mut dice = Dice(seed);
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut all, mut some) = (Vec::new(), [0; 1 << 14]);
            let body = loop {
                let count = stream.read(&mut some).unwrap();
                assert!(count > 0, "a request is whole");
                all.extend_from_slice(&some[..count]);
                let text = std::str::from_utf8(&all).unwrap();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                if body.len() == length.parse::<usize>().unwrap() {
                    break serde_json::from_str(body).unwrap();
                }
            };
            let made = answer(&mut dice, &body);
            tells.lock().unwrap().push(made.may_apply);
            let _ = stream.write_all(&made.bytes);
        }
    });
    (port, told)
}

#[test]
fn a_hostile_answer_over_http_is_never_applied() {
    let each = rounds(150, 10_000);
    let workspace = Workspace::with_invoices(each);
    let executor = json!({ "type": "http_handler", "url_env": "APP_URL", "timeout_ms": 20_000,
        "auth": { "type": "bearer_env", "token_env": "APP_TOKEN" }, "signing_secret_env": "APP_SECRET" });
    let parsed = Contract::parse(&contract(executor)).unwrap_or_else(|found| panic!("{found:?}")).0;
    let (port, told) = serve(0x5eed);
    let address = workspace.source.address();
    let environment = Environment::new(move |name| match name {
        "BILLING_APP_READ_URL" | "BILLING_APP_WRITE_URL" => Some(address.clone()),
        "SYNAPSOR_TENANT_ID" => Some("acme".to_owned()),
        "SYNAPSOR_PRINCIPAL" => Some("support_agent".to_owned()),
        "APP_URL" => Some(format!("http://127.0.0.1:{port}/hook")),
        "APP_TOKEN" => Some(PLANTED[0].to_owned()),
        "APP_SECRET" => Some(PLANTED[1].to_owned()),
        _ => None,
    });
    let ledger = ledger(&workspace.path(""), "hostile.db", &SystemClock);
    let runtime = Runtime::new(Some(parsed), Arc::clone(&ledger) as Arc<dyn Ledger>)
        .with_environment(environment)
        .with_clock(Arc::new(SystemClock), Arc::new(SystemIds));
    let mut options = ApplyOptions::default();
    // What asks to come back gets one answer more at the most.
    options.retry_for = std::time::Duration::ZERO;
    let dana = Approver { id: "dana".to_owned(), roles: vec!["billing_lead".to_owned()], asserted: false };
    let mut counts = std::collections::BTreeMap::<String, u32>::new();
    block(async {
        // INV-9001 is another tenant's.
        for number in (1..=each).filter(|number| *number != 9001) {
            let arguments = json!({ "invoice_id": format!("INV-{number}"), "reason": "late" }).to_string();
            let change = runtime.propose(WAIVE, &arguments, &Caller::FromContract).await.unwrap().change_set;
            let seen = Seen { proposal_id: change.proposal_id, hash: change.integrity.proposal_hash, version: 1 };
            runtime.approve(&seen, &dana, None).await.unwrap();
            told.lock().unwrap().clear();
            let ended = runtime.apply(&seen.proposal_id, &options).await;
            let may: Vec<bool> = told.lock().unwrap().clone();
            let word = match &ended {
                Ok(applied) => format!("{:?}", applied.ending),
                Err(error) => error.code().as_str().to_owned(),
            };
            let landed =
                ended.as_ref().is_ok_and(|told| matches!(told.ending, Ending::Applied | Ending::AlreadyApplied));
            assert!(!landed || may.last() == Some(&true), "round {number}: {word}, {may:?}");
            assert_ne!(word, "INTERNAL", "round {number}");
            let shown = format!("{ended:?}");
            assert!(PLANTED.iter().all(|secret| !shown.contains(secret)), "round {number}: {shown}");
            *counts.entry(word).or_default() += 1;
        }
    });
    let of = |word: &str| counts.get(word).copied().unwrap_or_default();
    assert!(
        of("Applied") > each / 10 && of("Unknown") > each / 10 && counts.len() >= 4,
        "the dice are loaded: {counts:?}"
    );
    for entry in std::fs::read_dir(workspace.path("")).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        let bytes = std::fs::read(entry.path()).unwrap();
        let kept = |secret: &str| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(PLANTED.iter().all(|secret| !kept(secret)), "{:?}", entry.path());
    }
}
