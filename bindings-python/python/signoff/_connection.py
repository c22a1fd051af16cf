"""The native session behind a `Signoff`, and what a fork means for it.

A forked child has the parent's memory and none of its threads: whatever a thread held at that moment is held for ever, and
SQLite's locks on the ledger belong to the parent while the child believes that it has them. So before a fork every open
session waits for its calls and closes, and parent and child open their own when they next need one.
"""

from __future__ import annotations

import json
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

from . import _native
from ._errors import SignoffError
from ._exact import decode, encode

FORK_WAIT_SECONDS = 10.0
"""How long a fork waits for calls under way. What takes longer goes on in the parent, and the child is refused."""

Callback = Callable[[str | None], object]

_forking = threading.Lock()
_connections: weakref.WeakValueDictionary[int, Connection] = weakref.WeakValueDictionary()
_abandoned: list[_native.Session] = []
"""Sessions of the parent that could not be closed before a fork. The child neither uses nor ends them."""


def misuse(problem: str, hint: str) -> SignoffError:
    """The error `USAGE`."""
    return _native.misuse(problem, hint)


class Connection:
    """A session that is opened once, and again after a fork."""

    def __init__(self, request: dict[str, Any]) -> None:
        """Takes what `Session.open` takes; opens nothing yet."""
        self._open = request
        self._session: _native.Session | None = None
        self._opened = self._closed = False
        self._tools: list[str] = []
        self._lock = threading.Lock()

    @property
    def closed(self) -> bool:
        """True once it was closed."""
        return self._closed

    def open(self) -> None:
        """Opens it. Blocks for the time of a few reads of a file."""
        with _forking:
            _connections[id(self)] = self
        with self._lock:
            if self._opened or self._closed:
                raise misuse("this is open already, or was closed", "open another one")
            self._session = self._start()
            self._opened = True
            self._open |= {"create": False, "config": self._same_contract()}

    def _same_contract(self) -> Any:
        """After a fork it is opened with the contract of now, whatever its file says then."""
        config: dict[str, str] = self._open.get("config") or {}
        if "path" not in config:
            return self._open.get("config")
        try:
            with open(config["path"], encoding="utf-8") as file:
                return {"text": file.read()}
        except OSError:
            return config

    def _start(self) -> _native.Session:
        if _abandoned:
            # A thread of the parent may have held the allocator's lock, or one of SQLite's own: nobody lets go of it here.
            problem = "this process was forked while a call was under way, and cannot know what that call held"
            raise misuse(problem, "fork when nothing is running, or start workers with `spawn`")
        session = _native.Session.open(encode({name: value for name, value in self._open.items() if value is not None}))
        for tool in self._tools:
            value_of(session.call(tool) or "")
        return session

    def ready(self) -> bool:
        """False if the next call opens the session first, and so takes longer."""
        return self._session is not None or not self._opened or self._closed

    def session(self) -> _native.Session:
        """The native session, opened again if a fork has closed it."""
        session = self._session
        if session is not None:
            return session
        with self._lock:
            if self._closed:
                raise misuse("this was closed", "open another one")
            if not self._opened:
                raise misuse("this is not open", "use it in `with`, or open it")
            if self._session is None:
                self._session = self._start()
            return self._session

    def call(self, request: str, *, waits: bool = False) -> str | None:
        """The answer to a request. None only for one that waits, if the session is closed meanwhile."""
        while True:
            session = self.session()
            answer = session.call(request, waits)
            if answer is not None or (waits and self._session is session):
                return answer
            self._let_go(session)
            if waits:
                return None

    def submit(self, request: str, callback: Callback, *, waits: bool = False) -> None:
        """The same, and the answer comes to `callback` on another thread."""
        while not (session := self.session()).submit(request, callback, waits):
            self._let_go(session)

    def _let_go(self, session: _native.Session) -> None:
        # It was closed between two lines of ours: whoever closes it holds the lock until that is done.
        with self._lock:
            if self._session is session:
                self._session = None

    def register(self, request: str) -> None:
        """Registers a tool, now or when the session is opened."""
        if self._opened:
            value_of(self.call(request) or "")
        self._tools.append(request)

    def close(self) -> None:
        """Takes no more calls, waits for those under way, and closes it. Again is nothing."""
        with _forking:
            _connections.pop(id(self), None)
        with self._lock:
            self._closed = True
            session, self._session = self._session, None
            if session is not None:
                session.close(float("inf"))

    # Around a fork.

    def _before_fork(self) -> None:
        self._lock.acquire()
        if self._session is not None and self._session.close(FORK_WAIT_SECONDS):
            self._session = None

    def _after_fork(self, in_child: bool) -> None:
        if in_child and self._session is not None:
            _abandoned.append(self._session)
            self._session = None
        self._lock.release()


_held: list[Connection] = []


def _before_fork() -> None:
    _forking.acquire()
    _held.extend(_connections.values())
    for connection in _held:
        connection._before_fork()


def _after_fork(in_child: bool) -> None:
    while _held:
        _held.pop()._after_fork(in_child)
    _forking.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=lambda: _after_fork(False),
        after_in_child=lambda: _after_fork(True),
    )


def value_of(answer: str, exact: bool = True) -> Any:
    """The value of an answer, or its error, raised."""
    read = decode(answer) if exact else json.loads(answer)
    if read["ok"]:
        return read["value"]
    error = read["error"]
    raise SignoffError(error["code"], error["message"], error.get("help"), error["retryable"], error["context"])
