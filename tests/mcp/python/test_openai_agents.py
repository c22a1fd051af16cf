"""The OpenAI Agents SDK: its servers are asked as an agent's run asks them, so no model is needed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from agents.mcp import MCPServer, MCPServerStdio, MCPServerStreamableHttp, MCPUtil
from stage import TOKEN, Answer, Workspace, openai, story


class Agents:
    def __init__(self, server: MCPServer) -> None:
        self.server = server

    async def tools(self) -> dict[str, dict[str, Any]]:
        return {tool.name: schema(tool) for tool in await self.server.list_tools()}

    async def call(self, name: str, arguments: dict[str, Any]) -> Answer:
        result = await self.server.call_tool(name, arguments)
        failed = getattr(result, "is_error", None)
        structured = getattr(result, "structured_content", None)
        return Answer(bool(failed), result.content[0].text, structured)

    async def read(self, uri: str) -> str:
        return (await self.server.read_resource(uri)).contents[0].text


def schema(tool: Any) -> dict[str, Any]:
    return tool.input_schema if hasattr(tool, "input_schema") else tool.inputSchema


@asynccontextmanager
async def over_stdio(workspace: Workspace, *arguments: str) -> AsyncIterator[MCPServer]:
    params = {
        "command": workspace.program,
        "args": ["mcp", "serve", *arguments],
        "env": workspace.environment,
        "cwd": str(workspace.folder),
    }
    async with MCPServerStdio(params, client_session_timeout_seconds=60) as server:
        yield server


@asynccontextmanager
async def over_http(workspace: Workspace, *arguments: str) -> AsyncIterator[MCPServer]:
    params = {"url": workspace.serve(*arguments), "headers": {"Authorization": f"Bearer {TOKEN}"}, "timeout": 60}
    async with MCPServerStreamableHttp(params, client_session_timeout_seconds=60) as server:
        yield server


DOORS = {"stdio": over_stdio, "http": over_http}


@pytest.mark.parametrize("door", DOORS)
def test_it_does_all_that_an_agent_may(workspace: Workspace, door: str) -> None:
    async def run() -> None:
        async with DOORS[door](workspace) as server:
            await story(workspace, Agents(server))

    asyncio.run(run())


@pytest.mark.parametrize("door", DOORS)
def test_a_model_of_theirs_is_offered_names_that_it_may_use(workspace: Workspace, door: str) -> None:
    async def run() -> None:
        async with DOORS[door](workspace, "--openai-tool-aliases") as server:
            await story(workspace, Agents(server), openai)
            tools = await MCPUtil.get_all_function_tools(
                [server], convert_schemas_to_strict=False, run_context=None, agent=None
            )
            for tool in tools:
                assert tool.name.replace("_", "").isalnum() and len(tool.name) <= 64
                assert json.loads(json.dumps(tool.params_json_schema))["type"] == "object"

    asyncio.run(run())
