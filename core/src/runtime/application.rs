//! What a tool of the application's own leaves in the ledger, and how its proposal is answered.

use serde_json::{Map, Value, json};

use super::Runtime;
use super::context::{Bound, Caller};
use super::propose::{ProposalAnswer, executor_name};
use crate::catalogue::{self, Envelope, ResultFormat};
use crate::contract::{Contract, Mode};
use crate::error::{Code, Error, Result};
use crate::ledger::{NewEvidence, NewRead, ProposalRecord};
use crate::primitives::{Redactor, looks_secret};
use crate::protocol::PrincipalSource;

impl Runtime {
    /// Who calls: tenant, principal, and where the two come from. Without a trusted caller the provider of this capability's
    /// context says.
    ///
    /// # Errors
    /// `TRUSTED_BINDING_MISSING`, `TRUSTED_CONTEXT_MISSING`, `MCP_TOOL_NOT_FOUND`.
    pub fn identify(&self, capability: Option<&str>, caller: &Caller) -> Result<(String, String, &'static str)> {
        let Bound { tenant, principal, provenance, .. } = self.bound(capability, caller)?;
        Ok((tenant, principal, provenance))
    }

    fn bound(&self, capability: Option<&str>, caller: &Caller) -> Result<Bound> {
        let contract = self.need_contract()?;
        if let (None, Caller::FromContract | Caller::Operator) = (capability, caller) {
            return Err(Error::new(Code::TrustedBindingMissing)
                .with("context", "call")
                .with("binding", "tenant and principal")
                .with("variable", "them in the context of the call"));
        }
        // A trusted caller is bound whatever the capability: any will do.
        let named = capability.and_then(|name| contract.capability(name)).or_else(|| contract.capabilities.first());
        let named = named
            .ok_or_else(|| Error::new(Code::CapabilityNotFound).with("capability", capability.unwrap_or_default()))?;
        self.bind(named, caller)
    }

    /// Records what a tool of the application's own answered, with secrets redacted, and answers it so.
    ///
    /// # Errors
    /// Those of [`Self::identify`] and of the ledger.
    pub async fn record_application_read(
        &self,
        tool: &str,
        capability: Option<&str>,
        arguments: &Value,
        output: Value,
        caller: &Caller,
    ) -> Result<catalogue::ReadAnswer> {
        let Bound { tenant, principal, roles, provenance } = self.bound(capability, caller)?;
        let redactor = self.ledger.redactor();
        let output = redacted(output, &redactor);
        let id = format!("ev_{}", self.ids.uuid());
        let mut document = json!({
            "capability": tool,
            "source_id": "application",
            "principal": principal,
            "tenant_id": tenant,
            "binding_provenance": provenance,
            "source_database_changed": false,
            "items": [{ "kind": "application_answer", "arguments": redacted(arguments.clone(), &redactor), "answer": output }],
        });
        if let (false, Some(document)) = (roles.is_empty(), document.as_object_mut()) {
            document.insert("roles".to_owned(), json!(roles));
        }
        let audit = json!({
            "capability": tool,
            "source_id": "application",
            "tenant_id": tenant,
            "principal": principal,
            "outcome": "answered",
        });
        let evidence = Some(NewEvidence { id: id.clone(), document });
        let read = NewRead { at: self.clock.now(), actor: principal.clone(), evidence, audit };
        self.ledger.record_read(read).await?;
        let data = match output {
            Value::Object(data) => data,
            other => Map::from_iter([("answer".to_owned(), other)]),
        };
        Ok(catalogue::ReadAnswer {
            action: tool.to_owned(),
            mode: self.contract().map_or(Mode::Review, |contract| contract.mode),
            object_type: "application".to_owned(),
            object_id: tool.to_owned(),
            data,
            tenant_id: Some(tenant),
            principal,
            provenance: provenance.to_owned(),
            evidence_bundle_id: id,
        })
    }

    /// Records that a call of a tool of the application's own came to nothing, and why; answers the error.
    ///
    /// # Errors
    /// Those of the ledger: what cannot be recorded is not answered.
    pub async fn record_application_refusal(
        &self,
        tool: &str,
        capability: Option<&str>,
        error: Error,
        caller: &Caller,
    ) -> Result<Error> {
        let mut audit = json!({ "capability": tool, "source_id": "application", "outcome": error.code() });
        let mut actor = String::new();
        if let (Ok(bound), Some(audit)) = (self.bound(capability, caller), audit.as_object_mut()) {
            audit.insert("tenant_id".to_owned(), bound.tenant.into());
            audit.insert("principal".to_owned(), bound.principal.as_str().into());
            actor = bound.principal;
        }
        self.ledger.record_read(NewRead { at: self.clock.now(), actor, evidence: None, audit }).await?;
        Ok(error)
    }

    /// The envelope of a proposal that is in the ledger, as an agent gets it.
    #[must_use]
    pub fn proposal_envelope(&self, record: &ProposalRecord, format: ResultFormat) -> Envelope {
        let set = &record.change_set;
        let capability = self.contract().and_then(|contract: &Contract| contract.capability(&set.action));
        let answer = ProposalAnswer {
            change_set: set.clone(),
            state: record.state,
            existing: false,
            superseded: None,
            visible: capability.map(|capability| capability.visible_columns.clone()).unwrap_or_default(),
            types: record.facts.types.clone(),
            executor: capability.map_or_else(|| "sql_update".to_owned(), executor_name),
            direct_sql: !self.is_app_owned(record),
            provenance: source_word(set.principal.source),
        };
        answer.envelope(format)
    }
}

/// The word on the wire.
fn source_word(source: PrincipalSource) -> String {
    serde_json::to_value(source).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Every text in it that looks like a secret, replaced.
fn redacted(value: Value, redactor: &Redactor) -> Value {
    match value {
        Value::String(text) if looks_secret(&text) || Redactor::is_redacted(&text) => redactor.redact(&text).into(),
        Value::Array(items) => items.into_iter().map(|item| redacted(item, redactor)).collect(),
        Value::Object(members) => {
            let name = |name: String| if looks_secret(&name) { redactor.redact(&name) } else { name };
            Value::Object(members.into_iter().map(|(key, member)| (name(key), redacted(member, redactor))).collect())
        }
        other => other,
    }
}
