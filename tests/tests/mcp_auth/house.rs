//! An issuer with its keys, a server that publishes them, and a gate that believes it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use serde_json::{Value, json};
use signoff::contract::{Contract, EXAMPLE};
use signoff::ledger::{LedgerOptions, SqliteLedger};
use signoff::mcp::auth::{Admitted, Gate, GateOptions, Identity, Refused};
use signoff::primitives::{Instant, Scripted, SystemIds};
use signoff::runtime::Environment;
use signoff::{Code, Runtime};
use tokio::sync::Semaphore;

pub const ISSUER: &str = "https://id.example";
pub const AUDIENCE: &str = "https://mcp.example/mcp";
/// When the tests begin, in seconds since 1970.
pub const NOW: i64 = 1_800_000_000;

/// A key pair of the issuer's.
pub struct Signer {
    algorithm: Algorithm,
    der: Vec<u8>,
    /// The public half, without an id.
    pub public: Value,
}

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    pub fn ed25519() -> Self {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(der.as_ref()).unwrap();
        let public = json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key()) });
        Self { algorithm: Algorithm::EdDSA, der: der.as_ref().to_vec(), public }
    }

    pub fn p256() -> Self {
        let random = SystemRandom::new();
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref(), &random).unwrap();
        let point = pair.public_key().as_ref();
        let public = json!({ "kty": "EC", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..]) });
        Self { algorithm: Algorithm::ES256, der: der.as_ref().to_vec(), public }
    }

    /// The kept one.
    pub fn rsa() -> Self {
        let der = STANDARD.decode(include_str!("keys/rsa-2048.der.b64").replace('\n', "")).unwrap();
        let pair = RsaKeyPair::from_der(&der).unwrap();
        let public = pair.public();
        let part = |bytes: Vec<u8>| b64(bytes);
        let parts: ring::rsa::PublicKeyComponents<Vec<u8>> = public.into();
        let public = json!({ "kty": "RSA", "n": part(parts.n), "e": part(parts.e) });
        Self { algorithm: Algorithm::RS256, der, public }
    }

    pub fn name(&self) -> &'static str {
        match self.algorithm {
            Algorithm::EdDSA => "EdDSA",
            Algorithm::ES256 => "ES256",
            _ => "RS256",
        }
    }

    pub fn encoding(&self) -> EncodingKey {
        match self.algorithm {
            Algorithm::EdDSA => EncodingKey::from_ed_der(&self.der),
            Algorithm::ES256 => EncodingKey::from_ec_der(&self.der),
            _ => EncodingKey::from_rsa_der(&self.der),
        }
    }

    /// A token of exactly these texts.
    pub fn sign(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", b64(header), b64(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.encoding(), self.algorithm).unwrap();
        format!("{message}.{signature}")
    }

    /// A token under this key id.
    pub fn token(&self, id: &str, claims: &Value) -> String {
        self.sign(&json!({ "alg": self.name(), "typ": "JWT", "kid": id }).to_string(), &claims.to_string())
    }

    /// The public half as it is published.
    pub fn jwk(&self, id: &str) -> Value {
        with(&self.public, json!({ "kid": id, "use": "sig", "alg": self.name() }))
    }
}

/// An object with other members; `null` takes one away.
pub fn with(object: &Value, other: Value) -> Value {
    let mut object = object.clone();
    for (name, value) in other.as_object().unwrap() {
        let members = object.as_object_mut().unwrap();
        if value.is_null() {
            members.remove(name)
        } else {
            members.insert(name.clone(), value.clone())
        };
    }
    object
}

/// What a good token says.
pub fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "tenant": "acme", "roles": ["support", "billing", "support"],
        "iat": NOW - 10, "nbf": NOW - 10, "exp": NOW + 900,
    })
}

pub fn claims_with(other: Value) -> Value {
    with(&claims(), other)
}

pub fn alice() -> Identity {
    identity("acme", "alice", &["billing", "support"])
}

pub fn identity(tenant: &str, principal: &str, roles: &[&str]) -> Identity {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    Identity {
        issuer: ISSUER.into(),
        subject: "alice".into(),
        tenant: tenant.into(),
        principal: principal.into(),
        roles,
    }
}

/// What the issuer's server answers.
#[derive(Clone)]
pub enum Answer {
    Keys(Vec<Value>),
    Raw(String),
    Status(u16),
    /// To another path, where the keys are.
    Redirect(Vec<Value>),
    /// Nothing, ever.
    Silence,
    /// The keys, when there is a permit.
    Held(Vec<Value>, Arc<Semaphore>),
}

/// The server that publishes the keys.
pub struct Issuer {
    pub at: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<AtomicUsize>,
    elsewhere: Arc<AtomicUsize>,
    serving: tokio::task::JoinHandle<()>,
}

