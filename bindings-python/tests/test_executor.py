"""The whole loop, by the command line: the example is the handler that an approved change is sent to."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.cluster import Cluster
from support.server import Server
from support.shop import ROOT, SECRET

EXAMPLE = ROOT / "examples" / "fastapi-account-credit"
CREDIT = "billing.propose_account_credit"


def test_a_change_is_proposed_approved_and_booked_once(cluster: Cluster, tmp_path: Path) -> None:
    program = os.environ.get("SIGNOFF_BIN")
    if program is None:
        assert "SIGNOFF_REQUIRE_ALL" not in os.environ, "SIGNOFF_BIN is not set: run `make test-python`"
        pytest.skip("SIGNOFF_BIN is not set: run `make test-python`")
    database = cluster.database((EXAMPLE / "schema.sql").read_text())
    contract = json.loads((ROOT / "examples" / "billing" / "synapsor.runner.json").read_text())
    executor = contract["executors"]["billing_app_handler"]
    executor |= {"signing_secret_env": "BILLING_APP_HANDLER_SECRET", "signoff": {"audience": "billing-app"}}
    (tmp_path / "signoff.json").write_text(json.dumps(contract))
    variables = {
        "BILLING_APP_WRITE_URL": cluster.url(database, scheme="postgresql+asyncpg"),
        "BILLING_APP_HANDLER_SECRET": SECRET,
    }
    with Server("app:app", EXAMPLE, tmp_path / "log", variables) as server:
        url = cluster.url(database).replace("@/", "@localhost/")
        environment = {
            "BILLING_APP_READ_URL": url,
            "BILLING_APP_WRITE_URL": url,
            "BILLING_APP_HANDLER_URL": server.address + "/signoff/writeback",
            "BILLING_APP_HANDLER_TOKEN": "a-token",
            "BILLING_APP_HANDLER_SECRET": SECRET,
            "SYNAPSOR_TENANT_ID": "acme",
            "SYNAPSOR_PRINCIPAL": "support_agent",
            "USER": "dana",
        }

        def signoff(*arguments: str) -> dict[str, Any]:
            command = [program, "--format", "json", *arguments]
            ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
            assert ran.returncode == 0, ran.stdout + ran.stderr
            answer: dict[str, Any] = json.loads(ran.stdout)
            return answer

        arguments = {"invoice_id": "INV-3001", "amount_cents": 500, "reason": "goodwill"}
        signoff("propose", CREDIT, "--json", json.dumps(arguments))
        signoff("proposals", "approve", "latest", "--yes")
        assert signoff("apply", "latest")["status"] == "applied"
        assert signoff("apply", "latest")["status"] == "already_applied"
        replay = signoff("replay", "show", "latest")
        assert signoff("doctor", "--check-handlers")["ok"]
    receipt = replay["receipts"][0]
    assert (receipt["receipt"]["status"], receipt["receipt"]["rows_affected"]) == ("applied", 2)
    kinds = [effect["kind"] for effect in receipt["details"]["handler"]["effects"]]
    assert kinds == ["db.insert", "db.update", "event"]
    with cluster.connect(database) as connection:
        assert connection.execute("SELECT count(*), sum(amount_cents) FROM account_credits").fetchall() == [(1, 500)]
