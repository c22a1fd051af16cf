// A billing workspace, the real program in front of it, and what every client has to be able to do there.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

export const TOKEN = 'a-bearer-token-of-these-tests-0123456789';
export const INSPECT = 'billing.inspect_invoice';
export const PROPOSE = 'billing.propose_late_fee_waiver';
const STATUS = 'signoff.proposal_status';
const WITHDRAW = 'signoff.withdraw_proposal';
export const CANONICAL = [INSPECT, PROPOSE, 'billing.propose_account_credit', STATUS, WITHDRAW];
/** The alias under which a name without dots is offered. */
export const openai = (name) => name.replaceAll('.', '__');

const NOBODYS = 'wrp_00000000-0000-4000-8000-000000000000';

/** The lines of a stream, one at a time. */
export const lines = (stream) => createInterface({ input: stream })[Symbol.asyncIterator]();

/** A folder with a contract, a source with counters, and a ledger; `workspace` of the Rust tests makes it. */
export class Workspace {
  servers = [];

  static async make() {
    const made = new Workspace();
    made.process = spawn(process.env.SIGNOFF_WORKSPACE, ['3'], { stdio: ['pipe', 'pipe', 'inherit'] });
    made.lines = lines(made.process.stdout);
    ({ folder: made.folder, address: made.address } = JSON.parse((await made.lines.next()).value));
    made.program = process.env.SIGNOFF_BIN;
    made.environment = {
      PATH: process.env.PATH,
      USER: 'operator',
      BILLING_APP_READ_URL: made.address,
      BILLING_APP_WRITE_URL: made.address,
      SYNAPSOR_TENANT_ID: 'acme',
      SYNAPSOR_PRINCIPAL: 'support_agent',
    };
    return made;
  }

  /** Ends what was started; the folder goes with it. */
  async close() {
    for (const server of this.servers) {
      const ended = once(server, 'exit');
      server.kill();
      await ended;
    }
    const ended = once(this.process, 'exit');
    this.process.stdin.end();
    await ended;
  }

  /** The command line, with JSON answers. */
  run(...given) {
    const options = { cwd: this.folder, env: this.environment, encoding: 'utf8' };
    return JSON.parse(execFileSync(this.program, ['--format', 'json', ...given], options));
  }

  /** Starts the server on a free port of this machine: its address. */
  async serve(...given) {
    const server = spawn(
      this.program,
      ['mcp', 'serve', '--transport', 'streamable-http', '--host', '127.0.0.1', '--port', '0', ...given],
      { cwd: this.folder, env: { ...this.environment, SIGNOFF_RUNNER_HTTP_TOKEN: TOKEN }, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    this.servers.push(server);
    for await (const line of createInterface({ input: server.stderr })) {
      const address = /http:\/\/[^\s",}]+/.exec(line)?.[0];
      if (address) {
        server.stderr.resume();
        return address;
      }
    }
    throw new Error('it did not say where it listens');
  }

  /** How it is started for one client on standard input and output. */
  stdio(...given) {
    return { command: this.program, args: ['mcp', 'serve', ...given], env: this.environment, cwd: this.folder };
  }

  /** The source's file, with what is not yet in it. */
  bytes() {
    const path = this.address.replace(/^sqlite:/, '');
    return [path, `${path}-wal`].map((file) => (existsSync(file) ? readFileSync(file, 'hex') : '')).join('|');
  }

  /** How many values changed and how many updates ran, as triggers counted them. */
  async effects() {
    this.process.stdin.write('SELECT (SELECT count(*) FROM effects) + (SELECT count(*) FROM executions)\n');
    return JSON.parse((await this.lines.next()).value);
  }

  /** Where a proposal stands, as the ledger tells people. */
  state(proposal) {
    return this.run('proposals', 'show', proposal).state;
  }
}

/** Lists, reads, proposes, is refused, and looks at what it did: the same for every client of either package. */
export async function story(workspace, client, alias = (name) => name) {
  const before = workspace.bytes();
  const call = (name, given) => client.callTool({ name: alias(name), arguments: given });
  const { tools } = await client.listTools();
  assert.deepEqual(tools.map((tool) => tool.name).sort(), CANONICAL.map(alias).sort());
  const inspect = tools.find((tool) => tool.name === alias(INSPECT));
  assert.equal(inspect.inputSchema.additionalProperties, false);
  assert.equal(inspect.annotations.readOnlyHint, true);

  const seen = await call(INSPECT, { invoice_id: 'INV-1' });
  assert.notEqual(seen.isError, true);
  assert.deepEqual(JSON.parse(seen.content[0].text), seen.structuredContent);
  assert.equal(seen.structuredContent.data.late_fee_cents, 5500);

  const proposed = await call(PROPOSE, { invoice_id: 'INV-1', reason: 'we were late' });
  assert.equal(proposed.structuredContent.source_database_changed, false);
  const { id } = proposed.structuredContent.proposal;
  assert.equal(workspace.state(id), 'pending_review');

  // An error is text alone, with the code that an agent can act on, and nothing of the database's own.
  for (const [name, given, code] of [
    [INSPECT, { invoice_id: 'INV-404' }, 'NOT_FOUND_IN_TENANT'],
    [INSPECT, { invoice_id: 'INV-1', tenant_id: 'globex' }, 'INVALID_ARGUMENT'],
    [STATUS, { proposal_id: NOBODYS }, 'NOT_FOUND_IN_TENANT'],
  ]) {
    const refused = await call(name, given);
    assert.equal(refused.isError, true);
    assert.equal(refused.structuredContent, undefined);
    assert.equal(JSON.parse(refused.content[0].text).error.code, code);
    assert.doesNotMatch(refused.content[0].text, /SELECT|sqlite/);
  }

  assert.equal((await call(STATUS, { proposal_id: id })).structuredContent.state, 'pending_review');
  const { resourceTemplates } = await client.listResourceTemplates();
  assert.deepEqual(resourceTemplates.map((template) => template.name), ['proposal', 'evidence', 'replay']);
  const evidence = proposed.structuredContent.evidence.bundle_id;
  for (const uri of [`proposals/${id}`, `evidence/${evidence}`, `replay/replay_${id}`]) {
    const { contents } = await client.readResource({ uri: `synapsor://${uri}` });
    assert.doesNotMatch(contents[0].text, /tenant_id/);
    assert.equal(typeof JSON.parse(contents[0].text), 'object');
  }
  for (const uri of [`synapsor://proposals/${NOBODYS}`, 'synapsor://nothing/1']) {
    await assert.rejects(client.readResource({ uri }), /there is no such resource/);
  }

  assert.equal((await call(WITHDRAW, { proposal_id: id })).structuredContent.state, 'canceled');
  assert.equal(workspace.state(id), 'canceled');
  assert.equal(workspace.bytes(), before, 'the source is what it was, byte for byte');
  assert.deepEqual(await workspace.effects(), ['0']);
}
