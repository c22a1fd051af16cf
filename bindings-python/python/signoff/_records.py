"""What calls answer, as frozen dataclasses. Every instant is an aware `datetime` in UTC; every value of a row is exact.

Documents that have a schema of their own (a change set, evidence, a writeback job) are dictionaries as they stand in the
ledger; a number in them that is no whole one is a `Decimal`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ._exact import Value, instant, instant_or_none, scalar
from ._words import ApplyStatus, DecisionKind, ReceiptStatus, State


@dataclass(frozen=True)
class ReadAnswer:
    """A row that was read, and the evidence that it was."""

    __module__ = "signoff"

    capability: str
    """The capability."""
    object_type: str
    """The kind of object: its table."""
    object_id: str
    """The object: the text of its primary key."""
    data: Mapping[str, Value]
    """The visible columns, exact."""
    tenant_id: str | None
    """The tenant; None for a contract without tenants."""
    principal: str
    """On whose behalf."""
    provenance: str
    """Where tenant and principal come from: `trusted_session` for a `TrustedContext`, else the contract's provider."""
    evidence_id: str
    """The evidence that was recorded, `ev_…`."""

    @classmethod
    def _of(cls, it: Any) -> ReadAnswer:
        names = ("capability", "object_type", "object_id", "tenant_id", "principal", "provenance", "evidence_id")
        data = {column: scalar(value) for column, value in it["data"].items()}
        return cls(data=data, **{name: it[name] for name in names})


@dataclass(frozen=True)
class DiffLine:
    """What one column holds, and what it shall hold."""

    __module__ = "signoff"

    column: str
    """The column."""
    before: Value
    """What stood there when it was proposed."""
    proposed: Value
    """What shall stand there."""

    @classmethod
    def _all(cls, lines: Any) -> tuple[DiffLine, ...]:
        return tuple(cls(line["column"], scalar(line["before"]), scalar(line["proposed"])) for line in lines)


@dataclass(frozen=True)
class Proposal:
    """A proposal as it was just made, or found. What a reviewer sees is `diff`; what they decide on is `hash` and `version`."""

    __module__ = "signoff"

    id: str
    """`wrp_…`."""
    version: int
    """Its version, from 1."""
    hash: str
    """The digest of what was proposed, `sha256:…`."""
    state: State
    """Where it stands."""
    existing: bool
    """True if the same principal had already proposed exactly this, and it is still open."""
    superseded: str | None
    """The proposal that was canceled for it, because its row had moved."""
    diff: tuple[DiffLine, ...]
    """What shall change."""
    change_set: Mapping[str, Any]
    """What is hashed: `synapsor.change-set.v1`."""

    @classmethod
    def _of(cls, it: Any) -> Proposal:
        return cls(
            id=it["proposal_id"],
            version=it["proposal_version"],
            hash=it["proposal_hash"],
            state=State(it["state"]),
            existing=it["existing"],
            superseded=it["superseded"],
            diff=DiffLine._all(it["diff"]),
            change_set=it["change_set"],
        )


@dataclass(frozen=True)
class Event:
    """One event of the ledger's chain."""

    __module__ = "signoff"

    seq: int
    """Its place in the chain, from 1."""
    kind: str
    """What happened, such as `proposal_created`."""
    subject: str
    """What it is about: a proposal's id, an evidence bundle's; empty for a read that was denied."""
    actor: str
    """Who did it; empty if it was pruned."""
    at: datetime
    """When."""
    detail: Any
    """What it says beyond the records that it covers: JSON."""
    hash: str
    """Its digest."""
    pruned: bool = False
    """True if what it covered was forgotten, and only the digest is kept."""

    @classmethod
    def _of(cls, it: Any, subject: str | None = None) -> Event:
        return cls(
            seq=it["seq"],
            kind=it["kind"],
            subject=it["subject"] if subject is None else subject,
            actor=it["actor"],
            at=instant(it["at"]),
            detail=it["detail"],
            hash=it["hash"],
            pruned=it.get("pruned", False),
        )


