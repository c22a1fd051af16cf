// Proposes waivers in a thread or a process of its own, says their ids, and leaves its session open.
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { Signoff } from 'signoff';

import { context, WAIVE } from './workspace.mjs';

const work = isMainThread ? await new Promise((resolve) => process.once('message', resolve)) : workerData;
const so = await Signoff.open(work.config, { ledger: work.ledger, create: true, env: work.env });
const made = await Promise.all(Array.from({ length: work.count }, (_, n) => (
  so.propose(WAIVE, { invoice_id: `INV-${work.first + n}`, reason: 'r' }, { context }))));
const ids = made.map(({ proposal_id }) => proposal_id);
if (isMainThread) process.send(ids, () => process.disconnect());
else parentPort.postMessage(ids);
