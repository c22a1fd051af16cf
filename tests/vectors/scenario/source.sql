-- The application's own table. Its version moves with every change, and a trigger counts what was changed.
CREATE TABLE invoices (
  id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL,
  status TEXT NOT NULL,
  late_fee_cents INTEGER NOT NULL,
  waiver_reason TEXT,
  credit_cents INTEGER NOT NULL DEFAULT 0,
  note TEXT,
  version INTEGER NOT NULL DEFAULT 1
);
CREATE TABLE effects (n INTEGER PRIMARY KEY, invoice_id TEXT NOT NULL);
CREATE TRIGGER move_version AFTER UPDATE ON invoices WHEN new.version = old.version
BEGIN
  UPDATE invoices SET version = old.version + 1 WHERE id = new.id;
  INSERT INTO effects (invoice_id) VALUES (new.id);
END;
INSERT INTO invoices (id, tenant_id, status, late_fee_cents) VALUES
  ('INV-1', 'acme', 'open', 5500), ('INV-2', 'acme', 'open', 700), ('INV-3', 'acme', 'open', 900),
  ('INV-4', 'acme', 'open', 1100), ('INV-5', 'acme', 'open', 1300), ('INV-6', 'acme', 'open', 1500),
  ('INV-7', 'acme', 'open', 1700), ('INV-8', 'acme', 'disputed', 1900), ('INV-9', 'acme', 'open', 0),
  ('INV-X', 'globex', 'open', 2100);
