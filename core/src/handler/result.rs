//! What an author's function returns, as far as it is remembered.

use serde_json::{Map, Value};

use crate::error::{Code, Error, Result};
use crate::primitives::json::{self, Node, NodeValue};
use crate::primitives::{MAX_SAFE_INTEGER, Scalar, canonical};

/// How long the details of a receipt may be, in bytes of canonical JSON.
const LONGEST_DETAILS: usize = 65_536;
/// Members of `details` that the receipt fills itself.
const RESERVED: [&str; 3] = ["dry_run", "effects", "column"];

/// What an author's function decided.
///
/// ```
/// use signoff::handler::AuthorResult;
/// let applied = AuthorResult::parse(r#"{"status":"applied","rows_affected":2,"effects":[{"kind":"db.insert"}]}"#)?;
/// assert_eq!(applied, AuthorResult::Applied(signoff::handler::Applied {
///     rows_affected: 2,
///     effects: vec![serde_json::json!({"kind": "db.insert"})],
///     ..Default::default()
/// }));
/// for wrong in ["1.9", "-1", "9007199254740993", "\"5\"", "NaN"] {
///     let text = format!(r#"{{"status":"applied","rows_affected":{wrong}}}"#);
///     assert_eq!(AuthorResult::parse(&text).unwrap_err().code().as_str(), "HANDLER_RESULT_INVALID");
/// }
/// # Ok::<(), signoff::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum AuthorResult {
    /// It wrote; commit that with the receipt.
    Applied(Applied),
    /// The change no longer fits, for a reason that only the author knows. What was written is rolled back, and this is
    /// the change's terminal answer.
    Conflict {
        /// `[A-Z][A-Z0-9_]*`, at most 64 characters; it says nothing about the data.
        code: String,
        /// What shall be remembered besides.
        details: Map<String, Value>,
    },
    /// The change is refused for good; otherwise as for a conflict.
    Refused {
        /// As for a conflict.
        code: String,
        /// What shall be remembered besides.
        details: Map<String, Value>,
    },
}

/// What an author's function wrote.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Applied {
    /// Rows written, 0 to 2^53−1.
    pub rows_affected: u64,
    /// The version that the row has now, if the author knows it.
    pub new_version: Option<Scalar>,
    /// What was done, in the author's words; `details.effects` of the receipt.
    pub effects: Vec<Value>,
    /// What shall be remembered besides; without `effects`, `dry_run` and `column`, which the receipt fills itself.
    pub details: Map<String, Value>,
}

impl AuthorResult {
    /// Rows were written, and that is all there is to say.
    #[must_use]
    pub fn applied(rows_affected: u64) -> Self {
        Self::Applied(Applied { rows_affected, ..Applied::default() })
    }

    /// The change no longer fits, with nothing more to say.
    #[must_use]
    pub fn conflict(code: impl Into<String>) -> Self {
        Self::Conflict { code: code.into(), details: Map::new() }
    }

    /// The change is refused for good, with nothing more to say.
    #[must_use]
    pub fn refused(code: impl Into<String>) -> Self {
        Self::Refused { code: code.into(), details: Map::new() }
    }

    /// Reads what a function in another language returned, as JSON text:
    /// `{"status": "applied", "rows_affected": 2, "new_version"?, "effects"?: [], "details"?: {}}`, or
    /// `{"status": "conflict" | "refused", "code": "ROW_LOCKED_BY_AUDIT", "details"?: {}}`.
    ///
    /// # Errors
    /// `HANDLER_RESULT_INVALID`, also for an integer beyond ±(2^53−1), which a language with floats for numbers has already
    /// rounded: send it as a string.
    pub fn parse(text: &str) -> Result<Self> {
        let document = json::parse(text).map_err(|_| wrong("it is not JSON"))?;
        Self::of(&document)
    }

    pub(super) fn of(document: &Node) -> Result<Self> {
        let result = Self::read(document)?;
        result.check()?;
        Ok(result)
    }

