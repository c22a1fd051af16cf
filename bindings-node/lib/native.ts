// The native half: what it offers, how it is found, and how its errors become ours.

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
  checkContract(text: string): string;
  checkContractFile(path: string): Promise<string>;
}

/** The addon itself. Call it through {@link crossing}. */
// A path of our own and nothing else: no folder or variable of somebody else's can put another addon in its place.
export const native = require(`../native/signoff.${process.platform}-${process.arch}.node`) as Native;

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
