"""The billing application as processes of its own, one driver each, for uvicorn: `support.app:app`.

Where the file `DIE_AT` names a place, the process kills itself there, the first one to get there and no other.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import signoff
import signoff.fastapi
from asyncpg.transaction import Transaction
from fastapi import FastAPI
from sqlalchemy import create_engine, event, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

URL, DRIVER, SECRET, DIE_AT = (os.environ[name] for name in ("URL", "DRIVER", "SECRET", "DIE_AT"))
INSERT = (
    "INSERT INTO account_credits (id, tenant_id, invoice_id, customer_id, amount_cents, reason, idempotency_key, created_by) "
    "SELECT gen_random_uuid(), tenant_id, id, customer_id, 500, 'goodwill', gen_random_uuid(), 'app' FROM invoices WHERE id = 'INV-3001'"
)
ACTION: dict[str, Any] = {"target": "invoices", "key": "id", "tenant": "tenant_id", "version": "updated_at"}


def here(place: str) -> None:
    with suppress(FileNotFoundError):
        if Path(DIE_AT).read_text() == place:
            Path(DIE_AT).unlink()
            os.kill(os.getpid(), signal.SIGKILL)


def make() -> signoff.WritebackHandler:
    database: Any
    if DRIVER == "asyncpg":
        # Not a double: the one place to stand between the receipt and COMMIT.
        commit = Transaction.commit

        async def dying(transaction: Any) -> None:
            here("commit")
            await commit(transaction)

        Transaction.commit = dying

        def database() -> Any:
            return billing.state.pool
    elif DRIVER == "session":
        engine = create_async_engine(URL.replace("postgresql:", "postgresql+asyncpg:"))
        event.listen(engine.sync_engine, "commit", lambda connection: here("commit"))
        database = async_sessionmaker(engine)
    else:
        synchronous = create_engine(URL.replace("postgresql:", "postgresql+psycopg:"))
        event.listen(synchronous, "commit", lambda connection: here("commit"))
        database = sessionmaker(synchronous)
    return signoff.WritebackHandler(database=database, secrets=SECRET, audience="billing-app")


handler = make()
register = handler.action("billing.propose_account_credit", **ACTION)

if DRIVER == "asyncpg":

    @register
    async def by_asyncpg(job: signoff.Job, connection: Any) -> signoff.Applied:
        await connection.execute(INSERT)
        here("effect")
        return signoff.Applied(rows=1)

elif DRIVER == "session":

    @register
    async def by_session(job: signoff.Job, session: AsyncSession) -> signoff.Applied:
        await session.execute(text(INSERT))
        here("effect")
        return signoff.Applied(rows=1)

else:

    @register
    def by_sync_session(job: signoff.Job, session: Session) -> signoff.Applied:
        session.execute(text(INSERT))
        here("effect")
        return signoff.Applied(rows=1)


@asynccontextmanager
async def lifespan(application: FastAPI) -> AsyncIterator[None]:
    if DRIVER != "asyncpg":
        yield
        return
    async with asyncpg.create_pool(URL, min_size=0) as application.state.pool:
        yield


billing = FastAPI(lifespan=lifespan)
billing.include_router(signoff.fastapi.router(handler))


async def app(scope: Any, receive: Any, send: Any) -> None:
    async def watched(message: Any) -> None:
        if message["type"] == "http.response.start" and scope["method"] == "POST":
            here("answer")
        await send(message)

    await billing(scope, receive, watched)
