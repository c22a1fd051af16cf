import type { Kind } from './documents.js';
import { calledFrom, type Place } from './error.js';
import { text as string } from './exact.js';
import { valueOf } from './calls.js';
import { crossing, native } from './native.js';

/** Something to be said of a contract. */
export interface Diagnostic {
  /** The stable code, such as `UNSUPPORTED_CONFIG_VERSION`: match on this. */
  readonly code: string;
  readonly severity: 'error' | 'warning';
  /** The place as a JSON pointer (RFC 6901). */
  readonly pointer: string;
  /** The line, from 1. */
  readonly line: number;
  /** The column in characters, from 1. */
  readonly column: number;
  readonly message: string;
  /** What to do about it. */
  readonly help?: string;
}

interface Report {
  valid: boolean;
  diagnostics: Diagnostic[];
  text: string;
  mode?: ContractMode;
  capabilities?: { name: string; kind: Kind }[];
  sources?: string[];
  executors?: string[];
}

/** What a contract allows to be done with proposals. */
export type ContractMode = 'read_only' | 'shadow' | 'review' | 'cloud';

/**
 * A contract that was looked at: what agents may read and propose. One that cannot be used is an object like any other, whose
 * `diagnostics` say why; `Signoff.open` refuses it.
 *
 * @example
 * ```js
 * const contract = await Contract.load('signoff.json');
 * for (const { severity, line, message } of contract.diagnostics) console.log(`${severity} line ${line}: ${message}`);
 * if (!contract.valid) process.exitCode = 1;
 * ```
 */
export class Contract {
  /** True if it can be used; warnings do not speak against that. */
  readonly valid: boolean;
  /** What is wrong with it and what is doubtful, in the order of the file. */
  readonly diagnostics: readonly Diagnostic[];
  /** The text that was looked at; a session is opened on exactly this. */
  readonly text: string;
  /** Its mode, of a valid one. */
  readonly mode: ContractMode | undefined;
  /** Its capabilities; none of an invalid one. */
  readonly capabilities: readonly { readonly name: string; readonly kind: Kind }[];
  /** The names of its sources. */
  readonly sources: readonly string[];
  /** The names of its executors. */
  readonly executors: readonly string[];

  private constructor(report: Report) {
    this.valid = report.valid;
    this.diagnostics = report.diagnostics;
    this.text = report.text;
    this.mode = report.mode;
    this.capabilities = report.capabilities ?? [];
    this.sources = report.sources ?? [];
    this.executors = report.executors ?? [];
  }

  /**
   * Looks at a contract in a file. Off the event loop; safe to abandon: it only reads.
   *
   * @param path Of the file; relative to the working directory.
   * @throws {SignoffError} `CONFIG_NOT_FOUND`, `FILE_UNREADABLE`; `USAGE` if `path` is no string.
   *
   * @example
   * ```js
   * const { capabilities } = await Contract.load('signoff.json');
   * console.log(capabilities.map(({ name, kind }) => `${kind} ${name}`).join('\n'));
   * ```
   */
  static async load(path: string): Promise<Contract> {
    const place = calledFrom(Contract.load);
    string(path, 'path', place);
    return Contract.#of(await crossing(() => native.checkContractFile(path), place), place);
  }

  /**
   * Looks at a contract that is here as text. It works on the calling thread, for about a millisecond of a hundred
   * capabilities.
   *
   * @param text The JSON of a contract.
   * @throws {SignoffError} `USAGE` if `text` is no string. A text that is no contract is no error: see `diagnostics`.
   *
   * @example
   * ```js
   * const { valid, diagnostics } = Contract.parse('{"version": 1}');
   * console.log(valid, diagnostics[0].code, diagnostics[0].pointer);
   * ```
   */
  static parse(text: string): Contract {
    const place = calledFrom(Contract.parse);
    string(text, 'text', place);
    return Contract.#of(crossing(() => native.checkContract(text), place), place);
  }

  static #of(answer: string, place: Place): Contract {
    return new Contract(valueOf<Report>(answer, place));
  }
}
