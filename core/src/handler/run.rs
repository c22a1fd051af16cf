//! The guard of one request, as a loop that any language can drive: a step out, a reply in.

use std::collections::BTreeMap;

use serde::Serialize;

use super::action::Placeholders;
use super::request::Job;
use super::response::Response;
use super::result::AuthorResult;
use super::types::RememberedTypes;
use crate::error::{Code, Error, Result};
use crate::guard::{self, Failure, Guard, GuardJob, ReceiptStatus, Statement};
use crate::primitives::json::{self, Node, NodeValue};
use crate::primitives::{Digest, Identifier, Scalar};

/// What the adapter does next. As JSON: `{"step": "run", "sql": …}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Step {
    /// Open a transaction, unless one is open: then reply [`Failure::AlreadyOpen`].
    Begin {
        /// The statement that opens it.
        sql: String,
        /// Where driver or framework opens it by itself: let it, and run this first, if it is anything.
        set: Option<String>,
    },
    /// Run it; reply [`Reply::Ran`].
    Run {
        /// The SQL.
        sql: String,
        /// Its parameters, in the order of the placeholders: text or NULL.
        params: Vec<Option<String>>,
        /// True if rows are wanted, false if the number of rows changed is.
        rows: bool,
    },
    /// Call the author's function in this transaction; reply [`Reply::Author`] or [`Reply::Threw`].
    Effect {
        /// The row as it is locked: key, tenant, version and the compared columns.
        row: BTreeMap<Identifier, Scalar>,
    },
    /// Commit; reply [`Reply::Ran`].
    Commit,
    /// Roll back, and if that fails close the connection; reply [`Reply::Ran`] either way.
    Rollback,
    /// Wait, outside of a transaction; reply [`Reply::Ran`].
    Pause {
        /// So many milliseconds.
        ms: u64,
    },
    /// Send this. The transaction is closed.
    Done {
        /// The answer.
        response: Response,
    },
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// It ran.
    Ran {
        /// The rows, every output as text or NULL.
        rows: Vec<Vec<Option<String>>>,
        /// Rows changed.
        changed: u64,
    },
    /// The author's function returned.
    Author(AuthorResult),
    /// The author's function ended in any other way; what it was belongs into the application's log and nowhere else.
    Threw,
    /// It failed.
    Failed(Failure),
}

impl Reply {
    /// A reply without rows.
    #[must_use]
    pub fn done(changed: u64) -> Self {
        Self::Ran { rows: Vec::new(), changed }
    }

    /// Reads a reply from JSON text, one of:
    /// - `{"rows": [["7", null]], "changed": 1}`; either may be left out,
    /// - `{"author": …}` as [`AuthorResult::parse`] has it,
    /// - `{"threw": true}`,
    /// - `{"failed": {"sqlstate": "40001", "severity"?: "ERROR"}}`, `{"failed": {"sqlite": 517, "message"?: "…"}}`,
    ///   `{"failed": "already_open"}`, or `{"failed": "lost"}` for a connection that is gone.
    ///
    /// # Errors
    /// `HANDLER_RESULT_INVALID`. If it was the author's result: log it, and reply that it threw.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || super::result::wrong("it is not a reply");
        let document = json::parse(text).map_err(|_| wrong())?;
        let entries = document.as_object().ok_or_else(wrong)?;
        if let [(name, node)] = entries {
            match name.as_str() {
                "author" => return AuthorResult::of(node).map(Self::Author),
                "threw" if node.value == NodeValue::Bool(true) => return Ok(Self::Threw),
                "failed" => return failure(node).map(Self::Failed).ok_or_else(wrong),
                _ => {}
            }
        }
        if entries.iter().any(|(key, _)| key != "rows" && key != "changed") {
            return Err(wrong());
        }
        let rows = match document.get("rows") {
            None => Vec::new(),
            Some(rows) => rows.as_array().and_then(|rows| rows.iter().map(row).collect()).ok_or_else(wrong)?,
        };
        let changed = match document.get("changed").map(|node| &node.value) {
            None => 0,
            Some(NodeValue::Number(text)) => text.parse().map_err(|_| wrong())?,
            Some(_) => return Err(wrong()),
        };
        Ok(Self::Ran { rows, changed })
    }
}

fn row(node: &Node) -> Option<Vec<Option<String>>> {
    let cell = |node: &Node| match &node.value {
        NodeValue::Null => Some(None),
        NodeValue::String(text) => Some(Some(text.clone())),
        _ => None,
    };
    node.as_array()?.iter().map(cell).collect()
}

fn failure(node: &Node) -> Option<Failure> {
    match node.as_str() {
        Some("already_open") => return Some(Failure::AlreadyOpen),
        Some("lost") => return Some(Failure::Lost),
        Some(_) => return None,
        None => {}
    }
    let text = |key| node.get(key).and_then(Node::as_str);
    match (text("sqlstate"), node.get("sqlite").map(|code| &code.value)) {
        (Some(state), None) => Some(Failure::from_sqlstate(state, text("severity"))),
        (None, Some(NodeValue::Number(code))) => {
            Some(Failure::from_sqlite(code.parse().ok()?, text("message").unwrap_or_default()))
        }
        _ => None,
    }
}

