//! The example as processes of its own: two at once, and some that are killed.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use signoff_tests::binary;
use signoff_tests::cluster::Cluster;
use signoff_tests::shop::postgres::Shop;

use super::client::{Answer, SECRET, body, exchange, post, send, signed, with};
use super::connections::{until, waiting};
use super::shop::shop;

/// A process of the example. It is killed when it is dropped.
struct Server {
    child: Child,
    at: SocketAddr,
}

impl Server {
    fn start(shop: &Shop) -> Self {
        let mut child = Command::new(binary("SIGNOFF_EXAMPLE_AXUM", "debug/axum-account-credit"))
            .env("BILLING_APP_WRITE_URL", shop.address("billing", shop.name()))
            .env("BILLING_APP_HANDLER_SECRET", SECRET)
            .env("BILLING_APP_LISTEN", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let at = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}")).parse().unwrap();
        Self { child, at }
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn effects(shop: &Shop) -> usize {
    shop.rows("SELECT * FROM effects").len()
}

#[test]
fn the_example_books_a_credit_once() {
    let Some(shop) = shop() else { return };
    let server = Server::start(&shop);
    assert_eq!(send(server.at, "GET", "/healthz", &vec![], b"").body, json!({ "ok": true }));
    let first = post(server.at, &body("wrp_1:INV-3001"));
    assert_eq!(first.told(), (200, "applied", ""));
    assert_eq!((&first.body["rows_affected"], &first.body["source_database_mutated"]), (&json!(2), &json!(true)));
    let kinds = json!([{ "kind": "db.insert" }, { "kind": "db.update" }, { "kind": "event" }]);
    assert_eq!(first.body["details"]["effects"], kinds);
    assert_eq!(first.body["new_version"], "2026-06-20T14:31:08.0003+00:00");
    assert_eq!(post(server.at, &body("wrp_1:INV-3001")).told(), (200, "already_applied", ""));
    let much = with(body("k2"), "/patch/credit_requested_cents", json!(10_001));
    assert_eq!(post(server.at, &much).told(), (200, "failed", "CREDIT_OUT_OF_BOUNDS"));
    assert_eq!(
        shop.rows("SELECT credited_cents, credit_requested_cents, credit_reason FROM invoices WHERE id = 'INV-3001'"),
        ["500|500|a courtesy"]
    );
    assert_eq!(
        shop.rows("SELECT tenant_id, invoice_id, customer_id, amount_cents, idempotency_key FROM account_credits"),
        ["acme|INV-3001|cust_acme_1|500|wrp_1:INV-3001"]
    );
}

#[test]
fn the_example_is_short_and_its_schema_has_the_receipts_table() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/axum-account-credit");
    let source = std::fs::read_to_string(format!("{folder}/src/main.rs")).unwrap();
    let lines = source.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    assert!(lines.count() <= 40);
    let printed = Command::new(binary("SIGNOFF_BIN", "debug/signoff"))
        .args(["handler", "migration", "--dialect", "postgres"])
        .output()
        .unwrap();
    let schema = std::fs::read_to_string(format!("{folder}/schema.sql")).unwrap();
    assert!(printed.status.success() && schema.ends_with(std::str::from_utf8(&printed.stdout).unwrap()));
}

#[test]
fn fifty_at_once_over_two_processes_have_one_effect() {
    let Some(shop) = shop() else { return };
    let servers = [Server::start(&shop), Server::start(&shop)];
    let request = body("k");
    // Nobody gets past the first row before all are under way: the key's holder waits for us.
    let mut gate = Cluster::shared().unwrap().session(shop.name());
    gate.say("BEGIN; LOCK TABLE account_credits IN ACCESS EXCLUSIVE MODE;");
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..50)
            .map(|n| {
                let (at, request) = (servers[n % 2].at, &request);
                scope.spawn(move || post(at, request))
            })
            .collect();
        until(|| {
            let sql = format!(
                "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = '{}'",
                shop.name()
            );
            shop.rows(&sql).len() >= 2
        });
        gate.say("COMMIT;");
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let mut applied = 0;
    for answer in &answers {
        match answer.told() {
            (200, "applied", "") => applied += 1,
            (200, "already_applied", "") => assert!(answer.replayed()),
            (409, "failed", "IDEMPOTENCY_IN_FLIGHT") => assert_eq!(answer.header("retry-after"), Some("1")),
            other => panic!("{other:?}"),
        }
    }
    // The version did not move: what held the others off is the key alone.
    assert_eq!(shop.rows("SELECT count(*) FROM invoices WHERE updated_at <> '2026-06-20 14:31:08.000300+00'"), ["0"]);
    assert_eq!((applied, effects(&shop)), (1, 1));
}

