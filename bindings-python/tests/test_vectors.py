"""The vectors that every language runs (`tests/vectors/README.md`), through Python: the same verdicts, and all of them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
from datetime import datetime, timezone
from typing import Any

import pytest
import signoff
from signoff import _native
from support.shop import ROOT

VECTORS = ROOT / "tests" / "vectors"
# What no binding reaches: the guard below the handler, comparing versions, HMAC itself. Rust plays those.
NOT_HERE = {"guard", "version", "hmac"}
KEY = "wrp_1:INV-3001"


def read(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


MANIFEST = read("manifest")


def played(name: str, cases: list[Any]) -> list[Any]:
    assert len(cases) == MANIFEST[name]
    return cases


def padded(text: str, case: Any) -> str:
    if "pad_to" not in case:
        return text
    filling: int = case["pad_to"] - (len(text.encode()) - len("…".encode()))
    return text.replace("…", "x" * filling)


def body(file: Any, case: Any) -> bytes:
    if "body_base64" in case:
        return base64.b64decode(case["body_base64"])
    return padded(case.get("body", file.get("body")), case).encode()


def lines(case: Any) -> list[tuple[str, str]]:
    return [(name, value) for name, value in case.get("headers", [])]


def plain(value: Any) -> Any:
    """A job as JSON, as the vectors write it."""
    if isinstance(value, signoff.Job):
        return {name: plain(member) for name, member in vars(value).items() if name != "row"}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(member) for name, member in value._asdict().items()}
    if isinstance(value, dict):
        return {name: plain(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(member) for member in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int) and abs(value) < 2**53:
        return value
    return str(value)


ERRORS = {case["code"]: case for case in read("errors")["cases"]}


def outcome(expect: Any, call: Any) -> Any:
    """What a case came to, as it would write it."""
    try:
        value = call()
    except signoff.SignoffError as error:
        known = ERRORS[error.code]
        assert (error.response.status, error.retryable) == (known["response"]["status"], known["retryable"])
        if dict(error.context) == known["context"]:
            assert error.response.body.decode() == known["response"]["body"]
            assert [list(line) for line in error.response.headers] == known["response"]["headers"]
        return {"code": error.code}
    if isinstance(expect.get("ok"), dict):
        found = plain(value)
        return {"ok": {name: found.get(name) for name in expect["ok"]}}
    return {"ok": True}


def disagreements(cases: list[Any], call: Any) -> list[Any]:
    found = [(case["name"], case["expect"], outcome(case["expect"], lambda case=case: call(case))) for case in cases]
    return [(name, expect, came) for name, expect, came in found if expect != came]


def test_signatures() -> None:
    file = read("signature")

    def verify(case: Any) -> Any:
        now = datetime.fromisoformat(case.get("now", file["now"]).replace("Z", "+00:00"))
        return signoff.verify(body(file, case), lines(case), case["secrets"], now=now, policy=case["policy"])

    # Python's datetimes end at microseconds: those cases go to the native half as text.
    def exact(case: Any) -> Any:
        now = case.get("now", file["now"])
        return _native.verify(body(file, case), lines(case), case["secrets"], now, case["policy"])

    cases = played("signature", file["cases"])
    assert disagreements(cases, exact) == []
    assert disagreements([case for case in cases if len(case.get("now", "")) <= 20], verify) == []
    for case in played("signature.sign", file["sign"]):
        now = datetime.fromtimestamp(case["now_unix"], timezone.utc)
        signed = signoff.sign(case["body"].encode(), case["secret"], key=case["key"], now=now)
        for member in ("webhook_signature", "x_synapsor_signature"):
            assert case.get(member) in (None, signed[member.replace("_", "-")])


def accept(file: Any, case: Any) -> _native.Guard:
    content, key = body(file, case), case.get("key", KEY)
    try:
        signed = _native.sign(content, [file["secret"]], key, file["now"])
    except signoff.SignoffError:
        # Too large to be signed, which is not what its case is about.
        signed = {}
    own = lines(case)
    names = {name.lower() for name, _ in own}
    kept = [(name, value) for name, value in signed.items() if name not in names]
    handler = _native.Handler(json.dumps(case.get("config", file["config"])))
    return handler.accept(content, kept + own, file["now"])


def test_requests() -> None:
    file = read("request")
    assert disagreements(played("request", file["cases"]), lambda case: accept(file, case).job) == []


def test_configurations() -> None:
    cases = played("config", read("config")["cases"])
    assert disagreements(cases, lambda case: _native.Handler(json.dumps(case["config"]))) == []


def test_fingerprints() -> None:
    file = read("fingerprint")
    cases = played("fingerprint", file["cases"])
    for case in cases:
        fingerprint = accept(file, case).fingerprint
        assert fingerprint == case["fingerprint"], case["name"]
        assert (fingerprint == cases[0]["fingerprint"]) == case["same_as_first"]


def test_results_of_authors() -> None:
    file, guards = read("numbers"), read("fingerprint")

    def reply(result: str) -> None:
        accept(guards, guards["cases"][0]).reply(f'{{"author":{result}}}')

    for case in played("numbers.rows_affected", file["rows_affected"]):
        result = f'{{"status":"applied","rows_affected":{case["rows_affected"]}}}'
        came = outcome({}, lambda result=result: reply(result))
        assert came == ({"ok": True} if "ok" in case["expect"] else case["expect"]), case["name"]
    cases = played("numbers.results", file["results"])
    assert disagreements(cases, lambda case: reply(padded(case["result"], case))) == []


def told(step: Any) -> Any:
    """A step as JSON, as the vectors write it."""
    match step:
        case ("begin", sql, set):
            return {"step": "begin", "sql": sql, "set": set}
        case ("run", sql, params, rows):
            return {"step": "run", "sql": sql, "params": list(params), "rows": rows}
        case ("effect", row):
            return {"step": "effect", "row": plain(row)}
        case ("pause", ms):
            return {"step": "pause", "ms": ms}
        case (name,):
            return {"step": name}


def test_transcripts() -> None:
    file = read("handler")
    for case in played("handler", file["cases"]):
        guard = accept(file, case)
        steps = []
        for reply in case["replies"]:
            steps.append(told(guard.step))
            if set(reply) <= {"rows", "changed"}:
                guard.ran(reply.get("rows", []), reply.get("changed", 0))
            else:
                guard.reply(json.dumps(reply))
        assert steps == case["steps"], case["name"]
        name, response = guard.step  # type: ignore[misc]
        assert name == "done"
        assert isinstance(response, signoff.Response)
        found = {
            "status": response.status,
            "headers": [list(line) for line in response.headers],
            "body": response.body.decode(),
        }
        assert found == case["response"], case["name"]
        assert (guard.fault.code if guard.fault else None) == case["fault"], case["name"]


def test_every_file_is_played() -> None:
    here = {"signature", "signature.sign", "request", "config", "fingerprint", "handler", "errors"}
    numbers = {"numbers.rows_affected", "numbers.results"}
    assert set(MANIFEST) == here | numbers | NOT_HERE
    assert len(ERRORS) == MANIFEST["errors"]


def test_mutated_requests_get_the_recorded_verdicts() -> None:
    """The corpus that Rust makes of a seed; the digest says that every language decides alike."""
    program = os.environ.get("SIGNOFF_MUTANTS")
    if program is None:
        assert "SIGNOFF_REQUIRE_ALL" not in os.environ, "SIGNOFF_MUTANTS is not set: run `make test-python`"
        pytest.skip("SIGNOFF_MUTANTS is not set: run `make test-python`")
    recorded = read("mutants")
    count = max(map(int, recorded["digests"]))
    secret = read("signature")["cases"][0]["secrets"][0]
    digest = hashlib.sha256()
    command = [program, "corpus", str(count), str(recorded["seed"])]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as corpus:
        assert corpus.stdout is not None
        for line in corpus.stdout:
            case = json.loads(line)
            try:
                _native.verify(bytes.fromhex(case["body"]), lines(case), [secret], case["now"], case["policy"])
                verdict = "accepted -"
            except signoff.SignoffError as error:
                verdict = f"refused {error.code}"
            digest.update(f"{case['index']} {verdict}\n".encode())
    assert digest.hexdigest() == recorded["digests"][str(count)]
