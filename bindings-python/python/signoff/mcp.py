"""MCP over HTTP inside your own application: the agent's door as an ASGI app."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Literal

from ._asks import Ask
from ._native import MAX_BODY
from ._runtime import Signoff
from ._who import TrustedContext
from ._words import Alias

__all__ = ["asgi"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Who = Callable[[Scope], "TrustedContext | Awaitable[TrustedContext | None] | None"]


def asgi(
    so: Signoff,
    *,
    context: Who | None = None,
    path: str = "/mcp",
    hosts: Iterable[str] = (),
    origins: Iterable[str] = (),
    alias: Alias | Literal["canonical", "openai", "both"] = "canonical",
    own_proposals: bool = True,
    resource: str | None = None,
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """An ASGI app that serves the contract's tools to MCP clients, at `path` below wherever it is mounted.

    Beside `path` it answers `/healthz`, `/readyz` and, for the contract's bearer token alone, `/metrics`. Nothing that
    decides or applies is behind it, and tools that were registered with `so.register_tool` are not served: their
    functions run where `so.call` is called.

    Args:
        so: what answers. It has to be open for as long as the app serves.
        context: who calls, from the ASGI scope of a request that your own application authenticated; None for nobody, which
            is answered 401 before the body is read. What it raises is your application's to answer. Left out, the contract's
            own authentication decides: its bearer token (`SIGNOFF_RUNNER_HTTP_TOKEN`), or `signoff.mcp.auth`.
        path: where the protocol is spoken.
        hosts: names that requests may call this server by, beside those of loopback; a request for another is answered 403.
        origins: origins whose pages may call it; a request from another page is answered 403.
        alias: under which names tools are offered.
        own_proposals: offer the status and the withdrawal of the caller's own proposals, too.
        resource: the address of this server as its clients know it.

    A message is at most 1 MiB long, and every answer is JSON: there is nothing to stream. A client that hangs up leaves a
    proposal whole or not at all. Calls are limited over all requests of apps with the same options, in each process.

    Raises:
        TypeError: for hosts or origins that are one text; at a request, for what `context` answers.
        ValueError: for an alias that is none.
        SignoffError: at a request: `HTTP_PLACE_INVALID` for a path, a host or an origin that is none,
            `HTTP_AUTH_TOKEN_MISSING`, `TOOL_DEFINITION_CHANGED`, and `USAGE` once `so` is closed. Your server answers 500.

    Example:
        >>> from fastapi import FastAPI
        >>> from fastapi.testclient import TestClient
        >>> def who_calls(scope):
        ...     if dict(scope["headers"]).get(b"cookie") == b"session=1":  # your own authentication
        ...         return signoff.TrustedContext(tenant="acme", principal="support_agent")
        >>> app = FastAPI()
        >>> app.mount("/agents", signoff.mcp.asgi(so, context=who_calls, hosts=["testserver"]))
        >>> TestClient(app).post("/agents/mcp").json()["code"]
        'AUTH_TOKEN_MISSING'
    """
    if isinstance(hosts, str) or isinstance(origins, str):
        raise TypeError("hosts and origins are several texts, not one")
    mount = {
        "path": path,
        "hosts": list(hosts),
        "origins": list(origins),
        "alias": str(Alias(alias)),
        "own_proposals": own_proposals,
        "application_authenticates": context is not None,
        "resource": resource,
    }

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        caller = None if context is None else await _caller(context, scope)
        # Of nobody nothing is read: the answer is 401, whatever it says.
        body = b"" if context is not None and caller is None else await _body(receive)
        if body is None:
            return
        fields = {
            "mount": mount,
            "method": scope["method"],
            "target": _target(scope),
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
            "body": _text(body),
            "context": None if caller is None else caller._json(),
        }
        # The answer goes on as the text that it is: no number in it is read here.
        answer: dict[str, Any] = await so._ask(Ask("mcp", fields, lambda value: value, exact=False))
        headers = [(name.encode(), value.encode("latin-1")) for name, value in answer["headers"]]
        text = answer["body"].encode()
        if answer["status"] != 204:
            headers.append((b"content-length", str(len(text)).encode()))
        await send({"type": "http.response.start", "status": answer["status"], "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else text})

    return serve


async def _caller(context: Who, scope: Scope) -> TrustedContext | None:
    found: Any = context(scope)
    caller: Any = await found if inspect.isawaitable(found) else found
    if caller is not None and not isinstance(caller, TrustedContext):
        raise TypeError("context answers a TrustedContext, or None for nobody")
    return caller


def _target(scope: Scope) -> str:
    # Below a mount, the path of some servers begins with where that is; and of that, with a proxy's part that it cut off.
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    for mounted in (root, root.removeprefix(scope.get("app_root_path", ""))):
        rest = path.removeprefix(mounted)
        if mounted and rest != path and (not rest or rest.startswith("/")):
            path = rest or "/"
            break
    query = scope.get("query_string", b"").decode("latin-1")
    # Ours have no letters that need escaping: with one, it is another path in any case.
    path = re.sub(r"[^!-~]|[?#%]", "%25", path)
    return f"{path}?{query}" if query else path


async def _body(receive: Receive) -> bytes | None:
    """The whole body, or as much of it as shows that it is too long; None if the client hung up."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False) or len(body) > MAX_BODY:
            return bytes(body)


def _text(body: bytes) -> str | None:
    # One that is too long may be cut within a letter, and is too long all the same.
    try:
        return body.decode(errors="strict" if len(body) <= MAX_BODY else "replace")
    except UnicodeDecodeError:
        return None


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
