"""A stub where a model would be: it says what its script says, so that the example runs without a key."""

from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable

SCRIPT = [
    ("billing__inspect_invoice", {"invoice_id": "INV-3001"}),
    ("billing__propose_late_fee_waiver", {"invoice_id": "INV-3001", "reason": "first late payment"}),
]


class ScriptedModel(BaseChatModel):
    """Calls the tools of its script in turn, then repeats the last thing it was told."""

    script: list[tuple[str, dict[str, Any]]] = SCRIPT

    @property
    def _llm_type(self) -> str:
        return "stub"

    def bind_tools(self, tools: Any, **_: Any) -> Runnable[Any, AIMessage]:
        """Its script knows the tools."""
        return self

    def _generate(
        self, messages: list[BaseMessage], stop: Sequence[str] | None = None, *_: Any, **__: Any
    ) -> ChatResult:
        n = sum(message.type == "tool" for message in messages)
        if n < len(self.script):
            name, arguments = self.script[n]
            said = AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": f"call_{n}"}])
        else:
            said = AIMessage(messages[-1].content)
        return ChatResult(generations=[ChatGeneration(message=said)])
