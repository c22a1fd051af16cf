CREATE TABLE tenants (id TEXT PRIMARY KEY, name TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE customers (id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenants (id), name TEXT NOT NULL, plan TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE invoices (
  id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenants (id), customer_id TEXT NOT NULL REFERENCES customers (id),
  status TEXT NOT NULL, balance_cents INTEGER NOT NULL, late_fee_cents INTEGER NOT NULL, waiver_reason TEXT,
  credit_requested_cents INTEGER NOT NULL DEFAULT 0, credit_reason TEXT, credited_cents INTEGER NOT NULL DEFAULT 0,
  created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE account_credits (
  id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, invoice_id TEXT NOT NULL REFERENCES invoices (id), customer_id TEXT NOT NULL,
  amount_cents INTEGER NOT NULL CHECK (amount_cents > 0), reason TEXT NOT NULL, idempotency_key TEXT NOT NULL UNIQUE,
  created_by TEXT NOT NULL, created_at TEXT NOT NULL
);
INSERT INTO tenants VALUES
  ('acme', 'Acme', '2026-06-01T00:00:00Z', '2026-06-01T00:00:00Z'), ('globex', 'Globex', '2026-06-01T00:00:00Z', '2026-06-01T00:00:00Z');
INSERT INTO customers VALUES
  ('cust_acme_1', 'acme', 'Ada Jones', 'business', '2026-06-01T00:00:00Z', '2026-06-01T00:00:00Z'),
  ('cust_globex_1', 'globex', 'Gil Brown', 'basic', '2026-06-01T00:00:00Z', '2026-06-01T00:00:00Z');
INSERT INTO invoices (id, tenant_id, customer_id, status, balance_cents, late_fee_cents, created_at, updated_at) VALUES
  ('INV-3001', 'acme', 'cust_acme_1', 'overdue', 25500, 5500, '2026-06-01T00:00:00Z', '2026-06-20T14:31:08Z'),
  ('INV-9001', 'globex', 'cust_globex_1', 'overdue', 25500, 5500, '2026-06-01T00:00:00Z', '2026-06-20T14:31:08Z');
-- Written by a trigger only: it counts what really landed, and Signoff never touches it.
CREATE TABLE effects (invoice_id TEXT NOT NULL, late_fee_cents INTEGER NOT NULL);
CREATE TRIGGER count_effects AFTER UPDATE OF late_fee_cents ON invoices BEGIN
  INSERT INTO effects VALUES (new.id, new.late_fee_cents);
END;
