"""A stub where a model would be: it says what its script says, so that the example runs without a key."""

from typing import Any

from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

SCRIPT = [
    ("billing__inspect_invoice", {"invoice_id": "INV-3001"}),
    ("billing__propose_late_fee_waiver", {"invoice_id": "INV-3001", "reason": "first late payment"}),
]


def scripted(script: list[tuple[str, dict[str, Any]]] = SCRIPT) -> FunctionModel:
    """Calls the tools of its script in turn, then repeats the last answer it was given."""

    def say(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
        answers: list[Any] = [
            part.content for one in messages for part in one.parts if isinstance(part, ToolReturnPart)
        ]
        if len(answers) < len(script):
            return ModelResponse([ToolCallPart(*script[len(answers)])])
        return ModelResponse([TextPart(answers[-1]["summary"])])

    return FunctionModel(say)