    fn read(document: &Node) -> Result<Self> {
        let entries = document.as_object().ok_or_else(|| wrong("it is not an object"))?;
        let member = |key: &str| document.get(key).filter(|node| node.value != NodeValue::Null);
        let only = |known: &[&str]| match entries.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            Some((key, _)) => Err(wrong(format!("`{key}` is not a member"))),
            None => Ok(()),
        };
        exact(document)?;
        let details = match member("details").map(Node::to_value) {
            None => Map::new(),
            Some(Value::Object(details)) => details,
            Some(_) => return Err(wrong("details is not an object")),
        };
        let code = || {
            let code = member("code").and_then(Node::as_str);
            code.map(str::to_owned).ok_or_else(|| wrong("code is not a text"))
        };
        match member("status").and_then(Node::as_str) {
            Some("applied") => {
                only(&["status", "rows_affected", "new_version", "effects", "details"])?;
                let effects = match member("effects").map(Node::to_value) {
                    None => Vec::new(),
                    Some(Value::Array(effects)) => effects,
                    Some(_) => return Err(wrong("effects is not a list")),
                };
                let version = |node: &Node| node.scalar().ok_or_else(|| wrong("new_version is not one value"));
                Ok(Self::Applied(Applied {
                    rows_affected: count(member("rows_affected"))?,
                    new_version: member("new_version").map(version).transpose()?,
                    effects,
                    details,
                }))
            }
            Some(status @ ("conflict" | "refused")) => {
                only(&["status", "code", "details"])?;
                let code = code()?;
                Ok(if status == "conflict" {
                    Self::Conflict { code, details }
                } else {
                    Self::Refused { code, details }
                })
            }
            _ => Err(wrong("status is not applied, conflict or refused")),
        }
    }

    /// What the types cannot say.
    pub(super) fn check(&self) -> Result<()> {
        let (code, details) = match self {
            Self::Applied(applied) => {
                if applied.rows_affected > MAX_SAFE_INTEGER {
                    return Err(wrong("rows_affected is beyond 2^53−1"));
                }
                (None, &applied.details)
            }
            Self::Conflict { code, details } | Self::Refused { code, details } => (Some(code), details),
        };
        if code.is_some_and(|code| !is_code(code)) {
            return Err(wrong("code is not [A-Z][A-Z0-9_]*, at most 64 characters"));
        }
        if let Some(key) = RESERVED.into_iter().find(|key| details.contains_key(*key)) {
            return Err(wrong(format!("details.{key} is the receipt's own")));
        }
        let text = self.details().map(|details| canonical(&details)).transpose();
        match text.map_err(|_| wrong("a number in it is not exact; write it as a string"))? {
            Some(text) if text.len() > LONGEST_DETAILS => Err(wrong("details are longer than 64 KiB")),
            _ => Ok(()),
        }
    }

    /// `details` of the receipt.
    pub(super) fn details(&self) -> Option<Value> {
        let mut details = match self {
            Self::Applied(applied) => applied.details.clone(),
            Self::Conflict { details, .. } | Self::Refused { details, .. } => details.clone(),
        };
        if let Self::Applied(applied) = self
            && !applied.effects.is_empty()
        {
            details.insert("effects".to_owned(), Value::Array(applied.effects.clone()));
        }
        (!details.is_empty()).then_some(Value::Object(details))
    }
}

fn count(node: Option<&Node>) -> Result<u64> {
    match node.map(|node| &node.value) {
        Some(NodeValue::Number(text)) => text.parse().ok().filter(|count| *count <= MAX_SAFE_INTEGER),
        _ => None,
    }
    .ok_or_else(|| wrong("rows_affected is not a whole number from 0 to 2^53−1"))
}

/// A code of an author's: plain, and never mistaken for anything else.
fn is_code(code: &str) -> bool {
    let mut bytes = code.bytes();
    code.len() <= 64
        && bytes.next().is_some_and(|b| b.is_ascii_uppercase())
        && bytes.all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// Refuses integers that a language with floats for numbers would have rounded before we saw them.
fn exact(node: &Node) -> Result<()> {
    match &node.value {
        NodeValue::Object(entries) => entries.iter().try_for_each(|(_, node)| exact(node)),
        NodeValue::Array(items) => items.iter().try_for_each(exact),
        NodeValue::Number(text) if node.scalar().is_some_and(|scalar| scalar.to_json().is_string()) => {
            let fraction = text.contains('.') && text.parse::<f64>().is_ok_and(f64::is_finite);
            if fraction { Ok(()) } else { Err(wrong("a number in it is not exact; write it as a string")) }
        }
        _ => Ok(()),
    }
}

pub(super) fn wrong(problem: impl Into<String>) -> Error {
    Error::new(Code::HandlerResultInvalid).with("problem", problem.into())
}
