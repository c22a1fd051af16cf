"""The billing application on a database of its own, and the drivers that an author may have."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine
from copy import deepcopy
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import httpx
import psycopg
import signoff
import signoff.fastapi
from fastapi import FastAPI
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import sessionmaker

from .cluster import Cluster

T = TypeVar("T")
ROOT = Path(__file__).parents[3]
BILLING = ROOT / "examples" / "billing"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ACTION = "billing.propose_account_credit"
# What counts effects is written by the database alone.
COUNTER = """
CREATE TABLE effects (n bigint GENERATED ALWAYS AS IDENTITY, what text NOT NULL);
CREATE FUNCTION count_effect() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
  $$ BEGIN INSERT INTO public.effects (what) VALUES (TG_TABLE_NAME || ' ' || NEW.id); RETURN NULL; END $$;
CREATE TRIGGER count_effect AFTER INSERT ON account_credits FOR EACH ROW EXECUTE FUNCTION count_effect();
CREATE TRIGGER count_effect AFTER UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION count_effect();
"""
RIGHTS = """
DO $$ BEGIN CREATE ROLE billing_writer LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
GRANT SELECT ON tenants, customers, invoices, account_credits TO billing_writer;
GRANT UPDATE (credit_requested_cents, credit_reason, credited_cents, updated_at) ON invoices TO billing_writer;
GRANT INSERT ON account_credits TO billing_writer;
GRANT SELECT, INSERT, UPDATE ON synapsor_handler_receipts TO billing_writer;
"""

SQLALCHEMY = ("session", "connection", "session-psycopg", "sync-session", "sync-connection")
DRIVERS = (*SQLALCHEMY, "asyncpg")
"""`session` is FastAPI with SQLAlchemy's AsyncSession on asyncpg: what most people have."""


class Loop:
    """An event loop in a thread of its own, so that engines live as long as a test."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class Answer:
    """An answer of the application's."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self.body = response.json()
        self.replayed = response.headers.get("idempotent-replayed") == "true"

    @property
    def told(self) -> tuple[int, str, str]:
        """Status code, status, code."""
        return self.status, self.body.get("status", ""), self.body.get("safe_error_code", "")


