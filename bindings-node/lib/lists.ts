// Lists of the ledger, page by page, and its log as it grows.

import { types } from 'node:util';

import { usage } from './bytes.js';
import type { Calls } from './calls.js';
import type { LedgerEvent, ProposalState, ReceiptStatus } from './documents.js';
import type { Place } from './error.js';
import { flag, named, text, whole } from './exact.js';

/**
 * What to look for in a list. Everything given has to hold. A list that does not know a filter refuses it
 * (`FILTER_UNKNOWN`): one that is not heeded would show too much.
 */
export interface Filter {
  readonly tenant?: string;
  /** Who read or proposed. */
  readonly principal?: string;
  readonly capability?: string;
  /** The kind of object: its table, in singular or plural, with or without a schema. */
  readonly objectType?: string;
  /** The object: the value of its primary key. */
  readonly objectId?: string;
  /** The proposal's present state. */
  readonly state?: ProposalState;
  /** The receipt's status. */
  readonly status?: ReceiptStatus;
  readonly source?: string;
  /** `table` or `schema.table`. */
  readonly table?: string;
  /** The fingerprint of a query. */
  readonly fingerprint?: string;
  /** A proposal's id, or its replay's. */
  readonly proposal?: string;
  readonly evidence?: string;
  /** The number of the event that a receipt was recorded with. */
  readonly receipt?: number;
  readonly job?: string;
  readonly idempotencyKey?: string;
  /** The kind of event. */
  readonly kind?: string;
  /** Who did it: principal, approver or worker. */
  readonly actor?: string;
  /** Not before: a Date, or RFC 3339 text. */
  readonly from?: Date | string;
  /** Not after: a Date, or RFC 3339 text. */
  readonly to?: Date | string;
}

/** What to look for, and how much at once. */
export interface ListOptions extends Filter {
  /** How many to fetch at once, 1 to 200; 20 if left out. An iteration goes on to the end all the same. */
  readonly pageSize?: number;
}

/** Which events, and whether to wait for more. */
export interface EventOptions extends Filter {
  /** Go on when the end of the log is reached, as it grows; until `signal`, `return` or `close`. Default: false. */
  readonly follow?: boolean;
  /** Only events after this one (its `seq`); 0 is from the beginning, the default. */
  readonly after?: number;
  /** Ends the iteration, without an error. */
  readonly signal?: AbortSignal;
  /** How often to look for new ones, in milliseconds, 10 to 60000; 250 if left out. */
  readonly pollMs?: number;
}

const FILTERS = [
  'tenant', 'principal', 'capability', 'objectType', 'objectId', 'state', 'status', 'source', 'table', 'fingerprint', 'proposal',
  'evidence', 'receipt', 'job', 'idempotencyKey', 'kind', 'actor', 'from', 'to',
] as const satisfies readonly (keyof Filter)[];

const MOST = Number.MAX_SAFE_INTEGER;

function filterOf(given: Partial<ListOptions & EventOptions>, place: Place): Record<string, unknown> {
  const filter: Record<string, unknown> = {};
  for (const name of FILTERS) {
    const value = given[name];
    if (value === undefined) continue;
    const wire = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    if (name === 'receipt') filter[wire] = whole(value, name, 1, MOST, place);
    else if (types.isDate(value)) {
      if (Number.isNaN(value.getTime())) usage(`${name} is an invalid Date`, 'pass an instant', place);
      filter[wire] = value.toISOString();
    } else filter[wire] = text(value, name, place);
  }
  return filter;
}

/** One page of a list. */
export interface Page<T> {
  /** Newest first. */
  readonly items: readonly T[];
  /** Pass it to `page` for the next one; `null` at the end. */
  readonly nextCursor: string | null;
}

/**
 * A list of the ledger, newest first. `for await` goes through all of it and fetches pages as it goes; `page` fetches one.
 * What is recorded meanwhile is not met.
 *
 * @example
 * ```js
 * for await (const proposal of so.proposals({ state: 'pending_review' })) console.log(proposal.proposal_id);
 * const { items, nextCursor } = await so.proposals({ pageSize: 50 }).page();
 * ```
 */
export class Listing<T> implements AsyncIterable<T> {
  readonly #fetch: (cursor: string | undefined) => Promise<Page<T>>;

  /** @internal */
  constructor(calls: Calls, list: string, given: ListOptions | undefined, place: Place) {
    this.#fetch = async (cursor) => {
      const { pageSize, ...rest } = named<ListOptions>(given, [...FILTERS, 'pageSize'], place);
      const request = {
        call: 'list', list, filter: filterOf(rest, place),
        ...(pageSize === undefined ? {} : { limit: whole(pageSize, 'pageSize', 1, 200, place) }),
        ...(cursor === undefined ? {} : { cursor: text(cursor, 'cursor', place) }),
      };
      const answer = await calls.ask<{ next_cursor: string | null } & Record<string, readonly T[]>>(request, place);
      return { items: answer[list] ?? [], nextCursor: answer.next_cursor };
    };
  }

  /**
   * One page: the first, or the one that a `nextCursor` stands for.
   *
   * @throws {SignoffError} `FILTER_UNKNOWN`, `CURSOR_INVALID`, `USAGE`, `LEDGER_TAMPERED`, `LEDGER_UNAVAILABLE`.
   */
  page(cursor?: string): Promise<Page<T>> {
    return this.#fetch(cursor);
  }

  /** Everything, page by page. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    let cursor: string | undefined;
    do {
      const page: Page<T> = await this.#fetch(cursor);
      yield* page.items;
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
  }
}

/** How long one wait for events takes, in milliseconds: as long at most does it outlive an iteration that was left. */
const WAIT_MS = 1_000;

/** The log from a point on; followed, as it grows. */
export async function* follow(calls: Calls, given: EventOptions | undefined, place: Place): AsyncGenerator<LedgerEvent, void, undefined> {
  const known = [...FILTERS, 'follow', 'after', 'signal', 'pollMs'] as const;
  const { follow: on = false, after: from = 0, signal, pollMs, ...rest } = named<EventOptions>(given, known, place);
  flag(on, 'follow', place);
  if (signal !== undefined && !(signal instanceof AbortSignal)) usage('signal is not an AbortSignal', 'pass the signal of an AbortController', place);
  if (calls.closed) usage('this session is closed', 'open another', place);
  const filter = filterOf(rest, place);
  const every = pollMs === undefined ? {} : { every_ms: whole(pollMs, 'pollMs', 10, 60_000, place) };
  let after = whole(from, 'after', 0, MOST, place);
  while (!signal?.aborted) {
    const request = { call: 'next_events', after, filter, within_ms: on ? WAIT_MS : 0, ...every };
    const next = await unless(signal, calls.wait<{ events: readonly LedgerEvent[]; after: number }>(request, place));
    if (next === undefined) return;
    for (const event of next.events) {
      if (signal?.aborted) return;
      yield event;
    }
    if (!on && next.after === after) return;
    after = next.after;
  }
}

/** What is waited for, or nothing as soon as the signal says so. */
async function unless<T>(signal: AbortSignal | undefined, waited: Promise<T>): Promise<T | undefined> {
  if (signal === undefined) return waited;
  let aborted: (() => void) | undefined;
  try {
    return await Promise.race([waited, new Promise<undefined>((resolve) => {
      aborted = () => resolve(undefined);
      signal.addEventListener('abort', aborted, { once: true });
    })]);
  } finally {
    if (aborted) signal.removeEventListener('abort', aborted);
    // If it was left, nobody else takes its error.
    waited.catch(() => {});
  }
}
