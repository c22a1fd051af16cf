import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';

import type { WritebackHandler, WritebackResponse } from './handler.js';

/** Options of {@link writebacks}. */
export interface WritebacksOptions {
  /** The handler. */
  readonly handler: WritebackHandler;
  /** Where writebacks come in, below the plugin's prefix if it has one; `/signoff/writeback` by default. */
  readonly path?: string;
  /** Where a load balancer asks whether the process is there; `/healthz` by default, `false` for nowhere. */
  readonly healthz?: string | false;
}

/**
 * A Fastify 5 plugin: writebacks at `path`, and health at `healthz`. It is encapsulated: it reads its own bodies as
 * bytes, and the parsers of your other routes stay as they are. A body beyond 1 MiB is answered 413.
 *
 * @example
 * ```ts
 * app.register(writebacks, { handler }); // POST /signoff/writeback, GET /healthz
 * ```
 */
export const writebacks: FastifyPluginAsync<WritebacksOptions> = async (app, options) => {
  const { handler, path = '/signoff/writeback', healthz = '/healthz' } = options;
  // The signature is over the bytes: whatever the content type says, nobody parses them first.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: handler.maxBody }, (_request, body, done) => done(null, body));
  app.setErrorHandler((error: Error & { code?: string }, request, reply) => {
    if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') return send(reply, handler.bodyTooLarge());
    request.log.error({ err: error }, 'a writeback request could not be read');
    throw error;
  });

  const handle = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const body = (request.body ?? new Uint8Array()) as Uint8Array;
    const answer = handler.handle({ method: request.method, headers: request.raw.rawHeaders, body, logger: request.log });
    return send(reply, await answer);
  };
  app.route({ method: [...handler.methods], url: path, handler: handle });
  const others = ['GET', 'HEAD', 'DELETE', 'OPTIONS'];
  app.route({ method: others, url: path, handler: async (_request, reply) => send(reply, handler.methodNotAllowed()) });
  if (healthz !== false) app.get(healthz, async (_request, reply) => send(reply, handler.health()));
};

function send(reply: FastifyReply, answer: WritebackResponse): FastifyReply {
  return reply.code(answer.status).headers(answer.headers).send(answer.body);
}
