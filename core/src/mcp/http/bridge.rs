//! Plain JSON-RPC for clients that do not speak MCP: three methods, no handshake. Each call is said again as MCP says it, and
//! goes the way of every other message.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::message::Unread;
use crate::error::{Code, Error};
use crate::primitives::json as strict;

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    method: Option<Value>,
    #[serde(default, borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Params<'a> {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    uri: Option<String>,
    #[serde(default, borrow)]
    arguments: Option<&'a RawValue>,
    /// As older clients write it.
    #[serde(default, borrow)]
    args: Option<&'a RawValue>,
}

/// The same call as a message of MCP.
pub(super) fn said_again(bytes: &[u8]) -> Result<Bytes, Unread> {
    let not_json = || Unread::new(None, -32700, "a request is strict JSON");
    let text = std::str::from_utf8(bytes).map_err(|_| not_json())?;
    let root = strict::parse(text).map_err(|_| not_json())?;
    let invalid = |id, message| Unread::new(id, -32600, message);
    // A list would do for a struct, by position.
    if root.as_object().is_none() {
        return Err(invalid(None, "a request is a JSON object"));
    }
    let call: Call<'_> = serde_json::from_str(text).map_err(|_| invalid(None, "a request is a JSON object"))?;
    let id = match call.id {
        None => return Err(invalid(None, "a request has an id")),
        Some(id @ (Value::String(_) | Value::Number(_))) => id,
        Some(_) => return Err(invalid(None, "an id is a string or a number")),
    };
    let coded = |number, code: Code| {
        let error = Error::new(code);
        Unread::coded(Some(id.clone()), number, &error)
    };
    let Some(method) = call.method.as_ref().and_then(Value::as_str) else {
        return Err(invalid(Some(id), "a request has a method"));
    };
    let given = call.params.map(|params| match params.get().starts_with('{') {
        true => serde_json::from_str::<Params<'_>>(params.get()).map_err(drop),
        false => Err(()),
    });
    let given = given.transpose().map_err(|_| Unread::new(Some(id.clone()), -32602, "the parameters do not fit"))?;
    let given = given.unwrap_or_default();
    let mut params: Map<String, Value> = Map::new();
    let mut arguments = None;
    match method {
        "tools/list" => {}
        "tools/call" => {
            let name = given.name.ok_or_else(|| coded(-32602, Code::HttpToolNameRequired))?;
            params.insert("name".to_owned(), name.into());
            arguments = given.arguments.or(given.args);
        }
        "resources/read" => {
            let uri = given.uri.ok_or_else(|| coded(-32602, Code::HttpResourceUriRequired))?;
            params.insert("uri".to_owned(), uri.into());
        }
        _ => return Err(coded(-32601, Code::HttpJsonrpcMethodUnsupported)),
    }
    // The arguments stay as they were written: no number in them passes through a float.
    let params = Value::Object(params).to_string();
    let params = match arguments {
        Some(arguments) => {
            format!("{},\"arguments\":{}}}", params.strip_suffix('}').unwrap_or(&params), arguments.get())
        }
        None => params,
    };
    Ok(format!(r#"{{"jsonrpc":"2.0","id":{},"method":{},"params":{params}}}"#, id, json!(method)).into())
}
