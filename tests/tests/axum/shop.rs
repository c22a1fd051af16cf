//! The billing application's database, and the application: in this process, with a function for each kind of author.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use signoff::guard::Dialect;
use signoff::handler::axum::{BoxError, LockedJob, WritebackHandler};
use signoff::handler::{Action, AuthorResult, HandlerConfig};
use signoff::primitives::Secret;
use signoff_tests::shop::postgres::Shop;
use sqlx::Executor as _;
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};

use super::client::{Answer, SECRET, post};

/// The tables of the example, without what would keep a second credit out by itself; a version that no effect moves; and
/// a count of the credits, which only the trigger writes.
const COUNTED: &str = "ALTER TABLE account_credits DROP CONSTRAINT account_credits_pkey, DROP CONSTRAINT account_credits_idempotency_key_key;
    UPDATE invoices SET updated_at = '2026-06-20 14:31:08.000300+00';
    CREATE FUNCTION keep_version() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := OLD.updated_at; RETURN NEW; END $$;
    CREATE TRIGGER keep_version BEFORE UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION keep_version();
    CREATE TABLE effects (invoice_id text);
    CREATE FUNCTION count_effect() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO public.effects VALUES (NEW.invoice_id); RETURN NEW; END $$;
    CREATE TRIGGER count_effect AFTER INSERT ON account_credits FOR EACH ROW EXECUTE FUNCTION count_effect();
    DO $$ BEGIN CREATE ROLE billing LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
    GRANT SELECT, UPDATE (credited_cents, credit_requested_cents, credit_reason, updated_at) ON invoices TO billing;
    GRANT INSERT ON account_credits TO billing;";

/// Where nobody needs rights on anything else: the schema as the example ships it, with triggers and a role of a test's.
pub fn shop() -> Option<Shop> {
    let shop = Shop::bare(include_str!("../../../examples/axum-account-credit/schema.sql"))?;
    shop.sql(COUNTED);
    let receipts = config().receipt_table().unwrap();
    Dialect::Postgres.receipts_grants(&receipts, "billing").iter().for_each(|grant| shop.sql(grant));
    Some(shop)
}

pub fn config() -> HandlerConfig {
    HandlerConfig {
        audience: Some("billing-app".to_owned()),
        ..HandlerConfig::new(Dialect::Postgres, [Secret::new(SECRET.to_owned())])
    }
}

pub fn action(name: &str) -> Action {
    Action::new(name, "invoices", "id").unwrap().tenant("tenant_id").unwrap().version("updated_at").unwrap()
}

/// What every author here writes: nothing of it touches the row's version.
pub async fn credit(job: LockedJob<'_>, connection: &mut PgConnection) -> Result<AuthorResult, BoxError> {
    sqlx::query("INSERT INTO account_credits (id, tenant_id, invoice_id, customer_id, amount_cents, reason, idempotency_key, created_by) VALUES ($1, $2, $3, 'c', 500, 'r', $1, 'test')")
        .bind(&job.idempotency_key)
        .bind(&job.tenant_id)
        .bind(&job.object_id)
        .execute(connection)
        .await?;
    Ok(AuthorResult::applied(1))
}

/// The application, serving.
pub struct App {
    pub shop: Shop,
    pub pool: PgPool,
    pub at: SocketAddr,
    /// What its log was told.
    pub log: Arc<Mutex<Vec<String>>>,
}

impl App {
    /// With a pool of so many connections, and what this adds to the handler.
    pub fn start(add: impl FnOnce(WritebackHandler) -> signoff::Result<WritebackHandler>) -> Option<Self> {
        Self::on(shop()?, 5, config(), add)
    }

    pub fn on(
        shop: Shop,
        connections: u32,
        config: HandlerConfig,
        add: impl FnOnce(WritebackHandler) -> signoff::Result<WritebackHandler>,
    ) -> Option<Self> {
        let address = shop.address("billing", shop.name());
        // Settings that try to mislead.
        let options = PgPoolOptions::new().max_connections(connections).after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute("SET TimeZone = 'Asia/Kolkata'; SET DateStyle = 'SQL, DMY'; CREATE TEMP TABLE invoices (id text, tenant_id text, updated_at text)").await?;
                Ok(())
            })
        });
        let pool = shop.wait(options.connect(&address)).unwrap();
        Some(Self::with(shop, pool, config, add))
    }

    /// With this pool.
    pub fn with(
        shop: Shop,
        pool: PgPool,
        config: HandlerConfig,
        add: impl FnOnce(WritebackHandler) -> signoff::Result<WritebackHandler>,
    ) -> Self {
        let log = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&log);
        let handler = WritebackHandler::new(pool.clone(), config)
            .and_then(|handler| handler.action(action("billing.propose_account_credit"), credit))
            .and_then(add)
            .unwrap()
            .on_error(move |fault| heard.lock().unwrap().push(fault.to_string()));
        // Beside a state and routes of the application's own.
        let router = axum::Router::new()
            .nest("/signoff", handler.router("/writeback"))
            .route(
                "/state",
                axum::routing::get(async |axum::extract::State(state): axum::extract::State<u8>| state.to_string()),
            )
            .with_state(7_u8);
        let listener = shop.wait(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let at = listener.local_addr().unwrap();
        shop.spawn(async move { axum::serve(listener, router).await });
        Self { shop, pool, at, log }
    }

    pub fn post(&self, body: &serde_json::Value) -> Answer {
        post(self.at, body)
    }

    /// How many credits were booked.
    pub fn effects(&self) -> usize {
        self.shop.rows("SELECT * FROM effects").len()
    }

    pub fn receipts(&self) -> Vec<String> {
        self.shop.rows("SELECT idempotency_key, status FROM synapsor_handler_receipts ORDER BY 1")
    }

    pub fn logged(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }
}
