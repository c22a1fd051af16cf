"""The agent's door inside an application's own server: real sockets, real clients."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx2
import mcp
import pytest
import signoff
import signoff.mcp
from fastapi import FastAPI, HTTPException
from mcp.client.streamable_http import streamable_http_client
from support.billing import READ, WAIVE, Billing, waiver
from support.mounted import HELLO, LIST, VERSION, Mounted, Scope, message, tool, user, who_calls

TESTS = Path(__file__).parent
TOKEN = "a-token-that-only-the-agent-has"
LARGE = 9007199254740993
READS = tool(READ, invoice_id="INV-1")


@pytest.fixture
def billing(tmp_path: Path) -> Billing:
    return Billing(tmp_path, invoices=40)


@pytest.fixture
def so(billing: Billing) -> Iterator[signoff.Signoff]:
    async def opened() -> signoff.Signoff:
        return await billing.open(env={**billing.env, "SIGNOFF_RUNNER_HTTP_TOKEN": TOKEN})

    so = asyncio.run(opened())
    yield so
    asyncio.run(so.close())


@pytest.fixture
def mounted(so: signoff.Signoff) -> Iterator[Mounted]:
    with Mounted(signoff.mcp.asgi(so, context=who_calls)) as mounted:
        yield mounted


def code(answer: httpx.Response) -> tuple[int, Any]:
    said = answer.json()
    return answer.status_code, said.get("code") or said["error"].get("data", {}).get("code")


def below(prefix: str) -> Callable[[Any], FastAPI]:
    def mount(app: Any) -> FastAPI:
        outer = FastAPI()
        outer.mount(prefix, app)
        return outer

    return mount


def twice(app: Any) -> FastAPI:
    return below("/one")(below("/two")(app))


def cut(app: Any) -> Any:
    """What a proxy has cut off stands in `root_path`, and not in the path."""
    outer = below("/agents")(app)

    async def served(scope: Scope, receive: Any, send: Any) -> None:
        await outer({**scope, "root_path": "/api"}, receive, send)

    return served


@pytest.mark.parametrize(
    ("around", "at"),
    [
        (lambda app: app, ""),
        (below(""), ""),
        (below("/agents"), "/agents"),
        (cut, "/agents"),
        (twice, "/one/two"),
    ],
    ids=["bare", "at the root", "below a prefix", "behind a proxy that cuts", "below two"],
)
def test_it_answers_where_it_is_mounted(so: signoff.Signoff, around: Callable[[Any], Any], at: str) -> None:
    with Mounted(around(signoff.mcp.asgi(so, context=who_calls)), at) as mounted:
        names = [tool["name"] for tool in mounted.post(LIST).json()["result"]["tools"]]
        assert {READ, WAIVE} <= set(names)
        assert mounted.ask("GET", "/healthz").json() == mounted.ask("GET", "/readyz").json() == {"ok": True}
        head = mounted.ask("HEAD", "/healthz")
        assert (head.status_code, head.headers["content-length"], head.content) == (200, "11", b"")
        # It counts everybody's calls: not for one caller of many.
        assert mounted.ask("GET", "/metrics", user()).status_code == 404
        assert code(mounted.ask("GET", "/metrics")) == code(mounted.post(LIST, {}))
        assert mounted.post(LIST, {}).status_code == 401
        for method in ("GET", "HEAD", "PUT"):
            answer = mounted.ask(method, "/mcp", user())
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST, DELETE")
        for path in ("/", "/mcp/", "/mcp/x", "/mcp%3Fx", "/caf%C3%A9", "/mc%00p", "/agents/mcp/agents"):
            assert mounted.post(LIST, path=path).status_code == 404, path
        assert mounted.post(LIST, path="/mcp?a=b%20c").status_code == 200
        answer = mounted.post(LIST)
        assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-store", "nosniff")


def test_the_server_begins_and_ends_with_it(so: signoff.Signoff) -> None:
    # `on` fails where an application does not answer what `lifespan` asks of it.
    with Mounted(signoff.mcp.asgi(so, context=who_calls), lifespan="on") as mounted:
        assert mounted.post(LIST).status_code == 200


def test_the_contracts_own_token(so: signoff.Signoff) -> None:
    with Mounted(signoff.mcp.asgi(so)) as mounted:
        for headers in ({}, user(), {"authorization": "Bearer another-one-that-is-as-long"}):
            answer = mounted.post(READS, headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        own = mounted.post(READS, {"authorization": f"Bearer {TOKEN}", **user("eve", "globex")}).json()
        assert own["result"]["structuredContent"]["data"]["id"] == "INV-1", "the contract says who it is"


def test_bodies(mounted: Mounted) -> None:
    limit = signoff.MAX_BODY
    for body in (b"", b"{", LIST.encode()[:-2] + b"\xff}", b"\xef\xbb\xbf{}"):
        answer = mounted.post(body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32700), body
    # The longest one is read: it is as long as it may be, and no JSON.
    assert mounted.post(b" " * limit).status_code == 400
    padded = LIST.encode().ljust(limit)
    assert mounted.post(padded).json()["result"]["tools"]
    for body in (padded + b" ", b"x" + "é".encode() * limit):
        assert code(mounted.post(body)) == (413, "HTTP_BODY_TOO_LARGE"), "by its length"
        pieces = iter([body[at : at + 1001] for at in range(0, len(body), 1001)])
        assert code(mounted.post(pieces)) == (413, "HTTP_BODY_TOO_LARGE"), "as it comes"
    assert mounted.post(padded + b" ", {}).status_code == 401, "of nobody, nothing is read"


ODD = [
    (b"x-name", "café".encode("latin-1"), 200),
    (b"x-name", "café €".encode(), 200),
    (b"x-name", b"\x80\xff", 200),
    (b"x-name", b"x" * 8_000, 200),
    (b"x-na!#$%&'*+-.^_`|~me", b"\t", 200),
    (b"x-name", b"", 200),
    (b"accept", b"\xe9", 406),
    (b"accept", b"text/html", 406),
    (b"accept", b"application/json", 200),
    (b"mcp-session-id", b"\xe9", 404),
    (b"mcp-session-id", b"", 404),
    (b"mcp-protocol-version", b"\xe9", 400),
    (b"mcp-protocol-version", b"2999-01-01", 400),
    (b"mcp-method", b"\xff", 200),
    (b"last-event-id", b"\xff", 200),
    (b"origin", b"\xe9", 403),
    (b"origin", b"https://evil.example", 403),
    (b"origin", b"null", 403),
    (b"authorization", b"\xff\xfe", 200),
    (b"content-encoding", b"gzip", 415),
    (b"expect", b"200-ok", 200),
]


@pytest.mark.parametrize(("name", "value", "status"), ODD)
def test_odd_headers_are_their_senders_mistake(mounted: Mounted, name: bytes, value: bytes, status: int) -> None:
    head = b"POST /mcp HTTP/1.1\r\nconnection: close\r\nhost: localhost\r\nx-user: alice@acme\r\ncontent-type: application/json\r\n"
    body = LIST.encode()
    said = mounted.raw(head + name + b": " + value + b"\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    assert said.startswith(b"HTTP/1.1 %d " % status), said[:300]


@pytest.mark.parametrize("host", [b"evil.example", b"localhost.evil.example", b"caf\xe9", b"a b", b""])
def test_other_hosts(mounted: Mounted, host: bytes) -> None:
    said = mounted.raw(b"GET /healthz HTTP/1.1\r\nconnection: close\r\nhost: " + host + b"\r\n\r\n")
    assert said.startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 400 ")), said[:300]


def test_named_hosts_and_origins(so: signoff.Signoff) -> None:
    app = signoff.mcp.asgi(so, context=who_calls, hosts=["mcp.example"], origins={"https://chat.example"})
    with Mounted(app) as mounted:
        page = {"host": "mcp.example", "origin": "https://chat.example"}
        answer = mounted.post(LIST, {**user(), **page})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, page["origin"])
        preflight = mounted.ask("OPTIONS", "/mcp", page)
        assert (preflight.status_code, preflight.content) == (204, b"")
        assert code(mounted.post(LIST, {**user(), "origin": "https://evil.example"})) == (403, "HTTP_ORIGIN_REFUSED")
        assert code(mounted.post(LIST, {**user(), "host": "evil.example"})) == (403, "HTTP_HOST_REFUSED")


def test_a_session_stays_whose_it_was(mounted: Mounted) -> None:
    begun = mounted.post(HELLO)
    session = {"mcp-session-id": begun.headers["mcp-session-id"], "mcp-protocol-version": VERSION}
    assert mounted.post(READS, {**user(), **session}).status_code == 200
    for other in (user("bob"), user("alice", "globex")):
        assert code(mounted.post(READS, {**other, **session})) == (403, "HTTP_SESSION_FOREIGN")
        assert code(mounted.ask("DELETE", "/mcp", {**other, **session})) == (403, "HTTP_SESSION_FOREIGN")
    assert mounted.post(READS, session).status_code == 401, "it is no credential"
    assert mounted.post(READS, {**user(), **session}).status_code == 200, "alice's goes on"
    ended = mounted.ask("DELETE", "/mcp", {**user(), **session})
    assert (ended.status_code, ended.content, "content-length" in ended.headers) == (204, b"", False)
    assert code(mounted.post(READS, {**user(), **session})) == (404, "HTTP_SESSION_NOT_FOUND")
    assert code(mounted.ask("DELETE", "/mcp", user())) == (400, "HTTP_SESSION_MISSING")


def test_what_one_tenant_has_is_nothing_to_another(mounted: Mounted) -> None:
    made = mounted.post(tool(WAIVE, **waiver())).json()["result"]["structuredContent"]["proposal"]["id"]
    uri = f"synapsor://proposals/{made}"
    assert made in mounted.post(message("resources/read", uri=uri)).text
    for other in (user("bob"), user("alice", "globex")):
        assert "error" in mounted.post(message("resources/read", uri=uri), other).json()
    assert "NOT_FOUND_IN_TENANT" in mounted.post(READS, user("alice", "globex")).text


def test_what_context_raises_is_the_applications(so: signoff.Signoff) -> None:
    async def who(scope: Scope) -> Any:
        await asyncio.sleep(0)
        said = dict(scope["headers"])[b"x-user"]
        if said == b"banned":
            raise HTTPException(418, "not you")
        if said == b"odd":
            return {"tenant": "acme", "principal": "odd"}
        if said == b"broken":
            raise RuntimeError("the database of users is away")
        return who_calls(scope)

    with Mounted(below("/agents")(signoff.mcp.asgi(so, context=who)), "/agents") as mounted:
        assert mounted.post(LIST, {"x-user": "banned"}).status_code == 418
        for said in ("odd", "broken"):
            answer = mounted.post(LIST, {"x-user": said})
            assert (answer.status_code, answer.text) == (500, "Internal Server Error")
        assert mounted.post(LIST).status_code == 200
        # No tenant is no tenant's row; a model is not told whose mistake that is.
        assert mounted.post(READS, {"x-user": "alice@"}).json()["result"]["isError"]


def test_numbers_are_what_was_written(billing: Billing, mounted: Mounted) -> None:
    billing.rows(f"UPDATE invoices SET balance_cents = {LARGE} WHERE id = 'INV-1'")
    assert f'"balance_cents":"{LARGE}"' in mounted.post(READS).text, "as text, since no float holds it"
    reason = "café \U0001f600 \u2028 \ufeff \\ud800 \"'"
    made = mounted.post(tool(WAIVE, **waiver(2, reason))).json()["result"]["structuredContent"]
    with billing.open_sync() as so:
        assert so.proposal(made["proposal"]["id"]).diff[1].proposed == reason, "letter by letter"


def test_it_answers_as_the_program_does(billing: Billing, so: signoff.Signoff) -> None:
    program = os.environ.get("SIGNOFF_BIN")
    if program is None:
        assert "SIGNOFF_REQUIRE_ALL" not in os.environ
        pytest.skip("no program `signoff`: run make test-python, or set SIGNOFF_BIN")
    credit = "billing.propose_account_credit"
    written = [
        tool(credit, invoice_id="INV-1", reason="r", amount_cents=0).replace(
            '"amount_cents": 0', f'"amount_cents": {n}'
        )
        for n in (LARGE, "1e400", "1.00000000000000000001", "-0", "9007199254740993.0")
    ] + [tool(READ, invoice_id=LARGE), tool(READ, invoice_id="INV-1").replace("}}}", ', "invoice_id": "INV-2"}}}')]
    serve = [program, "mcp", "serve", "--config", str(billing.path), "--store", str(billing.ledger)]
    environment = {**os.environ, **billing.env}
    with (
        Mounted(signoff.mcp.asgi(so, context=who_calls)) as mounted,
        subprocess.Popen(serve, env=environment, stdin=-1, stdout=-1, text=True) as served,
    ):
        assert served.stdin is not None and served.stdout is not None

        def there(line: str) -> Any:
            print(line, file=served.stdin, flush=True)
            return json.loads(served.stdout.readline()) if served.stdout else None

        there(HELLO)
        print('{"jsonrpc":"2.0","method":"notifications/initialized"}', file=served.stdin, flush=True)
        for line in written:
            here = mounted.post(line).json()
            assert here == there(line), line
            assert "error" in here or here["result"]["isError"], line
        served.stdin.close()


def test_clients_that_hang_up(billing: Billing, mounted: Mounted, caplog: pytest.LogCaptureFixture) -> None:
    head = "POST /mcp HTTP/1.1\r\nhost: localhost\r\nx-user: alice@acme\r\ncontent-type: application/json\r\n"
    for n in range(1, 21):
        whole = tool(WAIVE, **waiver(n))
        body = whole if n % 2 else whole[:-9]
        with socket.create_connection(("127.0.0.1", mounted.port)) as connection:
            connection.sendall(f"{head}content-length: {len(whole)}\r\n\r\n{body}".encode())
    assert mounted.post(LIST).status_code == 200
    # Asked again, each is there once.
    for n in range(1, 21):
        assert mounted.post(tool(WAIVE, **waiver(n))).json()["result"]["structuredContent"]["ok"]
    with billing.open_sync() as so:
        assert so.verify_ledger().proposals == 20
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]


def test_a_session_that_is_closed_under_way(billing: Billing, so: signoff.Signoff, mounted: Mounted) -> None:
    begun = threading.Barrier(9)

    def agent(first: int) -> list[httpx.Response]:
        begun.wait()
        answers = []
        for n in range(first, 41, 8):
            answers.append(mounted.post(tool(WAIVE, **waiver(n))))
        return answers

    with ThreadPoolExecutor(8) as threads:
        agents = [threads.submit(agent, first) for first in range(1, 9)]
        begun.wait()
        asyncio.run(so.close())
        answers = [answer for one in agents for answer in one.result()]
    whole = [answer for answer in answers if answer.status_code == 200]
    assert {answer.status_code for answer in answers} <= {200, 500}, "each was answered"
    assert all(answer.json()["result"]["structuredContent"]["ok"] for answer in whole)
    assert mounted.post(LIST).status_code == 500
    with billing.open_sync() as again:
        assert again.verify_ledger().proposals == len(whole)


def test_workers_that_were_forked(billing: Billing) -> None:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    handles = [listener.fileno() for listener in listeners]
    opening = {name: value if isinstance(value, bool | dict) else str(value) for name, value in billing.opening.items()}
    path = os.pathsep.join([str(Path(signoff.__file__).parents[1]), str(TESTS)])
    environment = {**os.environ, "OPENING": json.dumps(opening), "PYTHONPATH": path}
    command = [sys.executable, str(TESTS / "support" / "preload.py"), *map(str, handles)]
    session: dict[str, str] = {}
    with subprocess.Popen(command, env=environment, pass_fds=handles, stdin=-1, stdout=-1, text=True) as parent:
        for n, listener in enumerate(listeners, 1):
            address = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
            headers = {**user(), "content-type": "application/json"}
            answer = httpx.post(address, content=tool(WAIVE, **waiver(n)), headers=headers, timeout=60)
            assert answer.json()["result"]["structuredContent"]["ok"], answer.text
            # A session of MCP lives in the process where it began; its client begins another.
            if n == 1:
                begun = httpx.post(address, content=HELLO, headers=headers, timeout=60)
                headers["mcp-session-id"] = begun.headers["mcp-session-id"]
                assert httpx.post(address, content=LIST, headers=headers, timeout=60).status_code == 200
                session = {"mcp-session-id": headers["mcp-session-id"]}
            else:
                answer = httpx.post(address, content=LIST, headers={**headers, **session}, timeout=60)
                assert code(answer) == (404, "HTTP_SESSION_NOT_FOUND")
        said, _ = parent.communicate(timeout=60)
    assert json.loads(said) == [-15, -15], "they ended as they were told to"
    for listener in listeners:
        listener.close()
    with billing.open_sync() as so:
        assert so.verify_ledger().proposals == 2


def test_all_requests_of_a_mount_are_limited_together(tmp_path: Path) -> None:
    def limit(contract: dict[str, Any]) -> None:
        contract["signoff"]["mcp"] = {"rate_limit": {"proposals_per_minute": 5, "reads_per_minute": 2}}

    async def opened() -> signoff.Signoff:
        return await Billing(tmp_path, change=limit).open()

    so = asyncio.run(opened())
    with Mounted(signoff.mcp.asgi(so, context=who_calls)) as mounted:
        assert ["RATE_LIMITED" in mounted.post(READS).text for _ in range(3)] == [False, False, True]
        assert "RATE_LIMITED" not in mounted.post(READS, user("bob")).text, "each for themselves"
    asyncio.run(so.close())


def test_an_applications_own_tools_stay_its_own(so: signoff.Signoff) -> None:
    @so.register_tool("billing.own", description="d", kind="read", scope=[READ], input_schema={"type": "object"})
    async def own(arguments: dict[str, Any], scope: signoff.ToolScope) -> None: ...

    with Mounted(signoff.mcp.asgi(so, context=who_calls)) as mounted:
        assert "billing.own" not in mounted.post(LIST).text
        assert mounted.post(tool("billing.own")).json()["result"]["isError"]


def test_options_that_do_not_fit(so: signoff.Signoff) -> None:
    for wrong in ({"hosts": "mcp.example"}, {"origins": "https://chat.example"}):
        with pytest.raises(TypeError, match="several texts"):
            signoff.mcp.asgi(so, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="other"):
        signoff.mcp.asgi(so, alias="other")  # type: ignore[arg-type]
    for place in ({"path": "mcp"}, {"hosts": ["a b"]}, {"origins": ["chat.example"]}):
        with Mounted(signoff.mcp.asgi(so, context=who_calls, **place)) as mounted:
            assert mounted.post(LIST).status_code == 500
    with Mounted(signoff.mcp.asgi(so, context=who_calls, alias="openai", path="/tools", own_proposals=False)) as other:
        names = [tool["name"] for tool in other.post(LIST, path="/tools").json()["result"]["tools"]]
        assert names and all(name.startswith("billing__") for name in names), names


@asynccontextmanager
async def client(mounted: Mounted, mode: str, principal: str) -> AsyncIterator[mcp.Client]:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx2.AsyncClient(headers=user(principal)))
        transport = streamable_http_client(mounted.address + "/mcp", http_client=http)
        yield await stack.enter_async_context(mcp.Client(transport, mode=mode))


@pytest.mark.parametrize("mode", ["legacy", "auto", "2026-07-28"])
def test_the_official_client(billing: Billing, mounted: Mounted, mode: str) -> None:
    async def run() -> None:
        async with client(mounted, mode, "alice") as alice, client(mounted, mode, "bob") as bob:
            assert {READ, WAIVE} <= {tool.name for tool in (await alice.list_tools()).tools}
            read = await alice.call_tool(READ, {"invoice_id": "INV-1"})
            assert read.structured_content and read.structured_content["data"]["id"] == "INV-1"
            made = (await alice.call_tool(WAIVE, dict(waiver()))).structured_content
            assert made is not None
            id = made["proposal"]["id"]
            own = await alice.call_tool("signoff.proposal_status", {"proposal_id": id})
            assert not own.is_error
            assert (await bob.call_tool("signoff.proposal_status", {"proposal_id": id})).is_error
            assert (await alice.call_tool("billing.approve", {})).is_error

    asyncio.run(run())
    assert billing.effects() == 0