impl Issuer {
    pub async fn new(answer: Answer) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (answer, asked, elsewhere) = (Arc::new(Mutex::new(answer)), Arc::default(), Arc::default());
        let (said, count, moved) = (Arc::clone(&answer), Arc::clone(&asked), Arc::clone(&elsewhere));
        let (moved_said, moved_count): (Arc<Mutex<Answer>>, Arc<AtomicUsize>) = (Arc::clone(&said), moved);
        let app = Router::new().route("/jwks", get(move || published(Arc::clone(&said), Arc::clone(&count)))).route(
            "/moved",
            get(move || {
                moved_count.fetch_add(1, Ordering::SeqCst);
                let Answer::Redirect(keys) = moved_said.lock().unwrap().clone() else { panic!("nobody is sent here") };
                async move { json!({ "keys": keys }).to_string() }
            }),
        );
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { at, answer, asked, elsewhere, serving }
    }

    pub fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// How often the keys were asked for.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// How often a redirect was followed.
    pub fn followed(&self) -> usize {
        self.elsewhere.load(Ordering::SeqCst)
    }

    pub fn url(&self) -> String {
        format!("http://{}/jwks", self.at)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn published(answer: Arc<Mutex<Answer>>, asked: Arc<AtomicUsize>) -> Response {
    asked.fetch_add(1, Ordering::SeqCst);
    let answer = answer.lock().unwrap().clone();
    match answer {
        Answer::Keys(keys) => json!({ "keys": keys }).to_string().into_response(),
        Answer::Raw(text) => text.into_response(),
        Answer::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Answer::Redirect(_) => (StatusCode::FOUND, [("location", "/moved")]).into_response(),
        Answer::Silence => std::future::pending().await,
        Answer::Held(keys, permits) => {
            permits.acquire().await.unwrap().forget();
            json!({ "keys": keys }).to_string().into_response()
        }
    }
}

/// A gate, the clock it looks at, and its issuer.
pub struct House {
    pub issuer: Issuer,
    pub gate: Gate,
    pub clock: Arc<Scripted>,
    _folder: tempfile::TempDir,
}

impl House {
    pub async fn new(keys: Vec<Value>) -> Self {
        Self::with(Answer::Keys(keys), |_| {}).await
    }

    /// The same with other settings in `signoff.mcp.auth`.
    pub async fn with(answer: Answer, change: impl FnOnce(&mut Value)) -> Self {
        let issuer = Issuer::new(answer).await;
        let mut auth = auth(&issuer.url());
        change(&mut auth);
        let clock = Arc::new(Scripted::new(Instant::from_unix(NOW).unwrap(), "auth"));
        let (runtime, folder) = runtime(Some(auth), &[], Arc::clone(&clock));
        let gate = Gate::from_contract(&runtime, &GateOptions::default()).unwrap();
        Self { issuer, gate, clock, _folder: folder }
    }

    /// So many seconds after the beginning.
    pub fn at(&self, seconds: i64) {
        self.clock.set(Instant::from_unix(NOW + seconds).unwrap(), "auth");
    }

    pub async fn admit(&self, token: &str) -> Result<Identity, Refused> {
        admit(&self.gate, token).await
    }

    /// Why a token is refused as one that is not accepted.
    #[track_caller]
    pub fn invalid(&self, given: Result<Identity, Refused>) -> &'static str {
        let refused = given.expect_err("it is refused");
        assert_eq!((refused.status, refused.code), (401, Code::AuthTokenInvalid), "{}", refused.reason);
        assert!(refused.challenge.contains("error=\"invalid_token\""), "{}", refused.challenge);
        refused.reason
    }
}

pub fn headers(values: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in values {
        headers.append(axum::http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    headers
}

pub async fn admit(gate: &Gate, token: &str) -> Result<Identity, Refused> {
    match gate.admit(&headers(&[("authorization", &format!("Bearer {token}"))]), None).await? {
        Admitted::Claims(identity) => Ok(identity),
        Admitted::Contract => panic!("a token has claims"),
    }
}

pub fn auth(url: &str) -> Value {
    json!({ "issuer": ISSUER, "audience": AUDIENCE, "jwks_url": url, "tenant_claim": "tenant" })
}

/// A runtime on the example's contract with these settings, and these variables.
pub fn runtime(auth: Option<Value>, variables: &[(&str, &str)], clock: Arc<Scripted>) -> (Runtime, tempfile::TempDir) {
    let mut contract: Value = serde_json::from_str(EXAMPLE).unwrap();
    if let Some(auth) = auth {
        contract["signoff"] = json!({ "mcp": { "auth": auth } });
    }
    let (contract, _) = Contract::parse(&contract.to_string()).unwrap_or_else(|found| panic!("{found:#?}"));
    let folder = tempfile::tempdir().unwrap();
    let options = LedgerOptions::create(folder.path().join("ledger.db"));
    let ledger = SqliteLedger::open(options, &*clock, &SystemIds).unwrap();
    let variables: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let environment = Environment::new(move |name| variables.get(name).cloned());
    let runtime = Runtime::new(Some(contract), Arc::new(ledger)).with_environment(environment);
    (runtime.with_clock(clock, Arc::new(SystemIds)), folder)
}
