"""The example is started as its README says, and called."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import signoff
from support.cluster import Cluster
from support.server import Server
from support.shop import ROOT, SECRET, request

EXAMPLE = ROOT / "examples" / "fastapi-account-credit"
EXPECTED = "2026-06-20T14:31:08Z"


@pytest.fixture
def database(cluster: Cluster) -> str:
    return cluster.database((EXAMPLE / "schema.sql").read_text())


@pytest.fixture
def address(cluster: Cluster, database: str, tmp_path: Path) -> Iterator[str]:
    variables = {
        "BILLING_APP_WRITE_URL": cluster.url(database, scheme="postgresql+asyncpg"),
        "BILLING_APP_HANDLER_SECRET": SECRET,
    }
    with Server("app:app", EXAMPLE, tmp_path / "log", variables) as server:
        yield server.address


def test_the_account_credit_is_booked_once(cluster: Cluster, database: str, address: str) -> None:
    body = request(guards={"expected_version": {"column": "updated_at", "value": EXPECTED}})
    content = json.dumps(body).encode()

    def post(secret: str = SECRET) -> httpx.Response:
        headers = signoff.sign(content, secret, key=body["idempotency_key"])
        return httpx.post(address + "/signoff/writeback", content=content, headers=headers)

    forged = post("whsec_" + "A" * 32)
    assert (forged.status_code, forged.json()["safe_error_code"]) == (401, "INVALID_SIGNATURE")
    first = post().json()
    assert (first["status"], first["rows_affected"]) == ("applied", 2)
    assert [effect["kind"] for effect in first["details"]["effects"]] == ["db.insert", "db.update", "event"]
    again = post().json()
    assert (again["status"], again["new_version"]) == ("already_applied", first["new_version"])
    with cluster.connect(database) as connection:
        assert connection.execute("SELECT count(*), sum(amount_cents) FROM account_credits").fetchall() == [(1, 500)]
        row = connection.execute("SELECT credited_cents, credit_reason FROM invoices WHERE id = 'INV-3001'").fetchone()
        assert row == (500, "goodwill")


def test_it_is_short_and_its_schema_has_the_receipts_table() -> None:
    code = [line for line in (EXAMPLE / "app.py").read_text().splitlines() if line.strip()]
    assert len(code) <= 40
    schema = (EXAMPLE / "schema.sql").read_text()
    assert schema.endswith("".join(statement + ";\n" for statement in signoff.receipts_ddl()))
