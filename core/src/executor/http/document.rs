//! A document at an address that the operator named, read with the client of the handlers: no redirect, no proxy.

use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use tokio::time::Instant;

use super::address::Address;
use super::client::{Client, Failure};

/// What is read again and again from one address.
#[derive(Debug)]
pub(crate) struct Document(Address);

impl Document {
    /// The document at an address: https, or http on loopback. The operator named it, so it may be in a private network.
    pub(crate) fn at(url: &str) -> Result<Self, &'static str> {
        let address = Address::parse(url)?;
        address.check(true)?;
        Ok(Self(address))
    }

    /// Reads it, if it is no longer than so many bytes and whole in time.
    pub(crate) async fn read(
        &self,
        client: &Client,
        longest: usize,
        within: Duration,
    ) -> Result<Vec<u8>, &'static str> {
        let Self(address) = self;
        let request = Request::get(address.path.clone())
            .header("host", &address.authority)
            .header("accept", "application/json")
            .header("user-agent", concat!("signoff/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(Bytes::new()))
            .map_err(|_| "its address cannot stand in a request")?;
        match client.ask(address, true, request, Instant::now() + within, longest).await {
            Ok(answer) if answer.status == 200 => Ok(answer.body),
            Ok(answer) if (300..400).contains(&answer.status) => Err("it was moved, and redirects are not followed"),
            Ok(_) => Err("it was not answered with status 200"),
            Err(Failure::Forbidden(why) | Failure::NeverSent(why) | Failure::Lost(why)) => Err(why),
        }
    }
}
