// The promises of the handler, through Fastify and pg on a real Postgres.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import pg from 'pg';
import { applied, Conflict, Refused, sign } from 'signoff';
import { pgDatabase } from 'signoff/pg';

import { brief, crediting, deliver, start } from './support/app.mjs';
import { skip } from './support/postgres.mjs';
import { request, SECRET, signed, VERSION } from './support/requests.mjs';
import { credit, shop } from './support/shop.mjs';

const nobody = async () => assert.fail('the effect was called');
const on = (name, work) => test(name, { skip }, async (t) => {
  const db = await shop(t);
  await work(t, db, db.pool({ user: 'app' }));
});

on('an effect lands once, and a duplicate gets the receipt', async (t, db, pool) => {
  const app = await start(t, pool, async (job, client) => {
    assert.equal(job.tenantId, 'acme');
    assert.deepEqual(Object.keys(job.row).sort(), ['id', 'tenant_id', 'updated_at']);
    assert.equal(job.row.updated_at, '2026-06-20T14:31:08.0003+00:00');
    await credit(job, client);
    return applied(2, { newVersion: 'v2', effects: [{ kind: 'db.insert' }], details: { note: 'x' } });
  });
  const first = await app.deliver();
  assert.deepEqual(brief(first), [200, 'applied']);
  assert.equal(first.replayed, false);
  assert.equal(first.body.rows_affected, 2);
  assert.equal(first.body.new_version, 'v2');
  assert.deepEqual(first.body.details, { note: 'x', effects: [{ kind: 'db.insert' }] });
  const again = await app.deliver();
  assert.deepEqual([...brief(again), again.replayed], [200, 'already_applied', true]);
  assert.deepEqual(again.body.details, first.body.details);
  assert.equal(await db.effects(), 1);
  assert.deepEqual(app.logged, []);
});

on('forged, stale, replayed with a fresh header', async (t, db, pool) => {
  const app = await start(t, pool, nobody);
  const forged = signed({}, { secret: 'another secret of 24 bytes' });
  assert.deepEqual(brief(await deliver(app, forged)), [401, 'failed', 'INVALID_SIGNATURE']);
  const touched = signed();
  touched.body = Buffer.from(touched.body.toString().replace('500', '900'));
  assert.deepEqual(brief(await deliver(app, touched)), [401, 'failed', 'INVALID_SIGNATURE']);

  const old = new Date(Date.now() - 301_000);
  const stale = signed({}, { now: old });
  assert.deepEqual(brief(await deliver(app, stale)), [401, 'failed', 'INVALID_ISSUED_AT']);
  const fresh = sign(stale.body, SECRET, { key: 'wrp_1:INV-3001' });
  const redated = { ...stale.headers, 'webhook-timestamp': fresh['webhook-timestamp'], 'x-synapsor-issued-at': new Date().toISOString() };
  assert.deepEqual(brief(await deliver(app, { body: stale.body, headers: redated })), [401, 'failed', 'INVALID_SIGNATURE']);

  // In compat the signature covers the body alone: what the body says must be fresh as well.
  const compat = await start(t, pool, nobody, { policy: 'compat' });
  assert.deepEqual(brief(await deliver(compat, { body: stale.body, headers: redated })), [401, 'failed', 'INVALID_ISSUED_AT']);
  assert.equal(await db.effects(), 0);
});

