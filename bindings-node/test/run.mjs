// Runs the tests beside a Postgres cluster of their own: `node test/run.mjs [files]`.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { binaries, startCluster } from './support/postgres.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const bin = binaries();
if (!bin && process.env.SIGNOFF_REQUIRE_ALL) {
  console.error('no Postgres server to test against');
  process.exit(1);
}
const cluster = bin && (await startCluster(bin));
const files = process.argv.slice(2).length ? process.argv.slice(2) : readdirSync(here).filter((name) => name.endsWith('.test.mjs')).sort().map((name) => here + name);
const env = { ...process.env, ...(cluster ? { SIGNOFF_TEST_PG: cluster.folder } : {}) };
// One file at a time: some of them measure who waits for whom.
const ran = spawnSync(process.execPath, ['--test', '--test-concurrency=1', '--test-reporter=spec', ...files], { stdio: 'inherit', env });
await cluster?.stop();
process.exit(ran.status ?? 1);
