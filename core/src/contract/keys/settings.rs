//! The `signoff` objects of a contract: what v1 does not have.

use super::Need::{Default, Optional, When};
use super::Shape::*;
use super::{MCP_AUTH, ObjectInfo, ours};

/// `signoff` of the document.
pub(in crate::contract) static SETTINGS: ObjectInfo = ObjectInfo {
    name: "settings",
    place: "/signoff",
    meaning: "Settings that v1 does not have.",
    closed: true,
    keys: &[
        ours("proposal_ttl", Lifetime, Default("7d"), "How long a proposal waits for a decision."),
        ours("approval_ttl", Lifetime, Default("24h"), "How long an approval holds until it is applied."),
        ours("mcp", Object(&MCP), Optional, "The agent's door."),
    ],
};

/// `mcp` of the document's settings.
pub(in crate::contract) static MCP: ObjectInfo = ObjectInfo {
    name: "mcp",
    place: "/signoff/mcp",
    meaning: "The agent's door.",
    closed: true,
    keys: &[
        ours(
            "auth",
            Object(&MCP_AUTH),
            Default("one bearer token from the environment"),
            "Whose tokens are believed: JSON Web Tokens of one issuer.",
        ),
        ours("rate_limit", Object(&RATE_LIMIT), Optional, "How often one principal may call one tool."),
    ],
};

/// `rate_limit` of the agent's door.
pub(in crate::contract) static RATE_LIMIT: ObjectInfo = ObjectInfo {
    name: "rate limit",
    place: "/signoff/mcp/rate_limit",
    meaning: "How often one principal may call one tool through the agent's door. A call beyond it is answered with `RATE_LIMITED`, and counts.",
    closed: true,
    keys: &[
        ours(
            "proposals_per_minute",
            WholeOrNull(1_000_000),
            Default("60"),
            "Calls in a minute of a tool that proposes or takes back; `null` is without a limit.",
        ),
        ours(
            "reads_per_minute",
            WholeOrNull(1_000_000),
            Default("600"),
            "The same for a tool or resource that is read.",
        ),
    ],
};

/// `signoff` of a source.
pub(in crate::contract) static SOURCE_SETTINGS: ObjectInfo = ObjectInfo {
    name: "source settings",
    place: "/sources/NAME/signoff",
    meaning: "What v1 does not have of a source.",
    closed: true,
    keys: &[
        ours(
            "create_receipts",
            Flag,
            Default("false"),
            "Whether `apply` may create the receipts table. Else `signoff writeback migrate` does.",
        ),
        ours("receipts_schema", Identifier, Default("the search path's first"), "The schema of the receipts table."),
    ],
};

/// `signoff` of an executor.
pub(in crate::contract) static EXECUTOR_SETTINGS: ObjectInfo = ObjectInfo {
    name: "executor settings",
    place: "/executors/NAME/signoff",
    meaning: "What v1 does not have of an executor that is not `sql_update`.",
    closed: true,
    keys: &[
        ours(
            "allow_private",
            Flag,
            Default("false"),
            "True: the handler may be in a private, link-local or carrier's network, or be a name for this machine. https is asked for all the same.",
        ),
        ours(
            "allow_unsigned",
            Flag,
            Default("false"),
            "True: requests that leave this machine may go without a signature.",
        ),
        ours(
            "dry_run",
            Flag,
            Default("false"),
            "True: the handler honours `dry_run`, and a dry run asks it, too. v1's own helper ignores it and writes.",
        ),
        ours("audience", Text, Default("the address without its query"), "What `audience` in a request says."),
        ours("env", Texts, Optional, "The names of further variables that a command gets."),
    ],
};

/// `signoff` of a capability.
pub(in crate::contract) static CAPABILITY_SETTINGS: ObjectInfo = ObjectInfo {
    name: "capability settings",
    place: "/capabilities/N/signoff",
    meaning: "Who is offered a capability, and as what. Whoever is not offered it is told that there is no such tool.",
    closed: true,
    keys: &[
        ours(
            "scope",
            Words(&["user-space", "admin"], &[]),
            Default("user-space"),
            "Whose data it is about: the caller's own, or others' as well. `admin` needs `roles`.",
        ),
        ours(
            "policy_hint",
            Words(&["read", "write", "destructive"], &[]),
            Default("read of a read, write of a proposal"),
            "What its effect is once it is applied. `destructive` tells clients so; a read is `read`, and a proposal is not.",
        ),
        ours(
            "roles",
            Texts,
            When("scope is admin"),
            "It is offered to those who hold one of these, as whoever authenticated them vouches. Without it, to everybody.",
        ),
        ours(
            "tool_digest",
            Digest,
            Optional,
            "What the tool was when it was reviewed, as `signoff tools list` shows it: if its name, description or schemas differ, nothing is opened (`TOOL_DEFINITION_CHANGED`).",
        ),
    ],
};
