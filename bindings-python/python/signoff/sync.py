"""The runtime for programs without an event loop: the same names as `signoff.Signoff`, and calls that block.

They may be made from any number of threads at once; while one waits, others run. Ctrl-C is noticed when a call ends.

Example:
    >>> with signoff.sync.open("signoff.json", ledger="ledger.db") as so:
    ...     answer = so.read("billing.inspect", {"invoice_id": "INV-1"})
    >>> answer.data["late_fee_cents"]
    5500
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from . import _asks, _tools
from . import _records as records
from ._asks import Arguments, Ask
from ._audit import audit
from ._connection import Connection
from ._contract import Contract
from ._who import Approver, Testing, TrustedContext
from ._words import Alias, Kind

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ._filters import Filters

__all__ = ["Signoff", "ToolScope", "open"]

T = TypeVar("T")
Function = TypeVar("Function", bound=Callable[..., Any])


class Signoff:
    """A contract and a ledger, open. Open one per process and share it between all threads.

    It works in a child that was forked, too: there it opens the ledger anew when it is first used. Every method may raise `LEDGER_BUSY`, `LEDGER_UNAVAILABLE` and `LEDGER_TAMPERED` beside what it names,
    and `USAGE` if this is not open. In an asyncio
    application, use `signoff.Signoff`.

    Example:
        >>> with signoff.sync.open("signoff.json", ledger="ledger.db") as so:
        ...     answer = so.read("billing.inspect", {"invoice_id": "INV-1"})
        >>> answer.data["late_fee_cents"]
        5500
    """

    __module__ = "signoff.sync"

    def __init__(self, connection: Connection) -> None:
        """Made by `open`; not for you to call."""
        self._connection = connection
        self._functions: dict[str, Callable[..., Any]] = {}

    @classmethod
    def open(
        cls,
        config: str | os.PathLike[str] | Contract | None = None,
        ledger: str | os.PathLike[str] | None = None,
        *,
        create: bool = False,
        env: Mapping[str, str] | None = None,
        testing: Testing | None = None,
    ) -> Signoff:
        """Opens a session: use it in `with`, or close it. Blocks for the time of a few reads of a file.

        Args:
            config: the path of a contract, or a `Contract`. Without one, what is in the ledger can be shown, decided and replayed.
            ledger: the path of the ledger's file; left out, `SIGNOFF_LOCAL_STORE`, else the contract's, else `.signoff/ledger.db`.
            create: makes the ledger, and its key, if there is none.
            env: variables that are looked up here before they are in the process's environment.
            testing: time and ids for a test.

        Raises:
            SignoffError: `CONFIG_NOT_FOUND`, `FILE_UNREADABLE`, `CONFIG_INVALID`;
                `LEDGER_ENGINE_NOT_AVAILABLE` for the address of a server; `LEDGER_NOT_FOUND`, `LEDGER_KEY_MISSING`,
                `LEDGER_KEY_MISMATCH`, `LEDGER_KEY_INVALID`, `LEDGER_FORMAT_UNKNOWN`, `LEDGER_FOREIGN`.

        Example:
            >>> so = signoff.sync.open("signoff.json", ledger="ledger.db")
            >>> so.close()
        """
        connection = Connection(_asks.opening(config, ledger, create, env, testing))
        connection.open()
        return cls(connection)

    @staticmethod
    def audit(manifest: str | Mapping[str, Any] | Sequence[Any], *, target: str = "manifest") -> dict[str, Any]:
        """Reviews the tools that an MCP server offers, and asks nobody: the same as `signoff.audit`.

        Raises:
            SignoffError: `USAGE` for a text that is no JSON, or a manifest that JSON cannot hold.

        Example:
            >>> signoff.sync.Signoff.audit({"tools": []})["findings"][0]["code"]
            'NO_TOOLS_FOUND'
        """
        return audit(manifest, target=target)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Takes no more calls, waits for those under way, and lets go of the ledger. Again is nothing.

        Example:
            >>> so = signoff.sync.open("signoff.json", ledger="ledger.db")
            >>> so.close()
            >>> so.warnings()
            Traceback (most recent call last):
                ...
            signoff.SignoffError: USAGE: this was closed
        """
        self._connection.close()

    def _ask(self, ask: Ask[T]) -> T:
        return ask.value(self._connection.call(ask.text) or "")

    # The agent's side.

    def read(
        self, capability: str, arguments: Arguments, *, context: TrustedContext | None = None
    ) -> records.ReadAnswer:
        """Reads one row through a capability, and records the evidence.

        Args:
            capability: its name.
            arguments: its arguments: str, int, Decimal, bool, None, finite floats; or the text of a JSON object, taken exactly.
            context: on whose behalf; the contract's provider says it if this is left out.

        Raises:
            SignoffError: `TRUSTED_BINDING_MISSING` if nobody says on whose behalf; `MCP_TOOL_NOT_FOUND`,
                `CAPABILITY_KIND_MISMATCH`; `ARGUMENT_…`; `ROW_NOT_FOUND`, also for another tenant's row; `SOURCE_…`.
            TypeError: for an argument that has no exact JSON.

        Example:
            >>> context = signoff.TrustedContext(tenant="acme", principal="support_agent")
            >>> answer = so.read("billing.inspect", {"invoice_id": "INV-1"}, context=context)
            >>> answer.data["status"], answer.provenance
            ('overdue', 'trusted_session')
        """
        return self._ask(_asks.read(capability, arguments, context))

    def propose(
        self, capability: str, arguments: Arguments, *, context: TrustedContext | None = None
    ) -> records.Proposal:
        """Proposes a change through a capability. The source stays as it is.

        The same proposal made again by the same principal is answered with the one there is (`existing`).

        Args:
            capability: its name.
            arguments: as for `read`.
            context: as for `read`.

        Raises:
            SignoffError: those of `read`; `PROPOSAL_ACTIVE` if somebody else's is open for the object; `PATCH_…`,
                `NO_CHANGE`, `VALUE_NOT_REPRESENTABLE`, `SECRET_MATERIAL_REJECTED`, `PROPOSALS_DISABLED`.
            TypeError: for an argument that has no exact JSON.

        Example:
            >>> proposal = so.propose("billing.propose_waiver", {"invoice_id": "INV-1", "reason": "goodwill"})
            >>> [(line.column, line.before, line.proposed) for line in proposal.diff]
            [('late_fee_cents', 5500, 0), ('waiver_reason', None, 'goodwill')]
        """
        return self._ask(_asks.propose(capability, arguments, context))

    # The person's side.

    def proposal(self, id: str) -> records.ProposalRecord:
        """One proposal with its decisions, events and receipts.

        Args:
            id: its id, its replay's or its job's, or the beginning of one.

        Raises:
            SignoffError: `PROPOSAL_NOT_FOUND`, `ID_AMBIGUOUS`, `PROPOSAL_PRUNED`.

        Example:
            >>> made = so.propose("billing.propose_waiver", {"invoice_id": "INV-1", "reason": "goodwill"})
            >>> record = so.proposal(made.id)
            >>> record.state.value, [event.kind for event in record.events]
            ('pending_review', ['proposal_created'])
        """
        return self._ask(_asks.proposal(id))

    def approve(
        self, id: str, *, hash: str, version: int, approver: Approver, reason: str | None = None
    ) -> records.ProposalRecord:
        """Approves what the reviewer saw, and nothing else.

        Args:
            id: the proposal's id, whole.
            hash: its hash as it was shown, whole.
            version: its version as it was shown.
            approver: who decides, from your own authentication.
            reason: why; it is recorded.

        Raises:
            SignoffError: `PROPOSAL_NOT_FOUND`; `PROPOSAL_HASH_MISMATCH`, `PROPOSAL_VERSION_MISMATCH`; `SELF_APPROVAL`,
                `ROLE_REQUIRED`, `ACTOR_INVALID`; `PROPOSAL_NOT_PENDING_REVIEW`, `PROPOSAL_EXPIRED`, `CONTRACT_CHANGED`.

        Example:
            >>> made = so.propose("billing.propose_waiver", {"invoice_id": "INV-1", "reason": "goodwill"})
            >>> alice = signoff.Approver("alice", roles=["billing_lead"])
            >>> record = so.approve(made.id, hash=made.hash, version=made.version, approver=alice)
            >>> record.state
            <State.APPROVED: 'approved'>
        """
        return self._ask(_asks.decide("approve", id, hash, version, approver, reason))

    def reject(self, id: str, *, hash: str, version: int, approver: Approver, reason: str) -> records.ProposalRecord:
        """Rejects what the reviewer saw, pending or approved.

        Args:
            id: the proposal's id, whole.
            hash: its hash as it was shown, whole.
            version: its version as it was shown.
            approver: who decides.
            reason: why; it is recorded.

        Raises:
            SignoffError: as for `approve`, but `PROPOSAL_NOT_REJECTABLE`; `ATTEMPT_IN_FLIGHT` while the end of an attempt is
                not known; `USAGE` without a reason.

        Example:
            >>> made = so.propose("billing.propose_waiver", {"invoice_id": "INV-1", "reason": "goodwill"})
            >>> alice = signoff.Approver("alice", roles=["billing_lead"])
            >>> record = so.reject(made.id, hash=made.hash, version=made.version, approver=alice, reason="paid late again")
            >>> record.state.value, record.decisions[0].reason
            ('rejected', 'paid late again')
        """
        return self._ask(_asks.decide("reject", id, hash, version, approver, reason))

    def cancel(
        self, id: str, *, actor: Approver, reason: str | None = None, take_over: bool = False
    ) -> records.ProposalRecord:
        """Withdraws a proposal. One whose attempt ended without an answer is forbidden at the source, unless it has landed.

        Args:
            id: the proposal's id, or the beginning of it.
            actor: who withdraws it.
            reason: why; it is recorded.
            take_over: also if the worker of an attempt may still hold its lease.

        Raises:
            SignoffError: `PROPOSAL_NOT_FOUND`, `PROPOSAL_NOT_CANCELABLE`, `ATTEMPT_IN_FLIGHT`, `ROLE_REQUIRED`,
                `ACTOR_INVALID`, `OUTCOME_UNKNOWN`.

        Example:
            >>> made = so.propose("billing.propose_waiver", {"invoice_id": "INV-1", "reason": "goodwill"})
            >>> (so.cancel(made.id, actor=signoff.Approver("alice", roles=["billing_lead"]))).state.value
            'canceled'
        """
        return self._ask(_asks.cancel(id, actor, reason, take_over))

    # The worker's side.

    def apply(
        self, id: str, *, dry_run: bool = False, runner: str | None = None, lease_seconds: int | None = None
    ) -> records.ApplyResult:
        """Applies an approved proposal, exactly once however often it is called.

        A conflict, a failure that is final, and a change that had landed before are answers: see `status`.

        Args:
            id: the proposal's id, or the beginning of it.
            dry_run: every check on the live row, rolled back.
            runner: who applies; it is recorded.
            lease_seconds: how long nobody else may take the attempt over: 15 to 3600, 60 if left out.

        Raises:
            SignoffError: `PROPOSAL_NOT_FOUND`, `PROPOSAL_NOT_APPROVED`, `APPROVAL_EXPIRED`, `CONTRACT_CHANGED`;
                `ATTEMPT_IN_FLIGHT`, `ROW_BUSY`, `SOURCE_…`, `EXECUTOR_…`: nothing was written, and where `retryable` it may be
                tried again; `RECEIPT_TABLE_…`; `OUTCOME_UNKNOWN` if the answer was lost: `resume` finds out.

        Example:
            >>> made = so.propose("billing.propose_waiver", {"invoice_id": "INV-1", "reason": "goodwill"})
            >>> alice = signoff.Approver("alice", roles=["billing_lead"])
            >>> record = so.approve(made.id, hash=made.hash, version=made.version, approver=alice)
            >>> [so.apply(made.id).status.value for _ in range(2)]
            ['applied', 'already_applied']
        """
        return self._ask(_asks.apply(id, dry_run=dry_run, resume=False, runner=runner, lease_seconds=lease_seconds))

    def resume(self, id: str, *, runner: str | None = None, lease_seconds: int | None = None) -> records.ApplyResult:
        """The same, and also takes over an attempt whose worker may still hold its lease.

        Args:
            id: the proposal's id, or the beginning of it.
            runner: who applies; it is recorded.
            lease_seconds: as for `apply`.

        Raises:
            SignoffError: as for `apply`.

        Example:
            >>> made = so.propose("billing.propose_waiver", {"invoice_id": "INV-1", "reason": "goodwill"})
            >>> alice = signoff.Approver("alice", roles=["billing_lead"])
            >>> record = so.approve(made.id, hash=made.hash, version=made.version, approver=alice)
            >>> (so.resume(made.id)).status
            <ApplyStatus.APPLIED: 'applied'>
        """
        return self._ask(_asks.apply(id, dry_run=False, resume=True, runner=runner, lease_seconds=lease_seconds))

    # What happened.

    def replay(self, id: str) -> records.Replay:
        """The whole story of a proposal, from the ledger alone.

        Args:
            id: its id, its replay's, or the beginning of one.

        Raises:
            SignoffError: `PROPOSAL_NOT_FOUND`, `ID_AMBIGUOUS`, `LEDGER_TAMPERED`.

        Example:
            >>> made = so.propose("billing.propose_waiver", {"invoice_id": "INV-1", "reason": "goodwill"})
            >>> story = so.replay(made.id)
            >>> [event.kind for event in story.events], len(story.evidence)
            (['proposal_created'], 1)
        """
        return self._ask(_asks.replay(id))

    def evidence_bundle(self, id: str) -> records.Evidence:
        """One evidence bundle.

        Args:
            id: its id, or the beginning of it.

        Raises:
            SignoffError: `EVIDENCE_NOT_FOUND`, `ID_AMBIGUOUS`.

        Example:
            >>> answer = so.read("billing.inspect", {"invoice_id": "INV-1"})
            >>> (so.evidence_bundle(answer.evidence_id)).id == answer.evidence_id
            True
        """
        return self._ask(_asks.evidence(id))

    def proposals(self, **filters: Unpack[Filters]) -> Generator[records.ProposalSummary, None, None]:
        """Proposals, newest first, over all pages. What is written meanwhile is neither repeated nor missed.

        Args:
            filters: tenant, principal, capability, object_type, object_id, state, source, table, fingerprint, proposal,
                evidence, receipt, actor, since, until: see `Filters`.

        Raises:
            SignoffError: `FILTER_UNKNOWN`, `ID_AMBIGUOUS`, `USAGE` for a naive time or a word that is none.
            TypeError: for a name that is no filter.

        Example:
            >>> made = so.propose("billing.propose_waiver", {"invoice_id": "INV-1", "reason": "goodwill"})
            >>> [one.object_id for one in so.proposals(state="pending_review", tenant="acme")]
            ['INV-1']
        """
        return self._pages("proposals", filters, records.ProposalSummary._of)

    def evidence(self, **filters: Unpack[Filters]) -> Generator[records.EvidenceSummary, None, None]:
        """Evidence bundles, newest first, over all pages.

        Args:
            filters: tenant, principal, capability, object_type, object_id, source, table, fingerprint, proposal, evidence,
                actor, since, until.

        Raises:
            SignoffError: as for `proposals`.

        Example:
            >>> answer = so.read("billing.inspect", {"invoice_id": "INV-1"})
            >>> [one.id for one in so.evidence(object_id="INV-1")] == [answer.evidence_id]
            True
        """
        return self._pages("evidence", filters, records.EvidenceSummary._of)

    def query_audit(self, **filters: Unpack[Filters]) -> Generator[records.QueryAudit, None, None]:
        """Audits of queries, answered and denied, newest first, over all pages.

        Args:
            filters: those of `evidence`.

        Raises:
            SignoffError: as for `proposals`.

        Example:
            >>> answer = so.read("billing.inspect", {"invoice_id": "INV-1"})
            >>> [audit.actor for audit in so.query_audit()]
            ['support_agent']
        """
        return self._pages("query_audit", filters, records.QueryAudit._of)

    def receipts(self, **filters: Unpack[Filters]) -> Generator[records.Receipt, None, None]:
        """Execution receipts, newest first, over all pages.

        Args:
            filters: tenant, principal, capability, object_type, object_id, source, table, proposal, job, idempotency_key,
                status, receipt, actor, since, until.

        Raises:
            SignoffError: as for `proposals`.

        Example:
            >>> [receipt for receipt in so.receipts(status=signoff.ReceiptStatus.CONFLICT)]
            []
        """
        return self._pages("receipts", filters, records.Receipt._of)

    def replays(self, **filters: Unpack[Filters]) -> Generator[records.ReplaySummary, None, None]:
        """Stories that `replay` can tell, newest first, over all pages: one for each proposal.

        Args:
            filters: those of `proposals`.

        Raises:
            SignoffError: as for `proposals`.

        Example:
            >>> made = so.propose("billing.propose_waiver", {"invoice_id": "INV-1", "reason": "goodwill"})
            >>> [story.proposal.id for story in so.replays()] == [made.id]
            True
        """
        return self._pages("replays", filters, records.ReplaySummary._of)

    def activity(self, **filters: Unpack[Filters]) -> Generator[records.Activity, None, None]:
        """Everything that happened: reads, refusals, steps of proposals, receipts; newest first, over all pages.

        Args:
            filters: all but state.

        Raises:
            SignoffError: as for `proposals`.

        Example:
            >>> answer = so.read("billing.inspect", {"invoice_id": "INV-1"})
            >>> [(one.capability, one.object_id) for one in so.activity(object_id="INV-1")]
            [('billing.inspect', 'INV-1')]
        """
        return self._pages("activity", filters, records.Activity._of)

    def _pages(self, name: str, filters: Mapping[str, Any], item: Callable[[Any], T]) -> Generator[T, None, None]:
        cursor: str | None = None
        while True:
            page = self._ask(_asks.page(name, filters, cursor))
            for one in page.items:
                yield item(one)
            if page.cursor is None:
                return
            cursor = page.cursor

    def events(
        self, *, after: int = 0, follow: bool = False, **filters: Unpack[Filters]
    ) -> Generator[records.Event, None, None]:
        """Events of the chain, oldest first. With `follow` it goes on as others write, until this is closed.

        Args:
            after: the number of the last event that you have; 0 is from the beginning.
            follow: wait for more.
            filters: all but state.

        Raises:
            SignoffError: as for `proposals`.

        Example:
            >>> made = so.propose("billing.propose_waiver", {"invoice_id": "INV-1", "reason": "goodwill"})
            >>> for event in so.events(follow=True):
            ...     print(event.seq, event.kind, event.subject == made.id)
            ...     break
            1 proposal_created True
        """
        while True:
            ask = _asks.next_events(after, filters, follow)
            answer = self._connection.call(ask.text, waits=follow)
            if answer is None:
                if self._connection.closed:
                    return
                continue
            found = ask.value(answer)
            yield from found.events
            if not follow and found.after == after:
                return
            after = found.after

    def verify_ledger(self, expect: str | None = None) -> records.Verification:
        """Recomputes everything in the ledger: each digest, each signature, the chain.

        Args:
            expect: a checkpoint, `SIZE:HEAD`, that the ledger must contain: it finds what was cut off at the end.

        Raises:
            SignoffError: `LEDGER_TAMPERED`, `LEDGER_CHECKPOINT_MISMATCH`, `USAGE` for what is no checkpoint.

        Example:
            >>> made = so.propose("billing.propose_waiver", {"invoice_id": "INV-1", "reason": "goodwill"})
            >>> found = so.verify_ledger()
            >>> found.events, found.proposals, found.checkpoint.startswith("1:")
            (1, 1, True)
        """
        return self._ask(_asks.verify_ledger(expect))

    def warnings(self) -> list[str]:
        """What a person should know before this is used, such as an address without TLS.

        Example:
            >>> so.warnings()
            []
        """
        return self._ask(_asks.warnings())

    # Tools.

    def tools(
        self,
        alias: Alias | Literal["canonical", "openai", "both"] = "canonical",
        *,
        context: TrustedContext | None = None,
        format: int | None = None,
    ) -> list[_tools.Tool]:
        """The tools that an agent is shown: the contract's, and the application's own. None decides or applies.

        Args:
            alias: under which names: `billing.inspect`, `billing__inspect`, or both.
            context: who asks; what their roles do not open is not listed.
            format: of the envelope that output schemas describe, 1 or 2; the contract's if left out.

        Raises:
            SignoffError: `CONFIG_NOT_FOUND` without a contract, `USAGE` for an unknown alias or format.

        Example:
            >>> [tool.name for tool in so.tools(alias="openai")]
            ['billing__inspect', 'billing__propose_waiver']
        """
        return self._ask(_asks.tools(alias, context, format))

    def call(
        self, tool: str, arguments: Arguments, *, context: TrustedContext | None = None, format: int | None = None
    ) -> _tools.Envelope:
        """Calls a tool as an agent does. What goes wrong is in the envelope, in words for a model.

        Args:
            tool: the name that it was offered by.
            arguments: what the model wrote: its text, taken exactly, or an object.
            context: on whose behalf, from your own authentication.
            format: of the envelope, 1 or 2; the contract's `result_format` if left out.

        Raises:
            SignoffError: `USAGE` for another format, `CONFIG_NOT_FOUND` without a contract.
            TypeError: for an argument that has no exact JSON.

        Example:
            >>> answer = so.call("billing__propose_waiver", '{"invoice_id": "INV-1", "reason": "goodwill"}')
            >>> answer["ok"], answer["proposal"]["state"], answer["source_database_changed"]
            (True, 'pending_review', False)
        """
        call = _asks.ToolCall(tool, arguments, context, format)
        begun = self._ask(call.begin())
        if isinstance(begun, _tools.Envelope):
            return begun
        return self._ask(call.finish(self._run(begun, context)))

    def _run(self, run: _tools.Run, context: TrustedContext | None) -> Any:
        function = self._functions[run.tool]
        arguments = _tools.arguments_of(run)
        try:
            result = function(arguments, ToolScope(self, run.tool, context))
        except Exception as error:
            return _tools.raised(run, error)
        return _tools.returned(run, result)

    @overload
    def register_tool(
        self,
        name: str,
        function: Callable[[dict[str, Any], ToolScope], Any],
        *,
        description: str,
        input_schema: Mapping[str, Any],
        output_schema: Mapping[str, Any] | None = None,
        kind: Kind | Literal["read", "proposal"],
        scope: Iterable[str],
        policy_hint: str | None = None,
    ) -> None: ...
    @overload
    def register_tool(
        self,
        name: str,
        function: None = None,
        *,
        description: str,
        input_schema: Mapping[str, Any],
        output_schema: Mapping[str, Any] | None = None,
        kind: Kind | Literal["read", "proposal"],
        scope: Iterable[str],
        policy_hint: str | None = None,
    ) -> Callable[[Function], Function]: ...
    def register_tool(
        self,
        name: str,
        function: Callable[..., Any] | None = None,
        *,
        description: str,
        input_schema: Mapping[str, Any],
        output_schema: Mapping[str, Any] | None = None,
        kind: Kind | Literal["read", "proposal"],
        scope: Iterable[str],
        policy_hint: str | None = None,
    ) -> Any:
        """Registers a tool of your own. It reads or proposes through the capabilities in its scope, and never decides or applies.

        Args:
            name: 1 to 64 of `A-Z a-z 0-9 _ - .`; not one that says what no tool may do.
            function: called with the arguments, checked against the schema, and a `ToolScope`, on the thread of the call. It
                returns what the schema says, or the `Proposal` that it
                made. A `SignoffError` that it raises is told to the model by its code; another error goes to the log
                `signoff`, and the model learns that the tool failed. Left out, this is a decorator.
            description: for the model.
            input_schema: JSON Schema (2020-12) of an object; closed, unless it says otherwise.
            output_schema: JSON Schema of what a read answers.
            kind: `read` or `proposal`.
            scope: the capabilities that it may use.
            policy_hint: how its calls are meant to be treated, such as `always_ask`: for clients; it loosens nothing.

        Raises:
            SignoffError: `TOOL_INVALID`; `CONFIG_NOT_FOUND` without a contract.

        Example:
            >>> @so.register_tool(
            ...     "billing.forgive", description="Waives the late fee.", kind="proposal", scope=["billing.propose_waiver"],
            ...     input_schema={"type": "object", "properties": {"invoice": {"type": "string"}}, "required": ["invoice"]},
            ... )
            ... def forgive(arguments, scope):
            ...     return scope.propose("billing.propose_waiver", {"invoice_id": arguments["invoice"], "reason": "goodwill"})
            >>> (so.call("billing.forgive", {"invoice": "INV-1"}))["proposal"]["state"]
            'pending_review'
        """
        request = _asks.register_tool(name, description, input_schema, output_schema, kind, scope, policy_hint)

        def register(function: Function) -> Function:
            if inspect.iscoroutinefunction(function):
                raise TypeError("an `def` needs an event loop: register it with `signoff.Signoff`")
            self._connection.register(request)
            self._functions[name] = function
            return function

        if function is None:
            return register
        register(function)
        return None

    def script(self, at: datetime, seed: str) -> None:
        """Sets the clock and the ids of a session that was opened with `testing`.

        Args:
            at: where the clock stands from now on; aware.
            seed: what ids follow from.

        Raises:
            SignoffError: `USAGE` in any other session: real time stays real.

        Example:
            >>> from datetime import datetime, timezone
            >>> so.script(datetime(2026, 1, 1, tzinfo=timezone.utc), "a")
            Traceback (most recent call last):
                ...
            signoff.SignoffError: USAGE: this session is not for testing
        """
        self._ask(_asks.script(at, seed))


