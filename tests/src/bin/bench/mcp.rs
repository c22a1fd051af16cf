//! The agent's door beside the smallest server of the TypeScript SDK that does the same read: calls a second, and what a call
//! costs the server.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use signoff_tests::{Workspace, binary, wire};

const READS: u32 = 10_000;
const PROPOSALS: u32 = 1_000;
const WARM: u32 = 500;
const BOOTS: usize = 15;
const TOKEN: &str = "a-token-for-this-bench";

pub fn run() {
    let Some(node) = node() else {
        println!(
            "| MCP beside the TypeScript SDK | not measured: no Node with node:sqlite and the SDK (`make test-mcp` brings them) | | |"
        );
        return;
    };
    for http in [false, true] {
        let way = if http { "HTTP" } else { "stdio" };
        let [ours, theirs] = [None, Some(node.as_path())].map(|node| measure(node, http));
        let row = |what: &str, a: String, b: String, ratio: f64, goal: &str| {
            println!("| MCP over {way}: {what} | {a} | TypeScript SDK: {b} | {ratio:.1} ×{goal} |");
        };
        let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
        let mib = |kib: u64| format!("{:.1} MiB", kib as f64 / 1024.0);
        row(
            "boot to the first answer",
            ms(ours.boot),
            ms(theirs.boot),
            theirs.boot.as_secs_f64() / ours.boot.as_secs_f64(),
            "; goal ≤ 30 ms",
        );
        for (what, ours, theirs) in [
            ("the list of tools", &ours.list, &theirs.list),
            ("a read", &ours.read, &theirs.read),
            ("a proposal", &ours.proposal, &theirs.proposal),
        ] {
            row(
                &format!("{what}, calls a second, one after the other"),
                format!("{:.0}", ours.rate),
                format!("{:.0}", theirs.rate),
                ours.rate / theirs.rate,
                "",
            );
            let micros = |cpu: f64| format!("{:.0} µs", cpu * 1e6);
            row(
                &format!("{what}, the server's CPU"),
                micros(ours.cpu),
                micros(theirs.cpu),
                theirs.cpu / ours.cpu,
                " less; goal ≥ 5",
            );
        }
        row(
            "memory at rest",
            mib(ours.rest),
            mib(theirs.rest),
            theirs.rest as f64 / ours.rest as f64,
            "; goal ≤ 15 MiB",
        );
        row(
            &format!("memory after {READS} reads"),
            mib(ours.after),
            mib(theirs.after),
            theirs.after as f64 / ours.after as f64,
            "",
        );
    }
}

/// A Node that has SQLite, and the SDK beside the server.
fn node() -> Option<PathBuf> {
    let node = std::env::var_os("SIGNOFF_NODE").map_or_else(|| PathBuf::from("node"), PathBuf::from);
    let able = Command::new(&node)
        .args(["--input-type=module", "-e", "import 'node:sqlite'; import '@modelcontextprotocol/sdk/server/mcp.js'"])
        .current_dir(server().parent()?)
        .stderr(Stdio::null())
        .status();
    able.is_ok_and(|status| status.success()).then_some(node)
}

fn server() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("mcp/bench/server.mjs")
}

/// A workspace whose door does not count calls.
fn unlimited(invoices: u32) -> Workspace {
    let workspace = Workspace::with_invoices(invoices);
    let mut contract: Value = serde_json::from_str(&workspace.contract()).unwrap();
    contract["signoff"] =
        json!({ "mcp": { "rate_limit": { "proposals_per_minute": null, "reads_per_minute": null } } });
    workspace.write_contract(&contract.to_string());
    workspace
}

struct Measured {
    boot: Duration,
    list: Cost,
    read: Cost,
    proposal: Cost,
    /// Kibibytes.
    rest: u64,
    after: u64,
}

struct Cost {
    rate: f64,
    cpu: f64,
}

