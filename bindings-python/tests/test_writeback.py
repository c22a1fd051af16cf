"""What must hold with every driver, through FastAPI, on a real Postgres."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
import signoff
from support.shop import DRIVERS, SECRET, Shop, ago, request, sign


@pytest.fixture(params=DRIVERS)
def shop(request: pytest.FixtureRequest, open_shop: Callable[..., Shop]) -> Shop:
    return open_shop(request.param)


async def nobody(job: signoff.Job, transaction: Any) -> signoff.Applied:
    raise AssertionError("the author's function was called")


def test_an_effect_lands_once_and_a_duplicate_gets_the_receipt(shop: Shop) -> None:
    async def credit(job: signoff.Job, transaction: Any) -> signoff.Applied:
        assert dict(job.row) == {
            "id": "INV-3001",
            "tenant_id": "acme",
            "updated_at": "2026-06-20T14:31:08.0005+00:00",
        }
        await shop.credit(job, transaction)
        return signoff.Applied(rows=2, effects=[{"kind": "db.insert"}], details={"note": "ok"})

    shop.action(credit)
    first = shop.deliver(request())
    assert (first.told, first.replayed) == ((200, "applied", ""), False)
    assert first.body["rows_affected"] == 2
    assert first.body["details"] == {"effects": [{"kind": "db.insert"}], "note": "ok"}
    for _ in range(2):
        again = shop.deliver(request())
        assert (again.told, again.replayed) == ((200, "already_applied", ""), True)
        assert again.body["details"] == first.body["details"]
    assert shop.effects == 1
    assert shop.receipts == [("wrp_1:INV-3001", "applied")]


def test_what_is_not_meant_for_us_runs_nothing(shop: Shop) -> None:
    shop.action(nobody)
    body = request()
    content = json.dumps(body).encode()
    forged = signoff.sign(content, "whsec_" + "A" * 32, key="wrp_1:INV-3001")
    assert shop.deliver(body, headers=forged).told == (401, "failed", "INVALID_SIGNATURE")
    # The clock goes on while it is delivered: what is 301 s ahead when it is signed may be 300 s ahead when it arrives.
    for seconds, code in [(301, "INVALID_ISSUED_AT"), (-330, "INVALID_ISSUED_AT")]:
        stale = sign(body, content, now=ago(seconds))
        assert shop.deliver(body, headers=stale).told == (401, "failed", code)
    # Captured, and sent again with a fresh time: the time is signed.
    captured, fresh = sign(body, content, now=ago(3600)), sign(body, content)
    replayed = {**captured, "webhook-timestamp": fresh["webhook-timestamp"]}
    assert shop.deliver(body, headers=replayed).told == (401, "failed", "INVALID_SIGNATURE")
    refusals: list[tuple[dict[str, Any], tuple[int, str, str]]] = [
        ({"action": "billing.other"}, (400, "failed", "UNSUPPORTED_ACTION")),
        ({"audience": "another-app"}, (403, "failed", "AUDIENCE_MISMATCH")),
        ({"target__table": "tenants"}, (403, "failed", "TARGET_MISMATCH")),
        ({"patch": {"status": "paid"}}, (422, "failed", "PATCH_COLUMN_NOT_ALLOWED")),
        ({"tenant_guard__value": "globex"}, (200, "conflict", "ROW_NOT_FOUND")),
    ]
    for changes, expected in refusals:
        assert shop.deliver(request(f"k{expected[2]}", **changes)).told == expected
    assert shop.effects == 0
    assert shop.receipts == [("kROW_NOT_FOUND", "conflict")]


def test_compat_takes_synapsors_signature_if_the_body_says_when(shop: Shop) -> None:
    shop.handler = signoff.WritebackHandler(database=shop.database, secrets=SECRET, policy="compat")
    shop.action(shop.credit)
    for issued, expected in [
        (ago(3600), (401, "failed", "INVALID_ISSUED_AT")),
        (ago(0), (200, "applied", "")),
    ]:
        body = request(issued_at=issued.isoformat())
        signed = sign(body, json.dumps(body).encode())
        headers = {name: value for name, value in signed.items() if not name.startswith("webhook-")}
        # A captured body with a fresh header.
        assert shop.deliver(body, headers={**headers, "x-synapsor-issued-at": ago(0).isoformat()}).status == 401
        assert shop.deliver(body, headers=headers).told == expected
    assert shop.effects == 1


def test_a_row_that_moved_by_300_microseconds_is_a_terminal_conflict(shop: Shop) -> None:
    shop.action(nobody)
    stale = request(guards__expected_version__value="2026-06-20T14:31:08.0002Z")
    conflict = shop.deliver(stale)
    assert (conflict.told, conflict.replayed) == ((200, "conflict", "VERSION_CONFLICT"), False)
    again = shop.deliver(stale)
    assert (again.told, again.body, again.replayed) == (conflict.told, conflict.body, True)
    assert shop.effects == 0


def test_the_same_key_with_another_body_runs_nothing(shop: Shop) -> None:
    shop.action(shop.credit)
    assert shop.deliver(request()).told == (200, "applied", "")
    other = shop.deliver(request(patch__credit_requested_cents=501))
    assert other.told == (422, "failed", "IDEMPOTENCY_KEY_REUSED")
    assert shop.effects == 1


def test_a_dry_run_calls_nobody_and_writes_nothing(shop: Shop) -> None:
    shop.action(nobody)
    dry = shop.deliver(request(dry_run=True))
    assert dry.told == (200, "applied", "")
    assert (dry.body["rows_affected"], dry.body["details"]) == (0, {"dry_run": True})
    moved = shop.deliver(request(dry_run=True, guards__expected_version__value="2026-06-20T14:31:08Z"))
    assert moved.told == (200, "conflict", "VERSION_CONFLICT")
    assert (shop.effects, shop.receipts) == (0, [])


def test_an_effect_that_raises_is_rolled_back_and_may_be_tried_again(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    failures: list[BaseException] = [ValueError("private to the log")]
    if shop.asynchronous and sys.version_info >= (3, 11):
        # Of something that the author waited for. Python 3.10 cannot tell that from the end of the loop.
        failures.append(asyncio.CancelledError())

    async def author(job: signoff.Job, transaction: Any) -> signoff.Applied:
        applied = await shop.credit(job, transaction)
        if failures:
            raise failures.pop(0)
        return applied

    shop.action(author)
    while failures:
        failed = shop.deliver(request())
        assert failed.told == (500, "failed", "HANDLER_BUSINESS_ERROR")
        assert (failed.body["details"]["retryable"], shop.effects, shop.receipts) == (True, 0, [])
        assert "private" not in json.dumps(failed.body)
    assert "private to the log" in caplog.text
    assert shop.deliver(request()).told == (200, "applied", "")
    assert shop.effects == 1


def test_what_cannot_be_recorded_is_a_failure_too(shop: Shop) -> None:
    results: list[Any] = [
        None,
        3,
        {"rows": 1},
        signoff.Applied(rows=1.9),  # type: ignore[arg-type]
        signoff.Applied(rows=-1),
        signoff.Applied(rows=True),
        signoff.Applied(rows=2**53 + 1),
        signoff.Applied(rows=float("nan")),  # type: ignore[arg-type]
        signoff.Applied(rows="5"),  # type: ignore[arg-type]
        signoff.Applied(rows=1, details={"x": object()}),
        signoff.Applied(rows=1, details={"effects": []}),
        signoff.Refused("not a code"),
    ]

    async def author(job: signoff.Job, transaction: Any) -> Any:
        await shop.credit(job, transaction)
        return results[0]

    shop.action(author)
    while results:
        assert shop.deliver(request()).told == (500, "failed", "HANDLER_BUSINESS_ERROR"), results[0]
        results.pop(0)
    assert (shop.effects, shop.receipts) == (0, [])


@pytest.mark.parametrize("raised", [True, False], ids=["raised", "returned"])
@pytest.mark.parametrize(("kind", "status"), [(signoff.Conflict, "conflict"), (signoff.Refused, "failed")])
def test_an_author_declines_for_good_after_partial_writes(
    shop: Shop, kind: type[signoff.Conflict], status: str, raised: bool
) -> None:
    calls = []

    async def author(job: signoff.Job, transaction: Any) -> signoff.Result:
        await shop.credit(job, transaction)
        calls.append(job)
        decision = kind("CREDIT_LIMIT", {"limit_cents": 100})
        if raised:
            raise decision
        return decision

    shop.action(author)
    declined = shop.deliver(request())
    assert (declined.told, declined.replayed) == ((200, status, "CREDIT_LIMIT"), False)
    assert declined.body["details"] == {"limit_cents": 100}
    again = shop.deliver(request())
    assert (again.body, again.replayed) == (declined.body, True)
    assert (len(calls), shop.effects) == (1, 0)


@pytest.mark.parametrize("how", ["commit", "close"])
def test_an_author_who_ends_the_transaction_is_noticed(shop: Shop, how: str) -> None:
    ends = [how]

    async def author(job: signoff.Job, transaction: Any) -> signoff.Applied:
        applied = await shop.credit(job, transaction)
        if ends:
            await shop.end(transaction, ends.pop())
        return applied

    shop.action(author)
    assert shop.deliver(request()).told == (500, "failed", "TRANSACTION_LOST")
    landed = 1 if how == "commit" else 0
    assert shop.effects == landed
    if how == "close" and not shop.driver.endswith("session") and shop.driver != "session-psycopg":
        # A connection that is closed can do nothing of its own, so this is like one that is gone: it may be tried again.
        assert shop.deliver(request()).told == (200, "applied", "")
        assert shop.effects == 1
        return
    # What landed, nobody can know from here: never again.
    for _ in range(2):
        assert shop.deliver(request()).told == (500, "failed", "HANDLER_TRANSACTION_BROKEN")
    assert (shop.effects, shop.receipts) == (landed, [("wrp_1:INV-3001", "in_progress")])


def test_an_author_who_rolls_back_or_commits_and_goes_on_is_noticed(shop: Shop) -> None:
    script: list[str] = []

    async def author(job: signoff.Job, transaction: Any) -> signoff.Applied:
        for how in script:
            await shop.credit(job, transaction)
            await shop.end(transaction, how)
        return await shop.credit(job, transaction)

    shop.action(author)
    script[:] = ["rollback"]
    # asyncpg's last write stands by itself: after ROLLBACK its connection is in no transaction.
    loose = 1 if shop.driver == "asyncpg" else 0
    assert shop.deliver(request("k1")).told == (500, "failed", "TRANSACTION_LOST")
    assert (shop.effects, shop.receipts) == (loose, [("k1", "in_progress")])
    script[:] = ["commit", "commit"]
    assert shop.deliver(request("k2")).told == (500, "failed", "TRANSACTION_LOST")
    assert shop.receipts == [("k1", "in_progress"), ("k2", "in_progress")]
    assert shop.effects == 2 * loose + 2
    # It rolled back what holds the key, and committed on its own account.
    script[:] = ["rollback", "commit"]
    assert shop.deliver(request("k3")).told == (500, "failed", "TRANSACTION_LOST")
    assert shop.effects == 3 * loose + 3
    script.clear()
    for key in ("k1", "k2", "k3"):
        assert shop.deliver(request(key)).told == (500, "failed", "HANDLER_TRANSACTION_BROKEN")
    assert shop.effects == 3 * loose + 3, "never run again"


def test_savepoints_are_the_authors_own(shop: Shop) -> None:
    async def author(job: signoff.Job, transaction: Any) -> signoff.Applied:
        for expected in (ZeroDivisionError, None):
            nested = transaction.transaction() if shop.driver == "asyncpg" else transaction.begin_nested()
            try:
                if shop.asynchronous:
                    async with nested:
                        await shop.credit(job, transaction)
                        1 / (expected is None)
                else:
                    with nested:
                        await shop.credit(job, transaction)
                        1 / (expected is None)
            except ZeroDivisionError:
                assert expected is ZeroDivisionError
        return signoff.Applied(rows=1)

    shop.action(author)
    assert shop.deliver(request()).told == (200, "applied", "")
    assert shop.effects == 1


def test_an_error_of_the_database_that_the_author_swallows_is_rolled_back(shop: Shop) -> None:
    async def author(job: signoff.Job, transaction: Any) -> signoff.Applied:
        await shop.credit(job, transaction)
        with contextlib.suppress(Exception):
            await shop.sql(transaction, "INSERT INTO account_credits (id) VALUES ('incomplete')")
        return signoff.Applied(rows=1)

    shop.action(author)
    answer = shop.deliver(request())
    assert answer.told == (503, "failed", "TRANSACTION_FAILED")
    assert (shop.effects, shop.receipts) == (0, [])


def test_a_missing_receipts_table_and_a_read_only_role_are_said(shop: Shop) -> None:
    shop.action(shop.credit)
    shop.rows("ALTER ROLE billing_writer IN DATABASE " + shop.name + " SET default_transaction_read_only = on")
    assert shop.deliver(request()).told == (403, "failed", "SOURCE_READ_ONLY")
    shop.rows("ALTER ROLE billing_writer IN DATABASE " + shop.name + " RESET default_transaction_read_only")
    shop.loop.run(shop.reconnect())
    shop.rows("DROP TABLE synapsor_handler_receipts")
    missing = shop.deliver(request())
    assert missing.told == (500, "failed", "RECEIPT_TABLE_MISSING")
    assert "signoff handler migration" in missing.body["details"]["help"]
    assert shop.effects == 0