/// Waits for us, who hold the lock.
const GATE: &str = "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NEW; END $$;";

/// Kills one process while it waits there, sends the same to another, and answers what that one said before and after
/// the gate was opened.
fn killed_at(trigger: &str) -> Option<(Shop, Answer, Answer)> {
    let shop = shop()?;
    shop.sql(&format!("{GATE}{trigger}"));
    let mut gate = Cluster::shared().unwrap().session(shop.name());
    gate.say("SELECT pg_advisory_lock(7);");
    let (mut dying, living) = (Server::start(&shop), Server::start(&shop));
    let request = body("k");
    let (lines, bytes, doomed) = (signed(&request), request.to_string(), dying.at);
    let held = std::thread::scope(|scope| {
        let lost = scope.spawn(|| exchange(doomed, "POST", "/signoff/writeback", &lines, bytes.as_bytes()));
        until(|| waiting(&shop) == 1);
        dying.kill();
        assert!(lost.join().unwrap().is_err(), "nobody heard how it ended");
        // Its session waits on, and holds the key: while nobody knows, nobody does it again.
        post(living.at, &request)
    });
    assert_eq!(effects(&shop), 0);
    gate.say("SELECT pg_advisory_unlock(7);");
    let ended = loop {
        // Until the server has noticed, the key may be held.
        let answer = post(living.at, &request);
        if answer.http != 409 {
            break answer;
        }
    };
    assert_eq!(post(living.at, &request).told(), (200, "already_applied", ""));
    Some((shop, held, ended))
}

#[test]
fn a_process_killed_in_its_effect_has_done_nothing_and_a_retry_does_it_once() {
    let trigger = "CREATE TRIGGER z_wait AFTER INSERT ON account_credits FOR EACH ROW EXECUTE FUNCTION wait()";
    let Some((shop, held, ended)) = killed_at(trigger) else { return };
    assert_eq!(held.told(), (409, "failed", "IDEMPOTENCY_IN_FLIGHT"));
    assert_eq!((ended.told(), effects(&shop)), ((200, "applied", ""), 1));
}

#[test]
fn a_process_killed_between_effect_and_commit_has_done_nothing_and_a_retry_does_it_once() {
    // The effect is complete; what waits is the statement before COMMIT, which finishes the receipt.
    let trigger =
        "CREATE TRIGGER z_wait BEFORE UPDATE ON synapsor_handler_receipts FOR EACH ROW EXECUTE FUNCTION wait()";
    let Some((shop, held, ended)) = killed_at(trigger) else { return };
    assert_eq!(held.told(), (409, "failed", "IDEMPOTENCY_IN_FLIGHT"));
    assert_eq!((ended.told(), effects(&shop)), ((200, "applied", ""), 1));
}

#[test]
fn a_process_killed_at_commit_leaves_a_truth_that_the_same_request_finds() {
    let trigger = "CREATE CONSTRAINT TRIGGER z_wait AFTER INSERT ON account_credits DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()";
    let Some((shop, held, ended)) = killed_at(trigger) else { return };
    assert_eq!(held.told(), (409, "failed", "IDEMPOTENCY_IN_FLIGHT"));
    // COMMIT had been sent: it happened, and was not answered.
    assert_eq!((ended.told(), ended.replayed(), effects(&shop)), ((200, "already_applied", ""), true, 1));
}