class Shop:
    """A database, and an application on it with one driver."""

    def __init__(self, cluster: Cluster, loop: Loop, driver: str = "session", **engine: Any) -> None:
        schema, seed = (BILLING / f"{name}.postgres.sql" for name in ("schema", "seed"))
        receipts = ";".join(signoff.receipts_ddl())
        # Half a millisecond and a bit: what a clock of milliseconds would merge.
        moved = "ALTER TABLE invoices DISABLE TRIGGER touch_invoice; UPDATE invoices SET updated_at = '2026-06-20 14:31:08.000500+00'; ALTER TABLE invoices ENABLE TRIGGER touch_invoice;"
        self.name = cluster.database(schema.read_text(), seed.read_text(), receipts, RIGHTS, moved, COUNTER)
        self.cluster, self.loop, self.driver = cluster, loop, driver
        self.asynchronous = not driver.startswith("sync")
        self.database, self._engine = loop.run(self.connect(**engine))
        self.handler = signoff.WritebackHandler(database=self.database, secrets=SECRET, audience="billing-app")

    async def connect(self, **options: Any) -> tuple[Any, Any]:
        """What the handler takes, and the engine or pool below it, for the running loop."""
        url = self.cluster.url(self.name, "billing_writer", "postgresql")
        if self.driver == "asyncpg":
            pool = await asyncpg.create_pool(url, min_size=0, max_size=20, **options)
            return pool, pool
        package = "psycopg" if self.driver.startswith("sync") or self.driver.endswith("psycopg") else "asyncpg"
        url = url.replace("postgresql:", f"postgresql+{package}:")
        if not self.asynchronous:
            engine = create_engine(url, **options)
            return (sessionmaker(engine) if self.driver == "sync-session" else engine), engine
        asynchronous = create_async_engine(url, **options)
        return (asynchronous if self.driver == "connection" else async_sessionmaker(asynchronous)), asynchronous

    async def reconnect(self) -> None:
        """Closes the connections of the pool; the next ones are new."""
        ended = self._engine.expire_connections() if self.driver == "asyncpg" else self._engine.dispose()
        if self.asynchronous:
            await ended

    def close(self) -> None:
        async def close() -> None:
            ended = self._engine.close() if self.driver == "asyncpg" else self._engine.dispose()
            if self.asynchronous:
                await ended

        self.loop.run(close())

    # What an author does, with any driver.

    async def sql(self, transaction: Any, sql: str) -> None:
        if self.driver == "asyncpg":
            await transaction.execute(sql)
        elif self.asynchronous:
            await transaction.execute(text(sql))
        else:
            transaction.execute(text(sql))

    async def end(self, transaction: Any, how: str) -> None:
        """`commit`, `rollback` or `close`, by the driver's own method where it has one for it."""
        if self.driver == "asyncpg" and how != "close":
            await transaction.execute(how.upper())
            return
        ended = getattr(transaction, how)()
        if self.asynchronous:
            await ended

    def action(self, function: Any, name: str = ACTION, **options: Any) -> None:
        """Registers what is written as `async def`; for a synchronous driver it is run to its end."""
        registered = function
        if not self.asynchronous:

            def registered(job: signoff.Job, transaction: Any) -> Any:
                try:
                    function(job, transaction).send(None)
                except StopIteration as stop:
                    return stop.value

        registering = {"key": "id", "tenant": "tenant_id", "version": "updated_at", **options}
        self.handler.action(name, target="invoices", **registering)(registered)

    async def credit(self, job: signoff.Job, transaction: Any) -> signoff.Applied:
        """Books the credit. The row's version stays what it is."""
        amount = job.patch["credit_requested_cents"]
        await self.sql(
            transaction,
            "INSERT INTO account_credits (id, tenant_id, invoice_id, customer_id, amount_cents, reason, idempotency_key, created_by) "
            f"SELECT gen_random_uuid(), tenant_id, id, customer_id, {amount}, 'goodwill', gen_random_uuid(), 'app' FROM invoices WHERE id = '{job.object_id}'",
        )
        return signoff.Applied(rows=1)

    # What a sender sends.

    def deliver(self, body: dict[str, Any], **how: Any) -> Answer:
        return self.loop.run(self.send(body, **how))

    async def send(self, body: dict[str, Any], *, headers: dict[str, str] | None = None, **request: Any) -> Answer:
        app = FastAPI()
        app.include_router(signoff.fastapi.router(self.handler))
        content = json.dumps(body).encode()
        headers = sign(body, content) if headers is None else headers
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            request = {"method": "POST", "url": "/signoff/writeback", **request}
            return Answer(await client.request(content=content, headers=headers, **request))

    # What is true afterwards.

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.cluster.connect(self.name) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    @property
    def effects(self) -> int:
        return len(self.rows("SELECT what FROM effects"))

    @property
    def receipts(self) -> list[tuple[Any, ...]]:
        return self.rows("SELECT idempotency_key, status FROM synapsor_handler_receipts ORDER BY 1")


def sign(body: dict[str, Any], content: bytes, now: datetime | None = None) -> dict[str, str]:
    return signoff.sign(content, SECRET, key=body.get("idempotency_key", "k"), now=now)


def ago(seconds: float) -> datetime:
    return datetime.now(timezone.utc) - timedelta(seconds=seconds)


def request(key: str = "wrp_1:INV-3001", **changes: Any) -> dict[str, Any]:
    """The flat body that runners send; a change names a member, `__` for a `/`."""
    body: dict[str, Any] = {
        "protocol_version": "1.0",
        "schema_version": "synapsor.handler-writeback.v1",
        "writeback_job_id": "hwb_wrp_1",
        "proposal_id": "wrp_1",
        "proposal_version": 1,
        "proposal_hash": "sha256:" + "1" * 64,
        "action": ACTION,
        "idempotency_key": key,
        "audience": "billing-app",
        "target": {
            "schema": "public",
            "table": "invoices",
            "primary_key": {"column": "id", "value": "INV-3001"},
        },
        "tenant_guard": {"column": "tenant_id", "value": "acme"},
        "allowed_columns": ["credit_requested_cents", "credit_reason"],
        "before": {"status": "overdue", "updated_at": "2026-06-20T14:31:08.0005Z"},
        "patch": {"credit_requested_cents": 500, "credit_reason": "goodwill"},
        "guards": {"expected_version": {"column": "updated_at", "value": "2026-06-20T14:31:08.0005Z"}},
        "approval": {"status": "approved", "required_role": "billing_lead"},
        "issued_at": datetime.now(timezone.utc).isoformat(),
        "dry_run": False,
    }
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = body
        for parent in parents:
            place = place[parent]
        place[last] = deepcopy(value)
    return body


__all__ = [
    "ACTION",
    "BILLING",
    "DRIVERS",
    "ROOT",
    "SECRET",
    "Answer",
    "Loop",
    "Shop",
    "ago",
    "psycopg",
    "request",
    "sign",
]
