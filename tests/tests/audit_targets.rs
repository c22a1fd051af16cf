//! The audit of servers: asked over HTTP in each era, started as programs, found in a client's configuration. Real servers of
//! a few lines; what they are sent is looked at.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use signoff_tests::{Ran, Workspace};

const BEARER: &str = "planted-bearer-of-the-auditor";

/// What a server does.
#[derive(Clone, Copy, PartialEq)]
enum Era {
    Stateless,
    /// With `initialize` and a session, answers as streams of events that stay open.
    Handshake,
    /// v1's bridge: plain JSON-RPC.
    Bridge,
    Redirect,
    Flood,
    Hang,
    Page,
    Endless,
    Locked,
}

#[derive(Clone)]
struct Seen(Arc<Mutex<Vec<(String, HeaderMap)>>>);

struct Server {
    address: SocketAddr,
    seen: Seen,
    _tokio: tokio::runtime::Runtime,
}

impl Server {
    fn start(era: Era) -> Self {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = tokio.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Seen(Arc::default());
        let router = Router::new()
            .fallback(move |State(seen): State<Seen>, method: Method, headers: HeaderMap, body: Bytes| async move {
                let message: Value = serde_json::from_slice(&body).unwrap_or_default();
                let what = message["method"].as_str().unwrap_or(method.as_str()).to_owned();
                seen.0.lock().unwrap().push((what, headers.clone()));
                answer(era, &headers, &message).await
            })
            .with_state(seen.clone());
        tokio.spawn(async move { axum::serve(listener, router).await });
        Self { address, seen, _tokio: tokio }
    }

    fn url(&self) -> String {
        format!("http://{}/mcp?key=planted-query", self.address)
    }

    fn methods(&self) -> Vec<String> {
        self.seen.0.lock().unwrap().iter().map(|(method, _)| method.clone()).collect()
    }
}

fn tools(names: &[&str]) -> Value {
    names.iter().map(|name| json!({ "name": name, "description": "Runs SQL.", "examples": [1] })).collect()
}

fn plain(message: &Value, result: Value) -> Response {
    json_body(&json!({ "jsonrpc": "2.0", "id": message["id"], "result": result })).into_response()
}

fn json_body(value: &Value) -> impl IntoResponse {
    ([("content-type", "application/json")], value.to_string())
}

/// A stream whose end does not come.
fn stream(message: &Value, result: Value) -> Response {
    let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
    let noise = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": {} });
    let text =
        format!(": hello\r\n\r\nevent: message\r\ndata: {noise}\r\n\r\nevent: message\r\ndata: {answer}\r\n\r\n");
    let first = futures(text);
    ([("content-type", "text/event-stream"), ("mcp-session-id", "session-7")], axum::body::Body::new(first))
        .into_response()
}

/// A body of one piece that stays open.
fn futures(text: String) -> impl hyper::body::Body<Data = Bytes, Error = std::convert::Infallible> {
    struct Open(Option<Bytes>);
    impl hyper::body::Body for Open {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
            match self.0.take() {
                Some(bytes) => std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(bytes)))),
                None => std::task::Poll::Pending,
            }
        }
    }
    Open(Some(Bytes::from(text)))
}

async fn answer(era: Era, headers: &HeaderMap, message: &Value) -> Response {
    let method = message["method"].as_str().unwrap_or_default();
    match era {
        Era::Hang => std::future::pending().await,
        Era::Redirect => {
            (StatusCode::TEMPORARY_REDIRECT, [("location", "http://127.0.0.1:9/elsewhere")]).into_response()
        }
        Era::Locked => (StatusCode::UNAUTHORIZED, "planted words of the server").into_response(),
        Era::Page => "<html>planted words of the server</html>".into_response(),
        Era::Flood => vec![b' '; 9 << 20].into_response(),
        Era::Endless => plain(message, json!({ "tools": tools(&["a"]), "nextCursor": "again" })),
        Era::Bridge if method == "tools/list" => plain(message, json!({ "tools": tools(&["execute_sql"]) })),
        Era::Stateless if method == "tools/list" => {
            let said = &message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"];
            if headers.get("mcp-protocol-version").unwrap() != said.as_str().unwrap()
                || headers.get("mcp-method").unwrap() != method
            {
                return StatusCode::BAD_REQUEST.into_response();
            }
            match message["params"]["cursor"].as_str() {
                None => plain(message, json!({ "tools": tools(&["execute_sql"]), "nextCursor": "2" })),
                Some(_) => plain(message, json!({ "tools": tools(&["run_query"]) })),
            }
        }
        Era::Handshake if method == "initialize" && message["params"]["protocolVersion"] == "2025-11-25" => {
            stream(message, json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {} }))
        }
        Era::Handshake if headers.get("mcp-session-id").is_some_and(|id| id == "session-7") => match method {
            "tools/list" if headers.get("mcp-protocol-version").is_some_and(|version| version == "2025-06-18") => {
                stream(message, json!({ "tools": tools(&["execute_sql"]) }))
            }
            "notifications/initialized" | "" => StatusCode::ACCEPTED.into_response(),
            _ => StatusCode::BAD_REQUEST.into_response(),
        },
        _ => {
            let error = json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32000, "message": "planted words of the server" } });
            (StatusCode::BAD_REQUEST, json_body(&error)).into_response()
        }
    }
}

