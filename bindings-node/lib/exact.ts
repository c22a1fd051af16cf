// Values as they cross: exact JSON, or nothing.

import { randomUUID } from 'node:crypto';

import { usage } from './bytes.js';
import type { RowValue } from './documents.js';
import type { Place } from './error.js';

/**
 * What an argument may be. A `number` is finite, and within ±(2^53−1) if it is whole; larger whole numbers are `bigint`,
 * decimals that have to be exact are strings. `undefined`, `NaN`, functions, dates and class instances are refused.
 */
export type Exact = null | boolean | number | bigint | string | readonly Exact[] | { readonly [key: string]: Exact };

/** The arguments of a call: an object, or the text of a JSON object, as a model wrote it. */
export type Arguments = { readonly [name: string]: Exact } | string;

const DEEP = 100;

/** The arguments as JSON text, or `USAGE`. A text is left as it is: it is read strictly on the other side. */
export function argumentsText(value: unknown, place: Place): string {
  if (typeof value === 'string') return value;
  if (!isPlain(value)) usage('the arguments are not an object', 'pass a plain object, or the text of a JSON object', place);
  return encode(value, place, 'the arguments');
}

/**
 * A value as JSON text that says exactly what it does, or `USAGE`. Without `large`, whole numbers beyond ±(2^53−1) are
 * refused, too: for whoever reads it with doubles.
 */
export function encode(value: unknown, place: Place, at: string, large = true, depth = 0): string {
  const refuse = (problem: string, hint: string): never => usage(`${at}: ${problem}`, hint, place);
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'bigint':
      if (!large && BigInt.asIntN(54, value) !== value) return refuse('a reader of JSON would round it', 'return a string');
      return value.toString();
    case 'number':
      if (!Number.isFinite(value)) return refuse(`${value} is no JSON`, 'pass a finite number');
      if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
        return refuse('a whole number beyond 2^53 may have been rounded', 'pass a BigInt, or a string');
      }
      return JSON.stringify(value);
    case 'object':
      break;
    default:
      return refuse(`a value of type ${typeof value} is no JSON`, 'leave the member out');
  }
  if (value === null) return 'null';
  if (depth > DEEP) return refuse('it is nested too deeply, or holds itself', 'pass plain data');
  if (Array.isArray(value)) {
    // Not map: it passes over holes.
    const items: string[] = [];
    for (let n = 0; n < value.length; n += 1) items.push(encode(value[n], place, `${at}[${n}]`, large, depth + 1));
    return `[${items.join(',')}]`;
  }
  if (!isPlain(value)) return refuse('it is neither a plain object nor an array', 'pass a string, or plain data');
  const members = Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}:${encode(one, place, `${at}.${name}`, large, depth + 1)}`);
  return `{${members.join(',')}}`;
}

/** True for what `{}` and `Object.create(null)` make, also in another realm. */
export function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return (prototype === null || Object.getPrototypeOf(prototype) === null) && Object.getOwnPropertySymbols(value).length === 0;
}

/** A value of a row as it comes: `{"$int": …}` is a BigInt; decimals and timestamps stay text, as no number or Date holds them. */
export function exactValue(value: unknown): RowValue {
  if (typeof value !== 'object' || value === null) return value as RowValue;
  const { $int, $decimal, $timestamp } = value as { $int?: string; $decimal?: string; $timestamp?: string };
  if ($int !== undefined) return BigInt($int);
  return $decimal ?? $timestamp ?? null;
}

const MARK = `${randomUUID()}:`;

/**
 * Reads JSON that was found to be sound, with whole numbers beyond ±(2^53−1) as BigInt. The first alternative passes over
 * strings; what looks like a number outside of one is one.
 */
export function decode(text: string): unknown {
  const marked = text.replace(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g, (token) =>
    /^-?\d{16,}$/.test(token) && !Number.isSafeInteger(Number(token)) ? `"${MARK}${token}"` : token,
  );
  return JSON.parse(marked, (_, value: unknown) =>
    typeof value === 'string' && value.startsWith(MARK) ? BigInt(value.slice(MARK.length)) : value,
  );
}

/** A whole number in a range, or `USAGE`. */
export function whole(value: unknown, name: string, least: number, most: number, place: Place): number {
  const number = typeof value === 'bigint' && value >= 0n && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isInteger(number) || number < least || number > most) {
    usage(`${name} is not a whole number from ${least} to ${most}`, 'pass it as it was shown', place);
  }
  return number;
}

/** A string, or `USAGE`. */
export function text(value: unknown, name: string, place: Place): string {
  if (typeof value !== 'string') usage(`${name} is not a string`, 'see the types of the package', place);
  return value;
}

/** A boolean, or `USAGE`: whatever else is truthy may not have been meant. */
export function flag(value: unknown, name: string, place: Place): boolean {
  if (typeof value !== 'boolean') usage(`${name} is not a boolean`, 'pass true or false', place);
  return value;
}

/** Options that are known by name, without those that are undefined; or `USAGE`. A misspelt one must not be passed over. */
export function named<T extends object>(given: T | undefined, known: readonly (keyof T & string)[], place: Place): Partial<T> {
  if (given === undefined) return {};
  if (typeof given !== 'object' || given === null) usage('the options are not an object', 'see the types of the package', place);
  const taken: Partial<T> = {};
  for (const [name, value] of Object.entries(given) as [keyof T & string, T[keyof T & string]][]) {
    if (!known.includes(name)) usage(`there is no option ${JSON.stringify(name)}`, `these are: ${known.join(', ') || 'none'}`, place);
    if (value !== undefined) taken[name] = value;
  }
  return taken;
}
