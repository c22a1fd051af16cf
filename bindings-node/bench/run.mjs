// `make bench-node`: rows for the table of `make bench`. CPU time where one thread computes, wall time where it waits.
import { binaries, startCluster } from '../test/support/postgres.mjs';
import { verification } from './verify.mjs';
import { writebacks } from './writeback.mjs';

if (process.argv[2] !== 'writebacks') verification();
const bin = binaries();
if (bin) {
  const cluster = await startCluster(bin);
  await writebacks(cluster.folder);
  await cluster.stop();
} else {
  console.error('no Postgres server here: guarded writebacks are not measured');
}
