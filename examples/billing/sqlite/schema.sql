CREATE TABLE invoices (
  id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, status TEXT NOT NULL, balance_cents INTEGER NOT NULL,
  late_fee_cents INTEGER NOT NULL, waiver_reason TEXT, updated_at TEXT NOT NULL
);
INSERT INTO invoices VALUES
  ('INV-3001', 'acme', 'overdue', 25500, 5500, NULL, '2026-06-20T14:31:08Z'),
  ('INV-3002', 'acme', 'overdue', 12000, 2500, NULL, '2026-06-20T14:31:08Z'),
  ('INV-9001', 'globex', 'overdue', 25500, 5500, NULL, '2026-06-20T14:31:08Z');

-- Every change moves the version that the conflict guard compares.
CREATE TRIGGER moved AFTER UPDATE ON invoices WHEN old.updated_at = new.updated_at BEGIN
  UPDATE invoices SET updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = new.id;
END;

-- Written by a trigger only: it counts what really landed.
CREATE TABLE effects (invoice_id TEXT NOT NULL, late_fee_cents INTEGER NOT NULL);
CREATE TRIGGER count_effects AFTER UPDATE OF late_fee_cents ON invoices BEGIN
  INSERT INTO effects VALUES (new.id, new.late_fee_cents);
END;
