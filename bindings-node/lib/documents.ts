// The documents that calls answer with. Their members have the names of the protocol, as `signoff --format json` prints them.

import type { SignoffCode } from './codes.js';
import type { Scalar } from './job.js';

/** An instant as RFC 3339 text, such as `2026-06-20T14:31:08.123456Z`: a `Date` would lose microseconds. */
export type Timestamp = string;

/**
 * A value of a row. Whole numbers beyond ±(2^53−1) are `bigint`; decimals (`"12.30"`) and timestamps are strings, so that
 * nothing was rounded.
 */
export type RowValue = Scalar | bigint;

/** Where a proposal stands. */
export type ProposalState =
  | 'pending_review' | 'approved' | 'rejected' | 'canceled' | 'expired' | 'pending_worker' | 'outcome_unknown'
  | 'applied' | 'conflict' | 'failed';

/** How an apply ended. Where nobody knows, `apply` throws `OUTCOME_UNKNOWN`. */
export type ApplyStatus =
  | 'applied' | 'already_applied' | 'conflict' | 'failed' | 'canceled' | 'would_apply' | 'would_conflict';

/** What a receipt says. */
export type ReceiptStatus = 'applied' | 'already_applied' | 'conflict' | 'failed' | 'canceled';

/** What somebody decided. */
export type DecisionWord = 'approved' | 'rejected' | 'canceled';

/** What a capability or a tool does. */
export type Kind = 'read' | 'proposal';

/** The answer to a read. */
export interface ReadAnswer {
  /** The capability. */
  readonly capability: string;
  /** The kind of object: its table. */
  readonly object_type: string;
  readonly object_id: string;
  /** The visible columns of the row. */
  readonly data: Readonly<Record<string, RowValue>>;
  readonly tenant_id: string | null;
  readonly principal: string;
  /** Who vouched for tenant and principal: `trusted_session` is your application. */
  readonly provenance: string;
  /** `ev_…`: what was seen, as recorded. */
  readonly evidence_id: string;
}

/** One column of a change: what stood there, and what shall. */
export interface DiffLine {
  readonly column: string;
  readonly before: RowValue;
  readonly proposed: RowValue;
}

/** A proposed change, as protocol 1 has it. The hash in `integrity` is over all of it. */
export interface ChangeSet {
  readonly schema_version: 'synapsor.change-set.v1';
  readonly proposal_id: string;
  readonly proposal_version: number;
  readonly action: string;
  readonly mode: 'read_only' | 'shadow' | 'review_required' | 'approved_for_writeback';
  readonly principal: { readonly id: string; readonly source: 'trusted_session' | 'cloud_session' | 'environment' | 'static_dev' };
  readonly scope: { readonly tenant_id: string; readonly business_object: string; readonly object_id: string };
  readonly source: {
    readonly kind: 'external_postgres' | 'external_mysql' | 'external_sqlite' | 'synapsor_table';
    readonly source_id: string;
    readonly schema: string;
    readonly table: string;
    readonly primary_key: { readonly column: string; readonly value: Scalar };
  };
  readonly before: Readonly<Record<string, Scalar>>;
  readonly patch: Readonly<Record<string, Scalar>>;
  readonly after: Readonly<Record<string, Scalar>>;
  readonly guards: {
    readonly tenant: { readonly column: string; readonly value: Scalar };
    readonly allowed_columns: readonly string[];
    readonly expected_version: { readonly column: string; readonly value: Scalar };
  };
  readonly evidence: { readonly bundle_id: string; readonly query_fingerprint: string; readonly items: readonly unknown[] };
  readonly approval: { readonly status: 'pending' | 'approved' | 'rejected' | 'canceled'; readonly required_role?: string };
  readonly writeback: {
    readonly status: 'not_applied' | 'pending_worker' | 'applied' | 'conflict' | 'failed' | 'canceled';
    readonly mode: 'trusted_worker_required' | 'synapsor_merge' | 'read_only';
    readonly executor?: string;
  };
  readonly source_database_mutated: boolean;
  readonly integrity: { readonly proposal_hash: string };
  readonly created_at: Timestamp;
}

/** A proposal as it was just made, or found: the same change is proposed once. */
export interface Proposed {
  /** `wrp_…`. */
  readonly proposal_id: string;
  readonly proposal_version: number;
  /** What a decision binds to: show it, and pass it to `approve` or `reject`. */
  readonly proposal_hash: string;
  readonly state: ProposalState;
  /** True if it was open already. */
  readonly existing: boolean;
  /** The open proposal that it took the place of. */
  readonly superseded: string | null;
  readonly diff: readonly DiffLine[];
  readonly change_set: ChangeSet;
}

/** The moving part of a proposal beside its state. */
export interface Standing {
  /** How many attempts to apply it were begun. */
  readonly attempt: number;
  /** Until when the latest attempt's worker holds it. */
  readonly lease_expires_at?: Timestamp;
  /** When a pending proposal or an approval expires. */
  readonly expires_at?: Timestamp;
  /** The code of the last attempt's failure. */
  readonly last_error?: SignoffCode;
}

