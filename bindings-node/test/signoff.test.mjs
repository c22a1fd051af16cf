// The runtime inside of an application: from a proposal to its replay, and what is refused on the way.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { Contract, Signoff, SignoffError } from 'signoff';

import { approved, approver, context, CREDIT, READ, skip, WAIVE, workspace } from './support/workspace.mjs';

/** The error, which is one of ours with this code, and whose stack begins here. */
async function refused(promise, code) {
  const error = await promise.then((value) => assert.fail(`${code} was expected: ${JSON.stringify(value)}`), (thrown) => thrown);
  assert.ok(error instanceof SignoffError, error?.stack);
  assert.equal(error.code, code, error.message);
  assert.match(error.stack.split('\n').find((line) => line.startsWith('    at ')), /signoff\.test\.mjs/);
  assert.ok(error.stack.startsWith(`SignoffError: ${error.message}\n`));
  return error;
}

test('a change from proposal to replay', { skip }, async (t) => {
  const shop = await workspace(t, 2);
  const so = await shop.open();
  const answer = await so.read(READ, { invoice_id: 'INV-1' }, { context });
  assert.deepEqual([answer.capability, answer.data.late_fee_cents, answer.provenance], [READ, 5500, 'trusted_session']);
  const args = { invoice_id: 'INV-1', reason: 'we were late' };
  const proposed = await so.propose(WAIVE, args, { context });
  assert.deepEqual([proposed.state, proposed.existing, proposed.change_set.proposal_id], ['pending_review', false, proposed.proposal_id]);
  assert.deepEqual(proposed.diff[0], { column: 'late_fee_cents', before: 5500, proposed: 0 });
  assert.equal((await so.propose(WAIVE, JSON.stringify(args), { context })).existing, true);
  const id = proposed.proposal_id;
  const seen = { hash: proposed.proposal_hash, version: proposed.proposal_version, approver };
  await refused(so.apply(id), 'PROPOSAL_NOT_APPROVED');
  await refused(so.approve(id, { ...seen, hash: `sha256:${'0'.repeat(64)}` }), 'PROPOSAL_HASH_MISMATCH');
  await refused(so.approve(id, { ...seen, version: 2 }), 'PROPOSAL_VERSION_MISMATCH');
  await refused(so.approve(id, { ...seen, approver: { id: 'bob' } }), 'ROLE_REQUIRED');
  await refused(so.approve(id, { ...seen, approver: { id: context.principal, roles: ['billing_lead'] } }), 'SELF_APPROVAL');
  assert.equal((await so.approve(id, { ...seen, reason: 'goodwill' })).state, 'approved');
  assert.deepEqual((await so.proposal(id)).decisions.map(({ decision, approver: who, reason }) => [decision, who, reason]), [['approved', 'alice', 'goodwill']]);
  const rehearsed = await so.apply(id, { dryRun: true });
  assert.deepEqual([rehearsed.status, await shop.effects('INV-1')], ['would_apply', 0]);
  const applied = await so.apply(id, { runner: 'node-1', leaseSeconds: 30 });
  assert.deepEqual([applied.ok, applied.status, applied.state, applied.source_database_mutated], [true, 'applied', 'applied', true]);
  assert.equal(applied.receipt.receipt.runner_id, 'node-1');
  assert.equal((await so.apply(id)).status, 'already_applied');
  assert.equal((await so.resume(id)).status, 'already_applied');
  assert.equal(await shop.effects('INV-1'), 1);
  const story = await so.replay(id);
  assert.deepEqual(story.events.map(({ kind }) => kind), ['proposal_created', 'proposal_approved', 'proposal_pending_worker', 'writeback_applied']);
  assert.equal(story.approvals[0].approver, 'alice');
  const verified = await so.verifyLedger();
  assert.equal(verified.ok, true);
  assert.equal((await so.verifyLedger({ expect: verified.checkpoint })).events, verified.events);
  assert.deepEqual(await so.warnings(), []);
});

