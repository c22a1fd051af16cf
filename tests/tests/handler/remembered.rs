//! Postgres again, with a handler that was asked before and remembers the columns' types: settings, claim and lock are one
//! statement then, which proves the types and gives the session its own settings back.

use serde_json::{Value, json};
use signoff::guard::Dialect;
use signoff::handler::Reply;
use signoff::primitives::Scalar;
use signoff_tests::shop::postgres::Shop;

use super::app::{App as _, body, credit, credits, deliver, handler};
use super::postgres::{Postgres, shop, start_as};

/// Both actions once, up to an author who fails: nothing is stored, and the types are known.
fn warm(mut app: Postgres) -> Postgres {
    app.handler = Some(handler(Dialect::Postgres));
    let mut compare = body("warm");
    compare["action"] = json!("billing.compare");
    compare["guards"] = json!({ "expected_version": { "column": "__row_hash", "value": "sha256:whatever" } });
    for request in [body("warm"), compare] {
        let answer = deliver(&mut app, &request, |_, _, _| Reply::Threw);
        assert_eq!(answer.told(), (500, "failed", "HANDLER_BUSINESS_ERROR"));
    }
    app.ran.clear();
    app
}

fn start() -> Option<Postgres> {
    shop().map(|shop| warm(start_as(&shop, "postgres")))
}

fn nobody(_: &mut Postgres, _: &signoff::handler::HandlerGuard, _: &super::app::Row) -> Reply {
    panic!("the author's function was called");
}

/// Delivers; answers what the guard ran, by first words.
fn ran(app: &mut Postgres, request: &Value) -> (String, Vec<&'static str>) {
    app.ran.clear();
    let answer = deliver(app, request, |app, _, _| credit(app));
    let told = answer.told();
    let word = |sql: &String| ["WITH", "SELECT", "INSERT", "UPDATE"].into_iter().find(|word| sql.starts_with(word));
    (format!("{} {} {}", told.0, told.1, told.2), app.ran.iter().map(|sql| word(sql).unwrap()).collect())
}

const APPLIED: &str = "200 applied ";
const TOGETHER: [&str; 2] = ["WITH", "UPDATE"];
const ALONE: [&str; 6] = ["WITH", "SELECT", "INSERT", "SELECT", "SELECT", "UPDATE"];

super::scenarios::on!(start);

#[test]
fn two_statements_beside_the_authors_own() {
    let Some(mut app) = start() else { return };
    assert_eq!(ran(&mut app, &body("k")), (APPLIED.to_owned(), TOGETHER.to_vec()));
    let mut stale = body("k2");
    stale["guards"]["expected_version"]["value"] = json!("2026-06-20T14:31:08.000301Z");
    assert_eq!(ran(&mut app, &stale), ("200 conflict VERSION_CONFLICT".to_owned(), TOGETHER.to_vec()));
}

