// Opens a session and leaves it: `idle.mjs MODE CONTRACT LEDGER`. Whoever started it waits for its end.
import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { Signoff } from 'signoff';

import { context, READ } from './workspace.mjs';

const [mode, contract, ledger, count] = isMainThread ? process.argv.slice(2) : workerData;
const read = (so) => so.read(READ, { invoice_id: 'INV-1' }, { context });
const rss = () => {
  globalThis.gc();
  return Math.round(process.memoryUsage.rss() / 1024);
};
const held = () => readdirSync('/proc/self/fd').filter((fd) => {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).startsWith(ledger);
  } catch {
    return false;
  }
}).length;

if (isMainThread && mode === 'thread') {
  new Worker(new URL(import.meta.url), { argv: [], workerData: ['events', contract, ledger] });
  console.log('open');
} else if (isMainThread && mode === 'terminate') {
  const worker = new Worker(new URL(import.meta.url), { workerData: ['follow', contract, ledger] });
  await new Promise((resolve) => worker.once('message', resolve));
  console.log('open');
  await worker.terminate();
} else {
  let so = await Signoff.open(contract, { ledger, create: true });
  if (isMainThread) console.log('open');
  if (mode === 'read') await read(so);
  if (mode === 'exit') {
    for (let n = 0; n < 16; n += 1) read(so);
    process.exit(0);
  }
  if (mode === 'events') {
    for await (const event of so.events({ follow: true, signal: AbortSignal.timeout(50) })) void event;
  }
  if (mode === 'follow') {
    const { parentPort } = await import('node:worker_threads');
    const next = so.events({ follow: true, after: 1_000_000 }).next();
    for (let n = 0; n < 16; n += 1) read(so);
    parentPort.postMessage('following');
    await next;
  }
  if (mode === 'forgotten') {
    if (!existsSync(ledger) || held() === 0) throw new Error('the ledger is not held open');
    so = undefined;
    // Collecting is the engine's to decide: asked until it is done, or whoever waits for us gives up.
    while (held() > 0) {
      globalThis.gc();
      await pause(10);
    }
    console.log('closed');
  }
  if (mode === 'many') {
    const wanted = Number(count);
    let calls = 0;
    const some = async (all) => {
      for (; calls < all; calls += 8) await Promise.all(Array.from({ length: 8 }, () => so.proposals({ pageSize: 1 }).page()));
    };
    // Until the engine has compiled what it will, and the ledger's caches are full.
    await some(10_000);
    const before = rss();
    calls = 0;
    await some(wanted);
    console.log(JSON.stringify({ before, after: rss(), calls }));
  }
}
