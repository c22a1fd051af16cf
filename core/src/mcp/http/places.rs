//! Where a request says that it is going and comes from. A page in a browser can be made to call any address, under a name
//! of its own: so both are looked at, on every route, before anything else.

use http::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use http::uri::Authority;
use http::{HeaderName, Uri};

use super::FrontOptions;
use crate::error::{Code, Error, Result};

/// Where the protected resource's metadata stands (RFC 9728).
const METADATA: &str = "/.well-known/oauth-protected-resource";

#[derive(Debug)]
pub(super) struct Places {
    hosts: Vec<(String, Option<u16>)>,
    origins: Vec<Origin>,
    metadata: [String; 2],
}

#[derive(Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Places {
    pub(super) fn new(options: &FrontOptions) -> Result<Self> {
        let invalid = |place: &str| Error::new(Code::HttpPlaceInvalid).with("place", place);
        if !options.path.starts_with('/') || options.path.len() < 2 || options.path.ends_with('/') {
            return Err(invalid(&options.path));
        }
        let mut hosts: Vec<_> = ["localhost", "127.0.0.1", "[::1]"].map(|host| (host.to_owned(), None)).into();
        for host in &options.hosts {
            hosts.push(host_of(host).ok_or_else(|| invalid(host))?);
        }
        let origins = options.origins.iter().map(|origin| origin_of(origin).ok_or_else(|| invalid(origin)));
        let origins = origins.collect::<Result<_>>()?;
        Ok(Self { hosts, origins, metadata: [METADATA.to_owned(), format!("{METADATA}{}", options.path)] })
    }

    pub(super) fn metadata(&self, path: &str) -> bool {
        self.metadata.iter().any(|known| known == path)
    }

    /// Refused, or the origin that may read the answer, where a browser asks.
    pub(super) fn admit(&self, uri: &Uri, headers: &HeaderMap) -> std::result::Result<Option<HeaderValue>, Code> {
        let said = only(headers, HOST).map_err(|()| Code::HttpHostRefused)?;
        // HTTP/2 says it in the address; where both are said, both count.
        let said = said.map(HeaderValue::to_str).transpose().map_err(|_| Code::HttpHostRefused)?;
        let named = [said, uri.authority().map(Authority::as_str)];
        if named.iter().all(Option::is_none) || !named.into_iter().flatten().all(|host| self.host(host)) {
            return Err(Code::HttpHostRefused);
        }
        let Some(origin) = only(headers, ORIGIN).map_err(|()| Code::HttpOriginRefused)? else { return Ok(None) };
        let known = origin.to_str().ok().and_then(origin_of).is_some_and(|origin| self.origins.contains(&origin));
        if known { Ok(Some(origin.clone())) } else { Err(Code::HttpOriginRefused) }
    }

    fn host(&self, said: &str) -> bool {
        let Some((host, port)) = host_of(said) else { return false };
        self.hosts.iter().any(|(known, at)| *known == host && at.is_none_or(|at| port == Some(at)))
    }
}

/// The one value of a header; two are a trick.
fn only(headers: &HeaderMap, name: HeaderName) -> std::result::Result<Option<&HeaderValue>, ()> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (first, None) => Ok(first),
        _ => Err(()),
    }
}

fn host_of(text: &str) -> Option<(String, Option<u16>)> {
    let authority: Authority = text.parse().ok()?;
    let port = authority.port_u16();
    // `user@host`, and a port that is none.
    if text.contains(['@', '*'])
        || authority.host().is_empty()
        || (port.is_none() && authority.as_str() != authority.host())
    {
        return None;
    }
    Some((authority.host().trim_end_matches('.').to_ascii_lowercase(), port))
}

fn origin_of(text: &str) -> Option<Origin> {
    let (scheme, rest) = text.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let default = match scheme.as_str() {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let (host, port) = host_of(rest)?;
    Some(Origin { scheme, host, port: port.unwrap_or(default) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(hosts: &[&str], origins: &[&str]) -> Places {
        let owned = |list: &[&str]| list.iter().map(|&item| item.to_owned()).collect();
        Places::new(&FrontOptions { hosts: owned(hosts), origins: owned(origins), ..FrontOptions::default() }).unwrap()
    }

    fn admit(places: &Places, headers: &[(&'static str, &str)]) -> std::result::Result<bool, Code> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        places.admit(&Uri::from_static("/mcp"), &map).map(|origin| origin.is_some())
    }

    #[test]
    fn hosts() {
        let any = FrontOptions { hosts: vec!["*.example".to_owned()], ..FrontOptions::default() };
        assert_eq!(Places::new(&any).unwrap_err().code(), Code::HttpPlaceInvalid, "it would match nothing");
        let places = places(&["mcp.example", "other.example:8443"], &[]);
        for host in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:8766",
            "[::1]:8766",
            "mcp.example",
            "mcp.example:1",
            "other.example:8443",
            "mcp.example.",
        ] {
            assert_eq!(admit(&places, &[("host", host)]), Ok(false), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.2",
            "localhost.evil.example",
            "other.example",
            "other.example:1",
            "",
            "a@localhost",
            "localhost:",
            "localhost:99999",
            "[::1",
            "127.0.0.1:8766:1",
            "0",
            "mcp.example/x",
        ] {
            assert_eq!(admit(&places, &[("host", host)]), Err(Code::HttpHostRefused), "{host}");
        }
        assert_eq!(admit(&places, &[]), Err(Code::HttpHostRefused));
        let mut odd = HeaderMap::new();
        odd.insert("host", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        let named = Uri::from_static("http://localhost/mcp");
        assert_eq!(places.admit(&named, &odd), Err(Code::HttpHostRefused), "what is said twice counts twice");
        assert_eq!(admit(&places, &[("host", "localhost"), ("host", "evil.example")]), Err(Code::HttpHostRefused));
    }

    #[test]
    fn origins() {
        let places = places(&[], &["https://chat.example", "http://localhost:3000"]);
        let ask = |origin: &str| admit(&places, &[("host", "localhost"), ("origin", origin)]);
        for origin in ["https://chat.example", "https://CHAT.example:443", "http://localhost:3000"] {
            assert_eq!(ask(origin), Ok(true), "{origin}");
        }
        for origin in [
            "null",
            "",
            "http://chat.example",
            "https://chat.example:8443",
            "http://localhost",
            "https://chat.example.evil",
            "https://evil@chat.example",
            "https://chat.example/",
            "file://",
            "chrome-extension://x",
        ] {
            assert_eq!(ask(origin), Err(Code::HttpOriginRefused), "{origin}");
        }
        let two = [("host", "localhost"), ("origin", "https://chat.example"), ("origin", "https://evil.example")];
        assert_eq!(admit(&places, &two), Err(Code::HttpOriginRefused));
    }
}
