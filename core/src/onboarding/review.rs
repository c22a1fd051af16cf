//! What a review of tools looks at: a list of tools, a contract of ours, or the servers that a client knows.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use crate::audit::{Report, audit};
use crate::catalogue::{ToolOptions, tools};
use crate::contract::Contract;
use crate::error::{Code, Error, Result};

/// The tools of a contract of ours, as a document to review; none if the text is no valid contract.
#[must_use]
pub fn own_contract(text: &str) -> Option<Value> {
    let (contract, _) = Contract::parse(text).ok()?;
    Some(json!({ "tools": tools(&contract, &ToolOptions::default()) }))
}

/// Reviews a text: the answer of `tools/list`, a manifest, a client's configuration with tools, or a contract of ours. It
/// reads, and asks nobody.
///
/// # Errors
/// `USAGE` if it is no JSON.
pub fn audit_text(text: &str, target: &str) -> Result<Report> {
    let document = match own_contract(text) {
        Some(document) => document,
        None => read(text)?,
    };
    Ok(match server_list(&document) {
        Some(list) => list.without_asking(target),
        None => audit(&document, target),
    })
}

fn read(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|_| {
        Error::new(Code::Usage).with("problem", "the target is not JSON").with("hint", "save the answer of tools/list")
    })
}

/// How a client reaches a server.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// It runs a program.
    Command {
        /// The program.
        program: String,
        /// Its arguments.
        arguments: Vec<String>,
        /// Variables that the configuration sets.
        environment: BTreeMap<String, String>,
    },
    /// It asks an address.
    Url(String),
    /// It says neither.
    Unknown,
}

/// Arguments, variables and addresses of other people's servers hold secrets.
impl fmt::Debug for Reach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

impl Reach {
    /// `stdio`, `http` or `unknown`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Command { .. } => "stdio",
            Self::Url(_) => "http",
            Self::Unknown => "unknown",
        }
    }
}

/// A server that a client knows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientServer {
    /// What the client calls it.
    pub name: String,
    /// How the client reaches it.
    pub reach: Reach,
    /// Its tools, where the file has them.
    pub tools: Option<Value>,
}

/// The servers of a client's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerList {
    /// In the order of their names.
    pub servers: Vec<ClientServer>,
}

impl ServerList {
    /// Reviews what stands in the file, and says of the other servers that they were not looked at.
    #[must_use]
    pub fn without_asking(&self, target: &str) -> Report {
        let mut report = Report::of_servers(target);
        for server in &self.servers {
            match &server.tools {
                Some(tools) => report.add(&server.name, tools),
                None => report.not_inspected(&server.name, server.reach.word(), "its tools do not stand in the file"),
            }
        }
        report
    }
}

/// The servers in a client's configuration: `mcpServers`, VS Code's `servers`, and `mcp.servers` of its settings. None if
/// the document is something else, such as a list of tools.
#[must_use]
pub fn server_list(document: &Value) -> Option<ServerList> {
    let places = ["/mcpServers", "/mcp_servers", "/servers", "/mcp/servers"];
    let servers = places.iter().find_map(|place| document.pointer(place)?.as_object())?;
    let servers: Vec<ClientServer> = servers.iter().map(|(name, entry)| server(name, entry)).collect();
    servers.iter().any(|server| server.reach != Reach::Unknown).then_some(ServerList { servers })
}

fn server(name: &str, entry: &Value) -> ClientServer {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    let url = || ["url", "serverUrl", "httpUrl"].into_iter().find_map(text);
    let reach = match (text("command"), url()) {
        (Some(program), _) => {
            let words = entry.get("args").and_then(Value::as_array);
            let arguments = words.into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect();
            let set = entry.get("env").and_then(Value::as_object);
            let set =
                set.into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
            Reach::Command { program, arguments, environment: set.collect() }
        }
        (None, Some(url)) => Reach::Url(url),
        (None, None) => Reach::Unknown,
    };
    let tools = entry.get("tools").map(|tools| json!({ "tools": tools }));
    ClientServer { name: name.to_owned(), reach, tools }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_from_tools() {
        let config = json!({ "mcpServers": {
            "a": { "command": "db-mcp", "args": ["--token", "s3cret"], "env": { "KEY": "s3cret" } },
            "b": { "url": "https://u:s3cret@x.example/mcp" },
            "c": { "command": "x", "tools": [{ "name": "execute_sql", "description": "Runs SQL." }] },
        } });
        let list = server_list(&config).unwrap();
        assert!(!format!("{list:?}").contains("s3cret"));
        let report = audit_text(&config.to_string(), "client.json").unwrap();
        let skipped: Vec<_> = report.not_inspected.iter().map(|one| (one.server.as_str(), one.transport)).collect();
        assert_eq!(skipped, [("a", "stdio"), ("b", "http")]);
        assert_eq!((report.summary.tools_inspected, report.findings[0].server.as_deref()), (1, Some("c")));
        assert!(!serde_json::to_string(&report).unwrap().contains("s3cret"));
        for other in [
            json!({ "tools": [] }),
            json!({ "servers": [{ "name": "db" }] }),
            json!({ "mcpServers": { "db": { "tools": [] } } }),
        ] {
            assert_eq!(server_list(&other), None, "{other}");
        }
    }

    #[test]
    fn the_same_tool_of_two_servers_is_found_twice() {
        let tools = json!([{ "name": "execute_sql", "description": "Runs SQL." }]);
        let config =
            json!({ "servers": { "a": { "command": "x", "tools": tools }, "b": { "command": "y", "tools": tools } } });
        let report = audit_text(&config.to_string(), "mcp.json").unwrap();
        let sql = report.findings.iter().filter(|finding| finding.code == "GENERIC_SQL_TOOL");
        assert_eq!(sql.map(|finding| finding.server.as_deref().unwrap()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((report.summary.tools_inspected, report.summary.total_findings), (2, report.findings.len()));
    }

    #[test]
    fn a_file_of_servers_alone_has_no_tools() {
        let report = audit_text(r#"{"mcpServers":{"a":{"command":"x"}}}"#, "mcp.json").unwrap();
        assert_eq!(report.findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["NO_TOOLS_FOUND"]);
        assert_eq!(audit_text("{", "x").unwrap_err().code(), Code::Usage);
    }
}
