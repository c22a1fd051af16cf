// An application in a process of its own: `node server.mjs DATABASE MODE`. It says `{"port": …}`, then what happens in it.
import Fastify from 'fastify';
import pg from 'pg';
import { applied, createWritebackHandler } from 'signoff';
import { writebacks } from 'signoff/fastify';
import { pgDatabase } from 'signoff/pg';

import { SECRET } from './requests.mjs';
import { credit, INVOICES } from './shop.mjs';

const [database, mode] = process.argv.slice(2);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const pool = new pg.Pool({ host: process.env.SIGNOFF_TEST_PG, user: 'app', database, max: 30 });

const effect = async (job, client) => {
  await credit(job, client);
  say({ effect: job.idempotencyKey });
  if (mode === 'hang') await new Promise(() => {});
  return applied(1);
};
const handler = createWritebackHandler({
  database: pgDatabase(pool), secrets: SECRET, audience: 'billing-app', actions: { 'billing.credit': { ...INVOICES, effect } },
});
const app = Fastify();
app.register(writebacks, { handler, path: '/writeback' });
await app.listen();
say({ port: app.server.address().port });
// Ends with whoever started it.
process.stdin.on('end', () => process.exit()).resume();
