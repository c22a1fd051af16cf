//! The embedded ledger: one SQLite file in WAL mode, one thread that owns the connection.
//!
//! The thread is what makes every call cancel-safe, and where several callers of one process share a commit.

mod chain;
mod group;
mod index;
mod open;
mod prune;
mod read;
mod receipt_table;
mod schema;
mod search;
mod verify;
mod write;

pub use open::LedgerOptions;

use std::iter;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::{Notify, oneshot};

use super::{
    Activity, Advance, Advanced, AuditRecord, Checkpoint, EvidenceRecord, EvidenceSummary, Filter, Ledger, LedgerStats,
    LoggedEvent, Named, NewProposal, NewRead, OpenWork, Page, PageRequest, ProposalRecord, ProposalSummary, Prune,
    Pruned, ReceiptRecord, ReceiptsIn, Recorded, Verified,
};
use crate::error::{Code, Error, Result};
use crate::guard::ReceiptTable;
use crate::primitives::{Instant, MacKey, Redactor};
use crate::protocol::State;

/// The embedded ledger.
#[derive(Debug)]
pub struct SqliteLedger {
    path: PathBuf,
    key: MacKey,
    warnings: Vec<String>,
    sender: Option<mpsc::Sender<Work>>,
    thread: Option<JoinHandle<()>>,
    commits: Arc<AtomicU64>,
    /// Tells who waits in this process that something was written.
    written: Arc<Notify>,
}

enum Work {
    /// Answers by itself.
    Read(Box<dyn FnOnce(&mut Store) + Send>),
    /// Is answered after the commit that it shares.
    Write(Box<dyn group::Write>),
}

/// What the thread owns.
struct Store {
    connection: Connection,
    key: MacKey,
    path: PathBuf,
    /// The schema's version when it was found to be ours.
    schema_version: i64,
}

impl SqliteLedger {
    fn start(store: Store, warnings: Vec<String>) -> Result<Self> {
        let (path, key) = (store.path.clone(), store.key.clone());
        let (sender, receiver) = mpsc::channel::<Work>();
        let commits = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&commits);
        let written = Arc::new(Notify::new());
        let tell = Arc::clone(&written);
        let thread = std::thread::Builder::new()
            .name("signoff-ledger".to_owned())
            .spawn(move || {
                let mut store = store;
                while let Ok(first) = receiver.recv() {
                    let mut writes = Vec::new();
                    for work in iter::once(first).chain(receiver.try_iter()).take(group::AT_MOST) {
                        match work {
                            Work::Read(read) => read(&mut store),
                            Work::Write(write) => writes.push(write),
                        }
                    }
                    // Counted before anybody is answered, so that whoever was answered finds it counted.
                    let any = !writes.is_empty();
                    counted.fetch_add(u64::from(any), Ordering::Relaxed);
                    group::commit(&store, writes);
                    if any {
                        tell.notify_waiters();
                    }
                }
            })
            .map_err(|_| {
                Error::new(Code::LedgerUnavailable)
                    .with("path", path.display())
                    .with("reason", "no thread could be started")
            })?;
        Ok(Self { path, key, warnings, sender: Some(sender), thread: Some(thread), commits, written })
    }

    /// Where the ledger is: beside the path asked for, if that held somebody else's file.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// How often this process has asked the disk to keep something: less often than there were writes, when several
    /// callers shared a commit.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Looks something up.
    async fn call<T: Send + 'static>(&self, work: impl FnOnce(&mut Store) -> Result<T> + Send + 'static) -> Result<T> {
        let (answer, wait) = oneshot::channel();
        let job = Work::Read(Box::new(move |store| {
            // The caller may be gone; what was done stays done.
            let _ = answer.send(work(store));
        }));
        self.answer(job, wait).await
    }

    /// Writes something, in a transaction that others may share.
    async fn write<T: Send + 'static>(&self, work: impl FnOnce(&Store) -> Result<T> + Send + 'static) -> Result<T> {
        let (answer, wait) = oneshot::channel();
        self.answer(Work::Write(Box::new(group::Pending::new(work, answer))), wait).await
    }

    async fn answer<T>(&self, work: Work, wait: oneshot::Receiver<Result<T>>) -> Result<T> {
        let gone = || Error::new(Code::LedgerUnavailable).with("reason", "its thread ended");
        let sent = self.sender.as_ref().is_some_and(|sender| sender.send(work).is_ok());
        let result = if sent { wait.await.unwrap_or_else(|_| Err(gone())) } else { Err(gone()) };
        result.map_err(|error| error.with("path", self.path.display()))
    }
}

