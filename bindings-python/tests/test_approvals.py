"""The example of an approval UI, started as its README says, and used: by forms alone, and by a browser where there is one."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import new_user
import pytest
import signoff
from support.server import Server
from support.shop import ROOT
from support.sqlite_billing import CLERK, CONTRACT, WAIVE, Billing
from support.visitors import VISITORS, Browser, Forms

EXAMPLE = ROOT / "examples" / "fastapi-approvals"
PASSWORD = "correct-horse-battery"
USERS = {
    "dana": ("acme", ["billing_lead"]),
    "eve": ("acme", ["support"]),
    "billing_clerk": ("acme", ["billing_lead"]),
    "gil": ("globex", ["billing_lead"]),
}
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">'\"&amp; \u202egnp.exe"
Visit = Callable[[str], Forms]


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("users") / "users.json"
    path.write_text(json.dumps({name: new_user.entry(PASSWORD, *more) for name, more in USERS.items()}))
    return path


@pytest.fixture
def billing(tmp_path: Path) -> Billing:
    return Billing(tmp_path)


@pytest.fixture
def server(billing: Billing, users: Path, tmp_path: Path) -> Iterator[Server]:
    variables = {
        "APPROVALS_USERS": str(users),
        "APPROVALS_CONTRACT": str(CONTRACT),
        "SIGNOFF_LOCAL_STORE": str(billing.ledger),
    }
    with Server("approvals:app", EXAMPLE, tmp_path / "log", {**variables, **billing.variables}) as server:
        yield server


@pytest.fixture
def visit(server: Server) -> Iterator[Visit]:
    open: list[Forms] = []

    def visit(user: str) -> Forms:
        open.append(Forms(server.address, user, PASSWORD))
        return open[-1]

    yield visit
    for one in open:
        one.close()


@pytest.fixture(params=VISITORS, ids=lambda kind: kind.__name__.lower())
def dana(request: pytest.FixtureRequest, server: Server) -> Iterator[Forms | Browser]:
    person = request.param(server.address, "dana", PASSWORD)
    yield person
    person.close()


def propose(
    billing: Billing, invoice: str = "INV-3001", reason: str = "late", who: signoff.TrustedContext = CLERK
) -> str:
    with billing.open_sync() as so:
        return so.propose(WAIVE, {"invoice_id": invoice, "reason": reason}, context=who).id


def state(billing: Billing, id: str) -> str:
    with billing.open_sync() as so:
        return str(so.proposal(id).state)


def test_somebody_approves_what_they_see_and_a_worker_lands_it_once(billing: Billing, dana: Forms | Browser) -> None:
    before = billing.invoices()
    id = propose(billing)
    listed = dana.go("/").text
    assert all(word in listed for word in (id, "pending_review", "INV-3001", "billing_clerk"))
    shown = dana.go(f"/proposals/{id}")
    assert "late_fee_cents 5500 0" in shown.text and "waiver_reason null 'late'" in shown.text
    assert billing.invoices() == before
    approved = dana.press("approve", reason="a good customer").text
    assert "approved by dana a good customer" in approved
    # It is decided: there is nothing to press any more. And it is not applied: that is the worker's.
    assert not dana.go(f"/proposals/{id}").actions
    assert (billing.invoices(), billing.effects()) == (before, [])
    assert [billing.apply(id), billing.apply(id)] == ["applied", "already_applied"]
    assert billing.effects() == [("INV-3001", 0)]
    assert "State applied" in dana.go(f"/proposals/{id}").text


def test_somebody_rejects_and_says_why(billing: Billing, dana: Forms | Browser) -> None:
    id = propose(billing)
    dana.go(f"/proposals/{id}")
    assert "USAGE" in dana.press("reject").text
    assert state(billing, id) == "pending_review"
    dana.go(f"/proposals/{id}")
    assert "rejected by dana paid late again" in dana.press("reject", reason="paid late again").text
    with billing.open_sync() as so, pytest.raises(signoff.SignoffError) as refused:
        so.apply(id)
    assert (refused.value.code, billing.effects()) == ("PROPOSAL_NOT_APPROVED", [])


def test_hostile_text_of_a_row_stays_text(billing: Billing, dana: Forms | Browser) -> None:
    billing.rows(f"UPDATE invoices SET waiver_reason = {quoted(HOSTILE)} WHERE id = 'INV-3001'")
    billing.rows(f"INSERT INTO invoices SELECT {quoted(HOSTILE)}, 'acme', 'x', 1, 1, '', '1' FROM invoices LIMIT 1")
    proposed = propose(billing, reason=HOSTILE), propose(billing, invoice=HOSTILE)
    clean = {
        "html",
        "head",
        "title",
        "link",
        "body",
        "h1",
        "h2",
        "div",
        "table",
        "tbody",
        "tr",
        "td",
        "a",
        "del",
        "ins",
    }
    clean |= {"form", "input", "button"}
    for path in ("/", *(f"/proposals/{id}" for id in proposed)):
        page = dana.go(path)
        assert set(page.tags) - clean <= ({"script"} if path == "/" else set())
        assert "owned" in page.text or path == f"/proposals/{proposed[1]}"
        if isinstance(dana, Browser):
            assert dana.run("return document.title") == "Approvals"
    detail = dana.go(f"/proposals/{proposed[0]}").text
    assert repr(HOSTILE) in detail and "\u202e" not in detail and "\\u202e" in detail


def test_the_list_is_live(billing: Billing, dana: Forms | Browser) -> None:
    """In the browser, the page changes by itself; without one, the stream that it hears says what it needs."""
    dana.go("/")
    if isinstance(dana, Browser):
        dana.run("window.still = true")
        id = propose(billing)
        dana.until(f"document.body.innerText.includes('{id}')")
        billing.approve(id)
        dana.until("document.body.innerText.includes('approved')")
        assert billing.apply(id) == "applied"
        dana.until("document.body.innerText.includes('applied')")
        assert dana.run("return window.still") is True
        return
    heard: list[str] = []
    with dana.client.stream("GET", "/events") as stream:
        id = propose(billing)
        billing.approve(id)
        lines = stream.iter_lines()
        while "proposal_approved" not in "".join(heard):
            heard.append(next(lines))
    first = [line for line in heard if line][:2]
    assert first[0] == "id: 1" and json.loads(first[1].removeprefix("data: ")) == {
        "kind": "proposal_created",
        "proposal": id,
    }
    # It goes on where the browser says that it was.
    with dana.client.stream("GET", "/events?after=0", headers={"Last-Event-ID": "1"}) as stream:
        assert next(line for line in stream.iter_lines() if line) == "id: 2"


class TestRefused:
    def test_what_was_not_seen(self, billing: Billing, visit: Visit) -> None:
        dana, id = visit("dana"), propose(billing)
        for wrong, code in (
            ({"hash": "sha256:" + "0" * 64}, "PROPOSAL_HASH_MISMATCH"),
            ({"version": "2"}, "PROPOSAL_VERSION_MISMATCH"),
        ):
            for button in ("approve", "reject"):
                dana.go(f"/proposals/{id}")
                assert code in dana.press(button, **wrong, reason="x").text
        assert state(billing, id) == "pending_review"

    @pytest.mark.parametrize(("user", "code"), [("eve", "ROLE_REQUIRED"), ("billing_clerk", "SELF_APPROVAL")])
    def test_who_may_not(self, billing: Billing, visit: Visit, user: str, code: str) -> None:
        id, person = propose(billing), visit(user)
        page = person.go(f"/proposals/{id}")
        answer = person.client.post(page.actions["approve"], data=page.fields)
        assert (answer.status_code, code in answer.text) == (403, True)
        assert state(billing, id) == "pending_review"

    def test_a_form_that_somebody_else_was_shown(self, billing: Billing, visit: Visit) -> None:
        id, dana, eve = propose(billing), visit("dana"), visit("eve")
        page, theirs = dana.go(f"/proposals/{id}"), eve.go(f"/proposals/{id}")
        for token, status in ((theirs.fields["token"], 403), ("é", 403), ("", 422), (None, 422)):
            fields = {name: value for name, value in {**page.fields, "token": token}.items() if value is not None}
            assert dana.client.post(page.actions["approve"], data=fields).status_code == status
        assert state(billing, id) == "pending_review"
        assert "approved by dana" in dana.press("approve").text

    def test_a_second_decision(self, billing: Billing, visit: Visit) -> None:
        id, dana = propose(billing), visit("dana")
        dana.go(f"/proposals/{id}")
        billing.approve(id)
        assert "PROPOSAL_NOT_PENDING_REVIEW" in dana.press("approve").text

    def test_another_tenant(self, billing: Billing, visit: Visit) -> None:
        id, gil, dana = propose(billing), visit("gil"), visit("dana")
        globex = signoff.TrustedContext(tenant="globex", principal="bot")
        theirs = propose(billing, "INV-9001", who=globex)
        listed = gil.go("/").text
        assert (id in listed, theirs in listed) == (False, True)
        page, token = dana.go(f"/proposals/{id}"), gil.go(f"/proposals/{theirs}").fields["token"]
        answers = [
            gil.client.get(f"/proposals/{id}"),
            gil.client.post(page.actions["approve"], data={**page.fields, "token": token}),
            gil.client.get(f"/proposals/{id[:12]}"),
        ]
        assert [answer.status_code for answer in answers] == [404, 404, 404]
        with gil.client.stream("GET", "/events") as stream:
            data = next(line for line in stream.iter_lines() if line.startswith("data"))
        assert theirs in data
        assert state(billing, id) == "pending_review"
        dana.press("approve")
        listed = gil.go("/").text
        assert (id in listed, theirs in listed, id in dana.go("/").text) == (False, True, True)

    def test_nobody(self, billing: Billing, server: Server) -> None:
        id = propose(billing)
        paths = ["/", f"/proposals/{id}", "/events"]
        for auth in (None, ("dana", "wrong"), ("mallory", PASSWORD), ("", ""), ("dana", "é" * 2000)):
            for path in paths:
                answer = httpx.get(server.address + path, auth=auth, timeout=60)
                assert (answer.status_code, "Basic" in answer.headers["WWW-Authenticate"]) == (401, True)
            assert httpx.post(f"{server.address}/proposals/{id}/approve", auth=auth, timeout=60).status_code == 401
        assert [httpx.get(server.address + path, timeout=60).status_code for path in ("/docs", "/openapi.json")] == [
            404,
            404,
        ]
        assert state(billing, id) == "pending_review"


def test_pages_hold_no_secret_and_are_not_kept(billing: Billing, users: Path, visit: Visit) -> None:
    id, dana = propose(billing), visit("dana")
    secrets = [
        PASSWORD,
        str(billing.folder),
        *(one[key] for one in json.loads(users.read_text()).values() for key in ("salt", "scrypt")),
    ]
    for path in ("/", f"/proposals/{id}", "/proposals/wrp_none"):
        answer = dana.client.get(path)
        assert not [secret for secret in secrets if secret in answer.text]
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
    assert PASSWORD not in users.read_text()


def test_whatever_is_put_into_a_tag_is_escaped(users: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPROVALS_USERS", str(users))
    tag = importlib.import_module("approvals").tag
    assert tag("a", "<b>", tag("i", "&"), href="\">'<") == '<a href="&quot;&gt;&#x27;&lt;">&lt;b&gt;<i>&amp;</i></a>'


def test_it_is_short() -> None:
    assert len([line for line in (EXAMPLE / "approvals.py").read_text().splitlines() if line.strip()]) <= 120


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
