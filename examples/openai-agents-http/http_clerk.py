"""An agent of the OpenAI Agents SDK that reads and proposes over MCP: its tools are those of a `signoff` server elsewhere."""

import asyncio
import os
import sys

from agents import Agent, Model, Runner, set_tracing_disabled
from agents.mcp import MCPServer, MCPServerStreamableHttp, MCPServerStreamableHttpParams
from openai_stub import ScriptedModel


def door() -> MCPServerStreamableHttp:
    """The agent's door. Here is no database, no contract and no ledger: an address, and a token to be let in."""
    params = MCPServerStreamableHttpParams(
        url=os.environ.get("SIGNOFF_MCP_URL", "http://127.0.0.1:8766/mcp"),
        headers={"Authorization": f"Bearer {os.environ['SIGNOFF_RUNNER_HTTP_TOKEN']}"},
        timeout=30,
    )
    return MCPServerStreamableHttp(params, name="billing", client_session_timeout_seconds=30)


def clerk(server: MCPServer, model: Model | str) -> Agent[None]:
    """The agent. It has no tool that approves or applies, because the server has none."""
    return Agent(
        name="Billing clerk",
        instructions="Inspect an invoice before you propose a change. Nothing changes before a person approves: say so.",
        mcp_servers=[server],
        model=model,
    )


async def main() -> None:
    """Lists the tools with `--list`; else runs it once, with a stub where a model would be."""
    set_tracing_disabled(True)
    async with door() as server:
        if "--list" in sys.argv:
            print(*(tool.name for tool in await server.list_tools()), sep="\n")
            return
        done = await Runner.run(clerk(server, ScriptedModel()), "Please waive the fee of INV-3001.")
        print(done.final_output)


if __name__ == "__main__":
    asyncio.run(main())
