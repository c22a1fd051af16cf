//! The body of a writeback request, in the two shapes that senders know, read into one [`Job`].
//!
//! Runners send it flat; the published schema `synapsor.app-handler-request.v1` wraps the change in `change_set`. Members
//! that neither names are skipped at the top and refused inside what decides something. What is refused is refused here,
//! before anything has a connection.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::signature::is_key;
use crate::error::{Code, Error, Result};
use crate::primitives::json::{self, Node, NodeValue};
use crate::primitives::{Identifier, Instant, Scalar};
use crate::protocol::{ColumnValue, Columns};

const VERSION: &str = "1.0";
const SCHEMA: &str = "synapsor.handler-writeback.v1";
/// Members of a flat body that `change_set` holds in the other shape.
const FLAT_ONLY: [&str; 5] = ["action", "target", "patch", "allowed_columns", "tenant_guard"];

/// A writeback request: what one signed body asks for. Values are exact.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Job {
    /// The job's id; `hwb_<proposal_id>` if the body does not say.
    pub job_id: String,
    /// The proposal's id.
    pub proposal_id: String,
    /// The proposal's version, if the body says it.
    pub proposal_version: Option<u64>,
    /// The hash that was approved; empty in a wrapped body without one.
    pub proposal_hash: String,
    /// The key under which the effect happens once.
    pub idempotency_key: String,
    /// The action: which registered function is meant.
    pub action: String,
    /// The tenant.
    pub tenant_id: String,
    /// The tenant's column.
    pub tenant_column: Identifier,
    /// The text of the primary key's value.
    pub object_id: String,
    /// The row.
    pub target: Target,
    /// The version that was read; column `__row_hash` if the sender's whole row is its version.
    pub expected_version: ColumnValue,
    /// The columns that may be written; absent only in a wrapped body.
    pub allowed_columns: Option<Vec<Identifier>>,
    /// What shall be written.
    pub patch: Columns,
    /// What the sender read, as far as it is a value of a named column.
    pub before: Columns,
    /// Who proposed it, if the body says so.
    pub principal: Option<String>,
    /// The decision as the body tells it, if it does.
    pub approval: Option<Value>,
    /// What the proposal rests on, if the body says so.
    pub evidence: Option<Value>,
    /// Whom the request is meant for, if the body says so.
    pub audience: Option<String>,
    /// When it was issued, if the body says so.
    pub issued_at: Option<Instant>,
    /// True if nothing shall be written.
    pub dry_run: bool,
}

/// The row that a request is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Target {
    /// The schema; absent only in a wrapped body.
    pub schema: Option<Identifier>,
    /// The table.
    pub table: Identifier,
    /// The key and its value.
    pub primary_key: ColumnValue,
}

/// Reads a body. Its signature was verified before.
pub(super) fn read(body: &[u8]) -> Result<Job> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let (line, column) = (1, error.valid_up_to() + 1);
        Error::new(Code::JsonInvalid).with("line", line).with("column", column).with("problem", "not UTF-8")
    })?;
    let document = json::parse(text)?;
    let root = At { node: &document, key: "", parent: None };
    root.object()?;
    version(&root)?;
    let change = root.find("change_set");
    let job = match &change {
        None => Parts { root: &root, change: &root, wrapped: false }.job()?,
        Some(change) => {
            let wrapped = Parts { root: &root, change, wrapped: true }.job()?;
            // Both shapes in one body are one request if they ask for the same, and else two.
            if FLAT_ONLY.into_iter().any(|member| document.get(member).is_some()) {
                let flat = Parts { root: &root, change: &root, wrapped: false }.job()?;
                agree(&flat, &wrapped)?;
                let sealed = change.find("integrity").map(|seal| seal.text_if("proposal_hash")).transpose()?.flatten();
                if sealed.is_some_and(|sealed| sealed != flat.proposal_hash) {
                    return Err(bad("/proposal_hash is not the one of /change_set"));
                }
                flat
            } else {
                wrapped
            }
        }
    };
    check_patch(&job)?;
    Ok(job)
}

