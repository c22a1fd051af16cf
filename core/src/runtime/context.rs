//! Who is asking, and for which tenant. Never from the model.

use std::fmt;
use std::sync::Arc;

use super::Runtime;
use crate::contract::{Capability, Provider, TrustedContext};
use crate::error::{Code, Error, Result};

/// Where environment variables come from; a test hands in its own. `SIGNOFF_X` beats `SYNAPSOR_X`, by whichever name it is
/// asked for.
#[derive(Clone)]
pub struct Environment(Arc<Lookup>);

type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

impl Environment {
    /// The process's own.
    #[must_use]
    pub fn system() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }

    /// One that looks names up with this function.
    pub fn new(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(lookup))
    }

    /// The value of a variable; empty is unset.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        let set = |name: &str| (self.0)(name).filter(|value| !value.is_empty());
        match name.strip_prefix("SYNAPSOR_").or_else(|| name.strip_prefix("SIGNOFF_")) {
            Some(rest) => set(&format!("SIGNOFF_{rest}")).or_else(|| set(&format!("SYNAPSOR_{rest}"))),
            None => set(name),
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Environment(…)")
    }
}

/// Who calls, as the embedding application vouches for it.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Caller {
    /// Tenant and principal come from the contract's provider, which vouches for no role.
    #[default]
    FromContract,
    /// The same for somebody at a terminal, who could change the contract as well: offered every capability.
    Operator,
    /// The application authenticated the caller itself.
    Trusted {
        /// The tenant.
        tenant: String,
        /// The principal.
        principal: String,
        /// The roles that the application vouches for: recorded with what the caller reads and proposes.
        roles: Vec<String>,
    },
}

impl Caller {
    /// Whether it is offered this capability: by the roles that somebody vouches for, and by no others.
    #[must_use]
    pub fn is_offered(&self, capability: &Capability) -> bool {
        match self {
            Self::Operator => true,
            Self::FromContract => capability.is_open_to(&[]),
            Self::Trusted { roles, .. } => capability.is_open_to(roles),
        }
    }

    /// A caller that the application authenticated itself.
    #[must_use]
    pub fn trusted(tenant: impl Into<String>, principal: impl Into<String>) -> Self {
        Self::Trusted { tenant: tenant.into(), principal: principal.into(), roles: Vec::new() }
    }

    /// The same with these roles.
    #[must_use]
    pub fn with_roles(mut self, held: impl IntoIterator<Item = String>) -> Self {
        if let Self::Trusted { roles, .. } = &mut self {
            roles.extend(held);
        }
        self
    }
}

/// Tenant and principal, resolved for one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bound {
    pub tenant: String,
    pub principal: String,
    pub roles: Vec<String>,
    pub provenance: &'static str,
}

impl Runtime {
    pub(super) fn bind(&self, capability: &Capability, caller: &Caller) -> Result<Bound> {
        if let Caller::Trusted { tenant, principal, roles } = caller {
            return bound(tenant.clone(), principal.clone(), roles.clone(), "trusted_session");
        }
        let context = self
            .need_contract()?
            .context_of(capability)
            .ok_or_else(|| Error::new(Code::TrustedContextMissing).with("capability", &capability.name))?;
        let (tenant, principal) = match context.provider {
            Provider::Environment => (
                self.variable(
                    context,
                    "tenant",
                    context.tenant_id_env.as_deref().unwrap_or("SYNAPSOR_TENANT_ID"),
                    None,
                )?,
                self.variable(
                    context,
                    "principal",
                    context.principal_env.as_deref().unwrap_or("SYNAPSOR_PRINCIPAL"),
                    None,
                )?,
            ),
            Provider::StaticDev => (
                self.variable(
                    context,
                    "tenant",
                    context.tenant_id_env.as_deref().unwrap_or(""),
                    context.tenant_id.as_deref(),
                )?,
                self.variable(
                    context,
                    "principal",
                    context.principal_env.as_deref().unwrap_or(""),
                    context.principal.as_deref(),
                )?,
            ),
            other => return Err(Error::new(Code::TrustedContextUnsupported).with("provider", other.as_str())),
        };
        bound(tenant, principal, Vec::new(), context.provider.as_str())
    }

    fn variable(&self, context: &TrustedContext, binding: &str, name: &str, literal: Option<&str>) -> Result<String> {
        let found = if name.is_empty() { None } else { self.environment.get(name) };
        found.or_else(|| literal.map(str::to_owned)).filter(|value| !value.is_empty()).ok_or_else(|| {
            let variable = if name.is_empty() { "it in the contract's values" } else { name };
            Error::new(Code::TrustedBindingMissing)
                .with("context", &context.name)
                .with("binding", binding)
                .with("variable", variable)
        })
    }
}

fn bound(tenant: String, principal: String, roles: Vec<String>, provenance: &'static str) -> Result<Bound> {
    let named = [("tenant", &tenant), ("principal", &principal)].into_iter();
    for (binding, value) in named.chain(roles.iter().map(|role| ("roles", role))) {
        if value.is_empty() || value.contains('\0') || crate::primitives::looks_secret(value) {
            return Err(Error::new(Code::TrustedBindingMissing)
                .with("context", provenance)
                .with("binding", binding)
                .with("variable", "a non-empty value that is not a credential"));
        }
    }
    Ok(Bound { tenant, principal, roles, provenance })
}
