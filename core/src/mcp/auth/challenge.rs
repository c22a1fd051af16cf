//! What somebody is told who may not come in: `WWW-Authenticate` (RFC 6750), and where to get a token (RFC 9728).

use hyper::Uri;
use serde_json::{Value, json};

use crate::contract::McpAuth;

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The challenges of a gate, made once.
pub(super) struct Challenges {
    /// The address that clients know the server by.
    resource: String,
    /// Without a token: RFC 6750 gives no reason then.
    pub(super) missing: String,
    /// With one that is not accepted. Which check failed is not told.
    pub(super) invalid: String,
    /// With one that lacks a scope: all that are asked for, at once.
    pub(super) scope: String,
}

impl Challenges {
    pub(super) fn new(auth: &McpAuth, resource: Option<&str>) -> Result<Self, &'static str> {
        let quotable = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
        if resource.is_some_and(|resource| !quotable(resource) || document(resource).is_none()) {
            return Err("the address of this server is not an http or https address");
        }
        let addresses = auth.audiences.iter().find(|audience| document(audience).is_some());
        let resource = resource.or(addresses.map(String::as_str)).or(auth.audiences.first().map(String::as_str));
        let resource = resource.unwrap_or_default();
        let mut parts = Vec::new();
        if let Some(document) = document(resource) {
            parts.push(format!("resource_metadata=\"{document}\""));
        }
        if !auth.scopes_required.is_empty() {
            parts.push(format!("scope=\"{}\"", auth.scopes_required.join(" ")));
        }
        let with = |error: Option<&str>| {
            let error = error.map(|error| format!("error=\"{error}\""));
            let all: Vec<&str> = parts.iter().map(String::as_str).chain(error.as_deref()).collect();
            format!("Bearer {}", all.join(", ")).trim_end().to_owned()
        };
        Ok(Self {
            resource: resource.to_owned(),
            missing: with(None),
            invalid: with(Some("invalid_token")),
            scope: with(Some("insufficient_scope")),
        })
    }

    /// The document that a client reads to learn where to get a token.
    pub(super) fn metadata(&self, auth: &McpAuth) -> Value {
        let mut document = json!({
            "resource": self.resource,
            "authorization_servers": auth.authorization_servers,
            "bearer_methods_supported": ["header"],
        });
        if let (Some(document), false) = (document.as_object_mut(), auth.scopes_required.is_empty()) {
            document.insert("scopes_supported".to_owned(), json!(auth.scopes_required));
        }
        document
    }
}

/// Where the document of a resource is: between its host and its path.
fn document(resource: &str) -> Option<String> {
    let uri: Uri = resource.parse().ok()?;
    let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme))?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
    let rest = uri.path_and_query().map_or("", |rest| rest.as_str());
    let rest = if rest == "/" { "" } else { rest };
    (!resource.contains('#')).then(|| format!("{scheme}://{authority}{WELL_KNOWN}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_stands_between_host_and_path() {
        for (resource, expected) in [
            ("https://mcp.example", Some("https://mcp.example/.well-known/oauth-protected-resource")),
            ("https://mcp.example/", Some("https://mcp.example/.well-known/oauth-protected-resource")),
            ("http://127.0.0.1:8766/mcp", Some("http://127.0.0.1:8766/.well-known/oauth-protected-resource/mcp")),
            ("https://a.example/x/mcp", Some("https://a.example/.well-known/oauth-protected-resource/x/mcp")),
            ("mana", None),
            ("urn:example:mcp", None),
            ("https://u:p@a.example/mcp", None),
            ("https://a.example/mcp#f", None),
        ] {
            assert_eq!(document(resource).as_deref(), expected, "{resource}");
        }
    }
}
