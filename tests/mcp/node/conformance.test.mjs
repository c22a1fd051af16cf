// The official conformance suite, against the server that has all it asks for. Only what a revision requires counts; what is
// an extension that is not offered (tasks) is run by the suite and not scored.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { lines } from './stage.mjs';

const suite = fileURLToPath(new URL('../node_modules/@modelcontextprotocol/conformance/dist/index.js', import.meta.url));
const REQUIRED = { '2026-07-28': 37, '2025-11-25': 30 };

const RAW = ['server-stateless', 'server-sse-multiple-streams', 'dns-rebinding-protection'];

const run = (given) =>
  new Promise((done) => {
    const options = { maxBuffer: 1 << 26, encoding: 'utf8' };
    execFile(process.execPath, [suite, ...given], options, (error, out, err) => done({ code: error?.code ?? 0, out, err }));
  });

for (const [revision, count] of Object.entries(REQUIRED)) {
  test(`all that ${revision} requires of a server`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'signoff-conformance-'));
    const server = spawn(process.env.SIGNOFF_CONFORMANCE, { stdio: ['pipe', 'pipe', 'inherit'] });
    t.after(async () => {
      const ended = once(server, 'exit');
      server.stdin.end();
      await ended;
      rmSync(folder, { recursive: true });
    });
    const url = (await lines(server.stdout).next()).value;
    const listed = (await run(['list', '--server', '--requirements', revision])).out;
    const required = listed.slice(listed.indexOf('Server scenarios'), listed.indexOf('Client scenarios'));
    const names = [...required.matchAll(/^ {2}- (\S+)$/gm)].map((match) => match[1]);
    assert.equal(names.length, count, `the suite is another one:\n${required}`);

    const ran = await run(['server', '--url', url, '--requirements', revision, '--output-dir', folder]);
    const summary = ran.out.slice(ran.out.indexOf('=== SUMMARY ==='));
    const results = new Map([...summary.matchAll(/^([✓✗]) ([\w-]+): (\d+) passed, (\d+) failed/gmu)].map((match) => [match[2], match]));
    const passed = names.filter((name) => results.get(name)?.[1] === '✓' && Number(results.get(name)[3]) > 0);
    console.log(`conformance ${revision}: ${passed.length}/${count} required scenarios`);
    console.log(summary.slice(summary.indexOf('Total:')).trim());
    assert.deepEqual(names.filter((name) => !passed.includes(name)), [], `${summary}\n${ran.err}`);
    assert.equal(ran.code, 0, summary);

    // Beside what it examines, a scenario checks every message against the revision's schema, unless it speaks raw HTTP.
    const unchecked = [];
    for (const name of names) {
      const at = readdirSync(folder).find((entry) => new RegExp(`^server-${name}-\\d`).test(entry));
      const checks = JSON.parse(readFileSync(join(folder, at, 'checks.json'), 'utf8'));
      if (!checks.some((check) => check.id === 'wire-schema-valid' && check.status === 'SUCCESS')) unchecked.push(name);
    }
    assert.deepEqual(unchecked, names.filter((name) => RAW.includes(name)));
  });
}
