"""A contract, and what is to be said of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import _native
from ._connection import value_of
from ._words import Kind, Severity


@dataclass(frozen=True)
class Diagnostic:
    """A finding in a contract.

    Example:
        >>> import signoff
        >>> [finding] = signoff.Contract.parse("{").diagnostics
        >>> finding.severity, finding.line, str(finding).split(": ")[0]
        (<Severity.ERROR: 'error'>, 1, '1:1')
    """

    __module__ = "signoff"

    code: str
    """The stable code."""
    severity: Severity
    """Error or warning."""
    pointer: str
    """The place as a JSON pointer (RFC 6901); of a missing member, the pointer that it would have."""
    line: int
    """The line, from 1; of a missing member, that of its parent."""
    column: int
    """The column in characters, from 1."""
    message: str
    """What is wrong."""
    help: str | None
    """What to do."""

    def __str__(self) -> str:
        more = f"; {self.help}" if self.help else ""
        place = self.pointer or "the document"
        return f"{self.line}:{self.column}: {self.severity} {self.code} at {place}: {self.message}{more}"

    @classmethod
    def _of(cls, it: Any) -> Diagnostic:
        plain = {name: it[name] for name in ("code", "pointer", "line", "column", "message")}
        return cls(severity=Severity(it["severity"]), help=it.get("help"), **plain)


@dataclass(frozen=True)
class Contract:
    """A reviewed contract: what agents may read and propose, and who decides. Make it with `load` or `parse`.

    One that cannot be used is a `Contract` as well, with its `diagnostics`.

    Example:
        >>> import signoff
        >>> contract = signoff.Contract.load("signoff.json")
        >>> contract.valid, contract.mode, dict(contract.capabilities)["billing.propose_waiver"].value
        (True, 'review', 'proposal')
    """

    __module__ = "signoff"

    text: str = field(repr=False)
    """Its text."""
    valid: bool
    """True if it can be used."""
    diagnostics: tuple[Diagnostic, ...]
    """The findings: warnings only, if it is valid."""
    mode: str | None = None
    """Its mode, such as `review`; None if it is not valid."""
    capabilities: Mapping[str, Kind] = field(default_factory=dict[str, Kind])
    """Its capabilities by name."""
    sources: tuple[str, ...] = ()
    """The names of its sources."""
    executors: tuple[str, ...] = ()
    """The names of its executors."""
    path: str | None = None
    """The path of its file, if it was loaded from one."""

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Contract:
        """Reads and validates the contract in a file. Blocks for the time of a read.

        Raises:
            SignoffError: `CONFIG_NOT_FOUND`, `FILE_UNREADABLE`. That it is not valid is an answer.

        Example:
            >>> import signoff
            >>> signoff.Contract.load("signoff.json").sources
            ('billing',)
        """
        place = os.fspath(path)
        return cls._of(_native.check_contract(place, None), place)

    @classmethod
    def parse(cls, text: str) -> Contract:
        """Validates a text. It does no I/O.

        Example:
            >>> import signoff
            >>> signoff.Contract.parse('{"version": 1}').valid
            False
        """
        return cls._of(_native.check_contract(None, text), None)

    @classmethod
    def validate(cls, config: str | os.PathLike[str] | Contract) -> tuple[Diagnostic, ...]:
        """The findings in the contract at a path: none, if there is nothing to say.

        Raises:
            SignoffError: `CONFIG_NOT_FOUND`, `FILE_UNREADABLE`.

        Example:
            >>> import signoff
            >>> signoff.Contract.validate("signoff.json")
            ()
        """
        return (config if isinstance(config, Contract) else cls.load(config)).diagnostics

    @classmethod
    def _of(cls, answer: str, path: str | None) -> Contract:
        it = value_of(answer)
        return cls(
            text=it["text"],
            valid=it["valid"],
            diagnostics=tuple(Diagnostic._of(one) for one in it["diagnostics"]),
            mode=it.get("mode"),
            capabilities={one["name"]: Kind(one["kind"]) for one in it.get("capabilities", ())},
            sources=tuple(it.get("sources", ())),
            executors=tuple(it.get("executors", ())),
            path=path,
        )