/// What decides something is said alike in both shapes.
fn agree(flat: &Job, wrapped: &Job) -> Result<()> {
    let told = [
        ("action", flat.action == wrapped.action),
        ("target", flat.target == wrapped.target),
        ("tenant_guard", (&flat.tenant_id, &flat.tenant_column) == (&wrapped.tenant_id, &wrapped.tenant_column)),
        ("guards/expected_version", flat.expected_version == wrapped.expected_version),
        ("allowed_columns", flat.allowed_columns == wrapped.allowed_columns),
        ("patch", flat.patch == wrapped.patch),
        ("before", flat.before == wrapped.before),
        ("principal", flat.principal == wrapped.principal),
    ];
    match told.iter().find(|(_, same)| !same) {
        Some((member, _)) => Err(bad(format!("/{member} is not the one of /change_set"))),
        None => Ok(()),
    }
}

fn version(root: &At<'_>) -> Result<()> {
    let told = [root.text_if("protocol_version")?, root.text_if("schema_version")?];
    // A wrapped body of the published schema has neither.
    if told == [None, None] && root.find("change_set").is_none() {
        return Err(Error::new(Code::UnsupportedProtocolVersion).with("version", "none"));
    }
    match told.into_iter().flatten().find(|version| version != VERSION && version != SCHEMA) {
        Some(other) => Err(Error::new(Code::UnsupportedProtocolVersion).with("version", other)),
        None => Ok(()),
    }
}

/// Not one patched column outside the allow-list, and never the key, the tenant or the version.
fn check_patch(job: &Job) -> Result<()> {
    let refused = |column: &Identifier| Err(Error::new(Code::PatchColumnNotAllowed).with("column", column));
    let guarded = [&job.target.primary_key.column, &job.tenant_column, &job.expected_version.column];
    for column in job.patch.keys().chain(job.allowed_columns.iter().flatten()) {
        let outside = job.allowed_columns.as_ref().is_some_and(|allowed| !allowed.contains(column));
        // Senders may list the version among what may be written; writing it is what they may not.
        let guard =
            guarded.contains(&column) && (column != &job.expected_version.column || job.patch.contains_key(column));
        if outside || guard {
            return refused(column);
        }
    }
    Ok(())
}

/// The two places where things stand.
struct Parts<'a> {
    root: &'a At<'a>,
    change: &'a At<'a>,
    wrapped: bool,
}

