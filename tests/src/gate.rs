//! A database that stops where a test wants it to: before the effect, or when it has landed and nobody was told.

use std::sync::Arc;

use async_trait::async_trait;
use signoff::Result;
use signoff::database::{Check, CheckRequest, Database, RowRead, ScopedRead};
use signoff::guard::{Dialect, GuardJob, Outcome, ReceiptTable};
use signoff::primitives::Redactor;
use tokio::sync::{Semaphore, mpsc};

/// Where it stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Nothing was sent yet.
    Before,
    /// COMMIT was answered.
    After,
}

/// A database with a gate in it.
#[derive(Debug)]
pub struct Gated {
    inner: Arc<dyn Database>,
    stop: Stop,
    /// A permit for each that may pass.
    pub gate: Arc<Semaphore>,
    reached: mpsc::UnboundedSender<()>,
}

impl Gated {
    /// A closed gate; the receiver hears of each job that reaches it.
    pub fn new(inner: Arc<dyn Database>, stop: Stop) -> (Arc<Self>, mpsc::UnboundedReceiver<()>) {
        let (reached, hears) = mpsc::unbounded_channel();
        (Arc::new(Self { inner, stop, gate: Arc::new(Semaphore::new(0)), reached }), hears)
    }

    async fn pass(&self) {
        let _ = self.reached.send(());
        self.gate.acquire().await.expect("it is never closed").forget();
    }
}

#[async_trait]
impl Database for Gated {
    fn dialect(&self) -> Dialect {
        self.inner.dialect()
    }

    async fn read(&self, read: ScopedRead) -> Result<Option<RowRead>> {
        self.inner.read(read).await
    }

    async fn run(&self, job: GuardJob, redactor: Option<Redactor>) -> Result<Outcome> {
        if self.stop == Stop::Before {
            self.pass().await;
        }
        let outcome = self.inner.run(job, redactor).await;
        if self.stop == Stop::After {
            self.pass().await;
        }
        outcome
    }

    async fn migrate_receipts(&self, table: ReceiptTable) -> Result<Vec<String>> {
        self.inner.migrate_receipts(table).await
    }

    async fn check(&self, request: CheckRequest) -> Vec<Check> {
        self.inner.check(request).await
    }
}
