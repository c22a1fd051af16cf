//! What two servers in the field say to each kind of token, and what is said here. Each row was run against those servers;
//! where they let in what they should not, the verdicts differ.

use serde_json::{Value, json};
use signoff::Code;

use super::house::*;

/// What is said here.
#[derive(Debug, PartialEq)]
enum Verdict {
    In,
    /// 401, nothing was shown.
    Missing,
    /// 401, and for the log this.
    Invalid(&'static str),
}
use Verdict::{In, Invalid, Missing};

/// Who publishes which keys: a sync server trusts one Ed25519 key, a gateway whatever the issuer has.
struct Keys {
    ed: Signer,
    rsa: Signer,
    stranger: Signer,
}

impl Keys {
    fn new() -> Self {
        Self { ed: Signer::ed25519(), rsa: Signer::rsa(), stranger: Signer::ed25519() }
    }

    fn good(&self) -> String {
        self.of(json!({}))
    }

    /// A token of the right key with other claims.
    fn of(&self, other: Value) -> String {
        self.ed.token("ed", &claims_with(other))
    }

    fn without_id(&self) -> String {
        self.ed.sign(r#"{"alg":"EdDSA"}"#, &claims().to_string())
    }
}

async fn verdict(house: &House, given: &[(&str, &str)]) -> Verdict {
    match house.gate.admit(&headers(given), None).await {
        Ok(admitted) => {
            assert_eq!(admitted, signoff::mcp::auth::Admitted::Claims(alice()));
            In
        }
        Err(refused) if refused.code == Code::AuthTokenMissing => {
            assert_eq!((refused.status, refused.challenge.contains("error")), (401, false));
            Missing
        }
        Err(refused) => Invalid(house.invalid(Err(refused))),
    }
}

fn bearer(token: &str) -> Option<String> {
    Some(format!("Bearer {token}"))
}

/// The table of a sync server that takes EdDSA alone, and looks neither at `iss` nor at `aud`.
#[tokio::test]
async fn the_table_of_a_sync_server() {
    let keys = Keys::new();
    let all = vec![keys.ed.jwk("ed"), keys.rsa.jwk("rsa")];
    let eddsa = House::with(Answer::Keys(all.clone()), |auth| auth["algorithms"] = json!(["EdDSA"])).await;
    let rsa = keys.rsa.token("rsa", &claims());
    let mut forged = keys.good();
    forged.truncate(forged.rfind('.').unwrap());
    let stranger = keys.stranger.token("ed", &claims());
    let rows: Vec<(&str, Option<String>, Verdict)> = vec![
        ("valid, with a subject", bearer(&keys.good()), In),
        ("the scheme in small letters", Some(format!("bearer {}", keys.good())), In),
        ("another audience", bearer(&keys.of(json!({ "aud": "mana" }))), Invalid("it is meant for another audience")),
        (
            "another issuer",
            bearer(&keys.of(json!({ "iss": "https://id.example.org" }))),
            Invalid("another issuer made it"),
        ),
        ("no expiry", bearer(&keys.of(json!({ "exp": null }))), Invalid("it never expires")),
        ("expired", bearer(&keys.of(json!({ "exp": NOW - 600 }))), Invalid("it has expired")),
        ("not valid yet", bearer(&keys.of(json!({ "nbf": NOW + 600 }))), Invalid("it is not valid yet")),
        ("RS256 where EdDSA alone is accepted", bearer(&rsa), Invalid("its algorithm is not accepted")),
        ("no key id, one key fits", bearer(&keys.without_id()), In),
        ("a key id that nobody has", bearer(&keys.ed.token("zzz", &claims())), Invalid("its key is not known")),
        ("a bad signature", bearer(&stranger), Invalid("its signature is not good")),
        ("no signature", bearer(&format!("{forged}.")), Invalid("its signature is not good")),
        ("an empty subject", bearer(&keys.of(json!({ "sub": "" }))), Invalid("it has no subject")),
        ("no header", None, Missing),
    ];
    for (row, header, expected) in rows {
        let given: Vec<(&str, &str)> = header.iter().map(|header| ("authorization", header.as_str())).collect();
        assert_eq!(verdict(&eddsa, &given).await, expected, "{row}");
    }
    // Two Ed25519 keys: now the id is needed.
    let house = House::new(vec![keys.ed.jwk("ed"), keys.stranger.jwk("other")]).await;
    let refused = house.invalid(house.admit(&keys.without_id()).await);
    assert_eq!(refused, "several keys fit, and it names none");
}

/// The table of a gateway that takes any algorithm of the key set, and the tenant from a header.
#[tokio::test]
async fn the_table_of_a_gateway() {
    let keys = Keys::new();
    let house = House::new(vec![keys.ed.jwk("ed"), keys.rsa.jwk("rsa")]).await;
    let rsa = keys.rsa.token("rsa", &claims());
    let space = ("x-mana-space", "somebody-elses");
    let rows: Vec<(&str, Option<String>, Verdict)> = vec![
        ("no header", None, Missing),
        ("another scheme", Some("Basic YWxpY2U6cGFzc3dvcmQ=".to_owned()), Missing),
        ("the scheme alone", Some("Bearer".to_owned()), Invalid("the token is empty")),
        ("garbage", bearer("garbage"), Invalid("it is not a signed token of three parts")),
        ("garbage of three parts", bearer("a.b.c"), Invalid("its header is not a JSON object in base64url")),
        ("another audience", bearer(&keys.of(json!({ "aud": "x" }))), Invalid("it is meant for another audience")),
        ("expired", bearer(&keys.of(json!({ "exp": NOW - 600 }))), Invalid("it has expired")),
        ("not valid yet", bearer(&keys.of(json!({ "nbf": NOW + 600 }))), Invalid("it is not valid yet")),
        ("a key id that nobody has", bearer(&keys.ed.token("zzz", &claims())), Invalid("its key is not known")),
        ("a bad signature", bearer(&keys.stranger.token("ed", &claims())), Invalid("its signature is not good")),
        ("an empty subject", bearer(&keys.of(json!({ "sub": "" }))), Invalid("it has no subject")),
        ("no subject", bearer(&keys.of(json!({ "sub": null }))), Invalid("it has no subject")),
        ("no tenant in the token", bearer(&keys.of(json!({ "tenant": null }))), Invalid("it names no tenant")),
        ("another issuer", bearer(&keys.of(json!({ "iss": "https://x" }))), Invalid("another issuer made it")),
        ("no expiry", bearer(&keys.of(json!({ "exp": null }))), Invalid("it never expires")),
        ("no key id, one key fits", bearer(&keys.without_id()), In),
        ("RS256, with its key in the set", bearer(&rsa), In),
    ];
    for (row, header, expected) in rows {
        let given: Vec<(&str, &str)> = header.iter().map(|header| ("authorization", header.as_str())).collect();
        assert_eq!(verdict(&house, &given).await, expected, "{row}");
        // A header that names a tenant changes nothing: there it was the tenant, whoever sent it.
        let given: Vec<(&str, &str)> = given.into_iter().chain([space, ("x-tenant-id", "other")]).collect();
        assert_eq!(verdict(&house, &given).await, expected, "{row}, and a tenant in a header");
    }
}

/// A token that a library makes, in each algorithm.
#[tokio::test]
async fn each_algorithm() {
    let signers = [("a", Signer::ed25519()), ("b", Signer::p256()), ("c", Signer::rsa())];
    let house = House::new(signers.iter().map(|(id, signer)| signer.jwk(id)).collect()).await;
    for (id, signer) in &signers {
        let mut header = jsonwebtoken::Header::new(signer.name().parse().unwrap());
        header.kid = Some((*id).to_owned());
        let token = jsonwebtoken::encode(&header, &claims(), &signer.encoding()).unwrap();
        assert_eq!(house.admit(&token).await, Ok(alice()), "{}", signer.name());
        for (other, _) in signers.iter().filter(|(other, _)| other != id) {
            let refused = house.invalid(house.admit(&signer.token(other, &claims())).await);
            assert_eq!(refused, "the key of this id is for another algorithm");
        }
    }
    assert_eq!(house.issuer.asked(), 1);
}
