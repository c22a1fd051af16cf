"""Signoff: agents propose, people sign off, the change lands exactly once.

`Signoff.open` is the runtime inside your own application: read, propose, decide, apply, replay; `signoff.sync` has the
same for programs without an event loop. `WritebackHandler` is for the owner of a database: your own function, run exactly
once for each verified request. `signoff.fastapi` has the router of the second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._native import MAX_BODY, __version__

if TYPE_CHECKING:
    from . import sync
    from ._audit import audit
    from ._codes import Code
    from ._contract import Contract, Diagnostic
    from ._errors import Response, SignoffError
    from ._exact import Value
    from ._filters import Filters
    from ._handler import WritebackHandler
    from ._job import ColumnValue, Job, Scalar, Target
    from ._records import (
        Activity,
        ApplyResult,
        Decision,
        DiffLine,
        Event,
        Evidence,
        EvidenceSummary,
        Proposal,
        ProposalRecord,
        ProposalSummary,
        QueryAudit,
        ReadAnswer,
        Receipt,
        Replay,
        ReplaySummary,
        RowConflict,
        Verification,
    )
    from ._results import Applied, Conflict, Refused, Result
    from ._runtime import Signoff, ToolScope
    from ._signing import Headers, Policy, receipts_ddl, sign, verify
    from ._tools import Envelope, Tool
    from ._who import Approver, Testing, TrustedContext
    from ._words import Alias, ApplyStatus, DecisionKind, Kind, ReceiptStatus, Severity, State

__all__ = [
    "MAX_BODY",
    "Activity",
    "Alias",
    "Applied",
    "ApplyResult",
    "ApplyStatus",
    "Approver",
    "Code",
    "ColumnValue",
    "Conflict",
    "Contract",
    "Decision",
    "DecisionKind",
    "Diagnostic",
    "DiffLine",
    "Envelope",
    "Event",
    "Evidence",
    "EvidenceSummary",
    "Filters",
    "Headers",
    "Job",
    "Kind",
    "Policy",
    "Proposal",
    "ProposalRecord",
    "ProposalSummary",
    "QueryAudit",
    "ReadAnswer",
    "Receipt",
    "ReceiptStatus",
    "Refused",
    "Replay",
    "ReplaySummary",
    "Response",
    "Result",
    "RowConflict",
    "Scalar",
    "Severity",
    "Signoff",
    "SignoffError",
    "State",
    "Target",
    "Testing",
    "Tool",
    "ToolScope",
    "TrustedContext",
    "Value",
    "Verification",
    "WritebackHandler",
    "__version__",
    "audit",
    "receipts_ddl",
    "sign",
    "sync",
    "verify",
]

# Each is imported when it is first used: a handler needs no runtime, and a worker no handler.
_PLACES = {
    "_audit": "audit",
    "_codes": "Code",
    "_contract": "Contract Diagnostic",
    "_errors": "Response SignoffError",
    "_exact": "Value",
    "_filters": "Filters",
    "_handler": "WritebackHandler",
    "_job": "ColumnValue Job Scalar Target",
    "_records": "Activity ApplyResult Decision DiffLine Event Evidence EvidenceSummary Proposal ProposalRecord "
    "ProposalSummary QueryAudit ReadAnswer Receipt Replay ReplaySummary RowConflict Verification",
    "_results": "Applied Conflict Refused Result",
    "_runtime": "Signoff ToolScope",
    "_signing": "Headers Policy receipts_ddl sign verify",
    "_tools": "Envelope Tool",
    "_who": "Approver Testing TrustedContext",
    "_words": "Alias ApplyStatus DecisionKind Kind ReceiptStatus Severity State",
}
_PLACE = {name: place for place, names in _PLACES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "sync":
        return import_module(".sync", __name__)
    if name not in _PLACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module("." + _PLACE[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
