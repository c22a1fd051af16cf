//! Which addresses are called. A name is resolved once for a connection, every address found is looked at, and what was
//! looked at is what is connected to.

use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use async_trait::async_trait;
use hyper::Uri;

/// Finds the addresses of a name.
#[async_trait]
pub trait Resolve: Send + Sync + Debug {
    /// The addresses of a name, each with this port.
    ///
    /// # Errors
    /// What the resolver says.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The operating system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

/// Where a handler is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// https.
    pub tls: bool,
    /// The host without brackets.
    pub host: String,
    /// Host and port as the `Host` header has them.
    pub authority: String,
    pub port: u16,
    /// What stands in the request line.
    pub path: Uri,
    /// The address without its query.
    pub audience: String,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Literal(IpAddr),
    /// RFC 6761: it is this machine, whatever a resolver says.
    Localhost,
    Name,
}

impl Address {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.contains('#') {
            return Err("it has a fragment");
        }
        let uri: Uri = text.parse().map_err(|_| "it is not a URL")?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("it is not http or https"),
        };
        let authority = uri.authority().ok_or("it has no host")?;
        if authority.as_str().contains('@') {
            return Err("it holds a user's name or password; a token belongs into auth");
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        if host.is_empty() {
            return Err("it has no host");
        }
        // A port that is no number is none to http::Uri, and another to other readers.
        let port = match (authority.port_u16(), authority.as_str().rsplit(']').next().unwrap_or_default().contains(':'))
        {
            (Some(0), _) | (None, true) => return Err("its port is not one"),
            (Some(port), _) => port,
            (None, false) if tls => 443,
            (None, false) => 80,
        };
        let place = match host.parse::<IpAddr>() {
            Ok(ip) => Place::Literal(ip),
            Err(_) if authority.host().starts_with('[') => return Err("it is not a URL"),
            Err(_) if host == "localhost" => Place::Localhost,
            Err(_) => Place::Name,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path: Uri = path.parse().map_err(|_| "it is not a URL")?;
        let scheme = if tls { "https" } else { "http" };
        let audience = format!("{scheme}://{}{}", authority.as_str().to_ascii_lowercase(), uri.path());
        Ok(Self { tls, host, authority: authority.to_string(), port, path, audience, place })
    }

    /// True of this machine, said in so many words: `127.0.0.1`, `::1`, `localhost`.
    pub fn is_loopback(&self) -> bool {
        match self.place {
            Place::Localhost => true,
            Place::Literal(ip) => ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST,
            Place::Name => false,
        }
    }

    /// What can be said before anything is resolved.
    pub fn check(&self, allow_private: bool) -> Result<(), &'static str> {
        if self.is_loopback() {
            return Ok(());
        }
        if !self.tls {
            return Err("https is asked for off loopback");
        }
        match self.place {
            Place::Literal(ip) => permitted(ip, allow_private),
            _ => Ok(()),
        }
    }

    /// Where to connect to, every address looked at.
    pub async fn candidates(&self, resolver: &dyn Resolve, allow_private: bool) -> Result<Vec<SocketAddr>, Refused> {
        self.check(allow_private).map_err(Refused::Forbidden)?;
        match self.place {
            Place::Literal(ip) => return Ok(vec![SocketAddr::new(ip, self.port)]),
            Place::Localhost => {
                let both = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
                return Ok(both.map(|ip| SocketAddr::new(ip, self.port)).to_vec());
            }
            Place::Name => {}
        }
        let found = resolver.resolve(&self.host, self.port).await.map_err(|_| Refused::Unknown)?;
        if found.is_empty() {
            return Err(Refused::Unknown);
        }
        // One that may not be called is one too many: the next look-up could put it first.
        found.iter().try_for_each(|at| permitted(at.ip(), allow_private)).map_err(Refused::Forbidden)?;
        Ok(found)
    }
}

/// Why there is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The name is not known.
    Unknown,
    /// It may not be called.
    Forbidden(&'static str),
}

/// May this address be called?
fn permitted(ip: IpAddr, allow_private: bool) -> Result<(), &'static str> {
    match reserved(ip) {
        Some(Reserved::Never(why)) => Err(why),
        Some(Reserved::Private(why)) if !allow_private => Err(why),
        _ => Ok(()),
    }
}

