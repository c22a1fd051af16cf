"""One change from its proposal to its replay, in both halves, on both engines; who asks; what is refused."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import signoff
from signoff import ApplyStatus, Code, SignoffError, State
from support.billing import ACME, ALICE, READ, WAIVE, Billing, waiver
from support.cluster import Cluster

BOTH = ["async", "sync"]


class Either:
    """The same calls in either half: the answer of a sync call is awaited as well as an async one's."""

    def __init__(self, half: str, billing: Billing) -> None:
        self.half, self.billing = half, billing
        self.so: Any = None

    async def __aenter__(self) -> Either:
        self.so = await self.billing.open() if self.half == "async" else self.billing.open_sync()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.call("close")

    async def call(self, name: str, *arguments: Any, **named: Any) -> Any:
        answer = getattr(self.so, name)(*arguments, **named)
        if isinstance(answer, AsyncIterator):
            return [one async for one in answer]
        if inspect.isgenerator(answer):
            return list(answer)
        return await answer if inspect.isawaitable(answer) else answer


def on_both_halves(test: Callable[[Either], Awaitable[None]], half: str, billing: Billing) -> None:
    async def main() -> None:
        async with Either(half, billing) as either:
            await test(either)

    asyncio.run(main())


@pytest.fixture(params=["sqlite", "postgres"])
def billing(request: pytest.FixtureRequest, tmp_path: Path) -> Billing:
    cluster: Cluster | None = request.getfixturevalue("cluster") if request.param == "postgres" else None
    return Billing(tmp_path, cluster=cluster, invoices=3)


@pytest.mark.parametrize("half", BOTH)
def test_a_change_from_its_proposal_to_its_replay(half: str, billing: Billing) -> None:
    async def story(either: Either) -> None:
        call = either.call
        answer = await call("read", READ, {"invoice_id": "INV-1"})
        assert (answer.data["late_fee_cents"], answer.provenance) == (5500, "environment")
        made = await call("propose", WAIVE, waiver())
        assert isinstance(made, signoff.Proposal)
        assert (made.state, made.existing, made.version) == (State.PENDING_REVIEW, False, 1)
        assert signoff.DiffLine("late_fee_cents", 5500, 0) in made.diff
        assert (await call("propose", WAIVE, waiver())).existing
        with pytest.raises(SignoffError, match="PROPOSAL_NOT_APPROVED"):
            await call("apply", made.id)
        seen: dict[str, Any] = {"hash": made.hash, "version": made.version, "approver": ALICE}
        wrong: list[tuple[dict[str, Any], Code]] = [
            ({"hash": "sha256:" + "0" * 64}, Code.PROPOSAL_HASH_MISMATCH),
            ({"version": 2}, Code.PROPOSAL_VERSION_MISMATCH),
            ({"approver": signoff.Approver("bob")}, Code.ROLE_REQUIRED),
            ({"approver": signoff.Approver("support_agent", ["billing_lead"])}, Code.SELF_APPROVAL),
        ]
        for change, code in wrong:
            with pytest.raises(SignoffError) as caught:
                await call("approve", made.id, **{**seen, **change})
            assert caught.value.code == code
        record = await call("approve", made.id, **seen, reason="fair")
        assert (record.state, record.decisions[0].approver, record.decisions[0].reason) == (
            State.APPROVED,
            "alice",
            "fair",
        )
        assert record.decisions[0].decided_at.tzinfo is timezone.utc
        assert either.billing.effects() == 0
        done = await call("apply", made.id, runner="worker-1", lease_seconds=30)
        assert isinstance(done, signoff.ApplyResult) and done.receipt is not None
        assert (done.status, done.source_database_mutated, done.receipt.runner) == (
            ApplyStatus.APPLIED,
            True,
            "worker-1",
        )
        again = await call("apply", made.id)
        assert (again.status, again.source_database_mutated) == (ApplyStatus.ALREADY_APPLIED, False)
        assert either.billing.effects() == 1
        replay = await call("replay", made.id)
        kinds = ["proposal_created", "proposal_approved", "proposal_pending_worker", "writeback_applied"]
        assert [event.kind for event in replay.events] == kinds
        assert (replay.state, replay.proposal_id, len(replay.jobs), len(replay.evidence)) == (
            State.APPLIED,
            made.id,
            1,
            1,
        )
        assert (await call("evidence_bundle", answer.evidence_id)).document["tenant_id"] == "acme"
        assert (await call("proposal", made.id[:12])).diff == made.diff
        verified = await call("verify_ledger")
        assert (verified.events, verified.proposals) == (5, 1)
        assert await call("verify_ledger", expect=verified.checkpoint) == verified
        # What a Proposal says can go to another process.
        assert pickle.loads(pickle.dumps((made, replay, done))) == (made, replay, done)

    on_both_halves(story, half, billing)


