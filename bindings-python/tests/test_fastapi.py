"""The router and the dependency."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import httpx
import pytest
import signoff
import signoff.fastapi
from fastapi import Depends, FastAPI, Request, Response
from sqlalchemy.ext.asyncio import create_async_engine
from support.shop import SECRET, Answer, Shop, request, sign

VerifiedJob = Annotated[signoff.Job, Depends(signoff.fastapi.verified(SECRET))]


def application() -> FastAPI:
    handler = signoff.WritebackHandler(
        database=create_async_engine("postgresql+asyncpg://nobody@/nowhere"), secrets=SECRET
    )
    app = FastAPI()
    app.include_router(signoff.fastapi.router(handler, path="/write"), prefix="/v1")

    @app.post("/preview")
    async def preview(job: VerifiedJob) -> dict[str, str]:
        return {"action": job.action, "tenant": job.tenant_id}

    return app


def call(app: FastAPI, method: str, path: str, **options: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
            return await client.request(method, path, **options)

    return asyncio.run(send())


def test_health_and_other_methods() -> None:
    app = application()
    health = call(app, "GET", "/v1/healthz")
    assert (health.status_code, health.json(), health.headers["cache-control"]) == (200, {"ok": True}, "no-store")
    for method in ("GET", "DELETE", "HEAD"):
        answer = call(app, method, "/v1/write")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST, PUT, PATCH")
    for method in ("POST", "PUT", "PATCH"):
        answer = call(app, method, "/v1/write", content=b"{}")
        assert (answer.status_code, answer.json()["safe_error_code"]) == (401, "INVALID_SIGNATURE")
        assert answer.headers["www-authenticate"] == "Signature"


def test_a_body_beyond_the_limit_is_not_read_to_its_end() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 65536
            yield b"[" * 65536

    # A transport that pulls: httpx' own reads the whole of it first.
    async def deliver() -> list[Any]:
        chunks = endless()
        messages: list[Any] = []

        async def receive() -> dict[str, Any]:
            try:
                return {"type": "http.request", "body": await anext(chunks), "more_body": True}
            except StopAsyncIteration:
                return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            messages.append(message)

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": "/v1/write",
            "raw_path": b"/v1/write", "query_string": b"", "root_path": "", "headers": [], "scheme": "http",
            "server": ("app", 80), "client": ("test", 1),
        }  # fmt: skip
        await application()(scope, receive, send)
        return messages

    start, body = asyncio.run(deliver())
    assert (start["status"], json.loads(body["body"])["safe_error_code"]) == (413, "BODY_TOO_LARGE")
    assert sent == signoff.MAX_BODY + 65536
    exact = call(application(), "POST", "/v1/write", content=b" " * signoff.MAX_BODY)
    assert exact.status_code == 401, "1 MiB itself is looked at"


def test_the_dependency_gives_a_job_or_the_routers_answer() -> None:
    app = application()
    content = json.dumps(request()).encode()
    headers = sign(request(), content)
    good = call(app, "POST", "/preview", content=content, headers=headers)
    assert good.json() == {"action": "billing.propose_account_credit", "tenant": "acme"}
    bad = call(app, "POST", "/preview", content=content + b" ", headers=headers)
    assert (bad.status_code, bad.headers["www-authenticate"]) == (401, "Signature")
    assert bad.json()["detail"]["safe_error_code"] == "INVALID_SIGNATURE"
    twice = [*headers.items(), ("webhook-id", headers["webhook-id"])]
    assert call(app, "POST", "/preview", content=content, headers=twice).status_code == 400
    large = call(app, "POST", "/preview", content=b"x" * (signoff.MAX_BODY + 1))
    assert large.status_code == 413


def test_a_body_that_a_middleware_has_read_is_the_same_body(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop()
    shop.action(shop.credit)
    app = FastAPI()
    app.include_router(signoff.fastapi.router(shop.handler))

    @app.middleware("http")
    async def reads(incoming: Request, call_next: Callable[[Request], Any]) -> Response:
        await incoming.body()
        answer: Response = await call_next(incoming)
        return answer

    async def send() -> Answer:
        content = json.dumps(request()).encode()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
            return Answer(await client.put("/signoff/writeback", content=content, headers=sign(request(), content)))

    assert shop.loop.run(send()).told == (200, "applied", "")


def test_openapi_tells_headers_receipts_and_errors() -> None:
    described = application().openapi()["paths"]["/v1/write"]
    assert list(described) == ["post"]
    operation = described["post"]
    headers = {parameter["name"] for parameter in operation["parameters"]}
    assert {"webhook-id", "webhook-timestamp", "webhook-signature", "x-synapsor-signature"} <= headers
    assert set(operation["responses"]) == {"200", "400", "401", "403", "409", "413", "422", "500", "503"}
    assert "schema" in operation["requestBody"]["content"]["application/json"]
    unauthorised = operation["responses"]["401"]["content"]["application/json"]["schema"]["properties"]
    assert unauthorised["safe_error_code"]["enum"] == ["UNAUTHORIZED", "INVALID_SIGNATURE", "INVALID_ISSUED_AT"]
    catalogue = {row["code"]: row["http"] for row in json.loads(_errors())}
    for status, response in operation["responses"].items():
        codes = response["content"]["application/json"]["schema"]["properties"]["safe_error_code"].get("enum", [])
        assert all(catalogue[code] == int(status) for code in codes)


def _errors() -> str:
    from support.shop import ROOT

    return (ROOT / "schemas" / "errors.json").read_text()


@pytest.mark.parametrize("broken", [{}, {"tenant": "tenant_id"}, {"single_tenant": True}])
def test_an_action_that_guards_nothing_is_refused_when_it_is_registered(broken: dict[str, Any]) -> None:
    handler = signoff.WritebackHandler(
        database=create_async_engine("postgresql+asyncpg://nobody@/nowhere"), secrets=SECRET
    )

    async def author(job: signoff.Job, connection: Any) -> signoff.Applied:
        return signoff.Applied(rows=1)

    with pytest.raises(signoff.SignoffError) as caught:
        handler.action("a.b", target="invoices", key="id", **broken)(author)
    assert caught.value.code == "HANDLER_CONFIG_INVALID"
    good = handler.action("a.b", target="invoices", key="id", tenant="tenant_id", version="v")
    assert good(author) is author
    with pytest.raises(signoff.SignoffError, match="registered already"):
        good(author)


def test_a_database_of_another_kind_is_refused() -> None:
    from sqlalchemy import create_engine

    for database, problem in [
        (object(), "object is not one of"),
        ("postgres://", "str is not one of"),
        (create_engine("sqlite://"), "sqlite\\+pysqlite is not supported"),
    ]:
        with pytest.raises(signoff.SignoffError, match=problem) as caught:
            signoff.WritebackHandler(database=database, secrets=SECRET)
        assert caught.value.code == "HANDLER_CONFIG_INVALID"
    synchronous = signoff.WritebackHandler(database=create_engine("postgresql+psycopg://"), secrets=SECRET)

    async def author(job: signoff.Job, connection: Any) -> signoff.Applied:
        return signoff.Applied(rows=1)

    with pytest.raises(signoff.SignoffError, match="synchronous database"):
        synchronous.action("a.b", target="invoices", key="id", tenant="t", version="v")(author)
    asynchronous = signoff.WritebackHandler(database=lambda: None, secrets=SECRET)
    with pytest.raises(signoff.SignoffError, match="needs an `async def` function"):
        asynchronous.action("a.b", target="invoices", key="id", tenant="t", version="v")(lambda job, connection: None)
