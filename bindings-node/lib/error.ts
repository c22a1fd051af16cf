import type { SignoffCode } from './codes.js';

/** How an error crosses from the native half. */
export interface ErrorForm {
  code: SignoffCode;
  message: string;
  help?: string;
  retryable: boolean;
  context: Record<string, string>;
}

/** Where a call was made. What it comes to is known later, when its caller stands on no stack any more. */
export interface Place {
  readonly stack: string;
}

/** The place of the caller of `from`. Its text is only made if somebody looks at it. */
export function calledFrom(from: Function): Place {
  const place = {};
  Error.captureStackTrace(place, from);
  return place as Place;
}

function frames({ stack }: Place): string {
  const first = stack.indexOf('\n    at ');
  return first === -1 ? '' : stack.slice(first);
}

/**
 * What everything of this package throws, and what its promises are rejected with.
 *
 * @example
 * ```ts
 * try {
 *   const job = verify(body, request.headers, secret);
 * } catch (error) {
 *   if (error instanceof SignoffError && error.code === 'INVALID_SIGNATURE') respond(401);
 *   else throw error;
 * }
 * ```
 */
export class SignoffError extends Error {
  /** The stable code: match on this. */
  readonly code: SignoffCode;
  /** True if the same call may succeed later without anybody changing anything. */
  readonly retryable: boolean;
  /** What the message is about, field by field, as text. */
  readonly context: Readonly<Record<string, string>>;
  /** What to do about it, if there is more to say than the message does. */
  readonly help: string | undefined;

  /** @internal */
  constructor(form: ErrorForm, from?: Function | Place, cause?: unknown) {
    super(form.message, cause === undefined ? undefined : { cause });
    this.code = form.code;
    this.retryable = form.retryable;
    this.context = form.context;
    this.help = form.help;
    if (typeof from === 'function') Error.captureStackTrace(this, from);
    else if (from) Object.defineProperty(this, 'stack', { value: `SignoffError: ${form.message}${frames(from)}`, configurable: true, writable: true });
  }

  static {
    // Where the name of an Error stands by itself; as a field it would be printed with every one.
    Object.defineProperty(this.prototype, 'name', { value: 'SignoffError', configurable: true, writable: true });
  }
}