@pytest.mark.parametrize("half", BOTH)
def test_rehearsals_conflicts_rejections_and_withdrawals(half: str, billing: Billing) -> None:
    async def story(either: Either) -> None:
        call = either.call
        made = [await call("propose", WAIVE, waiver(n)) for n in (1, 2, 3)]
        seen = [{"hash": one.hash, "version": one.version, "approver": ALICE} for one in made]
        for n in (0, 1):
            await call("approve", made[n].id, **seen[n])
        await call("apply", made[0].id)
        # The application moves the row of the second.
        either.billing.rows(
            "UPDATE invoices SET status = 'paid', updated_at = '2026-07-01T00:00:00Z' WHERE id = 'INV-2'"
        )
        dry = await call("apply", made[1].id, dry_run=True)
        assert (dry.status, dry.ok, dry.receipt) == (ApplyStatus.WOULD_CONFLICT, False, None)
        assert dry.conflict.code == Code.VERSION_CONFLICT
        ended = await call("apply", made[1].id)
        assert (ended.status, ended.state, ended.receipt.error_code) == ("conflict", "conflict", "VERSION_CONFLICT")
        assert either.billing.effects("INV-2") == 0
        with pytest.raises(SignoffError) as caught:
            await call("reject", made[2].id, **seen[2], reason=" ")
        assert caught.value.code == Code.USAGE
        rejected = await call("reject", made[2].id, **seen[2], reason="no")
        assert (rejected.state, rejected.decisions[0].kind) == (State.REJECTED, signoff.DecisionKind.REJECTED)
        other = await call("propose", WAIVE, waiver(3, "again"))
        gone = await call("cancel", other.id, actor=ALICE, reason="a mistake")
        assert gone.state is State.CANCELED
        assert [(one.object_id, one.state) for one in await call("proposals")] == [
            ("INV-3", "canceled"), ("INV-3", "rejected"), ("INV-2", "conflict"), ("INV-1", "applied"),
        ]  # fmt: skip
        assert [one.id for one in await call("proposals", state=State.APPLIED)] == [made[0].id]
        assert [one.proposal.id for one in await call("replays", object_id="INV-2")] == [made[1].id]
        now = datetime.now(timezone.utc)
        assert len(await call("proposals", since=now - timedelta(hours=1), until=now + timedelta(hours=1))) == 4
        assert await call("proposals", since=now + timedelta(hours=1)) == []
        assert [one.status for one in await call("receipts")] == ["conflict", "applied"]
        assert len(await call("evidence", capability=WAIVE)) == 4
        assert len(await call("query_audit", principal="support_agent")) == 4
        assert {one.event.kind for one in await call("activity", actor="alice")} >= {
            "proposal_approved",
            "proposal_rejected",
        }
        assert [event.seq for event in await call("events", after=2)] == list(
            range(3, (await call("verify_ledger")).events + 1)
        )
        unknown: list[tuple[dict[str, Any], Code]] = [
            ({"kind": "x"}, Code.FILTER_UNKNOWN),
            ({"state": "lost"}, Code.USAGE),
            ({"since": datetime(2026, 1, 1)}, Code.USAGE),
        ]
        for filters, code in unknown:
            with pytest.raises(SignoffError) as caught:
                await call("proposals", **filters)
            assert caught.value.code == code
        with pytest.raises(TypeError, match="there is no filter 'cursor'"):
            await call("proposals", cursor="x")

    on_both_halves(story, half, billing)


@pytest.mark.parametrize("half", BOTH)
def test_every_page_is_walked(half: str, tmp_path: Path) -> None:
    async def story(either: Either) -> None:
        for n in range(230):
            await either.call("read", READ, {"invoice_id": f"INV-{n + 1}"})
        found = await either.call("evidence")
        assert len({one.id for one in found}) == 230
        assert [one.seq for one in found] == sorted((one.seq for one in found), reverse=True)

    on_both_halves(story, half, Billing(tmp_path, invoices=230))


