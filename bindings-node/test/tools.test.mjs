// Tools for agents: the contract's, and the application's own.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { SignoffError } from 'signoff';

import { context, READ, skip, WAIVE, workspace } from './support/workspace.mjs';

const invoice = { type: 'object', properties: { invoice_id: { type: 'string' } }, required: ['invoice_id'] };
const report = {
  name: 'billing.fee_report', description: 'What fees an invoice has.', kind: 'read', scope: [READ], policyHint: 'auto', inputSchema: invoice,
  outputSchema: { type: 'object', properties: { fees: { type: 'integer' }, note: { type: 'string' } }, required: ['fees'] },
};

async function opened(t) {
  const shop = await workspace(t, 2);
  const logged = [];
  const logger = { error: (fields, message) => logged.push({ ...fields, message }), warn: () => {} };
  return { shop, logged, so: await shop.open({ logger }) };
}

const failing = (promise, code) => assert.rejects(promise, (error) => {
  assert.ok(error instanceof SignoffError && error.code === code, error.stack);
  assert.match(error.stack.split('\n').find((line) => line.startsWith('    at ')), /tools\.test\.mjs/);
  return true;
});

test("the contract's tools answer with their envelope", { skip }, async (t) => {
  const { so } = await opened(t);
  const [first] = await so.tools({ alias: 'openai' });
  assert.deepEqual([first.name, first.canonicalName, first.kind, first.inputSchema.type], ['billing__inspect_invoice', READ, 'read', 'object']);
  assert.equal((await so.tools())[0].name, READ);
  const two = await so.call(first.name, '{"invoice_id":"INV-1"}', { context, format: 2 });
  assert.deepEqual([two.ok, two.data.late_fee_cents, two.error], [true, 5500, null]);
  assert.equal((await so.call(READ, { invoice_id: 'INV-1' }, { context, format: 1 })).status, 'ok');
  const proposal = await so.call(WAIVE, { invoice_id: 'INV-1', reason: 'r' }, { context });
  assert.equal(proposal.proposal.state, 'pending_review');
  const unknown = await so.call('billing.approve', {}, { context, format: 1 });
  assert.deepEqual([unknown.ok, unknown.code], [false, 'MCP_TOOL_NOT_FOUND']);
  assert.equal((await so.call(READ, 'no JSON', { context })).ok, false);
  assert.equal((await so.call(READ, { invoice_id: 'INV-1' })).ok, false, 'nobody is guessed');
  await failing(so.call(READ, {}, { context, format: 3 }), 'USAGE');
  await failing(so.call(READ, { invoice_id: NaN }, { context }), 'USAGE');
  await failing(so.tools({ alias: 'x' }), 'USAGE');
});

test('whose call it is does not change while it runs, whoever has its context', { skip }, async (t) => {
  const { so } = await opened(t);
  const mine = { ...context };
  await so.registerTool(report, async ({ invoice_id }, scope) => {
    assert.throws(() => { scope.context.tenant = 'globex'; }, TypeError);
    assert.throws(() => scope.context.roles.push('billing_lead'), TypeError);
    mine.tenant = 'globex';
    mine.principal = 'ghost';
    const { tenant_id, principal } = await scope.read(READ, { invoice_id });
    assert.deepEqual([tenant_id, principal], [context.tenant, context.principal]);
    return { fees: 1 };
  });
  assert.equal((await so.call(report.name, { invoice_id: 'INV-1' }, { context: mine })).ok, true);
});

test('a tool of your own reads for its caller, within its scope, and leaves evidence', { skip }, async (t) => {
  const { so, logged } = await opened(t);
  const seen = [];
  await so.registerTool(report, async ({ invoice_id }, scope) => {
    seen.push(Object.keys(scope).sort().join(), scope.context);
    const { data, principal } = await scope.read(READ, { invoice_id });
    return { fees: data.late_fee_cents, note: `asked by ${principal} with sk_live_4eC39HqLyjWDarjtT1zdp7dc` };
  });
  const listed = (await so.tools()).at(-1);
  assert.deepEqual([listed.name, listed._meta['signoff.policy_hint'], listed.inputSchema.additionalProperties], [report.name, 'auto', false]);
  const answer = await so.call('billing__fee_report', { invoice_id: 'INV-1' }, { context });
  assert.deepEqual([answer.ok, answer.data.fees], [true, 5500], JSON.stringify(answer));
  assert.ok(!JSON.stringify(answer).includes('sk_live'));
  assert.deepEqual(seen, ['context,propose,read', { roles: [], ...context }]);
  assert.match(JSON.stringify(await so.evidence(answer.evidence.bundle_id)), /fee_report/);
  for (const bad of [{}, { invoice_id: 1 }, { invoice_id: 'INV-1', tenant: 'globex' }]) {
    assert.equal((await so.call(report.name, bad, { context })).error.code, 'INVALID_ARGUMENT');
  }
  assert.equal(seen.length, 2, 'it was not run with those');
  assert.equal((await so.call(report.name, { invoice_id: 'INV-1' }, { context: { tenant: 'globex', principal: 'bot' } })).ok, false, 'the row of another tenant');
  assert.deepEqual(logged, []);
});

