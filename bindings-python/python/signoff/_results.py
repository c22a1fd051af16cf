"""What an action's function decides."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID


@dataclass(frozen=True)
class Applied:
    """It wrote: commit that, together with the receipt.

    Example:
        >>> import signoff
        >>> signoff.Applied(rows=2, effects=[{"kind": "db.insert", "table": "account_credits"}]).rows
        2
    """

    rows: int
    """Rows written, 0 to 2^53-1."""
    new_version: str | int | Decimal | datetime | UUID | None = None
    """The version that the row has now, if you know it."""
    effects: Sequence[Any] = ()
    """What was done, in your words, as JSON; `details.effects` of the receipt."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What shall be remembered besides, as JSON of at most 64 KiB; not `effects`, `dry_run` or `column`."""


class _Declined(Exception):
    """Not for good or bad, but for ever: return it or raise it."""

    def __init__(self, code: str, details: Mapping[str, Any] | None = None) -> None:
        """Takes a code, `[A-Z][A-Z0-9_]*` of at most 64 characters, and details as for `Applied`."""
        super().__init__(code)
        self.code = code
        self.details: Mapping[str, Any] = dict(details or {})

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.code, self.details)


class Conflict(_Declined):
    """The change no longer fits, for a reason that only your function knows: return it or raise it.

    What the function wrote is rolled back, and this is the change's answer from now on: a duplicate gets the same one.

    Example:
        >>> import signoff
        >>> raise signoff.Conflict("CREDIT_LIMIT", {"limit_cents": 10000})
        Traceback (most recent call last):
            ...
        signoff.Conflict: CREDIT_LIMIT
    """


class Refused(_Declined):
    """The change is refused for good; otherwise as `Conflict`.

    Example:
        >>> import signoff
        >>> signoff.Refused("INVOICE_WRITTEN_OFF").code
        'INVOICE_WRITTEN_OFF'
    """


Result: TypeAlias = Applied | Conflict | Refused
"""What an action's function returns."""

# Tracebacks and reprs name what authors import.
for _class in (Applied, Conflict, Refused):
    _class.__module__ = "signoff"


def to_json(result: object) -> str:
    """The result as the crate reads it. Whether it can be recorded is the crate's to say."""
    if isinstance(result, Applied):
        told = {
            "status": "applied",
            "rows_affected": result.rows,
            "new_version": result.new_version,
            "effects": result.effects,
            "details": result.details,
        }
    elif isinstance(result, (Conflict, Refused)):
        status = "conflict" if isinstance(result, Conflict) else "refused"
        told = {"status": status, "code": result.code, "details": result.details}
    else:
        told = {"status": type(result).__name__}
    return json.dumps(told, default=_plain)


def _plain(value: object) -> object:
    """What JSON has no form for, as the text that keeps it exact."""
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (Sequence, set, frozenset)) and not isinstance(value, (bytes, bytearray)):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
