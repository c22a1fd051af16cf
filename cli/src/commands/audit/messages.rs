//! What is said to a server, whatever carries it. Answers are read as plain JSON: a client's typed view of a tool would drop
//! the members that a review asks for.

use serde_json::{Value, json};
use signoff::{Code, Error};

/// The version that is offered to a server that wants a handshake.
pub const HANDSHAKE: &str = "2025-11-25";
/// The version without one.
pub const STATELESS: &str = "2026-07-28";
/// So much is read of one server's answers, in bytes.
pub const LIMIT: usize = 8 << 20;
/// So many pages of tools.
const PAGES: usize = 100;

pub fn request(id: u64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

pub fn initialized() -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })
}

pub fn initialize() -> Value {
    json!({ "protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": client() })
}

/// What every request says of its client where there is no handshake.
pub fn stateless() -> Value {
    json!({ "_meta": {
        "io.modelcontextprotocol/protocolVersion": STATELESS,
        "io.modelcontextprotocol/clientInfo": client(),
        "io.modelcontextprotocol/clientCapabilities": {},
    } })
}

fn client() -> Value {
    json!({ "name": "signoff-audit", "version": env!("CARGO_PKG_VERSION") })
}

/// Why there is no list, in our words.
#[derive(Debug)]
pub enum Trouble {
    /// It may be there another time.
    Unreachable(String),
    /// It is something else than an MCP server.
    NotMcp(String),
}

impl Trouble {
    pub fn error(self, target: &str) -> Error {
        let (code, problem) = match self {
            Self::Unreachable(problem) => (Code::AuditTargetUnreachable, problem),
            Self::NotMcp(problem) => (Code::AuditAnswerInvalid, problem),
        };
        Error::new(code).with("target", target).with("problem", problem)
    }

    pub fn too_long() -> Self {
        Self::NotMcp(format!("it answered more than {LIMIT} bytes"))
    }
}

/// The answer to the request with this id, if the message is one.
pub fn answer(message: &Value, id: u64) -> Option<Result<Value, Trouble>> {
    if message.get("id").and_then(Value::as_u64) != Some(id) || message.get("method").is_some() {
        return None;
    }
    let refused =
        |code: &Value| Trouble::NotMcp(format!("it refused with the error {}", code.as_i64().unwrap_or_default()));
    Some(match (message.get("result"), message.pointer("/error/code")) {
        (Some(result), _) => Ok(result.clone()),
        (None, Some(code)) => Err(refused(code)),
        (None, None) => Err(Trouble::NotMcp("its answer is neither a result nor an error".to_owned())),
    })
}

/// The tools of every page.
#[derive(Debug, Default)]
pub struct Pages {
    tools: Vec<Value>,
    cursor: Option<String>,
    read: usize,
}

impl Pages {
    /// The parameters that ask for the next page.
    pub fn ask(&self, mut params: Value) -> Value {
        if let (Some(cursor), Some(params)) = (&self.cursor, params.as_object_mut()) {
            params.insert("cursor".to_owned(), json!(cursor));
        }
        params
    }

    /// Takes a page; true if there is another one.
    pub fn take(&mut self, mut page: Value) -> Result<bool, Trouble> {
        let Some(Value::Array(tools)) = page.get_mut("tools").map(Value::take) else {
            return Err(Trouble::NotMcp("its answer to tools/list has no tools".to_owned()));
        };
        self.tools.extend(tools);
        self.read += 1;
        let next = page.get("nextCursor").and_then(Value::as_str).map(str::to_owned);
        if next.is_some() && (self.read >= PAGES || next == self.cursor) {
            return Err(Trouble::NotMcp("its list of tools does not end".to_owned()));
        }
        self.cursor = next;
        Ok(self.cursor.is_some())
    }

    pub fn document(self) -> Value {
        json!({ "tools": self.tools })
    }
}
