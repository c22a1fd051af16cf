// The runtime inside of an application.

import type { IncomingMessage } from 'node:http';

import { audited, type AuditOptions, type AuditReport } from './audit.js';
import { usage } from './bytes.js';
import { Calls } from './calls.js';
import { mcpHandler, type McpHandler, type McpOptions } from './mcp.js';
import { type Approver, approverOf, type Context, frozenContext } from './context.js';
import { Contract } from './contract.js';
import type {
  Activity, ApplyAnswer, DiffLine, Evidence, EvidenceSummary, LedgerEvent, Proposal, ProposalSummary, Proposed, QueryAudit,
  ReadAnswer, ReceiptRecord, Replay, ReplaySummary, Verified,
} from './documents.js';
import { calledFrom, type Place } from './error.js';
import { type Arguments, argumentsText, exactValue, flag, isPlain, named, text, whole } from './exact.js';
import { console_, type Logger } from './handler.js';
import { type EventOptions, follow, Listing, type ListOptions } from './lists.js';
import { application, type ApplyOptions, type CallOptions, capabilityCall, decide, type DecideOptions, type OpenOptions, variables, who } from './requests.js';
import { type Envelope, type EnvelopeV1, type EnvelopeV2, OwnTools, type Tool, type ToolDefinition, type ToolFunction, type ToolScope } from './tools.js';

/**
 * An open contract and ledger: everything that the command line does, inside of your application. Made by {@link Signoff.open}.
 *
 * Calls may be made at once, as many as you like; none of them runs on the event loop's thread, and an open session does not
 * keep the process alive. Answers are documents with the names of the protocol, as `signoff --format json` prints them.
 *
 * Every method's promise is rejected with a {@link SignoffError}: match its `code`. Besides those named at each, any may be
 * rejected with `USAGE` (an argument of a wrong type, or the session is closed), `LEDGER_BUSY`, `LEDGER_UNAVAILABLE` and
 * `INTERNAL`. A promise that nobody waits for is no cancellation: the call goes on to its end.
 *
 * @example
 * ```js
 * const so = await Signoff.open('signoff.json', { ledger: 'ledger.db', create: true });
 * const context = { tenant: 'acme', principal: 'support_agent' };
 * const { data } = await so.read('billing.inspect_invoice', { invoice_id: 'INV-1' }, { context });
 * console.log(data.late_fee_cents);
 * await so.close();
 * ```
 */
export class Signoff implements AsyncDisposable {
  readonly #calls: Calls;
  readonly #tools: OwnTools;
  readonly #logger: Logger;

  private constructor(calls: Calls, logger: Logger) {
    this.#calls = calls;
    this.#logger = logger;
    this.#tools = new OwnTools(logger);
  }

  /**
   * Opens a session. It belongs to this process and thread; others open their own on the same files.
   *
   * @param config The path of a contract, or a {@link Contract}; with `null`, what is in the ledger can be shown, decided and
   *   replayed, and nothing be read, proposed or applied.
   * @throws {SignoffError} `CONFIG_NOT_FOUND`, `CONFIG_INVALID`, `FILE_UNREADABLE`, `LEDGER_NOT_FOUND`, `LEDGER_KEY_MISSING`,
   *   `LEDGER_KEY_MISMATCH`, `LEDGER_KEY_INVALID`, `LEDGER_FORMAT_UNKNOWN`, `LEDGER_FOREIGN`, and for a server's address
   *   `LEDGER_ENGINE_NOT_AVAILABLE`.
   *
   * @example
   * ```js
   * await using so = await Signoff.open(await Contract.load('signoff.json'), { ledger: 'ledger.db', create: true });
   * ```
   */
  static async open(config: string | Contract | null, options: OpenOptions = {}): Promise<Signoff> {
    const place = calledFrom(Signoff.open);
    const { ledger, create, env, logger, testing } = named<OpenOptions>(options, ['ledger', 'create', 'env', 'logger', 'testing'], place);
    const source = config === null ? null : config instanceof Contract ? { text: config.text } : { path: text(config, 'config', place) };
    if (logger !== undefined && typeof logger?.error !== 'function') usage('logger has no method error', 'console, pino and the like fit', place);
    const calls = await Calls.open({
      config: source,
      create: create === undefined ? false : flag(create, 'create', place),
      environment: variables(env, place),
      ...(ledger === undefined ? {} : { ledger: text(ledger, 'ledger', place) }),
      ...(testing === undefined ? {} : { testing: { at: text(testing.at, 'testing.at', place), seed: text(testing.seed, 'testing.seed', place) } }),
    }, place);
    return new Signoff(calls, logger ?? console_);
  }

