/** A value as JSON has it. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/**
 * A value of a column. Whole numbers beyond ±(2^53−1) and decimals are strings, so that nothing was rounded.
 */
export type Scalar = null | boolean | number | string;

/** A column and a value. */
export interface ColumnValue {
  readonly column: string;
  readonly value: Scalar;
}

/** The row that a request is about. */
export interface Target {
  /** The schema; `null` only in a body that wraps its change in `change_set`. */
  readonly schema: string | null;
  readonly table: string;
  readonly primaryKey: ColumnValue;
}

interface Form {
  job_id: string;
  proposal_id: string;
  proposal_version: number | null;
  proposal_hash: string;
  idempotency_key: string;
  action: string;
  tenant_id: string;
  tenant_column: string;
  object_id: string;
  target: { schema: string | null; table: string; primary_key: ColumnValue };
  expected_version: ColumnValue;
  allowed_columns: string[] | null;
  patch: Record<string, Scalar>;
  before: Record<string, Scalar>;
  principal: string | null;
  approval: Json;
  evidence: Json;
  audience: string | null;
  issued_at: string | null;
  dry_run: boolean;
}

/**
 * A writeback request: what one signed body asks for. What the body does not say is `null`.
 *
 * Ids, versions and keys are opaque strings. `JSON.stringify(job)` writes it with the names of the protocol.
 */
export class Job {
  #text: string;
  #form: Form | undefined;

  /** @internal */
  constructor(text: string) {
    this.#text = text;
  }

  // Read when somebody looks: many a caller only wants to know that the request is good.
  get #read(): Form {
    return (this.#form ??= JSON.parse(this.#text) as Form);
  }

  /** The job's id. */
  get jobId(): string {
    return this.#read.job_id;
  }
  /** The proposal's id. */
  get proposalId(): string {
    return this.#read.proposal_id;
  }
  /** The proposal's version. */
  get proposalVersion(): number | null {
    return this.#read.proposal_version;
  }
  /** The hash that was approved; empty in a wrapped body without one. */
  get proposalHash(): string {
    return this.#read.proposal_hash;
  }
  /** The key under which the effect happens once. */
  get idempotencyKey(): string {
    return this.#read.idempotency_key;
  }
  /** The action: which registered function is meant. */
  get action(): string {
    return this.#read.action;
  }
  /** The tenant. */
  get tenantId(): string {
    return this.#read.tenant_id;
  }
  /** The tenant's column. */
  get tenantColumn(): string {
    return this.#read.tenant_column;
  }
  /** The text of the primary key's value. */
  get objectId(): string {
    return this.#read.object_id;
  }
  /** The row. */
  get target(): Target {
    const { schema, table, primary_key: primaryKey } = this.#read.target;
    return { schema, table, primaryKey };
  }
  /** The version that was read; column `__row_hash` if the sender's whole row is its version. */
  get expectedVersion(): ColumnValue {
    return this.#read.expected_version;
  }
  /** The columns that may be written; `null` only in a wrapped body. */
  get allowedColumns(): readonly string[] | null {
    return this.#read.allowed_columns;
  }
  /** What shall be written, by column. */
  get patch(): Readonly<Record<string, Scalar>> {
    return this.#read.patch;
  }
  /** What the sender read, by column. */
  get before(): Readonly<Record<string, Scalar>> {
    return this.#read.before;
  }
  /** Who proposed it. */
  get principal(): string | null {
    return this.#read.principal;
  }
  /** The decision as the body tells it. */
  get approval(): Json {
    return this.#read.approval;
  }
  /** What the proposal rests on. */
  get evidence(): Json {
    return this.#read.evidence;
  }
  /** Whom the request is meant for. */
  get audience(): string | null {
    return this.#read.audience;
  }
  /** When it was issued: RFC 3339 in UTC, with all digits of its fraction. */
  get issuedAt(): string | null {
    return this.#read.issued_at;
  }
  /** True if nothing shall be written. */
  get dryRun(): boolean {
    return this.#read.dry_run;
  }

  /** What `JSON.stringify` writes: the names of the protocol. */
  toJSON(): Json {
    return this.#read as unknown as Json;
  }
}

/** A request whose row is locked. */
export class LockedJob extends Job {
  /** The row as it is locked: key, tenant, version and the compared columns. */
  readonly row: Readonly<Record<string, Scalar>>;

  /** @internal */
  constructor(text: string, row: Record<string, Scalar>) {
    super(text);
    this.row = row;
  }
}
