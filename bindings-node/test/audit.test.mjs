// `audit`: the same review as the command line's.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { audit, Signoff, SignoffError } from '../esm/index.mjs';

const examples = new URL('../../examples/', import.meta.url);
const dangerous = readFileSync(new URL('raw-sql-vs-signoff/dangerous-db-mcp.json', examples), 'utf8');

test('the dangerous example, as text and as what was read from it', () => {
  for (const review of [audit, Signoff.audit]) {
    for (const manifest of [dangerous, JSON.parse(dangerous), JSON.parse(dangerous).tools]) {
      const report = review(manifest, { target: 'dangerous-db-mcp' });
      const { tools_inspected, high, medium, low, total_findings } = report.summary;
      assert.deepEqual([tools_inspected, high, medium, low], [6, 15, 12, 12]);
      assert.deepEqual([report.schema_version, report.target], ['synapsor.mcp-audit.v1', 'dangerous-db-mcp']);
      assert.equal(report.findings.length, total_findings);
      assert.equal(report.findings[0].severity, 'HIGH');
    }
  }
});

test('a contract of ours has nothing high', () => {
  const { summary, target } = audit(readFileSync(new URL('support-billing-agent/signoff.json', examples), 'utf8'));
  assert.deepEqual([summary.tools_inspected, summary.high, target], [4, 0, 'manifest']);
});

test("a client's servers are named and not asked", () => {
  const report = audit({ mcpServers: { db: { command: 'touch', args: ['it-ran'], env: { KEY: 'planted' } } } });
  assert.deepEqual(report.not_inspected.map(({ server, transport }) => [server, transport]), [['db', 'stdio']]);
  assert.ok(!JSON.stringify(report).includes('planted'));
});

test('what is no JSON', () => {
  const cycle = {};
  cycle.self = cycle;
  for (const manifest of ['{', '', cycle, { id: 1n }, null, undefined, 7, () => {}]) {
    assert.throws(() => audit(manifest), (error) => error instanceof SignoffError && error.code === 'USAGE' && error.stack.includes('audit.test'));
  }
  assert.throws(() => audit('{}', { target: 7 }), { code: 'USAGE' });
  assert.throws(() => Signoff.audit('{}', { unknown: 1 }), { code: 'USAGE' });
});
