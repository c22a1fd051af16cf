//! A workspace, a runtime on it, and clients of the agent's door in this process.

use std::sync::Arc;

use serde_json::{Value, json};
use signoff::Runtime;
use signoff::catalogue::AliasMode;
use signoff::mcp::{Door, DoorOptions, serve};
use signoff::primitives::SystemClock;
use signoff::runtime::Caller;
use signoff_tests::Workspace;
use signoff_tests::library::{ledger, runtime};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, ReadHalf, WriteHalf};

pub const INSPECT: &str = "billing.inspect_invoice";
pub const WAIVE: &str = "billing.propose_late_fee_waiver";
pub const STATUS: &str = "signoff.proposal_status";
pub const WITHDRAW: &str = "signoff.withdraw_proposal";

pub struct House {
    pub workspace: Workspace,
    pub runtime: Runtime,
}

impl House {
    /// Two invoices of acme, and the contract as `edit` leaves it.
    pub fn with(edit: impl FnOnce(&mut Value)) -> Self {
        let workspace = Workspace::with_invoices(2);
        let mut contract: Value = serde_json::from_str(&workspace.contract()).unwrap();
        edit(&mut contract);
        workspace.write_contract(&contract.to_string());
        let clock = Arc::new(SystemClock);
        let ledger = ledger(&workspace.path(""), "ledger.db", &*clock);
        let runtime = runtime(&workspace.path(""), &workspace.source.address(), ledger, clock);
        Self { workspace, runtime }
    }

    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn door(&self, alias: AliasMode) -> Door {
        let mut options = DoorOptions::default();
        options.alias = alias;
        Door::new(self.runtime.clone(), options).unwrap()
    }

    /// A client that is this caller.
    pub async fn client(&self, caller: Caller) -> Client {
        Client::of(self.door(AliasMode::Both).for_caller(caller)).await
    }

    /// The newest audit records, newest first.
    pub async fn audits(&self, count: u32) -> Vec<Value> {
        use signoff::ledger::PageRequest;
        let page = PageRequest { limit: count, ..PageRequest::default() };
        let listed = self.runtime.ledger().query_audit(Default::default(), page).await.unwrap();
        listed.items.iter().map(|item| serde_json::to_value(item).unwrap()).collect()
    }
}

pub fn acme(principal: &str, roles: &[&str]) -> Caller {
    Caller::trusted("acme", principal).with_roles(roles.iter().map(|role| (*role).to_owned()))
}

pub struct Client {
    to: WriteHalf<DuplexStream>,
    from: BufReader<ReadHalf<DuplexStream>>,
    id: u64,
}

impl Client {
    /// One that began as clients of 2025-11-25 do.
    pub async fn of(door: Door) -> Self {
        let mut client = Self::unbegun(door);
        let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
        client.ask("initialize", hello).await;
        client.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        client
    }

    pub fn unbegun(door: Door) -> Self {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (read, write) = tokio::io::split(theirs);
        tokio::spawn(serve(door, read, write));
        let (from, to) = tokio::io::split(ours);
        Self { to, from: BufReader::new(from), id: 0 }
    }

    pub async fn say(&mut self, line: &str) {
        self.to.write_all(line.as_bytes()).await.unwrap();
        self.to.write_all(b"\n").await.unwrap();
    }

    pub async fn hear(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).await.unwrap();
        line
    }

    pub async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.id += 1;
        self.say(&json!({ "jsonrpc": "2.0", "id": self.id, "method": method, "params": params }).to_string()).await;
        let answer: Value = serde_json::from_str(&self.hear().await).unwrap();
        assert_eq!(answer["id"], self.id, "{answer}");
        answer
    }

    /// The result of a call.
    pub async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.ask("tools/call", json!({ "name": tool, "arguments": arguments })).await["result"].clone()
    }

    /// What `tools/list` shows.
    pub async fn tools(&mut self) -> Vec<Value> {
        self.ask("tools/list", json!({})).await["result"]["tools"].as_array().unwrap().clone()
    }

    pub async fn names(&mut self) -> Vec<String> {
        self.tools().await.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The answer to a resource, whole.
    pub async fn resource(&mut self, uri: &str) -> Value {
        let mut answer = self.ask("resources/read", json!({ "uri": uri })).await;
        answer.as_object_mut().unwrap().remove("id");
        answer
    }
}
