"""The words of the lifecycle, as enums. Each member is the `str` that stands on the wire, and compares equal to it."""

from __future__ import annotations

from enum import Enum


class Word(str, Enum):
    """An enum of words that is its word: in comparisons, in JSON, in f-strings, and in its text.

    Example:
        >>> import signoff
        >>> signoff.State.APPROVED == "approved", f"{signoff.State.APPROVED}"
        (True, 'approved')
    """

    __module__ = "signoff"

    def __str__(self) -> str:
        return str.__str__(self)

    def __format__(self, spec: str) -> str:
        return str.__format__(self, spec)


class State(Word):
    """Where a proposal stands.

    Example:
        >>> import signoff
        >>> signoff.State("applied"), len(signoff.State)
        (<State.APPLIED: 'applied'>, 10)
    """

    __module__ = "signoff"

    PENDING_REVIEW = "pending_review"
    APPROVED = "approved"
    REJECTED = "rejected"
    CANCELED = "canceled"
    EXPIRED = "expired"
    PENDING_WORKER = "pending_worker"
    OUTCOME_UNKNOWN = "outcome_unknown"
    APPLIED = "applied"
    CONFLICT = "conflict"
    FAILED = "failed"


class ApplyStatus(Word):
    """How an apply ended. That nobody knows is no status: it is raised as `OUTCOME_UNKNOWN`.

    Example:
        >>> import signoff
        >>> [status.value for status in signoff.ApplyStatus if status.startswith("would")]
        ['would_apply', 'would_conflict']
    """

    __module__ = "signoff"

    APPLIED = "applied"
    ALREADY_APPLIED = "already_applied"
    CONFLICT = "conflict"
    FAILED = "failed"
    CANCELED = "canceled"
    WOULD_APPLY = "would_apply"
    WOULD_CONFLICT = "would_conflict"


class ReceiptStatus(Word):
    """What became of a writeback job.

    Example:
        >>> import signoff
        >>> signoff.ReceiptStatus("conflict")
        <ReceiptStatus.CONFLICT: 'conflict'>
    """

    __module__ = "signoff"

    APPLIED = "applied"
    ALREADY_APPLIED = "already_applied"
    CONFLICT = "conflict"
    FAILED = "failed"
    CANCELED = "canceled"


class DecisionKind(Word):
    """What a decision says.

    Example:
        >>> import signoff
        >>> signoff.DecisionKind.REJECTED.value
        'rejected'
    """

    __module__ = "signoff"

    APPROVED = "approved"
    REJECTED = "rejected"
    CANCELED = "canceled"


class Kind(Word):
    """What a capability or a tool does.

    Example:
        >>> import signoff
        >>> signoff.Kind("proposal")
        <Kind.PROPOSAL: 'proposal'>
    """

    __module__ = "signoff"

    READ = "read"
    PROPOSAL = "proposal"


class Severity(Word):
    """How bad a finding in a contract is: with an error it cannot be used.

    Example:
        >>> import signoff
        >>> signoff.Severity.WARNING.value
        'warning'
    """

    __module__ = "signoff"

    ERROR = "error"
    WARNING = "warning"


class Alias(Word):
    """Under which names tools are listed: `billing.inspect_invoice`, `billing__inspect_invoice`, or both.

    Example:
        >>> import signoff
        >>> signoff.Alias.OPENAI.value
        'openai'
    """

    __module__ = "signoff"

    CANONICAL = "canonical"
    OPENAI = "openai"
    BOTH = "both"
