//! Claims to the letter and to the second.

use serde_json::{Value, json};
use signoff::Code;

use super::house::*;

struct Bench {
    ed: Signer,
    house: House,
}

impl Bench {
    async fn new(change: impl FnOnce(&mut Value)) -> Self {
        let ed = Signer::ed25519();
        let house = House::with(Answer::Keys(vec![ed.jwk("ed")]), change).await;
        Self { ed, house }
    }

    async fn ok(&self, other: Value) -> bool {
        self.house.admit(&self.ed.token("ed", &claims_with(other))).await.is_ok()
    }

    /// Why claims in exactly this text are refused.
    async fn why(&self, text: &str) -> &'static str {
        let token = self.ed.sign(r#"{"alg":"EdDSA","kid":"ed"}"#, text);
        self.house.invalid(self.house.admit(&token).await)
    }
}

#[tokio::test]
async fn to_the_second() {
    let bench = Bench::new(|_| {}).await;
    for (claim, offset, expected) in [
        // RFC 7519: on or after `exp` it is not accepted.
        ("exp", -59, true),
        ("exp", -60, false),
        ("exp", -61, false),
        ("nbf", 60, true),
        ("nbf", 61, false),
        ("iat", 60, true),
        ("iat", 61, false),
    ] {
        assert_eq!(bench.ok(json!({ claim: NOW + offset })).await, expected, "{claim} {offset}");
    }
    let strict = Bench::new(|auth| auth["leeway_seconds"] = json!(0)).await;
    for (claim, offset, expected) in
        [("exp", 1, true), ("exp", 0, false), ("nbf", 0, true), ("nbf", 1, false), ("iat", 0, true), ("iat", 1, false)]
    {
        assert_eq!(strict.ok(json!({ claim: NOW + offset })).await, expected, "{claim} {offset}");
    }
    // A fraction is cut towards the stricter side.
    assert!(!strict.ok(json!({ "exp": NOW as f64 + 0.5 })).await);
    assert!(!strict.ok(json!({ "nbf": NOW as f64 + 0.5 })).await);
    assert!(strict.ok(json!({ "exp": NOW as f64 + 1.5, "nbf": NOW as f64 - 0.5 })).await);
    for absent in ["nbf", "iat"] {
        assert!(strict.ok(json!({ absent: null })).await, "{absent}");
    }
}

#[tokio::test]
async fn a_time_is_a_number_of_seconds() {
    let bench = Bench::new(|_| {}).await;
    let text = |claim: &str, value: &str| {
        let others = claims_with(json!({ claim: null })).to_string();
        format!("{},\"{claim}\":{value}}}", &others[..others.len() - 1])
    };
    for claim in ["exp", "nbf", "iat"] {
        for value in [
            "\"1800000900\"",
            "1.8e9",
            "18E8",
            "9223372036854775807",
            "9223372036854775808",
            "1e400",
            "-1",
            "-1800000900",
            "253402300800",
            "true",
            "[]",
            "{}",
            "null",
        ] {
            assert_eq!(bench.why(&text(claim, value)).await, "a time in it is not one", "{claim} {value}");
        }
        assert_eq!(bench.why(&text(claim, "NaN")).await, "its claims are not a JSON object, or one stands twice");
    }
}

#[tokio::test]
async fn no_claim_stands_twice() {
    let bench = Bench::new(|_| {}).await;
    let whole = claims().to_string();
    for twice in [
        r#","tenant":"globex"}"#,
        r#","sub":"mallory"}"#,
        r#","aud":"https://mcp.example/mcp"}"#,
        r#","exp":9999999999}"#,
        r#","\u0074enant":"globex"}"#,
        r#","x":{"a":1,"a":2}}"#,
    ] {
        let text = format!("{}{twice}", &whole[..whole.len() - 1]);
        assert_eq!(bench.why(&text).await, "its claims are not a JSON object, or one stands twice", "{twice}");
    }
    for text in ["[]", "null", "", "{} {}", "\"x\"", "{\"sub\":\"\\ud800\"}"] {
        assert_eq!(bench.why(text).await, "its claims are not a JSON object, or one stands twice", "{text}");
    }
}

