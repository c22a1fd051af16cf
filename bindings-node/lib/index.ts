// The runtime inside of an application.
export { audit } from './audit.js';
export type { AuditFinding, AuditOptions, AuditReport } from './audit.js';
export { Contract } from './contract.js';
export type { ContractMode, Diagnostic } from './contract.js';
export type { Approver, Context } from './context.js';
export type {
  Activity, ApplyAnswer, ApplyStatus, ChangeSet, Decision, DecisionWord, DiffLine, EventRecord, Evidence, EvidenceSummary,
  ExecutionReceipt, Kind, LedgerEvent, Proposal, ProposalState, ProposalSummary, Proposed, QueryAudit, ReadAnswer, ReceiptRecord,
  ReceiptStatus, Replay, ReplaySummary, RowValue, Standing, Timestamp, Verified,
} from './documents.js';
export type { Arguments, Exact } from './exact.js';
export { Listing } from './lists.js';
export type { EventOptions, Filter, ListOptions, Page } from './lists.js';
export type { McpHandler, McpOptions } from './mcp.js';
export type { ApplyOptions, CallOptions, DecideOptions, OpenOptions } from './requests.js';
export { Signoff } from './signoff.js';
export type { Envelope, EnvelopeV1, EnvelopeV2, Schema, Tool, ToolDefinition, ToolFunction, ToolScope } from './tools.js';

// The handler of an application's own endpoint, and the error of both.
export type { HeadersLike } from './bytes.js';
export type { SignoffCode } from './codes.js';
export type { Database, Failure, Ran, Session } from './database.js';
export { SignoffError } from './error.js';
export { createWritebackHandler } from './handler.js';
export type { Action, Logger, WritebackHandler, WritebackHandlerOptions, WritebackRequest, WritebackResponse } from './handler.js';
export { Job, LockedJob } from './job.js';
export type { ColumnValue, Json, Scalar, Target } from './job.js';
export { Applied, applied, Conflict, Refused } from './result.js';
export type { AppliedOptions } from './result.js';
export { receiptsDdl, sign, verify } from './signature.js';
export type { Policy } from './signature.js';