@pytest.mark.parametrize("half", BOTH)
def test_the_application_says_who_asks(half: str, tmp_path: Path) -> None:
    async def story(either: Either) -> None:
        call = either.call
        asked = {"invoice_id": "INV-1"}
        bot = signoff.TrustedContext(tenant="acme", principal="bot", roles=["support"])
        answer = await call("read", READ, asked, context=bot)
        assert (answer.principal, answer.provenance) == ("bot", "trusted_session")
        assert (await call("evidence_bundle", answer.evidence_id)).document["roles"] == ["support"]
        with pytest.raises(SignoffError, match="ROW_NOT_FOUND"):
            await call("read", READ, asked, context=signoff.TrustedContext(tenant="globex", principal="bot"))
        with pytest.raises(SignoffError, match="TRUSTED_BINDING_MISSING"):
            await call("read", READ, asked, context=signoff.TrustedContext(tenant="", principal="bot"))
        made = await call("propose", WAIVE, waiver(), context=bot)
        with pytest.raises(SignoffError, match="SELF_APPROVAL"):
            approver = signoff.Approver("bot", ["billing_lead"])
            await call("approve", made.id, hash=made.hash, version=made.version, approver=approver)

    billing = Billing(tmp_path)
    on_both_halves(story, half, billing)

    async def nobody() -> None:
        urls = {name: value for name, value in billing.env.items() if name.startswith("BILLING")}
        async with billing.open(env=urls) as so:
            with pytest.raises(SignoffError, match="TRUSTED_BINDING_MISSING"):
                await so.read(READ, {"invoice_id": "INV-1"})
            assert (await so.read(READ, {"invoice_id": "INV-1"}, context=ACME)).tenant_id == "acme"

    asyncio.run(nobody())


def test_roles_are_several_texts() -> None:
    assert signoff.Approver("a", ["x", "y"]).roles == ("x", "y")
    for kind in (signoff.Approver, lambda id, roles: signoff.TrustedContext(tenant="a", principal=id, roles=roles)):
        with pytest.raises(TypeError):
            kind("a", "billing_lead")


@pytest.mark.parametrize("half", BOTH)
def test_what_cannot_be_opened_says_why(half: str, tmp_path: Path) -> None:
    billing = Billing(tmp_path)

    def code(**changes: Any) -> str:
        async def opening() -> None:
            if half == "async":
                await billing.open(**changes)
            else:
                billing.open_sync(**changes)

        with pytest.raises(SignoffError) as caught:
            asyncio.run(opening())
        assert "hunter2" not in f"{caught.value} {caught.value!r} {caught.value.context}"
        return caught.value.code

    assert code(config=tmp_path / "none.json") == Code.CONFIG_NOT_FOUND
    assert code(config=signoff.Contract.parse("{}")) == Code.CONFIG_INVALID
    assert code(ledger="postgres://app:hunter2@db/x") == Code.LEDGER_ENGINE_NOT_AVAILABLE
    assert code(create=False) == Code.LEDGER_NOT_FOUND
    with pytest.raises(TypeError):
        code(env={"A": 1.5j})


def test_a_contract_tells_what_is_wrong_with_it(tmp_path: Path) -> None:
    billing = Billing(tmp_path)
    good = signoff.Contract.load(billing.path)
    assert (good.valid, good.mode, good.capabilities[READ], good.path) == (True, "review", "read", str(billing.path))
    assert signoff.Contract.validate(good) == good.diagnostics
    bad = signoff.Contract.parse(good.text.replace('"review"', '"yolo"'))
    [finding] = [one for one in bad.diagnostics if one.severity is signoff.Severity.ERROR]
    assert (bad.valid, finding.pointer, finding.line) == (False, "/mode", 1)
    assert finding.code.isupper() and finding.column > 1 and finding.message and "/mode" in str(finding)
    for path, code in [(tmp_path / "none", "CONFIG_NOT_FOUND"), (tmp_path, "FILE_UNREADABLE")]:
        with pytest.raises(SignoffError) as caught:
            signoff.Contract.load(path)
        assert (caught.value.code, caught.value.context["path"]) == (code, str(path))


