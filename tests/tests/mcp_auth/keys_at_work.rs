//! Keys that come and go, and an issuer that does not answer.

use std::sync::Arc;

use serde_json::{Value, json};
use signoff::Code;
use signoff::mcp::auth::{Gate, GateOptions};
use signoff::primitives::{Instant, Scripted};
use tokio::sync::Semaphore;

use super::house::*;

#[tokio::test]
async fn a_new_key_is_known_after_the_cool_down_and_a_removed_one_goes() {
    let (one, two) = (Signer::ed25519(), Signer::p256());
    let (old, new) = (one.token("one", &claims()), two.token("two", &claims()));
    let house = House::new(vec![one.jwk("one")]).await;
    assert_eq!(house.admit(&old).await, Ok(alice()));
    house.issuer.answers(Answer::Keys(vec![one.jwk("one"), two.jwk("two")]));
    house.at(29);
    assert_eq!(house.invalid(house.admit(&new).await), "its key is not known");
    assert_eq!(house.issuer.asked(), 1);
    house.at(30);
    assert_eq!(house.admit(&new).await, Ok(alice()));
    assert_eq!(house.admit(&old).await, Ok(alice()));
    assert_eq!(house.issuer.asked(), 2);
    // Taken back: used until the keys are asked for again, five minutes later, and not once more.
    house.issuer.answers(Answer::Keys(vec![two.jwk("two")]));
    house.at(30 + 299);
    assert_eq!(house.admit(&old).await, Ok(alice()));
    house.at(30 + 300);
    assert_eq!(house.invalid(house.admit(&old).await), "its key is not known");
    assert_eq!(house.admit(&new).await, Ok(alice()));
    assert_eq!(house.issuer.asked(), 3);
    // All of them.
    house.issuer.answers(Answer::Keys(vec![]));
    house.at(700);
    assert_eq!(house.invalid(house.admit(&new).await), "its key is not known");
}

#[tokio::test]
async fn a_flood_of_unknown_keys_is_one_fetch_in_a_cool_down() {
    let ed = Signer::ed25519();
    let house = House::new(vec![ed.jwk("ed")]).await;
    for number in 0..10_000 {
        let header = json!({ "alg": "EdDSA", "kid": format!("kid-{number}") }).to_string();
        let token = format!("{}.{}.AAAA", b64(header), b64("{}"));
        assert_eq!(house.invalid(house.admit(&token).await), "its key is not known");
    }
    assert_eq!(house.issuer.asked(), 1);
    house.at(31);
    let house = Arc::new(house);
    let flood: Vec<_> = (0..500)
        .map(|number| {
            let (house, token) = (Arc::clone(&house), ed.token(&format!("kid-{number}"), &claims()));
            tokio::spawn(async move { house.admit(&token).await.is_err() })
        })
        .collect();
    for one in flood {
        assert!(one.await.unwrap());
    }
    assert_eq!(house.issuer.asked(), 2);
    assert_eq!(house.admit(&ed.token("ed", &claims())).await, Ok(alice()));
}

#[tokio::test]
async fn all_who_wait_wait_for_one_fetch() {
    let ed = Signer::ed25519();
    let permits = Arc::new(Semaphore::new(0));
    let house = House::with(Answer::Held(vec![ed.jwk("ed")], Arc::clone(&permits)), |_| {}).await;
    let house = Arc::new(house);
    let good = ed.token("ed", &claims());
    let ask = || {
        let (house, good) = (Arc::clone(&house), good.clone());
        tokio::spawn(async move { house.admit(&good).await })
    };
    let waiting: Vec<_> = (0..100).map(|_| ask()).collect();
    // The first of them hangs up once the issuer was asked; its fetch goes on for the others.
    while house.issuer.asked() == 0 {
        tokio::task::yield_now().await;
    }
    let mut waiting = waiting.into_iter();
    let gone = waiting.next().unwrap();
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    permits.add_permits(1);
    for one in waiting {
        assert_eq!(one.await.unwrap(), Ok(alice()));
    }
    assert_eq!(house.issuer.asked(), 1);
}

