"""What README.md shows for FastAPI runs as it stands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
from support.server import Server
from support.shop import ROOT, SECRET, Shop, request, sign


def test_the_fastapi_example_runs(open_shop: Callable[..., Shop], tmp_path: Path) -> None:
    shop = open_shop()
    shop.rows("GRANT UPDATE (late_fee_cents) ON invoices TO billing_writer")
    _, after = (ROOT / "README.md").read_text().split("### FastAPI\n", 1)
    code = after.split("```python\n", 1)[1].split("```", 1)[0]
    assert len([line for line in code.splitlines() if line.strip() and not line.startswith(("import", "from"))]) <= 15
    (tmp_path / "readme.py").write_text(code)
    variables = {
        "BILLING_APP_WRITE_URL": shop.cluster.url(shop.name, "billing_writer", "postgresql+asyncpg"),
        "BILLING_APP_HANDLER_SECRET": SECRET,
    }
    body = request(action="billing.waive_fee", patch={"late_fee_cents": 0}, allowed_columns=["late_fee_cents"])
    content = json.dumps(body).encode()
    with Server("readme:app", tmp_path, tmp_path / "log", variables) as server:
        told = []
        for _ in range(2):
            headers = sign(body, content)
            answer = httpx.post(server.address + "/signoff/writeback", content=content, headers=headers)
            told.append(answer.json()["status"])
    assert told == ["applied", "already_applied"]
    assert shop.rows("SELECT late_fee_cents FROM invoices WHERE id = 'INV-3001'") == [(0,)]
    assert shop.effects == 1
