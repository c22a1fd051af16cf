//! The objects of a contract and their keys.

use super::Need::{Default, Inert, Optional, Required, When};
use super::Shape::*;
use super::settings::*;
use super::{MCP_AUTH, Names, ObjectInfo, key, ours};

const LONGEST_MS: u64 = 2_147_483_647;
const ENGINES: (&[&str], &[&str]) = (&["postgres", "mysql"], &["sqlite"]);

/// Every object, outermost first.
pub static OBJECTS: &[&ObjectInfo] = &[
    &DOCUMENT,
    &STORAGE,
    &SETTINGS,
    &MCP,
    &MCP_AUTH,
    &RATE_LIMIT,
    &SOURCE,
    &SOURCE_SETTINGS,
    &CONTEXT,
    &CONTEXT_VALUES,
    &EXECUTOR,
    &EXECUTOR_SETTINGS,
    &AUTH,
    &CAPABILITY,
    &CAPABILITY_SETTINGS,
    &TARGET,
    &ARGUMENT,
    &LOOKUP,
    &BINDING,
    &BOUND,
    &TRANSITION,
    &CONFLICT_GUARD,
    &APPROVAL,
    &CLOUD,
];

/// The document.
pub(in crate::contract) static DOCUMENT: ObjectInfo = ObjectInfo {
    name: "contract",
    place: "",
    meaning: "The whole file, `signoff.json` or `synapsor.runner.json`.",
    closed: true,
    keys: &[
        key("version", OneOf(&[1]), Required, "The version of this format."),
        key(
            "mode",
            Words(&["read_only", "shadow", "review", "cloud"], &[]),
            Required,
            "What becomes of proposals: `read_only` offers none, `shadow` records and compares them, `review` lets people decide and workers apply, `cloud` hands every call to a control plane.",
        ),
        key(
            "result_format",
            OneOf(&[1, 2]),
            Default("1"),
            "The envelope of answers to the model. New contracts write 2.",
        ),
        key("strict", Flag, Default("true"), "Whether an unknown key is an error. `false` lets it pass unseen."),
        key("storage", Object(&STORAGE), Optional, "Where the ledger is."),
        key(
            "sources",
            Map(Names::Identifier, &SOURCE),
            When("mode is not cloud"),
            "The databases, by name; at least one.",
        ),
        key(
            "trusted_context",
            Object(&CONTEXT),
            When("a capability names no context of its own"),
            "Where tenant and principal come from. Never from the model.",
        ),
        key(
            "contexts",
            Map(Names::Safe, &CONTEXT),
            Optional,
            "Further contexts, by name, for capabilities that name one.",
        ),
        key(
            "executors",
            Map(Names::Safe, &EXECUTOR),
            Optional,
            "How approved changes are carried out, by name. The built-in `sql_update` needs no entry.",
        ),
        key(
            "capabilities",
            List(&CAPABILITY),
            When("mode is not cloud"),
            "What an agent may read and propose; each is one tool.",
        ),
        key("cloud", Object(&CLOUD), When("mode is cloud"), "How a control plane is reached. Only in mode cloud."),
        ours("signoff", Object(&SETTINGS), Optional, "Settings that v1 does not have."),
    ],
};

/// `storage`.
pub(in crate::contract) static STORAGE: ObjectInfo = ObjectInfo {
    name: "storage",
    place: "/storage",
    meaning: "Where the ledger is.",
    closed: true,
    keys: &[key(
        "sqlite_path",
        Text,
        Default(".signoff/ledger.db"),
        "The ledger's file, from the current folder. A foreign file is never written.",
    )],
};

