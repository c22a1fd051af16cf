//! The scoped read: one authorised row, with evidence and an audit of the query. Denied reads are audited too.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Runtime;
use super::arguments::{Arguments, check};
use super::context::{Bound, Caller};
use crate::catalogue::{self, Envelope, ResultFormat};
use crate::contract::{Capability, ConflictGuard, Kind, Mode, Source};
use crate::database::{RowRead, ScopedRead};
use crate::error::{Code, Error, Result};
use crate::guard::ColumnType;
use crate::ledger::{NewEvidence, NewRead};
use crate::primitives::{Digest, Identifier, Redactor, Scalar, digest_of, looks_secret};

/// The answer to a read.
#[derive(Debug, Clone)]
pub struct ReadAnswer {
    /// The capability.
    pub action: String,
    /// The contract's mode.
    pub mode: Mode,
    /// The kind of object: its table.
    pub object_type: String,
    /// The object.
    pub object_id: String,
    /// The visible columns, secrets redacted, in the contract's order.
    pub data: Vec<(Identifier, Scalar)>,
    /// The declared type of each column, where the engine tells.
    pub types: BTreeMap<Identifier, ColumnType>,
    /// The tenant.
    pub tenant: String,
    /// The principal.
    pub principal: String,
    /// Where the two came from.
    pub provenance: String,
    /// The evidence recorded for it.
    pub evidence_id: String,
}

impl ReadAnswer {
    /// The answer as an agent gets it.
    #[must_use]
    pub fn envelope(&self, format: ResultFormat) -> Envelope {
        let data = self.data.iter().map(|(column, value)| (column.to_string(), value.to_json())).collect();
        let answer = catalogue::ReadAnswer {
            action: self.action.clone(),
            mode: self.mode,
            object_type: self.object_type.clone(),
            object_id: self.object_id.clone(),
            data,
            tenant_id: Some(self.tenant.clone()),
            principal: self.principal.clone(),
            provenance: self.provenance.clone(),
            evidence_bundle_id: self.evidence_id.clone(),
        };
        catalogue::read_envelope(&answer, format)
    }
}

/// A row in hand, before anything was recorded.
pub(super) struct Found {
    pub bound: Bound,
    pub arguments: Arguments,
    pub key: Scalar,
    pub row: RowRead,
    /// The row as it is shown and recorded: secrets redacted.
    pub shown: BTreeMap<Identifier, Scalar>,
    pub fingerprint: Digest,
    pub evidence_id: String,
}

impl Runtime {
    /// Answers a read capability. `arguments` is the text of a JSON object. Cancel-safe: nothing but the audit is written.
    ///
    /// # Errors
    /// `MCP_TOOL_NOT_FOUND`, `ARGUMENT_*`, `MODEL_CANNOT_OVERRIDE_BINDING`, `TRUSTED_*`, `ROW_NOT_FOUND`, those of
    /// [`crate::database::Database::read`] and of the ledger. Each is audited before it is answered.
    pub async fn read(&self, capability: &str, arguments: &str, caller: &Caller) -> Result<ReadAnswer> {
        let result = self.read_row(capability, arguments, caller, Kind::Read).await;
        let (capability, found) = self.audited(capability, caller, result).await?;
        let audit = self.answered(capability, &found);
        let record = NewRead {
            at: self.clock.now(),
            actor: found.bound.principal.clone(),
            evidence: Some(NewEvidence { id: found.evidence_id.clone(), document: evidence(capability, &found) }),
            audit,
        };
        self.ledger.record_read(record).await?;
        let data = capability
            .visible_columns
            .iter()
            .filter_map(|column| Some((column.clone(), found.shown.get(column)?.clone())))
            .collect();
        Ok(ReadAnswer {
            action: capability.name.clone(),
            mode: self.need_contract()?.mode,
            object_type: capability.target.table.to_string(),
            object_id: found.key.to_text().unwrap_or_default(),
            data,
            types: found.row.types,
            tenant: found.bound.tenant,
            principal: found.bound.principal,
            provenance: found.bound.provenance.to_owned(),
            evidence_id: found.evidence_id,
        })
    }

    /// Everything up to the row, in the order in which a caller may learn of it.
    pub(super) async fn read_row(
        &self,
        name: &str,
        arguments: &str,
        caller: &Caller,
        kind: Kind,
    ) -> Result<(&Capability, Found)> {
        let contract = self.need_contract()?;
        let unknown = || Error::new(Code::CapabilityNotFound).with("capability", name);
        // What is not offered is answered as what is not there.
        let offered = contract.capability(name).filter(|capability| caller.is_offered(capability));
        let capability = offered.ok_or_else(unknown)?;
        if capability.kind == Kind::Proposal && contract.mode == Mode::ReadOnly {
            return Err(Code::ProposalsDisabled.into());
        }
        if capability.kind != kind {
            let kind = if capability.kind == Kind::Read { "read" } else { "proposal" };
            return Err(Error::new(Code::CapabilityKindMismatch).with("capability", name).with("kind", kind));
        }
        let arguments = check(capability, arguments)?;
        let source = self.source(&capability.source)?;
        let bound = self.bind(capability, caller)?;
        let key = arguments
            .get(&capability.lookup_arg)
            .cloned()
            .ok_or_else(|| Error::new(Code::LookupArgMissing).with("argument", &capability.lookup_arg))?;
        let columns = read_columns(capability);
        let request = ScopedRead {
            schema: capability.target.schema.clone(),
            table: capability.target.table.clone(),
            key_column: capability.target.primary_key.clone(),
            key_value: key.to_text().unwrap_or_default(),
            tenant: capability.target.tenant_key.clone().map(|column| (column, bound.tenant.clone())),
            columns: columns.clone(),
            patch: super::propose::wanted(capability, &arguments),
        };
        let row = self.database(source, &source.read_url_env)?.read(request).await?.ok_or(Code::RowNotFound)?;
        let redactor = self.ledger.redactor();
        let shown = row.values.iter().map(|(column, value)| (column.clone(), redact(value, &redactor))).collect();
        let fingerprint = query_fingerprint(source, capability, &columns, &bound)?;
        // The key as the row itself has it: a number stays one.
        let key = row.values.get(&capability.target.primary_key).cloned().unwrap_or(key);
        if key.to_text().is_some_and(|text| looks_secret(&text)) {
            return Err(Error::new(Code::SecretMaterialRejected).with("path", "/primary_key"));
        }
        Ok((
            capability,
            Found { bound, arguments, key, row, shown, fingerprint, evidence_id: format!("ev_{}", self.ids.uuid()) },
        ))
    }

