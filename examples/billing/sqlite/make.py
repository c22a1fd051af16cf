"""Makes the billing application's database: `python make.py billing.db`."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

SCHEMA = Path(__file__).with_name("schema.sql")


def make(path: str | Path) -> None:
    """Three overdue invoices of two tenants, and a trigger that counts what really lands."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript(SCHEMA.read_text())


if __name__ == "__main__":
    make(sys.argv[1])
