CREATE TABLE tenants (id TEXT PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO tenants VALUES ('acme', 'Acme'), ('globex', 'Globex');

CREATE TABLE customers (id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenants, name TEXT NOT NULL, plan TEXT NOT NULL);
INSERT INTO customers VALUES
  ('cust_acme_1', 'acme', 'Ada', 'business'),
  ('cust_globex_1', 'globex', 'Grace', 'starter');

CREATE TABLE invoices (
  id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenants, customer_id TEXT NOT NULL REFERENCES customers,
  status TEXT NOT NULL, balance_cents INTEGER NOT NULL, late_fee_cents INTEGER NOT NULL, waiver_reason TEXT, updated_at TEXT NOT NULL
);
INSERT INTO invoices VALUES
  ('INV-3001', 'acme', 'cust_acme_1', 'overdue', 25500, 5500, NULL, '2026-06-20T14:31:08Z'),
  ('INV-9001', 'globex', 'cust_globex_1', 'overdue', 25500, 5500, NULL, '2026-06-20T14:31:08Z');

-- Every change moves the version that the conflict guard compares.
CREATE TRIGGER moved AFTER UPDATE ON invoices WHEN old.updated_at = new.updated_at BEGIN
  UPDATE invoices SET updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = new.id;
END;
