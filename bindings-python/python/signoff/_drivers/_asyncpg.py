"""asyncpg: a pool, or a function that answers it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import asyncpg

from .._guard import Function, Rows
from .._job import Job
from . import Driver, isolation


def driver(database: object) -> Driver | None:
    """The driver, if this is a pool, or a plain function, which has to answer one when it is called."""
    pool: Callable[[], Any]
    if isinstance(database, asyncpg.Pool):
        pool = partial(_same, database)
    elif inspect.isroutine(database):
        pool = database
    else:
        return None
    return Driver("postgres", "native", True, False, lambda: AsyncpgTransaction(pool))


def _same(pool: Any) -> Any:
    return pool


class AsyncpgTransaction:
    """The author gets the connection. `connection.transaction()` in it is a savepoint, as asyncpg has it."""

    def __init__(self, pool: Callable[[], Any]) -> None:
        self._made = pool
        self._pool: Any = None
        self._connection: Any = None
        self._transaction: Any = None
        # Set where the server did not answer: such a connection is not used again.
        self._lost = False

    async def begin(self, sql: str) -> bool:
        await self.close()
        self._pool = self._made()
        self._connection = await self._pool.acquire()
        if self._connection.is_in_transaction():
            return False
        # Opened by asyncpg, which refuses savepoints in a transaction that it did not open. It sends what `sql` is.
        self._transaction = self._connection.transaction(isolation=isolation(sql).lower().replace(" ", "_"))
        await self._transaction.start()
        return True

    async def rows(self, sql: str, params: Sequence[str | None]) -> Rows:
        return [list(row) for row in await self._connection.fetch(sql, *params)]

    async def execute(self, sql: str, params: Sequence[str | None]) -> int:
        status: str = await self._connection.execute(sql, *params)
        count = status.rpartition(" ")[2]
        return int(count) if count.isdecimal() else 0

    async def call(self, function: Function, job: Job) -> object:
        return await function(job, self._connection)

    async def commit(self) -> None:
        await self._transaction.commit()
        self._transaction = None
        await self.close()

    async def rollback(self) -> None:
        if self._transaction is not None and not self._lost:
            await self._transaction.rollback()
            self._transaction = None
        await self.close()

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        unfinished, self._transaction = self._transaction, None
        if connection is None:
            return
        if unfinished is not None or self._lost:
            self._lost = False
            # Where the server ended it, the pool has taken it back already.
            with suppress(asyncpg.InterfaceError):
                connection.terminate()
        await self._pool.release(connection)

    def sqlstate(self, error: Exception) -> tuple[str | None, str | None]:
        if isinstance(error, asyncpg.PostgresError) and (state := getattr(error, "sqlstate", None)) is not None:
            return state, getattr(error, "severity_en", None)
        self._lost = True
        return None, None
