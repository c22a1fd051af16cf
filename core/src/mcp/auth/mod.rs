//! Who calls over HTTP. A [`Gate`] looks at a request's headers before anything else does: either every caller shows one
//! secret, and tenant and principal are what the contract says; or each shows a token of the issuer that the contract
//! names, and its claims say who it is and for which tenant. A tenant is never taken from a header.
//!
//! Tokens are read here and not by a library: what has to be strict is the reading (no claim twice, no float, no unknown
//! extension, no algorithm but the key's own), and signatures are checked by `ring`, which is under TLS already.

mod bearer;
mod challenge;
mod keys;
mod store;
mod token;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use hyper::HeaderMap;
use serde_json::Value;

use self::bearer::{Bearer, NoToken};
use self::challenge::Challenges;
use self::store::{KeyStore, NoKey, Origin};
use self::token::{Lacking, Token};
use crate::contract::{KeySource, McpAuth};
use crate::error::{Code, Error, Result};
use crate::executor::Document;
use crate::primitives::Clock;
use crate::runtime::{Caller, Runtime};

/// Who a request comes from, as its token's issuer vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who vouches.
    pub issuer: String,
    /// Whom the issuer means.
    pub subject: String,
    /// The tenant.
    pub tenant: String,
    /// The principal.
    pub principal: String,
    /// The roles, sorted, each once.
    pub roles: Vec<String>,
}

impl Identity {
    /// The same as a caller of the runtime.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller::trusted(&self.tenant, &self.principal).with_roles(self.roles.iter().cloned())
    }
}

/// Who came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    /// The one that the token tells.
    Claims(Identity),
    /// Whoever the contract's provider tells.
    Contract,
}

/// Why somebody did not come in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// 401, 403 or 503.
    pub status: u16,
    /// The stable code; all that a client is told.
    pub code: Code,
    /// The value of `WWW-Authenticate`; empty with 503.
    pub challenge: String,
    /// Which check failed, for the operator's log. Nothing of the token stands in it.
    pub reason: &'static str,
}

/// How a gate is set up.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GateOptions {
    /// The variable that holds the bearer token, where the contract names no issuer.
    pub token_env: String,
    /// The variable that holds the next one while it is changed; either is accepted.
    pub next_token_env: Option<String>,
    /// The address that clients know this server by, if it is not the first of the audiences.
    pub resource: Option<String>,
}

impl Default for GateOptions {
    fn default() -> Self {
        Self { token_env: "SIGNOFF_RUNNER_HTTP_TOKEN".to_owned(), next_token_env: None, resource: None }
    }
}

/// Decides who comes in. Clones share their keys.
#[derive(Clone)]
pub struct Gate(Arc<Kind>);

enum Kind {
    Open,
    Bearer(Bearer),
    Tokens(Box<Tokens>),
}

/// The issuer, its keys, and what is said to those without a token of its.
struct Tokens {
    auth: McpAuth,
    keys: KeyStore,
    clock: Arc<dyn Clock>,
    challenges: Challenges,
}

impl Gate {
    /// The gate of a contract: tokens of the issuer in `signoff.mcp.auth`, else one bearer token from the environment.
    /// Nothing is fetched yet; a file of keys is read.
    ///
    /// # Errors
    /// `CONFIG_NOT_FOUND` for a runtime without a contract, `HTTP_AUTH_TOKEN_MISSING`, `SECRET_UNUSABLE`,
    /// `AUTH_CONFIG_INVALID`.
    pub fn from_contract(runtime: &Runtime, options: &GateOptions) -> Result<Self> {
        let kind = match &runtime.need_contract()?.mcp_auth {
            Some(auth) => Kind::Tokens(Box::new(Tokens::new(runtime, auth, options)?)),
            None => {
                let next = options.next_token_env.as_deref();
                Kind::Bearer(Bearer::new(runtime.environment(), &options.token_env, next)?)
            }
        };
        Ok(Self(Arc::new(kind)))
    }

    /// A gate that lets everybody in, as the contract's own caller. For development, on loopback.
    #[must_use]
    pub fn open() -> Self {
        Self(Arc::new(Kind::Open))
    }

    /// Looks at a request's headers and at the query of its address.
    ///
    /// # Errors
    /// What to answer instead.
    pub async fn admit(&self, headers: &HeaderMap, query: Option<&str>) -> Result<Admitted, Refused> {
        match &*self.0 {
            Kind::Open => Ok(Admitted::Contract),
            Kind::Bearer(bearer) => {
                let (code, reason) = match bearer::token(headers, query) {
                    Ok(token) if bearer.admits(token) => return Ok(Admitted::Contract),
                    Ok(_) => (Code::AuthTokenInvalid, "it is not the token that is expected"),
                    Err(none) => without(none),
                };
                Err(Refused { status: 401, code, challenge: "Bearer".to_owned(), reason })
            }
            Kind::Tokens(tokens) => tokens.admit(headers, query).await.map(Admitted::Claims),
        }
    }

