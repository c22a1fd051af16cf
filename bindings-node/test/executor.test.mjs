// The whole loop, by the command line: the example is the handler that an approved change is sent to.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { database, skip } from './support/postgres.mjs';
import { SECRET } from './support/requests.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const example = here('../../examples/fastify-account-credit/');
const program = process.env.SIGNOFF_BIN;
const without = program ? skip : 'SIGNOFF_BIN is not set: run `make test-node`';
if (without && process.env.SIGNOFF_REQUIRE_ALL) throw new Error(without);

test('a change is proposed, approved and booked once', { skip: without }, async (t) => {
  const db = await database(t, readFileSync(join(example, 'schema.sql'), 'utf8'));
  const folder = mkdtempSync(join(tmpdir(), 'signoff-node-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const contract = JSON.parse(readFileSync(here('../../examples/billing/synapsor.runner.json'), 'utf8'));
  Object.assign(contract.executors.billing_app_handler, { signing_secret_env: 'BILLING_APP_HANDLER_SECRET', signoff: { audience: 'billing-app' } });
  writeFileSync(join(folder, 'signoff.json'), JSON.stringify(contract));

  const env = { ...process.env, PORT: '0', BILLING_APP_WRITE_URL: db.url('billing_writer'), BILLING_APP_HANDLER_SECRET: SECRET };
  const child = spawn(process.execPath, [join(example, 'app.mjs')], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(async () => {
    child.kill();
    await once(child, 'exit');
  });
  let url;
  for await (const line of createInterface({ input: child.stdout })) {
    url = /Server listening at (http:\/\/127\.0\.0\.1:\d+)/.exec(line)?.[1];
    if (url) break;
  }
  child.stdout.resume();

  const address = db.url().replace('@/', '@localhost/');
  const signoff = (...words) =>
    JSON.parse(
      execFileSync(program, ['--format', 'json', ...words], {
        cwd: folder,
        encoding: 'utf8',
        env: {
          BILLING_APP_READ_URL: address,
          BILLING_APP_WRITE_URL: address,
          BILLING_APP_HANDLER_URL: `${url}/signoff/writeback`,
          BILLING_APP_HANDLER_TOKEN: 'a-token',
          BILLING_APP_HANDLER_SECRET: SECRET,
          SYNAPSOR_TENANT_ID: 'acme',
          SYNAPSOR_PRINCIPAL: 'support_agent',
          USER: 'dana',
        },
      }),
    );
  const asked = { invoice_id: 'INV-3001', amount_cents: 500, reason: 'a courtesy' };
  signoff('propose', 'billing.propose_account_credit', '--json', JSON.stringify(asked));
  signoff('proposals', 'approve', 'latest', '--yes');
  assert.equal(signoff('apply', 'latest').status, 'applied');
  assert.equal(signoff('apply', 'latest').status, 'already_applied');
  const { receipt, details } = signoff('replay', 'show', 'latest').receipts[0];
  assert.deepEqual([receipt.status, receipt.rows_affected], ['applied', 2]);
  assert.deepEqual(details.handler.effects.map(({ kind }) => kind), ['db.insert', 'db.update', 'event']);
  assert.ok(signoff('doctor', '--check-handlers').ok);
  assert.deepEqual(await db.sql('SELECT count(*)::int, sum(amount_cents)::int FROM account_credits'), [{ count: 1, sum: 500 }]);
});
