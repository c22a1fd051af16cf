"""The lines of the guide to embedding run as they stand, one after the other."""

from __future__ import annotations

import ast
import asyncio
import re
import shutil
from pathlib import Path
from types import CodeType

import pytest
from support.shop import ROOT
from support.sqlite_billing import CONTRACT, Billing

GUIDE = ROOT / "core" / "docs" / "embedding.md"


def test_the_guide_to_embedding_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    billing = Billing(tmp_path)
    shutil.copy(CONTRACT, tmp_path / "signoff.json")
    for name, value in billing.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    page = GUIDE.read_text()
    blocks = list(re.finditer(r"```python\n(.*?)```", page, re.S))
    assert len(blocks) >= 7
    code = ""
    for one in blocks:
        # At its place in the page, so that an error names its line.
        code += "\n" * (page.count("\n", 0, one.start(1)) - code.count("\n")) + one[1]
    compiled: CodeType = compile(code, str(GUIDE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    async def run() -> None:
        await eval(compiled, {})

    asyncio.run(run())
    assert billing.effects() == [("INV-3001", 0)]
