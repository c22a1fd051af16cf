// Writes lib/codes.ts from ../schemas/errors.json; with --check it only compares.
import { readFileSync, writeFileSync } from 'node:fs';

const here = (path) => new URL(path, import.meta.url);
const codes = JSON.parse(readFileSync(here('../../schemas/errors.json'), 'utf8')).map(({ code }) => code);
const text = `// Written by scripts/codes.mjs from schemas/errors.json.

/**
 * The stable codes of errors. Programs match codes; the text of a message may change.
 */
export type SignoffCode =
${codes.map((code) => `  | '${code}'`).join('\n')};
`;
const file = here('../lib/codes.ts');
if (!process.argv.includes('--check')) writeFileSync(file, text);
else if (readFileSync(file, 'utf8') !== text) {
  console.error('lib/codes.ts is not what schemas/errors.json says: run `npm run codes`');
  process.exit(1);
}
