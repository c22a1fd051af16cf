//! The catalogue: every code, written once. `schemas/errors.json` is generated from it (a test compares; `UPDATE=1`
//! rewrites), and so are the classes and unions of the bindings.

use std::fmt;

use serde::Serialize;

/// Who may see an error's message. A model gets only [`Audience::Model`] ones; of the rest it gets the code's safe
/// class and nothing about tables, columns, credentials or other tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Audience {
    /// The model, and everybody else.
    Model,
    /// The operator and the embedding application.
    Operator,
}

/// The exit codes of the command line; they are part of its interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "u8")]
#[non_exhaustive]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: failed.
    Failed,
    /// 2: the command line itself was wrong.
    Usage,
    /// 3: the row changed since the proposal; nothing was written.
    Conflict,
    /// 4: refused: not approved, expired, wrong role, digest or contract mismatch, tampering.
    Refused,
    /// 5: the outcome is unknown; `apply --resume` finds the truth.
    Unknown,
}

impl From<Exit> for u8 {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Conflict => 3,
            Exit::Refused => 4,
            Exit::Unknown => 5,
        }
    }
}

/// What the catalogue says of one code.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct CodeInfo {
    /// The stable code.
    pub code: &'static str,
    /// Message template; `{field}` is a context field.
    pub message: &'static str,
    /// What to do, same template language; empty if the message says it.
    pub help: &'static str,
    /// True if the same call may succeed later.
    pub retryable: bool,
    /// Who may see the message.
    pub audience: Audience,
    /// The HTTP status a server answers with.
    pub http: u16,
    /// The exit code of the command line.
    pub exit: Exit,
}

macro_rules! catalogue {
    ($( $(#[$doc:meta])* $variant:ident = $code:literal, $audience:ident, $http:literal, $exit:ident, $retry:ident, $message:literal $(, $help:literal)? ; )*) => {
        /// A stable error code. New ones may come; none is renamed or reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code { $( #[doc = $message] $variant, )* }

        /// Every code with what is said of it, in the order of the source.
        pub const CATALOGUE: &[(Code, CodeInfo)] = &[ $( (Code::$variant, CodeInfo {
            code: $code, message: $message, help: catalogue!(@help $($help)?), retryable: catalogue!(@retry $retry),
            audience: Audience::$audience, http: $http, exit: Exit::$exit,
        }), )* ];

        impl Code {
            /// What the catalogue says of this code.
            #[must_use]
            pub fn info(self) -> &'static CodeInfo {
                match self { $( Self::$variant => {
                    const INFO: &CodeInfo = &CodeInfo {
                        code: $code, message: $message, help: catalogue!(@help $($help)?), retryable: catalogue!(@retry $retry),
                        audience: Audience::$audience, http: $http, exit: Exit::$exit,
                    };
                    INFO
                } )* }
            }

            /// The code as text.
            #[must_use]
            pub fn as_str(self) -> &'static str { self.info().code }

            /// The code that has this text.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $( $code => Some(Self::$variant), )* _ => None }
            }
        }
    };
    (@help) => { "" };
    (@help $help:literal) => { $help };
    (@retry once) => { false };
    (@retry again) => { true };
}