test('what a tool of your own throws: ours goes back, anything else is logged', { skip }, async (t) => {
  const { so, logged } = await opened(t);
  let run;
  await so.registerTool({ ...report, inputSchema: { type: 'object', additionalProperties: true } }, (args, scope) => run(args, scope));
  const call = (args = {}) => so.call(report.name, args, { context, format: 1 });
  run = (_, scope) => scope.read(READ, { invoice_id: 'INV-404' });
  assert.deepEqual((await call()).code, 'ROW_NOT_FOUND');
  run = (_, scope) => scope.propose(WAIVE, { invoice_id: 'INV-1', reason: 'r' });
  assert.equal((await call()).code, 'TOOL_SCOPE_EXCEEDED');
  run = (_, scope) => failing(scope.read(READ, { invoice_id: 'INV-404' }), 'ROW_NOT_FOUND').then(() => ({ fees: 1 }));
  assert.equal((await call()).status, 'ok', 'it may go on, and sees where it stood');
  assert.deepEqual(logged, []);
  const secret = new Error('password=hunter2');
  for (const thrower of [async () => { throw secret; }, () => { throw secret; }]) {
    run = thrower;
    const answer = await call();
    assert.equal(answer.code, 'TOOL_FAILED');
    assert.ok(!JSON.stringify(answer).includes('hunter2'));
    assert.equal(logged.pop().err, secret);
  }
  for (const answer of [{ fees: NaN }, { fees: 2n ** 53n + 1n }, { fees: undefined }, new Date(), () => 1]) {
    run = () => answer;
    assert.equal((await call()).code, 'TOOL_FAILED');
    assert.equal(logged.pop().tool, report.name);
  }
  for (const answer of [{ fees: 'many' }, {}, undefined, null]) {
    run = () => answer;
    assert.equal((await call()).code, 'TOOL_OUTPUT_INVALID');
  }
  // Numbers that a double does not hold are BigInt both ways.
  let got;
  run = (args) => ((got = args), { fees: 7n });
  const answer = await call('{"n": 9007199254740993, "m": [12345678901234567890, "9007199254740993", 1.5, -7]}');
  assert.deepEqual([answer.status, answer.data?.fees], ['ok', 7], JSON.stringify(answer));
  assert.deepEqual(got, { n: 9007199254740993n, m: [12345678901234567890n, '9007199254740993', 1.5, -7] });
});

test('a tool of your own proposes within its scope', { skip }, async (t) => {
  const { so, shop } = await opened(t);
  const tool = { name: 'billing.forgive', description: 'Waives the late fee.', kind: 'proposal', inputSchema: invoice, scope: [WAIVE] };
  let run = ({ invoice_id }, scope) => scope.propose(WAIVE, { invoice_id, reason: 'sorry' });
  await so.registerTool(tool, (args, scope) => run(args, scope));
  const answer = await so.call(tool.name, { invoice_id: 'INV-1' }, { context });
  assert.equal(answer.proposal.state, 'pending_review', JSON.stringify(answer));
  assert.equal((await so.proposal(answer.proposal.id)).change_set.principal.id, context.principal);
  run = () => ({ done: true });
  assert.equal((await so.call(tool.name, { invoice_id: 'INV-1' }, { context, format: 1 })).code, 'TOOL_OUTPUT_INVALID');
  const { proposal_id } = await so.propose(WAIVE, { invoice_id: 'INV-2', reason: 'r' }, { context: { tenant: 'acme', principal: 'somebody else' } });
  run = () => ({ proposal_id });
  assert.equal((await so.call(tool.name, { invoice_id: 'INV-2' }, { context, format: 1 })).code, 'TOOL_OUTPUT_INVALID');
  assert.equal(await shop.effects('INV-1'), 0);
});

test('what may not be a tool is refused', { skip }, async (t) => {
  const { so } = await opened(t);
  const run = () => ({ fees: 1 });
  for (const change of [
    { name: 'billing.approve' }, { name: 'run_sql' }, { name: READ }, { name: '' }, { name: 'a b' }, { description: ' ' }, { scope: ['billing.nothing'] },
    { kind: 'proposal' }, { inputSchema: { type: 'string' } }, { inputSchema: { type: 'object', properties: { tenant_id: {} } } }, { outputSchema: { type: 7 } },
  ]) await failing(so.registerTool({ ...report, ...change }, run), 'TOOL_INVALID');
  for (const change of [{ name: 7 }, { kind: undefined }, { inputSchema: 'x' }, { scope: [7] }, { colour: 'red' }]) {
    await failing(so.registerTool({ ...report, ...change }, run), 'USAGE');
  }
  await failing(so.registerTool(report), 'USAGE');
  await so.registerTool(report, run);
  await failing(so.registerTool(report, run), 'TOOL_INVALID');
});

test('closing waits for a tool that runs, and for what it asks', { skip }, async (t) => {
  const { so } = await opened(t);
  let begun, go;
  const started = new Promise((resolve) => (begun = resolve));
  const gate = new Promise((resolve) => (go = resolve));
  await so.registerTool(report, async ({ invoice_id }, scope) => {
    begun();
    await gate;
    return { fees: (await scope.read(READ, { invoice_id })).data.late_fee_cents };
  });
  const answer = so.call(report.name, { invoice_id: 'INV-1' }, { context });
  await started;
  const closed = so.close();
  await failing(so.tools(), 'USAGE');
  go();
  assert.equal((await answer).data.fees, 5500);
  await closed;
});
