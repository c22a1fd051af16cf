//! Who a request over HTTP comes from.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq as _;

use crate::error::{Code, Error, Result};
use crate::primitives::Secret;
use crate::runtime::{Caller, Runtime};

/// What authenticates the requests of a [`Front`](super::Front).
#[derive(Debug, Clone)]
pub struct Gate(Arc<Vec<Secret>>);

/// Where a gate finds what it needs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GateOptions {
    /// The variable of the bearer token.
    pub token_env: String,
    /// The variable of the one that comes next.
    pub next_token_env: Option<String>,
    /// The canonical address of this server.
    pub resource: Option<String>,
}

impl Default for GateOptions {
    fn default() -> Self {
        Self { token_env: "SYNAPSOR_RUNNER_HTTP_TOKEN".to_owned(), next_token_env: None, resource: None }
    }
}

/// Who a token says that the caller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who says it.
    pub issuer: String,
    /// Whom they mean.
    pub subject: String,
    /// The tenant.
    pub tenant: String,
    /// The principal.
    pub principal: String,
    /// Its roles, sorted.
    pub roles: Vec<String>,
}

impl Identity {
    /// As the runtime takes it.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller::trusted(&self.tenant, &self.principal).with_roles(self.roles.iter().cloned())
    }
}

/// A request that may come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    /// Its token says who.
    Claims(Identity),
    /// The contract's provider says who.
    Contract,
}

/// A request that may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// 401, 403 or 503.
    pub status: u16,
    /// Why.
    pub code: Code,
    /// The value of `WWW-Authenticate`.
    pub challenge: String,
}

impl Gate {
    /// As the contract says.
    pub fn from_contract(runtime: &Runtime, options: &GateOptions) -> Result<Self> {
        let token = runtime.environment().get(&options.token_env);
        let token = token.ok_or_else(|| Error::new(Code::HttpAuthTokenMissing).with("variable", &options.token_env))?;
        Ok(Self(Arc::new(vec![Secret::new(token)])))
    }

    /// Everybody may.
    #[must_use]
    pub fn open() -> Self {
        Self(Arc::new(Vec::new()))
    }

    /// Looks at a request.
    pub async fn admit(&self, headers: &HeaderMap, _query: Option<&str>) -> std::result::Result<Admitted, Refused> {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let given = given.strip_prefix("Bearer ").unwrap_or_default();
        if self.0.is_empty() || self.0.iter().any(|secret| secret.expose().as_bytes().ct_eq(given.as_bytes()).into()) {
            return Ok(Admitted::Contract);
        }
        Err(Refused { status: 401, code: Code::HttpAuthTokenMissing, challenge: "Bearer".to_owned() })
    }

    /// The protected resource's metadata.
    #[must_use]
    pub fn metadata(&self) -> Option<serde_json::Value> {
        None
    }
}