on('another tenant, action, audience, target, version', async (t, db, pool) => {
  const app = await start(t, pool, nobody);
  const globex = { tenant_guard: { column: 'tenant_id', value: 'globex' } };
  assert.deepEqual(brief(await app.deliver(globex)), [200, 'conflict', 'ROW_NOT_FOUND']);
  assert.deepEqual(brief(await app.deliver({ action: 'billing.refund' })), [400, 'failed', 'UNSUPPORTED_ACTION']);
  assert.deepEqual(brief(await app.deliver({ audience: 'shipping-app' })), [403, 'failed', 'AUDIENCE_MISMATCH']);
  assert.deepEqual(brief(await app.deliver({ audience: undefined })), [403, 'failed', 'AUDIENCE_MISMATCH']);
  const target = { schema: 'public', table: 'customers', primary_key: { column: 'id', value: 'INV-3001' } };
  assert.deepEqual(brief(await app.deliver({ target })), [403, 'failed', 'TARGET_MISMATCH']);
  for (const [key, value] of [['k1', '2026-06-20T14:31:08.0006Z'], ['k2', '2026-06-20T14:31:08Z'], ['k3', '2026-06-20T14:31:08.000301Z']]) {
    const stale = { idempotency_key: key, guards: { expected_version: { column: 'updated_at', value } } };
    assert.deepEqual(brief(await app.deliver(stale)), [200, 'conflict', 'VERSION_CONFLICT']);
    const again = await app.deliver(stale);
    assert.deepEqual([...brief(again), again.replayed], [200, 'conflict', 'VERSION_CONFLICT', true]);
  }
  assert.equal(await db.effects(), 0);
});

on('the same key with another body', async (t, db, pool) => {
  const app = await start(t, pool);
  assert.deepEqual(brief(await app.deliver()), [200, 'applied']);
  const other = { patch: { credit_requested_cents: 501, credit_reason: 'a courtesy' } };
  assert.deepEqual(brief(await app.deliver(other)), [422, 'failed', 'IDEMPOTENCY_KEY_REUSED']);
  assert.equal(await db.effects(), 1);
});

on('a dry run calls nobody and writes nothing', async (t, db, pool) => {
  const app = await start(t, pool, nobody);
  const dry = await app.deliver({ dry_run: true });
  assert.deepEqual(brief(dry), [200, 'applied']);
  assert.deepEqual([dry.body.rows_affected, dry.body.source_database_mutated, dry.body.details], [0, false, { dry_run: true }]);
  assert.deepEqual([await db.effects(), await db.receipts()], [0, []]);
});

on('an effect that throws is rolled back, and a retry succeeds', async (t, db, pool) => {
  let error;
  const app = await start(t, pool, async (job, client) => {
    await credit(job, client);
    if (error) throw error;
    return applied(1);
  });
  error = new Error('planted-exception-text');
  const failed = await app.deliver();
  assert.deepEqual(brief(failed), [500, 'failed', 'HANDLER_BUSINESS_ERROR']);
  assert.ok(!JSON.stringify(failed.body).includes('planted'), 'the exception is the application\'s own');
  assert.equal(app.logged[0].fields.err, error);
  assert.deepEqual([await db.effects(), await db.receipts()], [0, []]);
  error = undefined;
  assert.deepEqual(brief(await app.deliver()), [200, 'applied']);
  assert.equal(await db.effects(), 1);
});

on('whatever an effect does, the process lives and nothing is half done', async (t, db, pool) => {
  let effect;
  const app = await start(t, pool, (job, client) => effect(job, client));
  const failing = {
    'throws at once': () => { throw new Error('at once'); },
    'returns nothing': async (job, client) => { await credit(job, client); },
    'returns something else': async () => 'applied',
    'looks like a result': async () => ({ status: 'applied', rows_affected: 1 }),
    'throws nothing': async () => { throw undefined; },
    'a thenable that throws': () => ({ get then() { throw new Error('then'); } }),
    'an SQL error': async (_job, client) => client.query('SELECT nonsense'),
    'an SQL error that it swallows': async (job, client) => {
      await client.query('SELECT nonsense').catch(() => {});
      return applied(1);
    },
    'a fraction of a row': async () => applied(1.9),
    'NaN rows': async () => applied(NaN),
    'less than no rows': async () => applied(-1),
    'more rows than a number can count': async () => applied(2 ** 53 + 1),
    'as many as a bigint can': async () => applied(2n ** 53n + 1n),
    'rows as a text': async () => applied('5'),
    'NaN inside': async () => applied(1, { details: { ratio: NaN } }),
    'a cycle inside': async () => { const details = {}; details.self = details; return applied(1, { details }); },
    'a member of the receipt': async () => applied(1, { details: { dry_run: false } }),
    'not a code': async () => new Conflict('not a code'),
  };
  for (const [name, wrong] of Object.entries(failing)) {
    effect = wrong;
    const { http, status } = await app.deliver();
    assert.deepEqual([http >= 500, status], [true, 'failed'], name);
    assert.deepEqual([await db.effects(), await db.receipts()], [0, []], name);
    assert.notEqual(app.logged.length, 0, name);
    app.logged.length = 0;
  }
  // A result is a result, whether a promise is around it or not.
  effect = () => applied(3n);
  const answer = await app.deliver();
  assert.deepEqual([...brief(answer), answer.body.rows_affected], [200, 'applied', 3]);
});

