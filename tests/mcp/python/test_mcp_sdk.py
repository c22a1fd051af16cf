"""The official Python SDK, in each of its ways to agree on a revision."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2
import mcp
import pytest
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from stage import CANONICAL, INSPECT, PROPOSE, STATUS, TOKEN, Answer, Workspace, assert_says, openai, story

MODES = [("legacy", "2025-11-25"), ("auto", "2026-07-28"), ("2026-07-28", "2026-07-28")]


class Sdk:
    def __init__(self, client: mcp.Client) -> None:
        self.client = client

    async def tools(self) -> dict[str, dict[str, Any]]:
        return {tool.name: tool.input_schema for tool in (await self.client.list_tools()).tools}

    async def call(self, name: str, arguments: dict[str, Any]) -> Answer:
        result = await self.client.call_tool(name, arguments)
        return Answer(bool(result.is_error), result.content[0].text, result.structured_content)

    async def read(self, uri: str) -> str:
        return (await self.client.read_resource(uri)).contents[0].text


@asynccontextmanager
async def over_stdio(workspace: Workspace, mode: str, *arguments: str) -> AsyncIterator[mcp.Client]:
    server = StdioServerParameters(
        command=workspace.program, args=["mcp", "serve", *arguments], env=workspace.environment, cwd=workspace.folder
    )
    async with mcp.Client(server, mode=mode) as client:
        yield client


@asynccontextmanager
async def over_http(workspace: Workspace, mode: str, *arguments: str, token: str = TOKEN) -> AsyncIterator[mcp.Client]:
    address = workspace.serve(*arguments)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}))
        yield await stack.enter_async_context(mcp.Client(streamable_http_client(address, http_client=http), mode=mode))


DOORS = {"stdio": over_stdio, "http": over_http}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("mode", "revision"), MODES, ids=[mode for mode, _ in MODES])
def test_it_does_all_that_an_agent_may(workspace: Workspace, mode: str, revision: str, door: str) -> None:
    async def run() -> None:
        async with DOORS[door](workspace, mode) as client:
            assert client.protocol_version == revision
            # Pinned to a revision, it asks nothing before its first call.
            assert mode == "2026-07-28" or (client.server_info and client.server_info.name == "signoff")
            await story(workspace, Sdk(client))

    asyncio.run(run())


@pytest.mark.parametrize("door", DOORS)
def test_it_sees_the_names_that_were_asked_for(workspace: Workspace, door: str) -> None:
    async def run() -> None:
        async with DOORS[door](workspace, "auto", "--alias-mode", "openai") as client:
            await story(workspace, Sdk(client), openai)
        async with DOORS[door](workspace, "auto", "--alias-mode", "both") as client:
            names = set(await Sdk(client).tools())
            assert names == {*CANONICAL, *map(openai, CANONICAL)}

    asyncio.run(run())


@pytest.mark.parametrize("door", DOORS)
def test_what_it_lists_holds(workspace: Workspace, door: str) -> None:
    async def run() -> None:
        async with DOORS[door](workspace, "auto") as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            hints = {
                name: (tool.annotations.read_only_hint, tool.annotations.destructive_hint)
                for name, tool in tools.items()
            }
            assert hints[INSPECT] == hints[STATUS] == (True, False) and hints[PROPOSE][0] is False
            assert len({tuple(await Sdk(client).tools()) for _ in range(3)}) == 1, "the same order each time"
            templates = (await client.list_resource_templates()).resource_templates
            assert [template.name for template in templates] == ["proposal", "evidence", "replay"]
            assert (await client.list_resources()).resources == []
            first = await client.call_tool(PROPOSE, {"invoice_id": "INV-2", "reason": "late"})
            again = await client.call_tool(PROPOSE, {"invoice_id": "INV-2", "reason": "late"})
            one, two = (result.structured_content["proposal"]["id"] for result in (first, again))
            assert one == two, "the same proposal is not made twice"

    asyncio.run(run())


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_without_the_right_token_it_gets_nowhere(workspace: Workspace, mode: str) -> None:
    async def run() -> None:
        async with over_http(workspace, mode, token="a wrong one") as client:
            await Sdk(client).tools()

    with pytest.raises(Exception) as refused:
        asyncio.run(run())
    # The status is not in what it says, only that it was refused.
    assert_says(refused.value, "Server returned an error response")
