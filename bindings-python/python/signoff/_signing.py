"""Signing a request and verifying one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, TypeAlias

from . import _native
from ._job import Job

Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]
"""Header lines: a mapping, or pairs. Pass the request's own object or its raw lines, so that duplicates are seen."""
Policy: TypeAlias = Literal["strict", "compat"]
"""`strict`: the Standard Webhooks signature. `compat`: Synapsor's, for senders that know no other."""


def verify(
    body: bytes,
    headers: Headers,
    secrets: str | Sequence[str],
    *,
    now: datetime | None = None,
    policy: Policy = "strict",
) -> Job:
    """Verifies a signed writeback request and reads the job in it. Not one byte of JSON is read before the signature fits.

    Args:
        body: the bytes as received; not a parsed object, not a re-written one. At most 1 MiB.
        headers: names in any case. Lines that mean nothing here are skipped; one that does and stands twice is refused.
        secrets: one secret, or several while they are rotated. `whsec_` and base64, or any text; 24 bytes at least in strict.
        now: an aware datetime; the system's clock if left out. The request may be 300 seconds old or early.
        policy: which signature is asked for.

    Returns:
        The job. Whether it is for you (`action`, `audience`), and not done before, `WritebackHandler` finds out.

    Raises:
        SignoffError: in this order `HANDLER_SIGNING_SECRET_MISSING`, `SECRET_UNUSABLE`; `BODY_TOO_LARGE`; `HEADER_DUPLICATED`,
            `HEADER_INVALID`; `INVALID_SIGNATURE`; `INVALID_ISSUED_AT`; `JSON_INVALID`, `JSON_DUPLICATE_KEY`, `JSON_TOO_DEEP`;
            then `UNSUPPORTED_PROTOCOL_VERSION`, `BAD_WRITEBACK_REQUEST`, `IDEMPOTENCY_KEY_REQUIRED`,
            `IDEMPOTENCY_KEY_INVALID`, `UNSAFE_IDENTIFIER`, `NUMBER_NOT_EXACT`, `VERSION_IS_NULL`,
            `PATCH_COLUMN_NOT_ALLOWED`, `HEADER_BODY_MISMATCH`. `USAGE` for an unknown policy, `INSTANT_INVALID` for a naive `now`.
        TypeError: for arguments of another type, which no request can cause.

    It does not wait for anything: nothing is there to be cancelled.

    Example:
        >>> import json, signoff
        >>> body = json.dumps({
        ...     "protocol_version": "1.0", "proposal_id": "wrp_1", "proposal_hash": "sha256:11",
        ...     "idempotency_key": "wrp_1:INV-1", "action": "billing.waive_fee",
        ...     "target": {"schema": "public", "table": "invoices", "primary_key": {"column": "id", "value": "INV-1"}},
        ...     "tenant_guard": {"column": "tenant_id", "value": "acme"}, "allowed_columns": ["fee_cents"],
        ...     "patch": {"fee_cents": 0},
        ...     "guards": {"expected_version": {"column": "updated_at", "value": "2026-06-20T14:31:08Z"}},
        ... }).encode()
        >>> secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        >>> headers = signoff.sign(body, secret, key="wrp_1:INV-1")
        >>> job = signoff.verify(body, headers, secret)
        >>> job.action, job.tenant_id, job.object_id, job.patch
        ('billing.waive_fee', 'acme', 'INV-1', {'fee_cents': 0})
        >>> signoff.verify(body + b" ", headers, secret)
        Traceback (most recent call last):
            ...
        signoff.SignoffError: INVALID_SIGNATURE: ...
    """
    return _native.verify(body, headers, _list(secrets), _when(now), policy)


def sign(body: bytes, secret: str | Sequence[str], *, key: str, now: datetime | None = None) -> dict[str, str]:
    """Signs a request under both schemes, Standard Webhooks and Synapsor's; answers the headers to send.

    Args:
        body: the bytes that will be sent, at most 1 MiB.
        secret: the secret; of several, each signs for Standard Webhooks and the first for Synapsor's scheme.
        key: the idempotency key, 1 to 255 characters of letters, digits, `_`, `:` and `-`.
        now: an aware datetime; the system's clock if left out.

    Returns:
        The headers, names in lower case.

    Raises:
        SignoffError: `HANDLER_SIGNING_SECRET_MISSING`, `SECRET_UNUSABLE`, `BODY_TOO_LARGE`, `IDEMPOTENCY_KEY_INVALID`,
            `HEADER_INVALID` for a proposal id that cannot stand in a header, `INSTANT_INVALID`.
        TypeError: for arguments of another type.

    It does not wait for anything.

    Example:
        >>> import signoff
        >>> headers = signoff.sign(b"{}", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", key="wrp_1:INV-1")
        >>> headers["webhook-id"], sorted(headers)[-1]
        ('wrp_1:INV-1', 'x-synapsor-signature')
    """
    return _native.sign(body, _list(secret), key, _when(now))


def receipts_ddl(dialect: str = "postgres", *, receipts: str | None = None) -> list[str]:
    """The statements that make the receipts table, for your migration. Nothing makes it while requests are served.

    Args:
        dialect: `postgres` or `sqlite`.
        receipts: `schema.table`; `public.synapsor_handler_receipts` (SQLite: `main`) if left out.

    Raises:
        SignoffError: `USAGE` for an unknown dialect, `UNSAFE_IDENTIFIER` for a name that is no plain identifier.

    Example:
        >>> import signoff
        >>> [statement.split("(")[0].strip() for statement in signoff.receipts_ddl(receipts="billing.receipts")][-1]
        'CREATE TABLE IF NOT EXISTS "billing"."receipts"'
    """
    return _native.receipts_ddl(dialect, receipts)


def _list(secrets: str | Sequence[str]) -> list[str]:
    return [secrets] if isinstance(secrets, str) else list(secrets)


def _when(now: datetime | None) -> str | int:
    # time_ns, so that tools that move Python's clock in tests move ours.
    return time.time_ns() if now is None else now.isoformat()
