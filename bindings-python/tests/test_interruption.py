"""What is cut off in the middle: a request that is cancelled, a loop that ends, a connection that is gone."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import signoff
import signoff.fastapi
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
from support.shop import DRIVERS, SECRET, Shop, request, sign


class Base(DeclarativeBase):
    pass


class Credit(Base):
    __tablename__ = "account_credits"
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    invoice_id: Mapped[str]
    customer_id: Mapped[str]
    amount_cents: Mapped[int]
    reason: Mapped[str]
    idempotency_key: Mapped[str]
    created_by: Mapped[str]


@pytest.fixture(params=DRIVERS)
def shop(request: pytest.FixtureRequest, open_shop: Callable[..., Shop]) -> Shop:
    return open_shop(request.param)


def test_a_cancelled_request_is_finished_and_the_same_request_finds_out(shop: Shop) -> None:
    """A client that hangs up, or a framework's timeout."""
    reached, go_on = threading.Event(), threading.Event()

    async def author(job: signoff.Job, transaction: Any) -> signoff.Applied:
        applied = await shop.credit(job, transaction)
        reached.set()
        if shop.asynchronous:
            await asyncio.to_thread(go_on.wait, 60)
        else:
            go_on.wait(60)
        return applied

    shop.action(author)

    async def hang_up() -> None:
        task = asyncio.create_task(shop.send(request()))
        await asyncio.to_thread(reached.wait, 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert shop.effects == 0, "the request is gone, and the effect not yet committed"
        go_on.set()

    shop.loop.run(hang_up())
    # A twin waits for the first one's end, so this needs no sleep.
    assert shop.deliver(request()).told == (200, "already_applied", "")
    assert (shop.effects, shop.receipts) == (1, [("wrp_1:INV-3001", "applied")])


@pytest.mark.parametrize("driver", [driver for driver in DRIVERS if not driver.startswith("sync")])
def test_when_the_loop_ends_the_database_rolls_back(open_shop: Callable[..., Shop], driver: str) -> None:
    """A server that is shut down in the middle of the author's function. A thread is not cancelled: it just ends."""
    shop = open_shop(driver)
    content = json.dumps(request()).encode()

    async def main() -> None:
        database, engine = await shop.connect()
        shop.handler = signoff.WritebackHandler(database=database, secrets=SECRET)
        reached = asyncio.Event()

        async def author(job: signoff.Job, transaction: Any) -> signoff.Applied:
            await shop.credit(job, transaction)
            reached.set()
            await asyncio.Event().wait()
            raise AssertionError("never")

        shop.action(author)
        task = asyncio.create_task(shop.handler.handle(content, sign(request(), content)))
        await reached.wait()
        task.cancel()
        # What is left is cancelled as asyncio.run does it for every server, but while the pool is still there.
        left = [other for other in asyncio.all_tasks() if other is not asyncio.current_task()]
        for other in left:
            other.cancel()
        ended = await asyncio.gather(*left, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended
        await (engine.close() if driver == "asyncpg" else engine.dispose())

    asyncio.run(main())
    assert (shop.effects, shop.receipts) == (0, [])
    assert shop.rows("SELECT 1 FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'") == []


def test_a_connection_that_is_gone_before_commit_is_not_used_again(shop: Shop) -> None:
    fail = [True]

    async def author(job: signoff.Job, transaction: Any) -> signoff.Applied:
        applied = await shop.credit(job, transaction)
        if fail:
            fail.pop()
            shop.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'billing_writer' AND datname = current_database()"
            )
        return applied

    shop.action(author)
    assert shop.deliver(request()).told == (500, "failed", "TRANSACTION_LOST")
    assert (shop.effects, shop.receipts) == (0, [])
    assert shop.deliver(request()).told == (200, "applied", "")
    assert shop.effects == 1


def test_a_connection_that_did_not_answer_is_closed(open_shop: Callable[..., Shop]) -> None:
    """A timeout of the driver's own: nobody knows what the server still does there."""
    shop = open_shop("asyncpg", command_timeout=0.5)
    shop.action(shop.credit)
    assert shop.deliver(request("k1")).told == (200, "applied", "")
    connections = "SELECT pid FROM pg_stat_activity WHERE usename = 'billing_writer' AND datname = current_database()"
    before = shop.rows(connections)
    with shop.cluster.connect(shop.name) as holder, holder.transaction():
        holder.execute("SELECT FROM invoices WHERE id = 'INV-3001' FOR UPDATE")
        assert shop.deliver(request("k2")).told == (503, "failed", "TRANSACTION_FAILED")
    assert shop.deliver(request("k2")).told == (200, "applied", "")
    assert set(shop.rows(connections)).isdisjoint(before)
    assert shop.effects == 2


def test_a_database_that_is_not_there_is_said_without_its_words(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    shop.action(shop.credit)
    name = "gone_" + shop.driver.replace("-", "_")
    shop.loop.run(shop.reconnect())
    with shop.cluster.connect("postgres") as connection:
        connection.execute(f"ALTER DATABASE {shop.name} RENAME TO {name}".encode())
    answer = shop.deliver(request())
    assert answer.told == (503, "failed", "TRANSACTION_FAILED")
    assert answer.headers["retry-after"] == "1"
    assert shop.name not in answer.body["details"]["message"]
    assert "does not exist" not in caplog.text


def test_a_key_held_elsewhere_is_in_flight(shop: Shop) -> None:
    """The twin waits for two seconds, then says so."""
    shop.action(shop.credit)
    with shop.cluster.connect(shop.name) as holder, holder.transaction():
        holder.execute(
            "INSERT INTO synapsor_handler_receipts (tenant_id, idempotency_key, job_id, proposal_id, status, created_at)"
            " VALUES ('acme', 'wrp_1:INV-3001', 'j', 'p', 'in_progress', now())"
        )
        answer = shop.deliver(request())
        assert answer.told == (409, "failed", "IDEMPOTENCY_IN_FLIGHT")
        assert answer.headers["retry-after"] == "1"
        raise psycopg.Rollback
    assert shop.deliver(request()).told == (200, "applied", "")


def test_what_an_engine_is_set_to_does_not_loosen_the_guard(open_shop: Callable[..., Shop]) -> None:
    for driver, level in [
        ("session", "AUTOCOMMIT"),
        ("connection", "AUTOCOMMIT"),
        ("session-psycopg", "AUTOCOMMIT"),
        ("sync-session", "AUTOCOMMIT"),
        ("sync-connection", "AUTOCOMMIT"),
        ("session", "SERIALIZABLE"),
    ]:
        shop = open_shop(driver, isolation_level=level)
        fail = [True]

        async def author(job: signoff.Job, transaction: Any, shop: Shop = shop, fail: list[bool] = fail) -> Any:
            applied = await shop.credit(job, transaction)
            if fail:
                raise ValueError(fail.pop())
            return applied

        shop.action(author)
        assert shop.deliver(request()).told == (500, "failed", "HANDLER_BUSINESS_ERROR")
        assert (shop.effects, shop.receipts) == (0, []), "rolled back"
        assert shop.deliver(request()).told == (200, "applied", "")
        assert shop.effects == 1


def test_a_session_inside_of_somebody_elses_transaction_is_not_joined(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop("sync-session")
    engine = create_engine(shop.cluster.url(shop.name, "billing_writer", "postgresql+psycopg"))
    with engine.connect() as connection, connection.begin():
        shop.handler = signoff.WritebackHandler(database=sessionmaker(connection), secrets=SECRET)
        shop.action(shop.credit)
        content = json.dumps(request()).encode()
        answer = shop.handler.handle_sync(content, sign(request(), content))
        assert answer.json()["safe_error_code"] == "TRANSACTION_ALREADY_OPEN"
    engine.dispose()
    assert (shop.effects, shop.receipts) == (0, [])


def test_def_functions_get_the_synchronous_object_inside(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop("session")

    @shop.handler.action(
        "billing.propose_account_credit", target="invoices", key="id", tenant="tenant_id", version="updated_at"
    )
    def author(job: signoff.Job, session: Any) -> signoff.Applied:
        assert not isinstance(session, AsyncSession)
        session.execute(text("UPDATE invoices SET credit_reason = 'by def' WHERE id = 'INV-3001'"))
        return signoff.Applied(rows=1)

    assert shop.deliver(request()).told == (200, "applied", "")
    assert shop.rows("SELECT credit_reason FROM invoices WHERE id = 'INV-3001'") == [("by def",)]


def test_what_the_author_left_unflushed_is_the_authors_error(open_shop: Callable[..., Shop]) -> None:
    """The database's objection reaches the author's log, and is not an error of COMMIT."""
    shop = open_shop("session")
    amounts = [-1, 500]

    async def author(job: signoff.Job, session: AsyncSession) -> signoff.Applied:
        session.add(
            Credit(
                id=job.idempotency_key,
                tenant_id=job.tenant_id,
                invoice_id=job.object_id,
                customer_id="cust_acme_1",
                amount_cents=amounts.pop(0),
                reason="goodwill",
                idempotency_key=job.idempotency_key,
                created_by="app",
            )
        )
        return signoff.Applied(rows=1)

    shop.action(author)
    assert shop.deliver(request()).told == (500, "failed", "HANDLER_BUSINESS_ERROR")
    assert (shop.effects, shop.receipts) == (0, [])
    assert shop.deliver(request()).told == (200, "applied", "")
    assert shop.effects == 1


def test_a_commit_that_is_not_answered_is_unknown_and_the_same_request_finds_out(shop: Shop) -> None:
    """The server ends the connection in the middle of COMMIT, from within."""
    shop.action(shop.credit)
    shop.rows(
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
        " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;"
        " CREATE CONSTRAINT TRIGGER die AFTER INSERT ON account_credits"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()"
    )
    unknown = shop.deliver(request())
    assert unknown.told == (503, "failed", "OUTCOME_UNKNOWN")
    assert unknown.headers["retry-after"] == "1"
    shop.rows("DROP TRIGGER die ON account_credits")
    assert shop.deliver(request()).told == (200, "applied", "")
    assert shop.effects == 1


def test_what_a_deferred_constraint_says_at_commit_is_rolled_back(shop: Shop) -> None:
    shop.action(shop.credit)
    shop.rows("ALTER TABLE account_credits ADD CONSTRAINT one_each UNIQUE (invoice_id) DEFERRABLE INITIALLY DEFERRED")
    assert shop.deliver(request("k1")).told == (200, "applied", "")
    assert shop.deliver(request("k2")).told == (422, "failed", "SOURCE_REJECTED")
    assert (shop.effects, shop.receipts) == (1, [("k1", "applied")])
