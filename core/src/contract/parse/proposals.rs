//! What only a proposal has: patch, allow-list, bounds, transitions, guard, approval.

use std::collections::BTreeMap;

use super::arguments::{bounds, outside};
use super::capabilities::columns;
use super::reader::{At, Findings};
use super::reversed;
use crate::contract::concealed::shown;
use crate::contract::diagnostics as d;
use crate::contract::keys;
use crate::contract::types::{Argument, ArgumentType, Bounds, ConflictGuard, Engine, PatchValue, Target, Transitions};
use crate::primitives::{Identifier, Scalar};

/// What a proposal has to know of the rest of its capability; parts that could not be read are missing.
pub(super) struct Context<'c> {
    pub engine: Option<Engine>,
    pub target: Option<&'c Target>,
    pub args: &'c [Argument],
    /// Every argument's name in the file, also of those that could not be read.
    pub arg_names: &'c [&'c str],
    pub visible_columns: &'c [Identifier],
}

/// A proposal's own part of a capability.
#[derive(Default)]
pub(super) struct Proposal {
    pub patch: Vec<(Identifier, PatchValue)>,
    pub allowed_columns: Vec<Identifier>,
    pub numeric_bounds: BTreeMap<Identifier, Bounds>,
    pub transition_guards: BTreeMap<Identifier, Transitions>,
    pub conflict_guard: Option<ConflictGuard>,
    pub required_role: Option<String>,
}

pub(super) fn read(findings: &mut Findings<'_>, at: &At<'_>, context: &Context<'_>) -> Proposal {
    let mut proposal = Proposal {
        patch: patch(findings, at, context),
        allowed_columns: columns(
            findings,
            at,
            "allowed_columns",
            [&d::ALLOWED_COLUMNS_REQUIRED, &d::INVALID_ALLOWED_COLUMN],
        ),
        conflict_guard: conflict_guard(findings, at),
        ..Proposal::default()
    };
    allow_list(findings, at, context, &proposal);
    proposal.numeric_bounds = numeric_bounds(findings, at, context, &proposal);
    proposal.transition_guards = transition_guards(findings, at, context, &proposal);
    proposal.required_role = required_role(findings, at);
    proposal
}

/// Whether an engine takes two names for one column. Postgres alone tells quoted names apart by case.
fn same_column(engine: Option<Engine>, left: &Identifier, right: &Identifier) -> bool {
    match engine {
        Some(Engine::Postgres) => left == right,
        _ => left.as_str().eq_ignore_ascii_case(right.as_str()),
    }
}

fn patch(findings: &mut Findings<'_>, at: &At<'_>, context: &Context<'_>) -> Vec<(Identifier, PatchValue)> {
    let members = at.get("patch").and_then(|patch| patch.members()).unwrap_or_default();
    if members.is_empty() {
        findings.report(&d::PATCH_REQUIRED, at.spot_of("patch"));
    }
    let mut patch: Vec<(Identifier, PatchValue)> = Vec::with_capacity(members.len());
    for (name, member) in members {
        let column = Identifier::new(name).ok();
        if column.is_none() {
            findings.report(&d::INVALID_PATCH_COLUMN, member.key());
        }
        let value = binding(findings, &member, context);
        let Some(column) = column else { continue };
        if patch.iter().any(|(other, _)| same_column(context.engine, other, &column)) {
            findings.report(&d::DUPLICATE_PATCH_COLUMN, member.key());
        }
        // A column whose value could not be read stays in, so that what hangs on the column is not reported as well.
        patch.push((column, value.unwrap_or(PatchValue::FromArg(String::new()))));
    }
    patch
}

