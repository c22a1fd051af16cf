//! Who is offered a capability, and how often an agent may call: what v1 has no words for.

use std::collections::BTreeSet;

use super::types::{Capability, Kind};
use crate::primitives::Digest;

/// `signoff` of a capability.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exposure {
    /// Whose data it is about.
    pub scope: ToolScope,
    /// What its effect is, once it is applied.
    pub policy_hint: PolicyHint,
    /// It is offered to those who hold one of these; `None` is everybody.
    pub roles: Option<BTreeSet<String>>,
    /// What the tool was when it was reviewed.
    pub tool_digest: Option<Digest>,
}

impl Exposure {
    /// What holds if a capability says nothing.
    #[must_use]
    pub fn of_kind(kind: Kind) -> Self {
        let policy_hint = if kind == Kind::Read { PolicyHint::Read } else { PolicyHint::Write };
        Self { scope: ToolScope::UserSpace, policy_hint, roles: None, tool_digest: None }
    }
}

/// Whose data a capability is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ToolScope {
    /// The caller's own.
    UserSpace,
    /// Others' as well: it names the roles it is offered to.
    Admin,
}

/// What a capability's effect is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyHint {
    /// None.
    Read,
    /// Something is added or changed.
    Write,
    /// Something is lost.
    Destructive,
}

impl ToolScope {
    /// The word in the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UserSpace => "user-space",
            Self::Admin => "admin",
        }
    }
}

impl PolicyHint {
    /// The word in the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Destructive => "destructive",
        }
    }
}

impl Capability {
    /// Whether somebody who holds these roles is offered it.
    #[must_use]
    pub fn is_open_to(&self, held: &[String]) -> bool {
        match (&self.exposure.roles, self.exposure.scope) {
            (Some(roles), _) => held.iter().any(|role| roles.contains(role)),
            (None, ToolScope::UserSpace) => true,
            // The reader refuses such a contract.
            (None, ToolScope::Admin) => false,
        }
    }
}

/// How often one principal may call one tool through the agent's door; `None` is without a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimit {
    /// Proposals in a minute.
    pub proposals_per_minute: Option<u32>,
    /// Reads in a minute.
    pub reads_per_minute: Option<u32>,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { proposals_per_minute: Some(60), reads_per_minute: Some(600) }
    }
}
