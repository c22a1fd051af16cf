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

class PgSession implements Session<PoolClient> {
  readonly transaction: PoolClient;
  #release: PoolClient['release'];
  /** True once somebody else called `release`; then what they gave it. */
  #released = false;
  #reason: Error | boolean | undefined;
  // An error event without a listener ends the process: what happens between statements shows at the next one.
  #ignore = (): void => {};

  constructor(client: PoolClient, readonly names: Map<string, string> | undefined) {
    this.transaction = client;
    this.#release = client.release;
    client.on('error', this.#ignore);
  }

  async isOpen(): Promise<boolean> {
    const { getTransactionStatus } = this.transaction as { getTransactionStatus?: () => string | null };
    if (typeof getTransactionStatus === 'function') {
      const status = getTransactionStatus.call(this.transaction);
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
    const result: QueryArrayResult<(string | null)[]> = await this.transaction.query(query);
    return { rows: result.rows, changed: result.rowCount ?? 0 };
  }

  control(sql: string): Promise<unknown> {
    return this.transaction.query(sql);
  }

  failure(error: unknown): Failure {
    const { code, severity } = (error ?? {}) as { code?: unknown; severity?: unknown };
    // What comes from the server has both; what the driver or the socket says has not.
    const fromServer = typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && typeof severity === 'string';
    return fromServer ? { sqlstate: code, severity } : 'lost';
  }

  lend(): void {
    // The pool would give the client to somebody else while our transaction is open on it.
    this.transaction.release = (reason) => {
      this.#released = true;
      this.#reason = reason;
    };
  }

  async takeBack(): Promise<void> {
    this.transaction.release = this.#release;
    if (this.#released) await this.control('ROLLBACK').catch(() => {});
  }

  end(broken: boolean): void {
    this.transaction.off('error', this.#ignore);
    this.#release.call(this.transaction, broken || this.#reason);
  }
}