test('rejecting, canceling, conflicts', { skip }, async (t) => {
  const shop = await workspace(t, 3);
  const so = await shop.open();
  const propose = (invoice) => so.propose(WAIVE, { invoice_id: invoice, reason: 'r' }, { context });
  const [one, two] = [await propose('INV-1'), await propose('INV-2')];
  const seen = { hash: one.proposal_hash, version: 1, approver };
  await refused(so.reject(one.proposal_id, seen), 'USAGE');
  assert.equal((await so.reject(one.proposal_id, { ...seen, reason: 'no' })).state, 'rejected');
  await refused(so.approve(one.proposal_id, seen), 'PROPOSAL_NOT_PENDING_REVIEW');
  assert.equal((await so.cancel(two.proposal_id, { actor: { id: 'dana' }, reason: 'paid' })).state, 'canceled');
  await refused(so.cancel(two.proposal_id, { actor: { id: 'dana' }, takeOver: true }), 'PROPOSAL_NOT_CANCELABLE');
  const { proposal_id } = await approved(so, 'INV-3');
  await shop.sql("UPDATE invoices SET status = 'paid', updated_at = '2026-07-01T00:00:00Z' WHERE id = 'INV-3'");
  const effects = await shop.effects('INV-3');
  const rehearsed = await so.apply(proposal_id, { dryRun: true });
  assert.deepEqual([rehearsed.ok, rehearsed.status, rehearsed.conflict.code], [false, 'would_conflict', 'VERSION_CONFLICT']);
  assert.equal((await so.apply(proposal_id)).status, 'conflict');
  assert.equal(await shop.effects('INV-3'), effects);
});

test('who asks is what the application says', { skip }, async (t) => {
  const shop = await workspace(t);
  const so = await shop.open();
  const read = (given) => so.read(READ, { invoice_id: 'INV-1' }, given);
  const answer = await read({ context: { tenant: 'acme', principal: 'bot', roles: ['support'] } });
  assert.deepEqual([answer.tenant_id, answer.principal], ['acme', 'bot']);
  assert.deepEqual((await so.evidence(answer.evidence_id)).document.roles, ['support']);
  await refused(read({ context: { tenant: 'globex', principal: 'bot' } }), 'ROW_NOT_FOUND');
  await refused(read({ context: { tenant: '', principal: 'bot' } }), 'TRUSTED_BINDING_MISSING');
  await refused(read(), 'TRUSTED_BINDING_MISSING');
  await refused(so.read(READ, { invoice_id: 'INV-1', tenant_id: 'globex' }, { context }), 'MODEL_CANNOT_OVERRIDE_BINDING');
  // Both wins over the contract's provider; without them, that says who asks.
  const told = await shop.open({ env: { ...shop.env, SYNAPSOR_TENANT_ID: 'acme', SYNAPSOR_PRINCIPAL: 'from the environment', UNSET: undefined } });
  assert.equal((await told.read(READ, { invoice_id: 'INV-1' })).principal, 'from the environment');
  assert.equal((await told.read(READ, { invoice_id: 'INV-1' }, { context })).principal, context.principal);
});

