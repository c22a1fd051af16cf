use signoff::Result;
use signoff::guard::{Dialect, ReceiptTable};

use super::writeback::print;
use crate::args::{Handler, HandlerCommand, SqlEngine};
use crate::output::Output;

pub fn run(handler: &Handler, output: &mut Output) -> Result<u8> {
    let HandlerCommand::Migration(migration) = &handler.command;
    let dialect = match migration.dialect {
        SqlEngine::Postgres => Dialect::Postgres,
        SqlEngine::Sqlite => Dialect::Sqlite,
    };
    let table = ReceiptTable::of_handlers(dialect, migration.table.as_deref())?;
    let mut statements = dialect.receipts_ddl(&table);
    statements.extend(migration.writer_role.iter().flat_map(|role| dialect.receipts_grants(&table, role)));
    print(&statements, output)
}
