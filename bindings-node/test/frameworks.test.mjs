// The example of the Vercel AI SDK, with a scripted stub of the SDK's own model interface: no key, no network.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { clerk } from '../../examples/vercel-ai-sdk/clerk.mjs';
import { scripted } from '../../examples/vercel-ai-sdk/stub.mjs';
import { approver, context, skip, workspace } from './support/workspace.mjs';

const [INSPECT, PROPOSE] = ['billing__inspect_invoice', 'billing__propose_late_fee_waiver'];
const INVOICES = 'SELECT id, late_fee_cents, waiver_reason, updated_at FROM invoices ORDER BY id';

async function run(so, script) {
  const model = scripted(script);
  const { text, steps } = await clerk(so, context, model, 'Please waive the fee.');
  const envelopes = steps.flatMap(({ toolResults }) => toolResults).map(({ output }) => output);
  return { text, envelopes, shown: model.doGenerateCalls[0].tools };
}

test('a call of the model is a proposal, and lands once when people say so', { skip }, async (t) => {
  const place = await workspace(t);
  const so = await place.open();
  const before = await place.sql(INVOICES);
  const told = await run(so, [[INSPECT, { invoice_id: 'INV-1' }], [PROPOSE, { invoice_id: 'INV-1', reason: 'late' }]]);
  const [inspected, { ok, proposal, source_database_changed: changed }] = told.envelopes;
  assert.deepEqual([inspected.data.late_fee_cents, inspected.proposal], [5500, null]);
  assert.deepEqual([ok, changed, proposal.state, proposal.writeback.applied], [true, false, 'pending_review', false]);
  assert.match(told.text, /Source database changed: no/);
  // Nothing is written before somebody else says so.
  assert.deepEqual([await place.sql(INVOICES), await place.effects('INV-1')], [before, 0]);
  const seen = await so.proposal(proposal.id);
  assert.deepEqual([seen.change_set.principal.id, seen.diff.map(({ proposed }) => proposed)], [context.principal, [0, 'late']]);
  await so.approve(proposal.id, { hash: seen.proposal_hash, version: seen.proposal_version, approver });
  assert.equal(await place.effects('INV-1'), 0);
  const applied = [await so.apply(proposal.id), await so.apply(proposal.id)];
  assert.deepEqual(applied.map(({ status }) => status), ['applied', 'already_applied']);
  assert.equal(await place.effects('INV-1'), 1);
});

test('the model is shown the contract, and nothing that decides', { skip }, async (t) => {
  const so = await (await workspace(t)).open();
  const { shown } = await run(so, [[INSPECT, { invoice_id: 'INV-1' }]]);
  const offered = await so.tools({ alias: 'openai' });
  assert.deepEqual(
    shown.map(({ name, description, inputSchema }) => ({ name, description, inputSchema })),
    offered.map(({ name, description, inputSchema }) => ({ name, description, inputSchema })),
  );
  assert.deepEqual(shown.map(({ name }) => name), [INSPECT, PROPOSE, 'billing__propose_account_credit']);
});

test('what a model makes up is refused in words for it', { skip }, async (t) => {
  const so = await (await workspace(t)).open();
  const { envelopes } = await run(so, [
    [INSPECT, { invoice_id: 'INV-9001' }],
    [PROPOSE, { invoice_id: 'INV-9001', reason: 'x', tenant_id: 'globex' }],
    [PROPOSE, { invoice_id: 'INV-1' }],
    [PROPOSE, { invoice_id: 'INV-1', reason: 'postgres://user:planted@host/db' }],
  ]);
  assert.deepEqual(envelopes.map(({ ok, error }) => [ok, error.code]), [
    [false, 'NOT_FOUND_IN_TENANT'], [false, 'INVALID_ARGUMENT'], [false, 'INVALID_ARGUMENT'], [false, 'POLICY_VIOLATION'],
  ]);
  assert.ok(!JSON.stringify(envelopes).includes('planted'));
  for await (const { proposal_id: id } of so.proposals()) assert.fail(id);
});

test('the program runs as its README says', { skip }, async (t) => {
  const place = await workspace(t);
  const program = fileURLToPath(new URL('../../examples/vercel-ai-sdk/clerk.mjs', import.meta.url));
  const env = { ...process.env, ...place.env, SIGNOFF_LOCAL_STORE: place.ledger };
  const { stdout } = await promisify(execFile)(process.execPath, [program], { env });
  assert.match(stdout, /^Created proposal wrp_.* INV-3001\. Source database changed: no\.\n$/);
  assert.equal(await place.effects('INV-3001'), 0);
});
