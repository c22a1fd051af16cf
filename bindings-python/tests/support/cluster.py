"""A throwaway Postgres server, ended and removed when our end of a pipe closes, however we end."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

KEEP = """"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c max_connections=300 -c timezone=Asia/Kolkata -c fsync=$3 >"$2/log" 2>&1 &
cat >/dev/null; "$1/pg_ctl" -s -D "$2/data" -m immediate stop; rm -rf "$2\" &"""


def binaries() -> Path | None:
    """The folder of initdb."""
    if "SIGNOFF_PG_BIN" in os.environ:
        return Path(os.environ["SIGNOFF_PG_BIN"])
    if found := shutil.which("initdb"):
        return Path(found).parent
    found_all = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    return Path(found_all[-1]).parent if found_all else None


def _unprivileged(*command: object) -> list[str]:
    """Postgres refuses to run as root."""
    prefix = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.getuid() == 0 else []
    return [*prefix, *map(str, command)]


class Cluster:
    """No test pulls the plug of the machine, so they go without fsync; measurements go with it."""

    def __init__(self, bin: Path, fsync: str = "off") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="signoff-py-"))
        self._count = 0
        self._templates: dict[tuple[str, ...], str] = {}
        if os.getuid() == 0:
            shutil.chown(self.folder, "nobody", "nogroup")
        data = self.folder / "data"
        make = _unprivileged(
            bin / "initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-D", data
        )
        subprocess.run(make, cwd="/", check=True, capture_output=True)
        keep = _unprivileged("/bin/sh", "-c", KEEP, "sh", bin, self.folder, fsync)
        self._keeper = subprocess.Popen(keep, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        begun = time.monotonic()
        while True:
            try:
                with self.connect("postgres"):
                    return
            except psycopg.OperationalError:
                if time.monotonic() - begun > 60:
                    raise
                time.sleep(0.05)

    def stop(self) -> None:
        """Ends the server. Its files go in the background: there are a hundred databases."""
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        self._keeper.wait(60)

    def url(self, database: str, user: str = "postgres", scheme: str = "postgresql") -> str:
        return f"{scheme}://{user}@/{database}?host={self.folder}"

    def connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        """As the superuser, each statement by itself."""
        return psycopg.connect(self.url(database), autocommit=True)

    def database(self, *scripts: str) -> str:
        """A new database with this SQL in it."""
        if scripts not in self._templates:
            self._templates[scripts] = self._create("template1")
            with self.connect(self._templates[scripts]) as connection:
                for script in scripts:
                    connection.execute(script.encode())
        return self._create(self._templates[scripts])

    def _create(self, template: str) -> str:
        self._count += 1
        name = f"shop_{self._count}"
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        return name
