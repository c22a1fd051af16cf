//! What an answer means: one table from status and body to an ending, pure. What does not fit it is an unknown outcome,
//! never a guess.
//!
//! | status | body | ending |
//! |---|---|---|
//! | 2xx | a receipt | what it says, for good |
//! | 2xx | anything else | unknown |
//! | 409, 5xx | a receipt `failed` with `IDEMPOTENCY_IN_FLIGHT` | the same key again; in the end unknown |
//! | 429 | any that claims no change | the same key again; in the end released |
//! | 503 | a receipt `failed` with a retryable code of ours | the same key again; in the end released, with `OUTCOME_UNKNOWN` unknown |
//! | 409, 5xx | a receipt `failed` that changed nothing | released, with its code |
//! | 401, 403, 404, 405 | any that claims no change | released: turned away |
//! | 400, 413, 422 | any that claims no change | failed for good, if no earlier attempt is unresolved |
//! | anything else | | unknown |
//!
//! A receipt is one JSON object: no key twice, `status` one of v1's four words, every member it knows of its own type, none
//! that says another proposal, key or job than was asked for, and nothing that contradicts the rest.

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use super::{Ended, Execution, Masks};
use crate::error::{Code, Error};
use crate::guard::{ReceiptStatus, SourceReceipt};
use crate::primitives::json::{self, Node, NodeValue};
use crate::primitives::{Scalar, canonical};

/// The longest answer that is read, in bytes.
pub(super) const MAX_ANSWER: usize = 1 << 20;

/// The longest details that are kept, in bytes of canonical JSON.
const MAX_DETAILS: usize = 1 << 16;

/// A version longer than that is none.
const MAX_VERSION: usize = 256;

/// Codes under which an effect may have landed, whatever else the receipt says.
const UNSURE: [&str; 3] = ["OUTCOME_UNKNOWN", "HANDLER_TRANSACTION_BROKEN", "TRANSACTION_LOST"];

/// Codes of a twin that is running: ours, and v1's.
const IN_FLIGHT: [&str; 2] = ["IDEMPOTENCY_IN_FLIGHT", "IDEMPOTENCY_RECEIPT_IN_PROGRESS"];

/// Members of a receipt that are read; others are kept in `details`.
const KNOWN: [&str; 11] = [
    "status",
    "rows_affected",
    "source_database_mutated",
    "previous_version",
    "new_version",
    "safe_error_code",
    "error_code",
    "details",
    "proposal_id",
    "idempotency_key",
    "writeback_job_id",
];

/// What was asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub proposal_id: &'a str,
    pub idempotency_key: &'a str,
    /// The ledger's name of the job; v1's differs in its first letters.
    pub job_id: &'a str,
    pub dry_run: bool,
    pub masks: &'a Masks,
}

/// What a receipt says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    pub status: Status,
    pub rows_affected: u64,
    pub mutated: bool,
    pub previous_version: Option<Scalar>,
    pub new_version: Option<Scalar>,
    pub code: Option<String>,
    pub details: Option<Value>,
}

/// v1's four words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Applied,
    AlreadyApplied,
    Conflict,
    Failed,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answered {
    /// For good.
    Receipt(Told),
    /// For good, as far as this attempt goes.
    Rejected(Told),
    /// The door was shut: nothing ran.
    TurnedAway(Option<String>),
    /// It failed and changed nothing.
    Released(String),
    /// The same key, later.
    Again { reason: String, unsure: bool },
    /// Nobody knows.
    Unknown(String),
}

