"""The agent's door in an application that listens on a real socket, in this process; and what is asked of it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, MutableMapping
from typing import Any

import httpx
import signoff
import uvicorn

Scope = MutableMapping[str, Any]
VERSION = "2025-11-25"


def who_calls(scope: Scope) -> signoff.TrustedContext | None:
    """`x-user: alice@acme`, as an application's own authentication would find it."""
    said = dict(scope["headers"]).get(b"x-user", b"").decode()
    principal, _, tenant = said.partition("@")
    return signoff.TrustedContext(tenant=tenant, principal=principal) if said else None


def user(principal: str = "alice", tenant: str = "acme") -> dict[str, str]:
    return {"x-user": f"{principal}@{tenant}"}


def message(method: str, **params: Any) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


def tool(name: str, **arguments: Any) -> str:
    return message("tools/call", name=name, arguments=arguments)


LIST = message("tools/list")
HELLO = message("initialize", protocolVersion=VERSION, capabilities={}, clientInfo={"name": "tests", "version": "1"})


class Mounted:
    """An application under uvicorn. It stops when the block ends, having let the application end."""

    def __init__(self, app: Callable[..., Any], at: str = "", lifespan: Any = "auto") -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}{at}"
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan=lifespan))
        # The socket listens already: the first request waits for the server.
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self.listener]})

    def __enter__(self) -> Mounted:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(60)
        self.listener.close()
        assert not self._thread.is_alive(), "the server ends"

    def ask(self, method: str, path: str, headers: Any = None, **options: Any) -> httpx.Response:
        return httpx.request(method, self.address + path, headers=headers, timeout=60, **options)

    def post(self, body: Any, headers: Any = None, path: str = "/mcp") -> httpx.Response:
        """A message, of alice if nothing else is said."""
        lines = list((user() if headers is None else headers).items())
        return self.ask("POST", path, [("content-type", "application/json"), *lines], content=body)

    def raw(self, request: bytes) -> bytes:
        """What is answered to these bytes, until the connection ends."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(65536), b""))
