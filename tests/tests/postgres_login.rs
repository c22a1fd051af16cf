//! Why there is no connection, as an operator reads it: in our own words, and never with a password.

use std::io::{Read, Write};
use std::net::TcpListener;

use signoff::Code;
use signoff::database::{CheckRequest, Database};
use signoff_tests::shop::postgres::{Shop, open, receipts};

/// What the doctor says of an address; reads and migrations must say the same.
fn told(shop: &Shop, address: &str) -> String {
    let database = open(address).unwrap();
    let checks = shop.wait(database.check(CheckRequest { receipts: receipts(), targets: Vec::new() }));
    assert_eq!((checks.len(), checks[0].name.as_str(), checks[0].ok), (1, "connect", false), "{checks:?}");
    let reason = checks[0].message.clone();
    for error in [
        shop.wait(database.read(shop.request("acme", "7", &[]))).unwrap_err(),
        shop.wait(database.migrate_receipts(receipts())).unwrap_err(),
        shop.wait(
            database.run(signoff_tests::shop::postgres::job("acme", &shop.read("7", &[]).unwrap().unwrap()), None),
        )
        .unwrap_err(),
    ] {
        assert_eq!(error.code(), Code::SourceUnavailable);
        assert!(error.message().ends_with(&reason), "{reason}: {error}");
        assert!(!format!("{error:?} {checks:?}").contains("hunter2"), "{error:?}");
    }
    reason
}

#[test]
fn a_refused_login_says_why() {
    let Some(shop) = Shop::usual() else { return };
    shop.sql(
        "SET password_encryption = 'scram-sha-256'; CREATE ROLE careful LOGIN PASSWORD 'right'; CREATE ROLE barred LOGIN; CREATE ROLE asleep NOLOGIN; CREATE ROLE outside LOGIN;",
    );
    shop.sql(&format!("REVOKE CONNECT ON DATABASE {} FROM PUBLIC", shop.name()));
    // The server writes its own rules anew: trust, but for two.
    let rules = "local all careful scram-sha-256\\nlocal all barred reject\\nlocal all all trust";
    let file = shop.one("SHOW hba_file");
    shop.sql(&format!("COPY (SELECT regexp_split_to_table(E'{rules}', E'\\n')) TO '{file}'"));
    shop.sql("SELECT pg_reload_conf()");
    let address = |user: &str, database: &str| shop.address(user, database);
    // The server reads its rules when it gets to it; each try has a pool of its own.
    let refused = |n: u32| {
        let barred = open(&format!("{}&application_name=try_{n}", address("barred", shop.name()))).unwrap();
        let error = shop.wait(barred.read(shop.request("acme", "7", &[]))).unwrap_err();
        error.field("reason").is_some_and(|reason| reason.contains("pg_hba.conf"))
    };
    assert!((0..1000).any(refused), "the rules were not read");
    for (address, words) in [
        (address("careful:hunter2", shop.name()), "the password is wrong, or there is no such role"),
        (address("careful", shop.name()), "the password is wrong, or there is no such role"),
        (address("absent:hunter2", shop.name()), "there is no such role, or it may not log in"),
        (address("asleep", shop.name()), "there is no such role, or it may not log in"),
        (address("postgres", "absent"), "there is no such database"),
        (address("outside", shop.name()), "the role may not connect to this database"),
        (address("barred:hunter2", shop.name()), "its pg_hba.conf has no rule for this role, database and host"),
        (format!("{}&sslmode=disable", address("barred", shop.name())), "sslmode=require or stricter"),
        (address("postgres", shop.name()).replace("signoff-pg-", "nowhere-"), "there is no such socket"),
    ] {
        let reason = told(&shop, &address);
        assert!(reason.contains(words), "{address}: {reason}");
    }
}

/// Something that answers each caller in this way; its address.
fn imposter(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut caller in listener.incoming().flatten() {
            let mut asked = [0; 8];
            let _ = caller.read(&mut asked);
            let _ = caller.write_all(answer);
        }
    });
    format!("postgres://u:hunter2@127.0.0.1:{port}/db")
}

#[test]
fn an_address_where_no_server_is_says_why() {
    let Some(shop) = Shop::usual() else { return };
    for (address, words) in [
        ("postgres://u:hunter2@127.0.0.1:1/db".to_owned(), "nothing listens there"),
        ("postgres://u:hunter2@nowhere.invalid/db".to_owned(), "the host is not known or cannot be reached"),
        (imposter(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "is not a PostgreSQL server"),
        (format!("{}?sslmode=require", imposter(b"N")), "no TLS connection could be made"),
        (format!("{}?sslmode=verify-full", imposter(b"SHTTP/1.1 400 Bad Request\r\n\r\n")), "or its TLS is not ours"),
    ] {
        let reason = told(&shop, &address);
        assert!(reason.contains(words), "{address}: {reason}");
    }
}
