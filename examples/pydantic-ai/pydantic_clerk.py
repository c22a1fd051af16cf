"""A Pydantic AI agent that reads and proposes: its tools are the contract's."""

import asyncio
from pathlib import Path
from typing import Any

from pydantic_ai import Agent, RunContext
from pydantic_ai import Tool as AgentTool
from pydantic_ai.models import Model
from pydantic_stub import scripted
from signoff import Signoff, Tool, TrustedContext

CONTRACT = Path(__file__).parents[1] / "billing" / "sqlite" / "signoff.json"


def agent_tool(so: Signoff, tool: Tool) -> AgentTool[TrustedContext]:
    """One tool of the contract as one of Pydantic AI's."""

    async def invoke(run: RunContext[TrustedContext], /, **arguments: Any) -> dict[str, Any]:
        # Who asks comes from the run, that is from your session; the model writes the arguments and nothing else.
        return (await so.call(tool.name, arguments, context=run.deps)).body

    made: AgentTool[TrustedContext]
    made = AgentTool.from_schema(invoke, tool.name, tool.description, tool.input_schema, takes_ctx=True)
    return made


async def clerk(so: Signoff, model: Model | str) -> Agent[TrustedContext, str]:
    """The agent. It has no tool that approves or applies, because the contract's tools are all there is."""
    return Agent(
        model,
        deps_type=TrustedContext,
        instructions="Inspect an invoice before you propose a change. Nothing changes before a person approves: say so.",
        tools=[agent_tool(so, tool) for tool in await so.tools(alias="openai")],
    )


async def main() -> None:
    """Runs it once, with a stub where a model would be."""
    who = TrustedContext(tenant="acme", principal="billing_clerk")
    async with Signoff.open(CONTRACT, create=True) as so:
        done = await (await clerk(so, scripted())).run("Please waive the fee of INV-3001.", deps=who)
        print(done.output)


if __name__ == "__main__":
    asyncio.run(main())
