//! A signed token (RFC 7515, RFC 7519, RFC 8725): its form and header, and, once its signature is known to be good, its claims.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Identity;
use crate::contract::{Algorithm, McpAuth};
use crate::primitives::json::{self, Node, NodeValue};
use crate::primitives::{Instant, looks_secret};

/// A token may be so long, in bytes.
const LONGEST: usize = 8 << 10;
/// A tenant, a principal or a role may be so long, in bytes.
const LONGEST_NAME: usize = 512;
/// A caller may hold so many roles.
const MOST_ROLES: usize = 256;
/// 9999-12-31T23:59:59Z: what is later is no time.
const LAST_SECOND: i64 = 253_402_300_799;

/// A token in its form. Nothing in it is believed yet.
pub(super) struct Token<'t> {
    /// How it says that it is signed; one of those that are accepted.
    pub(super) algorithm: Algorithm,
    /// The key that it names.
    pub(super) key: Option<String>,
    /// What is signed.
    pub(super) message: &'t [u8],
    pub(super) signature: Vec<u8>,
    claims: &'t str,
}

/// Why claims are not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lacking {
    /// The token is not for us, or not now, or not whole.
    Invalid(&'static str),
    /// All is well but for its scopes.
    Scope,
}

impl<'t> Token<'t> {
    /// Reads form and header.
    pub(super) fn parse(token: &'t str, accepted: &[Algorithm]) -> Result<Self, &'static str> {
        if token.len() > LONGEST {
            return Err("it is longer than 8 KiB");
        }
        let not_one = "it is not a signed token of three parts";
        let (message, signature) = token.rsplit_once('.').ok_or(not_one)?;
        let (header, claims) = message.split_once('.').ok_or(not_one)?;
        if claims.contains('.') {
            return Err(not_one);
        }
        let header = object(header).ok_or("its header is not a JSON object in base64url")?;
        let algorithm = header.get("alg").and_then(Node::as_str).and_then(Algorithm::parse);
        let algorithm =
            algorithm.filter(|algorithm| accepted.contains(algorithm)).ok_or("its algorithm is not accepted")?;
        if header.get("crit").is_some() {
            return Err("its header has extensions that have to be understood");
        }
        if !header.get("typ").is_none_or(|kind| kind.as_str().is_some_and(is_access_token)) {
            return Err("it is a token of another kind");
        }
        let key = match header.get("kid") {
            None => None,
            Some(id) => Some(id.as_str().ok_or("its key id is not a text")?.to_owned()),
        };
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "its signature is not base64url")?;
        Ok(Self { algorithm, key, message: message.as_bytes(), signature, claims })
    }

    /// Reads the claims. Only for a token whose signature was checked.
    pub(super) fn identity(&self, auth: &McpAuth, now: Instant) -> Result<Identity, Lacking> {
        let claims =
            object(self.claims).ok_or(Lacking::Invalid("its claims are not a JSON object, or one stands twice"))?;
        let identity = identity(&claims, auth, now).map_err(Lacking::Invalid)?;
        let held = scopes(&claims);
        if auth.scopes_required.iter().all(|scope| held.contains(&scope.as_str())) {
            Ok(identity)
        } else {
            Err(Lacking::Scope)
        }
    }
}

/// Also of a token that a draft or a profile gave a name; never of one for logout, for events, or of `none`.
fn is_access_token(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    matches!(kind.strip_prefix("application/").unwrap_or(&kind), "jwt" | "at+jwt")
}

fn object(part: &str) -> Option<Node> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    let node = json::parse(std::str::from_utf8(&bytes).ok()?).ok()?;
    node.as_object().is_some().then_some(node)
}

