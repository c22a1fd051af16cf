use serde_json::json;
use signoff::Result;
use signoff::runtime::{Environment, check_handlers, check_writebacks, load_contract};

use crate::args::{Doctor, Global};
use crate::output::Output;
use crate::setup;

/// Looks at what only running applications and databases can tell.
pub async fn run(global: &Global, doctor: &Doctor, output: &mut Output) -> Result<u8> {
    let path = setup::config_path(global)?.ok_or_else(setup::no_config)?;
    let (contract, _) = load_contract(&path)?;
    let environment = Environment::system();
    let mut checks = Vec::new();
    if doctor.check_handlers {
        checks = check_handlers(&contract, &environment).await;
        if checks.is_empty() {
            output.line("no handlers: every change of this contract is one UPDATE of our own");
        }
    }
    if doctor.check_writeback {
        setup::warn_unverified(&contract, &environment, output);
        let found = check_writebacks(&contract, &environment, doctor.allow_shared_credential).await;
        if found.is_empty() {
            output.line("no direct SQL: every change of this contract is carried out by an application");
        }
        checks.extend(found);
    }
    let ok = checks.iter().all(|check| check.level != "fail");
    for check in &checks {
        let level = if check.level == "fail" { "FAIL" } else { check.level };
        output.line(format!("  {level} {}: {}", check.name, check.message));
    }
    output.value(&json!({ "ok": ok, "checks": checks }));
    Ok(u8::from(!ok))
}
