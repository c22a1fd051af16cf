"""MCP over HTTP inside your own application: the agent's door as an ASGI app.

Example:
    >>> from fastapi import FastAPI
    >>> app = FastAPI()
    >>> app.mount("/agents", signoff.mcp.asgi(so, context=who_calls))
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from ._asks import Ask
from ._native import MAX_BODY
from ._runtime import Signoff
from ._who import TrustedContext
from ._words import Alias

__all__ = ["asgi"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Who = Callable[[Scope], "TrustedContext | None | Awaitable[TrustedContext | None]"]


def asgi(
    so: Signoff,
    *,
    context: Who | None = None,
    path: str = "/mcp",
    hosts: Iterable[str] = (),
    origins: Iterable[str] = (),
    alias: Alias = "canonical",
    own_proposals: bool = True,
    resource: str | None = None,
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """An ASGI app that serves the contract's tools to MCP clients, at `path` below wherever it is mounted.

    Beside `path` it answers `/healthz`, `/readyz` and `/metrics`. Nothing that decides or applies is behind it.

    Args:
        so: what answers. It has to stay open for as long as the app serves.
        context: who calls, from the ASGI scope of a request that your own application authenticated; None for nobody, which
            is answered 401. Left out, the contract's own authentication decides: its bearer token, or `signoff.mcp.auth`.
        path: where the protocol is spoken.
        hosts: names that requests may call this server by, beside those of loopback.
        origins: origins whose pages may call it; a request from another page is answered 403.
        alias: under which names tools are offered.
        own_proposals: offer the status and the withdrawal of the caller's own proposals, too.
        resource: the address of this server as its clients know it.

    A message is at most 1 MiB long, and every answer is JSON: there is nothing to stream. A client that hangs up leaves a
    proposal whole or not at all.
    """
    mount = {
        "path": path,
        "hosts": list(hosts),
        "origins": list(origins),
        "alias": alias,
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
        found = context(scope) if context is not None else None
        caller = await found if inspect.isawaitable(found) else found
        body = await _body(receive)
        if body is None:
            return
        fields = {
            "mount": mount,
            "method": scope["method"],
            "target": _target(scope),
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
            "body": _text(body),
            "context": caller._json() if caller is not None else None,
        }
        answer: dict[str, Any] = await so._ask(Ask("mcp", fields, lambda value: value, exact=False))
        headers = [(name.encode(), value.encode("latin-1")) for name, value in answer["headers"]]
        text = answer["body"].encode()
        headers.append((b"content-length", str(len(text)).encode()))
        await send({"type": "http.response.start", "status": answer["status"], "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else text})

    return serve


def _target(scope: Scope) -> str:
    # Below a mount, the path of some servers still begins with where that is.
    path: str = scope["path"]
    path = path.removeprefix(scope.get("root_path", "")) or "/"
    query = scope.get("query_string", b"").decode("latin-1")
    # Ours have no letters that need escaping: with one, it is another path in any case.
    path = "".join(letter if letter.isascii() and letter.isprintable() and letter not in " ?#%" else "%25" for letter in path)
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
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
