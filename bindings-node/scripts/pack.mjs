// Packs what was built into tarballs: `pack.mjs FOLDER`. The main package is JavaScript and types; the native half is a
// package of its own for each platform, of the same version, which npm installs where it fits.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const folder = resolve(process.argv[2] ?? here('../packages'));

const { private: _, scripts, devDependencies, ...main } = JSON.parse(readFileSync(here('../package.json'), 'utf8'));
const version = /\[workspace\.package\]\nversion = "([^"]+)"/.exec(readFileSync(here('../../Cargo.toml'), 'utf8'))[1];
if (main.version !== version) throw new Error(`package.json has version ${main.version}, the workspace ${version}`);

const platform = { 'linux-x64': { name: 'linux-x64-gnu', libc: ['glibc'] } }[`${process.platform}-${process.arch}`];
if (!platform) throw new Error(`no package is made for ${process.platform}-${process.arch}`);
const library = here(`../native/signoff.${process.platform}-${process.arch}.node`);
const scope = '@signoff/';

const staged = mkdtempSync(join(tmpdir(), 'signoff-pack-'));
try {
  const stage = (name, manifest, files) => {
    const to = join(staged, name);
    mkdirSync(to);
    writeFileSync(join(to, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
    for (const [file, as] of Object.entries({ ...files, [here('../../LICENSE')]: 'LICENSE' })) cpSync(file, join(to, as), { recursive: true });
    return to;
  };
  const packages = [
    stage('main', {
      ...main, files: ['dist', 'esm', 'README.md'], optionalDependencies: { [`${scope}${platform.name}`]: version },
    }, { [here('../dist')]: 'dist', [here('../esm')]: 'esm', [here('../README.md')]: 'README.md' }),
    stage('platform', {
      name: `${scope}${platform.name}`, version, description: `The native half of ${main.name}.`, license: main.license, engines: main.engines,
      os: [process.platform], cpu: [process.arch], libc: platform.libc, main: 'signoff.node', files: ['signoff.node'],
    }, { [library]: 'signoff.node' }),
  ];
  mkdirSync(folder, { recursive: true });
  for (const one of packages) {
    const packed = spawnSync('npm', ['pack', '--json', '--offline', '--pack-destination', folder], { cwd: one, encoding: 'utf8' });
    if (packed.status !== 0) throw new Error(packed.stderr || String(packed.error));
    const [{ name, filename, size, unpackedSize }] = JSON.parse(packed.stdout);
    const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
    console.log(`${join(folder, filename)}: ${name} ${version}, ${megabytes(size)} packed, ${megabytes(unpackedSize)} unpacked`);
  }
} finally {
  rmSync(staged, { recursive: true });
}