/** A decision on a proposal. */
export interface Decision {
  readonly proposal_id: string;
  readonly proposal_version: number;
  readonly proposal_hash: string;
  readonly authority: string;
  readonly decision: DecisionWord;
  readonly approver: string;
  readonly roles: readonly string[];
  /** True if the identity is only what somebody at a terminal said. */
  readonly asserted: boolean;
  readonly reason?: string;
  readonly decided_at: Timestamp;
  readonly expires_at?: Timestamp;
  readonly nonce: string;
}

/** One event of the chain. */
export interface EventRecord {
  /** Its place in the chain, from 1. */
  readonly seq: number;
  /** Such as `proposal_created` or `writeback_applied`. */
  readonly kind: string;
  readonly actor: string;
  readonly at: Timestamp;
  readonly detail: unknown;
  /** Its hash, over itself and the one before. */
  readonly hash: string;
}

/** The receipt of a writeback, as protocol 1 has it. */
export interface ExecutionReceipt {
  readonly schema_version: 'synapsor.execution-receipt.v1';
  readonly writeback_job_id: string;
  readonly proposal_id: string;
  readonly runner_id: string;
  readonly status: ReceiptStatus;
  readonly rows_affected: number;
  readonly idempotency_key: string;
  readonly previous_version?: Scalar;
  readonly new_version?: Scalar;
  readonly source_database_mutated: boolean;
  readonly executed_at: Timestamp;
  readonly safe_error_code?: string;
  readonly receipt_hash: string;
}

/** A receipt as recorded. */
export interface ReceiptRecord {
  /** The event that it was recorded with. */
  readonly seq: number;
  readonly receipt: ExecutionReceipt;
  readonly details?: unknown;
}

/** A proposal with everything that belongs to it. */
export interface Proposal {
  readonly proposal_id: string;
  readonly proposal_version: number;
  readonly proposal_hash: string;
  readonly state: ProposalState;
  readonly diff: readonly DiffLine[];
  readonly change_set: ChangeSet;
  readonly standing: Standing;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly decisions: readonly Decision[];
  readonly events: readonly EventRecord[];
  readonly receipts: readonly ReceiptRecord[];
}

/** The answer to an apply. */
export interface ApplyAnswer {
  /** It is as it was approved to be, or would be. */
  readonly ok: boolean;
  readonly status: ApplyStatus;
  readonly proposal_id: string;
  readonly state: ProposalState;
  /** True if this very call changed the source. */
  readonly source_database_mutated: boolean;
  readonly receipt: ReceiptRecord | null;
  /** The conflict that a dry run found. */
  readonly conflict: { readonly code: SignoffCode; readonly column: string | null } | null;
}

/** Evidence as recorded: what was seen, and how it was asked. */
export interface Evidence {
  /** `ev_…`. */
  readonly id: string;
  readonly at: Timestamp;
  readonly document: Readonly<Record<string, unknown>>;
  readonly audit: Readonly<Record<string, unknown>>;
}

/** A proposal's whole story. */
export interface Replay {
  /** `replay_…`. */
  readonly replay_id: string;
  readonly proposal: Readonly<Record<string, unknown>> & { readonly change_set: ChangeSet };
  readonly state: ProposalState;
  readonly events: readonly EventRecord[];
  readonly approvals: readonly Decision[];
  readonly writeback_jobs: readonly Readonly<Record<string, unknown>>[];
  readonly receipts: readonly ReceiptRecord[];
  readonly query_audit: readonly Readonly<Record<string, unknown>>[];
  readonly evidence: readonly Evidence[];
}

/** One line of the list of proposals. */
export interface ProposalSummary {
  readonly seq: number;
  readonly proposal_id: string;
  readonly proposal_hash: string;
  readonly state: ProposalState;
  readonly action: string;
  readonly tenant_id: string;
  readonly principal: string;
  readonly business_object: string;
  readonly object_id: string;
  readonly created_at: Timestamp;
}

/** One line of the list of stories. */
export interface ReplaySummary extends ProposalSummary {
  readonly replay_id: string;
}

/** One line of the list of evidence. */
export interface EvidenceSummary {
  readonly seq: number;
  readonly evidence_id: string;
  readonly at: Timestamp;
  readonly actor: string;
  readonly proposal_id?: string;
  readonly document: Readonly<Record<string, unknown>>;
}

/** The audit of one query, answered or denied. Parameters are never in it. */
export interface QueryAudit {
  readonly seq: number;
  readonly at: Timestamp;
  readonly actor: string;
  readonly evidence_id?: string;
  readonly proposal_id?: string;
  readonly document: Readonly<Record<string, unknown>>;
}

/** An event of the chain with what it is about. */
export interface LedgerEvent extends EventRecord {
  /** A proposal, an evidence bundle, nothing for a denied read. */
  readonly subject: string;
  /** True if what it covered was pruned, and only its hash is kept. */
  readonly pruned: boolean;
}

/** Something that happened, with the record it left. */
export interface Activity extends LedgerEvent {
  readonly evidence_id?: string;
  readonly capability?: string;
  /** The object: its kind and its id. */
  readonly object?: readonly [type: string, id: string];
  readonly receipt?: ReceiptRecord;
}

/** The answer to a verification; whatever does not verify is an error. */
export interface Verified {
  readonly ok: true;
  /** Events checked. */
  readonly events: number;
  /** Proposals checked. */
  readonly proposals: number;
  /** The chain's end, `SIZE:HEAD`: keep it elsewhere and pass it as `expect` later. */
  readonly checkpoint: string;
}