impl Parts<'_> {
    fn job(&self) -> Result<Job> {
        let (root, change) = (self.root, self.change);
        let proposal_id = root.text("proposal_id")?;
        let idempotency_key = root.text_if("idempotency_key")?.ok_or(Code::IdempotencyKeyRequired)?;
        if !is_key(&idempotency_key) {
            return Err(Code::IdempotencyKeyInvalid.into());
        }
        let target = target(&change.member("target")?, self.wrapped)?;
        let guards = change.member("guards")?;
        let tenant = self.tenant(&guards)?;
        let expected_version = guards.member("expected_version")?.column_value()?;
        if expected_version.value == Scalar::Null {
            return Err(Error::new(Code::VersionIsNull).with("column", &expected_version.column));
        }
        let (tenant_id, object_id) = (told(&tenant.value, "the tenant")?, told(&target.primary_key.value, "the key")?);
        let scope = change.find("scope");
        for (member, expected) in [("tenant_id", &tenant_id), ("object_id", &object_id)] {
            let said = scope.as_ref().and_then(|scope| scope.find(member)).map(|at| at.scalar());
            if let Some(said) = said.transpose()?
                && said.to_text().as_ref() != Some(expected)
            {
                return Err(bad(format!("scope.{member} is not the one of the guards or the target")));
            }
        }
        let sealed = change.find("integrity").map(|seal| seal.text_if("proposal_hash")).transpose()?.flatten();
        let hash = match root.text_if("proposal_hash")?.or(sealed) {
            Some(hash) => hash,
            None if self.wrapped => String::new(),
            None => return Err(bad("/proposal_hash is missing")),
        };
        let beside = |member| root.find(member).or_else(|| change.find(member)).map(|at| at.node.to_value());
        Ok(Job {
            job_id: root.text_if("writeback_job_id")?.unwrap_or_else(|| format!("hwb_{proposal_id}")),
            proposal_version: root.count_if("proposal_version")?,
            proposal_hash: hash,
            proposal_id,
            idempotency_key,
            action: change.text("action")?,
            tenant_id,
            tenant_column: tenant.column,
            object_id,
            target,
            expected_version,
            allowed_columns: self.allowed_columns(&guards)?,
            patch: patch(&change.member("patch")?)?,
            before: change.find("before").map(|before| before.columns_if()).unwrap_or_default(),
            principal: self.principal(scope.as_ref())?,
            approval: beside("approval"),
            evidence: beside("evidence"),
            audience: root.text_if("audience")?,
            issued_at: root
                .text_if("issued_at")?
                .map(|text| Instant::parse(&text))
                .transpose()
                .map_err(|_| bad("/issued_at is not an RFC 3339 instant"))?,
            dry_run: root.flag_if("dry_run")?,
        })
    }

    /// A flat body says the tenant twice: in `tenant_guard`, and among the guards of its change set.
    fn tenant(&self, guards: &At<'_>) -> Result<ColumnValue> {
        let inside = guards.find("tenant").map(|at| at.column_value()).transpose()?;
        let outside = self.root.find("tenant_guard").map(|at| at.column_value()).transpose()?;
        match (outside, inside) {
            (Some(one), Some(other)) if one != other => Err(bad("/tenant_guard is not /guards/tenant")),
            (Some(tenant), _) | (None, Some(tenant)) => Ok(tenant),
            (None, None) => Err(bad("no tenant guard")),
        }
    }

    fn allowed_columns(&self, guards: &At<'_>) -> Result<Option<Vec<Identifier>>> {
        let inside = guards.find("allowed_columns").map(|at| at.identifiers()).transpose()?;
        let outside = self.root.find("allowed_columns").map(|at| at.identifiers()).transpose()?;
        match (outside, inside) {
            (Some(one), Some(other)) if one != other => Err(bad("/allowed_columns is not /guards/allowed_columns")),
            (None, None) if !self.wrapped => Err(bad("/allowed_columns is missing")),
            (outside, inside) => Ok(outside.or(inside)),
        }
    }

    /// The schema has an object with an id; documents show a bare name, too.
    fn principal(&self, scope: Option<&At<'_>>) -> Result<Option<String>> {
        let found =
            [self.change.find("principal"), self.root.find("principal"), scope.and_then(|s| s.find("principal"))];
        let Some(principal) = found.into_iter().flatten().next() else { return Ok(None) };
        match principal.node.as_object() {
            Some(_) => principal.text_if("id"),
            None => principal.as_text().map(Some),
        }
    }
}

fn target(at: &At<'_>, wrapped: bool) -> Result<Target> {
    at.only(&["schema", "table", "primary_key"])?;
    let schema = at.find("schema").map(|schema| schema.identifier()).transpose()?;
    if schema.is_none() && !wrapped {
        return Err(at.lacks("schema"));
    }
    let table = at.member("table")?.identifier()?;
    Ok(Target { schema, table, primary_key: at.member("primary_key")?.column_value()? })
}

fn patch(at: &At<'_>) -> Result<Columns> {
    let patch = at.columns()?;
    if patch.is_empty() { Err(bad(format!("{at} is empty"))) } else { Ok(patch) }
}

/// The text of an identity: not NULL, not a truth value, not empty.
fn told(value: &Scalar, what: &str) -> Result<String> {
    match value {
        Scalar::Bool(_) => None,
        other => other.to_text().filter(|text| !text.is_empty() && !text.contains('\0')),
    }
    .ok_or_else(|| bad(format!("{what} is not a text or a number")))
}

/// True of a number that every language has: a reader that makes floats of numbers finds infinity in 1e400 and zero in
/// 1e-400, and no type of decimals has room for any exponent.
fn everywhere(number: &str) -> bool {
    let (digits, exponent) = number.split_once(['e', 'E']).unwrap_or((number, ""));
    let nothing = digits.bytes().all(|b| !matches!(b, b'1'..=b'9'));
    exponent.trim_start_matches(['+', '-']).len() <= 3
        && number.parse::<f64>().is_ok_and(|float| float.is_finite() && (float != 0.0 || nothing))
}

fn bad(problem: impl Into<String>) -> Error {
    Error::new(Code::BadWritebackRequest).with("problem", problem.into())
}

/// A node and where it stands. The way there is put into words only for a refusal.
struct At<'a> {
    node: &'a Node,
    key: &'a str,
    parent: Option<&'a At<'a>>,
}

