use serde_json::json;
use signoff::guard::{Dialect, Failure};
use signoff::handler::{Handler, HandlerConfig, Placeholders, Reply, Step};
use signoff::primitives::Scalar;
use sqlx::postgres::{PgConnection, PgDatabaseError, PgRow, PgSeverity};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::app::{App, body, config, credit, credits, deliver, deliver_to, handler};
use signoff_tests::shop::postgres::Shop;

/// The application: a role with rights on columns, and a search path, a time zone and a date style that try to mislead.
pub struct Postgres {
    connection: PgConnection,
    runtime: tokio::runtime::Runtime,
    /// If there is one, it is asked for every request.
    pub handler: Option<Handler>,
    /// What the guard had run.
    pub ran: Vec<String>,
}

const TABLES: &str = "CREATE TABLE invoices (id bigint PRIMARY KEY, tenant_id text NOT NULL, status text, balance numeric(12,2), note text, updated_at timestamptz);
    INSERT INTO invoices VALUES (7, 'acme', 'overdue', 25500.5, 'private', '2026-06-20 14:31:08.000300+00');
    CREATE TABLE account_credits (n bigint GENERATED ALWAYS AS IDENTITY, invoice_id bigint, amount_cents bigint);
    DO $$ BEGIN CREATE ROLE app LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
    GRANT SELECT (id, tenant_id, status, balance, updated_at), UPDATE (status) ON invoices TO app;
    GRANT SELECT, INSERT ON account_credits TO app;";

pub fn shop() -> Option<Shop> {
    let shop = Shop::bare(TABLES)?;
    let receipts = config(Dialect::Postgres).receipt_table().unwrap();
    let mut statements = Dialect::Postgres.receipts_ddl(&receipts);
    statements.extend(Dialect::Postgres.receipts_grants(&receipts, "app"));
    statements.iter().for_each(|statement| shop.sql(statement));
    Some(shop)
}

pub fn start_as(shop: &Shop, user: &str) -> Postgres {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connection = runtime.block_on(PgConnection::connect(&shop.address(user, shop.name()))).unwrap();
    let mut app = Postgres { connection, runtime, handler: None, ran: Vec::new() };
    app.sql("SET DateStyle = 'SQL, DMY'");
    app.sql("SET TimeZone = 'Asia/Kolkata'");
    app
}

/// As the owner of everything, for the scenarios that make tables.
fn start() -> Option<Postgres> {
    shop().map(|shop| start_as(&shop, "postgres"))
}

impl Postgres {
    fn run(&mut self, sql: &str, params: &[Option<String>]) -> sqlx::Result<Reply> {
        let mut query = sqlx::query(AssertSqlSafe(sql.to_owned()));
        for param in params {
            query = query.bind(param.clone());
        }
        if sql.starts_with("SELECT") || sql.starts_with("WITH") {
            let row = |row: &PgRow| (0..row.len()).map(|n| row.try_get(n)).collect::<sqlx::Result<_>>();
            let rows = self.runtime.block_on(query.fetch_all(&mut self.connection))?;
            return Ok(Reply::Ran { rows: rows.iter().map(row).collect::<sqlx::Result<_>>()?, changed: 0 });
        }
        self.runtime.block_on(query.execute(&mut self.connection)).map(|done| Reply::done(done.rows_affected()))
    }

    /// sqlx does not say whether a transaction is open. The server does: only inside of one may a savepoint be made.
    fn is_open(&mut self) -> bool {
        let open = self.run("SAVEPOINT probe", &[]).is_ok();
        if open {
            self.run("RELEASE SAVEPOINT probe", &[]).unwrap();
        }
        open
    }
}

impl App for Postgres {
    const DIALECT: Dialect = Dialect::Postgres;

    fn handler(&self) -> Handler {
        self.handler.clone().unwrap_or_else(|| handler(Self::DIALECT))
    }

    fn perform(&mut self, step: &Step) -> Reply {
        if let Step::Run { sql, .. } = step {
            self.ran.push(sql.clone());
        }
        let ran = match step {
            Step::Begin { .. } if self.is_open() => return Reply::Failed(Failure::AlreadyOpen),
            Step::Begin { sql, .. } => self.run(sql, &[]),
            Step::Run { sql, params, .. } => self.run(sql, params),
            Step::Commit => self.run("COMMIT", &[]),
            Step::Rollback => Ok(self.run("ROLLBACK", &[]).unwrap_or(Reply::done(0))),
            Step::Pause { ms } => {
                std::thread::sleep(std::time::Duration::from_millis(*ms));
                Ok(Reply::done(0))
            }
            other => panic!("{other:?}"),
        };
        ran.unwrap_or_else(|error| match error.as_database_error() {
            Some(error) => {
                let fatal = error.downcast_ref::<PgDatabaseError>().severity() == PgSeverity::Fatal;
                let state = error.code();
                Reply::Failed(Failure::from_sqlstate(state.as_deref().unwrap_or_default(), fatal.then_some("FATAL")))
            }
            None => Reply::Failed(Failure::Lost),
        })
    }

