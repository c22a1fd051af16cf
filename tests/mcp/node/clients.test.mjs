// The official TypeScript clients: the SDK of version 1, and the client of version 2 in each of its ways to agree.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as two from '@modelcontextprotocol/client';
import { StdioClientTransport as StdioTwo } from '@modelcontextprotocol/client/stdio';
import { Client as One } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as StdioOne } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as HttpOne } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

import { CANONICAL, openai, story, TOKEN, Workspace } from './stage.mjs';

const me = { name: 'drive', version: '1.0.0' };
const modern = (mode) => () => new two.Client(me, mode ? { versionNegotiation: { mode } } : {});
const CLIENTS = [
  { name: 'sdk 1', client: () => new One(me), Stdio: StdioOne, Http: HttpOne, revision: '2025-11-25' },
  { name: 'client 2', client: modern(), revision: '2025-11-25' },
  { name: 'client 2, auto', client: modern('auto'), revision: '2026-07-28' },
  { name: 'client 2, pinned', client: modern({ pin: '2026-07-28' }), revision: '2026-07-28' },
].map((client) => ({ Stdio: StdioTwo, Http: two.StreamableHTTPClientTransport, ...client }));

const DOORS = {
  stdio: async (workspace, { Stdio }, given) => new Stdio(workspace.stdio(...given)),
  http: async (workspace, { Http }, given, token = TOKEN) =>
    new Http(new URL(await workspace.serve(...given)), { requestInit: { headers: { Authorization: `Bearer ${token}` } } }),
};

/** A client that is connected, for as long as `use` takes. */
async function connected(workspace, kind, door, given, use, token) {
  const client = kind.client();
  const transport = await DOORS[door](workspace, kind, given, token);
  await client.connect(transport);
  try {
    await use(client, transport);
  } finally {
    await client.close();
  }
}

for (const door of Object.keys(DOORS)) {
  for (const kind of CLIENTS) {
    test(`${kind.name} over ${door} does all that an agent may`, async (t) => {
      const workspace = await Workspace.make();
      t.after(() => workspace.close());
      await connected(workspace, kind, door, [], async (client, transport) => {
        // Version 1 tells it on HTTP only.
        const revision = client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion;
        if (revision !== undefined || door === 'http') assert.equal(revision, kind.revision);
        await story(workspace, client);
      });
      await connected(workspace, kind, door, ['--alias-mode', 'openai'], (client) => story(workspace, client, openai));
      await connected(workspace, kind, door, ['--alias-mode', 'both'], async (client) => {
        const names = (await client.listTools()).tools.map((tool) => tool.name);
        assert.deepEqual(names.sort(), [...CANONICAL, ...CANONICAL.map(openai)].sort());
      });
    });
  }
}

for (const kind of CLIENTS) {
  test(`${kind.name} without the right token gets nowhere`, async (t) => {
    const workspace = await Workspace.make();
    t.after(() => workspace.close());
    const attempt = connected(workspace, kind, 'http', [], (client) => client.listTools(), 'a wrong one');
    await assert.rejects(attempt, (error) => {
      assert.match(`${error.code} ${error.status} ${error.name} ${error.message} ${error.cause}`, /401|Unauthorized/);
      assert.doesNotMatch(`${error.stack}`, new RegExp(TOKEN));
      return true;
    });
  });
}
