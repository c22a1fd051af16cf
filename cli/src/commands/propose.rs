use std::io::Read;

use serde_json::{Map, Value};
use signoff::catalogue::ResultFormat;

use signoff::contract::{ArgumentType, Capability};
use signoff::error::printable;
use signoff::runtime::Caller;
use signoff::{Code, Error, Result};

use super::shown;
use crate::args::{Global, Propose};
use crate::output::Output;
use crate::setup::{Ledger, Need, read_input, runtime};

pub async fn run(global: &Global, propose: &Propose, output: &mut Output) -> Result<u8> {
    let runtime = runtime(global, Need::Contract, Ledger::Create, output)?;
    let arguments = arguments(&runtime, propose)?;
    let answer = runtime.propose(&propose.capability, &arguments, &Caller::Operator).await?;
    let format = runtime.contract().map_or(2, |contract| contract.result_format);
    output.value(&answer.envelope(ResultFormat::from_number(format)).body);
    let set = &answer.change_set;
    let verb = if answer.existing { "Found the same open proposal" } else { "Created proposal" };
    output.line(format!(
        "{verb} {} for {} {}",
        set.proposal_id,
        set.scope.business_object,
        printable(&set.scope.object_id)
    ));
    output.line(format!("  state {}, hash {}", answer.state, set.integrity.proposal_hash));
    if let Some(superseded) = &answer.superseded {
        output.line(format!("  in place of {superseded}, which was made before the row moved"));
    }
    shown::diff(set, output);
    output.line("Source DB changed: no");
    output.line(format!("Next: signoff proposals show {}", set.proposal_id));
    Ok(0)
}

fn arguments(runtime: &signoff::Runtime, propose: &Propose) -> Result<String> {
    if let Some(text) = &propose.json {
        return Ok(text.clone());
    }
    match propose.input.as_deref() {
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(|error| {
                Error::new(Code::FileUnreadable).with("path", "standard input").with("reason", error.kind())
            })?;
            Ok(text)
        }
        Some(path) => read_input(std::path::Path::new(path)),
        None if propose.sample => {
            let capability = runtime.contract().and_then(|contract| contract.capability(&propose.capability));
            let capability = capability
                .ok_or_else(|| Error::new(Code::CapabilityNotFound).with("capability", &propose.capability))?;
            Ok(sample(capability).to_string())
        }
        None => {
            let usage = Error::new(Code::Usage).with("problem", "propose needs arguments");
            Err(usage.with("hint", "add --json '{…}', --input FILE or --sample"))
        }
    }
}

/// Made-up arguments: the first allowed value, else the minimum, else a placeholder; the demo's ids for its tables.
pub fn sample(capability: &Capability) -> Value {
    let mut arguments = Map::new();
    for argument in &capability.args {
        let first = argument.allowed.as_ref().and_then(|allowed| allowed.first()).or(argument.minimum.as_ref());
        let value = match (first, argument.kind) {
            (Some(value), _) => value.to_json(),
            (None, ArgumentType::Number) => Value::from(1),
            (None, ArgumentType::Boolean) => Value::from(true),
            (None, _) if argument.name == "invoice_id" => Value::from("INV-3001"),
            (None, _) => Value::from(format!("sample {}", argument.name)),
        };
        arguments.insert(argument.name.clone(), value);
    }
    Value::Object(arguments)
}
