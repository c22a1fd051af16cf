"""An agent of the OpenAI Agents SDK that reads and proposes: its tools are the contract's."""

import asyncio
import json
from pathlib import Path

from agents import Agent, FunctionTool, Model, Runner, set_tracing_disabled
from agents.tool_context import ToolContext
from openai_stub import ScriptedModel
from signoff import Signoff, Tool, TrustedContext

CONTRACT = Path(__file__).parents[1] / "billing" / "sqlite" / "signoff.json"


def function_tool(so: Signoff, tool: Tool) -> FunctionTool:
    """One tool of the contract as one of the SDK's."""

    async def invoke(run: ToolContext[TrustedContext], arguments: str) -> str:
        # Who asks comes from the run, that is from your session; the model writes the arguments and nothing else.
        return json.dumps((await so.call(tool.name, arguments, context=run.context)).body)

    # Its own checks are Signoff's: the schema goes to the model as it is.
    return FunctionTool(tool.name, tool.description, tool.input_schema, invoke, strict_json_schema=False)


async def clerk(so: Signoff, model: Model | str) -> Agent[TrustedContext]:
    """The agent. It has no tool that approves or applies, because the contract's tools are all there is."""
    return Agent(
        name="Billing clerk",
        instructions="Inspect an invoice before you propose a change. Nothing changes before a person approves: say so.",
        tools=[function_tool(so, tool) for tool in await so.tools(alias="openai")],
        model=model,
    )


async def main() -> None:
    """Runs it once, with a stub where a model would be."""
    set_tracing_disabled(True)
    who = TrustedContext(tenant="acme", principal="billing_clerk")
    async with Signoff.open(CONTRACT, create=True) as so:
        done = await Runner.run(await clerk(so, ScriptedModel()), "Please waive the fee of INV-3001.", context=who)
        print(done.final_output)


if __name__ == "__main__":
    asyncio.run(main())
