"""A session among threads, tasks, event loops and forks: nothing hangs, nothing is lost, nothing is half done."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path

import pytest
import signoff
from signoff import ApplyStatus, SignoffError, State
from signoff import _connection as connection
from support.billing import ALICE, READ, WAIVE, Billing, waiver

PACKAGE = Path(signoff.__file__).parents[1]


def all_there(billing: Billing, count: int) -> None:
    """Every proposal was recorded once, and the ledger verifies."""
    with billing.open_sync() as so:
        made = [one.object_id for one in so.proposals()]
        assert sorted(made) == sorted(f"INV-{n}" for n in range(1, count + 1))
        assert so.verify_ledger().proposals == count


def in_child(work: Callable[[], object]) -> int:
    """Forks, does it there, and answers the child's id."""
    if child := os.fork():
        return child
    try:
        work()
        os._exit(0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    os._exit(1)


def ended_well(*children: int) -> None:
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(children)


def test_sixteen_threads_propose_at_once(tmp_path: Path) -> None:
    billing = Billing(tmp_path, invoices=64)
    with billing.open_sync() as so:
        begin = threading.Barrier(16)

        def work(thread: int) -> None:
            begin.wait()
            for n in range(4):
                so.propose(WAIVE, waiver(1 + thread * 4 + n))

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(work, range(16)))
    all_there(billing, 64)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_sixty_four_tasks_propose_at_once(tmp_path: Path, loop: str) -> None:
    billing = Billing(tmp_path, invoices=64)

    async def main() -> None:
        async with billing.open() as so:
            await asyncio.gather(*(so.propose(WAIVE, waiver(n)) for n in range(1, 65)))

    if loop == "uvloop":
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())
    all_there(billing, 64)


def test_four_forked_workers_propose_at_once_from_a_session_that_was_in_use(tmp_path: Path) -> None:
    billing = Billing(tmp_path, invoices=48)
    with billing.open_sync() as so:
        so.propose(WAIVE, waiver(1))
        stop = threading.Event()

        # The parent goes on meanwhile: whatever its threads hold at the fork is not held in the child.
        def busy() -> None:
            while not stop.is_set():
                so.read(READ, {"invoice_id": "INV-1"})

        with ThreadPoolExecutor(4) as pool:
            reading = [pool.submit(busy) for _ in range(4)]

            def work(first: int) -> Callable[[], object]:
                return lambda: [so.propose(WAIVE, waiver(n)) for n in range(first, 49, 4)]

            children = [in_child(work(2 + n)) for n in range(3)] + [in_child(work(5))]
            ended_well(*children)
            stop.set()
            for one in reading:
                one.result()
    all_there(billing, 48)


def _propose(so: signoff.sync.Signoff, n: int) -> None:
    so.propose(WAIVE, waiver(n))


def test_multiprocessing_by_fork(tmp_path: Path) -> None:
    billing = Billing(tmp_path, invoices=4)
    with billing.open_sync() as so:
        so.warnings()
        context = multiprocessing.get_context("fork")
        workers = [context.Process(target=_propose, args=(so, n)) for n in range(1, 5)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers] == [0] * 4
    all_there(billing, 4)


def test_a_child_awaits_after_the_parent_has_awaited(tmp_path: Path) -> None:
    billing = Billing(tmp_path, invoices=2)

    async def child(so: signoff.Signoff) -> None:
        await so.propose(WAIVE, waiver(2))
        assert (await so.call("billing.fee", {}))["data"] == 1
        await so.close()

    async def parent() -> None:
        async with billing.open() as so:
            so.register_tool(
                "billing.fee", lambda arguments, scope: 1, description="One.", kind="read", scope=[READ],
                input_schema={"type": "object"},
            )  # fmt: skip
            await so.propose(WAIVE, waiver(1))
            pending = asyncio.ensure_future(so.read(READ, {"invoice_id": "INV-1"}))
            await asyncio.sleep(0)

            def work() -> None:
                thread = threading.Thread(target=asyncio.run, args=(child(so),))
                thread.start()
                thread.join()
                with billing.open_sync() as other:
                    assert other.proposal(next(other.proposals(object_id="INV-2")).id)

            ended_well(in_child(work))
            # What was under way before is answered, and the parent goes on.
            assert (await pending).data["id"] == "INV-1"
            assert len([one async for one in so.proposals()]) == 2

    asyncio.run(parent())
    all_there(billing, 2)


