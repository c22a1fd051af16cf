//! The guard's SQL, one function a statement. Which of them runs when is the [machine](super::machine)'s to say.

use serde::{Deserialize, Serialize};

use super::job::{Effect, GuardJob};
use super::receipt::{ReceiptStatus, SourceReceipt};
use crate::error::Result;
use crate::primitives::{Digest, Identifier};

/// One SQL statement. Parameters are text, or `None` for NULL, bound by position; every output is read as text or NULL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The SQL.
    pub sql: String,
    /// Its parameters.
    pub params: Vec<Option<String>>,
}

impl Statement {
    /// A statement without parameters.
    pub(super) fn plain(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), params: Vec::new() }
    }

    /// Does it answer rows? Of one that does, nobody asks how many it changed.
    #[must_use]
    pub fn returns_rows(&self) -> bool {
        self.sql.starts_with("SELECT") || self.sql.starts_with("WITH") || self.sql.contains(" RETURNING ")
    }
}

/// Opens the transaction. A guard with its own UPDATE gives it all its settings at once, but for the one that
/// [`claim_and_lock`] takes along; an author's function must not find them, so there [`super::Dialect::settings`] follows,
/// to be taken back.
pub(super) fn begin(job: &GuardJob, together: bool) -> Statement {
    Statement::plain(match job.effect {
        Effect::Update => job.dialect.begin_with_settings(together),
        Effect::Author => job.dialect.begin().to_owned(),
    })
}

/// Takes the key, unless it is taken: then it changes nothing.
pub(super) fn claim(job: &GuardJob, fingerprint: &Digest) -> Statement {
    claim_as(job, fingerprint, "'in_progress'".to_owned())
}

fn claim_as(job: &GuardJob, fingerprint: &Digest, status: String) -> Statement {
    let d = job.dialect;
    let p = |n| d.placeholder(n);
    let sql = format!(
        "INSERT INTO {} (tenant_id, idempotency_key, job_id, proposal_id, fingerprint, status, created_at) {} ON CONFLICT DO NOTHING",
        job.receipts.sql(),
        d.claim_values(&job.receipts, [p(1), p(2), p(3), p(4), p(5), status, d.timestamp(6)]),
    );
    let params = [
        &job.tenant_id,
        &job.idempotency_key,
        &job.job_id,
        &job.proposal_id,
        &fingerprint.to_string(),
        &job.now.to_string(),
    ];
    Statement { sql, params: params.into_iter().map(|text| Some(text.clone())).collect() }
}

/// [`claim`] and [`lock`] in one statement of Postgres: always at least one row, `1` if the key was free, `true` if there
/// is a row, then its values. The condition on `claim` is evaluated once and first: no row is locked for a key in use.
pub(super) fn claim_and_lock(job: &GuardJob, fingerprint: &Digest) -> Statement {
    let claim = claim(job, fingerprint);
    let mut params = claim.params;
    let condition = identity(job, &mut params);
    let columns: Vec<Identifier> = job.compared().cloned().collect();
    let sql = format!(
        "WITH claim AS ({} RETURNING 1), live AS MATERIALIZED (SELECT 'true'::pg_catalog.text AS found, {} FROM {} WHERE {condition} AND EXISTS (SELECT 1 FROM claim) LIMIT 2{}) SELECT (SELECT pg_catalog.count(*) FROM claim)::pg_catalog.text, live.* FROM (SELECT {}) AS settings LEFT JOIN live ON true",
        claim.sql,
        named_outputs(job, &columns),
        table(job),
        job.dialect.lock_clause(),
        job.dialect.durable(),
    );
    Statement { sql, params }
}

