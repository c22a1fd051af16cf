"""The runtime across the binding beside the same call in Rust, in one run: part of `make bench-python`.

Rounds alternate between the two, each on a ledger and a source of its own on the same disk, and a row is the median of the
rounds' ratios.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / name) for name in ("python", "tests")]

import signoff
from support.billing import WAIVE, Billing, waiver

ROUNDS, COUNT = 5, 200
PACKAGE = Path(signoff.__file__).parents[1]


def row(what: str, measured: str, baseline: str, ratio: str) -> None:
    print(f"| {what} | {measured} | {baseline} | {ratio} |", flush=True)


def fresh(folder: Path, name: str) -> Billing:
    (folder / name).mkdir()
    return Billing(folder / name, invoices=COUNT + 10)


def of_rust(program: str, billing: Billing) -> float:
    """Microseconds for one propose, as the facade's own program counts them."""
    opening = {"config": {"path": str(billing.path)}, "ledger": str(billing.ledger), "create": True}
    request = json.dumps({"open": {**opening, "environment": billing.env}, "capability": WAIVE, "count": COUNT})
    said = subprocess.run([program, "propose"], input=request, capture_output=True, text=True, check=True)
    return float(json.loads(said.stdout)["microseconds"])


def of_sync(billing: Billing) -> float:
    with billing.open_sync() as so:
        for n in range(1, 11):
            so.propose(WAIVE, waiver(COUNT + n))
        begun = time.perf_counter()
        for n in range(1, COUNT + 1):
            so.propose(WAIVE, waiver(n))
        return (time.perf_counter() - begun) / COUNT * 1e6


async def of_async(billing: Billing) -> float:
    async with billing.open() as so:
        for n in range(1, 11):
            await so.propose(WAIVE, waiver(COUNT + n))
        begun = time.perf_counter()
        for n in range(1, COUNT + 1):
            await so.propose(WAIVE, waiver(n))
        return (time.perf_counter() - begun) / COUNT * 1e6


async def longest_tick(billing: Billing) -> float:
    """The longest time that the event loop was held, in milliseconds, while sixteen propose at once."""
    async with billing.open() as so:
        ticks: list[float] = []
        done = False

        async def watch() -> None:
            last = time.perf_counter()
            while not done:
                await asyncio.sleep(0)
                now = time.perf_counter()
                ticks.append((now - last) * 1e3)
                last = now

        watching = asyncio.ensure_future(watch())
        for first in range(1, COUNT, 16):
            await asyncio.gather(*(so.propose(WAIVE, waiver(n)) for n in range(first, first + 16)))
        done = True
        await watching
        return max(ticks)


def proposing(program: str | None, folder: Path) -> None:
    rust, blocking, awaiting = [], [], []
    for n in range(ROUNDS):
        if program is not None:
            rust.append(of_rust(program, fresh(folder, f"rust{n}")))
        blocking.append(of_sync(fresh(folder, f"sync{n}")))
        awaiting.append(asyncio.run(of_async(fresh(folder, f"async{n}"))))
    for what, times in (("sync", blocking), ("async", awaiting)):
        mine = f"{statistics.median(times):.0f} µs"
        if not rust:
            row(f"Python propose, {what}", mine, "none: SIGNOFF_FACADE_BENCH is not set", "")
            continue
        ratio = statistics.median(own / other for own, other in zip(times, rust, strict=True))
        row(
            f"Python propose, {what}",
            mine,
            f"the facade in Rust {statistics.median(rust):.0f} µs",
            f"{ratio:.2f} × (goal ≤ 1.15)",
        )
    tick = statistics.median(asyncio.run(longest_tick(fresh(folder, f"tick{n}"))) for n in range(3))
    row("Python, longest event-loop tick under 16 concurrent proposes", f"{tick:.1f} ms", "", "")


def overhead(folder: Path) -> None:
    billing = fresh(folder, "trivial")
    count = 3000
    with billing.open_sync() as so:
        begun = time.perf_counter()
        for _ in range(count):
            so.warnings()
        blocking = (time.perf_counter() - begun) / count * 1e6

    async def main() -> float:
        async with billing.open() as so:
            begun = time.perf_counter()
            for _ in range(count):
                await so.warnings()
            return (time.perf_counter() - begun) / count * 1e6

    row("Python, a trivial call (`warnings`)", f"sync {blocking:.1f} µs, async {asyncio.run(main()):.1f} µs", "", "")


def importing() -> None:
    def once(code: str) -> float:
        script = f"import time; begun = time.perf_counter(); {code}; print((time.perf_counter() - begun) * 1e3)"
        env = {**os.environ, "PYTHONPATH": str(PACKAGE)}
        return float(subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, check=True).stdout)

    def median(code: str) -> float:
        return statistics.median(once(code) for _ in range(11))

    all_of_it, loop = median("import signoff; signoff.Signoff"), median("import asyncio")
    row("Python, `import signoff`", f"{median('import signoff'):.1f} ms", "", "goal ≤ 30 ms")
    row("Python, the same and `signoff.sync.open`", f"{median('import signoff; signoff.sync.open'):.1f} ms", "", "")
    row("Python, the same and `signoff.Signoff`", f"{all_of_it:.1f} ms", f"`import asyncio` alone {loop:.1f} ms", "")


def main() -> None:
    program: Any = os.environ.get("SIGNOFF_FACADE_BENCH")
    with tempfile.TemporaryDirectory() as folder:
        proposing(program, Path(folder))
        overhead(Path(folder))
    importing()


if __name__ == "__main__":
    main()
