//! Keeping a claim while its attempt runs.
//!
//! A lease is there so that somebody takes over from a worker that died; the ledger lets nobody but the latest attempt speak,
//! and that one only while its lease holds. So an attempt that takes long says now and then that it is still there.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Runtime;
use super::apply::ApplyOptions;
use crate::ledger::{Advance, Advanced, ProposalRecord, Standing};
use crate::protocol::Event;

/// How soon a renewal that failed is tried again.
const SOON: Duration = Duration::from_secs(1);

impl Runtime {
    /// Runs a claimed attempt to its end, and renews its lease each time that a third of it is over. Answers the renewals,
    /// too.
    pub(super) async fn while_held<T>(
        &self,
        claimed: &ProposalRecord,
        options: &ApplyOptions,
        attempt: impl Future<Output = T>,
    ) -> (T, Vec<Advanced>) {
        let third = options.held_for() / 3;
        let mut attempt = std::pin::pin!(attempt);
        // Most are done long before.
        if let Ok(ended) = timeout(third, &mut attempt).await {
            return (ended, Vec::new());
        }
        let (stop, stopped) = oneshot::channel();
        let held = Held {
            id: claimed.id().to_owned(),
            seq: claimed.last_seq,
            standing: claimed.standing.clone(),
            options: options.clone(),
        };
        let renewing = tokio::task::spawn(renew(self.clone(), held, stopped));
        let ended = attempt.await;
        // It may have given up: then the ledger refuses what comes.
        let _ = stop.send(());
        (ended, renewing.await.unwrap_or_default())
    }
}

/// What an attempt holds of its proposal: the event that a further step has to follow, and where it stands.
struct Held {
    id: String,
    seq: u64,
    standing: Standing,
    options: ApplyOptions,
}

/// Renews until told to stop; answers what it recorded. Ends early once the claim is lost.
async fn renew(runtime: Runtime, mut held: Held, mut stopped: oneshot::Receiver<()>) -> Vec<Advanced> {
    let lease = held.options.held_for();
    let mut renewals = Vec::new();
    // The first third is over.
    let mut wait = Duration::ZERO;
    loop {
        if timeout(wait, &mut stopped).await.is_ok() {
            return renewals;
        }
        let now = runtime.clock.now();
        let standing = Standing { lease_expires_at: Some(now.plus(lease)), ..held.standing.clone() };
        let step = Advance {
            proposal_id: held.id.clone(),
            expected_seq: held.seq,
            event: Event::Renew,
            actor: held.options.runner.clone(),
            at: now,
            standing: standing.clone(),
            decision: None,
            job: None,
            receipt: None,
            receipts_in: None,
            human: None,
        };
        wait = match runtime.ledger.advance(step).await {
            Ok(Some(renewed)) => {
                (held.seq, held.standing) = (renewed.seq, standing);
                renewals.push(renewed);
                lease / 3
            }
            Ok(None) => return renewals,
            // The ledger may be busy; once the lease is over, it refuses.
            Err(_) => SOON,
        };
    }
}
