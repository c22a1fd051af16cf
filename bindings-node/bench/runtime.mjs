// The runtime inside of Node beside the same calls in Rust, on the same source, in the same run.
import { spawnSync } from 'node:child_process';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { context, WAIVE, workspace } from '../test/support/workspace.mjs';
import { median, row } from './measure.mjs';

const ROUNDS = 21;
const EACH = 50;
const micro = (seconds) => `${(seconds * 1e6).toFixed(0)} µs`;
const milli = (nanoseconds) => `${(nanoseconds / 1e6).toFixed(1)} ms`;

export async function runtime() {
  const shop = await workspace(undefined, (ROUNDS + 1) * EACH + 2_000);
  const so = await shop.open();
  const propose = (n) => so.propose(WAIVE, { invoice_id: `INV-${n}`, reason: 'we were late' }, { context });
  const here = async (first) => {
    const begun = process.hrtime.bigint();
    for (let n = first; n < first + EACH; n += 1) await propose(n);
    return Number(process.hrtime.bigint() - begun) / 1e9;
  };
  const there = (first) => shop.sql(`PROPOSE ${first} ${EACH}`);
  // In turns: who else uses the machine disturbs both alike. The first round warms up.
  const rounds = [];
  for (let round = 0; round <= ROUNDS; round += 1) {
    const first = round * EACH + 1;
    rounds.push(round % 2 ? [await here(first), await there(first)] : await (async () => { const rust = await there(first); return [await here(first), rust]; })());
  }
  rounds.shift();
  const ratio = median(rounds.map(([node, rust]) => node / rust));
  row(`propose from Node, median of ${ROUNDS} rounds of ${EACH}`, micro(median(rounds.map(([node]) => node)) / EACH), `the same in Rust ${micro(median(rounds.map(([, rust]) => rust)) / EACH)}`, `${ratio.toFixed(2)} ×; goal ≤ 1.15 ×`);

  // The delay of a timer, beside that of an idle loop: what it has to wait for besides.
  const delay = async (work) => {
    const monitor = monitorEventLoopDelay({ resolution: 1 });
    monitor.enable();
    await work();
    monitor.disable();
    return monitor;
  };
  const idle = await delay(() => pause(1_000));
  let next = (ROUNDS + 1) * EACH + 1;
  const begun = process.hrtime.bigint();
  const busy = await delay(() => Promise.all(Array.from({ length: 16 }, async () => {
    for (let n = 0; n < 100; n += 1) await propose((next += 1) - 1);
  })));
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
  row('longest tick of the event loop, 16 proposes in flight', `${milli(busy.max)}, p99 ${milli(busy.percentile(99))}; ${(1_600 / seconds).toFixed(0)} proposals /s`, `idle ${milli(idle.max)}, p99 ${milli(idle.percentile(99))}`, '');
  await so.close();
  await shop.end();

  const main = fileURLToPath(new URL('../dist/index.js', import.meta.url));
  const time = () => Number(spawnSync(process.execPath, ['-p', `const t = performance.now(); require(${JSON.stringify(main)}); performance.now() - t`], { encoding: 'utf8' }).stdout);
  row('require of the package, median of 21', `${median(Array.from({ length: 21 }, time)).toFixed(1)} ms`, '', 'goal ≤ 30 ms');
}