test('an error has its code, retryable, context, and a stack of the caller, also across await', { skip }, async (t) => {
  const shop = await workspace(t);
  const so = await shop.open();
  async function caller() {
    await so.read(READ, { invoice_id: 'INV-1' }, { context });
    return so.read(READ, { invoice_id: 'INV-404' }, { context });
  }
  const error = await caller().catch((thrown) => thrown);
  assert.deepEqual([error.code, error.retryable, error.name, error instanceof Error], ['ROW_NOT_FOUND', false, 'SignoffError', true]);
  assert.match(error.stack.split('\n    at ')[1], /^(async )?caller .*signoff\.test\.mjs/);
  assert.equal((await refused(so.read('billing.nothing', {}, { context }), 'MCP_TOOL_NOT_FOUND')).context.capability, 'billing.nothing');
  const missing = await refused(so.proposal('wrp_none'), 'PROPOSAL_NOT_FOUND');
  assert.equal(missing.context.proposal, 'wrp_none');
  const long = await refused(so.propose(WAIVE, { invoice_id: 'INV-1', reason: 'x'.repeat(501) }, { context }), 'ARGUMENT_TOO_LONG');
  assert.deepEqual(long.context, { argument: 'reason', limit: '500' });
  const bare = await shop.open({ env: {} });
  await refused(bare.read(READ, { invoice_id: 'INV-1' }, { context }), 'SOURCE_CREDENTIAL_MISSING');
  // A source that somebody else holds: the same call may succeed later.
  const { proposal_id } = await approved(so);
  const busy = await workspace(t);
  assert.ok(busy.folder !== shop.folder && proposal_id);
  const gone = await shop.open({ env: { BILLING_APP_READ_URL: '/nowhere/billing.db', BILLING_APP_WRITE_URL: '/nowhere/billing.db' } });
  const unavailable = await refused(gone.read(READ, { invoice_id: 'INV-1' }, { context }), 'SOURCE_UNAVAILABLE');
  assert.equal(unavailable.retryable, true);
  const text = JSON.stringify(unavailable) + unavailable.message;
  assert.ok(!text.includes('/nowhere'), text);
});

test('what cannot be opened says why', { skip }, async (t) => {
  const shop = await workspace(t);
  await refused(Signoff.open('/nowhere/signoff.json'), 'CONFIG_NOT_FOUND');
  await refused(Signoff.open(Contract.parse('{}')), 'CONFIG_INVALID');
  await refused(Signoff.open(shop.contract, { ledger: shop.path('none.db') }), 'LEDGER_NOT_FOUND');
  const error = await refused(Signoff.open(shop.contract, { ledger: 'postgres://app:hunter2@db/x', create: true }), 'LEDGER_ENGINE_NOT_AVAILABLE');
  assert.ok(!`${error.message}${JSON.stringify(error)}`.includes('hunter2'));
  await refused(Signoff.open(7), 'USAGE');
  await refused(Signoff.open(), 'USAGE');
  await refused(Signoff.open(shop.contract, { ledgr: 'x' }), 'USAGE');
  await refused(Signoff.open(shop.contract, { create: 'yes' }), 'USAGE');
  await refused(Signoff.open(shop.contract, { env: { A: 1 } }), 'USAGE');
  await refused(Signoff.open(shop.contract, { logger: {} }), 'USAGE');
});

test('a contract is looked at without a session', { skip }, async (t) => {
  const shop = await workspace(t);
  const contract = await Contract.load(shop.contract);
  assert.deepEqual([contract.valid, contract.mode, contract.capabilities[0], contract.sources], [true, 'review', { name: READ, kind: 'read' }, ['billing_db']]);
  const text = readFileSync(shop.contract, 'utf8');
  assert.equal(contract.text, text);
  const bad = Contract.parse(text.replace('"review"', '"yolo"'));
  assert.deepEqual([bad.valid, bad.diagnostics[0].pointer, bad.diagnostics[0].severity, bad.capabilities], [false, '/mode', 'error', []]);
  assert.equal(typeof bad.diagnostics[0].line, 'number');
  assert.equal(Contract.parse('no JSON').valid, false);
  await refused(Contract.load('/nowhere'), 'CONFIG_NOT_FOUND');
  assert.throws(() => Contract.parse(7), { code: 'USAGE' });
  const so = await Signoff.open(contract, { ledger: shop.path('other.db'), create: true, env: shop.env });
  t.after(() => so.close());
  assert.equal((await so.read(READ, { invoice_id: 'INV-1' }, { context })).object_id, 'INV-1');
  // Without a contract, what is in the ledger can be looked at and decided.
  const { proposal_id, proposal_hash, proposal_version } = await so.propose(WAIVE, { invoice_id: 'INV-1', reason: 'r' }, { context });
  const bare = await Signoff.open(null, { ledger: shop.path('other.db') });
  t.after(() => bare.close());
  assert.equal((await bare.proposal(proposal_id)).proposal_hash, proposal_hash);
  assert.equal((await bare.approve(proposal_id, { hash: proposal_hash, version: proposal_version, approver })).state, 'approved');
  await refused(bare.tools(), 'CONFIG_NOT_FOUND');
});

