import type { Scalar } from './job.js';

/** What an action's function may tell besides the number of rows. */
export interface AppliedOptions {
  /** The version that the row has now. A `bigint` is sent exactly. */
  readonly newVersion?: Scalar | bigint;
  /** What was done, in your words: `details.effects` of the receipt. */
  readonly effects?: readonly unknown[];
  /** What shall be remembered besides, at most 64 KiB; not `effects`, `dry_run` and `column`. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** What {@link applied} makes: return it from an action's function. */
export class Applied {
  /** @internal */
  constructor(
    /** Rows written. */
    readonly rowsAffected: number | bigint,
    /** What else was told. */
    readonly options: AppliedOptions,
  ) {}
}

/**
 * Your function wrote: commit that together with the receipt.
 *
 * @param rowsAffected Rows written, a whole number from 0 to 2^53−1. Anything else, such as `1.9`, `NaN` or `-1`, is
 *   `HANDLER_RESULT_INVALID` in your log and rolls back.
 *
 * @example
 * ```ts
 * return applied(2, { effects: [{ kind: 'db.insert', table: 'account_credits' }] });
 * ```
 */
export function applied(rowsAffected: number | bigint, options: AppliedOptions = {}): Applied {
  return new Applied(rowsAffected, options);
}

class Declined extends Error {
  /** The code: `[A-Z][A-Z0-9_]*`, at most 64 characters; it says nothing about the data. */
  readonly code: string;
  /** What shall be remembered besides. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: string, details: Readonly<Record<string, unknown>> = {}) {
    super(code);
    this.code = code;
    this.details = details;
  }
}

/**
 * The change no longer fits, for a reason that only you know. Return it or throw it: what was written is rolled back, and
 * this is the change's terminal answer.
 *
 * @example
 * ```ts
 * if (limit < amount) throw new Conflict('CREDIT_LIMIT', { limit });
 * ```
 */
export class Conflict extends Declined {
  static {
    Object.defineProperty(this.prototype, 'name', { value: 'Conflict', configurable: true, writable: true });
  }
}

/**
 * The change is refused for good; otherwise as {@link Conflict}.
 *
 * @example
 * ```ts
 * if (account.closed) return new Refused('ACCOUNT_CLOSED');
 * ```
 */
export class Refused extends Declined {
  static {
    Object.defineProperty(this.prototype, 'name', { value: 'Refused', configurable: true, writable: true });
  }
}

/**
 * The reply to the guard: JSON that says what the function said, and judges none of it.
 *
 * @throws {TypeError} For what has no JSON form: anything but the three results, a cycle, a NaN in the details.
 * @internal
 */
export function replyOf(result: unknown): string {
  if (result instanceof Applied) {
    const { newVersion, effects, details } = result.options;
    const rest = JSON.stringify({ status: 'applied', new_version: newVersion, effects, details }, exact);
    return `{"author":{"rows_affected":${literal(result.rowsAffected)},${rest.slice(1)}}`;
  }
  const status = result instanceof Conflict ? 'conflict' : result instanceof Refused ? 'refused' : undefined;
  if (status === undefined) throw new TypeError('an action returns applied(…), a Conflict or a Refused');
  const { code, details } = result as Declined;
  return JSON.stringify({ author: { status, code, details } }, exact);
}

/** The number as it is: JSON.stringify would write null for NaN and 0 for -0, and the core has to see what it was. */
function literal(value: unknown): string {
  if (typeof value !== 'number') return typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? 'null');
  return Object.is(value, -0) ? '-0' : String(value);
}

/** JSON has no bigint and no NaN. The one is written exactly; the other would be written as null, which means left out. */
function exact(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (typeof value === 'number' && !Number.isFinite(value)) throw new TypeError(`${value} has no JSON form`);
  return value;
}
