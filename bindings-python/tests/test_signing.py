"""verify and sign as Python calls them; what they decide is in the vectors."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from email.message import Message
from typing import Any

import httpx
import pytest
import signoff
import standardwebhooks
from starlette.datastructures import Headers as StarletteHeaders
from support.server import PACKAGE
from support.shop import SECRET, request

BODY = json.dumps(request()).encode()
KEY = "wrp_1:INV-3001"
NOW = datetime(2026, 6, 28, tzinfo=timezone.utc)


def refused(*args: Any, **kwargs: Any) -> signoff.SignoffError:
    with pytest.raises(signoff.SignoffError) as caught:
        signoff.verify(*args, **kwargs)
    return caught.value


def test_a_job_is_exact_and_frozen() -> None:
    body = json.dumps(
        request(
            patch={"credit_requested_cents": 9007199254740993, "credit_reason": None},
            before={"balance": "1.10", "note": "x", "ratio": True, "list": [1]},
            allowed_columns=["credit_requested_cents", "credit_reason"],
            evidence={"items": [1, 1.5, None]},
        )
    ).replace('"1.10"', "1.10")
    signed = signoff.sign(body.encode(), SECRET, key=KEY)
    job = signoff.verify(body.encode(), signed, SECRET)
    assert job.patch == {"credit_requested_cents": 9007199254740993, "credit_reason": None}
    assert job.before == {"balance": Decimal("1.10"), "note": "x", "ratio": True}
    assert repr(job.before["balance"]) == "Decimal('1.10')"
    assert job.target == signoff.Target("public", "invoices", signoff.ColumnValue("id", "INV-3001"))
    assert job.expected_version.column == "updated_at"
    assert (job.tenant_id, job.object_id, job.proposal_version) == ("acme", "INV-3001", 1)
    assert (job.evidence, job.dry_run, job.row) == ({"items": [1, "1.5", None]}, False, {})
    with pytest.raises(AttributeError):
        job.tenant_id = "globex"  # type: ignore[misc]
    assert copy.deepcopy(job) == job == pickle.loads(pickle.dumps(job))
    assert "9007199254740993" not in repr(job)


@pytest.mark.parametrize(
    "shape",
    [
        dict,
        lambda headers: list(headers.items()),
        lambda headers: ((name.encode(), value.encode()) for name, value in headers.items()),
        lambda headers: {name.upper(): value for name, value in headers.items()},
        lambda headers: StarletteHeaders(headers),
        lambda headers: httpx.Headers(headers),
        lambda headers: [("x-other", b"\xff\x00"), *headers.items()],
    ],
)
def test_headers_come_in_many_shapes(shape: Any) -> None:
    headers = signoff.sign(BODY, SECRET, key=KEY, now=NOW)
    assert signoff.verify(BODY, shape(headers), SECRET, now=NOW).idempotency_key == KEY


def test_a_duplicate_line_is_seen_in_each_shape() -> None:
    lines = list(signoff.sign(BODY, SECRET, key=KEY, now=NOW).items())
    lines.append(("Webhook-Id", KEY))
    raw = [(name.lower().encode(), value.encode()) for name, value in lines]
    message = Message()
    for name, value in lines:
        message[name] = value
    shapes: Iterable[Any] = (lines, StarletteHeaders(raw=raw), httpx.Headers(lines), message)
    for shape in shapes:
        error = refused(BODY, shape, SECRET, now=NOW)
        assert (error.code, error.context) == ("HEADER_DUPLICATED", {"header": "webhook-id"}), shape


def test_the_time_is_an_aware_datetime_and_300_seconds_are_enough() -> None:
    headers = signoff.sign(BODY, SECRET, key=KEY, now=NOW)
    for seconds, fresh in [(300, True), (-300, True), (301, False), (-301, False)]:
        there = NOW.astimezone(timezone(timedelta(hours=5, minutes=30))) + timedelta(seconds=seconds)
        if fresh:
            signoff.verify(BODY, headers, SECRET, now=there)
        else:
            assert refused(BODY, headers, SECRET, now=there).code == "INVALID_ISSUED_AT"
    assert refused(BODY, headers, SECRET, now=NOW + timedelta(seconds=300, microseconds=1)).code == "INVALID_ISSUED_AT"
    naive = NOW.replace(tzinfo=None)
    assert refused(BODY, headers, SECRET, now=naive).code == "INSTANT_INVALID"
    assert refused(BODY, headers, SECRET).code == "INVALID_ISSUED_AT", "today is another day"


def test_secrets_rotate_and_weak_ones_are_refused() -> None:
    old, new = "the old secret, long enough for strict", SECRET
    signed = signoff.sign(BODY, old, key=KEY)
    assert refused(BODY, signed, new).code == "INVALID_SIGNATURE"
    assert signoff.verify(BODY, signed, [new, old]).action
    both = signoff.sign(BODY, [new, old], key=KEY)
    assert signoff.verify(BODY, both, old).action
    assert refused(BODY, signed, []).code == "HANDLER_SIGNING_SECRET_MISSING"
    weak = refused(BODY, signed, [new, "weak"])
    assert (weak.code, weak.context["number"]) == ("SECRET_UNUSABLE", "2")
    assert "weak" not in weak.message
    assert refused(BODY, signed, new, policy="lax").code == "USAGE"


def test_wrong_types_are_type_errors_and_never_a_verdict() -> None:
    headers: Any = signoff.sign(BODY, SECRET, key=KEY)
    wrong: list[tuple[Any, Any, Any]] = [
        (BODY.decode(), headers, SECRET),
        (json.loads(BODY), headers, SECRET),
        (None, headers, SECRET),
        (BODY, None, SECRET),
        (BODY, {**headers, "webhook-id": [KEY]}, SECRET),
        (BODY, [("webhook-id", KEY, "x")], SECRET),
        (BODY, headers, None),
        (BODY, headers, [None]),
    ]
    for body, lines, secrets in wrong:
        with pytest.raises((TypeError, ValueError)) as caught:
            signoff.verify(body, lines, secrets)
        assert not isinstance(caught.value, signoff.SignoffError)
    # What a server may really hand over is a verdict.
    assert refused(BODY, {**headers, "webhook-id": "\udcff"}, SECRET).code == "HEADER_INVALID"


def test_an_error_says_what_a_program_needs() -> None:
    error = refused(BODY, {}, SECRET)
    assert (error.code, error.retryable, error.context) == (
        "INVALID_SIGNATURE",
        False,
        {"reason": "webhook-id is missing"},
    )
    assert str(error).startswith("INVALID_SIGNATURE: ")
    assert repr(error) == f"SignoffError({str(error)!r})"
    assert error.response.status == 401
    assert ("www-authenticate", "Signature") in error.response.headers
    assert error.response.json()["safe_error_code"] == "INVALID_SIGNATURE"
    again = pickle.loads(pickle.dumps(error))
    assert (again.code, again.context, again.response) == (error.code, error.context, error.response)


def test_standardwebhooks_of_pypi_agrees_both_ways() -> None:
    theirs = standardwebhooks.Webhook(SECRET)
    headers = signoff.sign(BODY, SECRET, key=KEY)
    assert theirs.verify(BODY, headers) == json.loads(BODY)
    rotated = signoff.sign(BODY, ["another secret that is long enough", SECRET], key=KEY)
    assert theirs.verify(BODY, rotated)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        theirs.verify(BODY + b" ", headers)

    now = datetime.now(timezone.utc)
    signature = theirs.sign(KEY, now, BODY.decode())
    signed = {
        "webhook-id": KEY,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
    assert signoff.verify(BODY, signed, SECRET).idempotency_key == KEY
    assert refused(BODY + b" ", signed, SECRET).code == "INVALID_SIGNATURE"


def _verify_in_a_child(results: Any) -> None:
    job = signoff.verify(BODY, signoff.sign(BODY, SECRET, key=KEY), SECRET)
    results.put((os.getpid(), job.idempotency_key))


def test_a_forked_worker_works() -> None:
    """As gunicorn forks: after the package was imported and used, with threads there."""
    signoff.verify(BODY, signoff.sign(BODY, SECRET, key=KEY), SECRET)
    script = "\n".join(
        [
            "import os, sys, threading, signoff",
            "body, secret = sys.stdin.buffer.read(), sys.argv[1]",
            "check = lambda: signoff.verify(body, signoff.sign(body, secret, key='wrp_1:INV-3001'), secret)",
            "check()",
            "threading.Thread(target=check).start()",
            "pid = os.fork()",
            "if pid == 0:",
            "    os._exit(0 if check().idempotency_key == 'wrp_1:INV-3001' else 1)",
            "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))",
        ]
    )
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    ran = subprocess.run(
        [sys.executable, "-c", script, SECRET], input=BODY, env=environment, capture_output=True, timeout=60
    )
    assert (ran.returncode, ran.stderr) == (0, b"")
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    child = context.Process(target=_verify_in_a_child, args=(results,))
    child.start()
    assert results.get(timeout=60) == (child.pid, KEY)
    child.join(60)


def test_many_threads_share_one_handler() -> None:
    headers = signoff.sign(BODY, SECRET, key=KEY)
    failures = []

    def check() -> None:
        for n in range(300):
            body = BODY if n % 2 else BODY + b" "
            try:
                signoff.verify(body, headers, SECRET)
                if n % 2 == 0:
                    failures.append("accepted")
            except signoff.SignoffError as error:
                if n % 2 or error.code != "INVALID_SIGNATURE":
                    failures.append(error.code)

    threads = [threading.Thread(target=check) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_no_secret_is_printed() -> None:
    planted = "whsec_UExBTlRFRC1QTEFOVEVELVBMQU5URUQtMDE="
    shown = []
    for secrets in (planted, [planted, planted[:-1]], ["short", planted]):
        try:
            signoff.verify(BODY, signoff.sign(BODY, planted, key=KEY), secrets)
        except signoff.SignoffError as error:
            shown.append(repr(error) + str(error) + repr(vars(error)))
    assert shown
    assert not any("UExBTlRFRC" in text for text in shown)
