// The agent's door inside an application's own HTTP server.

import type { IncomingMessage, ServerResponse } from 'node:http';

import { usage } from './bytes.js';
import type { Calls } from './calls.js';
import { type Context, contextOf } from './context.js';
import { guarded } from './drive.js';
import type { Place } from './error.js';
import { flag, text } from './exact.js';
import type { Logger } from './handler.js';

/** Options of {@link Signoff.mcpHandler}. */
export interface McpOptions<Request extends IncomingMessage = IncomingMessage> {
  /**
   * Who calls, of a request that your own application authenticated; `undefined` or `null` for nobody, which is answered 401
   * before the body is read. What it throws is the application's: see {@link McpHandler}. Left out, the contract's own
   * authentication decides: its bearer token (`SIGNOFF_RUNNER_HTTP_TOKEN`), or `signoff.mcp.auth`.
   */
  readonly context?: (request: Request) => Context | null | undefined | Promise<Context | null | undefined>;
  /** Where the protocol is spoken; `/mcp` by default. */
  readonly path?: string;
  /** Names that requests may call this server by, beside those of loopback; a request for another is answered 403. */
  readonly hosts?: readonly string[];
  /** Origins whose pages may call it; a request from another page is answered 403. */
  readonly origins?: readonly string[];
  /** Under which names tools are offered. */
  readonly alias?: 'canonical' | 'openai' | 'both';
  /** Offer the status and the withdrawal of the caller's own proposals, too. Default: true. */
  readonly ownProposals?: boolean;
  /** The address of this server as its clients know it. */
  readonly resource?: string;
}

/**
 * A handler of `node:http`, and so of Express, Connect and, with `reply.hijack()`, of Fastify. Its promise is never rejected:
 * what `context` throws, and an error of the session, goes to `next` where there is one, and so to the application's own
 * handler of errors; without, it is logged, and answered with 500 and no detail.
 */
export type McpHandler<Request extends IncomingMessage = IncomingMessage> = (
  request: Request,
  response: ServerResponse,
  next?: (error?: unknown) => void,
) => Promise<void>;

/** The longest message, and one byte more: what is that long is refused. */
const MOST = (1 << 20) + 1;

interface Answer {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
}

export function mcpHandler<Request extends IncomingMessage>(calls: Calls, options: McpOptions<Request>, logger: Logger, place: Place): McpHandler<Request> {
  const { context, path = '/mcp', hosts = [], origins = [], alias = 'canonical', ownProposals = true, resource } = options;
  if (context !== undefined && typeof context !== 'function') usage('context is not a function', 'give it the request, and it says who calls', place);
  const mount = {
    path: text(path, 'path', place),
    hosts: texts(hosts, 'hosts', place),
    origins: texts(origins, 'origins', place),
    alias: text(alias, 'alias', place),
    own_proposals: flag(ownProposals, 'ownProposals', place),
    application_authenticates: context !== undefined,
    ...(resource === undefined ? {} : { resource: text(resource, 'resource', place) }),
  };

  const answerTo = async (request: Request): Promise<Answer | undefined> => {
    const who = (await context?.(request)) ?? undefined;
    const caller = who === undefined ? {} : { context: contextOf(who, place) };
    // Of nobody nothing is read: the answer is 401, whatever it says.
    const body = context !== undefined && who === undefined ? '' : await bodyOf(request, place);
    if (body === undefined) return undefined;
    const { method = 'GET', url = '/' } = request;
    // The answer comes as the text that it is: no number in it is read here.
    return calls.ask<Answer>({ call: 'mcp', mount, method, target: url, headers: headersOf(request), body, ...caller }, place);
  };

  return async (request, response, next) => {
    try {
      const answer = await answerTo(request);
      if (answer !== undefined) send(request, response, answer);
    } catch (err) {
      if (typeof next === 'function') return next(err);
      guarded(logger).error({ err }, 'a request of MCP failed');
      const headers = [['content-type', 'application/json'], ['cache-control', 'no-store']] as const;
      if (response.headersSent) response.destroy();
      else send(request, response, { status: 500, headers, body: '{"ok":false,"error":"internal"}' });
    }
  };
}

function texts(list: unknown, name: string, place: Place): string[] {
  if (!Array.isArray(list)) usage(`${name} is not an array`, 'it is an array of strings', place);
  return list.map((one) => text(one, `one of the ${name}`, place));
}

function headersOf({ rawHeaders }: IncomingMessage): [string, string][] {
  const headers: [string, string][] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    // HTTP/2 says `host` by another name, and has the rest of the first line among its headers.
    const name = rawHeaders[at] === ':authority' ? 'host' : rawHeaders[at]!;
    if (!name.startsWith(':')) headers.push([name, rawHeaders[at + 1]!]);
  }
  return headers;
}

function send(request: IncomingMessage, response: ServerResponse, { status, headers, body }: Answer): void {
  response.statusCode = status;
  // In place of what a middleware of the application has said: two of the same would be none. Caches may be told several things.
  for (const [name, value] of headers) {
    if (name === 'vary') response.appendHeader(name, value);
    else response.setHeader(name, value);
  }
  if (status !== 204) response.setHeader('content-length', Buffer.byteLength(body));
  // Nobody is to send the rest of what was not read.
  if (!request.complete && request.httpVersionMajor === 1) response.setHeader('connection', 'close');
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** The body as text; null if it is none, `undefined` if the client hung up. */
async function bodyOf(request: IncomingMessage, place: Place): Promise<string | null | undefined> {
  if (request.readableDidRead || request.readableEnded) {
    usage('the body was read before', 'let the handler stand before every parser of bodies: parsed and written again, they are others', place);
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    // Not destroyed where we stop: its socket is the answer's, too.
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length >= MOST) break;
    }
  } catch {
    return undefined;
  }
  try {
    // One that is too long may be cut within a letter, and is too long all the same.
    return new TextDecoder('utf-8', { fatal: length < MOST, ignoreBOM: true }).decode(Buffer.concat(chunks));
  } catch {
    return null;
  }
}
