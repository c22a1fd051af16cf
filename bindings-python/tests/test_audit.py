"""`signoff.audit`: the same review as the command line's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import signoff
import signoff.sync
from signoff import Code, SignoffError

EXAMPLES = Path(__file__).parents[2] / "examples"
DANGEROUS = (EXAMPLES / "raw-sql-vs-signoff" / "dangerous-db-mcp.json").read_text()


@pytest.mark.parametrize("audit", [signoff.audit, signoff.Signoff.audit, signoff.sync.Signoff.audit])
@pytest.mark.parametrize("manifest", [DANGEROUS, json.loads(DANGEROUS), json.loads(DANGEROUS)["tools"]])
def test_the_dangerous_example(audit: Any, manifest: Any) -> None:
    report = audit(manifest, target="dangerous-db-mcp")
    assert [report["summary"][name] for name in ("tools_inspected", "high", "medium", "low")] == [6, 15, 12, 12]
    assert (report["schema_version"], report["target"]) == ("synapsor.mcp-audit.v1", "dangerous-db-mcp")
    assert report["findings"][0]["severity"] == "HIGH"
    assert len(report["findings"]) == report["summary"]["total_findings"] == 39


def test_a_contract_of_ours_has_nothing_high() -> None:
    report = signoff.audit((EXAMPLES / "support-billing-agent" / "signoff.json").read_text())
    assert (report["summary"]["tools_inspected"], report["summary"]["high"], report["target"]) == (4, 0, "manifest")


def test_a_clients_servers_are_named_and_not_asked() -> None:
    report = signoff.audit({"mcpServers": {"db": {"command": "touch", "args": ["it-ran"], "env": {"KEY": "planted"}}}})
    assert [(one["server"], one["transport"]) for one in report["not_inspected"]] == [("db", "stdio")]
    assert "planted" not in json.dumps(report)


@pytest.mark.parametrize("manifest", ["{", "", {"tools": {object()}}, [float("nan")], 1 + 2j])
def test_what_is_no_json(manifest: Any) -> None:
    with pytest.raises(SignoffError) as refused:
        signoff.audit(manifest)
    assert refused.value.code == Code.USAGE
