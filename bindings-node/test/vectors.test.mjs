// The vectors that every language runs (tests/vectors/README.md), and that none was left out.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { test } from 'node:test';

import { applied, Conflict, createWritebackHandler, Refused, sign, SignoffError, verify } from 'signoff';

const require = createRequire(import.meta.url);
// What applications do not see: a transcript is played into the native half, a reply is made of a result.
const { native } = require('../dist/native.js');
const { replyOf } = require('../dist/result.js');

const read = (name) => JSON.parse(readFileSync(new URL(`../../tests/vectors/${name}`, import.meta.url), 'utf8'));
const manifest = read('manifest.json');

/** Runs each case of a list and compares how many there were. */
function each(cases, count, run) {
  let played = 0;
  for (const one of cases) {
    try {
      run(one);
    } catch (error) {
      error.message = `${one.name ?? one.source}: ${error.message}`;
      throw error;
    }
    played += 1;
  }
  assert.equal(played, count, 'the manifest counts another number');
}

function padded(text, { pad_to: length }) {
  return length ? text.replace('…', 'x'.repeat(length - (Buffer.byteLength(text) - Buffer.byteLength('…')))) : text;
}

/** The Date of an instant. A Date has no nanoseconds: what is later than a millisecond is the next one. */
const dateOf = (text) => new Date(Date.parse(text) + (/\.\d{3}\d*[1-9]/.test(text) ? 1 : 0));

function bodyOf(file, one) {
  return one.body_base64 === undefined ? Buffer.from(padded(one.body ?? file.body, one)) : Buffer.from(one.body_base64, 'base64');
}

/** Compares what came out with `expect`: a code, or members of the result. */
function compare({ expect }, run) {
  let result;
  try {
    result = run();
  } catch (error) {
    const code = error instanceof SignoffError || error.code !== 'SIGNOFF' ? error.code : JSON.parse(error.message).code;
    if (code === undefined) throw error;
    assert.deepEqual({ code }, expect);
    return;
  }
  if (expect.ok === true) return;
  assert.ok(expect.ok, `expected ${JSON.stringify(expect)}`);
  for (const [key, value] of Object.entries(expect.ok)) assert.deepEqual(result[key], value, key);
}

test('signatures', () => {
  const file = read('signature.json');
  each(file.cases, manifest.signature, (one) => {
    const options = { now: dateOf(one.now ?? file.now), policy: one.policy };
    compare(one, () => verify(bodyOf(file, one), one.headers, one.secrets, options).toJSON());
    // A raw list says the same.
    compare(one, () => verify(bodyOf(file, one), one.headers.flat(), one.secrets, options).toJSON());
  });
  each(file.sign, manifest['signature.sign'], (one) => {
    const signed = sign(Buffer.from(one.body), one.secret, { key: one.key, now: new Date(one.now_unix * 1000) });
    assert.equal(signed['webhook-signature'], one.webhook_signature);
    if (one.x_synapsor_signature) assert.equal(signed['x-synapsor-signature'], one.x_synapsor_signature);
  });
});

/** Body, headers and time of a case that the runner signs. */
function delivery(file, one) {
  const body = bodyOf(file, one);
  const now = new Date(file.now);
  let signed = {};
  try {
    signed = sign(body, file.secret, { key: one.key ?? 'wrp_1:INV-3001', now });
  } catch (error) {
    // A body that is too large cannot be signed; that is not what its case is about.
    assert.equal(error.code, 'BODY_TOO_LARGE');
  }
  const own = one.headers ?? [];
  const kept = Object.entries(signed).filter(([name]) => !own.some(([other]) => other.toLowerCase() === name));
  return [body, [...kept, ...own].flat(), now.getTime()];
}

const handlerOf = (file, one) => new native.Handler(JSON.stringify(one.config ?? file.config));

test('requests', () => {
  const file = read('request.json');
  const errors = new Map(read('errors.json').cases.map((error) => [error.code, error.response]));
  each(file.cases, manifest.request, (one) => {
    const received = handlerOf(file, one).receive(...delivery(file, one));
    compare(one, () => {
      if (typeof received !== 'string') return JSON.parse(received.job());
      const response = JSON.parse(received);
      const { safe_error_code: code, details } = JSON.parse(response.body);
      // Status, headers and whether to try again are those of the code; words are the case's own.
      const listed = errors.get(code);
      assert.deepEqual([response.status, response.headers], [listed.status, listed.headers]);
      assert.equal(details.retryable, JSON.parse(listed.body).details.retryable);
      throw Object.assign(new Error(details.message), { code });
    });
  });
});

test('configurations', () => {
  each(read('config.json').cases, manifest.config, (one) => {
    compare(one, () => new native.Handler(JSON.stringify(one.config)));
    // As an application writes it, where it can: actions by their name, a database that knows its dialect.
    const { dialect, actions, secrets, ...rest } = one.config;
    if (one.expect.code === 'HANDLER_CONFIG_INVALID' && ['twice', 'secret-as-text'].includes(one.name)) return;
    const logger = { warn() {}, error() {} };
    const camel = (of) => Object.fromEntries(Object.entries(of).map(([key, value]) => [key.replace(/_(.)/g, (_, letter) => letter.toUpperCase()), value]));
    const named = actions.map(({ name, ...action }) => [name, { ...camel(action), effect: async () => applied(0) }]);
    const database = { dialect, placeholders: 'native', connect: () => assert.fail('no connection yet') };
    compare(one, () => createWritebackHandler({ ...camel(rest), secrets, database, logger, actions: Object.fromEntries(named) }));
  });
});

/** A guard whose effect is awaited for nothing: what a reply says is read before it matters. */
function reading(text) {
  const file = read('handler.json');
  return handlerOf(file, {}).receive(...delivery(file, {})).next(text);
}

