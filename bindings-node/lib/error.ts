import type { SignoffCode } from './codes.js';

/** How an error crosses from the native half. */
export interface ErrorForm {
  code: SignoffCode;
  message: string;
  help?: string;
  retryable: boolean;
  context: Record<string, string>;
}

/**
 * What everything of this package throws.
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
  constructor(form: ErrorForm, from?: Function, cause?: unknown) {
    super(form.message, cause === undefined ? undefined : { cause });
    this.code = form.code;
    this.retryable = form.retryable;
    this.context = form.context;
    this.help = form.help;
    if (from) Error.captureStackTrace(this, from);
  }

  static {
    // Where the name of an Error stands by itself; as a field it would be printed with every one.
    Object.defineProperty(this.prototype, 'name', { value: 'SignoffError', configurable: true, writable: true });
  }
}
