//! The check of a source, in one transaction that is rolled back.

use super::session::Session;
use super::{PostgresDatabase, receipts};
use crate::database::check::{self, Check, CheckRequest};
use crate::guard::{Dialect, Failure};

impl PostgresDatabase {
    pub(super) async fn check_source(&self, request: &CheckRequest) -> Vec<Check> {
        let state = "SET LOCAL search_path = pg_catalog; SELECT (pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on')::text";
        let (mut session, rows) = match self.begin("BEGIN ISOLATION LEVEL READ COMMITTED", state).await {
            Ok(begun) => begun,
            Err(Failure::Lost) => return vec![Check::failed("connect", self.diagnosis().await)],
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
    let found = receipts::found(&session.batch(&receipts::look(table)).await?).checks(table);
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