/// Why a body is no receipt.
enum Wrong {
    /// It is none at all.
    Unreadable(&'static str),
    /// It is one that cannot be true, or not of this.
    Against(&'static str),
}

/// The table above.
pub(super) fn judge(status: u16, body: &[u8], asked: &Asked<'_>) -> Answered {
    let receipt = receipt(body, asked);
    let claims_change = match &receipt {
        Ok(told) => matches!(told.status, Status::Applied | Status::AlreadyApplied),
        Err(Wrong::Against(_)) => true,
        Err(Wrong::Unreadable(_)) => false,
    };
    let unknown = |why: &str| Answered::Unknown(format!("the answer was status {status}{why}"));
    if (200..300).contains(&status) {
        return match receipt {
            Ok(told) => terminal(told),
            Err(Wrong::Unreadable(why) | Wrong::Against(why)) => unknown(&format!(", and no receipt: {why}")),
        };
    }
    if claims_change {
        return unknown(" with a receipt that says otherwise");
    }
    let told = receipt.ok();
    let code = told.as_ref().and_then(|told| told.code.clone());
    match (status, told) {
        (401 | 403 | 404 | 405, _) => Answered::TurnedAway(code),
        (400 | 413 | 422, told) => match told.filter(|told| told.status == Status::Failed) {
            Some(told) if unsure(&told) => unknown(&with(&code)),
            Some(told) => Answered::Rejected(told),
            None => Answered::Rejected(Told::failed(format!("HANDLER_HTTP_{status}"))),
        },
        (429, told) => {
            let unsure = told.as_ref().is_some_and(|told| unsure(told) || in_flight(told));
            Answered::Again { reason: format!("status 429{}", with(&code)), unsure }
        }
        (409 | 500..=599, Some(told)) if told.status == Status::Failed => match Code::parse(told.code()) {
            _ if in_flight(&told) => Answered::Again { reason: told.code().to_owned(), unsure: true },
            Some(code) if status == 503 && code.info().retryable => {
                Answered::Again { reason: told.code().to_owned(), unsure: unsure(&told) }
            }
            _ if unsure(&told) => unknown(&with(&code)),
            _ => Answered::Released(told.code().to_owned()),
        },
        _ => unknown(""),
    }
}

/// A receipt of a 2xx answer.
fn terminal(told: Told) -> Answered {
    let failed = told.status == Status::Failed;
    if failed && in_flight(&told) {
        Answered::Again { reason: told.code().to_owned(), unsure: true }
    } else if failed && unsure(&told) {
        Answered::Unknown(format!("the application answered {}", told.code()))
    } else {
        Answered::Receipt(told)
    }
}

fn with(code: &Option<String>) -> String {
    code.as_ref().map(|code| format!(" with {code}")).unwrap_or_default()
}

fn unsure(told: &Told) -> bool {
    UNSURE.contains(&told.code())
}

fn in_flight(told: &Told) -> bool {
    IN_FLIGHT.contains(&told.code())
}

fn receipt(body: &[u8], asked: &Asked<'_>) -> Result<Told, Wrong> {
    let text = std::str::from_utf8(body).map_err(|_| Wrong::Unreadable("it is not UTF-8"))?;
    let document = json::parse(text).map_err(|error| {
        Wrong::Unreadable(match error.code() {
            Code::JsonDuplicateKey => "a key stands twice",
            Code::JsonTooDeep => "it nests too deep",
            _ => "it is not JSON",
        })
    })?;
    let members = document.as_object().ok_or(Wrong::Unreadable("it is not an object"))?;
    let status = match document.get("status").and_then(Node::as_str) {
        Some("applied") => Status::Applied,
        Some("already_applied") => Status::AlreadyApplied,
        Some("conflict") => Status::Conflict,
        Some("failed") => Status::Failed,
        _ => return Err(Wrong::Unreadable("its status is not one of the four")),
    };
    about(&document, asked)?;
    let landed = matches!(status, Status::Applied | Status::AlreadyApplied);
    let rows = match document.get("rows_affected").map(|node| &node.value) {
        None => None,
        Some(NodeValue::Number(digits)) => Some(
            digits
                .parse::<u64>()
                .ok()
                .filter(|rows| *rows < 1 << 53)
                .ok_or(Wrong::Unreadable("rows_affected is not a whole number"))?,
        ),
        Some(_) => return Err(Wrong::Unreadable("rows_affected is not a whole number")),
    };
    let mutated = match document.get("source_database_mutated").map(|node| &node.value) {
        None => None,
        Some(NodeValue::Bool(mutated)) => Some(*mutated),
        Some(_) => return Err(Wrong::Unreadable("source_database_mutated is not true or false")),
    };
    let rehearsed = document.get("details").and_then(|details| details.get("dry_run")).map(|node| &node.value)
        == Some(&NodeValue::Bool(true));
    let against = match (landed, asked.dry_run) {
        (false, _) if mutated == Some(true) || rows.is_some_and(|rows| rows > 0) => {
            Some("nothing landed, and something was changed")
        }
        (true, true) if status == Status::Applied && (mutated == Some(true) || rows.is_some_and(|rows| rows > 0)) => {
            Some("a dry run changed something")
        }
        (true, false) if rehearsed => Some("it is of a dry run"),
        (true, false) if status == Status::Applied && mutated == Some(false) && rows.is_some_and(|rows| rows > 0) => {
            Some("rows were written, and nothing was changed")
        }
        _ => None,
    };
    if let Some(why) = against {
        return Err(Wrong::Against(why));
    }
    let wrote = status == Status::Applied && !asked.dry_run;
    let rows_affected = rows.unwrap_or(u64::from(wrote && mutated != Some(false)));
    let codes = [text_of(&document, "safe_error_code")?, text_of(&document, "error_code")?];
    let mut details = details(&document, members);
    let code = codes.into_iter().flatten().next().map(|code| {
        if is_code(code) && !asked.masks.hides(code) {
            return code.to_owned();
        }
        details.insert("error_code".to_owned(), code.into());
        "HANDLER_FAILED".to_owned()
    });
    let code = code.or_else(|| (status == Status::Failed).then(|| "HANDLER_FAILED".to_owned()));
    Ok(Told {
        status,
        rows_affected,
        mutated: mutated.unwrap_or(wrote),
        previous_version: version(&document, "previous_version", asked)?,
        new_version: version(&document, "new_version", asked)?,
        code,
        details: kept(details, asked.masks),
    })
}

/// A receipt that names what it is about names this.
fn about(document: &Node, asked: &Asked<'_>) -> Result<(), Wrong> {
    let plain = |id: &str| id.strip_prefix("wbj_").or_else(|| id.strip_prefix("hwb_")).unwrap_or(id).to_owned();
    for (member, expected) in [
        ("proposal_id", asked.proposal_id),
        ("idempotency_key", asked.idempotency_key),
        ("writeback_job_id", asked.job_id),
    ] {
        let Some(said) = text_of(document, member)? else { continue };
        let same = said == expected || (member == "writeback_job_id" && plain(said) == plain(expected));
        if !same {
            return Err(Wrong::Against("it is about something else"));
        }
    }
    Ok(())
}

fn text_of<'a>(document: &'a Node, member: &str) -> Result<Option<&'a str>, Wrong> {
    match document.get(member).map(|node| &node.value) {
        None | Some(NodeValue::Null) => Ok(None),
        Some(NodeValue::String(text)) => Ok(Some(text)),
        Some(_) => Err(Wrong::Unreadable("a member that is a text is something else")),
    }
}

