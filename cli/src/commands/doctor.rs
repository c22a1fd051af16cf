use serde_json::json;
use signoff::Result;
use signoff::runtime::{Environment, check_handlers, load_contract};

use crate::args::Global;
use crate::output::Output;
use crate::setup;

/// Looks at what only a running application can tell.
pub async fn run(global: &Global, output: &mut Output) -> Result<u8> {
    let path = setup::config_path(global)?.ok_or_else(setup::no_config)?;
    let (contract, _) = load_contract(&path)?;
    let checks = check_handlers(&contract, &Environment::system()).await;
    let ok = checks.iter().all(|check| check.level != "fail");
    if checks.is_empty() {
        output.line("no handlers: every change of this contract is one UPDATE of our own");
    }
    for check in &checks {
        let level = if check.level == "fail" { "FAIL" } else { check.level };
        output.line(format!("  {level} {}: {}", check.name, check.message));
    }
    output.value(&json!({ "ok": ok, "checks": checks }));
    Ok(u8::from(!ok))
}