/// [`claim_and_lock`] for an author's function on Postgres, when the columns' types are remembered: it sets what it needs,
/// and gives the session its own settings back before it answers. What comes first is not left to the planner: the claim
/// needs a value of the session, the row needs the claim, and what gives back needs the rows. `true` before the values
/// says that there is a row *and* that the types are those remembered.
pub(super) fn claim_lock_and_restore(job: &GuardJob, fingerprint: &Digest) -> Statement {
    let columns: Vec<Identifier> = job.compared().cloned().collect();
    let within = job.dialect.within(&job.types, "live");
    let claim = claim_as(job, fingerprint, format!("CASE WHEN {} IS NOT NULL THEN 'in_progress' END", within.set));
    let mut params = claim.params;
    let condition = identity(job, &mut params);
    let sql = format!(
        "WITH session AS MATERIALIZED (SELECT {}), claim AS ({} RETURNING 1), live AS MATERIALIZED (SELECT ({})::pg_catalog.text AS found, {} FROM {} WHERE {condition} AND EXISTS (SELECT 1 FROM claim) LIMIT 2{}) SELECT (CASE WHEN EXISTS (SELECT 1 FROM claim) THEN '1' ELSE '0' END)::pg_catalog.text, live.*, {} FROM (SELECT 1) AS always LEFT JOIN live ON true",
        within.session,
        claim.sql,
        within.proof,
        named_outputs(job, &columns),
        table(job),
        job.dialect.lock_clause(),
        within.restore,
    );
    Statement { sql, params }
}

/// The receipt under the key.
pub(super) fn lookup(job: &GuardJob) -> Statement {
    let d = job.dialect;
    let sql = format!(
        "SELECT tenant_id, status, fingerprint, proposal_id, receipt_json FROM {} WHERE {} AND ({} OR tenant_id IS NULL)",
        job.receipts.sql(),
        d.matches_text("idempotency_key", 1),
        d.matches_text("tenant_id", 2),
    );
    Statement { sql, params: vec![Some(job.idempotency_key.clone()), Some(job.tenant_id.clone())] }
}

/// Locks the row and reads what is compared.
pub(super) fn lock(job: &GuardJob) -> Statement {
    let columns: Vec<Identifier> = job.compared().cloned().collect();
    select(job, &columns, job.dialect.lock_clause())
}

/// Looks for the row without waiting for anybody.
pub(super) fn look(job: &GuardJob) -> Statement {
    select(job, std::slice::from_ref(&job.key_column), "")
}

/// Reads what was written.
pub(super) fn reread(job: &GuardJob) -> Statement {
    select(job, &written(job), "")
}

/// The columns that are read after the write.
pub(super) fn written(job: &GuardJob) -> Vec<Identifier> {
    job.patch.keys().chain(job.version_column.as_ref()).cloned().collect()
}

/// The guard's own effect; with `returning`, it answers what it wrote.
pub(super) fn update(job: &GuardJob, returning: bool) -> Statement {
    let d = job.dialect;
    let mut params: Vec<Option<String>> = Vec::with_capacity(job.patch.len() + 2);
    let mut assignments = Vec::with_capacity(job.patch.len());
    for (column, value) in &job.patch {
        params.push(d.bind(value));
        assignments.push(format!("{} = {}", d.column(column), d.typed(params.len(), job.types.get(column))));
    }
    let condition = identity(job, &mut params);
    let returned = if returning { format!(" RETURNING {}", outputs(job, &written(job))) } else { String::new() };
    let sql = format!("{} {} SET {} WHERE {condition}{returned}", d.update(), table(job), assignments.join(", "));
    Statement { sql, params }
}

/// Stores the receipt under the key that this transaction took.
///
/// # Errors
/// `INTERNAL` if the receipt cannot be written as JSON.
pub(super) fn finish(job: &GuardJob, receipt: &SourceReceipt) -> Result<Statement> {
    let status = match receipt.status {
        ReceiptStatus::Applied => "applied",
        ReceiptStatus::Conflict => "conflict",
        ReceiptStatus::Failed => "failed",
        ReceiptStatus::Canceled => "canceled",
    };
    let (text, digest) = receipt.seal()?;
    let d = job.dialect;
    let sql = format!(
        "UPDATE {} SET status = {}, receipt_json = {}, result_hash = {}, completed_at = {} WHERE {} AND {} AND {}{}",
        job.receipts.sql(),
        d.placeholder(1),
        d.placeholder(2),
        d.placeholder(3),
        d.timestamp(4),
        d.matches_text("tenant_id", 5),
        d.matches_text("idempotency_key", 6),
        d.in_progress(),
        // Only foreign code can have ended our transaction, and only the author's is foreign.
        if job.effect == Effect::Author { d.claimed_in_this_transaction() } else { "" },
    );
    let params = vec![
        Some(status.to_owned()),
        Some(text),
        Some(digest.to_string()),
        Some(job.now.to_string()),
        Some(job.tenant_id.clone()),
        Some(job.idempotency_key.clone()),
    ];
    Ok(Statement { sql, params })
}

