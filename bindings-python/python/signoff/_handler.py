"""An application's handler: its database, its secrets, and a function for each action."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any, TypeVar

from . import _drivers, _native
from ._errors import Response, SignoffError
from ._guard import drive, run_now
from ._signing import Headers, Policy, _list, _when

log = logging.getLogger("signoff")

F = TypeVar("F", bound=Callable[..., Any])


class WritebackHandler:
    """Runs your function for a signed writeback request: at most once per key, only if the request is authentic, fresh,
    whole, meant for you, inside its tenant and about a row that has not changed, in one transaction with its receipt.

    Your function takes the `Job`, with its row locked, and a transaction of your own database. What you pass as
    `database` says which:

    | database | your function gets | functions |
    |---|---|---|
    | `async_sessionmaker` | `AsyncSession` | `async def`; a `def` gets the `Session` inside |
    | `AsyncEngine` | `AsyncConnection` | `async def`; a `def` gets the `Connection` inside |
    | `asyncpg.Pool`, or a function that answers it | `asyncpg.Connection` | `async def` |
    | `sessionmaker` | `Session` | `def` |
    | `Engine` | `Connection` | `def` |

    A pool of asyncpg exists only in a running loop, which is why a function will do: it is called for each request.

    It returns `Applied`, or returns or raises `Conflict` or `Refused`. Any other exception rolls everything back, goes to
    the logger `signoff` and nowhere else, and is answered 500 `HANDLER_BUSINESS_ERROR`, which the sender may try again.
    The guard commits: a function that commits, rolls back or closes by itself gets 500 `TRANSACTION_LOST`, and is not
    run again for that key. Savepoints (`begin_nested()`, `connection.transaction()`) are yours to use.

    Example:
        >>> import signoff
        >>> from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
        >>> engine = create_async_engine("postgresql+asyncpg://app@localhost/billing")
        >>> handler = signoff.WritebackHandler(
        ...     database=async_sessionmaker(engine), secrets="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", audience="billing-app"
        ... )
        >>> @handler.action("billing.waive_fee", target="invoices", key="id", tenant="tenant_id", version="updated_at")
        ... async def waive_fee(job: signoff.Job, session: AsyncSession) -> signoff.Applied:
        ...     ...  # UPDATE invoices
        ...     return signoff.Applied(rows=1)
    """

    __module__ = "signoff"

    def __init__(
        self,
        *,
        database: Any,
        secrets: str | Sequence[str],
        audience: str | None = None,
        policy: Policy = "strict",
        bearer_tokens: str | Sequence[str] = (),
        receipts: str | None = None,
    ) -> None:
        """Sets a handler up. No connection is made.

        Args:
            database: see the class.
            secrets: as for `verify`. There is no default.
            audience: if given, the signed body has to name it.
            policy: as for `verify`.
            bearer_tokens: if any are given, a request has to carry one of them as well.
            receipts: the receipts table, `schema.table`; `public.synapsor_handler_receipts` if left out.

        Raises:
            SignoffError: `HANDLER_SIGNING_SECRET_MISSING`, `SECRET_UNUSABLE`, `UNSAFE_IDENTIFIER`,
                `HANDLER_CONFIG_INVALID` for anything else, an object of another driver among it.
        """
        self._driver = _drivers.of(database)
        self._config: dict[str, Any] = {
            "dialect": self._driver.dialect,
            "placeholders": self._driver.placeholders,
            "secrets": _list(secrets),
            "policy": policy,
            "bearer_tokens": _list(bearer_tokens),
            "audience": audience,
            "receipts": receipts,
            "actions": [],
        }
        self._functions: dict[str, Callable[..., Any]] = {}
        self._native = _native.Handler(json.dumps(self._config))
        # A task that nobody refers to may be collected while it runs.
        self._tasks: set[asyncio.Task[Response]] = set()
        for warning in self._native.warnings:
            log.warning("%s", warning)

    def action(
        self,
        name: str,
        *,
        target: str,
        key: str,
        tenant: str | None = None,
        single_tenant: bool = False,
        version: str | None = None,
        compare: Sequence[str] = (),
        allow: Sequence[str] = (),
    ) -> Callable[[F], F]:
        """Registers a function for an action. The function stays what it is.

        Args:
            name: the action, as the capability's contract has it.
            target: `schema.table`, or a table of `public`.
            key: the primary key column.
            tenant: the tenant column.
            single_tenant: True for a table with one tenant: it must be said.
            version: the version column.
            compare: columns that must still hold what the sender read; at least one where there is no version.
            allow: the only columns that a patch may name, if any are given.

        Raises:
            SignoffError: `HANDLER_CONFIG_INVALID` for a name that is taken, an action that guards nothing, or a function
                that the driver cannot call; `UNSAFE_IDENTIFIER`.

        Example: see the class.
        """

        def register(function: F) -> F:
            is_async = inspect.iscoroutinefunction(function)
            if is_async and not self._driver.asynchronous:
                raise _native.invalid(f"action {name}", "an `async def` function on a synchronous database")
            if not is_async and not self._driver.takes_functions:
                raise _native.invalid(f"action {name}", "this database needs an `async def` function")
            action = {
                "name": name,
                "table": target,
                "key": key,
                "tenant": tenant,
                "single_tenant": single_tenant,
                "version": version,
                "compare": list(compare),
                "allow": list(allow),
            }
            config = {**self._config, "actions": [*self._config["actions"], action]}
            # Checked as a whole before anything changes.
            self._native = _native.Handler(json.dumps(config))
            self._config = config
            self._functions[name] = function
            return function

        return register

    async def handle(self, body: bytes, headers: Headers, *, now: datetime | None = None) -> Response:
        """Handles a request; answers what to send. It raises nothing for anything that a request can cause.

        Args:
            body: the bytes as received; read no more than `MAX_BODY` + 1 of them.
            headers: as for `verify`.
            now: as for `verify`.

        Cancelling it (a client that hung up, a timeout of a framework) does not stop what began: the guard runs in a task
        of its own to its end, and the same request again gets the stored receipt. If the event loop itself ends, the
        connection is closed and the database rolls back: there is never half a transaction.

        Example:
            >>> import asyncio
            >>> asyncio.run(handler.handle(b"{}", {})).status
            401
        """
        guard = self._accept(body, headers, now)
        if isinstance(guard, Response):
            return guard
        driven = self._drive(guard)
        if not self._driver.asynchronous:
            driven = asyncio.to_thread(run_now, driven)
        task = asyncio.create_task(driven)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    def handle_sync(self, body: bytes, headers: Headers, *, now: datetime | None = None) -> Response:
        """As `handle`, for a synchronous database in a synchronous application. It blocks; there is no cancelling it.

        Raises:
            SignoffError: `HANDLER_CONFIG_INVALID` if the database is asynchronous.

        Example:
            >>> handler.handle_sync(b"{}", {})
            Traceback (most recent call last):
                ...
            signoff.SignoffError: HANDLER_CONFIG_INVALID: ...
        """
        if self._driver.asynchronous:
            raise _native.invalid("database", "it is asynchronous: await handle()")
        guard = self._accept(body, headers, now)
        if isinstance(guard, Response):
            return guard
        return run_now(self._drive(guard))

    def receipts_ddl(self) -> list[str]:
        """The statements that make this handler's receipts table, for your migration.

        Example:
            >>> "synapsor_handler_receipts" in handler.receipts_ddl()[-1]
            True
        """
        return self._native.receipts_ddl()

    def _drive(self, guard: _native.Guard) -> Coroutine[Any, Any, Response]:
        job = guard.job
        return drive(guard, job, self._driver.transaction(), self._functions[job.action])

    def _accept(self, body: bytes, headers: Headers, now: datetime | None) -> _native.Guard | Response:
        try:
            return self._native.accept(body, headers, _when(now))
        except SignoffError as refused:
            log.warning("refused: %s", refused, extra={"code": refused.code})
            return refused.response
