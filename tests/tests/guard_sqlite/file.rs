//! The file: absent, foreign, read-only, locked by others, and how its address is written.

use signoff::Code;
use signoff::database::Database;
use signoff::guard::Outcome;
use signoff_tests::shop::sqlite::{File, Shop, open, open_for, receipts};
use signoff_tests::shop::{Stock, approve, code};

#[test]
fn a_file_that_is_not_there_is_never_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("absent.db");
    let path = path.to_str().unwrap();
    for prefix in ["", "sqlite:", "file:", "sqlite://", "file://"] {
        assert_eq!(code(open(&format!("{prefix}{path}"))), Code::SourceUnavailable);
    }
    for address in [
        "",
        "sqlite:",
        ":memory:",
        "file::memory:",
        "postgres://h/db",
        "http://x",
        &format!("file:{path}?mode=rwc"),
        "a\0b",
    ] {
        assert_eq!(code(open(address)), Code::SourceUrlInvalid, "{address:?}");
    }
    assert_eq!(code(open(directory.path().to_str().unwrap())), Code::SourceUnavailable);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    // It goes after it was opened: neither reading nor writing nor migrating makes it anew.
    let shop = Shop::usual();
    let job = shop.job("7", &approve());
    let kept = shop.stock.path.with_extension("kept");
    std::fs::rename(&shop.stock.path, &kept).unwrap();
    assert_eq!(code(shop.try_run(job)), Code::SourceUnavailable);
    assert_eq!(code(shop.wait(shop.database.migrate_receipts(receipts()))), Code::SourceUnavailable);
    assert!(!shop.stock.path.exists());
}

#[test]
fn every_form_of_the_address_opens_the_file() {
    let shop = Shop::usual();
    let path = shop.stock.path.to_str().unwrap();
    for prefix in ["", "sqlite:", "file:", "sqlite://", "file://"] {
        let database = open(&format!("{prefix}{path}")).unwrap();
        assert!(matches!(
            shop.wait(database.run(shop.job("7", &approve()), None)),
            Ok(Outcome::Applied(_) | Outcome::Stored(_))
        ));
    }
    assert_eq!(shop.effects(), 1);
}

#[test]
fn a_file_that_is_no_database_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    std::fs::write(&path, "dear diary\n".repeat(100)).unwrap();
    let shop = Shop::usual();
    let job = shop.job("7", &approve());
    let database = open(path.to_str().unwrap()).unwrap();
    assert!(matches!(shop.wait(database.run(job, None)), Ok(Outcome::Released(_)) | Err(_)));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "dear diary\n".repeat(100));
}

/// Marks the file as written by a newer format, which SQLite then only reads. Permissions would not stop root.
fn make_read_only(shop: &Shop) {
    let mut bytes = std::fs::read(&shop.stock.path).unwrap();
    bytes[18] = 3;
    std::fs::write(&shop.stock.path, bytes).unwrap();
}

#[test]
fn a_read_only_file_is_read_and_not_written() {
    let shop = Shop::usual();
    let job = shop.job("7", &approve());
    make_read_only(&shop);
    let bytes = std::fs::read(&shop.stock.path).unwrap();
    assert!(shop.read("7", &approve()).unwrap().is_some());
    assert_eq!(shop.released(job), Code::SourceReadOnly);
    assert_eq!(bytes, std::fs::read(&shop.stock.path).unwrap());
    let bare = Shop::bare(File::ITEMS);
    make_read_only(&bare);
    assert_eq!(code(bare.wait(bare.database.migrate_receipts(receipts()))), Code::SourceReadOnly);
}

#[test]
fn a_writer_that_does_not_end_is_busy_and_reading_goes_on() {
    let shop = Shop::usual();
    let job = shop.job("7", &approve());
    let database = open_for(shop.stock.path.to_str().unwrap(), Some(std::time::Duration::from_millis(50))).unwrap();
    let writer = shop.connection();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let Ok(Outcome::Released(error)) = shop.wait(database.run(job.clone(), None)) else { panic!() };
    assert_eq!((error.code(), error.retryable(), error.field("source")), (Code::SourceBusy, true, Some("app")));
    assert!(shop.read("7", &[]).unwrap().is_some());
    writer.execute_batch("ROLLBACK").unwrap();
    shop.applies(job);
}

#[test]
fn a_reader_that_does_not_end_makes_commit_busy_and_nothing_lands() {
    let shop = Shop::usual();
    let job = shop.job("7", &approve());
    let database = open_for(shop.stock.path.to_str().unwrap(), Some(std::time::Duration::from_millis(50))).unwrap();
    let reader = shop.connection();
    reader.execute_batch("BEGIN; SELECT * FROM items").unwrap();
    let Ok(Outcome::Released(error)) = shop.wait(database.run(job.clone(), None)) else { panic!() };
    assert_eq!(error.code(), Code::SourceBusy);
    reader.execute_batch("ROLLBACK").unwrap();
    assert_eq!(shop.effects(), 0);
    shop.applies(job);
}

#[test]
fn write_ahead_logging_changes_nothing() {
    let shop = Shop::usual();
    shop.rows("PRAGMA journal_mode = WAL");
    let reader = shop.connection();
    reader.execute_batch("BEGIN; SELECT * FROM items").unwrap();
    let job = shop.job("7", &approve());
    shop.applies(job.clone());
    assert!(matches!(shop.run(job), Outcome::Stored(_)));
}
