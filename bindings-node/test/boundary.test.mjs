// What JavaScript alone can get wrong: types, numbers, shapes of headers, two module systems.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createRequire } from 'node:module';
import { test } from 'node:test';

import * as esm from 'signoff';
import { createWritebackHandler, Job, receiptsDdl, sign, SignoffError, verify } from 'signoff';
import { Webhook } from 'standardwebhooks';

import { request, SECRET, signed } from './support/requests.mjs';

const cjs = createRequire(import.meta.url)('signoff');
const refused = (run, code) => assert.throws(run, (error) => {
  assert.ok(error instanceof SignoffError, `${error?.stack}`);
  assert.equal(error.code, code);
  assert.equal(typeof error.retryable, 'boolean');
  // A true stack begins where the call stands, not inside of the package.
  assert.match(error.stack.split('\n').find((line) => line.startsWith('    at ')), /boundary\.test\.mjs/);
  return true;
});

test('an error is one class, with code, retryable, context and a stack of the caller', () => {
  const { body, headers } = signed();
  refused(() => verify(body, headers, 'another secret of 24 bytes'), 'INVALID_SIGNATURE');
  refused(() => verify(body, { ...headers, 'webhook-signature': undefined }, SECRET), 'INVALID_SIGNATURE');
  try {
    verify(body, { ...headers, 'webhook-signature': '\u0000' }, SECRET);
    assert.fail('accepted');
  } catch (error) {
    assert.equal(error.name, 'SignoffError');
    assert.deepEqual({ ...error }, { code: 'HEADER_INVALID', retryable: false, context: { header: 'webhook-signature', reason: 'not printable ASCII' }, help: undefined });
    assert.ok(!('SignoffError' in error));
  }
  assert.equal(cjs.SignoffError, SignoffError, 'one class in both module systems');
  assert.deepEqual(Object.keys(esm).sort(), Object.keys(cjs).sort());
});

test('a job is read when it is looked at, under the names of JavaScript', () => {
  const { body, headers } = signed({ principal: 'support', patch: { credit_requested_cents: '9007199254740993' } });
  const job = verify(body, headers, SECRET);
  assert.ok(job instanceof Job);
  assert.equal(job.objectId, 'INV-3001');
  assert.equal(job.patch.credit_requested_cents, '9007199254740993');
  assert.deepEqual(job.target, { schema: 'public', table: 'invoices', primaryKey: { column: 'id', value: 'INV-3001' } });
  assert.deepEqual([job.dryRun, job.audience, job.principal, job.jobId], [false, 'billing-app', 'support', 'hwb_wrp_1']);
  const form = JSON.parse(JSON.stringify(job));
  const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
  for (const [name, value] of Object.entries(form)) {
    if (name !== 'target') assert.deepEqual(job[camel(name)], value, `${name} has a getter`);
  }
  // A number that JSON.parse would round crosses as text.
  const raw = body.toString().replace('"9007199254740993"', '9007199254740993');
  const exact = Buffer.from(raw);
  const again = verify(exact, sign(exact, SECRET, { key: 'wrp_1:INV-3001' }), SECRET);
  assert.equal(again.patch.credit_requested_cents, '9007199254740993');
});

test('headers in every shape say the same', () => {
  const { body, headers } = signed();
  const upper = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toUpperCase(), value]));
  const pairs = Object.entries(headers);
  for (const shape of [headers, upper, new Headers(headers), new Map(pairs), pairs, pairs.flat(), { ...headers, 'set-cookie': ['a', 'b'], absent: undefined }]) {
    assert.equal(verify(body, shape, SECRET).proposalId, 'wrp_1');
  }
  const twice = ['webhook-id', headers['webhook-id']];
  for (const shape of [[...pairs, twice], [...pairs.flat(), ...twice], { ...headers, 'Webhook-Id': twice[1] }, { ...headers, 'webhook-id': [twice[1], twice[1]] }]) {
    refused(() => verify(body, shape, SECRET), 'HEADER_DUPLICATED');
  }
  // Headers cross as one text: what separates them there separates nothing in them.
  assert.ok(verify(body, { ...headers, 'x-other': 'a\nwebhook-id\nb' }, SECRET));
  assert.ok(verify(body, { ...headers, 'x-other\n': 'a' }, SECRET));
  refused(() => verify(body, { ...headers, 'webhook-id': 'a\nb' }, SECRET), 'HEADER_INVALID');
  refused(() => verify(body, { ...headers, 'webhook-id': '' }, SECRET), 'IDEMPOTENCY_KEY_INVALID');
  for (const wrong of [undefined, null, 'webhook-id: x', 7, [...pairs.flat(), 'webhook-id'], [['webhook-id']], { 'webhook-timestamp': 7 }, [['a', 'b', 'c']]]) {
    refused(() => verify(body, wrong, SECRET), 'USAGE');
  }
});

