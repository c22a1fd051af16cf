"""A verified request, as Python sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

Scalar: TypeAlias = bool | int | str | Decimal | None
"""One value of a column, exact: integers of any size are `int`, decimals `Decimal`, instants their RFC 3339 text."""


class ColumnValue(NamedTuple):
    """A column and its value."""

    column: str
    value: Scalar


class Target(NamedTuple):
    """The row that a request is about."""

    schema: str | None
    """The schema; None only in a body of the published schema, which has none."""
    table: str
    """The table."""
    primary_key: ColumnValue
    """The key column and its value."""


@dataclass(frozen=True, repr=False)
class Job:
    """A writeback request: what one signed body asks for. Every value is exact, and none went through a float.

    `verify` makes it, and an action's function receives it with its row locked.
    """

    job_id: str
    """The job's id."""
    proposal_id: str
    """The proposal's id."""
    proposal_version: int | None
    """The proposal's version, if the body says it."""
    proposal_hash: str
    """The hash that was approved."""
    idempotency_key: str
    """The key under which the effect happens once: unique per tenant."""
    action: str
    """The action."""
    tenant_id: str
    """The tenant: take it from here and from nowhere else."""
    tenant_column: str
    """The tenant's column."""
    object_id: str
    """The text of the primary key's value. As its column has it, a function finds it in `row`: asyncpg wants an int there."""
    target: Target
    """The row."""
    expected_version: ColumnValue
    """The version that was read; column `__row_hash` if the sender's whole row is its version."""
    allowed_columns: tuple[str, ...] | None
    """The columns that may be written; None only in a body of the published schema."""
    patch: Mapping[str, Scalar]
    """What shall be written, by column."""
    before: Mapping[str, Scalar]
    """What the sender read, by column, as far as it is one value."""
    principal: str | None
    """Who proposed it, if the body says so."""
    approval: Any
    """The decision as the body tells it: JSON, a number that is no integer as its text."""
    evidence: Any
    """What the proposal rests on: JSON, a number that is no integer as its text."""
    audience: str | None
    """Whom the request is meant for, if the body says so."""
    issued_at: str | None
    """When it was issued, if the body says so: RFC 3339 in UTC, with all its digits."""
    dry_run: bool
    """True if nothing shall be written."""
    row: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])
    """The row as it is locked: key, tenant, version and the compared columns. Empty unless an action's function has it."""

    def _with_row(self, row: Mapping[str, Scalar]) -> Job:
        job = object.__new__(type(self))
        job.__dict__.update(self.__dict__, row=row)
        return job

    def __repr__(self) -> str:
        """Names, and no values of a row: they have no place in a log."""
        return f"<Job {self.job_id}: {self.action} on {self.target.table}, key {self.idempotency_key}>"


# Tracebacks and reprs name what authors import.
Job.__module__ = Target.__module__ = ColumnValue.__module__ = "signoff"
