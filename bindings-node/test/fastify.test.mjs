// The plugin beside an application's own routes, over app.inject and over sockets.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { test } from 'node:test';

import Fastify from 'fastify';
import { applied, createWritebackHandler } from 'signoff';
import { writebacks } from 'signoff/fastify';
import { pgDatabase } from 'signoff/pg';

import { brief, crediting, start, told } from './support/app.mjs';
import { skip } from './support/postgres.mjs';
import { SECRET, signed } from './support/requests.mjs';
import { credit, INVOICES, shop } from './support/shop.mjs';

const on = (name, work) => test(name, { skip }, async (t) => {
  const db = await shop(t);
  await work(t, db, db.pool({ user: 'app' }));
});

/** A request as bytes on a socket, header lines as they stand. */
function raw({ body, headers }, extra = []) {
  const lines = [...Object.entries(headers), ...extra, ['host', 'x'], ['connection', 'close'], ['content-length', body.length]];
  return Buffer.concat([Buffer.from(`POST /writeback HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`), body]);
}

async function exchange(app, bytes) {
  const socket = connect(app.server.address().port, '127.0.0.1');
  socket.write(bytes);
  const chunks = await socket.toArray();
  const [head, body] = Buffer.concat(chunks).toString().split('\r\n\r\n');
  const lines = head.split('\r\n').slice(1).map((line) => line.split(': '));
  return told({ statusCode: Number(head.split(' ')[1]), headers: Object.fromEntries(lines), body });
}

on('the parsers of other routes stay as they are, and ours reads whatever the content type says', async (t, db, pool) => {
  const app = await start(t, pool);
  const json = await app.inject({ method: 'POST', url: '/json', payload: { a: 1 } });
  assert.deepEqual(json.json(), { parsed: { a: 1 } });
  for (const [n, type] of ['application/json', 'application/json; charset=utf-8', 'text/plain', 'application/x-www-form-urlencoded', undefined].entries()) {
    const { body, headers } = signed({ idempotency_key: `k${n}` });
    delete headers['content-type'];
    const answer = await app.inject({ method: 'POST', url: '/writeback', headers: { ...headers, ...(type ? { 'content-type': type } : {}) }, payload: body });
    assert.deepEqual(brief(told(answer)), [200, 'applied'], `${type}`);
  }
  for (const method of ['PUT', 'PATCH']) {
    const { body, headers } = signed({ idempotency_key: method });
    assert.deepEqual(brief(told(await app.inject({ method, url: '/writeback', headers, payload: body }))), [200, 'applied']);
  }
  assert.equal(await db.effects(), 7);
});

on('health, methods, size, and an empty body', async (t, db, pool) => {
  const app = await start(t, pool);
  const health = await app.inject('/healthz');
  assert.deepEqual([health.statusCode, health.json()], [200, { ok: true }]);
  assert.equal((await app.inject({ method: 'HEAD', url: '/writeback' })).statusCode, 405);
  for (const method of ['GET', 'DELETE', 'OPTIONS']) {
    const answer = await app.inject({ method, url: '/writeback' });
    assert.deepEqual([...brief(told(answer)), answer.headers.allow], [405, 'failed', 'METHOD_NOT_ALLOWED', 'POST, PUT, PATCH']);
  }
  assert.deepEqual(brief(told(await app.inject({ method: 'POST', url: '/writeback' }))), [401, 'failed', 'INVALID_SIGNATURE']);
  const large = await app.inject({ method: 'POST', url: '/writeback', payload: Buffer.alloc((1 << 20) + 1), headers: { 'content-type': 'application/json' } });
  assert.deepEqual(brief(told(large)), [413, 'failed', 'BODY_TOO_LARGE']);
  assert.match(large.headers['content-type'], /^application\/json/);
  // One that does not say its length is cut off as well.
  await app.listen();
  const post = request({ port: app.server.address().port, method: 'POST', path: '/writeback' });
  Readable.from([Buffer.alloc(1 << 20), Buffer.alloc(1)]).pipe(post).on('error', () => {});
  const [streamed] = await once(post, 'response');
  const text = Buffer.concat(await streamed.toArray()).toString();
  assert.deepEqual(brief(told({ statusCode: streamed.statusCode, headers: streamed.headers, body: text })), [413, 'failed', 'BODY_TOO_LARGE']);
  const whole = await app.inject({ method: 'POST', url: '/writeback', payload: Buffer.alloc(1 << 20) });
  assert.deepEqual(brief(told(whole)), [401, 'failed', 'INVALID_SIGNATURE']);
});