test('a body is bytes', () => {
  const { body, headers } = signed();
  const shared = new Uint8Array(new SharedArrayBuffer(body.length));
  shared.set(body);
  const part = new Uint8Array(Buffer.concat([Buffer.from('x'), body])).subarray(1);
  for (const good of [body, new Uint8Array(body), shared, part]) assert.equal(verify(good, headers, SECRET).action, 'billing.credit');
  for (const wrong of [body.toString(), JSON.parse(body), undefined, null, new DataView(body.buffer), body.buffer, [...body]]) {
    refused(() => verify(wrong, headers, SECRET), 'USAGE');
  }
  refused(() => verify(new Uint8Array(), headers, SECRET), 'INVALID_SIGNATURE');
  refused(() => verify(Buffer.alloc((1 << 20) + 1), headers, SECRET), 'BODY_TOO_LARGE');
});

test('numbers are whole or refused', () => {
  const { body, headers } = signed();
  for (const wrong of [NaN, 8.64e15 + 1]) refused(() => verify(body, headers, SECRET, { now: new Date(wrong) }), 'INSTANT_INVALID');
  // Beyond the year 9999 there is no instant.
  refused(() => verify(body, headers, SECRET, { now: new Date(8.64e15) }), 'INSTANT_INVALID');
  for (const wrong of [Date.now(), 1.9, -1, 2 ** 53 + 1, '2026-06-28T00:00:00Z', null, {}]) {
    refused(() => verify(body, headers, SECRET, { now: wrong }), 'USAGE');
    refused(() => sign(body, SECRET, { key: 'k', now: wrong }), 'USAGE');
  }
  refused(() => sign(body, SECRET, { key: 'k', now: new Date(-1) }), 'INSTANT_INVALID');
  // 300 seconds are fresh, a millisecond more is not.
  const now = new Date('2026-06-28T00:00:00Z');
  const then = signed({}, { now });
  const at = (milliseconds) => verify(then.body, then.headers, SECRET, { now: new Date(now.getTime() + milliseconds) });
  assert.ok(at(300_000) && at(-300_000));
  refused(() => at(300_001), 'INVALID_ISSUED_AT');
  refused(() => at(-300_001), 'INVALID_ISSUED_AT');
});

test('secrets, keys, policies and dialects', () => {
  const { body, headers } = signed();
  assert.ok(verify(body, headers, ['a new one, not used yet, 30 b', SECRET]));
  refused(() => verify(body, headers, []), 'HANDLER_SIGNING_SECRET_MISSING');
  refused(() => verify(body, headers, process.env.SIGNOFF_NOT_SET), 'HANDLER_SIGNING_SECRET_MISSING');
  refused(() => verify(body, headers, [undefined]), 'USAGE');
  refused(() => verify(body, headers, 'short'), 'SECRET_UNUSABLE');
  refused(() => verify(body, headers, 'whsec_%%%%'), 'SECRET_UNUSABLE');
  refused(() => verify(body, headers, SECRET, { policy: 'lenient' }), 'USAGE');
  refused(() => verify(body, headers, SECRET, { policy: 1 }), 'USAGE');
  refused(() => sign(body, SECRET, {}), 'USAGE');
  refused(() => sign(body, SECRET, { key: 'a.b' }), 'IDEMPOTENCY_KEY_INVALID');
  refused(() => receiptsDdl('oracle'), 'USAGE');
  refused(() => receiptsDdl('postgres', { table: 'a; b' }), 'UNSAFE_IDENTIFIER');
  assert.match(receiptsDdl('postgres', { table: 'app.receipts', role: 'o"dd' }).at(-1), /ON TABLE "app"\."receipts" TO "o""dd"/);
  // One secret that is spelled as two are told apart.
  const two = ['the first of them, 24 bytes', 'the second one, 24 bytes or more'];
  for (const spelled of [JSON.stringify(two), two.map((secret) => `${secret.length}:${secret}`).join()]) {
    const by = signed({}, { secret: two[1] });
    assert.ok(verify(by.body, by.headers, two));
    refused(() => verify(by.body, by.headers, spelled), 'INVALID_SIGNATURE');
  }
  // Many secrets in turn: none is mistaken for another.
  for (let n = 0; n < 40; n += 1) {
    const one = signed({}, { secret: `secret number ${n % 20}, 24 bytes and more` });
    assert.ok(verify(one.body, one.headers, `secret number ${n % 20}, 24 bytes and more`));
    refused(() => verify(one.body, one.headers, `secret number ${n % 20 + 1}, 24 bytes and more`), 'INVALID_SIGNATURE');
  }
});

