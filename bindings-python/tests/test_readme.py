"""The lines of the repository's first page run as they stand."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import signoff
from support.cluster import Cluster
from support.server import Server
from support.shop import ROOT, SECRET, request

SCHEMA = ROOT / "examples" / "fastapi-account-credit" / "schema.sql"


def test_the_lines_for_fastapi_run_as_they_stand(cluster: Cluster, tmp_path: Path) -> None:
    _, after = (ROOT / "README.md").read_text().split("```python\n# app.py\n", 1)
    code = after.split("\n```", 1)[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    (tmp_path / "app.py").write_text(code)
    database = cluster.database(SCHEMA.read_text())
    variables = {"DATABASE_URL": cluster.url(database, scheme="postgresql+asyncpg"), "SIGNOFF_SECRET": SECRET}
    version = {"expected_version": {"column": "updated_at", "value": "2026-06-20T14:31:08Z"}}
    body = request(action="billing.credit", guards=version)
    content = json.dumps(body).encode()
    headers = signoff.sign(content, SECRET, key=body["idempotency_key"])
    with Server("app:app", tmp_path, tmp_path / "log", variables) as server:
        address = server.address + "/signoff/writeback"
        answers = [httpx.post(address, content=content, headers=headers).json() for _ in range(2)]
    assert [answer["status"] for answer in answers] == ["applied", "already_applied"]
    with cluster.connect(database) as connection:
        assert connection.execute("SELECT credited_cents FROM invoices WHERE id = 'INV-3001'").fetchone() == (500,)