fn identity(claims: &Node, auth: &McpAuth, now: Instant) -> Result<Identity, &'static str> {
    let text = |name: &str| claims.get(name).and_then(Node::as_str);
    if text("iss") != Some(auth.issuer.as_str()) {
        return Err("another issuer made it");
    }
    if !is_for_us(claims.get("aud"), &auth.audiences) {
        return Err("it is meant for another audience");
    }
    let leeway = i64::try_from(auth.leeway_seconds).unwrap_or(0);
    let now = now.unix();
    let time = |name: &str, up: bool| claims.get(name).map(|node| seconds(node, up).ok_or("a time in it is not one"));
    // RFC 7519: on or after that moment it is not to be accepted.
    let expires = time("exp", false).ok_or("it never expires")??;
    if now.saturating_sub(leeway) >= expires {
        return Err("it has expired");
    }
    if time("nbf", true).transpose()?.is_some_and(|begins| now.saturating_add(leeway) < begins) {
        return Err("it is not valid yet");
    }
    if time("iat", true).transpose()?.is_some_and(|issued| now.saturating_add(leeway) < issued) {
        return Err("it was issued in the future");
    }
    let subject = text("sub").and_then(name).ok_or("it has no subject")?;
    let at = |claim: &str| found(claims, claim).and_then(Node::as_str).and_then(name);
    Ok(Identity {
        issuer: auth.issuer.clone(),
        subject,
        tenant: at(&auth.tenant_claim).ok_or("it names no tenant")?,
        principal: at(&auth.principal_claim).ok_or("it names no principal")?,
        roles: roles(found(claims, &auth.roles_claim)).ok_or("its roles are not a list of names")?,
    })
}

/// What a path leads to. A name that is an address has points of its own, and is one name.
fn found<'n>(claims: &'n Node, path: &str) -> Option<&'n Node> {
    if path.contains("://") {
        return claims.get(path);
    }
    path.split('.').try_fold(claims, |node, step| node.get(step))
}

fn is_for_us(audience: Option<&Node>, ours: &[String]) -> bool {
    let known = |node: &Node| node.as_str().is_some_and(|text| ours.iter().any(|one| one == text));
    audience.is_some_and(|node| match node.as_array() {
        Some(list) => list.iter().all(|one| one.as_str().is_some()) && list.iter().any(known),
        None => known(node),
    })
}

/// Seconds since 1970, whole; a fraction is cut towards the stricter side. No exponent: nobody writes a time so.
fn seconds(node: &Node, up: bool) -> Option<i64> {
    let NodeValue::Number(text) = &node.value else { return None };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole: i64 = whole.parse().ok().filter(|whole| (0..=LAST_SECOND).contains(whole))?;
    Some(whole + i64::from(up && fraction.bytes().any(|byte| byte != b'0')))
}

/// A name that can stand in a record and on a page.
fn name(text: &str) -> Option<String> {
    let fits = !text.trim().is_empty() && text.len() <= LONGEST_NAME && !text.chars().any(char::is_control);
    (fits && !looks_secret(text)).then(|| text.to_owned())
}

/// Sorted, each once; none if there is no such claim.
fn roles(claim: Option<&Node>) -> Option<Vec<String>> {
    let Some(claim) = claim else { return Some(Vec::new()) };
    let mut roles = match (claim.as_str(), claim.as_array()) {
        (Some(words), _) => words.split(' ').filter(|word| !word.is_empty()).map(name).collect::<Option<Vec<_>>>()?,
        (_, Some(list)) => list.iter().map(|one| one.as_str().and_then(name)).collect::<Option<Vec<_>>>()?,
        _ => return None,
    };
    roles.sort();
    roles.dedup();
    (roles.len() <= MOST_ROLES).then_some(roles)
}

/// `scope` as RFC 8693 has it, or `scp` as some issuers do; a text with spaces, or a list.
fn scopes(claims: &Node) -> Vec<&str> {
    let claim = claims.get("scope").or_else(|| claims.get("scp"));
    match claim.map(|claim| (claim.as_str(), claim.as_array())) {
        Some((Some(text), _)) => text.split(' ').collect(),
        Some((_, Some(list))) => list.iter().filter_map(Node::as_str).collect(),
        _ => Vec::new(),
    }
}
