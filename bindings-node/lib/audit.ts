// The static review of the tools that an MCP server offers.

import { usage } from './bytes.js';
import { valueOf } from './calls.js';
import type { Timestamp } from './documents.js';
import { calledFrom, type Place } from './error.js';
import { named, text } from './exact.js';
import { crossing, native } from './native.js';

/** One thing that was found. */
export interface AuditFinding {
  readonly severity: 'HIGH' | 'MEDIUM' | 'LOW';
  /** The rule's stable code, such as `GENERIC_SQL_TOOL`. */
  readonly code: string;
  /** The server, where several were looked at. */
  readonly server?: string;
  /** The tool; none if it is about all of them. */
  readonly tool?: string;
  readonly message: string;
  /** The words and arguments that tell. */
  readonly evidence: readonly string[];
  readonly recommendation: string;
}

/** A review, as `signoff audit --format json` prints it. */
export interface AuditReport {
  readonly schema_version: 'synapsor.mcp-audit.v1';
  readonly target: string;
  readonly disclaimer: string;
  readonly generated_at: Timestamp;
  readonly summary: {
    readonly tools_inspected: number;
    readonly high: number;
    readonly medium: number;
    readonly low: number;
    readonly total_findings: number;
  };
  /** The worst first. */
  readonly findings: readonly AuditFinding[];
  /** Servers of a client's configuration that nobody looked at. */
  readonly not_inspected?: readonly { readonly server: string; readonly transport: 'stdio' | 'http' | 'unknown'; readonly reason: string }[];
}

/** How {@link audit} reports. */
export interface AuditOptions {
  /** What the report calls it; `manifest` if left out. */
  readonly target?: string;
}

/**
 * Reviews the tools that an MCP server offers: what a model could do with them that it should not. It asks nobody, and works
 * on the calling thread.
 *
 * @param manifest The answer of `tools/list`, a manifest with `tools`, a client's configuration, or a contract of ours; as JSON
 *   text, or as what was read from it.
 * @throws {SignoffError} `USAGE` for a text that is no JSON, or a manifest that JSON cannot hold.
 *
 * @example
 * ```js
 * const report = audit({ tools: [{ name: 'execute_sql', description: 'Runs SQL.' }] });
 * console.log(report.summary.high, report.findings[0].code);
 * ```
 */
export function audit(manifest: string | object, options: AuditOptions = {}): AuditReport {
  return audited(manifest, options, calledFrom(audit));
}

/** The same, called from elsewhere. */
export function audited(manifest: string | object, options: AuditOptions, place: Place): AuditReport {
  const { target } = named<AuditOptions>(options, ['target'], place);
  const called = target === undefined ? 'manifest' : text(target, 'target', place);
  const document = typeof manifest === 'string' ? manifest : written(manifest, place);
  return valueOf(crossing(() => native.audit(document, called), place), place);
}

function written(manifest: unknown, place: Place): string {
  let document: string | undefined;
  try {
    if (typeof manifest === 'object' && manifest !== null) document = JSON.stringify(manifest);
  } catch {
    // A cycle, or a BigInt.
  }
  return document ?? usage('a manifest is JSON text, or what can be written as JSON', 'save what tools/list answers', place);
}
