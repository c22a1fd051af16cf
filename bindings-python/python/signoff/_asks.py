"""Every call of the facade once: its request as JSON, and what its answer is read as. Both halves, async and sync, use it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from . import _records as records
from ._connection import value_of
from ._contract import Contract
from ._exact import arguments_text, encode
from ._filters import filter_json, time_text
from ._tools import Envelope, Run, Tool
from ._who import Approver, Testing, TrustedContext
from ._words import Kind

T = TypeVar("T")

PAGE = 100
"""How many a list fetches at a time."""
WAIT_MS = 20_000
"""How long a follower waits in one call; closing ends the wait."""

Arguments = Mapping[str, Any] | str


class Ask(Generic[T]):
    """A request, and how its answer is read."""

    __slots__ = ("_exact", "_read", "text")

    def __init__(self, call: str, fields: Mapping[str, Any], read: Callable[[Any], T], *, exact: bool = True) -> None:
        """What is None is left out. `exact` is off where the JSON goes on to others, who expect what `json` makes of it."""
        self._exact = exact
        self.text = encode({"call": call} | {name: value for name, value in fields.items() if value is not None})
        self._read = read

    def value(self, answer: str) -> T:
        """The value of an answer, or its error, raised."""
        return self._read(value_of(answer, self._exact))


class Page(NamedTuple):
    """A page of a list, as JSON."""

    items: list[Any]
    cursor: str | None


class Events(NamedTuple):
    """Some events, and the number to go on from."""

    events: list[records.Event]
    after: int


def opening(
    config: str | os.PathLike[str] | Contract | None,
    ledger: str | os.PathLike[str] | None,
    create: bool,
    env: Mapping[str, str] | None,
    testing: Testing | None,
) -> dict[str, Any]:
    """What `Session.open` takes."""
    request: dict[str, Any] = {"create": create, "environment": dict(env or {})}
    if isinstance(config, Contract):
        request["config"] = {"text": config.text}
    elif config is not None:
        request["config"] = {"path": os.fspath(config)}
    if ledger is not None:
        request["ledger"] = os.fspath(ledger)
    if testing is not None:
        request["testing"] = testing._json()
    return request


def _call(capability: str, arguments: Arguments, context: TrustedContext | None, within: str | None) -> dict[str, Any]:
    return {
        "capability": capability,
        "arguments": arguments_text(arguments),
        "context": None if context is None else context._json(),
        "within": within,
    }


def read(
    capability: str, arguments: Arguments, context: TrustedContext | None, within: str | None = None
) -> Ask[records.ReadAnswer]:
    """`read`."""
    return Ask("read", _call(capability, arguments, context, within), records.ReadAnswer._of)


def propose(
    capability: str, arguments: Arguments, context: TrustedContext | None, within: str | None = None
) -> Ask[records.Proposal]:
    """`propose`."""
    return Ask("propose", _call(capability, arguments, context, within), records.Proposal._of)


def proposal(id: str) -> Ask[records.ProposalRecord]:
    """`proposal`."""
    return Ask("proposal", {"id": id}, records.ProposalRecord._of)


def decide(
    call: str, id: str, hash: str, version: int, approver: Approver, reason: str | None
) -> Ask[records.ProposalRecord]:
    """`approve` and `reject`."""
    fields = {"proposal_id": id, "hash": hash, "version": version, "approver": approver._json(), "reason": reason}
    return Ask(call, fields, records.ProposalRecord._of)


def cancel(id: str, actor: Approver, reason: str | None, take_over: bool) -> Ask[records.ProposalRecord]:
    """`cancel`."""
    fields = {"proposal_id": id, "actor": actor._json(), "reason": reason, "take_over": take_over}
    return Ask("cancel", fields, records.ProposalRecord._of)


def apply(
    id: str, *, dry_run: bool, resume: bool, runner: str | None, lease_seconds: int | None
) -> Ask[records.ApplyResult]:
    """`apply`."""
    fields = {"proposal_id": id, "dry_run": dry_run, "resume": resume, "runner": runner, "lease_seconds": lease_seconds}
    return Ask("apply", fields, records.ApplyResult._of)


def replay(id: str) -> Ask[records.Replay]:
    """`replay`."""
    return Ask("replay", {"id": id}, records.Replay._of)


def evidence(id: str) -> Ask[records.Evidence]:
    """`evidence`."""
    return Ask("evidence", {"id": id}, records.Evidence._of)


def page(name: str, filters: Mapping[str, Any], cursor: str | None) -> Ask[Page]:
    """A page of a list."""
    fields = {"list": name, "filter": filter_json(filters), "limit": PAGE, "cursor": cursor}
    return Ask("list", fields, lambda it: Page(it[name], it["next_cursor"]))


def next_events(after: int, filters: Mapping[str, Any], wait: bool) -> Ask[Events]:
    """The next events."""
    fields = {"after": after, "filter": filter_json(filters), "within_ms": WAIT_MS if wait else 0}
    return Ask("next_events", fields, lambda it: Events([records.Event._of(one) for one in it["events"]], it["after"]))


def verify_ledger(expect: str | None) -> Ask[records.Verification]:
    """`verify_ledger`."""
    return Ask("verify_ledger", {"expect": expect}, records.Verification._of)


def warnings() -> Ask[list[str]]:
    """`warnings`."""
    return Ask("warnings", {}, list)


def script(at: datetime, seed: str) -> Ask[None]:
    """`script`."""
    return Ask("script", {"at": time_text("at", at), "seed": seed}, lambda _: None)


def tools(alias: str, context: TrustedContext | None, format: int | None) -> Ask[list[Tool]]:
    """The tools."""
    wanted = {"alias": str(alias), "context": None if context is None else context._json(), "format": format}
    return Ask("tools", wanted, lambda it: [Tool._of(one) for one in it["tools"]], exact=False)


def register_tool(
    name: str,
    description: str,
    input_schema: Mapping[str, Any],
    output_schema: Mapping[str, Any] | None,
    kind: str,
    scope: Iterable[str],
    policy_hint: str | None,
) -> str:
    """Registers a tool of the application's own."""
    fields = {
        "name": name,
        "description": description,
        "kind": str(kind),
        "input_schema": dict(input_schema),
        "output_schema": None if output_schema is None else dict(output_schema),
        "scope": [scope] if isinstance(scope, str) else list(scope),
        "policy_hint": policy_hint,
    }
    return Ask("register_tool", fields, lambda _: None).text


class ToolCall:
    """One call of a tool, until its end."""

    def __init__(self, tool: str, arguments: Arguments, context: TrustedContext | None, format: int | None) -> None:
        """`context` is kept for what the tool itself asks."""
        self.context = context
        fields = {
            "tool": tool,
            "arguments": arguments_text(arguments),
            "context": None if context is None else context._json(),
            "format": format,
        }
        self._of = {name: value for name, value in fields.items() if value is not None}

    def begin(self) -> Ask[Envelope | Run]:
        """The envelope, or what to run first."""
        return Ask("call_tool", self._of, _begun, exact=False)

    def finish(self, outcome: Any) -> Ask[Envelope]:
        """The envelope, once that has run."""
        return Ask("finish_tool", {"of": self._of, "outcome": outcome}, _enveloped, exact=False)


def _begun(it: Any) -> Envelope | Run:
    run = it.get("run")
    return _enveloped(it) if run is None else Run(run["tool"], Kind(run["kind"]), run["arguments"])


def _enveloped(it: Any) -> Envelope:
    return Envelope(it["envelope"], it["is_error"])
