//! From a row and arguments to a sealed change set.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Runtime;
use super::arguments::{Arguments, beyond};
use super::context::Caller;
use super::read::{Found, evidence};
use crate::catalogue::{self, Envelope, ResultFormat};
use crate::contract::{Capability, ConflictGuard, Engine, ExecutorKind, Kind, Mode, PatchValue};
use crate::error::{Code, Error, Result};
use crate::guard::{ColumnType, Dialect, row_hash};
use crate::ledger::{Facts, NewEvidence, NewProposal, NewRead, ProposalRecord, Recorded};
use crate::primitives::{Identifier, Instant, Scalar, looks_secret};
use crate::protocol::{
    Approval, ApprovalStatus, ChangeSet, ChangeSetMode, ChangeSetSchema, ChangeSource, ColumnValue, Evidence, Guards,
    Integrity, Principal, PrincipalSource, ROW_HASH_COLUMN, SINGLE_TENANT_COLUMN, Scope, SourceKind, State, Writeback,
    WritebackMode, WritebackStatus,
};

/// The answer to a proposal.
#[derive(Debug, Clone)]
pub struct ProposalAnswer {
    /// The change set: what was proposed, with its hash.
    pub change_set: ChangeSet,
    /// The proposal's state.
    pub state: State,
    /// True if exactly this had been proposed before and is still open.
    pub existing: bool,
    /// The older proposal that this one took the place of.
    pub superseded: Option<String>,
    /// The columns the model may see.
    pub visible: Vec<Identifier>,
    /// The declared type of each column, where the engine tells.
    pub types: BTreeMap<Identifier, ColumnType>,
    /// The name of the executor.
    pub executor: String,
    /// True: one guarded UPDATE; false: the application's own handler.
    pub direct_sql: bool,
    /// Where tenant and principal came from.
    pub provenance: String,
}

impl ProposalAnswer {
    /// The answer as an agent gets it: of a column that it may not see, only what it proposed.
    #[must_use]
    pub fn envelope(&self, format: ResultFormat) -> Envelope {
        let set = &self.change_set;
        let diff = set.patch.iter().map(|(column, proposed)| {
            let mut entry = Map::new();
            if self.visible.contains(column) {
                entry.insert("before".to_owned(), set.before.get(column).unwrap_or(&Scalar::Null).to_json());
            }
            entry.insert("proposed".to_owned(), proposed.to_json());
            (column.to_string(), Value::Object(entry))
        });
        let answer = catalogue::ProposalAnswer {
            action: set.action.clone(),
            object_type: set.scope.business_object.clone(),
            object_id: set.scope.object_id.clone(),
            tenant_id: Some(set.scope.tenant_id.clone()),
            principal: set.principal.id.clone(),
            provenance: self.provenance.clone(),
            evidence_bundle_id: set.evidence.bundle_id.clone(),
            proposal_id: set.proposal_id.clone(),
            proposal_version: u64::from(set.proposal_version),
            proposal_hash: set.integrity.proposal_hash.clone(),
            state: self.state.v1_word().to_owned(),
            diff: diff.collect(),
            executor: self.executor.clone(),
            direct_sql: self.direct_sql,
            shadow: set.mode == ChangeSetMode::Shadow,
            existing: self.existing,
        };
        catalogue::proposal_envelope(&answer, format)
    }
}

impl Runtime {
    /// Proposes a change. `arguments` is the text of a JSON object. The source is only read. Cancel-safe: the proposal
    /// exists whole or not at all, and proposing it again answers the existing one.
    ///
    /// # Errors
    /// Those of [`Runtime::read`], and `PROPOSALS_DISABLED`, `PATCH_*`, `NO_CHANGE`, `VALUE_NOT_REPRESENTABLE`,
    /// `COLUMN_TYPE_MIXED`, `COLUMN_NOT_PATCHABLE`, `VERSION_IS_NULL`, `SECRET_MATERIAL_REJECTED`, `PROPOSAL_ACTIVE`.
    pub async fn propose(&self, capability: &str, arguments: &str, caller: &Caller) -> Result<ProposalAnswer> {
        let result = self.read_row(capability, arguments, caller, Kind::Proposal).await;
        let (definition, found) = self.audited(capability, caller, result).await?;
        let now = self.clock.now();
        let built = self.build(definition, &found, now);
        let proposal = self.audited(capability, caller, built).await?;
        let (change_set, provenance) = (proposal.change_set.clone(), found.bound.provenance);
        let executors = &self.need_contract()?.executors;
        let named = definition.executor.as_ref().and_then(|name| executors.get(name));
        let direct_sql = named.is_none_or(|executor| matches!(executor.kind, ExecutorKind::SqlUpdate));
        let recorded = self.ledger.record_proposal(proposal).await;
        let answer = |change_set, state, existing, superseded| ProposalAnswer {
            change_set,
            state,
            existing,
            superseded,
            visible: definition.visible_columns.clone(),
            types: found.row.types.clone(),
            executor: executor_name(definition),
            direct_sql,
            provenance: provenance.to_owned(),
        };
        Ok(match self.audited(capability, caller, recorded).await? {
            Recorded::New { superseded } => answer(change_set, State::PendingReview, false, superseded),
            Recorded::Existing(record) => {
                let ProposalRecord { change_set, state, .. } = *record;
                answer(change_set, state, true, None)
            }
        })
    }

