import { randomUUID } from 'node:crypto';
import Fastify from 'fastify';
import pg from 'pg';
import { applied, Conflict, createWritebackHandler } from 'signoff';
import { writebacks } from 'signoff/fastify';
import { pgDatabase } from 'signoff/pg';

const handler = createWritebackHandler({
  database: pgDatabase(new pg.Pool({ connectionString: process.env.BILLING_APP_WRITE_URL })),
  secrets: process.env.BILLING_APP_HANDLER_SECRET,
  audience: 'billing-app',
  actions: {
    'billing.propose_account_credit': {
      table: 'public.invoices', key: 'id', tenant: 'tenant_id', version: 'updated_at',
      allow: ['credit_requested_cents', 'credit_reason'],
      async effect(job, client) {
        const { credit_requested_cents: amount, credit_reason: reason } = job.patch;
        const { rows: [invoice] } = await client.query(
          `UPDATE invoices SET credited_cents = credited_cents + $2, credit_requested_cents = $2, credit_reason = $3, updated_at = now()
            WHERE id = $1 AND balance_cents >= credited_cents + $2 RETURNING customer_id`, [job.objectId, amount, reason]);
        if (!invoice) throw new Conflict('CREDIT_ABOVE_BALANCE');
        const credit = `cred_${randomUUID()}`;
        await client.query('INSERT INTO account_credits VALUES ($1, $2, $3, $4, $5, $6, $7, $8)',
          [credit, job.tenantId, job.objectId, invoice.customer_id, amount, reason, job.idempotencyKey, job.proposalId]);
        return applied(2, { effects: [
          { kind: 'db.insert', table: 'account_credits', id: credit },
          { kind: 'db.update', table: 'invoices', id: job.objectId },
          { kind: 'event', name: 'billing.account_credit_created' },
        ] });
      },
    },
  },
});

const app = Fastify({ logger: true });
app.register(writebacks, { handler });
await app.listen({ port: Number(process.env.PORT ?? 8787) });
