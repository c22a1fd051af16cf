// Several processes at once, and processes that die.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { brief } from './support/app.mjs';
import { skip } from './support/postgres.mjs';
import { server } from './support/process.mjs';
import { signed } from './support/requests.mjs';
import { shop } from './support/shop.mjs';

test('fifty deliveries at once to two processes have one effect', { skip }, async (t) => {
  const db = await shop(t);
  const servers = await Promise.all([server(t, db.name), server(t, db.name)]);
  const request = signed();
  const answers = await Promise.all(Array.from({ length: 50 }, (_, n) => servers[n % 2].deliver(request)));
  const seen = answers.map((answer) => brief(answer).join(' '));
  assert.equal(seen.filter((answer) => answer === '200 applied').length, 1, `${seen}`);
  for (const answer of seen) assert.match(answer, /^(200 applied|200 already_applied|409 failed IDEMPOTENCY_IN_FLIGHT)$/);
  // The effect does not touch the version: what held the others off is the key alone.
  assert.equal(await db.effects(), 1);
});

test('a process killed between effect and commit has done nothing, and a retry does it once', { skip }, async (t) => {
  const db = await shop(t);
  const [dying, living] = await Promise.all([server(t, db.name, 'hang'), server(t, db.name)]);
  const request = signed();
  const lost = dying.deliver(request).catch((error) => error);
  await dying.heard('effect');
  await dying.kill();
  assert.ok((await lost) instanceof Error);
  assert.equal(await db.effects(), 0);
  // The server may still hold the dead one's transaction for a moment: then the answer is 409, and the sender tries again.
  let answer;
  do answer = await living.deliver(request); while (answer.http === 409);
  assert.deepEqual(brief(answer), [200, 'applied']);
  assert.deepEqual(brief(await living.deliver(request)), [200, 'already_applied']);
  assert.equal(await db.effects(), 1);
});

test('a process killed while its COMMIT is under way: the same request finds out what became of it', { skip }, async (t) => {
  const db = await shop(t);
  // A COMMIT that waits for us: a deferred trigger takes a lock that we hold.
  await db.sql(`CREATE FUNCTION wait_at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER z_wait AFTER INSERT ON effects DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_at_commit()`);
  const gate = await db.pool().connect();
  await gate.query('SELECT pg_advisory_lock(7)');
  const [dying, living] = await Promise.all([server(t, db.name), server(t, db.name)]);
  const request = signed();
  const lost = dying.deliver(request).catch((error) => error);
  const waiting = "SELECT pid FROM pg_stat_activity WHERE query = 'COMMIT' AND wait_event = 'advisory' AND state = 'active'";
  while ((await db.sql(waiting)).length === 0);
  await dying.kill();
  assert.ok((await lost) instanceof Error);
  // While nobody knows, nobody does it again.
  assert.deepEqual(brief(await living.deliver(request)), [409, 'failed', 'IDEMPOTENCY_IN_FLIGHT']);
  await gate.query('SELECT pg_advisory_unlock(7)');
  gate.release();
  const answer = await living.deliver(request);
  assert.deepEqual([...brief(answer), answer.replayed], [200, 'already_applied', true]);
  assert.equal(await db.effects(), 1);
});
