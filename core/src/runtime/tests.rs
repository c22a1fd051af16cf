//! One story through the whole house, on real files.

use std::sync::Arc;

use crate::contract::*;
use crate::error::Code;
use crate::ledger::{LedgerOptions, SqliteLedger};
use crate::primitives::*;
use crate::runtime::*;

fn ident(name: &str) -> Identifier {
    Identifier::new(name).unwrap()
}

fn contract() -> Contract {
    let target = Target {
        schema: ident("main"),
        table: ident("invoices"),
        primary_key: ident("id"),
        tenant_key: Some(ident("tenant_id")),
    };
    let arg = |name: &str| Argument {
        name: name.into(),
        kind: ArgumentType::String,
        description: None,
        required: true,
        max_length: Some(500),
        minimum: None,
        maximum: None,
        allowed: None,
    };
    let visible: Vec<Identifier> = ["id", "late_fee_cents", "waiver_reason", "updated_at"].map(ident).to_vec();
    let waive = Capability {
        name: "billing.waive".into(),
        kind: Kind::Proposal,
        description: None,
        returns_hint: None,
        source: "db".into(),
        context: None,
        target,
        args: vec![arg("invoice_id"), arg("reason")],
        lookup_arg: "invoice_id".into(),
        visible_columns: visible,
        patch: vec![
            (ident("late_fee_cents"), PatchValue::Fixed(Scalar::Int(0))),
            (ident("waiver_reason"), PatchValue::FromArg("reason".into())),
        ],
        allowed_columns: vec![ident("late_fee_cents"), ident("waiver_reason")],
        numeric_bounds: Default::default(),
        transition_guards: Default::default(),
        conflict_guard: Some(ConflictGuard::Column(ident("updated_at"))),
        required_role: Some("lead".into()),
        executor: None,
        exposure: Exposure::of_kind(Kind::Proposal),
    };
    let mut read = waive.clone();
    read.name = "billing.inspect".into();
    read.kind = Kind::Read;
    read.exposure = Exposure::of_kind(Kind::Read);
    read.patch.clear();
    read.args.pop();
    Contract {
        mode: Mode::Review,
        result_format: 2,
        storage_path: None,
        sources: [(
            "db".to_owned(),
            Source {
                name: "db".into(),
                engine: Engine::Sqlite,
                read_url_env: "DB".into(),
                write_url_env: Some("DB".into()),
                read_only: false,
                statement_timeout_ms: None,
                ssl: None,
                create_receipts: true,
                receipts_schema: None,
            },
        )]
        .into(),
        trusted_context: Some(TrustedContext {
            name: "trusted_context".into(),
            provider: Provider::StaticDev,
            tenant_id: Some("acme".into()),
            principal: Some("agent".into()),
            tenant_id_env: None,
            principal_env: None,
        }),
        contexts: Default::default(),
        executors: Default::default(),
        capabilities: vec![read, waive],
        proposal_ttl: Lifetime::parse("7d").unwrap(),
        approval_ttl: Lifetime::parse("24h").unwrap(),
        mcp_auth: None,
        rate_limit: RateLimit::default(),
    }
}

#[test]
fn one_story() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let app = rusqlite::Connection::open(&path).unwrap();
    app.execute_batch(
        "CREATE TABLE invoices (id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, late_fee_cents INTEGER NOT NULL, waiver_reason TEXT, updated_at TEXT NOT NULL);
         INSERT INTO invoices VALUES ('INV-1', 'acme', 5500, NULL, '2026-06-20T14:31:08Z'), ('INV-9', 'globex', 5500, NULL, '2026-06-20T14:31:08Z');",
    ).unwrap();
    let ledger =
        SqliteLedger::open(LedgerOptions::create(folder.path().join("x/ledger.db")), &SystemClock, &SystemIds).unwrap();
    let url = path.display().to_string();
    let runtime =
        Runtime::new(Some(contract()), Arc::new(ledger)).with_environment(Environment::new(move |_| Some(url.clone())));
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
        let caller = Caller::FromContract;
        let read = runtime.read("billing.inspect", r#"{"invoice_id":"INV-1"}"#, &caller).await.unwrap();
        assert_eq!(read.data[1].1, Scalar::Int(5500));
        let denied = runtime.read("billing.inspect", r#"{"invoice_id":"INV-9"}"#, &caller).await.unwrap_err();
        assert_eq!(denied.code(), Code::RowNotFound);
        let args = r#"{"invoice_id":"INV-1","reason":"kind"}"#;
        let proposed = runtime.propose("billing.waive", args, &caller).await.unwrap();
        assert!(!proposed.existing);
        let again = runtime.propose("billing.waive", args, &caller).await.unwrap();
        assert!(again.existing && again.change_set == proposed.change_set);
        let id = proposed.change_set.proposal_id.clone();
        let options = ApplyOptions::default();
        assert_eq!(runtime.apply(&id, &options).await.unwrap_err().code(), Code::ProposalNotApproved);
        let seen =
            Seen { proposal_id: id.clone(), hash: proposed.change_set.integrity.proposal_hash.clone(), version: 1 };
        let lead = Approver { id: "dana".into(), roles: vec!["lead".into()], asserted: true };
        runtime.approve(&seen, &lead, None).await.unwrap();
        assert_eq!(runtime.apply(&id, &options).await.unwrap().ending, Ending::Applied);
        assert_eq!(runtime.apply(&id, &options).await.unwrap().ending, Ending::AlreadyApplied);
        let fee: i64 =
            app.query_row("SELECT late_fee_cents FROM invoices WHERE id = 'INV-1'", [], |row| row.get(0)).unwrap();
        assert_eq!(fee, 0);
        let story = runtime.replay(&id).await.unwrap();
        assert_eq!(story.events.len(), 4);
        let verified = runtime.ledger().verify(None, Box::new(|_, _| ())).await.unwrap();
        assert_eq!(verified.proposals, 1);
        println!("{} {}", verified.checkpoint, story.canonical().unwrap());
    });
}
