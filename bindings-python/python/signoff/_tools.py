"""Tools for agents: how they are described, what a call answers, and what an application's own function is to say."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ._errors import SignoffError
from ._exact import decode, encode
from ._records import Proposal
from ._words import Kind

LOG = logging.getLogger("signoff")


@dataclass(frozen=True)
class Tool:
    """A tool as an agent is shown it. What it may do is in the contract, not in the agent's reach.

    Example:
        >>> with signoff.sync.open("signoff.json", ledger="ledger.db") as so:
        ...     tool = so.tools(alias="openai")[1]
        >>> tool.name, tool.kind.value, sorted(tool.input_schema["properties"])
        ('billing__propose_waiver', 'proposal', ['invoice_id', 'reason'])
    """

    __module__ = "signoff"

    name: str
    """The name that it is called by."""
    canonical_name: str
    """The capability's name, or the application's own."""
    kind: Kind
    """Read or proposal."""
    title: str
    """For people."""
    description: str
    """For the model."""
    input_schema: dict[str, Any]
    """JSON Schema (2020-12) of its arguments: closed."""
    output_schema: dict[str, Any]
    """JSON Schema (2020-12) of the envelope that `call` answers with, if it succeeds."""
    annotations: dict[str, Any]
    """MCP's hints, such as `readOnlyHint`."""
    meta: dict[str, Any]
    """For clients and audits, not for the model."""

    def descriptor(self) -> dict[str, Any]:
        """It, as `tools/list` of MCP shows it.

        Example:
            >>> with signoff.sync.open("signoff.json", ledger="ledger.db") as so:
            ...     sorted(so.tools()[0].descriptor())
            ['_meta', 'annotations', 'description', 'inputSchema', 'name', 'outputSchema', 'title']
        """
        shown: dict[str, Any] = {"name": self.name, "title": self.title, "description": self.description}
        shown["inputSchema"] = self.input_schema
        shown["outputSchema"] = self.output_schema
        return shown | {"annotations": self.annotations, "_meta": self.meta}

    @classmethod
    def _of(cls, it: Any) -> Tool:
        return cls(
            name=it["name"],
            canonical_name=it["canonicalName"],
            kind=Kind(it["kind"]),
            title=it["title"],
            description=it["description"],
            input_schema=it["inputSchema"],
            output_schema=it["outputSchema"],
            annotations=it["annotations"],
            meta=it["_meta"],
        )


@dataclass(frozen=True)
class Envelope(Mapping[str, Any]):
    """What a tool call answers: give it to the model. It is a mapping; `body` is the same as a dictionary for `json.dumps`.

    Example:
        >>> with signoff.sync.open("signoff.json", ledger="ledger.db") as so:
        ...     answer = so.call("billing.inspect", {"invoice_id": "INV-1"})
        >>> answer["ok"], answer["data"]["late_fee_cents"], answer.is_error
        (True, 5500, False)
    """

    __module__ = "signoff"

    body: dict[str, Any]
    """The envelope."""
    is_error: bool
    """MCP's `isError`: true only for errors in format 1."""

    def __getitem__(self, name: str) -> Any:
        return self.body[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.body)

    def __len__(self) -> int:
        return len(self.body)


class Run(NamedTuple):
    """What core has checked, and wants the application's function to do."""

    tool: str
    kind: Kind
    arguments: str


def arguments_of(run: Run) -> dict[str, Any]:
    """The arguments for the function, exact."""
    arguments: dict[str, Any] = decode(run.arguments)
    return arguments


def returned(run: Run, result: object) -> Any:
    """What the function came to, for core to judge."""
    if isinstance(result, Proposal):
        return {"proposal": result.id}
    try:
        return {"output": encode(result)}
    except TypeError as error:
        return raised(run, error)


def raised(run: Run, error: Exception) -> Any:
    """An error of ours is told by its code; another one stays the application's own, in its log."""
    if isinstance(error, SignoffError):
        return {"refused": {"code": error.code, "context": dict(error.context)}}
    LOG.error("tool %s failed", run.tool, exc_info=error)
    return "failed"