@dataclass(frozen=True)
class Decision:
    """A decision, as it was signed."""

    __module__ = "signoff"

    kind: DecisionKind
    """What was decided."""
    proposal_id: str
    """The proposal."""
    proposal_version: int
    """The version that the reviewer saw."""
    proposal_hash: str
    """The digest that the reviewer saw."""
    approver: str
    """Who decided."""
    roles: tuple[str, ...]
    """The roles that the application vouched for."""
    asserted: bool
    """True if the identity is only what somebody at a terminal said."""
    reason: str | None
    """Why."""
    decided_at: datetime
    """When."""
    expires_at: datetime | None
    """When an approval stops to hold; None is never."""

    @classmethod
    def _of(cls, it: Any) -> Decision:
        return cls(
            kind=DecisionKind(it["decision"]),
            proposal_id=it["proposal_id"],
            proposal_version=it["proposal_version"],
            proposal_hash=it["proposal_hash"],
            approver=it["approver"],
            roles=tuple(it["roles"]),
            asserted=it["asserted"],
            reason=it.get("reason"),
            decided_at=instant(it["decided_at"]),
            expires_at=instant_or_none(it.get("expires_at")),
        )


@dataclass(frozen=True)
class Receipt:
    """What became of an attempt to apply."""

    __module__ = "signoff"

    seq: int
    """The event that it was recorded with, which is its number."""
    status: ReceiptStatus
    """What became of it."""
    proposal_id: str
    """The proposal."""
    job_id: str
    """The writeback job."""
    runner: str
    """Who applied."""
    idempotency_key: str
    """The key under which the effect happened once."""
    rows_affected: int
    """How many rows changed."""
    source_database_mutated: bool
    """True if that attempt changed the source."""
    previous_version: str | int | bool | None
    """The version that was expected of the row, as its text or number."""
    new_version: str | int | bool | None
    """The version found or left."""
    error_code: str | None
    """Why not."""
    executed_at: datetime
    """When."""
    hash: str
    """The receipt's own digest."""
    details: Any
    """What an application's handler added: JSON."""

    @classmethod
    def _of(cls, it: Any) -> Receipt:
        wire = it["receipt"]
        return cls(
            seq=it["seq"],
            status=ReceiptStatus(wire["status"]),
            proposal_id=wire["proposal_id"],
            job_id=wire["writeback_job_id"],
            runner=wire["runner_id"],
            idempotency_key=wire["idempotency_key"],
            rows_affected=wire["rows_affected"],
            source_database_mutated=wire["source_database_mutated"],
            previous_version=wire.get("previous_version"),
            new_version=wire.get("new_version"),
            error_code=wire.get("safe_error_code"),
            executed_at=instant(wire["executed_at"]),
            hash=wire["receipt_hash"],
            details=it.get("details"),
        )


@dataclass(frozen=True)
class ProposalRecord:
    """A proposal with everything that belongs to it."""

    __module__ = "signoff"

    id: str
    """`wrp_…`."""
    version: int
    """Its version, from 1."""
    hash: str
    """The digest of what was proposed: what a decision binds to."""
    state: State
    """Where it stands."""
    diff: tuple[DiffLine, ...]
    """What shall change, or has changed."""
    change_set: Mapping[str, Any]
    """What is hashed: `synapsor.change-set.v1`."""
    attempt: int
    """How many attempts to apply it were begun."""
    lease_expires_at: datetime | None
    """Until when the latest attempt's lease holds."""
    expires_at: datetime | None
    """When it expires, pending or approved."""
    last_error: str | None
    """The code of the last attempt's failure."""
    decisions: tuple[Decision, ...]
    """Decisions, in order."""
    events: tuple[Event, ...]
    """Events, in order."""
    receipts: tuple[Receipt, ...]
    """Receipts, in order."""

    @classmethod
    def _of(cls, it: Any) -> ProposalRecord:
        standing = it["standing"]
        return cls(
            id=it["proposal_id"],
            version=it["proposal_version"],
            hash=it["proposal_hash"],
            state=State(it["state"]),
            diff=DiffLine._all(it["diff"]),
            change_set=it["change_set"],
            attempt=standing["attempt"],
            lease_expires_at=instant_or_none(standing.get("lease_expires_at")),
            expires_at=instant_or_none(standing.get("expires_at")),
            last_error=standing.get("last_error"),
            decisions=tuple(Decision._of(one) for one in it["decisions"]),
            events=tuple(Event._of(one, it["proposal_id"]) for one in it["events"]),
            receipts=tuple(Receipt._of(one) for one in it["receipts"]),
        )


