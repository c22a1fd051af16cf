import type { HeadersLike } from './bytes.js';
import { bytes, lines, milliseconds } from './bytes.js';
import type { Database, Session } from './database.js';
import { drive, guarded } from './drive.js';
import type { LockedJob } from './job.js';
import { crossing, native, type NativeHandler } from './native.js';
import type { Applied, Conflict, Refused } from './result.js';
import type { Policy } from './signature.js';

/** Where a handler writes what its operator should know; `console`, pino and Fastify's `log` fit. */
export interface Logger {
  error(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/**
 * An action and the table that it is about.
 */
export interface Action<Tx> {
  /** `schema.table`, or a table of `public` (SQLite: `main`). */
  readonly table: string;
  /** The primary key column. */
  readonly key: string;
  /** The tenant column; absent only beside `singleTenant: true`. */
  readonly tenant?: string;
  /** True if the table has one tenant. */
  readonly singleTenant?: boolean;
  /** The version column; absent if the columns in `compare` tell that the row is unchanged. */
  readonly version?: string;
  /** Columns that must still hold what the sender read. */
  readonly compare?: readonly string[];
  /** The only columns that a patch for this action may name. */
  readonly allow?: readonly string[];
  /**
   * Your business write. It is called at most once per key, for an authentic request on an unchanged, locked row, with a
   * connection of yours inside of the transaction that also holds the receipt. It awaits everything it starts, and neither
   * commits nor rolls back nor releases. Throwing rolls back, and the sender may try again.
   */
  effect(job: LockedJob, transaction: Tx): Promise<Applied | Conflict | Refused>;
}

/** How {@link createWritebackHandler} is set up. */
export interface WritebackHandlerOptions<Tx> {
  /** Your database, such as `pgDatabase(pool)`. */
  readonly database: Database<Tx>;
  /** The signing secret, or several while they are rotated, the newest first. */
  readonly secrets: string | readonly string[];
  /** The actions, by their names in the contract. */
  readonly actions: Readonly<Record<string, Action<Tx>>>;
  /** Which signature is asked for; `strict` by default. */
  readonly policy?: Policy;
  /** If given, the signed body has to name this `audience`. */
  readonly audience?: string;
  /** If given, a request has to carry one of them as well. */
  readonly bearerTokens?: readonly string[];
  /** The receipts table; `public.synapsor_handler_receipts` by default. */
  readonly receipts?: string;
  /** Where to write what the operator should know; `console` by default. */
  readonly logger?: Logger;
  /** The present, if it is not (for tests). */
  readonly now?: () => Date;
}

/** A request as it came in. */
export interface WritebackRequest {
  /** The method; left out, it is one of those that may come. */
  readonly method?: string;
  /** The headers; `req.rawHeaders` by preference. */
  readonly headers: HeadersLike;
  /** The bytes as received. */
  readonly body: Uint8Array;
  /** The log of this request, if it has one of its own. */
  readonly logger?: Logger;
}

/** What to send, unchanged. A 2xx answer is terminal and was stored before. */
export interface WritebackResponse {
  /** The status code. */
  readonly status: number;
  /** The headers, names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** The body, JSON. */
  readonly body: string;
}

/** An application's handler. */
export interface WritebackHandler {
  /**
   * Takes a request to its end and resolves to the answer. It rejects only with `USAGE`, for arguments of a wrong type.
   *
   * It does not stop halfway: who no longer waits for it finds the outcome by sending the same request again.
   */
  handle(request: WritebackRequest): Promise<WritebackResponse>;
  /** The answer to `GET /healthz`: the process is there. It asks no database. */
  health(): WritebackResponse;
  /** The answer to a body longer than {@link maxBody}, for a server that stopped reading it. */
  bodyTooLarge(): WritebackResponse;
  /** The answer to another method than those of {@link methods}. */
  methodNotAllowed(): WritebackResponse;
  /** The SQL that makes the receipts table, one statement each; for a migration. */
  receiptsDdl(): string[];
  /** The longest body that is looked at, in bytes. */
  readonly maxBody: number;
  /** The methods that a writeback may come with. */
  readonly methods: readonly string[];
}

/**
 * Sets a handler up: from then on an action's function is called only if a request is authentic, fresh, whole, for this
 * action and audience, inside of the tenant, on an unchanged row, and not done before; and its receipt is committed with it.
 *
 * @throws {SignoffError} `HANDLER_SIGNING_SECRET_MISSING`, `SECRET_UNUSABLE`, `UNSAFE_IDENTIFIER`, `HANDLER_CONFIG_INVALID`;
 *   the last also for an option that is there and `undefined`, which most often is a variable that is not set.
 *
 * @example
 * ```ts
 * const handler = createWritebackHandler({
 *   database: pgDatabase(pool),
 *   secrets: process.env.SIGNOFF_SECRET!,
 *   audience: 'billing-app',
 *   actions: {
 *     'billing.propose_account_credit': {
 *       table: 'public.invoices', key: 'id', tenant: 'tenant_id', version: 'updated_at',
 *       async effect(job, client) {
 *         await client.query('INSERT INTO account_credits …', [job.objectId, job.patch.credit_requested_cents]);
 *         return applied(1);
 *       },
 *     },
 *   },
 * });
 * const { status, headers, body } = await handler.handle({ headers: req.rawHeaders, body: bytes });
 * ```
 */
export function createWritebackHandler<Tx>(options: WritebackHandlerOptions<Tx>): WritebackHandler {
  return new Writebacks(options, createWritebackHandler);
}

class Writebacks<Tx> implements WritebackHandler {
  readonly maxBody = native.MAX_BODY;
  readonly methods: readonly string[] = Object.freeze(native.methods());
  #native: NativeHandler;
  #database: Database<Tx>;
  #effects: ReadonlyMap<string, Action<Tx>['effect']>;
  #logger: Logger;
  #now: (() => Date) | undefined;

  constructor(options: WritebackHandlerOptions<Tx>, from: Function) {
    const { database, actions, logger, now, secrets, ...rest } = options;
    const wrong = (at: string, problem: string): never => crossing(() => native.notConfigured(at, problem), from);
    if (typeof database?.connect !== 'function') wrong('database', 'it is not one, such as pgDatabase(pool)');
    if (typeof actions !== 'object' || actions === null) wrong('actions', 'it is not an object of actions by name');
    const effects = new Map<string, Action<Tx>['effect']>();
    const registered = Object.entries(actions).map(([name, action]) => {
      if (typeof action?.effect !== 'function') wrong(`action ${name}`, 'its effect is not a function');
      const { effect, ...target } = action;
      // Called as a method: what it was written as.
      effects.set(name, effect.bind(action));
      return { name, ...plain(target, `action ${name}`, wrong) };
    });
    const config = {
      ...plain(rest, 'options', wrong),
      dialect: database.dialect,
      placeholders: database.placeholders,
      secrets: secrets === undefined ? [] : typeof secrets === 'string' ? [secrets] : secrets,
      actions: registered,
    };
    this.#native = crossing(() => new native.Handler(JSON.stringify(config)), from);
    this.#database = database;
    this.#effects = effects;
    this.#logger = logger ?? console_;
    this.#now = now;
    for (const warning of this.#native.warnings()) this.#logger.warn({}, warning);
  }

  async handle(request: WritebackRequest): Promise<WritebackResponse> {
    const { method, headers, body, logger = this.#logger } = request;
    if (method !== undefined && !this.methods.includes(method)) return this.methodNotAllowed();
    const [data, flat] = [bytes(body, this.handle), lines(headers, this.handle)];
    const now = milliseconds(this.#now?.(), this.handle);
    const received = crossing(() => this.#native.receive(data, flat, now), this.handle);
    if (typeof received === 'string') return this.#refused(response(JSON.parse(received)), logger);
    const connect = (): Promise<Session<Tx>> => this.#database.connect();
    return response(await drive(received, connect, this.#effects, logger));
  }

  /** The sender is told the same; who runs the service has to be able to find out why. */
  #refused(answer: WritebackResponse, logger: Logger): WritebackResponse {
    const { safe_error_code: code, details } = JSON.parse(answer.body) as { safe_error_code: string; details: { message: string } };
    guarded(logger).warn({ code }, `a writeback request was refused: ${details.message}`);
    return answer;
  }

  health(): WritebackResponse {
    return response(JSON.parse(native.health()));
  }

  bodyTooLarge(): WritebackResponse {
    return response(JSON.parse(native.bodyTooLarge()));
  }

  methodNotAllowed(): WritebackResponse {
    return response(JSON.parse(native.methodNotAllowed()));
  }

  receiptsDdl(): string[] {
    return this.#native.receiptsDdl();
  }
}

/** The core's names of the options, all of them: those it does not know it refuses. */
function plain(options: object, at: string, wrong: (at: string, problem: string) => never): Record<string, unknown> {
  const named = Object.entries(options).map(([name, value]) => {
    if (value === undefined) wrong(`${at}.${name}`, 'it is undefined: leave it out, or give it a value');
    return [name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), value];
  });
  return Object.fromEntries(named);
}

function response(form: { status: number; headers: [string, string][]; body: string }): WritebackResponse {
  return { status: form.status, headers: Object.fromEntries(form.headers), body: form.body };
}

/** What `console` prints reads better with the message first. */
export const console_: Logger = {
  error: (fields, message) => console.error(message, fields),
  warn: (fields, message) => console.warn(message, fields),
};