catalogue! {
    // What a model, or a caller on its behalf, can get wrong.
    ArgumentsInvalid = "ARGUMENTS_INVALID", Model, 400, Failed, once, "the arguments of `{capability}` are not a JSON object: {problem}";
    ArgumentRequired = "ARGUMENT_REQUIRED", Model, 400, Failed, once, "argument `{argument}` is required";
    ArgumentTypeInvalid = "ARGUMENT_TYPE_INVALID", Model, 400, Failed, once, "argument `{argument}` must be a {expected}";
    ArgumentTooLong = "ARGUMENT_TOO_LONG", Model, 400, Failed, once, "argument `{argument}` is longer than {limit} characters";
    ArgumentBelowMinimum = "ARGUMENT_BELOW_MINIMUM", Model, 400, Failed, once, "argument `{argument}` is below the minimum {limit}";
    ArgumentAboveMaximum = "ARGUMENT_ABOVE_MAXIMUM", Model, 400, Failed, once, "argument `{argument}` is above the maximum {limit}";
    ArgumentNotAllowed = "ARGUMENT_NOT_ALLOWED", Model, 400, Failed, once, "argument `{argument}` is not one of: {allowed}";
    ArgumentUnknown = "ARGUMENT_UNKNOWN", Model, 400, Failed, once, "`{argument}` is not an argument of `{capability}`", "its arguments are: {known}";
    ModelCannotOverrideBinding = "MODEL_CANNOT_OVERRIDE_BINDING", Model, 400, Failed, once, "`{argument}` is bound by trusted context and cannot be an argument";
    LookupArgMissing = "LOOKUP_ARG_MISSING", Model, 400, Failed, once, "argument `{argument}` names the row and is missing";
    CapabilityNotFound = "MCP_TOOL_NOT_FOUND", Model, 404, Failed, once, "there is no capability `{capability}`";
    ProposalsDisabled = "PROPOSALS_DISABLED", Model, 403, Refused, once, "this contract is read_only: proposals are disabled";
    CapabilityKindMismatch = "CAPABILITY_KIND_MISMATCH", Model, 400, Failed, once, "`{capability}` is a {kind} capability";
    RowNotFound = "ROW_NOT_FOUND", Model, 404, Failed, once, "the scoped read did not find exactly one authorised row";
    PatchBoundTypeInvalid = "PATCH_NUMERIC_BOUND_TYPE_INVALID", Model, 422, Failed, once, "`{column}` has a numeric bound and its proposed value is not a number";
    PatchBelowMinimum = "PATCH_BELOW_MINIMUM", Model, 422, Failed, once, "the proposed `{column}` is below its minimum {limit}";
    PatchAboveMaximum = "PATCH_ABOVE_MAXIMUM", Model, 422, Failed, once, "the proposed `{column}` is above its maximum {limit}";
    PatchTransitionTypeInvalid = "PATCH_TRANSITION_TYPE_INVALID", Model, 422, Failed, once, "the transition guard of `{column}` needs two strings";
    PatchTransitionNotAllowed = "PATCH_TRANSITION_NOT_ALLOWED", Model, 422, Failed, once, "`{column}` may not move from its present value to the proposed one";
    NoChange = "NO_CHANGE", Model, 422, Failed, once, "the row already has every proposed value; there is nothing to sign off";
    ValueNotRepresentable = "VALUE_NOT_REPRESENTABLE", Model, 422, Failed, once, "column `{column}` cannot store the proposed value exactly", "propose a value that the column keeps as it is";
    SecretMaterialRejected = "SECRET_MATERIAL_REJECTED", Model, 422, Failed, once, "the value at {path} looks like a credential and is not recorded";
    ProposalActive = "PROPOSAL_ACTIVE", Model, 409, Failed, once, "another proposal for this object is still open", "decide or cancel it first: {proposal}";

    RateLimited = "RATE_LIMITED", Model, 429, Failed, again, "too many calls of `{tool}` in a minute", "wait {retry_after_seconds} s before the next one; a call that is refused counts, too";

    // The trusted context and the source.
    ProposalDecided = "PROPOSAL_DECIDED", Model, 409, Failed, once, "`{proposal}` has been decided, and cannot be taken back";
    ResourceNotFound = "RESOURCE_NOT_FOUND", Model, 404, Failed, once, "there is no such resource";
    McpTransportFailed = "MCP_TRANSPORT_FAILED", Operator, 500, Failed, once, "the MCP session ended: {reason}";
    HttpPlaceInvalid = "HTTP_PLACE_INVALID", Operator, 500, Usage, once, "`{place}` is not a path, a host or an origin", "a path is `/mcp`, a host `mcp.example` or `mcp.example:8443`, an origin `https://chat.example`";
    HttpListenFailed = "HTTP_LISTEN_FAILED", Operator, 500, Failed, once, "cannot listen on {address}: {reason}";
    HttpTlsInvalid = "HTTP_TLS_INVALID", Operator, 500, Usage, once, "`{path}` is no certificate or key in PEM", "the chain goes into one file, its private key into another";
    HttpDevNoAuthUnsafeHost = "HTTP_DEV_NO_AUTH_UNSAFE_HOST", Operator, 500, Usage, once, "without authentication nothing but loopback is served, and `{host}` is more", "bind to 127.0.0.1, or give it a token";
    HttpHostRefused = "HTTP_HOST_REFUSED", Model, 403, Refused, once, "this server is not known by that name", "the operator names it: `--allowed-host`";
    HttpOriginRefused = "HTTP_ORIGIN_REFUSED", Model, 403, Refused, once, "pages of that origin may not call this server", "the operator allows one: `--cors-origin`";
    HttpBodyTooLarge = "HTTP_BODY_TOO_LARGE", Model, 413, Failed, once, "the body is longer than a message may be";
    HttpBodyIncomplete = "HTTP_BODY_INCOMPLETE", Model, 400, Failed, again, "the body did not arrive as a whole";
    HttpBodyEncoded = "HTTP_BODY_ENCODED", Model, 415, Failed, once, "a body comes as it is, neither packed nor in another encoding";
    HttpBusy = "HTTP_BUSY", Model, 503, Failed, again, "as many long messages are being read as there may be";
    HttpSessionMissing = "HTTP_SESSION_MISSING", Model, 400, Failed, once, "the request names no session";
    HttpSessionNotFound = "HTTP_SESSION_NOT_FOUND", Model, 404, Failed, once, "there is no such session; begin a new one";
    HttpSessionForeign = "HTTP_SESSION_FOREIGN", Model, 403, Refused, once, "that session is not yours, or no longer who you were";
    HttpSessionBegun = "HTTP_SESSION_BEGUN", Model, 400, Failed, once, "that session has begun already";
    HttpSessionsExhausted = "HTTP_SESSIONS_EXHAUSTED", Model, 503, Failed, again, "there are as many sessions as there may be";
    HttpJsonrpcMethodUnsupported = "HTTP_JSONRPC_METHOD_UNSUPPORTED", Model, 404, Failed, once, "there are tools/list, tools/call and resources/read";
    HttpToolNameRequired = "HTTP_TOOL_NAME_REQUIRED", Model, 400, Failed, once, "params.name is the name of a tool";
    HttpResourceUriRequired = "HTTP_RESOURCE_URI_REQUIRED", Model, 400, Failed, once, "params.uri is the address of a resource";
    ToolInvalid = "TOOL_INVALID", Operator, 500, Refused, once, "`{tool}` cannot be a tool: {problem}", "a tool of the application's own has a name, a description, a JSON Schema of an object, and the capabilities it may use";
    ToolDefinitionChanged = "TOOL_DEFINITION_CHANGED", Operator, 500, Refused, once, "`{tool}` is not the tool that was reviewed: its definition is {found}, and the contract pins {pinned}", "look at it with `signoff tools list --json`; if it is as it should be, write that digest to signoff.tool_digest of the capability";
    ToolArgumentsInvalid = "TOOL_ARGUMENTS_INVALID", Model, 400, Failed, once, "the arguments of `{tool}` do not fit its schema: {problem}";
    ToolOutputInvalid = "TOOL_OUTPUT_INVALID", Operator, 500, Failed, once, "what `{tool}` answered is not what it may answer: {problem}", "nothing was given to the model";
    ToolScopeExceeded = "TOOL_SCOPE_EXCEEDED", Operator, 403, Refused, once, "`{tool}` may not use capability `{capability}`", "name it in the tool's scope; a tool that reads proposes nothing";
    ToolFailed = "TOOL_FAILED", Operator, 500, Failed, once, "`{tool}` failed", "its error went to the application";
    TrustedBindingMissing = "TRUSTED_BINDING_MISSING", Operator, 500, Failed, once, "trusted context `{context}` has no value for {binding}", "set {variable}";
    HttpAuthTokenMissing = "HTTP_AUTH_TOKEN_MISSING", Operator, 500, Refused, once, "no bearer token for callers over HTTP: {variable} is not set", "set {variable} to at least 16 characters, or configure `signoff.mcp.auth` in the contract";
    AuthConfigInvalid = "AUTH_CONFIG_INVALID", Operator, 500, Refused, once, "`{setting}` of signoff.mcp.auth cannot be used: {problem}";
    AuthTokenMissing = "AUTH_TOKEN_MISSING", Operator, 401, Refused, once, "the request has no bearer token", "send it as `Authorization: Bearer TOKEN`; elsewhere it is not read";
    AuthTokenInvalid = "AUTH_TOKEN_INVALID", Operator, 401, Refused, once, "the bearer token is not accepted";
    AuthScopeInsufficient = "AUTH_SCOPE_INSUFFICIENT", Operator, 403, Refused, once, "the token does not hold every scope that is asked for";
    AuthKeysUnavailable = "AUTH_KEYS_UNAVAILABLE", Operator, 503, Failed, again, "the keys of the token's issuer cannot be had at present";
    TrustedContextMissing = "TRUSTED_CONTEXT_MISSING", Operator, 500, Failed, once, "capability `{capability}` has no trusted context";
    TrustedContextUnsupported = "TRUSTED_CONTEXT_UNSUPPORTED", Operator, 500, Failed, once, "provider `{provider}` needs a caller that supplies its claims", "use provider environment, or call from an application that passes a trusted context";
    SourceNotFound = "SOURCE_NOT_FOUND", Operator, 500, Failed, once, "there is no source `{source}`";
    SourceCredentialMissing = "SOURCE_CREDENTIAL_MISSING", Operator, 500, Failed, once, "source `{source}` needs {variable}, which is not set", "set {variable}; for engine sqlite it holds the path of an existing file";
    SourceUrlInvalid = "SOURCE_URL_INVALID", Operator, 500, Failed, once, "the value of {variable} is not an address of engine {engine}";
    SourceUnavailable = "SOURCE_UNAVAILABLE", Operator, 503, Failed, again, "source `{source}` cannot be opened: {reason}", "see that {variable} names a reachable database that this process may use";
    SourceBusy = "SOURCE_BUSY", Operator, 503, Failed, again, "source `{source}` is locked by another writer";
    SourceReadOnly = "SOURCE_READ_ONLY", Operator, 403, Failed, once, "source `{source}` cannot be written";
    SourceWriteDisabled = "READ_ONLY_SOURCE_DIRECT_WRITEBACK", Operator, 403, Refused, once, "source `{source}` is read_only in the contract";
    SourceObjectNotFound = "SOURCE_OBJECT_NOT_FOUND", Operator, 500, Failed, once, "source `{source}` has no {object}";
    SourceRejected = "SOURCE_REJECTED", Operator, 422, Failed, once, "source `{source}` refused the statement: {reason}";
    SchemaForeign = "SCHEMA_FOREIGN", Operator, 409, Refused, once, "schema {schema} of this database is left alone: {problem}", "look at it, and drop or rename it yourself; or name another database";
    EngineNotAvailable = "ENGINE_NOT_AVAILABLE", Operator, 501, Refused, once, "engine {engine} is not in this build";
    RowNotUnique = "ROW_NOT_UNIQUE", Operator, 409, Failed, once, "primary key `{column}` of {object} is not unique: more than one row has this value", "name a column that is unique";
    ColumnNotPatchable = "COLUMN_NOT_PATCHABLE", Operator, 422, Failed, once, "column `{column}` cannot be patched: {reason}";
    ColumnTypeMixed = "COLUMN_TYPE_MIXED", Operator, 422, Failed, once, "column `{column}` is declared {declared} and holds a value of class {class}", "give the column a declared type and store only that class in it";
    ValueNotReadable = "VALUE_NOT_READABLE", Operator, 422, Failed, once, "column `{column}` holds a value that cannot be shown exactly: {reason}";
    ConflictGuardMissing = "CONFLICT_GUARD_MISSING", Operator, 422, Failed, once, "capability `{capability}` has no conflict guard";
    VersionIsNull = "VERSION_IS_NULL", Operator, 422, Failed, once, "version column `{column}` is NULL in this row: it cannot tell whether the row changed", "fill the column, or let every column read be the guard: `\"conflict_guard\": {\"weak_guard_ack\": true}`";
    VersionTypeUnsupported = "VERSION_TYPE_UNSUPPORTED", Operator, 422, Failed, once, "version column `{column}` has class {class}, which does not compare exactly";

    // The contract and other files.
    ConfigNotFound = "CONFIG_NOT_FOUND", Operator, 500, Refused, once, "no contract at {path}", "write signoff.json, or name the file with --config";
    ConfigAmbiguous = "CONFIG_AMBIGUOUS", Operator, 500, Refused, once, "{first} and {second} are both here", "keep one of them, or name one with --config";
    ConfigInvalid = "CONFIG_INVALID", Operator, 500, Failed, once, "the contract at {path} has {count}: {first}", "`signoff config validate` lists them all";
    FileUnreadable = "FILE_UNREADABLE", Operator, 500, Failed, once, "cannot read {path}: {reason}";
    FileUnwritable = "FILE_UNWRITABLE", Operator, 500, Failed, once, "cannot write {path}: {reason}";
    ClientConfigNotEditable = "CLIENT_CONFIG_NOT_EDITABLE", Operator, 409, Refused, once, "{path} is not changed: {problem}", "add the printed entry by hand";
    AuditAddressRefused = "AUDIT_ADDRESS_REFUSED", Operator, 400, Refused, once, "{target} is not asked: {problem}";
    AuditTargetUnreachable = "AUDIT_TARGET_UNREACHABLE", Operator, 502, Failed, again, "{target} did not say which tools it has: {problem}";
    AuditAnswerInvalid = "AUDIT_ANSWER_INVALID", Operator, 502, Failed, once, "{target} does not answer as an MCP server: {problem}";
    JsonInvalid = "JSON_INVALID", Model, 400, Failed, once, "not JSON at line {line}, column {column}: {problem}";
    JsonDuplicateKey = "JSON_DUPLICATE_KEY", Model, 400, Failed, once, "key `{key}` stands twice in {pointer}";
    JsonTooDeep = "JSON_TOO_DEEP", Model, 400, Failed, once, "JSON nested deeper than {limit} levels";
    NumberNotExact = "NUMBER_NOT_EXACT", Model, 400, Failed, once, "an integer beyond ±(2^53−1) or a non-finite number cannot be hashed as a JSON number", "write it as a string";
    DocumentInvalid = "DOCUMENT_INVALID", Operator, 400, Failed, once, "not a valid {schema}: {problem}";
    IdentifierUnsafe = "UNSAFE_IDENTIFIER", Operator, 400, Failed, once, "`{identifier}` is not an identifier: letters, digits and _ only, not starting with a digit";
    InstantInvalid = "INSTANT_INVALID", Operator, 400, Failed, once, "`{text}` is not an RFC 3339 instant";

    // The lifecycle.
    ProposalNotFound = "PROPOSAL_NOT_FOUND", Operator, 404, Failed, once, "no proposal `{proposal}` in this ledger", "`signoff proposals list` shows what there is; --store names another ledger";
    ProposalNotPending = "PROPOSAL_NOT_PENDING_REVIEW", Operator, 409, Refused, once, "proposal `{proposal}` is {state}, not pending_review";
    ProposalNotRejectable = "PROPOSAL_NOT_REJECTABLE", Operator, 409, Refused, once, "proposal `{proposal}` is {state} and can no longer be rejected";
    ProposalNotCancelable = "PROPOSAL_NOT_CANCELABLE", Operator, 409, Refused, once, "proposal `{proposal}` is {state} and can no longer be canceled";
    ProposalNotApproved = "PROPOSAL_NOT_APPROVED", Operator, 409, Refused, once, "proposal `{proposal}` is {state}, not approved", "somebody has to approve it first: `signoff proposals approve {proposal}`";
    ProposalExpired = "PROPOSAL_EXPIRED", Operator, 409, Refused, once, "proposal `{proposal}` expired at {at}", "propose again";
    ApprovalExpired = "APPROVAL_EXPIRED", Operator, 409, Refused, once, "the approval of `{proposal}` expired at {at}", "propose and approve again";
    ProposalHashMismatch = "PROPOSAL_HASH_MISMATCH", Operator, 409, Refused, once, "the hash given for `{proposal}` is not the hash of what is stored", "look at the proposal again and decide on what it shows now";
    ProposalVersionMismatch = "PROPOSAL_VERSION_MISMATCH", Operator, 409, Refused, once, "proposal `{proposal}` has version {stored}, not {given}";
    ReceiptNotFound = "RECEIPT_NOT_FOUND", Operator, 404, Failed, once, "no receipt `{receipt}` in this ledger", "`signoff receipts list` shows what there is";
    EvidenceNotFound = "EVIDENCE_NOT_FOUND", Operator, 404, Failed, once, "no evidence `{evidence}` in this ledger", "`signoff evidence list` shows what there is";
    AuditNotFound = "QUERY_AUDIT_NOT_FOUND", Operator, 404, Failed, once, "no query audit `{audit}` in this ledger", "`signoff query-audit list` shows what there is";
    IdAmbiguous = "ID_AMBIGUOUS", Operator, 409, Usage, once, "`{id}` is the beginning of several ids, among them {first} and {second}", "give more of it";
    FilterUnknown = "FILTER_UNKNOWN", Operator, 400, Usage, once, "the list of {list} has no filter `{filter}`", "it has: {known}";
    CursorInvalid = "CURSOR_INVALID", Operator, 400, Usage, once, "`{cursor}` is not a cursor of this list", "take the one that the page before answered";
    ProposalPruned = "PROPOSAL_PRUNED", Operator, 410, Refused, once, "proposal `{proposal}` was pruned: only its hashes are kept", "`signoff events tail --proposal {proposal}` shows what is left of it";
    JobDiffers = "WRITEBACK_JOB_DIFFERS", Operator, 409, Refused, once, "the job says another {field} than the proposal that was approved; nothing was run";
    LeaseExpired = "WRITEBACK_LEASE_EXPIRED", Operator, 409, Refused, once, "the job's lease ended at {at}", "apply the proposal by its id: the job is derived anew";
    TransitionNotAllowed = "TRANSITION_NOT_ALLOWED", Operator, 409, Refused, once, "event {event} does not apply to a proposal that is {state}";
    RoleRequired = "ROLE_REQUIRED", Operator, 403, Refused, once, "deciding on `{proposal}` needs role {role}", "somebody who holds it has to decide; a terminal takes --role or SIGNOFF_OPERATOR_ROLES";
    ActorInvalid = "ACTOR_INVALID", Operator, 400, Usage, once, "{what} needs a name: not empty, without control characters, not a credential";
    SelfApproval = "SELF_APPROVAL", Operator, 403, Refused, once, "`{actor}` proposed this change and cannot approve it", "somebody else has to decide; a terminal takes --actor";
    ShadowWritebackDisabled = "SHADOW_WRITEBACK_DISABLED", Operator, 409, Refused, once, "`{proposal}` is a shadow proposal: it is compared, never approved or applied";
    NotShadowProposal = "NOT_SHADOW_PROPOSAL", Operator, 409, Refused, once, "`{proposal}` is no shadow proposal: it is decided, not compared", "mode `shadow` in the contract makes them";
    HumanPatchInvalid = "HUMAN_PATCH_INVALID", Operator, 400, Usage, once, "the patch is not what a person did: {problem}", "a JSON object of columns and the values they were given, such as {example}";
    ReadOnlyWritebackDisabled = "READ_ONLY_WRITEBACK_DISABLED", Operator, 409, Refused, once, "the contract's mode does not allow writing back";
    ContractChanged = "CONTRACT_CHANGED", Operator, 409, Refused, once, "capability `{capability}` is not the one that `{proposal}` was proposed under", "propose again under the present contract";
    AttemptInFlight = "ATTEMPT_IN_FLIGHT", Operator, 409, Failed, again, "an attempt to apply `{proposal}` has not ended", "wait for it, take it over with `apply {proposal} --resume`, or withdraw it with `proposals cancel {proposal} --resume`";
    FencingTokenStale = "FENCING_TOKEN_STALE", Operator, 409, Failed, once, "attempt {attempt} of `{proposal}` no longer holds its lease, and what it did is not recorded", "`signoff apply {proposal}` asks the source how it ended";
    RowBusy = "ROW_BUSY", Operator, 409, Failed, again, "another change to the same row is being applied: `{other}`";
    ExecutorNotAvailable = "EXECUTOR_NOT_AVAILABLE", Operator, 501, Refused, once, "executor `{executor}` of type {type} is not in this build; the proposal stays approved";
    ExecutorCredentialMissing = "EXECUTOR_CREDENTIAL_MISSING", Operator, 500, Refused, once, "executor `{executor}` needs {variable}, which is not set", "set {variable}; nothing was sent, and the proposal stays as it is";
    ExecutorUrlRefused = "EXECUTOR_URL_REFUSED", Operator, 500, Refused, once, "executor `{executor}` does not call the address in {variable}: {reason}", "nothing was sent; a handler on a private network needs `signoff.allow_private` in the executor, and https everywhere but on loopback";
    ExecutorSigningRequired = "HANDLER_SIGNING_REQUIRED", Operator, 500, Refused, once, "executor `{executor}` has no signing secret, and its handler is not on loopback", "name one with signing_secret_env; `signoff.allow_unsigned` in the executor sends without";
    ExecutorCommandInvalid = "EXECUTOR_COMMAND_INVALID", Operator, 500, Refused, once, "the command of executor `{executor}` in {variable} cannot be run: {reason}", "no shell reads it: a program and its arguments, with quotes and backslashes as a shell has them";
    ExecutorUnreachable = "EXECUTOR_UNREACHABLE", Operator, 502, Failed, again, "executor `{executor}` could not be reached: {reason}", "nothing was sent, and the proposal stays approved: apply again";
    ExecutorBusy = "EXECUTOR_BUSY", Operator, 503, Failed, again, "executor `{executor}` asks to come back later: {reason}", "nothing was changed, and the proposal stays approved: apply again";
    ExecutorRefused = "EXECUTOR_REFUSED", Operator, 502, Failed, once, "executor `{executor}` was turned away with status {status}: {reason}", "nothing was changed, and the proposal stays approved: see the address, the token, the signing secret and the audience";
    ExecutorFailed = "EXECUTOR_FAILED", Operator, 502, Failed, again, "the application behind executor `{executor}` failed and says that it changed nothing: {reason}", "the application's own log says why; the proposal stays approved: apply again";
    ConfirmationRequired = "CONFIRMATION_REQUIRED", Operator, 400, Usage, once, "{what} needs a confirmation", "{how}";

    // The ledger.
    LedgerNotFound = "LEDGER_NOT_FOUND", Operator, 404, Failed, once, "no ledger at {path}", "name it with --store; `signoff propose` makes one";
    LedgerUnavailable = "LEDGER_UNAVAILABLE", Operator, 503, Failed, again, "the ledger at {path} cannot be used: {reason}";
    LedgerBusy = "LEDGER_BUSY", Operator, 503, Failed, again, "the ledger at {path} stayed locked for 30 seconds";
    WebhookCursorMismatch = "WEBHOOK_CURSOR_MISMATCH", Operator, 409, Refused, once, "{path} does not belong to this ledger as it is: it was kept for another one, or for a later copy of this one", "--since SEQ says from where to go on; whoever receives tells events apart by webhook-id";
    LedgerHeld = "LEDGER_HELD", Operator, 409, Refused, once, "the ledger at {path} is held by {holder}", "stop that process first, or name another ledger with --store";
    LedgerOpenWork = "LEDGER_OPEN_WORK", Operator, 409, Refused, once, "the ledger at {path} has {work}", "decide, apply or cancel it first; `--force` gives it up, and what became of an unresolved change is then known to its source alone";
    LedgerForeign = "LEDGER_FOREIGN", Operator, 500, Failed, once, "{path} is not a Signoff ledger and is never written";
    LedgerEngineNotAvailable = "LEDGER_ENGINE_NOT_AVAILABLE", Operator, 501, Refused, once, "a ledger on {engine} is not in this build", "name a file: its ledger is SQLite";
    LedgerFormatUnknown = "LEDGER_FORMAT_UNKNOWN", Operator, 500, Refused, once, "the ledger has format {found}; this build knows up to {known}", "use a newer signoff";
    LedgerTampered = "LEDGER_TAMPERED", Operator, 409, Refused, once, "the ledger does not verify at {at}: {problem}", "`signoff store verify` names the first broken event; restore a copy that verifies";
    LedgerCheckpointMismatch = "LEDGER_CHECKPOINT_MISMATCH", Operator, 409, Refused, once, "the ledger does not contain the expected checkpoint {expected}: it has {size} events";
    LedgerKeyMissing = "LEDGER_KEY_MISSING", Operator, 500, Refused, once, "the key of the ledger is not at {path}", "restore the key file, or set SIGNOFF_LEDGER_KEY; a lost key is never made anew";
    LedgerKeyMismatch = "LEDGER_KEY_MISMATCH", Operator, 500, Refused, once, "the key at {path} is not the one this ledger was made with";
    LedgerKeyInvalid = "LEDGER_KEY_INVALID", Operator, 500, Refused, once, "the key at {path} is not 32 bytes in base64";

    // The guard.
    IdempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED", Operator, 422, Refused, once, "key `{key}` was used before for a different change; nothing was run";
    IdempotencyKeyInFlight = "IDEMPOTENCY_IN_FLIGHT", Operator, 409, Failed, again, "another delivery of key `{key}` is running";
    ReceiptTableMissing = "RECEIPT_TABLE_MISSING", Operator, 500, Failed, once, "the receipts table {table} does not exist in source `{source}`", "create it once with `signoff writeback migrate --source {source}`; for an application's own handler with the SQL of `signoff handler migration`";
    ReceiptTableOutdated = "RECEIPT_TABLE_OUTDATED", Operator, 500, Failed, once, "the receipts table {table} lacks {columns}", "run `signoff writeback migrate`: {ddl}";
    ReceiptTableUnfit = "RECEIPT_TABLE_UNFIT", Operator, 500, Refused, once, "the receipts table cannot be trusted: {table} {reason}", "a receipt has to last as long as the change it stands for: use an ordinary, logged table";
    ReceiptTableChanged = "RECEIPT_TABLE_CHANGED", Operator, 409, Refused, once, "source `{source}` keeps its receipts in {recorded}, and the contract now names {configured}: {why}", "set `signoff.receipts_schema` of the source back; to change it on purpose, first apply or cancel what is approved or unresolved there, then `signoff writeback rebind --source {source}`";
    HandlerTransactionBroken = "HANDLER_TRANSACTION_BROKEN", Operator, 500, Failed, once, "key `{key}` was committed while still in progress: foreign code ended our transaction, and the effect is not run again";
    TransactionAlreadyOpen = "TRANSACTION_ALREADY_OPEN", Operator, 500, Failed, once, "the connection is already in a transaction; the guard opens its own";
    TransactionLost = "TRANSACTION_LOST", Operator, 500, Failed, once, "the transaction ended before the guard could finish it";
    TransactionFailed = "TRANSACTION_FAILED", Operator, 503, Failed, again, "the transaction in source `{source}` failed and was rolled back";
    TenantGuardMismatch = "TENANT_GUARD_MISMATCH", Operator, 409, Refused, once, "the row's tenant or key differs in its bytes from the one asked for";
    VersionConflict = "VERSION_CONFLICT", Operator, 409, Conflict, once, "the row's version moved since the proposal; nothing was written", "read the row again and propose anew";
    RowChanged = "ROW_CHANGED_AFTER_PROPOSAL", Operator, 409, Conflict, once, "column `{column}` changed since the proposal; nothing was written", "read the row again and propose anew";
    MultiRowWriteBlocked = "MULTI_ROW_WRITE_BLOCKED", Operator, 409, Refused, once, "the change would touch {rows} rows; it was rolled back";
    WriteBlocked = "WRITE_BLOCKED", Operator, 409, Failed, once, "the UPDATE touched no row: a trigger or a policy swallowed it; it was rolled back";
    StoredValueDiffers = "STORED_VALUE_DIFFERS", Operator, 409, Failed, once, "after the write column `{column}` did not hold the approved value; it was rolled back", "a trigger or a type changed it: what lands must be what was approved";
    PatchColumnNotAllowed = "PATCH_COLUMN_NOT_ALLOWED", Operator, 422, Refused, once, "column `{column}` is not in the allow-list";
    OutcomeUnknown = "OUTCOME_UNKNOWN", Operator, 503, Unknown, again, "whether `{proposal}` landed is not known: {cause}", "`signoff apply {proposal} --resume` asks the source's own receipt; `signoff proposals cancel {proposal}` forbids it, unless it has landed";

    // The handler: what an application's own endpoint answers.
    MethodNotAllowed = "METHOD_NOT_ALLOWED", Operator, 405, Refused, once, "a writeback request is a POST, PUT or PATCH";
    BodyTooLarge = "BODY_TOO_LARGE", Operator, 413, Refused, once, "the body is longer than {limit} bytes";
    HeaderDuplicated = "HEADER_DUPLICATED", Operator, 400, Refused, once, "header `{header}` stands twice";
    HeaderInvalid = "HEADER_INVALID", Operator, 400, Refused, once, "header `{header}` is not well formed: {reason}";
    Unauthorized = "UNAUTHORIZED", Operator, 401, Refused, once, "the bearer token is missing or not one that is expected";
    InvalidSignature = "INVALID_SIGNATURE", Operator, 401, Refused, once, "the request is not signed with a secret that is expected: {reason}", "the signature covers the bytes of the body as received: pass those, not a parsed or re-written object";
    InvalidIssuedAt = "INVALID_ISSUED_AT", Operator, 401, Refused, once, "the request is not fresh: {reason}", "sender and receiver may be 300 seconds apart; see that both clocks are right";
    SigningSecretMissing = "HANDLER_SIGNING_SECRET_MISSING", Operator, 500, Refused, once, "no signing secret is configured";
    SecretUnusable = "SECRET_UNUSABLE", Operator, 500, Refused, once, "{what} {number} cannot be used: {reason}";
    HandlerConfigInvalid = "HANDLER_CONFIG_INVALID", Operator, 500, Refused, once, "the handler is not configured right at {at}: {problem}";
    BadWritebackRequest = "BAD_WRITEBACK_REQUEST", Operator, 400, Refused, once, "not a writeback request: {problem}";
    UnsupportedProtocolVersion = "UNSUPPORTED_PROTOCOL_VERSION", Operator, 400, Refused, once, "protocol version `{version}` is not spoken here", "send protocol_version 1.0 or schema_version synapsor.handler-writeback.v1";
    IdempotencyKeyRequired = "IDEMPOTENCY_KEY_REQUIRED", Operator, 400, Refused, once, "the request has no idempotency_key";
    IdempotencyKeyInvalid = "IDEMPOTENCY_KEY_INVALID", Operator, 400, Refused, once, "the idempotency key is not 1 to 255 characters of letters, digits, `_`, `:` and `-`";
    HeaderBodyMismatch = "HEADER_BODY_MISMATCH", Operator, 400, Refused, once, "header `{header}` differs from {member} of the body";
    UnsupportedAction = "UNSUPPORTED_ACTION", Operator, 400, Refused, once, "no function is registered for action `{action}`";
    TargetMismatch = "TARGET_MISMATCH", Operator, 403, Refused, once, "the request names another {field} than the one registered for `{action}`";
    AudienceMismatch = "AUDIENCE_MISMATCH", Operator, 403, Refused, once, "the request is meant for another audience";
    HandlerBusinessError = "HANDLER_BUSINESS_ERROR", Operator, 500, Failed, again, "the function registered for `{action}` failed; everything was rolled back", "the application's own log says why";
    HandlerResultInvalid = "HANDLER_RESULT_INVALID", Operator, 500, Failed, once, "what the registered function returned cannot be recorded: {problem}";

    // The command line, and what must not happen.
    Usage = "USAGE", Operator, 400, Usage, once, "{problem}", "{hint}";
    Internal = "INTERNAL", Operator, 500, Failed, once, "an invariant did not hold: {detail}", "nothing was written; please report it";
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_and_parse_back() {
        let mut seen = BTreeSet::new();
        for (code, info) in CATALOGUE {
            assert!(seen.insert(info.code), "{} stands twice", info.code);
            assert_eq!(Code::parse(info.code), Some(*code));
            assert!(info.code.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
            assert!(!info.message.ends_with('.'), "{}: no full stop", info.code);
            assert!((400..600).contains(&info.http));
        }
    }
}