on('an effect declines for good, after partial writes', async (t, db, pool) => {
  let decline;
  const app = await start(t, pool, async (job, client) => {
    await credit(job, client);
    return decline();
  });
  const cases = [
    ['k1', 'conflict', () => { throw new Conflict('CREDIT_LIMIT', { limit_cents: 100 }); }],
    ['k2', 'conflict', () => new Conflict('CREDIT_LIMIT', { limit_cents: 100 })],
    ['k3', 'failed', () => { throw new Refused('ACCOUNT_CLOSED', { limit_cents: 100 }); }],
    ['k4', 'failed', () => new Refused('ACCOUNT_CLOSED', { limit_cents: 100 })],
  ];
  for (const [key, status, how] of cases) {
    decline = how;
    const first = await app.deliver({ idempotency_key: key });
    assert.deepEqual([first.http, first.status, first.body.details], [200, status, { limit_cents: 100 }]);
    decline = nobody;
    const again = await app.deliver({ idempotency_key: key });
    assert.deepEqual([again.body, again.replayed], [first.body, true]);
  }
  assert.equal(await db.effects(), 0);
});

on('an author who ends the transaction is noticed, and never run again', async (t, db, pool) => {
  let effect;
  const app = await start(t, pool, (job, client) => effect(job, client));
  const ending = (how) => async (job, client) => {
    await credit(job, client);
    await how(client);
    return applied(1);
  };
  let landed = 0;
  for (const [name, how, written] of [
    ['commits', (client) => client.query('COMMIT'), true],
    ['commits and begins anew', (client) => client.query('COMMIT; BEGIN'), true],
    ['rolls back', (client) => client.query('ROLLBACK'), false],
    ['rolls back and begins anew', (client) => client.query('ROLLBACK; BEGIN'), false],
    ['rolls back and commits its own', (client) => client.query("ROLLBACK; BEGIN; INSERT INTO account_credits (invoice_id) VALUES ('INV-3001'); COMMIT"), true],
    ['releases', (client) => client.release(), false],
    ['releases twice', (client) => { client.release(); client.release(); }, false],
    ['releases and destroys', (client) => client.release(true), false],
    ['ends the connection', (client) => client.end(), null],
  ]) {
    const key = name.replaceAll(' ', '_');
    effect = ending(how);
    assert.deepEqual(brief(await app.deliver({ idempotency_key: key })), [500, 'failed', 'TRANSACTION_LOST'], name);
    landed += written ? 1 : 0;
    assert.equal(await db.effects(), landed, name);
    assert.equal(app.logged.pop().fields.code, 'TRANSACTION_LOST');
    // A connection that is gone can write nothing of its own: then it may be tried again.
    if (written !== null) {
      effect = nobody;
      assert.deepEqual(brief(await app.deliver({ idempotency_key: key })), [500, 'failed', 'HANDLER_TRANSACTION_BROKEN'], name);
    }
    effect = crediting;
    assert.deepEqual(brief(await app.deliver({ idempotency_key: `${key}_after` })), [200, 'applied'], `${name}: the pool is whole`);
    landed += 1;
    assert.equal(await db.effects(), landed, name);
  }
});

