// The application of the tests: invoices, credits, and a table that only a trigger writes to, which counts the effects.
import { receiptsDdl } from 'signoff';

import { database } from './postgres.mjs';

const TABLES = `
  CREATE TABLE invoices (id text PRIMARY KEY, tenant_id text NOT NULL, status text, note text, updated_at timestamptz NOT NULL);
  INSERT INTO invoices VALUES
    ('INV-3001', 'acme', 'overdue', 'private', '2026-06-20 14:31:08.000300+00'),
    ('INV-9001', 'globex', 'overdue', 'private', '2026-06-20 14:31:08.000300+00');
  CREATE TABLE account_credits (n bigint GENERATED ALWAYS AS IDENTITY, invoice_id text, amount_cents bigint);
  CREATE TABLE effects (n bigint GENERATED ALWAYS AS IDENTITY, invoice_id text);
  CREATE FUNCTION count_effect() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
    $$ BEGIN INSERT INTO public.effects (invoice_id) VALUES (NEW.invoice_id); RETURN NEW; END $$;
  CREATE TRIGGER a_count AFTER INSERT ON account_credits FOR EACH ROW EXECUTE FUNCTION count_effect();
  DO $$ BEGIN CREATE ROLE app LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
  GRANT SELECT (id, tenant_id, status, updated_at), UPDATE (status) ON invoices TO app;
  GRANT INSERT ON account_credits TO app;`;

/** A database with all of that, ended with the test. */
export async function shop(t) {
  const made = await database(t, TABLES, ...receiptsDdl('postgres', { role: 'app' }));
  const count = (table) => async () => Number((await made.sql(`SELECT count(*) AS n FROM ${table}`))[0].n);
  return {
    ...made,
    effects: count('effects'),
    receipts: () => made.sql('SELECT tenant_id, idempotency_key, status FROM synapsor_handler_receipts ORDER BY 1, 2'),
  };
}

/** What the author of the account credit writes: nothing of it touches the row's version. */
export async function credit(job, client) {
  await client.query('INSERT INTO account_credits (invoice_id, amount_cents) VALUES ($1, $2)', [job.objectId, job.patch.credit_requested_cents]);
}

export const INVOICES = { table: 'public.invoices', key: 'id', tenant: 'tenant_id', version: 'updated_at' };