@dataclass(frozen=True)
class RowConflict:
    """Why a dry run found that nothing would be written."""

    __module__ = "signoff"

    code: str
    """The code, such as `VERSION_CONFLICT`."""
    column: str | None
    """The column that differs, if it is one."""


@dataclass(frozen=True)
class ApplyResult:
    """How an apply ended."""

    __module__ = "signoff"

    ok: bool
    """True if the row is as it was approved to be, or would be."""
    status: ApplyStatus
    """How it ended."""
    proposal_id: str
    """The proposal."""
    state: State
    """Where it stands now."""
    source_database_mutated: bool
    """True if this call changed the source."""
    receipt: Receipt | None
    """The receipt, if there is one: a dry run leaves none."""
    conflict: RowConflict | None
    """The conflict that a dry run found."""

    @classmethod
    def _of(cls, it: Any) -> ApplyResult:
        receipt, conflict = it["receipt"], it["conflict"]
        return cls(
            ok=it["ok"],
            status=ApplyStatus(it["status"]),
            proposal_id=it["proposal_id"],
            state=State(it["state"]),
            source_database_mutated=it["source_database_mutated"],
            receipt=None if receipt is None else Receipt._of(receipt),
            conflict=None if conflict is None else RowConflict(conflict["code"], conflict["column"]),
        )


@dataclass(frozen=True)
class Evidence:
    """An evidence bundle: what was seen, and the audit of the query that saw it."""

    __module__ = "signoff"

    id: str
    """`ev_…`."""
    at: datetime
    """When."""
    document: Mapping[str, Any]
    """What was seen: JSON."""
    audit: Mapping[str, Any]
    """The audit beside it: JSON, without parameters."""

    @classmethod
    def _of(cls, it: Any) -> Evidence:
        return cls(it["id"], instant(it["at"]), it["document"], it["audit"])


@dataclass(frozen=True)
class Replay:
    """The whole story of a proposal, from the ledger alone, checked against its chain."""

    __module__ = "signoff"

    id: str
    """`replay_…`."""
    proposal_id: str
    """The proposal."""
    state: State
    """Where it stands."""
    proposal: Mapping[str, Any]
    """The change set, and where it stands: JSON."""
    events: tuple[Event, ...]
    """Events, in order."""
    decisions: tuple[Decision, ...]
    """Decisions, in order."""
    jobs: tuple[Mapping[str, Any], ...]
    """Writeback jobs, in order: `synapsor.writeback-job.v1`."""
    receipts: tuple[Receipt, ...]
    """Receipts, in order."""
    query_audit: tuple[Mapping[str, Any], ...]
    """The audits recorded with it: JSON."""
    evidence: tuple[Evidence, ...]
    """What it rests on."""

    @classmethod
    def _of(cls, it: Any) -> Replay:
        proposal_id = it["proposal"]["change_set"]["proposal_id"]
        return cls(
            id=it["replay_id"],
            proposal_id=proposal_id,
            state=State(it["state"]),
            proposal=it["proposal"],
            events=tuple(Event._of(one, proposal_id) for one in it["events"]),
            decisions=tuple(Decision._of(one) for one in it["approvals"]),
            jobs=tuple(it["writeback_jobs"]),
            receipts=tuple(Receipt._of(one) for one in it["receipts"]),
            query_audit=tuple(it["query_audit"]),
            evidence=tuple(Evidence._of(one) for one in it["evidence"]),
        )


