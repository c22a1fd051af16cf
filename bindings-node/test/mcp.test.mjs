// The agent's door inside an application's own server: real sockets, and the servers that applications have.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import http2 from 'node:http2';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { test } from 'node:test';

import express from 'express';
import Fastify from 'fastify';
import { SignoffError } from 'signoff';

import { approver, READ, skip, WAIVE, workspace } from './support/workspace.mjs';

const TOKEN = 'a-token-that-only-the-agent-has';
const LARGE = '9007199254740993';
const MOST = 1 << 20;
const VERSION = '2025-11-25';

const message = (method, params = {}) => JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
const tool = (name, args = {}) => message('tools/call', { name, arguments: args });
const waiver = (n = 1) => tool(WAIVE, { invoice_id: `INV-${n}`, reason: 'we were late' });
const LIST = message('tools/list');
const READS = tool(READ, { invoice_id: 'INV-1' });
const HELLO = message('initialize', { protocolVersion: VERSION, capabilities: {}, clientInfo: { name: 'tests', version: '1' } });

/** `x-user: alice@acme`, as an application's own authentication would find it. */
const context = async ({ headers }) => {
  const said = headers['x-user'];
  if (said === 'broken') throw new Error('the database of users is away');
  if (said === 'odd') return { tenant: 'acme' };
  if (!said) return said === '' ? null : undefined;
  const [principal, tenant] = said.split('@');
  return { tenant, principal };
};
const user = (principal = 'alice', tenant = 'acme') => ({ 'x-user': `${principal}@${tenant}` });

const servers = {
  'node:http': async (handler) => listening(createServer(handler)),
  express: async (handler) => {
    const app = express();
    app.set('env', 'test');
    // What comes before it: a body that nobody else reads, and headers that are not to stand there twice.
    app.use((request, response, next) => {
      response.setHeader('x-content-type-options', 'nosniff');
      response.setHeader('vary', 'Accept');
      next();
    });
    app.use('/agents', handler);
    app.use((error, request, response, next) => response.status(500).json({ own: error.message }));
    return listening(createServer(app), '/agents');
  },
  fastify: async (handler) => {
    const app = Fastify();
    await app.register(async (scope) => {
      scope.removeAllContentTypeParsers();
      scope.addContentTypeParser('*', (request, payload, done) => done(null));
      scope.all('/*', (request, reply) => {
        reply.hijack();
        return handler(request.raw, reply.raw);
      });
    });
    await app.ready();
    return { ...(await listening(app.server)), app };
  },
};

async function listening(server, at = '') {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  return { port, at, server };
}

/** A session, a handler of it in such a server, and what is asked of that. */
async function mount(t, kind = 'node:http', { invoices = 2, ...options } = {}) {
  const shop = await workspace(t, invoices);
  const logged = [];
  const logger = { error: (fields, text) => logged.push({ ...fields, text }), warn() {} };
  const env = { ...shop.env, SYNAPSOR_TENANT_ID: 'acme', SYNAPSOR_PRINCIPAL: 'support_agent', SYNAPSOR_RUNNER_HTTP_TOKEN: TOKEN };
  const so = await shop.open({ env, logger });
  const handler = so.mcpHandler({ context, ...options });
  const { port, at, server } = await servers[kind](handler);
  t.after(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const ask = (method, path, headers = {}, body = undefined) => fetch(`http://127.0.0.1:${port}${at}${path}`, { method, headers, body, ...(body === undefined ? {} : { duplex: 'half' }) });
  const post = async (body, headers = user(), path = '/mcp') => told(await ask('POST', path, { 'content-type': 'application/json', ...headers }, body));
  /** What is answered to these bytes, until the connection ends. */
  const raw = async (...bytes) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    for (const some of bytes) socket.write(some);
    const chunks = [];
    for await (const chunk of socket) chunks.push(chunk);
    return Buffer.concat(chunks).toString('latin1');
  };
  return { shop, so, handler, port, at, ask, post, raw, logged };
}

async function told(response) {
  const text = await response.text();
  const body = text && response.headers.get('content-type')?.includes('json') ? JSON.parse(text) : undefined;
  return { status: response.status, headers: response.headers, text, body, code: body?.code ?? body?.error?.data?.code };
}

const brief = ({ status, code }) => [status, code];

