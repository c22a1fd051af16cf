import { bytes, type HeadersLike, lines, milliseconds, signingSecrets, usage } from './bytes.js';
import { Job } from './job.js';
import { crossing, native } from './native.js';

/**
 * Which signature is asked for: `strict`, the Standard Webhooks signature over id, time and body, at most 300 seconds old
 * or early; or `compat`, Synapsor's over the body, which must say itself when it was issued.
 */
export type Policy = 'strict' | 'compat';

/**
 * Verifies a writeback request and reads the job in it: authentic, fresh, whole, well formed. It asks no database.
 *
 * @param body The bytes as received. They are looked at during the call and not kept.
 * @param headers The headers; `req.rawHeaders` by preference.
 * @param secrets The signing secret, or several while they are rotated. `whsec_…` is base64; anything else is its own bytes;
 *   at least 24 bytes in `strict`.
 * @param options `now`: the present, if it is not (for tests); whole milliseconds. `policy`: `strict` by default.
 * @throws {SignoffError} In this order: `BODY_TOO_LARGE` (beyond 1 MiB); `HEADER_DUPLICATED`, `HEADER_INVALID`;
 *   `SECRET_UNUSABLE`, `HANDLER_SIGNING_SECRET_MISSING`; `INVALID_SIGNATURE`; `INVALID_ISSUED_AT`; `JSON_INVALID`,
 *   `JSON_DUPLICATE_KEY`, `JSON_TOO_DEEP`; `UNSUPPORTED_PROTOCOL_VERSION`, `BAD_WRITEBACK_REQUEST`,
 *   `IDEMPOTENCY_KEY_REQUIRED`, `IDEMPOTENCY_KEY_INVALID`, `UNSAFE_IDENTIFIER`, `NUMBER_NOT_EXACT`, `VERSION_IS_NULL`,
 *   `PATCH_COLUMN_NOT_ALLOWED`; `HEADER_BODY_MISMATCH`. `USAGE` and `INSTANT_INVALID` for arguments that no request causes.
 *
 * @example
 * ```ts
 * const job = verify(body, req.rawHeaders, process.env.SIGNOFF_SECRET!);
 * console.log(job.action, job.objectId, job.patch);
 * ```
 */
export function verify(
  body: Uint8Array,
  headers: HeadersLike,
  secrets: string | readonly string[],
  options?: { readonly now?: Date; readonly policy?: Policy },
): Job {
  const now = milliseconds(options?.now, verify);
  const policy = options?.policy;
  if (policy !== undefined && typeof policy !== 'string') usage('the policy is not a string', "it is 'strict' or 'compat'", verify);
  const [data, flat, ready] = [bytes(body, verify), lines(headers, verify), signingSecrets(secrets, verify)];
  return new Job(crossing(() => native.verify(data, flat, ready, now, policy), verify));
}

/**
 * Signs a request under both schemes: the headers to send, names in lower case.
 *
 * @param body The bytes that will be sent, at most 1 MiB.
 * @param secret The secret, or several while they are rotated: one Standard Webhooks signature each, Synapsor's with the first.
 * @param options `key`: the idempotency key, 1 to 255 of `[A-Za-z0-9_:-]`. `now`: the present, if it is not.
 * @throws {SignoffError} `IDEMPOTENCY_KEY_INVALID`, `BODY_TOO_LARGE`, `HEADER_INVALID` for a proposal id that cannot stand in
 *   a header, `SECRET_UNUSABLE`, `HANDLER_SIGNING_SECRET_MISSING`, `INSTANT_INVALID`, `USAGE`.
 *
 * @example
 * ```ts
 * const body = Buffer.from(JSON.stringify(request));
 * await fetch(url, { method: 'POST', body, headers: sign(body, secret, { key: request.idempotency_key }) });
 * ```
 */
export function sign(
  body: Uint8Array,
  secret: string | readonly string[],
  options: { readonly key: string; readonly now?: Date },
): Record<string, string> {
  const now = milliseconds(options?.now, sign);
  if (typeof options?.key !== 'string') usage('the key is not a string', 'it is the idempotency key of the request', sign);
  const [data, ready] = [bytes(body, sign), signingSecrets(secret, sign)];
  return JSON.parse(crossing(() => native.sign(data, ready, options.key, now), sign)) as Record<string, string>;
}

/**
 * The SQL that makes the receipts table of a handler, one statement each; for a migration. Nothing makes it while requests
 * are served.
 *
 * @param dialect `postgres` or `sqlite`.
 * @param options `table`: `schema.table`, or a table of the default schema; `synapsor_handler_receipts` by default. `role`:
 *   the role of the application, to be granted what it needs.
 * @throws {SignoffError} `UNSAFE_IDENTIFIER` for a name that is no plain identifier, `USAGE` for an unknown dialect.
 *
 * @example
 * ```ts
 * for (const statement of receiptsDdl('postgres', { role: 'billing_app' })) await client.query(statement);
 * ```
 */
export function receiptsDdl(dialect: 'postgres' | 'sqlite', options?: { readonly table?: string; readonly role?: string }): string[] {
  for (const text of [dialect, options?.table, options?.role]) {
    if (text !== undefined && typeof text !== 'string') usage('an argument is not a string', 'dialect, table and role are', receiptsDdl);
  }
  return crossing(() => native.receiptsDdl(dialect, options?.table, options?.role), receiptsDdl);
}