/// [`reread`] and [`finish`] in one statement of Postgres: the receipt is stored only if the row shows what `expected`
/// says. Always at least one row: `1` if it was stored, `true` if there is a row, then its values.
///
/// # Errors
/// As [`finish`].
pub(super) fn finish_if_written(
    job: &GuardJob,
    receipt: &SourceReceipt,
    expected: &[Option<String>],
) -> Result<Statement> {
    let finish = finish(job, receipt)?;
    let mut params = finish.params;
    let condition = identity(job, &mut params);
    let columns = written(job);
    let mut same = Vec::with_capacity(columns.len());
    for (n, text) in expected.iter().enumerate() {
        same.push(match text {
            Some(text) => {
                params.push(Some(text.clone()));
                format!("COALESCE(c{n} COLLATE pg_catalog.\"C\" OPERATOR(pg_catalog.=) ${}, false)", params.len())
            }
            None => format!("c{n} IS NULL"),
        });
    }
    let sql = format!(
        "WITH live AS MATERIALIZED (SELECT 'true'::pg_catalog.text AS found, {} FROM {} WHERE {condition} LIMIT 2), done AS ({} AND (SELECT pg_catalog.count(*) OPERATOR(pg_catalog.=) 1 AND pg_catalog.bool_and({}) FROM live) RETURNING 1) SELECT (SELECT pg_catalog.count(*) FROM done)::pg_catalog.text, live.* FROM (SELECT {}) AS settings LEFT JOIN live ON true",
        named_outputs(job, &columns),
        table(job),
        finish.sql,
        same.join(" AND "),
        // Again: a trigger may have said otherwise since.
        job.dialect.durable(),
    );
    Ok(Statement { sql, params })
}

/// A select of exact columns by key and tenant, at most two rows: a second one means the key is not unique.
fn select(job: &GuardJob, columns: &[Identifier], lock: &str) -> Statement {
    let mut params = Vec::new();
    let condition = identity(job, &mut params);
    let sql = format!("SELECT {} FROM {} WHERE {condition} LIMIT 2{lock}", outputs(job, columns), table(job));
    Statement { sql, params }
}

fn outputs(job: &GuardJob, columns: &[Identifier]) -> String {
    columns.iter().map(|column| job.dialect.select(column, job.types.get(column))).collect::<Vec<_>>().join(", ")
}

/// `c0`, `c1`, ...: whatever the columns are called, another statement can name them.
fn named_outputs(job: &GuardJob, columns: &[Identifier]) -> String {
    let named = |(n, column)| format!("{} AS c{n}", job.dialect.select(column, job.types.get(column)));
    columns.iter().enumerate().map(named).collect::<Vec<_>>().join(", ")
}

fn table(job: &GuardJob) -> String {
    format!("{}.{}", job.schema.quoted(), job.table.quoted())
}

/// The predicate on key and tenant; its values are appended to the parameters.
fn identity(job: &GuardJob, params: &mut Vec<Option<String>>) -> String {
    params.push(job.dialect.bind(&job.key_value));
    let mut condition = job.dialect.matches(&job.key_column, params.len(), job.types.get(&job.key_column));
    if let Some(column) = &job.tenant_column {
        params.push(Some(job.tenant_id.clone()));
        condition.push_str(&format!(" AND {}", job.dialect.matches(column, params.len(), job.types.get(column))));
    }
    condition
}
