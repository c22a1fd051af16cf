//! `signoff.mcp.auth`: whose tokens are believed over HTTP, and what their claims mean.

/// Whose tokens are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct McpAuth {
    /// `iss`, to the letter.
    pub issuer: String,
    /// One of these has to stand in `aud`.
    pub audiences: Vec<String>,
    /// Where the issuer's public keys are.
    pub keys: KeySource,
    /// The algorithms that are accepted.
    pub algorithms: Vec<Algorithm>,
    /// The claim that holds the tenant.
    pub tenant_claim: String,
    /// The claim that holds the principal.
    pub principal_claim: String,
    /// The claim that holds the roles.
    pub roles_claim: String,
    /// Every one of these scopes has to be held.
    pub scopes_required: Vec<String>,
    /// Where a client gets a token.
    pub authorization_servers: Vec<String>,
    /// How far two clocks may be apart.
    pub leeway_seconds: u64,
}

/// Where the public keys of an issuer are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeySource {
    /// At this address.
    Url(String),
    /// At the address in this variable.
    UrlEnv(String),
    /// In this file.
    File(String),
}

/// A signature algorithm of RFC 7518 and RFC 8037. There is no symmetric one, and no `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// Ed25519.
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl Algorithm {
    /// All of them: what is accepted where the contract names none.
    pub const ALL: [Self; 3] = [Self::EdDsa, Self::Es256, Self::Rs256];

    /// The word in a token's header and in the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }

    /// The algorithm of this word, which is told by case.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == word)
    }
}
