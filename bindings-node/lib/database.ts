/**
 * How a statement failed, as far as the driver knows: the server's SQLSTATE, SQLite's result code, or that the connection
 * is gone. What it means is decided elsewhere.
 */
export type Failure =
  | { readonly sqlstate: string; readonly severity?: string }
  | { readonly sqlite: number; readonly message?: string }
  | 'lost';

/** What a statement gave: rows with every output as text, and how many rows it changed. */
export interface Ran {
  readonly rows: readonly (readonly (string | null)[])[];
  readonly changed: number;
}

/**
 * One connection while a request has it. An adapter does what it is told and decides nothing.
 */
export interface Session<Tx> {
  /** What the author's function is given. */
  readonly transaction: Tx;
  /** Whether a transaction is open. */
  isOpen(): boolean | Promise<boolean>;
  /** Runs a statement. Parameters are text or `null`, and so is every output. */
  run(sql: string, params: readonly (string | null)[]): Promise<Ran>;
  /** Begins, commits or rolls back. */
  control(sql: string): Promise<unknown>;
  /** What an error of the two was. */
  failure(error: unknown): Failure;
  /** The author's function begins: until it ends, the connection is nobody else's. */
  lend(): void;
  /** The author's function ended. Makes good what it did to the connection, as far as that is possible. */
  takeBack(): Promise<void>;
  /** Gives the connection back; closes it if it cannot be trusted. */
  end(broken: boolean): void | Promise<void>;
}

/**
 * A database of the application's own. {@link pgDatabase} makes one of a `pg` pool.
 */
export interface Database<Tx> {
  /** Its SQL. */
  readonly dialect: 'postgres' | 'sqlite';
  /** How its driver writes placeholders. */
  readonly placeholders: 'native' | 'format' | 'question';
  /** Takes a connection. */
  connect(): Promise<Session<Tx>>;
}
