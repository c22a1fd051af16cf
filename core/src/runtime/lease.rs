//! Keeping a claim while its attempt runs.
//!
//! A lease is there so that somebody takes over from a worker that died; the ledger lets nobody but the latest attempt speak,
//! and that one only while its lease holds. So an attempt that takes long says now and then that it is still there.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Runtime;
use super::apply::ApplyOptions;
use crate::ledger::{Advance, Standing};
use crate::protocol::Event;

/// How soon a renewal that failed is tried again.
const SOON: Duration = Duration::from_secs(1);

/// What an attempt holds of its proposal: the event that a further step has to follow, and where it stands.
#[derive(Debug)]
pub(super) struct Claim {
    pub seq: u64,
    pub standing: Standing,
}

impl Runtime {
    /// Runs an attempt to its end, and renews its lease each time that a third of it is over.
    pub(super) async fn while_held<T>(
        &self,
        id: &str,
        options: &ApplyOptions,
        claim: Claim,
        attempt: impl Future<Output = T>,
    ) -> (T, Claim) {
        let third = options.held_for() / 3;
        let mut attempt = std::pin::pin!(attempt);
        // Most are done long before.
        if let Ok(ended) = timeout(third, &mut attempt).await {
            return (ended, claim);
        }
        let (stop, stopped) = oneshot::channel();
        let (seq, standing) = (claim.seq, claim.standing.clone());
        let renewing = tokio::task::spawn(renew(self.clone(), id.to_owned(), options.clone(), claim, stopped));
        let ended = attempt.await;
        // It may have given up: then the ledger refuses what comes.
        let _ = stop.send(());
        (ended, renewing.await.unwrap_or(Claim { seq, standing }))
    }
}

/// Renews until told to stop; answers what is held then. Ends early once the claim is lost.
async fn renew(
    runtime: Runtime,
    id: String,
    options: ApplyOptions,
    mut claim: Claim,
    mut stopped: oneshot::Receiver<()>,
) -> Claim {
    let third = options.held_for() / 3;
    // The first third is over.
    let mut wait = Duration::ZERO;
    loop {
        if timeout(wait, &mut stopped).await.is_ok() {
            return claim;
        }
        let now = runtime.clock.now();
        let standing = Standing { lease_expires_at: Some(now.plus(options.held_for())), ..claim.standing.clone() };
        let step = Advance {
            proposal_id: id.clone(),
            expected_seq: claim.seq,
            event: Event::Renew,
            actor: options.runner.clone(),
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
                claim = Claim { seq: renewed.seq, standing };
                third
            }
            Ok(None) => return claim,
            // The ledger may be busy; once the lease is over, it refuses.
            Err(_) => SOON,
        };
    }
}