test('a handler says at its start what is wrong with its options', () => {
  const good = {
    database: { dialect: 'postgres', placeholders: 'native', connect() {} },
    secrets: SECRET,
    actions: { 'a.b': { table: 't', key: 'id', tenant: 'tenant_id', version: 'v', effect: async () => {} } },
  };
  assert.ok(createWritebackHandler(good));
  const action = (members) => ({ actions: { 'a.b': { ...good.actions['a.b'], ...members } } });
  for (const [code, members] of [
    ['HANDLER_SIGNING_SECRET_MISSING', { secrets: undefined }],
    ['HANDLER_SIGNING_SECRET_MISSING', { secrets: [] }],
    ['SECRET_UNUSABLE', { secrets: 'short' }],
    ['HANDLER_CONFIG_INVALID', { audience: process.env.SIGNOFF_NOT_SET }],
    ['HANDLER_CONFIG_INVALID', { audience: '' }],
    ['HANDLER_CONFIG_INVALID', { bearerTokens: undefined }],
    ['HANDLER_CONFIG_INVALID', { audiense: 'billing-app' }],
    ['HANDLER_CONFIG_INVALID', { database: undefined }],
    ['HANDLER_CONFIG_INVALID', { actions: undefined }],
    ['HANDLER_CONFIG_INVALID', action({ effect: undefined })],
    ['HANDLER_CONFIG_INVALID', action({ tenant: undefined })],
    ['HANDLER_CONFIG_INVALID', action({ tenat: 'tenant_id' })],
    ['HANDLER_CONFIG_INVALID', action({ singleTenant: true })],
    ['HANDLER_CONFIG_INVALID', action({ singleTenant: 1 })],
    ['UNSAFE_IDENTIFIER', action({ table: 'invoices; --' })],
    ['UNSAFE_IDENTIFIER', { receipts: 'a b' }],
    ['HANDLER_CONFIG_INVALID', { policy: 'lenient' }],
  ]) refused(() => createWritebackHandler({ ...good, ...members }), code);
  const planted = { ...good, secrets: ['planted-secret-text'] };
  try {
    createWritebackHandler(planted);
  } catch (error) {
    assert.ok(!JSON.stringify([error, error.message, error.stack]).includes('planted'));
  }
  const warned = [];
  createWritebackHandler({ ...good, secrets: 'dev-signing-secret', policy: 'compat', logger: { error() {}, warn: (...line) => warned.push(line) } });
  assert.equal(warned.length, 1);
});

test('the npm package standardwebhooks verifies ours, and we verify theirs', () => {
  const now = new Date();
  const { body, headers } = signed({}, { now });
  const theirs = new Webhook(SECRET);
  assert.deepEqual(theirs.verify(body.toString(), headers), request({}, now));
  const signature = theirs.sign('wrp_1:INV-3001', now, body.toString());
  const own = { 'webhook-id': 'wrp_1:INV-3001', 'webhook-timestamp': String(Math.floor(now / 1000)), 'webhook-signature': signature };
  assert.equal(verify(body, own, SECRET).idempotencyKey, 'wrp_1:INV-3001');
  // Synapsor's scheme, by hand.
  assert.equal(headers['x-synapsor-signature'], `sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`);
  const v1 = { 'x-synapsor-signature': headers['x-synapsor-signature'], 'x-synapsor-issued-at': headers['x-synapsor-issued-at'] };
  assert.ok(verify(body, v1, SECRET, { policy: 'compat' }));
});