test('numbers and results', () => {
  const file = read('numbers.json');
  each(file.rows_affected, manifest['numbers.rows_affected'], (one) => {
    const result = one.rows_affected;
    compare({ ...one, expect: one.expect.code ? one.expect : { ok: true } }, () => reading(`{"author":{"status":"applied","rows_affected":${result}}}`));
    // As JavaScript has it: 1.0 and 1e3 are whole numbers there.
    const value = ['NaN', 'Infinity'].includes(result) ? Number(result) : JSON.parse(result);
    const whole = ['whole-fraction', 'exponent'].includes(one.name);
    compare(whole || one.expect.ok !== undefined ? { expect: { ok: true } } : one, () => reading(replyOf(applied(value))));
    if (/^-?[0-9]+$/.test(result) && one.name !== 'minus-zero') {
      compare(one.expect.code ? one : { expect: { ok: true } }, () => reading(replyOf(applied(BigInt(result)))));
    }
  });
  each(file.results, manifest['numbers.results'], (one) => {
    compare(one, () => reading(`{"author":${padded(one.result, one)}}`));
  });
});

test('fingerprints', () => {
  const [file, transcripts] = [read('fingerprint.json'), read('handler.json').cases];
  const begun = transcripts.find(({ name }) => name === 'applied').replies.slice(0, 2);
  each(file.cases, manifest.fingerprint, (one) => {
    const guard = handlerOf(file, one).receive(...delivery(file, one));
    const claim = begun.map((reply) => JSON.parse(guard.next(JSON.stringify(reply)))).at(-1);
    assert.ok(claim.params.includes(one.fingerprint), `${one.fingerprint} is not among ${claim.params}`);
  });
});

test('transcripts, through the loop that drives the guard', async () => {
  const file = read('handler.json');
  const { drive } = require('../dist/drive.js');
  let played = 0;
  for (const one of file.cases) {
    const guard = handlerOf(file, one).receive(...delivery(file, one));
    // Pauses are the loop's own.
    const replies = one.replies.filter((_, n) => one.steps[n].step !== 'pause');
    const [steps, faults] = [[], []];
    const reply = (step) => {
      steps.push(step);
      const answer = replies.shift();
      if (answer?.failed) throw Object.assign(new Error('planted'), { failed: answer.failed });
      return answer;
    };
    // Its transactions are those of the transcript: what a driver's adapter is told, in its own words.
    const session = {
      transaction: undefined,
      isOpen: () => one.replies[0].failed === 'already_open',
      control: async (sql) => reply(sql.startsWith('BEGIN') ? { step: 'begin', sql } : { step: sql.toLowerCase() }),
      run: async (sql, params) => reply({ step: 'run', sql, params }),
      failure: (error) => error.failed,
      lend() {}, async takeBack() {}, async end() {},
    };
    const effect = (job) => {
      const { author, threw } = reply({ step: 'effect', row: job.row });
      if (threw) throw new Error('planted');
      const { status, code, details, rows_affected: rows, new_version: newVersion, effects } = author;
      if (status !== 'applied') throw new (status === 'conflict' ? Conflict : Refused)(code, details);
      const options = Object.fromEntries(Object.entries({ newVersion, effects, details }).filter(([, value]) => value !== undefined));
      return applied(rows, options);
    };
    const logger = { warn() {}, error: ({ code }) => code && faults.push(code) };
    const effects = { get: () => effect };
    const response = await drive(guard, async () => session, effects, logger);
    assert.deepEqual(response, one.response, one.name);
    assert.deepEqual(faults, one.fault === null ? [] : [one.fault], one.name);
    // A transaction that is open is not begun.
    const shown = one.steps.filter(({ step }) => step !== 'pause' && one.name !== 'already-open')
      .map(({ set: _set, rows: _rows, ...step }) => step);
    assert.deepEqual(steps, shown, one.name);
    played += 1;
  }
  assert.equal(played, manifest.handler);
});

test('answers to errors that only a router sees', () => {
  const listed = new Map(read('errors.json').cases.map((error) => [error.code, error.response]));
  assert.equal(listed.size, manifest.errors);
  const bare = ({ status, headers }) => ({ status, headers: Object.fromEntries(headers) });
  const methods = JSON.parse(native.methodNotAllowed());
  assert.equal(methods.body, listed.get('METHOD_NOT_ALLOWED').body);
  assert.equal(bare(methods).headers.allow, native.methods().join(', '));
  assert.deepEqual(bare(JSON.parse(native.bodyTooLarge())), bare(listed.get('BODY_TOO_LARGE')));
});

test('mutants', { skip: process.env.SIGNOFF_MUTANTS || process.env.SIGNOFF_REQUIRE_ALL ? false : 'set SIGNOFF_MUTANTS to the program that makes them' }, async () => {
  const { seed, digests } = read('mutants.json');
  const counts = Object.keys(digests).map(Number);
  const count = process.env.SIGNOFF_FULL === '1' ? Math.max(...counts) : Math.min(...counts);
  const { secrets } = read('signature.json').cases[0];
  const corpus = spawn(process.env.SIGNOFF_MUTANTS, ['corpus', String(count), String(seed)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const hash = createHash('sha256');
  let played = 0;
  for await (const line of createInterface({ input: corpus.stdout })) {
    const { index, policy, now, headers, body } = JSON.parse(line);
    let verdict = 'accepted -';
    try {
      verify(Buffer.from(body, 'hex'), headers, secrets, { now: dateOf(now), policy });
    } catch (error) {
      assert.ok(error instanceof SignoffError, error);
      verdict = `refused ${error.code}`;
    }
    hash.update(`${index} ${verdict}\n`);
    played += 1;
  }
  assert.deepEqual([played, hash.digest('hex')], [count, digests[count]]);
});