#[test]
fn the_session_is_the_authors_own_whatever_it_says() {
    let Some(shop) = shop() else { return };
    shop.sql(
        "CREATE SCHEMA hostile; GRANT USAGE ON SCHEMA hostile TO app;
        CREATE FUNCTION hostile.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS 'SELECT NULL::text';
        CREATE FUNCTION hostile.concat(text, text) RETURNS text LANGUAGE sql AS 'SELECT NULL::text';
        CREATE FUNCTION hostile.pg_typeof(bigint) RETURNS regtype LANGUAGE sql AS 'SELECT NULL::regtype';
        CREATE FUNCTION hostile.never(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT false';
        CREATE OPERATOR hostile.= (FUNCTION = hostile.never, LEFTARG = text, RIGHTARG = text);
        CREATE DOMAIN hostile.text AS integer; CREATE DOMAIN hostile.regtype AS integer",
    );
    let mut app = start_as(&shop, "app");
    // What shadows tables, functions, types and operators of ours, if anything of ours is found by a search path.
    app.sql("CREATE TEMP TABLE invoices (id text, tenant_id text, updated_at text)");
    app.sql("CREATE TEMP TABLE synapsor_handler_receipts (tenant_id text)");
    app.sql("SET search_path = hostile, pg_catalog, public");
    app.sql("SET lock_timeout = '7s'");
    app.sql("SET synchronous_commit = off");
    let own = "SELECT current_setting('TimeZone') || ' ' || current_setting('DateStyle') || ' ' || current_setting('lock_timeout') || ' ' || current_setting('search_path')";
    let mut app = warm(app);
    let answer = deliver(&mut app, &body("k"), |app, _, row| {
        assert_eq!(row["updated_at"], Scalar::from("2026-06-20T14:31:08.0003+00:00"));
        assert_eq!(app.rows(own), ["Asia/Kolkata SQL, DMY 7s hostile, pg_catalog, public"]);
        assert_eq!(app.rows("SELECT current_setting('synchronous_commit')"), ["on"], "the receipt has to be on disk");
        app.sql("INSERT INTO public.account_credits (invoice_id, amount_cents) VALUES (7, 500)");
        Reply::Author(signoff::handler::AuthorResult::applied(1))
    });
    assert_eq!(answer.told(), (200, "applied", ""));
    assert_eq!(app.ran.len(), 2, "{:?}", app.ran);
    assert_eq!(app.rows(own), ["Asia/Kolkata SQL, DMY 7s hostile, pg_catalog, public"], "nothing is left");
    assert_eq!(app.rows("SELECT current_setting('synchronous_commit')"), ["off"]);
}

#[test]
fn a_type_that_changed_is_seen() {
    let Some(shop) = shop() else { return };
    let mut app = warm(start_as(&shop, "app"));
    // Every operator that is used still fits, and every value still shows the same.
    for (n, change) in
        ["id TYPE numeric", "id TYPE bigint", "updated_at TYPE timestamptz(4)", "tenant_id TYPE varchar(4)"]
            .into_iter()
            .enumerate()
    {
        shop.sql(&format!("ALTER TABLE invoices ALTER {change}"));
        let steps =
            if change.contains("(4)") && change.contains("updated_at") { TOGETHER.to_vec() } else { ALONE.to_vec() };
        assert_eq!(ran(&mut app, &body(&format!("a{n}"))), (APPLIED.to_owned(), steps), "{change}");
        assert_eq!(ran(&mut app, &body(&format!("b{n}"))), (APPLIED.to_owned(), TOGETHER.to_vec()), "{change}: learnt");
    }
    // A cast would drop the padding that makes this another tenant.
    shop.sql("ALTER TABLE invoices ALTER tenant_id TYPE character(8)");
    assert_eq!(deliver(&mut app, &body("padded"), nobody).told(), (409, "failed", "TENANT_GUARD_MISMATCH"));
    shop.sql("ALTER TABLE invoices ALTER tenant_id TYPE text");
    shop.sql("ALTER TABLE invoices ALTER updated_at TYPE double precision USING 3");
    let mut request = body("float");
    request["guards"]["expected_version"]["value"] = json!(3);
    assert_eq!(deliver(&mut app, &request, nobody).told(), (422, "failed", "VERSION_TYPE_UNSUPPORTED"));
    shop.sql("ALTER TABLE invoices DROP COLUMN updated_at");
    assert_eq!(deliver(&mut app, &body("gone"), nobody).told().2, "SOURCE_OBJECT_NOT_FOUND");
}

#[test]
fn what_is_refused_together_is_refused_three_times_and_no_more() {
    let Some(shop) = shop() else { return };
    shop.sql("ALTER TABLE invoices ENABLE ROW LEVEL SECURITY");
    shop.sql("CREATE POLICY ours ON invoices TO app USING (tenant_id = 'acme')");
    let mut app = start_as(&shop, "app");
    // With this, a statement that a policy would filter is refused, and no statement can set it for itself.
    app.sql("SET row_security = off");
    let mut app = warm(app);
    for n in 0..3 {
        assert_eq!(ran(&mut app, &body(&format!("k{n}"))), (APPLIED.to_owned(), ALONE.to_vec()), "{n}");
    }
    assert_eq!(ran(&mut app, &body("k3")), (APPLIED.to_owned(), ALONE[1..].to_vec()));
    // Who may see the row sees it only through the policy.
    shop.sql("ALTER POLICY ours ON invoices USING (tenant_id = 'globex')");
    assert_eq!(deliver(&mut app, &body("k4"), nobody).told(), (200, "conflict", "ROW_NOT_FOUND"));
}

#[test]
fn a_lock_that_is_not_to_be_had_is_told_apart() {
    let Some(shop) = shop() else { return };
    let (mut app, mut twin) = (warm(start_as(&shop, "app")), warm(start_as(&shop, "app")));
    let answer = deliver(&mut app, &body("k"), |app, _, _| {
        let busy = deliver(&mut twin, &body("k"), nobody);
        assert_eq!(busy.told(), (409, "failed", "IDEMPOTENCY_IN_FLIGHT"));
        let busy = deliver(&mut twin, &body("k2"), nobody);
        assert_eq!(busy.told(), (503, "failed", "SOURCE_BUSY"));
        credit(app)
    });
    assert_eq!(answer.told(), (200, "applied", ""));
    assert_eq!(deliver(&mut twin, &body("k"), nobody).told(), (200, "already_applied", ""));
}

/// The statement that waits for the key looks at the row as it was before the wait.
#[test]
fn a_row_that_moved_during_the_wait_is_a_conflict() {
    for (change, code) in [
        ("UPDATE invoices SET updated_at = updated_at + interval '1 microsecond'", "VERSION_CONFLICT"),
        ("DELETE FROM invoices", "ROW_NOT_FOUND"),
        (
            "DELETE FROM invoices; INSERT INTO invoices VALUES (7, 'acme', 'new', 1, '', '2026-06-20 14:31:08.000301+00')",
            "VERSION_CONFLICT",
        ),
    ] {
        let Some(shop) = shop() else { return };
        let mut holder = signoff_tests::cluster::Cluster::shared().unwrap().session(shop.name());
        holder.say("BEGIN;");
        holder.say(&format!("{change};"));
        let answer = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let mut app = warm_before(&shop);
                deliver(&mut app, &body("k"), nobody)
            });
            until_somebody_waits(&shop);
            holder.say("COMMIT;");
            waiting.join().unwrap()
        });
        assert_eq!(answer.told(), (200, "conflict", code), "{change}");
    }
}

/// A warm application whose handler learnt the types on another table of the same shape: this one is locked.
fn warm_before(shop: &Shop) -> Postgres {
    let other = super::postgres::shop().unwrap();
    let learnt = warm(start_as(&other, "app")).handler;
    let mut app = start_as(shop, "app");
    app.handler = learnt;
    app
}

fn until_somebody_waits(shop: &Shop) {
    let begun = std::time::Instant::now();
    let waits =
        format!("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = '{}'", shop.name());
    while shop.rows(&waits).is_empty() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "nobody waits");
    }
}

#[test]
fn fifty_at_once_have_one_effect() {
    let Some(shop) = shop() else { return };
    let learnt = warm(start_as(&shop, "app")).handler;
    let answers: Vec<_> = std::thread::scope(|scope| {
        let deliveries: Vec<_> = (0..50)
            .map(|_| {
                let handler = learnt.clone();
                let shop = &shop;
                scope.spawn(move || {
                    let mut app = start_as(shop, "app");
                    app.handler = handler;
                    deliver(&mut app, &body("k"), |app, _, _| credit(app))
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
