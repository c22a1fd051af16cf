// The agent's door inside an application's own HTTP server.

import type { IncomingMessage, ServerResponse } from 'node:http';

import { usage } from './bytes.js';
import type { Calls } from './calls.js';
import { type Context, contextOf } from './context.js';
import type { Place } from './error.js';
import { flag, text } from './exact.js';

/** Options of {@link Signoff.mcpHandler}. */
export interface McpOptions {
  /**
   * Who calls, of a request that your own application authenticated; `undefined` for nobody, which is answered 401. Left out,
   * the contract's own authentication decides: its bearer token, or `signoff.mcp.auth`.
   */
  readonly context?: (request: IncomingMessage) => Context | undefined | Promise<Context | undefined>;
  /** Where the protocol is spoken; `/mcp` by default. */
  readonly path?: string;
  /** Names that requests may call this server by, beside those of loopback. */
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

/** A handler of `node:http`, and so of Express, Connect and, with `reply.hijack()`, of Fastify. */
export type McpHandler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** The longest message, and one byte more: what is that long is refused. */
const MOST = (1 << 20) + 1;

interface Answer {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
}

export function mcpHandler(calls: Calls, options: McpOptions, place: Place): McpHandler {
  const { context, path = '/mcp', hosts = [], origins = [], alias = 'canonical', ownProposals = true, resource } = options;
  if (context !== undefined && typeof context !== 'function') usage('context is not a function', 'give it the request, and it says who calls', place);
  const mount = {
    path: text(path, 'path', place),
    hosts: hosts.map((host) => text(host, 'hosts', place)),
    origins: origins.map((origin) => text(origin, 'origins', place)),
    alias: text(alias, 'alias', place),
    own_proposals: flag(ownProposals, 'ownProposals', place),
    application_authenticates: context !== undefined,
    ...(resource === undefined ? {} : { resource: text(resource, 'resource', place) }),
  };
  return async (request, response) => {
    const who = await context?.(request);
    const body = await bodyOf(request);
    if (body === undefined) return;
    const { method = 'GET', url = '/', rawHeaders } = request;
    const headers: [string, string][] = [];
    for (let at = 0; at + 1 < rawHeaders.length; at += 2) headers.push([rawHeaders[at]!, rawHeaders[at + 1]!]);
    const asked = { call: 'mcp', mount, method, target: url, headers, body, ...(who === undefined ? {} : { context: contextOf(who, place) }) };
    const answer = await calls.ask<Answer>(asked, place);
    response.statusCode = answer.status;
    for (const [name, value] of answer.headers) response.appendHeader(name, value);
    response.end(method === 'HEAD' ? undefined : answer.body);
  };
}

/** The body as text; null if it is none, `undefined` if the client hung up. */
async function bodyOf(request: IncomingMessage): Promise<string | null | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of request as AsyncIterable<Uint8Array>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length >= MOST) break;
    }
  } catch {
    return undefined;
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks));
  } catch {
    return null;
  }
}