fn binding(findings: &mut Findings<'_>, at: &At<'_>, context: &Context<'_>) -> Option<PatchValue> {
    if !at.is_object() {
        findings.report(&d::PATCH_BINDING_NOT_OBJECT, at.spot());
        return None;
    }
    findings.closed(at, &keys::BINDING);
    match (at.get("fixed"), at.get("from_arg")) {
        (Some(fixed), None) => {
            let value = fixed.node.scalar();
            if value.is_none() {
                findings.report(&d::INVALID_PATCH_BINDING, fixed.spot());
            }
            value.map(PatchValue::Fixed)
        }
        (None, Some(from)) => {
            let name = findings.optional(at, "from_arg", &d::INVALID_PATCH_ARG, At::text)?;
            if !context.arg_names.contains(&name) && !context.arg_names.is_empty() {
                let message = format!("there is no argument `{}`", shown(name));
                findings.mistyped(&d::FROM_ARG_UNKNOWN, from.spot(), message, name, context.arg_names.iter().copied());
            } else if context.args.iter().any(|argument| argument.name == name && !argument.required) {
                findings.report(&d::OPTIONAL_PATCH_ARG, from.spot());
            }
            Some(PatchValue::FromArg(name.to_owned()))
        }
        _ => {
            findings.report(&d::INVALID_PATCH_BINDING, at.spot());
            None
        }
    }
}

fn conflict_guard(findings: &mut Findings<'_>, at: &At<'_>) -> Option<ConflictGuard> {
    let Some(guard) = at.get("conflict_guard").filter(At::is_object) else {
        findings.report(&d::CONFLICT_GUARD_REQUIRED, at.spot_of("conflict_guard"));
        return None;
    };
    findings.closed(&guard, &keys::CONFLICT_GUARD);
    let weak = findings.boolean(&guard, "weak_guard_ack", false);
    if guard.get("column").is_none() && weak {
        return Some(ConflictGuard::RowHash);
    }
    if weak {
        findings.inert(&guard, &["weak_guard_ack"], "the version column is given and holds");
    }
    findings.required(&guard, "column", &d::CONFLICT_GUARD_COLUMN_REQUIRED, At::identifier).map(ConflictGuard::Column)
}

fn allow_list(findings: &mut Findings<'_>, at: &At<'_>, context: &Context<'_>, proposal: &Proposal) {
    let same = |left: &Identifier, right: &Identifier| same_column(context.engine, left, right);
    for item in at.get("allowed_columns").and_then(|list| list.items()).unwrap_or_default() {
        let (Some(column), Some(target)) = (item.identifier(), context.target) else { continue };
        if same(&column, &target.primary_key) {
            findings.report(&d::ALLOWED_COLUMN_IS_KEY, item.spot());
        } else if target.tenant_key.as_ref().is_some_and(|tenant| same(&column, tenant)) {
            findings.report(&d::ALLOWED_COLUMN_IS_TENANT, item.spot());
        }
    }
    let Some(patch) = at.get("patch") else { return };
    // Without a readable allow-list one finding is enough.
    let unreadable = proposal.allowed_columns.is_empty();
    for (column, _) in &proposal.patch {
        if !unreadable && !proposal.allowed_columns.contains(column) {
            let message = format!("`{column}` is patched and not in allowed_columns");
            let allowed = proposal.allowed_columns.iter().map(Identifier::as_str);
            findings.mistyped(
                &d::PATCH_COLUMN_NOT_ALLOWED,
                patch.key_of(column.as_str()),
                message,
                column.as_str(),
                allowed,
            );
        }
        if matches!(&proposal.conflict_guard, Some(ConflictGuard::Column(version)) if same(column, version)) {
            findings.report(&d::PATCH_COLUMN_IS_VERSION, patch.key_of(column.as_str()));
        }
    }
}

fn patched<'c>(proposal: &'c Proposal, column: &Identifier) -> Option<&'c PatchValue> {
    proposal.patch.iter().find(|(name, _)| name == column).map(|(_, value)| value)
}