fn ask(workspace: &Workspace, server: &Server, arguments: &[&str]) -> Ran {
    let mut command = workspace.command();
    command.env("SYNAPSOR_MCP_AUDIT_BEARER", BEARER).args(["--format", "json", "audit", &server.url()]).args(arguments);
    let ran: Ran = command.output().unwrap().into();
    assert!(!ran.out.contains("planted") && !ran.err.contains("planted"), "{} {}", ran.out, ran.err);
    ran
}

fn names(report: &Value) -> Vec<&str> {
    let sql = report["findings"].as_array().unwrap().iter().filter(|finding| finding["code"] == "GENERIC_SQL_TOOL");
    sql.map(|finding| finding["tool"].as_str().unwrap()).collect()
}

#[test]
fn a_server_of_each_era_is_asked() {
    let workspace = Workspace::new();
    for (era, tools, methods) in [
        (Era::Stateless, vec!["execute_sql", "run_query"], vec!["tools/list", "tools/list"]),
        (Era::Bridge, vec!["execute_sql"], vec!["tools/list"]),
        (
            Era::Handshake,
            vec!["execute_sql"],
            vec!["tools/list", "initialize", "notifications/initialized", "tools/list", "DELETE"],
        ),
    ] {
        let server = Server::start(era);
        let report = ask(&workspace, &server, &["--timeout-ms", "60000"]).expect(0).json();
        assert_eq!(report["summary"]["tools_inspected"], tools.len());
        assert_eq!(names(&report), tools);
        assert_eq!(report["target"], format!("http://{}/mcp", server.address));
        // Members that a typed client would drop are seen.
        assert!(!report.to_string().contains("MISSING_TEST_FIXTURE"), "{report}");
        assert_eq!(server.methods(), methods);
        let sent = format!("Bearer {BEARER}");
        assert!(server.seen.0.lock().unwrap().iter().all(|(_, headers)| headers["authorization"] == sent.as_str()));
    }
}

#[test]
fn a_server_that_gives_no_list() {
    let workspace = Workspace::new();
    for (era, code, time) in [
        (Era::Redirect, "AUDIT_TARGET_UNREACHABLE", "60000"),
        (Era::Locked, "AUDIT_TARGET_UNREACHABLE", "60000"),
        (Era::Hang, "AUDIT_TARGET_UNREACHABLE", "300"),
        (Era::Page, "AUDIT_ANSWER_INVALID", "60000"),
        (Era::Flood, "AUDIT_ANSWER_INVALID", "60000"),
        (Era::Endless, "AUDIT_ANSWER_INVALID", "60000"),
    ] {
        let server = Server::start(era);
        assert_eq!(ask(&workspace, &server, &["--timeout-ms", time]).expect(1).error_code(), code);
    }
    // Nobody listens there any more.
    let gone = Server::start(Era::Page).url();
    assert_eq!(workspace.json(["audit", "--url", &gone]).expect(1).error_code(), "AUDIT_TARGET_UNREACHABLE");
}

