"""The scenario that every face plays, in both halves: at the end each has the same ledger. And every code arrives whole."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import signoff
from signoff import SignoffError, _native
from signoff import _connection as connection
from support.shop import ROOT

SCENARIO = json.loads((ROOT / "tests/vectors/scenario/steps.json").read_text())
LIST = {
    "proposals": ("proposals", "proposal_id", "id"),
    "receipts": ("receipts", "receipt/status", "status"),
    "evidence": ("evidence", "evidence_id", "id"),
    "query_audit": ("query_audit", "seq", "seq"),
    "replays": ("replays", "proposal_id", "proposal.id"),
}


def stage(*arguments: object) -> Any:
    """The Rust side's stage: the application's database, its receipts table, the contract."""
    program = os.environ.get("SIGNOFF_STAGE")
    if program is None:
        reason = "SIGNOFF_STAGE does not name the program (make test-python builds it)"
        assert "SIGNOFF_REQUIRE_ALL" not in os.environ, reason
        pytest.skip(reason)
    said = subprocess.run([program, *map(str, arguments)], check=True, capture_output=True, text=True)
    return json.loads(said.stdout)


def when(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)


class Player:
    """Plays the steps with the calls of a half."""

    def __init__(self, so: Any) -> None:
        self.so = so
        self.saved: dict[str, str] = {}

    async def call(self, name: str, *arguments: Any, **named: Any) -> Any:
        answer = getattr(self.so, name)(*arguments, **named)
        if isinstance(answer, AsyncIterator):
            return [one async for one in answer]
        if inspect.isgenerator(answer):
            return list(answer)
        return await answer if inspect.isawaitable(answer) else answer

    def filled(self, value: Any) -> Any:
        if isinstance(value, str) and value.startswith("$"):
            return self.saved[value]
        if isinstance(value, dict):
            return {name: self.filled(member) for name, member in value.items()}
        return [self.filled(item) for item in value] if isinstance(value, list) else value

    async def request(self, it: dict[str, Any]) -> Any:
        def person(one: dict[str, Any]) -> signoff.Approver:
            return signoff.Approver(one["id"], one["roles"], asserted=one["asserted"])

        name = it["call"]
        if name in ("read", "propose"):
            return await self.call(name, it["capability"], it["arguments"])
        if name in ("approve", "reject"):
            seen: dict[str, Any] = {"hash": it["hash"], "version": it["version"], "approver": person(it["approver"])}
            return await self.call(name, it["proposal_id"], **seen, reason=it.get("reason"))
        if name == "cancel":
            return await self.call(name, it["proposal_id"], actor=person(it["actor"]), reason=it.get("reason"))
        if name == "apply":
            return await self.call(name, it["proposal_id"], dry_run=it.get("dry_run", False))
        if name == "evidence":
            return await self.call("evidence_bundle", it["id"])
        if name == "verify_ledger":
            return await self.call(name, it.get("expect"))
        if name == "list":
            return await self.call(it["list"], **it.get("filter", {}))
        return await self.call(name, it["id"])


def told(answer: Any, pointer: str) -> Any:
    """What the wire's pointer says, in the names of this package."""
    names = {"proposal_hash": "hash", "approvals": "decisions", "kind": "kind"}
    here = answer
    for step in pointer.strip("/").split("/"):
        if isinstance(here, signoff.Receipt) and step == "receipt":
            continue
        if isinstance(here, (list, tuple)):
            if step.isdigit():
                here = here[int(step)]
            continue
        if isinstance(here, dict):
            here = here[step]
        elif isinstance(here, signoff.ReplaySummary):
            here = here.proposal.id
        elif step == "proposal_id":
            here = getattr(here, "proposal_id", None) or here.id
        else:
            here = getattr(here, names.get(step, step))
    return list(here) if isinstance(here, tuple) else here


@pytest.mark.parametrize("half", ["async", "sync"])
def test_each_half_comes_to_the_same_ledger(half: str, tmp_path: Path) -> None:
    variables = stage("make", tmp_path)["environment"]
    steps = SCENARIO["steps"]
    opening: dict[str, Any] = {"create": True, "env": variables, "testing": signoff.Testing(when(steps[0]["at"]), "1")}

    async def main() -> None:
        place = (tmp_path / "signoff.json", tmp_path / "ledger.db")
        so: Any = (
            await signoff.Signoff.open(*place, **opening) if half == "async" else signoff.sync.open(*place, **opening)
        )
        player = Player(so)
        played = 0
        for n, step in enumerate(steps, 1):
            if "sql" in step:
                stage("sql", tmp_path, step["sql"])
                continue
            request = player.filled(step["request"])
            if "cursor" in request:  # pages are the package's own business here
                continue
            if played:
                await player.call("script", when(step["at"]), str(n))
            played += 1
            if "code" in step:
                with pytest.raises(SignoffError) as caught:
                    await player.request(request)
                assert caught.value.code == step["code"], step["name"]
                continue
            answer = await player.request(request)
            for pointer, wanted in step["ok"].items():
                if pointer not in ("/ok", "/next_cursor"):
                    pointer = pointer.replace(f"/{request.get('list')}/", "/", 1)
                    assert told(answer, pointer) == player.filled(wanted), (step["name"], pointer)
            if name := step.get("save"):
                fields = {"id": getattr(answer, "id", None), "hash": getattr(answer, "hash", None)}
                fields["evidence"] = getattr(answer, "evidence_id", None)
                player.saved |= {f"${name}.{field}": value for field, value in fields.items() if value}
        assert played >= 60
        assert stage("effects", tmp_path) == SCENARIO["effects"]
        await player.call("script", when("2026-12-31T00:00:00Z"), "last")
        assert (await player.call("verify_ledger")).checkpoint == SCENARIO["checkpoint"]
        await player.call("close")

    asyncio.run(main())


@pytest.mark.parametrize("half", ["async", "sync"])
def test_every_code_arrives_with_its_fields(half: str, tmp_path: Path) -> None:
    catalogue = {one["code"]: one for one in json.loads((ROOT / "schemas" / "errors.json").read_text())}
    testing = signoff.Testing(when("2026-01-01T00:00:00Z"), "a")

    async def main() -> None:
        opened: dict[str, Any] = {"ledger": tmp_path / "ledger.db", "create": True, "testing": testing}
        so: Any = await signoff.Signoff.open(**opened) if half == "async" else signoff.sync.open(**opened)
        for code, about in catalogue.items():
            names = set(re.findall(r"\{(\w+)\}", about["message"] + about["help"]))
            context = {name: f"<{name}>" for name in names}
            request = json.dumps({"call": "fail", "code": code, "context": context})
            answer = await so._answer(request) if half == "async" else so._connection.call(request)
            with pytest.raises(SignoffError) as caught:
                connection.value_of(answer)
            error = caught.value
            assert type(error) is SignoffError
            assert (error.code, error.retryable, error.context) == (signoff.Code(code), about["retryable"], context)
            message, help = about["message"], about["help"]
            for name, value in context.items():
                message, help = (text.replace(f"{{{name}}}", value) for text in (message, help))
            assert error.message == message and str(error) == f"{code}: {message}"
            assert (error.help or "") == help
            assert error.response.status == about["http"], code
        closing = so.close()
        if closing is not None:
            await closing

    asyncio.run(main())
    assert len(catalogue) == len(_native.catalogue()) == len(signoff.Code)
