"""What lists are filtered by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict

from ._connection import misuse


class Filters(TypedDict, total=False):
    """What to look for; everything given has to hold. Which list knows which is said with each list; another is refused
    with `FILTER_UNKNOWN`, because a filter that is not heeded would show too much.
    """

    tenant: str
    """The tenant."""
    principal: str
    """Who read or proposed."""
    capability: str
    """The capability."""
    object_type: str
    """The kind of object: its table, in singular or plural, with or without a schema."""
    object_id: str
    """The object: the text of its primary key."""
    state: str
    """The proposal's present state: a `State`."""
    status: str
    """The receipt's status: a `ReceiptStatus`."""
    source: str
    """The source."""
    table: str
    """The table, `table` or `schema.table`."""
    fingerprint: str
    """The fingerprint of the query."""
    proposal: str
    """The proposal, by its id or its replay's, or the beginning of one."""
    evidence: str
    """The evidence bundle, by its id or the beginning of it."""
    receipt: int
    """The receipt: the number of the event that it was recorded with."""
    job: str
    """The writeback job."""
    idempotency_key: str
    """The idempotency key."""
    kind: str
    """The kind of event."""
    actor: str
    """Who did it: principal, approver or worker."""
    since: datetime
    """Not before; aware."""
    until: datetime
    """Not after; aware."""


_ON_THE_WIRE = {name: name for name in Filters.__annotations__} | {"since": "from", "until": "to"}


def filter_json(filters: Mapping[str, Any]) -> dict[str, Any]:
    """The facade's filter."""
    found: dict[str, Any] = {}
    for name, value in filters.items():
        if name not in _ON_THE_WIRE:
            raise TypeError(f"there is no filter {name!r}; those that there are: {', '.join(sorted(_ON_THE_WIRE))}")
        found[_ON_THE_WIRE[name]] = time_text(name, value) if isinstance(value, datetime) else value
    return found


def time_text(name: str, at: datetime) -> str:
    """RFC 3339 of an aware datetime.

    Raises:
        SignoffError: `USAGE` for a naive one: nobody knows when that is.
    """
    if at.tzinfo is None:
        raise misuse(f"`{name}` has no time zone", "give an aware datetime")
    return at.isoformat()