#[test]
fn a_token_stays_on_this_machine_or_under_tls() {
    let workspace = Workspace::new();
    let refused = |arguments: &[&str]| {
        let mut command = workspace.command();
        command.env("MY_TOKEN", BEARER).args(["--format", "json", "audit"]).args(arguments);
        let ran: Ran = command.output().unwrap().into();
        assert!(!ran.out.contains(BEARER) && !ran.out.contains("hunter2"), "{}", ran.out);
        ran.error_code()
    };
    // 192.0.2.0/24 is for documents: if it were asked, it would be a timeout.
    assert_eq!(refused(&["http://192.0.2.1/mcp", "--bearer-env", "MY_TOKEN"]), "AUDIT_ADDRESS_REFUSED");
    assert_eq!(refused(&["http://localhost.example/mcp", "--bearer-env", "MY_TOKEN"]), "AUDIT_ADDRESS_REFUSED");
    assert_eq!(refused(&["https://me:hunter2@127.0.0.1/mcp"]), "AUDIT_ADDRESS_REFUSED");
    assert_eq!(refused(&["--url", "ftp://127.0.0.1/"]), "AUDIT_ADDRESS_REFUSED");
    assert_eq!(refused(&["http://127.0.0.1:9/", "--bearer-env", "NOT_SET"]), "USAGE");
}

/// Our own door, and programs that are not one.
#[test]
fn a_program_is_started_and_asked() {
    let workspace = Workspace::new();
    let binary = signoff_tests::binary("SIGNOFF_BIN", "debug/signoff");
    let line = format!(
        "stdio:{} mcp serve --config {} --store {}",
        binary.display(),
        workspace.path("signoff.json").display(),
        workspace.path("audited.db").display()
    );
    let time = ["--timeout-ms", "60000"];
    let report = workspace.json([&["audit", &line][..], &time].concat()).expect(0).json();
    assert_eq!((&report["summary"]["tools_inspected"], &report["summary"]["high"]), (&json!(5), &json!(0)), "{report}");
    for (line, code) in [
        ("cat", "AUDIT_TARGET_UNREACHABLE"),
        ("true", "AUDIT_TARGET_UNREACHABLE"),
        ("no-such-program-anywhere", "AUDIT_TARGET_UNREACHABLE"),
        (
            "sh -c 'read l; echo \"{\\\"id\\\":1,\\\"error\\\":{\\\"code\\\":-1,\\\"message\\\":\\\"m\\\"}}\"'",
            "AUDIT_ANSWER_INVALID",
        ),
        (
            "sh -c 'while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done'",
            "AUDIT_ANSWER_INVALID",
        ),
        ("'open", "USAGE"),
        ("", "USAGE"),
    ] {
        let time = if line == "cat" { "300" } else { "60000" };
        assert_eq!(workspace.json(["audit", "--stdio", line, "--timeout-ms", time]).error_code(), code, "{line}");
    }
}

/// Our own server over HTTP, and what our own client configuration says of it.
#[test]
fn our_own_server_is_asked_over_http() {
    use std::io::BufRead as _;
    let workspace = Workspace::new();
    let mut command = workspace.command();
    command.env("SYNAPSOR_RUNNER_HTTP_TOKEN", "planted-http-token-of-32-characters");
    command.args(["mcp", "serve-streamable-http", "--port", "0"]).stderr(std::process::Stdio::piped());
    let mut served = command.spawn().unwrap();
    let mut told = std::io::BufReader::new(served.stderr.take().unwrap()).lines();
    let url = told.find_map(|line| line.unwrap().strip_prefix("serving ").map(str::to_owned)).expect("an address");
    let ask = |token: &str| -> Ran {
        let mut command = workspace.command();
        command.env("MY_TOKEN", token).args(["--format", "json", "audit", &url, "--bearer-env", "MY_TOKEN"]);
        command.args(["--timeout-ms", "60000"]).output().unwrap().into()
    };
    let report = ask("planted-http-token-of-32-characters");
    let refused = ask("another-token");
    served.kill().unwrap();
    served.wait().unwrap();
    let report = report.expect(0).json();
    assert_eq!((&report["summary"]["tools_inspected"], &report["summary"]["high"]), (&json!(5), &json!(0)), "{report}");
    assert_eq!(refused.expect(1).error_code(), "AUDIT_TARGET_UNREACHABLE");
}

/// A server in the shell: it writes down what it was given, and leaves a child behind.
const SERVER: &str = r#"env | sort > "$1/env.txt"
sleep 600 &
echo $! > "$1/child.txt"
echo "a line for people"
while read -r line; do
  case "$line" in
    *'"initialize"'*) echo '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{}}}' ;;
    *'"cursor"'*) echo '{"jsonrpc":"2.0","id":3,"result":{"tools":[{"name":"run_query","description":"x"}]}}' ;;
    *tools/list*) echo '{"jsonrpc":"2.0","id":9,"method":"ping"}'; echo '{"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"execute_sql","description":"x"}],"nextCursor":"2"}}' ;;
  esac
done
"#;

