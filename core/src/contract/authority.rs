//! What a capability may do, as one digest. A proposal is bound to it: whoever changes the contract after a review cannot
//! have the old decision carry the new meaning. Words for the model are left out; they change nothing that can happen.

use serde_json::{Map, Value, json};

use super::exposure::Exposure;
use super::types::*;
use crate::primitives::{Digest, Identifier, Scalar, digest_of};

impl Contract {
    /// The digest of what this capability may do: SHA-256 over canonical JSON of its name, kind, source, target,
    /// arguments' limits, columns, patch, bounds, transitions, guard, role, executor, and whom it is offered to as what. The order in which the file
    /// lists arguments or columns does not matter; descriptions and hints are not in it.
    #[must_use]
    pub fn authority_digest(&self, capability: &Capability) -> Digest {
        let authority = self.authority(capability);
        // Only strings, truth values and nulls are in it, so the canonical form always exists. Were that ever untrue, the
        // digest would still be one of this content and no other.
        digest_of(&authority).unwrap_or_else(|_| Digest::of(authority.to_string().as_bytes()))
    }

    fn authority(&self, capability: &Capability) -> Value {
        let source = self.sources.get(&capability.source);
        let target = &capability.target;
        let mut authority = json!({
            "schema_version": "signoff.authority.v1",
            "name": capability.name,
            "kind": match capability.kind { Kind::Read => "read", Kind::Proposal => "proposal" },
            "source": {
                "name": capability.source,
                "engine": source.map(|source| source.engine.as_str()),
                "read_only": source.is_some_and(|source| source.read_only),
            },
            "target": {
                "schema": target.schema.as_str(),
                "table": target.table.as_str(),
                "primary_key": target.primary_key.as_str(),
                "tenant_key": target.tenant_key.as_ref().map(Identifier::as_str),
            },
            "args": object(capability.args.iter().map(|argument| (argument.name.clone(), limits(argument)))),
            "lookup_arg": capability.lookup_arg,
            "visible_columns": names(&capability.visible_columns),
            "allowed_columns": names(&capability.allowed_columns),
            "patch": object(capability.patch.iter().map(|(column, value)| (column.to_string(), patch(value)))),
            "numeric_bounds": object(capability.numeric_bounds.iter().map(|(column, bounds)| {
                (column.to_string(), json!({"minimum": optional(bounds.minimum.as_ref()), "maximum": optional(bounds.maximum.as_ref())}))
            })),
            "transition_guards": object(capability.transition_guards.iter().map(|(column, guard)| {
                let allowed = guard.allowed.iter().map(|(from, to)| (from.clone(), strings(to.iter().map(String::as_str))));
                (column.to_string(), json!({"from_column": guard.from_column.as_str(), "allowed": object(allowed)}))
            })),
            "conflict_guard": match &capability.conflict_guard {
                None => Value::Null,
                Some(ConflictGuard::Column(column)) => json!({"column": column.as_str()}),
                Some(ConflictGuard::RowHash) => json!({"row_hash": true}),
            },
            "required_role": capability.required_role,
            "executor": self.executor_authority(capability),
        });
        // Only what is said: a contract of v1 keeps its digests. What a tool was when it was reviewed is words for the model.
        let exposure = Exposure { tool_digest: None, ..capability.exposure.clone() };
        if let (true, Some(authority)) = (exposure != Exposure::of_kind(capability.kind), authority.as_object_mut()) {
            let said = json!({
                "scope": exposure.scope.as_str(),
                "policy_hint": exposure.policy_hint.as_str(),
                "roles": exposure.roles,
            });
            authority.insert("signoff".to_owned(), said);
        }
        authority
    }

    fn executor_authority(&self, capability: &Capability) -> Value {
        let name = capability.executor.as_deref().unwrap_or("sql_update");
        let kind = self.executors.get(name).map_or(&ExecutorKind::SqlUpdate, |executor| &executor.kind);
        let mut settings = match kind {
            ExecutorKind::SqlUpdate => json!({}),
            ExecutorKind::HttpHandler { url_env, method, token_env, signing_secret_env, timeout_ms, .. } => json!({
                "url_env": url_env, "method": method, "token_env": token_env,
                "signing_secret_env": signing_secret_env, "timeout_ms": timeout_ms.to_string(),
            }),
            ExecutorKind::CommandHandler { command_env, timeout_ms, .. } => {
                json!({"command_env": command_env, "timeout_ms": timeout_ms.to_string()})
            }
        };
        // Only what is said: a contract of v1 keeps its digests.
        if let (
            ExecutorKind::HttpHandler { settings: ours, .. } | ExecutorKind::CommandHandler { settings: ours, .. },
            Some(settings),
        ) = (kind, settings.as_object_mut())
            && *ours != HandlerSettings::default()
        {
            settings.insert("signoff".to_owned(), handler_settings(ours));
        }
        json!({"name": name, "type": kind.as_str(), "settings": settings})
    }
}

fn handler_settings(settings: &HandlerSettings) -> Value {
    json!({
        "allow_private": settings.allow_private,
        "allow_unsigned": settings.allow_unsigned,
        "dry_run": settings.dry_run,
        "audience": settings.audience,
        "env": settings.env,
    })
}

fn object(entries: impl Iterator<Item = (String, Value)>) -> Value {
    Value::Object(entries.collect::<Map<_, _>>())
}

fn limits(argument: &Argument) -> Value {
    let kind = match argument.kind {
        ArgumentType::String => "string",
        ArgumentType::Number => "number",
        ArgumentType::Boolean => "boolean",
    };
    let allowed = argument.allowed.as_ref().map(|values| {
        let mut values: Vec<Value> = values.iter().map(typed).collect();
        values.sort_by_key(Value::to_string);
        values
    });
    json!({
        "type": kind,
        "required": argument.required,
        "max_length": argument.max_length.map(|length| length.to_string()),
        "minimum": optional(argument.minimum.as_ref()),
        "maximum": optional(argument.maximum.as_ref()),
        "enum": allowed,
    })
}

fn patch(value: &PatchValue) -> Value {
    match value {
        PatchValue::Fixed(scalar) => json!({"fixed": typed(scalar)}),
        PatchValue::FromArg(name) => json!({"from_arg": name}),
    }
}

fn optional(scalar: Option<&Scalar>) -> Value {
    scalar.map_or(Value::Null, typed)
}

/// A scalar that keeps apart what the wire merges: the number 1.5 and the string "1.5".
fn typed(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Null => json!({"null": true}),
        Scalar::Bool(value) => Value::Bool(*value),
        Scalar::Text(text) => json!({"text": text}),
        number => json!({"number": number.to_text()}),
    }
}

fn names(columns: &[Identifier]) -> Value {
    strings(columns.iter().map(Identifier::as_str))
}

fn strings<'a>(texts: impl Iterator<Item = &'a str>) -> Value {
    let sorted: std::collections::BTreeSet<&str> = texts.collect();
    json!(sorted)
}
