//! Steps, replies and outcomes as JSON, for whoever drives the guard from another language or plays a transcript:
//! `{"step": "run", "sql": …, "params": […]}`; `{"rows": […], "changed": 1}`, `{"effect": …}`, `{"declined": …}`,
//! `{"threw": true}`, `{"failed": "busy"}`; `{"kind": "applied", "receipt": …}`.

use std::collections::BTreeMap;

use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::machine::{Failure, Outcome, Reply, Step};
use super::receipt::{ReceiptStatus, SourceReceipt};
use super::statements::Statement;
use crate::error::{Code, Error};
use crate::primitives::{Identifier, Scalar};

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut run = |name: &str, statement: &Statement| {
            map.serialize_entry("step", name)?;
            map.serialize_entry("sql", &statement.sql)?;
            if statement.params.is_empty() { Ok(()) } else { map.serialize_entry("params", &statement.params) }
        };
        match self {
            Self::Begin(statement) => run("begin", statement)?,
            Self::Run(statement) => run("run", statement)?,
            Self::Effect => map.serialize_entry("step", "effect")?,
            Self::Commit => map.serialize_entry("step", "commit")?,
            Self::Rollback => map.serialize_entry("step", "rollback")?,
            Self::Pause(duration) => {
                map.serialize_entry("step", "pause")?;
                map.serialize_entry("ms", &duration.as_millis())?;
            }
            Self::Done(outcome) => {
                map.serialize_entry("step", "done")?;
                map.serialize_entry("outcome", outcome)?;
            }
        }
        map.end()
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut with = |kind: &str, receipt: &SourceReceipt| {
            map.serialize_entry("kind", kind)?;
            map.serialize_entry("receipt", receipt)
        };
        match self {
            Self::Applied(receipt) => with("applied", receipt)?,
            Self::Conflict(receipt) => with("conflict", receipt)?,
            Self::Refused(receipt) => with("refused", receipt)?,
            Self::Tombstoned(receipt) => with("tombstoned", receipt)?,
            Self::Stored(receipt) => with("stored", receipt)?,
            Self::Rehearsed(found) => {
                map.serialize_entry("kind", "rehearsed")?;
                map.serialize_entry("conflict", &found.as_ref().map(|(code, column)| Found { code: *code, column }))?;
            }
            Self::Released(error) => released(error, &mut map)?,
            Self::Unknown => map.serialize_entry("kind", "unknown")?,
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Found<'a> {
    code: Code,
    column: &'a Option<Identifier>,
}

/// Without the message: its text may change, and a program needs none.
fn released<M: SerializeMap>(error: &Error, map: &mut M) -> Result<(), M::Error> {
    map.serialize_entry("kind", "released")?;
    map.serialize_entry("code", &error.code())?;
    map.serialize_entry("retryable", &error.retryable())?;
    map.serialize_entry("context", &error.context().collect::<BTreeMap<_, _>>())
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum ReplyForm {
    Ran { rows: Vec<Vec<Option<String>>>, changed: u64 },
    Effect { effect: EffectForm },
    Declined { declined: DeclinedForm },
    Threw { threw: bool },
    Failed { failed: Failure },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EffectForm {
    rows_affected: u64,
    #[serde(default)]
    new_version: Option<Scalar>,
    #[serde(default)]
    details: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeclinedForm {
    status: ReceiptStatus,
    code: String,
    #[serde(default)]
    details: Option<Value>,
}

impl<'de> Deserialize<'de> for Reply {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match ReplyForm::deserialize(deserializer)? {
            ReplyForm::Ran { rows, changed } => Self::Ran { rows, changed },
            ReplyForm::Effect { effect: EffectForm { rows_affected, new_version, details } } => {
                Self::Effect { rows_affected, new_version, details }
            }
            ReplyForm::Declined { declined: DeclinedForm { status, code, details } } => {
                Self::Declined { status, code, details }
            }
            ReplyForm::Threw { threw: true } => Self::Threw,
            ReplyForm::Threw { .. } => return Err(serde::de::Error::custom("threw is true or absent")),
            ReplyForm::Failed { failed } => Self::Failed(failed),
        })
    }
}