#[tokio::test]
async fn for_whom_and_by_whom() {
    let bench = Bench::new(|auth| auth["audience"] = json!([AUDIENCE, "mana"])).await;
    for (aud, expected) in [
        (json!(AUDIENCE), true),
        (json!("mana"), true),
        (json!(["other", "mana"]), true),
        (json!([AUDIENCE]), true),
        (json!(["other"]), false),
        (json!([]), false),
        (json!([AUDIENCE, 1]), false),
        (json!([[AUDIENCE]]), false),
        (json!({ AUDIENCE: 1 }), false),
        (json!(format!("{AUDIENCE}/")), false),
        (json!("HTTPS://mcp.example/mcp"), false),
        (json!(format!("{AUDIENCE} other")), false),
        (json!(""), false),
        (json!(null), false),
    ] {
        assert_eq!(bench.ok(json!({ "aud": aud })).await, expected, "{aud}");
    }
    for iss in [json!("https://id.example/"), json!("HTTPS://id.example"), json!([ISSUER]), json!(""), json!(null)] {
        assert!(!bench.ok(json!({ "iss": iss })).await, "{iss}");
    }
}

#[tokio::test]
async fn who_it_is() {
    let bench = Bench::new(|auth| {
        auth["principal_claim"] = json!("email");
        auth["roles_claim"] = json!("realm_access.roles");
        auth["tenant_claim"] = json!("https://acme.example/claims.tenant");
    })
    .await;
    let said = |other: Value| {
        with(&claims_with(json!({ "https://acme.example/claims.tenant": "acme", "email": "a@x" })), other)
    };
    let admit = async |other: Value| bench.house.admit(&bench.ed.token("ed", &said(other))).await;
    let roles = |roles: Value| json!({ "realm_access": { "roles": roles } });
    assert_eq!(admit(json!({})).await, Ok(identity("acme", "a@x", &[])), "no roles is no role");
    for list in [json!(["b", "a", "b"]), json!("b a"), json!(" a  b ")] {
        assert_eq!(admit(roles(list)).await, Ok(identity("acme", "a@x", &["a", "b"])));
    }
    for list in [json!(1), json!(["a", 1]), json!([""]), json!({ "a": true }), json!(["a\n"]), json!(true)] {
        let why = bench.house.invalid(admit(roles(list.clone())).await);
        assert_eq!(why, "its roles are not a list of names", "{list}");
    }
    for (claim, why) in [
        ("email", "it names no principal"),
        ("sub", "it has no subject"),
        ("https://acme.example/claims.tenant", "it names no tenant"),
    ] {
        let long = "x".repeat(513);
        let bad = ["", " ", "a\u{0}", "a\nb", &long, "postgres://u:p@h/db"].map(|text| json!(text));
        for value in bad.into_iter().chain([json!(null), json!(1), json!(["acme"]), json!({})]) {
            assert_eq!(bench.house.invalid(admit(json!({ claim: value })).await), why, "{claim} {value}");
        }
    }
}

#[tokio::test]
async fn every_scope_that_is_asked_for() {
    let bench = Bench::new(|auth| auth["scopes_required"] = json!(["orders:read", "orders:propose"])).await;
    let admit = async |other: Value| bench.house.admit(&bench.ed.token("ed", &claims_with(other))).await;
    for held in [
        json!({ "scope": "orders:propose x orders:read" }),
        json!({ "scope": ["orders:read", "orders:propose"] }),
        json!({ "scp": ["orders:read", "orders:propose"] }),
        json!({ "scp": "orders:read orders:propose" }),
    ] {
        assert_eq!(admit(held).await, Ok(alice()));
    }
    for held in [
        json!({}),
        json!({ "scope": "orders:read" }),
        json!({ "scope": "orders:readorders:propose" }),
        json!({ "scope": "ORDERS:READ orders:propose" }),
        json!({ "scope": "", "scp": "orders:read orders:propose" }),
        json!({ "scope": 1 }),
    ] {
        let refused = admit(held.clone()).await.unwrap_err();
        assert_eq!((refused.status, refused.code), (403, Code::AuthScopeInsufficient), "{held}");
        assert_eq!(
            refused.challenge,
            "Bearer resource_metadata=\"https://mcp.example/.well-known/oauth-protected-resource/mcp\", \
             scope=\"orders:read orders:propose\", error=\"insufficient_scope\""
        );
    }
    // What is wrong with the token comes first: no scope heals it.
    assert_eq!(bench.house.invalid(admit(json!({ "exp": NOW - 600 })).await), "it has expired");
}
