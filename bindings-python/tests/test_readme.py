"""The lines of the repository's first page run as they stand."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
import signoff
from support.cluster import Cluster
from support.server import Server
from support.shop import ROOT, SECRET, request

SCHEMA = ROOT / "examples" / "fastapi-account-credit" / "schema.sql"


def lines(page: str, begin: str) -> str:
    return (ROOT / page).read_text().split(f"```python\n{begin}", 1)[1].split("\n```", 1)[0]


def test_the_lines_for_fastapi_run_as_they_stand(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = lines("README.md", "# app.py\n")
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    (tmp_path / "app.py").write_text(code)
    database = cluster.database(SCHEMA.read_text())
    variables = {"DATABASE_URL": cluster.url(database, scheme="postgresql+asyncpg"), "SIGNOFF_SECRET": SECRET}
    version = {"expected_version": {"column": "updated_at", "value": "2026-06-20T14:31:08Z"}}
    body = request("k", action="billing.credit", guards=version)
    # What the package's own page sends to it.
    sending = "import json, os" + lines("bindings-python/README.md", "import json, os")
    monkeypatch.setenv("SIGNOFF_SECRET", SECRET)
    content = json.dumps(body).encode()
    headers = signoff.sign(content, SECRET, key=body["idempotency_key"])
    with Server("app:app", tmp_path, tmp_path / "log", variables) as server:
        address = server.address + "/signoff/writeback"
        answers = [httpx.post(address, content=content, headers=headers).json() for _ in range(2)]
        assert [answer["status"] for answer in answers] == ["applied", "already_applied"]
        with cluster.connect(database) as connection:
            connection.execute("UPDATE invoices SET updated_at = '2026-06-20T14:31:08Z'")
        exec(sending.replace("http://localhost:8000", server.address), {})
        assert json.loads(capsys.readouterr().out)["status"] == "applied"
    with cluster.connect(database) as connection:
        assert connection.execute("SELECT credited_cents FROM invoices WHERE id = 'INV-3001'").fetchone() == (1000,)
