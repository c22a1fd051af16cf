//! `args` of a capability: what the model may say.

use std::cmp::Ordering;

use super::reader::{At, Findings, is_safe_name};
use super::reversed;
use crate::contract::concealed::shown;
use crate::contract::diagnostics as d;
use crate::contract::keys;
use crate::contract::types::{Argument, ArgumentType};
use crate::primitives::json::NodeValue;
use crate::primitives::{Scalar, compare_decimals};

/// What only the contract or the trusted context may say, without `_` and in lower case, so that no spelling slips by.
const RESERVED: &[&str] = &[
    "tenantid",
    "principal",
    "principalid",
    "projectid",
    "sourceid",
    "allowedcolumns",
    "rowversion",
    "currentversion",
    "expectedversion",
    "approvalidentity",
    "table",
    "tablename",
    "schema",
    "schemaname",
    "column",
    "columns",
    "columnname",
    "database",
    "databasename",
];

/// Names that are not plain keys in JavaScript.
const UNSAFE_KEYS: &[&str] = &["__proto__", "constructor", "prototype"];

/// The arguments, and every name that stands in the file.
pub(super) fn read<'n>(findings: &mut Findings<'_>, capability: &At<'n>) -> (Vec<Argument>, Vec<&'n str>) {
    let members = capability.get("args").and_then(|args| args.members()).unwrap_or_default();
    if members.is_empty() {
        findings.report(&d::ARGS_REQUIRED, capability.spot_of("args"));
    }
    let names = members.iter().map(|(name, _)| *name).collect();
    (members.iter().filter_map(|(name, at)| argument(findings, name, at)).collect(), names)
}

fn argument(findings: &mut Findings<'_>, name: &str, at: &At<'_>) -> Option<Argument> {
    let plain: String = name.chars().filter(|c| !matches!(c, '_' | '-' | '.')).flat_map(char::to_lowercase).collect();
    if RESERVED.contains(&plain.as_str()) {
        let message =
            format!("`{}` may not be an argument: it comes from the contract or the trusted context", shown(name));
        findings.say(&d::MODEL_CONTROLLED_RESERVED_ARG, at.key(), message);
    } else if !is_safe_name(name) || UNSAFE_KEYS.contains(&name) {
        findings.report(&d::INVALID_ARG_NAME, at.key());
    }
    if !at.is_object() {
        findings.report(&d::ARG_NOT_OBJECT, at.spot());
        return None;
    }
    findings.closed(at, &keys::ARGUMENT);
    let kind = findings.required(at, "type", &d::INVALID_ARG_TYPE, |at| match at.node.as_str()? {
        "string" => Some(ArgumentType::String),
        "number" => Some(ArgumentType::Number),
        "boolean" => Some(ArgumentType::Boolean),
        _ => None,
    });
    let description =
        findings.optional(at, "description", &d::INVALID_ARG_DESCRIPTION, |at| at.text().map(str::to_owned));
    let required = findings.boolean(at, "required", true);
    let max_length = findings.optional(at, "max_length", &d::INVALID_MAX_LENGTH, At::positive);
    if kind.is_some_and(|kind| kind != ArgumentType::String) {
        findings.inert(at, &["max_length"], "only strings have a length");
    }
    let (minimum, maximum) = bounds(findings, at);
    if kind.is_some_and(|kind| kind != ArgumentType::Number) {
        for key in ["minimum", "maximum"].into_iter().filter(|key| at.get(key).is_some()) {
            findings.report(&d::NUMERIC_BOUNDS_REQUIRE_NUMBER, at.spot_of(key));
        }
    }
    let mut argument = Argument {
        name: name.to_owned(),
        kind: kind?,
        description,
        required,
        // What has no effect is no part of what a capability may do.
        max_length: max_length.filter(|_| kind == Some(ArgumentType::String)),
        minimum,
        maximum,
        allowed: None,
    };
    argument.allowed = allowed(findings, at, &argument);
    Some(argument)
}

/// `minimum` and `maximum` of an argument or of a column.
pub(super) fn bounds(findings: &mut Findings<'_>, at: &At<'_>) -> (Option<Scalar>, Option<Scalar>) {
    let minimum = findings.optional(at, "minimum", &d::INVALID_MINIMUM, At::number);
    let maximum = findings.optional(at, "maximum", &d::INVALID_MAXIMUM, At::number);
    if reversed(minimum.as_ref(), maximum.as_ref()) {
        findings.report(&d::INVALID_NUMERIC_RANGE, at.spot());
    }
    (minimum, maximum)
}

fn allowed(findings: &mut Findings<'_>, at: &At<'_>, argument: &Argument) -> Option<Vec<Scalar>> {
    let list = at.get("enum")?;
    let items = list.items().unwrap_or_default();
    if items.is_empty() {
        findings.report(&d::INVALID_ENUM, list.spot());
    }
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        let value = match argument.kind {
            ArgumentType::Number => item.number(),
            ArgumentType::String => item.node.as_str().map(Scalar::from),
            ArgumentType::Boolean => item.node.scalar().filter(|_| matches!(item.node.value, NodeValue::Bool(_))),
        };
        let Some(value) = value else {
            findings.report(&d::INVALID_ENUM, item.spot());
            continue;
        };
        if excluded(&value, argument) {
            findings.report(&d::ENUM_VALUE_UNREACHABLE, item.spot());
        }
        values.push(value);
    }
    Some(values)
}

/// True if another limit of the argument keeps this value out.
fn excluded(value: &Scalar, argument: &Argument) -> bool {
    if let (Scalar::Text(text), Some(limit)) = (value, argument.max_length) {
        return u64::try_from(text.encode_utf16().count()).is_ok_and(|length| length > limit);
    }
    outside(value, argument.minimum.as_ref(), argument.maximum.as_ref())
}

/// True if `value` is a number below the minimum or above the maximum.
pub(super) fn outside(value: &Scalar, minimum: Option<&Scalar>, maximum: Option<&Scalar>) -> bool {
    let against =
        |limit: Option<&Scalar>| compare_decimals(&value.as_number_text()?, &limit.and_then(Scalar::as_number_text)?);
    against(minimum) == Some(Ordering::Less) || against(maximum) == Some(Ordering::Greater)
}
