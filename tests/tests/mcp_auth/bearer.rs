//! One token for everybody, and what is said to those who have none.

use std::sync::Arc;

use serde_json::{Value, json};
use signoff::Code;
use signoff::mcp::auth::{Admitted, Gate, GateOptions, Refused};
use signoff::primitives::{Instant, Scripted};

use super::house::*;

const CURRENT: &str = "current-token-0123456789";
const NEXT: &str = "next-token-0123456789abc";

fn gate(auth: Option<Value>, variables: &[(&str, &str)], options: &GateOptions) -> signoff::Result<Gate> {
    let clock = Arc::new(Scripted::new(Instant::from_unix(NOW).unwrap(), "auth"));
    let (runtime, _folder) = runtime(auth, variables, clock);
    Gate::from_contract(&runtime, options)
}

async fn ask(gate: &Gate, value: &str, query: Option<&str>) -> Result<Admitted, Refused> {
    gate.admit(&headers(&[("authorization", value)]), query).await
}

#[tokio::test]
async fn the_present_token_and_the_next() {
    let mut options = GateOptions::default();
    options.next_token_env = Some("NEXT_TOKEN".to_owned());
    let gate = gate(None, &[("SYNAPSOR_RUNNER_HTTP_TOKEN", CURRENT), ("NEXT_TOKEN", NEXT)], &options).unwrap();
    for value in [format!("Bearer {CURRENT}"), format!("bearer {NEXT}"), format!("BEARER  {CURRENT}")] {
        assert_eq!(ask(&gate, &value, None).await, Ok(Admitted::Contract), "{value}");
    }
    let refused = |code: Code, reason: &'static str| Err((401, code, reason));
    let told = async |value: &str, query: Option<&str>| {
        ask(&gate, value, query).await.map_err(|refused| {
            assert_eq!(refused.challenge, "Bearer");
            (refused.status, refused.code, refused.reason)
        })
    };
    for value in [&CURRENT[1..], &format!("{CURRENT}x"), "x", &CURRENT.to_uppercase(), &format!("{CURRENT} {NEXT}")] {
        let expected = refused(Code::AuthTokenInvalid, "it is not the token that is expected");
        assert_eq!(told(&format!("Bearer {value}"), None).await, expected, "{value}");
    }
    assert_eq!(told("Basic YTpi", None).await, refused(Code::AuthTokenMissing, "it has no bearer token"));
    assert_eq!(told(CURRENT, None).await, refused(Code::AuthTokenMissing, "it has no bearer token"));
    let query = format!("access_token={CURRENT}");
    let expected = refused(Code::AuthTokenInvalid, "a token stands in the query");
    assert_eq!(told(&format!("Bearer {CURRENT}"), Some(&query)).await, expected, "also beside a good one");
    assert_eq!(gate.metadata(), None);
    assert_eq!(format!("{gate:?}"), "Gate(bearer token)");
}

#[tokio::test]
async fn a_token_is_needed_and_has_some_length() {
    let options = GateOptions::default();
    let told = |variables: &[(&str, &str)], options: &GateOptions| gate(None, variables, options).unwrap_err();
    let missing = told(&[], &options);
    assert_eq!(missing.code(), Code::HttpAuthTokenMissing);
    assert!(missing.message().contains("SIGNOFF_RUNNER_HTTP_TOKEN"));
    assert_eq!(told(&[("SYNAPSOR_RUNNER_HTTP_TOKEN", "")], &options).code(), Code::HttpAuthTokenMissing);
    for short in ["0123456789abcde", "0123456789abcde\n", "0123456789abcdé"] {
        let error = told(&[("SYNAPSOR_RUNNER_HTTP_TOKEN", short)], &options);
        assert_eq!(error.code(), Code::SecretUnusable);
        assert!(!error.to_string().contains("0123"), "{error}");
    }
    assert!(gate(None, &[("SYNAPSOR_RUNNER_HTTP_TOKEN", "0123456789abcdef")], &options).is_ok());
    // Our own name wins.
    let both = [("SYNAPSOR_RUNNER_HTTP_TOKEN", CURRENT), ("SIGNOFF_RUNNER_HTTP_TOKEN", NEXT)];
    let ours = gate(None, &both, &options).unwrap();
    assert!(ask(&ours, &format!("Bearer {NEXT}"), None).await.is_ok());
    assert!(ask(&ours, &format!("Bearer {CURRENT}"), None).await.is_err());
    // Another variable, and a next one that is not set, or too short.
    let mut named = GateOptions::default();
    named.token_env = "MY_TOKEN".to_owned();
    named.next_token_env = Some("MY_NEXT".to_owned());
    assert_eq!(told(&both, &named).field("variable"), Some("MY_TOKEN"));
    assert_eq!(told(&[("MY_TOKEN", CURRENT)], &named).field("variable"), Some("MY_NEXT"), "a slip in its name");
    let short = told(&[("MY_TOKEN", CURRENT), ("MY_NEXT", "short")], &named);
    assert_eq!((short.code(), short.field("number")), (Code::SecretUnusable, Some("2")));
}

