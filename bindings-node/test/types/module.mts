// What the types allow and what they refuse, as an ES module sees them. Compiled, never run.
import Fastify from 'fastify';
import { Pool, type PoolClient } from 'pg';
import {
  applied, Conflict, createWritebackHandler, type Database, type Job, type LockedJob, receiptsDdl, Refused, sign, type SignoffCode,
  SignoffError, verify, type WritebackHandler,
} from 'signoff';
import { writebacks } from 'signoff/fastify';
import { pgDatabase } from 'signoff/pg';

const body = Buffer.from('{}');
const job: Job = verify(body, { 'webhook-id': 'k', 'x-many': ['a', 'b'], 'x-none': undefined }, ['a', 'b'], { now: new Date(), policy: 'compat' });
verify(new Uint8Array(), new Headers(), 'secret');
verify(body, ['webhook-id', 'k'], 'secret');
verify(body, new Map([['webhook-id', 'k']]), 'secret');
const headers: Record<string, string> = sign(body, 'secret', { key: 'k' });
const statements: string[] = receiptsDdl('postgres', { table: 'a.b', role: 'app' });
const id: string = job.objectId;
const version: number | null = job.proposalVersion;

// @ts-expect-error a body is bytes
verify('{}', headers, 'secret');
// @ts-expect-error no such policy
verify(body, headers, 'secret', { policy: 'lenient' });
// @ts-expect-error a Date, not a number
verify(body, headers, 'secret', { now: 7 });
// @ts-expect-error a variable may not be set
verify(body, headers, process.env['SECRET']);
// @ts-expect-error the key is not a guess
sign(body, 'secret');
// @ts-expect-error nothing of a job is written
job.objectId = 'x';

const database: Database<PoolClient> = pgDatabase(new Pool());
const handler: WritebackHandler = createWritebackHandler({
  database,
  secrets: 'secret',
  audience: 'billing-app',
  actions: {
    'billing.credit': {
      table: 'public.invoices', key: 'id', tenant: 'tenant_id', version: 'updated_at',
      async effect(locked, client) {
        // The types of both come from the database, and nothing has to be annotated.
        const typed: LockedJob = locked;
        const { rows } = await client.query<{ n: number }>('SELECT 1 AS n', [typed.row['id']]);
        if (rows[0]?.n === 2) throw new Conflict('CREDIT_LIMIT', { limit: 1 });
        if (rows[0]?.n === 3) return new Refused('ACCOUNT_CLOSED');
        return applied(1n, { newVersion: 2n ** 60n, effects: [{ kind: 'db.insert' }] });
      },
    },
  },
});
// @ts-expect-error an effect says what it did
createWritebackHandler({ database, secrets: 's', actions: { a: { table: 't', key: 'id', async effect() {} } } });
// @ts-expect-error an option that does not exist
createWritebackHandler({ database, secrets: 's', actions: {}, audiense: 'x' });
// @ts-expect-error not a driver of ours
createWritebackHandler({ database: new Pool(), secrets: 's', actions: {} });

const app = Fastify();
app.register(writebacks, { handler, path: '/writebacks', healthz: false, prefix: '/signoff' });
// @ts-expect-error a handler is needed
app.register(writebacks, { path: '/' });
const { status }: { status: number } = await handler.handle({ method: 'POST', headers: ['a', 'b'], body, logger: app.log });

try {
  verify(body, headers, 'secret');
} catch (error) {
  if (error instanceof SignoffError) {
    const code: SignoffCode = error.code;
    // @ts-expect-error no such code
    if (code === 'INVALID_SIGNATUR') throw error;
    const { retryable, context }: { retryable: boolean; context: Readonly<Record<string, string>> } = error;
    void [retryable, context];
  }
}
void [statements, id, version, status];
