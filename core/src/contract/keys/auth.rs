//! `signoff.mcp.auth`: what an agent's client has to show over HTTP.

use super::Need::{Default, Optional, Required, When};
use super::Shape::*;
use super::{ObjectInfo, ours};

/// `signoff.mcp.auth`.
pub(in crate::contract) static MCP_AUTH: ObjectInfo = ObjectInfo {
    name: "mcp auth",
    place: "/signoff/mcp/auth",
    meaning: "Whose tokens are believed, and what their claims mean.",
    closed: true,
    keys: &[
        ours("issuer", Text, Required, "`iss` of every token, to the letter."),
        ours(
            "audience",
            TextOrTexts,
            Required,
            "What `aud` of every token has to contain: the address of this server, or what the issuer writes for it. One, or a list of which one is enough.",
        ),
        ours(
            "jwks_url",
            Text,
            When("neither jwks_url_env nor jwks_file is given"),
            "Where the issuer publishes its keys (JWKS); https, or http on loopback.",
        ),
        ours("jwks_url_env", EnvName, Optional, "The variable that holds that address, in its place."),
        ours("jwks_file", Text, Optional, "A file with these keys, in its place; it is read again as they are."),
        ours(
            "algorithms",
            ListOf(&[], &["EdDSA", "ES256", "RS256"]),
            Default("all three"),
            "The signatures that are accepted. There is no `none`, and none with a shared secret.",
        ),
        ours("tenant_claim", Text, Required, "The claim that holds the tenant. A header never does."),
        ours("principal_claim", Text, Default("sub"), "The claim that holds the principal."),
        ours(
            "roles_claim",
            Text,
            Default("roles"),
            "The claim that holds the roles: a list of texts, or one with spaces. A path with points, such as `realm_access.roles`, leads into objects; these hold for the other two, too.",
        ),
        ours("scopes_required", Texts, Default("no scope is asked for"), "The scopes that every token has to have."),
        ours(
            "authorization_servers",
            Texts,
            Default("the issuer"),
            "Where clients get a token, as `/.well-known/oauth-protected-resource` tells them.",
        ),
        ours("leeway_seconds", UpTo(60), Default("60"), "How far the clocks of issuer and server may be apart."),
    ],
};
