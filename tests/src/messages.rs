//! JSON-RPC messages that no client should send: good ones of MCP, changed member by member and letter by letter, and what
//! changing JSON does not reach. A seed and a number give one message, always the same one; and of each it is known how
//! it has to be answered.

use std::collections::HashMap;

use serde_json::value::RawValue;
use serde_json::{Value, json};
use signoff::primitives::json as strict;

use crate::fuzz::{Chance, mutant};

/// How a message has to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// Once, with this id.
    Answer(Value),
    /// Once, with an error: with the id if it can be found, else with null.
    Error,
    /// Not at all; or, where it is no notification or answer either, with an error without an id.
    Silence,
    /// It is no message, but an empty line.
    Nothing,
}

/// The codes with which an error may be answered, and no others.
pub const CODES: [i64; 7] = [-32700, -32600, -32601, -32602, -32020, -32021, -32022];

/// What 2026-07-28 wants with each request.
pub fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "fuzz", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

/// Good messages, of either era.
pub fn bases() -> Vec<Value> {
    let mut all = Vec::new();
    for modern in [false, true] {
        let params = |mut params: Value| {
            if modern {
                params["_meta"] = meta();
            }
            params
        };
        let call = |name: &str, arguments: Value| params(json!({ "name": name, "arguments": arguments }));
        for (method, params) in [
            ("tools/list", params(json!({}))),
            ("tools/list", params(json!({ "cursor": "x" }))),
            ("tools/call", call("billing.inspect_invoice", json!({ "invoice_id": "INV-1" }))),
            ("tools/call", call("billing.propose_late_fee_waiver", json!({ "invoice_id": "INV-2", "reason": "late" }))),
            ("tools/call", call("signoff.proposal_status", json!({ "proposal_id": "wrp_1" }))),
            ("resources/list", params(json!({}))),
            ("resources/templates/list", params(json!({}))),
            ("resources/read", params(json!({ "uri": "synapsor://proposals/wrp_1" }))),
            ("prompts/list", params(json!({}))),
            (
                "completion/complete",
                params(
                    json!({ "ref": { "type": "ref/prompt", "name": "x" }, "argument": { "name": "a", "value": "b" } }),
                ),
            ),
            ("ping", params(json!({}))),
            ("server/discover", params(json!({}))),
            ("logging/setLevel", params(json!({ "level": "info" }))),
            ("tasks/get", params(json!({ "taskId": "x" }))),
        ] {
            all.push(json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params }));
        }
        for (method, params) in [
            ("notifications/cancelled", params(json!({ "requestId": 7, "reason": "x" }))),
            ("notifications/progress", params(json!({ "progressToken": 1, "progress": 0.5 }))),
            ("notifications/roots/list_changed", params(json!({}))),
        ] {
            all.push(json!({ "jsonrpc": "2.0", "method": method, "params": params }));
        }
    }
    all.push(json!({ "jsonrpc": "2.0", "id": "a", "result": {} }));
    all.push(json!({ "jsonrpc": "2.0", "id": "a", "error": { "code": -1, "message": "x" } }));
    let hello =
        json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "f", "version": "1" } });
    all.push(json!({ "jsonrpc": "2.0", "id": 7, "method": "initialize", "params": hello }));
    all
}

/// Ids of every kind there is.
const IDS: [&str; 16] = [
    "0",
    "-1",
    "1.5",
    "1.0",
    "1e2",
    "null",
    "true",
    "{}",
    "[]",
    "\"\"",
    "\"7\"",
    "\"\\u00e9\\ud83d\\ude00\"",
    "9223372036854775807",
    "9223372036854775808",
    "1e400",
    "123456789012345678901234567890",
];

