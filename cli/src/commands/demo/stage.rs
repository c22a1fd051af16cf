//! The demo's folder: its contract, its ledger, and a copy for somebody to tamper with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use signoff::contract::Contract;
use signoff::ledger::{LedgerOptions, SqliteLedger};
use signoff::primitives::{SystemClock, SystemIds};
use signoff::runtime::{Environment, migrate_receipts};
use signoff::{Code, Error, Result, Runtime};

use super::refused;
use super::source::Source;

const OURS: [&str; 6] = ["signoff.json", "billing.db", "ledger.db", "ledger.key", "tampered.db", "tampered.key"];

/// Where the demo plays.
pub(super) struct Stage {
    folder: PathBuf,
    pub(super) source: Source,
}

impl Stage {
    /// Sets it anew. Only a folder that an earlier demo made is cleared.
    pub(super) async fn set(folder: &Path, source: Source) -> Result<Self> {
        let stage = Self { folder: folder.to_owned(), source };
        let unwritable = |error: std::io::Error| {
            Error::new(Code::FileUnwritable).with("path", folder.display()).with("reason", error.kind())
        };
        let marker = stage.file(".signoff-demo");
        let empty = std::fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
        if !empty && !marker.exists() {
            let reason = "it holds files that no demo made; name an empty folder with --dir";
            return Err(Error::new(Code::FileUnwritable).with("path", folder.display()).with("reason", reason));
        }
        std::fs::create_dir_all(folder).map_err(unwritable)?;
        std::fs::write(&marker, "made by `signoff demo`, which clears this folder\n").map_err(unwritable)?;
        for name in OURS {
            for suffix in ["", "-wal", "-shm"] {
                match std::fs::remove_file(stage.file(&format!("{name}{suffix}"))) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unwritable(error)),
                    _ => {}
                }
            }
        }
        std::fs::write(stage.file("signoff.json"), stage.source.contract()?).map_err(unwritable)?;
        stage.source.make().await?;
        Ok(stage)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn contract(&self) -> Result<Contract> {
        Contract::parse(&self.source.contract()?)
            .map(|(contract, _)| contract)
            .map_err(|_| Error::new(Code::Internal).with("detail", "the demo's contract is invalid"))
    }

    pub(super) async fn migrate(&self) -> Result<()> {
        migrate_receipts(&self.contract()?, &self.environment(), "billing_db").await.map(|_| ())
    }

    pub(super) fn runtime(&self, ledger: &str) -> Result<Runtime> {
        let store = SqliteLedger::open(LedgerOptions::create(self.file(ledger)), &SystemClock, &SystemIds)?;
        Ok(Runtime::new(Some(self.contract()?), Arc::new(store)).with_environment(self.environment()))
    }

    pub(super) fn environment(&self) -> Environment {
        let database = self.source.address();
        Environment::new(move |name| match name {
            "BILLING_APP_READ_URL" | "BILLING_APP_WRITE_URL" => Some(database.clone()),
            "SYNAPSOR_TENANT_ID" => Some("acme".to_owned()),
            "SYNAPSOR_PRINCIPAL" => Some("support_agent".to_owned()),
            _ => None,
        })
    }

    /// Copies the ledger with its key, edits one digit as an intruder would, and looks at it.
    pub(super) async fn tamper(&self, runtime: &Runtime, id: &str) -> Result<String> {
        let copy = self.file("tampered.db");
        let source = Connection::open(self.file("ledger.db")).map_err(broken)?;
        source.execute("VACUUM INTO ?1", [copy.display().to_string()]).map_err(broken)?;
        std::fs::copy(self.file("ledger.key"), self.file("tampered.key")).map_err(|error| {
            Error::new(Code::FileUnwritable).with("path", copy.display()).with("reason", error.kind())
        })?;
        let intruder = Connection::open(&copy).map_err(broken)?;
        let sql = r#"UPDATE proposals SET document = replace(document, '"late_fee_cents":0', '"late_fee_cents":9') WHERE proposal_id = ?1"#;
        intruder.execute(sql, [id]).map_err(broken)?;
        drop(intruder);
        let edited = self.runtime("tampered.db")?;
        let found = refused(edited.show(id).await)?;
        // The real one is untouched.
        runtime.show(id).await?;
        Ok(found)
    }
}

pub(super) fn broken(_: rusqlite::Error) -> Error {
    Error::new(Code::Internal).with("detail", "the demo's database")
}
