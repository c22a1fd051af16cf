"""The static review of the tools that an MCP server offers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from . import _native
from ._connection import value_of


def audit(manifest: str | Mapping[str, Any] | Sequence[Any], *, target: str = "manifest") -> dict[str, Any]:
    """Reviews the tools that an MCP server offers: what a model could do with them that it should not. It asks nobody.

    Args:
        manifest: the answer of `tools/list`, a manifest with `tools`, a client's configuration, or a contract of ours; as JSON
            text, or as what was read from it.
        target: what the report calls it.

    Returns:
        The report, as `signoff audit --format json` prints it: `target`, `summary` with `tools_inspected`, `high`, `medium`
        and `low`, and `findings`, the worst first, each with `severity`, `code`, `tool`, `message`, `evidence` and
        `recommendation`.

    Raises:
        SignoffError: `USAGE` for a text that is no JSON, or a manifest that JSON cannot hold.

    Example:
        >>> import signoff
        >>> tool = {"name": "execute_sql", "description": "Runs SQL.", "inputSchema": {"properties": {"sql": {}}}}
        >>> report = signoff.audit({"tools": [tool]})
        >>> report["summary"]["high"], report["findings"][0]["code"]
        (2, 'GENERIC_SQL_TOOL')
    """
    if not isinstance(manifest, str):
        try:
            manifest = json.dumps(manifest, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            raise _native.misuse(
                "a manifest is JSON text, or what can be written as JSON", "save what tools/list answers"
            ) from None
    report: dict[str, Any] = value_of(_native.audit(manifest, target), exact=False)
    return report