impl Drop for SqliteLedger {
    fn drop(&mut self) {
        self.sender.take();
        if let Some(thread) = self.thread.take() {
            // The last close checkpoints the write-ahead log; a failure there loses nothing.
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn redactor(&self) -> Redactor {
        Redactor::new(self.key.clone())
    }

    async fn record_read(&self, read: NewRead) -> Result<()> {
        self.write(move |store| write::record_read(store, &read)).await
    }

    async fn record_proposal(&self, proposal: NewProposal) -> Result<Recorded> {
        self.write(move |store| write::record_proposal(store, &proposal)).await
    }

    async fn load(&self, proposal_id: &str) -> Result<ProposalRecord> {
        let id = proposal_id.to_owned();
        self.call(move |store| read::load(store, &id)).await
    }

    async fn advance(&self, advance: Advance) -> Result<Option<Advanced>> {
        self.write(move |store| write::advance(store, advance)).await
    }

    async fn open_work(&self, state: State, after: u64, limit: u32) -> Result<Vec<OpenWork>> {
        self.call(move |store| read::open_work(store, state, after, limit)).await
    }

    async fn changed(&self, size: u64, every: Duration) -> Result<u64> {
        loop {
            // Listening before looking: what is written between the two is not missed.
            let mut written = std::pin::pin!(self.written.notified());
            written.as_mut().enable();
            let found = self.size().await?;
            if found != size {
                return Ok(found);
            }
            let _ = tokio::time::timeout(every, written).await;
        }
    }

    async fn receipts_table(&self, source: &str) -> Result<Option<ReceiptTable>> {
        let source = source.to_owned();
        self.call(move |store| receipt_table::recorded(store, &source)).await
    }

    async fn rebind_receipts(&self, to: ReceiptsIn, actor: &str, at: Instant) -> Result<Option<ReceiptTable>> {
        let actor = actor.to_owned();
        self.call(|store| verify::verify(store, None, Box::new(|_, _| ())).map(|_| ())).await?;
        self.write(move |store| receipt_table::rebind(store, &to, &actor, at)).await
    }

    async fn proposals(&self, filter: Filter, page: PageRequest) -> Result<Page<ProposalSummary>> {
        self.call(move |store| search::proposals(store, &filter, &page)).await
    }

    async fn evidence_list(&self, filter: Filter, page: PageRequest) -> Result<Page<EvidenceSummary>> {
        self.call(move |store| search::evidence(store, &filter, &page)).await
    }

    async fn query_audit(&self, filter: Filter, page: PageRequest) -> Result<Page<AuditRecord>> {
        self.call(move |store| search::query_audit(store, &filter, &page)).await
    }

    async fn receipts(&self, filter: Filter, page: PageRequest) -> Result<Page<ReceiptRecord>> {
        self.call(move |store| search::receipts(store, &filter, &page)).await
    }

    async fn events(&self, filter: Filter, page: PageRequest) -> Result<Page<LoggedEvent>> {
        self.call(move |store| search::events(store, &filter, &page)).await
    }

    async fn activity(&self, filter: Filter, page: PageRequest) -> Result<Page<Activity>> {
        self.call(move |store| search::activity(store, &filter, &page)).await
    }

    async fn events_after(&self, filter: Filter, seq: u64) -> Result<(Vec<LoggedEvent>, u64)> {
        self.call(move |store| search::events_after(store, &filter, seq)).await
    }

    async fn named(&self, kind: Named, beginning: &str) -> Result<String> {
        let beginning = beginning.to_owned();
        self.call(move |store| search::named(store, kind, &beginning)).await
    }

    async fn evidence(&self, evidence_id: &str) -> Result<Option<EvidenceRecord>> {
        let id = evidence_id.to_owned();
        self.call(move |store| read::evidence(store, &id)).await
    }

    async fn verify(&self, expect: Option<Checkpoint>, progress: Box<dyn FnMut(u64, u64) + Send>) -> Result<Verified> {
        self.call(move |store| verify::verify(store, expect, progress)).await
    }

    async fn size(&self) -> Result<u64> {
        self.call(|store| chain::head(&store.connection, &store.key).map(|head| head.size)).await
    }

    async fn prune(&self, prune: Prune, mut progress: Box<dyn FnMut(u64, u64) + Send>) -> Result<Pruned> {
        let all = self.call(|store| read::proposals(store)).await?;
        let (mut pruned, mut after, mut looked) = (Pruned::default(), 0, 0);
        // What is deleted is overwritten: it is meant to be gone.
        self.call(|store| store.connection.execute_batch("PRAGMA secure_delete = ON").failed()).await?;
        loop {
            let wanted = prune.clone();
            let round = if prune.rehearse {
                self.call(move |store| prune::round(store, &wanted, after)).await?
            } else {
                self.write(move |store| prune::round(store, &wanted, after)).await?
            };
            pruned.proposals += round.proposals;
            pruned.events += round.events;
            (after, looked) = (round.reached, looked + round.looked);
            progress(looked.min(all), all);
            if !round.more {
                break;
            }
        }
        if pruned.proposals > 0 && !prune.rehearse {
            // Old pages of the log hold it too. If somebody reads just now, a later checkpoint does this.
            self.call(|store| read::checkpoint(store)).await?;
        }
        Ok(pruned)
    }

    async fn vacuum(&self) -> Result<(u64, u64)> {
        self.call(|store| {
            let before = read::bytes(store)?;
            store.connection.execute_batch("VACUUM").failed()?;
            store.schema_version = schema::check_schema(&store.connection)?;
            read::checkpoint(store)?;
            Ok((before, read::bytes(store)?))
        })
        .await
    }

    async fn stats(&self) -> Result<LedgerStats> {
        self.call(|store| read::stats(store)).await
    }
}

/// Turns a driver's error into ours; its text stays behind.
trait Failed<T> {
    fn failed(self) -> Result<T>;
}

impl<T> Failed<T> for rusqlite::Result<T> {
    fn failed(self) -> Result<T> {
        self.map_err(|error| {
            let unavailable = |reason: &str| Error::new(Code::LedgerUnavailable).with("reason", reason);
            let tampered = || chain::tampered("the file", "a row or page is missing or has another type");
            match error {
                rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
                    ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Code::LedgerBusy.into(),
                    ErrorCode::DiskFull => unavailable("the disk is full"),
                    ErrorCode::ReadOnly => unavailable("it cannot be written"),
                    ErrorCode::SystemIoFailure => unavailable("reading or writing it failed"),
                    ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => tampered(),
                    ErrorCode::ConstraintViolation => Error::new(Code::Internal).with("detail", "a ledger constraint"),
                    _ => unavailable("the database engine refused"),
                },
                rusqlite::Error::QueryReturnedNoRows
                | rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..) => tampered(),
                _ => unavailable("the database engine refused"),
            }
        })
    }
}
