"""LangChain's MCP adapters, which speak through version 1 of the official SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from langchain_core.tools import BaseTool, ToolException
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.resources import get_mcp_resource
from langchain_mcp_adapters.tools import load_mcp_tools
from stage import TOKEN, Answer, Workspace, openai, story


class LangChain:
    def __init__(self, session: Any) -> None:
        self.session = session
        self.known: dict[str, BaseTool] = {}

    async def tools(self) -> dict[str, dict[str, Any]]:
        self.known = {tool.name: tool for tool in await load_mcp_tools(self.session)}
        return {name: tool.args_schema for name, tool in self.known.items()}

    async def call(self, name: str, arguments: dict[str, Any]) -> Answer:
        request = {"name": name, "args": arguments, "id": "1", "type": "tool_call"}
        try:
            message = await self.known[name].ainvoke(request)
        except ToolException as refused:
            return Answer(True, str(refused), None)
        text = message.content if isinstance(message.content, str) else message.content[0]["text"]
        structured = message.artifact["structured_content"] if message.artifact else None
        return Answer(message.status == "error", text, structured)

    async def read(self, uri: str) -> str:
        return (await get_mcp_resource(self.session, uri))[0].as_string()


@asynccontextmanager
async def over_stdio(workspace: Workspace, *arguments: str) -> AsyncIterator[Any]:
    connection = {
        "transport": "stdio",
        "command": workspace.program,
        "args": ["mcp", "serve", *arguments],
        "env": workspace.environment,
        "cwd": workspace.folder,
    }
    async with MultiServerMCPClient({"billing": connection}).session("billing") as session:
        yield session


@asynccontextmanager
async def over_http(workspace: Workspace, *arguments: str) -> AsyncIterator[Any]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    connection = {"transport": "streamable_http", "url": workspace.serve(*arguments), "headers": headers}
    async with MultiServerMCPClient({"billing": connection}).session("billing") as session:
        yield session


DOORS = {"stdio": over_stdio, "http": over_http}


@pytest.mark.parametrize("door", DOORS)
def test_it_does_all_that_an_agent_may(workspace: Workspace, door: str) -> None:
    async def run() -> None:
        async with DOORS[door](workspace) as session:
            await story(workspace, LangChain(session))

    asyncio.run(run())


@pytest.mark.parametrize("door", DOORS)
def test_it_sees_the_names_that_were_asked_for(workspace: Workspace, door: str) -> None:
    async def run() -> None:
        async with DOORS[door](workspace, "--alias-mode", "openai") as session:
            await story(workspace, LangChain(session), openai)

    asyncio.run(run())
