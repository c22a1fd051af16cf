"""What people rely on, each beside its baseline in the same run: `make bench-python` prints Markdown rows.

Rounds alternate, and a row is the median of its rounds' ratios: other work on the machine hits both sides alike.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / name) for name in ("python", "tests", "bench")]

import asyncpg
import by_hand
import signoff
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from support.cluster import Cluster, binaries
from support.shop import ACTION, BILLING, SECRET, request

ROUNDS, SECONDS, ROWS = 5, 1.0, 64
HAND = by_hand.key_of(SECRET)
VERSION = "2026-06-20T14:31:08Z"


def row(what: str, measured: str, baseline: str, ratio: str) -> None:
    print(f"| {what} | {measured} | {baseline} | {ratio} |", flush=True)


def verifying() -> None:
    body = request(guards={"expected_version": {"column": "updated_at", "value": VERSION}})
    body["evidence"] = {"note": ""}
    body["evidence"]["note"] = "x" * (1024 - len(json.dumps(body)))
    content = json.dumps(body).encode()
    assert len(content) == 1024
    headers = signoff.sign(content, SECRET, key=body["idempotency_key"])

    def once(call: Callable[[], object]) -> float:
        count = 3000
        begun = time.perf_counter()
        for _ in range(count):
            call()
        return (time.perf_counter() - begun) / count * 1e6

    ours, same, least = [], [], []
    for _ in range(3 * ROUNDS):
        ours.append(once(lambda: signoff.verify(content, headers, SECRET)))
        same.append(once(lambda: by_hand.verify(content, headers, HAND)))
        least.append(once(lambda: by_hand.hmac_and_json(content, headers, HAND)))
    mine = statistics.median(ours)
    for what, theirs, goal in [
        ("the same check by hand (hmac, json, re)", same, "; goal ≥ 2 ×"),
        ("hmac and json.loads alone", least, ""),
    ]:
        times = statistics.median(other / own for own, other in zip(ours, theirs, strict=True))
        baseline = f"{what} {statistics.median(theirs):.1f} µs"
        row("Python `signoff.verify`, 1 KiB", f"{mine:.1f} µs", baseline, f"{times:.2f} × faster{goal}")


class Requests:
    """Requests that were never sent, spread over rows so that they do not wait for each other."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> tuple[bytes, dict[str, str]]:
        self.count += 1
        key = f"wrp_{self.count}:k"
        body = request(
            key,
            proposal_id=f"wrp_{self.count}",
            target__primary_key__value=f"INV-{self.count % ROWS}",
            guards__expected_version__value=VERSION,
        )
        content = json.dumps(body).encode()
        return content, signoff.sign(content, SECRET, key=key)


Once = Callable[[bytes, dict[str, str]], Awaitable[None]]


async def per_second(once: Once, requests: Requests, in_flight: int) -> float:
    done, end = 0, 0.0
    prepared = iter([requests() for _ in range(int(4000 * SECONDS))])

    async def worker() -> None:
        nonlocal done
        for content, headers in prepared:
            await once(content, headers)
            done += 1
            if time.perf_counter() > end:
                return

    begun = time.perf_counter()
    end = begun + SECONDS
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return done / (time.perf_counter() - begun)


def handled(handler: signoff.WritebackHandler) -> Once:
    async def once(content: bytes, headers: dict[str, str]) -> None:
        response = await handler.handle(content, headers)
        assert b'"status":"applied"' in response.body, response.body

    return once


ACTING: dict[str, Any] = {"target": "invoices", "key": "id", "tenant": "tenant_id", "version": "updated_at"}


def with_sqlalchemy(url: str) -> tuple[Any, Once, Once, Once]:
    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"), pool_size=16)
    sessions = async_sessionmaker(engine)
    handler = signoff.WritebackHandler(database=sessions, secrets=SECRET, audience="billing-app")
    claim, lock, effect, finish = (
        text(sql.format(":a", ":b", ":c", ":d", ":e"))
        for sql in (by_hand.CLAIM, by_hand.LOCK, by_hand.EFFECT, by_hand.FINISH)
    )

    async def insert(session: AsyncSession, key: str, invoice: str) -> None:
        await session.execute(effect, {"a": key, "b": invoice})

    @handler.action(ACTION, **ACTING)
    async def credit(job: signoff.Job, session: AsyncSession) -> signoff.Applied:
        await insert(session, job.idempotency_key, job.object_id)
        return signoff.Applied(rows=1)

    def named(*values: str) -> dict[str, str]:
        return dict(zip("abcde", values, strict=False))

    async def guarded(content: bytes, headers: dict[str, str]) -> None:
        job = by_hand.verify(content, headers, HAND)
        key, invoice, tenant = (
            job["idempotency_key"],
            job["target"]["primary_key"]["value"],
            job["tenant_guard"]["value"],
        )
        async with sessions() as session, session.begin():
            if (await session.execute(claim, named(*by_hand.claimed(job)))).rowcount != 1:  # type: ignore[attr-defined]
                raise ValueError("duplicate")
            by_hand.unchanged(job, (await session.execute(lock, named(invoice, tenant))).one())
            await insert(session, key, invoice)
            if (await session.execute(finish, named(*by_hand.receipt(job), tenant, key))).rowcount != 1:  # type: ignore[attr-defined]
                raise ValueError("lost")

    async def unguarded(content: bytes, headers: dict[str, str]) -> None:
        job = json.loads(content)
        async with sessions() as session, session.begin():
            await insert(session, job["idempotency_key"], job["target"]["primary_key"]["value"])

    return engine, handled(handler), guarded, unguarded


