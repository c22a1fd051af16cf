INSERT INTO tenants (id, name) VALUES ('acme', 'Acme'), ('globex', 'Globex');
INSERT INTO customers (id, tenant_id, name, plan) VALUES
  ('cust_acme_1', 'acme', 'Ada Jones', 'business'),
  ('cust_globex_1', 'globex', 'Gil Brown', 'basic');
INSERT INTO invoices (id, tenant_id, customer_id, status, balance_cents, late_fee_cents, updated_at) VALUES
  ('INV-3001', 'acme', 'cust_acme_1', 'overdue', 25500, 5500, '2026-06-20T14:31:08Z'),
  ('INV-9001', 'globex', 'cust_globex_1', 'overdue', 25500, 5500, '2026-06-20T14:31:08Z');
