//! The handler of an application, and the guard of one request, as objects that the TypeScript half drives.

use napi::bindgen_prelude::{Either, Result};
use napi_derive::napi;
use signoff::Code;
use signoff::guard::{Dialect, ReceiptTable};
use signoff::handler::{self, HandlerConfig, HandlerGuard, Received, Reply, Response};

use crate::signature::{Flat, lines};
use crate::{instant, json, thrown};

/// An application's handler.
#[napi]
pub struct Handler(handler::Handler);

#[napi]
impl Handler {
    /// Sets one up from the JSON of a `HandlerConfig`.
    #[napi(constructor, catch_unwind)]
    pub fn new(config: String) -> Result<Self, String> {
        HandlerConfig::from_json(&config).and_then(handler::Handler::new).map(Self).map_err(|error| thrown(&error))
    }

    /// What the operator should know at the start.
    #[napi(catch_unwind)]
    pub fn warnings(&self) -> Vec<String> {
        self.0.warnings().to_vec()
    }

    /// The SQL that makes the receipts table.
    #[napi(catch_unwind)]
    pub fn receipts_ddl(&self) -> Vec<String> {
        self.0.receipts_ddl()
    }

    /// Takes a request in: the JSON of the response to send, or a guard to drive.
    #[napi(catch_unwind)]
    pub fn receive(&self, body: &[u8], headers: Flat, now: f64) -> Result<Either<String, Guard>, String> {
        Ok(match self.0.receive(body, lines(&headers), instant(now)?) {
            Received::Run(guard) => Either::B(Guard(guard)),
            Received::Respond(response) => Either::A(json(&response)?),
            _ => return Err(thrown(&Code::Internal.into())),
        })
    }
}

/// The guard of one request.
#[napi]
pub struct Guard(Box<HandlerGuard>);

#[napi]
impl Guard {
    /// The request, as JSON.
    #[napi(catch_unwind)]
    pub fn job(&self) -> Result<String, String> {
        json(self.0.job())
    }

    /// The step that is waited for, as JSON.
    #[napi(catch_unwind)]
    pub fn step(&self) -> Result<String, String> {
        json(self.0.step())
    }

    /// The next step after this reply, both as JSON. A reply that cannot be read is thrown, and nothing has happened.
    #[napi(catch_unwind)]
    pub fn next(&mut self, reply: String) -> Result<String, String> {
        let reply = Reply::parse(&reply).map_err(|error| thrown(&error))?;
        json(self.0.next(reply))
    }

    /// What went wrong, for the application's log, once it is over and if it did.
    #[napi(catch_unwind)]
    pub fn fault(&self) -> Result<Option<String>, String> {
        self.0.fault().map(json).transpose()
    }
}

/// The SQL that makes a receipts table, and what a role needs to use it.
#[napi(catch_unwind)]
pub fn receipts_ddl(dialect: String, table: Option<String>, role: Option<String>) -> Result<Vec<String>, String> {
    let dialect: Dialect = crate::named(&dialect, "unknown dialect", "it is postgres or sqlite")?;
    let table = ReceiptTable::of_handlers(dialect, table.as_deref()).map_err(|error| thrown(&error))?;
    let mut statements = dialect.receipts_ddl(&table);
    statements.extend(role.iter().flat_map(|role| dialect.receipts_grants(&table, role)));
    Ok(statements)
}

/// The answer to `GET /healthz`, as JSON.
#[napi(catch_unwind)]
pub fn health() -> Result<String, String> {
    json(&Response::health())
}

/// The answer to a method that no writeback comes with, as JSON.
#[napi(catch_unwind)]
pub fn method_not_allowed() -> Result<String, String> {
    json(&Response::method_not_allowed())
}

/// The answer to a body that is longer than [`max_body`], as JSON, for a server that stopped reading it.
#[napi(catch_unwind)]
pub fn body_too_large() -> Result<String, String> {
    json(&Response::error(&signoff::Error::new(Code::BodyTooLarge).with("limit", handler::MAX_BODY)))
}

/// The longest body that is looked at, in bytes.
#[napi]
pub const MAX_BODY: u32 = 1 << 20;
const _: () = assert!(MAX_BODY as usize == handler::MAX_BODY, "the same number, as JavaScript wants it");

/// The methods that a writeback may come with.
#[napi(catch_unwind)]
pub fn methods() -> Vec<String> {
    handler::METHODS.map(str::to_owned).to_vec()
}