    /// Passes a result on; an error is recorded first. If the audit cannot be written, that is the error.
    pub(super) async fn audited<T>(&self, name: &str, caller: &Caller, result: Result<T>) -> Result<T> {
        let Err(error) = result else { return result };
        // Whoever is known is recorded, also with a name of no tool: that is how one looks for hidden ones.
        let of_contract = || {
            let capability = self.contract()?.capability(name)?;
            self.bind(capability, caller).ok().map(|bound| (bound.tenant, bound.principal))
        };
        let bound = match caller {
            Caller::Trusted { tenant, principal, .. } => Some((tenant.clone(), principal.clone())),
            _ => of_contract(),
        };
        // A name that is in no contract is the caller's text: recorded only if it cannot be a secret.
        let name = if looks_secret(name) { "[redacted]".to_owned() } else { crate::error::printable(name) };
        let mut audit = json!({ "capability": name, "outcome": error.code() });
        if let (Some(bound), Some(object)) = (&bound, audit.as_object_mut()) {
            object.insert("tenant_id".to_owned(), Value::from(bound.0.as_str()));
            object.insert("principal".to_owned(), Value::from(bound.1.as_str()));
        }
        let actor = bound.map(|(_, principal)| principal).unwrap_or_default();
        self.ledger.record_read(NewRead { at: self.clock.now(), actor, evidence: None, audit }).await?;
        Err(error)
    }

    /// The audit of a query that was answered. Parameters are never in it. The evidence and the proposal it belongs to are
    /// those of the event it is recorded with.
    pub(super) fn answered(&self, capability: &Capability, found: &Found) -> Value {
        let target = &capability.target;
        let tenant = target.tenant_key.as_ref().map(|column| format!(" AND {column} = ?")).unwrap_or_default();
        json!({
            "capability": capability.name,
            "source_id": capability.source,
            "query_fingerprint": found.fingerprint,
            "table_name": format!("{}.{}", target.schema, target.table),
            "primary_key_value": found.key,
            "row_count": 1,
            "tenant_bound": target.tenant_key.is_some(),
            "condition": format!("{} = ?{tenant} LIMIT 2", target.primary_key),
            "parameters_redacted": true,
            "outcome": "answered",
        })
    }
}

/// Every column the row is read with: visible, key, tenant, version, and what the patch changes.
pub(super) fn read_columns(capability: &Capability) -> Vec<Identifier> {
    let mut columns: Vec<Identifier> = Vec::new();
    let version = match &capability.conflict_guard {
        Some(ConflictGuard::Column(column)) => Some(column),
        _ => None,
    };
    let all = capability
        .visible_columns
        .iter()
        .chain([&capability.target.primary_key])
        .chain(&capability.target.tenant_key)
        .chain(version)
        .chain(capability.patch.iter().map(|(column, _)| column));
    for column in all {
        if !columns.contains(column) {
            columns.push(column.clone());
        }
    }
    columns
}

fn redact(value: &Scalar, redactor: &Redactor) -> Scalar {
    match value {
        // What looks like a stand-in already is redacted too, or it would stand for something else.
        Scalar::Text(text) if looks_secret(text) || Redactor::is_redacted(text) => Scalar::Text(redactor.redact(text)),
        other => other.clone(),
    }
}

/// Names the query, not its parameters; the tenant is part of it, the object is not.
fn query_fingerprint(
    source: &Source,
    capability: &Capability,
    columns: &[Identifier],
    bound: &Bound,
) -> Result<Digest> {
    let target = &capability.target;
    digest_of(&json!({
        "source": source.name,
        "target": { "schema": target.schema, "table": target.table, "primary_key": target.primary_key, "tenant_key": target.tenant_key },
        "columns": columns,
        "tenant_bound": target.tenant_key.is_some(),
        "tenant": bound.tenant,
    }))
}

/// What was seen: visible columns only.
pub(super) fn evidence(capability: &Capability, found: &Found) -> Value {
    let target = &capability.target;
    let visible: Map<String, Value> = capability
        .visible_columns
        .iter()
        .filter_map(|column| Some((column.to_string(), found.shown.get(column)?.to_json())))
        .collect();
    let mut evidence = json!({
        "capability": capability.name,
        "source_id": capability.source,
        "target": format!("{}.{}", target.schema, target.table),
        "principal": found.bound.principal,
        "tenant_id": found.bound.tenant,
        "binding_provenance": found.bound.provenance,
        "source_database_changed": false,
        "items": [{
            "kind": "external_row",
            "primary_key": { "column": target.primary_key, "value": found.key },
            "visible_row": visible,
        }],
    });
    if let (false, Some(evidence)) = (found.bound.roles.is_empty(), evidence.as_object_mut()) {
        evidence.insert("roles".to_owned(), json!(found.bound.roles));
    }
    evidence
}