on('what an effect did not wait for is refused once it has ended', async (t, db, pool) => {
  // After how many turns of the loop it comes: between the receipt and COMMIT is one of them.
  let late;
  const app = await start(t, pool, async (job, client) => {
    await credit(job, client);
    let turns = Number(job.idempotencyKey.split('_')[1]);
    const goOn = () => (turns-- > 0 ? setImmediate(goOn) : late.push(late.statement(client)));
    process.nextTick(goOn);
    return applied(1);
  });
  const insert = "INSERT INTO account_credits (invoice_id) VALUES ('INV-3001')";
  const plain = (sql) => (client) => client.query(sql).then(() => 'ran', () => 'refused');
  let keys = 0;
  for (const statement of [
    plain('SELECT 1 / 0'), plain('ROLLBACK'), plain('COMMIT'), plain(insert),
    (client) => new Promise((resolve) => client.query(insert, (error) => resolve(error ? 'refused' : 'ran'))),
  ]) {
    for (let turns = 0; turns < 12; turns += 1) {
      late = Object.assign([], { statement });
      const answer = await app.deliver({ idempotency_key: `k${keys}_${turns}` });
      while (late.length === 0) await new Promise(setImmediate);
      assert.deepEqual([...brief(answer), await late[0]], [200, 'applied', 'refused'], `${statement} ${turns}`);
    }
    keys += 1;
  }
  const receipts = await db.receipts();
  assert.deepEqual([receipts.length, receipts.filter(({ status }) => status !== 'applied')], [keys * 12, []], 'a 200 was stored before');
  assert.equal(await db.effects(), keys * 12);
});

on('a COMMIT that the server answers with ROLLBACK is not taken for one', async (t, db, pool) => {
  // Past the client that the author is given: a statement that fails right before COMMIT.
  const app = await start(t, pool, async (job, client) => {
    await credit(job, client);
    let turns = Number(job.idempotencyKey.slice(1));
    const goOn = () => (turns-- > 0 ? setImmediate(goOn) : pg.Client.prototype.query.call(client, 'SELECT 1 / 0').catch(() => {}));
    process.nextTick(goOn);
    return applied(1);
  });
  let failed = 0;
  for (let turns = 0; turns < 12; turns += 1) {
    const { http } = await app.deliver({ idempotency_key: `k${turns}` });
    failed += http === 503 ? 1 : 0;
    const stored = (await db.receipts()).filter(({ idempotency_key: key }) => key === `k${turns}`).length;
    assert.deepEqual([http, stored], http === 200 ? [200, 1] : [503, 0]);
  }
  assert.ok(failed > 0, 'it came in between');
});

on('a client that its author releases goes to nobody else', async (t, db) => {
  const pool = db.pool({ user: 'app', max: 1 });
  let other;
  const app = await start(t, pool, async (job, client) => {
    await credit(job, client);
    client.release();
    other = pool.query('SELECT count(*)::int AS n FROM pg_stat_activity WHERE pid = pg_backend_pid() AND xact_start < query_start');
    return applied(1);
  });
  assert.deepEqual(brief(await app.deliver()), [500, 'failed', 'TRANSACTION_LOST']);
  assert.equal((await other).rows[0].n, 0, 'it waited, and has a transaction of its own');
  assert.equal(await db.effects(), 0);
});

on('the server ends the connection under the effect', async (t, db, pool) => {
  let effect = async (job, client) => {
    await credit(job, client);
    const { rows: [{ pid }] } = await client.query('SELECT pg_backend_pid() AS pid');
    const closed = new Promise((resolve) => client.once('end', resolve));
    await db.sql('SELECT pg_terminate_backend($1)', [pid]);
    await closed;
    return applied(1);
  };
  const app = await start(t, pool, (job, client) => effect(job, client));
  assert.deepEqual(brief(await app.deliver()), [500, 'failed', 'TRANSACTION_LOST']);
  assert.equal(await db.effects(), 0);
  effect = crediting;
  assert.deepEqual(brief(await app.deliver()), [200, 'applied']);
});

on('a conflict is recorded although the connection is gone', async (t, db, pool) => {
  const app = await start(t, pool, async (job, client) => {
    await credit(job, client);
    const { rows: [{ pid }] } = await client.query('SELECT pg_backend_pid() AS pid');
    const closed = new Promise((resolve) => client.once('end', resolve));
    await db.sql('SELECT pg_terminate_backend($1)', [pid]);
    await closed;
    throw new Conflict('CREDIT_LIMIT');
  });
  assert.deepEqual(brief(await app.deliver()), [200, 'conflict', 'CREDIT_LIMIT']);
  assert.deepEqual(await db.receipts(), [{ tenant_id: 'acme', idempotency_key: 'wrp_1:INV-3001', status: 'conflict' }]);
});