/// A source.
pub(in crate::contract) static SOURCE: ObjectInfo = ObjectInfo {
    name: "source",
    place: "/sources/NAME",
    meaning: "A database. Its addresses stay in environment variables; the contract has the names of those.",
    closed: true,
    keys: &[
        key(
            "engine",
            Words(ENGINES.0, ENGINES.1),
            Required,
            "The kind of database. For `sqlite` the variables hold the path of a file that exists, and every schema is `main`.",
        ),
        key("read_url_env", EnvName, Required, "The variable that holds the address for reads."),
        key(
            "write_url_env",
            EnvName,
            When("direct SQL writeback is wanted"),
            "The variable that holds the address for writes. Give it a login of its own, which may write the allowed columns only.",
        ),
        key("read_only", Flag, Default("false"), "True: no direct SQL writeback, whatever else is said."),
        key("statement_timeout_ms", Whole(LONGEST_MS), Optional, "How long a statement may take."),
        key(
            "ssl",
            Anything,
            Inert,
            "Read by v1 and never used. TLS is set in the address: `sslmode=verify-full&sslrootcert=FILE`.",
        ),
        ours("signoff", Object(&SOURCE_SETTINGS), Optional, "Settings that v1 does not have."),
    ],
};

/// A trusted context.
pub(in crate::contract) static CONTEXT: ObjectInfo = ObjectInfo {
    name: "context",
    place: "/trusted_context and /contexts/NAME",
    meaning: "Where tenant and principal of a call come from.",
    closed: true,
    keys: &[
        key(
            "provider",
            Words(&["static_dev", "environment", "http_claims", "cloud_session"], &[]),
            Required,
            "`environment` reads variables at every call; `static_dev` takes literal values, for development; `http_claims` takes them from the caller's token, as `signoff.mcp.auth` says; it and `cloud_session` take a caller whom the embedding application authenticated, and are refused with `TRUSTED_CONTEXT_UNSUPPORTED` without one.",
        ),
        key("values", Object(&CONTEXT_VALUES), Optional, "Values, or the variables that hold them."),
    ],
};

/// `values` of a context.
pub(in crate::contract) static CONTEXT_VALUES: ObjectInfo = ObjectInfo {
    name: "context values",
    place: "/trusted_context/values and /contexts/NAME/values",
    meaning: "What a context binds.",
    closed: false,
    keys: &[
        key(
            "tenant_id_env",
            EnvName,
            Default("SYNAPSOR_TENANT_ID with provider environment"),
            "The variable that holds the tenant.",
        ),
        key(
            "principal_env",
            EnvName,
            Default("SYNAPSOR_PRINCIPAL with provider environment"),
            "The variable that holds the principal.",
        ),
        key("tenant_id", Text, Optional, "The tenant itself; `static_dev` only."),
        key("principal", Text, Optional, "The principal itself; `static_dev` only."),
        key(
            "tenant_id_key",
            Text,
            Optional,
            "The claim that holds the tenant; `http_claims` only. It has to be the `tenant_claim` of `signoff.mcp.auth`.",
        ),
        key(
            "principal_key",
            Text,
            Optional,
            "The claim that holds the principal; `http_claims` only. It has to be the `principal_claim` of `signoff.mcp.auth`.",
        ),
    ],
};

/// An executor.
pub(in crate::contract) static EXECUTOR: ObjectInfo = ObjectInfo {
    name: "executor",
    place: "/executors/NAME",
    meaning: "How an approved change is carried out.",
    closed: true,
    keys: &[
        key(
            "type",
            Words(&["sql_update", "http_handler", "command_handler"], &[]),
            Required,
            "`sql_update` is one guarded UPDATE; `http_handler` sends a signed request to the application; `command_handler` runs a local command.",
        ),
        key("url_env", EnvName, When("type is http_handler"), "The variable that holds the application's address."),
        key("method", Words(&["POST", "PUT", "PATCH"], &[]), Default("POST"), "The request's method."),
        key("auth", Object(&AUTH), Optional, "A bearer token for the request."),
        key(
            "signing_secret_env",
            EnvName,
            Optional,
            "The variable that holds the secret that requests are signed with.",
        ),
        key("timeout_ms", Whole(LONGEST_MS), Default("5000"), "How long an answer may take."),
        key("command_env", EnvName, When("type is command_handler"), "The variable that holds the command line."),
        ours("signoff", Object(&EXECUTOR_SETTINGS), Optional, "Settings that v1 does not have."),
    ],
};

/// `auth` of an executor.
pub(in crate::contract) static AUTH: ObjectInfo = ObjectInfo {
    name: "auth",
    place: "/executors/NAME/auth",
    meaning: "A bearer token.",
    closed: true,
    keys: &[
        key("type", Words(&["bearer_env"], &[]), Required, "A token from the environment."),
        key("token_env", EnvName, Required, "The variable that holds the token."),
    ],
};

