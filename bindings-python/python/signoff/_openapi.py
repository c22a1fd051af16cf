"""What the router says of itself in OpenAPI. Statuses of codes come from the catalogue."""

from __future__ import annotations

from typing import Any

from . import _native

DESCRIPTION = (
    "A signed writeback request. A 2xx answer is terminal: what it says was stored in one transaction with its effect. "
    "Anything else stored nothing; `details.retryable` says whether the same request may be sent again."
)

CODES = (
    "BODY_TOO_LARGE",
    "HEADER_DUPLICATED",
    "HEADER_INVALID",
    "UNAUTHORIZED",
    "INVALID_SIGNATURE",
    "INVALID_ISSUED_AT",
    "JSON_INVALID",
    "JSON_DUPLICATE_KEY",
    "JSON_TOO_DEEP",
    "UNSUPPORTED_PROTOCOL_VERSION",
    "BAD_WRITEBACK_REQUEST",
    "IDEMPOTENCY_KEY_REQUIRED",
    "IDEMPOTENCY_KEY_INVALID",
    "UNSAFE_IDENTIFIER",
    "NUMBER_NOT_EXACT",
    "VERSION_IS_NULL",
    "PATCH_COLUMN_NOT_ALLOWED",
    "HEADER_BODY_MISMATCH",
    "AUDIENCE_MISMATCH",
    "UNSUPPORTED_ACTION",
    "TARGET_MISMATCH",
    "IDEMPOTENCY_KEY_REUSED",
    "IDEMPOTENCY_IN_FLIGHT",
    "RECEIPT_TABLE_MISSING",
    "RECEIPT_TABLE_OUTDATED",
    "HANDLER_TRANSACTION_BROKEN",
    "TRANSACTION_ALREADY_OPEN",
    "TRANSACTION_LOST",
    "TRANSACTION_FAILED",
    "TENANT_GUARD_MISMATCH",
    "MULTI_ROW_WRITE_BLOCKED",
    "VERSION_TYPE_UNSUPPORTED",
    "SOURCE_BUSY",
    "SOURCE_READ_ONLY",
    "SOURCE_REJECTED",
    "SOURCE_OBJECT_NOT_FOUND",
    "OUTCOME_UNKNOWN",
    "HANDLER_BUSINESS_ERROR",
)
"""What a writeback request can be answered besides a receipt."""

_SCALAR = {"type": ["string", "number", "integer", "boolean", "null"]}


def _header(name: str, description: str, pattern: str | None = None) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if pattern is not None:
        schema["pattern"] = pattern
    return {"in": "header", "name": name, "required": False, "description": description, "schema": schema}


def request() -> dict[str, Any]:
    """Headers and body."""
    column_value = {
        "type": "object",
        "required": ["column", "value"],
        "properties": {"column": {"type": "string"}, "value": _SCALAR},
    }
    body = {
        "type": "object",
        "description": "The flat body that runners send; the published schema wraps the change in `change_set`.",
        "required": ["proposal_id", "idempotency_key"],
        "properties": {
            "protocol_version": {"type": "string", "enum": ["1.0"]},
            "schema_version": {"type": "string", "enum": ["synapsor.handler-writeback.v1"]},
            "proposal_id": {"type": "string"},
            "proposal_hash": {"type": "string"},
            "idempotency_key": {"type": "string", "pattern": "^[A-Za-z0-9_:-]{1,255}$"},
            "action": {"type": "string"},
            "audience": {"type": "string"},
            "target": {
                "type": "object",
                "properties": {
                    "schema": {"type": "string"},
                    "table": {"type": "string"},
                    "primary_key": column_value,
                },
            },
            "tenant_guard": column_value,
            "allowed_columns": {"type": "array", "items": {"type": "string"}},
            "patch": {"type": "object", "additionalProperties": _SCALAR},
            "guards": {"type": "object", "properties": {"expected_version": column_value}},
            "issued_at": {"type": "string", "format": "date-time"},
            "dry_run": {"type": "boolean"},
            "change_set": {"type": "object"},
        },
    }
    return {
        "parameters": [
            _header("webhook-id", "Standard Webhooks: the idempotency key.", "^[A-Za-z0-9_:-]{1,255}$"),
            _header("webhook-timestamp", "Standard Webhooks: seconds since 1970, ±300.", "^[0-9]{1,12}$"),
            _header("webhook-signature", "Standard Webhooks: `v1,` and base64, several with a space between."),
            _header("x-synapsor-signature", "In compat: `sha256=` and 64 hex digits over the body."),
            _header("x-synapsor-issued-at", "In compat: the same instant as `issued_at` in the body."),
            _header("x-synapsor-proposal-id", "If given, the body's."),
            _header("idempotency-key", "If given, the body's."),
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
    }


def _receipt(statuses: list[str], codes: list[str] | None) -> dict[str, Any]:
    code: dict[str, Any] = {"type": "string"}
    if codes is not None:
        code["enum"] = codes
    return {
        "type": "object",
        "required": ["status", "rows_affected", "source_database_mutated"],
        "properties": {
            "status": {"type": "string", "enum": statuses},
            "rows_affected": {"type": "integer", "minimum": 0},
            "source_database_mutated": {"type": "boolean"},
            "previous_version": _SCALAR,
            "new_version": _SCALAR,
            "safe_error_code": code,
            "details": {"type": "object"},
        },
    }


def responses() -> dict[int | str, dict[str, Any]]:
    """Receipts, and errors by status."""
    receipt = _receipt(["applied", "already_applied", "conflict", "failed"], None)
    replayed = {"description": "`true` on a stored answer.", "schema": {"type": "string", "enum": ["true"]}}
    made: dict[int | str, dict[str, Any]] = {
        200: {
            "description": "The receipt. It is terminal.",
            "headers": {"Idempotent-Replayed": replayed},
            "content": {"application/json": {"schema": receipt}},
        }
    }
    known = {code: (status, message) for code, status, _, message in _native.catalogue()}
    for status in sorted({known[code][0] for code in CODES}):
        codes = [code for code in CODES if known[code][0] == status]
        made[status] = {
            "description": "\n".join(f"- `{code}`: {known[code][1]}" for code in codes),
            "content": {"application/json": {"schema": _receipt(["failed"], codes)}},
        }
        if any(retryable for code, _, retryable, _ in _native.catalogue() if code in codes):
            made[status]["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return made