for (const kind of Object.keys(servers)) {
  test(`${kind}: where it stands, who calls, and what is no message`, { skip }, async (t) => {
    const { ask, post } = await mount(t, kind);
    const { body } = await post(LIST);
    assert.ok(body.result.tools.some(({ name }) => name === WAIVE));
    assert.deepEqual((await told(await ask('GET', '/healthz'))).body, { ok: true });
    const head = await ask('HEAD', '/healthz');
    assert.deepEqual([head.status, head.headers.get('content-length'), await head.text()], [200, '11', '']);
    for (const method of ['GET', 'PUT']) {
      const answer = await ask(method, '/mcp', user());
      assert.deepEqual([answer.status, answer.headers.get('allow')], [405, 'POST, DELETE']);
    }
    for (const path of ['/', '/mcp/', '/mcp%2F', '/caf%C3%A9']) assert.equal((await post(LIST, user(), path)).status, 404, path);
    assert.equal((await post(LIST, user(), '/mcp?a=b%20c')).status, 200);
    for (const nobody of [{}, { 'x-user': '' }]) assert.equal((await post(LIST, nobody)).status, 401);
    for (const bytes of ['', '{', Buffer.from('{"jsonrpc":"2.0","id":1,"method":"\xff"}', 'latin1')]) {
      const answer = await post(bytes);
      assert.deepEqual([answer.status, answer.body.error.code], [400, -32700]);
    }
    const once = await post(LIST);
    assert.deepEqual(['cache-control', 'x-content-type-options'].map((name) => once.headers.get(name)), ['no-store', 'nosniff'], 'each once');
  });

  test(`${kind}: a body that is too long is answered, and not read to its end`, { skip }, async (t) => {
    const { post, raw, at } = await mount(t, kind);
    assert.equal((await post(LIST.padEnd(MOST))).status, 200);
    assert.deepEqual(brief(await post(LIST.padEnd(MOST + 1))), [413, 'HTTP_BODY_TOO_LARGE']);
    const head = `POST ${at}/mcp HTTP/1.1\r\nhost: localhost\r\nx-user: alice@acme\r\ncontent-type: application/json\r\n`;
    // Each piece ends within a letter.
    const piece = Buffer.from('é'.repeat(5001)).subarray(1, -1);
    const chunk = Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]);
    // It never ends, and is answered all the same.
    const chunked = await raw(`${head}transfer-encoding: chunked\r\n\r\n1\r\n`, Buffer.from([0xc3, 13, 10]), ...Array(106).fill(chunk));
    assert.match(chunked, /^HTTP\/1.1 413 /);
    const long = await raw(`${head}content-length: 999999999\r\n\r\n`, Buffer.alloc(MOST + 1, ' '));
    assert.match(long, /^HTTP\/1.1 413 /);
    const nobody = await raw(`${head.replace('alice@acme', '')}content-length: 999999999\r\n\r\n`);
    assert.match(nobody, /^HTTP\/1.1 401 /, 'of nobody nothing is read');
  });

  test(`${kind}: a session stays whose it was`, { skip }, async (t) => {
    const { ask, post } = await mount(t, kind);
    const begun = await post(HELLO);
    const session = { 'mcp-session-id': begun.headers.get('mcp-session-id'), 'mcp-protocol-version': VERSION };
    assert.equal((await post(READS, { ...user(), ...session })).status, 200);
    for (const other of [user('bob'), user('alice', 'globex')]) {
      assert.deepEqual(brief(await post(READS, { ...other, ...session })), [403, 'HTTP_SESSION_FOREIGN']);
    }
    assert.equal((await post(READS, { ...user(), ...session })).status, 200, "alice's goes on");
    const end = async () => (await ask('DELETE', '/mcp', { ...user(), ...session })).status;
    assert.deepEqual([await end(), await end()], [204, 404]);
    assert.match((await post(READS, user('alice', 'globex'))).text, /NOT_FOUND_IN_TENANT/);
  });

  test(`${kind}: odd headers are their sender's mistake`, { skip }, async (t) => {
    const { raw, at, logged } = await mount(t, kind);
    const ask = (...lines) => raw(Buffer.from([`POST ${at}/mcp HTTP/1.1`, 'x-user: alice@acme', 'content-type: application/json', 'connection: close', `content-length: ${LIST.length}`, ...lines, '', LIST].join('\r\n'), 'latin1'));
    const host = 'host: localhost';
    for (const [status, ...lines] of [
      [200, host, 'x-name: caf\xe9 \x80\xff'], [200, host, 'authorization: \xff'], [200, host, 'x-name:'],
      [404, host, 'mcp-session-id: \xe9'], [400, host, 'mcp-protocol-version: \xe9'], [406, host, 'accept: \xe9'],
      [403, host, 'origin: \xe9'], [403, host, 'origin: https://evil.example'], [403, 'host: evil.example'], [403, 'host: \xe9'],
      [403, host, host],
    ]) assert.match(await ask(...lines), new RegExp(`^HTTP/1.1 ${status} `), lines.join(', '));
    assert.deepEqual(logged, []);
  });

  test(`${kind}: a client that hangs up leaves a proposal whole or not at all`, { skip }, async (t) => {
    const { so, port, at, post, logged } = await mount(t, kind, { invoices: 20 });
    for (let n = 1; n <= 20; n += 1) {
      const whole = waiver(n);
      const socket = connect(port, '127.0.0.1');
      await once(socket, 'connect');
      const body = n % 2 ? whole : whole.slice(0, -9);
      await new Promise((sent) => socket.write(`POST ${at}/mcp HTTP/1.1\r\nhost: localhost\r\nx-user: alice@acme\r\ncontent-type: application/json\r\ncontent-length: ${whole.length}\r\n\r\n${body}`, sent));
      socket.destroy();
    }
    for (let n = 1; n <= 20; n += 1) assert.equal((await post(waiver(n))).body.result.structuredContent.ok, true);
    assert.equal((await so.verifyLedger()).proposals, 20);
    assert.deepEqual(logged, []);
  });

  test(`${kind}: what the application throws, and a session that is closed`, { skip }, async (t) => {
    const { so, post, logged } = await mount(t, kind);
    const unhandled = [];
    const hear = (error) => unhandled.push(error);
    process.on('unhandledRejection', hear);
    t.after(() => process.off('unhandledRejection', hear));
    for (const said of ['broken', 'odd']) {
      const { status, body } = await post(LIST, { 'x-user': said });
      assert.equal(status, 500);
      if (kind === 'express') assert.match(body.own, said === 'odd' ? /principal/ : /is away/, 'its own handler answers');
      else assert.deepEqual(body, { ok: false, error: 'internal' });
    }
    assert.equal((await post(LIST)).status, 200);
    await so.close();
    assert.equal((await post(LIST)).status, 500);
    if (kind !== 'express') {
      assert.deepEqual(logged.map(({ text }) => text), Array(3).fill('a request of MCP failed'));
      assert.match(logged[0].err.message, /is away/);
      assert.equal(logged[2].err.code, 'USAGE');
    }
    await new Promise(setImmediate);
    assert.deepEqual(unhandled, []);
  });
}

