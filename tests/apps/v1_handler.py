"""A handler as one writes it for Synapsor Runner v1: a bearer token, `sha256=` over the raw body, a receipt of v1. It
knows nothing of Signoff, and nothing but Python's own library.

    v1_handler.py serve DATABASE     an HTTP server; prints its port
    v1_handler.py once DATABASE      one request on standard input, one receipt on standard output
"""

import hashlib
import hmac
import json
import os
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def apply(database, request):
    key, patch = request["idempotency_key"], request["patch"]
    db = sqlite3.connect(database, timeout=30, isolation_level=None)
    try:
        db.execute("CREATE TABLE IF NOT EXISTS my_receipts (key TEXT PRIMARY KEY, receipt TEXT NOT NULL)")
        db.execute("BEGIN IMMEDIATE")
        known = db.execute("SELECT receipt FROM my_receipts WHERE key = ?", [key]).fetchone()
        if known:
            db.execute("ROLLBACK")
            return {**json.loads(known[0]), "status": "already_applied", "rows_affected": 0}
        version = request["guards"]["expected_version"]["value"]
        row = [request["target"]["primary_key"]["value"], request["tenant_guard"]["value"]]
        found = db.execute("SELECT updated_at FROM invoices WHERE id = ? AND tenant_id = ?", row).fetchone()
        if not found or found[0] != version:
            db.execute("ROLLBACK")
            return {"status": "conflict", "rows_affected": 0, "source_database_mutated": False,
                    "safe_error_code": "ROW_CHANGED_AFTER_PROPOSAL"}
        db.execute("UPDATE invoices SET late_fee_cents = ?, waiver_reason = ? WHERE id = ? AND tenant_id = ?",
                   [patch["late_fee_cents"], patch["waiver_reason"], *row])
        receipt = {"status": "applied", "rows_affected": 1, "source_database_mutated": True, "previous_version": version,
                   "new_object_id": "waiver-1", "details": {"effects": [{"kind": "db.update"}]}}
        db.execute("INSERT INTO my_receipts VALUES (?, ?)", [key, json.dumps(receipt)])
        db.execute("COMMIT")
        return receipt
    finally:
        db.close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["content-length"]))
        secret, token = os.environ["APP_SECRET"].encode(), os.environ["APP_TOKEN"]
        expected = "sha256=" + hmac.new(secret, raw, hashlib.sha256).hexdigest()
        if self.headers.get("authorization") != f"Bearer {token}":
            return self.answer(401, {"status": "failed", "safe_error_code": "UNAUTHORIZED"})
        if not hmac.compare_digest(self.headers.get("x-synapsor-signature", ""), expected):
            return self.answer(401, {"status": "failed", "safe_error_code": "INVALID_SIGNATURE"})
        request = json.loads(raw)
        assert request["protocol_version"] == "1.0" and request["schema_version"] == "synapsor.handler-writeback.v1"
        assert request["issued_at"] == self.headers["x-synapsor-issued-at"]
        assert request["proposal_id"] == self.headers["x-synapsor-proposal-id"]
        assert request["idempotency_key"] == self.headers["idempotency-key"]
        assert request["writeback_job_id"].startswith("hwb_") and request["approval"]["status"] == "approved"
        return self.answer(200, apply(sys.argv[2], request))

    def answer(self, status, receipt):
        body = json.dumps(receipt).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if sys.argv[1] == "once":
    print("on the way", file=sys.stderr)
    print(json.dumps(apply(sys.argv[2], json.loads(sys.stdin.readline()))))
else:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