#[test]
fn a_clients_servers_are_left_alone_unless_told() {
    let workspace = Workspace::new();
    let folder = workspace.path("").display().to_string();
    std::fs::write(workspace.path("server.sh"), SERVER).unwrap();
    let server = Server::start(Era::Handshake);
    let config = json!({ "mcpServers": {
        "shell": { "command": "sh", "args": [workspace.path("server.sh"), folder], "env": { "THEIRS": "given", "OURS": "${env:BILLING_APP_WRITE_URL}" } },
        "web": { "url": server.url(), "headers": { "Authorization": "Bearer planted-in-the-file" } },
        "inside": { "command": "x", "tools": tools(&["raw_sql"]) },
    } });
    std::fs::write(workspace.path("client.json"), config.to_string()).unwrap();
    let audit = |arguments: &[&str]| -> Value {
        let mut command = workspace.command();
        command.env("SYNAPSOR_MCP_AUDIT_BEARER", BEARER).env("HANDED", "on").env("TMPDIR", "/tmp");
        command.args(["--format", "json", "audit", "--timeout-ms", "60000"]).args(arguments);
        let ran: Ran = command.output().unwrap().into();
        assert!(!ran.out.contains("planted"), "{}", ran.out);
        ran.expect(0).json()
    };
    let skipped = |report: &Value| -> Vec<String> {
        let all = report["not_inspected"].as_array().cloned().unwrap_or_default();
        all.iter().map(|one| one["server"].as_str().unwrap().to_owned()).collect()
    };
    for arguments in [&["client.json"][..], &["--mcp-config", "client.json"]] {
        let report = audit(arguments);
        assert_eq!((skipped(&report), names(&report)), (vec!["shell".to_owned(), "web".to_owned()], vec!["raw_sql"]));
    }
    assert!(!workspace.path("env.txt").exists(), "a program ran");
    assert!(server.methods().is_empty(), "a server was asked");

    let report = audit(&["--mcp-config", "client.json", "--spawn", "--connect", "--env", "HANDED"]);
    assert!(skipped(&report).is_empty(), "{report}");
    assert_eq!(report["summary"]["tools_inspected"], 4);
    let servers: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| f["code"] == "GENERIC_SQL_TOOL")
        .map(|f| f["server"].clone())
        .collect();
    assert_eq!(servers, ["inside", "shell", "shell", "web"]);
    // The one token is for the one address that is named, and not for every server in a file.
    assert!(server.seen.0.lock().unwrap().iter().all(|(_, headers)| !headers.contains_key("authorization")));
    let environment = std::fs::read_to_string(workspace.path("env.txt")).unwrap();
    let names: Vec<&str> = environment.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    let shells = ["PWD", "OLDPWD", "SHLVL", "_"];
    let given: Vec<&str> = names.into_iter().filter(|name| !shells.contains(name)).collect();
    assert_eq!(given, ["HANDED", "PATH", "THEIRS", "TMPDIR", "USER"], "{environment}");
    #[cfg(target_os = "linux")]
    {
        let child = std::fs::read_to_string(workspace.path("child.txt")).unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        // Gone, or a zombie whose new parent has not looked yet.
        assert!(stat.is_empty() || stat.contains(") Z "), "it is still there: {stat}");
    }

    // One that fails is told of, and the others are asked.
    std::fs::write(workspace.path("server.sh"), "exit 3").unwrap();
    let report = audit(&["--mcp-config", "client.json", "--spawn"]);
    assert_eq!(skipped(&report), ["shell", "web"]);
    assert!(report["not_inspected"][0]["reason"].as_str().unwrap().contains("ended before"), "{report}");
    assert_eq!(workspace.json(["audit", "--mcp-config", "signoff.json"]).expect(2).error_code(), "USAGE");
}

#[test]
fn both_names_and_every_form() {
    let workspace = Workspace::new();
    for form in ["human", "text", "json", "markdown", "sarif"] {
        let [one, other] = [&["audit"][..], &["mcp", "audit"]].map(|name| {
            let out =
                workspace.run([name, &["--example", "dangerous-db-mcp", "--format", form]].concat()).expect(0).out;
            out.lines().filter(|line| !line.contains("generated_at")).collect::<Vec<_>>().join("\n")
        });
        assert_eq!(one, other, "{form}");
    }
    let own = workspace.json(["mcp", "audit", "signoff.json", "--fail-on", "high"]).expect(0).json();
    assert!(own["generated_at"].as_str().unwrap().ends_with('Z'), "{own}");
    workspace.run(["mcp", "serve", "--format", "sarif"]).expect(2);
}
