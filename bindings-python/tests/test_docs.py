"""Every example in a docstring runs, and every public object has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import signoff
import signoff.fastapi
from fastapi import Request
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from support.shop import SECRET

MODULES = [module.name for module in pkgutil.walk_packages(signoff.__path__, "signoff.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    handler = signoff.WritebackHandler(
        database=async_sessionmaker(create_async_engine("postgresql+asyncpg://app@localhost/billing")), secrets=SECRET
    )
    names = {"signoff": signoff, "handler": handler, "Request": Request}
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS, extraglobs=names)
    assert result.failed == 0


def public() -> Iterator[tuple[str, Any]]:
    modules: list[ModuleType] = [signoff, signoff.fastapi]
    for module in modules:
        for name in module.__all__:
            member = getattr(module, name)
            if inspect.isclass(member) or inspect.isroutine(member):
                yield f"{module.__name__}.{name}", member
            if inspect.isclass(member):
                for inner, method in vars(member).items():
                    if inspect.isroutine(method) and not inner.startswith("_") and inner not in ("count", "index"):
                        yield f"{module.__name__}.{name}.{inner}", method


# Plain values: what they are is all there is to say.
NO_EXAMPLE = {"signoff.ColumnValue", "signoff.Target", "signoff.Job"}


@pytest.mark.parametrize(("name", "member"), list(public()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_public_object_says_what_it_does_and_shows_it(name: str, member: Any) -> None:
    said = inspect.getdoc(member) or ""
    assert said, name
    assert name in NO_EXAMPLE or ">>>" in said or "Example: see" in said, f"{name} has no example"