test('arguments are exact or refused', { skip }, async (t) => {
  const shop = await workspace(t);
  const so = await shop.open();
  const amount = (value) => so.propose(CREDIT, { invoice_id: 'INV-1', amount_cents: value, reason: 'r' }, { context });
  class Money {}
  const cyclic = {};
  cyclic.self = cyclic;
  for (const bad of [NaN, Infinity, -Infinity, 2 ** 53, -(2 ** 53), 1e300, undefined, () => 1, Symbol('x'), new Date(), new Money(), new Map(), new Number(5), cyclic, { [Symbol('x')]: 1 }]) {
    await refused(amount(bad), 'USAGE');
    await refused(amount([bad]), 'USAGE');
  }
  await refused(amount([, 1]), 'USAGE');
  for (const bad of [null, undefined, [], 7, new Map(), new Money()]) await refused(so.propose(CREDIT, bad, { context }), 'USAGE');
  await refused(amount('5'), 'ARGUMENT_TYPE_INVALID');
  await refused(amount(2n ** 64n), 'ARGUMENT_ABOVE_MAXIMUM');
  await refused(amount(9007199254740993n), 'ARGUMENT_ABOVE_MAXIMUM');
  await refused(so.propose(CREDIT, '{"invoice_id":"INV-1","invoice_id":"INV-2"}', { context }), 'ARGUMENTS_INVALID');
  const made = await amount(500n);
  assert.deepEqual(made.diff.find(({ column }) => column === 'credit_requested_cents').proposed, 500);
  assert.equal((await amount(500)).existing, true);

  const id = made.proposal_id;
  const seen = { hash: made.proposal_hash, version: made.proposal_version, approver };
  for (const version of [1.9, NaN, -1, 0, 2 ** 32, 2 ** 53 + 1, '1', null, undefined, 2n ** 64n]) await refused(so.approve(id, { ...seen, version }), 'USAGE');
  await refused(so.approve(id, { ...seen, version: 4294967295n }), 'PROPOSAL_VERSION_MISMATCH');
  for (const leaseSeconds of [14, 3601, 15.5, NaN, '60']) await refused(so.apply(id, { leaseSeconds }), 'USAGE');
  for (const pageSize of [0, 201, 1.5, NaN, '5']) await refused(so.proposals({ pageSize }).page(), 'USAGE');
  for (const after of [-1, 1.5, NaN, 2 ** 53, '0']) await refused(so.events({ after }).next(), 'USAGE');
  await refused(so.approve(id, { version: 1, approver }), 'USAGE');
  await refused(so.approve(id, { hash: seen.hash, approver }), 'USAGE');
  await refused(so.approve(id, { ...seen, approver: 'alice' }), 'USAGE');
  await refused(so.approve(id, { ...seen, approver: { id: 'alice', role: 'x' } }), 'USAGE');
  await refused(so.approve(id, { ...seen, approver: { id: 'alice', roles: 'billing_lead' } }), 'USAGE');
  await refused(so.apply(id, { dryrun: true }), 'USAGE');
  await refused(so.apply(id, { dryRun: 1 }), 'USAGE');
  await refused(so.read(READ, { invoice_id: 'INV-1' }, { context: { ...context, tenant: 7 } }), 'USAGE');
  await refused(so.read(READ, { invoice_id: 'INV-1' }, context), 'USAGE');
  await refused(so.read(READ, { invoice_id: '\ud800' }, { context }), 'ARGUMENTS_INVALID');
  await refused(so.proposal(7), 'USAGE');
  assert.equal((await so.proposal(id)).state, 'pending_review', 'nothing of that did anything');
});