/// The message of this number, without the end of its line; its id is that number, unless chance wants another. `longest` is
/// the longest that is read.
pub fn message(chance: &mut Chance, bases: &[Value], longest: usize, index: u64) -> Vec<u8> {
    let own = |text: String| {
        let text = text.replace(['\n', '\r'], " ");
        ["\"id\":", "\"id\": "].iter().fold(text, |text, id| {
            let text = text.replace(&format!("{id}7"), &format!("{id}{index}"));
            text.replace(&format!("{id}\"a\""), &format!("{id}\"{index}\""))
        })
    };
    let text = own(mutant(chance, bases));
    let good = || own(bases[2].to_string());
    match chance.below(24) {
        0 => bases[2].to_string().replacen(":7", &format!(":{}", chance.pick(&IDS)), 1).into_bytes(),
        1 => {
            let mut bytes = text.into_bytes();
            let at = chance.below(bytes.len() + 1);
            bytes.insert(at, *chance.pick(&[0xff, 0xc0, 0x80, 0xed, 0xf8]));
            bytes
        }
        2 => good()
            .replacen("INV-1", chance.pick::<&str>(&["\\ud83d", "\\udc00x", "\\u12", "\\x", "\u{0}"]), 1)
            .into_bytes(),
        3 => {
            let member = *chance.pick(&["\"id\":-7", "\"method\":\"ping\"", "\"jsonrpc\":\"2.0\"", "\"params\":{}"]);
            good().replacen('{', &format!("{{{member},"), 1).into_bytes()
        }
        4 => {
            let depth = chance.below(200) + 1;
            let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            good().replacen("\"INV-1\"", &deep, 1).into_bytes()
        }
        5 => format!("[{text},{text}]").into_bytes(),
        6 => (*chance.pick(&["", " ", "\t ", "[]", "{}", "null", "7", "\"x\"", "\u{feff}{}", "{"])).as_bytes().to_vec(),
        7 => {
            let mut bytes = text.into_bytes();
            bytes.truncate(chance.below(bytes.len() + 1));
            bytes
        }
        // As it should be: what comes behind is reached, too.
        9..=13 => own(chance.pick(bases).to_string()).into_bytes(),
        // Few, since each is long.
        8 if chance.below(20) == 0 => {
            good().replacen("INV-1", &"x".repeat(longest - 100 + chance.below(300)), 1).into_bytes()
        }
        _ => text.into_bytes(),
    }
}

/// How this message has to be answered, read off its own text.
pub fn due(message: &[u8], longest: usize) -> Due {
    if message.len() > longest {
        return Due::Error;
    }
    if message.iter().all(u8::is_ascii_whitespace) {
        return Due::Nothing;
    }
    let Ok(text) = std::str::from_utf8(message) else { return Due::Error };
    if strict::parse(text).is_err() {
        return Due::Error;
    }
    let Ok(members) = serde_json::from_str::<HashMap<String, &RawValue>>(text) else { return Due::Error };
    let written = |name: &str| members.get(name).map(|value| value.get());
    let id = written("id").map(id);
    let method = written("method").is_some_and(|method| serde_json::from_str::<String>(method).is_ok());
    match id {
        Some(Some(id)) if method => Due::Answer(id),
        // Perhaps an answer, and not to a question of ours.
        _ if !method && (members.contains_key("result") || members.contains_key("error")) => Due::Silence,
        None if method => Due::Silence,
        _ => Due::Error,
    }
}

/// An id as the protocol has them: a text, or a whole number, however it is written.
fn id(text: &str) -> Option<Value> {
    let whole = |number: f64| (number.fract() == 0.0 && number.abs() < 9.0e15).then_some(number as i64);
    let number = text.parse::<i64>().ok().or_else(|| text.parse().ok().and_then(whole)).map(Value::from);
    number.or_else(|| serde_json::from_str::<String>(text).ok().map(Value::from))
}

/// Panics unless this is an answer that is due; says what was sent.
pub fn check(answer: &Value, due: &Due, said: &dyn Fn() -> String) {
    assert_eq!(answer["jsonrpc"], "2.0", "{answer}\n{}", said());
    let error = answer.get("error");
    assert!(error.is_some() != answer.get("result").is_some(), "one of the two: {answer}\n{}", said());
    if let Some(error) = error {
        let code = error["code"].as_i64().unwrap_or_default();
        assert!(CODES.contains(&code), "{code} is not a code of ours: {answer}\n{}", said());
        let text = answer.to_string();
        assert!(!text.contains("at line") && !text.contains("SQL"), "another's words: {answer}\n{}", said());
    }
    match due {
        Due::Answer(id) => assert_eq!(&answer["id"], id, "{answer}\n{}", said()),
        Due::Error | Due::Silence => assert!(error.is_some(), "{answer}\n{}", said()),
        Due::Nothing => panic!("nobody asked: {answer}\n{}", said()),
    }
}