fn measure(node: Option<&Path>, http: bool) -> Measured {
    let mut boots: Vec<Duration> = (0..BOOTS)
        .map(|_| {
            let workspace = unlimited(1);
            let begun = Instant::now();
            let client = Client::start(&workspace, node, http);
            let took = begun.elapsed();
            drop(client);
            took
        })
        .collect();
    boots.sort();
    let workspace = unlimited(PROPOSALS + WARM);
    let mut client = Client::start(&workspace, node, http);
    let (inspect, propose) = match node {
        None => ("billing.inspect_invoice", "billing.propose_late_fee_waiver"),
        Some(_) => ("inspect_invoice", "propose_late_fee_waiver"),
    };
    let rest = client.memory();
    client.lists(WARM);
    let list = client.lists(READS);
    let reads = |client: &mut Client, count| {
        client.cost(count, |at| (inspect, json!({ "invoice_id": format!("INV-{}", at % PROPOSALS + 1) })))
    };
    reads(&mut client, WARM);
    let read = reads(&mut client, READS);
    let after = client.memory();
    let proposals = |client: &mut Client, first, count| {
        client.cost(count, |at| {
            (propose, json!({ "invoice_id": format!("INV-{}", first + at + 1), "reason": "approved by support" }))
        })
    };
    proposals(&mut client, 0, WARM.min(200));
    let proposal = proposals(&mut client, WARM.min(200), PROPOSALS);
    Measured { boot: boots[BOOTS / 2], list, read, proposal, rest, after }
}

struct Client {
    child: Child,
    way: Way,
    id: u64,
}

enum Way {
    Pipes(ChildStdin, BufReader<ChildStdout>),
    Http(BufReader<TcpStream>),
}

impl Client {
    fn start(workspace: &Workspace, node: Option<&Path>, http: bool) -> Self {
        let mut command = match node {
            None => {
                let mut command = workspace.command_of(&binary("SIGNOFF_RELEASE_BIN", "release/signoff"));
                command.args(["mcp", "serve"]).env("SIGNOFF_RUNNER_HTTP_TOKEN", TOKEN);
                if http {
                    command.args(["--transport", "streamable-http", "--port", "0"]);
                }
                command
            }
            Some(node) => {
                let mut command = workspace.command_of(node);
                command.arg(server()).arg(workspace.path("billing.db")).arg(workspace.path("notes.db"));
                if http {
                    command.arg("0");
                }
                command
            }
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(if http { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn().expect("it starts");
        let way = if http {
            let mut line = String::new();
            BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
            let address = line.trim().strip_prefix("serving http://").and_then(|rest| rest.strip_suffix("/mcp"));
            let socket = TcpStream::connect(address.unwrap_or_else(|| panic!("{line}"))).unwrap();
            socket.set_nodelay(true).unwrap();
            Way::Http(BufReader::new(socket))
        } else {
            Way::Pipes(child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()))
        };
        let mut client = Self { child, way, id: 0 };
        let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "bench", "version": "1" } });
        assert!(client.ask("initialize", &hello)["result"].is_object());
        client
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.id += 1;
        let message = json!({ "jsonrpc": "2.0", "id": self.id, "method": method, "params": params }).to_string();
        let answer = match &mut self.way {
            Way::Pipes(to, from) => {
                writeln!(to, "{message}").unwrap();
                let mut line = String::new();
                from.read_line(&mut line).unwrap();
                line.into_bytes()
            }
            Way::Http(socket) => {
                let head = format!(
                    "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n\
                     Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2025-11-25\r\nContent-Length: {}\r\n\r\n{message}",
                    message.len()
                );
                socket.get_mut().write_all(head.as_bytes()).unwrap();
                wire::read(socket).unwrap().body.into_bytes()
            }
        };
        serde_json::from_slice(&answer).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&answer)))
    }

    /// Calls of a tool.
    fn cost(&mut self, count: u32, call: impl Fn(u32) -> (&'static str, Value)) -> Cost {
        self.asked(count, |client, at| {
            let (name, arguments) = call(at);
            let answer = client.ask("tools/call", &json!({ "name": name, "arguments": arguments }));
            assert_eq!(answer["result"]["structuredContent"]["ok"], true, "{answer}");
        })
    }

    /// What the protocol costs by itself: nothing is read or recorded.
    fn lists(&mut self, count: u32) -> Cost {
        self.asked(count, |client, _| {
            let answer = client.ask("tools/list", &json!({}));
            assert!(answer["result"]["tools"].is_array(), "{answer}");
        })
    }

    fn asked(&mut self, count: u32, mut ask: impl FnMut(&mut Self, u32)) -> Cost {
        let (begun, before) = (Instant::now(), self.cpu());
        for at in 0..count {
            ask(self, at);
        }
        let cpu = (self.cpu() - before) / f64::from(count);
        Cost { rate: f64::from(count) / begun.elapsed().as_secs_f64(), cpu }
    }

    /// Seconds of CPU, user and system, of all its threads.
    fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        // User and system time, in ticks of a hundredth of a second.
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
    }

    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
