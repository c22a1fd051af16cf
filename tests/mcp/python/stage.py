"""A billing workspace, the real program in front of it, and what every client has to be able to do there."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

TOKEN = "a-bearer-token-of-these-tests-0123456789"
INSPECT, PROPOSE = "billing.inspect_invoice", "billing.propose_late_fee_waiver"
STATUS, WITHDRAW = "signoff.proposal_status", "signoff.withdraw_proposal"
CANONICAL = [INSPECT, PROPOSE, "billing.propose_account_credit", STATUS, WITHDRAW]


@dataclass
class Answer:
    """What a client makes of the answer to a call."""

    failed: bool
    text: str
    structured: Any


class Client(Protocol):
    """What the story needs of a client that is connected."""

    async def tools(self) -> dict[str, dict[str, Any]]:
        """The tools' names, and their input schemas."""

    async def call(self, name: str, arguments: dict[str, Any]) -> Answer:
        """Calls one."""

    async def read(self, uri: str) -> str:
        """The text of a resource; raises if there is none."""


class Workspace:
    """A folder with a contract, a source with counters, and a ledger; `workspace` of the Rust tests makes it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [os.environ["SIGNOFF_WORKSPACE"], "3"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        made = json.loads(self.process.stdout.readline())
        self.folder, self.address = Path(made["folder"]), made["address"]
        self.program = os.environ["SIGNOFF_BIN"]
        self.environment = {
            "PATH": os.environ["PATH"],
            "USER": "operator",
            "BILLING_APP_READ_URL": self.address,
            "BILLING_APP_WRITE_URL": self.address,
            "SYNAPSOR_TENANT_ID": "acme",
            "SYNAPSOR_PRINCIPAL": "support_agent",
        }
        self.servers: list[subprocess.Popen[str]] = []

    def close(self) -> None:
        """Ends what was started; the folder goes with it."""
        for server in self.servers:
            server.terminate()
            server.wait()
            if server.stderr:
                server.stderr.close()
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def run(self, *arguments: str) -> Any:
        """The command line, with JSON answers."""
        ran = subprocess.run(
            [self.program, "--format", "json", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(ran.stdout)

    def serve(self, *arguments: str) -> str:
        """Starts the server on a free port of this machine: its address."""
        server = subprocess.Popen(
            [
                self.program,
                "mcp",
                "serve",
                "--transport",
                "streamable-http",
                "--host",
                "127.0.0.1",
                "--port",
                "0",
                *arguments,
            ],
            cwd=self.folder,
            env={**self.environment, "SIGNOFF_RUNNER_HTTP_TOKEN": TOKEN},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.servers.append(server)
        assert server.stderr
        for line in server.stderr:
            at = line.find("http://")
            if at >= 0:
                return line[at:].split()[0].rstrip('",}.')
        raise AssertionError("it did not say where it listens")

    def bytes(self) -> bytes:
        """The source's file, with what is not yet in it."""
        path = Path(self.address.removeprefix("sqlite:"))
        log = path.with_name(path.name + "-wal")
        return path.read_bytes() + (log.read_bytes() if log.exists() else b"")

    def effects(self) -> tuple[int, int]:
        """How many values changed and how many updates ran, as triggers counted them."""
        with closing(sqlite3.connect(self.address.removeprefix("sqlite:"))) as source:
            (values,), (runs,) = (
                source.execute(f"SELECT count(*) FROM {name}").fetchone() for name in ("effects", "executions")
            )
        return values, runs

    def state(self, proposal: str) -> str:
        """Where a proposal stands, as the ledger tells people."""
        return self.run("proposals", "show", proposal)["state"]


Connect = Callable[[Workspace, list[str]], AbstractAsyncContextManager[Client]]


async def story(workspace: Workspace, client: Client, alias: Callable[[str], str] = lambda name: name) -> None:
    """Lists, reads, proposes, is refused, and looks at what it did: the same for every client."""
    before = workspace.bytes()
    tools = await client.tools()
    assert sorted(tools) == sorted(alias(name) for name in CANONICAL)
    assert tools[alias(INSPECT)]["properties"]["invoice_id"]["type"] == "string"
    assert tools[alias(INSPECT)]["additionalProperties"] is False

    seen = await client.call(alias(INSPECT), {"invoice_id": "INV-1"})
    assert not seen.failed, seen
    assert json.loads(seen.text) == seen.structured
    assert seen.structured["ok"] is True and seen.structured["data"]["late_fee_cents"] == 5500, seen

    proposed = await client.call(alias(PROPOSE), {"invoice_id": "INV-1", "reason": "we were late"})
    assert not proposed.failed and proposed.structured["source_database_changed"] is False, proposed
    identifier = proposed.structured["proposal"]["id"]
    assert workspace.state(identifier) == "pending_review"

    # An error is text alone, with the code that an agent can act on, and nothing of the database's own.
    for name, arguments, code in [
        (alias(INSPECT), {"invoice_id": "INV-404"}, "NOT_FOUND_IN_TENANT"),
        (alias(INSPECT), {"invoice_id": "INV-1", "tenant_id": "globex"}, "INVALID_ARGUMENT"),
        (alias(STATUS), {"proposal_id": "wrp_00000000-0000-4000-8000-000000000000"}, "NOT_FOUND_IN_TENANT"),
    ]:
        refused = await client.call(name, arguments)
        assert refused.failed and refused.structured is None, refused
        assert code in refused.text and "SELECT" not in refused.text and "sqlite" not in refused.text, refused

    status = await client.call(alias(STATUS), {"proposal_id": identifier})
    assert status.structured["state"] == "pending_review"
    evidence = proposed.structured["evidence"]["bundle_id"]
    for uri in (f"proposals/{identifier}", f"evidence/{evidence}", f"replay/replay_{identifier}"):
        document = json.loads(await client.read(f"synapsor://{uri}"))
        assert "tenant_id" not in json.dumps(document), document
        assert document.get("state", "pending_review") == "pending_review"
    for uri in ("synapsor://proposals/wrp_00000000-0000-4000-8000-000000000000", "synapsor://nothing/1"):
        try:
            found = await client.read(uri)
        except Exception as error:
            assert_says(error, "there is no such resource")
        else:
            raise AssertionError(f"there is no {uri}: {found}")

    withdrawn = await client.call(alias(WITHDRAW), {"proposal_id": identifier})
    assert withdrawn.structured["state"] == "canceled"
    assert workspace.state(identifier) == "canceled"
    assert workspace.bytes() == before
    assert workspace.effects() == (0, 0)


def assert_says(error: BaseException, word: str) -> None:
    """That some layer of an error has the server's words."""
    layers, texts = [error], []
    while layers:
        layer = layers.pop()
        texts.append(str(layer))
        layers += getattr(layer, "exceptions", ())
        layers += [under for under in (layer.__cause__, layer.__context__) if under is not None]
    assert any(word in text for text in texts), texts


def openai(name: str) -> str:
    """The alias under which a name without dots is offered."""
    return name.replace(".", "__")
