// Builds the native half with cargo and lays it where lib/native.ts looks for it. Arguments go to cargo.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, renameSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

const args = ['build', '--message-format=json-render-diagnostics', '-p', 'signoff-node', ...process.argv.slice(2)];
const cargo = spawnSync(process.env.CARGO ?? 'cargo', args, {
  cwd: here('..'), stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8', maxBuffer: 1 << 28,
});
if (cargo.error) throw cargo.error;
if (cargo.status !== 0) process.exit(cargo.status ?? 1);

// Cargo says where the library is: the target folder and its name differ by machine.
const library = cargo.stdout.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line))
  .findLast((message) => message.reason === 'compiler-artifact' && message.target.name === 'signoff_node' && message.target.kind.includes('cdylib'))
  ?.filenames.find((name) => /\.(so|dylib|dll)$/.test(name));
if (!library) throw new Error('cargo built no library');

mkdirSync(here('../native'), { recursive: true });
const to = here(`../native/signoff.${process.platform}-${process.arch}.node`);
// Renamed into place: a process that has the old one loaded keeps it.
copyFileSync(library, `${to}.new`);
renameSync(`${to}.new`, to);
console.log(`built ${to}`);
