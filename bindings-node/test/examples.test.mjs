// Every example in the documentation of the runtime runs as it stands, and so do the README's lines.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { Contract, Signoff } from 'signoff';

import { approved, context, READ, skip, WAIVE, workspace } from './support/workspace.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const AsyncFunction = (async () => {}).constructor;

/** The examples of a file: what they document, and their code. */
function examples(file) {
  const text = readFileSync(here(`../lib/${file}.ts`), 'utf8');
  return [...text.matchAll(/\/\*\*((?:(?!\*\/)[^])*?)```js\n((?:(?!\*\/)[^])*?)```(?:(?!\*\/)[^])*?\*\/\n\s*(.*)/g)]
    .map(([, , code, what]) => ({ what: `${file}: ${what.trim()}`, code: code.replace(/^\s*\* ?/gm, '') }));
}

test('the examples of the documentation run', { skip }, async (t) => {
  const shop = await workspace(t, 40);
  const so = await shop.open();
  process.chdir(shop.folder);
  t.after(() => process.chdir(here('.')));
  Object.assign(process.env, shop.env);
  const all = ['signoff', 'contract', 'lists'].flatMap(examples);
  assert.ok(all.length >= 22, `only ${all.length} examples were found`);
  t.diagnostic(`${all.length} examples`);
  for (const [n, { what, code }] of all.entries()) {
    await t.test(what, async () => {
      // INV-1 is the examples' own.
      const invoice = `INV-${n + 2}`;
      const made = /so\.(apply|resume)\(/.test(code) ? await approved(so, invoice) : await so.propose(WAIVE, { invoice_id: invoice, reason: 'r' }, { context });
      const answer = await so.read(READ, { invoice_id: invoice }, { context });
      const printed = [];
      const known = {
        Signoff, Contract, context, answer, id: made.proposal_id, hash: made.proposal_hash, version: made.proposal_version,
        console: { ...console, log: (...words) => printed.push(words.join(' ')) },
        so,
      };
      // What an example declares itself is its own.
      for (const name of Object.keys(known)) if (new RegExp(`(const|using) ${name} =`).test(code)) delete known[name];
      // This Node does not know `await using`; what it does at the end is done here.
      const runnable = code.replace(/await using so = (.*)/, 'const so = $1\nawait so[Symbol.asyncDispose]();');
      await new AsyncFunction(...Object.keys(known), runnable)(...Object.values(known));
      // Those that print only where there is something to tell may be silent.
      if (/^console\.log/m.test(code)) assert.ok(printed.length > 0, `it prints nothing: ${code}`);
    });
  }
});

const lines = (path) => /```js\n(\/\/ embed\.mjs\n[^]*?)```/.exec(readFileSync(here(path), 'utf8'))[1];

test('the lines of the README that embed the runtime run as they stand', { skip }, async (t) => {
  const code = lines('../README.md');
  assert.equal(lines('../../README.md'), code, 'the first page shows the same lines');
  assert.ok(code.trim().split('\n').length <= 16, 'fifteen lines and their name');
  const shop = await workspace(t, 1);
  mkdirSync(shop.path('node_modules'));
  symlinkSync(here('..'), shop.path('node_modules/signoff'));
  writeFileSync(shop.path('embed.mjs'), code);
  const { stdout } = await promisify(execFile)(process.execPath, ['embed.mjs'], { cwd: shop.folder, env: { ...process.env, ...shop.env } });
  assert.match(stdout, /late_fee_cents \d+ -> 0\n(.*\n)*applied 1\n$/);
  assert.equal(await shop.effects('INV-3001'), 1);
});
