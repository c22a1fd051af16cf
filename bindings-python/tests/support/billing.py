"""The billing application with the runtime inside: a source whose effects a trigger counts, a contract, and a ledger."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import signoff

from support.cluster import Cluster
from support.shop import BILLING, ROOT

READ = "billing.inspect_invoice"
WAIVE = "billing.propose_late_fee_waiver"
ALICE = signoff.Approver("alice", roles=["billing_lead"])
ACME = signoff.TrustedContext(tenant="acme", principal="support_agent")

TABLES = (ROOT / "cli" / "src" / "demo" / "billing.sql").read_text()
COUNTERS = """
DROP TRIGGER count_effects;
DROP TABLE effects;
CREATE TABLE effects (n INTEGER PRIMARY KEY, invoice_id TEXT NOT NULL);
CREATE TRIGGER count_effects AFTER UPDATE ON invoices WHEN old.late_fee_cents IS NOT new.late_fee_cents
BEGIN INSERT INTO effects (invoice_id) VALUES (new.id); END;
PRAGMA journal_mode = WAL;
"""
POSTGRES_COUNTERS = """
CREATE TABLE effects (n serial PRIMARY KEY, invoice_id text NOT NULL);
CREATE FUNCTION count_effect() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO public.effects (invoice_id) VALUES (NEW.id); RETURN NULL; END $$;
CREATE TRIGGER count_effects AFTER UPDATE ON invoices FOR EACH ROW
  WHEN (OLD.late_fee_cents IS DISTINCT FROM NEW.late_fee_cents) EXECUTE FUNCTION count_effect();
"""
INVOICES = """
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})
INSERT INTO invoices (id, tenant_id, customer_id, status, balance_cents, late_fee_cents, created_at, updated_at)
SELECT 'INV-' || n, 'acme', 'cust_acme_1', 'overdue', 25500, 5500, '2026-06-01T00:00:00Z', '2026-06-20T14:31:08Z'
FROM numbers;
"""
# The application's SQLite is another copy than ours, and in one process two copies end each other's locks (a POSIX lock goes
# when any descriptor of the file is closed): so the application is another process.
ELSEWHERE = """
import json, sqlite3, sys
sql = sys.stdin.read()
file = sqlite3.connect(sys.argv[1], timeout=30)
rows = file.execute(sql).fetchall() if sql.lstrip().startswith("SELECT") else file.executescript(sql) and []
file.commit()
file.close()
print(json.dumps(rows))
"""
HOLDER = """
import sqlite3, sys
file = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
file.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
file.execute("ROLLBACK")
"""
Change = Callable[[dict[str, Any]], None]


class Billing:
    """Everything that one test has of its own."""

    def __init__(
        self, folder: Path, *, cluster: Cluster | None = None, invoices: int = 1, change: Change | None = None
    ) -> None:
        self.folder, self.cluster = folder, cluster
        self.path, self.ledger = folder / "signoff.json", folder / "ledger.db"
        rows = INVOICES.format(count=invoices)
        if cluster is None:
            self.address = str(folder / "billing.db")
            self.rows(TABLES + COUNTERS + rows)
            self.contract = json.loads((ROOT / "tests/vectors/contracts/billing.sqlite.json").read_text())
        else:
            schema, seed = ((BILLING / f"{name}.postgres.sql").read_text() for name in ("schema", "seed"))
            database = cluster.database(schema, seed, POSTGRES_COUNTERS, rows)
            self.address = f"postgres://postgres@localhost/{database}?host={cluster.folder}"
            self.contract = json.loads((BILLING / "synapsor.runner.json").read_text())
        for source in self.contract["sources"].values():
            source["signoff"] = {"create_receipts": True}
        if change is not None:
            change(self.contract)
        self.path.write_text(json.dumps(self.contract))

    @property
    def env(self) -> dict[str, str]:
        return {
            "BILLING_APP_READ_URL": self.address,
            "BILLING_APP_WRITE_URL": self.address,
            "SYNAPSOR_TENANT_ID": "acme",
            "SYNAPSOR_PRINCIPAL": "support_agent",
        }

    @property
    def opening(self) -> dict[str, Any]:
        return {"config": self.path, "ledger": self.ledger, "create": True, "env": self.env}

    def open(self, **changes: Any) -> signoff.Signoff:
        return signoff.Signoff.open(**{**self.opening, **changes})

    def open_sync(self, **changes: Any) -> signoff.sync.Signoff:
        return signoff.sync.open(**{**self.opening, **changes})

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What the application's own database says."""
        if self.cluster is not None:
            import psycopg

            with psycopg.connect(self.address, autocommit=True) as server:
                cursor = server.execute(sql.encode())
                return cursor.fetchall() if cursor.description else []
        script = [sys.executable, "-c", ELSEWHERE, self.address]
        said = subprocess.run(script, input=sql, capture_output=True, text=True, check=True).stdout
        return [tuple(row) for row in json.loads(said)]

    @contextmanager
    def held(self) -> Iterator[None]:
        """The application holds the rows meanwhile: SQLite's write lock, or the invoice's."""
        if self.cluster is not None:
            import psycopg

            with psycopg.connect(self.address) as server:
                server.execute("SELECT 1 FROM invoices WHERE id = 'INV-1' FOR UPDATE")
                yield
                server.rollback()
            return
        with subprocess.Popen(
            [sys.executable, "-c", HOLDER, self.address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as holder:
            assert holder.stdin is not None and holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            yield
            holder.stdin.close()

    def effects(self, invoice: str = "INV-1") -> int:
        return len(self.rows(f"SELECT n FROM effects WHERE invoice_id = '{invoice}'"))


def waiver(n: int = 1, reason: str = "we were late") -> dict[str, str]:
    return {"invoice_id": f"INV-{n}", "reason": reason}