@dataclass(frozen=True)
class Verification:
    """What a verification of the whole ledger found. Whatever does not verify is raised."""

    __module__ = "signoff"

    events: int
    """Events checked."""
    proposals: int
    """Proposals checked."""
    checkpoint: str
    """The chain's end, `SIZE:HEAD`: keep it elsewhere, and give it as `expect` later."""

    @classmethod
    def _of(cls, it: Any) -> Verification:
        return cls(it["events"], it["proposals"], it["checkpoint"])


@dataclass(frozen=True)
class ProposalSummary:
    """A proposal in a list."""

    __module__ = "signoff"

    id: str
    """`wrp_…`."""
    hash: str
    """Its digest."""
    state: State
    """Where it stands."""
    capability: str
    """The capability."""
    tenant_id: str
    """The tenant."""
    principal: str
    """Who proposed."""
    object_type: str
    """The kind of object."""
    object_id: str
    """The object."""
    created_at: datetime
    """When it was made."""
    seq: int
    """The event that made it: lists are ordered by it, newest first."""

    @classmethod
    def _of(cls, it: Any) -> ProposalSummary:
        return cls(
            id=it["proposal_id"],
            hash=it["proposal_hash"],
            state=State(it["state"]),
            capability=it["action"],
            tenant_id=it["tenant_id"],
            principal=it["principal"],
            object_type=it["business_object"],
            object_id=it["object_id"],
            created_at=instant(it["created_at"]),
            seq=it["seq"],
        )


@dataclass(frozen=True)
class ReplaySummary:
    """A story in a list."""

    __module__ = "signoff"

    id: str
    """`replay_…`."""
    proposal: ProposalSummary
    """The proposal that it tells of."""

    @classmethod
    def _of(cls, it: Any) -> ReplaySummary:
        return cls(it["replay_id"], ProposalSummary._of(it))


@dataclass(frozen=True)
class EvidenceSummary:
    """An evidence bundle in a list."""

    __module__ = "signoff"

    id: str
    """`ev_…`."""
    at: datetime
    """When."""
    actor: str
    """Who asked."""
    proposal_id: str | None
    """The proposal that was recorded with it."""
    document: Mapping[str, Any]
    """What was seen: JSON."""
    seq: int
    """The event that it was recorded with."""

    @classmethod
    def _of(cls, it: Any) -> EvidenceSummary:
        return cls(it["evidence_id"], instant(it["at"]), it["actor"], it.get("proposal_id"), it["document"], it["seq"])


@dataclass(frozen=True)
class QueryAudit:
    """The audit of a query, answered or denied."""

    __module__ = "signoff"

    seq: int
    """The event that it was recorded with, which is its number."""
    at: datetime
    """When."""
    actor: str
    """Who asked."""
    evidence_id: str | None
    """The evidence that was recorded with it; None for a query that was denied or failed."""
    proposal_id: str | None
    """The proposal that was recorded with it."""
    document: Mapping[str, Any]
    """What was asked: JSON, without parameters."""

    @classmethod
    def _of(cls, it: Any) -> QueryAudit:
        return cls(
            it["seq"], instant(it["at"]), it["actor"], it.get("evidence_id"), it.get("proposal_id"), it["document"]
        )


@dataclass(frozen=True)
class Activity:
    """Something that happened, with the record that it left."""

    __module__ = "signoff"

    event: Event
    """The event."""
    capability: str | None
    """The capability, where a query or a proposal stands behind it."""
    object_type: str | None
    """The kind of object."""
    object_id: str | None
    """The object."""
    evidence_id: str | None
    """The evidence recorded with it."""
    receipt: Receipt | None
    """The receipt recorded with it."""

    @classmethod
    def _of(cls, it: Any) -> Activity:
        kind, object_id = it.get("object") or (None, None)
        receipt = it.get("receipt")
        return cls(
            event=Event._of(it),
            capability=it.get("capability"),
            object_type=kind,
            object_id=object_id,
            evidence_id=it.get("evidence_id"),
            receipt=None if receipt is None else Receipt._of(receipt),
        )