on('a header line that was sent twice is seen', async (t, db, pool) => {
  const app = await start(t, pool);
  await app.listen();
  const good = signed();
  assert.deepEqual(brief(await exchange(app, raw(good, [['Webhook-Id', good.headers['webhook-id']]]))), [400, 'failed', 'HEADER_DUPLICATED']);
  assert.deepEqual(brief(await exchange(app, raw(good))), [200, 'applied']);
  assert.equal(await db.effects(), 1);
});

on('who hangs up leaves no half transaction, and finds the outcome later', async (t, db, pool) => {
  let begun;
  let goOn;
  const begins = new Promise((resolve) => { begun = resolve; });
  const released = new Promise((resolve) => { goOn = resolve; });
  const app = await start(t, pool, async (job, client) => {
    await credit(job, client);
    begun();
    await released;
    return applied(1);
  });
  await app.listen();
  const socket = connect(app.server.address().port, '127.0.0.1');
  socket.write(raw(signed()));
  await begins;
  const gone = once(socket, 'close');
  socket.destroy();
  await gone;
  assert.equal(await db.effects(), 0);
  goOn();
  // The same request waits for the first one to end, and gets its receipt.
  const again = await app.deliver();
  assert.deepEqual([...brief(again), again.replayed], [200, 'already_applied', true]);
  assert.equal(await db.effects(), 1);
  assert.equal((await db.sql("SELECT count(*)::int AS n FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND usename = 'app'"))[0].n, 0);
});

on('the log of the request is used, and never holds a secret', async (t, db, pool) => {
  const app = await start(t, pool, async () => { throw new Error('the author\'s own'); });
  await app.deliver();
  assert.deepEqual(app.logged.map(({ level, fields }) => [level, fields.err?.message ?? fields.code]), [['error', 'the author\'s own'], ['error', 'HANDLER_BUSINESS_ERROR']]);
  app.logged.length = 0;
  await app.deliver({}, { secret: 'planted-secret-of-24-bytes-or-more' });
  assert.deepEqual(app.logged.map(({ level, fields }) => [level, fields]), [['warn', { code: 'INVALID_SIGNATURE' }]], 'why it was refused');
  assert.ok(!/planted|whsec_/.test(JSON.stringify(app.logged)));
});

on('hooks and the error handler of the application are its own', async (t, db, pool) => {
  const other = Fastify();
  t.after(() => other.close());
  other.addHook('onRequest', async (request, reply) => {
    if (request.headers['x-gate'] !== 'open') await reply.code(403).send({ gate: 'closed' });
  });
  const handler = createWritebackHandler({ database: pgDatabase(pool), secrets: SECRET, actions: { 'billing.credit': { ...INVOICES, effect: crediting } } });
  other.register(writebacks, { handler, prefix: '/inside', healthz: false });
  const { body, headers } = signed();
  assert.equal((await other.inject({ method: 'POST', url: '/inside/signoff/writeback', headers, payload: body })).statusCode, 403);
  const open = { ...headers, 'x-gate': 'open' };
  assert.deepEqual(brief(told(await other.inject({ method: 'POST', url: '/inside/signoff/writeback', headers: open, payload: body }))), [200, 'applied']);
  assert.equal((await other.inject({ url: '/inside/healthz', headers: open })).statusCode, 404);
  assert.equal(await db.effects(), 1);
});
