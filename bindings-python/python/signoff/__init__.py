"""Signoff: agents propose, people sign off, the change lands exactly once.

This package is for the owner of the database: `verify` for a signed writeback request, `WritebackHandler` to run your
own function for it exactly once, in one transaction with its receipt. `signoff.fastapi` has the router.
"""

from ._errors import Response, SignoffError
from ._handler import WritebackHandler
from ._job import ColumnValue, Job, Scalar, Target
from ._native import MAX_BODY, __version__
from ._results import Applied, Conflict, Refused, Result
from ._signing import Headers, Policy, receipts_ddl, sign, verify

__all__ = [
    "MAX_BODY",
    "Applied",
    "ColumnValue",
    "Conflict",
    "Headers",
    "Job",
    "Policy",
    "Refused",
    "Response",
    "Result",
    "Scalar",
    "SignoffError",
    "Target",
    "WritebackHandler",
    "__version__",
    "receipts_ddl",
    "sign",
    "verify",
]

# Tracebacks and reprs name what authors import.
for _class in (SignoffError, Response, Job, Target, ColumnValue, WritebackHandler):
    _class.__module__ = __name__
