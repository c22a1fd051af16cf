//! The check of a source, in one transaction that is rolled back.

use super::PostgresDatabase;
use super::session::Session;
use crate::database::check::{self, Check, CheckRequest};
use crate::guard::{Dialect, Failure, Statement};

impl PostgresDatabase {
    pub(super) async fn check_source(&self, request: &CheckRequest) -> Vec<Check> {
        let state = "SET LOCAL search_path = pg_catalog; SELECT (pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on')::text";
        let (mut session, rows) = match self.begin("BEGIN ISOLATION LEVEL READ COMMITTED", state).await {
            Ok(begun) => begun,
            Err(failure) => return vec![Check::failed("connect", check::category(failure))],
        };
        let mut checks = vec![Check::passed("connect", "connected")];
        if rows.iter().flatten().flatten().any(|text| text == "true") {
            checks.push(Check::failed("writable", check::category(Failure::ReadOnly)));
        } else {
            checks.push(Check::passed("writable", "not a standby, not read-only"));
            if let Err(failure) = probe(&mut session, request, &mut checks).await {
                checks.push(Check::failed("probe", check::category(failure)));
            }
        }
        // What is not rolled back here ends with its connection.
        let _ = session.end("ROLLBACK").await;
        checks
    }
}

async fn probe(session: &mut Session, request: &CheckRequest, checks: &mut Vec<Check>) -> Result<(), Failure> {
    let table = &request.receipts;
    let named = |sql: &str| Statement {
        sql: sql.to_owned(),
        params: vec![Some(table.schema.to_string()), Some(table.name.to_string())],
    };
    let columns = named(
        "SELECT a.attname::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped",
    );
    let keys = named(
        "SELECT (SELECT string_agg(a.attname::text, ',' ORDER BY a.attname) FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL",
    );
    let existing: Vec<String> = session.run(&columns).await?.0.into_iter().flatten().flatten().collect();
    let keys: Vec<String> = session.run(&keys).await?.0.into_iter().flatten().flatten().collect();
    let unique =
        keys.iter().any(|columns| ["idempotency_key,tenant_id", "idempotency_key"].contains(&columns.as_str()));
    let found = check::receipts_table(table, &existing, unique);
    let whole = found.iter().all(|check| check.ok);
    checks.extend(found);
    for probe in check::probes(Dialect::Postgres, request, whole) {
        session.batch("SAVEPOINT probe").await?;
        let ran = session.batch(&probe.statements.join("; ")).await;
        if ran == Err(Failure::Lost) {
            return Err(Failure::Lost);
        }
        session.batch("ROLLBACK TO SAVEPOINT probe").await?;
        checks.push(probe.ended(ran.err()));
    }
    Ok(())
}