enum Reserved {
    Private(&'static str),
    Never(&'static str),
}

fn reserved(ip: IpAddr) -> Option<Reserved> {
    match ip {
        IpAddr::V4(ip) => reserved_v4(ip),
        IpAddr::V6(ip) => reserved_v6(ip),
    }
}

fn reserved_v4(ip: Ipv4Addr) -> Option<Reserved> {
    let private = |why| Some(Reserved::Private(why));
    let never = |why| Some(Reserved::Never(why));
    match ip.octets() {
        [0, ..] => never("it is an unspecified address"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => private("it is in a private network"),
        [127, ..] => private("it is this machine"),
        [169, 254, ..] => private("it is a link-local address, where metadata services are"),
        // Azure's metadata service stands at a public address.
        [168, 63, 129, 16] => private("it is a metadata service"),
        [100, 64..=127, ..] => private("it is in a carrier's network"),
        [192, 0, 0, _] | [198, 18..=19, ..] => private("it is in a reserved network"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => private("it is in a network for documentation"),
        [224..=239, ..] => never("it is a multicast address"),
        [240..=255, ..] => never("it is a broadcast or reserved address"),
        _ => None,
    }
}

fn reserved_v6(ip: Ipv6Addr) -> Option<Reserved> {
    let private = |why| Some(Reserved::Private(why));
    let segments = ip.segments();
    let [.., high, low] = segments;
    let tail = {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some(Reserved::Never("it is an unspecified address")),
        [0, 0, 0, 0, 0, 0, 0, 1] => private("it is this machine"),
        // An IPv4 address in other clothes is what it is: mapped, compatible, translated (SIIT, NAT64).
        [0, 0, 0, 0, 0, 0xffff, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0, 0, 0, 0, 0, 0, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, ..] => reserved_v4(tail),
        [0x64, 0xff9b, 1, ..] => private("it is in a private network"),
        [0x2002, one, two, ..] => {
            let ([a, b], [c, d]) = (one.to_be_bytes(), two.to_be_bytes());
            reserved_v4(Ipv4Addr::new(a, b, c, d))
        }
        [0x2001, 0, ..] | [0x100, 0, 0, 0, ..] => private("it is in a reserved network"),
        [0x2001, 0xdb8, ..] => private("it is in a network for documentation"),
        [0xfc00..=0xfdff, ..] => private("it is in a private network"),
        [0xfe80..=0xfeff, ..] => private("it is a link-local address"),
        [0xff00..=0xffff, ..] => Some(Reserved::Never("it is a multicast address")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_judged_before_it_is_called() {
        for (text, expected) in [
            ("http://127.0.0.1:8080/a?b=c", Ok(())),
            ("http://[::1]/a", Ok(())),
            ("http://LocalHost:3000", Ok(())),
            ("https://app.example/a", Ok(())),
            ("https://93.184.215.14", Ok(())),
            ("http://app.example/a", Err("https is asked for off loopback")),
            ("http://localhost./a", Err("https is asked for off loopback")),
            ("http://127.0.0.2/", Err("https is asked for off loopback")),
            ("https://127.0.0.2/", Err("it is this machine")),
            ("https://10.0.0.1", Err("it is in a private network")),
            ("https://172.31.255.255", Err("it is in a private network")),
            ("https://169.254.169.254/latest", Err("it is a link-local address, where metadata services are")),
            ("https://100.100.100.200", Err("it is in a carrier's network")),
            ("https://0.0.0.0", Err("it is an unspecified address")),
            ("https://255.255.255.255", Err("it is a broadcast or reserved address")),
            ("https://239.1.2.3", Err("it is a multicast address")),
            ("https://[::]", Err("it is an unspecified address")),
            ("https://[::ffff:10.0.0.1]", Err("it is in a private network")),
            ("https://[::ffff:127.0.0.1]", Err("it is this machine")),
            ("https://[::ffff:0:169.254.169.254]", Err("it is a link-local address, where metadata services are")),
            ("https://[64:ff9b::a9fe:a9fe]", Err("it is a link-local address, where metadata services are")),
            ("https://[2002:a00:1::]", Err("it is in a private network")),
            ("https://[fd00:ec2::254]", Err("it is in a private network")),
            ("https://[fe80::1]", Err("it is a link-local address")),
            ("https://[ff02::1]", Err("it is a multicast address")),
            ("https://[2606:2800:21f::1]", Ok(())),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.check(false), expected, "{text}");
            let always = expected.is_ok_and(|()| true)
                || expected
                    .is_err_and(|why| !why.contains("https") && !why.contains("cast") && !why.contains("unspec"));
            assert_eq!(address.check(true).is_ok(), always, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_none() {
        for text in [
            "",
            "app",
            "/path",
            "ftp://a/",
            "https://",
            "https:///a",
            "https://u:p@a/",
            "https://u@a/",
            "https://a/#f",
            "https://a:0/",
            "https://a:b/",
            "https://a:99999/",
            "https://a b/",
            "https://[::1",
            "https://[fe80::1%25eth0]/",
            "file:///etc",
            "https://é.example/",
            "https://[app]/",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
        let address = Address::parse("https://App.Example:8443/Hook?key=1").unwrap();
        assert_eq!((address.host.as_str(), address.port), ("app.example", 8443));
        assert_eq!(address.audience, "https://app.example:8443/Hook");
        assert_eq!(
            (address.authority.as_str(), address.path.to_string().as_str()),
            ("App.Example:8443", "/Hook?key=1")
        );
        assert_eq!(Address::parse("http://localhost").unwrap().path, "/");
    }
}