def test_an_error_has_its_fields_and_can_be_sent(tmp_path: Path) -> None:
    with Billing(tmp_path).open_sync() as so, pytest.raises(SignoffError) as caught:
        so.proposal("wrp_nothing")
    error = caught.value
    assert (error.code, error.retryable, error.context["proposal"]) == ("PROPOSAL_NOT_FOUND", False, "wrp_nothing")
    assert "wrp_nothing" in error.message and str(error).startswith("PROPOSAL_NOT_FOUND: ")
    assert error.response.status == 404 and error.response.json()["safe_error_code"] == error.code
    other = pickle.loads(pickle.dumps(error))
    assert (str(other), other.context, other.response) == (str(error), error.context, error.response)


def test_an_outcome_that_nobody_knows_is_an_error_that_may_be_asked_again(tmp_path: Path) -> None:
    # The handler's port answers nobody, after the request was taken.
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:

        def change(contract: dict[str, Any]) -> None:
            contract["executors"]["billing_app_handler"]["timeout_ms"] = 200

        billing = Billing(tmp_path, change=change)
        env = {
            **billing.env,
            "BILLING_APP_HANDLER_URL": f"http://127.0.0.1:{server.getsockname()[1]}/",
            "BILLING_APP_HANDLER_TOKEN": "token-of-the-handler-1",
        }
        with billing.open_sync(env=env) as so:
            made = so.propose(
                "billing.propose_account_credit", {"invoice_id": "INV-1", "amount_cents": 500, "reason": "sorry"}
            )
            so.approve(made.id, hash=made.hash, version=made.version, approver=ALICE)
            with pytest.raises(SignoffError) as caught:
                so.apply(made.id)
            error = caught.value
            assert (error.code, error.retryable, error.context["proposal"]) == ("OUTCOME_UNKNOWN", True, made.id)
            assert so.proposal(made.id).state is State.OUTCOME_UNKNOWN


def test_a_postgres_row_arrives_exact(cluster: Cluster, tmp_path: Path) -> None:
    def change(contract: dict[str, Any]) -> None:
        contract["capabilities"][0]["visible_columns"] += ["big", "price", "at", "there", "far"]

    billing = Billing(tmp_path, cluster=cluster, change=change)
    billing.rows(
        "ALTER TABLE invoices ADD big bigint DEFAULT 9007199254740993, ADD price numeric(30, 4) DEFAULT 12.3000,"
        " ADD at timestamptz DEFAULT '2026-06-20 14:31:08.000001+00', ADD there timestamp DEFAULT '2026-06-20 14:31:08.5',"
        " ADD far timestamptz DEFAULT 'infinity'"
    )
    with billing.open_sync() as so:
        data = so.read(READ, {"invoice_id": "INV-1"}).data
    assert (data["big"], type(data["big"])) == (9007199254740993, int)
    assert str(data["price"]) == "12.3000" and isinstance(data["price"], Decimal)
    assert data["at"] == datetime(2026, 6, 20, 14, 31, 8, 1, tzinfo=timezone.utc)
    assert data["there"] == datetime(2026, 6, 20, 14, 31, 8, 500000) and data["far"] == "infinity"


def test_both_halves_have_the_same_calls() -> None:
    def surface(kind: type) -> dict[str, list[str]]:
        methods = {name: member for name, member in inspect.getmembers(kind, inspect.isroutine) if name[0] != "_"}
        return {name: list(inspect.signature(member).parameters) for name, member in methods.items()}

    assert surface(signoff.Signoff) == surface(signoff.sync.Signoff)
    assert surface(signoff.ToolScope) == surface(signoff.sync.ToolScope) == {
        "propose": ["self", "capability", "arguments"], "read": ["self", "capability", "arguments"],
    }  # fmt: skip


def test_a_session_for_tests_repeats_itself(tmp_path: Path) -> None:
    at = datetime(2026, 1, 1, tzinfo=timezone.utc)

    def made(name: str) -> tuple[str, datetime]:
        (tmp_path / name).mkdir()
        with Billing(tmp_path / name).open_sync(testing=signoff.Testing(at, "a")) as so:
            so.script(at + timedelta(days=1), "step 1")
            so.propose(WAIVE, waiver(), context=ACME)
            return next(so.proposals()).id, next(so.proposals()).created_at

    assert made("one") == made("two")
    assert made("three")[1] == at + timedelta(days=1)
