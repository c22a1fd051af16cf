// Guarded writebacks beside the same written by hand (signature, claim, lock, effect, receipt), and beside the effect alone.
import pg from 'pg';
import { applied, createWritebackHandler, receiptsDdl } from 'signoff';
import { pgDatabase } from 'signoff/pg';

import { request, SECRET, signed, VERSION } from '../test/support/requests.mjs';
import { median, row } from './measure.mjs';
import { checked } from './verify.mjs';

const ROUNDS = 7;

/** Measures on a server that listens at this socket. */
export async function writebacks(host) {
  const admin = new pg.Client({ host, user: 'postgres', database: 'postgres' });
  await admin.connect();
  await admin.query('CREATE DATABASE bench');
  await admin.end();
  const pool = new pg.Pool({ host, user: 'postgres', database: 'bench', max: 16 });
  // The server may be stopped before the last connection has said goodbye.
  pool.on('error', () => {});
  await pool.query(`CREATE TABLE invoices (id text PRIMARY KEY, tenant_id text NOT NULL, updated_at timestamptz NOT NULL);
    INSERT INTO invoices SELECT 'INV-' || n, 'acme', '${VERSION}' FROM generate_series(0, 999) AS n;
    CREATE TABLE account_credits (n bigint GENERATED ALWAYS AS IDENTITY, invoice_id text, amount_cents bigint);`);
  for (const statement of receiptsDdl('postgres')) await pool.query(statement);

  const credit = (client, id) => client.query('INSERT INTO account_credits (invoice_id, amount_cents) VALUES ($1, $2)', [id, 500]);
  const handlerWith = (options) => createWritebackHandler({
    database: pgDatabase(pool, options),
    secrets: SECRET,
    audience: 'billing-app',
    actions: {
      'billing.credit': {
        table: 'public.invoices', key: 'id', tenant: 'tenant_id', version: 'updated_at',
        effect: async (job, client) => {
          await credit(client, job.objectId);
          return applied(1);
        },
      },
    },
  });
  const through = (handler) => async ({ body, headers }) => {
    const answer = await handler.handle({ body, headers });
    if (answer.status !== 200 || !answer.body.includes('"status":"applied"')) throw new Error(answer.body);
  };
  const ways = {
    ours: through(handlerWith({})),
    prepared: through(handlerWith({ prepare: true })),
    guarded: ({ body, headers }) => transaction(pool, (client) => byHand(client, checked(body, headers), credit, false)),
    guardedPrepared: ({ body, headers }) => transaction(pool, (client) => byHand(client, checked(body, headers), credit, true)),
    unguarded: ({ document }) => transaction(pool, (client) => credit(client, document.target.primary_key.value)),
  };
  for (const [inFlight, each] of [[1, 150], [16, 800]]) {
    const rates = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
    for (let round = 0; round <= ROUNDS; round += 1) {
      for (const [name, run] of Object.entries(ways)) {
        const rate = await perSecond(run, requests(each), inFlight);
        // The first round warms up.
        if (round > 0) rates[name].push(rate);
      }
    }
    const rate = Object.fromEntries(Object.entries(rates).map(([name, all]) => [name, median(all)]));
    // The median of the rounds' ratios: other work on the machine hits both sides of a round alike.
    const times = (ours, other) => median(rates[ours].map((one, round) => one / rates[other][round]));
    const compare = (what, ours, label, other, goal = '') => row(`Node: ${what}, ${inFlight} in flight`,
      `${rate[ours].toFixed(0)} /s`, `${label} ${rate[other].toFixed(0)} /s`, `${times(ours, other).toFixed(2)} ×${goal}`);
    compare('guarded writebacks on Postgres', 'ours', 'guarded by hand', 'guarded', ', goal ≥ 0.85');
    compare('the same with `prepare: true`', 'prepared', 'guarded by hand, prepared', 'guardedPrepared', ', goal ≥ 0.85');
    compare('guarded writebacks on Postgres', 'ours', 'unguarded', 'unguarded');
  }
  await pool.end();
}

let made = 0;

/** Requests of their own keys, for rows in turn: sixteen at once never wait for each other's row. */
function requests(count) {
  return Array.from({ length: count }, () => {
    made += 1;
    const members = {
      idempotency_key: `wrp_${made}:INV-${made % 1_000}`, proposal_id: `wrp_${made}`,
      target: { schema: 'public', table: 'invoices', primary_key: { column: 'id', value: `INV-${made % 1_000}` } },
    };
    return { ...signed(members), document: request(members) };
  });
}

async function perSecond(run, all, inFlight) {
  const begun = process.hrtime.bigint();
  const left = all[Symbol.iterator]();
  await Promise.all(Array.from({ length: inFlight }, async () => {
    for (const one of left) await run(one);
  }));
  return all.length / (Number(process.hrtime.bigint() - begun) / 1e9);
}

async function transaction(pool, work) {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    await work(client);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK');
    throw error;
  } finally {
    client.release();
  }
}

/** Claim, lock, compare, effect, receipt: what the guard does, as one writes it for a table one knows. */
async function byHand(client, document, credit, prepared) {
  const query = (name, text, values) => client.query(prepared ? { name, text, values } : { text, values });
  const { idempotency_key: key, proposal_id: proposal, writeback_job_id: job, target, tenant_guard: tenant, guards } = document;
  const claimed = await query('claim',
    `INSERT INTO synapsor_handler_receipts (tenant_id, idempotency_key, job_id, proposal_id, status, fingerprint, created_at)
     VALUES ($1, $2, $3, $4, 'in_progress', $5, now()) ON CONFLICT DO NOTHING`,
    [tenant.value, key, job, proposal, document.proposal_hash]);
  if (claimed.rowCount !== 1) throw new Error('claimed');
  const locked = await query('lock',
    'SELECT id, tenant_id, updated_at = $3 AS same FROM invoices WHERE id = $1 AND tenant_id = $2 FOR NO KEY UPDATE',
    [target.primary_key.value, tenant.value, guards.expected_version.value]);
  const same = locked.rows.length === 1 && locked.rows[0].same;
  if (!same) throw new Error('conflict');
  await credit(client, target.primary_key.value);
  const receipt = JSON.stringify({ status: 'applied', rows_affected: 1, proposal_id: proposal, job_id: job, completed_at: new Date() });
  const finished = await query('finish',
    `UPDATE synapsor_handler_receipts SET status = 'applied', receipt_json = $3, completed_at = now()
      WHERE tenant_id = $1 AND idempotency_key = $2 AND status = 'in_progress'`,
    [tenant.value, key, receipt]);
  if (finished.rowCount !== 1) throw new Error('lost');
}
