"""SQLAlchemy 2: engines and session makers, asynchronous and synchronous.

What touches the database is written once, for the synchronous objects; the asynchronous ones run it by `run_sync`.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError, PendingRollbackError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from .. import _native
from .._guard import Function, Rows
from .._job import Job
from . import Driver, isolation

T = TypeVar("T")
Scope: TypeAlias = Session | Connection
"""Where statements run: what the author gets, in its synchronous form."""

PLACEHOLDERS = {"numeric_dollar": "native", "format": "format", "pyformat": "format"}
"""By the DBAPI's paramstyle."""


def driver(database: object) -> Driver | None:
    """The driver, if this is an engine or makes sessions."""
    make: Callable[[], Any]
    if isinstance(database, (AsyncEngine, Engine)):
        make, dialect = database.connect, database.dialect
    elif isinstance(database, (async_sessionmaker, sessionmaker)):
        make, dialect = database, _bound(database())
    else:
        return None
    name = "postgres" if dialect.name == "postgresql" else dialect.name
    placeholders = PLACEHOLDERS.get(dialect.paramstyle)
    if name != "postgres" or placeholders is None:
        raise _native.invalid("database", f"{dialect.name}+{dialect.driver} is not supported: use Postgres")
    asynchronous = isinstance(database, (AsyncEngine, async_sessionmaker))
    kind = AsyncTransaction if asynchronous else SyncTransaction
    return Driver(name, placeholders, asynchronous, True, partial(kind, make))


def _bound(session: Any) -> Any:
    """The dialect of what a session is bound to."""
    session = session.sync_session if isinstance(session, AsyncSession) else session
    try:
        return session.get_bind().dialect
    except SQLAlchemyError:
        raise _native.invalid("database", "the session maker is not bound to one engine") from None


def _connection(scope: Scope) -> Connection:
    return scope.connection() if isinstance(scope, Session) else scope


def _begin(sql: str, scope: Scope) -> bool:
    # SQLAlchemy opens it by itself, and by its engine's level if it is not told: that may be AUTOCOMMIT.
    options = {"isolation_level": isolation(sql)}
    if isinstance(scope, Session):
        bound = scope.get_bind()
        # A session that joins somebody's transaction would leave COMMIT to them.
        if scope.in_transaction() or (isinstance(bound, Connection) and bound.in_transaction()):
            return False
        scope.connection(execution_options=options)
    elif scope.in_transaction():
        return False
    else:
        scope.execution_options(**options)
    return True


def _rows(sql: str, params: Sequence[str | None], scope: Scope) -> Rows:
    return [list(row) for row in _connection(scope).exec_driver_sql(sql, tuple(params))]


def _execute(sql: str, params: Sequence[str | None], scope: Scope) -> int:
    return _connection(scope).exec_driver_sql(sql, tuple(params)).rowcount


def _call(function: Function, job: Job, scope: Scope) -> object:
    result = function(job, scope)
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError("a function that is not `async def` returned something to wait for")
    _flush(scope)
    return result


def _flush(scope: Scope) -> None:
    """Now, so that what the database says of it is the author's error, and not one of COMMIT."""
    if isinstance(scope, Session):
        scope.flush()


class _Transaction:
    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._scope: Any = None
        self._open = False
        # Set where the server did not answer: such a connection is not used again.
        self._lost = False

    def sqlstate(self, error: Exception) -> tuple[str | None, str | None]:
        if isinstance(error, PendingRollbackError):
            # What the server would say: the author went on after an error.
            return "25P02", None
        original = error.orig if isinstance(error, DBAPIError) and not error.connection_invalidated else None
        state = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
        if original is None or state is None:
            self._lost = True
            return None, None
        # psycopg has the severity in `diag`, asyncpg on the error that SQLAlchemy's adapter wraps.
        severity = getattr(getattr(original, "diag", None), "severity_nonlocalized", None)
        return state, severity or getattr(original.__cause__, "severity_en", None)


class AsyncTransaction(_Transaction):
    """The author gets the AsyncSession or AsyncConnection; a `def` function gets the synchronous one inside of it."""

    # True while a statement of the guard's own is about to run.
    _ours = False

    def _as_ours(self, run: Callable[..., T], sql: str, params: Sequence[str | None], scope: Scope) -> T:
        self._ours = True
        try:
            return run(sql, params, scope)
        finally:
            self._ours = False

    def _refuse_others(self, scope: Scope) -> None:
        """From here on: a task that outlives the function could fail our transaction between the receipt and COMMIT, and
        a driver that waits its turn (psycopg) is not told that the server made a ROLLBACK of it."""

        def refuse(*_: object) -> None:
            ours, self._ours = self._ours, False
            if not ours:
                raise RuntimeError("the transaction is over: a function waits for everything that it starts")

        event.listen(_connection(scope), "before_cursor_execute", refuse)

    async def begin(self, sql: str) -> bool:
        await self.close()
        scope = self._make()
        if isinstance(scope, AsyncConnection):
            await scope.start()
        self._scope = scope
        self._open = bool(await self._scope.run_sync(partial(_begin, sql)))
        return self._open

    async def rows(self, sql: str, params: Sequence[str | None]) -> Rows:
        rows: Rows = await self._scope.run_sync(partial(self._as_ours, _rows, sql, params))
        return rows

    async def execute(self, sql: str, params: Sequence[str | None]) -> int:
        count: int = await self._scope.run_sync(partial(self._as_ours, _execute, sql, params))
        return count

    async def call(self, function: Function, job: Job) -> object:
        if not inspect.iscoroutinefunction(function):
            result = await self._scope.run_sync(partial(_call, function, job))
        else:
            result = await function(job, self._scope)
            await self._scope.run_sync(_flush)
        await self._scope.run_sync(self._refuse_others)
        return result

    async def commit(self) -> None:
        await self._scope.commit()
        self._open = False
        await self.close()

    async def rollback(self) -> None:
        if self._open and not self._lost:
            await self._scope.rollback()
            self._open = False
        await self.close()

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        scope, self._scope = self._scope, None
        if scope is None:
            return
        try:
            if self._open or self._lost:
                await scope.invalidate()
        except SQLAlchemyError:
            # The author closed it already.
            pass
        finally:
            self._open = self._lost = False
            await scope.close()


class SyncTransaction(_Transaction):
    """The author gets the Session or Connection. Nothing here suspends."""

    async def begin(self, sql: str) -> bool:
        await self.close()
        self._scope = self._make()
        self._open = _begin(sql, self._scope)
        return self._open

    async def rows(self, sql: str, params: Sequence[str | None]) -> Rows:
        return _rows(sql, params, self._scope)

    async def execute(self, sql: str, params: Sequence[str | None]) -> int:
        return _execute(sql, params, self._scope)

    async def call(self, function: Function, job: Job) -> object:
        return _call(function, job, self._scope)

    async def commit(self) -> None:
        self._scope.commit()
        self._open = False
        await self.close()

    async def rollback(self) -> None:
        if self._open and not self._lost:
            self._scope.rollback()
            self._open = False
        await self.close()

    async def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    async def close(self) -> None:
        scope, self._scope = self._scope, None
        if scope is None:
            return
        try:
            if self._open or self._lost:
                scope.invalidate()
        except SQLAlchemyError:
            # The author closed it already.
            pass
        finally:
            self._open = self._lost = False
            scope.close()