#[tokio::test]
async fn an_open_gate_says_so() {
    let clock = Arc::new(Scripted::new(Instant::from_unix(NOW).unwrap(), "auth"));
    let (_runtime, _folder) = runtime(None, &[], clock);
    let gate = Gate::open();
    assert_eq!(gate.admit(&headers(&[]), None).await, Ok(Admitted::Contract));
    assert_eq!((gate.metadata(), format!("{gate:?}").as_str()), (None, "Gate(open)"));
}

/// Where the issuer is named, a bearer token of the environment opens nothing.
#[tokio::test]
async fn a_client_is_told_where_to_get_a_token() {
    let settings = with(
        &auth("https://id.example/jwks"),
        json!({ "scopes_required": ["a", "b"], "authorization_servers": ["https://login.example"] }),
    );
    let variables = [("SYNAPSOR_RUNNER_HTTP_TOKEN", CURRENT)];
    let mut options = GateOptions::default();
    let tokens = gate(Some(settings.clone()), &variables, &options).unwrap();
    let place = r#"resource_metadata="https://mcp.example/.well-known/oauth-protected-resource/mcp", scope="a b""#;
    let missing = tokens.admit(&headers(&[]), None).await.unwrap_err();
    assert_eq!((missing.code, missing.challenge), (Code::AuthTokenMissing, format!("Bearer {place}")));
    let invalid = ask(&tokens, &format!("Bearer {CURRENT}"), None).await.unwrap_err();
    assert_eq!(invalid.code, Code::AuthTokenInvalid);
    assert_eq!(invalid.challenge, format!("Bearer {place}, error=\"invalid_token\""));
    assert_eq!(
        tokens.metadata(),
        Some(json!({
            "resource": AUDIENCE, "authorization_servers": ["https://login.example"], "scopes_supported": ["a", "b"],
            "bearer_methods_supported": ["header"],
        }))
    );
    assert_eq!(format!("{tokens:?}"), "Gate(tokens of an issuer)");
    // An address of the operator's own, and an issuer that is its own authorization server.
    options.resource = Some("http://127.0.0.1:8766/mcp".to_owned());
    let local = gate(Some(auth("https://id.example/jwks")), &[], &options).unwrap();
    let challenge = local.admit(&headers(&[]), None).await.unwrap_err().challenge;
    let document = "http://127.0.0.1:8766/.well-known/oauth-protected-resource/mcp";
    assert_eq!(challenge, format!("Bearer resource_metadata=\"{document}\""));
    let metadata = local.metadata().unwrap();
    assert_eq!(metadata["authorization_servers"], json!([ISSUER]));
    assert_eq!(
        (metadata["resource"].as_str(), metadata.get("scopes_supported")),
        (Some("http://127.0.0.1:8766/mcp"), None)
    );
    for bad in ["", "mcp", "https://a/\"", "ftp://a/mcp", "https://a/mcp#x"] {
        options.resource = Some(bad.to_owned());
        let error = gate(Some(auth("https://id.example/jwks")), &[], &options).unwrap_err();
        assert_eq!(error.code(), Code::AuthConfigInvalid, "{bad}");
    }
}

#[test]
fn the_address_of_the_keys_is_looked_at_again() {
    let named = with(&auth("x"), json!({ "jwks_url": null, "jwks_url_env": "KEYS_URL" }));
    let made = |url: Option<&str>| {
        let variables: Vec<(&str, &str)> = url.map(|url| ("KEYS_URL", url)).into_iter().collect();
        gate(Some(named.clone()), &variables, &GateOptions::default())
    };
    for good in ["https://id.example/jwks", "https://10.0.0.7/jwks", "http://127.0.0.1:3001/jwks", "http://[::1]/jwks"]
    {
        assert!(made(Some(good)).is_ok(), "{good}");
    }
    for bad in [
        "http://id.example/jwks",
        "http://127.0.0.1.example/jwks",
        "http://10.0.0.7/jwks",
        "file:///etc/passwd",
        "https://u:p@id.example/",
        "x",
    ] {
        let error = made(Some(bad)).unwrap_err();
        assert_eq!((error.code(), error.field("setting")), (Code::AuthConfigInvalid, Some("jwks_url_env")), "{bad}");
        assert!(!error.to_string().contains("example"), "{error}");
    }
    assert!(made(None).unwrap_err().message().contains("KEYS_URL is not set"));
}