test('large numbers of a row are BigInt, decimals and timestamps text', { skip }, async (t) => {
  const shop = await workspace(t);
  await shop.sql("UPDATE invoices SET balance_cents = 9007199254740993 WHERE id = 'INV-1'");
  const so = await shop.open();
  const { data } = await so.read(READ, { invoice_id: 'INV-1' }, { context });
  assert.equal(data.balance_cents, 9007199254740993n);
  assert.equal(data.late_fee_cents, 5500);
  assert.equal(typeof data.updated_at, 'string');
});

test('lists: all pages, filters, cursors', { skip }, async (t) => {
  const shop = await workspace(t, 5);
  const so = await shop.open();
  const ids = [];
  for (let n = 1; n <= 5; n += 1) ids.unshift((await so.propose(WAIVE, { invoice_id: `INV-${n}`, reason: 'r' }, { context })).proposal_id);
  const all = async (list) => {
    const items = [];
    for await (const item of list) items.push(item);
    return items;
  };
  assert.deepEqual((await all(so.proposals({ pageSize: 2 }))).map(({ proposal_id }) => proposal_id), ids);
  const first = await so.proposals({ pageSize: 2 }).page();
  assert.equal(first.items.length, 2);
  const second = await so.proposals({ pageSize: 2 }).page(first.nextCursor);
  assert.deepEqual(second.items.map(({ proposal_id }) => proposal_id), ids.slice(2, 4));
  assert.equal((await so.proposals({ pageSize: 5 }).page()).nextCursor, null);
  await so.reject(ids[0], { hash: (await so.proposal(ids[0])).proposal_hash, version: 1, approver, reason: 'no' });
  assert.deepEqual((await all(so.proposals({ state: 'rejected', objectId: 'INV-5', from: new Date(0), to: new Date(Date.now() + 60_000) }))).length, 1);
  assert.deepEqual(await all(so.proposals({ tenant: 'globex' })), []);
  await refused(so.proposals({ status: 'applied' }).page(), 'FILTER_UNKNOWN');
  await refused(so.proposals({ stat: 'x' }).page(), 'USAGE');
  await refused(so.proposals({ from: new Date(NaN) }).page(), 'USAGE');
  await refused(so.receipts().page(first.nextCursor), 'CURSOR_INVALID');
  await approved(so, 'INV-1').then(({ proposal_id }) => so.apply(proposal_id));
  assert.equal((await all(so.receipts({ status: 'applied' })))[0].receipt.rows_affected, 1);
  assert.equal((await all(so.replays())).length, 5);
  assert.equal((await all(so.evidence())).length, 5);
  assert.ok((await all(so.queryAudit({ tenant: 'acme' }))).length >= 5);
  assert.ok((await all(so.activity({ objectId: 'INV-1' }))).some(({ receipt }) => receipt?.receipt.status === 'applied'));
  await refused(so.evidence('ev_none'), 'EVIDENCE_NOT_FOUND');
});