/// The guard of one request. Its [`step`](Self::step) is what is waited for; [`next`](Self::next) takes the reply to it.
#[derive(Debug)]
pub struct HandlerGuard {
    guard: Guard,
    job: Job,
    placeholders: Placeholders,
    step: Step,
    fault: Option<Error>,
    types: RememberedTypes,
}

impl HandlerGuard {
    pub(super) fn start(
        job: Job,
        guarded: GuardJob,
        placeholders: Placeholders,
        types: RememberedTypes,
    ) -> Result<Self> {
        let (guard, first) = Guard::start(guarded, None)?;
        let mut started = Self { guard, job, placeholders, step: Step::Rollback, fault: None, types };
        started.step = started.translated(first);
        Ok(started)
    }

    /// The request.
    #[must_use]
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// What makes the request this change and no other: `sha256:` and hex over its tenant, action, target, object, patch,
    /// allow-list, expected version and proposal hash.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        self.guard.fingerprint()
    }

    /// The step that is waited for.
    #[must_use]
    pub fn step(&self) -> &Step {
        &self.step
    }

    /// What went wrong, for the application's own log, once it is over and if it did.
    #[must_use]
    pub fn fault(&self) -> Option<&Error> {
        self.fault.as_ref()
    }

    /// The next step after this reply. After [`Step::Done`] it stays that.
    pub fn next(&mut self, reply: Reply) -> &Step {
        if !matches!(self.step, Step::Done { .. }) {
            let reply = self.understood(reply);
            let step = self.guard.next(reply);
            self.step = self.translated(step);
        }
        &self.step
    }

    fn understood(&mut self, reply: Reply) -> guard::Reply {
        match reply {
            Reply::Ran { rows, changed } => guard::Reply::Ran { rows, changed },
            Reply::Failed(failure) => guard::Reply::Failed(failure),
            Reply::Threw => guard::Reply::Threw,
            Reply::Author(result) => {
                if let Err(error) = result.check() {
                    self.fault = Some(error);
                    return guard::Reply::Threw;
                }
                let details = result.details();
                match result {
                    AuthorResult::Applied(applied) => guard::Reply::Effect {
                        rows_affected: applied.rows_affected,
                        new_version: applied.new_version,
                        details,
                    },
                    AuthorResult::Conflict { code, .. } => {
                        guard::Reply::Declined { status: ReceiptStatus::Conflict, code, details }
                    }
                    AuthorResult::Refused { code, .. } => {
                        guard::Reply::Declined { status: ReceiptStatus::Failed, code, details }
                    }
                }
            }
        }
    }

    fn translated(&mut self, step: guard::Step) -> Step {
        match step {
            guard::Step::Begin(statement) => Step::Begin {
                set: statement
                    .sql
                    .strip_prefix("BEGIN ISOLATION")
                    .map(|level| format!("SET TRANSACTION ISOLATION{level}")),
                sql: statement.sql,
            },
            guard::Step::Run(statement) => {
                let rows = statement.returns_rows();
                let Statement { sql, params } = self.placeholders.render(statement);
                Step::Run { rows, sql, params }
            }
            guard::Step::Effect => {
                let (proven, refused) = self.guard.together();
                self.types.found(&self.guard.job().types, proven, refused);
                Step::Effect { row: self.guard.locked().clone() }
            }
            guard::Step::Commit => Step::Commit,
            guard::Step::Rollback => Step::Rollback,
            guard::Step::Pause(duration) => Step::Pause { ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX) },
            guard::Step::Done(outcome) => {
                let outcome = match outcome {
                    guard::Outcome::Released(error) => {
                        let error = error.with("source", "application");
                        self.fault.get_or_insert_with(|| error.clone());
                        guard::Outcome::Released(error)
                    }
                    guard::Outcome::Unknown => {
                        let unknown = Error::new(Code::OutcomeUnknown).with("proposal", &self.job.proposal_id);
                        let cause = "COMMIT was sent and not answered; the same request finds out";
                        guard::Outcome::Released(self.fault.get_or_insert(unknown.with("cause", cause)).clone())
                    }
                    other => other,
                };
                Step::Done { response: Response::outcome(&outcome, self.job.dry_run) }
            }
        }
    }
}

impl Placeholders {
    /// The statement with placeholders as the driver writes them. Text of ours has `$` and `?` nowhere else.
    fn render(self, statement: Statement) -> Statement {
        let mark = match self {
            Self::Native => return statement,
            Self::Format => "%s",
            Self::Question => "?",
        };
        let sql = if self == Self::Format { statement.sql.replace('%', "%%") } else { statement.sql };
        let mut out = String::with_capacity(sql.len());
        let mut params = Vec::with_capacity(statement.params.len());
        let mut rest = sql.as_str();
        while let Some((before, after)) = rest.split_once(['$', '?']) {
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = after.split_at_checked(digits).unwrap_or((after, ""));
            let index = number.parse::<usize>().unwrap_or_default();
            out.push_str(before);
            out.push_str(mark);
            params.push(statement.params.get(index.wrapping_sub(1)).cloned().flatten());
            rest = tail;
        }
        out.push_str(rest);
        Statement { sql: out, params }
    }
}
