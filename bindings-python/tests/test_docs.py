"""Every example in a docstring runs, and every public object has one. Awaiting works in them as in `python -m asyncio`."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import inspect
import io
import json
import sqlite3
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
import signoff
import signoff.fastapi
import signoff.mcp
import signoff.sync
from fastapi import Request
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from support.shop import SECRET

CONTRACT = {
    "version": 1,
    "mode": "review",
    "result_format": 2,
    "sources": {
        "billing": {
            "engine": "sqlite",
            "read_url_env": "BILLING_URL",
            "write_url_env": "BILLING_URL",
            "signoff": {"create_receipts": True},
        }
    },
    "trusted_context": {
        "provider": "environment",
        "values": {"tenant_id_env": "SIGNOFF_TENANT_ID", "principal_env": "SIGNOFF_PRINCIPAL"},
    },
    "capabilities": [
        {
            "name": name,
            "kind": kind,
            "description": "Invoices.",
            "source": "billing",
            "target": {"schema": "main", "table": "invoices", "primary_key": "id", "tenant_key": "tenant_id"},
            "args": {"invoice_id": {"type": "string", "max_length": 128}, **arguments},
            "lookup": {"id_from_arg": "invoice_id"},
            "visible_columns": ["id", "status", "late_fee_cents", "waiver_reason", "updated_at"],
            **more,
        }
        for name, kind, arguments, more in [
            ("billing.inspect", "read", {}, {}),
            (
                "billing.propose_waiver",
                "proposal",
                {"reason": {"type": "string", "max_length": 500}},
                {
                    "patch": {"late_fee_cents": {"fixed": 0}, "waiver_reason": {"from_arg": "reason"}},
                    "allowed_columns": ["late_fee_cents", "waiver_reason"],
                    "conflict_guard": {"column": "updated_at"},
                    "approval": {"mode": "human", "required_role": "billing_lead"},
                },
            ),
        ]
    ],
}
ROWS = """
CREATE TABLE invoices (id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, status TEXT, late_fee_cents INTEGER, waiver_reason TEXT,
  updated_at TEXT NOT NULL);
INSERT INTO invoices VALUES ('INV-1', 'acme', 'overdue', 5500, NULL, '2026-06-20T14:31:08Z');
"""


def members(owner: str, of: Any) -> Iterator[tuple[str, Any]]:
    yield owner, of
    if inspect.isclass(of):
        for inner, method in vars(of).items():
            if isinstance(method, (classmethod, staticmethod)):
                method = method.__func__
            if isinstance(method, property):
                method = method.fget
            if inspect.isroutine(method) and not inner.startswith("_") and inner not in ("count", "index"):
                yield f"{owner}.{inner}", method


def public() -> Iterator[tuple[str, Any]]:
    modules: list[ModuleType] = [signoff, signoff.fastapi, signoff.mcp, signoff.sync]
    for module in modules:
        for name in module.__all__:
            member = getattr(module, name)
            if inspect.isclass(member) or inspect.isroutine(member):
                yield from members(f"{module.__name__}.{name}", member)


# Plain values: what they are is all there is to say, and the calls that answer them have the examples.
PLAIN = """ColumnValue Target Job WritebackHandler.action ReadAnswer DiffLine Proposal Event Decision Receipt ProposalRecord
  RowConflict ApplyResult Evidence Replay Verification ProposalSummary ReplaySummary EvidenceSummary QueryAudit Activity
  Filters ToolScope.read ToolScope.propose sync.ToolScope.read sync.ToolScope.propose"""
NO_EXAMPLE = {f"signoff.{name}" for name in PLAIN.split()}


class Examples:
    """Runs the examples of one docstring in a folder with a contract, a source and an open session."""

    def __init__(self, folder: Path, names: dict[str, Any]) -> None:
        (folder / "signoff.json").write_text(json.dumps(CONTRACT))
        with contextlib.closing(sqlite3.connect(folder / "billing.db")) as file:
            file.executescript(ROWS)
        self.names = names
        self.loop = asyncio.new_event_loop()
        self.checker = doctest.OutputChecker()

    def run(self, test: doctest.DocTest) -> None:
        for example in test.examples:
            out = io.StringIO()
            try:
                with contextlib.redirect_stdout(out):
                    self.one(example.source)
                said = out.getvalue()
            except Exception as error:
                if example.exc_msg is None:
                    raise
                said, want = traceback.format_exception_only(error)[-1], example.exc_msg
            else:
                want = example.want
            same = self.checker.check_output(want, said, doctest.ELLIPSIS)
            assert same if want else not said, f"{test.name}: {example.source}\nwanted: {want}\nsaid: {said}"

    def one(self, source: str) -> None:
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        result = FunctionType(compile(source, "<example>", "single", flags), self.names)()
        if inspect.iscoroutine(result):
            self.loop.run_until_complete(result)

    def close(self) -> None:
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


@pytest.mark.parametrize(("name", "member"), list(public()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_public_object_says_what_it_does_and_its_example_runs(
    name: str, member: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert inspect.getdoc(member), name
    handler = signoff.WritebackHandler(
        database=async_sessionmaker(create_async_engine("postgresql+asyncpg://app@localhost/billing")), secrets=SECRET
    )
    names = {"signoff": signoff, "handler": handler, "Request": Request}
    # By object and not by module: these say that they are of `signoff`, and doctest would not find them where they are.
    tests = doctest.DocTestFinder(recurse=False).find(member, name, globs=names)
    assert (sum(len(test.examples) for test in tests) > 0) == (name not in NO_EXAMPLE), (
        "an example, or a reason for none"
    )
    if name in NO_EXAMPLE:
        return
    monkeypatch.chdir(tmp_path)
    for variable, value in {
        "BILLING_URL": "billing.db",
        "SIGNOFF_TENANT_ID": "acme",
        "SIGNOFF_PRINCIPAL": "support_agent",
    }.items():
        monkeypatch.setenv(variable, value)
    examples = Examples(tmp_path, names)
    with signoff.sync.open("signoff.json", ledger="ledger.db", create=True) as so:
        names["so"] = so if name.startswith("signoff.sync.") else signoff.Signoff(so._connection)
        for test in tests:
            examples.run(test)
    examples.close()


@pytest.mark.parametrize("module", [signoff.fastapi, signoff.sync], ids=lambda module: module.__name__)
def test_the_module_example_runs(module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = signoff.WritebackHandler(
        database=create_async_engine("postgresql+asyncpg://app@localhost/billing"), secrets=SECRET
    )
    monkeypatch.chdir(tmp_path)
    for variable, value in {"BILLING_URL": "billing.db", "SIGNOFF_TENANT_ID": "acme", "SIGNOFF_PRINCIPAL": "a"}.items():
        monkeypatch.setenv(variable, value)
    examples = Examples(tmp_path, {"signoff": signoff, "handler": handler})
    signoff.sync.open("signoff.json", ledger="ledger.db", create=True).close()
    tests = doctest.DocTestFinder(recurse=False).find(module, globs={})
    assert sum(len(test.examples) for test in tests) >= 2
    for test in tests:
        examples.run(test)
    examples.close()
