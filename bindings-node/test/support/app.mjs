// A Fastify application with the plugin, and what it answered in a form that tests can compare.
import Fastify from 'fastify';
import { applied, createWritebackHandler } from 'signoff';
import { writebacks } from 'signoff/fastify';
import { pgDatabase } from 'signoff/pg';

import { SECRET, signed } from './requests.mjs';
import { credit, INVOICES } from './shop.mjs';

/** An application whose action `billing.credit` is `effect`; what it logs is kept in `app.logged`. */
export async function start(t, pool, effect = crediting, options = {}) {
  const logged = [];
  const handler = createWritebackHandler({
    database: pgDatabase(pool),
    secrets: SECRET,
    audience: 'billing-app',
    actions: { 'billing.credit': { ...INVOICES, effect } },
    ...options,
  });
  const app = Fastify({ loggerInstance: keeping(logged) });
  await app.register(writebacks, { handler, path: '/writeback' });
  app.post('/json', async (request) => ({ parsed: request.body }));
  t?.after(() => app.close());
  app.logged = logged;
  app.deliver = (members, more) => deliver(app, signed(members, more));
  return app;
}

export const crediting = async (job, client) => {
  await credit(job, client);
  return applied(1);
};

/** Sends what {@link signed} made. */
export async function deliver(app, { body, headers }) {
  return told(await app.inject({ method: 'POST', url: '/writeback', headers, payload: body }));
}

/** Status code, status, code; and the rest, should somebody ask. */
export function told(response) {
  const body = JSON.parse(response.body);
  return { http: response.statusCode, status: body.status, code: body.safe_error_code, replayed: response.headers['idempotent-replayed'] === 'true', body, headers: response.headers };
}

/** The three of them, for an assertion on one line. */
export const brief = ({ http, status, code }) => [http, status, ...(code ? [code] : [])];

/** A pino-like logger that keeps what is written at `warn` and above. */
function keeping(logged) {
  const at = (level) => (fields, message) => logged.push({ level, fields, message });
  const quiet = () => {};
  const logger = { error: at('error'), warn: at('warn'), fatal: at('fatal'), info: quiet, debug: quiet, trace: quiet, silent: quiet, level: 'info' };
  logger.child = () => logger;
  return logger;
}
