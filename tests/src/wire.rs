//! HTTP as it is on the wire, so that a test can say what a client library would not; and the door, served by the program.

use std::io::{BufRead as _, BufReader, Read, Result, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::Workspace;

/// The bearer token of [`Served`].
pub const TOKEN: &str = "a-token-of-the-tests-alone";

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

impl Reply {
    /// The value of a header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Reads one answer, of a known length or in chunks.
pub fn read<S: Read>(from: &mut BufReader<S>) -> Result<Reply> {
    read_with(from, true)
}

/// The same, where there may be no body whatever the headers say.
fn read_with<S: Read>(from: &mut BufReader<S>, body_comes: bool) -> Result<Reply> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{line}"));
    let mut headers = Vec::new();
    loop {
        line.clear();
        from.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None => break,
        }
    }
    let mut reply = Reply { status, headers, body: String::new() };
    let mut body = Vec::new();
    if reply.header("transfer-encoding") == "chunked" {
        loop {
            line.clear();
            from.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim(), 16).unwrap_or_else(|_| panic!("{line}"));
            let mut chunk = vec![0; size + 2];
            from.read_exact(&mut chunk)?;
            body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                break;
            }
        }
    } else if body_comes {
        body.resize(reply.header("content-length").parse().unwrap_or(0), 0);
        from.read_exact(&mut body)?;
    }
    reply.body = String::from_utf8(body).expect("an answer is text");
    Ok(reply)
}

/// The program, serving over HTTP.
pub struct Served {
    child: Child,
    /// `host:port`.
    pub address: String,
}

impl Served {
    /// `mcp serve` with these arguments, on a free port, with a bearer token.
    pub fn start(workspace: &Workspace, arguments: &[&str]) -> Self {
        let mut command = workspace.command();
        command.env("SIGNOFF_RUNNER_HTTP_TOKEN", TOKEN);
        if !arguments.contains(&"--transport") {
            command.args(["mcp", "serve", "--transport", "streamable-http"]);
        } else {
            command.args(["mcp", "serve"]);
        }
        Self::of(command.args(["--port", "0"]).args(arguments))
    }

    /// Any command that says on standard error where it serves.
    pub fn of(command: &mut Command) -> Self {
        Self::heard(command).0
    }

    /// The same, and what it says there from then on until it ends.
    pub fn heard(command: &mut Command) -> (Self, std::thread::JoinHandle<String>) {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts");
        let mut errors = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut said = String::new();
        let address = loop {
            let mut line = String::new();
            assert!(errors.read_line(&mut line).expect("text") > 0, "it does not serve: {said}");
            said.push_str(&line);
            if let Some(rest) = line.trim().strip_prefix("serving ") {
                break rest.split("://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address").to_owned();
            }
        };
        // Whoever stops reading would stop the program that writes.
        let heard = std::thread::spawn(move || {
            let mut said = String::new();
            let _ = errors.read_to_string(&mut said);
            said
        });
        (Self { child, address }, heard)
    }

    /// A connection.
    pub fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(&self.address).expect("it listens");
        socket.set_nodelay(true).expect("a socket");
        socket
    }

    /// One request on a connection of its own, as it is given. `{body}` is what comes after the headers.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut socket = self.connect();
        let mut head = format!("{method} {path} HTTP/1.1\r\ncontent-length: {}\r\n", body.len());
        let given = |wanted: &str| headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        for (name, value) in [("host", "localhost"), ("connection", "close")] {
            if !given(name) {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        socket.write_all(head.as_bytes()).expect("it reads");
        // It may answer, and close, before it has read all of it.
        let _ = socket.write_all(body);
        read_with(&mut BufReader::new(socket), method != "HEAD").expect("it answers")
    }

    /// A message with the token.
    pub fn message(&self, headers: &[(&str, &str)], message: &Value) -> Reply {
        let authorization = format!("Bearer {TOKEN}");
        let mut all = vec![("authorization", authorization.as_str()), ("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.ask("POST", "/mcp", &all, message.to_string().as_bytes())
    }

    /// Calls a tool; the answer's `result`.
    pub fn call(&self, headers: &[(&str, &str)], tool: &str, arguments: Value) -> Value {
        let reply = self.message(headers, &rpc(1, "tools/call", json!({ "name": tool, "arguments": arguments })));
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["result"].clone()
    }

    /// Tells it to stop; its exit code.
    pub fn stop(mut self) -> Option<i32> {
        let stopped = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill");
        assert!(stopped.success());
        self.child.wait().expect("it ends").code()
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request.
pub fn rpc(id: u64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// An `initialize`.
pub fn hello(version: &str) -> Value {
    let client = json!({ "name": "tests", "version": "1" });
    rpc(0, "initialize", json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": client }))
}
