//! `signoff demo --postgres`: the story of the SQLite demo on a real server, in a schema of its own and nowhere else.

use signoff_tests::shop::postgres::Shop;
use signoff_tests::{Ran, Workspace};

struct Stage {
    shop: Shop,
    workspace: Workspace,
}

impl Stage {
    fn new() -> Option<Self> {
        let shop = Shop::usual()?;
        Some(Self { shop, workspace: Workspace::new() })
    }

    fn demo(&self, arguments: &[&str]) -> Ran {
        self.demo_as("postgres:hunter2", arguments)
    }

    fn demo_as(&self, user: &str, arguments: &[&str]) -> Ran {
        let address = self.shop.address(user, self.shop.name());
        let mut command = self.workspace.command();
        let ran: Ran = command.args(["demo", "--postgres", &address]).args(arguments).output().unwrap().into();
        assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
        ran
    }

    /// Every object of the database that is not the server's own, and the rows of the application.
    fn everything(&self) -> Vec<String> {
        let objects = "SELECT n.nspname || ' ' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname !~ '^(pg_|information_schema)'
            UNION ALL SELECT n.nspname || ' ' || p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname !~ '^(pg_|information_schema)'
            UNION ALL SELECT nspname || ' is a schema' FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1";
        self.shop.rows(objects).into_iter().chain(self.shop.everything().concat()).collect()
    }
}

/// The story without the ids and hashes that differ each time.
fn story(ran: &Ran) -> Vec<String> {
    let word = |word: &str| match word {
        id if id.starts_with("wrp_") => "wrp".to_owned(),
        hash if hash.starts_with("sha256:") => "sha256".to_owned(),
        other => other.to_owned(),
    };
    ran.out.lines().map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn the_story_is_the_same_and_nothing_is_left() {
    let Some(stage) = Stage::new() else { return };
    let before = stage.everything();
    let sqlite = stage.workspace.run(["demo"]).expect(0);
    for _ in 0..2 {
        let ran = stage.demo(&[]).expect(0);
        assert_eq!(story(&ran), story(&sqlite));
        assert_eq!(ran.err, "");
        assert_eq!(stage.everything(), before);
    }
    // What is left on disk tells the story by itself, and no password.
    stage.workspace.run(["replay", "show", "latest", "--store", ".signoff/demo/ledger.db"]).expect(0);
    for file in std::fs::read_dir(stage.workspace.path(".signoff/demo")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"));
    }
}

#[test]
fn a_schema_that_is_kept_is_dropped_by_the_next_demo() {
    let Some(stage) = Stage::new() else { return };
    let before = stage.everything();
    stage.demo(&["--keep"]).expect(0);
    assert_eq!(stage.shop.rows("SELECT late_fee_cents FROM signoff_demo.invoices WHERE id = 'INV-3001'"), ["0"]);
    assert_eq!(stage.shop.one("SELECT count(*) FROM signoff_demo.synapsor_writeback_receipts"), "2");
    stage.demo(&[]).expect(0);
    assert_eq!(stage.everything(), before);
    stage.workspace.run(["demo", "--keep"]).expect(2);
}

#[test]
fn what_no_demo_made_is_left_alone() {
    let Some(stage) = Stage::new() else { return };
    let kept = |prepare: &str| {
        stage.shop.sql(prepare);
        let before = stage.everything();
        let refused = stage.demo(&["--format", "json"]).expect(4);
        assert_eq!(refused.error_code(), "SCHEMA_FOREIGN", "{prepare}");
        assert_eq!(stage.everything(), before, "{prepare}");
    };
    kept("CREATE SCHEMA signoff_demo; CREATE TABLE signoff_demo.invoices (id text)");
    kept("COMMENT ON SCHEMA signoff_demo IS 'made by hand'");
    stage.shop.sql("DROP SCHEMA signoff_demo CASCADE");
    stage.demo(&["--keep"]).expect(0);
    kept("CREATE TABLE signoff_demo.mine (id text)");
    kept("DROP TABLE signoff_demo.mine; CREATE VIEW public.fees AS SELECT late_fee_cents FROM signoff_demo.invoices");
    stage.shop.sql("DROP VIEW public.fees");
    stage.demo(&[]).expect(0);
}

#[test]
fn who_may_not_make_a_schema_is_told_so() {
    let Some(stage) = Stage::new() else { return };
    stage.shop.sql("CREATE ROLE demo_guest LOGIN");
    let before = stage.everything();
    let refused = stage.demo_as("demo_guest", &["--format", "json"]).expect(1);
    assert_eq!(refused.error_code(), "SOURCE_REJECTED");
    assert!(refused.out.contains("GRANT CREATE ON DATABASE"), "{}", refused.out);
    assert_eq!(stage.everything(), before);
}

#[test]
fn an_address_is_never_printed() {
    let workspace = Workspace::new();
    for (address, code) in [
        ("postgres://u:hunter2@127.0.0.1:1/db", "SOURCE_UNAVAILABLE"),
        ("postgres://u:hunter2@h/db?bogus=1", "SOURCE_URL_INVALID"),
        ("mysql://u:hunter2@h/db", "SOURCE_URL_INVALID"),
    ] {
        let ran = workspace.json(["demo", "--postgres", address]).expect(1);
        assert_eq!(ran.error_code(), code);
        assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
    }
}
