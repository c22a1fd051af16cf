"""The wheel in an empty environment: what the first page says runs there. And the types that it ships."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.shop import ROOT
from test_readme import lines

SQL = re.compile(r'sqlite3 billing\.db "(.*?)"\n', re.DOTALL)
MOST_BYTES = 12 * 1024 * 1024


@pytest.fixture
def built() -> Path:
    folder = Path(os.environ.get("SIGNOFF_DIST", "/nowhere"))
    if not (found := list(folder.glob("*.whl"))):
        reason = "SIGNOFF_DIST names no folder with a wheel (make wheel)"
        assert "SIGNOFF_REQUIRE_ALL" not in os.environ, reason
        pytest.skip(reason)
    return found[0]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The folder that the first page sets up."""
    page = (ROOT / "README.md").read_text()
    [sql] = SQL.findall(page)
    file = sqlite3.connect(tmp_path / "billing.db")
    file.executescript(sql)
    file.close()
    contract = json.loads(page.split("```json\n", 1)[1].split("```", 1)[0])
    # Instead of `signoff writeback migrate`, which needs the program.
    contract["sources"]["billing"]["signoff"] = {"create_receipts": True}
    (tmp_path / "signoff.json").write_text(json.dumps(contract))
    code = lines("README.md", "# agent.py\n")
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    (tmp_path / "agent.py").write_text(code)
    return tmp_path


def run(folder: Path, *command: object, **variables: str) -> str:
    env = {
        "PATH": os.environ["PATH"],
        "BILLING_APP_READ_URL": "billing.db",
        "BILLING_APP_WRITE_URL": "billing.db",
        **variables,
    }
    ran = subprocess.run([*map(str, command)], cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def landed(shop: Path, said: str) -> None:
    assert "DiffLine(column='late_fee_cents', before=5500, proposed=0)" in said and said.endswith("applied\n")
    file = sqlite3.connect(shop / "billing.db")
    assert file.execute("SELECT late_fee_cents, waiver_reason FROM invoices").fetchall() == [(0, "loyal customer")]
    file.close()


def test_the_lines_of_the_first_page_run(shop: Path) -> None:
    landed(shop, run(shop, sys.executable, "agent.py", PYTHONPATH=str(ROOT / "bindings-python" / "python")))


def test_the_wheel_installs_alone_and_runs_them(built: Path, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert re.fullmatch(r"signoff-[\d.]+-cp310-abi3-.+\.whl", built.name)
    names = zipfile.ZipFile(built).namelist()
    assert {"signoff/py.typed", "signoff/_native.pyi", "signoff/_native.abi3.so"} <= set(names)
    assert not [name for name in names if not name.startswith("signoff")]
    size = built.stat().st_size
    with capsys.disabled():
        print(f"\n{built.name}: {size / 1024 / 1024:.2f} MiB (at most 12)")
    assert size <= MOST_BYTES
    run(shop, sys.executable, "-m", "venv", "venv")
    python = shop / "venv" / "bin" / "python"
    run(shop, python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-index", "--no-deps", built)
    landed(shop, run(shop, python, "agent.py"))
    assert str(shop) in run(shop, python, "-c", "import signoff; print(signoff.__file__)")


def test_the_sdist_holds_what_it_is_built_from(built: Path, shop: Path) -> None:
    [sdist] = built.parent.glob("*.tar.gz")
    subprocess.run(["tar", "xzf", sdist, "-C", shop], check=True)
    [folder] = shop.glob("signoff-*")
    for name in ("Cargo.lock", "core/src/ffi/session.rs", "bindings-python/src/session.rs", "pyproject.toml"):
        assert (folder / name).is_file(), name
    assert not [*folder.rglob("*.so")]
    # Its workspace is smaller than ours, and still resolves with what the lock file pins.
    subprocess.run(
        ["cargo", "metadata", "--offline", "--format-version", "1"], cwd=folder, check=True, capture_output=True
    )
    if "SIGNOFF_FULL" in os.environ:
        run(shop, sys.executable, "-m", "venv", "venv")
        python = shop / "venv" / "bin" / "python"
        maturin = Path(sys.executable).with_name("maturin")
        command: list[str | Path] = [
            maturin,
            "build",
            "--quiet",
            "--out",
            shop / "dist",
            "-m",
            folder / "bindings-python" / "Cargo.toml",
        ]
        subprocess.run(command, check=True, env={**os.environ, "CARGO_TARGET_DIR": str(shop / "target")})
        [wheel] = (shop / "dist").glob("*.whl")
        run(shop, python, "-m", "pip", "install", "-q", "--no-index", "--no-deps", wheel)
        landed(shop, run(shop, python, "agent.py"))
