"""What must hold with every driver, through FastAPI, on a real Postgres."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import signoff
from support.shop import DRIVERS, Shop, request


@pytest.fixture(params=DRIVERS)
def shop(request: pytest.FixtureRequest, open_shop: Callable[..., Shop]) -> Shop:
    return open_shop(request.param)


def test_an_effect_lands_once_and_a_duplicate_gets_the_receipt(shop: Shop) -> None:
    async def credit(job: signoff.Job, transaction: Any) -> signoff.Applied:
        assert dict(job.row) == {
            "id": "INV-3001",
            "tenant_id": "acme",
            "updated_at": "2026-06-20T14:31:08.0005+00:00",
        }
        await shop.credit(job, transaction)
        return signoff.Applied(rows=2, effects=[{"kind": "db.insert"}], details={"note": "ok"})

    shop.action(credit)
    first = shop.deliver(request())
    assert (first.told, first.replayed) == ((200, "applied", ""), False)
    assert first.body["rows_affected"] == 2
    assert first.body["details"] == {"effects": [{"kind": "db.insert"}], "note": "ok"}
    for _ in range(2):
        again = shop.deliver(request())
        assert (again.told, again.replayed) == ((200, "already_applied", ""), True)
        assert again.body["details"] == first.body["details"]
    assert shop.effects == 1
    assert shop.receipts == [("wrp_1:INV-3001", "applied")]