    fn sql(&mut self, sql: &str) {
        self.run(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    fn rows(&mut self, sql: &str) -> Vec<String> {
        let Ok(Reply::Ran { rows, .. }) = self.run(sql, &[]) else { panic!("{sql}") };
        rows.into_iter()
            .map(|row| row.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>().join("|"))
            .collect()
    }
}

super::scenarios::on!(start);

#[test]
fn rights_on_columns_are_enough_and_the_session_is_the_authors_own() {
    let Some(shop) = shop() else { return };
    let mut app = start_as(&shop, "app");
    app.sql("CREATE TEMP TABLE invoices (id text, tenant_id text, updated_at text)");
    app.sql("CREATE TEMP TABLE synapsor_handler_receipts (tenant_id text)");
    let answer = deliver(&mut app, &body("k"), |app, _, row| {
        assert_eq!(row["updated_at"], Scalar::from("2026-06-20T14:31:08.0003+00:00"));
        let shown = app.rows("SELECT current_setting('TimeZone') || ' ' || current_setting('DateStyle') || ' ' || current_setting('lock_timeout')");
        assert_eq!(shown, ["Asia/Kolkata SQL, DMY 0"]);
        credit(app)
    });
    assert_eq!(answer.told(), (200, "applied", ""));
    assert_eq!(
        shop.rows("SELECT tenant_id, idempotency_key, status FROM synapsor_handler_receipts"),
        ["acme|k|applied"]
    );
}

#[test]
fn what_other_readers_send_is_the_same_value() {
    let Some(shop) = shop() else { return };
    let mut app = start_as(&shop, "app");
    // A bigint as a string, a timestamp in another zone.
    let mut request = body("k");
    request["target"]["primary_key"]["value"] = json!("7");
    request["guards"]["expected_version"]["value"] = json!("2026-06-20T20:01:08.000300+05:30");
    assert_eq!(deliver(&mut app, &request, |app, _, _| credit(app)).told(), (200, "applied", ""));
    // One microsecond is another version, and milliseconds are not enough.
    for (key, version) in [("k2", "2026-06-20T14:31:08.000301Z"), ("k3", "2026-06-20T14:31:08.000Z")] {
        let mut request = body(key);
        request["guards"]["expected_version"]["value"] = json!(version);
        let answer = deliver(&mut app, &request, |_, _, _| panic!("called"));
        assert_eq!(answer.told(), (200, "conflict", "VERSION_CONFLICT"), "{version}");
    }
    // What is no bigint is no row.
    let mut request = body("k4");
    request["target"]["primary_key"]["value"] = json!("seven");
    assert_eq!(deliver(&mut app, &request, |_, _, _| panic!("called")).told(), (422, "failed", "SOURCE_REJECTED"));
}

#[test]
fn types_of_an_extension_and_floats() {
    let Some(shop) = shop() else { return };
    shop.sql("CREATE SCHEMA ext; CREATE DOMAIN ext.tenant AS text; CREATE TYPE ext.\"Odd Kind\" AS ENUM ('a', 'b')");
    shop.sql("CREATE TABLE odd (id ext.\"Odd Kind\" PRIMARY KEY, tenant_id ext.tenant, version real, tags text[])");
    shop.sql("INSERT INTO odd VALUES ('a', 'acme', 1.5, '{x,y}'); GRANT USAGE ON SCHEMA ext TO app; GRANT SELECT, UPDATE ON odd TO app");
    let mut app = start_as(&shop, "app");
    let mut handler = handler(Dialect::Postgres);
    let action = |name: &str, version: Option<&str>| {
        serde_json::from_value(json!({ "name": name, "table": "odd", "key": "id", "tenant": "tenant_id", "version": version, "compare": ["tags"] })).unwrap()
    };
    handler.register(action("odd.float", Some("version"))).unwrap();
    handler.register(action("odd.compare", None)).unwrap();
    let mut request = body("k");
    request["action"] = json!("odd.float");
    request["target"] = json!({ "schema": "public", "table": "odd", "primary_key": { "column": "id", "value": "a" } });
    request["before"] = json!({ "tags": "{x,y}" });
    request["guards"]["expected_version"] = json!({ "column": "version", "value": 1.5 });
    let float = deliver_to(&handler, &mut app, &request, |_, _, _| panic!("called"));
    assert_eq!(float.told(), (422, "failed", "VERSION_TYPE_UNSUPPORTED"));
    request["action"] = json!("odd.compare");
    request["guards"]["expected_version"] = json!({ "column": "__row_hash", "value": "sha256:1" });
    assert_eq!(deliver_to(&handler, &mut app, &request, |app, _, _| credit(app)).told(), (200, "applied", ""));
}

/// What a driver with another style of placeholders is given is the same statement.
#[test]
fn placeholders_of_other_drivers() {
    let render = |placeholders| {
        let config = HandlerConfig { placeholders, ..config(Dialect::Postgres) };
        let mut steps = Vec::new();
        let Some(shop) = shop() else { return steps };
        let mut app = Recorder { app: start_as(&shop, "app"), placeholders, seen: &mut steps };
        let answer = deliver_to(&Handler::new(config).unwrap(), &mut app, &body("k"), |app, _, _| credit(app));
        assert_eq!(answer.told(), (200, "applied", ""));
        steps
    };
    let native = render(Placeholders::Native);
    let format = render(Placeholders::Format);
    assert_eq!(native.len(), format.len());
    for ((native, given), (format, shown)) in native.iter().zip(&format) {
        assert_eq!(native, format, "back in the engine's own form");
        assert!(
            !shown.contains('$')
                && shown.replace("%%", "").matches('%').count()
                    == shown.matches("%s").count() - shown.matches("%%s").count(),
            "{given} {shown}"
        );
    }
}

/// Turns `%s` back into `$n`, as psycopg does, and keeps what it saw.
struct Recorder<'a> {
    app: Postgres,
    placeholders: Placeholders,
    seen: &'a mut Vec<(String, String)>,
}

impl App for Recorder<'_> {
    const DIALECT: Dialect = Dialect::Postgres;

