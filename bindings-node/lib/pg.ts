import { createHash } from 'node:crypto';

import type { Pool, PoolClient, QueryArrayConfig, QueryArrayResult } from 'pg';

import type { Database, Failure, Ran, Session } from './database.js';

/** Outputs stay the text that the server sent. Only a client that asks for binary results gets bytes: of text, UTF-8. */
const asText = { getTypeParser: () => (value: unknown) => (typeof value === 'string' ? value : String(value)) };

/**
 * The application's database through its own `pg` pool. An action's function gets a `PoolClient` of it, inside of the
 * transaction that also holds the receipt; it neither commits nor rolls back nor releases that client.
 *
 * A transaction holds one client of the pool while it runs; deliveries of one key wait for each other up to two seconds.
 *
 * @param options `prepare`: let the server keep our few statements prepared on each connection, which saves it half of its
 *   work. Only without a pooler that hands out another server connection for each transaction, such as PgBouncer before 1.21.
 *
 * @example
 * ```ts
 * const handler = createWritebackHandler({ database: pgDatabase(new Pool(), { prepare: true }), secrets, actions });
 * ```
 */
export function pgDatabase(pool: Pool, options: { readonly prepare?: boolean } = {}): Database<PoolClient> {
  // Our statements are few: some for all actions, some for each.
  const names = options.prepare === true ? new Map<string, string>() : undefined;
  return {
    dialect: 'postgres',
    placeholders: 'native',
    connect: async () => new PgSession(await pool.connect(), names),
  };
}

/** A name for this text: the same one for the same text, on every connection. */
function nameOf(sql: string, names: Map<string, string>): string {
  let name = names.get(sql);
  if (name === undefined) {
    // Two handlers of one pool have names of their own only if they differ in their texts.
    name = `signoff_${createHash('sha256').update(sql).digest('hex').slice(0, 40)}`;
    names.set(sql, name);
  }
  return name;
}

/**
 * The client as the author's function has it. Once that has ended, its statements are refused: between the receipt and
 * COMMIT one more could fail our transaction or end it, and later it would be in somebody else's.
 */
function lent(client: PoolClient): { transaction: PoolClient; end(): void } {
  let ended = false;
  const query = (...args: unknown[]): unknown => {
    if (!ended) return (client.query as (...args: unknown[]) => unknown)(...args);
    const error = new Error('the transaction is over: an effect waits for every statement that it starts');
    const callback = args.at(-1);
    return typeof callback === 'function' ? void process.nextTick(callback, error) : Promise.reject(error);
  };
  const get = (target: PoolClient, name: string | symbol): unknown => {
    const value: unknown = Reflect.get(target, name);
    return name === 'query' ? query : typeof value === 'function' ? value.bind(target) : value;
  };
  return { transaction: new Proxy(client, { get }), end: () => { ended = true; } };
}

class PgSession implements Session<PoolClient> {
  readonly transaction: PoolClient;
  #client: PoolClient;
  #endLoan: () => void;
  #release: PoolClient['release'];
  /** True once somebody else called `release`; then what they gave it. */
  #released = false;
  #reason: Error | boolean | undefined;
  // An error event without a listener ends the process: what happens between statements shows at the next one.
  #ignore = (): void => {};

  constructor(client: PoolClient, readonly names: Map<string, string> | undefined) {
    this.#client = client;
    ({ transaction: this.transaction, end: this.#endLoan } = lent(client));
    this.#release = client.release;
    client.on('error', this.#ignore);
  }

  async isOpen(): Promise<boolean> {
    const { getTransactionStatus } = this.#client as { getTransactionStatus?: () => string | null };
    if (typeof getTransactionStatus === 'function') {
      const status = getTransactionStatus.call(this.#client);
      return status === 'T' || status === 'E';
    }
    // Older than 8.20. The server knows: only inside of a transaction may a savepoint be made.
    try {
      await this.control('SAVEPOINT signoff_probe');
      return true;
    } catch (error) {
      const failure = this.failure(error);
      return failure !== 'lost' && 'sqlstate' in failure && failure.sqlstate === '25P02';
    }
  }

  async run(sql: string, params: readonly (string | null)[]): Promise<Ran> {
    const name = this.names ? { name: nameOf(sql, this.names) } : {};
    const query = { ...name, text: sql, values: [...params], rowMode: 'array', types: asText } as unknown as QueryArrayConfig;
    const result: QueryArrayResult<(string | null)[]> = await this.#client.query(query);
    return { rows: result.rows, changed: result.rowCount ?? 0 };
  }

  async control(sql: string): Promise<void> {
    const { command } = await this.#client.query(sql);
    // What the server makes of COMMIT in a transaction that has failed; no error tells.
    if (sql === 'COMMIT' && command !== sql) throw Object.assign(new Error('rolled back'), { code: '25P02', severity: 'ERROR' });
  }

  failure(error: unknown): Failure {
    const { code, severity } = (error ?? {}) as { code?: unknown; severity?: unknown };
    // What comes from the server has both; what the driver or the socket says has not.
    const fromServer = typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && typeof severity === 'string';
    return fromServer ? { sqlstate: code, severity } : 'lost';
  }

  lend(): void {
    // The pool would give the client to somebody else while our transaction is open on it.
    this.#client.release = (reason) => {
      this.#released = true;
      this.#reason = reason;
    };
  }

  async takeBack(): Promise<void> {
    this.#endLoan();
    this.#client.release = this.#release;
    if (this.#released) await this.control('ROLLBACK').catch(() => {});
  }

  end(broken: boolean): void {
    this.#client.off('error', this.#ignore);
    this.#release.call(this.#client, broken || this.#reason);
  }
}