    fn build(&self, capability: &Capability, found: &Found, now: Instant) -> Result<NewProposal> {
        let contract = self.need_contract()?;
        let source = self.source(&capability.source)?;
        let patch = patch(capability, found)?;
        let before = found.shown.clone();
        let mut after = before.clone();
        after.extend(patch.clone());
        let target = &capability.target;
        let expected_version = expected_version(capability, found)?;
        let tenant = match &target.tenant_key {
            Some(column) => ColumnValue { column: column.clone(), value: found.bound.tenant.as_str().into() },
            None => ColumnValue { column: Identifier::new(SINGLE_TENANT_COLUMN)?, value: "single_tenant_dev".into() },
        };
        let proposal_id = format!("wrp_{}", self.ids.uuid());
        let change_set = ChangeSet {
            schema_version: ChangeSetSchema::V1,
            proposal_id,
            proposal_version: 1,
            action: capability.name.clone(),
            mode: if contract.mode == Mode::Shadow { ChangeSetMode::Shadow } else { ChangeSetMode::ReviewRequired },
            principal: Principal {
                id: found.bound.principal.clone(),
                source: principal_source(found.bound.provenance),
            },
            scope: Scope {
                tenant_id: found.bound.tenant.clone(),
                business_object: target.table.to_string(),
                object_id: found.key.to_text().unwrap_or_default(),
            },
            source: ChangeSource {
                kind: match source.engine {
                    Engine::Postgres => SourceKind::ExternalPostgres,
                    Engine::Mysql => SourceKind::ExternalMysql,
                    Engine::Sqlite => SourceKind::ExternalSqlite,
                },
                source_id: source.name.clone(),
                schema: target.schema.clone(),
                table: target.table.clone(),
                primary_key: ColumnValue { column: target.primary_key.clone(), value: found.key.clone() },
            },
            before,
            patch,
            after,
            guards: Guards { tenant, allowed_columns: capability.allowed_columns.clone(), expected_version },
            evidence: Evidence {
                bundle_id: found.evidence_id.clone(),
                query_fingerprint: found.fingerprint.to_string(),
                items: Vec::new(),
                extra: Default::default(),
            },
            approval: Approval {
                status: ApprovalStatus::Pending,
                required_role: capability.required_role.clone(),
                extra: Default::default(),
            },
            writeback: Writeback {
                status: WritebackStatus::NotApplied,
                mode: WritebackMode::TrustedWorkerRequired,
                executor: Some(executor_name(capability)),
                extra: Default::default(),
            },
            source_database_mutated: false,
            integrity: Integrity { proposal_hash: String::new() },
            created_at: now.to_string(),
        }
        .seal()?;
        change_set.validate()?;
        let facts = Facts {
            authority: self
                .authority(contract, &capability.name)
                .unwrap_or_else(|| contract.authority_digest(capability)),
            classes: found
                .row
                .classes
                .iter()
                .filter(|(column, class)| {
                    let shown = found.shown.get(*column).unwrap_or(&Scalar::Null);
                    dialect(source.engine).is_some_and(|dialect| dialect.plain_class(shown) != class.as_str())
                })
                .map(|(column, class)| (column.clone(), class.clone()))
                .collect(),
            types: found.row.types.clone(),
        };
        let read = NewRead {
            at: now,
            actor: found.bound.principal.clone(),
            evidence: Some(NewEvidence { id: found.evidence_id.clone(), document: evidence(capability, found) }),
            audit: self.answered(capability, found),
        };
        Ok(NewProposal { change_set, facts, read, expires_at: contract.proposal_ttl.end(now) })
    }
}

fn dialect(engine: Engine) -> Option<Dialect> {
    match engine {
        Engine::Sqlite => Some(Dialect::Sqlite),
        Engine::Postgres => Some(Dialect::Postgres),
        Engine::Mysql => None,
    }
}

pub(super) fn executor_name(capability: &Capability) -> String {
    capability.executor.clone().unwrap_or_else(|| "sql_update".to_owned())
}

