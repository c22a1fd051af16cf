//! Where a request goes, and where it does not.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signoff::contract::Contract;
use signoff::executor::Resolve;
use signoff::runtime::{ApplyOptions, Ending, Environment, check_handlers};

use super::client::SECRET;
use super::house::{House, TOKEN, contract};

/// A resolver that answers what it is told to.
#[derive(Debug)]
struct Names {
    answers: Vec<SocketAddr>,
    asked: AtomicUsize,
}

#[async_trait::async_trait]
impl Resolve for Names {
    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(self.answers.clone())
    }
}

#[test]
fn private_networks_and_plain_http_are_refused_before_a_byte_leaves() {
    let Some(house) = House::new(1) else { return };
    let id = house.approved("INV-1");
    for (url, why) in [
        ("http://billing.example/x", "https is asked for off loopback"),
        ("https://10.1.2.3/x", "it is in a private network"),
        ("https://169.254.169.254/x", "it is a link-local address, where metadata services are"),
        ("https://[::ffff:192.168.0.1]/x", "it is in a private network"),
        ("https://user:planted@billing.example/x", "it holds a user's name or password; a token belongs into auth"),
        ("ftp://billing.example/x", "it is not http or https"),
        ("file:///etc/passwd", "it is not a URL"),
    ] {
        house.set("BILLING_APP_HANDLER_URL", url);
        let error = house.apply(&id).unwrap_err();
        assert_eq!((error.code().as_str(), error.field("reason")), ("EXECUTOR_URL_REFUSED", Some(why)), "{url}");
        assert!(!format!("{error:?}{error}").contains("planted"));
        assert_eq!(house.state(&id), "approved");
    }
    // A name is judged by every address that it has, when it is connected to.
    for (addresses, why) in [
        (vec!["127.0.0.1:443"], "it is this machine"),
        (vec!["93.184.215.14:443", "10.0.0.1:443"], "it is in a private network"),
        (vec!["[::1]:443"], "it is this machine"),
        (vec!["[::ffff:127.0.0.1]:443"], "it is this machine"),
        (vec!["0.0.0.0:443"], "it is an unspecified address"),
    ] {
        let names = Arc::new(Names {
            answers: addresses.iter().map(|at| at.parse().unwrap()).collect(),
            asked: AtomicUsize::new(0),
        });
        let runtime = house.runtime.clone().with_resolver(names.clone());
        house.set("BILLING_APP_HANDLER_URL", "https://rebound.example/x");
        let error = house.wait(runtime.apply(&id, &ApplyOptions::default())).unwrap_err();
        assert_eq!(
            (error.code().as_str(), error.field("reason")),
            ("EXECUTOR_URL_REFUSED", Some(why)),
            "{addresses:?}"
        );
        assert_eq!(names.asked.load(Ordering::SeqCst), 1, "what was looked at is what would be connected to");
    }
    assert!(house.sent().is_empty() && house.proxy.connections.load(Ordering::SeqCst) == 0);
    assert_eq!(house.app.effects(), 0);
}

#[test]
fn off_loopback_a_request_is_signed() {
    let Some(house) = House::with(1, |executor| {
        executor.as_object_mut().unwrap().remove("signing_secret_env");
    }) else {
        return;
    };
    let id = house.approved("INV-1");
    let here = house.variables.lock().unwrap()["BILLING_APP_HANDLER_URL"].clone();
    house.set("BILLING_APP_HANDLER_URL", "https://billing.example/x");
    assert_eq!(house.apply(&id).unwrap_err().code().as_str(), "HANDLER_SIGNING_REQUIRED");
    // On loopback it goes with the token alone; this handler wants a signature.
    house.set("BILLING_APP_HANDLER_URL", &here);
    let error = house.apply(&id).unwrap_err();
    assert_eq!((error.code().as_str(), error.field("reason")), ("EXECUTOR_REFUSED", Some("INVALID_SIGNATURE")));
    let (head, _) = house.sent().remove(0);
    assert!(head.to_ascii_lowercase().contains(&format!("authorization: bearer {TOKEN}")));
    assert!(!head.to_ascii_lowercase().contains("signature"));
    assert_eq!((house.state(&id).as_str(), house.app.effects()), ("approved", 0));
}

#[test]
fn connections_are_kept_and_an_old_one_is_no_lost_request() {
    let Some(house) = House::new(8) else { return };
    for number in 1..=8 {
        let id = house.approved(&format!("INV-{number}"));
        assert_eq!(house.apply(&id).unwrap().ending, Ending::Applied);
    }
    assert_eq!(house.proxy.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn what_the_doctor_finds() {
    let Some(house) = House::new(0) else { return };
    let here = house.variables.lock().unwrap()["BILLING_APP_HANDLER_URL"].clone();
    let look = |url: &str, secret: Option<&str>| {
        let parsed = Contract::parse(&contract(|executor| {
            if secret.is_none() {
                executor.as_object_mut().unwrap().remove("signing_secret_env");
            }
        }));
        let (url, secret) = (url.to_owned(), secret.map(str::to_owned));
        let environment = Environment::new(move |name| match name {
            "BILLING_APP_HANDLER_URL" => Some(url.clone()),
            "BILLING_APP_HANDLER_TOKEN" => Some(TOKEN.to_owned()),
            "BILLING_APP_HANDLER_SECRET" => secret.clone(),
            _ => None,
        });
        let checks = house.wait(check_handlers(&parsed.unwrap().0, &environment));
        checks.iter().map(|check| (check.name.rsplit(':').next().unwrap().to_owned(), check.level)).collect::<Vec<_>>()
    };
    let told = |reach: &'static str, sign: &'static str| {
        vec![("handler-reachability".to_owned(), reach), ("handler-signing".to_owned(), sign)]
    };
    // Nothing stands behind the proxy that would answer OPTIONS with a receipt; that it answers is all.
    let direct = here.replace(&house.proxy.at.to_string(), &house.app.at.to_string());
    assert_eq!(look(&direct, Some(SECRET)), told("pass", "pass"));
    assert_eq!(look(&direct, None), told("pass", "warn"));
    assert_eq!(look(&direct, Some("short")), told("pass", "warn"));
    assert_eq!(look("http://127.0.0.1:9/", Some(SECRET)), told("fail", "pass"));
    assert_eq!(look("https://10.0.0.1/", Some(SECRET)), vec![("handler-reachability".to_owned(), "fail")]);
    assert_eq!(look("https://billing.example/", None), vec![("handler-signing".to_owned(), "fail")]);
    assert_eq!(house.app.effects(), 0);
}
