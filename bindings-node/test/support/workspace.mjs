// A folder with a contract, a SQLite source whose triggers count effects, and a place for a ledger: what Rust's tests use.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { Signoff } from 'signoff';

const program = process.env.SIGNOFF_WORKSPACE;
/** `make test-node` builds the program; without it, tests that need it are skipped, or fail if none may be. */
export const skip = program ? false : 'no program `workspace`: run make test-node, or set SIGNOFF_WORKSPACE and SIGNOFF_BIN';
if (skip && process.env.SIGNOFF_REQUIRE_ALL) throw new Error(skip);

export const READ = 'billing.inspect_invoice';
export const WAIVE = 'billing.propose_late_fee_waiver';
export const CREDIT = 'billing.propose_account_credit';
export const context = { tenant: 'acme', principal: 'support_agent' };
export const approver = { id: 'alice', roles: ['billing_lead'] };

/** Such a folder with so many invoices of acme, INV-1 and on; it goes with the test. */
export async function workspace(t, invoices = 1) {
  const child = spawn(program, [String(invoices)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const heard = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error('the workspace ended');
    return JSON.parse(value);
  };
  const { folder, address } = await heard();
  const end = async () => {
    child.stdin.end();
    await exited;
  };
  t?.after(end);
  const sql = async (text) => {
    child.stdin.write(`${text.replaceAll('\n', ' ')}\n`);
    return heard();
  };
  const path = (name) => join(folder, name);
  const env = { BILLING_APP_READ_URL: address, BILLING_APP_WRITE_URL: address };
  return {
    folder, env, sql, path, end,
    contract: path('signoff.json'),
    ledger: path('ledger.db'),
    effects: async (invoice) => Number((await sql(`SELECT count(*) FROM effects WHERE invoice_id = '${invoice}'`))[0]),
    /** A session on it, closed with the test. */
    async open(options = {}) {
      const so = await Signoff.open(path('signoff.json'), { ledger: path('ledger.db'), create: true, env, ...options });
      t?.after(() => so.close());
      return so;
    },
  };
}

/** A proposal of a waiver, approved. */
export async function approved(so, invoice = 'INV-1') {
  const proposed = await so.propose(WAIVE, { invoice_id: invoice, reason: 'r' }, { context });
  await so.approve(proposed.proposal_id, { hash: proposed.proposal_hash, version: proposed.proposal_version, approver });
  return proposed;
}
