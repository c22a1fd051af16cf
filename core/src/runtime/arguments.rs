//! The model's arguments: strict JSON in, exact scalars out. Nothing here passes through a float.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::contract::{Argument, ArgumentType, Capability, RESERVED_ARGUMENTS};
use crate::error::{Code, Error, Result};
use crate::primitives::{Scalar, compare_decimals, json};

/// Checked arguments by name; an optional one that was left out is not in it.
pub(super) type Arguments = BTreeMap<String, Scalar>;

pub(super) fn check(capability: &Capability, text: &str) -> Result<Arguments> {
    let invalid = |problem: String| {
        Error::new(Code::ArgumentsInvalid).with("capability", &capability.name).with("problem", problem)
    };
    let node = json::parse(text).map_err(|error| invalid(error.message()))?;
    let entries = node.as_object().ok_or_else(|| invalid("it is another kind of value".to_owned()))?;
    if let Some((name, _)) = entries.iter().find(|(name, _)| RESERVED_ARGUMENTS.contains(&name.as_str())) {
        return Err(Error::new(Code::ModelCannotOverrideBinding).with("argument", name));
    }
    if let Some((name, _)) =
        entries.iter().find(|(name, _)| !capability.args.iter().any(|argument| argument.name == *name))
    {
        let known: Vec<&str> = capability.args.iter().map(|argument| argument.name.as_str()).collect();
        return Err(Error::new(Code::ArgumentUnknown)
            .with("argument", name)
            .with("capability", &capability.name)
            .with("known", known.join(", ")));
    }
    let mut checked = Arguments::new();
    for argument in &capability.args {
        match node.get(&argument.name) {
            Some(given) => {
                let value = given.scalar().ok_or_else(|| wrong_type(argument))?;
                check_one(argument, &value)?;
                checked.insert(argument.name.clone(), value);
            }
            None if argument.required => {
                return Err(Error::new(Code::ArgumentRequired).with("argument", &argument.name));
            }
            None => {}
        }
    }
    Ok(checked)
}

fn wrong_type(argument: &Argument) -> Error {
    let expected = match argument.kind {
        ArgumentType::String => "string",
        ArgumentType::Number => "number",
        ArgumentType::Boolean => "boolean",
    };
    Error::new(Code::ArgumentTypeInvalid).with("argument", &argument.name).with("expected", expected)
}

fn check_one(argument: &Argument, value: &Scalar) -> Result<()> {
    let fits = match (argument.kind, value) {
        // No engine stores NUL in text as it is.
        (ArgumentType::String, Scalar::Text(text)) => !text.contains('\0'),
        (ArgumentType::Number, Scalar::Int(_) | Scalar::UInt(_) | Scalar::Decimal(_))
        | (ArgumentType::Boolean, Scalar::Bool(_)) => true,
        _ => false,
    };
    if !fits {
        return Err(wrong_type(argument));
    }
    if let (Some(limit), Scalar::Text(text)) = (argument.max_length, value)
        && text.encode_utf16().count() as u64 > limit
    {
        return Err(Error::new(Code::ArgumentTooLong).with("argument", &argument.name).with("limit", limit));
    }
    if let Some(number) = value.as_number_text() {
        if let Some(limit) = beyond(&number, argument.minimum.as_ref(), Ordering::Less) {
            return Err(Error::new(Code::ArgumentBelowMinimum).with("argument", &argument.name).with("limit", limit));
        }
        if let Some(limit) = beyond(&number, argument.maximum.as_ref(), Ordering::Greater) {
            return Err(Error::new(Code::ArgumentAboveMaximum).with("argument", &argument.name).with("limit", limit));
        }
    }
    if let Some(allowed) = &argument.allowed
        && !allowed.iter().any(|item| item.same(value))
    {
        let words: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        return Err(Error::new(Code::ArgumentNotAllowed)
            .with("argument", &argument.name)
            .with("allowed", words.join(", ")));
    }
    Ok(())
}

/// The limit, if the number lies on the wrong side of it. A limit that does not compare is crossed.
pub(super) fn beyond(number: &str, limit: Option<&Scalar>, wrong: Ordering) -> Option<String> {
    let limit = limit?;
    let text = limit.as_number_text();
    let crossed =
        text.as_deref().and_then(|text| compare_decimals(number, text)).is_none_or(|ordering| ordering == wrong);
    crossed.then(|| text.unwrap_or_default())
}
