//! The answer that a router sends unchanged: status, headers, and a body of `synapsor.app-handler-receipt.v1`.
//!
//! A 2xx answer is terminal, and what it says was stored before it is sent. Anything else stored nothing.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::{Code, Error};
use crate::guard::{Outcome, ReceiptStatus, SourceReceipt};
use crate::primitives::{Identifier, canonical};

/// The methods that a writeback request may come with; every other is answered with [`Response::method_not_allowed`].
pub const METHODS: [&str; 3] = ["POST", "PUT", "PATCH"];

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case, each once.
    pub headers: Vec<(&'static str, String)>,
    /// The body, canonical JSON.
    pub body: String,
}

impl Response {
    /// The answer to an error: its status from the catalogue, `status: failed`, its code as `safe_error_code`.
    ///
    /// ```
    /// use signoff::handler::Response;
    /// use signoff::{Code, Error};
    /// let response = Response::error(&Error::new(Code::BodyTooLarge).with("limit", 1_048_576));
    /// assert_eq!(response.status, 413);
    /// assert!(response.body.contains(r#""safe_error_code":"BODY_TOO_LARGE""#));
    /// ```
    #[must_use]
    pub fn error(error: &Error) -> Self {
        let info = error.code().info();
        let mut details = Map::new();
        details.insert("message".to_owned(), error.message().into());
        details.insert("retryable".to_owned(), error.retryable().into());
        details.extend(error.help().map(|help| ("help".to_owned(), help.into())));
        // Whole: a message cuts long fields.
        details.extend(error.field("ddl").map(|ddl| ("ddl".to_owned(), ddl.into())));
        let body = json!({ "status": "failed", "rows_affected": 0, "source_database_mutated": false,
            "safe_error_code": info.code, "details": details });
        let mut response = Self::json(info.http, &body);
        // What another try a moment later is likely to get past.
        if error.retryable() && matches!(info.http, 409 | 503) {
            response.headers.push(("retry-after", "1".to_owned()));
        }
        if info.http == 401 {
            // RFC 9110, section 11.6.1: a 401 names a challenge.
            let challenge = if error.code() == Code::Unauthorized { "Bearer" } else { "Signature" };
            response.headers.push(("www-authenticate", challenge.to_owned()));
        }
        response
    }

    /// The answer to any other method than those of [`METHODS`].
    #[must_use]
    pub fn method_not_allowed() -> Self {
        let mut response = Self::error(&Code::MethodNotAllowed.into());
        response.headers.push(("allow", METHODS.join(", ")));
        response
    }

    /// The answer to `GET /healthz`: the process is there. It asks no database.
    #[must_use]
    pub fn health() -> Self {
        Self::json(200, &json!({ "ok": true }))
    }

    /// How a guard ended.
    pub(super) fn outcome(outcome: &Outcome, dry_run: bool) -> Self {
        match outcome {
            Outcome::Applied(receipt) => Self::receipt("applied", receipt, false),
            Outcome::Conflict(receipt) => Self::receipt("conflict", receipt, dry_run),
            Outcome::Refused(receipt) | Outcome::Tombstoned(receipt) => Self::receipt("failed", receipt, dry_run),
            Outcome::Stored(receipt) => {
                let status = match receipt.status {
                    ReceiptStatus::Applied => "already_applied",
                    ReceiptStatus::Conflict => "conflict",
                    ReceiptStatus::Failed | ReceiptStatus::Canceled => "failed",
                };
                let mut response = Self::receipt(status, receipt, dry_run);
                response.headers.push(("idempotent-replayed", "true".to_owned()));
                response
            }
            Outcome::Rehearsed(found) => Self::rehearsed(found.as_ref()),
            Outcome::Released(error) => Self::error(error),
            Outcome::Unknown => Self::error(&Code::OutcomeUnknown.into()),
        }
    }

    fn receipt(status: &str, receipt: &SourceReceipt, dry_run: bool) -> Self {
        let mut details = match &receipt.details {
            Some(Value::Object(details)) => details.clone(),
            _ => Map::new(),
        };
        details.extend(receipt.column.as_ref().map(|column| ("column".to_owned(), column.as_str().into())));
        details.extend(dry_run.then(|| ("dry_run".to_owned(), true.into())));
        let code = match (&receipt.safe_error_code, receipt.status) {
            (None, ReceiptStatus::Canceled) => Some("PROPOSAL_CANCELED"),
            (code, _) => code.as_deref(),
        };
        let mut body = json!({ "status": status, "rows_affected": receipt.rows_affected,
            "source_database_mutated": receipt.rows_affected > 0 });
        if let Value::Object(body) = &mut body {
            body.extend(receipt.previous_version.as_ref().map(|v| ("previous_version".to_owned(), v.to_json())));
            body.extend(receipt.new_version.as_ref().map(|v| ("new_version".to_owned(), v.to_json())));
            body.extend(code.map(|code| ("safe_error_code".to_owned(), code.into())));
            body.extend((!details.is_empty()).then(|| ("details".to_owned(), details.into())));
        }
        Self::json(200, &body)
    }

    fn rehearsed(found: Option<&(Code, Option<Identifier>)>) -> Self {
        let body = match found {
            None => json!({ "status": "applied", "rows_affected": 0, "source_database_mutated": false,
                "details": { "dry_run": true } }),
            Some((code, column)) => {
                let mut details = Map::from_iter([("dry_run".to_owned(), true.into())]);
                details.extend(column.as_ref().map(|column| ("column".to_owned(), column.as_str().into())));
                json!({ "status": "conflict", "rows_affected": 0, "source_database_mutated": false,
                    "safe_error_code": code.as_str(), "details": details })
            }
        };
        Self::json(200, &body)
    }

    fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("content-type", "application/json".to_owned()), ("cache-control", "no-store".to_owned())];
        // Only a number that we never store has no canonical form.
        let body = canonical(body).unwrap_or_else(|_| body.to_string());
        Self { status, headers, body }
    }
}