    fn perform(&mut self, step: &Step) -> Reply {
        let Step::Run { sql, params, rows } = step else { return self.app.perform(step) };
        let mut native = sql.clone();
        if self.placeholders == Placeholders::Format {
            let parts: Vec<&str> = sql.split("%%").collect();
            let mut n = 0;
            let parts = parts.iter().map(|part| {
                let mut out = String::new();
                for (index, piece) in part.split("%s").enumerate() {
                    if index > 0 {
                        n += 1;
                        out.push_str(&format!("${n}"));
                    }
                    out.push_str(piece);
                }
                out
            });
            native = parts.collect::<Vec<_>>().join("%");
            assert_eq!(n, params.len());
        }
        self.seen.push((native.clone(), sql.clone()));
        self.app.perform(&Step::Run { sql: native, params: params.clone(), rows: *rows })
    }

    fn sql(&mut self, sql: &str) {
        self.app.sql(sql);
    }

    fn rows(&mut self, sql: &str) -> Vec<String> {
        self.app.rows(sql)
    }
}

#[test]
fn fifty_at_once_have_one_effect() {
    let Some(shop) = shop() else { return };
    let answers: Vec<_> = std::thread::scope(|scope| {
        let deliveries: Vec<_> = (0..50)
            .map(|_| {
                scope.spawn(|| {
                    let mut app = start_as(&shop, "app");
                    deliver(&mut app, &body("k"), |app, _, _| {
                        std::thread::sleep(std::time::Duration::from_millis(20));
                        credit(app)
                    })
                })
            })
            .collect();
        deliveries.into_iter().map(|delivery| delivery.join().unwrap()).collect()
    });
    let applied = answers.iter().filter(|answer| answer.told() == (200, "applied", "")).count();
    assert_eq!(applied, 1);
    for answer in &answers {
        let told = answer.told();
        assert!(
            matches!(told, (200, "applied" | "already_applied", "") | (409, "failed", "IDEMPOTENCY_IN_FLIGHT")),
            "{told:?}"
        );
    }
    assert_eq!(credits(&mut start_as(&shop, "app")), 1);
}

#[test]
fn a_twin_that_takes_long_is_in_flight() {
    let Some(shop) = shop() else { return };
    let (mut app, mut twin) = (start_as(&shop, "app"), start_as(&shop, "app"));
    let answer = deliver(&mut app, &body("k"), |app, _, _| {
        let busy = deliver(&mut twin, &body("k"), |_, _, _| panic!("called"));
        assert_eq!(busy.told(), (409, "failed", "IDEMPOTENCY_IN_FLIGHT"));
        credit(app)
    });
    assert_eq!(answer.told(), (200, "applied", ""));
}