def test_a_call_that_outlives_a_fork_is_the_parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FORK_WAIT_SECONDS", 0.0)
    billing = Billing(tmp_path, invoices=2)
    with billing.open_sync() as so, ThreadPoolExecutor(1) as pool:
        made = approved(so)
        with billing.held():
            applying = pool.submit(so.apply, made)
            while so.proposal(made).state is not State.PENDING_WORKER:
                pass

            def refused() -> None:
                with pytest.raises(SignoffError) as caught:
                    so.propose(WAIVE, waiver(2))
                assert caught.value.code == "USAGE" and "spawn" in (caught.value.help or "")
                with pytest.raises(SignoffError):
                    billing.open_sync().__enter__()

            ended_well(in_child(refused))
        assert applying.result().status is ApplyStatus.APPLIED
    assert billing.effects() == 1


def approved(so: signoff.sync.Signoff, n: int = 1) -> str:
    made = so.propose(WAIVE, waiver(n))
    return so.approve(made.id, hash=made.hash, version=made.version, approver=ALICE).id


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_an_apply_that_nobody_awaits_any_more_ends_whole(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    cluster = request.getfixturevalue("cluster") if engine == "postgres" else None
    billing = Billing(tmp_path, cluster=cluster)

    async def main() -> None:
        async with billing.open() as so:
            made = await so.propose(WAIVE, waiver())
            await so.approve(made.id, hash=made.hash, version=made.version, approver=ALICE)
            with billing.held():
                applying = asyncio.ensure_future(so.apply(made.id))
                # The attempt has begun, and waits for the row.
                while (await so.proposal(made.id)).state is not State.PENDING_WORKER:
                    await asyncio.sleep(0.001)
                applying.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await applying
                assert billing.effects() == 0
            # It may meet the first attempt on its way, and says so; once that has ended, so has this.
            while True:
                try:
                    ended = await so.resume(made.id)
                    break
                except SignoffError as error:
                    assert error.retryable, error
            assert ended.state is State.APPLIED and billing.effects() == 1
            assert (await so.apply(made.id)).status is ApplyStatus.ALREADY_APPLIED

    asyncio.run(main())
    assert billing.effects() == 1


def test_closing_waits_for_an_apply_that_nobody_awaits_any_more(tmp_path: Path) -> None:
    billing = Billing(tmp_path)

    async def main() -> str:
        async with billing.open() as so:
            made = await so.propose(WAIVE, waiver())
            await so.approve(made.id, hash=made.hash, version=made.version, approver=ALICE)
            applying = asyncio.ensure_future(so.apply(made.id))
            await asyncio.sleep(0)
            applying.cancel()
            return made.id

    made = asyncio.run(main())
    with billing.open_sync() as so:
        assert so.proposal(made).state is State.APPLIED
    assert billing.effects() == 1


def test_a_follower_hears_what_others_write_and_ends_when_it_should(tmp_path: Path) -> None:
    billing = Billing(tmp_path, invoices=2)

    async def main() -> None:
        async with billing.open() as so:
            heard: list[tuple[int, str]] = []
            first = asyncio.Event()

            async def follow() -> None:
                async for event in so.events(follow=True, capability=WAIVE):
                    heard.append((event.seq, event.subject))
                    first.set()

            following = asyncio.ensure_future(follow())
            # Another session on the same file writes it.
            with billing.open_sync() as other:
                one = other.propose(WAIVE, waiver(1)).id
                await asyncio.wait_for(first.wait(), 60)
                assert heard == [(1, one)]
            canceled = asyncio.ensure_future(follow())
            await asyncio.sleep(0)
            canceled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await canceled
            async with aclosing(so.events(follow=True)) as events:
                assert (await anext(events)).seq == 1
            await so.close()
            await asyncio.wait_for(following, 60)

    asyncio.run(main())

    with billing.open_sync() as so, ThreadPoolExecutor(1) as pool:
        events = so.events(follow=True)
        assert next(events).seq == 1
        waiting = pool.submit(list, events)
        so.close()
        waiting.result(60)


def test_two_loops_in_turn_and_one_in_another_thread(tmp_path: Path) -> None:
    billing = Billing(tmp_path)
    so = billing.open()

    async def first() -> None:
        await so

    async def read() -> object:
        return (await so.read(READ, {"invoice_id": "INV-1"})).data["id"]

    asyncio.run(first())
    assert asyncio.run(read()) == "INV-1"
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(asyncio.run, read()).result() == "INV-1"
    asyncio.run(so.close())


def test_what_is_closed_or_not_open_says_so(tmp_path: Path) -> None:
    billing = Billing(tmp_path)
    so = billing.open()
    for _ in range(2):
        with pytest.raises(SignoffError, match="USAGE"):
            asyncio.run(so.warnings())
        asyncio.run(so.close())
    with pytest.raises(SignoffError, match="USAGE"):
        asyncio.run(so.__aenter__())
    blocking = billing.open_sync()
    blocking.close()
    blocking.close()
    with pytest.raises(SignoffError, match="USAGE"):
        blocking.warnings()


def test_opening_that_is_cancelled_leaves_nothing_open(tmp_path: Path) -> None:
    billing = Billing(tmp_path)

    async def main() -> None:
        so = billing.open()
        opening = asyncio.ensure_future(so.__aenter__())
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        while not so._connection.closed:
            await asyncio.sleep(0.001)

    asyncio.run(main())


AWAITS = """
import asyncio, gc, sys, signoff
config, ledger, count = sys.argv[1:]

def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])

async def some(so, calls):
    for n in range(calls):
        await so.warnings()
        if n % 100 == 0:
            await asyncio.gather(*(so.tools() for _ in range(8)))

async def main():
    async with signoff.Signoff.open(config, ledger, create=True) as so:
        await some(so, 4_000)
        before = resident()
        await some(so, int(count))
        print(before, resident())

asyncio.run(main())
"""


def test_many_awaits_take_no_memory(tmp_path: Path) -> None:
    billing = Billing(tmp_path)
    count = 100_000 if "SIGNOFF_FULL" in os.environ else 10_000
    before, after = map(int, alone(billing, AWAITS, str(count)).split())
    assert after < before * 1.05, (before, after)


def alone(billing: Billing, script: str, *more: str) -> str:
    """What this says in an interpreter of its own, which has to end well."""
    variables = {**os.environ, **billing.env, "PYTHONPATH": str(PACKAGE)}
    command = [sys.executable, "-c", script, str(billing.path), str(billing.ledger), *more]
    ran = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=600)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


SCRIPTS = {
    "open": "so.warnings()",
    "following": "import threading; threading.Thread(target=lambda: list(so.events(follow=True)), daemon=True).start()",
    "awaiting": """
import asyncio
async def main():
    other = await signoff.Signoff.open(config, ledger)
    task = asyncio.ensure_future(anext(other.events(follow=True, after=99)))
    await asyncio.sleep(0.05)
asyncio.run(main())""",
    "forked": "import os\nif os.fork(): os.wait()\nelse: so.warnings()",
}


@pytest.mark.parametrize("how", SCRIPTS)
def test_an_interpreter_that_ends_with_an_open_session_does_not_hang(tmp_path: Path, how: str) -> None:
    billing = Billing(tmp_path)
    script = f"import sys, signoff\nconfig, ledger = sys.argv[1:]\nso = signoff.sync.open(config, ledger, create=True)\n{SCRIPTS[how]}\nprint('done')"
    assert "done" in alone(billing, script)
