// What callers pass, and the requests that become of it.

import type { Logger } from './handler.js';
import type { Place } from './error.js';
import { type Approver, approverOf, type Context, contextOf } from './context.js';
import { argumentsText, flag, named, text, whole } from './exact.js';

/** How a session is opened. */
export interface OpenOptions {
  /** The path of the ledger. Left out: `SIGNOFF_LOCAL_STORE`, the contract's, or `.signoff/ledger.db`. */
  readonly ledger?: string;
  /** Make the ledger, and its key, if there is none. Default: false. */
  readonly create?: boolean;
  /** Variables that are looked up here before they are in the process's environment: addresses, credentials, bindings. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Where errors of your own tools go; `console` if left out. */
  readonly logger?: Logger;
  /** For tests: time stands at `at` (RFC 3339), and ids follow from `seed`. They can be guessed then. */
  readonly testing?: { readonly at: string; readonly seed: string };
}

/** For whom a call is made. */
export interface CallOptions {
  readonly context?: Context;
}

/** A decision on what was shown. */
export interface DecideOptions {
  /** The `proposal_hash` that was shown to whoever decides. */
  readonly hash: string;
  /** The `proposal_version` that was shown. */
  readonly version: number;
  readonly approver: Approver;
  /** Why; at most 1000 characters. */
  readonly reason?: string;
}

/** How to apply. */
export interface ApplyOptions {
  /** Rehearse on the live row and roll back. */
  readonly dryRun?: boolean;
  /** Who applies, for the record. */
  readonly runner?: string;
  /** How long nobody else may apply it meanwhile, in seconds, 15 to 3600. */
  readonly leaseSeconds?: number;
}

const SECONDS = [15, 3_600] as const;
const VERSIONS = [1, 4_294_967_295] as const;

/** The variables of a session, or `USAGE`. */
export function variables(env: OpenOptions['env'], place: Place): Record<string, string> {
  const given: Record<string, string> = {};
  for (const [name, value] of Object.entries(env ?? {})) {
    if (value !== undefined) given[name] = text(value, `env.${name}`, place);
  }
  return given;
}

/** Who asks, where somebody does. */
export function who(context: Context | undefined, place: Place): { context?: ReturnType<typeof contextOf> } {
  return context === undefined ? {} : { context: contextOf(context, place) };
}

/** A call of a capability. */
export function capabilityCall(call: 'read' | 'propose', capability: unknown, args: unknown, given: CallOptions | undefined, place: Place): Record<string, unknown> {
  const { context } = named<CallOptions>(given, ['context'], place);
  return { call, capability: text(capability, 'capability', place), arguments: argumentsText(args, place), ...who(context, place) };
}

/** A decision. */
export function decide(call: 'approve' | 'reject', id: unknown, given: DecideOptions, place: Place): Record<string, unknown> {
  const { hash, version, approver, reason } = named<DecideOptions>(given, ['hash', 'version', 'approver', 'reason'], place);
  return {
    call, proposal_id: text(id, 'id', place), hash: text(hash, 'hash', place), version: whole(version, 'version', ...VERSIONS, place),
    approver: approverOf(approver, place), ...(reason === undefined ? {} : { reason: text(reason, 'reason', place) }),
  };
}

/** An apply. */
export function application(id: unknown, given: ApplyOptions | undefined, resume: boolean, place: Place): Record<string, unknown> {
  const { dryRun, runner, leaseSeconds } = named<ApplyOptions>(given, ['dryRun', 'runner', 'leaseSeconds'], place);
  return {
    call: 'apply', proposal_id: text(id, 'id', place), resume,
    ...(dryRun === undefined ? {} : { dry_run: flag(dryRun, 'dryRun', place) }),
    ...(runner === undefined ? {} : { runner: text(runner, 'runner', place) }),
    ...(leaseSeconds === undefined ? {} : { lease_seconds: whole(leaseSeconds, 'leaseSeconds', ...SECONDS, place) }),
  };
}
