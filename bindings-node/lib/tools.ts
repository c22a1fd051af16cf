// Tools for agents: the contract's, and the application's own, whose functions run here.

import type { Calls } from './calls.js';
import type { SignoffCode } from './codes.js';
import type { Context } from './context.js';
import type { Kind, Proposed, ReadAnswer } from './documents.js';
import { guarded } from './drive.js';
import { SignoffError, type Place } from './error.js';
import { type Arguments, decode, encode } from './exact.js';
import type { Logger } from './handler.js';

/** A JSON Schema (2020-12) of an object. */
export type Schema = Readonly<Record<string, unknown>>;

/** A tool as an agent framework wants to know it. */
export interface Tool {
  /** The name it is called by: canonical (`billing.inspect_invoice`) or alias (`billing__inspect_invoice`). */
  readonly name: string;
  /** The capability's name. */
  readonly canonicalName: string;
  readonly kind: Kind;
  /** For people. */
  readonly title: string;
  /** For the model. */
  readonly description: string;
  /** JSON Schema of the arguments; closed. */
  readonly inputSchema: Schema;
  /** JSON Schema of the envelope that `call` answers with, if it succeeds. */
  readonly outputSchema: Schema;
  /** MCP's hints. */
  readonly annotations: Readonly<Record<string, boolean>>;
  readonly _meta: Readonly<Record<string, unknown>>;
}

/** What a model is answered, in format 2. */
export interface EnvelopeV2 {
  readonly ok: boolean;
  /** One sentence for the model. */
  readonly summary: string;
  readonly action: string;
  readonly kind: Kind | null;
  /** What was read. */
  readonly data: unknown;
  readonly proposal: {
    readonly id: string;
    readonly state: string;
    readonly target: string;
    readonly diff: Readonly<Record<string, { readonly before: unknown; readonly proposed: unknown }>>;
    readonly approval_required: boolean;
    readonly writeback: { readonly mode: 'direct_update' | 'app_handler'; readonly applied: boolean };
    readonly next: string;
    readonly existing?: true;
  } | null;
  readonly error: { readonly code: string; readonly message: string; readonly retryable: boolean } | null;
  readonly evidence: { readonly bundle_id: string; readonly note: string } | null;
  readonly source_database_changed: false;
  readonly _meta: Readonly<Record<string, unknown>>;
}

/** What a model is answered in format 1, as Synapsor Runner has it; of an error, `ok: false` with its code. */
export type EnvelopeV1 =
  | (Readonly<Record<string, unknown>> & { readonly status: 'ok' | 'review_required' | 'shadow_proposal_created' })
  | { readonly ok: false; readonly code: SignoffCode; readonly error: string; readonly status?: undefined };

/** What a model is answered. */
export type Envelope = EnvelopeV1 | EnvelopeV2;

/** A tool of your own. */
export interface ToolDefinition {
  /** 1 to 64 of `A-Z a-z 0-9 _ - .`; nothing that says it approves, applies or runs SQL. */
  readonly name: string;
  /** For the model. */
  readonly description: string;
  /** JSON Schema of an object; closed, unless it says otherwise. Tenant and principal are never arguments. */
  readonly inputSchema: Schema;
  /** JSON Schema of what the function answers; a proposal has none. */
  readonly outputSchema?: Schema;
  readonly kind: Kind;
  /** The capabilities that it may use, by their canonical names. */
  readonly scope?: readonly string[];
  /** For clients and people: how its calls are meant to be treated, such as `always_ask`. It loosens nothing. */
  readonly policyHint?: string;
}

/** What the function of a tool may do: read and propose, for the caller of the tool, within the tool's scope. */
export interface ToolScope {
  /** As `Signoff.read`. @throws {SignoffError} `TOOL_SCOPE_EXCEEDED` and those of `read`. */
  read(capability: string, args: Arguments): Promise<ReadAnswer>;
  /** As `Signoff.propose`. @throws {SignoffError} `TOOL_SCOPE_EXCEEDED` and those of `propose`. */
  propose(capability: string, args: Arguments): Promise<Proposed>;
  /** Who called; `undefined` if the contract's provider says so. */
  readonly context: Context | undefined;
}

/**
 * The function of a tool. A reading one returns what its output schema says; a proposing one returns what `scope.propose`
 * returned. Whole numbers beyond ±(2^53−1) in `args` are `bigint`; in what it returns they are strings, as models read JSON with
 * doubles.
 */
export type ToolFunction<Args = any> = (args: Args, scope: ToolScope) => unknown;

interface Call {
  readonly tool: string;
  readonly arguments: string;
  readonly context?: unknown;
  readonly format?: number;
}

interface Run {
  readonly tool: string;
  readonly kind: Kind;
  readonly arguments: string;
}

type Outcome = { output: string } | { proposal: string } | { refused: { code: string; context: Readonly<Record<string, string>> } } | 'failed';

/** The functions of an application's own tools. */
export class OwnTools {
  #functions = new Map<string, ToolFunction>();
  #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = guarded(logger);
  }

  /** Keeps the function of a tool that was found to be sound. */
  add(name: string, run: ToolFunction): void {
    this.#functions.set(name, run);
  }

  /** Calls a tool, of the contract or of the application's own, and answers the envelope. */
  async call(calls: Calls, call: Call, scope: (tool: string) => ToolScope, place: Place): Promise<Envelope> {
    const begun = await calls.within<{ envelope: Envelope } | { run: Run }>({ call: 'call_tool', ...call }, place);
    if ('envelope' in begun) return begun.envelope;
    const outcome = await this.#run(begun.run, scope(begun.run.tool), place);
    const ended = await calls.within<{ envelope: Envelope }>({ call: 'finish_tool', of: call, outcome }, place);
    return ended.envelope;
  }

  async #run({ tool, kind, arguments: text }: Run, scope: ToolScope, place: Place): Promise<Outcome> {
    let answer: unknown;
    try {
      answer = await this.#functions.get(tool)?.(decode(text), scope);
    } catch (error) {
      if (error instanceof SignoffError) return { refused: { code: error.code, context: error.context } };
      return this.#failed(tool, error);
    }
    try {
      const id = kind === 'proposal' ? (answer as Proposed | undefined)?.proposal_id : undefined;
      if (typeof id === 'string') return { proposal: id };
      return { output: encode(answer ?? null, place, 'the answer', false) };
    } catch (error) {
      return this.#failed(tool, error);
    }
  }

  // What went wrong in it is the application's: a model is not told.
  #failed(tool: string, err: unknown): Outcome {
    this.#logger.error({ err, tool }, `the tool ${tool} failed`);
    return 'failed';
  }
}
