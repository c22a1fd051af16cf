"""The examples of agent frameworks, each with a scripted stub of the framework's own model interface: no key, no network."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import agents
import graph_clerk
import graph_stub
import openai_clerk
import openai_stub
import pydantic_clerk
import pydantic_stub
import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.types import Command
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from support.server import PACKAGE
from support.shop import ROOT
from support.sqlite_billing import CLERK, LEAD, WAIVE, Billing

ASK = "Please waive the fee of INV-3001."
TOOLS = ["billing__inspect_invoice", "billing__propose_late_fee_waiver"]
INSPECT, PROPOSE = TOOLS
THREAD: RunnableConfig = {"configurable": {"thread_id": "1"}}
Script = list[tuple[str, dict[str, Any]]]


class Told(NamedTuple):
    """What a run came to: what the agent said last, what its model was answered, and what tools it was shown."""

    text: str
    envelopes: list[Any]
    tools: dict[str, Any]


def openai_agents(billing: Billing, script: Script) -> Told:
    class Model(openai_stub.ScriptedModel):
        async def get_response(self, *given: Any, **named: Any) -> agents.ModelResponse:
            shown.update({tool.name: tool.params_json_schema for tool in named["tools"]})
            return await super().get_response(*given, **named)

    async def story() -> Told:
        async with billing.open() as so:
            model = Model(script)
            done = await agents.Runner.run(await openai_clerk.clerk(so, model), ASK, context=CLERK)
            return Told(done.final_output, model.answers, shown)

    shown: dict[str, Any] = {}
    agents.set_tracing_disabled(True)
    return asyncio.run(story())


def pydantic_ai(billing: Billing, script: Script) -> Told:
    scripted = pydantic_stub.scripted(script)

    def say(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        shown.update({tool.name: tool.parameters_json_schema for tool in info.function_tools})
        assert scripted.function is not None
        said = scripted.function(messages, info)
        assert isinstance(said, ModelResponse)
        return said

    async def story() -> Told:
        async with billing.open() as so:
            done = await (await pydantic_clerk.clerk(so, FunctionModel(say))).run(ASK, deps=CLERK)
            parts = [part for message in done.all_messages() for part in message.parts]
            return Told(done.output, [part.content for part in parts if isinstance(part, ToolReturnPart)], shown)

    shown: dict[str, Any] = {}
    return asyncio.run(story())


def langgraph(billing: Billing, script: Script) -> Told:
    class Model(graph_stub.ScriptedModel):
        def bind_tools(self, tools: Any, **more: Any) -> Any:
            shown.update({tool.name: convert_to_openai_tool(tool)["function"]["parameters"] for tool in tools})
            return super().bind_tools(tools, **more)

    shown: dict[str, Any] = {}
    with billing.open_sync() as so:
        graph = graph_clerk.clerk(so, Model(script=script))
        talk = graph.invoke({"messages": [HumanMessage(ASK)]}, THREAD, context=CLERK)
    envelopes = [json.loads(message.content) for message in talk["messages"] if message.type == "tool"]
    return Told(str(talk["messages"][-1].content), envelopes, shown)


Framework = Callable[[Billing, Script], Told]
every_framework = pytest.mark.parametrize("run", [openai_agents, langgraph, pydantic_ai], ids=lambda run: run.__name__)


@pytest.fixture
def billing(tmp_path: Path) -> Billing:
    return Billing(tmp_path)


@every_framework
def test_a_call_of_the_model_is_a_proposal_and_lands_once_when_people_say_so(billing: Billing, run: Framework) -> None:
    before = billing.invoices()
    told = run(
        billing, [(INSPECT, {"invoice_id": "INV-3001"}), (PROPOSE, {"invoice_id": "INV-3001", "reason": "late"})]
    )
    inspected, proposed = told.envelopes
    assert (inspected["data"]["late_fee_cents"], inspected["proposal"]) == (5500, None)
    assert (proposed["ok"], proposed["source_database_changed"]) == (True, False)
    assert (proposed["proposal"]["state"], proposed["proposal"]["writeback"]["applied"]) == ("pending_review", False)
    # Nothing is written before somebody else says so.
    assert (billing.invoices(), billing.effects()) == (before, [])
    id = proposed["proposal"]["id"]
    with billing.open_sync() as so:
        record = so.proposal(id)
        assert (record.change_set["action"], record.change_set["principal"]["id"]) == (WAIVE, "billing_clerk")
        assert [(line.column, line.proposed) for line in record.diff] == [
            ("late_fee_cents", 0),
            ("waiver_reason", "late"),
        ]
    billing.approve(id)
    assert billing.effects() == []
    assert [billing.apply(id), billing.apply(id)] == ["applied", "already_applied"]
    assert billing.effects() == [("INV-3001", 0)]


@every_framework
def test_the_model_is_shown_the_contract_and_nothing_that_decides(billing: Billing, run: Framework) -> None:
    shown = run(billing, [(INSPECT, {"invoice_id": "INV-3001"})]).tools
    with billing.open_sync() as so:
        assert shown == {tool.name: tool.input_schema for tool in so.tools(alias="openai")}
    assert list(shown) == TOOLS


@every_framework
def test_what_a_model_makes_up_is_refused_in_words_for_it(billing: Billing, run: Framework) -> None:
    script: Script = [
        (INSPECT, {"invoice_id": "INV-9001"}),
        (PROPOSE, {"invoice_id": "INV-9001", "reason": "x", "tenant_id": "globex"}),
        (PROPOSE, {"invoice_id": "INV-3001"}),
        (PROPOSE, {"invoice_id": "INV-3001", "reason": "postgres://user:planted@host/db"}),
    ]
    told = run(billing, script)
    codes = [envelope["error"]["code"] for envelope in told.envelopes]
    assert codes == ["NOT_FOUND_IN_TENANT", "INVALID_ARGUMENT", "INVALID_ARGUMENT", "POLICY_VIOLATION"]
    assert "planted" not in repr(told.envelopes)
    with billing.open_sync() as so:
        assert list(so.proposals()) == []


class TestTheGraphWaits:
    """LangGraph: an interrupt that is satisfied by a decision made elsewhere."""

    def test_until_a_worker_has_applied_what_somebody_approved(self, billing: Billing) -> None:
        with billing.open_sync() as so:
            graph = graph_clerk.clerk(so, graph_stub.ScriptedModel())
            talk = graph.invoke({"messages": [HumanMessage(ASK)]}, THREAD, context=CLERK)
            (waiting,) = talk["__interrupt__"]
            assert waiting.value["state"] == "pending_review"
            id = waiting.value["proposal"]
            # Nothing that it is resumed with is a decision.
            for forged in (True, {"approved": True, "state": "applied"}, "approve"):
                talk = graph.invoke(Command(resume=forged), THREAD, context=CLERK)
                assert talk["__interrupt__"][0].value == {"proposal": id, "state": "pending_review"}
            assert (so.proposal(id).decisions, billing.effects()) == ((), [])
            billing.approve(id)
            talk = graph.invoke(Command(resume="look again"), THREAD, context=CLERK)
            assert talk["__interrupt__"][0].value == {"proposal": id, "state": "approved"}
            assert (billing.apply(id), billing.effects()) == ("applied", [("INV-3001", 0)])
            talk = graph.invoke(Command(resume="look again"), THREAD, context=CLERK)
            assert "__interrupt__" not in talk
            assert talk["messages"][-1].content == f"Proposal {id}: applied."
            assert billing.effects() == [("INV-3001", 0)]

    def test_and_hears_that_it_was_rejected(self, billing: Billing) -> None:
        with billing.open_sync() as so:
            graph = graph_clerk.clerk(so, graph_stub.ScriptedModel())
            talk = graph.invoke({"messages": [HumanMessage(ASK)]}, THREAD, context=CLERK)
            id = talk["__interrupt__"][0].value["proposal"]
            seen = so.proposal(id)
            so.reject(id, hash=seen.hash, version=seen.version, approver=LEAD, reason="paid late again")
            talk = graph.invoke(Command(resume="look again"), THREAD, context=CLERK)
        assert talk["messages"][-1].content == f"Proposal {id}: rejected."
        assert billing.effects() == []


PROGRAM = os.environ.get("SIGNOFF_BIN")


@pytest.mark.parametrize("example", ["openai-agents", "pydantic-ai", "langgraph"])
def test_the_lines_of_its_readme_run(tmp_path: Path, example: str) -> None:
    if PROGRAM is None:
        reason = "SIGNOFF_BIN is not set: run `make test-python`"
        assert "SIGNOFF_REQUIRE_ALL" not in os.environ, reason
        pytest.skip(reason)
    for folder in ("billing", example):
        shutil.copytree(ROOT / "examples" / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.db*"))
    (tmp_path / "signoff").symlink_to(PROGRAM)
    path = f"{tmp_path}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def terminal(lines: str) -> subprocess.Popen[str]:
        # All but how the packages get here.
        command = ["bash", "-e", "-c", lines[lines.index(". ../billing") :]]
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(PACKAGE)}
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=tmp_path / example, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )

    def landed() -> list[Any]:
        with closing(sqlite3.connect(tmp_path / example / "billing.db")) as database:
            return database.execute("SELECT * FROM effects").fetchall()

    blocks = re.findall(r"```sh\n(.*?)```", (tmp_path / example / "README.md").read_text(), re.S)
    with terminal(blocks[0]) as first:
        if example == "langgraph":
            assert first.stdout is not None
            assert "'state': 'pending_review'" in first.stdout.readline()
            with terminal(blocks[1]) as second:
                assert second.communicate(timeout=120) and second.returncode == 0
        said, wrong = first.communicate("\n", timeout=120)
    assert (first.returncode, "OPENAI" in wrong) == (0, False), wrong
    if example == "langgraph":
        assert (said.endswith(": applied.\n"), landed()) == (True, [("INV-3001", 0)])
    else:
        assert ("Source database changed: no" in said, "pending_review" in said, landed()) == (True, True, [])
