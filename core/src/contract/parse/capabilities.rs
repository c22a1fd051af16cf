//! `capabilities`: what reads and proposals have in common. What only proposals have is in `proposals.rs`.

use std::collections::{BTreeMap, BTreeSet};

use super::executors::BUILT_IN;
use super::reader::{At, Findings};
use super::{Names, arguments, exposure, proposals};
use crate::contract::concealed::shown;
use crate::contract::diagnostics::{self as d, DiagnosticInfo};
use crate::contract::keys;
use crate::contract::types::{Argument, Capability, Engine, ExecutorKind, Kind, Mode, PatchValue, Target};
use crate::primitives::{Identifier, tool_alias};

/// Members that mean something in a proposal only.
const PROPOSAL_KEYS: &[&str] =
    &["executor", "patch", "allowed_columns", "numeric_bounds", "transition_guards", "conflict_guard", "approval"];

pub(super) fn engine_of(word: &str) -> Option<Engine> {
    match word {
        "postgres" => Some(Engine::Postgres),
        "mysql" => Some(Engine::Mysql),
        "sqlite" => Some(Engine::Sqlite),
        _ => None,
    }
}

pub(super) fn read(findings: &mut Findings<'_>, root: &At<'_>, names: &mut Names) -> Vec<Capability> {
    let Some(list) = root.get("capabilities") else {
        if names.mode != Some(Mode::Cloud) {
            findings.report(&d::CAPABILITIES_REQUIRED, root.spot_of("capabilities"));
        }
        return Vec::new();
    };
    let items = list.items().unwrap_or_default();
    if items.is_empty() {
        findings.report(&d::CAPABILITIES_REQUIRED, list.spot());
    }
    unique(findings, &items);
    items.iter().filter_map(|item| capability(findings, item, names)).collect()
}

/// No two names are one, also to clients that take no point in a name.
fn unique(findings: &mut Findings<'_>, items: &[At<'_>]) {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for (name, at) in items.iter().filter_map(|item| item.get("name")).filter_map(|at| Some((at.node.as_str()?, at))) {
        if !is_name(name) {
            continue;
        }
        match seen.insert(tool_alias(name), name) {
            Some(other) if other == name => findings.report(&d::DUPLICATE_CAPABILITY, at.spot()),
            Some(other) => {
                let message = format!("`{}` and `{}` are both `{}`", shown(other), shown(name), tool_alias(name));
                findings.say(&d::TOOL_ALIAS_COLLISION, at.spot(), message);
            }
            None => {}
        }
    }
}

fn capability(findings: &mut Findings<'_>, at: &At<'_>, names: &mut Names) -> Option<Capability> {
    let errors_before = findings.errors();
    if !at.is_object() {
        findings.report(&d::CAPABILITY_NOT_OBJECT, at.spot());
        return None;
    }
    findings.closed(at, &keys::CAPABILITY);
    let owned = |at: &At<'_>| at.text().map(str::to_owned);
    let name = findings.required(at, "name", &d::INVALID_CAPABILITY_NAME, |at| {
        at.node.as_str().filter(|name| is_name(name)).map(str::to_owned)
    });
    let kind = findings.required(at, "kind", &d::INVALID_CAPABILITY_KIND, |at| match at.node.as_str()? {
        "read" => Some(Kind::Read),
        "proposal" => Some(Kind::Proposal),
        _ => None,
    });
    let exposure = exposure::read(findings, at, kind);
    let description = findings.optional(at, "description", &d::INVALID_CAPABILITY_DESCRIPTION, owned);
    let returns_hint = findings.optional(at, "returns_hint", &d::INVALID_RETURNS_HINT, owned);
    let source = source(findings, at, names);
    let context = context(findings, at, names);
    let executor = executor(findings, at, names);
    let engine = source.as_ref().and_then(|source| names.sources.get(source)).map(|source| source.engine);
    let target = target(findings, at, engine);
    let (args, arg_names) = arguments::read(findings, at);
    let lookup_arg = lookup(findings, at, &args, &arg_names);
    let visible_columns =
        columns(findings, at, "visible_columns", [&d::VISIBLE_COLUMNS_REQUIRED, &d::INVALID_VISIBLE_COLUMN]);
    settings_without_effect(findings, at, kind);

    let proposal = match kind {
        Some(Kind::Proposal) => {
            writeback(findings, at, source.as_deref(), executor.as_deref(), names);
            let context = proposals::Context {
                engine,
                target: target.as_ref(),
                args: &args,
                arg_names: &arg_names,
                visible_columns: &visible_columns,
            };
            proposals::read(findings, at, &context)
        }
        _ => proposals::Proposal::default(),
    };
    if findings.errors() == errors_before {
        unused_arguments(findings, at, &args, lookup_arg.as_deref(), &proposal);
    }
    Some(Capability {
        name: name?,
        kind: kind?,
        description,
        returns_hint,
        source: source?,
        context,
        target: target?,
        args,
        lookup_arg: lookup_arg?,
        visible_columns,
        patch: proposal.patch,
        allowed_columns: proposal.allowed_columns,
        numeric_bounds: proposal.numeric_bounds,
        transition_guards: proposal.transition_guards,
        conflict_guard: proposal.conflict_guard,
        required_role: proposal.required_role,
        executor: executor.filter(|_| kind == Some(Kind::Proposal)),
        exposure: exposure?,
    })
}

