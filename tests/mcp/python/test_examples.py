"""The examples of the OpenAI Agents SDK over MCP: the tools they list, and a run with a stub where a model would be."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"
SQLITE = EXAMPLES / "billing" / "sqlite"
TOKEN = "a-bearer-token-of-these-tests-0123456789"
TOOLS = [
    "billing__inspect_invoice",
    "billing__propose_late_fee_waiver",
    "signoff__proposal_status",
    "signoff__withdraw_proposal",
]


class Stage:
    """A folder as the examples' pages make it, and `signoff` in PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server: subprocess.Popen[str] | None = None
        program = Path(os.environ["SIGNOFF_BIN"])
        subprocess.run([sys.executable, SQLITE / "make.py", "billing.db"], cwd=folder, check=True)
        self.environment = {
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "USER": "operator",
            "PYTHONPATH": str(EXAMPLES / "openai-agents"),
            "BILLING_APP_READ_URL": str(folder / "billing.db"),
            "BILLING_APP_WRITE_URL": str(folder / "billing.db"),
            "SIGNOFF_LOCAL_STORE": str(folder / "ledger.db"),
            "SIGNOFF_MCP_CONFIG": str(SQLITE / "signoff.environment.json"),
            "SIGNOFF_RUNNER_HTTP_TOKEN": TOKEN,
            "SYNAPSOR_TENANT_ID": "acme",
            "SYNAPSOR_PRINCIPAL": "billing_clerk",
        }

    def serve(self) -> None:
        given = ["mcp", "serve", "--transport", "streamable-http", "--port", "0", "--openai-tool-aliases"]
        self.server = subprocess.Popen(
            ["signoff", *given], cwd=self.folder, env=self.environment, stderr=subprocess.PIPE, text=True
        )
        assert self.server.stderr
        line = next(line for line in self.server.stderr if "http://" in line)
        self.environment["SIGNOFF_MCP_URL"] = "http://" + line.split("http://")[1].split()[0]

    def run(self, *command: str | Path) -> str:
        ran = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def effects(self) -> int:
        with closing(sqlite3.connect(self.folder / "billing.db")) as source:
            return source.execute("SELECT count(*) FROM effects").fetchone()[0]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    if made.server:
        made.server.terminate()
        made.server.wait()
        made.server.stderr.close()


@pytest.mark.parametrize("example", ["openai-agents-stdio/stdio_clerk.py", "openai-agents-http/http_clerk.py"])
def test_it_lists_its_tools_and_proposes(stage: Stage, example: str) -> None:
    script = EXAMPLES / example
    assert len(script.read_text().splitlines()) <= 60
    if "http" in example:
        stage.serve()
    before = (stage.folder / "billing.db").read_bytes()
    assert stage.run(sys.executable, script, "--list").splitlines() == TOOLS
    said = stage.run(sys.executable, script)
    assert "Created proposal" in said and "Source database changed: no" in said, said
    assert (stage.folder / "billing.db").read_bytes() == before
    latest = json.loads(stage.run("signoff", "--format", "json", "proposals", "show", "latest"))
    assert latest["state"] == "pending_review"
    stage.run("signoff", "proposals", "approve", "latest", "--yes", "--actor", "dana")
    assert stage.effects() == 0
    stage.run("signoff", "apply", "latest")
    assert stage.effects() == 1


def test_the_two_contracts_differ_in_who_says_who_asks() -> None:
    one, two = (json.loads((SQLITE / name).read_text()) for name in ("signoff.json", "signoff.environment.json"))
    assert one.pop("trusted_context") == {"provider": "http_claims"}
    assert two.pop("trusted_context")["provider"] == "environment"
    assert one == two
