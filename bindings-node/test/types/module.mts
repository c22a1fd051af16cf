// What the types allow and what they refuse, as an ES module sees them. Compiled, never run.
import Fastify from 'fastify';
import { Pool, type PoolClient } from 'pg';
import {
  applied, type ApplyStatus, audit, type AuditReport, Conflict, Contract, createWritebackHandler, type Database, type DiffLine, type EnvelopeV1, type EnvelopeV2, type Job, type LockedJob, type ProposalState, type ProposalSummary, receiptsDdl, Refused, type RowValue, sign, Signoff, type SignoffCode,
  SignoffError, type Tool, verify, type WritebackHandler,
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

const contract: Contract = await Contract.load('signoff.json');
const problems: readonly string[] = contract.diagnostics.map(({ code, line }) => `${code} ${line}`);
await using so = await Signoff.open(contract, { ledger: 'ledger.db', create: true, env: process.env, logger: console });
const context = { tenant: 'acme', principal: 'bot', roles: ['support'] } as const;
const { data } = await so.read('billing.inspect_invoice', { invoice_id: 'INV-1', many: [1, 2n, null, { deep: true }] }, { context });
const fee: RowValue | undefined = data['late_fee_cents'];
const proposed = await so.propose('billing.propose', '{}', { context });
const state: ProposalState = proposed.state;
const diff: readonly DiffLine[] = proposed.diff;
const seen = { hash: proposed.proposal_hash, version: proposed.proposal_version, approver: { id: 'dana', roles: ['billing_lead'] } };
await so.approve(proposed.proposal_id, seen);
await so.reject(proposed.proposal_id, { ...seen, reason: 'no' });
const how: ApplyStatus = (await so.apply(proposed.proposal_id, { dryRun: true, runner: 'web', leaseSeconds: 60 })).status;
for await (const one of so.proposals({ state: 'pending_review', pageSize: 50, from: new Date() })) {
  const summary: ProposalSummary = one;
  void summary;
}
for await (const { seq, kind } of so.events({ follow: true, after: 3, signal: AbortSignal.timeout(1) })) void [seq satisfies number, kind satisfies string];
const bundle: string = (await so.evidence('ev_1')).id;
const bundles: AsyncIterable<{ evidence_id: string }> = so.evidence({ tenant: 'acme' });
const two: EnvelopeV2 = await so.call('t', {}, { format: 2 });
const one: EnvelopeV1 = await so.call('t', {}, { format: 1 });
const tools: readonly Tool[] = await so.tools({ alias: 'openai' });
const schema = { type: 'object' };
await so.registerTool({ name: 'a', description: 'b', inputSchema: schema, kind: 'read', policyHint: 'auto' }, async (args: { n: string }, scope) => {
  // @ts-expect-error a tool neither decides nor applies
  void scope.apply;
  return { n: (await scope.read('x', { n: args.n })).data };
});
// @ts-expect-error the hash that was shown is needed
await so.approve('wrp_1', { version: 1, approver: { id: 'dana' } });
// @ts-expect-error the version that was shown is needed
await so.approve('wrp_1', { hash: 'x', approver: { id: 'dana' } });
// @ts-expect-error a rejection has a reason
await so.reject('wrp_1', seen);
// @ts-expect-error no such state
so.proposals({ state: 'open' });
// @ts-expect-error a Date is no argument
so.propose('x', { at: new Date() });
// @ts-expect-error who asks has a principal
so.read('x', {}, { context: { tenant: 'acme' } });
// @ts-expect-error nothing of an answer is written
proposed.state = 'applied';
// @ts-expect-error a session is opened
new Signoff();
// @ts-expect-error no such ending
if (how === 'aplied') throw how;
void [problems, fee, state, diff, bundle, bundles, two, one, tools];

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
const report: AuditReport = audit({ tools: [] }, { target: 'none' });
const worst: 'HIGH' | 'MEDIUM' | 'LOW' | undefined = Signoff.audit('[]').findings[0]?.severity;
// @ts-expect-error nothing of a report is written
report.target = 'x';
// @ts-expect-error a number is no manifest
audit(7);
void [statements, id, version, status, worst];