fn principal_source(provenance: &str) -> PrincipalSource {
    match provenance {
        "environment" => PrincipalSource::Environment,
        "static_dev" => PrincipalSource::StaticDev,
        "cloud_session" => PrincipalSource::CloudSession,
        _ => PrincipalSource::TrustedSession,
    }
}

/// What the arguments want written. A column whose optional argument was left out is not in it: it stays untouched.
pub(super) fn wanted(capability: &Capability, arguments: &Arguments) -> BTreeMap<Identifier, Scalar> {
    capability
        .patch
        .iter()
        .filter_map(|(column, value)| match value {
            PatchValue::Fixed(value) => Some((column.clone(), value.clone())),
            PatchValue::FromArg(name) => arguments.get(name).map(|value| (column.clone(), value.clone())),
        })
        .collect()
}

/// The patch as the columns will show it, inside every bound.
fn patch(capability: &Capability, found: &Found) -> Result<BTreeMap<Identifier, Scalar>> {
    let mut patch = BTreeMap::new();
    for (column, value) in wanted(capability, &found.arguments) {
        check_bounds(capability, &column, &value)?;
        if value.to_text().is_some_and(|text| looks_secret(&text)) {
            return Err(Error::new(Code::SecretMaterialRejected).with("path", format!("/patch/{column}")));
        }
        let normal = found.row.normal.get(&column).map_or(value, |normal| normal.value.clone());
        check_transition(capability, found, &column, &normal)?;
        patch.insert(column, normal);
    }
    let changes =
        |(column, value): (&Identifier, &Scalar)| !found.row.values.get(column).is_some_and(|now| now.same(value));
    if patch.is_empty() || !patch.iter().any(changes) {
        return Err(Code::NoChange.into());
    }
    Ok(patch)
}

fn check_bounds(capability: &Capability, column: &Identifier, value: &Scalar) -> Result<()> {
    let Some(bounds) = capability.numeric_bounds.get(column) else { return Ok(()) };
    let number =
        value.as_number_text().ok_or_else(|| Error::new(Code::PatchBoundTypeInvalid).with("column", column))?;
    if let Some(limit) = beyond(&number, bounds.minimum.as_ref(), Ordering::Less) {
        return Err(Error::new(Code::PatchBelowMinimum).with("column", column).with("limit", limit));
    }
    if let Some(limit) = beyond(&number, bounds.maximum.as_ref(), Ordering::Greater) {
        return Err(Error::new(Code::PatchAboveMaximum).with("column", column).with("limit", limit));
    }
    Ok(())
}

fn check_transition(capability: &Capability, found: &Found, column: &Identifier, proposed: &Scalar) -> Result<()> {
    let Some(guard) = capability.transition_guards.get(column) else { return Ok(()) };
    let present = found.row.values.get(&guard.from_column);
    let (Some(Scalar::Text(from)), Scalar::Text(to)) = (present, proposed) else {
        return Err(Error::new(Code::PatchTransitionTypeInvalid).with("column", column));
    };
    if guard.allowed.get(from).is_some_and(|targets| targets.contains(to)) {
        Ok(())
    } else {
        Err(Error::new(Code::PatchTransitionNotAllowed).with("column", column))
    }
}

fn expected_version(capability: &Capability, found: &Found) -> Result<ColumnValue> {
    match &capability.conflict_guard {
        None => Err(Error::new(Code::ConflictGuardMissing).with("capability", &capability.name)),
        Some(ConflictGuard::RowHash) => {
            Ok(ColumnValue { column: Identifier::new(ROW_HASH_COLUMN)?, value: Scalar::Text(row_hash(&found.shown)?) })
        }
        Some(ConflictGuard::Column(column)) => {
            let value = found.row.values.get(column).cloned().unwrap_or(Scalar::Null);
            let class = found.row.classes.get(column).map_or("", String::as_str);
            if value == Scalar::Null {
                return Err(Error::new(Code::VersionIsNull).with("column", column));
            }
            // The storage class of SQLite, or the type of Postgres: a domain compares as what is below it.
            let declared = found.row.plain_types.get(column).or_else(|| found.row.types.get(column));
            let declared = declared.map_or("", ColumnType::as_str);
            let class = if matches!(declared, "real" | "double precision") { declared } else { class };
            if matches!(class, "real" | "double precision") {
                return Err(Error::new(Code::VersionTypeUnsupported).with("column", column).with("class", class));
            }
            if value.to_text().is_some_and(|text| looks_secret(&text)) {
                return Err(Error::new(Code::SecretMaterialRejected).with("path", format!("/before/{column}")));
            }
            Ok(ColumnValue { column: column.clone(), value })
        }
    }
}