on('a transaction that is open already is refused and left alone', async (t, db) => {
  for (const old of [false, true]) {
    const pool = db.pool({ user: 'app', max: 1 });
    // A client that its application gave back in the middle of a transaction.
    const client = await pool.connect();
    if (old) client.getTransactionStatus = undefined;
    await client.query('BEGIN');
    client.release();
    const app = await start(t, pool, nobody);
    assert.deepEqual(brief(await app.deliver()), [500, 'failed', 'TRANSACTION_ALREADY_OPEN']);
    await pool.query('ROLLBACK');
    const after = await start(t, pool, crediting);
    assert.deepEqual(brief(await after.deliver({ idempotency_key: `k${old}` })), [200, 'applied']);
  }
});

on('what is missing in the database is said by code', async (t, db, pool) => {
  const app = await start(t, pool, crediting);
  await db.sql('ALTER TABLE synapsor_handler_receipts RENAME TO gone');
  const answer = await app.deliver();
  assert.deepEqual(brief(answer), [500, 'failed', 'RECEIPT_TABLE_MISSING']);
  await db.sql('ALTER TABLE gone RENAME TO synapsor_handler_receipts');
  const nowhere = await start(t, db.pool({ host: '/nonexistent', user: 'planted-user' }), nobody);
  const unavailable = await nowhere.deliver();
  assert.deepEqual([...brief(unavailable), unavailable.headers['retry-after']], [503, 'failed', 'TRANSACTION_FAILED', '1']);
  assert.ok(!/planted|nonexistent|ENOENT/.test(unavailable.body + JSON.stringify(nowhere.logged)), 'no driver text');
  assert.equal(nowhere.logged.length, 1);
});

on('what a pool is told to do with types changes nothing', async (t, db) => {
  const types = { getTypeParser: () => () => 'parsed by somebody else' };
  for (const options of [{ types }, { binary: true }]) {
    const app = await start(t, db.pool({ user: 'app', ...options }));
    assert.deepEqual(brief(await app.deliver({ idempotency_key: Object.keys(options)[0] })), [200, 'applied']);
  }
  assert.equal(await db.effects(), 2);
  assert.equal(request().guards.expected_version.value, VERSION);
});

on('statements that stay prepared', async (t, db) => {
  const pool = db.pool({ user: 'app', max: 2 });
  const app = await start(t, pool, crediting, { database: pgDatabase(pool, { prepare: true }) });
  const deliver = (n) => app.deliver({ idempotency_key: `k${n}` });
  const many = await Promise.all(Array.from({ length: 8 }, (_, n) => deliver(n)));
  assert.deepEqual(many.map(brief), many.map(() => [200, 'applied']));
  assert.deepEqual(brief(await deliver(0)), [200, 'already_applied']);
  const kept = await pool.query("SELECT count(*)::int AS n FROM pg_prepared_statements WHERE name LIKE 'signoff%'");
  assert.ok(kept.rows[0].n >= 5, 'they are prepared');
  // A table that changes under a plan.
  await db.sql('ALTER TABLE invoices ALTER COLUMN updated_at TYPE timestamptz(3); ALTER TABLE synapsor_handler_receipts ADD COLUMN note text');
  assert.deepEqual(brief(await deliver('after')), [200, 'conflict', 'VERSION_CONFLICT']);
  assert.equal(await db.effects(), 8);
});

on('a connection whose answer never came is closed, not given to the next one', async (t, db) => {
  const app = await start(t, db.pool({ user: 'app', max: 1, query_timeout: 500 }));
  const gate = await db.pool().connect();
  await gate.query("BEGIN; SELECT * FROM invoices WHERE id = 'INV-3001' FOR UPDATE");
  assert.deepEqual(brief(await app.deliver()), [503, 'failed', 'TRANSACTION_FAILED']);
  await gate.query('ROLLBACK');
  gate.release();
  assert.deepEqual(brief(await app.deliver()), [200, 'applied']);
  assert.equal(await db.effects(), 1);
});
