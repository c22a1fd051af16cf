"""What each driver needs to be driven: how a transaction is opened, how SQL is run, where an SQLSTATE is found."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

from .. import _native
from .._guard import Transaction


class Driver(NamedTuple):
    """A database of the application's."""

    dialect: str
    """Its SQL."""
    placeholders: str
    """How it writes placeholders."""
    asynchronous: bool
    """True if its transactions need an event loop."""
    takes_functions: bool
    """True if `def` functions can use its transactions."""
    transaction: Callable[[], Transaction]
    """A transaction to be opened."""


def isolation(begin: str) -> str:
    """The isolation level of the statement that opens a transaction, for drivers that open it by themselves."""
    return begin.removeprefix("BEGIN ISOLATION LEVEL ")


def of(database: object) -> Driver:
    """The driver of a database object. A library that nobody has imported cannot have made it, so none is imported."""
    if "asyncpg" in sys.modules:
        from . import _asyncpg

        if (driver := _asyncpg.driver(database)) is not None:
            return driver
    if "sqlalchemy" in sys.modules:
        from . import _sqlalchemy

        if (driver := _sqlalchemy.driver(database)) is not None:
            return driver
    known = "async_sessionmaker, AsyncEngine, sessionmaker or Engine of SQLAlchemy 2, or a pool of asyncpg, or a function that answers it"
    raise _native.invalid("database", f"{type(database).__name__} is not one of {known}")