fn version(document: &Node, member: &str, asked: &Asked<'_>) -> Result<Option<Scalar>, Wrong> {
    let Some(node) = document.get(member) else { return Ok(None) };
    let scalar = node.scalar().ok_or(Wrong::Unreadable("a version is not a text or a number"))?;
    let Some(text) = scalar.to_text() else { return Ok(None) };
    if text.len() > MAX_VERSION {
        return Err(Wrong::Unreadable("a version is too long"));
    }
    Ok((!asked.masks.hides(&text)).then_some(scalar))
}

/// A code that can stand in a line of a log.
fn is_code(text: &str) -> bool {
    matches!(text.len(), 1..=64) && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// What the application says beside the receipt's own members.
fn details(document: &Node, members: &[(String, Node)]) -> Map<String, Value> {
    let mut details = match document.get("details").map(Node::to_value) {
        Some(Value::Object(details)) => details,
        None | Some(Value::Null) => Map::new(),
        Some(other) => Map::from_iter([("details".to_owned(), other)]),
    };
    for (key, node) in members.iter().filter(|(key, _)| !KNOWN.contains(&key.as_str())) {
        details.entry(key).or_insert_with(|| node.to_value());
    }
    details
}

fn kept(details: Map<String, Value>, masks: &Masks) -> Option<Value> {
    if details.is_empty() {
        return None;
    }
    let details = masks.value(Value::Object(details));
    let fits = canonical(&details).is_ok_and(|text| text.len() <= MAX_DETAILS);
    Some(if fits { details } else { serde_json::json!({ "omitted": format!("longer than {MAX_DETAILS} bytes") }) })
}

impl Told {
    fn failed(code: String) -> Self {
        Self {
            status: Status::Failed,
            rows_affected: 0,
            mutated: false,
            previous_version: None,
            new_version: None,
            code: Some(code),
            details: None,
        }
    }

    fn code(&self) -> &str {
        self.code.as_deref().unwrap_or_default()
    }

    fn source_receipt(self, execution: &Execution) -> SourceReceipt {
        SourceReceipt {
            status: match self.status {
                Status::Applied | Status::AlreadyApplied => ReceiptStatus::Applied,
                Status::Conflict => ReceiptStatus::Conflict,
                Status::Failed => ReceiptStatus::Failed,
            },
            proposal_id: execution.job.proposal_id.clone(),
            job_id: execution.job.writeback_job_id.clone(),
            rows_affected: self.rows_affected,
            previous_version: self.previous_version,
            new_version: self.new_version,
            safe_error_code: self.code,
            column: None,
            details: self.details,
            completed_at: execution.now,
            mutated: Some(self.mutated),
        }
    }
}

impl Answered {
    /// How the attempt ended.
    pub(super) fn ended(self, executor: &str, status: u16, execution: &Execution) -> Ended {
        let error = |code: Code, reason: String| Error::new(code).with("executor", executor).with("reason", reason);
        match self {
            Self::Receipt(told) => {
                let (status, code) = (told.status, told.code.clone());
                let receipt = told.source_receipt(execution);
                match (status, execution.purpose == crate::guard::Purpose::DryRun) {
                    (Status::Applied, true) => Ended::Rehearsed(None),
                    (Status::Conflict, true) => Ended::Rehearsed(Some((
                        code.and_then(|code| Code::parse(&code)).unwrap_or(Code::VersionConflict),
                        None,
                    ))),
                    (Status::Failed, true) => Ended::Released(error(Code::ExecutorFailed, code.unwrap_or_default())),
                    (Status::Applied, false) => Ended::Applied(receipt),
                    (Status::AlreadyApplied, _) => Ended::AlreadyApplied(receipt),
                    (Status::Conflict, false) => Ended::Conflict(receipt),
                    (Status::Failed, false) => Ended::Failed(receipt),
                }
            }
            Self::Rejected(told) if execution.unresolved => Ended::Unknown(format!(
                "an earlier attempt is unresolved, and the answer to this one was status {status} with {}",
                told.code()
            )),
            Self::Rejected(told) => Ended::Failed(told.source_receipt(execution)),
            Self::TurnedAway(code) => Ended::Released(
                error(Code::ExecutorRefused, code.unwrap_or_else(|| "it gave no code".to_owned()))
                    .with("status", status),
            ),
            Self::Released(code) => Ended::Released(error(Code::ExecutorFailed, code)),
            Self::Again { reason, unsure } => {
                Ended::Again { error: error(Code::ExecutorBusy, reason), unsure, after: None }
            }
            Self::Unknown(why) => Ended::Unknown(why),
        }
    }
}
