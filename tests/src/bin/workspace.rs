//! A folder with a contract, a source with counters and so many invoices, for tests in other languages:
//! `workspace INVOICES`. It prints `{"folder", "address"}`; each line of SQL on standard input is answered by a line: the
//! rows of a SELECT as a JSON array of texts, `[]` for anything else. When standard input ends, the folder goes.

use std::io::{BufRead as _, Write as _};

use signoff_tests::Workspace;

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).expect("how many invoices");
    let workspace = Workspace::with_invoices(count);
    let mut out = std::io::stdout().lock();
    let folder = workspace.path("").display().to_string();
    let place = serde_json::json!({ "folder": folder.trim_end_matches('/'), "address": workspace.source.address() });
    writeln!(out, "{place}").and_then(|()| out.flush()).expect("somebody reads");
    for line in std::io::stdin().lock().lines() {
        let sql = line.expect("text");
        let rows = if sql.trim_start().to_ascii_uppercase().starts_with("SELECT") {
            workspace.source.rows(&sql)
        } else {
            workspace.sql(&sql);
            Vec::new()
        };
        writeln!(out, "{}", serde_json::json!(rows)).and_then(|()| out.flush()).expect("somebody reads");
    }
}
