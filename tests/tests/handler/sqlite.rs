use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};
use signoff::guard::{Dialect, Failure};
use signoff::handler::{Reply, Step};

use super::app::{App, handler};

pub struct Sqlite(Connection);

fn start() -> Option<Sqlite> {
    let mut app = Sqlite(Connection::open_in_memory().unwrap());
    app.sql(
        "CREATE TABLE invoices (id INTEGER PRIMARY KEY, tenant_id TEXT, status TEXT, balance NUMERIC, updated_at TEXT)",
    );
    app.sql("INSERT INTO invoices VALUES (7, 'acme', 'overdue', 25500.5, '2026-06-20T14:31:08.0003Z')");
    app.sql("CREATE TABLE account_credits (n INTEGER PRIMARY KEY, invoice_id INTEGER, amount_cents INTEGER)");
    for statement in handler(Dialect::Sqlite).receipts_ddl() {
        app.sql(&statement);
    }
    Some(app)
}

impl Sqlite {
    fn run(&self, sql: &str, params: &[Option<String>]) -> rusqlite::Result<Reply> {
        let mut statement = self.0.prepare(sql)?;
        let columns = statement.column_count();
        let text = |value: ValueRef<'_>| match value {
            ValueRef::Null => None,
            ValueRef::Integer(value) => Some(value.to_string()),
            other => Some(other.as_str().unwrap().to_owned()),
        };
        if columns == 0 {
            return statement.execute(params_from_iter(params)).map(|changed| Reply::done(changed as u64));
        }
        let row = |row: &rusqlite::Row<'_>| (0..columns).map(|n| Ok(text(row.get_ref(n)?))).collect();
        let rows = statement.query_map(params_from_iter(params), row)?.collect::<rusqlite::Result<_>>()?;
        Ok(Reply::Ran { rows, changed: 0 })
    }
}

impl App for Sqlite {
    const DIALECT: Dialect = Dialect::Sqlite;

    fn perform(&mut self, step: &Step) -> Reply {
        let ran = match step {
            Step::Begin { .. } if !self.0.is_autocommit() => return Reply::Failed(Failure::AlreadyOpen),
            Step::Begin { sql, .. } => self.run(sql, &[]),
            Step::Run { sql, params, .. } => self.run(sql, params),
            Step::Commit => self.run("COMMIT", &[]),
            Step::Rollback => Ok(self.run("ROLLBACK", &[]).unwrap_or(Reply::done(0))),
            other => panic!("{other:?}"),
        };
        ran.unwrap_or_else(|error| {
            let code = error.sqlite_error().map_or(1, |error| error.extended_code);
            let message = match &error {
                rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
                other => other.to_string(),
            };
            Reply::Failed(Failure::from_sqlite(code, &message))
        })
    }

    fn sql(&mut self, sql: &str) {
        self.run(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    fn rows(&mut self, sql: &str) -> Vec<String> {
        let Ok(Reply::Ran { rows, .. }) = self.run(sql, &[]) else { panic!("{sql}") };
        rows.into_iter()
            .map(|row| row.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>().join("|"))
            .collect()
    }
}

super::scenarios::on!(start);