/// A capability.
pub(in crate::contract) static CAPABILITY: ObjectInfo = ObjectInfo {
    name: "capability",
    place: "/capabilities/N",
    meaning: "One tool of the agent.",
    closed: true,
    keys: &[
        key(
            "name",
            ToolName,
            Required,
            "The tool's name: `namespace.name`. No two are the same, also with `__` for the points.",
        ),
        key(
            "kind",
            Words(&["read", "proposal"], &[]),
            Required,
            "`read` answers a row; `proposal` makes a proposal and changes nothing.",
        ),
        key("description", Text, Optional, "Shown to the model: when to use it."),
        key("returns_hint", Text, Optional, "Shown to the model: what it gets."),
        key("source", Text, Required, "The name of a source."),
        key("context", Text, Default("trusted_context"), "The name of one of `contexts`."),
        key("target", Object(&TARGET), Required, "The table, and the columns that guard it."),
        key(
            "args",
            Map(Names::Safe, &ARGUMENT),
            Required,
            "What the model may say, by name; at least one. Names of tenants, principals, tables, columns and versions are refused.",
        ),
        key("lookup", Object(&LOOKUP), Required, "Which row is meant."),
        key(
            "visible_columns",
            Columns,
            Required,
            "The columns that the model sees; nothing else of the row reaches it.",
        ),
        key(
            "patch",
            Map(Names::Identifier, &BINDING),
            When("kind is proposal"),
            "What is written: each column with its value or the argument that has it.",
        ),
        key(
            "allowed_columns",
            Columns,
            When("kind is proposal"),
            "The columns that may be written at all: every patched one, never the key or the tenant.",
        ),
        key("numeric_bounds", Map(Names::Identifier, &BOUND), Optional, "Bounds of patched numbers."),
        key(
            "transition_guards",
            Map(Names::Identifier, &TRANSITION),
            Optional,
            "Which value may follow which, for patched texts.",
        ),
        key(
            "conflict_guard",
            Object(&CONFLICT_GUARD),
            When("kind is proposal"),
            "How it is noticed that the row changed since the proposal.",
        ),
        key("approval", Object(&APPROVAL), Optional, "Who decides."),
        key("executor", Text, Default("sql_update"), "The name of one of `executors`, or `sql_update`."),
        key(
            "evidence",
            Words(&["required"], &[]),
            Default("required"),
            "Evidence is always recorded; the key says so and nothing else.",
        ),
        key("max_rows", Whole(u64::MAX), Inert, "A capability reads exactly one row."),
        key("single_tenant_dev_ack", Anything, Inert, "`target.single_tenant_dev` alone counts."),
        ours("signoff", Object(&CAPABILITY_SETTINGS), Optional, "Settings that v1 does not have."),
    ],
};

/// `target` of a capability.
pub(in crate::contract) static TARGET: ObjectInfo = ObjectInfo {
    name: "target",
    place: "/capabilities/N/target",
    meaning: "A table, and the columns that guard it.",
    closed: true,
    keys: &[
        key("schema", Identifier, Required, "The schema; `main` for SQLite."),
        key("table", Identifier, Required, "The table."),
        key("primary_key", Identifier, Required, "The primary key's column."),
        key(
            "tenant_key",
            Identifier,
            When("single_tenant_dev is not true"),
            "The tenant's column. Every statement carries it.",
        ),
        key("single_tenant_dev", Flag, Default("false"), "True: there is one tenant, and no guard. For development."),
    ],
};

/// An argument.
pub(in crate::contract) static ARGUMENT: ObjectInfo = ObjectInfo {
    name: "argument",
    place: "/capabilities/N/args/NAME",
    meaning: "Something that the model says, and its limits.",
    closed: true,
    keys: &[
        key(
            "type",
            Words(&["string", "number", "boolean"], &[]),
            Required,
            "Its type. Numbers are exact, whatever their size.",
        ),
        key("description", Text, Optional, "Shown to the model."),
        key(
            "required",
            Flag,
            Default("true"),
            "Whether a call must have it. A patch from one that is absent does not write the column.",
        ),
        key("max_length", Whole(u64::MAX), Optional, "The longest string, in UTF-16 units."),
        key("minimum", Number, Optional, "The smallest number."),
        key("maximum", Number, Optional, "The largest number."),
        key("enum", Values, Optional, "The only values allowed, of the argument's type."),
    ],
};

