//! Eight secrets, planted where an operator keeps them and where an application may repeat them. Whatever goes wrong on the
//! way to a handler or a command, none of them is said or kept.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use signoff_tests::{Engine, Ran, Workspace};

use super::scripts::{WAIVE, contract};

const SIGNING: &str = "whsec_cGxhbnRlZC1zaWduaW5nLXNlY3JldC1vZi10aGlydHk=";
const BEARER: &str = "planted-bearer-token";
const PASSWORD: &str = "planted-database-password";
const LEDGER_KEY: &str = "cGxhbnRlZC1sZWRnZXIta2V5LW9mLTMyLWJ5dGVzISE=";
const WEBHOOK: &str = "whsec_cGxhbnRlZC13ZWJob29rLXNlY3JldC1vZi10aGlydHk=";
/// The application's own: nobody here was told of them.
const IN_ANSWER: &str = "ghp_plantedInAnAnswer0123456789abcdefgh";
const IN_LOCATION: &str = "planted-in-a-location-header";
const IN_ERROR: &str = "postgres://app:planted-in-an-error@db.internal/app";
const PLANTED: [&str; 8] = [SIGNING, BEARER, PASSWORD, LEDGER_KEY, WEBHOOK, IN_ANSWER, IN_LOCATION, IN_ERROR];

/// A workspace with one executor, and everything that was said there.
struct Place {
    workspace: Workspace,
    variables: Vec<(&'static str, String)>,
    said: String,
    number: u32,
}

impl Place {
    fn new(executor: Value, invoices: u32) -> Option<Self> {
        signoff_tests::cluster::Cluster::shared()?;
        let workspace = Workspace::with_invoices_on(Engine::Postgres, invoices);
        let mut of: Value = serde_json::from_str(&contract(executor)).unwrap();
        of["sources"] = serde_json::from_str::<Value>(&workspace.contract()).unwrap()["sources"].clone();
        for capability in of["capabilities"].as_array_mut().unwrap() {
            capability["target"]["schema"] = "public".into();
        }
        workspace.write_contract(&of.to_string());
        let address = workspace.source.address();
        let (user, rest) = address.split_once('@').unwrap();
        let user = if user["postgres://".len()..].contains(':') { user.rsplit_once(':').unwrap().0 } else { user };
        let address = format!("{user}:{PASSWORD}@{rest}");
        let variables = vec![
            ("BILLING_APP_READ_URL", address.clone()),
            ("BILLING_APP_WRITE_URL", address),
            ("SIGNOFF_LEDGER_KEY", LEDGER_KEY.to_owned()),
            ("APP_SECRET", SIGNING.to_owned()),
            ("APP_TOKEN", BEARER.to_owned()),
            ("HOOK_SECRET", WEBHOOK.to_owned()),
        ];
        Some(Self { workspace, variables, said: String::new(), number: 0 })
    }

    fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.into()));
    }

    fn run(&mut self, arguments: &[&str]) -> Ran {
        let mut command = self.workspace.command();
        command.args(arguments).envs(self.variables.iter().map(|(name, value)| (name, value)));
        let ran: Ran = command.output().unwrap().into();
        let shown = format!("{}{}", ran.out, ran.err);
        assert!(!shown.contains("panicked"), "{arguments:?}: {shown}");
        for secret in PLANTED {
            assert!(!shown.contains(secret), "{secret} after {arguments:?}:\n{shown}");
        }
        self.said.push_str(&shown);
        ran
    }

    /// A new approved change, applied in every way that says something; how its first apply ended.
    fn apply(&mut self) -> (i32, String) {
        self.number += 1;
        let arguments = json!({ "invoice_id": format!("INV-{}", self.number), "reason": "late" }).to_string();
        let ran = self.run(&["--format", "json", "propose", WAIVE, "--json", &arguments]).expect(0);
        let id = signoff_tests::proposal_id(&ran.json());
        self.run(&["proposals", "approve", &id, "--yes", "--actor", "dana"]).expect(0);
        self.run(&["apply", &id, "--dry-run"]);
        let first = self.run(&["--format", "json", "apply", &id]);
        self.run(&["apply", &id]);
        self.run(&["proposals", "show", &id]);
        self.run(&["--format", "json", "replay", "show", &id]).expect(0);
        (first.code, first.error_code())
    }

    fn nothing_was_kept(&mut self) {
        self.run(&["worker", "run", "--once"]);
        self.run(&["doctor", "--check-handlers", "--check-writeback"]);
        self.run(&["--format", "json", "events", "list"]).expect(0);
        self.run(&["--format", "json", "receipts", "list"]).expect(0);
        self.run(&["store", "verify"]).expect(0);
        for entry in std::fs::read_dir(self.workspace.path("")).unwrap().flatten() {
            // What the test itself wrote is not what was kept.
            if !entry.file_name().to_str().unwrap().starts_with("ledger") {
                continue;
            }
            let bytes = std::fs::read(entry.path()).unwrap();
            for secret in PLANTED {
                let kept = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!kept, "{secret} in {:?}", entry.path());
            }
        }
    }
}