#[tokio::test]
async fn the_last_keys_serve_for_an_hour() {
    let ed = Signer::ed25519();
    let good = ed.token("ed", &claims_with(json!({ "exp": NOW + 90_000 })));
    let house = House::new(vec![ed.jwk("ed")]).await;
    assert_eq!(house.admit(&good).await, Ok(alice()));
    for (seconds, answer) in [
        (400, Answer::Status(500)),
        (800, Answer::Status(204)),
        (1_200, Answer::Raw("<html>".to_owned())),
        (1_600, Answer::Raw(r#"{"keys":{}}"#.to_owned())),
        (2_000, Answer::Raw(r#"{"keys":[],"keys":[]}"#.to_owned())),
        (2_400, Answer::Redirect(vec![ed.jwk("ed"), ed.jwk("new")])),
        (2_800, Answer::Raw(format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(256 << 10)))),
        (3_200, Answer::Keys((0..65).map(|number| ed.jwk(&number.to_string())).collect())),
        (3_599, Answer::Status(503)),
    ] {
        house.issuer.answers(answer);
        house.at(seconds);
        assert_eq!(house.admit(&good).await, Ok(alice()), "after {seconds} s");
        // A key that is not among the last ones may be a new one: it cannot be told.
        let refused = house.admit(&ed.token("new", &claims_with(json!({ "exp": NOW + 90_000 })))).await.unwrap_err();
        assert_eq!((refused.status, refused.code), (503, Code::AuthKeysUnavailable), "after {seconds} s");
    }
    let asked = house.issuer.asked();
    assert_eq!(asked, 10, "one for each time");
    house.at(3_640);
    let refused = house.admit(&good).await.unwrap_err();
    assert_eq!((refused.status, refused.code, refused.challenge.as_str()), (503, Code::AuthKeysUnavailable, ""));
    assert!(Code::AuthKeysUnavailable.info().retryable);
    // Nobody hammers it meanwhile.
    for _ in 0..100 {
        assert_eq!(house.admit(&good).await.unwrap_err().status, 503);
    }
    assert_eq!(house.issuer.asked(), asked + 1);
    assert_eq!(house.issuer.followed(), 0);
    house.issuer.answers(Answer::Keys(vec![ed.jwk("ed")]));
    house.at(3_671);
    assert_eq!(house.admit(&good).await, Ok(alice()));
}

#[tokio::test]
async fn an_issuer_that_was_never_there() {
    let ed = Signer::ed25519();
    let good = ed.token("ed", &claims());
    for (answer, reason) in [
        (Answer::Redirect(vec![ed.jwk("ed")]), "it was moved, and redirects are not followed"),
        (Answer::Status(404), "it was not answered with status 200"),
        (Answer::Raw("[]".to_owned()), "the key set has no list of keys"),
        (Answer::Raw(format!("{{\"keys\":[]}}{}", " ".repeat(256 << 10))), "the answer was too long"),
        (Answer::Keys(vec![ed.jwk("ed"); 65]), "the key set has more than 64 keys"),
        // Five seconds, of a real clock.
        (Answer::Silence, "no whole answer came in time"),
    ] {
        let house = House::with(answer, |_| {}).await;
        let refused = house.admit(&good).await.unwrap_err();
        assert_eq!((refused.status, refused.code, refused.reason), (503, Code::AuthKeysUnavailable, reason));
        assert_eq!(house.admit(&good).await.unwrap_err().status, 503);
        assert_eq!((house.issuer.asked(), house.issuer.followed()), (1, 0));
    }
    // 64 keys are as many as there may be.
    let keys = (0..64).map(|number| ed.jwk(&format!("{number}"))).collect();
    let house = House::new(keys).await;
    assert_eq!(house.admit(&ed.token("63", &claims())).await, Ok(alice()));
}

#[tokio::test]
async fn a_clock_that_was_set_back_locks_nobody_out() {
    let ed = Signer::ed25519();
    let house = House::new(vec![ed.jwk("ed")]).await;
    house.at(100_000);
    let later = ed.token("ed", &claims_with(json!({ "exp": NOW + 200_000 })));
    assert_eq!(house.admit(&later).await, Ok(alice()));
    house.at(0);
    house.issuer.answers(Answer::Status(500));
    assert_eq!(house.admit(&later).await, Ok(alice()), "the last keys, whose age is not known");
    house.issuer.answers(Answer::Keys(vec![ed.jwk("ed")]));
    house.at(31);
    assert_eq!(house.admit(&later).await, Ok(alice()));
    assert_eq!(house.issuer.asked(), 3);
}

#[tokio::test]
async fn keys_in_a_file() {
    let (one, two) = (Signer::ed25519(), Signer::ed25519());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    let write = |keys: Vec<Value>| std::fs::write(&file, json!({ "keys": keys }).to_string()).unwrap();
    write(vec![one.jwk("one")]);
    let path = file.display().to_string();
    let settings = with(&auth("x"), json!({ "jwks_url": null, "jwks_file": path }));
    let clock = Arc::new(Scripted::new(Instant::from_unix(NOW).unwrap(), "auth"));
    let (runtime, _ledger) = runtime(Some(settings.clone()), &[], Arc::clone(&clock));
    let gate = Gate::from_contract(&runtime, &GateOptions::default()).unwrap();
    assert_eq!(admit(&gate, &one.token("one", &claims())).await, Ok(alice()));
    write(vec![two.jwk("two")]);
    clock.set(Instant::from_unix(NOW + 31).unwrap(), "auth");
    assert_eq!(admit(&gate, &two.token("two", &claims())).await, Ok(alice()));
    assert!(admit(&gate, &one.token("one", &claims())).await.is_err());
    // A wrong one is told at once.
    for text in ["", "{", "[]"] {
        std::fs::write(&file, text).unwrap();
        let error = Gate::from_contract(&runtime, &GateOptions::default()).unwrap_err();
        assert_eq!(error.code(), Code::AuthConfigInvalid, "{text}");
    }
    std::fs::remove_file(&file).unwrap();
    let error = Gate::from_contract(&runtime, &GateOptions::default()).unwrap_err();
    assert_eq!(error.message(), "`jwks_file` of signoff.mcp.auth cannot be used: the file cannot be read");
}
