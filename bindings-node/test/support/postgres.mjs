// A throwaway Postgres cluster for a run of the tests, and databases on it. `test/run.mjs` starts it and says where it is.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import pg from 'pg';

/** Where a server lies: `SIGNOFF_PG_BIN`, or the newest one of the distribution. */
export function binaries() {
  if (process.env.SIGNOFF_PG_BIN) return process.env.SIGNOFF_PG_BIN;
  const root = '/usr/lib/postgresql';
  const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : [];
  return versions.map((version) => join(root, version, 'bin')).find((bin) => existsSync(join(bin, 'initdb')));
}

// Postgres refuses to run as root.
const unprivileged = process.getuid() === 0 ? ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups'] : [];
const command = (...words) => [...unprivileged, ...words];

/** Starts a cluster; answers the folder of its socket. It ends with this process, however that ends. */
export async function startCluster(bin) {
  const folder = mkdtempSync(join(tmpdir(), 'signoff-node-pg-'));
  chmodSync(folder, 0o755);
  if (process.getuid() === 0) spawnSync('chown', ['nobody:nogroup', folder]);
  const [program, ...words] = command(join(bin, 'initdb'), '-A', 'trust', '-U', 'postgres', '-E', 'UTF8', '--locale=C.UTF-8', '-D', join(folder, 'data'));
  const made = spawnSync(program, words, { cwd: '/', encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`initdb: ${made.stderr ?? made.error}`);
  // Ends the server (fast), waits for that and removes the folder when our end of the pipe closes.
  const script = `"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c max_connections=300 -c timezone=Asia/Kolkata >"$2/log" 2>&1 &
    server=$!; cat >/dev/null; kill -INT $server; wait $server; rm -rf "$2"`;
  const [shell, ...rest] = command('/bin/sh', '-c', script, 'sh', bin, folder);
  const keeper = spawn(shell, rest, { cwd: '/', stdio: ['pipe', 'ignore', 'ignore'] });
  const stop = async () => {
    const ended = once(keeper, 'exit');
    keeper.stdin.end();
    await ended;
  };
  for (let left = 1_200; ; left -= 1) {
    const client = new pg.Client({ host: folder, user: 'postgres', database: 'postgres' });
    try {
      await client.connect();
      await client.end();
      return { folder, stop };
    } catch (error) {
      if (left === 0) throw new Error(`the server does not answer: ${readFileSync(join(folder, 'log'), 'utf8')}`, { cause: error });
      await pause(50);
    }
  }
}

/** The folder of the running cluster's socket; without one, tests that need it are skipped, or fail if none may be. */
export const host = process.env.SIGNOFF_TEST_PG;
export const skip = host ? false : 'no Postgres server: run test/run.mjs, or set SIGNOFF_PG_BIN';

let made = 0;

/** A database of a test's own: pools on it, and SQL as the superuser, all ended with the test. */
export async function database(t, ...scripts) {
  const name = `t${process.pid}_${(made += 1)}`;
  await as({ database: 'postgres' }, (client) => client.query(`CREATE DATABASE ${name}`));
  const pools = [];
  t?.after(() => Promise.all(pools.map((pool) => pool.end())));
  const shop = {
    name,
    url: (user = 'postgres') => `postgres://${user}@/${name}?host=${encodeURIComponent(host)}`,
    pool: (options = {}) => {
      const pool = new pg.Pool({ host, user: 'postgres', database: name, ...options });
      // A backend that is killed while idle is said here, and is no concern of a test's.
      pool.on('error', () => {});
      pools.push(pool);
      return pool;
    },
    sql: (text, values) => as({ database: name }, async (client) => (await client.query(text, values)).rows),
    end: () => Promise.all(pools.map((pool) => pool.end())),
  };
  for (const script of scripts) await shop.sql(script.replace(/^CREATE ROLE .*;$/gm, unlessThere));
  return shop;
}

/** A role belongs to the whole server: another test may have made it. */
const unlessThere = (statement) => `DO $$ BEGIN ${statement} EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;`;

async function as(options, work) {
  const client = new pg.Client({ host, user: 'postgres', ...options });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