test('the token of the contract, and its own caller', { skip }, async (t) => {
  const { post } = await mount(t, 'node:http', { context: undefined });
  for (const headers of [{}, user(), { authorization: 'Bearer another-one-that-is-as-long' }]) {
    const answer = await post(READS, headers);
    assert.deepEqual([answer.status, answer.headers.get('www-authenticate')], [401, 'Bearer']);
  }
  const own = await post(READS, { authorization: `Bearer ${TOKEN}`, ...user('eve', 'globex') });
  assert.equal(own.body.result.structuredContent.data.id, 'INV-1');
});

test('numbers are what was written, as the program says them', { skip }, async (t) => {
  const { shop, post } = await mount(t);
  await shop.sql(`UPDATE invoices SET balance_cents = ${LARGE} WHERE id = 'INV-1'`);
  assert.match((await post(READS)).text, new RegExp(`"balance_cents":"${LARGE}"`));
  const credit = (n) => `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"billing.propose_account_credit","arguments":{"invoice_id":"INV-1","reason":"r","amount_cents":${n}}}}`;
  const written = [LARGE, '1e400', '1.00000000000000000001', '9007199254740993.0'].map(credit);
  const env = { ...process.env, ...shop.env, SYNAPSOR_TENANT_ID: 'acme', SYNAPSOR_PRINCIPAL: 'support_agent' };
  const served = spawn(process.env.SIGNOFF_BIN, ['mcp', 'serve', '--config', shop.contract, '--store', shop.ledger], { env, stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => served.kill());
  const lines = createInterface({ input: served.stdout })[Symbol.asyncIterator]();
  const there = async (line) => {
    served.stdin.write(`${line}\n`);
    return JSON.parse((await lines.next()).value);
  };
  await there(HELLO);
  served.stdin.write('{"jsonrpc":"2.0","method":"notifications/initialized"}\n');
  for (const line of written) {
    const { body } = await post(line);
    assert.deepEqual(body, await there(line), line);
    assert.ok(body.error ?? body.result.isError, line);
  }
});

test('all requests of a handler are limited together', { skip }, async (t) => {
  const shop = await workspace(t, 1);
  const contract = JSON.parse(readFileSync(shop.contract, 'utf8'));
  contract.signoff = { ...contract.signoff, mcp: { rate_limit: { proposals_per_minute: 5, reads_per_minute: 2 } } };
  writeFileSync(shop.contract, JSON.stringify(contract));
  const so = await shop.open();
  const { port, server } = await servers['node:http'](so.mcpHandler({ context }));
  t.after(() => server.close());
  const limited = async (who) => {
    const answer = await fetch(`http://127.0.0.1:${port}/mcp`, { method: 'POST', headers: { 'content-type': 'application/json', connection: 'close', ...who }, body: READS });
    return (await answer.text()).includes('RATE_LIMITED');
  };
  assert.deepEqual([await limited(user()), await limited(user()), await limited(user())], [false, false, true]);
  assert.equal(await limited(user('bob')), false, 'each for themselves');
});

test('closed while requests are under way, each is answered', { skip }, async (t) => {
  const { shop, so, post } = await mount(t, 'node:http', { invoices: 40 });
  const asked = Array.from({ length: 40 }, (_, n) => post(waiver(n + 1)));
  await asked[0];
  const closing = so.close();
  const answers = await Promise.all(asked);
  await closing;
  for (const { status, body } of answers) assert.ok(status === 500 || body.result.structuredContent.ok);
  const again = await shop.open();
  assert.equal((await again.verifyLedger()).proposals, answers.filter(({ status }) => status === 200).length);
});

test('a body that was read before is said to be', { skip }, async (t) => {
  const { so } = await mount(t);
  const app = express();
  app.use(express.json());
  app.use(so.mcpHandler({ context }));
  app.use((error, request, response, next) => response.status(500).json({ code: error.code, message: error.message }));
  const { port, server } = await listening(createServer(app));
  t.after(() => server.close());
  const answer = await told(await fetch(`http://127.0.0.1:${port}/mcp`, { method: 'POST', headers: { 'content-type': 'application/json', connection: 'close', ...user() }, body: LIST }));
  assert.deepEqual(brief(answer), [500, 'USAGE']);
  assert.match(answer.body.message, /read before/);
});

test('over HTTP/2', { skip }, async (t) => {
  const { handler } = await mount(t);
  const { port, server } = await listening(http2.createServer(handler));
  const client = http2.connect(`http://127.0.0.1:${port}`);
  t.after(() => {
    client.close();
    server.close();
  });
  const request = client.request({ ':method': 'POST', ':path': '/mcp', 'content-type': 'application/json', ...user() });
  request.end(LIST);
  const [headers] = await once(request, 'response');
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  assert.equal(headers[':status'], 200, Buffer.concat(chunks).toString());
});

test("an application's own tools stay its own, and options are looked at", { skip }, async (t) => {
  const { so, post } = await mount(t);
  await so.registerTool({ name: 'billing.own', description: 'd', kind: 'read', scope: [READ], inputSchema: { type: 'object' } }, async () => ({}));
  assert.doesNotMatch((await post(LIST)).text, /billing\.own/);
  assert.match((await post(tool('billing.own'))).text, /NOT_FOUND/);
  assert.match((await post(tool('billing.approve', { approver }))).text, /NOT_FOUND/);
  for (const wrong of [{ context: 7 }, { hosts: 'mcp.example' }, { origins: [7] }, { path: 7 }, { ownProposals: 'no' }, { resource: 7 }]) {
    assert.throws(() => so.mcpHandler(wrong), (error) => error instanceof SignoffError && error.code === 'USAGE', JSON.stringify(wrong));
  }
});
