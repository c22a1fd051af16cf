// Many at once, and for long: promises, threads, processes; what is left when nobody asks any more.
import assert from 'node:assert/strict';
import { execFile, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';

import { context, READ, skip, WAIVE, workspace } from './support/workspace.mjs';

const proposer = fileURLToPath(new URL('support/proposer.mjs', import.meta.url));
const idle = fileURLToPath(new URL('support/idle.mjs', import.meta.url));
const run = promisify(execFile);

test('64 promises, 4 threads and 4 processes propose at once: nothing is lost, and the chain verifies', { skip }, async (t) => {
  const EACH = 16;
  const shop = await workspace(t, 64 + 8 * EACH);
  const so = await shop.open();
  const work = (first) => ({ config: shop.contract, ledger: shop.ledger, env: shop.env, first, count: EACH });
  const threads = Array.from({ length: 4 }, (_, n) => new Worker(proposer, { workerData: work(65 + n * EACH) }));
  const processes = Array.from({ length: 4 }, (_, n) => {
    const child = fork(proposer);
    child.send(work(65 + (4 + n) * EACH));
    return child;
  });
  const own = Array.from({ length: 64 }, (_, n) => so.propose(WAIVE, { invoice_id: `INV-${n + 1}`, reason: 'r' }, { context }));
  const ended = [...threads, ...processes].map((one) => once(one, 'exit'));
  const said = await Promise.all([...threads, ...processes].map((one) => once(one, 'message')));
  const ids = [...(await Promise.all(own)).map(({ proposal_id }) => proposal_id), ...said.flatMap(([made]) => made)];
  for (const [code] of await Promise.all(ended)) assert.equal(code, 0, 'it ended by itself, with its session open');
  assert.equal(new Set(ids).size, 64 + 8 * EACH);
  const listed = new Set();
  for await (const { proposal_id } of so.proposals({ pageSize: 200 })) listed.add(proposal_id);
  assert.deepEqual(listed, new Set(ids));
  const { proposals, events } = await so.verifyLedger();
  assert.deepEqual([proposals, events], [ids.length, ids.length]);
});

test('the same proposal from everywhere at once is one', { skip }, async (t) => {
  const shop = await workspace(t, 1);
  const so = await shop.open();
  const work = { config: shop.contract, ledger: shop.ledger, env: shop.env, first: 1, count: 1 };
  const threads = Array.from({ length: 4 }, () => new Worker(proposer, { workerData: work }));
  const own = Array.from({ length: 16 }, () => so.propose(WAIVE, { invoice_id: 'INV-1', reason: 'r' }, { context }));
  const said = await Promise.all(threads.map((one) => once(one, 'message')));
  const ids = [...(await Promise.all(own)).map(({ proposal_id }) => proposal_id), ...said.flatMap(([made]) => made)];
  assert.equal(new Set(ids).size, 1);
  assert.equal((await so.verifyLedger()).proposals, 1);
});

test('an open session keeps no process alive, nor a thread; a wait that was left ends', { skip }, async (t) => {
  const shop = await workspace(t, 1);
  for (const mode of ['idle', 'read', 'events', 'thread', 'exit', 'terminate']) {
    const { stdout } = await run(process.execPath, [idle, mode, shop.contract, shop.ledger], { env: { ...process.env, ...shop.env }, timeout: 60_000 });
    assert.match(stdout, /^open\n/, mode);
  }
});

test('a session that is forgotten is closed when it is collected', { skip: skip || process.platform !== 'linux' }, async (t) => {
  const shop = await workspace(t, 1);
  const { stdout } = await run(process.execPath, ['--expose-gc', idle, 'forgotten', shop.contract, shop.ledger], { env: { ...process.env, ...shop.env }, timeout: 120_000 });
  assert.match(stdout, /^open\nclosed\n$/);
});

test('memory is flat over many awaits', { skip }, async (t) => {
  const shop = await workspace(t, 1);
  const full = process.env.SIGNOFF_FULL ? 100_000 : 10_000;
  const ran = spawnSync(process.execPath, ['--expose-gc', idle, 'many', shop.contract, shop.ledger, String(full)], { env: { ...process.env, ...shop.env }, encoding: 'utf8' });
  assert.equal(ran.status, 0, ran.stderr);
  const { before, after, calls } = JSON.parse(ran.stdout.split('\n')[1]);
  t.diagnostic(`${calls} awaits: ${before} -> ${after} KiB`);
  assert.equal(calls, full);
  assert.ok(after < before * 1.05, `${before} -> ${after} KiB`);
});
