// verify of a 1 KiB request beside the same check by hand.
import { createHmac, timingSafeEqual } from 'node:crypto';

import { sign, verify } from 'signoff';
import { Webhook } from 'standardwebhooks';

import { request, SECRET } from '../test/support/requests.mjs';
import { row, sideBySide } from './measure.mjs';

const document = request({ evidence: { bundle_id: 'ev_1', items: [] } });
document.patch.credit_reason = 'x'.repeat(1024 - Buffer.byteLength(JSON.stringify(document)) + document.patch.credit_reason.length);
const body = Buffer.from(JSON.stringify(document));
const signed = sign(body, SECRET, { key: document.idempotency_key });
// What Node hands a server: ours among the ones that every client sends.
const headers = {
  host: 'billing.example', connection: 'keep-alive', accept: 'application/json', 'content-type': 'application/json',
  'user-agent': 'signoff/0.1', 'content-length': String(body.length), ...signed,
};
const rawHeaders = Object.entries(headers).flat();

const key = Buffer.from(SECRET.slice('whsec_'.length), 'base64');

/** As one writes it: Standard Webhooks' signature, its time, and the body. */
export function checked(body, headers) {
  const [id, timestamp] = [headers['webhook-id'], headers['webhook-timestamp']];
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) throw new Error('stale');
  const expected = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest();
  const fits = headers['webhook-signature'].split(' ').some((entry) => {
    const [version, tag] = entry.split(',');
    const given = Buffer.from(tag, 'base64');
    return version === 'v1' && given.length === expected.length && timingSafeEqual(given, expected);
  });
  if (!fits) throw new Error('forged');
  const job = JSON.parse(body.toString());
  if (job.idempotency_key !== id || headers['idempotency-key'] !== id) throw new Error('mismatch');
  return job;
}

const byHand = () => checked(body, headers).action;

const perCall = (seconds) => `${(seconds * 1e6).toFixed(1)} µs`;

/** Prints the rows. */
export function verification() {
  const theirs = new Webhook(SECRET);
  const text = body.toString();
  const ways = [
    () => verify(body, rawHeaders, SECRET).action,
    () => verify(body, rawHeaders, SECRET),
    byHand,
    () => theirs.verify(text, headers),
    () => createHmac('sha256', key).update(body).digest(),
  ];
  const [read, unread, hand, library, hmac] = sideBySide(ways);
  row('Node: `verify` of 1 KiB, the job read', perCall(read), `node:crypto and JSON.parse by hand ${perCall(hand)}`, `${(hand / read).toFixed(2)} × as fast, goal ≥ 2`);
  row('Node: `verify` of 1 KiB, the job not read', perCall(unread), `the same ${perCall(hand)}, of it createHmac ${perCall(hmac)}`, `${(hand / unread).toFixed(2)} × as fast`);
  row('Node: `verify` of 1 KiB, the job read', perCall(read), `npm's standardwebhooks ${perCall(library)}`, `${(library / read).toFixed(2)} × as fast`);
}
