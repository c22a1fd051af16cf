// Arguments as the native half wants them.

import { types } from 'node:util';

import type { Place } from './error.js';
import { crossing, type Lines, native, type NativeSecrets } from './native.js';

/**
 * The headers of a request: a plain object (`req.headers`), a `Headers` or any other iterable of names and values, or a
 * raw list (`req.rawHeaders`: name, value, name, value). Only the raw list shows that a line was sent twice: prefer it.
 */
export type HeadersLike =
  | Readonly<Record<string, string | readonly string[] | undefined>>
  | Iterable<readonly [string, string]>
  | readonly string[];

/** Throws `USAGE`. */
export function usage(problem: string, hint: string, from: Function | Place): never {
  return crossing(() => native.usage(problem, hint), from);
}

/** The bytes as the native half may borrow them. */
export function bytes(body: unknown, from: Function): Uint8Array {
  if (!types.isUint8Array(body)) {
    usage('the body is not a Buffer or Uint8Array', 'pass the bytes as received: parsed and written again, they are others', from);
  }
  // Shared memory may change between two looks at it.
  return types.isSharedArrayBuffer(body.buffer) ? Uint8Array.prototype.slice.call(body) : body;
}

/** The instant as milliseconds; the native half refuses what is not whole. */
export function milliseconds(now: unknown, from: Function): number {
  if (now === undefined) return Date.now();
  if (!types.isDate(now)) usage('now is not a Date', 'leave it out for the present', from);
  return Date.prototype.getTime.call(now);
}

/**
 * The headers as they cross: names and values in turn, joined by newlines, which is one string in place of many. None of
 * them holds a newline but one that somebody made up: then they cross as a list.
 */
export function lines(headers: HeadersLike, from: Function): Lines {
  const flat: string[] = [];
  let plain = true;
  const add = (name: unknown, value: unknown): void => {
    if (typeof name !== 'string' || typeof value !== 'string') {
      usage('a header is not a string', 'names and values of headers are strings', from);
    }
    if (value.includes('\n') || name.includes('\n')) plain = false;
    flat.push(name, value);
  };
  if (typeof headers !== 'object' || headers === null) {
    usage('the headers are not an object', 'pass req.rawHeaders, req.headers or a Headers', from);
  }
  if (Array.isArray(headers) && typeof headers[0] === 'string') {
    if (headers.length % 2 === 1) usage('a raw list of headers ends in a name', 'it is name, value, name, value', from);
    for (let i = 0; i < headers.length; i += 2) add(headers[i], headers[i + 1]);
  } else if (typeof (headers as Iterable<unknown>)[Symbol.iterator] === 'function') {
    for (const line of headers as Iterable<unknown>) {
      if (!Array.isArray(line) || line.length !== 2) usage('a line of the headers is not a pair', 'each is a name and a value', from);
      add(line[0], line[1]);
    }
  } else {
    for (const [name, value] of Object.entries(headers)) {
      if (Array.isArray(value)) value.forEach((one) => add(name, one));
      else if (value !== undefined) add(name, value);
    }
  }
  return plain ? flat.join('\n') : flat;
}

// Making a secret ready costs more than a signature does. A few are kept; they are in the process's memory anyway.
const ready = new Map<string, NativeSecrets>();
const KEPT = 16;

/** The secrets, made ready. */
export function signingSecrets(secrets: unknown, from: Function): NativeSecrets {
  const list: unknown[] = Array.isArray(secrets) ? secrets : secrets === undefined ? [] : [secrets];
  if (!list.every((secret) => typeof secret === 'string')) {
    usage('a secret is not a string', 'secrets are a string, or several of them while they are rotated', from);
  }
  const key = list.length === 1 ? `=${list[0] as string}` : JSON.stringify(list);
  let made = ready.get(key);
  if (made === undefined) {
    made = crossing(() => new native.Secrets(list as string[]), from);
    if (ready.size >= KEPT) ready.delete(ready.keys().next().value as string);
    ready.set(key, made);
  }
  return made;
}
