// The loop of the guard: a step out, what came of it in. It holds no rule.

import { setTimeout as pause } from 'node:timers/promises';

import type { Session } from './database.js';
import type { ErrorForm } from './error.js';
import type { Action, Logger } from './handler.js';
import { LockedJob, type Scalar } from './job.js';
import type { NativeGuard } from './native.js';
import { Conflict, Refused, replyOf } from './result.js';

type Step =
  | { step: 'begin'; sql: string }
  | { step: 'run'; sql: string; params: (string | null)[] }
  | { step: 'effect'; row: Record<string, Scalar> }
  | { step: 'commit' }
  | { step: 'rollback' }
  | { step: 'pause'; ms: number }
  | { step: 'done'; response: Answer };

interface Answer {
  status: number;
  headers: [string, string][];
  body: string;
}

const RAN = '{}';
const THREW = '{"threw":true}';

/** Drives a guard to its end on a connection of its own. */
export async function drive<Tx>(
  guard: NativeGuard,
  connect: () => Promise<Session<Tx>>,
  effects: ReadonlyMap<string, Action<Tx>['effect']>,
  logger: Logger,
): Promise<Answer> {
  const run = new Run(guard, connect, effects, guarded(logger));
  try {
    return await run.toItsEnd();
  } catch (error) {
    // Nothing of this is foreseen. A connection that may hold an open transaction is closed: the server rolls it back.
    run.broken = true;
    throw error;
  } finally {
    await run.end();
  }
}

class Run<Tx> {
  #session: Session<Tx> | undefined;
  /** True if the connection cannot be used again. */
  broken = false;

  constructor(
    readonly guard: NativeGuard,
    readonly connect: () => Promise<Session<Tx>>,
    readonly effects: ReadonlyMap<string, Action<Tx>['effect']>,
    readonly logger: Logger,
  ) {}

  async toItsEnd(): Promise<Answer> {
    let step = JSON.parse(this.guard.step()) as Step;
    while (step.step !== 'done') {
      const next = step.step === 'effect' ? await this.#effect(step.row) : this.guard.next(await this.#perform(step));
      step = JSON.parse(next) as Step;
    }
    const fault = this.guard.fault();
    if (fault !== null) this.#log(JSON.parse(fault) as ErrorForm);
    return step.response;
  }

  /** Gives the connection back. */
  async end(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.end(this.broken);
    this.broken = false;
  }

  async #perform(step: Exclude<Step, { step: 'done' | 'effect' }>): Promise<string> {
    try {
      // A transaction may begin anew, also after the first connection was lost.
      if (step.step === 'begin' && this.broken) await this.end();
      const session = (this.#session ??= await this.connect());
      switch (step.step) {
        case 'begin':
          if (await session.isOpen()) return '{"failed":"already_open"}';
          await session.control(step.sql);
          return RAN;
        case 'run':
          return JSON.stringify(await session.run(step.sql, step.params));
        case 'commit':
          await session.control('COMMIT');
          return RAN;
        case 'rollback':
          await session.control('ROLLBACK');
          return RAN;
        case 'pause':
          await pause(step.ms);
          return RAN;
      }
    } catch (error) {
      const failure = this.#session?.failure(error) ?? 'lost';
      if (failure === 'lost' || step.step === 'rollback') this.broken = true;
      return step.step === 'rollback' ? RAN : JSON.stringify({ failed: failure });
    }
  }

  /** Calls the author's function; answers the step after it. */
  async #effect(row: Record<string, Scalar>): Promise<string> {
    const job = new LockedJob(this.guard.job(), row);
    const session = this.#session as Session<Tx>;
    const effect = this.effects.get(job.action) as Action<Tx>['effect'];
    const threw = (err: unknown): string => {
      const about = { err, action: job.action, idempotencyKey: job.idempotencyKey };
      this.logger.error(about, `the effect of ${job.action} failed: rolled back`);
      return this.guard.next(THREW);
    };
    session.lend();
    let result: unknown;
    let thrown: { error: unknown } | undefined;
    try {
      // An async function around it: a function that throws at once, or returns no promise, is like any other.
      result = await (async () => effect(job, session.transaction))();
    } catch (error) {
      if (error instanceof Conflict || error instanceof Refused) result = error;
      else thrown = { error };
    }
    await session.takeBack();
    if (thrown) return threw(thrown.error);
    try {
      return this.guard.next(replyOf(result));
    } catch (error) {
      return threw(error);
    }
  }

  /** Codes and our own words only: what the driver said may hold data. */
  #log(fault: ErrorForm): void {
    const { code, retryable, context, help } = fault;
    this.logger.error({ code, retryable, context, ...(help === undefined ? {} : { help }) }, fault.message);
  }
}

/** A logger that throws must not leave a transaction open, nor a request without its answer. */
export function guarded(logger: Logger): Logger {
  const safely = (level: 'error' | 'warn') => (fields: object, message: string) => {
    try {
      logger[level](fields, message);
    } catch {
      // There is nobody left to tell.
    }
  };
  return { error: safely('error'), warn: safely('warn') };
}
