// The packages: packed, installed into an empty folder without a network, and used from both module systems.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { skip, workspace } from './support/workspace.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const run = promisify(execFile);

test('one version from the workspace', () => {
  const version = /\[workspace\.package\]\nversion = "([^"]+)"/.exec(readFileSync(here('../../Cargo.toml'), 'utf8'))[1];
  assert.equal(JSON.parse(readFileSync(here('../package.json'))).version, version);
  const lock = JSON.parse(readFileSync(here('../package-lock.json')));
  assert.deepEqual([lock.version, lock.packages[''].version], [version, version]);
});

test('packed, installed into an empty folder, and the README runs from ESM and CJS', { skip }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'signoff-packages-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const packages = join(folder, 'packages');
  const { stdout } = await run(process.execPath, [here('../scripts/pack.mjs'), packages]);
  for (const line of stdout.trim().split('\n')) t.diagnostic(line.split(': ')[1]);
  const tarballs = readdirSync(packages).sort();
  assert.equal(tarballs.length, 2);

  const shop = await workspace(t, 0);
  const app = join(folder, 'app');
  mkdirSync(app);
  writeFileSync(join(app, 'package.json'), '{"private":true}');
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', ...tarballs.map((name) => join(packages, name))], { cwd: app });
  assert.deepEqual(readdirSync(join(app, 'node_modules')).filter((name) => !name.startsWith('.')).sort(), ['@signoff', 'signoff']);
  const [platform] = readdirSync(join(app, 'node_modules/@signoff'));
  const native = join(app, 'node_modules/@signoff', platform);
  const unpacked = readdirSync(native).reduce((sum, name) => sum + statSync(join(native, name)).size, 0);
  t.diagnostic(`${platform}: ${(unpacked / 1e6).toFixed(1)} MB unpacked`);
  assert.ok(unpacked <= 24e6, `${unpacked} bytes`);

  const code = /```js\n(\/\/ embed\.mjs\n[^]*?)```/.exec(readFileSync(here('../../README.md'), 'utf8'))[1];
  const commonjs = `(async () => {${code.replace(/^import (\{.*\}) from '(.*)';$/m, "const $1 = require('$2');")}})().catch((error) => { console.error(error); process.exitCode = 1; });`;
  writeFileSync(join(app, 'embed.mjs'), code);
  writeFileSync(join(app, 'embed.cjs'), commonjs.replaceAll('INV-3001', 'INV-3002'));
  writeFileSync(join(app, 'signoff.json'), readFileSync(shop.contract));
  await shop.sql("INSERT OR IGNORE INTO invoices (id, tenant_id, customer_id, status, balance_cents, late_fee_cents, created_at, updated_at) VALUES ('INV-3002', 'acme', 'cust_acme_1', 'overdue', 1, 5500, '2026-06-01T00:00:00Z', '2026-06-20T14:31:08Z')");
  const env = { ...process.env, ...shop.env };
  for (const file of ['embed.mjs', 'embed.cjs']) assert.match((await run(process.execPath, [file], { cwd: app, env })).stdout, /applied 1\n$/, file);

  // What belongs to another version is not loaded, and what is missing is named.
  const manifest = join(native, 'package.json');
  const own = readFileSync(manifest, 'utf8');
  const load = () => run(process.execPath, ['-e', "require('signoff')"], { cwd: app });
  writeFileSync(manifest, own.replace(/"version": "[^"]+"/, '"version": "9.9.9"'));
  await assert.rejects(load, /needs @signoff\/[-\w]+@[\d.]+, and 9\.9\.9 is installed/);
  rmSync(native, { recursive: true });
  await assert.rejects(load, /needs @signoff\/[-\w]+@[\d.]+: install it/);
});
