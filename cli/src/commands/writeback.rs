use serde_json::json;
use signoff::contract::Contract;
use signoff::guard::{Dialect, ReceiptTable};
use signoff::primitives::Identifier;
use signoff::runtime::{Environment, check_writeback, load_contract, migrate_receipts};
use signoff::{Code, Error, Result};

use crate::args::{
    Global, SqlEngine, Writeback, WritebackCommand, WritebackDoctor, WritebackMigrate, WritebackRebind, WritebackSql,
};
use crate::output::Output;
use crate::setup;

pub async fn run(global: &Global, writeback: &Writeback, output: &mut Output) -> Result<u8> {
    match &writeback.command {
        WritebackCommand::Migrate(arguments) => migrate(global, arguments, output).await,
        WritebackCommand::Doctor(arguments) => doctor(global, arguments, output).await,
        WritebackCommand::Rebind(arguments) => rebind(global, arguments, output).await,
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
pub fn print(statements: &[String], output: &mut Output) -> Result<u8> {
    output.value(&json!({ "statements": statements }));
    for statement in statements {
        output.line(format!("{statement};"));
    }
    Ok(0)
}

async fn migrate(global: &Global, migrate: &WritebackMigrate, output: &mut Output) -> Result<u8> {
    let path = setup::config_path(global)?.ok_or_else(setup::no_config)?;
    let (contract, _) = load_contract(&path)?;
    setup::warn_unverified(&contract, &Environment::system(), output);
    let names = sources(&contract, migrate.source.as_deref())?;
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

/// The source asked for, or every one that can be written.
fn sources(contract: &Contract, asked: Option<&str>) -> Result<Vec<String>> {
    let writable = contract.sources.values().filter(|source| !source.read_only && source.write_url_env.is_some());
    let names: Vec<String> = match asked {
        Some(name) => vec![name.to_owned()],
        None => writable.map(|source| source.name.clone()).collect(),
    };
    if names.is_empty() {
        let usage = Error::new(Code::Usage).with("problem", "no source of this contract can be written");
        return Err(usage.with("hint", "give one a write_url_env"));
    }
    Ok(names)
}

async fn rebind(global: &Global, rebind: &WritebackRebind, output: &mut Output) -> Result<u8> {
    let runtime = setup::runtime(global, setup::Need::Contract, setup::Ledger::Existing, output)?;
    let actor = setup::operator(rebind.actor.as_deref());
    let (before, now) = runtime.rebind_receipts(&rebind.source, &actor).await?;
    let changed = before.as_ref().is_some_and(|before| *before != now);
    output.value(&json!({ "ok": true, "source": rebind.source, "changed": changed, "before": before, "now": now }));
    output.line(match &before {
        None => format!("source {}: nothing is recorded yet; its first apply records {}", rebind.source, now.sql()),
        Some(_) if !changed => format!("source {}: {} as before", rebind.source, now.sql()),
        Some(before) => format!("source {}: {} from now on, {} before", rebind.source, now.sql(), before.sql()),
    });
    Ok(0)
}

async fn doctor(global: &Global, doctor: &WritebackDoctor, output: &mut Output) -> Result<u8> {
    let path = setup::config_path(global)?.ok_or_else(setup::no_config)?;
    let (contract, _) = load_contract(&path)?;
    setup::warn_unverified(&contract, &Environment::system(), output);
    let mut all = true;
    let mut done = Vec::new();
    for name in sources(&contract, doctor.source.as_deref())? {
        let checks = check_writeback(&contract, &Environment::system(), &name).await?;
        let ok = checks.iter().all(|check| check.ok);
        output.line(format!("source {name}: {}", if ok { "ready" } else { "not ready" }));
        for check in &checks {
            output.line(format!("  {} {}: {}", if check.ok { "pass" } else { "FAIL" }, check.name, check.message));
        }
        all &= ok;
        done.push(json!({ "source": name, "ok": ok, "checks": checks }));
    }
    output.value(&json!({ "ok": all, "sources": done }));
    Ok(u8::from(!all))
}
