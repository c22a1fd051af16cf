CREATE TABLE tickets (
  id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, customer_id TEXT NOT NULL, subject TEXT NOT NULL, status TEXT NOT NULL,
  resolution_note TEXT, updated_at TEXT NOT NULL
);
INSERT INTO tickets VALUES
  ('TCK-1001', 'acme', 'cust_acme_1', 'Please waive the late fee of INV-3001', 'open', NULL, '2026-06-21T09:00:00Z'),
  ('TCK-1002', 'acme', 'cust_acme_1', 'How do I change my plan?', 'needs_human', NULL, '2026-06-21T09:30:00Z'),
  ('TCK-9001', 'globex', 'cust_globex_1', 'Please waive the late fee of INV-9001', 'open', NULL, '2026-06-21T10:00:00Z');

-- Every change moves the version that the conflict guard compares.
CREATE TRIGGER moved AFTER UPDATE ON tickets WHEN old.updated_at = new.updated_at BEGIN
  UPDATE tickets SET updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = new.id;
END;
