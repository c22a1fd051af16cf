"""A stub where a model would be: it says what its script says, so that the example runs without a key."""

import json
from collections.abc import AsyncIterator
from typing import Any

from agents import Model, ModelResponse, TResponseInputItem, Usage
from agents.items import TResponseStreamEvent
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

SCRIPT = [
    ("billing__inspect_invoice", {"invoice_id": "INV-3001"}),
    ("billing__propose_late_fee_waiver", {"invoice_id": "INV-3001", "reason": "first late payment"}),
]


def text_of(output: Any) -> str:
    """What a tool answered: text, or blocks of content if it came over MCP."""
    return output if isinstance(output, str) else str(output[0]["text"])


class ScriptedModel(Model):
    """Calls the tools of its script in turn, then repeats the last answer it was given."""

    def __init__(self, script: list[tuple[str, dict[str, Any]]] = SCRIPT) -> None:
        self.script = list(script)
        self.answers: list[Any] = []

    async def get_response(
        self, system_instructions: str | None, input: str | list[TResponseInputItem], *_: Any, **__: Any
    ) -> ModelResponse:
        """The next line of the script."""
        heard = [] if isinstance(input, str) else [one for one in input if one.get("type") == "function_call_output"]
        self.answers = [json.loads(text_of(one["output"])) for one in heard]  # type: ignore[typeddict-item]
        n = len(self.answers)
        said: ResponseFunctionToolCall | ResponseOutputMessage
        if n < len(self.script):
            name, arguments = self.script[n]
            text = json.dumps(arguments)
            said = ResponseFunctionToolCall(arguments=text, call_id=f"call_{n}", name=name, type="function_call")
        else:
            summary = ResponseOutputText(text=self.answers[-1]["summary"], annotations=[], type="output_text")
            said = ResponseOutputMessage(
                id="m", content=[summary], role="assistant", status="completed", type="message"
            )
        return ModelResponse(output=[said], usage=Usage(), response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[TResponseStreamEvent]:
        """This stub does not stream, and the example never asks it to: the interface wants the method."""
        raise NotImplementedError