open = Signoff.open
"""`Signoff.open`."""


class ToolScope:
    """What a tool of your own may do: read and propose, through the capabilities in its scope, on behalf of its caller.

    Example:
        >>> def fees(arguments, scope):
        ...     answer = scope.read("billing.inspect", {"invoice_id": arguments["invoice"]})
        ...     return {"fee": answer.data["late_fee_cents"]}
        >>> so.register_tool(
        ...     "billing.fees", fees, description="The late fee of an invoice.", kind="read", scope=["billing.inspect"],
        ...     input_schema={"type": "object", "properties": {"invoice": {"type": "string"}}},
        ... )
        >>> (so.call("billing.fees", {"invoice": "INV-1"}))["data"]
        {'fee': 5500}
    """

    __module__ = "signoff.sync"

    def __init__(self, session: Signoff, tool: str, context: TrustedContext | None) -> None:
        """Made for each call; not for you to make."""
        self._session, self._tool, self._context = session, tool, context

    def read(self, capability: str, arguments: Arguments) -> records.ReadAnswer:
        """`Signoff.read`, on behalf of the tool's caller.

        Raises:
            SignoffError: `TOOL_SCOPE_EXCEEDED`, and those of `Signoff.read`.
        """
        return self._session._ask(_asks.read(capability, arguments, self._context, self._tool))

    def propose(self, capability: str, arguments: Arguments) -> records.Proposal:
        """`Signoff.propose`, on behalf of the tool's caller.

        Raises:
            SignoffError: `TOOL_SCOPE_EXCEEDED`, and those of `Signoff.propose`.
        """
        return self._session._ask(_asks.propose(capability, arguments, self._context, self._tool))
