//! What people look at: a proposal with its exact diff, at 80 columns.

use signoff::error::{printable, quoted};
use signoff::ledger::{ProposalRecord, ProposalSummary};
use signoff::primitives::{Scalar, compare_decimals};
use signoff::protocol::{ChangeSet, ChangeSetMode, State};

use crate::output::Output;
use crate::table;

/// The exact diff, a column a line.
pub fn diff(set: &ChangeSet, output: &mut Output) {
    let width = set.patch.keys().map(|column| column.as_str().len()).max().unwrap_or(0);
    for (column, value) in &set.patch {
        let before = set.before.get(column).unwrap_or(&Scalar::Null);
        let same = if before.same(value) { "  (unchanged)" } else { "" };
        // A decimal is kept as its text: where one side is a number, the other is one too.
        let plain = [before, value].iter().any(|side| side.as_number_text().is_some());
        let (old, new) = (side(before, plain), side(value, plain));
        output.line(format!("  {:width$}  {} -> {}{same}", column.as_str(), output.old(&old), output.new_value(&new)));
    }
}

fn side(value: &Scalar, plain: bool) -> String {
    match value {
        Scalar::Text(text) if plain && compare_decimals(text, text).is_some() => text.clone(),
        other => shown(other),
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
    let state = match set.mode {
        ChangeSetMode::Shadow => format!("{}, in shadow: compared, never applied", record.state),
        _ => record.state.to_string(),
    };
    let items = [
        ("state", state),
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
        ("expires", expires(record)),
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
    for decision in &record.decisions {
        let asserted = if decision.asserted { " (asserted)" } else { "" };
        let reason =
            decision.reason.as_deref().map(|reason| format!(", because {}", quoted(reason))).unwrap_or_default();
        let who = printable(&decision.approver);
        output.line(format!("{} by {who}{asserted} at {}{reason}", decision.decision, decision.decided_at));
    }
    let changed = if record.state == State::Applied { "yes" } else { "no" };
    output.line(format!("Source DB changed: {changed}"));
}

fn expires(record: &ProposalRecord) -> String {
    match (record.state, record.standing.expires_at) {
        (State::PendingReview | State::Approved, Some(end)) => end.to_string(),
        (State::PendingReview | State::Approved, None) => "never".to_owned(),
        _ => "-".to_owned(),
    }
}

/// Proposals, one a line.
pub fn summaries<'a>(found: impl IntoIterator<Item = &'a ProposalSummary>, output: &mut Output) {
    let row = |summary: &ProposalSummary| {
        let object = format!("{}:{}", printable(&summary.business_object), printable(&summary.object_id));
        [
            table::short(&summary.proposal_id),
            summary.state.to_string(),
            table::minute(&summary.created_at),
            object,
            printable(&summary.action),
        ]
    };
    let rows: Vec<_> = found.into_iter().map(row).collect();
    if !rows.is_empty() {
        table::print(["PROPOSAL", "STATE", "CREATED", "OBJECT", "CAPABILITY"], &rows, output);
    }
}
