//! What a call costs without Python: reads `{"open": …, "capability": …, "count": …}` and proposes for as many invoices, one
//! after another. For `make bench-python`.

#![expect(clippy::disallowed_methods, reason = "it measures")]

use std::error::Error;
use std::io;
use std::time::Instant;

use serde_json::{Value, json};
use signoff::ffi::open_json;

/// What is not counted, as in Python.
const WARM: u64 = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let wanted: Value = serde_json::from_reader(io::stdin())?;
    let count = wanted.get("count").and_then(Value::as_u64).ok_or("count")?;
    let open = wanted.get("open").ok_or("open")?;
    let session = open_json(&open.to_string())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let propose = |n: u64| {
        let arguments = json!({ "invoice_id": format!("INV-{n}"), "reason": "we were late" }).to_string();
        let request = json!({ "call": "propose", "capability": wanted.get("capability"), "arguments": arguments });
        let answer: Value = serde_json::from_str(&runtime.block_on(session.call_json(&request.to_string())))?;
        if answer.get("ok") == Some(&Value::Bool(true)) {
            Ok(())
        } else {
            Err(Box::<dyn Error>::from(answer.to_string()))
        }
    };
    (count + 1..=count + WARM).try_for_each(propose)?;
    let begun = Instant::now();
    (1..=count).try_for_each(propose)?;
    let each = begun.elapsed().as_secs_f64() * 1e6 / u32::try_from(count).map(f64::from)?;
    io::Write::write_all(&mut io::stdout(), json!({ "microseconds": each }).to_string().as_bytes())?;
    Ok(())
}