/// True if the value can never be of this type. An argument that does not exist was reported before.
fn never(context: &Context<'_>, value: &PatchValue, kind: ArgumentType) -> bool {
    match value {
        PatchValue::Fixed(Scalar::Text(_)) => kind != ArgumentType::String,
        PatchValue::Fixed(scalar) => kind != ArgumentType::Number || scalar.as_number_text().is_none(),
        PatchValue::FromArg(name) => {
            context.args.iter().any(|argument| argument.name == *name && argument.kind != kind)
        }
    }
}

fn numeric_bounds(
    findings: &mut Findings<'_>,
    at: &At<'_>,
    context: &Context<'_>,
    proposal: &Proposal,
) -> BTreeMap<Identifier, Bounds> {
    let mut out = BTreeMap::new();
    let Some(all) = at.get("numeric_bounds") else { return out };
    let Some(members) = all.members() else {
        findings.report(&d::NUMERIC_BOUNDS_NOT_OBJECT, all.spot());
        return out;
    };
    for (name, member) in members {
        let column = Identifier::new(name).ok();
        let value = column.as_ref().and_then(|column| patched(proposal, column));
        match (&column, value) {
            (None, _) => findings.report(&d::INVALID_NUMERIC_BOUND_COLUMN, member.key()),
            (Some(_), None) => findings.report(&d::NUMERIC_BOUND_PATCH_COLUMN_REQUIRED, member.key()),
            _ => {}
        }
        if !member.is_object() {
            findings.report(&d::NUMERIC_BOUND_NOT_OBJECT, member.spot());
            continue;
        }
        findings.closed(&member, &keys::BOUND);
        if member.get("minimum").is_none() && member.get("maximum").is_none() {
            findings.report(&d::NUMERIC_BOUND_EMPTY, member.spot());
        }
        let (minimum, maximum) = bounds(findings, &member);
        match value {
            Some(value) if never(context, value, ArgumentType::Number) => {
                findings.report(&d::BOUND_VALUE_NOT_NUMBER, member.spot())
            }
            Some(PatchValue::Fixed(fixed)) if outside(fixed, minimum.as_ref(), maximum.as_ref()) => {
                findings.report(&d::FIXED_VALUE_OUT_OF_BOUNDS, member.spot());
            }
            Some(PatchValue::FromArg(name)) if apart(context, name, minimum.as_ref(), maximum.as_ref()) => {
                findings.report(&d::ARGUMENT_NEVER_FITS, member.spot());
            }
            _ => {}
        }
        if let Some(column) = column {
            out.insert(column, Bounds { minimum, maximum });
        }
    }
    out
}

/// True if no number that the argument allows is within the column's bounds.
fn apart(context: &Context<'_>, name: &str, minimum: Option<&Scalar>, maximum: Option<&Scalar>) -> bool {
    let Some(argument) = context.args.iter().find(|argument| argument.name == name) else { return false };
    let (low, high) = (argument.minimum.as_ref(), argument.maximum.as_ref());
    // A range that is empty in itself was reported as that.
    if reversed(low, high) || reversed(minimum, maximum) {
        return false;
    }
    match &argument.allowed {
        Some(values) => !values.is_empty() && values.iter().all(|value| outside(value, minimum, maximum)),
        None => reversed(low, maximum) || reversed(minimum, high),
    }
}

