"""The loop that performs the guard's steps. It decides nothing: each step is the crate's, and so is what a reply means."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ._errors import Response, SignoffError
from ._job import Job
from ._results import Conflict, Refused, to_json

if TYPE_CHECKING:
    from ._native import Guard, _Step

log = logging.getLogger("signoff")

# Replies, as the crate reads them.
ALREADY_OPEN = '{"failed":"already_open"}'
THREW = '{"threw":true}'

Function = Callable[..., Any]
Rows = list[list["str | None"]]
T = TypeVar("T")


class Transaction(Protocol):
    """One transaction after another on a database of the application's. On a synchronous driver nothing here suspends."""

    async def begin(self, sql: str) -> bool:
        """Opens one as this statement does; False if one is open already."""

    async def rows(self, sql: str, params: Sequence[str | None]) -> Rows:
        """Runs a statement; every output is text or None."""

    async def execute(self, sql: str, params: Sequence[str | None]) -> int:
        """Runs a statement; answers how many rows it changed."""

    async def call(self, function: Function, job: Job) -> object:
        """Calls the author's function, and sends what its session still holds back."""

    async def commit(self) -> None:
        """Commits."""

    async def rollback(self) -> None:
        """Rolls back. If that fails, `close` closes the connection."""

    async def pause(self, seconds: float) -> None:
        """Waits, outside of a transaction."""

    async def close(self) -> None:
        """Gives the connection back; one with an open transaction is closed instead, which rolls back."""

    def sqlstate(self, error: Exception) -> tuple[str | None, str | None]:
        """SQLSTATE and severity of an error of the driver; None if the server never answered."""


async def drive(guard: Guard, job: Job, transaction: Transaction, function: Function) -> Response:
    """Performs one step after another to the end."""
    step = guard.step
    try:
        while step[0] != "done":
            step = await _perform(step, guard, job, transaction, function)
    finally:
        # Also when our own task is cancelled: an open transaction does not outlive us.
        try:
            await transaction.close()
        except Exception as error:
            # What is decided is decided, and it may be committed.
            log.warning("the connection could not be given back: %s", type(error).__name__)
    if (fault := guard.fault) is not None:
        log.error("%s", fault, extra={"code": fault.code, "idempotency_key": job.idempotency_key})
    return step[1]


async def _perform(step: _Step, guard: Guard, job: Job, transaction: Transaction, function: Function) -> _Step:
    try:
        match step:
            case ("begin", sql, _):
                return guard.ran() if await transaction.begin(sql) else guard.reply(ALREADY_OPEN)
            case ("run", sql, params, True):
                return guard.ran(await transaction.rows(sql, params))
            case ("run", sql, params, _):
                return guard.ran([], await transaction.execute(sql, params))
            case ("effect", row):
                return await _effect(guard, transaction, function, job._with_row(row))
            case ("commit",):
                await transaction.commit()
            case ("rollback",):
                await transaction.rollback()
            case ("pause", milliseconds):
                await transaction.pause(milliseconds / 1000)
        return guard.ran()
    except Exception as error:
        state, severity = transaction.sqlstate(error)
        # Not the error's text: a driver's may quote values.
        log.warning("%s failed: %s, SQLSTATE %s", step[0], type(error).__name__, state)
        return guard.reply(_failed(state, severity))


async def _effect(guard: Guard, transaction: Transaction, function: Function, job: Job) -> _Step:
    try:
        result = await transaction.call(function, job)
    except (Conflict, Refused) as declined:
        result = declined
    except Exception:
        log.exception("the function for %s failed, key %s", job.action, job.idempotency_key)
        return guard.reply(THREW)
    except asyncio.CancelledError:
        if _being_cancelled():
            raise
        # Something that the function waited for was cancelled: an ordinary failure of the function.
        log.exception("the function for %s failed, key %s", job.action, job.idempotency_key)
        return guard.reply(THREW)
    try:
        return guard.reply(f'{{"author":{to_json(result)}}}')
    except (SignoffError, TypeError, ValueError, RecursionError):
        log.exception("what the function for %s returned cannot be recorded, key %s", job.action, job.idempotency_key)
        return guard.reply(THREW)


def _failed(state: str | None, severity: str | None) -> str:
    if state is None:
        return '{"failed":"lost"}'
    told = {"sqlstate": state} if severity is None else {"sqlstate": state, "severity": severity}
    return json.dumps({"failed": told})


def _being_cancelled() -> bool:
    """Python 3.10 cannot tell; there it counts as yes, which rolls back, too."""
    task = asyncio.current_task()
    return task is None or not hasattr(task, "cancelling") or task.cancelling() > 0


def run_now(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine that never suspends, as the loop is over a synchronous driver."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    coroutine.close()
    raise RuntimeError("a synchronous driver suspended")