/// `namespace.name`, or more parts.
fn is_name(text: &str) -> bool {
    text.contains('.') && text.split('.').all(|part| Identifier::new(part).is_ok())
}

fn source(findings: &mut Findings<'_>, at: &At<'_>, names: &mut Names) -> Option<String> {
    let name = at.get("source").and_then(|source| source.node.as_str()).unwrap_or_default();
    if names.known.sources.contains(name) {
        names.used.sources.insert(name.to_owned());
        return Some(name.to_owned());
    }
    // Without any source one finding is enough.
    if names.known.sources.is_empty() && names.mode != Some(Mode::Cloud) {
        return None;
    }
    let message = format!("there is no source `{}`", shown(name));
    findings.mistyped(
        &d::UNKNOWN_SOURCE,
        at.spot_of("source"),
        message,
        name,
        names.known.sources.iter().map(String::as_str),
    );
    None
}

fn context(findings: &mut Findings<'_>, at: &At<'_>, names: &mut Names) -> Option<String> {
    let member = at.get("context")?;
    let name = member.node.as_str().unwrap_or_default();
    if names.known.contexts.contains(name) {
        names.used.contexts.insert(name.to_owned());
        return Some(name.to_owned());
    }
    let message = format!("there is no context `{}`", shown(name));
    findings.mistyped(
        &d::UNKNOWN_CONTEXT,
        member.spot(),
        message,
        name,
        names.known.contexts.iter().map(String::as_str),
    );
    None
}

fn executor(findings: &mut Findings<'_>, at: &At<'_>, names: &mut Names) -> Option<String> {
    let name = findings.optional(at, "executor", &d::INVALID_EXECUTOR_REFERENCE, At::text)?;
    let known = names.known.executors.contains(name);
    if known {
        names.used.executors.insert(name.to_owned());
    }
    if name == BUILT_IN {
        return None;
    }
    if !known {
        let message = format!("there is no executor `{}`", shown(name));
        let others = names.known.executors.iter().map(String::as_str).chain([BUILT_IN]);
        findings.mistyped(&d::UNKNOWN_EXECUTOR, at.spot_of("executor"), message, name, others);
    }
    Some(name.to_owned())
}

fn target(findings: &mut Findings<'_>, at: &At<'_>, engine: Option<Engine>) -> Option<Target> {
    let target = at.get("target").filter(At::is_object);
    let Some(target) = target else {
        findings.report(&d::TARGET_REQUIRED, at.spot_of("target"));
        return None;
    };
    findings.closed(&target, &keys::TARGET);
    let mut required = |key| findings.required(&target, key, &d::INVALID_TARGET_IDENTIFIER, At::identifier);
    let (schema, table, primary_key) = (required("schema"), required("table"), required("primary_key"));
    let tenant_key = findings.optional(&target, "tenant_key", &d::INVALID_TARGET_IDENTIFIER, At::identifier);
    let dev = findings.boolean(&target, "single_tenant_dev", false);
    match (target.get("tenant_key").is_some(), dev) {
        (false, false) => findings.report(&d::TENANT_GUARD_REQUIRED, target.spot_of("tenant_key")),
        (false, true) => findings.report(&d::SINGLE_TENANT_DEV_EXCEPTION, target.spot_of("single_tenant_dev")),
        (true, true) => findings.inert(&target, &["single_tenant_dev"], "tenant_key is given and holds"),
        (true, false) => {}
    }
    if engine == Some(Engine::Sqlite) && schema.as_ref().is_some_and(|schema| schema.as_str() != "main") {
        findings.report(&d::SQLITE_SCHEMA_NOT_MAIN, target.spot_of("schema"));
    }
    Some(Target { schema: schema?, table: table?, primary_key: primary_key?, tenant_key })
}