async def with_asyncpg(url: str) -> tuple[Any, Once, Once, Once]:
    pool = await asyncpg.create_pool(url, min_size=16, max_size=16)
    handler = signoff.WritebackHandler(database=pool, secrets=SECRET, audience="billing-app")
    claim, lock, effect, finish = (
        sql.format("$1", "$2", "$3", "$4", "$5")
        for sql in (by_hand.CLAIM, by_hand.LOCK, by_hand.EFFECT, by_hand.FINISH)
    )

    @handler.action(ACTION, **ACTING)
    async def credit(job: signoff.Job, connection: Any) -> signoff.Applied:
        await connection.execute(effect, job.idempotency_key, job.object_id)
        return signoff.Applied(rows=1)

    async def guarded(content: bytes, headers: dict[str, str]) -> None:
        job = by_hand.verify(content, headers, HAND)
        key, invoice, tenant = (
            job["idempotency_key"],
            job["target"]["primary_key"]["value"],
            job["tenant_guard"]["value"],
        )
        async with pool.acquire() as connection, connection.transaction():
            if await connection.execute(claim, *by_hand.claimed(job)) != "INSERT 0 1":
                raise ValueError("duplicate")
            by_hand.unchanged(job, await connection.fetchrow(lock, invoice, tenant))
            await connection.execute(effect, key, invoice)
            if await connection.execute(finish, *by_hand.receipt(job), tenant, key) != "UPDATE 1":
                raise ValueError("lost")

    async def unguarded(content: bytes, headers: dict[str, str]) -> None:
        job = json.loads(content)
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(effect, job["idempotency_key"], job["target"]["primary_key"]["value"])

    return pool, handled(handler), guarded, unguarded


async def writing(url: str) -> None:
    requests = Requests()
    for name in ("SQLAlchemy AsyncSession", "asyncpg"):
        made = with_sqlalchemy(url) if name.startswith("SQL") else await with_asyncpg(url)
        engine, *kinds = made
        for in_flight in (1, 16):
            for kind in kinds:  # to warm connections and their prepared statements
                await per_second(kind, requests, in_flight)
            rounds = [[await per_second(kind, requests, in_flight) for kind in kinds] for _ in range(ROUNDS)]
            ours, hand, bare = (statistics.median(one[n] for one in rounds) for n in range(3))
            guarded, unguarded = (statistics.median(one[0] / one[n] for one in rounds) for n in (1, 2))
            row(
                f"Python guarded writeback, {name}, {in_flight} in flight",
                f"{ours:.0f} /s",
                f"guarded by hand {hand:.0f} /s; unguarded {bare:.0f} /s",
                f"{guarded:.2f} of guarded by hand (goal ≥ 0.85), {unguarded:.2f} of unguarded",
            )
        await (engine.close() if name == "asyncpg" else engine.dispose())


def main() -> None:
    row("what", "measured", "baseline in the same run", "ratio or goal")
    print("|---|---|---|---|")
    verifying()
    found = binaries()
    if found is None:
        print("no Postgres server here: guarded writebacks were not measured", file=sys.stderr)
        return
    cluster = Cluster(found, fsync="on")
    try:
        rows = (
            f"INSERT INTO invoices (id, tenant_id, customer_id, status, balance_cents, late_fee_cents, updated_at)"
            f" SELECT 'INV-' || n, 'acme', 'cust_acme_1', 'overdue', 1, 1, '{VERSION}' FROM generate_series(0, {ROWS - 1}) n"
        )
        scripts = [(BILLING / f"{name}.postgres.sql").read_text() for name in ("schema", "seed")]
        database = cluster.database(*scripts, ";".join(signoff.receipts_ddl()), rows)
        asyncio.run(writing(cluster.url(database)))
    finally:
        cluster.stop()


if __name__ == "__main__":
    main()