impl<'a> At<'a> {
    /// The member, unless it is absent or null.
    fn find(&self, key: &'static str) -> Option<At<'_>> {
        let node = self.node.get(key).filter(|node| node.value != NodeValue::Null)?;
        Some(At { node, key, parent: Some(self) })
    }

    fn member(&self, key: &'static str) -> Result<At<'_>> {
        self.find(key).ok_or_else(|| self.lacks(key))
    }

    fn lacks(&self, key: &str) -> Error {
        bad(format!("{} is missing", json::pointer(&self.path(), key)))
    }

    fn path(&self) -> String {
        self.parent.map_or_else(String::new, |parent| json::pointer(&parent.path(), self.key))
    }

    fn object(&self) -> Result<&'a [(String, Node)]> {
        self.node.as_object().ok_or_else(|| bad(format!("{self} is not an object")))
    }

    fn only(&self, members: &[&str]) -> Result<()> {
        match self.object()?.iter().find(|(key, _)| !members.contains(&key.as_str())) {
            Some((key, _)) => Err(bad(format!("{} is not a member", json::pointer(&self.path(), key)))),
            None => Ok(()),
        }
    }

    fn as_text(&self) -> Result<String> {
        match self.node.as_str() {
            // Some of it is stored, and no text of Postgres holds U+0000.
            Some(text) if !text.is_empty() && !text.contains('\0') => Ok(text.to_owned()),
            _ => Err(bad(format!("{self} is not a text, or an empty one"))),
        }
    }

    fn text(&self, key: &'static str) -> Result<String> {
        self.member(key)?.as_text()
    }

    fn text_if(&self, key: &'static str) -> Result<Option<String>> {
        self.find(key).map(|at| at.as_text()).transpose()
    }

    fn count_if(&self, key: &'static str) -> Result<Option<u64>> {
        let Some(at) = self.find(key) else { return Ok(None) };
        match &at.node.value {
            NodeValue::Number(text) => text.parse().ok().filter(|count| *count > 0),
            _ => None,
        }
        .map(Some)
        .ok_or_else(|| bad(format!("{at} is not a whole number from 1")))
    }

    fn flag_if(&self, key: &'static str) -> Result<bool> {
        match self.find(key).map(|at| &at.node.value) {
            None => Ok(false),
            Some(NodeValue::Bool(flag)) => Ok(*flag),
            Some(_) => Err(bad(format!("/{key} is not true or false"))),
        }
    }

    fn identifier(&self) -> Result<Identifier> {
        Identifier::new(self.as_text()?)
    }

    fn identifiers(&self) -> Result<Vec<Identifier>> {
        let items = self.node.as_array().filter(|items| !items.is_empty());
        let items = items.ok_or_else(|| bad(format!("{self} is not a list of columns")))?;
        items
            .iter()
            .enumerate()
            .map(|(index, node)| At { node, key: &index.to_string(), parent: Some(self) }.identifier())
            .collect()
    }

    fn scalar(&self) -> Result<Scalar> {
        let not = || bad(format!("{self} is not a text, a number, true, false or null"));
        let scalar = self.node.scalar().ok_or_else(not)?;
        match &scalar {
            Scalar::Decimal(text) if !everywhere(text) => Err(Code::NumberNotExact.into()),
            _ => Ok(scalar),
        }
    }

    fn column_value(&self) -> Result<ColumnValue> {
        self.only(&["column", "value"])?;
        let node = self.node.get("value").ok_or_else(|| self.lacks("value"))?;
        let value = At { node, key: "value", parent: Some(self) }.scalar()?;
        Ok(ColumnValue { column: self.member("column")?.identifier()?, value })
    }

    fn columns(&self) -> Result<Columns> {
        let entries = self.object()?.iter();
        entries
            .map(|(key, node)| Ok((Identifier::new(key.as_str())?, At { node, key, parent: Some(self) }.scalar()?)))
            .collect()
    }

    /// The columns that can be compared; others may stand beside them, and no rule rests on those.
    fn columns_if(&self) -> Columns {
        let entries = self.node.as_object().unwrap_or_default().iter();
        let column = |(key, node): &'a (String, Node)| {
            let value = At { node, key, parent: Some(self) }.scalar().ok()?;
            Some((Identifier::new(key.as_str()).ok()?, value))
        };
        entries.filter_map(column).collect::<BTreeMap<_, _>>()
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parent {
            None => formatter.write_str("the body"),
            Some(_) => formatter.write_str(&self.path()),
        }
    }
}
