// The native half: what it offers, how it is found, and how its errors become ours.

import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { SignoffError, type ErrorForm, type Place } from './error.js';

/** Headers as they cross: names and values in turn, joined by newlines or as a list. */
export type Lines = string | readonly string[];

/** Signing secrets, made ready. */
export interface NativeSecrets {
  readonly _secrets: never;
}

/** The guard of one request: JSON of a step out, JSON of a reply in. */
export interface NativeGuard {
  job(): string;
  step(): string;
  next(reply: string): string;
  fault(): string | null;
}

/** An application's handler. */
export interface NativeHandler {
  warnings(): string[];
  receiptsDdl(): string[];
  receive(body: Uint8Array, headers: Lines, now: number): string | NativeGuard;
}

/** An open session: JSON of a request in, JSON of an answer out. Its promises are never rejected. */
export interface NativeSession {
  call(request: string): Promise<string>;
  wait(request: string): Promise<string>;
  interrupt(): void;
  close(): Promise<void>;
}

interface Native {
  Secrets: new (secrets: readonly string[]) => NativeSecrets;
  Handler: new (config: string) => NativeHandler;
  verify(body: Uint8Array, headers: Lines, secrets: NativeSecrets, now: number, policy?: string): string;
  sign(body: Uint8Array, secrets: NativeSecrets, key: string, now: number): string;
  receiptsDdl(dialect: string, table?: string, role?: string): string[];
  health(): string;
  methodNotAllowed(): string;
  bodyTooLarge(): string;
  usage(problem: string, hint: string): never;
  notConfigured(at: string, problem: string): never;
  methods(): string[];
  MAX_BODY: number;
  openSession(open: string): Promise<NativeSession | string>;
  audit(text: string, target: string): string;
  checkContract(text: string): string;
  checkContractFile(path: string): Promise<string>;
}

/** The addon itself. Call it through {@link crossing}. */
export const native = load();

// The source tree's, or the package of this platform in exactly our version, and nothing else: no variable of somebody else's
// puts another addon in its place.
function load(): Native {
  const built = join(__dirname, `../native/signoff.${process.platform}-${process.arch}.node`);
  if (existsSync(built)) return require(built) as Native;
  const platform = ({ 'linux-x64': 'linux-x64-gnu' } as Record<string, string>)[`${process.platform}-${process.arch}`];
  if (platform === undefined) throw new Error(`signoff has no native half for ${process.platform}-${process.arch}`);
  const { version } = require('../package.json') as { version: string };
  const name = `@signoff/${platform}`;
  let found: string;
  try {
    found = (require(`${name}/package.json`) as { version: string }).version;
  } catch (cause) {
    throw new Error(`signoff needs ${name}@${version}: install it, and do not leave out optional dependencies`, { cause });
  }
  if (found !== version) throw new Error(`signoff ${version} needs ${name}@${version}, and ${found} is installed`);
  return require(name) as Native;
}

/**
 * Calls the native half; what it throws is thrown as a {@link SignoffError} whose stack begins at the caller of `from`.
 */
export function crossing<T>(call: () => T, from: Function | Place): T {
  try {
    return call();
  } catch (thrown) {
    throw translated(thrown, from);
  }
}

function translated(thrown: unknown, from: Function | Place): SignoffError {
  if (thrown instanceof Error && (thrown as { code?: unknown }).code === 'SIGNOFF') {
    return new SignoffError(JSON.parse(thrown.message) as ErrorForm, from);
  }
  // A panic, or an argument that our own checks let through.
  const form = { code: 'INTERNAL', message: 'an invariant did not hold: in the native half', retryable: false, context: {} } as const;
  return new SignoffError(form, from, thrown);
}