/// Answers every request with what is set.
fn server(answer: &Arc<Mutex<Vec<u8>>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::clone(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut all, mut some) = (Vec::new(), [0; 1 << 14]);
            loop {
                let count = stream.read(&mut some).unwrap_or(0);
                all.extend_from_slice(&some[..count]);
                let text = String::from_utf8_lossy(&all).to_ascii_lowercase();
                let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                    body.len() >= length.map_or(0, |length| length.parse().unwrap())
                });
                if whole || count == 0 {
                    break;
                }
            }
            let _ = stream.write_all(&answer.lock().unwrap());
        }
    });
    port
}

fn http(status: &str, body: &str) -> Vec<u8> {
    let head =
        format!("location: http://{IN_LOCATION}/?token={BEARER}\r\nset-cookie: s={SIGNING}\r\nx-error: {IN_ERROR}");
    format!("HTTP/1.1 {status}\r\n{head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// All of them, wherever a receipt has room.
fn repeated(status: &str) -> String {
    let all: Vec<Value> = PLANTED.iter().map(|secret| format!("it was {secret} all along").into()).collect();
    json!({ "status": status, "source_database_mutated": status == "applied", "new_version": SIGNING,
        "previous_version": PASSWORD, "error_code": BEARER, "receipt_id": LEDGER_KEY, "url": IN_ERROR, WEBHOOK: IN_ANSWER,
        "location": IN_LOCATION, "token": IN_LOCATION, "details": { "all": all, "n": { "password": IN_LOCATION } } })
    .to_string()
    // It is shaped like nothing, and nobody here knows it: as a plain word it would be prose.
    .replace(&format!("it was {IN_LOCATION} all along"), "it was a word")
    .replace(&format!(r#""location":"{IN_LOCATION}","#), "")
}

#[test]
fn no_secret_is_repeated_whatever_a_handler_answers() {
    let executor = json!({ "type": "http_handler", "url_env": "APP_URL", "timeout_ms": 2_000,
        "auth": { "type": "bearer_env", "token_env": "APP_TOKEN" }, "signing_secret_env": "APP_SECRET" });
    let Some(mut place) = Place::new(executor, 40) else { return };
    let answer = Arc::new(Mutex::new(Vec::new()));
    let port = server(&answer);
    let here = format!("http://127.0.0.1:{port}/hook?key={IN_LOCATION}");
    place.set("APP_URL", &here);
    let about_another = json!({ "status": "applied", "proposal_id": SIGNING, "details": IN_ERROR }).to_string();
    for (bytes, expected) in [
        (http("200 OK", &repeated("applied")), (0, "")),
        (http("200 OK", &repeated("conflict")), (3, "")),
        (http("200 OK", &repeated("failed")), (1, "")),
        (http("500 Oops", &repeated("failed")), (1, "EXECUTOR_FAILED")),
        (http("500 Oops", IN_ERROR), (5, "OUTCOME_UNKNOWN")),
        (http("401 No", &repeated("failed")), (1, "EXECUTOR_REFUSED")),
        (http("403 No", BEARER), (1, "EXECUTOR_REFUSED")),
        (http("400 No", &repeated("failed")), (1, "")),
        (http("422 No", IN_ERROR), (1, "")),
        (http("307 Elsewhere", IN_ANSWER), (5, "OUTCOME_UNKNOWN")),
        (http("200 OK", IN_ANSWER), (5, "OUTCOME_UNKNOWN")),
        (http("200 OK", &about_another), (5, "OUTCOME_UNKNOWN")),
        (format!("HTTP/1.1 {SIGNING}\r\n\r\n").into_bytes(), (5, "OUTCOME_UNKNOWN")),
        (http("200 OK", &repeated("applied"))[..300].to_vec(), (5, "OUTCOME_UNKNOWN")),
        (Vec::new(), (5, "OUTCOME_UNKNOWN")),
    ] {
        let shown = String::from_utf8_lossy(&bytes[..30.min(bytes.len())]).into_owned();
        *answer.lock().unwrap() = bytes;
        assert_eq!(place.apply(), (expected.0, expected.1.to_owned()), "{shown}");
    }
    // What is wrong before anything is sent.
    for (name, value, code) in [
        ("APP_URL", format!("http://127.0.0.1:1/?key={IN_LOCATION}"), "EXECUTOR_UNREACHABLE"),
        ("APP_URL", format!("https://127.0.0.1:{port}/?key={IN_LOCATION}"), "EXECUTOR_UNREACHABLE"),
        ("APP_URL", format!("https://user:{BEARER}@app.example/"), "EXECUTOR_URL_REFUSED"),
        ("APP_URL", format!("https://10.0.0.1/{IN_LOCATION}"), "EXECUTOR_URL_REFUSED"),
        ("APP_URL", format!("{IN_LOCATION} {BEARER}"), "EXECUTOR_URL_REFUSED"),
        ("APP_TOKEN", format!("{BEARER}\r\nx: y"), "SECRET_UNUSABLE"),
        ("APP_SECRET", format!("{SIGNING}!"), "SECRET_UNUSABLE"),
    ] {
        *answer.lock().unwrap() = http("200 OK", IN_ERROR);
        place.set(name, value);
        assert_eq!(place.apply().1, code, "{name}");
        place.set("APP_URL", &here);
        place.set("APP_TOKEN", BEARER);
        place.set("APP_SECRET", SIGNING);
    }
    // Events out, to a receiver that shouts back.
    *answer.lock().unwrap() = http("500 Oops", &repeated("failed"));
    place.set("HOOK_URL", &here);
    let hook = ["events", "webhook", "--url-env", "HOOK_URL", "--secret-env", "HOOK_SECRET"];
    place.run(&hook).expect(1);
    place.run(&[&hook[..], &["--dry-run"]].concat());
    place.nothing_was_kept();
    assert!(place.said.contains("[redacted]"), "it was looked at what was answered");
}

#[test]
fn no_secret_is_repeated_whatever_a_command_does() {
    let executor = json!({ "type": "command_handler", "command_env": "APP_COMMAND", "timeout_ms": 2_000,
        "signoff": { "env": ["APP_SECRET", "APP_TOKEN"] } });
    let Some(mut place) = Place::new(executor, 20) else { return };
    let folder = place.workspace.path("");
    for (number, (script, expected)) in [
        (format!("echo '{}'", repeated("applied")), (0, "")),
        (format!("echo '{}'; echo '{IN_ERROR}' >&2", repeated("failed")), (1, "")),
        (format!("echo '{}'; echo '{IN_ERROR}' >&2; exit 3", repeated("failed")), (1, "EXECUTOR_FAILED")),
        (format!("echo '{IN_ERROR} {IN_ANSWER}'; env; env >&2"), (5, "OUTCOME_UNKNOWN")),
        (format!("echo '{IN_ERROR}' >&2; exit 1"), (5, "OUTCOME_UNKNOWN")),
        (format!("echo '{IN_ANSWER}'; sleep 30"), (5, "OUTCOME_UNKNOWN")),
        ("kill -9 $$".to_owned(), (5, "OUTCOME_UNKNOWN")),
    ]
    .into_iter()
    .enumerate()
    {
        let file = folder.join(format!("script{number}"));
        std::fs::write(&file, &script).unwrap();
        place.set("APP_COMMAND", format!("/bin/sh '{}' {IN_LOCATION} {SIGNING}", file.display()));
        assert_eq!(place.apply(), (expected.0, expected.1.to_owned()), "{script}");
    }
    for (command, code) in [
        (format!("/nowhere/{IN_LOCATION} {SIGNING}"), "EXECUTOR_UNREACHABLE"),
        (format!("'{SIGNING} {IN_LOCATION}"), "EXECUTOR_COMMAND_INVALID"),
    ] {
        place.set("APP_COMMAND", command);
        assert_eq!(place.apply().1, code);
    }
    place.nothing_was_kept();
    assert!(place.said.contains("[redacted]"), "it was looked at what was answered");
}
