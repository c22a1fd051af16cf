"""Tools: the contract's, and the application's own, which read or propose within their scope and nothing else."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import signoff
from signoff import SignoffError
from support.billing import ACME, ALICE, READ, WAIVE, Billing, waiver

INVOICE: dict[str, Any] = {"type": "object", "properties": {"invoice": {"type": "string"}}, "required": ["invoice"]}
FEES: dict[str, Any] = {"type": "object", "properties": {"fee": {"type": "integer"}}, "required": ["fee"]}
READING: dict[str, Any] = {"description": "The late fee.", "kind": "read", "scope": [READ], "input_schema": INVOICE}
PROPOSING: dict[str, Any] = {"description": "Waives it.", "kind": "proposal", "scope": [WAIVE], "input_schema": INVOICE}


@pytest.fixture
def billing(tmp_path: Path) -> Billing:
    return Billing(tmp_path)


def test_the_contracts_tools_are_described_and_answer(billing: Billing) -> None:
    with billing.open_sync() as so:
        tools = so.tools()
        assert [(tool.name, tool.kind) for tool in tools[:2]] == [(READ, "read"), (WAIVE, "proposal")]
        assert tools[1].input_schema["properties"]["reason"]["maxLength"] == 500
        json.dumps([tool.descriptor() for tool in tools])
        names = [tool.name for tool in so.tools(alias=signoff.Alias.OPENAI)]
        assert names[0] == "billing__inspect_invoice" and len(so.tools(alias="both")) == 2 * len(tools)
        answer = so.call("billing__inspect_invoice", '{"invoice_id": "INV-1"}', context=ACME)
        assert (answer["ok"], answer["data"]["late_fee_cents"], answer.is_error) == (True, 5500, False)
        assert so.call(READ, {"invoice_id": "INV-1"}, format=1)["status"] == "ok"
        json.dumps(answer.body)
        proposed = so.call(WAIVE, waiver())
        assert so.proposal(proposed["proposal"]["id"]).state == "pending_review"
        for arguments in (
            {"invoice_id": "INV-1", "tenant_id": "globex"},
            {},
            {"invoice_id": 7},
            "[]",
            "{",
            '{"a":1,"a":2}',
        ):
            refused = so.call(READ, arguments)
            assert (refused["ok"], refused.is_error) == (False, False), arguments
        assert so.call("billing.approve", {}, format=1).is_error
        with pytest.raises(SignoffError, match="USAGE"):
            so.call(READ, {}, format=3)


def test_what_has_no_exact_json_is_no_argument(billing: Billing) -> None:
    with billing.open_sync() as so:
        endless: list[Any] = []
        endless.append(endless)
        for value in (float("nan"), float("inf"), Decimal("NaN"), 1j, b"x", (1,), {1: 2}, {"a": object()}, endless):
            with pytest.raises(TypeError):
                so.read(READ, {"invoice_id": value})


def test_an_own_tool_reads_and_its_answer_is_evidence(billing: Billing) -> None:
    async def main() -> None:
        async with billing.open() as so:
            seen: list[Any] = []

            @so.register_tool("billing.fees", output_schema=FEES, policy_hint="auto", **READING)  # type: ignore[untyped-decorator]
            async def fees(arguments: dict[str, Any], scope: signoff.ToolScope) -> dict[str, Any]:
                seen.append((arguments, threading.current_thread() is threading.main_thread()))
                answer = await scope.read(READ, {"invoice_id": arguments["invoice"]})
                assert answer.principal == "bot"
                return {"fee": answer.data["late_fee_cents"]}

            bot = signoff.TrustedContext(tenant="acme", principal="bot")
            answer = await so.call("billing__fees", {"invoice": "INV-1"}, context=bot)
            assert (answer["ok"], answer["data"]) == (True, {"fee": 5500})
            assert seen == [({"invoice": "INV-1"}, True)]
            evidence = await so.evidence_bundle(answer["evidence"]["bundle_id"])
            assert "billing.fees" in str(evidence)
            [tool] = [tool for tool in await so.tools() if tool.name == "billing.fees"]
            assert tool.input_schema["additionalProperties"] is False
            assert tool.output_schema["properties"]["data"] == FEES
            assert tool.descriptor()["_meta"]["signoff.policy_hint"] == "auto"
            # The schema is asked before the function is.
            assert not (await so.call("billing.fees", {}))["ok"]
            assert not (await so.call("billing.fees", {"invoice": 1}))["ok"]
            assert len(seen) == 1
            # Another tenant's row is not found through it either.
            other = signoff.TrustedContext(tenant="globex", principal="bot")
            refused = await so.call("billing.fees", {"invoice": "INV-1"}, context=other)
            assert refused["error"]["code"] == "NOT_FOUND_IN_TENANT", refused.body

    asyncio.run(main())


def test_a_plain_function_runs_off_the_loop_with_a_scope_that_blocks(billing: Billing) -> None:
    def fees(prefix: str, arguments: dict[str, Any], scope: signoff.sync.ToolScope) -> dict[str, Any]:
        assert threading.current_thread() is not threading.main_thread()
        return {"fee": scope.read(READ, {"invoice_id": prefix + arguments["invoice"]}).data["late_fee_cents"]}

    class Callable:
        async def __call__(self, arguments: dict[str, Any], scope: signoff.ToolScope) -> dict[str, Any]:
            return {"fee": (await scope.read(READ, {"invoice_id": arguments["invoice"]})).data["late_fee_cents"]}

    async def main() -> None:
        async with billing.open() as so:
            so.register_tool("billing.fees", functools.partial(fees, "INV-"), **READING)
            so.register_tool("billing.fees2", Callable(), **READING)
            assert (await so.call("billing.fees", {"invoice": "1"}))["data"] == {"fee": 5500}
            assert (await so.call("billing.fees2", {"invoice": "INV-1"}))["data"] == {"fee": 5500}

    asyncio.run(main())


@pytest.mark.parametrize("half", ["async", "sync"])
def test_an_own_tool_proposes_within_its_scope(half: str, billing: Billing, caplog: pytest.LogCaptureFixture) -> None:
    # One story for both halves: a plain function on the sync twin, `async def` on the other.
    async def through_async(call: Any) -> None:
        async with billing.open() as so:

            @so.register_tool("billing.forgive", **PROPOSING)  # type: ignore[untyped-decorator]
            async def forgive(arguments: dict[str, Any], scope: signoff.ToolScope) -> Any:
                return await call(arguments["invoice"], scope.read, scope.propose)

            await check(so)

    async def check(so: signoff.Signoff) -> None:
        answer = await so.call("billing.forgive", {"invoice": "INV-1"}, context=ACME)
        assert answer["proposal"]["state"] == "pending_review", answer.body
        record = await so.proposal(answer["proposal"]["id"])
        assert await so.approve(record.id, hash=record.hash, version=record.version, approver=ALICE)
        for invoice, code in [
            ("scope", "TOOL_SCOPE_EXCEEDED"),
            ("none", "ROW_NOT_FOUND"),
            ("output", "TOOL_OUTPUT_INVALID"),
            ("own", "TOOL_FAILED"),
            ("json", "TOOL_FAILED"),
        ]:
            caplog.clear()
            refused = await so.call("billing.forgive", {"invoice": invoice}, context=ACME)
            assert not refused["ok"] and "secret" not in str(refused.body), (code, refused.body)
            ours = [one for one in caplog.records if one.name == "signoff"]
            assert (code == "TOOL_FAILED") == bool(ours), (invoice, ours)
        assert billing.effects() == 0

    async def story(invoice: str, read: Any, propose: Any) -> Any:
        if invoice == "own":
            raise RuntimeError("a secret of the application")
        if invoice == "scope":
            return await propose("billing.propose_account_credit", {"invoice_id": "INV-1"})
        if invoice == "output":
            return {"proposal": "made up"}
        if invoice == "json":
            return object()
        if invoice == "none":
            return await propose(WAIVE, {"invoice_id": "INV-none", "reason": "x"})
        return await propose(WAIVE, waiver())

    caplog.set_level(logging.ERROR, "signoff")
    if half == "async":
        asyncio.run(through_async(story))
        return
    with billing.open_sync() as so:

        def forgive(arguments: dict[str, Any], scope: signoff.sync.ToolScope) -> Any:
            if arguments["invoice"] == "own":
                raise RuntimeError("a secret of the application")
            if arguments["invoice"] == "scope":
                return scope.propose("billing.propose_account_credit", {"invoice_id": "INV-1"})
            return scope.propose(WAIVE, waiver())

        so.register_tool("billing.forgive", forgive, **PROPOSING)
        assert so.call("billing.forgive", {"invoice": "INV-1"})["proposal"]["state"] == "pending_review"
        assert not so.call("billing.forgive", {"invoice": "scope"})["ok"] and not caplog.records
        assert not so.call("billing.forgive", {"invoice": "own"})["ok"]
        [record] = caplog.records
        assert record.exc_info is not None and "secret" in str(record.exc_info[1])


def test_what_may_not_be_a_tool_is_refused(billing: Billing) -> None:
    with billing.open_sync() as so:
        cases: list[tuple[str, dict[str, Any]]] = [
            ("billing.approve", {}),
            ("run_sql", {}),
            (READ, {}),
            ("a b", {}),
            ("billing.x", {"scope": ["billing.nothing"]}),
            ("billing.x", {"kind": "proposal"}),
            ("billing.x", {"input_schema": {"type": "string"}}),
            ("billing.x", {"input_schema": {"type": "object", "properties": {"tenant_id": {}}}}),
        ]
        for name, changes in cases:
            with pytest.raises(SignoffError) as caught:
                so.register_tool(name, print, **{**READING, **changes})
            assert caught.value.code == "TOOL_INVALID", (name, changes)
        assert len(so.tools()) == 3

        async def awaited(arguments: dict[str, Any], scope: signoff.ToolScope) -> None: ...

        with pytest.raises(TypeError):
            so.register_tool("billing.x", awaited, **READING)  # type: ignore[arg-type]


def test_a_tool_may_be_registered_before_the_session_is_open(billing: Billing) -> None:
    async def main() -> None:
        so = billing.open()
        so.register_tool("billing.fees", lambda arguments, scope: {"fee": 1}, **READING)
        async with so:
            assert (await so.call("billing.fees", {"invoice": "x"}))["data"] == {"fee": 1}

    asyncio.run(main())
