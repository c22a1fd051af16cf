//! From a token to a row: the tenant of a call is the one in the token.

use std::sync::Arc;

use serde_json::{Value, json};
use signoff::Code;
use signoff::contract::Contract;
use signoff::mcp::auth::{Gate, GateOptions};
use signoff::primitives::SystemClock;
use signoff::runtime::Caller;
use signoff_tests::{Workspace, library};

use super::house::*;

#[test]
fn the_tenant_of_a_call_is_the_tokens() {
    let ed = Signer::ed25519();
    let workspace = Workspace::new();
    let keys = workspace.path("keys.json");
    std::fs::write(&keys, json!({ "keys": [ed.jwk("ed")] }).to_string()).unwrap();
    let mut contract: Value = serde_json::from_str(&workspace.contract()).unwrap();
    let settings = json!({ "jwks_url": null, "jwks_file": keys.display().to_string(), "tenant_claim": "org" });
    contract["signoff"] = json!({ "mcp": { "auth": with(&auth("x"), settings) } });
    contract["trusted_context"] =
        json!({ "provider": "http_claims", "values": { "tenant_id_key": "org", "principal_key": "sub" } });
    let (_, found) = Contract::parse(&contract.to_string()).unwrap();
    assert_eq!(found, [], "claims have a gate that reads them: no warning");
    workspace.write_contract(&contract.to_string());

    let folder = workspace.path("");
    let ledger = library::ledger(&folder, "claims.db", &SystemClock);
    let address = workspace.path("billing.db").display().to_string();
    let runtime = library::runtime(&folder, &address, ledger, Arc::new(SystemClock));
    let gate = Gate::from_contract(&runtime, &GateOptions::default()).unwrap();
    let (tool, arguments) = ("billing.propose_late_fee_waiver", r#"{"invoice_id": "INV-3001", "reason": "kind"}"#);
    library::block(async {
        let real = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let of = |tenant: &str| {
            let claims = claims_with(json!({ "org": tenant, "iat": real, "nbf": real, "exp": real + 600 }));
            ed.token("ed", &claims)
        };
        let stranger = admit(&gate, &of("globex")).await.unwrap();
        let refused = runtime.propose(tool, arguments, &stranger.caller()).await.unwrap_err();
        assert_eq!(refused.code(), Code::RowNotFound, "the row is another tenant's");
        let alice = admit(&gate, &of("acme")).await.unwrap();
        let proposed = runtime.propose(tool, arguments, &alice.caller()).await.unwrap();
        assert_eq!(proposed.change_set.scope.tenant_id, "acme");
        assert_eq!(proposed.change_set.principal.id, "alice");
        // Without a token there is nobody.
        let nobody = runtime.propose(tool, arguments, &Caller::FromContract).await.unwrap_err();
        assert_eq!(nobody.code(), Code::TrustedContextUnsupported);
    });
}

/// Nothing of a token shows, whatever becomes of it.
#[tokio::test]
async fn nothing_of_a_token_shows() {
    const PLANTED: &str = "planted-in-the-token";
    let ed = Signer::ed25519();
    let house = House::with(Answer::Keys(vec![ed.jwk("ed")]), |auth| auth["scopes_required"] = json!(["s"])).await;
    let header = json!({ "alg": "EdDSA", "kid": "ed" }).to_string();
    for claims in [
        claims_with(json!({ "sub": PLANTED })),
        claims_with(json!({ "iss": PLANTED })),
        claims_with(json!({ "aud": PLANTED })),
        claims_with(json!({ "exp": PLANTED })),
        claims_with(json!({ "tenant": [PLANTED] })),
        claims_with(json!({ "roles": { PLANTED: 1 } })),
        claims_with(json!({ "scope": PLANTED })),
    ] {
        let refused = house.admit(&ed.sign(&header, &claims.to_string())).await.unwrap_err();
        assert!(!format!("{refused:?}").contains(PLANTED), "{refused:?}");
    }
    for header in [
        json!({ "alg": PLANTED }),
        json!({ "alg": "EdDSA", "kid": PLANTED }),
        json!({ "alg": "EdDSA", "typ": PLANTED }),
    ] {
        let refused = house.admit(&ed.sign(&header.to_string(), &claims().to_string())).await.unwrap_err();
        assert!(!format!("{refused:?}").contains(PLANTED), "{refused:?}");
    }
    assert_eq!(house.admit(PLANTED).await.unwrap_err().status, 401);
    assert_eq!(format!("{:?}", house.gate), "Gate(tokens of an issuer)");
}
