"""Several processes, and processes that are killed: an effect happens exactly once if somebody asks again."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.server import Server
from support.shop import SECRET, Answer, Shop, request, sign

TESTS = Path(__file__).parent


class Fleet:
    """Processes of the billing application on the database of a shop."""

    def __init__(self, shop: Shop, folder: Path) -> None:
        self.shop, self.folder, self.count = shop, folder, 0
        self.die_at = folder / "die_at"

    def server(self) -> Server:
        self.count += 1
        url = self.shop.cluster.url(self.shop.name, "billing_writer")
        variables = {"URL": url, "DRIVER": self.shop.driver, "SECRET": SECRET, "DIE_AT": str(self.die_at)}
        return Server("support.app:app", TESTS, self.folder / f"log{self.count}", variables)


@pytest.fixture(params=["session", "asyncpg", "sync-session"])
def fleet(request: pytest.FixtureRequest, open_shop: Callable[..., Shop], tmp_path: Path) -> Fleet:
    return Fleet(open_shop(request.param), tmp_path)


def post(address: str, body: dict[str, Any]) -> Answer:
    content = json.dumps(body).encode()
    headers = sign(body, content)
    return Answer(httpx.post(address + "/signoff/writeback", content=content, headers=headers, timeout=60))


def test_fifty_at_once_over_two_processes_have_one_effect(fleet: Fleet) -> None:
    body = request()
    content = json.dumps(body).encode()
    headers = sign(body, content)

    async def all_at_once(*addresses: str) -> list[Answer]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(limits=limits, timeout=60) as client:
            urls = [addresses[n % 2] + "/signoff/writeback" for n in range(50)]
            return [
                Answer(answer)
                for answer in await asyncio.gather(
                    *(client.post(url, content=content, headers=headers) for url in urls)
                )
            ]

    with fleet.server() as one, fleet.server() as other:
        answers = asyncio.run(all_at_once(one.address, other.address))
        told = Counter(answer.told for answer in answers)
        assert told[200, "applied", ""] == 1, told
        assert told[200, "already_applied", ""] > 0, told
        assert set(told) <= {
            (200, "applied", ""),
            (200, "already_applied", ""),
            (409, "failed", "IDEMPOTENCY_IN_FLIGHT"),
        }
        for answer in answers:
            assert answer.headers.get("retry-after") == ("1" if answer.status == 409 else None)
        assert fleet.shop.effects == 1
        # Another credit on the same version of the row: the effect does not move it, so it is another change.
        assert post(one.address, request("wrp_2:INV-3001", proposal_id="wrp_2")).told == (200, "applied", "")
    assert fleet.shop.effects == 2


@pytest.mark.parametrize("place", ["effect", "commit", "answer"])
def test_a_process_that_is_killed_leaves_nothing_half(fleet: Fleet, place: str) -> None:
    fleet.die_at.write_text(place)
    with fleet.server() as doomed:
        with pytest.raises(httpx.HTTPError):
            post(doomed.address, request())
        assert doomed.wait_until_dead() == -9
    assert not fleet.die_at.exists(), "it died elsewhere"
    landed = place == "answer"
    assert fleet.shop.effects == (1 if landed else 0)
    with fleet.server() as next_one:
        expected = "already_applied" if landed else "applied"
        assert post(next_one.address, request()).told == (200, expected, "")
        assert post(next_one.address, request()).told == (200, "already_applied", "")
    assert fleet.shop.effects == 1