    /// One bearer token, of a variable that has to be set.
    ///
    /// # Errors
    /// `HTTP_AUTH_TOKEN_MISSING`, `SECRET_UNUSABLE`.
    pub fn bearer(runtime: &Runtime, token_env: &str) -> Result<Self> {
        Ok(Self(Arc::new(Kind::Bearer(Bearer::new(runtime.environment(), token_env, None)?))))
    }

    /// The document at `/.well-known/oauth-protected-resource` (RFC 9728), if the contract names an issuer.
    #[must_use]
    pub fn metadata(&self) -> Option<Value> {
        match &*self.0 {
            Kind::Tokens(tokens) => Some(tokens.challenges.metadata(&tokens.auth)),
            Kind::Open | Kind::Bearer(_) => None,
        }
    }
}

fn without(token: NoToken) -> (Code, &'static str) {
    match token {
        NoToken::Missing => (Code::AuthTokenMissing, "it has no bearer token"),
        NoToken::Malformed(why) => (Code::AuthTokenInvalid, why),
    }
}

impl Refused {
    /// Where the application says who calls, and it did not.
    pub(super) fn unknown() -> Self {
        let challenge = "Bearer".to_owned();
        Self {
            status: 401,
            code: Code::AuthTokenMissing,
            challenge,
            reason: "the application does not know the caller",
        }
    }
}

impl Tokens {
    fn new(runtime: &Runtime, auth: &McpAuth, options: &GateOptions) -> Result<Self> {
        let clock = Arc::clone(runtime.clock());
        let refused = |setting: &'static str, problem: &str| {
            Error::new(Code::AuthConfigInvalid).with("setting", setting).with("problem", problem)
        };
        let at = |setting: &'static str, url: &str| {
            let document = Document::at(url).map_err(|why| refused(setting, why))?;
            let client = runtime.client().map_err(|why| refused(setting, why))?;
            Ok::<_, Error>(KeyStore::new(Origin::Address { document, client }, Arc::clone(&clock)))
        };
        let keys = match &auth.keys {
            KeySource::Url(url) => at("jwks_url", url)?,
            KeySource::UrlEnv(variable) => {
                let url = runtime.environment().get(variable);
                let url = url.ok_or_else(|| refused("jwks_url_env", &format!("{variable} is not set")))?;
                at("jwks_url_env", &url)?
            }
            KeySource::File(path) => {
                KeyStore::of_file(PathBuf::from(path), Arc::clone(&clock)).map_err(|why| refused("jwks_file", why))?
            }
        };
        let challenges = Challenges::new(auth, options.resource.as_deref()).map_err(|why| refused("audience", why))?;
        Ok(Self { auth: auth.clone(), keys, clock, challenges })
    }

    async fn admit(&self, headers: &HeaderMap, query: Option<&str>) -> Result<Identity, Refused> {
        let unauthorized =
            |code, challenge: &str, reason| Refused { status: 401, code, challenge: challenge.to_owned(), reason };
        let invalid = |reason| unauthorized(Code::AuthTokenInvalid, &self.challenges.invalid, reason);
        let given = bearer::token(headers, query).map_err(|none| match without(none) {
            (Code::AuthTokenMissing, reason) => unauthorized(Code::AuthTokenMissing, &self.challenges.missing, reason),
            (_, reason) => invalid(reason),
        })?;
        let token = Token::parse(given, &self.auth.algorithms).map_err(invalid)?;
        let key = self.keys.find(token.algorithm, token.key.as_deref()).await.map_err(|none| match none {
            NoKey::Refused(reason) => invalid(reason),
            NoKey::Unavailable(reason) => {
                Refused { status: 503, code: Code::AuthKeysUnavailable, challenge: String::new(), reason }
            }
        })?;
        if !key.verifies(token.message, &token.signature) {
            return Err(invalid("its signature is not good"));
        }
        token.identity(&self.auth, self.clock.now()).map_err(|lacking| match lacking {
            Lacking::Invalid(reason) => invalid(reason),
            Lacking::Scope => Refused {
                status: 403,
                code: Code::AuthScopeInsufficient,
                challenge: self.challenges.scope.clone(),
                reason: "it lacks a scope",
            },
        })
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match &*self.0 {
            Kind::Open => "Gate(open)",
            Kind::Bearer(_) => "Gate(bearer token)",
            Kind::Tokens(_) => "Gate(tokens of an issuer)",
        })
    }
}
