//! What a list of tools costs a model: this contract's beside that of a server which hands out SQL.
//!
//! A token here is a run of letters, digits and `_`, or one other character that is no white space: near enough to
//! compare two lists, and the same on every machine.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use signoff::Result;
use signoff::catalogue::{AliasMode, ToolOptions, tools};
use signoff::contract::Kind;
use signoff::runtime::load_contract;

use crate::args::{Global, JsonFlag};
use crate::output::Output;
use crate::setup;

#[derive(Debug, Args)]
pub struct Benchmark {
    #[command(subcommand)]
    pub command: BenchmarkCommand,
}

#[derive(Debug, Subcommand)]
pub enum BenchmarkCommand {
    /// Count what a model reads and calls: this contract's tools beside a generic SQL server's
    McpEfficiency(JsonFlag),
}

impl Benchmark {
    pub fn json(&self) -> bool {
        let BenchmarkCommand::McpEfficiency(flag) = &self.command;
        flag.json
    }
}

/// What one list costs.
struct Cost {
    tools: usize,
    bytes: usize,
    tokens: usize,
    calls: usize,
}

impl Cost {
    fn of(list: &Value, calls: usize) -> Self {
        let text = list.to_string();
        Self { tools: list.as_array().map_or(0, Vec::len), bytes: text.len(), tokens: tokens(&text), calls }
    }

    fn json(&self) -> Value {
        json!({ "tools": self.tools, "tools_list_bytes": self.bytes, "tools_list_tokens": self.tokens,
            "calls_to_propose_one_change": self.calls })
    }
}

pub fn run(global: &Global, benchmark: &Benchmark, output: &mut Output) -> Result<u8> {
    let BenchmarkCommand::McpEfficiency(_) = benchmark.command;
    let path = setup::config_path(global)?.ok_or_else(setup::no_config)?;
    let (contract, _) = load_contract(&path)?;
    let list = tools(&contract, &ToolOptions { alias: AliasMode::Canonical, ..ToolOptions::default() });
    // Look, then propose: a kind of call that a contract does not have costs none.
    let kinds = [Kind::Read, Kind::Proposal];
    let calls = kinds.into_iter().filter(|kind| list.iter().any(|tool| tool.kind == *kind)).count();
    let ours = Cost::of(&serde_json::to_value(&list).unwrap_or_default(), calls);
    let generic = Cost::of(&generic(), GENERIC_CALLS);
    output.value(&json!({
        "ok": true, "contract": ours.json(), "generic_sql_server": generic.json(),
        "token": "[A-Za-z0-9_]+ or one other character that is no white space",
    }));
    output.line(format!("{:<30} {:>14} {:>19}", "", "this contract", "generic SQL server"));
    for (label, pick) in [
        ("tools", (|cost| cost.tools) as fn(&Cost) -> usize),
        ("bytes of the list", |cost| cost.bytes),
        ("tokens of the list, about", |cost| cost.tokens),
        ("calls to propose one change", |cost| cost.calls),
    ] {
        output.line(format!("{label:<30} {:>14} {:>19}", pick(&ours), pick(&generic)));
    }
    output.line("The generic server lists tables, describes one, selects, and runs any SQL:");
    output.line("what it saves in tokens it leaves open in authority.");
    Ok(0)
}

/// List the tables, describe one, look at the row, write, look again.
const GENERIC_CALLS: usize = 5;

/// The tools of a server that hands out SQL, in the words such servers use.
fn generic() -> Value {
    let tool = |name: &str, description: &str, arguments: &[&str]| {
        let properties: serde_json::Map<String, Value> =
            arguments.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" }))).collect();
        json!({ "name": name, "description": description, "inputSchema": {
            "type": "object", "properties": properties, "required": arguments } })
    };
    json!([
        tool("list_tables", "List the tables of the database, with their schemas.", &["schema"]),
        tool("describe_table", "Describe the columns, types and keys of a table.", &["schema", "table"]),
        tool("read_query", "Run a SELECT statement and return its rows as JSON.", &["sql"]),
        tool("execute_sql", "Run any SQL statement, such as UPDATE or DELETE, and return the row count.", &["sql"]),
    ])
}

fn tokens(text: &str) -> usize {
    let mut count = 0;
    let mut in_word = false;
    for character in text.chars() {
        let word = character.is_ascii_alphanumeric() || character == '_';
        count += usize::from(if word { !in_word } else { !character.is_whitespace() });
        in_word = word;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::tokens;

    #[test]
    fn a_word_is_one_token_and_so_is_each_sign() {
        assert_eq!(tokens(r#"{"late_fee_cents": 5500}"#), 7);
        assert_eq!(tokens("  é!! a1_B  "), 4);
        assert_eq!(tokens(""), 0);
    }
}
