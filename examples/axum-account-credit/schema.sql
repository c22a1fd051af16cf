-- The billing application's tables, as far as this example needs them.
CREATE TABLE invoices (
  id text PRIMARY KEY,
  tenant_id text NOT NULL,
  customer_id text NOT NULL,
  status text NOT NULL,
  balance_cents integer NOT NULL,
  credit_requested_cents integer NOT NULL DEFAULT 0,
  credit_reason text,
  credited_cents integer NOT NULL DEFAULT 0,
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE account_credits (
  id text PRIMARY KEY,
  tenant_id text NOT NULL,
  invoice_id text NOT NULL REFERENCES invoices (id),
  customer_id text NOT NULL,
  amount_cents integer NOT NULL CHECK (amount_cents > 0),
  reason text NOT NULL,
  idempotency_key text NOT NULL UNIQUE,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO invoices (id, tenant_id, customer_id, status, balance_cents, updated_at) VALUES
  ('INV-3001', 'acme', 'cust_acme_1', 'overdue', 25500, '2026-06-20T14:31:08Z'),
  ('INV-9001', 'globex', 'cust_globex_1', 'overdue', 25500, '2026-06-20T14:31:08Z');

-- What `signoff handler migration --dialect postgres` prints.
CREATE SCHEMA IF NOT EXISTS "public";
CREATE TABLE IF NOT EXISTS "public"."synapsor_handler_receipts" (tenant_id text NOT NULL, idempotency_key text NOT NULL, job_id text NOT NULL, proposal_id text NOT NULL, status text NOT NULL, fingerprint text, receipt_json text, result_hash text, created_at timestamptz NOT NULL, completed_at timestamptz, PRIMARY KEY (tenant_id, idempotency_key));
