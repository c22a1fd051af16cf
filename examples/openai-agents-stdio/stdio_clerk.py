"""An agent of the OpenAI Agents SDK that reads and proposes over MCP: its tools are those of a `signoff` process beside it."""

import asyncio
import os
import sys

from agents import Agent, Model, Runner, set_tracing_disabled
from agents.mcp import MCPServer, MCPServerStdio, MCPServerStdioParams
from openai_stub import ScriptedModel

# All that the process is told: where to read and remember, and on whose behalf it is asked. It is told no way to write.
TOLD = (
    "PATH",
    "BILLING_APP_READ_URL",
    "SIGNOFF_LOCAL_STORE",
    "SIGNOFF_MCP_CONFIG",
    "SYNAPSOR_PRINCIPAL",
    "SYNAPSOR_TENANT_ID",
)


def door() -> MCPServerStdio:
    """The agent's door; names without dots, since this API takes no others."""
    env = {name: os.environ[name] for name in TOLD}
    params = MCPServerStdioParams(command="signoff", args=["mcp", "serve", "--openai-tool-aliases"], env=env)
    return MCPServerStdio(params, name="billing", client_session_timeout_seconds=30)


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
