//! Tokens and key sets that somebody made up.

use base64::Engine as _;
use jsonwebtoken::EncodingKey;
use serde_json::{Value, json};

use super::house::*;

fn hs256(header: &Value, secret: &[u8]) -> String {
    let message = format!("{}.{}", b64(header.to_string()), b64(claims().to_string()));
    let key = EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

#[tokio::test]
async fn no_algorithm_but_the_keys_own() {
    let (ed, rsa) = (Signer::ed25519(), Signer::rsa());
    let house =
        House::new(vec![ed.jwk("ed"), rsa.jwk("rsa"), json!({ "kty": "oct", "kid": "oct", "k": b64("secret") })]).await;
    let body = b64(claims().to_string());
    for alg in ["none", "None", "NONE", "nOnE", "", "HS384", "eddsa", "Ed25519", "RS512", "PS256", "ES256K"] {
        let header = b64(json!({ "alg": alg, "kid": "ed" }).to_string());
        let real = ed.good_signature(&format!("{header}.{body}"));
        for signature in ["", "AA", &real] {
            let refused = house.invalid(house.admit(&format!("{header}.{body}.{signature}")).await);
            assert_eq!(refused, "its algorithm is not accepted", "{alg}");
        }
    }
    for alg in [json!(null), json!(1), json!(["EdDSA"]), json!({})] {
        let token = ed.sign(&json!({ "alg": alg, "kid": "ed" }).to_string(), &claims().to_string());
        assert_eq!(house.invalid(house.admit(&token).await), "its algorithm is not accepted");
    }
    // What is public is no secret: its modulus, its document, its text.
    let document = rsa.jwk("rsa").to_string();
    let modulus = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(rsa.public["n"].as_str().unwrap()).unwrap();
    for secret in [modulus.as_slice(), document.as_bytes(), rsa.public["n"].as_str().unwrap().as_bytes(), b"secret"] {
        for id in ["rsa", "oct"] {
            let token = hs256(&json!({ "alg": "HS256", "kid": id }), secret);
            assert_eq!(house.invalid(house.admit(&token).await), "its algorithm is not accepted");
        }
    }
    // A symmetric key in the set is no key.
    let token = ed.token("oct", &claims());
    assert_eq!(house.invalid(house.admit(&token).await), "its key is not known");
}

impl Signer {
    /// The signature alone.
    pub fn good_signature(&self, message: &str) -> String {
        let algorithm = self.name().parse().unwrap();
        jsonwebtoken::crypto::sign(message.as_bytes(), &self.encoding(), algorithm).unwrap()
    }
}

#[tokio::test]
async fn a_key_id_is_only_compared() {
    let ed = Signer::ed25519();
    let house = House::new(vec![ed.jwk("ed")]).await;
    assert_eq!(house.admit(&ed.token("ed", &claims())).await, Ok(alice()));
    for id in [
        "../../../../etc/passwd",
        "/dev/null",
        "ed' OR '1'='1",
        "x'; DROP TABLE keys; --",
        "ed\0",
        "ed ",
        "Ed",
        "",
        "http://127.0.0.1/jwks",
        "{{7*7}}",
        "é",
    ] {
        assert_eq!(house.invalid(house.admit(&ed.token(id, &claims())).await), "its key is not known", "{id}");
    }
    let refused = house.invalid(house.admit(&ed.token(&"k".repeat(10 << 10), &claims())).await);
    assert_eq!(refused, "it is longer than 8 KiB");
    for id in [json!(1), json!(null), json!(["ed"]), json!({ "ed": 1 })] {
        let token = ed.sign(&json!({ "alg": "EdDSA", "kid": id }).to_string(), &claims().to_string());
        assert_eq!(house.invalid(house.admit(&token).await), "its key id is not a text");
    }
    assert_eq!(house.issuer.asked(), 1, "the first token had them fetched, a moment ago");
}

#[tokio::test]
async fn a_token_brings_no_key_along() {
    let (ed, stranger) = (Signer::ed25519(), Signer::ed25519());
    let house = House::new(vec![ed.jwk("ed")]).await;
    let elsewhere = Issuer::new(Answer::Keys(vec![stranger.jwk("ed")])).await;
    for more in
        [json!({ "jwk": stranger.jwk("ed") }), json!({ "jku": elsewhere.url() }), json!({ "x5u": elsewhere.url() })]
    {
        let header = with(&json!({ "alg": "EdDSA", "kid": "ed" }), more);
        let token = stranger.sign(&header.to_string(), &claims().to_string());
        assert_eq!(house.invalid(house.admit(&token).await), "its signature is not good");
    }
    assert_eq!(elsewhere.asked(), 0);
}

#[tokio::test]
async fn a_header_is_understood_or_refused() {
    let ed = Signer::ed25519();
    let house = House::new(vec![ed.jwk("ed")]).await;
    for (more, why) in [
        (json!({ "crit": ["b64"], "b64": false }), "its header has extensions that have to be understood"),
        (json!({ "crit": [] }), "its header has extensions that have to be understood"),
        (json!({ "typ": "none" }), "it is a token of another kind"),
        (json!({ "typ": "logout+jwt" }), "it is a token of another kind"),
        (json!({ "typ": "dpop+jwt" }), "it is a token of another kind"),
        (json!({ "typ": 1 }), "it is a token of another kind"),
    ] {
        let header = with(&json!({ "alg": "EdDSA", "kid": "ed" }), more);
        let refused = house.invalid(house.admit(&ed.sign(&header.to_string(), &claims().to_string())).await);
        assert_eq!(refused, why, "{header}");
    }
    for kind in ["JWT", "jwt", "at+jwt", "application/at+jwt"] {
        let header = json!({ "alg": "EdDSA", "kid": "ed", "typ": kind }).to_string();
        assert_eq!(house.admit(&ed.sign(&header, &claims().to_string())).await, Ok(alice()), "{kind}");
    }
    let not_one = "its header is not a JSON object in base64url";
    for header in
        [r#"{"alg":"none","alg":"EdDSA","kid":"ed"}"#, r#"["EdDSA"]"#, "\"EdDSA\"", "", "{", "{\"alg\":\"EdDSA\"} x"]
    {
        assert_eq!(house.invalid(house.admit(&ed.sign(header, &claims().to_string())).await), not_one, "{header}");
    }
    let good = ed.token("ed", &claims());
    let parts: Vec<&str> = good.split('.').collect();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    for (token, why) in [
        (format!("{head}.{body}"), "it is not a signed token of three parts"),
        (format!("{head}..{body}.{signature}"), "it is not a signed token of three parts"),
        (format!("{head}.{body}.{signature}.{signature}.{signature}"), "it is not a signed token of three parts"),
        (format!("{head}.{body}.{signature}="), "its signature is not base64url"),
        (format!("{head}.{body}.{signature}AA"), "its signature is not good"),
        (format!("{head}=.{body}.{signature}"), not_one),
        (format!("{head}.{body}=.{signature}"), "its signature is not good"),
        (format!("{head}.{body} .{signature}"), "its signature is not good"),
        (format!("{head}.{body}. {signature}"), "its signature is not base64url"),
        (format!("{good} {good}"), "it is not a signed token of three parts"),
        (format!("{good},Bearer"), "its signature is not base64url"),
        (format!("{good}!"), "its signature is not base64url"),
        (format!("{good}+/"), "its signature is not base64url"),
    ] {
        assert_eq!(house.invalid(house.admit(&token).await), why, "{token}");
    }
}

/// Keys that cannot be used are passed over; what is left is used.
#[tokio::test]
async fn a_key_is_for_one_thing() {
    let (ed, p256, rsa) = (Signer::ed25519(), Signer::p256(), Signer::rsa());
    let weak: Value = serde_json::from_str(include_str!("keys/rsa-1024.json")).unwrap();
    let bad = [
        with(&ed.jwk("alg"), json!({ "alg": "RS256" })),
        with(&rsa.jwk("alg"), json!({ "alg": "RS512" })),
        with(&p256.jwk("alg"), json!({ "alg": "ES384" })),
        with(&ed.jwk("use"), json!({ "use": "enc" })),
        with(&ed.jwk("ops"), json!({ "key_ops": ["sign"] })),
        with(&ed.jwk("ops"), json!({ "key_ops": "verify" })),
        with(&ed.jwk("crv"), json!({ "crv": "X25519" })),
        with(&p256.jwk("crv"), json!({ "crv": "P-384" })),
        with(&ed.jwk("x"), json!({ "x": "AAAA" })),
        with(&ed.jwk("x"), json!({ "x": ed.public["x"].as_str().unwrap().to_owned() + "=" })),
        with(&p256.jwk("y"), json!({ "y": null })),
        with(&ed.jwk("kid"), json!({ "kid": 7 })),
        with(&ed.jwk("kty"), json!({ "kty": "oct", "k": "AAAA" })),
        json!({ "kty": "RSA", "kid": "weak", "n": weak["n"], "e": weak["e"] }),
        json!(null),
        json!("key"),
        json!([]),
    ];
    // With its private half, which somebody published by mistake; and with members that nobody knows.
    let open = with(&ed.jwk("ed"), json!({ "d": b64([7; 32]), "x5c": ["AAAA"], "key_ops": ["verify"], "future": {} }));
    let house = House::new(bad.iter().cloned().chain([open]).collect()).await;
    assert_eq!(house.admit(&ed.token("ed", &claims())).await, Ok(alice()));
    for signer in [&ed, &p256, &rsa] {
        for id in ["alg", "use", "ops", "crv", "x", "y", "kid", "kty"] {
            let given = house.invalid(house.admit(&signer.token(id, &claims())).await);
            assert_eq!(given, "its key is not known", "{id}");
        }
    }
    // Its signature is good, its time has not come to an end, and its key is too short.
    let given = house.invalid(house.admit(weak["token"].as_str().unwrap()).await);
    assert_eq!(given, "its key is not known");
}

#[tokio::test]
async fn an_id_names_one_key() {
    let (ed, other, p256) = (Signer::ed25519(), Signer::ed25519(), Signer::p256());
    let house = House::new(vec![ed.jwk("a"), other.jwk("a"), p256.jwk("a")]).await;
    for signer in [&ed, &other] {
        assert_eq!(house.invalid(house.admit(&signer.token("a", &claims())).await), "two keys have this id");
    }
    // The third is for another algorithm, and there it is the only one.
    assert_eq!(house.admit(&p256.token("a", &claims())).await, Ok(alice()));
    // A key without an id is for tokens without one.
    let house = House::new(vec![with(&ed.jwk(""), json!({ "kid": null }))]).await;
    assert_eq!(house.admit(&ed.sign(r#"{"alg":"EdDSA"}"#, &claims().to_string())).await, Ok(alice()));
    assert_eq!(house.invalid(house.admit(&ed.token("", &claims())).await), "its key is not known");
}