fn transition_guards(
    findings: &mut Findings<'_>,
    at: &At<'_>,
    context: &Context<'_>,
    proposal: &Proposal,
) -> BTreeMap<Identifier, Transitions> {
    let mut out = BTreeMap::new();
    let Some(all) = at.get("transition_guards") else { return out };
    let Some(members) = all.members() else {
        findings.report(&d::TRANSITION_GUARDS_NOT_OBJECT, all.spot());
        return out;
    };
    for (name, member) in members {
        let column = Identifier::new(name).ok();
        let value = column.as_ref().and_then(|column| patched(proposal, column));
        match (&column, value) {
            (None, _) => findings.report(&d::INVALID_TRANSITION_GUARD_COLUMN, member.key()),
            (Some(_), None) => findings.report(&d::TRANSITION_PATCH_COLUMN_REQUIRED, member.key()),
            _ => {}
        }
        if !member.is_object() {
            findings.report(&d::TRANSITION_GUARD_NOT_OBJECT, member.spot());
            continue;
        }
        findings.closed(&member, &keys::TRANSITION);
        let from_column = match member.get("from_column") {
            None => column.clone(),
            Some(_) => findings.optional(&member, "from_column", &d::INVALID_TRANSITION_FROM_COLUMN, At::identifier),
        };
        if from_column.as_ref().is_some_and(|from| !context.visible_columns.contains(from)) {
            let spot = if member.get("from_column").is_some() { member.spot_of("from_column") } else { member.spot() };
            findings.report(&d::TRANSITION_FROM_COLUMN_NOT_VISIBLE, spot);
        }
        let allowed = transitions(findings, &member);
        if let Some(value) = value {
            reachable(findings, &member, context, value, &allowed);
        }
        if let (Some(column), Some(from_column)) = (column, from_column) {
            out.insert(column, Transitions { from_column, allowed });
        }
    }
    out
}

fn transitions(findings: &mut Findings<'_>, guard: &At<'_>) -> BTreeMap<String, Vec<String>> {
    let members = guard.get("allowed").and_then(|allowed| allowed.members()).unwrap_or_default();
    if members.is_empty() {
        findings.report(&d::TRANSITION_ALLOWED_REQUIRED, guard.spot_of("allowed"));
    }
    let mut out = BTreeMap::new();
    for (from, list) in members {
        if !from.chars().any(|c| !c.is_whitespace() && c != '\u{feff}') {
            findings.report(&d::TRANSITION_FROM_REQUIRED, list.key());
        }
        let items = list.items().unwrap_or_default();
        let to: Option<Vec<String>> = items.iter().map(|item| item.text().map(str::to_owned)).collect();
        match to.filter(|to| !to.is_empty()) {
            Some(to) => drop(out.insert(from.to_owned(), to)),
            None => findings.report(&d::TRANSITION_TO_VALUES_REQUIRED, list.spot()),
        }
    }
    out
}

fn reachable(
    findings: &mut Findings<'_>,
    guard: &At<'_>,
    context: &Context<'_>,
    value: &PatchValue,
    allowed: &BTreeMap<String, Vec<String>>,
) {
    if never(context, value, ArgumentType::String) {
        findings.report(&d::TRANSITION_VALUE_NOT_STRING, guard.spot());
    } else if let PatchValue::Fixed(Scalar::Text(fixed)) = value
        && !allowed.is_empty()
        && !allowed.values().flatten().any(|to| to == fixed)
    {
        findings.report(&d::FIXED_VALUE_UNREACHABLE, guard.spot());
    } else if let PatchValue::FromArg(name) = value
        && let Some(values) = context.args.iter().find(|arg| arg.name == *name).and_then(|arg| arg.allowed.as_ref())
        && !values.is_empty()
        && !allowed.is_empty()
        && !values
            .iter()
            .any(|value| allowed.values().flatten().any(|to| matches!(value, Scalar::Text(text) if text == to)))
    {
        findings.report(&d::ARGUMENT_NEVER_FITS, guard.spot());
    }
}

fn required_role(findings: &mut Findings<'_>, at: &At<'_>) -> Option<String> {
    let approval = at.get("approval")?;
    if !approval.is_object() {
        findings.report(&d::APPROVAL_NOT_OBJECT, approval.spot());
        return None;
    }
    findings.closed(&approval, &keys::APPROVAL);
    findings
        .optional(&approval, "mode", &d::INVALID_APPROVAL_MODE, |at| (at.node.as_str() == Some("human")).then_some(()));
    findings.optional(&approval, "required_role", &d::INVALID_REQUIRED_ROLE, |at| at.text().map(str::to_owned))
}
