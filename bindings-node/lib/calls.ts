// Calls of an open session: a request as JSON goes over, and what comes back is a value or an error of ours.

import { usage } from './bytes.js';
import { SignoffError, type ErrorForm, type Place } from './error.js';
import { encode } from './exact.js';
import { crossing, native, type NativeSession } from './native.js';

type Answer = { ok: true; value: unknown } | { ok: false; error: ErrorForm };

/** The value of an answer, or its error, thrown as if at `place`. */
export function valueOf<T>(answer: string, place: Place): T {
  const read = JSON.parse(answer) as Answer;
  if (!read.ok) throw new SignoffError(read.error, place);
  return read.value as T;
}

/** An open session, and how many of its calls are under way. */
export class Calls {
  #native: NativeSession;
  #running = 0;
  #idle: (() => void) | undefined;
  #closed: Promise<void> | undefined;

  constructor(session: NativeSession) {
    this.#native = session;
  }

  static async open(request: Readonly<Record<string, unknown>>, place: Place): Promise<Calls> {
    const opened = await crossing(() => native.openSession(encode(request, place, 'open')), place);
    if (typeof opened === 'string') return valueOf(opened, place);
    return new Calls(opened);
  }

  /** True once `close` was called. */
  get closed(): boolean {
    return this.#closed !== undefined;
  }

  /**
   * Counts a whole call, however often it goes over: `close` waits for it. Whoever comes after `close` is refused.
   */
  async during<T>(place: Place, work: () => Promise<T>): Promise<T> {
    if (this.closed) usage('this session is closed', 'open another', place);
    this.#running += 1;
    try {
      return await work();
    } finally {
      this.#running -= 1;
      if (this.#running === 0) this.#idle?.();
    }
  }

  /** One call. */
  ask<T>(request: Readonly<Record<string, unknown>>, place: Place): Promise<T> {
    return this.during(place, () => this.within(request, place));
  }

  /** A part of a call that is counted already. */
  async within<T>(request: Readonly<Record<string, unknown>>, place: Place): Promise<T> {
    return valueOf(await crossing(() => this.#native.call(encode(request, place, 'the request')), place), place);
  }

  /** A call that only waits, and that `close` ends: then it answers nothing. */
  async wait<T>(request: Readonly<Record<string, unknown>>, place: Place): Promise<T | undefined> {
    const answer = await crossing(() => this.#native.wait(encode(request, place, 'the request')), place);
    return this.closed ? undefined : valueOf(answer, place);
  }

  /** Ends what waits, waits for what is under way, and lets go of everything. */
  close(): Promise<void> {
    return (this.#closed ??= this.#end());
  }

  async #end(): Promise<void> {
    this.#native.interrupt();
    if (this.#running > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    await this.#native.close();
  }
}

