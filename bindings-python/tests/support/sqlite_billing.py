"""The SQLite billing application of the examples, in a folder of its own."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import make
import signoff
import signoff.sync

from .shop import BILLING

CONTRACT = BILLING / "sqlite" / "signoff.json"
WAIVE = "billing.propose_late_fee_waiver"
CLERK = signoff.TrustedContext(tenant="acme", principal="billing_clerk")
LEAD = signoff.Approver("dana", ["billing_lead"])


class Billing:
    """Two tenants' invoices, and what a trigger of the database counts: nothing of ours writes to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "billing.db"
        self.ledger = folder / "ledger.db"
        make.make(self.database)
        address = str(self.database)
        self.variables = {"BILLING_APP_READ_URL": address, "BILLING_APP_WRITE_URL": address}

    def open(self) -> signoff.Signoff:
        return signoff.Signoff.open(CONTRACT, self.ledger, create=True, env=self.variables)

    def open_sync(self) -> signoff.sync.Signoff:
        return signoff.sync.open(CONTRACT, self.ledger, create=True, env=self.variables)

    def rows(self, sql: str) -> list[Any]:
        with closing(sqlite3.connect(self.database)) as connection, connection:
            return connection.execute(sql).fetchall()

    def invoices(self) -> list[Any]:
        return self.rows("SELECT * FROM invoices ORDER BY id")

    def effects(self) -> list[Any]:
        return self.rows("SELECT * FROM effects")

    def approve(self, id: str) -> None:
        """Somebody else, elsewhere, approves what they see."""
        with self.open_sync() as so:
            seen = so.proposal(id)
            so.approve(id, hash=seen.hash, version=seen.version, approver=LEAD)

    def apply(self, id: str) -> str:
        """A worker applies it."""
        with self.open_sync() as so:
            return so.apply(id, runner="worker").status.value
