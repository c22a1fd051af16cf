// `make bench-node`: rows for the table of `make bench`. CPU time where one thread computes, wall time where it waits.
import { binaries, startCluster } from '../test/support/postgres.mjs';
import { skip } from '../test/support/workspace.mjs';
import { runtime } from './runtime.mjs';
import { verification } from './verify.mjs';
import { writebacks } from './writeback.mjs';

const wanted = (name) => [undefined, name].includes(process.argv[2]);
if (wanted('verification')) verification();
if (wanted('runtime')) {
  if (skip) console.error(`the runtime is not measured: ${skip}`);
  else await runtime();
}
const bin = wanted('writebacks') ? binaries() : false;
if (bin) {
  const cluster = await startCluster(bin);
  await writebacks(cluster.folder);
  await cluster.stop();
} else if (bin !== false) {
  console.error('no Postgres server here: guarded writebacks are not measured');
}
