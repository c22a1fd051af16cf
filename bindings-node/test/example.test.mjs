// The example and the README's lines, started as programs and called.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { receiptsDdl } from 'signoff';

import { database, skip } from './support/postgres.mjs';
import { SECRET, signed } from './support/requests.mjs';
import { shop } from './support/shop.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const example = here('../../examples/fastify-account-credit/');
const read = (path) => readFileSync(path, 'utf8');

/** Starts a program that logs as Fastify does; answers where it listens. */
async function started(t, file, env) {
  const child = spawn(process.execPath, [file], { env: { ...process.env, PORT: '0', ...env }, stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(async () => {
    child.kill();
    await once(child, 'exit');
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /Server listening at (http:\/\/127\.0\.0\.1:\d+)/.exec(line)?.[1];
    if (url) {
      child.stdout.resume();
      return url;
    }
  }
  throw new Error(`${file} ended before it listened`);
}

async function post(url, { body, headers }) {
  const response = await fetch(url, { method: 'POST', body, headers });
  return [response.status, await response.json()];
}

test('examples/fastify-account-credit books a credit once', { skip }, async (t) => {
  const schema = read(join(example, 'schema.sql'));
  assert.ok(receiptsDdl('postgres', { role: 'billing_writer' }).slice(1).every((statement) => schema.includes(statement) || statement.startsWith('GRANT USAGE')), 'the receipts of schema.sql are those of receiptsDdl');
  assert.ok(read(join(example, 'app.mjs')).trim().split('\n').length <= 40);
  const db = await database(t, schema);
  const url = await started(t, join(example, 'app.mjs'), { BILLING_APP_WRITE_URL: db.url('billing_writer'), BILLING_APP_HANDLER_SECRET: SECRET });
  assert.deepEqual(await (await fetch(`${url}/healthz`)).json(), { ok: true });

  const request = signed({
    action: 'billing.propose_account_credit',
    guards: { expected_version: { column: 'updated_at', value: '2026-06-20T14:31:08Z' } },
  });
  const [status, answer] = await post(`${url}/signoff/writeback`, request);
  assert.deepEqual([status, answer.status, answer.rows_affected], [200, 'applied', 2]);
  assert.deepEqual(answer.details.effects.map(({ kind }) => kind), ['db.insert', 'db.update', 'event']);
  assert.equal((await post(`${url}/signoff/writeback`, request))[1].status, 'already_applied');
  const stale = signed({ action: 'billing.propose_account_credit', idempotency_key: 'k2', guards: { expected_version: { column: 'updated_at', value: '2026-06-20T14:31:08Z' } } });
  assert.equal((await post(`${url}/signoff/writeback`, stale))[1].safe_error_code, 'VERSION_CONFLICT');
  assert.deepEqual(await db.sql('SELECT invoice_id, amount_cents, reason FROM account_credits'), [{ invoice_id: 'INV-3001', amount_cents: 500, reason: 'a courtesy' }]);
  assert.deepEqual(await db.sql("SELECT credited_cents, credit_requested_cents, updated_at > '2026-06-21' AS moved FROM invoices WHERE id = 'INV-3001'"), [{ credited_cents: 500, credit_requested_cents: 500, moved: true }]);
  // More than there is to credit: what the effect has done until then is undone.
  const [{ version }] = await db.sql("SELECT to_jsonb(updated_at) #>> '{}' AS version FROM invoices WHERE id = 'INV-3001'");
  const above = signed({ action: 'billing.propose_account_credit', idempotency_key: 'k3', patch: { credit_requested_cents: 99_999 }, guards: { expected_version: { column: 'updated_at', value: version } } });
  assert.equal((await post(`${url}/signoff/writeback`, above))[1].safe_error_code, 'CREDIT_ABOVE_BALANCE');
});

const lines = (path) => /```js\n(\/\/ app\.mjs\n[^]*?)```/.exec(read(here(path)))[1];

test('the lines of the README run as they stand', { skip }, async (t) => {
  const code = lines('../README.md');
  assert.equal(lines('../../README.md'), code, 'the first page shows the same lines');
  assert.ok(code.trim().split('\n').length <= 16, 'fifteen lines and their name');
  const folder = mkdtempSync(here('./readme-'));
  t.after(() => rmSync(folder, { recursive: true }));
  symlinkSync(join(example, 'node_modules'), join(folder, 'node_modules'));
  writeFileSync(join(folder, 'app.mjs'), code);
  const db = await shop(t);
  const url = await started(t, join(folder, 'app.mjs'), { DATABASE_URL: db.url('app'), SIGNOFF_SECRET: SECRET });
  const [status, answer] = await post(`${url}/signoff/writeback`, signed());
  assert.deepEqual([status, answer.status], [200, 'applied']);
  assert.equal(await db.effects(), 1);
  // What the package's page sends to it.
  const sending = /```js\n(const request = [^]*?)```/.exec(read(here('../README.md')))[1];
  await db.sql("UPDATE invoices SET updated_at = '2026-06-20T14:31:08Z'; DELETE FROM synapsor_handler_receipts");
  writeFileSync(join(folder, 'send.mjs'), `import { sign } from 'signoff';\n${sending.replace('http://localhost:8787', url)}`);
  const { stdout } = await promisify(execFile)(process.execPath, [join(folder, 'send.mjs')], { env: { ...process.env, SIGNOFF_SECRET: SECRET } });
  assert.match(stdout, /status: 'applied'/);
  assert.equal(await db.effects(), 2);
});
