use serde_json::json;
use signoff::guard::{Dialect, ReceiptTable};
use signoff::primitives::Identifier;
use signoff::runtime::{Environment, migrate_receipts};
use signoff::{Code, Error, Result};

use crate::args::{Global, SqlEngine, Writeback, WritebackCommand, WritebackMigrate, WritebackSql};
use crate::output::Output;
use crate::setup;

pub async fn run(global: &Global, writeback: &Writeback, output: &mut Output) -> Result<u8> {
    match &writeback.command {
        WritebackCommand::Migrate(arguments) => migrate(global, arguments, output).await,
        WritebackCommand::Migration(arguments) => {
            let (dialect, table) = receipts(arguments)?;
            print(&dialect.receipts_ddl(&table), output)
        }
        WritebackCommand::Grants(arguments) => {
            let (dialect, table) = receipts(&arguments.sql)?;
            print(&dialect.receipts_grants(&table, &arguments.writer_role), output)
        }
    }
}

fn receipts(arguments: &WritebackSql) -> Result<(Dialect, ReceiptTable)> {
    let (dialect, default) = match arguments.engine {
        SqlEngine::Postgres => (Dialect::Postgres, "public"),
        SqlEngine::Sqlite => (Dialect::Sqlite, "main"),
    };
    let schema = Identifier::new(arguments.schema.as_deref().unwrap_or(default))?;
    Ok((dialect, ReceiptTable::in_schema(schema)?))
}

/// Plain SQL, so that it can be piped into the engine's own program.
fn print(statements: &[String], output: &mut Output) -> Result<u8> {
    output.value(&json!({ "statements": statements }));
    for statement in statements {
        output.line(format!("{statement};"));
    }
    Ok(0)
}

async fn migrate(global: &Global, migrate: &WritebackMigrate, output: &mut Output) -> Result<u8> {
    let path = setup::config_path(global)?.ok_or_else(setup::no_config)?;
    let (contract, _) = setup::load(&path)?;
    let writable = contract.sources.values().filter(|source| !source.read_only && source.write_url_env.is_some());
    let names: Vec<String> = match &migrate.source {
        Some(name) => vec![name.clone()],
        None => writable.map(|source| source.name.clone()).collect(),
    };
    if names.is_empty() {
        let usage = Error::new(Code::Usage).with("problem", "no source of this contract can be written");
        return Err(usage.with("hint", "give one a write_url_env"));
    }
    let mut done = Vec::new();
    for name in names {
        let statements = migrate_receipts(&contract, &Environment::system(), &name).await?;
        output.line(format!(
            "source {name}: {}",
            if statements.is_empty() { "up to date" } else { "receipts table ready" }
        ));
        for statement in &statements {
            output.line(format!("  {statement};"));
        }
        done.push(json!({ "source": name, "statements": statements }));
    }
    output.value(&json!({ "ok": true, "sources": done }));
    Ok(0)
}
