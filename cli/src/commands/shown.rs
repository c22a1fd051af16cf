//! What people look at: a proposal with its exact diff, at 80 columns.

use signoff::error::{printable, quoted};
use signoff::ledger::ProposalRecord;
use signoff::primitives::Scalar;
use signoff::protocol::{ChangeSet, State};

use crate::output::Output;

/// The exact diff, a column a line.
pub fn diff(set: &ChangeSet, output: &mut Output) {
    let width = set.patch.keys().map(|column| column.as_str().len()).max().unwrap_or(0);
    for (column, value) in &set.patch {
        let before = set.before.get(column).unwrap_or(&Scalar::Null);
        let (old, new) = (output.old(&shown(before)), output.new_value(&shown(value)));
        output.line(format!("  {:width$}  {old} -> {new}", column.as_str()));
    }
}

/// A value, whole, with everything visible that could mislead.
pub fn shown(value: &Scalar) -> String {
    match value {
        Scalar::Text(text) => quoted(text),
        other => other.to_string(),
    }
}

/// Everything a reviewer needs to decide.
pub fn proposal(record: &ProposalRecord, output: &mut Output) {
    let set = &record.change_set;
    let version = &set.guards.expected_version;
    let role = record.required_role().unwrap_or("none");
    output.line(format!("{} {}", output.strong("Proposal"), record.id()));
    let allowed: Vec<&str> = set.guards.allowed_columns.iter().map(AsRef::as_ref).collect();
    let items = [
        ("state", record.state.to_string()),
        ("capability", printable(&set.action)),
        ("principal", printable(&set.principal.id)),
        ("tenant", printable(&set.scope.tenant_id)),
        (
            "target",
            format!("{}.{} in source {}", set.source.schema, set.source.table, printable(&set.source.source_id)),
        ),
        ("primary key", format!("{} = {}", set.source.primary_key.column, shown(&set.source.primary_key.value))),
        ("required role", printable(role)),
        ("version", set.proposal_version.to_string()),
        ("allowed columns", allowed.join(", ")),
        ("conflict guard", format!("{} = {}", version.column, shown(&version.value))),
        ("evidence", set.evidence.bundle_id.clone()),
        ("executor", printable(set.writeback.executor.as_deref().unwrap_or("sql_update"))),
        ("expires", record.standing.expires_at.map_or_else(|| "never".to_owned(), |end| end.to_string())),
    ];
    for (name, value) in items {
        output.line(format!("  {name:<15} {value}"));
    }
    output.line(format!("  hash {}", record.hash()));
    if let Some(code) = &record.standing.last_error {
        output.line(format!("  last error      {code}"));
    }
    output.line("Exact diff:");
    diff(set, output);
    let changed = if record.state == State::Applied { "yes" } else { "no" };
    output.line(format!("Source DB changed: {changed}"));
}
