use std::collections::BTreeMap;

use serde_json::json;
use signoff::Result;
use signoff::catalogue::{AliasMode, ToolOptions, boundary, tools};
use signoff::contract::Contract;
use signoff::primitives::Digest;
use signoff::runtime::{Environment, load_contract};

use crate::args::{Global, Tools, ToolsCommand};
use crate::output::Output;
use crate::setup;

pub fn run(global: &Global, arguments: &Tools, output: &mut Output) -> Result<u8> {
    let path = setup::config_path(global)?.ok_or_else(setup::no_config)?;
    let (contract, _) = load_contract(&path)?;
    match &arguments.command {
        ToolsCommand::List(list) => {
            let alias = if list.aliases { AliasMode::Both } else { AliasMode::Canonical };
            let tools = tools(&contract, &ToolOptions { alias, ..ToolOptions::default() });
            let digests: BTreeMap<&str, Digest> =
                tools.iter().map(|tool| (tool.name.as_str(), tool.digest())).collect();
            output.value(&json!({ "tools": tools, "digests": digests }));
            for tool in &tools {
                let description = tool.description.lines().next().unwrap_or_default();
                output.line(format!("{}\n    {description}", tool.name));
            }
            Ok(0)
        }
        ToolsCommand::Preview(_) => preview(&contract, output),
    }
}

fn preview(contract: &Contract, output: &mut Output) -> Result<u8> {
    let tools = tools(contract, &ToolOptions { alias: AliasMode::Canonical, ..ToolOptions::default() });
    let checks = boundary(contract, |name| Environment::system().get(name));
    let absent: Vec<&str> =
        checks.iter().filter(|check| check.ok && check.name.ends_with(" absent")).map(|check| check.name).collect();
    output.value(&json!({ "tools": tools, "boundary": absent }));
    output.line(format!("An agent sees {} tools:", tools.len()));
    for tool in &tools {
        output.line(format!("  {}", output.strong(&tool.name)));
        for line in tool.description.lines().take(1) {
            output.line(format!("    {line}"));
        }
        let arguments = tool.input_schema.pointer("/properties").and_then(|properties| properties.as_object());
        let names: Vec<&str> = arguments.map(|map| map.keys().map(String::as_str).collect()).unwrap_or_default();
        output.line(format!("    arguments: {}", names.join(", ")));
    }
    output.line("It does not see:");
    for line in &absent {
        output.line(format!("  {line}"));
    }
    output.line("Tenant and principal are bound by trusted context, never by an argument.");
    Ok(0)
}
