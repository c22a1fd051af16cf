// The scenario of tests/vectors/scenario, which every face plays to the same ledger; and every code there is, as it arrives.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { Signoff, SignoffError } from 'signoff';

const program = process.env.SIGNOFF_STAGE;
const skip = program ? false : 'no program `stage`: run make test-node, or set SIGNOFF_STAGE';
if (skip && process.env.SIGNOFF_REQUIRE_ALL) throw new Error(skip);
const stage = (...words) => JSON.parse(execFileSync(program, words, { encoding: 'utf8' }));
const read = (path) => JSON.parse(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8'));

const camel = (members) => Object.fromEntries(Object.entries(members).map(([name, value]) => [name.replace(/_(.)/g, (_, letter) => letter.toUpperCase()), value]));
const LISTS = { query_audit: 'queryAudit' };

/** A request of the scenario, as a caller in JavaScript makes it. */
async function play(so, { call, ...request }) {
  const { proposal_id: id, version, hash, approver, actor } = request;
  const reason = request.reason == null ? {} : { reason: request.reason };
  switch (call) {
    case 'read': case 'propose': return so[call](request.capability, request.arguments);
    case 'proposal': case 'replay': case 'evidence': return so[call](request.id);
    case 'approve': case 'reject': return so[call](id, { hash, version, approver, ...reason });
    case 'cancel': return so.cancel(id, { actor, ...reason });
    case 'apply': return so.apply(id, request.dry_run ? { dryRun: true } : {});
    case 'verify_ledger': return so.verifyLedger(request.expect ? { expect: request.expect } : {});
    case 'list': {
      const { items, nextCursor } = await so[LISTS[request.list] ?? request.list](camel(request.filter ?? {})).page(request.cursor);
      return { [request.list]: items, next_cursor: nextCursor };
    }
    default: return assert.fail(`${call} is not in the scenario`);
  }
}

const at = (value, pointer) => pointer.split('/').slice(1).reduce((part, name) => part?.[name], value);

test('the scenario ends with the same ledger as everywhere', { skip }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'signoff-scenario-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const { environment: env } = stage('make', folder);
  const script = read('tests/vectors/scenario/steps.json');
  const so = await Signoff.open(join(folder, 'signoff.json'), { ledger: join(folder, 'ledger.db'), create: true, env, testing: { at: script.steps[0].at, seed: '1' } });
  t.after(() => so.close());
  const saved = new Map();
  const fill = (value) => {
    if (typeof value === 'string') return value.startsWith('$') ? saved.get(value) ?? assert.fail(`${value} was not saved`) : value;
    if (Array.isArray(value)) return value.map(fill);
    return value && typeof value === 'object' ? Object.fromEntries(Object.entries(value).map(([name, one]) => [name, fill(one)])) : value;
  };
  let requests = 0;
  for (const [n, step] of script.steps.entries()) {
    if (step.sql) {
      stage('sql', folder, step.sql);
      continue;
    }
    // The first goes on from where opening left off.
    if (requests > 0) await so.script(step.at, String(n + 1));
    requests += 1;
    const answer = await play(so, fill(step.request)).catch((error) => error);
    if (step.code) {
      assert.ok(answer instanceof SignoffError && answer.code === step.code, `${step.name}: ${JSON.stringify(answer)}`);
      continue;
    }
    assert.ok(!(answer instanceof Error), `${step.name}: ${answer.stack}`);
    for (const [pointer, wanted] of Object.entries(step.ok)) assert.deepEqual(at(answer, pointer), fill(wanted), `${step.name}: ${pointer}`);
    for (const [field, name] of [['id', 'proposal_id'], ['hash', 'proposal_hash'], ['evidence', 'evidence_id']]) {
      if (step.save && typeof answer[name] === 'string') saved.set(`$${step.save}.${field}`, answer[name]);
    }
  }
  assert.ok(requests >= 60, `${requests} requests`);
  assert.deepEqual(stage('effects', folder), script.effects);
  await so.script('2026-12-31T00:00:00Z', 'last');
  assert.equal((await so.verifyLedger()).checkpoint, script.checkpoint, 'another ledger');
});

test('every code arrives, with what its message speaks of', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'signoff-codes-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const so = await Signoff.open(null, { ledger: join(folder, 'ledger.db'), create: true, testing: { at: '2026-01-01T00:00:00Z', seed: '1' } });
  t.after(() => so.close());
  const catalogue = read('schemas/errors.json');
  assert.ok(catalogue.length > 100);
  for (const { code, message, help, retryable } of catalogue) {
    const context = Object.fromEntries([...`${message}${help ?? ''}`.matchAll(/\{(\w+)\}/g)].map(([, name]) => [name, `a ${name}`]));
    const error = await so.fail(code, context).catch((thrown) => thrown);
    assert.ok(error instanceof SignoffError && error instanceof Error, code);
    assert.deepEqual([error.code, error.retryable, error.context, typeof error.help], [code, retryable, context, help ? 'string' : 'undefined']);
    assert.match(error.stack.split('\n    at ')[1], /scenario\.test\.mjs/);
    assert.doesNotMatch(error.message, /[{?]/);
  }
});
