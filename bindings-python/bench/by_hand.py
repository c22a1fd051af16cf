"""What one would write without the package: the baselines."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from typing import Any

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
KEY = re.compile(r"[A-Za-z0-9_:-]{1,255}")


def key_of(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix("whsec_"))


def hmac_and_json(body: bytes, headers: dict[str, str], key: bytes) -> Any:
    """The least: signature, time, parse."""
    stamp = headers["webhook-timestamp"]
    content = b".".join((headers["webhook-id"].encode(), stamp.encode(), body))
    tag = base64.b64encode(hmac.digest(key, content, "sha256")).decode()
    given = [entry[3:] for entry in headers["webhook-signature"].split(" ") if entry.startswith("v1,")]
    if not any(hmac.compare_digest(tag, one) for one in given):
        raise ValueError("signature")
    if abs(time.time() - int(stamp)) > 300:
        raise ValueError("time")
    return json.loads(body)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("duplicate key")
    return made


def verify(body: bytes, headers: dict[str, str], key: bytes) -> Any:
    """The same check: what `signoff.verify` refuses of a flat body, as far as it is not too tedious to write."""
    lines = {name.lower(): value.strip() for name, value in headers.items()}
    if len(lines) != len(headers) or len(body) > 1 << 20:
        raise ValueError("headers")
    message, stamp, signatures = (lines["webhook-" + name] for name in ("id", "timestamp", "signature"))
    if not KEY.fullmatch(message) or not re.fullmatch(r"(0|[1-9][0-9]{0,11})", stamp):
        raise ValueError("headers")
    content = b".".join((message.encode(), stamp.encode(), body))
    tag = hmac.digest(key, content, "sha256")
    given = [base64.b64decode(entry[3:], validate=True) for entry in signatures.split(" ") if entry.startswith("v1,")]
    if sum(hmac.compare_digest(tag, one) for one in given) == 0:
        raise ValueError("signature")
    if abs(time.time() - int(stamp)) > 300:
        raise ValueError("time")
    job = json.loads(body, object_pairs_hook=_once)
    if job["protocol_version"] != "1.0" or job["idempotency_key"] != message or not KEY.fullmatch(message):
        raise ValueError("body")
    target, tenant = job["target"], job["tenant_guard"]
    version, allowed = job["guards"]["expected_version"], job["allowed_columns"]
    names = [target["schema"], target["table"], target["primary_key"]["column"], tenant["column"], version["column"]]
    if not all(IDENTIFIER.fullmatch(name) for name in (*names, *allowed, *job["patch"])):
        raise ValueError("identifier")
    guarded = {target["primary_key"]["column"], tenant["column"], version["column"]}
    if any(column not in allowed or column in guarded for column in job["patch"]):
        raise ValueError("patch")
    if version["value"] is None or not tenant["value"]:
        raise ValueError("guards")
    return job


def fingerprint(job: Any) -> str:
    named = ("tenant_guard", "action", "target", "patch", "allowed_columns", "guards", "proposal_hash")
    told = json.dumps({name: job[name] for name in named}, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(told.encode()).hexdigest()


CLAIM = (
    "INSERT INTO synapsor_handler_receipts (tenant_id, idempotency_key, job_id, proposal_id, fingerprint, status, created_at)"
    " VALUES ({0}, {1}, {2}, {3}, {4}, 'in_progress', now()) ON CONFLICT DO NOTHING"
)
LOCK = (
    "SELECT id, tenant_id, to_json(updated_at AT TIME ZONE 'UTC') #>> '{{}}' FROM invoices WHERE id = {0} AND tenant_id = {1}"
    " FOR NO KEY UPDATE"
)
EFFECT = (
    "INSERT INTO account_credits (id, tenant_id, invoice_id, customer_id, amount_cents, reason, idempotency_key, created_by)"
    " VALUES ({0}, 'acme', {1}, 'cust_acme_1', 500, 'goodwill', {0}, 'app')"
)
FINISH = (
    "UPDATE synapsor_handler_receipts SET status = 'applied', receipt_json = {0}, result_hash = {1}, completed_at = now()"
    " WHERE tenant_id = {2} AND idempotency_key = {3} AND status = 'in_progress'"
)


def receipt(job: Any) -> tuple[str, str]:
    told = json.dumps({"status": "applied", "rows_affected": 1, "job_id": job["writeback_job_id"]}, sort_keys=True)
    return told, "sha256:" + hashlib.sha256(told.encode()).hexdigest()


def claimed(job: Any) -> tuple[str, ...]:
    """Parameters of the claim."""
    ids = (job["tenant_guard"]["value"], job["idempotency_key"], job["writeback_job_id"], job["proposal_id"])
    return (*ids, fingerprint(job))


def unchanged(job: Any, row: Any) -> None:
    expected = job["guards"]["expected_version"]["value"].removesuffix("Z")
    told = (job["target"]["primary_key"]["value"], job["tenant_guard"]["value"], expected)
    if row is None or tuple(row) != told:
        raise ValueError("conflict")