test('events: to the end, followed, aborted, left', { skip }, async (t) => {
  const shop = await workspace(t, 3);
  const so = await shop.open();
  const propose = (invoice) => so.propose(WAIVE, { invoice_id: invoice, reason: 'r' }, { context });
  await propose('INV-1');
  const kinds = [];
  for await (const { kind } of so.events()) kinds.push(kind);
  assert.deepEqual(kinds, ['proposal_created']);
  const abort = new AbortController();
  const followed = so.events({ follow: true, after: 1, signal: abort.signal, pollMs: 10 });
  const next = followed.next();
  const { proposal_id } = await propose('INV-2');
  assert.equal((await next).value.subject, proposal_id);
  let ended;
  followed.next().then((last) => (ended = last));
  abort.abort();
  // At once, and not when the wait is over.
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(ended, { value: undefined, done: true });
  for await (const event of so.events({ follow: true, signal: abort.signal })) assert.fail(`aborted before it began: ${event.kind}`);
  // Leaving is enough, and closing ends what waits.
  for await (const event of so.events({ follow: true })) {
    assert.equal(event.seq, 1);
    break;
  }
  for await (const event of so.events({ kind: 'proposal_rejected' })) assert.fail(event.kind);
  await refused(so.events({ state: 'applied' }).next(), 'FILTER_UNKNOWN');
  await refused(so.events({ follow: 'yes' }).next(), 'USAGE');
  await refused(so.events({ signal: {} }).next(), 'USAGE');
  const end = so.events({ follow: true, after: 2 }).next();
  await so.close();
  assert.equal((await end).done, true);
});

test('closing lets what runs end, and refuses what comes', { skip }, async (t) => {
  const shop = await workspace(t, 9);
  const so = await shop.open();
  const running = Array.from({ length: 9 }, (_, n) => so.propose(WAIVE, { invoice_id: `INV-${n + 1}`, reason: 'r' }, { context }));
  const closed = so.close();
  const late = so.read(READ, { invoice_id: 'INV-1' }, { context });
  const error = await refused(late, 'USAGE');
  assert.match(error.message, /closed/);
  await closed;
  assert.equal((await Promise.all(running)).filter(({ existing }) => !existing).length, 9);
  await refused(so.proposals().page(), 'USAGE');
  await refused(so.events().next(), 'USAGE');
  await refused(so.tools(), 'USAGE');
  await so.close();
  await so[Symbol.asyncDispose]();
  const again = await shop.open();
  assert.equal((await again.proposals({ pageSize: 100 }).page()).items.length, 9);
});

test('time and ids are a test\'s own', { skip }, async (t) => {
  const checkpoints = [];
  for (let run = 0; run < 2; run += 1) {
    const shop = await workspace(t);
    const so = await shop.open({ testing: { at: '2026-01-01T00:00:00Z', seed: 'open' } });
    await so.script('2026-01-02T00:00:00Z', 'step 1');
    const { change_set } = await so.propose(WAIVE, { invoice_id: 'INV-1', reason: 'r' }, { context });
    assert.equal(change_set.created_at, '2026-01-02T00:00:00Z');
    checkpoints.push((await so.verifyLedger()).checkpoint);
  }
  assert.equal(checkpoints[0], checkpoints[1]);
  const shop = await workspace(t);
  await refused((await shop.open()).script('2026-01-02T00:00:00Z', 'x'), 'USAGE');
});

test('a model never reaches a decision: the tools of an agent hold none', { skip }, async (t) => {
  const shop = await workspace(t);
  const so = await shop.open();
  for (const { name } of await so.tools({ alias: 'both' })) assert.doesNotMatch(name, /approve|reject|apply|sql/);
});

test('every code that the documentation names is one', () => {
  const codes = new Set(JSON.parse(readFileSync(new URL('../../schemas/errors.json', import.meta.url))).map(({ code }) => code));
  for (const file of ['signoff', 'contract', 'lists', 'tools', 'context']) {
    const text = readFileSync(new URL(`../lib/${file}.ts`, import.meta.url), 'utf8');
    const comments = text.match(/\/\*\*[^]*?\*\//g).join('\n');
    for (const [, code] of comments.matchAll(/`([A-Z]+_[A-Z_]+)`/g)) assert.ok(codes.has(code) || ['SIGNOFF_LOCAL_STORE', 'UNSUPPORTED_CONFIG_VERSION'].includes(code), `${file}.ts: ${code}`);
  }
});
