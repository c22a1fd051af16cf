"""Every example in a docstring runs, and every public object has one."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import signoff
import signoff.fastapi
from fastapi import Request
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from support.shop import SECRET


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
NO_EXAMPLE = {"signoff.ColumnValue", "signoff.Target", "signoff.Job", "signoff.WritebackHandler.action"}


@pytest.mark.parametrize(("name", "member"), list(public()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_public_object_says_what_it_does_and_its_example_runs(name: str, member: Any) -> None:
    assert inspect.getdoc(member), name
    handler = signoff.WritebackHandler(
        database=async_sessionmaker(create_async_engine("postgresql+asyncpg://app@localhost/billing")), secrets=SECRET
    )
    names = {"signoff": signoff, "handler": handler, "Request": Request}
    # By object and not by module: these say that they are of `signoff`, and doctest would not find them where they are.
    tests = doctest.DocTestFinder(recurse=False).find(member, name, globs=names)
    examples = sum(len(test.examples) for test in tests)
    assert (examples > 0) == (name not in NO_EXAMPLE), f"{examples} examples"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    assert sum(runner.run(test).failed for test in tests) == 0


def test_the_module_example_of_fastapi_runs() -> None:
    handler = signoff.WritebackHandler(
        database=create_async_engine("postgresql+asyncpg://app@localhost/billing"), secrets=SECRET
    )
    tests = doctest.DocTestFinder(recurse=False).find(signoff.fastapi, globs={"signoff": signoff, "handler": handler})
    assert [len(test.examples) for test in tests] == [3]
    assert sum(doctest.DocTestRunner().run(test).failed for test in tests) == 0
