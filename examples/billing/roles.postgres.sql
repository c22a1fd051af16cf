-- Who may do what. Give both a password of your own (\password billing_reader). What the writer needs on the receipts
-- table, `signoff writeback grants` prints.
-- Before Postgres 15 everybody may make tables and functions there.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

CREATE ROLE billing_reader LOGIN;
GRANT USAGE ON SCHEMA public TO billing_reader;
GRANT SELECT ON tenants, customers, invoices, account_credits TO billing_reader;

CREATE ROLE billing_writer LOGIN;
GRANT USAGE ON SCHEMA public TO billing_writer;
GRANT SELECT ON tenants, customers, invoices, account_credits TO billing_writer;
GRANT UPDATE (late_fee_cents, waiver_reason, credit_requested_cents, credit_reason, credited_cents, updated_at)
  ON invoices TO billing_writer;
GRANT INSERT ON account_credits TO billing_writer;
