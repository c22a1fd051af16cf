"""An application as a process of its own, under uvicorn."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx

PACKAGE = Path(__file__).parents[2] / "python"


class Server:
    """It answers once the constructor has returned, and is gone when the block ends."""

    def __init__(self, app: str, folder: Path, log: Path, variables: Mapping[str, str]) -> None:
        # Bound here, so that nobody takes the port before the server does.
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "http://127.0.0.1:" + str(self._listener.getsockname()[1])
        self.log = log
        handle = self._listener.fileno()
        command = [sys.executable, "-m", "uvicorn", app, "--fd", str(handle)]
        environment = {**os.environ, "PYTHONPATH": str(PACKAGE), **variables}
        with log.open("w") as sink:
            self._process = subprocess.Popen(
                command, cwd=folder, env=environment, pass_fds=[handle], stdout=sink, stderr=sink
            )
        # The socket listens already: the first request waits for the server.
        try:
            assert httpx.get(self.address + "/healthz", timeout=60).json() == {"ok": True}
        except (httpx.HTTPError, AssertionError) as error:
            self._process.kill()
            raise AssertionError(log.read_text()) from error

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._listener.close()

    def wait_until_dead(self) -> int:
        return self._process.wait(30)
