"""What a careless author, an unlucky moment and a client that hangs up can do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import signoff
import signoff.fastapi
from fastapi import FastAPI
from support.shop import DRIVERS, Answer, Shop, request


@pytest.mark.parametrize("driver", [driver for driver in DRIVERS if not driver.startswith("sync")])
def test_a_statement_that_the_function_did_not_wait_for_makes_no_false_answer(
    open_shop: Callable[..., Shop], driver: str
) -> None:
    """A task that outlives the function, with every number of turns of the loop in between: a 200 was stored before."""
    shop = open_shop(driver)
    late: list[asyncio.Task[None]] = []
    used: list[Any] = []

    async def author(job: signoff.Job, transaction: Any) -> signoff.Applied:
        await shop.credit(job, transaction)
        used[:] = [transaction]

        async def comes_late(turns: int) -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            with contextlib.suppress(Exception):
                await shop.sql(transaction, "SELECT 1 / 0")

        late[:] = [asyncio.create_task(comes_late(turns)) for turns in (int(job.idempotency_key), 40)]
        return signoff.Applied(rows=1)

    async def deliver(turns: int) -> Answer:
        answer = await shop.send(request(str(turns)))
        await asyncio.gather(*late)
        if shop.driver != "asyncpg":
            # A session that is used after it was closed begins anew.
            await used[0].close()
        return answer

    shop.action(author)
    told: dict[str, int] = {}
    for turns in range(40):
        told[str(turns)] = shop.loop.run(deliver(turns)).told[0]
    stored = {key for key, status in shop.receipts if status == "applied"}
    assert {key for key, status in told.items() if status == 200} <= stored
    assert shop.effects == len(stored)


def test_a_body_that_breaks_off_is_no_error_of_the_servers(open_shop: Callable[..., Shop]) -> None:
    """Anybody can do it, as often as they like: it may not fill a log with tracebacks."""
    shop = open_shop()
    shop.action(shop.credit)
    app = FastAPI()
    app.include_router(signoff.fastapi.router(shop.handler))
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": "/signoff/writeback",
        "raw_path": b"/signoff/writeback", "query_string": b"", "root_path": "", "headers": [], "scheme": "http",
        "server": ("app", 80), "client": ("test", 1),
    }  # fmt: skip
    shop.loop.run(app(scope, receive, send))
    assert [message.get("status") for message in sent] == [400, None]