fn lookup(findings: &mut Findings<'_>, at: &At<'_>, args: &[Argument], names: &[&str]) -> Option<String> {
    let Some(lookup) = at.get("lookup").filter(At::is_object) else {
        findings.report(&d::LOOKUP_REQUIRED, at.spot_of("lookup"));
        return None;
    };
    findings.closed(&lookup, &keys::LOOKUP);
    let name = findings.required(&lookup, "id_from_arg", &d::LOOKUP_ARG_REQUIRED, At::text)?;
    // Without any argument one finding is enough.
    if !names.contains(&name) && !names.is_empty() {
        let message = format!("there is no argument `{}`", shown(name));
        findings.mistyped(&d::LOOKUP_ARG_UNKNOWN, lookup.spot_of("id_from_arg"), message, name, names.iter().copied());
    }
    if args.iter().any(|argument| argument.name == name && !argument.required) {
        findings.report(&d::LOOKUP_ARG_OPTIONAL, lookup.spot_of("id_from_arg"));
    }
    Some(name.to_owned())
}

/// A list of columns; `[required, invalid]` are the codes for an empty list and for a bad item.
pub(super) fn columns(
    findings: &mut Findings<'_>,
    at: &At<'_>,
    key: &str,
    [required, invalid]: [&'static DiagnosticInfo; 2],
) -> Vec<Identifier> {
    let items = at.get(key).and_then(|list| list.items()).unwrap_or_default();
    if items.is_empty() {
        findings.report(required, at.spot_of(key));
    }
    let mut columns: Vec<Identifier> = Vec::with_capacity(items.len());
    let mut seen = BTreeSet::new();
    for item in items {
        match item.identifier() {
            None => findings.report(invalid, item.spot()),
            Some(column) if !seen.insert(column.clone()) => findings.report(&d::COLUMN_REPEATED, item.spot()),
            Some(column) => columns.push(column),
        }
    }
    columns
}

/// Arguments that nothing reads. Said only of a capability that is otherwise in order.
fn unused_arguments(
    findings: &mut Findings<'_>,
    at: &At<'_>,
    args: &[Argument],
    lookup: Option<&str>,
    proposal: &proposals::Proposal,
) {
    let Some(list) = at.get("args") else { return };
    let used = |name: &str| {
        let patched = |value: &PatchValue| matches!(value, PatchValue::FromArg(from) if from == name);
        lookup == Some(name) || proposal.patch.iter().any(|(_, value)| patched(value))
    };
    for argument in args.iter().filter(|argument| !used(&argument.name)) {
        findings.say(
            &d::UNUSED_ARGUMENT,
            list.key_of(&argument.name),
            format!("neither lookup nor patch uses `{}`", shown(&argument.name)),
        );
    }
}

fn settings_without_effect(findings: &mut Findings<'_>, at: &At<'_>, kind: Option<Kind>) {
    let rows = findings.optional(at, "max_rows", &d::INVALID_MAX_ROWS, At::positive);
    if rows.is_some_and(|rows| rows > 1) {
        findings.inert(at, &["max_rows"], "a capability reads exactly one row");
    }
    findings.optional(at, "evidence", &d::INVALID_EVIDENCE, |at| (at.node.as_str() == Some("required")).then_some(()));
    findings.inert(at, &["single_tenant_dev_ack"], "target.single_tenant_dev alone counts");
    if kind == Some(Kind::Read) {
        findings.inert(at, PROPOSAL_KEYS, "a read changes nothing");
    }
}

/// Whether what is proposed can be carried out.
fn writeback(findings: &mut Findings<'_>, at: &At<'_>, source: Option<&str>, executor: Option<&str>, names: &Names) {
    let direct = match executor {
        None => true,
        Some(name) => {
            names.executors.get(name).is_some_and(|executor| matches!(executor.kind, ExecutorKind::SqlUpdate))
        }
    };
    let Some(source) = source.filter(|_| direct).and_then(|name| names.sources.get(name)) else { return };
    if source.read_only {
        findings.report(&d::READ_ONLY_SOURCE_DIRECT_WRITEBACK, at.spot_of("source"));
    } else if names.mode == Some(Mode::Review) && source.write_url_env.is_none() {
        findings.report(&d::WRITEBACK_DISABLED, at.spot_of("source"));
    }
}