/// `lookup` of a capability.
pub(in crate::contract) static LOOKUP: ObjectInfo = ObjectInfo {
    name: "lookup",
    place: "/capabilities/N/lookup",
    meaning: "Which row is meant.",
    closed: true,
    keys: &[key("id_from_arg", Text, Required, "The argument that holds the primary key's value.")],
};

/// The value of a patched column.
pub(in crate::contract) static BINDING: ObjectInfo = ObjectInfo {
    name: "patch value",
    place: "/capabilities/N/patch/COLUMN",
    meaning: "What is written into one column: exactly one of the two.",
    closed: true,
    keys: &[
        key("fixed", Scalar, When("there is no from_arg"), "Always this value."),
        key("from_arg", Text, When("there is no fixed"), "The value of this argument."),
    ],
};

/// Bounds of a patched number.
pub(in crate::contract) static BOUND: ObjectInfo = ObjectInfo {
    name: "numeric bound",
    place: "/capabilities/N/numeric_bounds/COLUMN",
    meaning: "Bounds of one patched column; at least one of the two.",
    closed: true,
    keys: &[
        key("minimum", Number, Optional, "The smallest value that may be proposed."),
        key("maximum", Number, Optional, "The largest value that may be proposed."),
    ],
};

/// A transition guard.
pub(in crate::contract) static TRANSITION: ObjectInfo = ObjectInfo {
    name: "transition guard",
    place: "/capabilities/N/transition_guards/COLUMN",
    meaning: "Which value of a column may follow which.",
    closed: true,
    keys: &[
        key(
            "from_column",
            Identifier,
            Default("the guarded column"),
            "The column whose present value counts; a visible one.",
        ),
        key("allowed", Transitions, Required, "From each present value, the values that may be proposed."),
    ],
};

/// `conflict_guard`.
pub(in crate::contract) static CONFLICT_GUARD: ObjectInfo = ObjectInfo {
    name: "conflict guard",
    place: "/capabilities/N/conflict_guard",
    meaning: "How it is noticed that the row changed since the proposal.",
    closed: true,
    keys: &[
        key(
            "column",
            Identifier,
            When("weak_guard_ack is not true"),
            "The version column: one that every change moves, such as `updated_at`.",
        ),
        key(
            "weak_guard_ack",
            Flag,
            Default("false"),
            "True: there is no such column, and a digest over the columns that were read has to do.",
        ),
    ],
};

/// `approval`.
pub(in crate::contract) static APPROVAL: ObjectInfo = ObjectInfo {
    name: "approval",
    place: "/capabilities/N/approval",
    meaning: "Who decides. The proposer never does.",
    closed: true,
    keys: &[
        key("mode", Words(&["human"], &[]), Default("human"), "A person decides; the key says so and nothing else."),
        key("required_role", Text, Optional, "The role that approver needs, when deciding and when it is applied."),
    ],
};

/// `cloud`.
pub(in crate::contract) static CLOUD: ObjectInfo = ObjectInfo {
    name: "cloud",
    place: "/cloud",
    meaning: "How a control plane is reached. It is checked, and used by nothing yet.",
    closed: false,
    keys: &[
        key("base_url_env", EnvName, Required, "The variable that holds the control plane's address."),
        key("runner_token_env", EnvName, Required, "The variable that holds this runner's token."),
        key("adapter_id", Text, Required, "The adapter's id."),
        key("runner_id", Text, Optional, "This runner's id."),
        key("runner_version", Text, Optional, "This runner's version."),
        key("project_id", Text, Optional, "The project's id."),
        key("source_id", Text, Optional, "The source's id."),
        key("engines", ListOf(ENGINES.0, ENGINES.1), Optional, "The engines that this runner serves."),
        key("capabilities", Texts, Optional, "What this runner can do."),
        key("session", Free, Optional, "The session."),
    ],
};
