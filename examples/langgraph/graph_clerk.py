"""A LangGraph agent that proposes, waits for a decision made elsewhere, and reports what became of it."""

import json
from pathlib import Path
from typing import Annotated, Any, TypedDict

import signoff.sync
from graph_stub import ScriptedModel
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AnyMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode
from langgraph.runtime import get_runtime
from langgraph.types import Command, interrupt
from signoff import State, Tool, TrustedContext

CONTRACT = Path(__file__).parents[1] / "billing" / "sqlite" / "signoff.json"
ENDED = {State.APPLIED, State.CONFLICT, State.FAILED, State.REJECTED, State.CANCELED, State.EXPIRED}


class Talk(TypedDict):
    """What the graph knows."""

    messages: Annotated[list[AnyMessage], add_messages]


def structured_tool(so: signoff.sync.Signoff, tool: Tool) -> BaseTool:
    """One tool of the contract as one of LangChain's: the model reads the envelope, the graph finds it as the artifact."""

    def invoke(**arguments: Any) -> tuple[str, dict[str, Any]]:
        # Who asks comes from the run, that is from your session; the model writes the arguments and nothing else.
        envelope = so.call(tool.name, arguments, context=get_runtime(TrustedContext).context).body
        return json.dumps(envelope), envelope

    return StructuredTool.from_function(
        invoke,
        name=tool.name,
        description=tool.description,
        args_schema=tool.input_schema,
        response_format="content_and_artifact",
    )


def clerk(so: signoff.sync.Signoff, model: BaseChatModel) -> CompiledStateGraph[Any, TrustedContext, Any, Any]:
    """The graph: model, tools, and a wait for people. No node of it approves or applies."""
    tools = [structured_tool(so, tool) for tool in so.tools(alias="openai")]
    bound = model.bind_tools(tools)

    def ask(state: Talk) -> dict[str, Any]:
        return {"messages": [bound.invoke(state["messages"])]}

    def wait(state: Talk) -> dict[str, Any]:
        outcomes: list[AnyMessage] = []
        for id in proposals(state):
            # What the graph is resumed with decides nothing: the ledger is asked, again and again until there is an end.
            while (found := so.proposal(id)).state not in ENDED:
                interrupt({"proposal": id, "state": str(found.state)})
            outcomes.append(SystemMessage(f"Proposal {id}: {found.state}."))
        return {"messages": outcomes}

    graph = StateGraph(Talk, context_schema=TrustedContext)
    graph.add_node("ask", ask)
    graph.add_node("tools", ToolNode(tools))
    graph.add_node("wait", wait)
    graph.add_edge(START, "ask")
    graph.add_conditional_edges("ask", lambda talk: "tools" if talk["messages"][-1].tool_calls else END, ["tools", END])
    graph.add_conditional_edges("tools", lambda talk: "wait" if proposals(talk) else "ask", ["wait", "ask"])
    graph.add_edge("wait", "ask")
    return graph.compile(checkpointer=InMemorySaver())


def proposals(talk: Talk) -> list[str]:
    """The proposals that the last round of tool calls made."""
    last = max(n for n, message in enumerate(talk["messages"]) if message.type == "ai")
    envelopes = [message.artifact for message in talk["messages"][last:] if message.type == "tool"]
    return [envelope["proposal"]["id"] for envelope in envelopes if envelope and envelope["proposal"]]


def main() -> None:
    """Runs it with a stub where a model would be."""
    who = TrustedContext(tenant="acme", principal="billing_clerk")
    thread: RunnableConfig = {"configurable": {"thread_id": "1"}}
    with signoff.sync.open(CONTRACT, create=True) as so:
        graph = clerk(so, ScriptedModel())
        talk = graph.invoke({"messages": [HumanMessage("Please waive the fee of INV-3001.")]}, thread, context=who)
        while waiting := talk.get("__interrupt__"):
            print("Waiting:", waiting[0].value, "(press Enter to look again)", flush=True)
            input()
            talk = graph.invoke(Command(resume=True), thread, context=who)
        print(talk["messages"][-1].content)


if __name__ == "__main__":
    main()