  /**
   * Reviews the tools that an MCP server offers, and asks nobody: the same as {@link audit}.
   *
   * @throws {SignoffError} `USAGE` for a text that is no JSON, or a manifest that JSON cannot hold.
   *
   * @example
   * ```js
   * const { high, medium, low } = Signoff.audit({ tools: [] }).summary;
   * ```
   */
  static audit(manifest: string | object, options: AuditOptions = {}): AuditReport {
    return audited(manifest, options, calledFrom(Signoff.audit));
  }

  /**
   * Answers a read capability: one row of the caller's tenant, its visible columns, with evidence recorded.
   *
   * @param args What the capability takes, exactly: see {@link Exact}.
   * @throws {SignoffError} `MCP_TOOL_NOT_FOUND` (no such capability), `CAPABILITY_KIND_MISMATCH`, `TRUSTED_BINDING_MISSING`,
   *   `ROW_NOT_FOUND`, `ARGUMENTS_INVALID`, `ARGUMENT_REQUIRED`, `ARGUMENT_TYPE_INVALID` and other codes of arguments,
   *   `SOURCE_CREDENTIAL_MISSING`, and retryable `SOURCE_UNAVAILABLE`, `SOURCE_BUSY`, `ROW_BUSY`. Safe to abandon: evidence and audit are recorded whole or not at all.
   *
   * @example
   * ```js
   * const answer = await so.read('billing.inspect_invoice', { invoice_id: 'INV-1' }, { context });
   * console.log(answer.data.status, answer.evidence_id);
   * ```
   */
  async read(capability: string, args: Arguments, options?: CallOptions): Promise<ReadAnswer> {
    const place = calledFrom(Signoff.prototype.read);
    return read(await this.#calls.ask(capabilityCall('read', capability, args, options, place), place));
  }

  /**
   * Proposes a change of one row. Nothing of the source is changed. The same change proposed again is the same proposal
   * (`existing: true`).
   *
   * @throws {SignoffError} those of {@link Signoff.read}, and `NO_CHANGE`, `COLUMN_NOT_PATCHABLE`, `PATCH_ABOVE_MAXIMUM`,
   *   `PATCH_TRANSITION_NOT_ALLOWED`, `PROPOSALS_DISABLED` and others that say what of the change is not allowed. Safe to abandon: the proposal is recorded whole or not at all.
   *
   * @example
   * ```js
   * const proposed = await so.propose('billing.propose_late_fee_waiver', { invoice_id: 'INV-1', reason: 'goodwill' }, { context });
   * for (const { column, before, proposed: after } of proposed.diff) console.log(column, before, '->', after);
   * ```
   */
  async propose(capability: string, args: Arguments, options?: CallOptions): Promise<Proposed> {
    const place = calledFrom(Signoff.prototype.propose);
    return withDiff(await this.#calls.ask(capabilityCall('propose', capability, args, options, place), place));
  }

  /**
   * A proposal with everything that belongs to it, verified.
   *
   * @param id Whole, or the beginning of it if that names one.
   * @throws {SignoffError} `PROPOSAL_NOT_FOUND`, `ID_AMBIGUOUS`, `LEDGER_TAMPERED`. Safe to abandon: it only reads.
   *
   * @example
   * ```js
   * const { state, proposal_hash, diff } = await so.proposal(id);
   * ```
   */
  async proposal(id: string): Promise<Proposal> {
    const place = calledFrom(Signoff.prototype.proposal);
    return withDiff(await this.#calls.ask({ call: 'proposal', id: text(id, 'id', place) }, place));
  }

  /**
   * Approves exactly what was shown. Who decides is somebody else than who proposed, with the role that the contract wants.
   *
   * @param id The whole id.
   * @throws {SignoffError} `PROPOSAL_HASH_MISMATCH`, `PROPOSAL_VERSION_MISMATCH`, `PROPOSAL_NOT_PENDING_REVIEW`,
   *   `PROPOSAL_EXPIRED`, `ROLE_REQUIRED`, `SELF_APPROVAL`, `ACTOR_INVALID`, `CONTRACT_CHANGED`, `SHADOW_WRITEBACK_DISABLED`,
   *   `READ_ONLY_WRITEBACK_DISABLED`, `SECRET_MATERIAL_REJECTED`, `PROPOSAL_NOT_FOUND`. Safe to abandon: the decision is
   *   recorded whole or not at all.
   *
   * @example
   * ```js
   * const shown = await so.proposal(id);
   * await so.approve(id, { hash: shown.proposal_hash, version: shown.proposal_version, approver: { id: 'dana', roles: ['billing_lead'] } });
   * ```
   */
  async approve(id: string, decision: DecideOptions): Promise<Proposal> {
    const place = calledFrom(Signoff.prototype.approve);
    return withDiff(await this.#calls.ask(decide('approve', id, decision, place), place));
  }

  /**
   * Rejects exactly what was shown.
   *
   * @param decision With a `reason`, which is recorded.
   * @throws {SignoffError} those of {@link Signoff.approve}; `USAGE` without a reason. Safe to abandon.
   *
   * @example
   * ```js
   * await so.reject(id, { hash, version, approver: { id: 'dana', roles: ['billing_lead'] }, reason: 'not a first offence' });
   * ```
   */
  async reject(id: string, decision: DecideOptions & { readonly reason: string }): Promise<Proposal> {
    const place = calledFrom(Signoff.prototype.reject);
    return withDiff(await this.#calls.ask(decide('reject', id, decision, place), place));
  }

  /**
   * Withdraws a proposal that has not landed: it never will. If an attempt may have written, the source is told first.
   *
   * @param options `actor`: who withdraws it. `takeOver`: also if the worker of an attempt may still hold its lease.
   * @throws {SignoffError} `PROPOSAL_NOT_CANCELABLE`, `ATTEMPT_IN_FLIGHT`, `ACTOR_INVALID`, `PROPOSAL_NOT_FOUND`. Safe to
   *   abandon: it goes on to its end.
   *
   * @example
   * ```js
   * await so.cancel(id, { actor: { id: 'dana' }, reason: 'the customer paid' });
   * ```
   */
  async cancel(id: string, options: { readonly actor: Approver; readonly reason?: string; readonly takeOver?: boolean }): Promise<Proposal> {
    const place = calledFrom(Signoff.prototype.cancel);
    const { actor, reason, takeOver } = named(options, ['actor', 'reason', 'takeOver'], place);
    return withDiff(await this.#calls.ask({
      call: 'cancel', proposal_id: text(id, 'id', place), actor: approverOf(actor, place),
      ...(reason === undefined ? {} : { reason: text(reason, 'reason', place) }),
      ...(takeOver === undefined ? {} : { take_over: flag(takeOver, 'takeOver', place) }),
    }, place));
  }

  /**
   * Applies an approved proposal under its guard, at most once. A row that changed is a `conflict`, which is an answer and no
   * error; what has landed is `already_applied`.
   *
   * @throws {SignoffError} `PROPOSAL_NOT_APPROVED`, `APPROVAL_EXPIRED`, `CONTRACT_CHANGED`, `ATTEMPT_IN_FLIGHT` (retryable),
   *   `SOURCE_UNAVAILABLE` (retryable), `OUTCOME_UNKNOWN`, `RECEIPT_TABLE_MISSING` and others of the source and of executors.
   *   Safe to abandon: an apply that was begun goes on to its end, and the next call finds how it ended.
   *
   * @example
   * ```js
   * const { status } = await so.apply(id, { runner: 'web-1' });
   * if (status === 'conflict') console.log('the row has changed: propose again');
   * ```
   */
  async apply(id: string, options?: ApplyOptions): Promise<ApplyAnswer> {
    const place = calledFrom(Signoff.prototype.apply);
    return this.#calls.ask(application(id, options, false, place), place);
  }

  /**
   * Ends an apply that nobody knows the outcome of (`OUTCOME_UNKNOWN`), or whose worker died: asks the source's own receipt,
   * and applies only if there is none. It takes the lease over: be sure that the worker is gone.
   *
   * @throws {SignoffError} those of {@link Signoff.apply}. Safe to abandon, as `apply` is.
   *
   * @example
   * ```js
   * const { status } = await so.resume(id);
   * ```
   */
  async resume(id: string, options?: ApplyOptions): Promise<ApplyAnswer> {
    const place = calledFrom(Signoff.prototype.resume);
    return this.#calls.ask(application(id, options, true, place), place);
  }

  /**
   * A proposal's whole story, from the ledger alone, checked against its chain.
   *
   * @param id Of the proposal or of its replay (`replay_…`).
   * @throws {SignoffError} `PROPOSAL_NOT_FOUND`, `ID_AMBIGUOUS`, `LEDGER_TAMPERED`. Safe to abandon: it only reads.
   *
   * @example
   * ```js
   * const { events } = await so.replay(id);
   * console.log(events.map(({ kind }) => kind).join(' > '));
   * ```
   */
  async replay(id: string): Promise<Replay> {
    const place = calledFrom(Signoff.prototype.replay);
    return this.#calls.ask({ call: 'replay', id: text(id, 'id', place) }, place);
  }

  /**
   * What was seen: one evidence bundle by its id, or all of them as a list.
   *
   * @throws {SignoffError} `EVIDENCE_NOT_FOUND`, `ID_AMBIGUOUS`, `LEDGER_TAMPERED`. Safe to abandon: it only reads.
   *
   * @example
   * ```js
   * const { document } = await so.evidence(answer.evidence_id);
   * for await (const { evidence_id } of so.evidence({ objectId: 'INV-1' })) console.log(evidence_id);
   * ```
   */
  evidence(id: string): Promise<Evidence>;
  evidence(filter?: ListOptions): Listing<EvidenceSummary>;
  evidence(what?: string | ListOptions): Promise<Evidence> | Listing<EvidenceSummary> {
    const place = calledFrom(Signoff.prototype.evidence);
    if (typeof what === 'string') return this.#calls.ask({ call: 'evidence', id: what }, place);
    return new Listing(this.#calls, 'evidence', what, place);
  }

  /**
   * Proposals, newest first. Filters: `tenant`, `principal`, `capability`, `objectType`, `objectId`, `state`, `source`,
   * `table`, `fingerprint`, `proposal`, `evidence`, `receipt`, `actor`, `from`, `to`.
   *
   * @example
   * ```js
   * for await (const { proposal_id, action } of so.proposals({ state: 'pending_review' })) console.log(proposal_id, action);
   * ```
   */
  proposals(filter?: ListOptions): Listing<ProposalSummary> {
    return new Listing(this.#calls, 'proposals', filter, calledFrom(Signoff.prototype.proposals));
  }

  /**
   * Audits of queries, answered and denied, newest first; parameters are never in them.
   *
   * @example
   * ```js
   * for await (const { actor, document } of so.queryAudit({ tenant: 'acme' })) console.log(actor, document.outcome);
   * ```
   */
  queryAudit(filter?: ListOptions): Listing<QueryAudit> {
    return new Listing(this.#calls, 'query_audit', filter, calledFrom(Signoff.prototype.queryAudit));
  }

  /**
   * Receipts of writebacks, newest first.
   *
   * @example
   * ```js
   * for await (const { receipt } of so.receipts({ status: 'conflict' })) console.log(receipt.proposal_id);
   * ```
   */
  receipts(filter?: ListOptions): Listing<ReceiptRecord> {
    return new Listing(this.#calls, 'receipts', filter, calledFrom(Signoff.prototype.receipts));
  }

  /**
   * Stories of proposals, newest first.
   *
   * @example
   * ```js
   * for await (const { replay_id, state } of so.replays()) console.log(replay_id, state);
   * ```
   */
  replays(filter?: ListOptions): Listing<ReplaySummary> {
    return new Listing(this.#calls, 'replays', filter, calledFrom(Signoff.prototype.replays));
  }

  /**
   * Everything that happened, of whatever kind, newest first.
   *
   * @example
   * ```js
   * for await (const { at, kind, actor } of so.activity({ objectId: 'INV-1' })) console.log(at, kind, actor);
   * ```
   */
  activity(filter?: ListOptions): Listing<Activity> {
    return new Listing(this.#calls, 'activity', filter, calledFrom(Signoff.prototype.activity));
  }

  /**
   * The events of the ledger in order, from `after` on; with `follow`, also those that are yet to come, whoever records them.
   * Ends with `signal`, `break`, `close`. A wait that was left lasts for another second at most; only so long does it keep the
   * process alive.
   *
   * @throws {SignoffError} `FILTER_UNKNOWN`, `LEDGER_TAMPERED`. Safe to abandon: it only reads; go on after the last `seq`.
   *
   * @example
   * ```js
   * for await (const { seq, kind, subject } of so.events({ follow: true, signal: AbortSignal.timeout(200) })) console.log(seq, kind, subject);
   * ```
   */
  events(options?: EventOptions): AsyncGenerator<LedgerEvent, void, undefined> {
    return follow(this.#calls, options, calledFrom(Signoff.prototype.events));
  }

  /**
   * Recomputes everything in the ledger: hashes, chain, signature.
   *
   * @param options `expect`: a checkpoint (`SIZE:HEAD`) that somebody wrote down; the ledger must contain it.
   * @throws {SignoffError} `LEDGER_TAMPERED`, `LEDGER_CHECKPOINT_MISMATCH`. Safe to abandon: it only reads.
   *
   * @example
   * ```js
   * const { events, checkpoint } = await so.verifyLedger();
   * await so.verifyLedger({ expect: checkpoint });
   * ```
   */
  async verifyLedger(options?: { readonly expect?: string }): Promise<Verified> {
    const place = calledFrom(Signoff.prototype.verifyLedger);
    const { expect } = named(options, ['expect'], place);
    return this.#calls.ask({ call: 'verify_ledger', ...(expect === undefined ? {} : { expect: text(expect, 'expect', place) }) }, place);
  }

  /**
   * The tools that an agent may be shown, your own among them, with JSON Schemas that any framework takes.
   *
   * @param options `alias`: `canonical` names, names that OpenAI accepts (`openai`), or `both`. `context`: who asks; what their
   *   roles do not open is not listed. `format`: of the envelope that `outputSchema` describes, 1 or 2; the contract's if left out.
   * @throws {SignoffError} `CONFIG_NOT_FOUND` if the session has no contract, `USAGE`.
   *
   * @example
   * ```js
   * const tools = (await so.tools({ alias: 'openai' })).map(({ name, description, inputSchema }) => (
   *   { type: 'function', function: { name, description, parameters: inputSchema } }));
   * ```
   */
  async tools(options?: CallOptions & { readonly alias?: 'canonical' | 'openai' | 'both'; readonly format?: 1 | 2 }): Promise<readonly Tool[]> {
    const place = calledFrom(Signoff.prototype.tools);
    const { alias, context, format } = named(options, ['alias', 'context', 'format'], place);
    if (alias !== undefined && !['canonical', 'openai', 'both'].includes(alias)) usage(`alias is none of ours`, 'it is canonical, openai or both', place);
    const wanted = {
      call: 'tools', ...who(context, place), ...(alias === undefined ? {} : { alias }),
      ...(format === undefined ? {} : { format: whole(format, 'format', 1, 2, place) }),
    };
    return (await this.#calls.ask<{ tools: Tool[] }>(wanted, place)).tools;
  }

  /**
   * Calls a tool as an agent does and answers the envelope for its model. What the model did wrong is an envelope, too, and no
   * error; an operator's trouble is told to the model without detail.
   *
   * @param tool By its canonical name or its alias.
   * @param args An object, or the JSON text that the model wrote.
   * @param options `context`: who asks. `format`: of the envelope, 1 or 2; the contract's if left out.
   * @throws {SignoffError} `CONFIG_NOT_FOUND` if the session has no contract, `USAGE`. Safe to abandon: as `read` and `propose`.
   *
   * @example
   * ```js
   * const envelope = await so.call('billing__inspect_invoice', '{"invoice_id":"INV-1"}', { context, format: 2 });
   * console.log(envelope.ok, envelope.summary);
   * ```
   */
  call(tool: string, args: Arguments, options: CallOptions & { readonly format: 1 }): Promise<EnvelopeV1>;
  call(tool: string, args: Arguments, options: CallOptions & { readonly format: 2 }): Promise<EnvelopeV2>;
  call(tool: string, args: Arguments, options?: CallOptions & { readonly format?: 1 | 2 }): Promise<Envelope>;
  async call(tool: string, args: Arguments, options?: CallOptions & { readonly format?: 1 | 2 }): Promise<Envelope> {
    const place = calledFrom(Signoff.prototype.call);
    const { context, format } = named(options, ['context', 'format'], place);
    const call = {
      tool: text(tool, 'tool', place), arguments: argumentsText(args, place), ...who(context, place),
      ...(format === undefined ? {} : { format: whole(format, 'format', 1, 2, place) }),
    };
    // Of now, and of nobody's to change: neither the tool's function's nor of whoever made the call.
    const asker = context === undefined ? undefined : frozenContext(context, place);
    return this.#calls.during(place, () => this.#tools.call(this.#calls, call, (own) => this.#scope(own, asker), place));
  }

  /**
   * Registers a tool of your own beside the contract's, for this session. Its function gets the arguments, found to be as
   * `inputSchema` says, and a scope with `read` and `propose` for the caller of the tool; it can neither decide nor apply.
   * What it answers is checked, redacted and recorded as evidence. A {@link SignoffError} that it throws reaches the model by
   * its class; anything else goes to `logger`, and the model is told that the tool failed.
   *
   * @throws {SignoffError} `TOOL_INVALID`, `CONFIG_NOT_FOUND` if the session has no contract.
   *
   * @example
   * ```js
   * await so.registerTool({
   *   name: 'billing.fee_report', description: 'What fees an invoice has.', kind: 'read', scope: ['billing.inspect_invoice'],
   *   inputSchema: { type: 'object', properties: { invoice_id: { type: 'string' } }, required: ['invoice_id'] },
   * }, async ({ invoice_id }, scope) => {
   *   const { data } = await scope.read('billing.inspect_invoice', { invoice_id });
   *   return { fees: data.late_fee_cents };
   * });
   * ```
   */
  async registerTool<Args = any>(definition: ToolDefinition, run: ToolFunction<Args>): Promise<void> {
    const place = calledFrom(Signoff.prototype.registerTool);
    const known = ['name', 'description', 'inputSchema', 'outputSchema', 'kind', 'scope', 'policyHint'] as const;
    const { name, description, inputSchema, outputSchema, kind, scope, policyHint } = named<ToolDefinition>(definition, known, place);
    if (typeof run !== 'function') usage('the tool has no function', 'pass it after the definition', place);
    if (!isPlain(inputSchema)) usage('inputSchema is not an object', 'it is a JSON Schema', place);
    const tool = text(name, 'name', place);
    await this.#calls.ask({
      call: 'register_tool', name: tool, description: text(description, 'description', place), kind: text(kind, 'kind', place),
      input_schema: inputSchema, scope: Array.from(scope ?? [], (one) => text(one, 'a name of the scope', place)),
      ...(outputSchema === undefined ? {} : { output_schema: outputSchema }),
      ...(policyHint === undefined ? {} : { policy_hint: text(policyHint, 'policyHint', place) }),
    }, place);
    this.#tools.add(tool, run as ToolFunction);
  }

  /**
   * What a person should know before this session is used: a sentence each. Safe to abandon: it only reads.
   *
   * @example
   * ```js
   * for (const warning of await so.warnings()) console.error(warning);
   * ```
   */
  async warnings(): Promise<readonly string[]> {
    return this.#calls.ask({ call: 'warnings' }, calledFrom(Signoff.prototype.warnings));
  }

  /** Sets the clock and the ids of a session that was opened for testing. @internal */
  async script(at: string, seed: string): Promise<void> {
    await this.#calls.ask({ call: 'script', at, seed }, calledFrom(Signoff.prototype.script));
  }

  /** Fails as it says, in a session that was opened for testing. @internal */
  async fail(code: string, context: Readonly<Record<string, string>>): Promise<never> {
    return this.#calls.ask({ call: 'fail', code, context }, calledFrom(Signoff.prototype.fail));
  }

  /**
   * Closes the session: waits for calls that are under way, ends iterations over events, and lets go of files and connections.
   * Calls made afterwards are rejected with `USAGE`. Closing twice is closing once. A session that is forgotten instead is
   * closed when it is collected.
   *
   * @throws Nothing. Safe to abandon: it goes on to its end.
   *
   * @example
   * ```js
   * const so = await Signoff.open('signoff.json', { ledger: 'ledger.db', create: true });
   * await so.close();
   * await so.tools().catch(({ code }) => console.log(code));
   * ```
   */
  async close(): Promise<void> {
    await this.#calls.close();
  }

  /**
   * Serves the contract's tools to MCP clients, inside your own server: `/mcp`, and beside it `/healthz`, `/readyz` and, for
   * the contract's bearer token alone, `/metrics`.
   * Nothing that decides or applies is behind it, and tools of {@link Signoff.registerTool} are not served: their functions run where
   * {@link Signoff.call} is called. A message is at most 1 MiB long, and every answer is JSON. Calls are limited over all
   * requests of handlers with the same options, in each process.
   *
   * Errors come with a request, to {@link McpHandler}: `HTTP_PLACE_INVALID` for a path, a host or an origin that is none,
   * `HTTP_AUTH_TOKEN_MISSING`, and `USAGE` once the session is closed, or where a parser has read the body before.
   *
   * @throws {SignoffError} `USAGE` for an option of a wrong type.
   * @example
   * ```js
   * const { createServer } = await import('node:http');
   * const whoCalls = ({ headers }) => (headers.cookie === 'session=1' ? context : undefined);
   * const server = createServer(so.mcpHandler({ context: whoCalls })).listen(0, '127.0.0.1');
   * await new Promise((listening) => server.once('listening', listening));
   * const answer = await fetch(`http://127.0.0.1:${server.address().port}/mcp`, { method: 'POST' });
   * console.log(answer.status, (await answer.json()).code);
   * server.close();
   * ```
   */
  mcpHandler<Request extends IncomingMessage = IncomingMessage>(options: McpOptions<Request> = {}): McpHandler<Request> {
    return mcpHandler(this.#calls, options, this.#logger, calledFrom(Signoff.prototype.mcpHandler));
  }

  /** As {@link Signoff.close}: `await using so = await Signoff.open(…)`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#calls.close();
  }

  // What the function of a tool may do. Its calls belong to the call of the tool: `close` waits for that.
  #scope(tool: string, context: Context | undefined): ToolScope {
    const ask = async <T>(call: 'read' | 'propose', capability: string, args: Arguments, place: Place): Promise<T> => {
      const request = capabilityCall(call, capability, args, context === undefined ? undefined : { context }, place);
      return this.#calls.within<T>({ ...request, within: tool }, place);
    };
    const scope: ToolScope = {
      read: async (capability, args) => read(await ask<ReadAnswer>('read', capability, args, calledFrom(scope.read))),
      propose: async (capability, args) => withDiff(await ask<Proposed>('propose', capability, args, calledFrom(scope.propose))),
      context,
    };
    return Object.freeze(scope);
  }
}

function read(answer: ReadAnswer): ReadAnswer {
  const data = Object.entries(answer.data).map(([column, value]) => [column, exactValue(value)]);
  return { ...answer, data: Object.fromEntries(data) };
}

function withDiff<T extends { readonly diff: readonly DiffLine[] }>(answer: T): T {
  const exact = (line: DiffLine) => ({ ...line, before: exactValue(line.before), proposed: exactValue(line.proposed) });
  return { ...answer, diff: answer.diff.map(exact) };
}
